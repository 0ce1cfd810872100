//! Recipes that must be refused, with the location and the words, and recipes that must be accepted, with their
//! meaning.

use std::fmt::Write as _;

use super::*;
use crate::{
    function::Judge,
    key::Deciding as _,
    leaf,
    outputs::{Container, Target},
    quality::{self, BoundSpec, ScoreKind},
};

/// Returns a valid recipe of five lines; `extra` follows in its only dataset, from line 6, column 5.
pub(super) fn dataset(extra: &str) -> String {
    let extra = extra.replace('\n', "\n    ");
    format!("metadata:\n  phase: sft\ndatasets:\n  - name: a\n    source: x/y\n    {extra}\n")
}

/// Returns the same recipe with `extra` at the top level, from line 6, column 1.
pub(super) fn root(extra: &str) -> String {
    format!("metadata:\n  phase: sft\ndatasets:\n  - name: a\n    source: x/y\n{extra}\n")
}

/// Returns the same recipe with `filter` as the only filter, at line 7, column 9.
fn filter(filter: &str) -> String {
    dataset(&format!("filters:\n  - {}", filter.replace('\n', "\n    ")))
}

/// Returns an entry of `filters` with only the keys that this scorer requires.
fn least_filter(scorer: ScoreKind) -> String {
    let key = scorer.bound().keys().next().expect("filters have keys");
    let value = match scorer.bound() {
        BoundSpec::Count(_) => "9",
        BoundSpec::Fraction(_) => "1",
        BoundSpec::Language(_) => "[en, no]",
        BoundSpec::Identity(..) => "~",
        BoundSpec::Value(_) => "c, min: 1",
        BoundSpec::Function(_) => "'a.py:f'",
    };
    format!("\n- {{type: {}, {key}: {value}}}", scorer.name())
}

/// Returns datasets with these shares, three lines each; `mix_ratio` is on lines 5, 8, 11 at column 16.
fn shares(ratios: &[&str]) -> String {
    let mut text = "metadata: {phase: sft}\ndatasets:\n".to_owned();
    for (i, ratio) in ratios.iter().enumerate() {
        write!(text, "  - name: d{i}\n    source: x/y\n    mix_ratio: {ratio}\n").unwrap();
    }
    text
}

