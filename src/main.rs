//! The `datac` command.
fn main() {}
