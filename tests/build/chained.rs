//! Recipes that read what others write.

use datac::workspace::BuildOptions;

use crate::space::{Space, entry, of, ran, recipe, rows, states};

/// `one` reads a file of the workspace, `two` what `one` writes and `three` what `two` writes; their names are in the
/// other order. `free` hangs on none of them.
fn chain() -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..200, 12));
    space.write("data/b.jsonl", rows(500..600, 12));
    let validation = "validation: { ratio: 0.1, seed: 42 }\n";
    let chained = |name: &str, source: &str| {
        space.write(&format!("config/sft/{name}.yaml"), recipe(&[entry("rows", source, 1.0, &[])], validation));
    };
    chained("z_one", "data/a.jsonl");
    chained("y_two", "dataset/sft_z_one_train.jsonl");
    chained("x_three", "dataset/sft_y_two_train.jsonl");
    chained("free", "data/b.jsonl");
    space
}

#[test]
fn one_build_follows_the_chain() {
    let space = chain();
    let report = space.build();
    assert_eq!(states(&report).len(), 4);
    let paths: Vec<&str> = report.recipes.iter().map(|recipe| recipe.before.path.as_str()).collect();
    assert!(paths.is_sorted(), "{paths:?}");
    space.assert_settled();
    space.assert_clean();

    space.edit("config/sft/z_one.yaml", "seed: 42", "seed: 43");
    let report = space.build();
    for name in ["sft/z_one", "sft/y_two", "sft/x_three"] {
        assert!(!of(&report, name).written.is_empty(), "{name}");
    }
    assert!(of(&report, "sft/free").written.is_empty());
    space.assert_settled();
    space.assert_clean();

    // What comes out the same stops the chain.
    space.edit("config/sft/y_two.yaml", "validation:", "# nothing\nvalidation:");
    assert_eq!(ran(&space.build()), "");
    // Everything anew, each once.
    let options = BuildOptions { force: true, detailed: true, ..BuildOptions::default() };
    assert_eq!(ran(&space.build_with(&options)), "4 arrange, 4 convert, 4 output, 4 scan, 4 select");
    space.assert_clean();
}

#[test]
fn who_reads_from_one_that_failed_is_held_up() {
    let space = chain();
    space.build();
    let before = space.outputs();
    space.write("data/a.jsonl", "broken\n");
    for fail_fast in [false, true] {
        let report = space.try_build(&BuildOptions { fail_fast, ..BuildOptions::default() }).unwrap();
        let failure = |name: &str| of(&report, name).failure.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(!failure("sft/z_one").is_empty());
        assert!(failure("sft/y_two").contains("`config/sft/z_one.yaml`"), "{}", failure("sft/y_two"));
        let of_three = if fail_fast { "another recipe failed first" } else { "`config/sft/y_two.yaml`" };
        assert!(failure("sft/x_three").contains(of_three), "{}", failure("sft/x_three"));
        assert_eq!(report.recipes.len(), 4);
    }
    assert_eq!(space.outputs().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    space.write("data/a.jsonl", rows(0..210, 12));
    space.build();
    space.assert_settled();
    space.assert_clean();
}

/// Recipes in a ring have no first one: each build takes what the one before it left.
#[test]
fn a_ring_is_built_from_what_there_is() {
    let space = chain();
    space.build();
    space.edit("config/sft/z_one.yaml", "data/a.jsonl", "dataset/sft_x_three_train.jsonl");
    let report = space.build();
    assert!(!of(&report, "sft/z_one").written.is_empty());
    assert_eq!(report.recipes.len(), 4);
}
