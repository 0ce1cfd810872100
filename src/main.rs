//! The `datac` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    datac::cli::run()
}
