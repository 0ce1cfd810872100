use proptest::prelude::{Strategy, any};

use super::*;
use crate::system;
use datac_core::{
    encoded::{EncodedSample, EncodedSamples, Notes, RoleTokens, Sequence, TrainedRun, WhyTrained},
    sample::{self, Body, Message, Role, SAMPLES_VERSION, Sample, SampleIndex},
    shape::{self, Shape, facts::Facts, messages::Messages, native::Native, tokens::Tokens},
};

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Miss(#[from] Miss),
    #[error("stopped")]
    Stopped,
}

/// Samples of two sources in a store.
struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    blocks: Vec<Block>,
    places: Vec<Vec<Slot>>,
    /// The line of each candidate.
    lines: Vec<Vec<u8>>,
    interrupt: Arc<AtomicBool>,
}

const SOURCES: [&str; 2] = ["a", "\"b\u{2028}"];

/// Number of rows of each output: several segments, part of one, and none.
const ROWS: [usize; 3] = [5000, 17, 0];

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let (mut blocks, mut places, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for block in 0..40_u32 {
            let (mut blob, mut index) = (Vec::new(), SampleIndex::default());
            // Some blocks have no candidates, and one sample is longer than two segments.
            for row in 0..if block % 7 == 3 { 0 } else { 100_u32 } {
                let length = if (block, row) == (9, 9) { SEGMENT as usize * 5 / 2 } else { (row as usize * 37) % 2000 };
                let text = format!("{block} \"{row}\" {}", "x".repeat(length));
                let sample = Sample::from(Body::Text { text: text.into() });
                index.push(row, &sample, &mut blob, &mut Vec::new());
                lines.push([line(&sample, SOURCES[block as usize % 2]), b"\n".to_vec()].concat());
            }
            let place = |at: usize| {
                let (range, row_hash) = (index.range(at), index.row_hash[at]);
                Slot { start: range.start as u32, end: range.end as u32, row_hash }
            };
            let own: Vec<Slot> = (0..index.len()).map(place).collect();
            let digest = store.put(&blob).unwrap();
            let (bytes, candidates) = (blob.len() as u64, own.len() as u32);
            blocks.push(Block { blob: digest, bytes, source: block % 2, candidates, is_new: false });
            places.push(own);
        }
        Self { folder, store, blocks, places, lines, interrupt: Arc::default() }
    }

    /// Returns orders that jump between blocks and use some candidates more than once.
    fn lists(&self) -> Vec<Vec<u32>> {
        let all = self.lines.len() as u32;
        let list = |rows: usize| (0..rows as u32).map(|i| i.wrapping_mul(2_654_435_761) % all).collect();
        ROWS.into_iter().map(list).collect()
    }

    fn bytes(&self, list: &[u32]) -> Vec<u8> {
        list.iter().flat_map(|candidate| &self.lines[*candidate as usize]).copied().collect()
    }

    fn write(&self, lists: &[Vec<u32>], memory: u64) -> Result<Vec<Vec<u8>>, Problem> {
        self.write_with(lists, None, memory)
    }

    /// Writes outputs while files with the bytes `in_place` are in place.
    fn write_with(
        &self,
        lists: &[Vec<u32>],
        in_place: Option<&[Vec<u8>]>,
        memory: u64,
    ) -> Result<Vec<Vec<u8>>, Problem> {
        let orders: Vec<Order> = lists
            .iter()
            .map(|list| {
                let bytes: Vec<u8> = list.iter().flat_map(|row| row.to_le_bytes()).collect();
                Order::whole(self.store.put(&bytes).unwrap(), list.len() as u64)
            })
            .collect();
        let rows = Rows {
            store: &self.store,
            blocks: self.blocks.clone(),
            encoder: Arc::new(Encoder::new(&Native, SOURCES.into_iter())),
            places: &|block| Ok::<_, Problem>(self.places[block].clone()),
            interrupt: &self.interrupt,
            check: &|| if self.interrupt.load(Ordering::Relaxed) { Err(Problem::Stopped) } else { Ok(()) },
        };
        let paths: Vec<_> = (0..lists.len()).map(|number| self.folder.path().join(format!("{number}.jsonl"))).collect();
        let at_hand = in_place.map(|files| {
            let reuse = |(number, bytes): (usize, &Vec<u8>)| {
                let path = self.folder.path().join(format!("in place {number}"));
                system::replace(&path, bytes).unwrap();
                crate::edit::reuse_output(&path, &Native).unwrap()
            };
            files.iter().enumerate().map(reuse).collect()
        });
        let begin = |output: usize| OutputFile::new(&paths[output]);
        let files = rows.write(&orders, &begin, at_hand, &Budget::new(memory), self.folder.path())?;
        let written = files.iter().zip(&paths).map(|(file, path)| {
            let written = file.finish().expect("all segments are there");
            let (digest, bytes) = (written.digest, written.bytes);
            written.synced().unwrap().put_in_place().unwrap();
            let read = system::read(path).unwrap();
            assert_eq!((datac_core::id::FileHash::of(&read), read.len() as u64), (digest, bytes));
            read
        });
        Ok(written.collect())
    }
}

