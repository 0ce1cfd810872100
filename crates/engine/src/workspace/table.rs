//! An output as a table: its file, and the columns of its rows.

use std::{
    io::{BufRead, Read},
    path::PathBuf,
};

use crate::{
    cache::Access,
    provenance::trace::{Lineage, Located, locate},
    site::{Site, WorkspaceError, lines_of},
    status::FileState,
    system::FileError,
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::FileHash,
    outputs::{Container, OutputKind, Target},
    shape::{
        self,
        facts::{Column, Facts, Type},
    },
};

/// An output whose file is as it was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTable {
    /// Name of the file in the output folder.
    pub name: String,
    /// Path of the file.
    pub path: PathBuf,
    /// Format of the file.
    pub container: Container,
    /// Number of rows.
    pub rows: u64,
    /// BLAKE3 of the file's bytes.
    pub digest: FileHash,
}

impl OutputTable {
    /// Opens the file and returns its rows as lines of JSON, whatever they lie in.
    pub fn lines(&self) -> Result<Box<dyn BufRead + Send>, WorkspaceError> {
        Ok(lines_of(&self.path)?)
    }
}

/// Finds an output, whose file must be as it was built.
pub(super) fn table(site: &Site, output: &str) -> Result<OutputTable, WorkspaceError> {
    let located = as_built(site, output)?;
    let files = &located.lineage.manifest.files;
    let file = files.iter().find(|file| file.name == located.name);
    let digest =
        file.map(|file| file.meta.digest).ok_or_else(|| located.lineage.lost("the build wrote no such file"))?;
    Ok(OutputTable {
        container: Container::of(&located.path).unwrap_or(Container::Jsonl),
        rows: located.rows,
        digest,
        name: located.name,
        path: located.path,
    })
}

fn as_built(site: &Site, output: &str) -> Result<Located, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let located = locate(site, &record, output)?;
    let (name, recipe) = (&located.name, &located.lineage.manifest.path);
    let broken = match located.state {
        FileState::Same => None,
        FileState::Edited => Some("the file was edited by hand"),
        FileState::Missing => Some("the file does not exist"),
    };
    if let Some(broken) = broken {
        let failure = Failure::new(FailureKind::Action, format!("read `{name}`: {broken}"));
        return Err(failure.hint(format!("`datac build {recipe}` writes it again")).into());
    }
    Ok(located)
}

/// Returns the columns of the rows of an output.
pub(super) fn columns(site: &Site, output: &str) -> Result<Vec<Column>, WorkspaceError> {
    let located = &as_built(site, output)?;
    let (lineage, kind) = (&located.lineage, located.kind());
    let shape = match located.side {
        OutputKind::Rows(_) => return Ok(shape::DEFAULT.columns(kind, &facts(lineage)?)),
        OutputKind::Shard(_) => located.name.split('/').nth(1).map(Target::shape_of).and_then(shape::by_name),
        OutputKind::Quarantine | OutputKind::Beside => None,
    };
    let Some(shape) = shape else {
        let failure = Failure::plain(FailureKind::Config, format!("`{}` holds no samples", located.name));
        return Err(failure.hint("name a file of rows").into());
    };
    let is_packed = lineage.manifest.packed.iter().any(|(folder, _)| located.name.starts_with(&format!("{folder}/")));
    let columns = match shape.packed_columns().filter(|_| is_packed) {
        Some(columns) => columns,
        None if shape.is_of_tokens() => shape.columns(kind, &Facts::default()),
        None => shape.columns(kind, &facts(lineage)?),
    };
    let id = if is_packed { Column::new("ids", Type::Text.list()) } else { Column::new("id", Type::Text) };
    let has_id = begins_with(located, &format!("{{\"{}\":", id.name))?;
    Ok(has_id.then_some(id).into_iter().chain(columns).collect())
}

/// Returns whether the first row begins with these bytes. Only the rows say whether a recipe asked for an `id`.
fn begins_with(located: &Located, begin: &str) -> Result<bool, WorkspaceError> {
    let mut bytes = Vec::new();
    let mut head = lines_of(&located.path)?.take(begin.len() as u64);
    head.read_to_end(&mut bytes).map_err(|source| FileError { verb: "read", path: located.path.clone(), source })?;
    Ok(bytes == begin.as_bytes())
}

/// Returns what the samples of a build have, taken together.
fn facts(lineage: &Lineage) -> Result<Facts, WorkspaceError> {
    let mut facts = Facts::default();
    for (source, made) in lineage.manifest.sources.iter().enumerate() {
        let selection = lineage.selection(source)?;
        for chunk in 0..made.chunks.len() {
            let index = lineage.index(source, chunk)?;
            index.makeups.of(selection.samples(chunk)).for_each(|makeup| facts.add(makeup));
        }
    }
    Ok(facts)
}
