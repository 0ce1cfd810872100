//! The manifest: a record, left by every build, of everything that a recipe's files are made of.
//!
//! A manifest names every blob, file and setting that a row went through, so that `trace` finds the origin of a row
//! even after the recipe has changed. Manifests are blobs in the cache; the ledger holds their digests. A manifest
//! holds no time, so the same build always leaves the same manifest; the ledger records when it ran.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::summary::Summary;
use crate::{
    cache::OutputFile,
    graph::{
        Conversion, EncodedChunk, FileOrigin, Inside, ModelFile, OwnModel, PackedRows, PinnedFile, PinnedModel,
        RecipePlan, SelectedSource, ShapedOutcome, SourceFile,
    },
    source::FileDigest,
};
use datac_core::{
    config::{Dataset, Mix, Program, Recipe, Take, Validation, model::Overlong},
    convert::Options,
    format::Reading,
    id::{BlobId, ChunkId, FileHash},
    leaf::{Leaf, Leaves, Value},
    license::License,
    mix::{Allotment, Grouped},
    outputs::{BySide, NamedFile, Target},
    quality::Filter,
    row::Reason,
    sample::SampleKind,
};
use datac_decode::{Encoding, FileKind, Place};

/// Raised when what is below is encoded otherwise: a manifest of another version is not read.
const VERSION: u32 = 9;

/// Everything that the files of one recipe are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildManifest {
    /// Name of the recipe.
    pub name: String,
    /// Path of the recipe.
    pub path: String,
    /// BLAKE3 of the recipe's text.
    pub text: FileHash,
    /// Kind of the samples.
    pub kind: SampleKind,
    /// Everything that decided the files, by name.
    pub leaves: Leaves,
    /// Counts of the build.
    pub summary: Summary,
    /// The files: training, validation, and quarantine if any row was rejected.
    pub files: Vec<NamedFile>,
    /// The sources in the recipe's order.
    pub sources: Vec<MadeSource>,
    /// How sources are combined.
    pub mix: Mix,
    /// Number of samples that each source was to give.
    pub allotment: Allotment,
    /// The split, with the seed.
    pub validation: Validation,
    /// For each side that is written, the blob that lists its rows.
    pub lists: BySide<Option<BlobId>>,
    /// The rows that targets pack samples in: the name of a target's folder, and the rows of each side.
    pub packed: Vec<(String, BySide<Option<PackedRows>>)>,
    /// The model that samples were encoded for, if the recipe has one.
    pub model: Option<MadeModel>,
    /// What targets with a model of their own were made of.
    pub own: Vec<MadeOwn>,
}

/// What a target with a model of its own was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeOwn {
    /// The folder of the target in the output folder.
    pub folder: String,
    /// The model.
    pub model: MadeModel,
    /// The samples as the model sees them: for each source, for each of its chunks; `None` if they are not written.
    pub encoded: Vec<Vec<Option<EncodedChunk>>>,
}

/// A model as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeModel {
    /// The model as the recipe names it.
    pub name: String,
    /// The repository or folder that it comes from.
    pub origin: FileOrigin,
    /// Path of its tokenizer.
    pub path: String,
    /// Size of the tokenizer in bytes.
    pub bytes: u64,
    /// Digest of the tokenizer, spelled as in lock files.
    pub digest: String,
    /// What was done with samples of more than this number of tokens, if they were made shorter.
    pub shortened: Option<(Overlong, u64)>,
}

impl MadeModel {
    fn new(model: &PinnedModel) -> Option<Self> {
        let PinnedFile { origin, file: tokenizer, .. } =
            model.files.iter().find(|file| file.of == ModelFile::Tokenizer)?;
        Some(Self {
            name: model.model.location.source().to_owned(),
            origin: origin.clone(),
            path: tokenizer.path.clone(),
            bytes: tokenizer.size,
            digest: tokenizer.digest.to_string(),
            shortened: model.model.max_tokens.map(|max| (model.model.overlong, max)),
        })
    }
}

/// A source as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeSource {
    /// Name of the source in the recipe.
    pub name: String,
    /// Repository or folder that the source comes from.
    pub origin: FileOrigin,
    /// Licence stated in the recipe, or else by the source, if known.
    pub license: Option<String>,
    /// Files that the chunks were read from.
    pub files: Vec<MadeFrom>,
    /// Name of the converter.
    pub converter: String,
    /// Version of the converter.
    pub version: u32,
    /// Options of the converter.
    pub options: Options,
    /// The field that filters measure.
    pub field: String,
    /// The filters, in order.
    pub filters: Vec<Filter>,
    /// How many of the samples that pass the filters are taken, and which.
    pub take: Take,
    /// The share asked for in the recipe.
    pub share: f64,
    /// The blob that lists which samples were kept.
    pub selection: BlobId,
    /// Whether all of its rows are on one side, and not divided.
    pub is_held: bool,
    /// The samples that left that selection because of samples of other sources, if sources were compared.
    pub grouped: Option<Grouped>,
    /// The blob that lists which samples were kept before that.
    pub ungrouped: Option<BlobId>,
    /// Number of samples that were kept.
    pub kept: u64,
    /// The chunks in order.
    pub chunks: Vec<MadeChunk>,
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// Path in the repository or in the workspace.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of the bytes, spelled as in lock files.
    pub digest: String,
    /// Format and compression.
    pub kind: FileKind,
    /// Encoding of its chunks.
    pub encoding: Encoding,
    /// What reading its rows takes besides their bytes.
    pub header: Vec<u8>,
    /// The archive that it lies in.
    pub inside: Option<Inside>,
}

