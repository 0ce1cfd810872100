//! The rows of a build or a file: hashes of all of them, and the text of single rows on demand.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use crate::{cache::Store, provenance::manifest::BuildManifest, site::lines_of, system};
use datac_core::{
    encoded::EncodedIndex,
    failure::{Failure, FailureKind},
    id::BlobId,
    mix::Selection,
    outputs::{self, Container, Target},
    sample::{self, SampleIndex},
    shape::{self, Shape, WrittenRow},
};

/// Side of the split that a row is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Train,
    Validation,
    Test,
    /// The row comes from a file, which does not record the side.
    Unknown,
}

impl Side {
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Train => Some("train"),
            Self::Validation => Some("val"),
            Self::Test => Some("test"),
            Self::Unknown => None,
        }
    }
}

impl From<outputs::Side> for Side {
    fn from(side: outputs::Side) -> Self {
        match side {
            outputs::Side::Train => Self::Train,
            outputs::Side::Validation => Self::Validation,
            outputs::Side::Test => Self::Test,
        }
    }
}

/// What is held in memory for each row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowKey {
    /// Hash of the sample, see [`datac_core::sample::Sample::row_hash`].
    pub(crate) hash: u64,
    /// Hash of the messages before the answer.
    pub(crate) prompt: u64,
    /// Hash of the row's place in its source (repository, file and row); `None` for files.
    pub(crate) origin: Option<u64>,
    /// Index of the source in [`RowSet::names`].
    pub(crate) source: u32,
    pub(crate) side: Side,
    /// Line in the output file, from 1.
    pub(crate) line: u32,
    /// Index into [`Texts`].
    pub(crate) candidate: u32,
    /// What the recipe's model sees of the row; `None` without a model, and for files.
    pub(crate) encoded: Option<EncodedKey>,
}

/// What is held of the tokens of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncodedKey {
    /// Hash of the ids and of what of them is trained on.
    pub(crate) hash: u64,
    /// Number of tokens.
    pub(crate) tokens: u32,
    /// Number of those that are trained on.
    pub(crate) trained: u32,
}

/// The rows of a build or a file in file order, training rows first.
pub(crate) struct RowSet {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<RowKey>,
    texts: Texts,
}

/// Where the texts of rows are read from.
enum Texts {
    /// Blobs: for each candidate its chunk and its sample number there, and for each chunk its blob and its index.
    Build { store: Store, places: Vec<(u32, u32)>, chunks: Vec<(BlobId, BlobId)> },
    /// A file: the byte offset of each line.
    File { path: PathBuf, starts: Vec<u64> },
}