/// Returns a row's line, written by the simplest code possible.
fn line(sample: &Sample<'_>, source: &str) -> Vec<u8> {
    let (mut blob, mut index) = (Vec::new(), SampleIndex::default());
    index.push(0, sample, &mut blob, &mut Vec::new());
    shape::row(&Native, &sample::at(&blob, index.range(0)).unwrap(), source).unwrap()
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
        assert!(wanted[0].len() as u64 > 4 * SEGMENT);
        for memory in [u64::MAX, 64 << 20, 1 << 20, 0] {
            assert!(fixture.write(&lists, memory).unwrap() == wanted, "{memory} bytes");
        }
    });
}

#[test]
fn packed_rows_are_whole_wherever_their_samples_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new();
    let (mut blocks, mut places, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for block in 0..30_u32 {
        let (mut encoded, mut own) = (EncodedSamples::default(), Vec::new());
        for number in 0..100 {
            let length = 1 + (block * 100 + number) * 7919 % 900;
            // Some samples have a weight, for which there is no place.
            let weight = if length % 50 == 0 { 0.5 } else { 1.0 };
            let run = TrainedRun { start: 0, length, why: WhyTrained::All, message: None, weight };
            let sequence = Sequence { ids: (0..length).map(|id| id + number).collect(), runs: vec![run] };
            let sample = EncodedSample { row_hash: u64::from(block * 100 + number), sequences: vec![sequence] };
            encoded.push(&sample, Notes::default(), RoleTokens::default());
            let range = encoded.index.range(number as usize);
            own.push(Slot { start: range.start as u32, end: range.end as u32, row_hash: sample.row_hash });
            samples.push(sample);
        }
        let (blob, bytes) = (fixture.store.put(&encoded.bytes).unwrap(), encoded.bytes.len() as u64);
        blocks.push(Block { blob, bytes, source: block % 2, candidates: 100, is_new: true });
        places.push(own);
    }
    // Rows of one to seven samples, in two files.
    let list: Vec<u32> = (0..4000_u32).map(|at| at.wrapping_mul(2_654_435_761) % 3000).collect();
    let mut ends = vec![0];
    while *ends.last().unwrap() < 4000 {
        ends.push((ends.last().unwrap() + 1 + ends.len() as u32 % 7).min(4000));
    }
    ends.remove(0);
    let bytes: Vec<u8> = list.iter().flat_map(|number| number.to_le_bytes()).collect();
    let whole = Order::packed(fixture.store.put(&bytes).unwrap(), Arc::new(ends.clone()));
    let orders = [whole.part(0, 2), whole.part(1, 2)];
    let mut wanted = Vec::new();
    for (start, end) in [0].into_iter().chain(ends.iter().copied()).zip(&ends) {
        let row = list[start as usize..*end as usize].iter().map(|number| samples[*number as usize].clone());
        let row: Vec<EncodedSample> = row.filter(|sample| Tokens.check_packed(sample).is_ok()).collect();
        if !row.is_empty() {
            Tokens.write_packed(&row, &mut wanted);
            wanted.push(b'\n');
        }
    }
    assert!(wanted.len() as u64 > 4 * SEGMENT);
    on_pools(|| {
        for memory in [u64::MAX, 0] {
            let encoder = Arc::new(Encoder::new(&Tokens, SOURCES.into_iter()).of_target(Facts::default(), false));
            let rows = Rows {
                store: &fixture.store,
                blocks: blocks.clone(),
                encoder: encoder.clone(),
                places: &|block| Ok::<_, Problem>(places[block].clone()),
                interrupt: &fixture.interrupt,
                check: &|| Ok(()),
            };
            let begin = |output: usize| OutputFile::new(&folder.path().join(format!("{output}.jsonl")));
            let files = rows.write(&orders, &begin, None, &Budget::new(memory), folder.path()).unwrap();
            let mut written = Vec::new();
            for (number, file) in files.iter().enumerate() {
                file.finish().unwrap().synced().unwrap().put_in_place().unwrap();
                written.extend(system::read(&folder.path().join(format!("{number}.jsonl"))).unwrap());
            }
            assert!(written == wanted, "{memory} bytes");
            let unfit = list.iter().filter(|number| Tokens.check_packed(&samples[**number as usize]).is_err()).count();
            assert_eq!(encoder.unfit().len(), unfit);
        }
    });
}

