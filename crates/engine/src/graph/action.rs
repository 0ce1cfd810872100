//! Actions: the pure steps whose outputs the cache holds, and their outcomes. `keys` makes their keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::source::{FileDigest, RemoteFile};
use datac_core::{
    card::About,
    config::{Deduplicate, Model, SourceRole, Take, Unique, Validation},
    convert::Options,
    failure::Failure,
    function::{Function, Judge},
    hash::Digest,
    id::{ActionKey, BlobId, ChunkId},
    mix::{Allotment, FilterCount, Grouped, Realised},
    outputs::{BySide, Destination, FileMeta, NamedFile, OutputSet, Target},
    quality::{Filter, ScoreKind},
    row::{Reason, Reject},
    rules::Broken,
    sample::SampleKind,
    stage::Stage,
    survey::Survey,
};
use datac_decode::{Encoding, FileKind, Member, Place, Reading};

/// Where a source comes from: a hub or the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileOrigin {
    /// What people call the source: the repository's canonical id, or the local path as the recipe has it.
    pub name: Arc<str>,
    /// The commit that is pinned; files of the workspace have none.
    pub commit: Option<Arc<str>>,
}

/// A pinned file of a pinned source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// Where the source comes from.
    pub origin: FileOrigin,
    /// Path in the repository or in the workspace.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest that pins the content.
    pub digest: FileDigest,
    /// The entity tag of an object in a bucket.
    pub etag: Option<Arc<str>>,
    /// Format and compression.
    pub kind: FileKind,
    /// How its rows are read where its bytes do not say it.
    pub reading: Reading,
    /// The archive that it lies in; then `path` is that of the archive and its own, `digest` that of the archive.
    pub inside: Option<Arc<Inside>>,
}

/// The archive that a file lies in, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inside {
    /// Path of the archive in the repository or in the workspace.
    pub archive: String,
    /// Size of the archive in bytes.
    pub size: u64,
    /// Format and compression of the archive.
    pub kind: FileKind,
    /// The file in it.
    pub member: Member,
}

impl FileOrigin {
    /// Returns the name of the source: the repository, or the local path as given in the recipe.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the commit; `None` for local files.
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// Returns whether the source is in the workspace.
    pub fn is_local(&self) -> bool {
        self.commit.is_none()
    }

    /// Returns the repository's canonical id, which decides the converter; files of the workspace have none.
    pub fn repo(&self) -> Option<&str> {
        self.commit.is_some().then_some(&*self.name)
    }
}

impl SourceFile {
    /// Returns the file as its repository lists it: the archive, if it lies in one.
    pub fn remote(&self) -> RemoteFile {
        let (path, size) = match &self.inside {
            Some(inside) => (&inside.archive, inside.size),
            None => (&self.path, self.size),
        };
        RemoteFile { path: path.clone(), size, digest: self.digest, etag: self.etag.clone() }
    }

    /// Returns the archive that this file lies in.
    pub(crate) fn archive(&self) -> Option<Self> {
        let inside = self.inside.as_ref()?;
        let (path, size, kind) = (inside.archive.clone(), inside.size, inside.kind);
        Some(Self { path, size, kind, inside: None, ..self.clone() })
    }

    /// Returns the failure of what files with these bytes share, told of this file.
    pub(crate) fn told(&self, failure: &Failure) -> Failure {
        let path = &self.path;
        let name = self.origin.repo().map_or_else(|| path.clone(), |repo| format!("{path} of {repo}"));
        failure.clone().in_file(&name, path)
    }

    /// Returns a member of this file, which is an archive.
    pub(crate) fn member(&self, member: &Member, kind: FileKind) -> Self {
        let inside = Inside { archive: self.path.clone(), size: self.size, kind: self.kind, member: member.clone() };
        let path = format!("{}/{}", self.path, member.path);
        Self { path, size: member.size, kind, inside: Some(Arc::new(inside)), ..self.clone() }
    }
}

/// A converter with its options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversion {
    /// Name of the converter.
    pub converter: &'static str,
    /// Options of the converter.
    pub options: Options,
    /// Digests of the files that decide what a program does, by path.
    pub files: Vec<(String, FileDigest)>,
}

