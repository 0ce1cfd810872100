use super::*;

use datac_core::id::BlobId;

/// Returns bytes that cannot be compressed.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let bytes = (0..length.div_ceil(32) as u32)
        .flat_map(|i| *blake3::hash(&[seed, i].map(u32::to_le_bytes).concat()).as_bytes());
    bytes.take(length).collect()
}

#[test]
fn a_damaged_blob_is_a_miss_once_and_then_absent() {
    let folder = tempfile::tempdir().unwrap();
    for length in [100, 2 * SMALL] {
        let store = Store::alone(folder.path());
        let (rows, others) = (noise(1, length), noise(2, length));
        let digest = store.put(&rows).unwrap();
        assert_eq!(*store.get(&digest).unwrap(), rows);

        codec::compress(&others, |frame| match length > SMALL {
            true => drop(system::replace(&store.path(&digest), frame).unwrap()),
            false => store.record.note_frame(digest, frame),
        })
        .unwrap();
        store.record.flush().unwrap();
        let miss = store.get(&digest).unwrap_err();
        let wrong = MissReason::Damaged("its digest does not match".into());
        assert_eq!(miss.reason, wrong, "swapped entries are found");
        assert_eq!(store.get(&digest).unwrap_err().reason, MissReason::Absent);

        store.put(&rows).unwrap();
        assert_eq!(*store.get(&digest).unwrap(), rows, "a rebuild heals it");
    }
}

#[test]
fn small_blobs_lie_in_the_record_and_are_there_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = (Store::alone(folder.path()), Store::alone(folder.path()));
    let blobs: Vec<Vec<u8>> = (0..200).map(|seed| noise(seed, seed as usize * 120)).collect();
    let digests: Vec<BlobId> = blobs.iter().map(|blob| store.put(blob).unwrap()).collect();
    let is_whole = |store: &Store| {
        digests
            .iter()
            .zip(&blobs)
            .all(|(digest, blob)| store.has(&[*digest]) == [true] && *store.get(digest).unwrap() == *blob)
    };
    assert!(is_whole(&store));
    let small = digests.iter().filter(|digest| !system::exists(&store.path(digest)));
    let small: Vec<BlobId> = small.copied().collect();
    assert!(small.len() > 100 && small.len() < 150, "{}", small.len());
    assert!(small.iter().all(|digest| other.has(&[*digest]) == [false]), "they wait");
    store.record.flush().unwrap();
    assert_eq!(store.record.unrecorded_bytes(), 0);
    assert!(is_whole(&other) && is_whole(&store));
    other.remove_all(&digests[..120]).unwrap();
    assert!(digests[..120].iter().all(|digest| store.has(&[*digest]) == [false]));
    assert!(digests[120..].iter().all(|digest| store.has(&[*digest]) == [true]));
}

#[test]
fn few_small_blobs_wait_whoever_puts_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::alone(folder.path());
    let most = (0..2 * MOST_WAITING as u32 / 15_000)
        .map(|seed| {
            store.put(&noise(seed, 15_000)).unwrap();
            store.record.unrecorded_bytes()
        })
        .max();
    assert!(most.is_some_and(|most| most > MOST_WAITING / 2 && most <= MOST_WAITING), "{most:?}");
}

#[test]
fn a_small_blob_that_is_removed_before_it_is_written_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::alone(folder.path());
    let digest = store.put(b"rows").unwrap();
    store.remove(&digest).unwrap();
    assert!(store.has(&[digest]) == [false] && store.record.unrecorded_bytes() == 0);
    store.record.flush().unwrap();
    assert!(store.has(&[digest]) == [false]);
}

#[test]
fn every_single_bit_flip_is_found_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::alone(folder.path());
    let bytes: Vec<u8> = (0..2000_u32).flat_map(|i| (i % 97).to_le_bytes()).collect();
    let digest = store.put(&bytes).unwrap();
    let frame = codec::compress(&bytes, <[u8]>::to_vec).unwrap();
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        store.record.note_frame(digest, &damaged);
        match store.get(&digest) {
            Ok(read) => assert_eq!(*read, bytes, "bit {bit}"),
            Err(miss) => assert!(matches!(miss.reason, MissReason::Damaged(_)), "{miss}"),
        }
    }
}

#[test]
fn a_large_blob_is_stored_and_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::alone(folder.path());
    for length in [0, 1, PART, PART + 1, 3 * PART - 4] {
        let bytes: Vec<u8> = (0..length as u32).map(|i| i.wrapping_mul(0x9E37_79B9).to_le_bytes()[3]).collect();
        let fill = |push: &mut dyn FnMut(&[u8]) -> Result<(), FileError>| bytes.chunks(1000).try_for_each(push);
        let digest = store.put_parts(length as u64, fill).unwrap();
        assert_eq!(digest, BlobId::of(&bytes));
        assert_eq!(**store.get(&digest).unwrap(), bytes, "as any other blob");
        let mut read = Vec::new();
        let push = |part: &[u8]| {
            read.extend_from_slice(part);
            Ok::<_, Miss>(())
        };
        store.each_part(&digest, push).unwrap();
        assert_eq!(read, bytes);
    }
    let names = system::names(&folder.path().join(BLOBS).join("00"));
    assert!(names.iter().all(|name| !Replacement::is_left_over(&name.to_string_lossy())), "nothing is left behind");

    let of = |fill| store.put_parts(2 << 20, |push| push(&noise(fill, 2 << 20))).map_err(|e: FileError| e).unwrap();
    let (one, two) = (of(1), of(2));
    system::replace(&store.path(&one), &system::read(&store.path(&two)).unwrap()).unwrap();
    let miss = store.each_part(&one, |_| Ok::<_, Miss>(())).unwrap_err();
    assert_eq!(miss.reason, MissReason::Damaged("its digest does not match".into()));
    assert_eq!(store.each_part(&one, |_| Ok::<_, Miss>(())).unwrap_err().reason, MissReason::Absent);
    let frame = system::read(&store.path(&two)).unwrap();
    system::replace(&store.path(&two), &frame[..frame.len() - 1]).unwrap();
    let miss = store.each_part(&two, |_| Ok::<_, Miss>(())).unwrap_err();
    assert!(matches!(miss.reason, MissReason::Damaged(_)), "{miss}");
}

#[test]
fn recent_blobs_are_served_from_memory_up_to_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::alone(folder.path());
    let digests: Vec<BlobId> = (0..9_u8).map(|i| store.put_recent(vec![i; RECENT_BYTES / 8]).unwrap()).collect();
    store.remove_all(&digests).unwrap();
    assert_eq!(store.get(&digests[8]).unwrap()[0], 8);
    assert_eq!(store.get(&digests[0]).unwrap_err().reason, MissReason::Absent);
}
