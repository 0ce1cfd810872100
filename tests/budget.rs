//! What builds cost in counts: allocations, bytes through system calls, actions, and instructions where valgrind is
//! installed. Unlike seconds they are the same on a busy machine, so CI can hold them to `tests/budget.json`.
//!
//! A figure above its budget is a regression; one far below it is a gain that the budget should keep. Both fail, but for
//! instructions, which are fewer on better processors:
//! `SNAPSHOTS=overwrite cargo test --release --test budget` writes what was counted, and the change of that file is the
//! place to say why.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test reads the project's files, makes folders of its own, and says what it skips"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use datac::{BuildOptions, Settings, Workspace};

#[global_allocator]
static HEAP: Counted =
    Counted { blocks: AtomicU64::new(0), bytes: AtomicU64::new(0), held: AtomicI64::new(0), peak: AtomicI64::new(0) };

/// The system's allocator, and what was asked of it since [`Counted::reset`].
struct Counted {
    blocks: AtomicU64,
    bytes: AtomicU64,
    held: AtomicI64,
    peak: AtomicI64,
}

impl Counted {
    fn reset(&self) {
        self.blocks.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.held.store(0, Relaxed);
        self.peak.store(0, Relaxed);
    }

    /// Counts a block of `size` bytes, `more` of which were not held before.
    fn count(&self, size: usize, more: i64) {
        self.blocks.fetch_add(1, Relaxed);
        self.bytes.fetch_add(size as u64, Relaxed);
        let held = self.held.fetch_add(more, Relaxed) + more;
        self.peak.fetch_max(held, Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it came; counting allocates nothing.
#[expect(unsafe_code, reason = "there is no other way to count allocations")]
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size(), layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size(), layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size, size as i64 - layout.size() as i64);
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size() as i64, Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}

/// Figures by name, by scenario.
type Figures = BTreeMap<String, BTreeMap<String, u64>>;

/// How far a figure may be from its budget: threads meet in another order.
const TOLERANCE: f64 = 0.1;

/// How far the peak of the heap may be: it is the sum of what threads hold at one moment, and a busy machine moves those.
const TOLERANCE_OF_PEAKS: f64 = 0.5;

/// How far instructions may be above theirs; compilers differ, and so does what a processor has for hashing.
const TOLERANCE_OF_INSTRUCTIONS: f64 = 0.2;

/// What of `/proc/self/io` tells of work that was asked for, whatever the system caches.
#[cfg(target_os = "linux")]
fn io() -> BTreeMap<&'static str, u64> {
    let text = fs::read_to_string("/proc/self/io").expect("Linux counts what a process reads and writes");
    let names = [("rchar", "bytes read"), ("wchar", "bytes written"), ("syscr", "reads"), ("syscw", "writes")];
    let find = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
    names.iter().filter_map(|(name, shown)| Some((*shown, find(name)?))).collect()
}

#[cfg(not(target_os = "linux"))]
fn io() -> BTreeMap<&'static str, u64> {
    BTreeMap::new()
}

/// Builds once on one thread, and counts.
fn count(workspace: &Workspace) -> BTreeMap<String, u64> {
    let before = io();
    HEAP.reset();
    let report = workspace.build(&[], &BuildOptions { jobs: 1, ..BuildOptions::default() });
    let heap = [&HEAP.blocks, &HEAP.bytes].map(|count| count.load(Relaxed));
    let peak = HEAP.peak.load(Relaxed);
    let report = report.expect("the sample can be built");
    assert!(report.failure().is_none());
    let mut figures: BTreeMap<String, u64> = io()
        .into_iter()
        .map(|(name, after)| (name.to_owned(), after - before.get(name).copied().unwrap_or_default()))
        .collect();
    figures.insert("allocations".into(), heap[0]);
    figures.insert("bytes allocated".into(), heap[1]);
    figures.insert("peak heap".into(), peak.max(0) as u64);
    for (kind, count) in report.actions {
        figures.insert(format!("actions: {kind}"), count);
    }
    figures
}

fn copy_recipes(to: &Path) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in walkdir::WalkDir::new(project.join("config")) {
        let entry = entry.expect("recipes can be listed");
        let to = to.join(entry.path().strip_prefix(project).expect("they are below"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).expect("a folder can be made");
        } else {
            fs::copy(entry.path(), to).expect("a recipe can be copied");
        }
    }
}

