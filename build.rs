//! Says how the command is linked.
#![expect(clippy::disallowed_methods, reason = "`crate::system` is no part of a build script")]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    link_at_a_fixed_address();
}

/// A position-independent program has its 99,000 pointers put right at each start: half of what `datac status` takes in a
/// small workspace. At a fixed address there is nothing to put right. Its libraries, stack and heap are placed at random
/// as before.
fn link_at_a_fixed_address() {
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
