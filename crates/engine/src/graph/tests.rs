//! Checks which queries run after which edit, by query name and recipe.
//!
//! Outcomes are invented: each is a function of the action. The plan only sees digests, so it cannot tell them from
//! real ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use salsa::{Id, Setter, plumbing::FromId};

use super::{selection::Step, *};
use crate::source::{FileDigest, RemoteFile};
use datac_core::{
    code::Component,
    config::{ConverterWord, Vocabulary},
    convert,
    hash::Digest,
    id::{ActionKey, BlobId, ChunkId, FileHash},
    mix::Realised,
    outputs::{BySide, Destination, FileMeta},
    row::Reason,
    stage::Stage,
    survey::Survey,
};
use datac_decode::{Compression, Encoding, FileKind, Place, RowFormat};

const FILTERS: &str = "filters: [{ type: length, min_length: 10 }, { type: quality, min_score: 0.1 }]";

/// Returns a recipe with these entries, each a name and further keys.
fn recipe(entries: &[(&str, &str)], seed: u64) -> String {
    let mut text = "metadata: { phase: sft }\ndatasets:\n".to_owned();
    for (name, more) in entries {
        let ratio = 1.0 / entries.len() as f64;
        text +=
            &format!("  - {{ name: {name}, source: data/{name}.jsonl, format: jsonl, mix_ratio: {ratio}, {more} }}\n");
    }
    text + &format!("validation: {{ ratio: 0.1, seed: {seed} }}\n")
}

fn digest(of: impl std::fmt::Debug) -> Digest {
    Digest::of(format!("{of:?}").as_bytes())
}

