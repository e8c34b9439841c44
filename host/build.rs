//! Tells the program which target it is built for: a signed host program is for one. Finds out whether this machine lets tests
//! make networks of their own: where it does not, those tests are shown as ignored; with CI=true they run all the same, and
//! fail.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=CI");
    println!("cargo:rustc-check-cfg=cfg(own_networks)");
    let is_root = Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() == 0);
    let ips = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];
    let has_ip = ips.iter().any(|ip| Path::new(ip).exists());
    if (is_root && has_ip) || std::env::var("CI").is_ok_and(|ci| ci == "true") {
        println!("cargo:rustc-cfg=own_networks");
    }
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(target) = std::env::var("TARGET") {
        println!("cargo:rustc-env=VENOM_TARGET={target}");
    }
}
