//! The order of modules and the one door of each dependency, read off the source.
//!
//! Code is read as text: comments, strings and test modules are taken off, then every path that begins with `crate::`
//! is a dependency of the file's module on another.
#![expect(clippy::disallowed_methods, reason = "a test reads the project's files")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Words that everything may use, in the order in which they stand: each may name only those before it.
const GROUND: &[&str] = &["hash", "id", "code", "stage", "leaf", "key", "stale", "failure", "outputs", "event"];

/// Modules in the order of the data flow, each with those it may name besides [`GROUND`]. Nothing may name what stands
/// below it.
const MODULES: &[(&str, &[&str])] = &[
    ("system", &[]),
    ("row", &[]),
    ("sample", &["row"]),
    ("quality", &[]),
    ("decode", &["row"]),
    ("config", &["decode", "quality", "sample"]),
    ("convert", &["row", "sample"]),
    ("shape", &["decode", "row", "sample"]),
    ("sort", &["system"]),
    ("mix", &["config", "quality", "row", "sort", "system"]),
    ("source", &["config", "decode", "system"]),
    ("artifact", &["system"]),
    ("output", &["artifact", "row", "sample", "shape", "sort", "system"]),
    // The plan touches neither files nor the cache.
    ("graph", &["config", "convert", "decode", "mix", "quality", "row", "sample", "shape", "source"]),
    // Fast paths: the driver tries them first, and works without.
    ("edit", &["artifact", "decode", "graph", "output", "shape", "source", "system"]),
    (
        "driver",
        &[
            "artifact", "config", "convert", "decode", "edit", "graph", "mix", "output", "quality", "row", "sample",
            "shape", "sort", "source", "system",
        ],
    ),
    ("site", &["artifact", "config", "convert", "driver", "graph", "source", "system"]),
    ("status", &["artifact", "config", "driver", "graph", "site", "source", "system"]),
    ("selector", &["artifact", "config", "convert", "graph", "site", "status", "system"]),
    (
        "provenance",
        &[
            "artifact", "config", "convert", "decode", "driver", "graph", "mix", "quality", "row", "sample",
            "selector", "shape", "site", "source", "status", "system",
        ],
    ),
    ("gc", &["artifact", "driver", "graph", "provenance", "selector", "site", "source", "status", "system"]),
    (
        "build",
        &[
            "artifact",
            "config",
            "driver",
            "gc",
            "edit",
            "graph",
            "output",
            "provenance",
            "selector",
            "site",
            "status",
            "system",
        ],
    ),
    // The commands; nothing below names one.
    (
        "workspace",
        &[
            "artifact",
            "build",
            "config",
            "convert",
            "driver",
            "gc",
            "graph",
            "provenance",
            "sample",
            "selector",
            "shape",
            "site",
            "source",
            "status",
            "system",
        ],
    ),
    // Whatever else the command needs of the library is exported by `workspace`.
    ("cli", &["system", "workspace"]),
    ("main", &[]),
];

/// Crates with the only files or folders of `src/` that may name them.
const DOORS: &[(&[&str], &[&str])] = &[
    (&["salsa"], &["graph/"]),
    (&["hf_hub", "reqwest", "rustls", "tokio", "httpdate", "sha1", "sha2"], &["source/hub/"]),
    (&["serde_yaml"], &["source/card.rs", "source/lock.rs"]),
    (&["saphyr_parser"], &["config/yaml.rs"]),
    (&["zstd"], &["artifact/codec.rs", "decode/stream.rs", "decode/tests/hostile.rs"]),
    (&["flate2"], &["decode/stream.rs"]),
    (&["parquet", "arrow_array", "arrow_schema", "arrow_ipc", "csv", "csv_core"], &["decode/"]),
    (
        &["rusqlite"],
        &[
            "artifact/database.rs",
            "artifact/frames.rs",
            "artifact/ledger.rs",
            "artifact/record.rs",
            "artifact/upkeep.rs",
        ],
    ),
    (&["whatlang"], &["quality/language.rs"]),
    (&["bpe_openai"], &["quality/tokens.rs"]),
    (&["globset"], &["selector/mod.rs"]),
    (&["notify_debouncer_full"], &["workspace/watch/fs_events.rs"]),
    (&["jobserver"], &["driver/threads.rs"]),
    (&["rustix"], &["system/probe.rs", "system/replacement.rs"]),
    (
        &[
            "annotate_snippets",
            "anstream",
            "anstyle",
            "clap",
            "clap_complete",
            "clap_mangen",
            "comfy_table",
            "console",
            "ctrlc",
            "indicatif",
            "textwrap",
        ],
        &["cli/"],
    ),
];

/// The most lines a source file may have, its tests aside.
const MAX_LINES: usize = 500;

/// A file of `src/`.
struct Source {
    /// Its path below `src/`.
    path: String,
    text: String,
    /// Its code: the text without comments, strings and tests.
    code: String,
}

