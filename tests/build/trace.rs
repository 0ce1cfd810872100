//! Every row of every output back to its source, and every row of every source to wherever it went.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use datac::{
    convert,
    decode::{self, Input},
    outputs::{OutputKind, Side},
    row::{RawRow, Reject},
    shape::{self, native::Native},
    source::{Asked, Bytes, Source, sample::SampleHub},
    workspace::{Fate, FileState, Findings, Pick, Repairs, SourceText, Workspace},
};

use crate::space::{Space, changed, copy, entry, files, recipe, rows};

/// The recipes of the project over the sample hub, built.
fn project() -> Space {
    let space = Space::new();
    copy(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), &space.path("config"));
    space.build();
    space
}

/// The rows of a file of the sample, each as it would be written but for its source, or its reject; decoded and
/// converted anew.
fn converted(repo: &str, path: &str, converter: &str, options: &convert::Options) -> Vec<Result<String, Reject>> {
    let listing = SampleHub.resolve(&Asked::of(repo, None)).unwrap();
    let file = listing.files.iter().find(|file| file.path == path).unwrap();
    let Bytes::Static(bytes) = SampleHub.open(repo, listing.commit.as_deref(), file).unwrap() else { panic!("static") };
    let kind = datac::source::layout::resolve(
        &[path],
        None,
        &datac::source::layout::Want {
            repo,
            config_name: None,
            data_dir: &[],
            splits: &[if path.contains("test") { "test".to_owned() } else { "train".to_owned() }],
            default_config: None,
        },
    );
    let kind = kind.map(|files| files[0].kind).unwrap_or_else(|error| panic!("{path}: {error}"));
    let converter = convert::by_name(converter).unwrap();
    let mut cutter = decode::open(Input::Static(bytes), kind).unwrap();
    let mut found = Vec::new();
    while let Some(chunk) = cutter.next_chunk().unwrap() {
        chunk.for_each_row(|_, _, row: Result<RawRow<'_>, Reject>| {
            found.push(row.and_then(|row| {
                let converted = converter.convert(&row, options)?;
                let [sample] = converted.samples.as_slice() else { panic!("one sample: {converted:?}") };
                let row = shape::row_of(&Native, sample, "").unwrap();
                Ok(row.strip_suffix(",\"source\":\"\"}").unwrap().to_owned())
            }));
        });
    }
    found
}

#[test]
fn every_row_of_the_sample_is_traced_both_ways() {
    let space = project();
    let workspace = space.workspace();
    let before = space.stats();
    let outputs = files(&space.path("dataset"));
    let written = outputs.iter().filter(|path| !path.to_string_lossy().contains("quarantine")).count();
    assert_eq!(written, 16);
    let mut sources: BTreeMap<(String, String, String), Vec<Result<String, Reject>>> = BTreeMap::new();
    // For each recipe and source row, the lines that are made of it.
    let mut back: BTreeMap<(String, String, String, u64), BTreeSet<(String, u64)>> = BTreeMap::new();
    let mut lines = 0;
    for path in &outputs {
        let name = path.strip_prefix(space.path("dataset")).unwrap().to_str().unwrap().to_owned();
        for (line, text) in fs::read_to_string(path).unwrap().lines().enumerate() {
            let line = line as u64 + 1;
            let origin = workspace.outputs().trace(&name, line).unwrap();
            assert_eq!((origin.row.get(), origin.file.state), (text, FileState::Same), "{name}:{line}");
            let place = &origin.source;
            let key = (place.repo.clone(), place.file.clone(), origin.converter.clone());
            let rows = sources.entry(key).or_insert_with(|| {
                converted(&place.repo, &place.file, &origin.converter, &origin.options.clone().into_iter().collect())
            });
            match &rows[place.row as usize] {
                Ok(row) => {
                    assert_ne!(origin.side, OutputKind::Quarantine);
                    let whole = format!("{row},\"source\":\"{}\"}}", place.source);
                    assert_eq!(whole, text, "{name}:{line} is not {}:{}", place.file, place.row);
                    let split = origin.split.unwrap();
                    assert_eq!(
                        split.rank < split.ratio,
                        origin.side == OutputKind::Rows(Side::Validation),
                        "{name}:{line}"
                    );
                    assert!(!origin.filters.is_empty() || name.contains("rlaif") || name.contains("dpo"), "{name}");
                }
                Err(reject) => {
                    assert_eq!(origin.side, OutputKind::Quarantine);
                    let told = origin.reject.unwrap();
                    assert_eq!((told.reason, &told.detail), (reject.reason, &reject.detail));
                    let quarantined: serde_json::Value = serde_json::from_str(text).unwrap();
                    assert_eq!(origin.source_row, SourceText::Row(quarantined["raw"].as_str().unwrap().to_owned()));
                    assert_eq!(quarantined["row"].as_u64(), Some(place.row));
                    assert_eq!(
                        (quarantined["line"].as_u64(), quarantined["offset"].as_u64()),
                        (place.line, place.offset)
                    );
                }
            }
            let key = (origin.path, place.repo.clone(), place.file.clone(), place.row);
            back.entry(key).or_default().insert((name.clone(), line));
            lines += 1;
        }
    }
    assert!(lines > 1000, "{lines}");
    forth(&workspace, &sources, &back);
    assert_eq!(changed(&before, &space.stats()), [] as [&std::path::Path; 0], "tracing writes nothing");
}

