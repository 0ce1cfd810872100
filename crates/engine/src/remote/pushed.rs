//! Outputs that are pushed to a folder or a bucket, for programs that read them there as they are.
//!
//! ```text
//! <recipe>/current.json        which version is the recipe now, and its files with their digests
//! <recipe>/<version>/…         the files of a version, which never change
//! ```
//!
//! A version is named by what its files are, so whoever pushes the same files writes the same objects, and what is there need not be
//! sent. Files come first, then `current.json`, which is replaced as a whole and only if it is still the one that was read before: a
//! reader sees the old recipe or the new one, and two who push at once cannot mix theirs.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Remote,
    objects::{Fault, Go, How, Put, Wanted},
    release::fault_of,
};
use crate::system::FileError;
use datac_core::{
    hash::Hasher,
    id::FileHash,
    outputs::{OutputSet, Side},
};

/// The format of the document.
const FORMAT: &str = "datac-outputs/1";

/// What the formats of all versions of datac begin with.
const ANY_FORMAT: &str = "datac-outputs/";

/// Name of the document in the folder of a recipe.
const CURRENT: &str = "current.json";

/// Files of up to this many bytes are sent side by side.
const SMALL: u64 = 4 << 20;

/// Number of bytes of small files that are in memory at a time.
const AT_ONCE: u64 = 32 << 20;

/// Size of the parts in which files are read, in bytes.
const PART: u64 = 4 << 20;

/// Number of parts of a file that are in memory at a time.
const PARTS_AT_ONCE: usize = 8;

/// Number of times that a place is asked whether it has what it was given, and given again what it lacks.
const ROUNDS: usize = 4;

/// Which version of the outputs of a recipe is current, as `current.json` says. Fields may be added; a reader ignores those that it does
/// not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CurrentOutputs {
    /// The format of the document: `datac-outputs/1`.
    pub format: String,
    /// Name of the recipe, such as `sft/general`.
    pub recipe: String,
    /// The version: BLAKE3 of a text that lists the files.
    pub version: FileHash,
    /// The version of datac that pushed it.
    pub datac: String,
    /// BLAKE3 of the text of the recipe.
    pub recipe_blake3: FileHash,
    /// BLAKE3 of the text of a `datac.lock` that has the pins of its sources and no others.
    pub lock_blake3: FileHash,
    /// The files, by path.
    pub files: Vec<CurrentFile>,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CurrentFile {
    /// Path from the folder of the document: `<version>/train.jsonl`.
    pub path: String,
    /// Name of the file in the output folder of the workspace: `sft_general_train.jsonl`.
    pub output: String,
    /// The output that the file belongs to, by its folder: `trl`; `native` if it has none.
    pub target: String,
    /// The side whose rows are in it; `null` if it lies beside the rows.
    pub side: Option<Side>,
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes.
    pub blake3: FileHash,
}