/// A scorer and what it measures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    /// The scorer.
    pub kind: ScoreKind,
    /// What it is given.
    pub of: Measured,
}

/// What a scorer is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Measured {
    /// The text of a field: of the sample if samples have such a field, otherwise of the source row.
    Field(String),
    /// The whole sample, which this function in Python scores.
    Sample(Arc<Scoring>),
}

/// A function in Python that scores samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scoring {
    /// The function.
    pub function: Function,
    /// What it says of them.
    pub judge: Judge,
    /// Digests of the files that decide what it does, by path.
    pub files: Vec<(String, FileDigest)>,
}

impl Measure {
    /// Returns the function that scores, if one does.
    pub fn scoring(&self) -> Option<&Arc<Scoring>> {
        if let Measured::Sample(scoring) = &self.of { Some(scoring) } else { None }
    }
}

/// The pinned model of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PinnedModel {
    /// What the recipe says of it.
    pub model: Model,
    /// The repository, or the folder of the workspace.
    pub origin: FileOrigin,
    /// The files that decide how samples are rendered and encoded.
    pub files: Vec<PinnedFile>,
}

/// A file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PinnedFile {
    /// What it is for.
    pub of: ModelFile,
    /// Where it lies: a template of the workspace stands beside files of a hub.
    pub origin: FileOrigin,
    /// The file.
    pub file: RemoteFile,
}

/// What a file of a model is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelFile {
    /// `tokenizer.json`.
    Tokenizer,
    /// `tokenizer_config.json`.
    TokenizerConfig,
    /// `chat_template.jinja`, or the template that the recipe names.
    ChatTemplate,
    /// One of `additional_chat_templates/`, by its name.
    NamedTemplate(String),
}

/// A chunk of a pinned file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Number of the chunk within its file.
    pub number: u32,
    /// Digest of its bytes.
    pub digest: ChunkId,
    /// Number of rows.
    pub rows: u32,
    /// Position in the file.
    pub place: Place,
    /// Encoding of its rows.
    pub encoding: Encoding,
    /// What reading its rows takes besides their bytes, such as the header of a CSV file.
    pub header: Arc<[u8]>,
}

/// A converted chunk, as an input of later stages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvertedChunk {
    /// The chunk.
    pub chunk: ChunkRef,
    /// Outcome of its conversion.
    pub converted: ConvertOutcome,
    /// The score columns, in the order of the filters.
    pub scores: Vec<BlobId>,
    /// The token column, if the mixture counts tokens.
    pub tokens: Option<BlobId>,
    /// The samples as the recipe's model sees them, if it has one.
    pub encoded: Option<EncodedChunk>,
    /// How many of the samples were made shorter for it.
    pub shortened: u32,
    /// How many texts were split for it.
    pub split: u32,
    /// How many of the samples have reasoning of which its template writes nothing.
    pub without_reasoning: u32,
    /// The samples that it refuses, if it is the model of an output: then they are no rejects.
    pub refused: Option<BlobId>,
}

/// The samples of a chunk as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoredSamples {
    /// The samples.
    pub rows: BlobId,
    /// Their [`datac_core::sample::SampleIndex`].
    pub index: BlobId,
}

/// The samples of a chunk as a model sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EncodedChunk {
    /// The ids, see [`datac_core::encoded`].
    pub ids: BlobId,
    /// Size of their blob in bytes, uncompressed.
    pub bytes: u64,
    /// Their [`datac_core::encoded::EncodedIndex`].
    pub index: BlobId,
    /// The number of tokens of each, as a score column.
    pub tokens: BlobId,
    /// The number of those that are trained on, as a score column.
    pub trained: BlobId,
}

impl EncodedChunk {
    /// Returns the blobs.
    pub fn blobs(&self) -> [BlobId; 4] {
        [self.ids, self.index, self.tokens, self.trained]
    }
}