#[test]
fn rows_in_place_are_copied_and_whatever_else_is_there_does_no_harm() {
    on_pools(|| {
        let mut fixture = Fixture::new();
        let lists = fixture.lists();
        let wanted: Vec<Vec<u8>> = lists.iter().map(|list| fixture.bytes(list)).collect();
        // The earlier output lacks every fiftieth row and has others in between.
        let then = |list: &Vec<u32>| -> Vec<u8> {
            let kept = list.iter().enumerate().filter(|(at, _)| at % 50 != 49);
            let rows = kept.flat_map(|(at, row)| if at % 100 == 98 { vec![7, 8, *row] } else { vec![*row] });
            fixture.bytes(&rows.collect::<Vec<u32>>())
        };
        let former: Vec<Vec<u8>> = lists.iter().map(then).collect();
        assert!(former[0] != wanted[0]);
        let write =
            |fixture: &Fixture, in_place: &[Vec<u8>]| fixture.write_with(&lists, Some(in_place), u64::MAX).unwrap();
        assert!(write(&fixture, &former) == wanted);
        assert!(write(&fixture, &wanted) == wanted);
        let damaged = |damage: &dyn Fn(&mut Vec<u8>)| -> Vec<Vec<u8>> {
            former.iter().cloned().map(|mut bytes| (damage(&mut bytes), bytes).1).collect()
        };
        for (number, in_place) in [
            damaged(&|bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1)),
            damaged(&|bytes| bytes.iter_mut().skip(5000).step_by(100_000).for_each(|byte| *byte ^= 64)),
            damaged(&|bytes| bytes.iter_mut().step_by(50).for_each(|byte| *byte ^= 1)),
            damaged(&|bytes| bytes.truncate(bytes.len() * 2 / 3 + 1)),
            damaged(&|bytes| bytes.reverse()),
            damaged(&|bytes| bytes.clear()),
            damaged(&|bytes| bytes.extend_from_slice(b"more")),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(write(&fixture, &in_place) == wanted, "damage {number}");
        }
        // Blobs of rows that stay are not read, unless this build made them.
        let gone = fixture.blocks[1].blob;
        fixture.store.remove(&gone).unwrap();
        assert!(write(&fixture, &wanted) == wanted);
        fixture.blocks[1].is_new = true;
        let ended = fixture.write_with(&lists, Some(&wanted), u64::MAX).unwrap_err();
        assert!(matches!(&ended, Problem::Output(OutputError::Missing(miss)) if miss.digest == gone), "{ended}");
    });
}

#[test]
fn blobs_that_do_not_fit_their_index_are_found() {
    let ends = |fixture: &Fixture, memory: u64| fixture.write(&fixture.lists(), memory).unwrap_err();
    for memory in [u64::MAX, 0] {
        let mut fixture = Fixture::new();
        fixture.places[1][50].end -= 1;
        assert!(matches!(ends(&fixture, memory), Problem::Output(OutputError::Mismatch)));
        fixture.places[1][50].end += 1;
        let blob = fixture.store.get(&fixture.blocks[0].blob).unwrap();
        let other = [&[SAMPLES_VERSION + 1], &blob[1..]].concat();
        fixture.blocks[0].blob = fixture.store.put(&other).unwrap();
        let ended = ends(&fixture, memory);
        assert!(
            matches!(&ended, Problem::Miss(miss) | Problem::Output(OutputError::Missing(miss)) if miss.digest == fixture.blocks[0].blob),
            "another version is a miss, not {ended}"
        );
        fixture.store.remove(&fixture.blocks[2].blob).unwrap();
        fixture.blocks[0].blob = fixture.store.put(&blob).unwrap();
        let ended = ends(&fixture, memory);
        assert!(matches!(ended, Problem::Miss(_) | Problem::Output(OutputError::Missing(_))), "{ended}");
    }
}

#[test]
fn a_sample_that_the_shape_cannot_hold_is_an_error() {
    let fixture = Fixture::new();
    let mut blob = Vec::new();
    let sample = Sample::from(Body::Text { text: "a text".into() });
    SampleIndex::default().push(0, &sample, &mut blob, &mut Vec::new());
    let encoder = Encoder::new(&Messages, SOURCES.into_iter());
    let error = encoder.append(&blob[1..], 1, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "write a sample of `\"b\u{2028}`: the shape has no place for anything but conversations"
    );
    drop(fixture);
}

#[test]
fn an_interrupt_ends_it() {
    on_pools(|| {
        let fixture = Fixture::new();
        fixture.interrupt.store(true, Ordering::Relaxed);
        for memory in [u64::MAX, 0] {
            let ended = fixture.write(&fixture.lists(), memory).unwrap_err();
            assert!(matches!(ended, Problem::Stopped), "{ended}");
        }
    });
}

/// Generates conversations of one exchange, prompts and texts.
fn plain() -> impl Strategy<Value = Sample<'static>> {
    let exchange = |(question, answer): (String, String)| {
        Sample::conversation(vec![Message::new(Role::User, question), Message::new(Role::Assistant, answer)])
    };
    let prompt = |question: String| Sample::prompt(vec![Message::new(Role::User, question)]);
    proptest::prop_oneof![
        (any::<String>(), any::<String>()).prop_map(exchange),
        any::<String>().prop_map(prompt),
        any::<String>().prop_map(|text| Body::Text { text: text.into() }.into()),
    ]
}

proptest::proptest! {
    #[test]
    fn an_encoder_writes_what_the_shape_writes(sample in plain()) {
        let (mut blob, mut out) = (Vec::new(), Vec::new());
        SampleIndex::default().push(0, &sample, &mut blob, &mut Vec::new());
        Encoder::new(&Native, SOURCES.into_iter()).append(&blob[1..], 1, &mut out).unwrap();
        proptest::prop_assert_eq!(out, [line(&sample, SOURCES[1]), b"\n".to_vec()].concat());
    }
}
