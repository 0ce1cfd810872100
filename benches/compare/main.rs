//! Whole processes side by side: `make bench`, or `cargo bench --bench compare [-- SECTION]`.
//!
//! Sections: `cold`, `none`, `edits`, `threads`, `scaling`, `large`; all but `large` (10 GB) by default. What a peer is
//! missing for is said and skipped. Every ratio is the median over pairs of runs in turn; on a busy machine trust the
//! ratio, not the seconds. `docs/performance.md` holds the figures of a quiet one.
#![expect(clippy::disallowed_methods, reason = "a benchmark sets up its own folders and processes")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints what it finds")]

mod floor;
mod measure;
mod picture;
mod trees;

use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    measure::{Candidate, Comparison, Cost, bytes_below, compare, in_turn, is_there, measure, shown},
    trees::{Fresh, copy, datac, many, one_source, one_source_of_pairs, pairs, project, rows},
};

/// Rows of the table: what was done, what it was compared with, and the figures.
struct Report {
    table: Table,
}

impl Report {
    fn new() -> Self {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["work", "datac", "beside", "", "ratio", "aim", "CPU", "peak"]);
        for column in [1, 3, 4, 6, 7] {
            table.column_mut(column).expect("it is there").set_cell_alignment(CellAlignment::Right);
        }
        Self { table }
    }

    fn pair(&mut self, work: &str, beside: &str, aim: &str, figures: Comparison) {
        println!("{work}: {} × {beside}", ratio(figures.ratio));
        self.table.add_row([
            work.to_owned(),
            shown(figures.ours.wall),
            beside.to_owned(),
            shown(figures.theirs.wall),
            ratio(figures.ratio),
            aim.to_owned(),
            format!("{} / {}", shown(figures.ours.cpu), shown(figures.theirs.cpu)),
            format!("{:.0} / {:.0} MiB", figures.ours.peak, figures.theirs.peak),
        ]);
    }

    fn one(&mut self, work: &str, aim: &str, cost: Cost) {
        println!("{work}: {}, {:.0} MiB", shown(cost.wall), cost.peak);
        let peak = format!("{:.0} MiB", cost.peak);
        self.table.add_row([work, &shown(cost.wall), "", "", "", aim, &shown(cost.cpu), &peak]);
    }
}

fn main() {
    if floor::is_for_it() {
        return;
    }
    // `cargo bench` passes `--bench`; words that are no options name sections.
    let sections: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |name: &str| if sections.is_empty() { name != "large" } else { sections.iter().any(|s| s == name) };
    let folder = tempfile::Builder::new().prefix("datac-bench-").tempdir_in(scratch()).expect("a folder can be made");
    let fresh = Fresh::below(folder.path());
    let mut report = Report::new();
    let hub = if ["cold", "none", "threads"].iter().any(|section| wants(section)) { full_hub() } else { None };
    if wants("cold") {
        cold(&mut report, &fresh, hub.as_deref());
    }
    if wants("none") {
        nothing_changed(&mut report, &fresh, hub.as_deref());
    }
    if wants("edits") {
        edits(&mut report, &fresh);
    }
    if wants("threads") {
        threads(&mut report, &fresh, hub.as_deref());
    }
    if wants("scaling") {
        scaling(&mut report, &fresh);
    }
    if wants("large") {
        large(&mut report, &fresh);
    }
    println!("\n{}", report.table);
}

fn scratch() -> PathBuf {
    let folder = project().join("target/bench");
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Where the peers' scripts and the generator of full-size stand-ins are: `$DATAC_SHARED`, else beside the project.
fn shared() -> PathBuf {
    std::env::var_os("DATAC_SHARED").map_or_else(|| project().join("../shared"), PathBuf::from)
}

/// A folder hub with the published numbers of rows, made once.
fn full_hub() -> Option<PathBuf> {
    let hub = scratch().join("hub-full");
    let generator = shared().join("tools/make_hub.py");
    if !hub.exists() {
        if !generator.exists() || !is_there("python3", &["--version"]) {
            eprintln!("skipped: full-size sources need python3 and {}", generator.display());
            return None;
        }
        let status = Command::new("python3").arg(&generator).arg(&hub).arg("--full").status();
        assert!(status.is_ok_and(|status| status.success()), "{} failed", generator.display());
    }
    Some(hub)
}

fn peer(name: &str, module: &str, hub: &Path, out: &Path) -> Option<Command> {
    let script = shared().join("tools/peers").join(format!("peer_{name}.py"));
    if !script.exists() || !is_there("python3", &["-c", &format!("import {module}")]) {
        eprintln!("skipped: {name} needs python3 with {module}, and {}", script.display());
        return None;
    }
    let mut command = Command::new("python3");
    command.arg(script).arg(hub).arg(out).env("HF_HOME", out.join("hf"));
    Some(command)
}

fn build<'c>(name: &'static str, fresh: &'c Fresh<'_>, hub: &'c Path, more: &'static [&str]) -> Candidate<'c> {
    Candidate::new(name, move || {
        let mut command = datac(&fresh.eight_once(), &["build", "-q"]);
        command.arg("--hub").arg(hub).args(more);
        command
    })
}