/// Follows every source row, and compares with what was found going back and with the builds' own counts.
fn forth(
    workspace: &Workspace,
    sources: &BTreeMap<(String, String, String), Vec<Result<String, Reject>>>,
    back: &BTreeMap<(String, String, String, u64), BTreeSet<(String, u64)>>,
) {
    let mut left = back.clone();
    let mut counts: BTreeMap<(String, String), BTreeMap<String, u64>> = BTreeMap::new();
    let files: BTreeMap<(&String, &String), usize> =
        sources.iter().map(|((repo, file, _), rows)| ((repo, file), rows.len())).collect();
    for ((repo, file), rows) in files {
        for row in 0..rows as u64 {
            let journey = workspace.outputs().trace_source(repo, file, row).unwrap();
            for fate in journey.fates {
                let key = (fate.path.clone(), repo.clone(), file.clone(), row);
                let count = counts.entry((fate.path.clone(), fate.source.source.clone())).or_default();
                let lines = match fate.fate {
                    Fate::Written { lines } => {
                        *count.entry("kept".into()).or_default() += 1;
                        lines
                    }
                    Fate::Rejected { quarantine, reject } => {
                        *count.entry(format!("rejected {}", reject.reason.code())).or_default() += 1;
                        vec![quarantine]
                    }
                    Fate::NoSample => panic!("every row yields a sample"),
                    Fate::Filtered { by, .. } => {
                        *count.entry(format!("filtered {}", by.filter)).or_default() += 1;
                        Vec::new()
                    }
                    Fate::NotSampled { .. } | Fate::Compared { .. } | Fate::NotChosen { .. } => {
                        *count.entry("kept".into()).or_default() += 1;
                        Vec::new()
                    }
                    Fate::NotReached { .. } => Vec::new(),
                };
                let lines: BTreeSet<(String, u64)> = lines.into_iter().map(|line| (line.output, line.line)).collect();
                assert_eq!(left.remove(&key).unwrap_or_default(), lines, "{key:?}");
            }
        }
    }
    assert!(left.is_empty(), "rows that went somewhere and were not found: {left:?}");
    for (_, build) in workspace
        .history()
        .runs()
        .unwrap()
        .iter()
        .flat_map(|(run, _)| workspace.history().builds(*run).unwrap().into_iter().map(|build| (*run, build)))
    {
        let manifest = workspace.history().manifest(&build).unwrap();
        for source in &manifest.summary.sources {
            let count = &counts[&(build.path.clone(), source.name.clone())];
            assert_eq!(count.get("kept").copied().unwrap_or(0), source.kept, "{} {}", build.path, source.name);
            for (reason, rows) in &source.rejects {
                assert_eq!(count.get(&format!("rejected {reason}")), Some(rows), "{} {reason}", build.path);
            }
            for filter in &source.filters {
                let kept_out = filter.rows_in - filter.rows_out;
                assert_eq!(count.get(&format!("filtered {}", filter.filter)).copied().unwrap_or(0), kept_out);
            }
        }
    }
}

