use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::{
    artifact::Blobs,
    hash::PIECE,
    id::FileHash,
    materialise::{FormerRow, GONE},
    system,
};

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Gather(#[from] GatherError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Miss(#[from] Miss),
    #[error("stopped")]
    Stopped,
}

/// Changes the bytes of a file.
type Damage<'d> = &'d dyn Fn(&mut Vec<u8>);

/// Rows of two sources in a store, and their orders.
struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    blocks: Vec<Block>,
    places: Vec<Vec<Place>>,
    /// For each candidate its line.
    lines: Vec<Vec<u8>>,
    interrupt: Arc<AtomicBool>,
    /// How many outputs were not written, because a former file holds them.
    stood: AtomicUsize,
    /// What former files hold, by digest.
    held: Mutex<HashMap<FileHash, Vec<u8>>>,
}

/// Lengths of the outputs of the fixture, in rows: several pieces, part of one, nothing.
const ROWS: [usize; 3] = [5000, 17, 0];

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let (mut blocks, mut places, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for block in 0..40_u32 {
            let (mut bytes, mut own) = (Vec::new(), Vec::new());
            // Some blocks have no candidates, and one row is longer than two pieces.
            for row in 0..if block % 7 == 3 { 0 } else { 100_u32 } {
                let length = if (block, row) == (9, 9) { PIECE * 5 / 2 } else { (row as usize * 37) % 2000 };
                let text = format!("{{\"text\":\"{block} {row} {}\"", "x".repeat(length));
                let start = bytes.len() as u32;
                bytes.extend_from_slice(text.as_bytes());
                own.push(Place { start, end: bytes.len() as u32, hash: xxh3_64(text.as_bytes()) });
                lines.push([text.as_bytes(), ending(block % 2).as_bytes()].concat());
            }
            let rows = store.put(&bytes).unwrap();
            blocks.push(Block { rows, bytes: bytes.len() as u64, source: block % 2, candidates: own.len() as u32 });
            places.push(own);
        }
        Self {
            folder,
            store,
            blocks,
            places,
            lines,
            interrupt: Arc::default(),
            stood: AtomicUsize::default(),
            held: Mutex::default(),
        }
    }

    /// Candidates in an order that jumps about, some of them twice and more.
    fn lists(&self) -> Vec<Vec<u32>> {
        let all = self.lines.len() as u32;
        let list = |rows: usize| (0..rows as u32).map(|i| i.wrapping_mul(2_654_435_761) % all).collect();
        ROWS.into_iter().map(list).collect()
    }

    fn bytes(&self, list: &[u32]) -> Vec<u8> {
        list.iter().flat_map(|candidate| &self.lines[*candidate as usize]).copied().collect()
    }

    fn gather(&self, lists: &[Vec<u32>], formers: Vec<Option<Former>>, memory: u64) -> Result<Vec<Vec<u8>>, Problem> {
        let orders: Vec<Order> = lists
            .iter()
            .map(|list| {
                let bytes: Vec<u8> = list.iter().flat_map(|row| row.to_le_bytes()).collect();
                Order { list: self.store.put(&bytes).unwrap(), rows: list.len() as u64 }
            })
            .collect();
        let rows = Rows {
            store: &self.store,
            blocks: self.blocks.clone(),
            endings: [0, 1].map(|source| ending(source).into_bytes()).into(),
            places: &|block| Ok::<_, Problem>(self.places[block].clone()),
            interrupt: &self.interrupt,
            check: &|| if self.interrupt.load(Ordering::Relaxed) { Err(Problem::Stopped) } else { Ok(()) },
        };
        let paths: Vec<_> = (0..lists.len()).map(|number| self.folder.path().join(format!("{number}.jsonl"))).collect();
        let mut sinks: Vec<Sink> = paths.iter().map(|path| Sink::new(path).unwrap()).collect();
        let stands = rows.gather(&orders, &mut sinks, formers, &Budget::new(memory), self.folder.path())?;
        let written = sinks.into_iter().zip(&paths).zip(stands).map(|((sink, path), stands)| {
            if let Some(Stands { digest, bytes }) = stands {
                self.stood.fetch_add(1, Ordering::Relaxed);
                let held = self.held.lock().unwrap()[&digest].clone();
                assert_eq!(held.len() as u64, bytes);
                return held;
            }
            let written = sink.finish().unwrap().expect("all pieces are there");
            let (digest, bytes) = (written.digest, written.bytes);
            written.put_in_place().unwrap();
            let read = system::read(path).unwrap();
            assert_eq!((FileHash::of(&read), read.len() as u64), (digest, bytes));
            read
        });
        Ok(written.collect())
    }

    /// A file of `list`, as a former build could have left it; `bytes` are what it holds now.
    fn former(&self, name: &str, list: &[u32], bytes: &[u8], is_gone: impl Fn(u32) -> bool) -> Option<Former> {
        let path = self.folder.path().join(name);
        system::replace(&path, bytes).unwrap();
        let row = |candidate: &u32| FormerRow {
            candidate: if is_gone(*candidate) { GONE } else { *candidate },
            bytes: self.lines[*candidate as usize].len() as u32,
        };
        let (file, digest) = (system::open(&path).unwrap(), FileHash::of(bytes));
        self.held.lock().unwrap().insert(digest, bytes.to_vec());
        Some(Former { file, digest, rows: list.iter().map(row).collect(), compared: Vec::new() })
    }
}

fn ending(source: u32) -> String {
    format!(",\"source\":\"{}\"}}\n", ["a", "bcd"][source as usize])
}

/// Runs on pools of one and of three threads.
fn on_pools(run: impl Fn() + Sync) {
    for threads in [1, 3] {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&run);
    }
}

