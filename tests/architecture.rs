//! What the compiler does not hold: the order of modules within a crate, the one door of each dependency, and that the core is pure.
//!
//! Crates are the walls: `datac-core` and `datac-model` know no file, `datac-decode` and `datac-encode` no cache, `datac-engine` no terminal, and `datac-python` stands behind all of them. Within a crate code is
//! read as text: comments, strings and test modules are taken off, then every path that begins with `crate::` is a dependency of
//! the file's module on another.
#![expect(clippy::disallowed_methods, reason = "a test reads the project's files")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// The crates, each with the folder of its source and its modules in the order of the data flow: a module may name only those
/// before it.
const CRATES: &[(&str, &str, &[&str])] = &[
    (
        "core",
        "crates/core/src",
        &[
            "hash", "id", "code", "stage", "leaf", "key", "license", "stale", "failure", "outputs", "format", "row",
            "json", "survey", "sample", "encoded", "mapping", "shape", "function", "quality", "rules", "config",
            "convert", "sort", "mix", "pack", "card",
        ],
    ),
    // Decoders share their modules' words freely: it is one idea.
    ("decode", "crates/decode/src", &[]),
    ("encode", "crates/encode/src", &[]),
    (
        "model",
        "crates/model/src",
        &["python", "json", "conversation", "template", "mask", "sinks", "tokenizer", "model"],
    ),
    (
        "engine",
        "crates/engine/src",
        &[
            "system",
            "event",
            "source",
            "cache",
            "remote",
            "writer",
            "graph",
            "edit",
            "driver",
            "site",
            "status",
            "selector",
            "provenance",
            "gc",
            "build",
            "workspace",
            "testing",
        ],
    ),
    ("command", "src", &["cli", "main"]),
    ("python", "crates/python/src", &["errors", "threads", "index", "arrow", "table", "watched", "workspace"]),
];

/// Modules that may not name some of those before them, with the reason.
const APART: &[(&str, &[&str], &str)] =
    &[("engine/graph", &["system", "cache", "remote", "writer"], "the plan touches neither files nor the cache")];

/// Crates that touch nothing but what they are given.
const PURE: &[&str] = &["core/", "model/"];

/// What pure crates may not name: files, the environment, clocks, threads, and the network.
const IMPURE: &[&str] =
    &["std::fs", "std::env", "std::net", "std::process", "std::thread", "std::time", "File::open", "tempfile"];

/// Dependencies with the only files or folders that may name them, each below its crate.
const DOORS: &[(&[&str], &[&str])] = &[
    (&["salsa"], &["engine/graph/"]),
    (&["hf_hub", "rustls", "base64", "httpdate", "sha1"], &["engine/source/hub/"]),
    (&["reqwest", "tokio", "http_body"], &["engine/source/hub/", "engine/source/bucket/"]),
    (&["object_store", "futures_util"], &["engine/source/bucket/"]),
    (&["ring"], &["engine/remote/keys.rs"]),
    (&["sha2"], &["engine/source/hub/", "engine/writer/container.rs"]),
    (&["serde_yaml"], &["engine/source/card.rs", "engine/source/lock.rs"]),
    (&["saphyr_parser"], &["core/config/yaml.rs"]),
    (&["toml_parser"], &["core/config/toml.rs"]),
    (
        &["zstd"],
        &["engine/cache/codec.rs", "engine/writer/container.rs", "decode/stream.rs", "decode/tests/hostile.rs"],
    ),
    // A zip archive states the CRC-32 of each of its files.
    (&["flate2"], &["decode/stream.rs", "decode/archive/part.rs", "encode/npy.rs", "engine/site/id_rows.rs"]),
    (&["lzma_rust2", "bzip2"], &["decode/stream.rs"]),
    (&["tar"], &["decode/archive/tar_headers.rs"]),
    (
        &["parquet", "arrow_array", "arrow_buffer", "arrow_schema", "arrow_ipc"],
        &["decode/", "encode/", "python/arrow.rs"],
    ),
    (&["pyo3"], &["python/"]),
    (&["csv", "csv_core"], &["decode/"]),
    (
        &["rusqlite"],
        &[
            "engine/cache/database.rs",
            "engine/cache/frames.rs",
            "engine/cache/ledger.rs",
            "engine/cache/record.rs",
            "engine/cache/upkeep.rs",
        ],
    ),
    (&["whatlang"], &["core/quality/language.rs"]),
    (&["minijinja"], &["core/mapping/template.rs"]),
    (&["minijinja3"], &["model/python/", "model/json.rs", "model/template/mod.rs"]),
    (&["minijinja_contrib"], &["model/python/methods.rs"]),
    (&["tokenizers"], &["model/tokenizer/file.rs"]),
    (&["datac_model"], &["engine/driver/models/", "engine/provenance/trace/seen.rs"]),
    (&["unicode_normalization"], &["model/tokenizer/align.rs", "model/tokenizer/newer.rs"]),
    (&["bpe_openai"], &["core/quality/tokens.rs"]),
    (&["globset"], &["engine/selector/mod.rs"]),
    (&["notify_debouncer_full"], &["engine/workspace/watch/fs_events.rs"]),
    (&["jobserver"], &["engine/driver/threads.rs"]),
    (&["rustix"], &["engine/system/probe.rs", "engine/system/program.rs", "engine/system/replacement.rs"]),
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
        &["command/cli/"],
    ),
];

