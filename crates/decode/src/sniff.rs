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
    if is_columns(format) && head.is_empty() {
        return Err(DecodeError::Empty);
    }
    if format == RowFormat::Parquet && !is_parquet {
        let (what, write) = match head {
            _ if compression_of(head).is_some() => ("compressed as a whole", None),
            _ if is_text(head) => ("text", Some("jsonl")),
            _ => return Ok(()),
        };
        return Err(DecodeError::IsOther { what, format: format.name(), write });
    }
    match head {
        [0xFF, 0xFE, ..] if !is_columns(format) => Err(DecodeError::Encoding { name: Some("UTF-16LE"), line: 1 }),
        [0xFE, 0xFF, ..] if !is_columns(format) => Err(DecodeError::Encoding { name: Some("UTF-16BE"), line: 1 }),
        [b'P', b'K', 3, 4, ..] if !is_columns(format) => {
            Err(DecodeError::IsOther { what: "a zip archive", format: format.name(), write: None })
        }
        _ => Ok(()),
    }
}

fn is_columns(format: RowFormat) -> bool {
    matches!(format, RowFormat::Parquet | RowFormat::Arrow)
}

/// Whether bytes are text, as far as that can be told.
pub(super) fn is_text(head: &[u8]) -> bool {
    !head.is_empty() && head.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Refuses text that is in another encoding than UTF-8: a quarter of its lines, and of lines beyond ASCII nearly all. Bytes that
/// fit Windows-1252, as which Latin-1 is read everywhere, are told by the letters around them.
///
/// A few such lines among others, and bytes that are no text at all, are rejected one by one.
pub(super) fn check_text(head: &[u8]) -> Result<(), DecodeError> {
    // The bytes at hand may end in the middle of a character.
    let is_cut = |error: std::str::Utf8Error| error.error_len().is_none();
    let is_utf8 = || std::str::from_utf8(head).map_or_else(is_cut, |_| true);
    if head.is_ascii() || is_utf8() || memchr::memchr2(0, 0xFF, head).is_some() {
        return Ok(());
    }
    let whole = &head[..memchr::memrchr(b'\n', head).map_or(head.len(), |end| end + 1)];
    let (mut lines, mut utf8, mut others, mut first) = (0_u64, 0_u64, 0_u64, None);
    let (mut letters, mut beyond) = (0, 0);
    for (number, line) in (1..).zip(whole.split(|byte| *byte == b'\n')) {
        lines += u64::from(!line.trim_ascii().is_empty());
        if line.is_ascii() {
            continue;
        }
        if std::str::from_utf8(line).is_ok() {
            utf8 += 1;
            continue;
        }
        others += 1;
        first.get_or_insert(number);
        for word in line.split(|byte| byte.is_ascii() && !byte.is_ascii_alphabetic()).filter(|word| !word.is_ascii()) {
            letters += word.iter().filter(|byte| byte.is_ascii()).count();
            beyond += word.iter().filter(|byte| **byte >= 0x91).count();
        }
    }
    match first {
        Some(line) if others * 4 >= lines && others >= utf8 * 8 => {
            Err(DecodeError::Encoding { name: (letters >= beyond && beyond > 0).then_some("WINDOWS-1252"), line })
        }
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
        let name = |text: &[u8]| match check_text(text) {
            Ok(()) => "UTF-8 or rejects".to_owned(),
            Err(DecodeError::Encoding { name, line }) => format!("{} in line {line}", name.unwrap_or("another")),
            Err(error) => error.to_string(),
        };
        let fine = "UTF-8 or rejects";
        assert_eq!(name("id,text\n1,café\n".as_bytes()), fine);
        assert_eq!(name(b"id,text\n1,caf\xe9\n"), "WINDOWS-1252 in line 2");
        assert_eq!(name(b"{\"text\":\"Gr\xfc\xdfe f\xfcr alle\"}\n"), "WINDOWS-1252 in line 1");
        assert_eq!(name(b"{\"text\":\"\xc4\xe3\xba\xc3\xca\xc0\xbd\xe7\"}\n"), "another in line 1", "GB18030");
        assert_eq!(name(b"text\n\xcf\xf0\xe8\xe2\xe5\xf2\n"), "another in line 2", "Windows-1251");
        assert_eq!(name(b"text\n\x93\xfa\x96{\x8c\xea\n"), "another in line 2", "Shift JIS");
        assert_eq!(name(b"{\"a\":\"\xff\xfe\"}\n"), fine, "bytes of no text are a reject");
        assert_eq!(name(b"\xc3\xa9\ncaf\xe9\n"), fine, "some of it is UTF-8");
        let cut = "你".repeat(100).into_bytes();
        assert_eq!(name(&cut[..200]), fine, "a character is cut where the bytes at hand end");
        let few = [b"caf\xe9\n".to_vec(), b"plain\n".repeat(20)].concat();
        assert_eq!(name(&few), fine, "one line of many is a reject");
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