/// Instructions of `datac build`; `None` where valgrind is not installed, or datac is not optimized (`cargo quick`).
fn instructions(folder: &Path) -> Option<u64> {
    if std::env::var_os("TESTS_UNOPTIMIZED").is_some() {
        println!("skipped: instructions are not counted, datac is not optimized");
        return None;
    }
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_datac")])
        .args(["build", "--quiet", "--hub", "sample", "-j1"])
        .env("RAYON_NUM_THREADS", THREADS.to_string())
        .current_dir(folder)
        .output();
    let Ok(run) = run else {
        println!("skipped: instructions are not counted, there is no `valgrind` here");
        return None;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let told = String::from_utf8_lossy(&run.stderr);
    let line = told.lines().find(|line| line.contains("Collected")).expect("callgrind says what it collected");
    line.rsplit(' ').next()?.parse().ok()
}

/// Some pages of the record, which are 4 KiB: keys fall on others when code is another.
const PAGES: f64 = 32_768.0;

/// Buffers of 64 KiB that a thread has once it has read something, whichever build that was in.
const BUFFERS: f64 = (THREADS * 64 * 1024) as f64;

/// A recipe over one local file.
const ROWS_RECIPE: &str = "metadata: { phase: sft }
datasets: [{ name: rows, source: rows.jsonl, format: jsonl, mix_ratio: 1.0 }]
validation: { ratio: 0.1, seed: 1 }
";

/// Threads that look at recipes: each has buffers of its own, so machines with more of them would count more.
const THREADS: usize = 2;

#[test]
fn builds_cost_what_they_may() {
    rayon::ThreadPoolBuilder::new().num_threads(THREADS).build_global().expect("nothing has run on rayon yet");
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy_recipes(folder.path());
    let open = || Workspace::open(Settings { hub: Some("sample".into()), ..Settings::new(folder.path()) });
    let edit = |from: &str, to: &str| {
        let path = folder.path().join("config/data/posttrain/sft/general.yaml");
        let text = fs::read_to_string(&path).expect("the recipe is there");
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).expect("it can be written");
    };
    let mut counted = Figures::new();
    counted.insert("cold, eight recipes of the sample".into(), count(&open()));
    counted.insert("nothing changed".into(), count(&open()));
    edit("seed: 42", "seed: 43");
    counted.insert("a seed changed".into(), count(&open()));
    edit("min_score: 0.2", "min_score: 0.6");
    counted.insert("a bound moved".into(), count(&open()));
    fs::remove_dir_all(folder.path().join("dataset")).expect("outputs were written");
    counted.insert("outputs restored".into(), count(&open()));

    // A file that is cut into some chunks, of which one is cut anew; the row goes into one of the two outputs.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).expect("it can be written");
    fs::create_dir_all(folder.path().join("config")).expect("a folder can be made");
    write("config/rows.yaml", ROWS_RECIPE);
    let row = |row: u32, words: usize| {
        let answer = "an answer of some words ".repeat(words);
        format!("{{\"instruction\":\"question {row}\",\"output\":\"{answer}\"}}\n")
    };
    let mut rows: Vec<String> = (0..5000).map(|number| row(number, 20)).collect();
    write("rows.jsonl", &rows.concat());
    let open = || Workspace::open(Settings::new(folder.path()));
    open().build(&[], &BuildOptions::default()).expect("it can be built");
    rows[2500] = row(5000, 21);
    write("rows.jsonl", &rows.concat());
    counted.insert("a row edited".into(), count(&open()));

    let valgrind = tempfile::tempdir().expect("a temporary folder");
    copy_recipes(valgrind.path());
    for scenario in ["instructions, cold", "instructions, nothing changed"] {
        if let Some(count) = instructions(valgrind.path()) {
            counted.insert(scenario.into(), BTreeMap::from([("instructions".to_owned(), count)]));
        }
    }
    hold(&counted);
}

/// Compares figures with their budget, or writes them down as the new one.
fn hold(counted: &Figures) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/budget.json");
    let written = fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned());
    let mut budget: Figures = serde_json::from_str(&written).expect("the budget is JSON");
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        budget.extend(counted.clone());
        let text = serde_json::to_string_pretty(&budget).expect("figures are plain data");
        fs::write(&path, text + "\n").expect("the budget can be written");
        return;
    }
    let mut faults = String::new();
    for (scenario, figures) in counted {
        let allowed = budget.get(scenario).cloned().unwrap_or_default();
        // Not every system counts everything, but actions are counted on all.
        let actions = allowed.keys().filter(|name| name.starts_with("actions"));
        for name in figures.keys().chain(actions).collect::<BTreeSet<_>>() {
            let (now, then) = (figures.get(name).copied().unwrap_or(0), allowed.get(name).copied().unwrap_or(0));
            let is_off = match name.as_str() {
                name if name.starts_with("actions") => now != then,
                "instructions" => now as f64 > (1.0 + TOLERANCE_OF_INSTRUCTIONS) * then as f64,
                "peak heap" => now.abs_diff(then) as f64 > TOLERANCE_OF_PEAKS * then as f64 + BUFFERS,
                "bytes allocated" => now.abs_diff(then) as f64 > TOLERANCE * then as f64 + BUFFERS,
                // Systems differ in what a process reads of them to learn of its processors.
                "bytes read" => now.abs_diff(then) as f64 > TOLERANCE * then as f64 + PAGES,
                // Where nothing was written, nothing may be.
                "bytes written" if then > 0 => now.abs_diff(then) as f64 > TOLERANCE * then as f64 + PAGES,
                _ => now.abs_diff(then) as f64 > TOLERANCE * then as f64 + 64.0,
            };
            if is_off {
                writeln!(faults, "{scenario}: {name} {now}, the budget is {then}").expect("a String");
            }
        }
    }
    assert!(faults.is_empty(), "{faults}\nto make this the budget: SNAPSHOTS=overwrite");
}
