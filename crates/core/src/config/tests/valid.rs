//! Recipes that must be accepted, with their meaning.

use super::{
    texts::{dataset, filter, least_filter, root, shares},
    *,
};
use crate::{
    function::Judge,
    key::Deciding as _,
    leaf,
    outputs::{Container, Target},
    quality,
};

/// A condition that a recipe must meet.
pub(in crate::config) type Claim = fn(&Recipe) -> bool;

/// Returns name, text and condition of valid recipes.
pub(in crate::config) fn good() -> Vec<(&'static str, String, Claim)> {
    vec![
        ("least", root(""), |r| {
            let d = &r.datasets[0];
            (d.mix_ratio, d.format, d.splits.as_slice()) == (1.0, None, &["train".to_owned()])
                && r.validation == Validation::default()
                && r.mix == Mix::default()
                && r.max_rejects.is_none()
        }),
        ("no output", root(""), |r| r.outputs == [Target::native()] && r.targets().count() == 0),
        ("a shape", root("output: trl"), |r| {
            let target = &r.outputs[0];
            (target.shape.as_str(), target.container, target.shards) == ("trl", Container::Parquet, 1)
                && !r.writes_native()
        }),
        (
            "outputs with models",
            root("output: [{shape: tokens, model: a/b}, {shape: tokens, name: 2, model: {source: c/d}}]"),
            |r| {
                let folders: Vec<String> = r.targets().map(|target| target.folder().into_owned()).collect();
                folders == ["tokens", "tokens.2"]
                    && r.models["tokens.2"].location.source() == "c/d"
                    && r.model.is_none()
            },
        ),
        ("outputs", root("output: [native, {shape: messages, shards: 1_0, layout: hub, id: true}]"), |r| {
            r.writes_native() && r.targets().map(Target::to_string).eq(["messages (jsonl, 10 shards, hub, id)"])
        }),
        (
            "filters by columns",
            dataset(
                "filters:\n  - {type: column, column: score, min: 4, is: ~}\n  - {type: column, column: 'a[0].b', in: [en, 1, true]}\n  \
                 - {type: column, column: ok, is: True, missing: keep}",
            ),
            |r| {
                let told: Vec<String> = r.datasets[0].filters.iter().map(ToString::to_string).collect();
                told == ["column score min 4.0", "column a[0].b in en, 1, true", "column ok is true missing keep"]
            },
        ),
        ("no expectations", root("expect: ~"), |r| r.expect.is_empty()),
        ("no bounds", root("expect: {rows: ~, shares: ~}"), |r| r.expect.is_empty()),
        (
            "every expectation",
            root(
                "test: {ratio: 0.1}\nexpect:\n  rows: {min: 1000, max: 5_000}\n  train_rows: 7\n  validation_rows: {min: 1}\n  \
                 test_rows: {max: 9, min: ~}\n  rejects: {max: 1%}\n  characters: {min: 100_000}\n  repeated_prompts: 0\n  \
                 shares: {a: {min: 60%, max: 0.8}}",
            ),
            |r| {
                let told: Vec<String> =
                    r.expect.iter().map(|one| format!("{} {}", one.of.setting(), one.limits)).collect();
                told == [
                    "expect.rows 1000 to 5000",
                    "expect.train_rows exactly 7",
                    "expect.validation_rows at least 1",
                    "expect.test_rows at most 9",
                    "expect.rejects at most 1%",
                    "expect.characters at least 100000",
                    "expect.repeated_prompts exactly 0",
                    "expect.shares.a 60% to 80%",
                ]
            },
        ),
        ("grouped digits", root("mix: {total: 10_000_000}"), |r| r.mix.total == Some(10_000_000)),
        ("grouped digits in quotes", root("mix: {total: '1_0'}"), |r| r.mix.total == Some(10)),
        ("integral floats", root("mix: {total: 5.0}\nvalidation: {seed: 1e3}"), |r| {
            (r.mix.total, r.validation.seed) == (Some(5), 1000)
        }),
        ("hexadecimal", root("validation: {seed: 0xff}"), |r| r.validation.seed == 255),
        ("largest seed", root("validation: {seed: 18446744073709551615}"), |r| r.validation.seed == u64::MAX),
        ("version as number", root("").replace("sft", "sft\n  version: 1.10"), |r| {
            r.metadata.version.as_deref() == Some("1.10")
        }),
        ("integer ratio", dataset("mix_ratio: 1"), |r| r.datasets[0].mix_ratio == 1.0),
        ("thirds", shares(&["0.333", "0.333", "0.333"]), |r| r.datasets.len() == 3),
        ("words for lists", dataset("splits: test\ndata_dir: ./a/b/"), |r| {
            (r.datasets[0].splits[0].as_str(), r.datasets[0].data_dir[0].as_str()) == ("test", "a/b")
        }),
        (
            "nulls are absent",
            root("validation: ~\nmix:\nmax_rejects: null")
                .replace("x/y", "x/y\n    filters:\n    splits: ~\n    text_field: ~"),
            |r| r.datasets[0].filters.is_empty() && r.datasets[0].text_field.is_none() && r.validation.seed == 42,
        ),
        ("no validation", root("validation: none\ntest: none"), |r| {
            (r.validation.ratio, r.validation.test_ratio, r.validation.seed) == (0.0, 0.0, 42)
        }),
        ("a third side", root("test: { ratio: 0.1 }\nvalidation: { normalise: true }"), |r| {
            (r.validation.ratio, r.validation.test_ratio, r.validation.normalise) == (0.05, 0.1, true)
        }),
        (
            "sides of their own",
            root(
                "validation: { source: data/v.jsonl, format: jsonl, seed: 3, overlap: keep }\ntest: { split: [test] }",
            ),
            |r| {
                let [mixed, test, validation] = &r.datasets[..] else { return false };
                (r.validation.ratio, r.validation.test_ratio, r.validation.seed) == (0.0, 0.0, 3)
                    && (&*mixed.name, &*test.name, &*validation.name) == ("a", "a (test)", "validation")
                    && (mixed.role, mixed.row_source()) == (SourceRole::Mixed, "a")
                    && (test.role, test.row_source()) == (SourceRole::Held(Side::Test, Overlap::Remove), "a")
                    && test.splits == ["test"]
                    && validation.role == SourceRole::Held(Side::Validation, Overlap::Keep)
            },
        ),
        ("excluded prompts", root("exclude:\n  - { source: x/z, splits: test }\n  - { name: e, source: x/y }"), |r| {
            let names: Vec<&str> = r.datasets.iter().map(|dataset| &*dataset.name).collect();
            names == ["a", "exclude 1", "e"] && r.datasets[2].role == SourceRole::Excluded
        }),
        ("duplicates", root("mix: { deduplicate: row, normalise: true }"), |r| {
            r.mix.deduplicate == Some(Deduplicate { by: Unique::Row, normalise: true })
        }),
        ("random rows", dataset("sample: { rows: 1_000 }"), |r| {
            r.datasets[0].take == Take::Sample(Sampling { rows: 1000, seed: 42 })
        }),
        ("the first rows", dataset("max_samples: 9\nsample: ~"), |r| r.datasets[0].take == Take::First(9)),
        ("length in tokens", filter("{type: length, max_length: 9, unit: tokens}"), |r| {
            r.datasets[0].filters[0].scorer == quality::ScoreKind::TOKENS
        }),
        (
            "functions that judge",
            dataset(
                "filters:\n  - {python: 'p/a.py:f', min: 0.2, missing: keep, files: [w.txt], timeout: 5}\n  - {python: 'a.py:g', \
                 type: ~}",
            ),
            |r| {
                let filters = &r.datasets[0].filters;
                let (scorer, judge) = (filters[0].function().unwrap(), filters[1].function().unwrap());
                (scorer.0.timeout, scorer.0.files.len(), scorer.1) == (5, 1, Judge::Scorer)
                    && (judge.0.timeout, judge.1) == (Function::TIMEOUT, Judge::Filter)
                    && filters[0].to_string() == "python p/a.py:f min 0.2 missing keep"
            },
        ),
        ("no filters", dataset("filters: []"), |r| r.datasets[0].filters.is_empty()),
        (
            "a filter of each type",
            dataset(&("filters:".to_owned() + &quality::filters().map(least_filter).collect::<String>())),
            |r| r.datasets[0].filters.iter().map(|filter| filter.scorer).eq(quality::filters()),
        ),
        ("rejects in percent", root("max_rejects: 1%"), |r| r.max_rejects == Some(Amount::Share(0.01))),
        ("rejects in parts of a percent", root("max_rejects: 33.3%"), |r| r.max_rejects == Some(Amount::Share(0.333))),
        ("rejects as share", root("max_rejects: 0.25"), |r| r.max_rejects == Some(Amount::Share(0.25))),
        ("rejects as count", root("max_rejects: 1_00"), |r| r.max_rejects == Some(Amount::Count(100))),
        ("options of any type", dataset("options: {a: 1.0, b: true, c: x, d: 007, e: ~, f: \"null\"}"), |r| {
            let shown: Vec<_> = r.datasets[0].options.iter().map(|(key, value)| format!("{key}{value}")).collect();
            shown == ["a1.0", "btrue", "cx", "d007", "fnull"]
        }),
        ("columns", dataset("columns: {prompt: a.b, completion: 'c[-1].d', system: {template: 'In {{ x }}.'}}"), |r| {
            let entries = &r.datasets[0].options.columns.entries;
            let shown: Vec<_> = entries.iter().map(|entry| (entry.slot.name(), entry.from.shown())).collect();
            let text = |text: &str| Some(leaf::Value::Text(text.to_owned()));
            let system = text(r#"{ template: "In {{ x }}." }"#);
            shown == [("user", text("a.b")), ("assistant", text("c[-1].d")), ("system", system)]
        }),
        ("a command", dataset("converter: {command: [python3, convert.py, 7], files: convert.py}"), |r| {
            let Some(Program::Command(command)) = &r.datasets[0].options.program else { return false };
            command.command == ["python3", "convert.py", "7"] && command.files == ["convert.py"]
        }),
        ("a function", dataset("converter: {python: 'py/a b.py:to_sample', files: [w.txt, 'i/*.png']}"), |r| {
            let Some(Program::Python(function)) = &r.datasets[0].options.program else { return false };
            let timeout = Function::TIMEOUT;
            function.to_string() == "py/a b.py:to_sample" && function.files.len() == 2 && function.timeout == timeout
        }),
        (
            "a function with its time",
            dataset("converter: {python: 'a.py:f', timeout: 5}"),
            |r| matches!(&r.datasets[0].options.program, Some(Program::Python(function)) if function.timeout == 5),
        ),
        ("no columns", dataset("columns: ~\nconverter: gsm8k"), |r| r.datasets[0].options.columns.is_empty()),
        ("known option", dataset("converter: gsm8k\noptions: {calculator: strip}"), |r| {
            r.datasets[0].converter.as_deref() == Some("gsm8k")
        }),
        (
            "free option",
            root("").replace("sft", "rlaif").replace("x/y", "x/y\n    converter: prompts\n    options: {column: z}"),
            |r| r.metadata.kind == SampleKind::Prompt,
        ),
        ("phase with more to it", root("").replace("sft", "dpo_safety.v2"), |r| {
            r.metadata.kind == SampleKind::Preference && r.outputs("a/b.yaml").stem() == "dpo_safety.v2_b"
        }),
        ("local file", dataset("format: jsonl").replace("x/y", "./data/übung 1.jsonl"), |r| {
            r.datasets[0].location.is_local() && r.datasets[0].location.source() == "data/übung 1.jsonl"
        }),
        ("text that looks like a number", dataset("revision: 0012345\nconfig_name: 1e3\nsplits: [2024]"), |r| {
            let d = &r.datasets[0];
            (d.location.revision(), d.config_name.as_deref(), d.splits[0].as_str())
                == (Some("0012345"), Some("1e3"), "2024")
        }),
        ("licences", dataset("license: [CC BY-NC 4.0, mit]"), |r| r.datasets[0].license == ["CC BY-NC 4.0", "mit"]),
        ("sigils in text", root("# *!&").replace("sft", "sft\n  description: \"R&D: *all* of it!\""), |r| {
            r.metadata.description.as_deref() == Some("R&D: *all* of it!")
        }),
        ("block text", root("").replace("sft", "sft\n  description: |\n    two\n    lines"), |r| {
            r.metadata.description.as_deref() == Some("two\nlines\n")
        }),
        (
            "bracket closed without indentation",
            root("# &\nmix: {\n total: 1 # R & D\n}").replace("sft", "sft # *"),
            |r| r.mix.total == Some(1),
        ),
        ("byte order mark and windows line ends", format!("\u{feff}{}", root("")).replace('\n', "\r\n"), |_| true),
        ("one explicit document", format!("---\n{}...\n", root("")), |_| true),
    ]
}
