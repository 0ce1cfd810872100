//! Scorers and filters in Python: which samples stay, what is said of those without a score, what enters the keys of scores, and
//! what becomes of functions that go wrong.

use datac::workspace::{BuildOptions, DroppedRow, Fate};

use crate::{
    python::has_python,
    sources::{answers, one, refusal},
    space::{Space, count, of, ran},
};

const ROWS: &str = "source: data/d.jsonl, columns: { user: q, assistant: a }, keep: [n]";

/// A workspace with rows whose answers are `a0`, `a1`, …, the functions `score` and `judge` with these bodies in `py/tone.py`, and a
/// recipe with these filters; `None` without Python.
fn space(rows: usize, body: &str, filters: &str) -> Option<Space> {
    has_python().then(|| {
        let space = Space::new();
        let rows: String =
            (0..rows).map(|n| format!("{{\"n\":{n},\"q\":\"question {n}\",\"a\":\"a{n}\"}}\n")).collect();
        space.write("data/d.jsonl", rows);
        write(&space, "", body);
        filter(&space, filters);
        space
    })
}

fn write(space: &Space, before: &str, body: &str) {
    let text = format!(
        "import datac\n{before}\n@datac.scorer\ndef score(sample):\n    {body}\n\n\
         @datac.filter(version=1)\ndef judge(sample):\n    {body}\n"
    );
    space.write("py/tone.py", text);
}

fn filter(space: &Space, filters: &str) {
    one(space, "own", &format!("{ROWS}, filters: [{filters}]"));
}

fn dropped(space: &Space, filter: &str) -> Vec<DroppedRow> {
    let mut rows = Vec::new();
    let each = |row| {
        rows.push(row);
        true
    };
    space.workspace().outputs().dropped("sft/own", filter, 100, each).unwrap();
    rows
}

#[test]
fn samples_are_kept_by_what_a_function_says() {
    let body = "
    n = sample['n']
    print('noise', n)
    assert sample['conversations'][1] == {'role': 'assistant', 'content': f'a{n}'}, sample
    assert sample['text'] == f'question {n}\\na{n}' and 'source' not in sample
    if n == 6: return None
    if n == 7: raise ValueError('odd')
    if n == 8: raise datac.Reject('no words')
    if n == 9: return float('nan')
    return [0, 0.25, 0.5, True, 1000, -1][n]";
    let Some(space) = space(10, body, "{ python: 'py/tone.py:score', min: 0.25, max: 1 }") else { return };
    let report = space.build();
    assert_eq!(answers(&space, "own"), ["a1", "a2", "a3"]);
    let recipe = of(&report, "sft/own");
    let counted = &recipe.summary.as_ref().unwrap().sources[0].filters[0];
    assert_eq!((counted.filter.as_str(), counted.rows_in, counted.rows_out), ("py/tone.py:score", 8, 3));
    assert_eq!((counted.unknown, counted.failed), (2, 2));
    let line = space.text("py/tone.py").lines().position(|line| line.contains("'odd'")).unwrap() + 1;
    let odd = format!("ValueError: odd (py/tone.py:{line})");
    assert_eq!(counted.failure.as_deref(), Some(odd.as_str()));
    let note = format!("`py/tone.py:score` refuses 2 rows of `rows`, first: {odd}");
    assert!(recipe.notes.iter().any(|told| told.text == note), "{:?}", recipe.notes);
    for name in ["python", "score", "py/tone.py:score"] {
        let told: Vec<(u64, String)> =
            dropped(&space, name).iter().map(|row| (row.source.row, row.by.score.to_string())).collect();
        let expected = [(0, "0.0"), (4, "1000.0"), (5, "-1.0"), (6, "null"), (9, "\"the function returned nan\"")];
        assert_eq!(told, expected.map(|(row, score)| (row, score.to_owned())), "{name}");
    }
    let fate = space.workspace().outputs().trace_source("rows", "d.jsonl", 0).unwrap().fates.remove(0).fate;
    let Fate::Filtered { by, .. } = fate else { panic!("{fate:?}") };
    assert_eq!((by.field.as_str(), by.bound.as_str()), ("py/tone.py:score", "min 0.25 max 1.0"));
    let fate = space.workspace().outputs().trace_source("rows", "d.jsonl", 8).unwrap().fates.remove(0).fate;
    let Fate::Rejected { reject, quarantine } = fate else { panic!("{fate:?}") };
    assert_eq!((reject.reason.code(), reject.detail.as_str()), ("refused", "py/tone.py:score: no words"));
    assert_eq!(quarantine.line, 2);
    assert_eq!(
        rejected(&space),
        [
            (7, 8, "refused".to_owned(), format!("py/tone.py:score: {odd}"), row(7)),
            (8, 9, "refused".to_owned(), "py/tone.py:score: no words".to_owned(), row(8)),
        ]
    );
    assert_eq!(recipe.summary.as_ref().unwrap().sources[0].rejects.values().sum::<u64>(), 2);
    space.assert_settled();
    space.assert_clean();

    // Bounds, and what becomes of samples without a score, are no part of a score.
    for (bounds, expected) in [
        ("min: 0.5", &["a2", "a3", "a4"][..]),
        ("max: 0.25, missing: keep", &["a0", "a1", "a5", "a6", "a9"]),
        ("min: 0.25, max: 1, timeout: 5", &["a1", "a2", "a3"]),
    ] {
        filter(&space, &format!("{{ python: 'py/tone.py:score', {bounds} }}"));
        let report = space.build();
        assert!(!ran(&report).contains("score") && !ran(&report).contains("convert"), "{}", ran(&report));
        assert_eq!(answers(&space, "own"), expected, "{bounds}");
    }
}