impl RowSet {
    /// Returns the rows of a build, read from the cache. The error says what the cache no longer has.
    pub(crate) fn of_build(store: Store, manifest: &BuildManifest) -> Result<Self, String> {
        let get = |digest: &BlobId| store.peek(digest).map_err(|miss| miss.to_string());
        let (mut candidates, mut places, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
        for (number, source) in manifest.sources.iter().enumerate() {
            let selection: Selection =
                postcard::from_bytes(&get(&source.selection)?).map_err(|error| format!("read a selection: {error}"))?;
            for (i, chunk) in source.chunks.iter().enumerate().take(selection.chunks()) {
                let index = SampleIndex::decode(&get(&chunk.index)?).map_err(|error| error.to_string())?;
                let file = source.files.get(chunk.file as usize).map_or("", |file| file.path.as_str());
                let encoded = match &chunk.encoded {
                    Some(encoded) => {
                        let index = EncodedIndex::decode(&get(&encoded.index)?).ok_or("an index of ids is damaged")?;
                        Some((index, get(&encoded.ids)?))
                    }
                    None => None,
                };
                let place = xxh3_64(format!("{}\0{file}\0", source.origin.name()).as_bytes());
                for sample in selection.samples(i) {
                    let at = sample as usize;
                    let (Some(hash), Some(prompt), Some(row)) =
                        (index.row_hash.get(at), index.prompt_hash.get(at), index.row.get(at))
                    else {
                        return Err("match an index to its chunk: the numbers of samples differ".to_owned());
                    };
                    let row = chunk.place.first_row + u64::from(*row);
                    candidates.push(RowKey {
                        hash: *hash,
                        prompt: *prompt,
                        origin: Some(xxh3_64(&[place.to_le_bytes(), row.to_le_bytes()].concat())),
                        source: number as u32,
                        side: Side::Unknown,
                        line: 0,
                        candidate: candidates.len() as u32,
                        encoded: match &encoded {
                            Some((index, ids)) => {
                                Some(encoded_key(index, ids, at).ok_or("ids do not match their chunk")?)
                            }
                            None => None,
                        },
                    });
                    places.push((chunks.len() as u32, sample));
                }
                chunks.push((chunk.written, chunk.index));
            }
        }
        let mut rows = Vec::new();
        for (side, list) in manifest.lists.iter() {
            let (side, Some(list)) = (Side::from(side), list) else { continue };
            for (line, candidate) in get(list)?.as_chunks::<4>().0.iter().enumerate() {
                let candidate = candidates.get(u32::from_le_bytes(*candidate) as usize);
                let key = candidate.ok_or("match an order to its rows: their numbers differ")?;
                rows.push(RowKey { side, line: line as u32 + 1, ..*key });
            }
        }
        let names = manifest.sources.iter().map(|source| source.name.clone()).collect();
        Ok(Self { names, rows, texts: Texts::Build { store, places, chunks } })
    }

    /// Returns the rows of a file on disk.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::new(FailureKind::Action, format!("read `{}`: {error}", path.display()));
        if path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| shape::by_name(Target::shape_of(name.to_str()?)))
            .is_some_and(<dyn Shape>::is_of_tokens)
        {
            let message = format!("`{}` holds token ids, and files of ids are not compared", path.display());
            let hint = "`datac diff RECIPE` compares builds, with what the model sees of each row";
            return Err(Failure::plain(FailureKind::Config, message).hint(hint));
        }
        let mut input = lines_of(path).map_err(|error| Failure::new(FailureKind::Config, error.to_string()))?;
        let (mut names, mut rows, mut starts): (Vec<String>, Vec<RowKey>, Vec<u64>) = Default::default();
        let (mut line, mut at, mut number) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let length = input.read_until(b'\n', &mut line).map_err(failed)?;
            if length == 0 {
                break;
            }
            number += 1;
            let text = line.trim_ascii();
            if !text.is_empty() {
                let row = std::str::from_utf8(text).ok().and_then(shape::read);
                let WrittenRow { sample, source } = row.ok_or_else(|| {
                    let message = format!("read `{}`: line {number} is not a row", path.display());
                    Failure::new(FailureKind::Config, message).hint("`datac diff` compares files as datac writes them")
                })?;
                let source = source.unwrap_or_default();
                let source = names.iter().position(|name| *name == source).unwrap_or_else(|| {
                    names.push(source);
                    names.len() - 1
                }) as u32;
                let (hash, prompt, candidate) = (sample.row_hash(), sample.prompt_hash(), starts.len() as u32);
                let (side, origin, encoded) = (Side::Unknown, None, None);
                let key = RowKey { hash, prompt, origin, source, side, line: number, candidate, encoded };
                rows.push(key);
                starts.push(at);
            }
            at += length as u64;
        }
        Ok(Self { names, rows, texts: Texts::File { path: path.to_owned(), starts } })
    }

    #[cfg(test)]
    pub(crate) fn for_test(names: &[&str], rows: Vec<RowKey>) -> Self {
        let texts = Texts::File { path: PathBuf::new(), starts: Vec::new() };
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), rows, texts }
    }

    /// Returns a row as written, as JSON.
    pub(crate) fn text(&self, key: &RowKey) -> Result<Box<RawValue>, Failure> {
        let lost = |error: String| Failure::new(FailureKind::Cache, format!("read a row again: {error}"));
        let text = match &self.texts {
            Texts::Build { store, places, chunks } => {
                let (chunk, sample) = places[key.candidate as usize];
                let (written, index) = &chunks[chunk as usize];
                let get = |digest: &BlobId| store.peek(digest).map_err(|miss| lost(miss.to_string()));
                let index = SampleIndex::decode(&get(index)?).map_err(|error| lost(error.to_string()))?;
                let blob = get(written)?;
                let sample =
                    sample::at(&blob, index.range(sample as usize)).map_err(|error| lost(error.to_string()))?;
                let source = &self.names[key.source as usize];
                shape::row(shape::DEFAULT, &sample, source).map_err(|unfit| lost(unfit.to_string()))?
            }
            Texts::File { path, starts } => native(read_line(path, starts[key.candidate as usize])?),
        };
        let text = String::from_utf8(text).map_err(|error| lost(error.to_string()))?;
        RawValue::from_string(text).map_err(|error| lost(error.to_string()))
    }
}

fn encoded_key(index: &EncodedIndex, ids: &[u8], sample: usize) -> Option<EncodedKey> {
    let (tokens, trained) = (*index.tokens.get(sample)?, *index.trained.get(sample)?);
    Some(EncodedKey { hash: xxh3_64(ids.get(index.range(sample))?), tokens, trained })
}

/// Returns a row of any shape as a native one, whose fields are those that are compared.
fn native(line: Vec<u8>) -> Vec<u8> {
    let text = std::str::from_utf8(&line).ok().filter(|text| shape::DEFAULT.read(text).is_none());
    let written = text.and_then(shape::read);
    let row = written.and_then(|WrittenRow { sample, source }| {
        shape::row_of(shape::DEFAULT, &sample, &source.unwrap_or_default()).ok()
    });
    row.map_or(line, String::into_bytes)
}

fn read_line(path: &Path, start: u64) -> Result<Vec<u8>, Failure> {
    use std::io::{Read, Seek, SeekFrom};
    let failed = |error: String| Failure::new(FailureKind::Action, error);
    let mut line = Vec::new();
    let mut read = || -> std::io::Result<()> {
        if matches!(Container::of(path), None | Some(Container::Jsonl)) {
            let mut file: File = system::open(path).map_err(|error| error.source)?;
            file.seek(SeekFrom::Start(start))?;
            BufReader::new(file).read_until(b'\n', &mut line)?;
        } else {
            let mut lines = lines_of(path).map_err(|error| error.source)?;
            std::io::copy(&mut lines.by_ref().take(start), &mut std::io::sink())?;
            lines.read_until(b'\n', &mut line)?;
        }
        Ok(())
    };
    read().map_err(|error| failed(format!("read `{}`: {error}", path.display())))?;
    Ok(line.trim_ascii().to_vec())
}
