//! Tells the program which target it is built for: a signed host program is for one.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(target) = std::env::var("TARGET") {
        println!("cargo:rustc-env=VENOM_TARGET={target}");
    }
}
