//! `datac.lock`: every source pinned to a commit and the digests of its files.
//!
//! The file is YAML with one key per line, sorted entries and no timestamps, so that branches that lock different
//! sources merge without conflicts. It is committed with the recipes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FileDigest, RemoteFile, Selection};
use datac_core::config::{format_word, is_in_bucket};

/// Version of the format, to be raised when an older datac could misread the file.
pub const LOCK_VERSION: u32 = 1;

const HEAD: &str =
    "# Pins every source to a commit and its files to digests. Commit this file; `datac lock --upgrade` moves pins.\n";

/// The contents of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFile {
    /// The pins, sorted by source and revision.
    pub sources: Vec<Pin>,
}

/// One pinned source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Source, as given in recipes.
    pub source: String,
    /// Revision, as given in recipes; `None` for `main`.
    pub revision: Option<String>,
    /// Canonical id of the repository.
    pub repo: String,
    /// Hub that the pin was resolved from: a URL, `folder` or `sample`.
    pub hub: String,
    /// Commit of the repository.
    pub commit: String,
    /// The part of the repository's card that describes its contents, if any.
    pub card: Option<String>,
    /// The part that is pinned, of objects in buckets; `None`: the whole repository.
    pub part: Option<Part>,
    /// The data files, sorted by path; of a part, in reading order.
    pub files: Vec<RemoteFile>,
}

/// Which objects of a bucket a dataset entry reads, beside their addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Part {
    /// The recipe's word for the format, if it has one.
    pub format: Option<String>,
    /// The folders asked for.
    pub data_dir: Vec<String>,
    /// The splits asked for.
    pub splits: Vec<String>,
}

impl Part {
    /// Returns the part that a selection stands for.
    pub fn of(selection: &Selection) -> Self {
        let Selection { format, data_dir, splits, .. } = selection;
        let format = format.map(|format| format_word(Some(format)).to_owned());
        Self { format, data_dir: data_dir.clone(), splits: splits.clone() }
    }
}

/// A lock file that cannot be used, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LockError(pub String);

/// Name and version of the schema of lock files.
pub const LOCK_SCHEMA: &str = "datac.lock/1";

/// Returns the JSON Schema of a lock file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawLock).to_value()
}

/// A lock file: every source pinned to a commit, its files to digests.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "datac.lock/1")]
struct RawLock {
    /// Version of the format.
    #[schemars(range(min = 1, max = 1))]
    version: u32,
    /// The pins, sorted by source and revision.
    #[serde(default)]
    sources: Vec<RawPin>,
}

/// One pinned source.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPin {
    /// Source, as given in recipes.
    source: String,
    /// Revision, as given in recipes; `main` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    /// Name of the repository as the hub spells it.
    repo: String,
    /// Hub that the pin was resolved from: a URL, `folder` or `sample`.
    hub: String,
    /// Commit of the repository.
    commit: String,
    /// The part of the repository's card that describes its contents, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    /// Format of the objects that the recipe names, of a source in a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    /// The folders that are pinned, of a source in a bucket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    data_dir: Vec<String>,
    /// The splits that are pinned, of a source in a bucket; other sources are pinned whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    splits: Vec<String>,
    /// The data files, sorted by path; of a source in a bucket, in reading order.
    files: Vec<RawFile>,
}

