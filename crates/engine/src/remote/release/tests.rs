//! Tests releases against objects in memory, with whatever may happen to them.

use std::{io, sync::atomic::Ordering};

use super::{
    PieceWriter, Release, ReleaseError, ReleaseName, ReleasedFile, ReleasedRecipe, Stored, create, each_part, find,
    list,
};
use crate::remote::{Remote, keys::PrivateKey, tests::Memory};

/// Bytes that look random, the same in every run (SplitMix64).
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
    };
    (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(length).collect()
}

/// Stores bytes; returns what stands for them, and the number of pieces that were added.
fn put(remote: &Remote, bytes: &[u8]) -> Result<(Stored, u64), ReleaseError> {
    let (is_interrupted, mut on_bytes) = (|| false, |_: u64| {});
    let mut pieces = PieceWriter::new(remote, &is_interrupted, &mut on_bytes);
    let stored = pieces.put(bytes, |_| unreachable!())?;
    Ok((stored, pieces.added))
}

fn get(remote: &Remote, stored: &Stored) -> Result<Vec<u8>, ReleaseError> {
    let mut bytes = Vec::new();
    each_part(remote, stored, &|| false, &mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })?;
    Ok(bytes)
}

fn release(stored: Stored) -> Release {
    release_of(vec![ReleasedFile { path: "sft_a_train.jsonl".into(), rows: 3, stored }])
}

/// The release `a@v1` of a recipe that has written these files.
pub(super) fn release_of(files: Vec<ReleasedFile>) -> Release {
    let stored = files[0].stored;
    Release {
        name: "a".into(),
        version: "v1".into(),
        created: "2026-12-01T00:00:00.000Z".into(),
        datac: "0.1.0".into(),
        recipes: vec![ReleasedRecipe {
            name: "sft/a".into(),
            path: "config/sft/a.yaml".into(),
            text: "metadata: { phase: sft }\n".into(),
            lock: stored,
            manifest: stored,
            files,
        }],
    }
}

#[test]
fn bytes_come_back_whatever_their_number() {
    let (remote, memory) = Memory::remote();
    for (seed, length) in
        [0, 1, 128 << 10, (128 << 10) + 1, (2 << 20) - 1, 2 << 20, 5 << 20, 40 << 20].into_iter().enumerate()
    {
        let bytes = noise(length, seed as u64);
        let (stored, _) = put(&remote, &bytes).unwrap();
        assert_eq!(stored.bytes, length as u64);
        assert!(get(&remote, &stored).unwrap() == bytes, "{length}");
        assert_eq!(put(&remote, &bytes).unwrap(), (stored, 0), "{length}: it is there");
    }
    let largest = memory.objects.lock().unwrap().values().map(Vec::len).max().unwrap();
    assert!(largest < 3 << 20, "{largest}");
}

#[test]
fn a_file_of_which_a_part_changes_shares_the_rest() {
    let (remote, _) = Memory::remote();
    let mut bytes = noise(20 << 20, 7);
    let (first, added) = put(&remote, &bytes).unwrap();
    assert!((15..80).contains(&added), "{added} pieces of half a MiB, and a list");
    // Something is put in, something else taken out.
    bytes.splice(9 << 20..9 << 20, noise(1001, 8));
    bytes.drain(15 << 20..(15 << 20) + 77);
    let (second, added) = put(&remote, &bytes).unwrap();
    assert!((3..=7).contains(&added), "{added}: two places, and the list");
    assert!(get(&remote, &second).unwrap() == bytes);
    assert_eq!(get(&remote, &first).unwrap().len(), 20 << 20);
}

#[test]
fn a_damaged_piece_is_named_and_released_again() {
    let (remote, memory) = Memory::remote();
    let bytes = noise(3 << 20, 3);
    let (stored, _) = put(&remote, &bytes).unwrap();
    let names: Vec<String> = memory.objects.lock().unwrap().keys().cloned().collect();
    assert!(names.len() > 3, "{names:?}");
    for (number, name) in names.iter().enumerate() {
        let sound = memory.objects.lock().unwrap()[name].clone();
        let harm: [Option<Vec<u8>>; 4] = [
            None,
            Some(Vec::new()),
            Some(sound[..sound.len() - 1].to_vec()),
            // Another piece, sound in itself.
            Some(memory.objects.lock().unwrap()[&names[(number + 1) % names.len()]].clone()),
        ];
        for bad in harm {
            let mut objects = memory.objects.lock().unwrap();
            match &bad {
                Some(bad) => drop(objects.insert(name.clone(), bad.clone())),
                None => drop(objects.remove(name)),
            }
            drop(objects);
            let error = get(&remote, &stored).unwrap_err().to_string();
            let piece = name.rsplit('/').next().unwrap().get(..8).unwrap().to_owned();
            let how = if bad.is_some() { "damaged" } else { "missing" };
            assert_eq!(error, format!("the piece {piece} is {how} in the shared cache"));
            assert_eq!(put(&remote, &bytes).unwrap(), (stored, 1), "{name}");
            assert!(get(&remote, &stored).unwrap() == bytes);
        }
    }
}