/// A source file.
struct Source {
    /// The name of its crate in [`CRATES`], then its path below the source of that crate.
    path: String,
    text: String,
    /// Its code: the text without comments, strings and tests.
    code: String,
}

impl Source {
    /// Returns its crate and the path below it.
    fn parts(&self) -> (&str, &str) {
        self.path.split_once('/').expect("paths begin with a crate")
    }

    /// Returns the top-level module it belongs to.
    fn module(&self) -> &str {
        self.parts().1.split(['/', '.']).next().expect("a path has a first part")
    }

    /// Returns how many modules deep it is: `row.rs` and `cli/mod.rs` are 1, `cli/build.rs` is 2.
    fn depth(&self) -> usize {
        self.parts().1.split('/').count() - usize::from(self.path.ends_with("/mod.rs"))
    }
}

fn sources() -> Vec<Source> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    CRATES.iter().flat_map(|(name, folder, _)| sources_below(name, &project.join(folder))).collect()
}

fn sources_below(name: &str, root: &Path) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| entry.expect("the source can be listed").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    paths.sort();
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("source is UTF-8");
        let path = path.strip_prefix(root).expect("it is below").to_str().expect("paths are UTF-8").to_owned();
        let code = code_of(&text);
        Source { path: format!("{name}/{path}"), text, code }
    };
    // Tests may look at anything.
    let is_test = |path: &str| path.ends_with("tests.rs") || path.contains("/tests/");
    paths.into_iter().map(source).filter(|source| !is_test(&source.path)).collect()
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
    for source in sources().iter().filter(|source| !source.path.ends_with("/lib.rs")) {
        let (name, _) = source.parts();
        let (_, _, order) = CRATES.iter().find(|(krate, _, _)| *krate == name).expect("sources are of these crates");
        if order.is_empty() {
            continue;
        }
        let module = source.module();
        let Some(at) = order.iter().position(|known| *known == module) else {
            faults.push(format!("{}: give `{module}` its place in CRATES", source.path));
            continue;
        };
        let own = format!("{name}/{module}");
        let apart = APART.iter().find(|(module, _, _)| *module == own);
        for named in named_modules(&source.code).iter().filter(|named| *named != module) {
            match order.iter().position(|known| known == named) {
                Some(before) if before > at => {
                    faults.push(format!("{}: `{module}` may not name `{named}`", source.path))
                }
                _ => {}
            }
            if let Some((_, forbidden, why)) = apart
                && forbidden.contains(&named.as_str())
            {
                faults.push(format!("{}: `{module}` may not name `{named}`: {why}", source.path));
            }
        }
        let to_the_root = "super::".repeat(source.depth());
        if source.code.contains(&to_the_root) {
            faults.push(format!("{}: `{to_the_root}` is the crate; write `crate::`", source.path));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_crates_are_pure() {
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| PURE.iter().any(|krate| source.path.starts_with(krate)))
        .flat_map(|source| {
            let named = IMPURE.iter().filter(|name| source.code.contains(*name));
            named.map(|name| format!("{}: names `{name}`", source.path)).collect::<Vec<_>>()
        })
        .collect();
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
                    faults.push(format!("{}: `{name}` is for {} alone", source.path, doors.join(", ")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns every package that is compiled for this system, with its features; `edges` are the kinds of dependencies.
fn packages(edges: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p} {f}", "--edges", edges])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("cargo prints UTF-8");
    tree.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn run_and_test_share_one_compilation_of_every_dependency() {
    // A feature that only a dependency of tests asks for compiles the package again, and all that depend on it.
    let (run, test) = (packages("normal,build"), packages("normal,build,dev"));
    let twice: Vec<&str> = run.difference(&test).map(String::as_str).collect();
    assert!(twice.is_empty(), "tests compile these with other features:\n{}", twice.join("\n"));
}

#[test]
fn files_are_introduced() {
    let mut faults = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            faults.push(format!("{}: begins without `//!`", source.path));
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
        .filter(|source| source.path != "engine/system.rs" && source.code.contains(lifts))
        .map(|source| format!("{}: lifts `{lifts}`, which is for `system` alone", source.path))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_code_has_its_place() {
    let place = "engine/driver/threads.rs";
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| source.path != place && source.code.contains("unsafe"))
        .map(|source| format!("{}: names `unsafe`, which is for {place} alone", source.path))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
