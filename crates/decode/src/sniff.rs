//! What the bytes of a file are, whatever its name says: told by how they begin.

use super::{Compression, DecodeError, RowFormat};

/// The bytes that are looked at.
pub(super) const LOOKED_AT: usize = 64;

/// Returns the compression or archive that bytes begin as; `None` if they begin as none.
pub(super) fn compression_of(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1F, 0x8B, ..] => Some(Compression::Gzip),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Compression::Zstd),
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Compression::Bzip2),
        _ => None,
    }
}

/// Refuses bytes that no reader of `format` can take, by the name of what they are.
pub(super) fn check(head: &[u8], format: RowFormat) -> Result<(), DecodeError> {
    let (is_parquet, is_arrow) = (head.starts_with(b"PAR1"), head.starts_with(b"ARROW1"));
    if head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Err(DecodeError::LfsPointer);
    }
    // The reader of lz4_flex 0.14 ends a file that was cut short, or has a second frame, without an error.
    if head.starts_with(&[0x04, 0x22, 0x4D, 0x18]) {
        return Err(DecodeError::IsOther { what: "an LZ4 file", format: format.name(), write: None });
    }
    if is_parquet && format != RowFormat::Parquet {
        return Err(DecodeError::IsOther { what: "a Parquet file", format: format.name(), write: Some("parquet") });
    }
    if is_arrow && format != RowFormat::Arrow {
        return Err(DecodeError::IsOther { what: "an Arrow file", format: format.name(), write: Some("arrow") });
    }
    if format == RowFormat::Parquet && !is_parquet && !head.is_empty() {
        let (what, write) = match head {
            _ if compression_of(head).is_some() => ("compressed as a whole", None),
            _ if is_text(head) => ("text", Some("jsonl")),
            _ => return Ok(()),
        };
        return Err(DecodeError::IsOther { what, format: format.name(), write });
    }
    match head {
        [0xFF, 0xFE, ..] if !is_columns(format) => Err(DecodeError::Encoding { name: "UTF-16LE", line: 1 }),
        [0xFE, 0xFF, ..] if !is_columns(format) => Err(DecodeError::Encoding { name: "UTF-16BE", line: 1 }),
        [b'P', b'K', 3, 4, ..] if !is_columns(format) => {
            Err(DecodeError::IsOther { what: "a zip archive", format: format.name(), write: None })
        }
        _ => Ok(()),
    }
}

fn is_columns(format: RowFormat) -> bool {
    matches!(format, RowFormat::Parquet | RowFormat::Arrow)
}

fn is_text(head: &[u8]) -> bool {
    !head.is_empty() && head.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Refuses text that is not UTF-8 but looks like Windows-1252, as which Latin-1 is read everywhere: a quarter of its lines have
/// letters of that encoding, and none has a character of UTF-8.
///
/// A few such lines among others are rejected one by one.
pub(super) fn check_text(head: &[u8]) -> Result<(), DecodeError> {
    if head.is_ascii() || std::str::from_utf8(head).is_ok() {
        return Ok(());
    }
    let (mut lines, mut odd, mut first) = (0_u64, 0_u64, None);
    for (number, line) in head.split(|byte| *byte == b'\n').enumerate() {
        let mut rest = line;
        let mut is_odd = false;
        while let Err(error) = std::str::from_utf8(rest) {
            let at = error.valid_up_to();
            if !rest[..at].is_ascii() {
                return Ok(());
            }
            // What ends a line ends it too early; what ends the bytes at hand may go on.
            let length = match error.error_len() {
                Some(length) => length,
                None if rest.as_ptr_range().end == head.as_ptr_range().end => break,
                None => rest.len() - at,
            };
            let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
            let beside = is_letter(at.checked_sub(1).and_then(|at| rest.get(at))) || is_letter(rest.get(at + 1));
            is_odd |= beside && rest[at] >= 0x91;
            rest = &rest[at + length..];
        }
        if !rest.is_ascii() && std::str::from_utf8(rest).is_ok() {
            return Ok(());
        }
        if is_odd {
            odd += 1;
            first.get_or_insert(number as u64 + 1);
        }
        lines += u64::from(!line.trim_ascii().is_empty());
    }
    match first {
        Some(line) if odd * 4 >= lines => Err(DecodeError::Encoding { name: "WINDOWS-1252", line }),
        _ => Ok(()),
    }
}

/// Returns the delimiter of a file whose first line is `line`: `usual`, or another one if `usual` does not stand in it.
pub(super) fn delimiter_of(line: &[u8], usual: u8) -> u8 {
    let count = |delimiter: u8| {
        let (mut in_quotes, mut count) = (false, 0);
        for byte in line {
            in_quotes ^= *byte == b'"';
            count += usize::from(*byte == delimiter && !in_quotes);
        }
        count
    };
    if count(usual) > 0 {
        return usual;
    }
    let others = [b'|', b'\t', b';', b','].map(|delimiter| (count(delimiter), delimiter));
    match others.into_iter().max_by_key(|(count, _)| *count) {
        Some((1.., delimiter)) => delimiter,
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        let name = |text: &[u8]| check_text(text).map_err(|error| error.to_string());
        assert_eq!(name("id,text\n1,café\n".as_bytes()), Ok(()));
        assert!(name(b"id,text\n1,caf\xe9\n").unwrap_err().contains("WINDOWS-1252"));
        assert!(name(b"id,text\n1,caf\xe9\n").unwrap_err().contains("line 2"));
        assert_eq!(name(b"{\"a\":\"\xff\xfe\"}\n"), Ok(()), "bytes of no text are a reject");
        assert_eq!(name(b"\xc3\xa9\ncaf\xe9\n"), Ok(()), "some of it is UTF-8");
        let few = [b"caf\xe9\n".to_vec(), b"plain\n".repeat(20)].concat();
        assert_eq!(name(&few), Ok(()), "one line of many is a reject");
    }

    #[test]
    fn a_delimiter_is_found_where_the_usual_one_is_not() {
        for (line, usual, found) in [
            ("a,b", b',', b','),
            ("a;b;c", b',', b';'),
            ("a\tb", b',', b'\t'),
            ("a|b", b',', b'|'),
            ("a,b", b'\t', b','),
            ("\"a;b\"", b',', b','),
            ("a, b;c;d", b',', b','),
            ("text", b',', b','),
        ] {
            assert_eq!(delimiter_of(line.as_bytes(), usual), found, "{line}");
        }
    }
}