/// Two sources that repeat, drop duplicates, stop early and hold broken rows; `exact` split.
fn mixed() -> Space {
    let space = Space::new();
    let twice = rows(0..40, 12);
    space.write("data/a.jsonl", format!("{twice}\n{{broken\n{twice}{}", rows(40..60, 12)));
    space.write("data/b.jsonl", rows(100..400, 12));
    let a = entry("a", "data/a.jsonl", 0.6, &["filters: [{ type: deduplication }, { type: length, min_length: 90 }]"]);
    let b = entry("b", "data/b.jsonl", 0.4, &["max_samples: 30"]);
    space.write(
        "config/sft/one.yaml",
        recipe(&[a, b], "validation: { ratio: 0.2, seed: 7, method: exact }\nmix: { total: 150 }\n"),
    );
    space.build();
    space
}

#[test]
fn repeats_duplicates_and_limits_are_told() {
    let space = mixed();
    let workspace = space.workspace();
    let mut uses: BTreeMap<(String, u64), Vec<(u32, u32)>> = BTreeMap::new();
    for name in ["sft_one_train.jsonl", "sft_one_val.jsonl"] {
        let rows: Vec<_> = workspace.outputs().rows(name).unwrap().map(Result::unwrap).collect();
        for row in &rows {
            let origin = workspace.outputs().trace(name, row.line).unwrap();
            assert_eq!(origin.row.get(), row.json);
            let mut place = origin.source.clone();
            (place.line, place.offset) = (None, None);
            assert_eq!(place, row.origin);
            // The line and the byte are those of the file.
            let text = space.text(&origin.source.file);
            let offset = origin.source.offset.unwrap() as usize;
            let SourceText::Row(source_row) = origin.source_row else { panic!("it is at hand") };
            assert!(text[offset..].starts_with(&source_row));
            assert_eq!(text.lines().nth(origin.source.line.unwrap() as usize - 1), Some(source_row.as_str()));
            let mixture = origin.mixture.unwrap();
            uses.entry((place.file, place.row)).or_default().push((mixture.use_of, mixture.uses));
        }
        assert_eq!(rows.len(), space.text(&format!("dataset/{name}")).lines().count());
    }
    for (place, mut uses) in uses {
        uses.sort_unstable();
        let all = uses.len() as u32;
        assert_eq!(uses, (1..=all).map(|number| (number, all)).collect::<Vec<_>>(), "{place:?}");
    }
    let fate = |row| workspace.outputs().trace_source("data/a.jsonl", "a.jsonl", row).unwrap().fates.remove(0).fate;
    let Fate::Rejected { quarantine, .. } = fate(40) else { panic!("{:?}", fate(40)) };
    assert_eq!((quarantine.output.as_str(), quarantine.line), ("quarantine/sft_one.jsonl", 1));
    let Fate::Filtered { by, twin } = fate(41 + 17) else { panic!("{:?}", fate(58)) };
    assert_eq!((by.filter.as_str(), twin.map(|twin| twin.row)), ("deduplication", Some(17)));
    let last = workspace.outputs().trace_source("b", "data/b.jsonl", 200).unwrap().fates.remove(0).fate;
    assert!(matches!(last, Fate::NotReached { max_samples: Some(30) }), "{last:?}");
    let error = workspace.outputs().trace_source("data/a.jsonl", "a.jsonl", 500).unwrap_err();
    assert!(error.to_string().contains("has no row"), "{error}");
    let behind = workspace.outputs().trace_source("b", "data/b.jsonl", 10_000).unwrap();
    assert!(matches!(behind.fates[0].fate, Fate::NotReached { .. }), "what was not read may be there");
    let error = workspace.outputs().trace_source("nobody/nothing", "a.jsonl", 0).unwrap_err();
    assert!(error.to_string().contains("no build read the source"), "{error}");
}

