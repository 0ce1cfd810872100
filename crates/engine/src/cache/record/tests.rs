use super::*;

use datac_core::{
    id::{ActionKey, BlobId, FileHash},
    stage::Stage,
};

fn quiet() -> Warn {
    Arc::new(|_| {})
}

#[test]
fn a_record_of_another_version_is_begun_again_and_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (key, path) = (ActionKey::of(b"key"), folder.path().join(RECORD));
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    for _ in 0..2 {
        let warnings = told.clone();
        let warn = Arc::new(move |warning| warnings.lock().unwrap().push(warning));
        let record = Record::open(folder.path(), Access::Write, warn).unwrap();
        assert_eq!(record.outcome(&key).unwrap(), None);
        record.put(key, Stage::Convert, vec![1]);
        record.flush().unwrap();
        drop(record);
        // All tables are current: the state after going back to an older datac and forward again.
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
    }
    assert!(told.lock().unwrap().is_empty(), "{told:?}");
}

#[test]
fn outcomes_survive_the_process_and_damage_costs_only_work() {
    let folder = tempfile::tempdir().unwrap();
    let key = ActionKey::of(b"key");
    {
        let record = Record::open(folder.path(), Access::Write, quiet()).unwrap();
        record.put(key, Stage::Convert, vec![1, 2]);
        assert_eq!(record.outcome(&key).unwrap(), Some(vec![1, 2]), "noted is known");
        record.flush().unwrap();
    }
    {
        let record = Record::open(folder.path(), Access::Read, quiet()).unwrap();
        assert_eq!(record.outcome(&key).unwrap(), Some(vec![1, 2]));
    }
    let path = folder.path().join("record.sqlite");
    system::replace(&path, b"this is no database, and long enough to look at: ".repeat(99).as_slice()).unwrap();
    let told: Arc<Mutex<u32>> = Arc::default();
    let count = told.clone();
    let warn: Warn = Arc::new(move |_| *count.lock().unwrap() += 1);
    let record = Record::open(folder.path(), Access::Write, warn).unwrap();
    assert_eq!(record.outcome(&key).unwrap(), None);
    assert_eq!(*told.lock().unwrap(), 1);
}

#[test]
fn reading_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let record = Record::open(folder.path(), Access::Read, quiet()).unwrap();
    assert_eq!(record.recipes().unwrap().len(), 0);
    assert_eq!(system::list(folder.path()).unwrap(), []);
}

#[test]
fn a_young_file_is_hashed_again() {
    let folder = tempfile::tempdir().unwrap();
    let record = Record::open(folder.path(), Access::Write, quiet()).unwrap();
    let stat = Stat { size: 1, mtime_ns: 1_000_000_000, ctime_ns: 1_000_000_000, inode: 7 };
    let digest = FileHash::of(b"x");
    record.note_digest("f", &stat, &digest, stat.mtime_ns + 1_000);
    assert_eq!(record.digest_of("f", &stat).unwrap(), None, "hashed in the same tick as it was written");
    record.note_digest("f", &stat, &digest, stat.mtime_ns + 1_000_000_000);
    assert_eq!(record.digest_of("f", &stat).unwrap(), Some(digest));
    assert_eq!(record.digest_of("f", &Stat { size: 2, ..stat }).unwrap(), None);
}

#[test]
fn an_entry_with_a_flipped_bit_or_under_another_name_is_none() {
    let sealed = seal(b"key", &(7_u64, "text"));
    assert_eq!(unseal(b"key", &sealed).map(|value| postcard::from_bytes(value).unwrap()), Some((7_u64, "text")));
    assert_eq!(unseal(b"yek", &sealed), None);
    for bit in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(unseal(b"key", &damaged), None, "bit {bit}");
    }
    (0..sealed.len()).for_each(|length| assert_eq!(unseal(b"key", &sealed[..length]), None));
}

#[test]
fn what_a_full_disk_kept_from_being_written_is_there_and_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Record::open(folder.path(), Access::Write, quiet()).unwrap();
    let record = open();
    let limit = |pages: u32| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        record.on(|connection| connection.query_row(&sql, [], |_| Ok(()))).unwrap();
    };
    let frames: Vec<(BlobId, Vec<u8>)> = (0..50_u8).map(|i| (BlobId::of(&[i]), vec![i; 5000])).collect();
    frames.iter().for_each(|(digest, frame)| record.note_frame(*digest, frame));
    limit(1);
    assert!(record.flush().unwrap_err().is_full);
    let is_whole = |record: &Record| {
        frames.iter().all(|(digest, frame)| record.frame(digest).unwrap().is_some_and(|found| *found == **frame))
    };
    assert!(is_whole(&record) && open().has_frames(&[frames[0].0]) == [false]);
    assert_eq!(record.unrecorded_bytes(), 50 * 5000);
    limit(10_000);
    record.flush().unwrap();
    assert!(record.unrecorded_bytes() == 0 && is_whole(&open()));
}

#[test]
fn reads_that_share_a_lock_see_writes_and_keep_no_one_out_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let record = Record::open(folder.path(), Access::Write, quiet()).unwrap();
    let other = Record::open(folder.path(), Access::Write, quiet()).unwrap();
    let (one, two) = (ActionKey::of(b"one"), ActionKey::of(b"two"));
    {
        let _outer = record.together();
        let _inner = record.together();
        assert_eq!(record.outcome(&one).unwrap(), None);
        // A write of the process itself ends the shared lock, and the next read begins another.
        record.put(one, Stage::Convert, vec![1]);
        record.flush().unwrap();
        assert_eq!(record.outcome(&one).unwrap(), Some(vec![1]));
        assert_eq!(other.outcome(&one).unwrap(), Some(vec![1]), "others can read meanwhile");
    }
    other.put(two, Stage::Convert, vec![2]);
    other.flush().unwrap();
    assert_eq!(record.outcome(&two).unwrap(), Some(vec![2]));
}

#[test]
fn the_digests_of_many_files_are_those_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let record = Record::open(folder.path(), Access::Write, quiet()).unwrap();
    let stat = Stat { size: 1, mtime_ns: 1_000_000_000, ctime_ns: 1_000_000_000, inode: 7 };
    let (name, digest) = (|at: usize| format!("f{at}"), |at: usize| FileHash::of(&at.to_le_bytes()));
    let many = 3 * SINGLE_FILES;
    (0..many).for_each(|at| record.note_digest(&name(at), &stat, &digest(at), stat.mtime_ns * 2));
    record.flush().unwrap();
    for at in 0..many {
        assert_eq!(record.digest_of(&name(at), &stat).unwrap(), Some(digest(at)));
    }
    assert_eq!(record.digest_of("none", &stat).unwrap(), None);
    // What is written later is seen, though all were read before.
    record.note_digest(&name(1), &stat, &digest(2), stat.mtime_ns * 2);
    record.flush().unwrap();
    assert_eq!(record.digest_of(&name(1), &stat).unwrap(), Some(digest(2)));
}
