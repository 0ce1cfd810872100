//! The bytes of files that lie in archives.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{error::file_failure, scan::decode_failure};
use crate::{
    graph::{Inside, SourceFile},
    source::{Bytes, FileDigest},
    system::{self, FileError, ScratchFolder},
};
use datac_core::failure::Failure;
use datac_decode::{self as decode, Compression, DecodeError, Decoder, FileKind, Input, RowFormat};

/// Returns the bytes of a source file, given those that its place has, as they can be read.
///
/// `scratch` is the folder for what has to be unpacked first: columns need random access.
pub(crate) fn input_of(file: &SourceFile, opened: Bytes, scratch: &Path) -> Result<Input, Failure> {
    let opened = input(opened);
    let Some(inside) = &file.inside else { return Ok(opened) };
    unpack(file, inside.kind, inside, opened, scratch).map_err(|failure| file.told(&failure))
}

fn input(opened: Bytes) -> Input {
    match opened {
        Bytes::Static(bytes) => Input::Static(bytes),
        Bytes::File(file, _) => Input::File(file),
    }
}

fn unpack(file: &SourceFile, kind: FileKind, inside: &Inside, opened: Input, scratch: &Path) -> Result<Input, Failure> {
    let failed = |error| decode_failure(&error);
    match decode::unpack(opened, kind, &inside.member).map_err(failed)? {
        Input::Forward(bytes) if Decoder::of(file.kind.format) == Decoder::Columns => {
            spool(bytes.into_read(), scratch).map(Input::File)
        }
        input => Ok(input),
    }
}

/// Tar files that were decompressed for as long as the build runs.
///
/// Each file of a compressed tar archive stands behind all before it. Were each read from the beginning of the archive, 100 files
/// would cost 50 times what the archive costs; decompressed to a nameless file first, it costs twice as much.
pub(crate) struct OpenTars {
    scratch: PathBuf,
    tars: Mutex<HashMap<FileDigest, Arc<Mutex<Option<File>>>>>,
}

impl OpenTars {
    pub(crate) fn new(scratch: PathBuf) -> Self {
        Self { scratch, tars: Mutex::default() }
    }

    /// Returns the bytes of a source file, given those that its place has.
    pub(super) fn input_of(&self, file: &SourceFile, opened: Bytes) -> Result<Input, Failure> {
        let opened = input(opened);
        let Some(inside) = &file.inside else { return Ok(opened) };
        let failed = |error| decode_failure(&error);
        if inside.kind.format != RowFormat::Tar || !decode::is_compressed(&opened, inside.kind).map_err(failed)? {
            return unpack(file, inside.kind, inside, opened, &self.scratch);
        }
        let tar = self.tars.lock().unwrap_or_else(PoisonError::into_inner).entry(file.digest).or_default().clone();
        // Whoever comes second waits for what the first decompresses.
        let mut tar = tar.lock().unwrap_or_else(PoisonError::into_inner);
        if tar.is_none() {
            let bytes = decode::decompress(opened, inside.kind.compression).map_err(failed)?;
            *tar = Some(spool(bytes, &self.scratch)?);
        }
        let tar = tar.as_ref().expect("it was made above").try_clone();
        let failed = |source| file_failure(&FileError { verb: "read", path: self.scratch.clone(), source });
        let tar = tar.map_err(failed)?;
        let plain = FileKind { format: RowFormat::Tar, compression: Compression::None };
        unpack(file, plain, inside, Input::File(tar), &self.scratch)
    }
}

/// Copies bytes to a nameless file.
fn spool(mut bytes: Box<dyn Read + Send>, scratch: &Path) -> Result<File, Failure> {
    let failed = |verb, source| file_failure(&FileError { verb, path: scratch.to_owned(), source });
    let create = || system::create_private_dir(scratch).and_then(|()| ScratchFolder(scratch.to_owned()).create());
    let mut to = create().map_err(|error| file_failure(&error))?;
    let (mut block, mut offset) = (vec![0; 256 << 10], 0);
    loop {
        let read = match bytes.read(&mut block) {
            Ok(0) => return Ok(to),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(decode_failure(&DecodeError::Read { offset, reason: error.to_string() })),
        };
        offset += read as u64;
        to.write_all(&block[..read]).map_err(|source| failed("write", source))?;
    }
}
