//! Archives as their writers make them, and as they arrive: cut off, encrypted, or made to harm.

#[path = "../../../../tests/common/zip.rs"]
mod packed;

use packed::{Packed, zip};
use tar::EntryType;

use super::*;
use crate::{Place, Reading, open, open_as, reread};

const LINES: &[u8] = b"{\"a\": 1}\n{\"a\": 2}\n";

const ZIP: FileKind = FileKind { format: RowFormat::Zip, compression: Compression::None };
const TAR: FileKind = FileKind { format: RowFormat::Tar, compression: Compression::None };
const JSONL: FileKind = FileKind { format: RowFormat::Jsonl, compression: Compression::None };

/// Writes a tar archive.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

fn input(bytes: &[u8]) -> Input {
    Input::Static(Box::leak(bytes.to_vec().into_boxed_slice()))
}

fn list(archive: &[u8], kind: FileKind) -> Result<Vec<Member>, String> {
    members(input(archive), kind).map_err(|error| error.to_string())
}

fn bytes_of(archive: &[u8], kind: FileKind, member: &Member) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| error.to_string();
    let opened = unpack(input(archive), kind, member).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let mut stream = Stream::open(opened.checked().map_err(|error| error.to_string())?, Compression::None).unwrap();
    stream.as_read().read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn paths(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.path.as_str()).collect()
}

#[test]
fn every_file_of_an_archive_has_its_bytes() {
    let large: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let files: &[Packed<'_>] =
        &[("a.jsonl", LINES, 0), ("b/c.jsonl", &large, 8), ("d.jsonl", &large, 93), ("e", b"", 8)];
    let archive = zip(files);
    let found = list(&archive, ZIP).unwrap();
    assert_eq!(paths(&found), ["a.jsonl", "b/c.jsonl", "d.jsonl", "e"]);
    for (member, (_, bytes, _)) in found.iter().zip(files) {
        assert_eq!(member.size, bytes.len() as u64);
        assert!(bytes_of(&archive, ZIP, member).unwrap() == *bytes, "{}", member.path);
    }
    // What fits a header of a long name may end in a slash, as the names of folders do.
    let long = format!("{}x.jsonl", "dir/".repeat(60));
    let archive = tar(&[("a.jsonl", LINES), (&long, &large), ("e", b"")]);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Bzip2] {
        let kind = FileKind { format: RowFormat::Tar, compression };
        let packed = crate::tests::pack(compression, &archive, 1);
        let found = list(&packed, kind).unwrap();
        assert_eq!(paths(&found), ["a.jsonl", &long, "e"], "{kind}");
        assert!(bytes_of(&packed, kind, &found[1]).unwrap() == large, "{kind}");
        assert_eq!(bytes_of(&packed, kind, &found[2]).unwrap(), b"", "{kind}");
    }
}

#[test]
fn rows_of_a_member_are_found_again() {
    let lines: Vec<u8> = (0..60_000).flat_map(|row| format!("{{\"row\": {row}}}\n").into_bytes()).collect();
    for (archive, kind) in [
        (zip(&[("first", LINES, 0), ("rows.jsonl", &lines, 0)]), ZIP),
        (zip(&[("first", LINES, 0), ("rows.jsonl", &lines, 8)]), ZIP),
        (tar(&[("first", LINES), ("rows.jsonl", &lines)]), TAR),
    ] {
        let member = list(&archive, kind).unwrap().remove(1);
        let unpacked = || unpack(input(&archive), kind, &member).unwrap();
        let mut cutter = open(unpacked(), JSONL).unwrap();
        let chunks: Vec<_> = std::iter::from_fn(|| cutter.next_chunk().unwrap()).collect();
        assert!(chunks.len() > 1);
        assert_eq!(chunks.iter().map(|chunk| chunk.rows).sum::<u32>(), 60_000);
        let last = chunks.last().unwrap();
        let places: [(Place, u32); 1] = [(last.place, last.rows)];
        let mut again = Vec::new();
        let shape = (last.encoding, last.header.clone());
        reread(unpacked(), JSONL, shape, &places, |_, chunk| again.push(chunk.digest())).unwrap();
        assert_eq!(again, [last.digest()]);
    }
}

#[test]
fn columns_lie_in_archives_as_they_are() {
    let parquet = include_bytes!("../../../../assets/sample/openai/gsm8k/main/test-00000-of-00001.parquet").to_vec();
    let rows = |input: Input| {
        let kind = FileKind { format: RowFormat::Parquet, compression: Compression::None };
        let mut cutter = open_as(input, kind, &Reading::default())?;
        let mut rows = 0;
        while let Some(chunk) = cutter.next_chunk()? {
            rows += chunk.rows;
        }
        Ok::<_, DecodeError>(rows)
    };
    let all = rows(input(&parquet)).unwrap();
    for (archive, kind) in [(zip(&[("a.parquet", &parquet, 0)]), ZIP), (tar(&[("a.parquet", &parquet)]), TAR)] {
        let member = list(&archive, kind).unwrap().remove(0);
        assert_eq!(rows(unpack(input(&archive), kind, &member).unwrap()).unwrap(), all);
    }
    let archive = zip(&[("a.parquet", &parquet, 8)]);
    let member = list(&archive, ZIP).unwrap().remove(0);
    let unpacked = unpack(input(&archive), ZIP, &member).unwrap();
    assert!(matches!(unpacked, Input::Forward(_)), "whoever opens it copies it first");
    assert!(rows(unpacked).unwrap_err().to_string().contains("random access"));
}

