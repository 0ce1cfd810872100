//! Archives: which files they hold, and where the bytes of each are.
//!
//! Nothing is unpacked to disk by name: a member is a stretch of its archive, and is decompressed while it is read.

mod part;
mod tar_headers;
#[cfg(test)]
mod tests;
mod zip_directory;

use std::{
    fmt,
    io::{self, Read},
};

use serde::{Deserialize, Serialize};

pub use part::Part;
use part::{Checked, Peeked};

use super::{
    Compression, DecodeError, FileKind, Input, RowFormat,
    stream::{self, Stream},
};
use datac_core::key::{Encode, Encoder};

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Path in the archive, for people: no file is ever created by this name.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Offset of its first byte in the archive; in a compressed tar file, in what that decompresses to.
    pub offset: u64,
    /// Number of bytes from there on.
    pub length: u64,
    /// How these bytes are packed.
    pub packing: Packing,
    /// The CRC-32 of its bytes, which zip archives state.
    pub crc: Option<u32>,
}

/// How the bytes of a member are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Packing {
    /// As they are.
    Plain,
    /// Deflate.
    Deflate,
    /// Zstandard.
    Zstd,
    /// Encrypted, which is not read.
    Encrypted,
    /// By a method that is not read, with its number in zip archives.
    Other(u16),
    /// In pieces, as tar stores files with holes, which is not read.
    Sparse,
}

impl Packing {
    /// Returns why a member is not read, and what to do; `None` if it is.
    pub fn unreadable(self) -> Option<(String, &'static str)> {
        Some(match self {
            Self::Plain | Self::Deflate | Self::Zstd => return None,
            Self::Encrypted => ("is encrypted".to_owned(), "pack it again without a password"),
            Self::Other(method) => {
                let method = name_of(method).map_or_else(|| method.to_string(), |name| format!("{method}, {name}"));
                (format!("is compressed by a method that is not read ({method})"), "pack it again with Deflate")
            }
            Self::Sparse => ("is stored with holes".to_owned(), "pack it again without `--sparse`"),
        })
    }
}

/// Returns the name of a compression method of zip archives.
fn name_of(method: u16) -> Option<&'static str> {
    Some(match method {
        1..=6 => "one of PKZIP 1",
        9 => "Deflate64",
        12 => "bzip2",
        14 => "LZMA",
        95 => "xz",
        98 => "PPMd",
        _ => return None,
    })
}

impl Encode for Member {
    /// The path decides nothing: the archive's digest and the place say which bytes are meant.
    fn encode(&self, encoder: &mut Encoder) {
        let Self { path: _, size, offset, length, packing, crc } = self;
        encoder.list(5);
        [*size, *offset, *length].into_iter().for_each(|number| encoder.integer(number));
        encoder.integer(match packing {
            Packing::Plain => 0,
            Packing::Deflate => 1,
            Packing::Zstd => 2,
            Packing::Encrypted => 3,
            Packing::Sparse => 4,
            Packing::Other(method) => 5 + u64::from(*method),
        });
        encoder.integer(crc.map_or(0, |crc| 1 + u64::from(crc)));
    }
}

/// The most members that an archive may have: the list of them is held in memory.
const MOST_MEMBERS: usize = 1_000_000;

/// Returns the members of an archive, in its order. Folders, links and devices are left out.
pub fn members(input: Input, kind: FileKind) -> Result<Vec<Member>, DecodeError> {
    match kind.format {
        RowFormat::Zip => zip_directory::members(Part::whole(input)?),
        _ => tar_headers::members(Stream::open(input, kind.compression)?),
    }
}