#[test]
fn pieces_that_are_not_those_of_the_file_are_refused() {
    let (remote, _) = Memory::remote();
    let (one, two) = (put(&remote, &noise(3 << 20, 1)).unwrap().0, put(&remote, &noise(3 << 20, 2)).unwrap().0);
    // Whoever signs that is trusted, and may still be wrong.
    for wrong in [
        Stored { pieces: two.pieces, ..one },
        Stored { bytes: one.bytes - 1, ..one },
        Stored { bytes: u64::MAX, ..one },
        Stored { pieces: None, ..one },
        Stored { bytes: 0, pieces: None, ..one },
        Stored { bytes: 1 << 40, pieces: None, ..one },
    ] {
        assert!(get(&remote, &wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_cut_off_before_the_document_is_not_seen_and_goes_on() {
    let (key, bytes) = (PrivateKey::generate("a").unwrap(), noise(30 << 20, 5));
    let name = ReleaseName::parse("a@v1").unwrap();
    let is_trusted = |other: &_| *other == key.public();
    let (whole, _) = put(&Memory::remote().0, &bytes).unwrap();
    for writes in [0, 1, 20, 40] {
        let (remote, memory) = Memory::remote();
        memory.writes_left.store(writes, Ordering::SeqCst);
        put(&remote, &bytes).unwrap_err();
        assert_eq!(list(&remote).unwrap(), []);
        assert!(find(&remote, &name, is_trusted).unwrap().is_none());
        let there = memory.objects.lock().unwrap().len();
        assert_eq!(there, writes);
        memory.writes_left.store(usize::MAX, Ordering::SeqCst);
        let (stored, added) = put(&remote, &bytes).unwrap();
        assert_eq!(stored, whole, "the same, wherever it began");
        assert_eq!(memory.objects.lock().unwrap().len(), there + added as usize);
        assert!(create(&remote, &release(stored), &key).unwrap());
        assert_eq!(list(&remote).unwrap(), std::slice::from_ref(&name));
        assert_eq!(find(&remote, &name, is_trusted).unwrap().unwrap().release, release(stored));
    }
}

#[test]
fn a_document_is_never_replaced() {
    let (remote, memory) = Memory::remote();
    let key = PrivateKey::generate("a").unwrap();
    let first = release(put(&remote, b"one").unwrap().0);
    let second = release(put(&remote, b"two").unwrap().0);
    assert!(create(&remote, &first, &key).unwrap());
    let before = memory.objects.lock().unwrap().clone();
    assert!(!create(&remote, &second, &key).unwrap());
    assert_eq!(*memory.objects.lock().unwrap(), before);
    let differences = first.differences(&second);
    assert!(differences[0].starts_with("`sft_a_train.jsonl` is "), "{differences:?}");
    let later = Release { created: "2027-01-01T00:00:00.000Z".into(), datac: "9.0.0".into(), ..first.clone() };
    assert_eq!(first.differences(&later), [] as [&str; 0]);
    let mut other = first.clone();
    other.recipes[0].text.push('#');
    assert_eq!(first.differences(&other), ["the text of `config/sft/a.yaml` differs"]);
    other.recipes.clear();
    assert_eq!(first.differences(&other), ["`sft/a` is not in it"]);
    assert_eq!(other.differences(&first), ["it also has `sft/a`"]);
}

#[test]
fn a_source_that_breaks_is_an_error() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    let (remote, _) = Memory::remote();
    let (is_interrupted, mut on_bytes) = (|| false, |_: u64| {});
    let mut pieces = PieceWriter::new(&remote, &is_interrupted, &mut on_bytes);
    let error = pieces.put(Broken, |error| ReleaseError::Fault(error.to_string())).unwrap_err();
    assert_eq!(error.to_string(), "broken");
    let is_interrupted = || true;
    let mut pieces = PieceWriter::new(&remote, &is_interrupted, &mut on_bytes);
    let error = pieces.put(b"row".as_slice(), |_| unreachable!()).unwrap_err();
    assert!(matches!(error, ReleaseError::Interrupted));
}