#[test]
fn files_are_told_of_as_they_were_built() {
    let space = mixed();
    let workspace = space.workspace();
    let train = "dataset/sft_one_train.jsonl";
    let (text, origin) = (space.text(train), workspace.outputs().trace(train, 3).unwrap());
    // The recipe and the source change; the files are those of before.
    let recipe = space.text("config/sft/one.yaml");
    space.edit("config/sft/one.yaml", "seed: 7", "seed: 8");
    space.write("data/a.jsonl", rows(500..600, 12));
    let now = workspace.outputs().trace(train, 3).unwrap();
    assert_eq!((&now.source.file, now.source.row), (&origin.source.file, origin.source.row));
    assert_eq!(now.row.get(), origin.row.get());
    if now.source.file == "data/a.jsonl" {
        assert!(matches!(now.source_row, SourceText::Unavailable(_)), "{:?}", now.source_row);
    }
    // A copy under another name is known by its bytes, after the recipe was built otherwise too.
    space.write("elsewhere/copy.jsonl", &text);
    space.build();
    let copied = workspace.outputs().trace("elsewhere/copy.jsonl", 3).unwrap();
    assert!(copied.file.is_older);
    assert_eq!((copied.run, copied.row.get()), (origin.run, origin.row.get()));
    assert_ne!(workspace.outputs().trace(train, 3).unwrap().run, origin.run);
    space.write("config/sft/one.yaml", recipe);

    // Changed by hand: lines are found by what they hold.
    let lines: Vec<String> = space.text(train).lines().map(str::to_owned).collect();
    let edited = [vec![lines[9].clone(), "{\"text\":\"by hand\"}".to_owned()], lines[..5].to_vec()].concat();
    space.write(train, edited.join("\n") + "\n");
    let moved = workspace.outputs().trace(train, 1).unwrap();
    assert_eq!((moved.file.state, moved.file.asked_line), (FileState::Edited, Some(1)));
    assert_eq!(moved.row.get(), lines[9]);
    assert_eq!(lines[moved.line as usize - 1], lines[9]);
    let error = workspace.outputs().trace(train, 2).unwrap_err();
    assert!(error.to_string().contains("no build wrote this line"), "{error}");
    assert!(workspace.outputs().rows(train).err().unwrap().to_string().contains("edited by hand"));
    let error = workspace.outputs().trace(train, 100).unwrap_err();
    assert!(error.to_string().contains("the last line is 7"), "{error}");

    space.remove(train);
    let gone = workspace.outputs().trace(train, 10).unwrap();
    assert_eq!((gone.file.state, gone.row.get()), (FileState::Missing, lines[9].as_str()));
    for line in [0, 100_000] {
        let error = workspace.outputs().trace(train, line).unwrap_err();
        assert!(error.to_string().contains(&format!("has no line {line}")), "{error}");
    }
    let error = workspace.outputs().trace("dataset/sft_two_train.jsonl", 1).unwrap_err();
    assert!(error.to_string().contains("no recipe wrote it"), "{error}");
}

#[test]
fn a_cache_that_is_gone_is_told_and_left_alone() {
    let space = mixed();
    for blob in space.blobs() {
        blob.write(b"damaged");
    }
    let before = space.stats();
    let error = space.workspace().outputs().trace("sft_one_train.jsonl", 1).unwrap_err();
    assert!(error.to_string().contains("trace the rows of"), "{error}");
    assert!(space.workspace().outputs().trace_source("a", "data/a.jsonl", 0).is_err());
    assert_eq!(changed(&before, &space.stats()), [] as [&std::path::Path; 0]);
}

/// Findings as text: `joined 1, repaired whitespace 2, warned alternate 1`.
fn told(findings: &Findings) -> String {
    let Findings::Known(Repairs { joined_turns, repaired, warned }) = findings else { return format!("{findings:?}") };
    let rules = |verb, rules: &BTreeMap<String, u32>| {
        rules.iter().map(|(rule, places)| format!("{verb} {rule} {places}")).collect::<Vec<_>>()
    };
    let joined = (*joined_turns > 0).then(|| format!("joined {joined_turns}"));
    joined.into_iter().chain(rules("repaired", repaired)).chain(rules("warned", warned)).collect::<Vec<_>>().join(", ")
}

