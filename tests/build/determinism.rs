//! The same state gives the same bytes: on any number of threads, in any folder, with any memory and any past.

use std::{fs, io::Write, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use datac::{
    system,
    workspace::{BuildOptions, BuildReport, NoteKind, WorkspaceError},
};
use flate2::{Compression, write::GzEncoder};
use parquet::arrow::ArrowWriter;
use proptest::{
    prelude::{Just, ProptestConfig, Strategy, any, prop},
    prop_oneof,
    test_runner::TestRunner,
};

use crate::{
    harm::delete,
    space::{Dice, Space, assert_same, copy, entry, files, ran, recipe, row, rows},
};

/// Does something to about a third of all.
fn pick<T>(dice: u64, all: &[T], act: impl FnMut(&T)) {
    let mut dice = Dice(dice);
    all.iter().filter(|_| dice.below(3) == 0).for_each(act);
}

/// Rows in the columns of Alpaca as Parquet, in row groups of 400.
fn parquet(numbers: std::ops::Range<u64>, words: usize) -> Vec<u8> {
    let parsed: Vec<serde_json::Value> =
        numbers.map(|number| serde_json::from_str(&row(number, words)).unwrap()).collect();
    let column = |name: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(parsed.iter().map(|row| row[name].as_str().unwrap())))
    };
    let columns = ["instruction", "input", "output"].map(|name| (name, column(name)));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(400)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn csv(numbers: std::ops::Range<u64>) -> String {
    let mut text = "instruction,input,output\r\n".to_owned();
    for number in numbers {
        let row: serde_json::Value = serde_json::from_str(&row(number, 30)).unwrap();
        let output = row["output"].as_str().unwrap().replace(' ', "\n");
        text.push_str(&format!("\"{}\",,\"{output}\"\r\n", row["instruction"].as_str().unwrap()));
    }
    text
}

/// Some ten MB in every format, in a hub and beside it, mixed in several ways.
fn varied() -> Space {
    let mut space = Space::new();
    space.hub = "hub".into();
    space.write("hub/tatsu-lab/alpaca/data/train-00000-of-00001.parquet", parquet(0..3000, 50));
    let turns = |i: u64| {
        let [question, good, bad] = [3 * i, 3 * i + 1, 3 * i + 2].map(|number| row(number, 20).replace('"', "\\\""));
        format!(
            "{{\"chosen\":\"\\n\\nHuman: {question}\\n\\nAssistant: {good}\",\"rejected\":\"\\n\\nHuman: {question}\\n\\nAssistant: {bad}\"}}\n"
        )
    };
    space.write("hub/Anthropic/hh-rlhf/harmless-base/train.jsonl.gz", gzip(&(0..2000).map(turns).collect::<String>()));
    space.write("data/lines.jsonl", rows(5000..9000, 70));
    let elements: Vec<String> = (9000..10_000).map(|number| row(number, 40)).collect();
    space.write("data/array.json", format!("[\n{}\n]\n", elements.join(",\n")));
    space.write("data/table.csv", csv(10_000..11_000));
    space.write("config/dpo/safety.yaml", super::faults::SAFETY);
    space.write("config/sft/general.yaml", super::faults::GENERAL);
    let filters =
        "filters: [{ type: length, max_length: 540 }, { type: quality, min_score: 0.05 }, { type: deduplication }]";
    let entries = |ratios: [f64; 3]| {
        [
            entry("lines", "data/lines.jsonl", ratios[0], &[filters, "max_samples: 2500"]),
            entry("array", "data/array.json", ratios[1], &[]),
            entry("table", "data/table.csv", ratios[2], &["max_samples: 700"]),
        ]
    };
    let more = "mix: { unit: characters }\nvalidation: { ratio: 0.2, seed: 3, method: exact }\n";
    space.write("config/sft/repeat.yaml", recipe(&entries([0.2, 0.5, 0.3]), more));
    let more = "mix: { strategy: cut, total: 1500 }\nvalidation: { ratio: 0.1, seed: 9 }\n";
    space.write("config/sft/cut.yaml", recipe(&entries([0.5, 0.25, 0.25]), more));
    space.write("config/sft/all.yaml", recipe(&[entry("lines", "data/lines.jsonl", 1.0, &[])], ""));
    space
}