/// Returns an outcome for an action. Rows do not depend on the converter's version.
fn outcome(work: &Work, key: ActionKey) -> Outcome {
    let file = |name: &str| FileMeta { digest: FileHash::new(digest((name, key))), bytes: 1000, rows: 10 };
    match work {
        Work::List(_) => Outcome::List(Arc::default()),
        Work::Scan(scan) => Outcome::Scan(Arc::new(ScanOutcome {
            encoding: Encoding::JsonLines,
            header: Vec::new(),
            survey: {
                let mut survey = Survey::default();
                survey.add(&datac_core::json::row(r#"{"instruction":"i","output":"o"}"#).expect("it is JSON"));
                survey
            },
            chunks: vec![ScannedChunk {
                digest: ChunkId::new(digest(scan.file.digest)),
                rows: 100,
                place: Place::default(),
            }],
            complete: true,
            pieces: Vec::new(),
        })),
        Work::Convert(chunk, conversion, kind) => {
            let made = |what: &str| BlobId::new(digest((what, chunk.digest, conversion.converter, kind)));
            let is_clean = !chunk.file.path.contains("alpha");
            Outcome::Convert(ConvertOutcome {
                rows: made("rows"),
                index: made("index"),
                rejects: (!is_clean).then(|| made("rejects")),
                samples: 99,
                bytes: 1000,
                rejected: if is_clean { Vec::new() } else { vec![(3, Reason::InvalidJson)] },
                joined_turns: 0,
                unused: Vec::new(),
                broken: Vec::new(),
            })
        }
        Work::Score(..) => Outcome::Score(BlobId::new(key.digest())),
        Work::Select { chunks, .. } => Outcome::Select(SelectOutcome {
            selection: BlobId::new(key.digest()),
            kept: 90,
            characters: 9000,
            tokens: 0,
            rows_read: 100,
            rows_without_samples: 0,
            filters: Vec::new(),
            rejects: chunks
                .iter()
                .flat_map(|chunk| &chunk.converted.rejected)
                .map(|(_, reason)| (*reason, 1))
                .collect(),
            reached_max: false,
        }),
        Work::Group { sources, .. } => {
            Outcome::Group(sources.iter().map(|_| unreachable!("no recipe here compares sources")).collect())
        }
        Work::Arrange { sources, .. } => Outcome::Arrange(ArrangeOutcome {
            lists: BySide {
                train: Some(BlobId::new(digest(("train", key)))),
                validation: Some(BlobId::new(digest(("validation", key)))),
                test: None,
            },
            realised: sources
                .iter()
                .map(|_| Realised { rows: BySide { train: 80, validation: 10, test: 0 }, ..Realised::default() })
                .collect(),
            mingled: None,
            across: 0,
        }),
        Work::Tally { .. } => Outcome::Tally(TallyOutcome { characters: 9000, repeated_prompts: 3, tokens: 0 }),
        Work::Output { .. } => Outcome::Output(BySide::new(|side| Some(file(side.word())))),
        Work::Quarantine { .. } => Outcome::Quarantine(file("quarantine")),
        Work::ReadModel(_) | Work::Render(..) | Work::RenderStored(..) => unreachable!("no recipe here has a model"),
        Work::Shaped { .. } => unreachable!("no recipe here asks for a shape"),
    }
}

/// What asking about every recipe caused.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    /// The queries that ran, each as its name and its subject.
    queries: BTreeSet<String>,
    /// Number of actions that ran, by stage.
    actions: BTreeMap<&'static str, usize>,
    /// Number of keys that were looked up for the first time.
    keys: usize,
}

/// A planner with recipes, and a log of the queries that run.
struct Plans {
    planner: Planner,
    recipes: BTreeMap<&'static str, RecipeFile>,
    snapshots: BTreeMap<SnapshotKey, SnapshotInput>,
    /// Queries that ran and have not been reported yet.
    ran: Arc<Mutex<Vec<(String, Id)>>>,
    keys: Arc<Mutex<usize>>,
    /// The ids of queries about dataset entries, by query and recipe, in the order of the entries.
    entries: BTreeMap<(String, String), Vec<Id>>,
}

impl Plans {
    /// Recipes `one` and `two` share the source alpha; `two` also has beta; `three` has its own source and converter.
    fn new() -> Self {
        let (ran, keys) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<usize>>::default());
        let (told, looked_up) = (ran.clone(), keys.clone());
        let lookup: Lookup = Arc::new(move |_: &ActionKey| {
            *looked_up.lock().unwrap() += 1;
            None
        });
        let on_execute: OnExecute = Box::new(move |key| {
            let text = format!("{key:?}");
            let name = text.split('(').next().unwrap_or_default().to_owned();
            told.lock().unwrap().push((name, key.key_index()));
        });
        let planner = Planner::new(lookup, Some(on_execute));
        let words = convert::CONVERTERS.iter().map(|converter| ConverterWord {
            name: converter.name().to_owned(),
            kind: converter.kind(),
            options: Vec::new(),
        });
        let mut planner = planner;
        planner.begin(&Arc::new(Vocabulary { converters: words.collect(), ..Vocabulary::default() }), &code_versions());
        let (recipes, snapshots, entries) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut plans = Self { planner, recipes, snapshots, ran, keys, entries };
        let alpha = format!("converter: alpaca, {FILTERS}");
        plans.add("one", &recipe(&[("alpha", &alpha)], 42));
        plans.add("two", &recipe(&[("alpha", &alpha), ("beta", "converter: alpaca")], 42));
        plans.add("three", &recipe(&[("gamma", "converter: messages")], 42));
        for file in plans.recipes.values() {
            for dataset in &parse(&plans.planner, *file).as_ref().unwrap().datasets {
                let made = || SnapshotInput::new(&plans.planner, Some(Ok(snapshot(&dataset.name, 1))));
                plans.snapshots.entry(snapshot_key(dataset, &BTreeSet::new())).or_insert_with(made);
            }
        }
        World::get(&plans.planner).set_snapshots(&mut plans.planner).to(plans.snapshots.clone());
        plans
    }

    /// Returns the same recipes with every outcome known.
    fn built() -> Self {
        let mut plans = Self::new();
        plans.ask();
        plans
    }

    fn add(&mut self, name: &'static str, text: &str) {
        let file = RecipeFile::new(&self.planner, format!("config/sft/{name}.yaml"), text.as_bytes().into());
        self.recipes.insert(name, file);
    }

    /// Replaces `from`, which must occur, by `to` in a recipe.
    fn edit(&mut self, name: &str, from: &str, to: &str) {
        let file = self.recipes[name];
        let text = String::from_utf8(file.text(&self.planner).to_vec()).unwrap();
        assert!(text.contains(from), "`{from}` is not in {text}");
        file.set_text(&mut self.planner).to(text.replacen(from, to, 1).into_bytes().into());
    }

    /// Asks about each recipe until its plan is complete, giving outcomes to the actions it needs.
    fn ask(&mut self) -> Asked {
        self.ran.lock().unwrap().clear();
        let before = *self.keys.lock().unwrap();
        let mut asked = Asked::default();
        for (name, file) in self.recipes.clone() {
            loop {
                let plan = plan(&self.planner, file).clone();
                self.tell(name, &mut asked.queries);
                match plan {
                    Node::Ready(_) => break,
                    Node::Failed(failure) => panic!("{name}: {failure}"),
                    Node::Needs(actions) => {
                        let actions: BTreeMap<ActionKey, Arc<Action>> =
                            actions.into_iter().map(|it| (it.key, it)).collect();
                        for (key, action) in actions {
                            *asked.actions.entry(action.work.stage().word()).or_default() += 1;
                            self.planner.learn(&key, Known::Outcome(outcome(&action.work, key)));
                        }
                    }
                }
            }
        }
        asked.keys = *self.keys.lock().unwrap() - before;
        asked
    }

    /// Returns the plan of each recipe.
    fn plans(&self) -> Vec<Node<RecipePlan>> {
        self.recipes.values().map(|file| plan(&self.planner, *file).clone()).collect()
    }

    /// Names the queries that ran while `recipe` was asked about.
    fn tell(&mut self, recipe: &str, queries: &mut BTreeSet<String>) {
        for (query, id) in self.ran.lock().unwrap().drain(..) {
            let of = match query.as_str() {
                "dataset" | "files" | "conversion" | "selected" => {
                    let known = self.entries.entry((query.clone(), recipe.to_owned())).or_default();
                    let number = known.iter().position(|it| *it == id).unwrap_or_else(|| {
                        known.push(id);
                        known.len() - 1
                    });
                    format!("{recipe}.{number}")
                }
                "converted" => Step::from_id(id).chunk(&self.planner).file.path.clone(),
                "scored" => recipe.to_owned(),
                _ => {
                    let path = RecipeFile::from_id(id).path(&self.planner).to_owned();
                    path.trim_start_matches("config/sft/").trim_end_matches(".yaml").to_owned()
                }
            };
            queries.insert(format!("{query} {of}"));
        }
    }
}

