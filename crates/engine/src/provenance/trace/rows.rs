//! Iterates over the rows of an output, each with its origin.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    sync::Arc,
};

use super::{
    lineage::Lineage,
    locate::{Located, locate},
    source_row::SourcePlace,
};
use crate::{
    cache::Access,
    site::{Site, WorkspaceError},
    status::FileState,
    system::{self, FileError},
};
use datac_core::{
    failure::{Failure, FailureKind},
    outputs::OutputKind,
};

/// A row of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// The row as written: one JSON object.
    pub json: String,
    /// Origin of the row; its `line` and `offset` are `None`.
    pub origin: SourcePlace,
}

/// The rows of an output, see [`Outputs::rows`](crate::workspace::Outputs::rows).
pub struct OutputRows {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
    /// Number of the sample on each line.
    order: Vec<u32>,
    /// Source, chunk and row in the chunk, by sample number.
    numbered: Vec<(u32, u32, u32)>,
    places: Arc<Lineage>,
}

/// Returns an iterator over the rows of an output: a file by its path or name, or the training file of a recipe.
///
/// Memory: 16 bytes per row, whatever the size of the rows.
pub(crate) fn rows(site: &Site, output: &str) -> Result<OutputRows, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let Located { lineage, path, side, state, name, .. } = locate(site, &record, output)?;
    match state {
        FileState::Same => {}
        FileState::Edited => {
            let failure = Failure::new(FailureKind::Action, format!("read `{name}`: the file was edited by hand"));
            let hint = format!("`datac build {}` rewrites it", lineage.manifest.path);
            return Err(failure.hint(hint).into());
        }
        FileState::Missing => {
            let failure = Failure::new(FailureKind::Action, format!("read `{name}`: the file does not exist"));
            return Err(failure.hint(format!("`datac build {}` restores it", lineage.manifest.path)).into());
        }
    }
    let reader = BufReader::with_capacity(1 << 20, system::open(&path)?);
    let mut numbered = Vec::new();
    let order = match side {
        OutputKind::Quarantine => {
            for at in lineage.quarantined()? {
                let row = lineage.manifest.sources[at.source].chunks[at.chunk].rejected[at.number].0;
                numbered.push((at.source as u32, at.chunk as u32, row));
            }
            (0..numbered.len() as u32).collect()
        }
        OutputKind::Shard(_) | OutputKind::Beside => {
            let failure = Failure::plain(FailureKind::Config, format!("`{name}` does not hold native rows"));
            return Err(failure.hint("`datac trace` finds the origin of one of its rows").into());
        }
        OutputKind::Rows(side) => {
            for (source, made) in lineage.manifest.sources.iter().enumerate() {
                let selection = lineage.selection(source)?;
                for chunk in 0..made.chunks.len() {
                    let index = lineage.index(source, chunk)?;
                    let row = |sample: u32| index.row.get(sample as usize).copied();
                    for sample in selection.samples(chunk) {
                        let row = row(sample).ok_or_else(|| lineage.lost("a selection does not match its chunks"))?;
                        numbered.push((source as u32, chunk as u32, row));
                    }
                }
            }
            lineage.order(side)?.to_vec()
        }
    };
    Ok(OutputRows { path, reader, line: 0, order, numbered, places: Arc::new(lineage) })
}

impl Iterator for OutputRows {
    type Item = Result<OutputRow, WorkspaceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut json = String::new();
        match self.reader.read_line(&mut json) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(source) => return Some(Err(FileError { verb: "read", path: self.path.clone(), source }.into())),
        }
        json.truncate(json.trim_end_matches(['\n', '\r']).len());
        let number = self.order.get(self.line as usize).and_then(|number| self.numbered.get(*number as usize));
        self.line += 1;
        let Some((source, chunk, row)) = number.copied() else {
            return Some(Err(self.places.lost("an order refers to a row that does not exist")));
        };
        let source = &self.places.manifest.sources[source as usize];
        let origin = SourcePlace::new(source, &source.chunks[chunk as usize], row);
        Some(Ok(OutputRow { line: self.line, json, origin }))
    }
}