/// A chunk of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeChunk {
    /// Index into the source's files.
    pub file: u32,
    /// Number of the chunk within its file.
    pub number: u32,
    /// Number of rows.
    pub rows: u32,
    /// Number of samples.
    pub samples: u32,
    /// Size of the samples, in bytes.
    pub bytes: u64,
    /// Position of the chunk in its file.
    pub place: Place,
    /// Digest of its bytes in the source.
    pub digest: ChunkId,
    /// The blob of its samples.
    pub written: BlobId,
    /// The blob of its index.
    pub index: BlobId,
    /// The blob of its rejects, with their details.
    pub rejects: Option<BlobId>,
    /// Its rejects by row and reason.
    pub rejected: Vec<(u32, Reason)>,
    /// The score column of each filter.
    pub scores: Vec<BlobId>,
    /// The token column, if the mixture counts tokens.
    pub tokens: Option<BlobId>,
    /// The samples as the recipe's model sees them, if it has one.
    pub encoded: Option<EncodedChunk>,
}

impl MadeChunk {
    /// Returns whether a row of the chunk was rejected.
    pub fn rejects(&self, row: u32) -> bool {
        self.rejected.binary_search_by_key(&row, |(rejected, _)| *rejected).is_ok()
    }
}

/// A manifest that cannot be read, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a build manifest: {0}")]
pub struct ManifestError(String);

/// What a manifest is made from.
pub(crate) struct Made<'a> {
    pub(crate) name: &'a str,
    pub(crate) path: &'a str,
    pub(crate) text: FileHash,
    pub(crate) recipe: &'a Recipe,
    pub(crate) plan: &'a RecipePlan,
    pub(crate) leaves: &'a Leaves,
    pub(crate) summary: &'a Summary,
    pub(crate) outputs: &'a [OutputFile],
    /// The conversion of each source.
    pub(crate) conversions: Vec<Option<Conversion>>,
    /// The licence of each source.
    pub(crate) licenses: Vec<Option<License>>,
    /// The model.
    pub(crate) model: Option<Arc<PinnedModel>>,
}

impl BuildManifest {
    pub(crate) fn new(made: &Made<'_>) -> Self {
        let (recipe, plan) = (made.recipe, made.plan);
        let sources = recipe.datasets.iter().zip(plan.sources.iter()).zip(made.conversions.iter().zip(&made.licenses));
        Self {
            name: made.name.to_owned(),
            path: made.path.to_owned(),
            text: made.text,
            kind: recipe.metadata.kind,
            leaves: made.leaves.clone(),
            summary: made.summary.clone(),
            files: made.outputs.iter().map(|file| NamedFile { name: file.name.clone(), meta: file.meta }).collect(),
            sources: sources
                .map(|((dataset, source), (conversion, license))| MadeSource {
                    license: license.as_ref().map(License::to_string),
                    ..MadeSource::new(recipe.metadata.kind, dataset, source, conversion.as_ref(), made.leaves)
                })
                .collect(),
            mix: recipe.mix.clone(),
            allotment: plan.allotment.clone(),
            validation: recipe.validation.clone(),
            lists: plan.arranged.lists,
            packed: packed(plan),
            model: made.model.as_deref().and_then(MadeModel::new),
            own: own(plan),
        }
    }

    /// Returns what a file was made of, by its name in the output folder, if it is of a target with a model of its own.
    pub(crate) fn own_of(&self, file: &str) -> Option<&MadeOwn> {
        self.own.iter().find(|own| file.strip_prefix(&own.folder).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Encodes the manifest as a blob.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(&(VERSION, self)).expect("a manifest is plain data")
    }

    /// Decodes a manifest; fails if the version is not `VERSION` or the bytes are damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let (version, rest): (u32, _) =
            postcard::take_from_bytes(bytes).map_err(|error| ManifestError(error.to_string()))?;
        if version != VERSION {
            return Err(ManifestError(format!("version {version} is not supported (this datac reads {VERSION})")));
        }
        postcard::from_bytes(rest).map_err(|error| ManifestError(error.to_string()))
    }