#[test]
fn threads_memory_and_folders_make_no_difference() {
    let space = varied();
    space.build();
    let wanted = space.outputs();
    assert_eq!(wanted.keys().filter(|name| !name.starts_with("quarantine")).count(), 10);
    for (jobs, memory) in [(1, 0), (2, 1), (8, 0), (8, 1), (1, 1), (3, 6 << 20)] {
        let twin = space.twin();
        twin.build_with(&BuildOptions { jobs, memory, ..BuildOptions::default() });
        assert_same(&twin.outputs(), &wanted);
        assert_eq!(twin.text("datac.lock"), space.text("datac.lock"));
        // Gathered again out of a warm cache, in the other way.
        twin.remove("dataset");
        let report = twin.build_with(&BuildOptions { jobs: 9 - jobs, memory: 1 - memory.min(1), ..Default::default() });
        assert_eq!(ran(&report), "");
        assert_same(&twin.outputs(), &wanted);
    }
}

#[test]
fn language_time_zone_and_the_current_folder_make_no_difference() {
    let space = varied();
    space.build();
    let wanted = space.outputs();
    let environments: [&[(&str, &str)]; 3] = [
        &[("TZ", "Asia/Kolkata"), ("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8")],
        &[("TZ", "America/St_Johns"), ("LANG", "C"), ("LC_ALL", "C"), ("RAYON_NUM_THREADS", "7")],
        &[("LANG", "de_DE.ISO-8859-1"), ("TERM", "dumb"), ("HOME", "/nonexistent")],
    ];
    for environment in environments {
        let twin = space.twin();
        let ended = twin.command(&["build", "-j", "2"]).envs(environment.iter().copied()).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{environment:?}: {ended:?}");
        assert_same(&twin.outputs(), &wanted);
        // From within, by a relative path, the same files are as fresh.
        let inside = twin.path("config");
        let ended = std::process::Command::new(crate::space::DATAC)
            .args(["-C", "..", "--hub", "hub", "build", "--check"])
            .current_dir(inside)
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    }
}

#[test]
fn a_workspace_can_be_moved() {
    let space = varied();
    space.build();
    let mut moved = Space::new();
    moved.hub.clone_from(&space.hub);
    for place in ["config", "data", "hub", "cache", "dataset", "datac.lock"] {
        copy(&space.path(place), &moved.path(place));
    }
    let report = moved.build();
    assert_eq!(ran(&report), "", "keys hold no place");
    assert!(report.recipes.iter().all(|recipe| recipe.written.is_empty()));
    assert_same(&moved.outputs(), &space.outputs());
    moved.assert_settled();
}

