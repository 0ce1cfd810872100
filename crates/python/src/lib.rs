//! The extension module `datac._datac`: the handles of the library for `python/datac`, and the command.
//!
//! Results cross the border as the JSON documents of the library's own types, which `datac._records` gives attributes; rows as
//! text or as Arrow streams. Work runs without the interpreter's lock, on threads of its own.

mod arrow;
mod errors;
mod index;
mod table;
mod threads;
mod watched;
mod workspace;

use std::ffi::OsString;

use pyo3::prelude::*;

#[pymodule]
mod _datac {
    use super::*;

    #[pymodule_export]
    use super::{
        table::{Lines, Streams, Table, arrow_stream},
        workspace::{Workspace, kind_of},
    };

    /// The version of datac.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Runs the command: `words` are its name and its arguments. Returns the exit code.
    #[pyfunction]
    fn main(py: Python<'_>, words: Vec<OsString>) -> u8 {
        py.detach(|| datac::cli::run_with(words))
    }

    /// Returns the JSON Schemas of the documents that the other functions return, by name, as one JSON document.
    #[pyfunction]
    fn schemas() -> String {
        workspace::schemas().to_string()
    }
}