/// Returns the bytes of a member of an archive of this kind.
///
/// They allow random access if they lie in the archive as they are.
pub fn unpack(archive: Input, kind: FileKind, member: &Member) -> Result<Input, DecodeError> {
    let failed = |error: io::Error| DecodeError::Read { offset: 0, reason: error.to_string() };
    // A tar file may be compressed whatever its name says.
    let is_packed = kind.format == RowFormat::Tar && Stream::is_compressed(&archive, kind.compression)?;
    if is_packed {
        let mut stream = Stream::open(archive, kind.compression)?;
        stream.skip(member.offset).map_err(failed)?;
        return forward(Box::new(stream.into_read().take(member.length)), member);
    }
    let part = Part::whole(archive)?.within(member.offset, member.length);
    match member.packing {
        Packing::Plain => Ok(Input::Part(part.with_crc(member.crc))),
        Packing::Deflate => forward(stream::inflate(Box::new(part)), member),
        Packing::Zstd => forward(Stream::decompress(Box::new(part), Compression::Zstd)?.into_read(), member),
        Packing::Encrypted | Packing::Other(_) | Packing::Sparse => {
            let (reason, _) = member.packing.unreadable().unwrap_or_default();
            Err(DecodeError::Archive(format!("`{}` {reason}", member.path)))
        }
    }
}

/// Returns the unpacked bytes of a member, which can only be read forwards and are checked at their end.
fn forward(unpacked: Box<dyn Read + Send>, member: &Member) -> Result<Input, DecodeError> {
    Ok(Input::Forward(Forward(
        Peeked::new(Box::new(Checked::new(unpacked, member.size, member.crc)))
            .map_err(|error| DecodeError::Read { offset: 0, reason: error.to_string() })?,
    )))
}

/// Bytes that can only be read forwards.
pub struct Forward(Peeked);

impl Forward {
    /// Returns the first bytes.
    pub(super) fn head(&self) -> &[u8] {
        self.0.head()
    }

    /// Returns a reader of all bytes.
    pub fn into_read(self) -> Box<dyn Read + Send> {
        Box::new(self.0)
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forward")
    }
}

impl Input {
    /// Returns the bytes with a reader that compares them with the checksum that their archive states, if it does.
    pub(super) fn checked(self) -> Result<Self, DecodeError> {
        match self {
            Self::Part(part) if part.crc().is_some() => {
                let member = (part.length(), part.crc());
                let checked = Checked::new(Box::new(part), member.0, member.1);
                let peeked = Peeked::new(Box::new(checked));
                peeked
                    .map(|peeked| Self::Forward(Forward(peeked)))
                    .map_err(|error| DecodeError::Read { offset: 0, reason: error.to_string() })
            }
            other => Ok(other),
        }
    }
}

/// Returns the error for an archive that cannot be listed.
fn damaged(reason: impl fmt::Display) -> DecodeError {
    DecodeError::Archive(reason.to_string())
}

/// Returns a member's path as it is shown: without what leads out of the archive or would confuse a terminal. Bytes that are not
/// UTF-8 are written as `\xNN`, so that different names stay different.
fn shown(path: &[u8]) -> String {
    let path =
        std::str::from_utf8(path).map_or_else(|_| path.escape_ascii().to_string(), |path| path.replace('\\', "/"));
    let plain = path.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect::<Vec<_>>().join("/");
    let mut shown = String::with_capacity(plain.len());
    for letter in plain.chars() {
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown
}

/// Refuses lists that no reader should act on: too many members, a name twice, or bytes that belong to several members.
fn check(members: &[Member]) -> Result<(), DecodeError> {
    let mut names: Vec<&str> = members.iter().map(|member| member.path.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(damaged(format!("it has two files `{}`, and only one can be meant", twice[0])));
    }
    let mut places: Vec<&Member> = members.iter().filter(|member| member.length > 0).collect();
    places.sort_unstable_by_key(|member| member.offset);
    for pair in places.windows(2) {
        if pair[0].offset.saturating_add(pair[0].length) > pair[1].offset {
            return Err(damaged(format!("`{}` and `{}` share bytes", pair[0].path, pair[1].path)));
        }
    }
    Ok(())
}