/// Returns a snapshot of one file, whose digest depends on `version`.
fn snapshot(name: &str, version: u64) -> Arc<Snapshot> {
    let path = format!("data/{name}.jsonl");
    Arc::new(Snapshot {
        origin: FileOrigin { name: path.as_str().into(), commit: None },
        card: None,
        license: None,
        files: vec![RemoteFile {
            path,
            size: 100_000,
            digest: FileDigest::Blake3(FileHash::new(digest((name, version)))),
            etag: None,
        }],
        selected: Some(vec![FileKind { format: RowFormat::Jsonl, compression: Compression::None }]),
        passed_over: Vec::new(),
    })
}

/// Compares what ran with the expected queries, given as subject and names, and with actions, given as stage and
/// count.
#[track_caller]
fn assert_asked(asked: &Asked, queries: &[(&str, &[&str])], actions: &[(&'static str, usize)]) {
    let expected = queries.iter().flat_map(|(of, names)| names.iter().map(move |name| format!("{name} {of}")));
    assert_eq!(asked.queries, expected.collect());
    assert_eq!(asked.actions, actions.iter().copied().collect());
    let keys: usize = actions.iter().map(|(_, count)| count).sum();
    assert_eq!(asked.keys, keys, "every key that is new is of an action that ran");
}

/// The queries that run for a recipe, and for each of its entries, when nothing is known.
const OF_RECIPE: &[&str] = &[
    "arranged",
    "counts_tokens",
    "mixed",
    "mixing",
    "output",
    "outputs",
    "parse",
    "pinned_model",
    "plan",
    "quarantine",
    "selections",
    "targets",
    "unmet",
    "validation",
    "written",
];
const OF_ENTRY: &[&str] = &["conversion", "dataset", "files", "selected"];

#[test]
fn what_recipes_share_is_asked_once() {
    let mut plans = Plans::new();
    // Recipes were parsed earlier, to find the sources they name.
    let parsed: BTreeSet<String> = plans.ran.lock().unwrap().iter().map(|(query, _)| query.clone()).collect();
    assert_eq!(parsed, ["parse".to_owned()].into());
    let of_recipe: Vec<&str> = OF_RECIPE.iter().copied().filter(|name| *name != "parse").collect();
    let expected: &[(&str, &[&str])] = &[
        ("one", &of_recipe),
        ("one.0", OF_ENTRY),
        ("data/alpha.jsonl", &["converted"]),
        ("one", &["scored"]),
        ("three", &of_recipe),
        ("three.0", OF_ENTRY),
        ("data/gamma.jsonl", &["converted"]),
        ("three", &["scored"]),
        ("two", &of_recipe),
        ("two.0", OF_ENTRY),
        ("two.1", OF_ENTRY),
        ("data/beta.jsonl", &["converted"]),
        // Only for beta: the first recipe already asked for alpha's scores.
        ("two", &["scored"]),
    ];
    let actions =
        [("scan", 3), ("convert", 3), ("score", 2), ("select", 3), ("arrange", 3), ("output", 3), ("quarantine", 2)];
    assert_asked(&plans.ask(), expected, &actions);
}

#[test]
fn without_a_change_no_query_runs() {
    let mut plans = Plans::built();
    assert_asked(&plans.ask(), &[], &[]);
    // salsa counts an input as changed if it is set again to an equal value. Only direct readers may run because of
    // it.
    let (key, input) = plans.snapshots.iter().next().unwrap();
    let state = input.state(&plans.planner).clone();
    assert!(key.source == "data/alpha.jsonl");
    input.set_state(&mut plans.planner).to(state);
    assert_asked(&plans.ask(), &[("one.0", &["files"]), ("two.0", &["files"])], &[]);
}

#[test]
fn spelling_is_parsed_and_goes_no_further() {
    let mut plans = Plans::built();
    for (from, to) in [
        ("metadata:", "# a comment\nmetadata:"),
        ("datasets:\n", "datasets:\n\n\n"),
        ("phase: sft", " phase:   'sft' "),
        ("{ ratio: 0.1, seed: 42 }", "{ seed: 42, ratio: 0.1 }"),
        ("{ type: length, min_length: 10 }", "{ min_length: 10, type: length }"),
    ] {
        plans.edit("one", from, to);
        assert_asked(&plans.ask(), &[("one", &["parse"])], &[]);
    }
}

/// The queries that run after any change to a recipe's meaning, before it is known which part changed.
const PARTS: &[&str] = &["mixing", "outputs", "parse", "pinned_model", "targets", "validation"];

#[test]
fn a_note_changes_the_recipe_and_no_part_of_it() {
    let mut plans = Plans::built();
    plans.edit("two", "phase: sft", "phase: sft, description: for chat");
    assert_asked(&plans.ask(), &[("two", PARTS), ("two.0", &["dataset"]), ("two.1", &["dataset"])], &[]);
}

#[test]
fn a_seed_arranges_its_own_recipe_anew() {
    let mut plans = Plans::built();
    plans.edit("two", "seed: 42", "seed: 43");
    let expected: &[(&str, &[&str])] = &[
        ("two", PARTS),
        ("two.0", &["dataset"]),
        ("two.1", &["dataset"]),
        ("two", &["arranged", "output", "written", "plan"]),
    ];
    assert_asked(&plans.ask(), expected, &[("arrange", 1), ("output", 1)]);
}

#[test]
fn a_threshold_selects_one_source_of_one_recipe_anew() {
    let mut plans = Plans::built();
    plans.edit("two", "min_length: 10", "min_length: 20");
    let expected: &[(&str, &[&str])] = &[
        ("two", PARTS),
        ("two.0", OF_ENTRY),
        ("two.1", &["dataset"]),
        ("two", &["selections", "mixed", "arranged", "output", "written", "quarantine", "plan"]),
    ];
    assert_asked(&plans.ask(), expected, &[("select", 1), ("arrange", 1), ("output", 1), ("quarantine", 1)]);
}

#[test]
fn a_filter_more_scores_what_is_converted() {
    let mut plans = Plans::built();
    plans.edit("two", "filters: [", "filters: [{ type: deduplication }, ");
    let expected: &[(&str, &[&str])] = &[
        ("two", PARTS),
        ("two.0", OF_ENTRY),
        ("two.1", &["dataset"]),
        ("two", &["scored", "selections", "mixed", "arranged", "output", "written", "quarantine", "plan"]),
    ];
    let actions = [("score", 1), ("select", 1), ("arrange", 1), ("output", 1), ("quarantine", 1)];
    assert_asked(&plans.ask(), expected, &actions);
}

#[test]
fn a_share_mixes_anew_what_was_selected() {
    let mut plans = Plans::built();
    plans.edit("two", "mix_ratio: 0.5", "mix_ratio: 0.4");
    plans.edit("two", "mix_ratio: 0.5", "mix_ratio: 0.6");
    let expected: &[(&str, &[&str])] = &[
        ("two", PARTS),
        ("two", &["counts_tokens", "selections"]),
        ("two.0", OF_ENTRY),
        ("two.1", OF_ENTRY),
        ("two", &["mixed", "arranged", "output", "written", "plan"]),
    ];
    assert_asked(&plans.ask(), expected, &[("arrange", 1), ("output", 1)]);
}

#[test]
fn a_changed_file_is_read_once_for_all_who_use_it_and_no_one_else() {
    let mut plans = Plans::built();
    let (_, input) = plans.snapshots.iter().next().unwrap();
    input.set_state(&mut plans.planner).to(Some(Ok(snapshot("alpha", 2))));
    let downstream = ["selections", "mixed", "arranged", "output", "written", "quarantine", "plan"];
    let expected: &[(&str, &[&str])] = &[
        ("one.0", &["files", "conversion", "selected"]),
        ("two.0", &["files", "conversion", "selected"]),
        ("data/alpha.jsonl", &["converted"]),
        ("one", &["scored"]),
        ("one", &downstream),
        ("two", &downstream),
    ];
    let actions = [("scan", 1), ("convert", 1), ("score", 2), ("select", 1), ("arrange", 2), ("output", 2)];
    let actions: Vec<_> = actions.into_iter().chain([("quarantine", 2)]).collect();
    assert_asked(&plans.ask(), expected, &actions);
}

#[test]
fn a_converter_that_makes_the_same_rows_stops_at_the_chunks() {
    let mut plans = Plans::built();
    let before = plans.plans();
    let code = World::get(&plans.planner).code(&plans.planner)[&Component::Converter("alpaca".into())];
    let raised = code.version(&plans.planner) + 1;
    code.set_version(&mut plans.planner).to(raised);
    // While chunks are missing, everything that depends on them is too. Once they are known they are unchanged, so
    // later steps are not even looked up.
    let downstream = ["selections", "mixed", "arranged", "output", "written", "quarantine", "plan"];
    let expected: &[(&str, &[&str])] = &[
        ("one.0", &["selected"]),
        ("two.0", &["selected"]),
        ("two.1", &["selected"]),
        ("data/alpha.jsonl", &["converted"]),
        ("data/beta.jsonl", &["converted"]),
        ("one", &["scored"]),
        ("two", &["scored"]),
        ("one", &downstream),
        ("two", &downstream),
    ];
    assert_asked(&plans.ask(), expected, &[("convert", 2)]);
    assert!(plans.plans() == before);
}

#[test]
fn recipes_come_and_go_alone() {
    let mut plans = Plans::built();
    plans.add("four", &recipe(&[("beta", "converter: alpaca")], 42));
    let expected: &[(&str, &[&str])] = &[("four", OF_RECIPE), ("four.0", OF_ENTRY)];
    // Another recipe already selected from beta, and beta has no rejects.
    assert_asked(&plans.ask(), expected, &[("arrange", 1), ("output", 1)]);
    plans.recipes.remove("one");
    assert_asked(&plans.ask(), &[], &[]);
}

#[test]
fn a_limited_source_hides_no_file_of_another_that_is_yet_to_be_scanned() {
    let mut plans = Plans::new();
    plans.edit("two", "converter: alpaca }", "converter: alpaca, max_samples: 5 }");
    let two = plans.recipes["two"];
    let Node::Needs(actions) = plan(&plans.planner, two).clone() else { panic!("nothing is known yet") };
    let of_beta = |action: &&Arc<Action>| matches!(&action.work, Work::Scan(scan) if scan.file.path.contains("beta"));
    let scan = actions.iter().find(of_beta).expect("beta is to be scanned").clone();
    plans.planner.learn(&scan.key, Known::Outcome(outcome(&scan.work, scan.key)));
    assert_eq!(stages(&plans.planner, two)[0], (Stage::Scan, 1, Some(1)), "alpha is missing, beta is there");
}

#[test]
fn an_expectation_that_holds_runs_nothing_and_changes_no_plan() {
    let mut plans = Plans::built();
    let before = plans.plans();
    let expected: &[(&str, &[&str])] = &[("two", PARTS), ("two.0", &["dataset"]), ("two.1", &["dataset"])];
    let asked = |queries: &[&'static str]| {
        let more = queries.to_vec();
        move |plans: &mut Plans, actions: &[(&'static str, usize)]| {
            let all: Vec<(&str, &[&str])> = expected.iter().copied().chain([("two", more.as_slice())]).collect();
            assert_asked(&plans.ask(), &all, actions);
        }
    };
    plans.edit("two", "validation:", "expect: { rows: { min: 180 } }\nvalidation:");
    // Where the files belong is asked again, and is the same.
    asked(&["counts_tokens", "unmet", "written", "plan"])(&mut plans, &[]);
    plans.edit("two", "min: 180", "min: 100");
    asked(&["counts_tokens", "unmet", "written", "plan"])(&mut plans, &[]);
    assert!(plans.plans() == before);
}

#[test]
fn a_result_that_is_not_expected_is_written_apart_and_nothing_is_made_again() {
    let mut plans = Plans::new();
    plans.edit("two", "validation:", "expect: { rows: { max: 100 }, repeated_prompts: 0 }\nvalidation:");
    let two = plans.recipes["two"];
    plans.recipes.retain(|name, _| *name == "two");
    let mut destinations = Vec::new();
    let failure = loop {
        match plan(&plans.planner, two).clone() {
            Node::Ready(_) => panic!("it is not expected"),
            Node::Failed(failure) => break failure,
            Node::Needs(actions) => {
                for action in actions {
                    if let Work::Output { destination, .. } | Work::Quarantine { destination, .. } = &action.work {
                        destinations.push(*destination);
                    }
                    plans.planner.learn(&action.key, Known::Outcome(outcome(&action.work, action.key)));
                }
            }
        }
    };
    assert_eq!(destinations, [Destination::Unexpected; 2]);
    let told: Vec<&str> = failure.parts.iter().map(|part| part.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "the result has 180 rows; `rows` expects at most 100",
            "3 of 160 rows of the train side have the prompt of an earlier row; `repeated_prompts` expects exactly 0",
        ]
    );
    assert!(unexpected(&plans.planner, two).is_some());
    plans.edit("two", "max: 100", "max: 180");
    plans.edit("two", "repeated_prompts: 0", "repeated_prompts: { max: 2% }");
    assert_eq!(plans.ask().actions, BTreeMap::new());
    assert!(unexpected(&plans.planner, two).is_none());
}
