//! Measures the cache: how much each part of it takes, and how much no current recipe reaches.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::reachable::{IN_USE, Reachable, reachable};
use crate::{
    cache::{Access, CacheContents, GcSchedule, Held, Record, RecordedAction},
    graph::Outcome,
    site::{Site, WorkspaceError},
};
use datac_core::id::BlobId;

/// A part of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CachePart {
    /// Converted rows.
    Rows,
    /// Indexes of converted rows.
    Indexes,
    /// Rejected rows, with their details.
    Rejects,
    /// Scores of filters.
    Scores,
    /// Samples as models see them: token ids with their masks.
    Tokens,
    /// Selections: the rows that passed the filters.
    Selections,
    /// Ordered lists of rows.
    Orders,
    /// Manifests of builds.
    Manifests,
    /// Blobs that no entry of the record names.
    Unnamed,
    /// Downloaded files.
    Downloads,
    /// The record of which action made what, and the ledger of runs.
    Record,
    /// Incomplete downloads, replaced outputs, and files left behind by killed processes.
    Temporary,
}

/// The size of the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CacheSize {
    /// The cache folder.
    pub dir: PathBuf,
    /// The parts of the cache that are not empty.
    pub parts: Vec<PartSize>,
    /// Number of files in the cache.
    pub count: u64,
    /// Total size in bytes.
    pub bytes: u64,
    /// Number of files that no current recipe reaches.
    pub unreached_count: u64,
    /// Size of the files that no current recipe reaches, in bytes.
    pub unreached_bytes: u64,
    /// Number of entries of the record whose blobs are missing.
    pub hollow_entries: u64,
    /// Files in the folder that datac did not create. They are neither counted nor touched.
    pub strangers: Vec<PathBuf>,
}

/// The size of a part of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PartSize {
    /// The part.
    pub part: CachePart,
    /// Number of files of the part.
    pub count: u64,
    /// Size of the files of the part, in bytes.
    pub bytes: u64,
    /// Number of files of the part that no current recipe reaches.
    pub unreached_count: u64,
    /// Size of the files of the part that no current recipe reaches, in bytes.
    pub unreached_bytes: u64,
}

impl CachePart {
    /// Returns the name of the part in a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Indexes => "indexes",
            Self::Rejects => "rejects",
            Self::Scores => "scores",
            Self::Tokens => "tokens",
            Self::Selections => "selections",
            Self::Orders => "orders",
            Self::Manifests => "manifests",
            Self::Unnamed => "unnamed",
            Self::Downloads => "downloads",
            Self::Record => "record",
            Self::Temporary => "temporary",
        }
    }

    /// Returns the name of an entry of the part, as used in a sentence.
    pub fn one(self) -> &'static str {
        match self {
            Self::Rows => "converted rows",
            Self::Indexes => "the index of converted rows",
            Self::Rejects => "rejected rows",
            Self::Scores => "scores",
            Self::Tokens => "samples as a model sees them",
            Self::Selections => "a selection",
            Self::Orders => "an order of rows",
            Self::Manifests => "the manifest of a build",
            Self::Unnamed => "an artifact without an entry",
            Self::Downloads => "a downloaded file",
            Self::Record => "an entry of the record",
            Self::Temporary => "a temporary file",
        }
    }
}

/// Measures how much each part of the cache takes. Writes nothing.
pub(crate) fn cache_size(site: &Site) -> Result<CacheSize, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let mut found = CacheContents::take(&site.cache)?;
    found.add_recorded(&record)?;
    let schedule = GcSchedule::read(&site.cache).unwrap_or_default();
    let reachable = reachable(site, &record, &schedule, IN_USE - 1)?;
    let actions = record.actions()?;
    let is_hollow = |action: &RecordedAction| {
        let blobs = outcome(action).map(|outcome| outcome.blobs()).unwrap_or_default();
        blobs.iter().any(|blob| !found.blobs.contains_key(blob))
    };
    let hollow_entries = actions.iter().filter(|action| is_hollow(action)).count() as u64;
    let parts = parts(&found, &reachable, &names(&actions, &record)?);
    let sum = |count: &dyn Fn(&PartSize) -> u64| parts.iter().map(count).sum();
    Ok(CacheSize {
        dir: site.cache.dir(),
        count: sum(&|part| part.count),
        bytes: sum(&|part| part.bytes),
        unreached_count: sum(&|part| part.unreached_count),
        unreached_bytes: sum(&|part| part.unreached_bytes),
        parts,
        hollow_entries,
        strangers: found.strangers,
    })
}

