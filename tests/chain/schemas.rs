//! What is printed as JSON is as the schema printed for it says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::place::Place;

/// For every document a line that prints it. They run in order in one workspace.
const DOCUMENTS: &[(&str, &str)] = &[
    ("datac.status/1", "datac status --json"),
    ("datac.why/1", "datac why sft/two --json"),
    ("datac.build/1", "datac build --json 2>/dev/null"),
    ("datac.why/1", "datac why sft/one --json"),
    ("datac.status/1", "echo '{' > config/sft/broken.yaml; datac status --json 2>/dev/null"),
    ("datac.build/1", "datac build --json 2>/dev/null || rm config/sft/broken.yaml"),
    ("datac.build/1", "sed -i.old 's/seed: 1/seed: 2/' config/sft/one.yaml; datac build --json 2>/dev/null"),
    ("datac.inspect/1", "datac inspect data/one.jsonl --json"),
    ("datac.add/1", "datac add data/one.jsonl --name more --json"),
    ("datac.log/1", "datac log --json"),
    ("datac.log.run/1", "datac log last --json"),
    ("datac.log.diff/1", "datac log diff 1 last --json"),
    ("datac.why.run/1", "datac why sft/one --run last --json"),
    ("datac.diff/1", "datac diff sft/one --json"),
    ("datac.trace/1", "datac trace sft_one_train.jsonl:1 --json"),
    ("datac.journey/1", "datac trace --source data/one.jsonl data/one.jsonl:3 --json"),
    (
        "datac.identified/1",
        "cp config/sft/one.yaml one.old; echo 'output: {shape: trl, container: jsonl, id: true}' >> config/sft/one.yaml; \
         datac build --quiet; id=$(head -n 1 dataset/sft_one/trl/train.jsonl | cut -c 8-27); \
         mv one.old config/sft/one.yaml; datac build --quiet; datac trace --id $id --json",
    ),
    (
        "datac.blame/1",
        "cp config/sft/one.yaml one.old; echo 'output: [native, {shape: messages, id: true}]' >> config/sft/one.yaml; datac build --quiet; \
         id=$(head -n 1 dataset/sft_one/messages/train.jsonl | cut -c 8-27); mv one.old config/sft/one.yaml; datac build --quiet; \
         echo '{\"step\": 1, \"ids\": [\"'$id'\", \"row-00000000000000aa\"]}' > rows.jsonl; \
         datac blame rows.jsonl --step 1 --json 2>/dev/null || true",
    ),
    (
        "datac.config/1",
        "printf 'offline = true\\n[cache]\\nmax_age = 0\\n' > datac.toml; datac config --json; rm datac.toml",
    ),
    ("datac.stats/1", "datac stats --json"),
    ("datac.ls/1", "datac ls --json"),
    ("datac.ls/1", "datac ls sources --json"),
    ("datac.ls/1", "datac ls outputs --json"),
    ("datac.graph/1", "datac graph --format json"),
    ("datac.lock.report/1", "datac lock --json"),
    ("datac.fetch/1", "datac fetch --json"),
    ("datac.cache.size/2", "datac cache size --json"),
    ("datac.cache.verify/1", "datac cache verify --json"),
    (
        "datac.cache.verify/1",
        "mkdir cache/v1/sources; echo x > cache/v1/sources/git-0123456789012345678901234567890123456789; \
         datac cache verify --json || true",
    ),
    ("datac.cache.gc/2", "datac cache gc --dry-run --json"),
    (
        "datac.cache.keys/1",
        "export XDG_CONFIG_HOME=$PWD/own; datac cache key new --name a > a.key 2>/dev/null; \
         datac cache key trust $(cat a.key) 2>/dev/null; datac cache key list --json",
    ),
    (
        "datac.build/1",
        "mkdir team; rm -r dataset; XDG_CONFIG_HOME=$PWD/own datac build --remote team --json 2>/dev/null",
    ),
    (
        "datac.worker/1",
        "XDG_CONFIG_HOME=$PWD/own datac worker --slice 0/2 --remote team --cache-dir theirs --json 2>/dev/null",
    ),
    ("datac.worker/1", "rm -r theirs; datac worker --slice 1/2 --dry-run --json"),
    ("datac.status/1", "datac status --remote team --remote-check --json 2>/dev/null"),
    ("datac.cache.shared.size/1", "datac cache size --remote team --json"),
    ("datac.cache.shared.gc/1", "datac cache gc --remote team --dry-run --json"),
    ("datac.cache.shared.verify/1", "datac cache verify --remote team --json"),
    (
        "datac.release/1",
        "datac build --quiet; XDG_CONFIG_HOME=$PWD/own datac release a@1 --remote team --json 2>/dev/null",
    ),
    ("datac.releases/1", "datac releases --remote team --json"),
    ("datac.pull/1", "rm dataset/sft_one_val.jsonl; datac pull a@1 --remote team --json 2>/dev/null"),
    ("datac.release.remove/1", "datac release remove a@1 --remote team --json"),
    ("datac.push.outputs/1", "datac build --quiet; mkdir pushed; datac push ./pushed --json 2>/dev/null"),
    ("datac.pull.outputs/1", "datac pull ./pushed/sft/one --to pulled --json 2>/dev/null"),
    ("datac.clean/1", "datac build --quiet; echo x >> dataset/sft_one_val.jsonl; datac clean --cache --json"),
    ("datac.validate/1", "datac validate --json"),
    ("datac.validate/1", "echo 'metadata: {}' | datac validate - --json 2>/dev/null || true"),
    ("datac.explain/1", "datac explain E0101 --json"),
    ("datac.new/1", "datac new a --kind sft --source org/name --json"),
    ("datac.init/1", "datac init --json"),
    (
        "datac.rendered/1",
        "mkdir -p config/chat; echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Yes\"}]}' \
         > data/chat.jsonl; printf 'metadata: {phase: sft}\\ndatasets: [{name: c, source: data/chat.jsonl}]\\nmodel: datac/sample\\n' \
         > config/chat.yaml; datac build --quiet chat --hub sample; datac render chat --json --hub sample",
    ),
    ("datac.check/1", "datac check --tokens chat --json --hub sample"),
    ("datac.doctor/1", "datac doctor --json --hub sample"),
    ("datac.doctor/1", "datac doctor --json --hub nowhere || true"),
];

