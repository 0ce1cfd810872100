//! datac as a link of a chain: under real make and ninja, sharing make's jobs, and telling other programs what happens.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests arrange and damage files from outside, fail by panicking, and say why they skip"
)]

mod documented;
mod events;
#[path = "../build/harm.rs"]
mod harm;
mod history;
mod jobs;
mod make;
mod ninja;
mod pages;
mod place;
mod read_only;
mod schemas;
mod selectors;
mod start;
mod watch;