/// Something that happens between two builds.
#[derive(Clone, Debug)]
enum Event {
    Edit { source: usize, at: usize, row: u64 },
    Append { source: usize, rows: u64, count: u64 },
    Delete { source: usize, at: usize },
    Insert { source: usize, at: usize, row: u64 },
    Duplicate { source: usize, at: usize },
    Break { source: usize, at: usize },
    Empty { source: usize },
    Rename { source: usize },
    Seed(usize, u64),
    Ratio(usize, f64),
    Share(usize, f64),
    Length(usize, u64),
    MaxSamples(usize, Option<u64>),
    Exact(usize, bool),
    Cut(usize, bool),
    Unit(usize, &'static str),
    Total(usize, Option<u64>),
    MaxRejects(usize, Option<u64>),
    Model(usize),
    Toggle(usize),
    DropOutputs(u64),
    EditOutput(u64),
    DropBlobs(u64),
    FlipBlob(u64),
    DropRecord,
    Restart { jobs: usize, memory: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let (source, recipe, at) = (0_usize..2, 0_usize..3, 0_usize..200);
    let rows = 0_u64..400;
    prop_oneof![
        3 => (source.clone(), at.clone(), rows.clone()).prop_map(|(source, at, row)| Event::Edit { source, at, row }),
        2 => (source.clone(), rows.clone(), 1_u64..40)
            .prop_map(|(source, rows, count)| Event::Append { source, rows, count }),
        2 => (source.clone(), at.clone()).prop_map(|(source, at)| Event::Delete { source, at }),
        2 => (source.clone(), at.clone(), rows).prop_map(|(source, at, row)| Event::Insert { source, at, row }),
        2 => (source.clone(), at.clone()).prop_map(|(source, at)| Event::Duplicate { source, at }),
        2 => (source.clone(), at).prop_map(|(source, at)| Event::Break { source, at }),
        1 => source.clone().prop_map(|source| Event::Empty { source }),
        1 => source.prop_map(|source| Event::Rename { source }),
        2 => (recipe.clone(), 0_u64..3).prop_map(|(recipe, seed)| Event::Seed(recipe, seed)),
        1 => (recipe.clone(), prop::sample::select(vec![0.0, 0.05, 0.3, 0.9])).prop_map(|(r, x)| Event::Ratio(r, x)),
        1 => (recipe.clone(), prop::sample::select(vec![0.1, 0.5, 0.8])).prop_map(|(r, x)| Event::Share(r, x)),
        2 => (recipe.clone(), prop::sample::select(vec![1, 40, 60, 3000])).prop_map(|(r, x)| Event::Length(r, x)),
        2 => (recipe.clone(), prop::option::of(1_u64..150)).prop_map(|(r, x)| Event::MaxSamples(r, x)),
        1 => (recipe.clone(), any::<bool>()).prop_map(|(r, x)| Event::Exact(r, x)),
        1 => (recipe.clone(), any::<bool>()).prop_map(|(r, x)| Event::Cut(r, x)),
        1 => (recipe.clone(), prop::sample::select(vec!["rows", "characters"])).prop_map(|(r, x)| Event::Unit(r, x)),
        1 => (recipe.clone(), prop::option::of(1_u64..300)).prop_map(|(r, x)| Event::Total(r, x)),
        1 => (recipe.clone(), prop::option::of(0_u64..3)).prop_map(|(r, x)| Event::MaxRejects(r, x)),
        2 => (0..MODELS.len()).prop_map(Event::Model),
        1 => recipe.prop_map(Event::Toggle),
        2 => any::<u64>().prop_map(Event::DropOutputs),
        1 => any::<u64>().prop_map(Event::EditOutput),
        2 => any::<u64>().prop_map(Event::DropBlobs),
        2 => any::<u64>().prop_map(Event::FlipBlob),
        1 => Just(Event::DropRecord),
        1 => (1_usize..5, 0_u64..2).prop_map(|(jobs, memory)| Event::Restart { jobs, memory }),
    ]
}

/// What a recipe of the property says.
#[derive(Clone, Debug)]
struct Knobs {
    is_there: bool,
    seed: u64,
    ratio: f64,
    share: f64,
    length: u64,
    max_samples: Option<u64>,
    exact: bool,
    cut: bool,
    unit: &'static str,
    total: Option<u64>,
    max_rejects: Option<u64>,
    /// The model and the outputs.
    model: &'static str,
}

/// What the first recipe may say of a model, and of rows that are made for it.
const MODELS: [&str; 7] = [
    "",
    "model: datac/sample\noutput: [native, { shape: tokens, container: jsonl, pack: 128, id: true }, skyrl-tokens]\n",
    "model: { source: datac/sample, max_tokens: 60 }\noutput: [native, { shape: tokens, container: jsonl, pack: 64, shards: 2 }]\n",
    "model: { source: datac/sample, train_on: all }\noutput: [native, { shape: tokens, container: jsonl }]\n",
    "model: { source: datac/sample, max_tokens: 60, overlong: drop_turns }\noutput: [native, { shape: tokens, container: jsonl }]\n",
    "model: { source: datac/sample, train_on: all }\noutput: [native, { shape: tokens, container: jsonl, pack: 70 }]\n",
    "model: { source: datac/sample, train_on: all }\noutput: [native, { shape: megatron, shards: 2 }, { shape: olmo, id: true }]\n",
];

/// A workspace of two sources and three recipes, under change.
struct Subject {
    space: Space,
    knobs: [Knobs; 3],
    sources: [String; 2],
    jobs: usize,
    memory: u64,
    /// What builds said of files that they did not write.
    noted: Vec<String>,
}

/// Words a row of each source has: the second's are long enough for several chunks.
const WORDS: [usize; 2] = [6, 900];

impl Subject {
    fn new() -> Self {
        let space = Space::new();
        space.write("data/short.jsonl", rows(0..60, WORDS[0]));
        space.write("data/long.jsonl", rows(100..260, WORDS[1]));
        let knobs = Knobs {
            is_there: true,
            seed: 0,
            ratio: 0.3,
            share: 0.5,
            length: 1,
            max_samples: None,
            exact: false,
            cut: false,
            unit: "rows",
            total: None,
            max_rejects: None,
            model: MODELS[0],
        };
        let subject = Self {
            space,
            knobs: [knobs.clone(), knobs.clone(), knobs],
            sources: ["data/short.jsonl".into(), "data/long.jsonl".into()],
            jobs: 2,
            memory: 0,
            noted: Vec::new(),
        };
        (0..3).for_each(|number| subject.write_recipe(number));
        subject
    }

    fn path(number: usize) -> String {
        format!("config/sft/r{number}.yaml")
    }

    fn write_recipe(&self, number: usize) {
        let knobs = &self.knobs[number];
        if !knobs.is_there {
            return self.space.remove(&Self::path(number));
        }
        let mut keys = vec![
            "converter: alpaca".to_owned(),
            format!("filters: [{{ type: length, min_length: {} }}, {{ type: deduplication }}]", knobs.length),
        ];
        keys.extend(knobs.max_samples.map(|rows| format!("max_samples: {rows}")));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let entries = match number {
            0 => vec![entry("short", &self.sources[0], 1.0, &keys)],
            1 => vec![entry("long", &self.sources[1], 1.0, &keys)],
            _ => vec![
                entry("short", &self.sources[0], knobs.share, &[keys[0]]),
                entry("long", &self.sources[1], 1.0 - knobs.share, &keys),
            ],
        };
        let mut more = format!(
            "validation: {{ ratio: {:?}, seed: {}, method: {} }}\nmix: {{ strategy: {}, unit: {}",
            knobs.ratio,
            knobs.seed,
            if knobs.exact { "exact" } else { "hash" },
            if knobs.cut { "cut" } else { "repeat" },
            knobs.unit,
        );
        knobs.total.iter().for_each(|total| more.push_str(&format!(", total: {total}")));
        more.push_str(" }\n");
        knobs.max_rejects.iter().for_each(|limit| more.push_str(&format!("max_rejects: {limit}\n")));
        more.push_str(knobs.model);
        self.space.write(&Self::path(number), recipe(&entries, &more));
    }

    /// Changes a recipe and writes it.
    fn turn(&mut self, number: usize, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.knobs[number]);
        self.write_recipe(number);
    }

    /// Changes the lines of a source and writes it.
    fn lines(&self, source: usize, at: usize, change: impl FnOnce(&mut Vec<String>, usize)) {
        let mut lines: Vec<String> = self.space.text(&self.sources[source]).lines().map(str::to_owned).collect();
        let at = at % lines.len().max(1);
        change(&mut lines, at);
        lines.push(String::new());
        self.space.write(&self.sources[source], lines.join("\n"));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Edit { source, at, row: number } => self.lines(source, at, |lines, at| {
                if let Some(line) = lines.get_mut(at) {
                    *line = row(number, WORDS[source]);
                }
            }),
            Event::Append { source, rows, count } => self.lines(source, 0, |lines, _| {
                lines.extend((rows..rows + count).map(|number| row(number, WORDS[source])));
            }),
            Event::Delete { source, at } => self.lines(source, at, |lines, at| {
                if at < lines.len() {
                    lines.remove(at);
                }
            }),
            Event::Insert { source, at, row: number } => {
                self.lines(source, at, |lines, at| lines.insert(at, row(number, WORDS[source])));
            }
            Event::Duplicate { source, at } => self.lines(source, at, |lines, at| {
                if let Some(line) = lines.get(at).cloned() {
                    lines.push(line);
                }
            }),
            Event::Break { source, at } => self.lines(source, at, |lines, at| lines.insert(at, "{\"a\": ".into())),
            Event::Empty { source } => self.space.write(&self.sources[source], ""),
            Event::Rename { source } => {
                let name = format!("data/renamed_{}", self.sources[source].trim_start_matches("data/"));
                fs::rename(self.space.path(&self.sources[source]), self.space.path(&name)).unwrap();
                self.sources[source] = name;
                (0..3).for_each(|number| self.write_recipe(number));
            }
            Event::Seed(number, seed) => self.turn(number, |knobs| knobs.seed = seed),
            Event::Ratio(number, ratio) => self.turn(number, |knobs| knobs.ratio = ratio),
            Event::Share(number, share) => self.turn(number, |knobs| knobs.share = share),
            Event::Length(number, length) => self.turn(number, |knobs| knobs.length = length),
            Event::MaxSamples(number, rows) => self.turn(number, |knobs| knobs.max_samples = rows),
            Event::Exact(number, exact) => self.turn(number, |knobs| knobs.exact = exact),
            Event::Cut(number, cut) => self.turn(number, |knobs| knobs.cut = cut),
            Event::Unit(number, unit) => self.turn(number, |knobs| knobs.unit = unit),
            Event::Total(number, total) => self.turn(number, |knobs| knobs.total = total),
            Event::MaxRejects(number, limit) => self.turn(number, |knobs| knobs.max_rejects = limit),
            Event::Model(model) => self.turn(0, |knobs| knobs.model = MODELS[model]),
            Event::Toggle(number) => self.turn(number, |knobs| knobs.is_there ^= true),
            Event::DropOutputs(dice) => {
                pick(dice, &files(&self.space.path("dataset")), |path| fs::remove_file(path).unwrap())
            }
            Event::EditOutput(dice) => {
                let mut dice = Dice(dice);
                let outputs = files(&self.space.path("dataset"));
                if !outputs.is_empty() {
                    let path = &outputs[dice.below(outputs.len())];
                    let mut bytes = fs::read(path).unwrap();
                    let at = dice.below(bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1;
                    }
                    fs::write(path, bytes).unwrap();
                }
            }
            Event::DropBlobs(dice) => pick(dice, &self.space.blobs(), delete),
            Event::FlipBlob(dice) => {
                let mut bits = Dice(dice);
                pick(dice, &self.space.blobs(), |blob| {
                    let mut bytes = blob.read().unwrap();
                    let at = bits.below(bytes.len());
                    bytes[at] ^= 1 << bits.below(8);
                    blob.write(&bytes);
                });
            }
            Event::DropRecord => self.space.remove("cache/v1/record.sqlite"),
            Event::Restart { jobs, memory } => (self.jobs, self.memory) = (jobs, memory),
        }
    }