/// Why outputs cannot be pushed, or what was pushed is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PushError {
    /// In the place of the document is something else.
    #[error("`{0}` was not written by datac")]
    Foreign(String),
    /// The document has a format that this datac does not know.
    #[error("`{0}` was written by another version of datac, whose format this one does not read")]
    Unknown(String),
    /// The document is that of another recipe.
    #[error("`{document}` is that of the recipe `{}`", of.escape_debug())]
    Misplaced {
        /// The document.
        document: String,
        /// The recipe that it names.
        of: String,
    },
    /// The document names a file that cannot be one of a recipe.
    #[error("`{document}` names the file `{}`, {reason}", path.escape_debug())]
    BadPath {
        /// The document.
        document: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Somebody else has replaced the document meanwhile.
    #[error("somebody else has pushed it meanwhile: the version there is {0}")]
    Late(String),
    /// The place lacks what it was given.
    #[error("`{0}` is not there, although it was written")]
    Lost(String),
    /// A file has other bytes than the build that made it.
    #[error("`{0}` has changed since it was looked at")]
    Changed(String),
    /// A file that was pushed is missing or has other bytes.
    #[error("`{path}` is {how}")]
    Damaged {
        /// The file.
        path: String,
        /// `missing` or `damaged`.
        how: &'static str,
    },
    /// The place cannot be used.
    #[error("{0}")]
    Fault(String),
    /// A file could not be read or written.
    #[error("failed to {0}")]
    File(#[from] FileError),
    /// The user interrupted datac.
    #[error("interrupted")]
    Interrupted,
}

impl From<Fault> for PushError {
    fn from(Fault(reason): Fault) -> Self {
        Self::Fault(reason)
    }
}

/// Returns the version that files are: BLAKE3 of one line for each, sorted by path, with the digest, the size and the path, behind a line
/// with the format. Each field ends with a space, each line with a newline.
fn version_of(files: &[CurrentFile]) -> FileHash {
    let mut hasher = Hasher::default();
    hasher.update(format!("{FORMAT}\n").as_bytes());
    for CurrentFile { path, bytes, blake3, .. } in files {
        hasher.update(format!("{blake3} {bytes} {path}\n").as_bytes());
    }
    FileHash::new(hasher.finish())
}

impl CurrentOutputs {
    /// Creates the document of files whose paths are those within their version.
    pub(crate) fn new(
        recipe: &str,
        recipe_blake3: FileHash,
        lock_blake3: FileHash,
        mut files: Vec<CurrentFile>,
    ) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let version = version_of(&files);
        files.iter_mut().for_each(|file| file.path = format!("{version}/{}", file.path));
        Self {
            format: FORMAT.to_owned(),
            recipe: recipe.to_owned(),
            version,
            datac: env!("CARGO_PKG_VERSION").to_owned(),
            recipe_blake3,
            lock_blake3,
            files,
        }
    }

    /// Returns the document as it is stored. The same outputs of the same recipe have the same one.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a document is plain data");
        text.push(b'\n');
        text
    }
}

/// Decodes the document of a recipe, or of whatever recipe it is that of, if nothing in it leads elsewhere.
pub(crate) fn decode(recipe: Option<&str>, bytes: &[u8]) -> Result<CurrentOutputs, PushError> {
    let document = document(recipe.unwrap_or_default());
    let foreign = || PushError::Foreign(document.clone());
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| foreign())?;
    match value.get("format").and_then(serde_json::Value::as_str) {
        Some(FORMAT) => {}
        Some(other) if other.starts_with(ANY_FORMAT) => return Err(PushError::Unknown(document)),
        _ => return Err(foreign()),
    }
    let read: CurrentOutputs = serde_json::from_value(value).map_err(|_| foreign())?;
    if recipe.is_some_and(|recipe| read.recipe != recipe) {
        return Err(PushError::Misplaced { document, of: read.recipe });
    }
    let version = format!("{}/", read.version);
    let (mut outputs, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for file in &read.files {
        let bad =
            |path: &String, reason| Err(PushError::BadPath { document: document.clone(), path: path.clone(), reason });
        for path in [&file.path, &file.output] {
            if let Some(reason) = fault_of(path) {
                return bad(path, reason);
            }
        }
        if !file.path.starts_with(&version) {
            return bad(&file.path, "which is not in the folder of its version");
        }
        if !outputs.insert(&file.output) {
            return bad(&file.output, "which it has twice");
        }
        folders.extend(file.output.match_indices('/').map(|(at, _)| &file.output[..at]));
    }
    if let Some(path) = outputs.iter().find(|path| folders.contains(path.as_str())) {
        let (path, reason) = ((*path).clone(), "which is a folder of others");
        return Err(PushError::BadPath { document, path, reason });
    }
    Ok(read)
}

/// Returns the name of the object that holds the document of a recipe.
///
/// The folder of the recipe is that of its name, or the place itself if that is empty.
pub(crate) fn document(recipe: &str) -> String {
    if recipe.is_empty() { CURRENT.to_owned() } else { format!("{recipe}/{CURRENT}") }
}

