//! `[defaults]` of `datac.toml`: recipes that say nothing are built as if they said it, and an edit is noticed and told by its place.

use crate::{
    sources::one,
    space::{Space, rows},
};

const DATASET: &str = "metadata: { phase: sft }\ndatasets:\n  - { name: rows, source: data/d.jsonl }\n";

/// Runs datac, which must exit with this code, and returns what it printed.
fn told(space: &Space, arguments: &[&str], code: i32) -> String {
    let output = space.datac(arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let told = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    told
}

fn space() -> Space {
    let space = Space::new();
    space.write("data/d.jsonl", rows(0..60, 5));
    space.write("config/sft/plain.yaml", DATASET);
    space.write("config/sft/own.yaml", format!("{DATASET}validation: {{ seed: 1 }}\n"));
    space
}

#[test]
fn recipes_are_built_as_if_they_said_what_is_a_default() {
    let space = space();
    space.write("datac.toml", "[defaults]\nmax_rejects = 0\n[defaults.validation]\nseed = 7\nratio = 0.3\n");
    told(&space, &["build", "--quiet"], 0);
    let written = Space::new();
    written.write("data/d.jsonl", space.read("data/d.jsonl"));
    for (name, seed) in [("plain", 7), ("own", 1)] {
        let text = format!("{DATASET}max_rejects: 0\nvalidation: {{ seed: {seed}, ratio: 0.3 }}\n");
        written.write(&format!("config/sft/{name}.yaml"), text);
    }
    told(&written, &["build", "--quiet"], 0);
    for file in ["sft_plain_train.jsonl", "sft_plain_val.jsonl", "sft_own_train.jsonl", "sft_own_val.jsonl"] {
        let file = format!("dataset/{file}");
        assert_eq!(space.text(&file), written.text(&file), "{file}");
    }
    assert!(space.text("dataset/sft_plain_val.jsonl").lines().count() > 8);
    // A setting that is none of a recipe, and spelling, change nothing.
    space.write(
        "datac.toml",
        "[build]\njobs = 2\n[defaults]\nvalidation = { ratio = 3e-1, seed = 0x7 }\nmax_rejects = 0 # none\n",
    );
    assert!(told(&space, &["status"], 0).contains("both recipes are up to date"), "{}", told(&space, &["status"], 0));
    // What a recipe says itself is not the default's.
    space.edit("datac.toml", "0x7", "8");
    let status = told(&space, &["status"], 0);
    assert!(status.contains("stale    sft/plain  validation.seed 7 -> 8"), "{status}");
    assert!(!status.contains("sft/own  validation"), "{status}");
    let why = told(&space, &["why", "sft/plain"], 0);
    assert!(why.contains("validation.seed 7 -> 8") && why.contains("at datac.toml:4:30"), "{why}");
    told(&space, &["build", "--quiet"], 0);
    // Without it, the recipe has what it had before there was one.
    space.remove("datac.toml");
    assert!(told(&space, &["status"], 0).contains("validation.seed 8 -> 42"), "{}", told(&space, &["status"], 0));
}

#[test]
fn a_default_that_a_recipe_cannot_have_is_told_at_its_place() {
    let space = space();
    space.write("datac.toml", "[defaults]\noutput = 'trl-implicit-prompt'\n");
    let said = told(&space, &["validate"], 2);
    assert!(said.contains("--> datac.toml:2:10") && said.contains("E0136"), "{said}");
    one(&space, "own", "source: data/d.jsonl");
    let said = told(&space, &["build", "sft/own"], 2);
    assert!(said.contains("--> datac.toml:2:10"), "{said}");
    space.write("datac.toml", "[defaults.validation]\nsed = 7\n");
    let said = told(&space, &["status"], 2);
    assert!(said.contains("--> datac.toml:2:1") && said.contains("did you mean `seed`?"), "{said}");
    let config = "[defaults]\nmax_rejects = '1%'\nrules = { no_user = 'warn' }\n";
    space.write("datac.toml", config);
    let listed = told(&space, &["config", "defaults"], 0);
    assert!(
        listed.contains("defaults.max_rejects") && listed.contains("1%") && listed.contains("datac.toml:2"),
        "{listed}"
    );
    assert_eq!(told(&space, &["config", "defaults.rules.no_user"], 0), "warn\n");
}
