use std::io::{Seek, Write};

use super::*;
use datac_decode::{Input, MAX_ROW_BYTES};

const LINES: FileKind = FileKind { format: RowFormat::Jsonl, compression: Compression::None };

/// A generator of pseudo-random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 32)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// Returns the chunks of a file of lines by cutting all of it: the obvious way.
fn cut(bytes: &[u8]) -> Vec<Chunk> {
    let mut cutter = decode::open(Input::File(file(bytes)), LINES).unwrap();
    std::iter::from_fn(|| cutter.next_chunk().unwrap()).collect()
}

fn scan(chunks: &[Chunk]) -> ScanOutcome {
    let scanned = |chunk: &Chunk| ScannedChunk { digest: chunk.digest(), rows: chunk.rows, place: chunk.place };
    ScanOutcome {
        encoding: Encoding::JsonLines,
        header: Vec::new(),
        survey: Default::default(),
        chunks: chunks.iter().map(scanned).collect(),
        complete: true,
        pieces: Vec::new(),
    }
}

/// Returns the chunks of a file, reusing those of its earlier version, and how many were cut; `None` if the earlier
/// version is no help.
fn recut(now: &[u8], before: &[Chunk], then: usize, unchanged: u64) -> Option<(Vec<Chunk>, usize)> {
    let sizes = Sizes { then: then as u64, now: now.len() as u64, unchanged };
    let mut reused = ReusedChunks::new(file(now), LINES, sizes, &scan(before))?;
    let (mut chunks, mut fresh) = (Vec::new(), 0);
    while let Some(part) = reused.next_part().unwrap() {
        chunks.push(match part {
            Part::Cut(chunk) => {
                fresh += 1;
                chunk
            }
            Part::Reused(scanned) => {
                let chunk = reused.read(&scanned).unwrap();
                assert_eq!(chunk.digest(), scanned.digest);
                chunk
            }
        });
    }
    assert!(reused.next_part().unwrap().is_none(), "the end stays the end");
    Some((chunks, fresh))
}

fn lines(random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let mut line = |i: usize| {
        let length = if random.below(200) == 0 { 200_000 } else { random.below(3000) };
        let end = ["\n", "\n", "\n", "\r\n", "\n\n"][random.below(5)];
        let fill: String = (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        format!("{{\"text\":\"{i} {fill}\"}}{end}").into_bytes()
    };
    (0..count).map(&mut line).collect()
}

#[test]
fn reusing_chunks_yields_what_cutting_yields() {
    let mut random = Random(3);
    for round in 0..60 {
        let count = 1 + random.below(3000);
        let mut rows = lines(&mut random, count);
        let before = rows.concat();
        let then = cut(&before);
        for edit in 0..random.below(4) {
            let at = random.below(rows.len());
            let new = lines(&mut random, 1 + edit).concat();
            match random.below(8) {
                0 => rows.push(new),
                1 => rows.insert(0, new),
                2 => rows[at] = new,
                3 => drop(rows.remove(at)),
                4 => drop(rows.drain(at..(at + 900).min(rows.len()))),
                5 => rows[at] = vec![b' '; rows[at].len()],
                6 => rows.rotate_left(at),
                _ => rows[at].iter_mut().for_each(|byte| *byte ^= u8::from(*byte == b'q')),
            }
            if rows.is_empty() {
                rows.push(b"\n".to_vec());
            }
        }
        let mut after = rows.concat();
        match random.below(6) {
            0 => after.truncate(after.len() - after.len() / 3),
            1 => after.splice(0..0, *b"\xEF\xBB\xBF").for_each(drop),
            2 => after.extend_from_slice(b"   \n\n"),
            _ => {}
        }
        let wanted = cut(&after);
        let alike = before.iter().zip(&after).take_while(|(then, now)| then == now).count() as u64;
        for unchanged in [0, alike / 2, alike] {
            let (recut, _) = recut(&after, &then, before.len(), unchanged).expect("lines from the first byte on");
            assert!(recut == wanted, "round {round}, {unchanged} bytes known");
        }
    }
}

#[test]
fn an_edit_cuts_one_chunk_anew_or_two() {
    let mut random = Random(4);
    let rows = lines(&mut random, 6000);
    let before = rows.concat();
    let then = cut(&before);
    assert!(then.len() > 12);
    let fresh = |rows: &[Vec<u8>]| recut(&rows.concat(), &then, before.len(), 0).unwrap().1;
    assert_eq!(fresh(&rows), 0);
    for at in [0, 1, 2999, 3000, 5998, 5999] {
        let [mut edited, mut deleted, mut inserted] = [rows.clone(), rows.clone(), rows.clone()];
        edited[at] = b"{\"text\":\"another\"}\n".to_vec();
        deleted.remove(at);
        inserted.insert(at, b"{\"text\":\"new\"}\n".to_vec());
        for (what, rows) in [("edited", edited), ("deleted", deleted), ("inserted", inserted)] {
            assert!((1..=2).contains(&fresh(&rows)), "row {at} {what}: {} chunks", fresh(&rows));
        }
    }
    let appended = [&rows[..], &[b"{\"text\":\"new\"}\n".to_vec()]].concat();
    assert!((1..=2).contains(&fresh(&appended)));
    let mut several = appended;
    several[1000] = b"{\"text\":\"one\"}\n".to_vec();
    several.remove(3000);
    several.insert(4500, b"{\"text\":\"more than one\"}\n".to_vec());
    assert!((4..=8).contains(&fresh(&several)), "four places: {} chunks", fresh(&several));
}

#[test]
fn an_earlier_version_that_is_no_help_is_not_used() {
    let rows = |count: usize| (0..count).map(|i| format!("{{\"text\":\"{i}\"}}\n")).collect::<String>().into_bytes();
    let now = rows(20_000);
    let then = cut(&now);
    assert!(recut(&now, &then, now.len(), 0).is_some());
    assert!(recut(&now, &[], 0, 0).is_none(), "there was nothing");
    assert_eq!(recut(b"", &then, now.len(), 0).unwrap().0, [], "there is nothing any more");
    let marked = [b"\xEF\xBB\xBF", &now[..]].concat();
    assert!(recut(&now, &cut(&marked), marked.len(), 0).is_none(), "it began behind a mark, which may be another now");
    let long = [&rows(10)[..], &vec![b'x'; MAX_ROW_BYTES + 10], b"\n", &rows(10)].concat();
    let longs = cut(&long);
    assert!(recut(&now, &longs, long.len(), 0).is_none(), "a row too long to be read ended another chunk");
    assert!(recut(&long, &then, now.len(), 0).unwrap().0 == longs, "it may have one now");
    let new = |kind, scan| {
        let size = now.len() as u64;
        ReusedChunks::new(file(&now), kind, Sizes { then: size, now: size, unchanged: 0 }, &scan)
    };
    assert!(new(FileKind { format: RowFormat::Json, ..LINES }, scan(&then)).is_none());
    assert!(new(LINES, ScanOutcome { complete: false, ..scan(&then) }).is_none());
    assert!(new(LINES, ScanOutcome { encoding: Encoding::JsonArray, ..scan(&then) }).is_none());
    assert!(new(LINES, scan(&then)).is_some());
}
