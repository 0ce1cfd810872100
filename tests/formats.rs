//! What every converter owes: fixtures, documentation, a snapshot of its output, and a version raised when that changes.
//!
//! `tests/fixtures/formats/<converter>/input.jsonl` holds rows of our own, bad ones among them; `output.snap` beside it
//! is what the converter makes of them; `versions.txt` says which version made it.

mod common;

use std::{fmt::Write, path::PathBuf};

use datac::{
    convert::{self, CONVERTERS, Converter, Options, Tally},
    hash::Digest,
    shape::{self, native::Native},
    system,
};

fn crate_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let bytes = system::read(&crate_root().join(path)).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(bytes).expect("text files of the project are UTF-8")
}

/// The converter's rows under its default options, and again under every other value of each option.
fn output(converter: &dyn Converter) -> String {
    let input = read(&format!("tests/fixtures/formats/{}/input.jsonl", converter.name()));
    let mut out = converted(converter, &input, &Options::new());
    for option in converter.options() {
        for value in &option.values[1..] {
            let options = Options::from([(option.name.to_owned(), (*value).to_owned())]);
            write!(out, "\n# {}: {value}\n{}", option.name, converted(converter, &input, &options)).expect("a String");
        }
    }
    out
}

/// One line a row: the row as it is written, with what is kept beside it; or why it is rejected.
fn converted(converter: &dyn Converter, input: &str, options: &Options) -> String {
    let mut out = String::new();
    for line in input.lines() {
        match convert::convert(converter, &common::row(line), options, &mut Tally::default()) {
            Ok(converted) => {
                for sample in converted.samples.as_slice() {
                    assert_eq!(sample.kind(), converter.kind(), "{}: {line}", converter.name());
                    let json = shape::row_of(&Native, sample, "fixture").expect("a native row");
                    serde_json::from_str::<serde_json::Value>(&json).expect("what is written is JSON");
                    out.push_str(&json);
                    if let Some(answer) = &sample.answer {
                        write!(out, " answer={answer}").expect("a String");
                    }
                    if converted.joined_turns > 0 {
                        write!(out, " joined={}", converted.joined_turns).expect("a String");
                    }
                    out.push('\n');
                }
            }
            Err(reject) => {
                let text = format!("reject {}: {}", reject.reason.code(), reject.detail);
                writeln!(out, "{}", text.trim_end_matches(": ")).expect("a String");
            }
        }
    }
    out
}

#[test]
fn every_converter_has_a_snapshot() {
    for converter in CONVERTERS {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(format!("fixtures/formats/{}", converter.name()));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("output", output(*converter)));
    }
}

#[test]
fn every_fixture_has_good_rows_and_bad_ones() {
    for converter in CONVERTERS {
        let output = output(*converter);
        let (good, bad): (Vec<_>, Vec<_>) = output.lines().partition(|line| line.starts_with('{'));
        assert!(good.len() > 1 && bad.len() > 1, "{}", converter.name());
    }
}

#[test]
fn every_converter_and_every_reason_is_documented() {
    let docs = read("docs/rows.md");
    for converter in CONVERTERS {
        let heading = format!("### `{}`", converter.name());
        assert!(docs.lines().any(|line| line == heading), "`docs/rows.md` has no `{heading}`");
        for option in converter.options() {
            assert!(docs.contains(&format!("`{}: {}`", option.name, option.values[1])), "`{}`", option.name);
        }
    }
    let row = read("crates/core/src/row.rs");
    let codes: Vec<&str> = row
        .split_once("pub fn code(self)")
        .expect("reasons have codes")
        .1
        .lines()
        .take_while(|line| !line.starts_with('}'))
        .filter_map(|line| line.split_once("=> \"")?.1.split_once('"').map(|(code, _)| code))
        .collect();
    assert!(codes.len() > 10, "the codes are found in the source");
    for code in codes {
        assert!(docs.contains(&format!("| `{code}` |")), "`docs/rows.md` has no row for `{code}`");
    }
}

