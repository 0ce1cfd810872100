//! Actions: the pure steps whose outputs the cache holds, and what each yields. Their keys are made in `keys.rs`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::source::{FileDigest, RemoteFile};
use datac_core::{
    config::Validation,
    convert::Options,
    hash::Digest,
    id::{ActionKey, BlobId, ChunkId},
    mix::{Allotment, FilterCount, Realised},
    outputs::{BySide, FileMeta, OutputSet},
    quality::{Filter, ScoreKind},
    row::Reason,
    sample::SampleKind,
    stage::Stage,
};
use datac_decode::{Encoding, FileKind, Place};

/// Where a source comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileOrigin {
    /// A repository of a hub, at a commit.
    Hub {
        /// The repository's canonical id.
        repo: Arc<str>,
        /// The commit that is pinned.
        commit: Arc<str>,
    },
    /// Files of the workspace.
    Local {
        /// The path as the recipe has it, which may be a folder.
        source: Arc<str>,
    },
}

/// A pinned file of a pinned source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// Where the file comes from.
    pub origin: FileOrigin,
    /// The path: in the repository, or in the workspace.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// The digest that pins the content.
    pub digest: FileDigest,
    /// What the file holds.
    pub kind: FileKind,
}

impl FileOrigin {
    /// Returns what people call the source: the repository, or the local path as the recipe has it.
    pub fn name(&self) -> &str {
        match self {
            Self::Hub { repo, .. } => repo,
            Self::Local { source } => source,
        }
    }

    /// Returns the commit, which files of the workspace have none of.
    pub fn commit(&self) -> Option<&str> {
        match self {
            Self::Hub { commit, .. } => Some(commit),
            Self::Local { .. } => None,
        }
    }

    /// Whether the source is in the workspace.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. })
    }
}

impl SourceFile {
    /// Returns the file as the listing of its repository has it.
    pub fn remote(&self) -> RemoteFile {
        RemoteFile { path: self.path.clone(), size: self.size, digest: self.digest }
    }
}

/// What turns rows into samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversion {
    /// The converter's name.
    pub converter: &'static str,
    /// Its options.
    pub options: Options,
}

/// What is measured of each sample.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    /// The scorer.
    pub kind: ScoreKind,
    /// The field it measures: of the sample, else of the source row.
    pub field: String,
}

/// A chunk of a pinned file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Its number within the file.
    pub number: u32,
    /// The digest of its bytes.
    pub digest: ChunkId,
    /// Its rows.
    pub rows: u32,
    /// Where it stands.
    pub place: Place,
    /// How to read it.
    pub encoding: Encoding,
    /// What its rows need besides their bytes.
    pub header: Arc<[u8]>,
}

/// A converted chunk as the later stages name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvertedChunk {
    /// The chunk.
    pub chunk: ChunkRef,
    /// What its conversion yielded.
    pub converted: ConvertOutcome,
    /// The digest of each score column, in the order of the filters.
    pub scores: Vec<BlobId>,
    /// The digest of the column of tokens, where the mixture counts them.
    pub tokens: Option<BlobId>,
}

/// One selected source of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SelectedSource {
    /// Its name in the recipe: the `source` of its rows.
    pub name: String,
    /// The chunks it was selected from.
    pub chunks: Arc<Vec<ConvertedChunk>>,
    /// What was selected.
    pub selected: SelectOutcome,
}

/// A step to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Names it by everything that decides its result.
    pub key: ActionKey,
    /// What to do.
    pub work: Work,
}

/// What an action does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Cut a file into chunks, and convert and score them while their bytes are at hand.
    Scan(ScanWork),
    /// Make samples of a chunk.
    Convert(ChunkRef, Conversion, SampleKind),
    /// Measure the samples of a chunk.
    Score(ChunkRef, Conversion, SampleKind, Measure),
    /// Choose the samples of a source that pass its filters.
    Select {
        /// The chunks to select from.
        chunks: Arc<Vec<ConvertedChunk>>,
        /// The filters, in order.
        filters: Vec<Filter>,
        /// How many samples at most.
        max: Option<u64>,
    },
    /// Mix, split and order.
    Arrange {
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
        /// What each gives.
        allotment: Allotment,
        /// What a sample counts.
        unit: datac_core::config::Unit,
        /// How rows are divided and seeded.
        validation: Validation,
    },
    /// Write the rows of both sides.
    Output {
        /// The files of the recipe.
        outputs: OutputSet,
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
        /// The arrangement.
        arranged: ArrangeOutcome,
    },
    /// Write the rejects of a recipe.
    Quarantine {
        /// The files of the recipe.
        outputs: OutputSet,
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
    },
}

/// What to do while a file is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanWork {
    /// The file.
    pub file: Arc<SourceFile>,
    /// How many chunks of it are known already.
    pub known: u32,
    /// Those who wait for it.
    pub followers: Vec<Follower>,
}