/// All eight recipes from an empty cache, which is written.
fn cold(report: &mut Report, fresh: &Fresh<'_>, hub: Option<&Path>) {
    let Some(hub) = hub else { return };
    let ours = build("datac", fresh, hub, &[]);
    for (name, module, aim, runs) in [("polars", "polars", "≤ 0.4", 7), ("datasets", "datasets", "≤ 0.05", 5)] {
        if peer(name, module, hub, &fresh.empty()).is_none() {
            continue;
        }
        let theirs =
            Candidate::new(name, || peer(name, module, hub, &fresh.once()).expect("it was there a moment ago"));
        report.pair("cold build, full counts", name, aim, compare(&ours, &theirs, runs));
    }
    let workspace = fresh.eight();
    run(datac(&workspace, &["build", "-q"]).arg("--hub").arg(hub));
    let (cache, outputs) = (bytes_below(&workspace.join("cache")), bytes_below(&workspace.join("dataset")));
    println!(
        "cache: {:.2} × the bytes of the outputs ({} MB of {} MB)",
        cache as f64 / outputs as f64,
        cache / 1_000_000,
        outputs / 1_000_000
    );

    let outputs = workspace.join("dataset");
    let least = Candidate::new("floor", || floor::command(hub, &outputs, &fresh.once()));
    let one = build("datac", fresh, hub, &["-j1"]);
    let figures = compare(&one, &least, 5);
    println!("CPU: {:.2} × the floor", figures.ours.cpu / figures.theirs.cpu);
    report.pair("cold build, -j1 (aim: CPU)", "floor", "≤ 1.5", figures);

    let missing = &workspace;
    let restore = Candidate::new("datac", move || {
        fs::remove_dir_all(missing.join("dataset")).expect("outputs were written");
        let mut command = datac(missing, &["build", "-q"]);
        command.arg("--hub").arg(hub);
        command
    });
    if is_there("zstd", &["--version"]) {
        let all = fresh.empty();
        let mut whole = fs::File::create(all.join("all")).expect("a file can be made");
        for entry in fs::read_dir(workspace.join("dataset")).expect("outputs were written").flatten() {
            if entry.path().is_file() {
                std::io::copy(&mut fs::File::open(entry.path()).expect("it is there"), &mut whole).expect("it fits");
            }
        }
        run(Command::new("zstd").args(["-q", "-1"]).arg(all.join("all")));
        let unzstd = Candidate::new("zstd -d", || {
            fs::remove_file(all.join("all")).ok();
            let mut command = Command::new("zstd");
            command.args(["-q", "-d", "-k"]).arg(all.join("all.zst"));
            command
        });
        report.pair("outputs deleted, restored", "zstd -d", "≤ 2", compare(&restore, &unzstd, 7));
    } else {
        eprintln!("skipped: zstd is not installed");
    }
}

/// Nothing has changed.
fn nothing_changed(report: &mut Report, fresh: &Fresh<'_>, hub: Option<&Path>) {
    let start = Candidate::new("true", || Command::new("true"));
    let version = Candidate::new("datac", || datac(Path::new("."), &["--version"]));
    report.pair("start: datac --version", "true", "≤ 2 + 2 ms", compare(&version, &start, 21));
    if let Some(hub) = hub {
        let workspace = fresh.eight();
        let command = || {
            let mut command = datac(&workspace, &["build", "-q"]);
            command.arg("--hub").arg(hub);
            command
        };
        run(&mut command());
        report.one("no change, 8 recipes, full counts", "≤ 5 ms", measure(&Candidate::new("datac", command), 21));
    }
    for (recipes, runs) in [(8, 21), (1_000, 15), (10_000, 9)] {
        let tree = fresh.empty();
        many(&tree, recipes);
        run(&mut datac(&tree, &["build", "-q"]));
        if !is_there("ninja", &["--version"]) {
            eprintln!("skipped: ninja is not installed");
            break;
        }
        run(Command::new("ninja").arg("-C").arg(&tree).arg("--quiet"));
        let ninja = Candidate::new("ninja", || {
            let mut command = Command::new("ninja");
            command.arg("-C").arg(&tree).arg("--quiet");
            command
        });
        for (verb, what) in [("status", "status"), ("build", "build, no change")] {
            let ours = Candidate::new("datac", || datac(&tree, &[verb, "-q"]));
            report.pair(&format!("{what}, {recipes} recipes"), "ninja", "≤ 1", compare(&ours, &ninja, runs));
        }
        if recipes <= 1_000 {
            dvc(report, fresh, &tree, recipes);
        }
    }
}

