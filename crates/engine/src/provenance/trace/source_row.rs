//! Reads the original row of a source again, if the source is available.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::lineage::Lineage;
use crate::{
    cache::{Record, Run, SCRATCH},
    driver::input_of,
    graph::FileOrigin,
    provenance::manifest::{MadeChunk, MadeModel, MadeSource},
    site::Site,
    source::{Bytes, FileDigest, RemoteFile, Source, sample::SampleHub},
    system,
};
use datac_core::{config::is_in_bucket, id::FileHash, sample::SampleIndex};
use datac_decode as decode;
use datac_decode::{Chunk, Encoding};

/// Location of a source row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourcePlace {
    /// Name of the source in the recipe.
    pub source: String,
    /// The repository, or the local path as given in the recipe.
    pub repo: String,
    /// The commit; empty for local files.
    pub commit: String,
    /// Licence stated in the recipe, or else by the source, if known.
    pub license: Option<String>,
    /// Path of the file.
    pub file: String,
    /// Number of the row in the file, from 0.
    pub row: u64,
    /// Line that the row begins on, from 1; `None` for columnar files, or if the source is unavailable.
    pub line: Option<u64>,
    /// Byte offset of the row in the decompressed file; `None` as for `line`.
    pub offset: Option<u64>,
}

/// Number of a sample among the samples of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SampleOf {
    /// Number of the sample, from 1.
    pub nth: u32,
    /// Number of samples that the row yields.
    pub of: u32,
}

impl SampleOf {
    /// Returns the number of a sample among those of its row, or `None` if its row yields only one.
    pub(crate) fn among(index: &SampleIndex, sample: usize) -> Option<Self> {
        let is_same = |row: &&u32| **row == index.row[sample];
        let before = index.row[..sample].iter().rev().take_while(is_same).count() as u32;
        let of = before + index.row[sample..].iter().take_while(is_same).count() as u32;
        (of > 1).then_some(Self { nth: before + 1, of })
    }
}

impl SourcePlace {
    pub(crate) fn new(source: &MadeSource, chunk: &MadeChunk, row: u32) -> Self {
        Self {
            source: source.name.clone(),
            repo: source.origin.name().to_owned(),
            commit: source.origin.commit().unwrap_or_default().to_owned(),
            license: source.license.clone(),
            file: source.files.get(chunk.file as usize).map_or_else(String::new, |file| file.path.clone()),
            row: chunk.place.first_row + u64::from(row),
            line: None,
            offset: None,
        }
    }
}

/// The text of a source row, or why it is unavailable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceText {
    /// The row as it is in the source; for columnar files, as JSON.
    Row(String),
    /// Why the source could not be read.
    Unavailable(String),
}

/// A row of a build: numbers of its source, of its chunk there, and of the row in the chunk.
pub(crate) type RowAt = (usize, usize, u32);

/// Reads source rows of one build again.
pub(crate) struct Sources<'w> {
    site: &'w Site,
    record: &'w Arc<Record>,
    /// Name of the hub that the build downloaded its sources from.
    hub_name: Option<String>,
    /// The chunk that was read last: a row is often asked about more than once.
    last: RefCell<Option<Arc<Chunk>>>,
}

impl<'w> Sources<'w> {
    pub(crate) fn new(site: &'w Site, record: &'w Arc<Record>, lineage: &Lineage) -> Self {
        let run = |runs: Vec<(_, Run)>| runs.into_iter().find(|(id, _)| *id == lineage.run).map(|(_, run)| run.hub);
        Self { site, record, hub_name: record.runs().ok().and_then(run), last: RefCell::new(None) }
    }

    /// Reads the row at a place, and adds line and offset to the place.
    pub(crate) fn read(&self, source: &MadeSource, chunk: &MadeChunk, row: u32, place: &mut SourcePlace) -> SourceText {
        match self.try_read(source, chunk, row, place) {
            Ok(text) => SourceText::Row(text),
            Err(why) => SourceText::Unavailable(why),
        }
    }

    fn try_read(
        &self,
        source: &MadeSource,
        chunk: &MadeChunk,
        row: u32,
        place: &mut SourcePlace,
    ) -> Result<String, String> {
        let read = self.chunk(source, chunk)?;
        let span = *read.spans().get(row as usize).ok_or(CHANGED)?;
        if read.encoding != Encoding::Columns {
            place.line = Some(chunk.place.first_line + u64::from(span.line) + 1);
            place.offset = Some(chunk.place.offset + span.start as u64);
        }
        Ok(read.raw(span).into_owned())
    }

