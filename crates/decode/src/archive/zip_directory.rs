//! The members of zip archives, by the directory at their end.
//!
//! Layout: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5. The directory is believed over the headers of members, as everywhere: of
//! those only the length is used, to find the bytes behind them.

use std::io::{self, Read, Seek, SeekFrom};

use super::{DecodeError, MOST_MEMBERS, Member, Packing, Part, check, damaged, shown};

/// Size of the record that ends an archive, without its comment.
const END: usize = 22;
/// The longest comment of an archive.
const MOST_COMMENT: usize = 0xFFFF;
/// Sizes of the records that zip64 adds: where its end record is, and that record.
const LOCATOR: usize = 20;
const END64: usize = 56;
/// Sizes of an entry of the directory and of the header of a member, without names and extra fields.
const ENTRY: usize = 46;
const HEADER: usize = 30;

/// Where the directory is.
struct Directory {
    entries: u64,
    offset: u64,
    length: u64,
    /// Number of bytes before the archive, such as a program that unpacks it.
    shift: u64,
}

pub(super) fn members(mut archive: Part) -> Result<Vec<Member>, DecodeError> {
    let directory = directory(&mut archive)?;
    if directory.entries > MOST_MEMBERS as u64 {
        return Err(damaged(format!("it has more than {MOST_MEMBERS} files")));
    }
    let mut listed = io::BufReader::new(archive.within(directory.shift + directory.offset, directory.length));
    let mut members = Vec::new();
    for number in 1..=directory.entries {
        let cut = |_| damaged(format!("its directory ends at entry {number} of {}", directory.entries));
        let mut entry = [0; ENTRY];
        listed.read_exact(&mut entry).map_err(cut)?;
        if entry[..4] != *b"PK\x01\x02" {
            return Err(damaged(format!("entry {number} of its directory is damaged")));
        }
        let mut text = vec![0; [28, 30, 32].into_iter().map(|at| usize::from(u16_at(&entry, at))).sum()];
        listed.read_exact(&mut text).map_err(cut)?;
        let (name, rest) = text.split_at(u16_at(&entry, 28).into());
        let extra = &rest[..u16_at(&entry, 30).into()];
        // Folders end in a slash, as links do not: those are told by the mode that Unix writers state.
        let is_link = entry[5] == 3 && u32_at(&entry, 38) >> 28 == 0xA;
        if name.ends_with(b"/") || name.ends_with(b"\\") || is_link {
            continue;
        }
        members.push(member(&mut archive, &entry, name, extra, directory.shift)?);
    }
    check(&members)?;
    Ok(members)
}

/// Reads an entry of the directory, and finds the bytes that it is about.
fn member(
    archive: &mut Part,
    entry: &[u8; ENTRY],
    name: &[u8],
    extra: &[u8],
    shift: u64,
) -> Result<Member, DecodeError> {
    let path = shown(name);
    let mut numbers = [u32_at(entry, 24), u32_at(entry, 20), u32_at(entry, 42)].map(u64::from);
    let mut large = zip64(extra);
    for number in numbers.iter_mut().filter(|number| **number == u64::from(u32::MAX)) {
        let Some((first, rest)) = large.split_first_chunk() else {
            return Err(damaged(format!("the size of `{path}` is not stated")));
        };
        (*number, large) = (u64::from_le_bytes(*first), rest);
    }
    let [size, length, header] = numbers;
    let beyond = || damaged(format!("`{path}` is not where the directory says, or is cut off"));
    let header = header.checked_add(shift).ok_or_else(beyond)?;
    let begin =
        read_at::<HEADER>(archive, header).ok().filter(|begin| begin[..4] == *b"PK\x03\x04").ok_or_else(beyond)?;
    let offset = header + (HEADER as u64) + u64::from(u16_at(&begin, 26)) + u64::from(u16_at(&begin, 28));
    if offset.checked_add(length).is_none_or(|end| end > archive.length()) {
        return Err(beyond());
    }
    let packing = match u16_at(entry, 10) {
        _ if u16_at(entry, 8) & 1 != 0 => Packing::Encrypted,
        0 if size != length => return Err(damaged(format!("`{path}` is stored with two sizes"))),
        0 => Packing::Plain,
        8 => Packing::Deflate,
        93 => Packing::Zstd,
        method => Packing::Other(method),
    };
    Ok(Member { path, size, offset, length, packing, crc: Some(u32_at(entry, 16)) })
}

/// Returns the numbers of the extra field that zip64 adds.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let Some((field, rest)) = rest.split_at_checked(u16_at(head, 2).into()) else { break };
        if u16_at(head, 0) == 1 {
            return field;
        }
        extra = rest;
    }
    &[]
}

/// Finds the directory by the record at the end, behind which only a comment may stand.
fn directory(archive: &mut Part) -> Result<Directory, DecodeError> {
    let failed = |error: io::Error| DecodeError::Read { offset: 0, reason: error.to_string() };
    let length = archive.length();
    let tail = length.min((END + MOST_COMMENT) as u64);
    let mut bytes = Vec::new();
    archive.within(length - tail, tail).read_to_end(&mut bytes).map_err(failed)?;
    let is_end = |at: &usize| {
        let record = &bytes[*at..];
        record.starts_with(b"PK\x05\x06") && record.len() == END + usize::from(u16_at(record, 20))
    };
    let Some(at) = (0..bytes.len().saturating_sub(END - 1)).rev().find(is_end) else {
        let reason = if archive.head().is_ok_and(|head| head.starts_with(b"PK")) {
            "its directory, which is at the end, is missing"
        } else {
            "it is no zip archive"
        };
        return Err(damaged(reason));
    };
    let (record, end) = (&bytes[at..], length - tail + at as u64);
    if u16_at(record, 4) != 0 && u16_at(record, 4) != u16::MAX {
        return Err(damaged("it is one part of several"));
    }
    let small = [u16_at(record, 10).into(), u32_at(record, 16).into(), u32_at(record, 12).into()];
    let locator = end.checked_sub(LOCATOR as u64).and_then(|at| read_at::<LOCATOR>(archive, at).ok());
    let locator = locator.filter(|locator| locator[..4] == *b"PK\x06\x07");
    let ([entries, offset, length], end) = match locator {
        None => (small, end),
        Some(locator) => {
            let missing = || damaged("the end of its directory is not where it says");
            // The record stands before the locator, unless something was put before the archive after it was written.
            let before = end.checked_sub((LOCATOR + END64) as u64);
            let places = [Some(u64_at(&locator, 8)), before].into_iter().flatten();
            let read = |at: u64| Some((read_at::<END64>(archive, at).ok()?, at));
            let found = places.filter_map(read).find(|(record, _)| record[..4] == *b"PK\x06\x06");
            let (record, at) = found.ok_or_else(missing)?;
            ([u64_at(&record, 32), u64_at(&record, 48), u64_at(&record, 40)], at)
        }
    };
    // The directory ends where its end record begins.
    let begin = end.checked_sub(length).filter(|begin| *begin >= offset);
    let begin = begin.ok_or_else(|| damaged("its directory is not where it says"))?;
    Ok(Directory { entries, offset, length, shift: begin - offset })
}

fn read_at<const N: usize>(archive: &mut Part, offset: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    archive.seek(SeekFrom::Start(offset))?;
    archive.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