#[test]
fn memory_and_buckets_write_the_same_bytes() {
    on_pools(|| {
        let fixture = Fixture::new();
        let lists = fixture.lists();
        let wanted: Vec<Vec<u8>> = lists.iter().map(|list| fixture.bytes(list)).collect();
        let none = || vec![None, None, None];
        assert!(fixture.gather(&lists, none(), u64::MAX).unwrap() == wanted, "in memory");
        assert!(fixture.gather(&lists, none(), 0).unwrap() == wanted, "through buckets");
    });
}

#[test]
fn what_a_former_file_holds_is_copied_and_whatever_else_it_holds_does_no_harm() {
    on_pools(|| {
        let fixture = Fixture::new();
        let lists = fixture.lists();
        let wanted: Vec<Vec<u8>> = lists.iter().map(|list| fixture.bytes(list)).collect();
        // Every fiftieth row was not there, another stood in the place of each hundredth, and candidates of 5 are gone.
        let long = 9 * 100 - 3 * 100 + 9;
        let then = |list: &[u32]| -> Vec<u32> {
            let kept = list.iter().enumerate().filter(|(i, _)| i % 50 != 49);
            kept.flat_map(|(i, candidate)| if i % 100 == 98 { vec![7, *candidate] } else { vec![*candidate] }).collect()
        };
        let former: Vec<Vec<u32>> = lists.iter().map(|list| then(list)).collect();
        let formers = |change: Damage<'_>| -> Vec<Option<Former>> {
            let make = |(number, list): (usize, &Vec<u32>)| {
                let mut bytes = fixture.bytes(list);
                change(&mut bytes);
                fixture.former(&format!("former {number}"), list, &bytes, |candidate| candidate % 97 == 5)
            };
            former.iter().enumerate().map(make).collect()
        };
        assert!(lists[0].contains(&(long as u32)), "a row of more than two pieces is copied, too");
        for memory in [u64::MAX, 1 << 20, 0] {
            assert!(fixture.gather(&lists, formers(&|_| {}), memory).unwrap() == wanted, "{memory} bytes");
        }
        let last = wanted[0].len() - 10_000;
        let damages: [Damage<'_>; 4] = [
            &|bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1),
            &|bytes| bytes.iter_mut().skip(last).take(1).for_each(|byte| *byte ^= 64),
            &|bytes| bytes.truncate(last),
            &|bytes| bytes.clear(),
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            assert!(fixture.gather(&lists, formers(damage), u64::MAX).unwrap() == wanted, "damage {number}");
        }
        // Blobs of rows that stay are not asked for, and a file in which all stay is not written.
        fixture.blocks.iter().for_each(|block| fixture.store.remove(&block.rows).unwrap());
        let held = |bytes: &[u8]| vec![fixture.former("whole", &lists[0], bytes, |_| false)];
        assert!(fixture.stood.swap(0, Ordering::Relaxed) > 0, "of the short output nothing has changed");
        let kept = fixture.gather(&lists[..1], held(&wanted[0]), u64::MAX).unwrap();
        assert!(kept[0] == wanted[0] && fixture.stood.swap(0, Ordering::Relaxed) == 1);
        let first = fixture.lines[lists[0][0] as usize].len();
        let kept = fixture.gather(&[lists[0][1..].to_vec()], held(&wanted[0]), u64::MAX).unwrap();
        assert!(kept[0] == wanted[0][first..], "a row less");
        let mut damaged = wanted[0].clone();
        let at = damaged.len() - 3;
        damaged[at] ^= 1;
        for held in [held(&damaged), held(&[&wanted[0][..], b"\n"].concat())] {
            fixture.gather(&lists[..1], held, u64::MAX).ok();
        }
        assert_eq!(fixture.stood.load(Ordering::Relaxed), 0, "a file that holds something else is none of them");
        let missing = fixture.gather(&lists[1..2], vec![None], u64::MAX).unwrap_err();
        assert!(matches!(missing, Problem::Miss(_)), "{missing}");
    });
}

#[test]
fn what_was_found_by_its_hash_is_compared_with_its_block() {
    on_pools(|| {
        let mut fixture = Fixture::new();
        let lists = vec![(0..300).collect::<Vec<u32>>()];
        let wanted = fixture.bytes(&lists[0]);
        // Another row in its place, as long and, so let it seem, of the same hash.
        let (line, place) = (&fixture.lines[150], &mut fixture.places[1][50]);
        let at = wanted.windows(line.len()).position(|window| window == line).unwrap();
        let mut other = wanted.clone();
        other[at + 20] ^= 1;
        place.hash = xxh3_64(&other[at..at + (place.end - place.start) as usize]);
        let gather = |bytes: &[u8], compared: &[usize]| {
            let former = fixture.former("former", &lists[0], bytes, |_| false).unwrap();
            let former = Former { compared: compared.to_vec(), ..former };
            let gathered = fixture.gather(&lists, vec![Some(former)], u64::MAX).unwrap().remove(0);
            (gathered, fixture.stood.swap(0, Ordering::Relaxed))
        };
        assert!(gather(&other, &[1]) == (wanted.clone(), 0));
        assert!(gather(&other, &[]) == (other.clone(), 1), "by the hash alone it could be taken for the other");
        assert!(gather(&wanted, &[1]) == (wanted.clone(), 1), "the right one stands");
    });
}

#[test]
fn an_interrupt_ends_it() {
    let fixture = Fixture::new();
    fixture.interrupt.store(true, Ordering::Relaxed);
    for memory in [u64::MAX, 0] {
        let ended = fixture.gather(&fixture.lists(), vec![None, None, None], memory).unwrap_err();
        assert!(matches!(ended, Problem::Stopped), "{ended}");
    }
}