    /// Returns the line, from 1, and the byte offset of rows, which are given by source, chunk and number in the chunk. Each file is read
    /// once. Rows of columnar files, and of files that are unavailable, are left out.
    pub(crate) fn lines(&self, lineage: &Lineage, rows: &[RowAt]) -> HashMap<RowAt, (u64, u64)> {
        let mut by_file: BTreeMap<(usize, u32), BTreeMap<usize, BTreeSet<u32>>> = BTreeMap::new();
        for (source, chunk, row) in rows {
            let file = lineage.manifest.sources[*source].chunks[*chunk].file;
            by_file.entry((*source, file)).or_default().entry(*chunk).or_default().insert(*row);
        }
        let mut found = HashMap::new();
        for ((number, file), wanted) in by_file {
            let source = &lineage.manifest.sources[number];
            if source.files.get(file as usize).is_none_or(|from| from.encoding == Encoding::Columns) {
                continue;
            }
            let chunks: Vec<usize> = wanted.keys().copied().collect();
            let made: Vec<&MadeChunk> = chunks.iter().map(|chunk| &source.chunks[*chunk]).collect();
            let read = self.reread(source, file, &made, |nth, chunk| {
                let place = chunk.place;
                let spans = chunk.spans();
                for row in &wanted[&chunks[nth]] {
                    if let Some(span) = spans.get(*row as usize) {
                        let line = place.first_line + u64::from(span.line) + 1;
                        found.insert((number, chunks[nth], *row), (line, place.offset + span.start as u64));
                    }
                }
            });
            // What is unavailable has no lines; its place in the file is known all the same.
            read.ok();
        }
        found
    }

    /// Reads chunks of a file again, in their order, and calls `each` with the number of each one that is as it was.
    fn reread(
        &self,
        source: &MadeSource,
        file: u32,
        chunks: &[&MadeChunk],
        mut each: impl FnMut(usize, Chunk),
    ) -> Result<(), String> {
        let (file, from) =
            source.source_file(file).zip(source.files.get(file as usize)).ok_or("the build did not record the file")?;
        let from_place = self.place_of(&file.origin)?;
        let opened = from_place.open(file.origin.name(), file.origin.commit(), &file.remote());
        let opened = opened.map_err(|error| format!("failed to {error}"))?;
        let input = input_of(&file, opened, &self.site.cache.join(SCRATCH)).map_err(|failure| failure.message)?;
        let shape = (from.encoding, from.header.as_slice().into());
        let places: Vec<_> = chunks.iter().map(|chunk| (chunk.place, chunk.rows)).collect();
        decode::reread(input, file.kind, shape, &places, |nth, read| {
            if read.digest() == chunks[nth].digest {
                each(nth, read);
            }
        })
        .map_err(|error| format!("failed to {error}"))
    }

    /// Reads a chunk, or says why it is unavailable.
    pub(super) fn chunk(&self, source: &MadeSource, chunk: &MadeChunk) -> Result<Arc<Chunk>, String> {
        let is_it = |read: &&Arc<Chunk>| read.place == chunk.place && read.digest() == chunk.digest;
        if let Some(last) = self.last.borrow().as_ref().filter(is_it) {
            return Ok(last.clone());
        }
        let mut found = None;
        self.reread(source, chunk.file, &[chunk], |_, read| found = Some(Arc::new(read)))?;
        let found = found.ok_or(CHANGED)?;
        *self.last.borrow_mut() = Some(found.clone());
        Ok(found)
    }

    /// Reads a file of the build's model again.
    pub(crate) fn model_file(&self, model: &MadeModel) -> Result<Vec<u8>, String> {
        let from = self.place_of(&model.origin)?;
        let digest = model.digest.parse()?;
        let file = RemoteFile { path: model.path.clone(), size: model.bytes, digest, etag: None };
        let opened = from.open(model.origin.name(), model.origin.commit(), &file);
        let bytes = match opened.map_err(|error| format!("failed to {error}"))? {
            Bytes::Static(bytes) => bytes.to_vec(),
            Bytes::File(_, path) => system::read(&path).map_err(|error| format!("failed to {error}"))?,
        };
        // A file of the workspace may have changed.
        let is_same = match digest {
            FileDigest::Blake3(digest) => FileHash::of(&bytes) == digest,
            FileDigest::Sha256(_) | FileDigest::Git(_) => true,
        };
        if is_same { Ok(bytes) } else { Err(format!("`{}` has changed since the build", model.path)) }
    }

    /// Opens the place that a source came from. Of a hub that is the sample if the build read from it, otherwise the configured one,
    /// with the network disabled.
    fn place_of(&self, origin: &FileOrigin) -> Result<Arc<dyn Source>, String> {
        if origin.is_local() {
            return Ok(self.site.workspace(self.record));
        }
        if self.hub_name.as_deref() == Some("sample") && !is_in_bucket(origin.name()) {
            return Ok(Arc::new(SampleHub));
        }
        let hub = self.site.hub.without_network();
        hub.open_for([origin.name()], &self.site.cache, self.record).map_err(|error| error.to_string())
    }
}

/// Why a chunk is not found again.
const CHANGED: &str = "the file has changed since the build";
