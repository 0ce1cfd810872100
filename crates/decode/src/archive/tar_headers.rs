//! The members of tar archives, header by header.
//!
//! The tar crate reads the headers. The walk is datac's own, because that of the crate holds names in memory that are as long as
//! an archive says, and takes one that was cut off between two files for a whole one.

use std::io::{self, Read};

use tar::{EntryType, Header, PaxExtensions};

use super::{DecodeError, MOST_MEMBERS, Member, Packing, check, damaged, shown};
use crate::stream::Stream;

/// Size of a header, and what sizes are rounded up to.
const BLOCK: u64 = 512;

/// The most bytes that a header of a header may have: a long name, or what pax adds.
const MOST_NOTES: u64 = 1 << 20;

/// What stands before a header about it.
#[derive(Default)]
struct Notes {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

pub(super) fn members(mut archive: Stream) -> Result<Vec<Member>, DecodeError> {
    let (mut members, mut at) = (Vec::new(), 0);
    let mut notes = Notes::default();
    loop {
        let mut header = Header::new_old();
        match fill(archive.as_read(), header.as_mut_bytes()).map_err(|error| failed(at, &error))? {
            0 if at == 0 => return Err(damaged("it is empty")),
            // Writers end an archive with blocks of zeros.
            0 => return Err(damaged(format!("it ends at byte {at} without the mark that ends a tar file"))),
            read if read as u64 != BLOCK => return Err(damaged(format!("it is cut off at byte {}", at + read as u64))),
            _ => {}
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            break;
        }
        if !is_sound(&header) {
            let reason =
                if at == 0 { "it is no tar file".to_owned() } else { format!("the header at byte {at} is damaged") };
            return Err(damaged(reason));
        }
        at += BLOCK;
        let kind = header.entry_type();
        let stated = header.entry_size().map_err(damaged)?;
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            let text = note(archive.as_read(), stated, at)?;
            if kind.is_gnu_longname() {
                notes.path = Some(text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            } else {
                notes.add_pax(&text)?;
            }
            at += padded(stated, at)?;
            continue;
        }
        let Notes { path, size, is_sparse } = std::mem::take(&mut notes);
        // What pax says goes before what fits a header.
        let size = if kind.is_pax_global_extensions() { stated } else { size.unwrap_or(stated) };
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        // Before there was a type for folders, a slash at the end said it.
        let is_folder = path.ends_with(b"/");
        let path = shown(&path);
        if is_file && !is_folder {
            if members.len() == MOST_MEMBERS {
                return Err(damaged(format!("it has more than {MOST_MEMBERS} files")));
            }
            let is_sparse = is_sparse || kind == EntryType::GNUSparse;
            let packing = if is_sparse { Packing::Sparse } else { Packing::Plain };
            members.push(Member { path: path.clone(), size, offset: at, length: size, packing, crc: None });
        }
        let length = padded(size, at)?;
        if !skip(&mut archive, length).map_err(|error| failed(at, &error))? {
            return Err(damaged(format!("it is cut off within `{path}`")));
        }
        at += length;
    }
    // What follows the mark is padding; reading it shows whether a compressed file is whole.
    if let Stream::Decompressed(rest) = &mut archive {
        io::copy(rest, &mut io::sink()).map_err(|error| failed(at, &error))?;
    }
    check(&members)?;
    Ok(members)
}

impl Notes {
    fn add_pax(&mut self, text: &[u8]) -> Result<(), DecodeError> {
        for extension in PaxExtensions::new(text) {
            let extension = extension.map_err(damaged)?;
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"size" => {
                    let size = extension.value().ok().and_then(|value| value.parse().ok());
                    self.size = Some(size.ok_or_else(|| damaged("it states a size that is no number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

fn failed(offset: u64, error: &io::Error) -> DecodeError {
    DecodeError::Read { offset, reason: error.to_string() }
}

/// Returns whether a header has the checksum that it states.
fn is_sound(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    header.cksum().is_ok_and(|stated| stated == sum)
}

/// Reads what stands before a header about it, and the padding behind that.
fn note(archive: &mut dyn Read, size: u64, at: u64) -> Result<Vec<u8>, DecodeError> {
    if size > MOST_NOTES {
        return Err(damaged(format!("the name or note at byte {at} is longer than {} KiB", MOST_NOTES >> 10)));
    }
    let mut text = vec![0; padded(size, at)? as usize];
    let read = fill(archive, &mut text).map_err(|error| failed(at, &error))?;
    if read < text.len() {
        return Err(damaged(format!("it is cut off at byte {}", at + read as u64)));
    }
    text.truncate(size as usize);
    Ok(text)
}

/// Returns how many bytes a file of `size` bytes takes behind byte `at`.
fn padded(size: u64, at: u64) -> Result<u64, DecodeError> {
    let length = size.checked_next_multiple_of(BLOCK).filter(|length| at.checked_add(*length).is_some());
    length.filter(|length| i64::try_from(at + length).is_ok()).ok_or_else(|| damaged("it states a size that cannot be"))
}

/// Reads until the buffer is full or the bytes end; returns how many were read.
fn fill(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match from.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Skips bytes; returns whether there are as many.
fn skip(archive: &mut Stream, length: u64) -> io::Result<bool> {
    match archive {
        Stream::Decompressed(rest) => Ok(io::copy(&mut rest.take(length), &mut io::sink())? == length),
        // Skipping may lead beyond the end, so the last byte is read.
        _ if length > 0 => {
            archive.skip(length - 1)?;
            Ok(archive.as_read().read(&mut [0])? == 1)
        }
        _ => Ok(true),
    }
}