/// A source of a recipe after selection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SelectedSource {
    /// Name of the source in the recipe, which is the `source` of its rows.
    pub name: String,
    /// What becomes of the rows.
    pub role: SourceRole,
    /// The chunks that samples were selected from.
    pub chunks: Arc<Vec<ConvertedChunk>>,
    /// Number of rows of the source, if all of its files have been cut into chunks.
    pub rows: Option<u64>,
    /// Outcome of the selection, less the samples that left when sources were compared.
    pub selected: SelectOutcome,
    /// The samples that left when sources were compared, if they were.
    pub grouped: Option<Grouped>,
    /// The selection before that.
    pub ungrouped: Option<BlobId>,
}

/// What to compare the samples of all sources for, besides the roles of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The duplicates that leave.
    pub deduplicate: Option<Deduplicate>,
    /// Whether prompts that differ in case and white space alone are one prompt.
    pub normalise: bool,
}

impl Grouping {
    /// Returns whether the samples themselves are read, not only their indexes.
    pub fn reads_rows(&self) -> bool {
        self.deduplicate == Some(Deduplicate { by: Unique::Row, normalise: true })
    }
}

/// A step to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Key that names everything that decides the result.
    pub key: ActionKey,
    /// The work to do.
    pub work: Work,
}

/// The work of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Cuts a file into chunks, and converts and scores them while their bytes are in memory.
    Scan(ScanWork),
    /// Finds the files of an archive.
    List(Arc<SourceFile>),
    /// Converts the rows of a chunk to samples.
    Convert(ChunkRef, Conversion, SampleKind),
    /// Scores the samples of a chunk.
    Score(ChunkRef, Conversion, SampleKind, Measure),
    /// Reads the files of a model.
    ReadModel(Arc<PinnedModel>),
    /// Renders and encodes the samples of a chunk.
    Render(ChunkRef, Conversion, SampleKind, Arc<PinnedModel>),
    /// Renders and encodes stored samples, of a file with this name.
    RenderStored(StoredSamples, String, Arc<PinnedModel>),
    /// Selects the samples of a source that pass its filters.
    Select {
        /// The chunks to select from.
        chunks: Arc<Vec<ConvertedChunk>>,
        /// The filters, in order.
        filters: Vec<Filter>,
        /// How many of the samples that pass, and which.
        take: Take,
    },
    /// Compares the samples of all sources of a recipe.
    Group {
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
        /// What to compare them for.
        grouping: Grouping,
    },
    /// Mixes, splits and orders the samples of a recipe.
    Arrange {
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
        /// Number of units that each source gives.
        allotment: Allotment,
        /// The unit that the mixture counts.
        unit: datac_core::config::Unit,
        /// The split, with the seed.
        validation: Validation,
        /// The sides that are written.
        sides: BySide<bool>,
    },
    /// Counts what a recipe expects of its rows.
    Tally {
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
        /// The arrangement.
        arranged: ArrangeOutcome,
        /// Whether prompts that differ in case and white space alone are one prompt.
        normalise: bool,
        /// Whether tokens are counted.
        tokens: bool,
    },
    /// Writes the rows of each side.
    Output {
        /// The files of the recipe.
        outputs: OutputSet,
        /// Where they are put.
        destination: Destination,
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
        /// The arrangement.
        arranged: ArrangeOutcome,
    },
    /// Writes the files of a target.
    Shaped {
        /// The files of the recipe.
        outputs: OutputSet,
        /// Where they are put.
        destination: Destination,
        /// The target.
        target: Target,
        /// The kind of the samples.
        kind: SampleKind,
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
        /// The arrangement.
        arranged: ArrangeOutcome,
        /// What the card says.
        about: Arc<About>,
        /// The largest number of tokens of a sample, where the target has a model of its own that says one.
        max_tokens: Option<u64>,
    },
    /// Writes the rejects of a recipe.
    Quarantine {
        /// The files of the recipe.
        outputs: OutputSet,
        /// Where they are put.
        destination: Destination,
        /// The sources, in the recipe's order.
        sources: Vec<SelectedSource>,
    },
}

/// A file to cut, with the conversions and scores to compute while it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanWork {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Number of its chunks that are already known.
    pub known: u32,
    /// The sources that wait for it.
    pub followers: Vec<Follower>,
}

