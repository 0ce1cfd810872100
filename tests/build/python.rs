//! Converters in Python: what their samples are, what enters their keys, and what becomes of functions that go wrong.

use std::process::{Command, Stdio};

use datac::workspace::{BuildOptions, State};
use serde_json::Value;

use crate::{
    sources::{answers, one, refusal},
    space::{Space, of, ran},
};

/// Whether there is a Python to test with; says so if not.
pub(crate) fn has_python() -> bool {
    let mut command = Command::new("python3");
    command.args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]).stdin(Stdio::null());
    let is_there = command.status().is_ok_and(|status| status.success());
    if !is_there {
        println!("skipped: no python3 of version 3.10 or newer");
    }
    is_there
}

const CONVERTER: &str = "converter: { python: 'py/chat.py:to_sample' }";

/// A workspace with rows `{"n": …, "q": …}` and the function `to_sample` with this body in `py/chat.py`; `None` without Python.
fn space(rows: usize, body: &str) -> Option<Space> {
    has_python().then(|| {
        let space = Space::new();
        let rows: String = (0..rows).map(|n| format!("{{\"n\":{n},\"q\":\"q{n}\"}}\n")).collect();
        space.write("data/d.jsonl", rows);
        write(&space, "", body);
        one(&space, "own", &format!("source: data/d.jsonl, {CONVERTER}"));
        space
    })
}

fn write(space: &Space, before: &str, body: &str) {
    let text =
        format!("import datac\n{before}\n@datac.converter(kind=\"sft\", version=1)\ndef to_sample(row):\n    {body}\n");
    space.write("py/chat.py", text);
}

const ANSWER: &str = "return {'user': row['q'], 'assistant': f\"a{row['n']}\"}";

fn rejects(space: &Space) -> Vec<String> {
    let text = space.text("dataset/quarantine/sft_own.jsonl");
    let told = |line: &str| {
        let reject: Value = serde_json::from_str(line).unwrap();
        format!("{}: {}: {}", reject["row"], reject["reason"].as_str().unwrap(), reject["detail"].as_str().unwrap())
    };
    text.lines().map(told).collect()
}