/// A source of a recipe that waits for a file to be cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Follower {
    /// What to convert chunks with; `None`: whatever reads the columns.
    pub conversion: Option<Conversion>,
    /// The converter's options, for when the columns decide.
    pub options: Options,
    /// The kind of sample it needs.
    pub kind: SampleKind,
    /// What to measure.
    pub measures: Vec<Measure>,
    /// How many samples it still needs of the chunks that are not known; `None`: all there are.
    pub samples: Option<u64>,
}

/// What an action yielded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// See [`ScanOutcome`].
    Scan(Arc<ScanOutcome>),
    /// See [`ConvertOutcome`].
    Convert(ConvertOutcome),
    /// The digest of a score column.
    Score(BlobId),
    /// See [`SelectOutcome`].
    Select(SelectOutcome),
    /// See [`ArrangeOutcome`].
    Arrange(ArrangeOutcome),
    /// The file of each side.
    Output(BySide<FileMeta>),
    /// The quarantine file.
    Quarantine(FileMeta),
}

/// The chunks of a file, or the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanOutcome {
    /// How the chunks are to be read.
    pub encoding: Encoding,
    /// What their rows need besides their bytes.
    pub header: Vec<u8>,
    /// The columns of the first good row.
    pub columns: Vec<String>,
    /// The chunks in order.
    pub chunks: Vec<ScannedChunk>,
    /// Whether these are all.
    pub complete: bool,
    /// What the pieces of the file hash to, where its next version can be compared with it; see [`datac_core::hash::PIECE`].
    pub pieces: Vec<Digest>,
}

/// One chunk of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedChunk {
    /// The digest of its bytes.
    pub digest: ChunkId,
    /// Its rows.
    pub rows: u32,
    /// Where it stands.
    pub place: Place,
}

/// A converted chunk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvertOutcome {
    /// The samples, see [`datac_core::sample`].
    pub rows: BlobId,
    /// Their index, see [`datac_core::sample::SampleIndex`].
    pub index: BlobId,
    /// The rejects in full; `None` if there are none.
    pub rejects: Option<BlobId>,
    /// How many samples.
    pub samples: u32,
    /// The size of the samples' blob.
    pub bytes: u64,
    /// The rejects by row and reason.
    pub rejected: Vec<(u32, Reason)>,
    /// How many turns were joined to the one before.
    pub joined_turns: u32,
}

/// A selected source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SelectOutcome {
    /// The [`datac_core::mix::Selection`].
    pub selection: BlobId,
    /// Samples kept.
    pub kept: u64,
    /// Their characters.
    pub characters: u64,
    /// Their tokens; 0 where the mixture does not count them.
    pub tokens: u64,
    /// Rows looked at.
    pub rows_read: u64,
    /// What each filter did.
    pub filters: Vec<FilterCount>,
    /// Rejects by reason.
    pub rejects: Vec<(Reason, u64)>,
    /// Whether `max_samples` was reached.
    pub reached_max: bool,
}

/// Both sides of a recipe, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArrangeOutcome {
    /// The list of training rows.
    pub train: BlobId,
    /// The list of validation rows.
    pub validation: BlobId,
    /// For each source: rows in training, rows in validation, and their units in all.
    pub realised: Vec<Realised>,
}

impl Work {
    /// Returns the stage that the work belongs to.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Scan { .. } => Stage::Scan,
            Self::Convert { .. } => Stage::Convert,
            Self::Score { .. } => Stage::Score,
            Self::Select { .. } => Stage::Select,
            Self::Arrange { .. } => Stage::Arrange,
            Self::Output { .. } => Stage::Output,
            Self::Quarantine { .. } => Stage::Quarantine,
        }
    }
}

impl Outcome {
    /// Returns the stage whose actions yield it.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Scan(_) => Stage::Scan,
            Self::Convert(_) => Stage::Convert,
            Self::Score(_) => Stage::Score,
            Self::Select(_) => Stage::Select,
            Self::Arrange(_) => Stage::Arrange,
            Self::Output(_) => Stage::Output,
            Self::Quarantine(_) => Stage::Quarantine,
        }
    }

    /// The blobs that must be in the store for this outcome to be worth anything.
    pub fn blobs(&self) -> Vec<BlobId> {
        match self {
            Self::Scan(_) | Self::Output(_) | Self::Quarantine(_) => Vec::new(),
            Self::Convert(outcome) => [outcome.rows, outcome.index].into_iter().chain(outcome.rejects).collect(),
            Self::Score(digest) => vec![*digest],
            Self::Select(outcome) => vec![outcome.selection],
            Self::Arrange(outcome) => vec![outcome.train, outcome.validation],
        }
    }
}