/// Schemas of what is no document: held to what they describe where that is tested.
const ELSEWHERE: &[&str] = &["datac.events/1", "datac.lock/1", "datac.push/1", "datac.recipe/1", "datac.settings/1"];

#[test]
fn every_document_is_as_its_schema_says() {
    let place = Place::new();
    let names = place.sh("datac schema");
    let names: BTreeSet<(&str, &str)> = names.lines().filter_map(|line| line.split_once(' ')).collect();
    let word = |schema: &str| names.iter().find(|(_, name)| name.trim() == schema).map(|(word, _)| *word);
    for (schema, line) in DOCUMENTS {
        let word = word(schema).unwrap_or_else(|| panic!("`datac schema` knows no {schema}"));
        let schema_of: Value = serde_json::from_str(&place.sh(&format!("datac schema {word}"))).unwrap();
        let validator = jsonschema::validator_for(&schema_of).unwrap();
        let printed = place.sh(line);
        let document: Value =
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}: {printed}"));
        let faults: Vec<String> =
            validator.iter_errors(&document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{line}: {faults:#?}");
        assert_eq!(document["schema"], *schema, "{line}");
        // A schema that lets everything pass would prove nothing.
        assert!(!validator.is_valid(&serde_json::json!({})), "{schema}");
    }
    let printed: BTreeSet<&str> = DOCUMENTS.iter().map(|(schema, _)| *schema).collect();
    let unseen: Vec<_> = names
        .iter()
        .map(|(_, name)| name.trim())
        .filter(|name| !printed.contains(name) && !ELSEWHERE.contains(name))
        .collect();
    assert!(unseen.is_empty(), "no line of this test prints {unseen:?}");
}

#[test]
fn an_unknown_schema_is_refused_with_the_names_there_are() {
    let (printed, code) = Place::new().try_sh("datac schema stauts");
    assert_eq!(code, 2);
    assert!(printed.contains("status") && printed.contains("events"), "{printed}");
}
