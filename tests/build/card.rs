//! Cards: what they say, what a changed licence costs, and that loaders read the folder.

use std::process::Command;

use crate::space::{Space, count, ran};

/// Dialogues, every tenth with a weight, which `trl` has no place for.
fn dialogues() -> String {
    let row = |number: usize| {
        let weight = if number % 10 == 7 { ",\"weight\":0" } else { "" };
        format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"Question {number}?\"}},{{\"role\":\"assistant\",\"content\":\
             \"{number}\"{weight}}}],\"topic\":\"{number:03}\",\"more\":{{\"at\":{number}}}}}\n"
        )
    };
    (0..300).map(row).collect::<String>() + "{\"messages\":7}\n"
}

const CARD: &str = "---\nlicense: cc-by-sa-4.0\n---\n# Mine\n";

const RECIPE: &str = "metadata: { phase: sft, description: Talk about questions. }
datasets:
  - { name: chat, source: data/mine/a.jsonl, mix_ratio: 0.5, keep: [topic, more], filters: [{ type: length, min_length: 12 }] }
  - { name: alpaca, source: tatsu-lab/alpaca, mix_ratio: 0.5, license: CC BY-NC 4.0 }
validation: { ratio: 0.1, seed: 42 }
output:
  - { shape: trl, container: parquet, id: true }
  - { shape: messages, layout: hub, shards: 2 }
  - { shape: axolotl, container: jsonl.zst }
  - { shape: trl-prompt-completion, container: arrow }
";

fn space() -> Space {
    let space = Space::new();
    space.write("data/mine/a.jsonl", dialogues());
    space.write("data/mine/README.md", CARD);
    space.write("config/sft/a.yaml", RECIPE);
    space
}

