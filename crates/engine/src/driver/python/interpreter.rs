//! Which Python runs the functions of a workspace.

use std::{ffi::OsString, path::Path};

use crate::system;

/// Returns the interpreter: the one that was given, the one of the virtual environment that is active, or `python3` as a shell
/// finds it.
pub(super) fn interpreter(given: Option<&Path>) -> OsString {
    let of_venv = || {
        let folder = system::env("VIRTUAL_ENV").filter(|folder| !folder.is_empty())?;
        let path = Path::new(&folder).join("bin/python");
        system::exists(&path).then(|| path.into_os_string())
    };
    given.map(|path| path.as_os_str().to_owned()).or_else(of_venv).unwrap_or_else(|| "python3".into())
}