impl Source {
    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().expect("a path has a first part")
    }

    /// How many modules deep it is: `row.rs` and `cli/mod.rs` are 1, `cli/build.rs` is 2.
    fn depth(&self) -> usize {
        self.path.split('/').count() - usize::from(self.path.ends_with("/mod.rs"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths: Vec<PathBuf> = walkdir::WalkDir::new(&root)
        .into_iter()
        .map(|entry| entry.expect("the source can be listed").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    paths.sort();
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("source is UTF-8");
        let path = path.strip_prefix(&root).expect("it is below").to_str().expect("paths are UTF-8").to_owned();
        let code = code_of(&text);
        Source { path, text, code }
    };
    // Tests may look at anything.
    paths.into_iter().map(source).filter(|source| !source.path.ends_with("tests.rs")).collect()
}

/// A text without comments, string literals and its module of tests.
fn code_of(text: &str) -> String {
    let text = without_tests(text);
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(after) = rest.strip_prefix("r#\"") {
            4 + after.find("\"#").map_or(after.len(), |end| end + 1)
        } else if let Some(after) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = after.char_indices().find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            1 + end.map_or(after.len(), |(end, _)| end + 1)
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest.find("\"'").expect("it was just seen") + 2
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    code
}

/// A text up to its module of tests, which stands last.
fn without_tests(text: &str) -> &str {
    let tests = text.match_indices("#[cfg(").find(|(at, _)| {
        let rest = &text[*at..];
        let (attribute, after) = rest.split_once('\n').unwrap_or((rest, ""));
        attribute.contains("test") && after.starts_with("mod tests {")
    });
    tests.map_or(text, |(at, _)| &text[..at])
}

/// The modules named by paths that begin with `crate::`, groups in braces opened.
fn named_modules(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut found = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let is_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        let rest = &code[at + path.len()..];
        let Some(group) = rest.strip_prefix('{').filter(|_| !is_word) else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && c.is_alphabetic() => {
                    found.insert(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn paths_are_found_in_text() {
    let code = code_of(
        "//! crate::comment\nuse crate::{\n    a::{self, b},\n    c as d,\n};\nfn f() { crate::e::g(\"crate::s\", '\"'); }\n\
         #[cfg(test)]\nmod tests {\n    use crate::t;\n}\n",
    );
    assert_eq!(named_modules(&code), ["a", "c", "e"].map(str::to_owned).into());
}

#[test]
fn modules_name_only_those_before_them() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let ground = GROUND.iter().position(|word| *word == source.module());
        let allowed = match (ground, MODULES.iter().find(|(module, _)| *module == source.module())) {
            (Some(at), None) => GROUND[..at].to_vec(),
            (None, Some((_, named))) => [GROUND, *named].concat(),
            _ => {
                faults.push(format!("src/{}: give its module one place in GROUND or MODULES", source.path));
                continue;
            }
        };
        let module = source.module();
        for named in named_modules(&source.code).iter().filter(|named| *named != module) {
            if !allowed.contains(&named.as_str()) {
                faults.push(format!("src/{}: `{module}` may not name `{named}`", source.path));
            }
        }
        let to_the_root = "super::".repeat(source.depth());
        if source.code.contains(&to_the_root) {
            faults.push(format!("src/{}: `{to_the_root}` is the crate; write `crate::`", source.path));
        }
    }
    for (at, (module, allowed)) in MODULES.iter().enumerate() {
        for named in allowed.iter().filter(|named| !MODULES[..at].iter().any(|(before, _)| before == *named)) {
            faults.push(format!("MODULES: `{named}` does not stand before `{module}`"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_dependency_has_one_door() {
    let mut faults = Vec::new();
    for source in sources() {
        for (crates, doors) in DOORS {
            if doors.iter().any(|door| source.path.starts_with(door)) {
                continue;
            }
            for name in *crates {
                let path = format!("{name}::");
                let mut uses = source.code.match_indices(&path).map(|(at, _)| &source.code[..at]);
                if uses.any(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')) {
                    faults.push(format!("src/{}: `{name}` is for {} alone", source.path, doors.join(", ")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_are_introduced_and_short() {
    let mut faults = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            faults.push(format!("src/{}: begins without `//!`", source.path));
        }
        let lines = without_tests(&source.text).lines().count();
        if lines > MAX_LINES {
            faults.push(format!("src/{}: {lines} lines without tests, {MAX_LINES} are enough", source.path));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_and_environment_have_one_door_too() {
    // clippy forbids the functions everywhere; this holds the line where a lint is expected away.
    let lifts = "disallowed_methods";
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| source.path != "system.rs" && source.code.contains(lifts))
        .map(|source| format!("src/{}: lifts `{lifts}`, which is for src/system.rs alone", source.path))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_code_has_its_place() {
    let place = "driver/threads.rs";
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| source.path != place && source.code.contains("unsafe"))
        .map(|source| format!("src/{}: names `unsafe`, which is for {place} alone", source.path))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