/// One file of a pinned source.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawFile {
    /// Path of the file in the repository.
    path: String,
    /// Size of the file in bytes.
    size: u64,
    /// Digest of the file: `blake3:…`, `sha256:…` or `git:…`, in hexadecimal digits.
    #[schemars(regex(pattern = "^(blake3:[0-9a-fA-F]{64}|sha256:[0-9a-fA-F]{64}|git:[0-9a-fA-F]{40})$"))]
    digest: String,
    /// Entity tag of the object, of a source in a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl LockFile {
    /// Parses a lock file.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        if text.lines().any(|line| line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>")) {
            return Err(LockError("it contains merge conflict markers".into()));
        }
        let raw: RawLock = serde_yaml::from_str(text).map_err(|error| LockError(error.to_string()))?;
        if raw.version != LOCK_VERSION {
            return Err(LockError(format!(
                "it has version {}, but this datac only reads version {LOCK_VERSION}",
                raw.version
            )));
        }
        let mut sources = Vec::with_capacity(raw.sources.len());
        for pin in raw.sources {
            let mut files = Vec::with_capacity(pin.files.len());
            for file in pin.files {
                let digest: FileDigest = file
                    .digest
                    .parse()
                    .map_err(|error| LockError(format!("`{}` of `{}`: {error}", file.path, pin.source)))?;
                let etag = file.etag.map(Into::into);
                files.push(RemoteFile { path: file.path, size: file.size, digest, etag });
            }
            let (format, data_dir, splits) = (pin.format, pin.data_dir, pin.splits);
            let part = is_in_bucket(&pin.source).then_some(Part { format, data_dir, splits });
            sources.push(Pin {
                part,
                source: pin.source,
                revision: pin.revision,
                repo: pin.repo,
                hub: pin.hub,
                commit: pin.commit,
                card: pin.card,
                files,
            });
        }
        let mut lock = Self { sources };
        lock.sort();
        if let Some(pair) = lock.sources.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            return Err(LockError(format!("`{}` is pinned twice", pair[0].source)));
        }
        Ok(lock)
    }

    /// Returns the text of the lock file.
    pub fn write(&self) -> String {
        let raw = RawLock {
            version: LOCK_VERSION,
            sources: self
                .sources
                .iter()
                .map(|pin| RawPin {
                    source: pin.source.clone(),
                    revision: pin.revision.clone(),
                    repo: pin.repo.clone(),
                    hub: pin.hub.clone(),
                    commit: pin.commit.clone(),
                    card: pin.card.clone(),
                    format: pin.part.as_ref().and_then(|part| part.format.clone()),
                    data_dir: pin.part.as_ref().map(|part| part.data_dir.clone()).unwrap_or_default(),
                    splits: pin.part.as_ref().map(|part| part.splits.clone()).unwrap_or_default(),
                    files: pin
                        .files
                        .iter()
                        .map(|file| RawFile {
                            path: file.path.clone(),
                            size: file.size,
                            digest: file.digest.to_string(),
                            etag: file.etag.as_deref().map(str::to_owned),
                        })
                        .collect(),
                })
                .collect(),
        };
        let body = serde_yaml::to_string(&raw).expect("a lock is plain data");
        format!("{HEAD}{body}")
    }

    /// Returns the pin of a repository at a revision.
    pub fn find(&self, source: &str, revision: Option<&str>) -> Option<&Pin> {
        self.find_part(source, revision, None)
    }

    /// Returns the pin of a source at a revision, or of a part of it.
    pub fn find_part(&self, source: &str, revision: Option<&str>, part: Option<&Part>) -> Option<&Pin> {
        self.sources.iter().find(|pin| pin.key() == (source, revision, part))
    }

    /// Adds a pin, or replaces the pin of the same part of the same source at the same revision.
    pub fn set(&mut self, pin: Pin) {
        self.sources.retain(|other| other.key() != pin.key());
        self.sources.push(pin);
        self.sort();
    }

    fn sort(&mut self) {
        self.sources.sort_by(|a, b| a.key().cmp(&b.key()));
    }
}

impl Pin {
    /// Returns the source, the revision and the part that identify the pin.
    pub fn key(&self) -> (&str, Option<&str>, Option<&Part>) {
        (&self.source, self.revision.as_deref(), self.part.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datac_core::id::FileHash;

    fn pin(source: &str) -> Pin {
        Pin {
            source: source.into(),
            revision: None,
            repo: format!("org/{source}"),
            hub: "folder".into(),
            commit: "blake3:00".into(),
            card: Some("---\nconfigs:\n- config_name: main\n---\n".into()),
            part: None,
            files: vec![RemoteFile {
                path: "a.jsonl".into(),
                size: 3,
                digest: FileDigest::Blake3(FileHash::of(b"abc")),
                etag: None,
            }],
        }
    }

    #[test]
    fn locks_read_back_sorted_and_without_surprises() {
        let mut lock = LockFile::default();
        lock.set(pin("b"));
        lock.set(pin("a"));
        lock.set(pin("b"));
        let text = lock.write();
        assert_eq!(LockFile::parse(&text).unwrap(), lock);
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let is_as_the_schema_says =
            |text: &str| serde_yaml::from_str::<serde_json::Value>(text).is_ok_and(|value| validator.is_valid(&value));
        assert!(is_as_the_schema_says(&text) && is_as_the_schema_says("version: 1\n"));
        assert_eq!(lock.sources.iter().map(|pin| pin.source.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for (text, word) in [
            ("version: 2\n", "version 2"),
            ("version: 1\nsources: []\nmore: 1\n", "more"),
            ("<<<<<<< ours\nversion: 1\n", "conflict"),
            (
                "version: 1\nsources:\n- {source: a, repo: a, hub: h, commit: c, files: [{path: p, size: 1, digest: md5:00}]}\n",
                "md5:00",
            ),
        ] {
            let error = LockFile::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            assert!(!is_as_the_schema_says(text), "{text}");
        }
    }
}
