//! What several test binaries share.
#![allow(unreachable_pub, reason = "each test binary is a crate of its own")]

pub mod loopback;