    /// Builds, and compares with a clean build of the same state.
    fn check(&mut self) -> Result<(), String> {
        let options = BuildOptions { jobs: self.jobs, memory: self.memory, ..BuildOptions::default() };
        let twin = self.space.twin();
        let (ours, theirs) = (self.space.try_build(&options), twin.try_build(&BuildOptions::default()));
        self.noted.extend(notes_of_former(&ours));
        let (ours, theirs) = (ended(ours)?, ended(theirs)?);
        if ours != theirs {
            return Err(format!("recipes ended differently:\n{ours:?}\n{theirs:?}"));
        }
        let (mine, clean) = (self.space.outputs(), twin.outputs());
        for (name, failure) in &ours {
            let stem = format!("sft_{}", name.trim_start_matches("sft/"));
            if failure.is_some() {
                let quarantine = format!("quarantine/{stem}.jsonl");
                // A recipe that is refused for its rejects shows them; its other outputs stay those of the last good build.
                if clean.get(&quarantine).is_some_and(|clean| mine.get(&quarantine) != Some(clean)) {
                    return Err(format!("{quarantine} differs, of a recipe that was refused"));
                }
                continue;
            }
            let own = ["_train.jsonl", "_val.jsonl"].map(|end| format!("{stem}{end}"));
            let shaped = mine.keys().chain(clean.keys()).filter(|name| name.starts_with(&format!("{stem}/"))).cloned();
            for name in own.into_iter().chain([format!("quarantine/{stem}.jsonl")]).chain(shaped) {
                // A file that may be the user's stays, and is named.
                let is_named = self.noted.iter().any(|note| names(note, &format!("dataset/{name}")));
                if mine.get(&name) != clean.get(&name) && (clean.contains_key(&name) || !is_named) {
                    let size = |bytes: Option<&Vec<u8>>| bytes.map(Vec::len);
                    return Err(format!("{name} differs: {:?} {:?}", size(mine.get(&name)), size(clean.get(&name))));
                }
            }
        }
        let again = self.space.try_build(&options).map_err(|error| error.to_string())?;
        let is_sound = |report: &BuildReport| report.recipes.iter().all(|recipe| recipe.failure.is_none());
        if is_sound(&again) && !ran(&again).is_empty() {
            return Err(format!("a second build ran {}", ran(&again)));
        }
        Ok(())
    }
}