/// Returns name, text and expected faults (`line:column code phrase`, in order) of invalid recipes.
pub(in crate::config) fn bad() -> Vec<(&'static str, String, Vec<&'static str>)> {
    let case = |name, text: &str, faults: &[&'static str]| (name, text.to_owned(), faults.to_vec());
    vec![
        // Columns.
        case(
            "a command for a shell",
            &dataset("converter: {command: python3 convert.py}"),
            &["6:26 E0112 must be a list"],
        ),
        case("an empty command", &dataset("converter: {command: []}"), &["6:26 E0116 is an empty list"]),
        case("no command", &dataset("converter: {files: [a.py]}"), &["6:17 E0111 needs `command`"]),
        case("a file outside", &dataset("converter: {command: [a], files: [../a.py]}"), &["6:39 E0122 contains `..`"]),
        case(
            "a function without its file",
            &dataset("converter: {python: converters.chat}"),
            &["6:25 E0141 does not name a function"],
        ),
        case(
            "a function that is none",
            &dataset("converter: {python: 'a.py:f()'}"),
            &["6:25 E0141 does not name a function"],
        ),
        case("a function outside", &dataset("converter: {python: '../a.py:f'}"), &["6:25 E0122 contains `..`"]),
        case("no function", &dataset("converter: {python: ~}"), &["6:17 E0111 needs `python`"]),
        case("no time", &dataset("converter: {python: 'a.py:f', timeout: 0}"), &["6:44 E0114 at least 1"]),
        case(
            "a function and a command",
            &dataset("converter: {python: 'a.py:f', command: [a]}"),
            &["6:35 E0110 unknown key"],
        ),
        case("a scorer that is none", &filter("{python: a.py}"), &["7:18 E0141 does not name a function"]),
        case("a scorer outside", &filter("{python: '../a.py:f', min: 1}"), &["7:18 E0122 contains `..`"]),
        case("a scorer without a function", &filter("{type: python, min: 1}"), &["7:10 E0111 needs `python`"]),
        case(
            "scores that cross",
            &filter("{python: 'a.py:f', min: 2, max: 1.5}"),
            &["7:33 E0124 `min` (2) is greater than `max` (1.5)"],
        ),
        case("a bound that is no number", &filter("{python: 'a.py:f', min: high}"), &["7:33 E0112 must be a number"]),
        case(
            "a scorer of another type",
            &filter("{type: length, python: 'a.py:f', min_length: 1}"),
            &["7:24 E0110 unknown key `python`"],
        ),
        case("a list of columns", &dataset("columns: [a, b]"), &["6:14 E0112 must be a mapping"]),
        case(
            "columns and a converter",
            &dataset("converter: gsm8k\ncolumns: {user: a, assistant: b}"),
            &["7:14 E0135 exclude"],
        ),
        case(
            "part of no sample",
            &dataset("columns: {usr: a, assistant: b}"),
            &["6:15 E0135 unknown part of a sample `usr`"],
        ),
        case(
            "part of another phase",
            &dataset("columns: {user: a, chosen: b}"),
            &["6:24 E0135 conversation samples have no `chosen`"],
        ),
        case("half a sample", &dataset("columns: {user: a}"), &["6:14 E0135 lacks `assistant`"]),
        case("a part twice", &dataset("columns: {user: a, prompt: c, assistant: b}"), &["6:24 E0135 the same part"]),
        case("a broken path", &dataset("columns: {user: 'a[', assistant: b}"), &["6:21 E0135 has a `[` without a `]`"]),
        case(
            "a broken template",
            &dataset("columns: {user: {template: '{{ a'}, assistant: b}"),
            &["6:32 E0135 invalid template"],
        ),
        case(
            "no template",
            &dataset("columns: {user: {tmpl: a}, assistant: b}"),
            &["6:15 E0111 needs `template`", "6:22 E0110 unknown key `tmpl`"],
        ),
        // Outputs.
        case("no shape", &root("output: tlr"), &["6:9 E0136 unknown shape `tlr`"]),
        case("an output without a shape", &root("output: [{container: parquet}]"), &["6:11 E0111 needs `shape`"]),
        case("no outputs", &root("output: []"), &["6:9 E0116 is an empty list"]),
        case(
            "a shape twice",
            &root("output: [trl, {shape: trl, shards: 2}]"),
            &["6:15 E0120 two outputs have the shape `trl`"],
        ),
        case(
            "a shape of other samples",
            &root("output: trl-implicit-prompt"),
            &["6:9 E0136 has no rows for conversation samples"],
        ),
        case(
            "no such files",
            &root("output: {shape: verl, container: jsonl}"),
            &["6:34 E0136 cannot be written as jsonl"],
        ),
        case(
            "outputs with several faults",
            &root(
                "output: [trl, trl, {shape: openai, container: parquet, layout: hud, id: true}, {shape: verl, shards: 0, container: jsonl}]",
            ),
            &[
                "6:15 E0120 two outputs have the shape `trl`",
                "6:47 E0136 cannot be written as parquet",
                "6:64 E0115 hud",
                "6:73 E0136 cannot have an `id`",
                "6:102 E0114 at least 1",
                "6:116 E0136 cannot be written as jsonl",
            ],
        ),
        case(
            "ids that are refused",
            &root("output: {shape: openai, id: true}"),
            &["6:29 E0136 `openai` rows cannot have an `id`"],
        ),
        case("no container", &root("output: {shape: trl, container: csv}"), &["6:33 E0115 csv"]),
        case("too many shards", &root("output: {shape: trl, shards: 100000}"), &["6:30 E0114 is more than 99999"]),
        // The model.
        case("a model of no place", &root("model: ../m"), &["6:8 E0138 neither a repository nor a folder"]),
        case("a model without a source", &root("model: {max_tokens: 9}"), &["6:1 E0111 `model` needs `source`"]),
        case("a time that is none", &root("model: {source: a/b, now: today}"), &["6:27 E0138 must be a date"]),
        case(
            "an argument of datac's own",
            &root("model: {source: a/b, arguments: {tools: []}}"),
            &["6:34 E0138 is what datac renders"],
        ),
        case("arguments in a list", &root("model: {source: a/b, arguments: [1]}"), &["6:33 E0112 must be a mapping"]),
        case("trained on by another word", &root("model: {source: a/b, train_on: user}"), &["6:32 E0115 `completion`"]),
        case("no tokens", &root("model: {source: a/b, max_tokens: 0}"), &["6:34 E0114 at least 1"]),
        case(
            "shortened to no length",
            &root("model: {source: a/b, overlong: drop_turns}"),
            &["6:32 E0138 `overlong` needs `max_tokens`"],
        ),
        case(
            "dialogues cut like texts",
            &root("model: {source: a/b, max_tokens: 9, overlong: truncate_end}"),
            &["6:47 E0138 is for texts"],
        ),
        case(
            "dialogues split like texts",
            &root("model: {source: a/b, max_tokens: 9, overlong: split}"),
            &["6:47 E0138 is for texts"],
        ),
        case(
            "trained on by no model",
            &filter("{type: length, min_length: 1, unit: trained_tokens}"),
            &["7:45 E0138 the recipe has no `model`"],
        ),
        case(
            "a model for rows that are no ids",
            &root("output: [native, {shape: trl, model: a/b}]"),
            &["6:31 E0138 no token ids"],
        ),
        case(
            "a model of an output that shortens",
            &root("model: a/b\noutput: {shape: tokens, model: {source: c/d, max_tokens: 9, overlong: drop_turns}}"),
            &["7:71 E0138 makes no sample shorter"],
        ),
        case(
            "two outputs of one name",
            &root("model: a/b\noutput: [tokens, {shape: tokens, name: x}, {shape: tokens, name: X}]"),
            &["7:44 E0120 two outputs have the name `X`"],
        ),
        case(
            "an output of a strange name",
            &root("output: {shape: trl, name: a/b}"),
            &["6:28 E0131 cannot be part of"],
        ),
        case(
            "ids of an output without a model",
            &root("output: [{shape: tokens, model: a/b}, {shape: tokens, name: x}]"),
            &["6:9 E0138 the recipe has no `model`"],
        ),
        case("ids of no model", &root("output: tokens"), &["6:9 E0138 the recipe has no `model`"]),
        // What is expected.
        case("no expectations", &root("expect: 7"), &["6:9 E0112 `expect` must be a mapping"]),
        case("an unknown expectation", &root("expect: {row: 7}"), &["6:10 E0110 unknown key `row`"]),
        case("an expectation without a bound", &root("expect: {rows: {}}"), &["6:16 E0137 has no bound"]),
        case("an unknown bound", &root("expect: {rows: {least: 1}}"), &["6:17 E0110 unknown key `least`"]),
        case("bounds upside down", &root("expect: {rows: {min: 2, max: 1}}"), &["6:16 E0137 a `min` above its `max`"]),
        case("a share of rows", &root("expect: {rows: 10%}"), &["6:16 E0112 must be an integer"]),
        case("rejects of one row or all", &root("expect: {rejects: {max: 1.0}}"), &["6:25 E0129 is ambiguous"]),
        case("no amount of prompts", &root("expect: {repeated_prompts: few}"), &["6:28 E0129 a count or a share"]),
        case("a share above one", &root("expect: {shares: {a: 1.5}}"), &["6:22 E0114 must be in [0, 1]"]),
        case("shares of no one", &root("expect: {shares: 0.5}"), &["6:18 E0112 must be a mapping"]),
        case("a share of an unknown source", &root("expect: {shares: {b: 0.5}}"), &["6:19 E0137 `b` is not among"]),
        case(
            "a share of an excluded source",
            &root("exclude: [{name: e, source: x/z}]\nexpect: {shares: {e: 0.5}}"),
            &["7:19 E0137 `e` is not among"],
        ),
        case("rows of no side", &root("expect: {test_rows: 5}"), &["6:10 E0137 has no test side"]),
        case(
            "rows of a side that is left out",
            &root("validation: none\nexpect: {validation_rows: {min: 1}}"),
            &["7:10 E0137 has no validation side"],
        ),
        // The file.
        case("empty", "", &["1:1 E0104 is empty"]),
        case("only a comment", "# soon\n", &["1:1 E0104 is empty"]),
        case("null", "~", &["1:1 E0104 is empty"]),
        case("a list", "- a\n", &["1:1 E0112 the recipe must be a mapping"]),
        case("a word", "recipe", &["1:1 E0112 found the text `recipe`"]),
        case("two documents", &(root("") + "---\nmetadata: {}\n"), &["7:1 E0105 more than one YAML document"]),
        case("tab", "metadata:\n\tphase: sft\n", &["2:1 E0101 syntax"]),
        case("open bracket", "metadata: {phase: sft\ndatasets: []\n", &["2:9 E0101 syntax"]),
        case("open quote", "metadata: {phase: \"sft}\n", &["1:19 E0101 closing quote missing"]),
        case("colon in value", &root("max_rejects: a: b"), &["6:15 E0101 mapping values"]),
        case("bad indent", "metadata:\n  phase: sft\n version: 1\n", &["3:2 E0101 start in the same column"]),
        case("no indent between brackets", &root("mix: {\ntotal: 1\n}"), &["7:1 E0101 between brackets further than"]),
        case("raw control character", &dataset("text_field: \"a\u{1}b\""), &["6:17 E0117 control character"]),
        case("nested", &format!("a: {}", "[".repeat(2000)), &["1:516 E0109 nested too deeply"]),
        case(
            "nested a little",
            &root(&format!("mix: {}{}", "[".repeat(40), "]".repeat(40))),
            &["6:6 E0112 must be a mapping", "6:38 E0109 nested too deeply"],
        ),
        case("line separator", &dataset("text_field: a\u{2028}"), &["6:18 E0117 U+2028"]),
        case("second byte order mark", &dataset("text_field: \u{feff}a"), &["6:17 E0117 U+FEFF"]),
        // Constructs.
        case("anchor", &dataset("splits: &s [train]"), &["6:13 E0106 anchors"]),
        case(
            "anchor and alias",
            &root("mix: &m {total: 1}\nvalidation: *m"),
            &["6:6 E0106 anchors", "7:13 E0106 aliases"],
        ),
        case("merge key", &root("mix:\n  <<: {total: 1}"), &["7:3 E0110 unknown key `<<`"]),
        case("tag", &dataset("max_samples: !!int \"5\""), &["6:18 E0107 tags", "6:18 E0112 must be an integer"]),
        case("own tag", &root("mix: !mix {total: 1}"), &["6:6 E0107 tags"]),
        case("duplicate key", &dataset("name: b"), &["6:5 E0108 duplicate key `name`"]),
        case("duplicate quoted key", &root("\"metadata\": {phase: dpo}"), &["6:1 E0108 duplicate key `metadata`"]),
        case("list as key", &root("[a]: 1"), &["6:1 E0112 a key must be text"]),
        case("unknown anchor", &root("mix: *nowhere"), &["6:6 E0101 syntax"]),
        // Keys.
        case("unknown key", &root("colour: red"), &["6:1 E0110 known keys of the recipe: `metadata`"]),
        case("unknown key, a slip", &root("validaton: {ratio: 0.1}"), &["6:1 E0110 did you mean `validation`?"]),
        case("unknown key of a dataset", &dataset("max_sample: 5"), &["6:5 E0110 did you mean `max_samples`?"]),
        case(
            "key of a filter, a slip",
            &dataset("min_lenght: 3"),
            &["6:5 E0110 `min_length` belongs to a `length` filter"],
        ),
        case(
            "unknown key of a filter",
            &filter("{type: length, min_lenght: 3, max_length: 9}"),
            &["7:24 E0110 did you mean `min_length`?"],
        ),
        case(
            "key of another filter",
            &filter("{type: quality, min_score: 0.1, languages: [en]}"),
            &["7:41 E0110 `languages` belongs to a `language` filter"],
        ),
        case("key of another block", &root("seed: 1"), &["6:1 E0110 `seed` belongs to `validation`"]),
        case("unknown key of mix", &root("mix:\n  stratgy: cut"), &["7:3 E0110 did you mean `strategy`?"]),
        case(
            "unknown key of metadata",
            "metadata: {phase: sft, tokens: 1}\ndatasets: [{name: a, source: b}]",
            &["1:24 E0110 unknown key `tokens`"],
        ),
        case("number as key", &root("1: 2"), &["6:1 E0110 unknown key `1`"]),
        case("missing blocks", "mix: {}\n", &["1:1 E0111 needs `metadata`", "1:1 E0111 needs `datasets`"]),
        case("missing phase", "metadata: {version: 1}\ndatasets: [{name: a, source: b}]", &["1:1 E0111 needs `phase`"]),
        case(
            "missing name and source",
            "metadata: {phase: sft}\ndatasets:\n  - splits: a\n",
            &["3:5 E0111 needs `name`", "3:5 E0111 needs `source`"],
        ),
        case("null name", "metadata: {phase: sft}\ndatasets:\n  - source: b\n    name:\n", &["4:5 E0111 has no value"]),
        case(
            "missing ratio",
            "metadata: {phase: sft}\ndatasets: [{name: a, source: b}, {name: c, source: d}]",
            &["2:13 E0111 equal shares would be `mix_ratio: 0.5`", "2:35 E0111 needs `mix_ratio`"],
        ),
        case("missing type", &filter("{min_length: 5}"), &["7:10 E0111 one of `length`, `quality`"]),
        case("missing score", &filter("type: quality"), &["7:9 E0111 needs `min_score`"]),
        case("missing languages", &filter("type: language"), &["7:9 E0111 needs `languages`"]),
        // Types.
        case("datasets as a mapping", "metadata: {phase: sft}\ndatasets:\n  name: a\n", &["3:3 E0112 must be a list"]),
        case(
            "dataset as a word",
            "metadata: {phase: sft}\ndatasets: [a]\n",
            &["2:12 E0112 a dataset must be a mapping"],
        ),
        case(
            "name as a list",
            "metadata: {phase: sft}\ndatasets: [{name: [a], source: b}]\n",
            &["2:19 E0112 `name` must be text, found a list"],
        ),
        case("count as text", &dataset("max_samples: many"), &["6:18 E0112 must be an integer, found the text `many`"]),
        case("count in quotes", &dataset("max_samples: \"5\""), &["6:18 E0112 remove the quotes"]),
        case("count with commas", &dataset("max_samples: 50,000"), &["6:18 E0112 write `50000`"]),
        case("count in thousands", &dataset("max_samples: 50k"), &["6:18 E0112 write `50000`"]),
        case("count as a fraction", &dataset("max_samples: 0.5"), &["6:18 E0112 must be an integer"]),
        case("leading zero", &dataset("max_samples: 007"), &["6:18 E0112 remove the leading zero"]),
        case("ratio as text", &dataset("mix_ratio: half"), &["6:16 E0112 must be a number"]),
        case("ratio as a percentage", &dataset("mix_ratio: 30%"), &["6:16 E0112 write 30% as `0.3`"]),
        case("ratio with a comma", &dataset("mix_ratio: 0,5"), &["6:16 E0112 decimal point"]),
        case("ratio too large to be a number", &dataset("mix_ratio: 1e999"), &["6:16 E0112 must be a number"]),
        case("boolean as a word", &root("validation: {stratified: yes}"), &["6:26 E0112 write `true`"]),
        case("filters as a mapping", &dataset("filters: {type: length}"), &["6:14 E0112 must be a list"]),
        case("filter as a word", &filter("length"), &["7:9 E0112 write `{ type: length }`"]),
        case("options as a list", &dataset("options: [a]"), &["6:14 E0112 must be a mapping"]),
        case("nested option", &dataset("options: {a: {b: c}}"), &["6:18 E0112 must be text"]),
        case("splits as a mapping", &dataset("splits: {a: b}"), &["6:13 E0112 a name or a list of names"]),
        case("validation as a number", &root("validation: 0.1"), &["6:13 E0112 write `validation: none`"]),
        case("no validation by a boolean", &root("validation: false"), &["6:13 E0112 write `validation: none`"]),
        case(
            "a share and a source",
            &root("validation: { ratio: 0.1, source: x/z }"),
            &["6:35 E0134 both `ratio` and `source`"],
        ),
        case(
            "a source and a split",
            &root("test: { source: x/z, split: b }"),
            &["6:29 E0134 both `source` and `split`"],
        ),
        case(
            "a share and splits",
            &root("validation: { ratio: 0.1, splits: test }"),
            &["6:35 E0134 both `ratio` and `splits`"],
        ),
        case("splits twice", &root("test: { split: a, splits: b }"), &["6:27 E0111 `splits` in `test` needs `source`"]),
        case("filters of no source", &root("test: { ratio: 0.1, filters: [] }"), &["6:30 E0111 needs `source`"]),
        case("overlap of a share", &root("validation: { overlap: keep }"), &["6:24 E0111 needs `source` or `split`"]),
        case(
            "unknown overlap",
            &root("test: { split: b, overlap: drop }"),
            &["6:28 E0115 one of `remove`, `keep`, `fail`"],
        ),
        case("a side named like a source", &root("test: { source: x/z, name: a }"), &["6:1 E0120 `name` of its own"]),
        case("share in a side", &root("test: { source: x/z, mix_ratio: 1 }"), &["6:22 E0110 belongs to a dataset"]),
        case("exclude as a mapping", &root("exclude: { source: x/z }"), &["6:10 E0112 begin each source"]),
        case("exclude without a source", &root("exclude: [{ name: e }]"), &["6:13 E0111 needs `source`"]),
        case("unknown duplicates", &root("mix: { deduplicate: text }"), &["6:21 E0115 one of `prompt`, `row`"]),
        case("normalise alone", &root("mix: { normalise: true }"), &["6:19 E0111 add `deduplicate: prompt`"]),
        // Numbers.
        case("not a number", &dataset("mix_ratio: .nan"), &["6:16 E0113 finite"]),
        case("infinite", &filter("{type: quality, min_score: .inf}"), &["7:36 E0113 finite"]),
        case("infinite count", &root("mix: {total: -.inf}"), &["6:14 E0113 finite"]),
        case("infinite rejects", &root("max_rejects: .inf"), &["6:14 E0113 finite"]),
        case(
            "the first rows and random ones",
            &dataset("max_samples: 5\nsample: { rows: 5 }"),
            &["7:13 E0134 keep one"],
        ),
        case(
            "two ids",
            &dataset("keep: [id]\n").replace("\n    \n", "\noutput: {shape: trl, id: true}\n"),
            &["6:12 E0134 `keep: {id: source_id}`"],
        ),
        case(
            "two ids by another name",
            &dataset("keep: {n: id}\n").replace("\n    \n", "\noutput: [native, {shape: trl, id: true}]\n"),
            &["6:15 E0134 `keep: {n: source_id}`"],
        ),
        case("a sample by its number", &dataset("sample: 5"), &["6:13 E0112 begin with `rows: …`"]),
        case("a sample without a number", &dataset("sample: { seed: 5 }"), &["6:15 E0111 needs `rows`"]),
        case("an empty sample", &dataset("sample: { rows: 0 }"), &["6:21 E0114 at least 1"]),
        case("no samples", &dataset("max_samples: 0"), &["6:18 E0114 at least 1"]),
        case("negative seed", &root("validation: {seed: -1}"), &["6:20 E0114 at least 0, found `-1`"]),
        case(
            "seed of 65 bits",
            &root("validation: {seed: 18446744073709551616}"),
            &["6:20 E0114 at most 18446744073709551615"],
        ),
        case("grouped seed of 65 bits", &root("validation: {seed: 18446744073709551_616}"), &["6:20 E0114 at most"]),
        case("ratio of nothing", &dataset("mix_ratio: 0"), &["6:16 E0114 above 0 and at most 1"]),
        case("negative ratio", &dataset("mix_ratio: -0.5"), &["6:16 E0114 above 0"]),
        case("ratio in percent", &dataset("mix_ratio: 30"), &["6:16 E0114 write 30% as `0.3`"]),
        case("all is validation", &root("validation: {ratio: 1}"), &["6:21 E0114 below 1"]),
        case("score above one", &filter("{type: quality, min_score: 1.5}"), &["7:36 E0114 from 0 to 1"]),
        case(
            "code ratio below zero",
            &filter("{type: code_quality, min_code_ratio: -0.1}"),
            &["7:46 E0114 from 0 to 1"],
        ),
        case("no total", &root("mix: {total: 0}"), &["6:14 E0114 at least 1"]),
        // Words.
        case("format", &dataset("format: json_lines"), &["6:13 E0115 `jsonl`"]),
        case("format, a slip", &dataset("format: JSONL"), &["6:13 E0115 did you mean `jsonl`?"]),
        case("filter type", &filter("type: lenght"), &["7:15 E0115 did you mean `length`?"]),
        case("strategy", &root("mix: {strategy: oversample}"), &["6:17 E0115 one of `repeat`, `cut`"]),
        case("unit", &root("mix: {unit: token}"), &["6:13 E0115 did you mean `tokens`?"]),
        case("split method", &root("validation: {method: random}"), &["6:22 E0115 one of `hash`, `exact`"]),
        case(
            "deduplication method",
            &filter("{type: deduplication, method: minhash}"),
            &["7:39 E0115 only be `exact`"],
        ),
        // Phases.
        case("phase", "metadata: {phase: ppo}\ndatasets: [{name: a, source: b}]", &["1:19 E0118 did you mean `dpo`?"]),
        case(
            "phase, in capitals",
            "metadata: {phase: SFT}\ndatasets: [{name: a, source: b}]",
            &["1:19 E0118 did you mean `sft`?"],
        ),
        case(
            "phase as a path",
            "metadata: {phase: sft/a}\ndatasets: [{name: a, source: b}]",
            &["1:19 E0118 part of a file name"],
        ),
        // Between datasets.
        case(
            "shares below one",
            &shares(&["0.7", "0.25"]),
            &["5:16 E0119 sum to 0.95, expected 1.0; raise `d0` to 0.75"],
        ),
        case("shares above one", &shares(&["0.3", "0.9"]), &["8:16 E0119 sum to 1.2, expected 1.0; lower `d1` to 0.7"]),
        case(
            "shares far above one",
            &shares(&["1", "1", "1", "1"]),
            &["5:16 E0119 sum to 4, expected 1.0; divide each share by the sum: `d0` 0.25"],
        ),
        case(
            "share of a single one",
            &dataset("mix_ratio: 0.5"),
            &["6:16 E0119 a single dataset needs `mix_ratio: 1.0`"],
        ),
        case("just beyond the tolerance", &shares(&["0.5", "0.4989"]), &["5:16 E0119 sum to 0.9989"]),
        case(
            "one name twice",
            "metadata: {phase: sft}\ndatasets:\n- {name: a, source: b, mix_ratio: 0.5}\n- {name: a, source: c, mix_ratio: 0.5}",
            &["4:10 E0120 two datasets are named `a`"],
        ),
        // Names and paths.
        case(
            "empty name",
            "metadata: {phase: sft}\ndatasets: [{name: ' ', source: b}]",
            &["2:19 E0116 `name` is empty"],
        ),
        case(
            "zero in a name",
            "metadata: {phase: sft}\ndatasets: [{name: \"a\\0b\", source: b}]",
            &["2:19 E0117 control character `\\u{0}`"],
        ),
        case(
            "escape in a description",
            "metadata: {phase: sft, description: \"\\e[31m\"}\ndatasets: [{name: a, source: b}]",
            &["1:37 E0117 control character"],
        ),
        case("no datasets", "metadata: {phase: sft}\ndatasets: []\n", &["2:11 E0116 empty list"]),
        case("no splits", &dataset("splits: []"), &["6:13 E0116 empty list"]),
        case("split slice", &dataset("splits: 'train[:10%]'"), &["6:13 E0121 slices are not supported"]),
        case("splits in one word", &dataset("splits: train+test"), &["6:13 E0121 as a list"]),
        case("split twice", &dataset("splits: [train, test, train]"), &["6:27 E0120 lists `train` twice"]),
        case("null split", &dataset("splits: [train, ~]"), &["6:21 E0112 found nothing"]),
        case("absolute data_dir", &dataset("data_dir: /etc"), &["6:15 E0122 is absolute"]),
        case("data_dir upwards", &dataset("data_dir: [a, b/../..]"), &["6:19 E0122 contains `..`"]),
        case("data_dir with backslash", &dataset("data_dir: 'a\\b'"), &["6:15 E0122 backslash"]),
        case("empty data_dir", &dataset("data_dir: ''"), &["6:15 E0116 is empty"]),
        case("data_dir twice", &dataset("data_dir: [a, a/]"), &["6:19 E0120 lists `a` twice"]),
        case(
            "source with three parts",
            "metadata: {phase: sft}\ndatasets: [{name: a, source: a/b/c, format: huggingface}]",
            &["2:30 E0123 not a Hub id"],
        ),
        case(
            "source upwards",
            "metadata: {phase: sft}\ndatasets: [{name: a, source: ../c}]",
            &["2:30 E0123 not a Hub id"],
        ),
        case(
            "source as a URL",
            "metadata: {phase: sft}\ndatasets: [{name: a, source: 'https://huggingface.co/datasets/a/b'}]",
            &["2:30 E0123 write `a/b`"],
        ),
        case(
            "local source upwards",
            &dataset("format: jsonl").replace("x/y", "../y"),
            &[
                "5:13 E0123 contains `..`; it must be a path inside the workspace; link to the data from the workspace: `ln -s ../y y`",
            ],
        ),
        case(
            "absolute local source",
            &dataset("format: csv").replace("x/y", "/data/y.csv"),
            &["5:13 E0123 `ln -s /data/y.csv y.csv`"],
        ),
        case("revision", &dataset("revision: 'main branch'"), &["6:15 E0130 white space"]),
        case("a licence that is no name", &dataset("license: {id: mit}"), &["6:14 E0112 found a mapping"]),
        case("no licence in a list", &dataset("license: []"), &["6:14 E0116 empty"]),
        // Filters.
        case(
            "a bound by another name",
            &filter("{type: length, max_tokens: 9}"),
            &["7:24 E0110 write `max_length` with `unit: tokens`"],
        ),
        case(
            "unknown unit",
            &filter("{type: length, max_length: 9, unit: words}"),
            &["7:45 E0115 one of `characters`, `tokens`"],
        ),
        case("a column without bounds", &filter("type: column\ncolumn: c"), &["7:15 E0124 no minimum or maximum"]),
        case(
            "bounds of two kinds",
            &filter("type: column\ncolumn: c\nmin: 1\nis: a"),
            &["9:14 E0124 exclude each other"],
        ),
        case("no column", &filter("type: column\nmin: 1"), &["7:9 E0111 needs `column`"]),
        case(
            "a broken path of a filter",
            &filter("type: column\ncolumn: 'a['\nmin: 1"),
            &["8:17 E0135 has a `[` without a `]`"],
        ),
        case("numbers that cross", &filter("type: column\ncolumn: c\nmin: 2\nmax: 1"), &["9:14 E0124 is greater than"]),
        case("length without bounds", &filter("type: length"), &["7:15 E0124 no minimum or maximum"]),
        case(
            "length upside down",
            &filter("{type: length, min_length: 9, max_length: 5}"),
            &["7:36 E0124 is greater than"],
        ),
        case("no languages", &filter("{type: language, languages: []}"), &["7:37 E0116 empty list"]),
        case(
            "language by name",
            &filter("{type: language, languages: [en, German]}"),
            &["7:42 E0125 did you mean `de`?"],
        ),
        case(
            "language of three letters",
            &filter("{type: language, languages: eng}"),
            &["7:37 E0125 did you mean `en`?"],
        ),
        case("no language", &filter("{type: language, languages: [xx]}"), &["7:38 E0125 ISO 639-1"]),
        // Converters.
        case("converter", &dataset("converter: alpacca"), &["6:16 E0126 did you mean `alpaca`?"]),
        case(
            "converter of another kind",
            &dataset("converter: hh_rlhf"),
            &[
                "6:16 E0127 makes preference samples, but the phase needs conversation samples; for conversation samples: `alpaca`, `gsm8k`",
            ],
        ),
        case(
            "option",
            &dataset("converter: gsm8k\noptions: {calc: strip}"),
            &["7:15 E0128 did you mean `calculator`?"],
        ),
        case(
            "option value",
            &dataset("converter: gsm8k\noptions: {calculator: drop}"),
            &["7:27 E0128 one of `keep`, `strip`"],
        ),
        case("option of none", &dataset("converter: alpaca\noptions: {a: b}"), &["7:15 E0128 has no options"]),
        case("option name", &dataset("options: {a b: c}"), &["6:15 E0117 invalid option name"]),
        // max_rejects.
        case("rejects", &root("max_rejects: few"), &["6:14 E0129 a count or a share"]),
        case("rejects above all", &root("max_rejects: 101%"), &["6:14 E0129 a count or a share"]),
        case("rejects of one", &root("max_rejects: 1.0"), &["6:14 E0129 `1` for one row"]),
        case("negative rejects", &root("max_rejects: -1"), &["6:14 E0129 a count or a share"]),
        // Many at once.
        case(
            "many at once",
            "metadata:\n  phase: stf\n  versoin: 1\ndatasets:\n  - name: é\n    source: \"a b\"\n    mix_ratio: 2\n    filters:\n      - {type: length}\nvalidation: {seed: x}\n",
            &[
                "2:10 E0118 did you mean `sft`?",
                "3:3 E0110 did you mean `version`?",
                "6:13 E0123 not a Hub id",
                "7:16 E0114 at most 1",
                "9:16 E0124 no minimum or maximum",
                "10:20 E0112 must be an integer",
            ],
        ),
        case(
            "columns count characters",
            "metadata: {phase: sft}\ndatasets: [{name: ééé, source: b, sorce: c}]",
            &["2:35 E0110 did you mean `source`?"],
        ),
        case(
            "after a byte order mark",
            "\u{feff}metadata: {phas: sft}\ndatasets: [{name: a, source: b}]",
            &["1:1 E0111 needs `phase`", "1:12 E0110 did you mean `phase`?"],
        ),
        case("windows line ends", &root("mix: {unit: x}").replace('\n', "\r\n"), &["6:13 E0115 one of `rows`"]),
    ]
}

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