    /// Returns the blobs that hold the rows, rejects and orders. The cache must keep them for rows to be traceable.
    pub fn blobs(&self) -> impl Iterator<Item = BlobId> + '_ {
        let chunks = self.sources.iter().flat_map(|source| &source.chunks);
        let of_chunks = chunks.flat_map(|chunk| {
            let columns = chunk.scores.iter().copied().chain(chunk.rejects).chain(chunk.tokens);
            let encoded = chunk.encoded.iter().flat_map(EncodedChunk::blobs);
            [chunk.written, chunk.index].into_iter().chain(columns).chain(encoded)
        });
        let selections = self.sources.iter().flat_map(|source| [source.selection].into_iter().chain(source.ungrouped));
        let packed = self.packed.iter().flat_map(|(_, sides)| sides.values()).flatten().flat_map(PackedRows::blobs);
        let own = self.own.iter().flat_map(|own| own.encoded.iter().flatten().flatten()).flat_map(EncodedChunk::blobs);
        self.lists.values().flatten().copied().chain(packed).chain(selections).chain(of_chunks).chain(own)
    }
}

/// Returns what the targets of a plan with a model of their own are made of.
fn own(plan: &RecipePlan) -> Vec<MadeOwn> {
    let of = |((target, _), own): (&(Target, Arc<ShapedOutcome>), &Option<Arc<OwnModel>>)| {
        let own = own.as_ref()?;
        let encoded = |source: &SelectedSource| source.chunks.iter().map(|chunk| chunk.encoded).collect();
        Some(MadeOwn {
            folder: plan.outputs.folder(target),
            model: MadeModel::new(&own.pinned)?,
            encoded: own.sources.iter().map(encoded).collect(),
        })
    };
    plan.shaped.iter().zip(&plan.own).filter_map(of).collect()
}

/// Returns the rows that the targets of a plan pack samples in, by the folder of the target.
fn packed(plan: &RecipePlan) -> Vec<(String, BySide<Option<PackedRows>>)> {
    let shaped = plan.shaped.iter().filter(|(target, _)| target.pack.is_some());
    shaped.map(|(target, shaped)| (plan.outputs.folder(target), shaped.packed)).collect()
}

/// Returns the version of the converter that converted a dataset.
fn version_of(leaves: &Leaves, dataset: &str) -> u32 {
    match leaves.get(&Leaf::Converter { dataset: dataset.to_owned() }) {
        Some(Value::Code { version, .. }) => *version,
        _ => unreachable!("the leaves of a recipe that was built name the converter of each dataset"),
    }
}

impl MadeSource {
    /// Returns the name of what converted the rows: of a converter, or of a function in Python.
    pub(crate) fn converted_by(&self) -> String {
        match &self.options.program {
            Some(Program::Python(function)) => function.to_string(),
            _ => self.converter.clone(),
        }
    }

    pub(crate) fn new(
        kind: SampleKind,
        dataset: &Dataset,
        source: &SelectedSource,
        conversion: Option<&Conversion>,
        leaves: &Leaves,
    ) -> Self {
        let mut files: Vec<MadeFrom> = Vec::new();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut chunks = Vec::with_capacity(source.chunks.len());
        for chunk in source.chunks.iter() {
            let (made, converted) = (&chunk.chunk, &chunk.converted);
            let file = *numbers.entry(made.file.path.as_str()).or_insert_with(|| {
                files.push(MadeFrom {
                    path: made.file.path.clone(),
                    bytes: made.file.size,
                    digest: made.file.digest.to_string(),
                    kind: made.file.kind,
                    encoding: made.encoding,
                    header: made.header.to_vec(),
                    inside: made.file.inside.as_deref().cloned(),
                });
                files.len() as u32 - 1
            });
            chunks.push(MadeChunk {
                file,
                number: made.number,
                rows: made.rows,
                samples: converted.samples,
                bytes: converted.bytes,
                place: made.place,
                digest: made.digest,
                written: converted.rows,
                index: converted.index,
                rejects: converted.rejects,
                rejected: converted.rejected.clone(),
                scores: chunk.scores.clone(),
                tokens: chunk.tokens,
                encoded: chunk.encoded,
            });
        }
        let first = source.chunks.first().map(|chunk| &chunk.chunk.file);
        Self {
            name: source.name.clone(),
            origin: first.expect("a source that gives no row is refused").origin.clone(),
            license: None,
            files,
            converter: conversion.map_or_else(String::new, |conversion| conversion.converter.to_owned()),
            version: version_of(leaves, &dataset.name),
            options: dataset.options.clone(),
            field: dataset.text_field.clone().unwrap_or_else(|| kind.default_field().to_owned()),
            filters: dataset.filters.clone(),
            take: dataset.take,
            share: dataset.mix_ratio,
            selection: source.selected.selection,
            is_held: dataset.role.side().is_some(),
            grouped: source.grouped,
            ungrouped: source.ungrouped,
            kept: source.selected.kept,
            chunks,
        }
    }

    /// Returns one of the files, in the form in which it is opened from a hub or a folder.
    pub(crate) fn source_file(&self, number: u32) -> Option<SourceFile> {
        let file = self.files.get(number as usize)?;
        Some(SourceFile {
            origin: self.origin.clone(),
            path: file.path.clone(),
            size: file.bytes,
            digest: FileDigest::from_str(&file.digest).ok()?,
            kind: file.kind,
            etag: None,
            // What is read again has its encoding and header on record.
            reading: Reading::default(),
            inside: file.inside.clone().map(Arc::new),
        })
    }
}