#[test]
fn functions_make_samples_and_rejects() {
    let body = "
    n = row['n']
    print('noise', n)
    if n == 1: return None
    if n == 2: raise datac.Reject('fewer than 3 votes')
    if n == 3: return row['gone']
    if n == 4: return {'user': 'q', 'assistant': {1, 2}}
    if n == 5: return {'user': 'q', 'assistant': 'a', 'score': float('nan')}
    if n == 6: return {'user': 'q', 'assistant': 'a', 'when': datac}
    if n == 7: return [{'user': 'q', 'assistant': 'a7'}, {'user': 'r', 'assistant': 'b7'}]
    if n == 8: return []
    if n == 9: return {'user': 'q', 'assistant': '\\ud800'}
    if n == 10: return 7
    if n == 11: return {'user': 'q'}
    if n == 12: return (sample for sample in [{'user': 'q', 'assistant': 'é\\n'}])
    if n == 13: return {'user': 'q', 'assistant': b'a'}
    if n == 14: return [7]
    return {'user': row['q'], 'assistant': 'plain'}";
    let Some(space) = space(16, body) else { return };
    space.build();
    assert_eq!(answers(&space, "own"), ["a7", "b7", "plain", "plain", "é\n"]);
    let line = |of: &str| {
        let text = space.text("py/chat.py");
        text.lines().position(|line| line.contains(of)).unwrap() + 1
    };
    let expected = [
        "1: refused: the function returned None".to_owned(),
        "2: refused: fewer than 3 votes".to_owned(),
        format!("3: refused: KeyError: 'gone' (py/chat.py:{})", line("gone")),
        "4: refused: the function returned a set at `assistant`, which JSON does not have".to_owned(),
        "5: refused: the function returned nan at `score`, which JSON does not have".to_owned(),
        "6: refused: the function returned a module at `when`, which JSON does not have".to_owned(),
        "9: refused: the function returned half of a surrogate pair, which is no character".to_owned(),
        "10: refused: the function returned an int; a sample is a dictionary".to_owned(),
        "11: missing_field: nothing for `assistant`".to_owned(),
        "13: refused: the function returned bytes at `assistant`, which JSON does not have".to_owned(),
    ];
    let rejects = rejects(&space);
    assert_eq!(rejects[..10], expected);
    assert!(rejects[10].starts_with("14: refused: the program wrote no sample"), "{rejects:?}");
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn the_key_holds_what_decides_and_nothing_else() {
    let Some(space) = space(20, "return {'user': row['q'], 'assistant': helper.answer(row['n'])}") else { return };
    space.edit("py/chat.py", "import datac\n", "import datac\nimport helper\n");
    space.write("py/helper.py", "from .words import WORDS\ndef answer(n):\n    return WORDS[n % 2] + str(n)\n");
    space.write("py/words.py", "WORDS = ['a', 'b']\n");
    space.write("py/other.py", "# one\n");
    // `helper` is no package that has relative imports.
    let failure = refusal(&space, "own");
    assert!(failure.contains("attempted relative import") && failure.contains("py/helper.py:1"), "{failure}");
    space.edit("py/helper.py", "from .words", "from words");
    space.build();
    assert_eq!(answers(&space, "own")[..2], ["a0", "a10"]);
    space.assert_settled();
    space.write("py/other.py", "# two\n");
    space.write("README.md", "two\n");
    assert_eq!(space.state("sft/own"), "fresh");
    space.assert_settled();
    space.edit("py/words.py", "'a'", "'c'");
    assert_eq!(space.state("sft/own"), "stale: converter py/chat.py:to_sample: py/words.py changed");
    space.build();
    assert_eq!(answers(&space, "own")[..2], ["b1", "b11"]);
    // An edit of the same length within a second: bytecode of the module before must not be used.
    for text in ["'x'", "'y'", "'z'"] {
        let before = space.text("py/words.py");
        space.write("py/words.py", format!("WORDS = [{text}, 'b']\n"));
        assert_ne!(before, space.text("py/words.py"));
        space.build();
        let expected = format!("{}0", text.trim_matches('\''));
        assert!(answers(&space, "own").contains(&expected), "{text}: {:?}", answers(&space, "own"));
    }
    assert!(!space.path("py/__pycache__").exists(), "no bytecode is left in the workspace");
    space.edit("py/chat.py", "version=1", "version=2");
    assert_eq!(space.state("sft/own"), "stale: converter py/chat.py:to_sample: source changed");
    let report = space.build();
    assert!(ran(&report).contains("convert"), "{}", ran(&report));
    // A module that comes between is found.
    space.write("words.py", "WORDS = ['r', 'r']\n");
    assert_eq!(space.state("sft/own"), "stale: converter py/chat.py:to_sample: depends on words.py now");
    space.build();
    space.remove("py/helper.py");
    let failure = refusal(&space, "own");
    assert!(failure.contains("ModuleNotFoundError: No module named 'helper' (py/chat.py:2)"), "{failure}");
}

#[test]
fn a_bound_that_moves_calls_no_function() {
    let Some(space) = space(200, ANSWER) else { return };
    let with = |min: u32| {
        let filters = format!("filters: [{{ type: length, min_length: {min} }}]");
        one(&space, "own", &format!("source: data/d.jsonl, {CONVERTER}, {filters}"));
    };
    with(1);
    space.build();
    with(8);
    let report = space.build();
    assert!(!ran(&report).contains("convert") && !ran(&report).contains("score"), "{}", ran(&report));
}

#[test]
fn modules_and_files_of_the_workspace_have_to_be_named() {
    let Some(space) = space(3, "return {'user': row['q'], 'assistant': open('py/words.txt').read()}") else { return };
    space.write("py/words.txt", "w");
    let failure = refusal(&space, "own");
    assert!(failure.contains("it reads `py/words.txt`, which the recipe does not name"), "{failure}");
    assert!(failure.contains("files: [py/words.txt]"), "{failure}");
    let with = |files: &str| {
        let converter = format!("converter: {{ python: 'py/chat.py:to_sample', files: [{files}] }}");
        one(&space, "own", &format!("source: data/d.jsonl, {converter}"));
    };
    with("py/words.txt");
    space.build();
    space.write("py/words.txt", "v");
    assert_eq!(space.state("sft/own"), "stale: converter py/chat.py:to_sample: py/words.txt changed");
    space.build();
    assert_eq!(answers(&space, "own"), ["v"; 3]);
    with("py/none.txt");
    assert!(refusal(&space, "own").contains("the file `py/none.txt` of `py/chat.py:to_sample` does not exist"));
    // One that wildcards stand for, and one that comes later.
    with("py/*.txt");
    space.build();
    space.write("py/more.txt", "m");
    assert_eq!(space.state("sft/own"), "stale: converter py/chat.py:to_sample: depends on py/more.txt now");
    // What only running shows is found as well.
    write(&space, "import importlib", "return {'user': 'q', 'assistant': importlib.import_module('hidden').A}");
    space.write("py/hidden.py", "A = 'a'\n");
    one(&space, "own", &format!("source: data/d.jsonl, {CONVERTER}"));
    assert!(refusal(&space, "own").contains("it reads `py/hidden.py`"), "{}", refusal(&space, "own"));
    with("py/hidden.py");
    space.build();
    assert_eq!(answers(&space, "own"), ["a"; 3]);
}

#[test]
fn what_is_not_the_same_twice_is_no_result() {
    for (before, body) in [
        ("import random", "return {'user': row['q'], 'assistant': str(random.random())}"),
        ("import itertools\nCOUNT = itertools.count()", "return {'user': row['q'], 'assistant': str(next(COUNT))}"),
        ("", "return {'user': row['q'], 'assistant': ' '.join({'a', 'b', 'c', 'd', 'e', 'f', 'g', row['q']})}"),
        ("import time", "return {'user': row['q'], 'assistant': str(time.time_ns())}"),
        ("import os", "raise datac.Reject(str(os.getpid()))"),
    ] {
        let Some(space) = space(100, ANSWER) else { return };
        write(&space, before, body);
        let failure = refusal(&space, "own");
        assert!(failure.contains("it returned two results for the same row"), "{before}: {failure}");
        assert!(failure.contains("at `data/d.jsonl` row "), "{failure}");
        // Nothing of it is in the cache.
        write(&space, "", ANSWER);
        space.build();
        assert_eq!(answers(&space, "own").len(), 100);
    }
    // The address of an object is no difference.
    let Some(space) = space(100, "raise ValueError(object())") else { return };
    let failure = refusal(&space, "own");
    assert!(failure.contains("ValueError: <object object>") || !failure.contains("two results"), "{failure}");
}

#[test]
fn a_function_that_goes_wrong_is_named_with_its_row() {
    let at = |body: &str| format!("if row['n'] == 2: {body}\n    {ANSWER}");
    let timed = "converter: { python: 'py/chat.py:to_sample', timeout: 1 }";
    for (before, body, converter, said) in [
        (
            "import os",
            at("os.abort()"),
            CONVERTER,
            &["its process ended: signal: 6 (SIGABRT)", "row 2 (line 3)", "py/chat.py"][..],
        ),
        ("import os", at("os._exit(3)"), CONVERTER, &["its process ended: exit status: 3", "row 2 (line 3)"]),
        ("import sys", at("sys.exit('enough')"), CONVERTER, &["SystemExit: enough", "row 2 (line 3)"]),
        (
            "",
            at("import missing_package"),
            CONVERTER,
            &["ModuleNotFoundError: No module named 'missing_package'", "row 2"],
        ),
        (
            "",
            at("open('/nowhere/at/all')"),
            CONVERTER,
            &["FileNotFoundError", "/nowhere/at/all", "datac.Reject", "row 2"],
        ),
        ("", at("raise MemoryError"), CONVERTER, &["MemoryError", "row 2"]),
        (
            "import time",
            at("time.sleep(600)"),
            timed,
            &["it took more than 1 s for one row", "row 2 (line 3)", "timeout:"],
        ),
        ("import time\ntime.sleep(600)", at("pass"), timed, &["it took more than 1 s to be imported"]),
        (
            "def broken(:",
            ANSWER.to_owned(),
            CONVERTER,
            &["`py/chat.py` cannot be imported: SyntaxError", "py/chat.py:2"],
        ),
        (
            "1 / 0",
            ANSWER.to_owned(),
            CONVERTER,
            &["cannot be imported: ZeroDivisionError: division by zero (py/chat.py:2)"],
        ),
        ("import sys\nsys.exit()", ANSWER.to_owned(), CONVERTER, &["cannot be imported: SystemExit"]),
    ] {
        let Some(space) = space(5, ANSWER) else { return };
        write(&space, before, &body);
        one(&space, "own", &format!("source: data/d.jsonl, {converter}"));
        let failure = refusal(&space, "own");
        for said in said {
            assert!(failure.contains(said), "{before} {body}: `{said}` is not in: {failure}");
        }
        // Others that read the same rows are built, and this one once it is mended.
        write(&space, "", ANSWER);
        space.build();
        assert_eq!(answers(&space, "own").len(), 5);
    }
}

#[test]
fn functions_that_are_not_there_are_told_from_those_that_are() {
    let Some(space) = space(3, ANSWER) else { return };
    space.write(
        "py/chat.py",
        "import datac\n@datac.converter(kind='dpo')\ndef pairs(row): return []\ndef plain(row): return []\n",
    );
    for (function, said) in [
        ("py/chat.py:to_sample", &["`py/chat.py` has no `to_sample`; its converters: `pairs`"][..]),
        (
            "py/chat.py:plain",
            &["`plain` of `py/chat.py` is not a converter; its converters: `pairs`", "@datac.converter(…)"],
        ),
        ("py/chat.py:pairs", &["it makes samples for `dpo`, but the phase needs conversation samples"]),
        ("py/none.py:f", &["the file `py/none.py` of `py/none.py:f` does not exist"]),
    ] {
        one(&space, "own", &format!("source: data/d.jsonl, converter: {{ python: '{function}' }}"));
        let failure = refusal(&space, "own");
        assert!(said.iter().all(|said| failure.contains(said)), "{function}: {failure}");
    }
    for (decorator, said) in [
        ("@datac.converter", "the kind is missing: write `@datac.converter(kind=\"sft\")`"),
        ("@datac.converter(kind='chat')", "unknown kind 'chat': it is one of sft"),
        ("@datac.converter(kind='sft', version=0)", "the version must be a whole number from 1 on"),
        ("@datac.judge()", "module 'datac' has no attribute 'judge'"),
    ] {
        space.write("py/chat.py", format!("import datac\n{decorator}\ndef to_sample(row): return []\n"));
        one(&space, "own", &format!("source: data/d.jsonl, {CONVERTER}"));
        let failure = refusal(&space, "own");
        assert!(failure.contains(said), "{decorator}: {failure}");
    }
}

#[test]
fn the_interpreter_is_the_one_that_is_meant() {
    let Some(space) = space(3, ANSWER) else { return };
    let build = |variables: &[(&str, &str)]| {
        let mut command = space.command(&["build", "--force"]);
        command.env_remove("VIRTUAL_ENV").envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(build(&[]).0, Some(0));
    let (code, said) = build(&[("DATAC_PYTHON", "/nowhere/python")]);
    assert!(
        code == Some(1) && said.contains("`/nowhere/python` cannot be started") && said.contains("[E0221]"),
        "{said}"
    );
    let (code, said) = build(&[("PATH", "/nowhere")]);
    assert!(code == Some(1) && said.contains("`python3` cannot be started") && said.contains("DATAC_PYTHON"), "{said}");
    // A virtual environment that is gone is none.
    assert_eq!(build(&[("VIRTUAL_ENV", "/nowhere")]).0, Some(0));
    let python = String::from_utf8(
        Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap().stdout,
    );
    let python = python.unwrap();
    space.write("venv/bin/python", format!("#!/bin/sh\necho used > used\nexec {} \"$@\"\n", python.trim()));
    Command::new("chmod").arg("+x").arg(space.path("venv/bin/python")).status().unwrap();
    let venv = space.path("venv");
    assert_eq!(build(&[("VIRTUAL_ENV", venv.to_str().unwrap()), ("PATH", "/nowhere")]).0, Some(0));
    assert!(space.path("used").exists());
}

#[test]
fn other_recipes_over_the_same_rows_are_built() {
    let Some(space) = space(3000, "raise ImportError") else { return };
    let rows: String = (0..3000)
        .map(|n| {
            format!("{{\"n\":{n},\"q\":\"q{n}\",\"instruction\":\"i{n} {}\",\"output\":\"o\"}}\n", "x".repeat(400))
        })
        .collect();
    space.write("data/d.jsonl", rows);
    one(&space, "good", "source: data/d.jsonl, converter: alpaca");
    let report = space.try_build(&BuildOptions::default()).unwrap();
    assert!(of(&report, "sft/own").failure.is_some());
    assert_eq!(answers(&space, "good").len(), 3000);
    // Many chunks, on several threads.
    write(&space, "", ANSWER);
    space.build();
    let mut expected: Vec<String> = (0..3000).map(|n| format!("a{n}")).collect();
    expected.sort();
    assert_eq!(answers(&space, "own"), expected);
    assert_eq!(space.status().recipes.iter().filter(|recipe| recipe.state == State::Fresh).count(), 2);
}