#[test]
fn a_card_says_what_rows_are_made_of_and_a_licence_converts_nothing() {
    let space = space();
    space.build();
    let card = || space.text("dataset/sft_a/trl/README.md");
    let first = card();
    for words in [
        "Talk about questions.",
        "| `chat` | `data/mine/a.jsonl` (split train) | file of the workspace | cc-by-sa-4.0 |",
        "| `alpaca` | `tatsu-lab/alpaca` (split train) | `blake3:",
        "| `chat` | 301 | 1 | 300 | 50% |",
        "| `chat` | `length min 12` | 300 | 300 |",
        "counted above and not in the files",
        "**Non-commercial**: commercial use is not allowed by `alpaca` (cc-by-nc-4.0).",
        "**Conflict**: `chat` (cc-by-sa-4.0)",
        "stated by the recipe",
        "stated by `data/mine/README.md`",
    ] {
        assert!(first.contains(words), "`{words}` is missing:\n{first}");
    }
    assert!(!first.contains("\nlicense:"), "two licences are none that is sure:\n{first}");
    let rows = space.read("dataset/sft_a/trl/train.parquet");
    let croissant: serde_json::Value = serde_json::from_slice(&space.read("dataset/sft_a/trl/croissant.json")).unwrap();
    let sha256 = {
        use sha2::Digest as _;
        sha2::Sha256::digest(&rows).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(croissant["distribution"][0]["sha256"], sha256);
    space.assert_settled();
    space.assert_clean();

    let before = space.stats();
    for (path, from, to, changed) in [
        ("data/mine/README.md", "cc-by-sa-4.0", "cc-by-nc-4.0", "chat"),
        ("config/sft/a.yaml", "license: CC BY-NC 4.0", "license: mit", "alpaca"),
        ("config/sft/a.yaml", "Talk about", "Speak of", ""),
    ] {
        space.edit(path, from, to);
        let state = space.state("sft/a");
        let wanted =
            if changed.is_empty() { "metadata.description".to_owned() } else { format!("license of {changed}") };
        assert!(state.contains(&wanted), "{state}");
        let old = card();
        let report = space.build();
        assert_eq!(
            count(&report, "convert") + count(&report, "arrange") + count(&report, "scan"),
            0,
            "{}",
            ran(&report)
        );
        assert_ne!(card(), old);
        space.assert_settled();
        space.assert_clean();
    }
    let after = space.stats();
    for (path, stat) in &before {
        let is_row = path.to_string_lossy().contains("sft_a/")
            && !path.ends_with("README.md")
            && !path.ends_with("croissant.json");
        assert!(!is_row || after.get(path) == Some(stat), "{} was written again", path.display());
    }

    // A licence beside the rows that comes later is noticed, and one licence for all is sure.
    space.remove("data/mine/README.md");
    space.write("data/mine/LICENSE", "MIT License\n\nCopyright somebody\n");
    let report = space.build();
    assert_eq!(count(&report, "convert"), 0, "{}", ran(&report));
    assert!(card().starts_with("---\nlicense: mit\nconfigs:\n"), "{}", card());
    let origin = space.workspace().outputs().trace("sft_a/axolotl/train.jsonl.zst", 1);
    assert!(origin.is_err() || origin.unwrap().source.license.as_deref() == Some("mit"));
    space.assert_clean();
}

/// Runs a script with the Python of one of the environments that `tests/consumers/setup.sh` makes.
fn python(environment: &str, script: &str, space: &Space) -> Option<String> {
    let folder = std::env::var_os("DATAC_CONSUMERS")
        .map_or_else(|| std::env::temp_dir().join("datac-consumers"), std::path::PathBuf::from);
    let program = folder.join(environment).join("bin/python");
    if !program.exists() {
        println!("skipped: no {}; tests/consumers/setup.sh makes it", program.display());
        return None;
    }
    let output = Command::new(program)
        .args(["-c", script])
        .arg(space.path("dataset/sft_a"))
        .env("HF_HOME", space.path("hf"))
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn datasets_opens_each_folder() {
    let space = space();
    space.build();
    let script = r#"
import importlib.util, pathlib, sys
from datasets import load_dataset
for name in ("trl", "messages", "axolotl", "trl-prompt-completion"):
    if name == "axolotl" and not importlib.util.find_spec("zstandard"):
        continue
    splits = load_dataset(str(pathlib.Path(sys.argv[1]) / name))
    for side, rows in splits.items():
        for row in rows:
            if row["source"] == "chat":
                question, answer = row["messages"] if "messages" in row else row["prompt"] + row["completion"]
                number = question["content"].removeprefix("Question ").removesuffix("?")
                assert answer["content"] == number, row
                assert row["topic"] == f"{int(number):03}", row
                assert row["more"] == {"at": int(number)}, row
    print(name, *(f"{side}={len(rows)}" for side, rows in splits.items()))
"#;
    let Some(told) = python("trl", script, &space) else { return };
    for line in told.lines() {
        let mut words = line.split(' ');
        let card = space.text(&format!("dataset/sft_a/{}/README.md", words.next().unwrap()));
        let sides: Vec<&str> = words.collect();
        assert_eq!(sides.len(), 2, "{line}");
        for side in sides {
            let (side, rows) = side.split_once('=').unwrap();
            assert!(card.contains(&format!("\n| {side} | {rows} | ")), "{line}\n{card}");
        }
    }
    assert!(told.lines().count() >= 3, "{told}");
}

#[test]
fn mlcroissant_reads_what_is_described() {
    let space = space();
    space.build();
    let script = r#"
import json, pathlib, sys
import mlcroissant
root = pathlib.Path(sys.argv[1])
for name in ("trl", "messages", "axolotl", "trl-prompt-completion"):
    made = mlcroissant.Dataset(str(root / name / "croissant.json"))
    assert not made.metadata.ctx.issues.errors, made.metadata.ctx.issues.report()
    for records in made.metadata.record_sets:
        count = 0
        for row in made.records(records.uuid):
            row = {key.removeprefix(records.uuid + "/"): value for key, value in row.items()}
            count += 1
            if row["source"] != b"chat":
                continue
            if name == "messages":
                # Objects of JSON Lines are not described.
                assert set(row) == {"topic", "source"}, row
                continue
            question, answer = (json.loads(turn) for turn in row["messages"])
            number = question["content"].removeprefix("Question ").removesuffix("?")
            assert answer["content"] == number, row
            assert row["topic"] == f"{int(number):03}".encode() and json.loads(row["more"]) == {"at": int(number)}, row
        print(name, records.uuid, count)
"#;
    let Some(told) = python("mlcroissant", script, &space) else { return };
    assert!(told.contains("trl train ") && told.contains("messages data/train-00001-of-00002 "), "{told}");
    assert!(space.text("dataset/sft_a/messages/croissant.json").contains("in the files alone: messages, more."));
    // Compressed lines and Arrow streams are not opened by it, and the description says so.
    assert!(!told.contains("axolotl") && !told.contains("completion"), "{told}");
    assert!(space.text("dataset/sft_a/axolotl/croissant.json").contains("no record set describes them"));
}
