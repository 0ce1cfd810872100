//! Reads the decompressed bytes of a text file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom},
};

use flate2::bufread::GzDecoder;

use super::{Compression, DecodeError, Input, Part, sniff};

const BUFFER: usize = 256 << 10;

/// A text file that is decompressed while it is read.
pub(super) enum Stream {
    /// Allows random access.
    File(File),
    /// Allows random access.
    Static(Cursor<&'static [u8]>),
    /// Allows random access.
    Part(Part),
    /// Can only be read forwards.
    Decompressed(Box<dyn Read + Send>),
}

impl Stream {
    /// Opens a file at its beginning. Compressed bytes are decompressed whatever the file's name says, and text is read as it is:
    /// programs that download files may unpack them and leave the name.
    pub(super) fn open(input: Input, named: Compression) -> Result<Self, DecodeError> {
        let compression = Self::compression(&input, named)?;
        let raw: Box<dyn Read + Send> = match (compression, input) {
            (Compression::None, Input::File(file)) => return Ok(Self::File(file)),
            (Compression::None, Input::Static(bytes)) => return Ok(Self::Static(Cursor::new(bytes))),
            (Compression::None, Input::Part(part)) => return Ok(Self::Part(part)),
            (Compression::None, Input::Forward(bytes)) => return Ok(Self::Decompressed(bytes.into_read())),
            (_, Input::File(file)) => Box::new(file),
            (_, Input::Part(part)) => Box::new(part),
            (_, Input::Forward(bytes)) => bytes.into_read(),
            (_, Input::Static(bytes)) => Box::new(bytes),
        };
        Self::decompress(raw, compression)
    }

    /// Returns whether a file is compressed, whatever its name says.
    pub(super) fn is_compressed(input: &Input, named: Compression) -> Result<bool, DecodeError> {
        Ok(Self::compression(input, named)? != Compression::None)
    }

    fn compression(input: &Input, named: Compression) -> Result<Compression, DecodeError> {
        let head = input.head()?;
        if head.is_empty() && named != Compression::None {
            return Err(DecodeError::Empty);
        }
        // Fewer bytes may be the beginning of a mark, which all compressed files have and some write in letters.
        const MARK: usize = 8;
        let plain = if head.len() >= MARK && sniff::is_text(&head) { Compression::None } else { named };
        Ok(sniff::compression_of(&head).unwrap_or(plain))
    }

    /// Decompresses the bytes of `raw`.
    pub(super) fn decompress(raw: Box<dyn Read + Send>, compression: Compression) -> Result<Self, DecodeError> {
        let failed = |error: io::Error| DecodeError::Read { offset: 0, reason: error.to_string() };
        let mut raw = BufReader::with_capacity(BUFFER, Counted { inner: raw, read: 0 });
        Ok(Self::Decompressed(match compression {
            Compression::None => Box::new(raw),
            Compression::Xz => {
                // As much as the largest preset of xz takes, and more; a header may claim 4 GiB.
                let xz = lzma_rust2::XzReader::new_mem_limit(raw, true, 256 << 10);
                Box::new(Located { inner: xz, name: "xz", read: 0 })
            }
            Compression::Bzip2 => {
                let bzip2 = bzip2::bufread::MultiBzDecoder::new(raw);
                Box::new(Located { inner: bzip2, name: "bzip2", read: 0 })
            }
            Compression::Gzip => Box::new(Gunzip { member: Some(GzDecoder::new(raw)) }),
            Compression::Zstd => {
                // The zstd crate takes an empty file for zero frames, but even empty data compresses to thirteen
                // bytes: the file was truncated.
                if raw.fill_buf().map_err(failed)?.is_empty() {
                    return Err(failed(io::ErrorKind::UnexpectedEof.into()));
                }
                Box::new(Unzstd { frames: zstd::Decoder::with_buffer(raw).map_err(failed)? })
            }
        }))
    }

    /// Returns a reader of the following bytes.
    pub(super) fn as_read(&mut self) -> &mut dyn Read {
        match self {
            Self::File(file) => file,
            Self::Static(cursor) => cursor,
            Self::Part(part) => part,
            Self::Decompressed(reader) => reader,
        }
    }

    /// Returns an owned reader of the following bytes.
    pub(super) fn into_read(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Static(cursor) => Box::new(cursor),
            Self::Part(part) => Box::new(part),
            Self::Decompressed(reader) => reader,
        }
    }

    /// Skips `bytes` bytes.
    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let distance = SeekFrom::Current(i64::try_from(bytes).map_err(io::Error::other)?);
        match self {
            Self::File(file) => file.seek(distance).map(drop),
            Self::Static(cursor) => cursor.seek(distance).map(drop),
            Self::Part(part) => part.seek(distance).map(drop),
            Self::Decompressed(reader) => io::copy(&mut reader.take(bytes), &mut io::sink()).map(drop),
        }
    }
}

/// Returns what bytes of Deflate without a header of their own unpack to.
pub(super) fn inflate(raw: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    Box::new(flate2::bufread::DeflateDecoder::new(BufReader::with_capacity(BUFFER, raw)))
}

/// Counts the bytes that are read, so that errors can give the position.
struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// Says of errors which format could not be decompressed, and where.
struct Located<R> {
    inner: R,
    name: &'static str,
    read: u64,
}

impl<R: Read> Read for Located<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(into) {
            Ok(read) => {
                self.read += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                Err(io::Error::other(format!("{error}, after {} bytes that were read from {}", self.read, self.name)))
            }
        }
    }
}

type Compressed = BufReader<Counted<Box<dyn Read + Send>>>;

fn located(error: &dyn std::fmt::Display, compressed: &Compressed) -> io::Error {
    let at = compressed.get_ref().read - compressed.buffer().len() as u64;
    io::Error::other(format!("{error}, at byte {at} of the compressed file"))
}

/// Gzip members, one after another, optionally followed by zero padding.
///
/// `gunzip` ignores anything else after the last member, with a warning. Here it is an error: it may be members whose
/// beginning was damaged, and rows must not go missing unnoticed.
struct Gunzip {
    /// The current member; `None` at the end.
    member: Option<GzDecoder<Compressed>>,
}

impl Read for Gunzip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            match member.read(into) {
                Ok(0) if !into.is_empty() => {
                    let mut rest = member.into_inner();
                    self.member = match rest.fill_buf()?.first() {
                        None => None,
                        Some(0) => {
                            skip_padding(&mut rest)?;
                            None
                        }
                        Some(0x1F) => Some(GzDecoder::new(rest)),
                        Some(_) => return Err(located(&TRAILING, &rest)),
                    };
                }
                Ok(read) => {
                    self.member = Some(member);
                    return Ok(read);
                }
                Err(error) => return Err(located(&error, member.get_ref())),
            }
        }
        Ok(0)
    }
}

const TRAILING: &str = "something that is not gzip follows the compressed rows";

fn skip_padding(rest: &mut Compressed) -> io::Result<()> {
    loop {
        let block = rest.fill_buf()?;
        let zeros = block.iter().take_while(|byte| **byte == 0).count();
        let (is_end, is_all) = (block.is_empty(), zeros == block.len());
        rest.consume(zeros);
        if is_end {
            return Ok(());
        }
        if !is_all {
            return Err(located(&TRAILING, rest));
        }
    }
}

/// Zstandard frames, one after another.
struct Unzstd {
    frames: zstd::Decoder<'static, Compressed>,
}

impl Read for Unzstd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.frames.read(into).map_err(|error| located(&error, self.frames.get_ref()))
    }
}
