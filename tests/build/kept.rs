//! A plan that is kept from build to build: the same outputs, and fewer questions.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use datac::workspace::{BuildOptions, PlanCache};

use crate::space::{Space, entry, ran, recipe, rows};

const FILTERS: &str = "filters: [{ type: length, min_length: 10 }, { type: quality, min_score: 0.1 }]";

/// Two recipes over one source of many chunks, one of which mixes in another source.
fn two() -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..6000, 40));
    space.write("data/b.jsonl", rows(9000..9100, 12));
    let validation = "validation: { ratio: 0.1, seed: 42 }\n";
    space.write("config/sft/one.yaml", recipe(&[entry("alpaca", "data/a.jsonl", 1.0, &[FILTERS])], validation));
    let both = [entry("alpaca", "data/a.jsonl", 0.7, &[FILTERS]), entry("other", "data/b.jsonl", 0.3, &[])];
    space.write("config/sft/two.yaml", recipe(&both, validation));
    space
}

/// Builds with one plan, or with a new one each time, and counts what is asked.
struct Builds {
    options: BuildOptions,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Builds {
    fn new(kept: Option<Arc<PlanCache>>) -> Self {
        let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let names = asked.clone();
        let on_query = move |name: String| {
            let name = name.split('(').next().unwrap_or_default().to_owned();
            *names.lock().unwrap().entry(name).or_default() += 1;
        };
        Self { options: BuildOptions { kept, on_query: Some(Arc::new(on_query)), ..BuildOptions::default() }, asked }
    }

    /// What ran, and which queries.
    fn build(&self, space: &Space) -> (String, BTreeMap<String, usize>) {
        self.asked.lock().unwrap().clear();
        let report = space.build_with(&self.options);
        (ran(&report), self.asked.lock().unwrap().clone())
    }
}

#[test]
fn an_edit_asks_what_it_touches() {
    let space = two();
    let kept = Builds::new(Some(Arc::default()));
    let (first, _) = kept.build(&space);
    assert!(first.contains("2 scan"), "{first}");
    space.edit("config/sft/one.yaml", "seed: 42", "seed: 43");
    let (what, asked) = kept.build(&space);
    assert_eq!(what, "1 arrange, 1 output");
    for query in ["files", "conversion", "converted", "scored", "selected", "selections", "mixed", "quarantine"] {
        assert!(!asked.contains_key(query), "{query}: {asked:?}");
    }
    assert_eq!((asked["parse"], asked["validation"]), (1, 1), "of the recipe that was edited: {asked:?}");

    // The same edit with a plan of its own asks about every chunk.
    space.edit("config/sft/one.yaml", "seed: 43", "seed: 44");
    let (what, anew) = Builds::new(None).build(&space);
    assert_eq!(what, "1 arrange, 1 output");
    assert!(anew["converted"] > 1 && anew["scored"] > 1, "{anew:?}");
    assert!(asked.values().sum::<usize>() * 2 < anew.values().sum::<usize>(), "{asked:?} {anew:?}");

    // A row at the end of a source: what is made of it, and no recipe is read.
    space.edit("config/sft/one.yaml", "seed: 44", "seed: 43");
    kept.build(&space);
    let text = fs::read_to_string(space.path("data/a.jsonl")).unwrap();
    space.write("data/a.jsonl", text + &rows(7000..7001, 40));
    let (what, asked) = kept.build(&space);
    assert!(what.contains("1 convert") && what.contains("1 scan"), "{what}");
    assert!(!asked.contains_key("parse"), "no recipe was edited: {asked:?}");
    space.assert_settled();
    space.assert_clean();
}

/// Whatever happens between builds, a kept plan leads to what a new one leads to.
#[test]
fn a_kept_plan_changes_no_output() {
    let space = two();
    let kept = Builds::new(Some(Arc::default()));
    let edits: [(&str, &dyn Fn()); 9] = [
        ("nothing", &|| {}),
        ("filters", &|| space.edit("config/sft/one.yaml", "min_length: 10", "min_length: 90")),
        ("a broken source", &|| space.write("data/b.jsonl", "{\n")),
        ("a mended source", &|| space.write("data/b.jsonl", rows(9000..9050, 12))),
        ("a source that is gone", &|| fs::remove_file(space.path("data/b.jsonl")).unwrap()),
        ("a source that is back", &|| space.write("data/b.jsonl", rows(9000..9100, 12))),
        ("an output that is gone", &|| fs::remove_file(space.path("dataset/sft_two_val.jsonl")).unwrap()),
        ("another build", &|| {
            space.edit("config/sft/two.yaml", "seed: 42", "seed: 7");
            space.build();
            space.edit("config/sft/two.yaml", "seed: 7", "seed: 8");
        }),
        ("no cache", &|| fs::remove_dir_all(space.path("cache")).unwrap()),
    ];
    for (what, edit) in edits {
        edit();
        if what == "a broken source" || what == "a source that is gone" {
            let report = space.try_build(&kept.options).unwrap();
            assert!(report.failure().is_some(), "{what}");
            continue;
        }
        kept.build(&space);
        space.assert_settled();
        space.assert_clean();
    }
    let (what, _) = kept.build(&space);
    assert_eq!(what, "");
}

/// Blobs that go between builds are made again.
#[test]
fn a_blob_that_is_gone_is_made_again() {
    let space = two();
    let kept = Builds::new(Some(Arc::default()));
    kept.build(&space);
    for entry in walkdir::WalkDir::new(space.path("cache")).into_iter().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "zst") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    space.edit("config/sft/one.yaml", "seed: 42", "seed: 43");
    kept.build(&space);
    space.assert_settled();
    space.assert_clean();
}