#[test]
fn what_the_rules_found_is_told_of_each_row() {
    let space = Space::new();
    let turn = |role: &str, text: &str| format!(r#"{{"role":"{role}","content":"{text}"}}"#);
    let dialogue = |turns: &[String]| format!("{{\"messages\":[{}]}}\n", turns.join(","));
    let dialogues = [
        dialogue(&[turn("user", "clean"), turn("assistant", "a")]),
        dialogue(&[turn("user", " blank"), turn("assistant", "a "), turn("user", "q"), turn("assistant", "b")]),
        dialogue(&[turn("user", "two"), turn("user", "turns\\n"), turn("assistant", "a")]),
    ];
    let filler: String =
        (0..40).map(|at| dialogue(&[turn("user", &format!("q{at}")), turn("assistant", "a")])).collect();
    space.write("data/c.jsonl", dialogues.concat() + &filler);
    let answer = |text: &str, rank: u32| format!(r#"{{"text":"{text}","rank":{rank}}}"#);
    let ranked = [answer("one", 1), answer("two ", 2), answer("three", 3)].join(",");
    space.write("data/r.jsonl", format!("{{\"prompt\":\"which\",\"answers\":[{ranked}]}}\n"));
    let rules = "rules: { whitespace: repair, alternate: warn }";
    let validation = "validation: { ratio: 0, seed: 1 }\n";
    space.write("config/sft/c.yaml", recipe(&[entry("c", "data/c.jsonl", 1.0, &[rules])], validation));
    let pairs = ["converter: rankings", "options: { pairs: all }", "rules: { whitespace: repair }"];
    space.write(
        "config/dpo/r.yaml",
        recipe(&[entry("r", "data/r.jsonl", 1.0, &pairs)], validation).replace("phase: sft", "phase: dpo"),
    );
    let report = space.build();
    let outputs = space.workspace();
    let outputs = outputs.outputs();

    let of_c = |row: u64| {
        let fate = outputs.trace_source("c", "c.jsonl", row).unwrap().fates.remove(0);
        let Fate::Written { lines } = &fate.fate else { panic!("{:?}", fate.fate) };
        let back = outputs.trace(&lines[0].output, lines[0].line).unwrap();
        assert_eq!(back.findings, fate.findings, "both ways say the same");
        told(&fate.findings.unwrap())
    };
    assert_eq!(of_c(0), "");
    assert_eq!(of_c(1), "repaired whitespace 2");
    assert_eq!(of_c(2), "repaired whitespace 1, warned alternate 1");
    // What is told of rows adds up to what the build counted.
    let mut sum = BTreeMap::new();
    let pick = Pick { rows: Some(1000), tells_more: true, ..Pick::default() };
    let mut shown = Vec::new();
    outputs
        .show("sft/c", &pick, |row| {
            let Some(Findings::Known(found)) = &row.findings else { panic!("{:?}", row.findings) };
            found
                .repaired
                .iter()
                .for_each(|(rule, places)| *sum.entry(rule.clone()).or_insert(0) += u64::from(*places));
            shown.push((row.line, row.findings.clone()));
            true
        })
        .unwrap();
    let of =
        |name: &str| report.recipes.iter().find(|recipe| recipe.before.name == name).unwrap().summary.clone().unwrap();
    assert_eq!(sum, of("sft/c").sources[0].repaired);
    for (line, findings) in shown {
        assert_eq!(outputs.trace("sft_c_train.jsonl", line).unwrap().findings, findings);
    }
    // Of several samples of a row, each has its own.
    let fates = outputs.trace_source("r", "r.jsonl", 0).unwrap().fates;
    let fates: Vec<String> = fates.into_iter().map(|fate| told(&fate.findings.unwrap())).collect();
    assert_eq!(fates, ["repaired whitespace 1", "", "repaired whitespace 1"]);

    // A source that is gone is said, where there is something to say.
    space.write("data/c.jsonl", &filler);
    let gone = outputs.trace("sft_c_train.jsonl", 1).unwrap();
    let Some(Findings::Unavailable(why)) = gone.findings else { panic!("{:?}", gone.findings) };
    assert!(why.contains("the file has changed since"), "{why}");
}

#[test]
fn turns_that_were_joined_are_told_of_each_row() {
    let space = project();
    let outputs = space.workspace();
    let outputs = outputs.outputs();
    let (mut joined, mut counted) = (0, 0);
    for name in ["dpo_safety_train.jsonl", "dpo_safety_val.jsonl"] {
        let mut lines = 0;
        let pick = Pick { rows: Some(1000), tells_more: true, ..Pick::default() };
        outputs
            .show(name, &pick, |row| {
                let Some(Findings::Known(found)) = row.findings else { panic!("{name}:{}", row.line) };
                joined += u64::from(found.joined_turns);
                lines += 1;
                true
            })
            .unwrap();
        assert!(lines > 0);
    }
    for recipe in &space.build_with(&datac::workspace::BuildOptions { detailed: true, ..Default::default() }).recipes {
        if recipe.before.name == "dpo/safety" {
            counted = recipe.summary.as_ref().unwrap().sources[0].joined_turns;
        }
    }
    assert_eq!((joined, counted), (2, 2));
}
