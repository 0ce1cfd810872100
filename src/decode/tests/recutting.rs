//! Chunks that are taken over from an earlier version are those that cutting the whole file yields.

use super::*;
use crate::{
    decode::{FormerChunk, Given, Recutter},
    id::ChunkId,
};

const LINES: FileKind = FileKind { format: RowFormat::Jsonl, compression: Compression::None };

fn former(chunks: &[Chunk]) -> Vec<FormerChunk> {
    let former = |chunk: &Chunk| FormerChunk { digest: chunk.digest(), rows: chunk.rows, place: chunk.place };
    chunks.iter().map(former).collect()
}

/// Cuts as a build does: a chunk that is not what it was taken for is found out when `late` more were given. Returns the
/// chunks with how many were cut anew, or nothing where the earlier version is no help.
fn recut(
    file: &[u8],
    before: &[Chunk],
    size_before: usize,
    unchanged: u64,
    late: usize,
) -> Option<(Vec<Chunk>, usize)> {
    let Input::File(opened) = input(file) else { unreachable!() };
    let sizes = (file.len() as u64, size_before as u64);
    let mut recutter = Recutter::new(opened, LINES, sizes.0, former(before), sizes.1, unchanged)?;
    let mut given: Vec<(Chunk, Option<ChunkId>)> = Vec::new();
    let is_moved = |(chunk, digest): &(Chunk, Option<ChunkId>)| digest.is_some_and(|digest| digest != chunk.digest());
    loop {
        match recutter.next_chunk().unwrap() {
            Given::Former(stand, digest) => {
                let chunk = stand.chunk().unwrap();
                assert_eq!(stand.columns().unwrap(), chunk.columns());
                assert_eq!(stand.is(&digest).unwrap(), chunk.digest() == digest, "it is found out where it stands");
                given.push((chunk, Some(digest)));
            }
            Given::Fresh(chunk) => given.push((chunk, None)),
            Given::Wait => match given.iter().position(is_moved) {
                Some(moved) => {
                    recutter.reject(moved).unwrap();
                    given.truncate(moved);
                }
                None if recutter.go_on().unwrap() => {}
                None => break,
            },
        }
        if given.len() > late && given[..given.len() - late].iter().any(is_moved) {
            recutter.wait();
        }
    }
    let fresh = given.iter().filter(|(_, digest)| digest.is_none()).count();
    Some((given.into_iter().map(|(chunk, _)| chunk).collect(), fresh))
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
fn what_is_taken_over_is_what_cutting_yields() {
    let mut random = Random(3);
    for round in 0..60 {
        let count = 1 + random.below(3000);
        let mut rows = lines(&mut random, count);
        let before = rows.concat();
        let cut = chunks(LINES, &before).unwrap();
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
        let wanted = chunks(LINES, &after).unwrap();
        let alike = before.iter().zip(&after).take_while(|(then, now)| then == now).count() as u64;
        for (late, unchanged) in [(0, 0), (1, alike), (3, alike / 2), (100, 0), (100, alike)] {
            let (recut, _) = recut(&after, &cut, before.len(), unchanged, late).expect("lines from the first byte on");
            assert!(recut == wanted, "round {round}, found out {late} chunks later, {unchanged} bytes known");
        }
    }
}

#[test]
fn an_edit_cuts_one_chunk_anew_or_two() {
    let mut random = Random(4);
    let rows = lines(&mut random, 6000);
    let before = rows.concat();
    let cut = chunks(LINES, &before).unwrap();
    assert!(cut.len() > 12);
    let fresh = |rows: &[Vec<u8>]| recut(&rows.concat(), &cut, before.len(), 0, 2).unwrap().1;
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
    let file = rows(20_000);
    let cut = chunks(LINES, &file).unwrap();
    assert!(recut(&file, &cut, file.len(), 0, 0).is_some());
    assert!(recut(&file, &[], 0, 0, 0).is_none(), "there was nothing");
    let marked = [b"\xEF\xBB\xBF", &file[..]].concat();
    let marks = chunks(LINES, &marked).unwrap();
    assert!(recut(&file, &marks, marked.len(), 0, 0).is_none(), "it began behind a mark, which may be another now");
    let long = [&rows(10)[..], &vec![b'x'; MAX_ROW_BYTES + 10], b"\n", &rows(10)].concat();
    let longs = chunks(LINES, &long).unwrap();
    assert!(recut(&file, &longs, long.len(), 0, 0).is_none(), "a row too long to be read ended another chunk");
    let into = recut(&long, &cut, file.len(), 0, 0).unwrap().0;
    assert!(into == longs, "it may have one now");
    let Input::File(opened) = input(&file) else { unreachable!() };
    let array = FileKind { format: RowFormat::Json, ..LINES };
    assert!(Recutter::new(opened, array, file.len() as u64, former(&cut), file.len() as u64, 0).is_none());
}

#[test]
fn columns_are_those_of_the_first_row_that_can_be_read_wherever_it_is() {
    let row = "{\"first\":1,\"second\":2}\n";
    let bad = format!("{}\n", "no JSON ".repeat(60));
    for before in [0, 1, 500] {
        let file = format!("{}{row}{{\"third\":3}}\n", bad.repeat(before)).into_bytes();
        let cut = chunks(LINES, &file).unwrap();
        assert_eq!(cut.len(), 1);
        let Input::File(opened) = input(&file) else { unreachable!() };
        let size = file.len() as u64;
        let mut recutter = Recutter::new(opened, LINES, size, former(&cut), size, size).unwrap();
        let Given::Former(stand, _) = recutter.next_chunk().unwrap() else { panic!("it stands where it stood") };
        assert_eq!(stand.columns().unwrap().unwrap(), ["first", "second"], "{before}");
    }
}
