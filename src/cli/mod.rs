//! The command line: one file a command, and all that is printed.

pub mod diagnostics;