/// A version is raised by looking at one file, so code of another converter must not decide a converter's samples.
#[test]
fn converters_do_not_call_each_other() {
    for converter in CONVERTERS {
        let source = read(&format!("crates/core/src/convert/{}.rs", converter.name()));
        let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((&source, ""));
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for other in CONVERTERS.iter().filter(|other| other.name() != converter.name()) {
            let path = format!("{}::", other.name());
            assert!(!code.contains(&path), "`{}` names `{path}`: move the code to `shared/`", converter.name());
        }
    }
}

#[test]
fn changed_output_has_a_new_version() {
    let history = read("tests/fixtures/formats/versions.txt");
    let faults: Vec<String> = CONVERTERS
        .iter()
        .filter_map(|converter| {
            let digest = Digest::of(output(*converter).as_bytes());
            guard(&history, converter.name(), converter.version(), digest).err()
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Compares a converter with the last line that `versions.txt` has for it; lines are `<name> <version> <digest>`.
fn guard(history: &str, name: &str, version: u32, digest: Digest) -> Result<(), String> {
    let mut last: Option<(u32, Digest)> = None;
    for line in history.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let malformed = || format!("`versions.txt`: `{line}` is not `<name> <version> <digest>`");
        let [of, version, digest] = line.split(' ').collect::<Vec<_>>()[..] else { return Err(malformed()) };
        if of != name {
            continue;
        }
        let version: u32 = version.parse().map_err(|_| malformed())?;
        let digest = Digest::from_hex(digest).ok_or_else(malformed)?;
        if last.is_some_and(|(before, _)| version <= before) {
            return Err(format!("`versions.txt`: versions of `{name}` must rise; lines are added, never changed"));
        }
        last = Some((version, digest));
    }
    let add =
        |version: u32| format!("add this line to `tests/fixtures/formats/versions.txt`:\n{name} {version} {digest}");
    match last {
        None => Err(format!("`{name}` has no recorded version; {}", add(version))),
        Some((recorded, same)) if recorded == version && same == digest => Ok(()),
        Some((recorded, _)) if recorded == version => Err(format!(
            "the output of `{name}` changed and its version did not: let `version()` return {}, then {}",
            version + 1,
            add(version + 1)
        )),
        Some((recorded, _)) if recorded < version => Err(format!("`{name}` has a new version; {}", add(version))),
        Some((recorded, _)) => {
            Err(format!("`{name}` is of version {version}, recorded is {recorded}: versions only rise"))
        }
    }
}

#[test]
fn the_guard_fails_when_it_should() {
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    let history = format!("# a comment\n\nother 9 {new}\nmine 1 {new}\nmine 2 {old}\n");
    let fault = |version, digest| guard(&history, "mine", version, digest).unwrap_err();
    assert_eq!(guard(&history, "mine", 2, old), Ok(()));
    let forgotten = fault(2, new);
    assert!(forgotten.contains("let `version()` return 3"), "{forgotten}");
    assert!(forgotten.ends_with(&format!("\nmine 3 {new}")), "{forgotten}");
    assert!(fault(3, new).ends_with(&format!("\nmine 3 {new}")), "a raised version must be recorded");
    assert!(fault(3, old).contains("new version"), "even if the output is the same");
    assert!(fault(1, new).contains("versions only rise"), "no way back to an old line");
    assert!(guard(&history, "yours", 1, new).unwrap_err().contains("no recorded version"));
    let edited = format!("mine 2 {new}\nmine 2 {old}\n");
    assert!(guard(&edited, "mine", 2, old).unwrap_err().contains("must rise"));
    assert!(guard("mine two x", "mine", 2, old).unwrap_err().contains("is not"));
    assert!(guard("mine", "mine", 2, old).unwrap_err().contains("is not"));
}