/// A source of a recipe that waits for a file to be cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Follower {
    /// The conversion; `None` if the file's columns decide the converter.
    pub conversion: Option<Conversion>,
    /// The converter's options, needed if the columns decide the converter.
    pub options: Options,
    /// The field that filters measure, which may be the column of a text.
    pub text_field: Option<String>,
    /// The kind of samples that the recipe needs.
    pub kind: SampleKind,
    /// What to score.
    pub measures: Vec<Measure>,
    /// What to render and encode the samples for.
    pub model: Option<Arc<PinnedModel>>,
    /// Number of samples still needed from chunks that are not known yet; `None` if all are needed.
    pub samples: Option<u64>,
}

/// Outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Outcome of [`Work::Scan`].
    Scan(Arc<ScanOutcome>),
    /// Outcome of [`Work::Convert`].
    Convert(ConvertOutcome),
    /// The blob of a score column.
    Score(BlobId),
    /// Outcome of [`Work::Select`].
    Select(SelectOutcome),
    /// Outcome of [`Work::Group`], one for each source.
    Group(Vec<GroupedSource>),
    /// Outcome of [`Work::Arrange`].
    Arrange(ArrangeOutcome),
    /// The file of each side.
    Output(BySide<Option<FileMeta>>),
    /// The quarantine file.
    Quarantine(FileMeta),
    /// Outcome of [`Work::Shaped`].
    Shaped(Arc<ShapedOutcome>),
    /// Outcome of [`Work::Tally`].
    Tally(TallyOutcome),
    /// Outcome of [`Work::ReadModel`].
    ReadModel(ModelOutcome),
    /// Outcome of [`Work::Render`].
    Render(RenderOutcome),
    /// Outcome of [`Work::List`].
    List(Arc<Vec<Member>>),
    /// Outcome of [`Work::Select`] where functions of filters refuse rows: these, too.
    Refusing(SelectOutcome, Vec<RefusedChunk>),
    /// Outcome of [`Work::RenderStored`].
    RenderStored(StoredOutcome),
}

/// A chunk of which functions of filters refuse rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RefusedChunk {
    /// Number of the chunk among those that samples were selected from.
    pub chunk: u32,
    /// All rejects of the chunk: those that it had before, and the rows that functions refuse.
    pub rejects: BlobId,
    /// The same by row and reason.
    pub rejected: Vec<(u32, Reason)>,
}

impl RefusedChunk {
    /// Puts the rejects in the place of those that the chunks had before.
    pub(crate) fn put_into(refused: &[Self], chunks: Arc<Vec<ConvertedChunk>>) -> Arc<Vec<ConvertedChunk>> {
        if refused.is_empty() {
            return chunks;
        }
        let mut chunks = chunks.as_ref().clone();
        for Self { chunk, rejects, rejected } in refused {
            if let Some(chunk) = chunks.get_mut(*chunk as usize) {
                chunk.converted.rejects = Some(*rejects);
                chunk.converted.rejected.clone_from(rejected);
            }
        }
        Arc::new(chunks)
    }
}

/// Stored samples as a model sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredOutcome {
    /// The samples as the model sees them.
    pub encoded: EncodedChunk,
    /// The samples that it refuses, see [`RefusedSamples`]; `None` if it refuses none.
    pub refused: Option<BlobId>,
}

/// The samples of a chunk that a model refuses, by their numbers, in order, each with the reason.
pub type RefusedSamples = Vec<(u32, Reject)>;

/// What the files of a model hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelOutcome {
    /// Number of ids that the tokenizer has.
    pub vocabulary: u64,
    /// Why dialogues cannot be rendered, if they cannot.
    pub no_template: Option<String>,
    /// Whether a token ends texts.
    pub ends_texts: bool,
}