/// What a build says of files that it did not write and that have names of outputs.
fn notes_of_former(built: &Result<BuildReport, WorkspaceError>) -> Vec<String> {
    let recipes = built.iter().flat_map(|report| &report.recipes);
    let notes = recipes.flat_map(|recipe| &recipe.notes).filter(|note| note.about == NoteKind::Former);
    notes.map(|note| note.text.clone()).collect()
}

/// Whether a note names a file: one of the few that it lists in order, or of the `more` behind them.
fn names(note: &str, file: &str) -> bool {
    let listed: Vec<&str> = note.split('`').skip(1).step_by(2).collect();
    let is_behind = listed.last().is_some_and(|last| *last < file);
    listed.contains(&file) || (note.ends_with(" more") && is_behind)
}

/// Every recipe and what kept it from being built.
fn ended(built: Result<BuildReport, WorkspaceError>) -> Result<Vec<(String, Option<String>)>, String> {
    let report = built.map_err(|error| error.to_string())?;
    Ok(report
        .recipes
        .into_iter()
        .map(|recipe| (recipe.before.name, recipe.failure.map(|failure| failure.to_string())))
        .collect())
}

#[test]
fn after_any_history_outputs_are_those_of_a_clean_build() {
    let cases = system::env("PROPTEST_CASES").and_then(|cases| cases.parse().ok()).unwrap_or(24);
    let config = ProptestConfig { cases, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() };
    let history = prop::collection::vec(prop::collection::vec(event(), 1..4), 4..=8);
    TestRunner::new(config)
        .run(&history, |history| {
            let mut subject = Subject::new();
            subject.check().map_err(proptest::test_runner::TestCaseError::fail)?;
            for (step, events) in history.into_iter().enumerate() {
                events.into_iter().for_each(|event| subject.happen(event));
                let checked = subject.check();
                checked.map_err(|what| proptest::test_runner::TestCaseError::fail(format!("step {step}: {what}")))?;
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn files_of_a_lost_record_are_named_however_many_they_are() {
    let mut subject = Subject::new();
    subject.happen(Event::Model(1));
    subject.check().unwrap();
    subject.happen(Event::DropRecord);
    subject.happen(Event::Model(3));
    subject.check().unwrap();
    assert!(subject.noted.iter().any(|note| note.ends_with(" more")), "{:?}", subject.noted);
}