#[test]
fn a_function_without_bounds_says_which_samples_are_kept() {
    let body = "return [True, False, None][sample['n']]";
    let Some(space) = space(3, body, "{ python: 'py/tone.py:judge' }") else { return };
    let report = space.build();
    assert_eq!(answers(&space, "own"), ["a0"]);
    let counted = &of(&report, "sft/own").summary.as_ref().unwrap().sources[0].filters[0];
    assert_eq!((counted.rows_out, counted.unknown, counted.failed), (1, 1, 0));
    let told: Vec<(String, String)> =
        dropped(&space, "judge").iter().map(|row| (row.by.score.to_string(), row.by.bound.clone())).collect();
    assert_eq!(told, [("false", "is true"), ("null", "is true")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    filter(&space, "{ python: 'py/tone.py:judge', missing: keep }, { type: length, min_length: 1 }");
    let report = space.build();
    assert_eq!(answers(&space, "own"), ["a0", "a2"]);
    // The rows are read for the sake of the other filter alone.
    assert_eq!(count(&report, "score"), 1, "{}", ran(&report));
    space.assert_clean();
}

#[test]
fn a_score_is_made_again_when_what_decides_it_changes() {
    let Some(space) = space(20, "return weight(sample['n'])", "{ python: 'py/tone.py:score', min: 10 }") else {
        return;
    };
    write(&space, "from words import weight", "return weight(sample['n'])");
    space.write("py/words.py", "def weight(n): return n\n");
    space.build();
    assert_eq!(answers(&space, "own").len(), 10);
    space.assert_settled();
    space.write("py/other.py", "# one\n");
    assert_eq!(space.state("sft/own"), "fresh");
    space.write("py/words.py", "def weight(n): return 2 * n\n");
    assert_eq!(space.state("sft/own"), "stale: filter py/tone.py:score: py/words.py changed");
    let report = space.build();
    // The samples are those of the cache.
    assert!(ran(&report).contains("score") && !ran(&report).contains("convert"), "{}", ran(&report));
    assert_eq!(answers(&space, "own").len(), 15);
    write(&space, "from words import weight", "return weight(sample['n']) + 1");
    assert_eq!(space.state("sft/own"), "stale: filter py/tone.py:score: source changed");
    space.build();
    space.assert_clean();
    // A file that it reads has to be named.
    write(&space, "", "return float(open('py/limit.txt').read())");
    space.write("py/limit.txt", "11");
    let failure = refusal(&space, "own");
    assert!(failure.contains("it reads `py/limit.txt`, which the recipe does not name"), "{failure}");
    assert!(failure.contains("scores have to be made again"), "{failure}");
    filter(&space, "{ python: 'py/tone.py:score', min: 10, files: [py/limit.txt] }");
    space.build();
    space.write("py/limit.txt", "12");
    assert_eq!(space.state("sft/own"), "stale: filter py/tone.py:score: py/limit.txt changed");
    space.remove("py/tone.py");
    let failure = refusal(&space, "own");
    assert!(failure.contains("the file `py/tone.py` of `py/tone.py:score` does not exist"), "{failure}");
}

#[test]
fn what_is_not_the_same_twice_is_no_score() {
    for (before, body) in [
        ("import random", "return random.random()"),
        ("import itertools\nCOUNT = itertools.count()", "return next(COUNT)"),
        ("import os", "raise ValueError(os.getpid())"),
    ] {
        let Some(space) = space(100, "return 1", "{ python: 'py/tone.py:score', min: 0, missing: keep }") else {
            return;
        };
        write(&space, before, body);
        let failure = refusal(&space, "own");
        assert!(failure.contains("it returned two results for the same sample"), "{before}: {failure}");
        assert!(failure.contains("at `data/d.jsonl` row "), "{failure}");
        write(&space, "", "return 1");
        space.build();
        assert_eq!(answers(&space, "own").len(), 100);
    }
}

#[test]
fn a_function_that_goes_wrong_is_named_with_its_row() {
    let scorer = "{ python: 'py/tone.py:score', min: 0 }";
    let judge = "{ python: 'py/tone.py:judge' }";
    let at = |body: &str| format!("if sample['n'] == 2: {body}\n    return True");
    for (before, body, filters, said) in [
        ("", at("return 'high'"), scorer, &["it returned a str; a scorer returns a number", "row 2 (line 3)"][..]),
        ("", at("return [1]"), scorer, &["it returned a list; a scorer returns a number", "row 2 (line 3)"]),
        ("", at("return 0.5"), judge, &["it returned a float; a filter returns `True`", "add `min` or `max`"]),
        ("", at("return 'yes'"), judge, &["it returned a str; a filter returns `True`", "row 2 (line 3)"]),
        ("import os", at("os._exit(3)"), scorer, &["its process ended: exit status: 3", "row 2 (line 3)"]),
        ("", at("import missing_package"), judge, &["ModuleNotFoundError", "row 2 (line 3)", "raise `datac.Reject`"]),
        ("1 / 0", at("pass"), scorer, &["cannot be imported: ZeroDivisionError"]),
        ("", at("pass"), "{ python: 'py/tone.py:judge', min: 1 }", &["is a filter, not a scorer", "remove `min`"]),
        ("", at("pass"), "{ python: 'py/tone.py:score' }", &["is a scorer, not a filter", "add `min` or `max`"]),
        (
            "def plain(s): return 1",
            at("pass"),
            "{ python: 'py/tone.py:plain' }",
            &["is not a filter", "@datac.filter`"],
        ),
        ("", at("pass"), "{ python: 'py/tone.py:gone' }", &["has no `gone`; its filters: `judge`"]),
    ] {
        let Some(space) = space(5, &body, filters) else { return };
        write(&space, before, &body);
        let failure = refusal(&space, "own");
        for said in said {
            assert!(failure.contains(said), "{before} {body}: `{said}` is not in: {failure}");
        }
        // Others over the same rows are built, and this one once it is mended; the samples are there already.
        one(&space, "plain", ROWS);
        let report = space.try_build(&BuildOptions::default()).unwrap();
        assert!(of(&report, "sft/plain").failure.is_none() && of(&report, "sft/own").failure.is_some());
        assert!(!ran(&report).contains("convert"), "{}", ran(&report));
        write(&space, "", "return True");
        filter(&space, judge);
        space.build();
        assert_eq!(answers(&space, "own").len(), 5);
    }
}

#[test]
fn a_function_that_fails_for_every_sample_says_why_nothing_is_left() {
    let Some(space) = space(3, "return sample['gone']", "{ python: 'py/tone.py:score', min: 0 }") else { return };
    let report = space.try_build(&BuildOptions::default()).unwrap();
    let failure = of(&report, "sft/own").failure.as_ref().unwrap();
    assert!(failure.message.contains("(3 refused, `py/tone.py:score` kept 0 of 0 rows)"), "{failure}");
    assert!(failure.hint.as_deref().unwrap().contains("--rejected"), "{failure:?}");
    let note = failure.note.as_deref().unwrap();
    let first = "first `data/d.jsonl` row 0 (line 1): refused: py/tone.py:score: KeyError: 'gone' (py/tone.py:";
    assert!(note.starts_with(first), "{note}");
    // They can be looked at all the same.
    assert_eq!(rejected(&space).len(), 3);
}

/// Returns the quarantined rows: row, line, reason, detail, raw row.
fn rejected(space: &Space) -> Vec<(u64, u64, String, String, String)> {
    let text = space.text("dataset/quarantine/sft_own.jsonl");
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let word = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.map(|row| {
        let (number, line) = (row["row"].as_u64().unwrap(), row["line"].as_u64().unwrap());
        (number, line, word(&row, "reason"), word(&row, "detail"), word(&row, "raw"))
    })
    .collect()
}

fn row(n: usize) -> String {
    format!("{{\"n\":{n},\"q\":\"question {n}\",\"a\":\"a{n}\"}}")
}

#[test]
fn a_function_refuses_no_rows_that_a_bound_before_it_drops() {
    let refuses = "{ python: 'py/tone.py:judge' }";
    let body = "
    if sample['n'] > 5: raise ValueError(sample['n'])
    return sample['n'] != 1";
    let column = "{ type: column, column: n, max: 6 }";
    let Some(space) = space(9, body, &format!("{column}, {refuses}")) else { return };
    let counts = |space: &Space| {
        let report = space.build();
        let summary = of(&report, "sft/own").summary.clone().unwrap();
        let filters = summary.sources[0].filters.iter();
        filters.map(|filter| (filter.rows_in, filter.rows_out, filter.failed)).collect::<Vec<_>>()
    };
    assert_eq!(counts(&space), [(8, 6, 0), (6, 5, 1)]);
    assert_eq!(rejected(&space).iter().map(|row| row.0).collect::<Vec<_>>(), [6]);
    space.assert_settled();
    space.assert_clean();
    // The other way round it is asked first; the scores are those that are there.
    filter(&space, &format!("{refuses}, {column}"));
    assert_eq!(counts(&space), [(6, 5, 3), (5, 5, 0)]);
    assert_eq!(rejected(&space).iter().map(|row| row.0).collect::<Vec<_>>(), [6, 7, 8]);
    assert_eq!(answers(&space, "own"), ["a0", "a2", "a3", "a4", "a5"]);
    space.assert_clean();
    // No more rows are refused than are looked at, and no more than the recipe allows.
    one(&space, "own", &format!("{ROWS}, max_samples: 2, filters: [{refuses}]"));
    assert_eq!(counts(&space), [(3, 2, 0)]);
    assert!(!space.path("dataset/quarantine/sft_own.jsonl").exists());
    one(&space, "own", &format!("{ROWS}, filters: [{refuses}]"));
    space.write("config/sft/own.yaml", space.text("config/sft/own.yaml") + "max_rejects: 2\n");
    let failure = refusal(&space, "own");
    assert!(failure.contains("3 of 9 rows were rejected; `max_rejects` allows 2"), "{failure}");
}

#[test]
fn a_row_of_several_samples_is_refused_as_a_whole_beside_rows_that_make_none() {
    let Some(space) = space(0, "return 1", "{ python: 'py/tone.py:judge' }") else { return };
    let rows: String = (0..400).map(|n| format!("{{\"n\":{n},\"q\":\"q{n} {}\"}}\n", "x".repeat(3000))).collect();
    space.write("data/d.jsonl", rows);
    space.write(
        "py/tone.py",
        "import datac\n@datac.converter(kind='sft')\n\
         def make(row):\n    assert row['n'] % 10 != 3\n    \
         return [{'user': row['q'], 'assistant': f'{row[\"n\"]}{c}'} for c in 'abc']\n\
         @datac.filter\ndef judge(sample):\n    answer = sample['conversations'][-1]['content']\n    \
         assert not answer.endswith('5c'), 'five'\n    return answer[-1] != 'b'\n",
    );
    let source = "source: data/d.jsonl, converter: { python: 'py/tone.py:make' }";
    one(
        &space,
        "own",
        &format!("{source}, filters: [{{ type: deduplication, method: exact }}, {{ python: 'py/tone.py:judge' }}]"),
    );
    let report = space.build();
    let mut expected: Vec<String> =
        (0..400).filter(|n| n % 10 != 3 && n % 10 != 5).flat_map(|n| [format!("{n}a"), format!("{n}c")]).collect();
    expected.sort();
    assert_eq!(answers(&space, "own"), expected);
    let summary = of(&report, "sft/own").summary.clone().unwrap();
    assert_eq!(summary.sources[0].rejects.values().sum::<u64>(), 80);
    let told = rejected(&space);
    assert_eq!(
        told.iter().map(|row| row.0).collect::<Vec<_>>(),
        (0..400).filter(|n| n % 10 == 3 || n % 10 == 5).collect::<Vec<_>>()
    );
    assert_eq!(told.iter().filter(|row| row.3.starts_with("py/tone.py:judge: AssertionError: five")).count(), 40);
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn several_functions_score_what_another_function_made_on_many_threads() {
    let filters = "{ python: 'py/tone.py:score', min: 100 }, { python: 'py/tone.py:judge' }";
    let Some(space) = space(0, "return sample['n'] % 2 == 0 or sample['n']", filters) else { return };
    let text = "x".repeat(400);
    let rows: String = (0..3000).map(|n| format!("{{\"n\":{n},\"q\":\"q{n} {text}\"}}\n")).collect();
    space.write("data/d.jsonl", rows);
    space.write(
        "py/tone.py",
        "import datac\n@datac.converter(kind='sft')\n\
         def make(row): return [{'user': row['q'], 'assistant': f'{row[\"n\"]}{c}', 'n': row['n']} for c in 'ab']\n\
         @datac.scorer\ndef score(sample): return sample['n']\n\
         @datac.filter\ndef judge(sample): return sample['conversations'][-1]['content'].endswith('a')\n",
    );
    let recipe = |min: u32| {
        let filters = format!("{{ python: 'py/tone.py:score', min: {min} }}, {{ python: 'py/tone.py:judge' }}");
        one(
            &space,
            "own",
            &format!("source: data/d.jsonl, converter: {{ python: 'py/tone.py:make' }}, filters: [{filters}]"),
        );
    };
    recipe(100);
    space.build();
    let mut expected: Vec<String> = (100..3000).map(|n| format!("{n}a")).collect();
    expected.sort();
    assert_eq!(answers(&space, "own"), expected);
    recipe(2990);
    let report = space.build();
    assert!(!ran(&report).contains("score") && !ran(&report).contains("convert"), "{}", ran(&report));
    assert_eq!(answers(&space, "own").len(), 10);
    space.assert_settled();
    space.assert_clean();
}