/// `dvc status` on as many stages, all of them up to date.
fn dvc(report: &mut Report, fresh: &Fresh<'_>, tree: &Path, recipes: usize) {
    if !is_there("dvc", &["--version"]) {
        eprintln!("skipped: dvc is not installed");
        return;
    }
    let project = fresh.empty();
    copy(&tree.join("config"), &project.join("config"));
    copy(&tree.join("data"), &project.join("data"));
    let stages: String = (0..recipes)
        .map(|recipe| {
            let config = format!("config/p{:03}/sft/r{recipe}.yaml", recipe / 100);
            let source = format!("data/s{}.jsonl", recipe % 20);
            format!(
                "  r{recipe}:\n    cmd: cat {config} {source} > r{recipe}_a && cat {config} > r{recipe}_b\n    deps: \
                 [{config}, {source}]\n    outs: [r{recipe}_a, r{recipe}_b]\n"
            )
        })
        .collect();
    fs::write(project.join("dvc.yaml"), format!("stages:\n{stages}")).expect("a file can be written");
    run(Command::new("dvc").args(["init", "--no-scm", "-q"]).current_dir(&project));
    // What `dvc repro` would write, which takes minutes to start a thousand shells; `commit` takes it as it stands.
    for recipe in 0..recipes {
        let config = fs::read(project.join(format!("config/p{:03}/sft/r{recipe}.yaml", recipe / 100)));
        let source = fs::read(project.join(format!("data/s{}.jsonl", recipe % 20)));
        let (config, source) = (config.expect("it was copied"), source.expect("it was copied"));
        fs::write(project.join(format!("r{recipe}_a")), [&config[..], &source].concat()).expect("it can be written");
        fs::write(project.join(format!("r{recipe}_b")), config).expect("it can be written");
    }
    run(Command::new("dvc").args(["commit", "-f", "-q"]).current_dir(&project));
    let theirs = Candidate::new("dvc status", || {
        let mut command = Command::new("dvc");
        command.arg("status").current_dir(&project);
        command
    });
    let ours = Candidate::new("datac", || datac(tree, &["status", "-q"]));
    report.pair(&format!("status, {recipes} recipes"), "dvc status", "≤ 0.01", compare(&ours, &theirs, 3));
}

/// A ratio with two digits that say something.
fn ratio(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.3}") } else { format!("{ratio:.2}") }
}

/// Small edits to a recipe over one file of 52,002 rows.
fn edits(report: &mut Report, fresh: &Fresh<'_>) {
    let text = rows(52_002);
    let with_rows = |workspace: PathBuf| {
        one_source(&workspace, "rows.jsonl", 1);
        fs::write(workspace.join("rows.jsonl"), &text).expect("a file can be written");
        workspace
    };
    let cold = Candidate::new("cold build", || datac(&with_rows(fresh.once()), &["build", "-q"]));
    let middle = text[..text.len() / 2].rfind('\n').expect("there are many lines") + 1;
    let line = |at: usize| at + text[at..].find('\n').expect("there are many lines") + 1;
    let number = Cell::new(0_u32);
    let row = || {
        number.set(number.get() + 1);
        format!("{{\"instruction\":\"a new question {}\",\"input\":\"\",\"output\":\"A new answer.\"}}\n", number.get())
    };
    // What was built before must not be built again, or it would be found in the cache.
    let grown = RefCell::new(text.clone());
    let appended = || {
        grown.borrow_mut().push_str(&row());
        grown.borrow().clone()
    };
    let edited = || [&text[..middle], &row(), &text[line(middle)..]].concat();
    let gone = Cell::new(middle);
    let deleted = || {
        let at = gone.replace(line(gone.get()));
        [&text[..at], &text[line(at)..]].concat()
    };
    let kinds: [(&str, &dyn Fn() -> String); 3] =
        [("appended", &appended), ("edited in the middle", &edited), ("deleted in the middle", &deleted)];
    let workspace = with_rows(fresh.empty());
    run(&mut datac(&workspace, &["build", "-q"]));
    for (what, change) in kinds {
        let edit = Candidate::new("datac", || {
            fs::write(workspace.join("rows.jsonl"), change()).expect("a file can be written");
            datac(&workspace, &["build", "-q"])
        });
        report.pair(&format!("1 of 52,002 rows {what}"), "its cold build", "≤ 0.35", compare(&edit, &cold, 7));
    }
    let reseeded = Candidate::new("datac", || {
        number.set(number.get() + 1);
        one_source(&workspace, "rows.jsonl", 1_000 + number.get());
        datac(&workspace, &["build", "-q"])
    });
    let restored = Candidate::new("restore", || {
        fs::remove_dir_all(workspace.join("dataset")).expect("outputs were written");
        datac(&workspace, &["build", "-q"])
    });
    report.pair("seed changed", "restoring its files", "≤ 1.3", compare(&reseeded, &restored, 9));
}