/// Outcome of a rendering.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RenderOutcome {
    /// The samples as the model sees them.
    pub encoded: EncodedChunk,
    /// The rejects of the chunk: those of its conversion, and the rows whose samples the model refuses.
    pub rejects: Option<BlobId>,
    /// The same by row and reason.
    pub rejected: Vec<(u32, Reason)>,
    /// The samples of the chunk, if some had to be made shorter or split.
    pub shortened: Option<ShortenedChunk>,
    /// How many samples have reasoning of which the template writes nothing.
    pub without_reasoning: u32,
}

/// The samples of a chunk, some of them made shorter or split for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShortenedChunk {
    /// The samples.
    pub rows: BlobId,
    /// Size of their blob in bytes, uncompressed.
    pub bytes: u64,
    /// Their [`datac_core::sample::SampleIndex`].
    pub index: BlobId,
    /// How many they are.
    pub samples: u32,
    /// How many of them are shorter.
    pub count: u32,
    /// How many texts they have the parts of.
    pub split: u32,
}

/// What a recipe expects of its rows, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TallyOutcome {
    /// Characters of the rows of all sides.
    pub characters: u64,
    /// Rows of the train side whose prompt an earlier row of that side has.
    pub repeated_prompts: u64,
    /// Tokens of the rows of all sides; 0 if nothing is expected of them.
    pub tokens: u64,
}

/// The files of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShapedOutcome {
    /// The files, by their names in the output folder: rows of the sides in order, then what stands beside them.
    pub files: Vec<NamedFile>,
    /// The samples that the shape has no place for: name of the source, what there is no place for, and how many.
    pub unfit: Vec<(String, String, u64)>,
    /// For each side, the rows that samples are packed in, if they are.
    pub packed: BySide<Option<PackedRows>>,
}

/// The samples of a side in rows, as blobs of numbers of 4 bytes in little-endian order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackedRows {
    /// The numbers of the samples among all kept ones, row by row.
    pub samples: BlobId,
    /// For each row, how many samples stand before its end.
    pub ends: BlobId,
}

impl PackedRows {
    /// Returns the blobs.
    pub fn blobs(&self) -> [BlobId; 2] {
        [self.samples, self.ends]
    }
}

/// The chunks of a file, or the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanOutcome {
    /// Encoding of the chunks.
    pub encoding: Encoding,
    /// What reading their rows takes besides their bytes.
    pub header: Vec<u8>,
    /// What the first good rows look like.
    pub survey: Survey,
    /// The chunks in order.
    pub chunks: Vec<ScannedChunk>,
    /// Whether the chunks are all that the file has.
    pub complete: bool,
    /// Digests of the file's pieces, if later versions of the file can be compared with it; see
    /// [`datac_core::hash::PIECE`].
    pub pieces: Vec<Digest>,
}

/// A chunk of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedChunk {
    /// Digest of its bytes.
    pub digest: ChunkId,
    /// Number of rows.
    pub rows: u32,
    /// Position in the file.
    pub place: Place,
}

/// Outcome of a conversion.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvertOutcome {
    /// The samples, see [`datac_core::sample`].
    pub rows: BlobId,
    /// Their index, see [`datac_core::sample::SampleIndex`].
    pub index: BlobId,
    /// The rejects, with their details; `None` if there are none.
    pub rejects: Option<BlobId>,
    /// Number of samples.
    pub samples: u32,
    /// Size of the samples' blob in bytes, uncompressed.
    pub bytes: u64,
    /// The rejects by row and reason.
    pub rejected: Vec<(u32, Reason)>,
    /// Number of turns that were joined to the turn before.
    pub joined_turns: u32,
    /// Columns that were not used, with the number of rows in which they hold something.
    pub unused: Vec<(String, u32)>,
    /// Rules that were broken, and what was done about it.
    pub broken: Vec<Broken>,
}

/// Outcome of a selection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SelectOutcome {
    /// The [`datac_core::mix::Selection`].
    pub selection: BlobId,
    /// Number of samples that were kept.
    pub kept: u64,
    /// Number of characters in the kept samples.
    pub characters: u64,
    /// Number of tokens in the kept samples; 0 if the mixture does not count tokens.
    pub tokens: u64,
    /// Number of rows that were looked at.
    pub rows_read: u64,
    /// See [`Selection::rows_without_samples`](datac_core::mix::Selection::rows_without_samples).
    pub rows_without_samples: u64,
    /// Number of rows before and after each filter.
    pub filters: Vec<FilterCount>,
    /// Number of rejects by reason.
    pub rejects: Vec<(Reason, u64)>,
    /// Whether `max_samples` was reached.
    pub reached_max: bool,
}