/// Returns the path of an output within a version, and the output that it belongs to.
pub(crate) fn place_of(output: &str) -> Option<(&str, &str)> {
    let (set, _) = OutputSet::parse(output)?;
    let within = output.strip_prefix(set.stem())?;
    match within.strip_prefix('/') {
        Some(in_folder) => Some((in_folder, in_folder.split_once('/')?.0)),
        None => Some((within.strip_prefix('_')?, "native")),
    }
}

/// Reads the documents of recipes; `None` for those that have none.
pub(crate) fn read(remote: &Remote, recipes: &[&str]) -> Result<Vec<Option<Vec<u8>>>, PushError> {
    let wanted: Vec<Wanted> = recipes.iter().map(|recipe| Wanted { name: document(recipe), range: None }).collect();
    let (mut found, mut failed) = (vec![None; wanted.len()], None);
    remote.objects.read(&wanted, &mut |number, read| match read {
        Ok(bytes) => {
            found[number] = bytes;
            Go::On
        }
        Err(fault) => {
            failed = Some(fault);
            Go::Stop
        }
    });
    failed.map_or(Ok(found), |fault| Err(fault.into()))
}

/// Returns the sizes of the files of a version that are there, by their paths from the folder of the recipe.
pub(crate) fn present(remote: &Remote, current: &CurrentOutputs) -> Result<BTreeMap<String, u64>, PushError> {
    let mut found = BTreeMap::new();
    let above = format!("{}/", current.recipe);
    remote.objects.list(&format!("{above}{}", current.version), &mut |object| {
        if let Some(path) = object.name.strip_prefix(&above) {
            found.insert(path.to_owned(), object.bytes);
        }
    })?;
    Ok(found)
}

/// Returns the files that are missing among those that are there, or have another size.
pub(crate) fn lacking<'f>(files: &'f [CurrentFile], there: &BTreeMap<String, u64>) -> Vec<&'f CurrentFile> {
    files.iter().filter(|file| there.get(&file.path) != Some(&file.bytes)).collect()
}

/// Reads the bytes of a file to send, from its beginning, with the number of them that is wanted.
pub(crate) trait ReadOutput {
    /// Begins to read a file.
    fn begin(&mut self, file: &CurrentFile) -> Result<(), PushError>;

    /// Returns up to so many of the next bytes of the file that was begun; none at its end. Fails if they are not those that the build has
    /// written.
    fn next(&mut self, most: usize) -> Result<Vec<u8>, PushError>;
}

/// Sends the files of a version that `there` lacks, until the place has all of them. They survive a power cut when this returns.
///
/// Files that the version `before` has with the same bytes are copied where they are, if the place can do that. Returns their paths.
pub(crate) fn send(
    remote: &Remote,
    current: &CurrentOutputs,
    before: Option<&CurrentOutputs>,
    mut there: BTreeMap<String, u64>,
    source: &mut dyn ReadOutput,
) -> Result<BTreeSet<String>, PushError> {
    let name = |file: &CurrentFile| format!("{}/{}", current.recipe, file.path);
    let files = before.iter().flat_map(|before| &before.files);
    let mut known: BTreeMap<(FileHash, u64), &CurrentFile> =
        files.map(|file| ((file.blake3, file.bytes), file)).collect();
    let mut copied = BTreeSet::new();
    for round in 0.. {
        let mut missing = lacking(&current.files, &there);
        let Some(first) = missing.first() else { break };
        if round == ROUNDS {
            return Err(PushError::Lost(format!("{}/{}", current.recipe, first.path)));
        }
        missing.retain(|file| {
            let is_copied =
                known.get(&(file.blake3, file.bytes)).is_some_and(|old| remote.objects.copy(&name(old), &name(file)));
            if is_copied {
                copied.insert(file.path.clone());
            } else {
                copied.remove(&file.path);
            }
            !is_copied
        });
        // Whatever is still missing then is sent.
        known.clear();
        let (small, large): (Vec<&CurrentFile>, Vec<&CurrentFile>) =
            missing.into_iter().partition(|file| file.bytes <= SMALL);
        let (mut puts, mut bytes) = (Vec::new(), 0);
        for file in &small {
            let how = if there.contains_key(&file.path) { How::Replace } else { How::IfAbsent };
            source.begin(file)?;
            let mut content = Vec::new();
            loop {
                let more = source.next(usize::try_from(SMALL).unwrap_or(usize::MAX))?;
                if more.is_empty() {
                    break;
                }
                content.extend_from_slice(&more);
            }
            bytes += file.bytes;
            puts.push(Put { name: name(file), bytes: content, how });
            if bytes >= AT_ONCE {
                remote.objects.write(std::mem::take(&mut puts))?;
                bytes = 0;
            }
        }
        remote.objects.write(puts)?;
        for file in &large {
            source.begin(file)?;
            let mut failed = None;
            let sent = remote.objects.send(&name(file), file.bytes, &mut |most| {
                source.next(most).map_err(|error| {
                    let fault = Fault(error.to_string());
                    failed = Some(error);
                    fault
                })
            });
            match failed {
                Some(error) => return Err(error),
                None => sent?,
            }
        }
        let names: Vec<String> = small.into_iter().chain(large).map(name).collect();
        remote.objects.settle(&names)?;
        there = present(remote, current)?;
    }
    Ok(copied)
}

