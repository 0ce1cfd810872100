//! Says how the command is linked.
#![expect(clippy::disallowed_methods, reason = "a build script is no part of the program")]

use std::env;

/// Links the command at a fixed address, on Linux with glibc.
///
/// In a position-independent program, 104,000 pointers are relocated at each start: most of a millisecond, when a build without
/// changes takes three (`docs/performance.md`). Libraries, stack and heap are placed at random as before.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
