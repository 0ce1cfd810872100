//! Compares datac with others.
fn main() {}