#[test]
fn names_lead_nowhere() {
    let names = ["../../etc/a.jsonl", "/b.jsonl", "./c.jsonl", "d\\e.jsonl", "f\x1b[2J.jsonl", "folder/"];
    let archive = zip(&names.map(|name| (name, LINES, 0)));
    let expected = ["etc/a.jsonl", "b.jsonl", "c.jsonl", "d/e.jsonl", "f\\u{1b}[2J.jsonl"];
    assert_eq!(paths(&list(&archive, ZIP).unwrap()), expected);
}

#[test]
fn an_archive_that_was_cut_off_is_an_error_wherever_it_was_cut() {
    let archive = zip(&[("a.jsonl", LINES, 8), ("b.jsonl", LINES, 0)]);
    for length in 0..archive.len() {
        list(&archive[..length], ZIP).unwrap_err();
    }
    let archive = tar(&[("a.jsonl", LINES), ("b.jsonl", LINES)]);
    // Of the two blocks of zeros at the end, one is enough.
    for length in 0..archive.len() - 1023 {
        list(&archive[..length], TAR).unwrap_err();
    }
    assert_eq!(
        list(&archive[..1024], TAR).unwrap_err(),
        "list its files: it ends at byte 1024 without the mark that ends a tar file"
    );
    assert_eq!(list(&archive[..700], TAR).unwrap_err(), "list its files: it is cut off within `a.jsonl`");
    let gz = FileKind { format: RowFormat::Tar, compression: Compression::Gzip };
    let packed = crate::tests::pack(Compression::Gzip, &archive, 1);
    for length in 1..packed.len() {
        list(&packed[..length], gz).unwrap_err();
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let refusal = |archive: &[u8], kind| list(archive, kind).unwrap_err();
    let twice = "list its files: it has two files `a.jsonl`, and only one can be meant";
    assert_eq!(refusal(&zip(&[("a.jsonl", LINES, 0), ("./a.jsonl", LINES, 8)]), ZIP), twice);
    assert_eq!(refusal(&tar(&[("a.jsonl", LINES), ("a.jsonl", LINES)]), TAR), twice);
    assert_eq!(refusal(LINES, ZIP), "list its files: it is no zip archive");
    assert_eq!(refusal(&LINES.repeat(100), TAR), "list its files: it is no tar file");
    // Two entries of one member: a small archive that unpacks to any size.
    let archive = zip(&[("a.jsonl", LINES, 0), ("b.jsonl", LINES, 0)]);
    let offset = archive.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap() + 42;
    let mut shared = archive.clone();
    shared[offset..offset + 4].fill(0);
    assert_eq!(refusal(&shared, ZIP), "list its files: `a.jsonl` and `b.jsonl` share bytes");
}

#[test]
fn what_is_packed_otherwise_is_named() {
    let archive = zip(&[("a.jsonl", LINES, 14)]);
    let member = list(&archive, ZIP).unwrap().remove(0);
    assert_eq!(member.packing, Packing::Other(14));
    assert_eq!(member.packing.unreadable().unwrap().0, "is compressed by a method that is not read (14, LZMA)");
    let mut archive = zip(&[("a.jsonl", LINES, 8)]);
    let entry = archive.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    archive[entry + 8] |= 1;
    assert_eq!(list(&archive, ZIP).unwrap()[0].packing, Packing::Encrypted);
}

#[test]
fn bytes_that_are_not_what_the_archive_states_are_an_error() {
    for method in [0, 8, 93] {
        let archive = zip(&[("a.jsonl", LINES, method)]);
        let entry = archive.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
        let mut other = archive.clone();
        other[entry + 16] ^= 1;
        let member = list(&other, ZIP).unwrap().remove(0);
        let error = bytes_of(&other, ZIP, &member).unwrap_err();
        assert!(error.contains("does not have the checksum that the archive states"), "{method}: {error}");
        if method != 0 {
            for (size, says) in [(3_u32, "more bytes than"), (9_999, "before its end")] {
                let mut other = archive.clone();
                other[entry + 24..entry + 28].copy_from_slice(&size.to_le_bytes());
                let member = list(&other, ZIP).unwrap().remove(0);
                let error = bytes_of(&other, ZIP, &member).unwrap_err();
                assert!(error.contains(says), "{method}: {error}");
            }
        }
    }
}

#[test]
fn notes_without_end_take_no_memory() {
    // A name of eight gigabytes, as a header states it.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(8 << 30);
    header.set_cksum();
    let archive = [header.as_bytes().as_slice(), &[b'a'; 4096]].concat();
    assert!(list(&archive, TAR).unwrap_err().contains("is longer than 1024 KiB"));
}
