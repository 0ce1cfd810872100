//! Outputs with a model of their own: their ids, what they leave out, and what another model makes anew.

use std::fs;

use crate::{
    models::{space, token_rows, with},
    space::{Space, assert_same, count, ran},
};

/// A second model in the workspace: the tokenizer of the sample model, with a template that writes Alpaca's headers.
fn second_model(space: &Space) {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/model/sample/");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        space.write(&format!("models/second/{name}"), fs::read_to_string(format!("{sample}{name}")).unwrap());
    }
    let template = "{% for message in messages %}{% if message.role == 'developer' %}{{ raise_exception('no developers here') }}\
                    {% endif %}### {{ message.role }}:\n{{ message.content }}<|end|>\n{% endfor %}";
    space.write("models/second/chat_template.jinja", template);
}

const TWO: &str = "model: datac/sample\noutput:\n  - native\n  - { shape: tokens, id: true }\n  \
                   - { shape: tokens, name: second, id: true, model: { source: models/second/, SETTINGS } }";

fn two(settings: &str) -> String {
    with(&TWO.replace("SETTINGS", settings))
}

#[test]
fn an_output_has_the_ids_of_its_own_model_and_the_rows_of_the_recipe() {
    let space = space();
    second_model(&space);
    let first = space.build();
    let own = || space.read("dataset/sft_a/tokens/train.parquet");
    let (native, ids) = (space.text("dataset/sft_a_train.jsonl"), own());
    // Another model reads no file and converts nothing: it is given what is stored.
    space.write("config/a.yaml", two("train_on: last"));
    let second = space.build();
    let counts = ["scan", "convert", "select", "arrange"].map(|stage| count(&second, stage));
    assert_eq!(counts, [0; 4], "{}", ran(&second));
    assert_eq!(count(&second, "render"), count(&first, "render"), "{}", ran(&second));
    assert_eq!((space.text("dataset/sft_a_train.jsonl"), own()), (native, ids), "the other outputs stay as they were");
    for side in ["train", "val"] {
        let file = format!("sft_a/tokens.second/{side}.parquet");
        let (rows, others) = (
            token_rows(&space, &format!("dataset/{file}")),
            token_rows(&space, &format!("dataset/sft_a/tokens/{side}.parquet")),
        );
        let native = space.text(&format!("dataset/sft_a_{side}.jsonl"));
        assert_eq!((rows.len(), others.len()), (native.lines().count(), native.lines().count()));
        assert!(rows.iter().zip(&others).all(|((ids, _), (others, _))| ids != others));
        let mut seen = Vec::new();
        let each = |row| {
            seen.push(row);
            true
        };
        space.workspace().outputs().seen(&file, 1, u64::MAX, each).unwrap();
        assert_eq!(seen.len(), rows.len());
        for ((native, (ids, labels)), seen) in native.lines().zip(&rows).zip(&seen) {
            let [sequence] = &seen.sequences[..] else { panic!("one sequence") };
            assert_eq!(seen.model, "models/second/");
            assert_eq!(sequence.ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>(), *ids);
            let native: serde_json::Value = serde_json::from_str(native).unwrap();
            let messages = native["conversations"].as_array().unwrap();
            let written = |message: &serde_json::Value| {
                format!("### {}:\n{}<|end|>\n", message["role"].as_str().unwrap(), message["content"].as_str().unwrap())
            };
            assert_eq!(sequence.text, messages.iter().map(written).collect::<String>());
            let of_labels = sequence.tokens.iter().zip(labels).filter(|(_, label)| **label != -100);
            let trained: String = of_labels.map(|(token, _)| token.as_str()).collect();
            let last = messages.last().unwrap()["content"].as_str().unwrap();
            assert_eq!(trained.trim_end(), format!("{last}<|end|>"), "the last answer alone is trained on");
        }
    }
    // Warm equals clean.
    let written = space.outputs();
    space.remove("cache");
    space.remove("dataset");
    space.build();
    assert_same(&space.outputs(), &written);
}

