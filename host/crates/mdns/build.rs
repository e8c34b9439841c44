//! Finds out whether this machine lets tests make networks of their own. Where it does not, those tests are shown as ignored;
//! with CI=true they run all the same, and fail.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CI");
    println!("cargo:rustc-check-cfg=cfg(own_networks)");
    let is_root = Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() == 0);
    let has_ip = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"]
        .iter()
        .any(|ip| Path::new(ip).exists());
    if (is_root && has_ip) || std::env::var("CI").is_ok_and(|ci| ci == "true") {
        println!("cargo:rustc-cfg=own_networks");
    }
}