/// Replaces the document of a recipe, if it still is `before`.
pub(crate) fn replace(remote: &Remote, current: &CurrentOutputs, before: Option<&[u8]>) -> Result<(), PushError> {
    let (name, new) = (document(&current.recipe), current.encode());
    for _ in 0..ROUNDS {
        let (mut is_there, mut other) = (false, None);
        remote.objects.update(&name, &mut |old| {
            is_there = old.as_deref() == Some(&*new);
            other = old.filter(|old| !is_there && Some(&**old) != before);
            // What is gone has been taken away by somebody who wants it to be gone, or never was.
            (!is_there && other.is_none()).then(|| new.clone())
        })?;
        match other {
            Some(other) => {
                let there = decode(Some(&current.recipe), &other)?;
                return Err(PushError::Late(there.version.to_string()));
            }
            None if is_there => return Ok(remote.objects.settle(&[name])?),
            // It is asked for again, so that what is told to be there is there.
            None => {}
        }
    }
    Err(PushError::Lost(name))
}

/// Calls `take` with the parts of a file that was pushed, in their order, where the place is the folder of the recipe; a few parts are in
/// memory at a time.
///
/// The whole is checked at the end: if this fails, everything that `take` was given must be discarded.
pub(crate) fn each_part(
    remote: &Remote,
    file: &CurrentFile,
    is_interrupted: &dyn Fn() -> bool,
    take: &mut dyn FnMut(&[u8]) -> Result<(), PushError>,
) -> Result<(), PushError> {
    let damaged = |how| PushError::Damaged { path: file.path.clone(), how };
    let part = |start: u64| Wanted { name: file.path.clone(), range: Some(start..file.bytes.min(start + PART)) };
    // What is small is asked for as a whole, also of a server that knows no ranges.
    let parts: Vec<Wanted> = match file.bytes {
        0..=PART => vec![Wanted { name: file.path.clone(), range: None }],
        _ => (0..file.bytes).step_by(usize::try_from(PART).unwrap_or(usize::MAX)).map(part).collect(),
    };
    let mut hasher = Hasher::default();
    for some in parts.chunks(PARTS_AT_ONCE) {
        if is_interrupted() {
            return Err(PushError::Interrupted);
        }
        let (mut found, mut failed) = (vec![None; some.len()], None);
        remote.objects.read(some, &mut |number, read| match read {
            Ok(Some(bytes)) => {
                found[number] = Some(bytes);
                Go::On
            }
            Ok(None) => {
                failed = Some(damaged("missing"));
                Go::Stop
            }
            Err(fault) => {
                failed = Some(fault.into());
                Go::Stop
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        for bytes in found.into_iter().flatten() {
            hasher.update(&bytes);
            take(&bytes)?;
        }
    }
    if FileHash::new(hasher.finish()) == file.blake3 { Ok(()) } else { Err(damaged("damaged")) }
}