/// One thread against two.
fn threads(report: &mut Report, fresh: &Fresh<'_>, hub: Option<&Path>) {
    let Some(hub) = hub else { return };
    let (two, one) = (build("-j2", fresh, hub, &["-j2"]), build("-j1", fresh, hub, &["-j1"]));
    report.pair("cold build, -j2", "-j1", "≤ 0.59", compare(&two, &one, 7));
}

/// Time and memory against the number of rows.
fn scaling(report: &mut Report, fresh: &Fresh<'_>) {
    let mut points = Vec::new();
    let block = rows(50_000);
    let sizes = [1, 2, 4, 8, 16];
    let sources = sizes.map(|times| {
        let source = fresh.empty().join("rows.jsonl");
        write_blocks(&source, times, |time| another(&block, time));
        source
    });
    let cold = |source: &Path| {
        let workspace = fresh.once();
        one_source(&workspace, "rows.jsonl", 1);
        fs::hard_link(source, workspace.join("rows.jsonl")).expect("a file can be linked");
        datac(&workspace, &["build", "-q"])
    };
    let candidates = sources.each_ref().map(|source| Candidate::new("datac", || cold(source)));
    for ((times, source), cost) in sizes.into_iter().zip(&sources).zip(in_turn(&candidates, 7)) {
        let bytes = fs::metadata(source).expect("it was written").len();
        let each = cost.wall * 1e6 / (50_000 * times) as f64;
        let work = format!("{} rows, {} MB: {each:.2} µs a row", 50_000 * times, bytes / 1_000_000);
        report.one(&work, "linear", cost);
        points.push((50_000 * times, cost));
    }
    let path = project().join("docs/scaling.svg");
    match picture::draw(&path, &points) {
        Ok(()) => println!("drawn: docs/scaling.svg"),
        Err(error) => eprintln!("skipped: {} could not be drawn: {error}", path.display()),
    }
}

/// Sources of 10 GB: pairs as long as those of hh-rlhf, and rows as short as alpaca's, of which there are four times more.
fn large(report: &mut Report, fresh: &Fresh<'_>) {
    type Block<'b> = &'b dyn Fn(u64) -> String;
    let block = rows(200_000);
    let short = |time: u64| another(&block, time);
    let kinds: [(&str, u64, Block<'_>); 2] =
        [("pairs", 50_000, &|time| pairs(50_000, time)), ("short rows", 200_000, &short)];
    for (what, count, block) in kinds {
        let folder = fresh.empty();
        match what {
            "pairs" => one_source_of_pairs(&folder, "rows.jsonl"),
            _ => one_source(&folder, "rows.jsonl", 1),
        }
        let times = 10_000_000_000 / block(0).len() as u64;
        write_blocks(&folder.join("rows.jsonl"), times, block);
        let watch = Candidate::new("datac", || datac(&folder, &["build", "-q", "--force"]));
        report.one(&format!("10 GB, {:.1} M {what}", (count * times) as f64 / 1e6), "≤ 512 MiB", watch.run());
        // Two of them and their outputs would be too much for many a disk.
        fs::remove_dir_all(&folder).expect("it can be removed again");
    }
}

/// Rows that differ from those of `block` and of any other time, or their chunks would be found in the cache.
fn another(block: &str, time: u64) -> String {
    block.replace("\"instruction\":\"", &format!("\"instruction\":\"{time}-"))
}

/// Writes a file block by block: what this process once held counts as the peak of every process that it starts.
fn write_blocks(path: &Path, times: u64, block: impl Fn(u64) -> String) {
    let mut file = fs::File::create(path).expect("a file can be made");
    for time in 0..times {
        std::io::Write::write_all(&mut file, block(time).as_bytes()).expect("the disk takes it");
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}