/// The samples of a source that are left once sources have been compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupedSource {
    /// The [`datac_core::mix::Selection`].
    pub selection: BlobId,
    /// Number of samples.
    pub kept: u64,
    /// Characters of these samples.
    pub characters: u64,
    /// Tokens of these samples; 0 if the mixture does not count tokens.
    pub tokens: u64,
    /// The samples that left.
    pub grouped: Grouped,
}

/// Outcome of an arrangement: the ordered rows of each side.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArrangeOutcome {
    /// For each side that is written, the list of its rows.
    pub lists: BySide<Option<BlobId>>,
    /// For each source, its rows and units on each side.
    pub realised: Vec<Realised>,
    /// Number of prompts on several sides that differ in case and white space alone, if that could be counted.
    pub mingled: Option<u64>,
    /// Number of rows that are also rows of an earlier source.
    pub across: u64,
}

impl Work {
    /// Returns the stage that the work belongs to.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Scan { .. } | Self::List(_) => Stage::Scan,
            Self::Convert { .. } => Stage::Convert,
            Self::Score { .. } => Stage::Score,
            Self::ReadModel(_) | Self::Render(..) | Self::RenderStored(..) => Stage::Render,
            Self::Select { .. } => Stage::Select,
            Self::Group { .. } => Stage::Group,
            Self::Arrange { .. } => Stage::Arrange,
            Self::Tally { .. } => Stage::Tally,
            Self::Output { .. } | Self::Shaped { .. } => Stage::Output,
            Self::Quarantine { .. } => Stage::Quarantine,
        }
    }
}

impl Outcome {
    /// Returns the stage whose actions yield this outcome.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Scan(_) | Self::List(_) => Stage::Scan,
            Self::Convert(_) => Stage::Convert,
            Self::Score(_) => Stage::Score,
            Self::ReadModel(_) | Self::Render(_) | Self::RenderStored(_) => Stage::Render,
            Self::Select(_) | Self::Refusing(..) => Stage::Select,
            Self::Group(_) => Stage::Group,
            Self::Arrange(_) => Stage::Arrange,
            Self::Tally(_) => Stage::Tally,
            Self::Output(_) | Self::Shaped(_) => Stage::Output,
            Self::Quarantine(_) => Stage::Quarantine,
        }
    }

    /// Returns the blobs that the store must have for this outcome to be usable.
    pub fn blobs(&self) -> Vec<BlobId> {
        match self {
            Self::Scan(_)
            | Self::List(_)
            | Self::Output(_)
            | Self::Quarantine(_)
            | Self::Tally(_)
            | Self::ReadModel(_) => Vec::new(),
            Self::Render(RenderOutcome { encoded, rejects, shortened, .. }) => {
                let shortened = shortened.iter().flat_map(|shortened| [shortened.rows, shortened.index]);
                encoded.blobs().into_iter().chain(*rejects).chain(shortened).collect()
            }
            Self::RenderStored(outcome) => outcome.encoded.blobs().into_iter().chain(outcome.refused).collect(),
            Self::Convert(outcome) => [outcome.rows, outcome.index].into_iter().chain(outcome.rejects).collect(),
            Self::Score(digest) => vec![*digest],
            Self::Shaped(outcome) => outcome.packed.values().flatten().flat_map(PackedRows::blobs).collect(),
            Self::Select(outcome) => vec![outcome.selection],
            Self::Refusing(outcome, refused) => {
                refused.iter().map(|chunk| chunk.rejects).chain([outcome.selection]).collect()
            }
            Self::Group(sources) => sources.iter().map(|source| source.selection).collect(),
            Self::Arrange(outcome) => outcome.lists.values().flatten().copied().collect(),
        }
    }
}
