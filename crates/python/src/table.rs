//! One file of an output, for Python.

use std::{
    io::{BufRead, Read},
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

use pyo3::{
    prelude::*,
    types::{PyBytes, PyCapsule, PyList},
};

use crate::{
    arrow::{Batches, Streams as ArrowStreams, check_unchanged},
    errors::{Fault, caught},
    index::Index,
    threads::on_threads,
};
use datac::{Settings, Workspace, workspace::OutputTable};

/// About how many bytes of rows are handed over at a time.
const BLOCK: u64 = 256 << 10;

/// A file of rows. `datac.Output` is the class for people.
#[pyclass(frozen)]
pub(crate) struct Table {
    of: OutputTable,
    settings: Settings,
    index: OnceLock<Index>,
}

impl Table {
    pub(crate) fn new(of: OutputTable, settings: Settings) -> Self {
        Self { of, settings, index: OnceLock::new() }
    }

    /// Returns the workspace, if the file still has the bytes that the output was made for.
    fn unchanged(&self) -> Result<Workspace, Fault> {
        let workspace = Workspace::open(self.settings.clone());
        check_unchanged(&self.of, &workspace)?;
        Ok(workspace)
    }

    fn run<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> Result<T, Fault> + Send) -> PyResult<T> {
        py.detach(|| caught(|| on_threads(work))).map_err(|fault| fault.exception(py, &self.settings))
    }
}

#[pymethods]
impl Table {
    #[getter]
    fn name(&self) -> &str {
        &self.of.name
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.of.path.clone()
    }

    #[getter]
    fn container(&self) -> &'static str {
        self.of.container.word()
    }

    #[getter]
    fn digest(&self) -> String {
        self.of.digest.to_string()
    }

    /// Number of rows.
    fn __len__(&self) -> usize {
        self.of.rows as usize
    }

    /// Returns the rows `start..end`, which must be there, as lines of JSON.
    fn rows(&self, py: Python<'_>, start: usize, end: usize) -> PyResult<String> {
        if self.index.get().is_none() {
            // Two threads may both look for the rows; they find the same.
            let found = self.run(py, || {
                self.unchanged()?;
                Index::new(&self.of)
            })?;
            self.index.set(found).ok();
        }
        let rows = || {
            let index = self.index.get().expect("it was just set");
            if start > end || end > self.of.rows as usize {
                return Err(Fault::action(format!("read row {end} of {}", self.of.rows)));
            }
            index.rows(start..end)
        };
        py.detach(|| caught(rows)).map_err(|fault| fault.exception(py, &self.settings))
    }

    /// Returns all rows, in order, block by block.
    fn lines(&self, py: Python<'_>) -> PyResult<Lines> {
        let lines = self.run(py, || {
            self.unchanged()?;
            Ok(self.of.lines()?)
        })?;
        Ok(Lines { lines: Mutex::new(lines), path: self.of.path.clone(), settings: self.settings.clone() })
    }

    /// Returns all rows as Arrow streams, each of some rows, with the same schema.
    fn streams(&self, py: Python<'_>) -> PyResult<Streams> {
        let streams = self.run(py, || ArrowStreams::new(&self.of, &self.unchanged()?))?;
        Ok(Streams { streams: Mutex::new(streams), settings: self.settings.clone() })
    }
}

/// Returns the rows of some files, at least one, in order, as an `ArrowArrayStream` in a capsule: the Arrow PyCapsule interface.
#[pyfunction]
pub(crate) fn arrow_stream(py: Python<'_>, tables: Vec<Py<Table>>) -> PyResult<Bound<'_, PyCapsule>> {
    let Some(first) = tables.first() else {
        return Err(pyo3::exceptions::PyValueError::new_err("there is no file"));
    };
    let batches = first.get().run(py, || {
        let workspaces: Result<Vec<Workspace>, Fault> = tables.iter().map(|table| table.get().unchanged()).collect();
        let workspace = workspaces?.swap_remove(0);
        Batches::new(tables.iter().map(|table| table.get().of.clone()).collect(), workspace)
    })?;
    PyCapsule::new_with_value(py, batches.into_stream(), c"arrow_array_stream")
}

/// The rows of a file as Arrow streams: an iterator of lists of streams.
#[pyclass(frozen)]
pub(crate) struct Streams {
    streams: Mutex<ArrowStreams>,
    settings: Settings,
}

#[pymethods]
impl Streams {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let next = || self.streams.lock().unwrap_or_else(PoisonError::into_inner).next_streams();
        let made = py.detach(|| caught(|| on_threads(next))).map_err(|fault| fault.exception(py, &self.settings))?;
        if made.is_empty() {
            return Ok(None);
        }
        PyList::new(py, made.iter().map(|stream| PyBytes::new(py, stream))).map(Some)
    }
}

/// The rows of a file, in blocks: an iterator of lists of lines of JSON.
#[pyclass(frozen)]
pub(crate) struct Lines {
    lines: Mutex<Box<dyn BufRead + Send>>,
    path: PathBuf,
    settings: Settings,
}

#[pymethods]
impl Lines {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let read = || -> Result<String, Fault> {
            let failed =
                |error: &dyn std::fmt::Display| Fault::action(format!("read `{}`: {error}", self.path.display()));
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let mut block = Vec::new();
            lines.by_ref().take(BLOCK).read_to_end(&mut block).map_err(|error| failed(&error))?;
            if block.last().is_some_and(|last| *last != b'\n') {
                lines.read_until(b'\n', &mut block).map_err(|error| failed(&error))?;
            }
            String::from_utf8(block).map_err(|error| failed(&error))
        };
        let block = py.detach(|| caught(read)).map_err(|fault| fault.exception(py, &self.settings))?;
        if block.is_empty() { Ok(None) } else { PyList::new(py, block.lines()).map(Some) }
    }
}