/// Returns the recorded outcome of an action, if it can be read.
pub(crate) fn outcome(action: &RecordedAction) -> Option<Outcome> {
    postcard::from_bytes(action.outcome.as_ref()?).ok()
}

/// Returns the part that each blob named in the record belongs to.
pub(crate) fn names(actions: &[RecordedAction], record: &Record) -> Result<HashMap<BlobId, CachePart>, WorkspaceError> {
    let mut names = HashMap::new();
    for action in actions {
        match outcome(action) {
            Some(Outcome::Convert(made)) => {
                names.insert(made.rows, CachePart::Rows);
                names.insert(made.index, CachePart::Indexes);
                names.extend(made.rejects.map(|rejects| (rejects, CachePart::Rejects)));
            }
            Some(Outcome::Score(column)) => drop(names.insert(column, CachePart::Scores)),
            Some(Outcome::Select(made)) => drop(names.insert(made.selection, CachePart::Selections)),
            Some(Outcome::Refusing(made, refused)) => {
                names.insert(made.selection, CachePart::Selections);
                names.extend(refused.iter().map(|chunk| (chunk.rejects, CachePart::Rejects)));
            }
            Some(Outcome::Group(sources)) => {
                names.extend(sources.iter().map(|source| (source.selection, CachePart::Selections)));
            }
            Some(Outcome::Arrange(made)) => {
                names.extend(made.lists.values().flatten().map(|list| (*list, CachePart::Orders)));
            }
            Some(Outcome::RenderStored(made)) => {
                names.extend(made.encoded.blobs().map(|blob| (blob, CachePart::Tokens)));
                names.extend(made.refused.map(|refused| (refused, CachePart::Rejects)));
            }
            Some(Outcome::Render(made)) => {
                names.extend(made.encoded.blobs().map(|blob| (blob, CachePart::Tokens)));
                names.extend(made.rejects.map(|rejects| (rejects, CachePart::Rejects)));
            }
            Some(
                Outcome::Scan(_)
                | Outcome::List(_)
                | Outcome::Output(_)
                | Outcome::Quarantine(_)
                | Outcome::Shaped(_)
                | Outcome::Tally(_)
                | Outcome::ReadModel(_),
            )
            | None => {}
        }
    }
    names.extend(record.manifests()?.into_iter().map(|manifest| (manifest, CachePart::Manifests)));
    Ok(names)
}

fn parts(found: &CacheContents, reachable: &Reachable, names: &HashMap<BlobId, CachePart>) -> Vec<PartSize> {
    let mut parts: BTreeMap<CachePart, (Held, Held)> = BTreeMap::new();
    let mut add = |part: CachePart, held: Held, is_reached: bool| {
        let (all, unreached) = parts.entry(part).or_default();
        *all = all.and(held);
        if !is_reached {
            *unreached = unreached.and(held);
        }
    };
    for (digest, held) in &found.blobs {
        let part = names.get(digest).copied().unwrap_or(CachePart::Unnamed);
        // Manifests of recorded runs are their history, so they count as reached.
        add(part, *held, reachable.blobs.contains(digest) || reachable.manifests.contains(digest));
    }
    for (name, held) in &found.downloads {
        add(CachePart::Downloads, *held, reachable.downloads.contains(name));
    }
    for (name, held) in &found.partial {
        add(CachePart::Temporary, *held, reachable.downloads.contains(name));
    }
    for (_, held) in &found.temporary {
        add(CachePart::Temporary, *held, false);
    }
    if found.record.count > 0 {
        add(CachePart::Record, found.record, true);
    }
    let size = |(part, (all, unreached)): (CachePart, (Held, Held))| PartSize {
        part,
        count: all.count,
        bytes: all.bytes,
        unreached_count: unreached.count,
        unreached_bytes: unreached.bytes,
    };
    parts.into_iter().map(size).collect()
}