#[test]
fn what_the_model_of_an_output_refuses_is_left_out_of_that_output_alone() {
    let space = space();
    second_model(&space);
    space.write("models/second/chat_template.jinja", "{% for message in messages %}{% if 'A number: 15.' == message.content %}\
        {{ raise_exception('no fifteen') }}{% endif %}### {{ message.role }}:\n{{ message.content }}<|end|>\n{% endfor %}");
    space.write("config/a.yaml", two("train_on: assistant"));
    let report = space.build();
    let rows_of = |side: &str| token_rows(&space, &format!("dataset/sft_a/tokens.second/{side}.parquet"));
    let mut lengths: Vec<usize> =
        ["train", "val"].iter().flat_map(|side| rows_of(side)).map(|(ids, _)| ids.len()).collect();
    lengths.sort_unstable();
    let max = lengths[lengths.len() / 2];
    // A bound renders nothing.
    space.write("config/a.yaml", two(&format!("max_tokens: {max}")));
    let bounded = space.build();
    assert_eq!((count(&bounded, "render"), count(&bounded, "convert")), (0, 0), "{}", ran(&bounded));
    let rows = || ["train", "val"].map(|side| space.text(&format!("dataset/sft_a_{side}.jsonl")).lines().count());
    let all = rows();
    let unfit: Vec<serde_json::Value> = space
        .text("dataset/sft_a/tokens.second/unfit.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |what: &str| unfit.iter().filter(|line| line["no_place_for"] == what).collect::<Vec<_>>();
    let refused = of("what the chat template does not write");
    assert_eq!(refused.iter().map(|line| line["detail"].as_str().unwrap()).collect::<Vec<_>>(), ["no fifteen"]);
    let long = of("more tokens than `max_tokens`");
    assert!(!long.is_empty() && long.len() + 1 == unfit.len(), "{unfit:?}");
    let mut kept = 0;
    for side in ["train", "val"] {
        let rows = token_rows(&space, &format!("dataset/sft_a/tokens.second/{side}.parquet"));
        assert!(rows.iter().all(|(ids, _)| ids.len() <= max));
        kept += rows.len();
        assert!(!token_rows(&space, &format!("dataset/sft_a/tokens/{side}.parquet")).is_empty());
    }
    assert_eq!(kept + unfit.len(), all.iter().sum::<usize>(), "{}", ran(&report));
    assert!(!space.text("dataset/quarantine/sft_a.jsonl").contains("no fifteen"), "it is no reject");
    // What is at hand of a row is traced past what is left out.
    let traced = space.datac(&["trace", "--json", "dataset/sft_a/tokens.second/val.parquet:2"]);
    assert!(traced.status.success(), "{traced:?}");
    // A template that changes renders for this output alone.
    let before = space.read("dataset/sft_a/tokens/train.parquet");
    space.write(
        "models/second/chat_template.jinja",
        "{% for message in messages %}{{ message.role }}: {{ message.content }}<|end|>{% endfor %}",
    );
    let again = space.build();
    assert_eq!(count(&again, "convert"), 0, "{}", ran(&again));
    assert_eq!(count(&again, "render"), count(&report, "render") / 2, "{}", ran(&again));
    assert_eq!(space.read("dataset/sft_a/tokens/train.parquet"), before);
}

#[test]
fn a_recipe_may_have_models_in_its_outputs_alone() {
    let space = space();
    second_model(&space);
    let output = "output: [native, { shape: tokens, id: true, pack: 256, model: models/second/ }, { shape: tokens, name: other, model: datac/sample }]";
    space.write("config/a.yaml", with(output));
    space.build();
    // Nothing is a reject: which rows there are is decided without a model.
    assert!(!space.path("dataset/quarantine/sft_a.jsonl").exists());
    let unfit = space.text("dataset/sft_a/tokens.other/unfit.jsonl");
    assert_eq!(unfit.lines().filter(|line| line.contains("the role developer is not supported")).count(), 100);
    let packed = space.text("dataset/sft_a/tokens/unfit.jsonl");
    assert_eq!(packed.lines().filter(|line| line.contains("no developers here")).count(), 100);
    // `why` names what has changed by the output that it is of.
    space.write("config/a.yaml", with(&output.replace("models/second/", "{ source: models/second/, train_on: all }")));
    let why = space.datac(&["why", "a"]);
    let why = String::from_utf8_lossy(&why.stdout);
    assert!(why.contains("output.tokens.model.train_on"), "{why}");
    // What is wrong with a model is told at its place.
    space.write("config/a.yaml", with(&output.replace("models/second/", "models/none/")));
    let failed = space.datac(&["build", "a"]);
    let failure = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && failure.contains("models/none") && failure.contains("a.yaml:5:"), "{failure}");
}
