//! What other programs find in outputs: texts as they stand, whatever they look like, and no file without rows unannounced.

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};

use crate::{
    sources::{one, refusal},
    space::Space,
};

/// Texts that readers like to take for something else.
const TEXTS: &[&str] = &[
    "2024-01-02",
    "2024-01-02T03:04:05Z",
    "007",
    "1344800117571260417",
    "9999999999999999999999999999999999999999",
    "1.50",
    "true",
    "null",
    "NaN",
    "{\"a\": 1}",
    "a\tb",
    "a\u{2028}b\u{85}c",
    "\"\\",
    "\u{1F600}",
];

#[test]
fn texts_are_read_back_as_they_stand() {
    let space = Space::new();
    let row = |text: &&str| serde_json::json!({ "text": text }).to_string() + "\n";
    space.write("data/texts.jsonl", TEXTS.iter().map(row).collect::<String>());
    let recipe = "metadata: { phase: pretrain }\ndatasets:\n  - { name: rows, source: data/texts.jsonl }\n\
                  validation: { ratio: 0, seed: 1 }\noutput:\n  - { shape: native }\n  - { shape: trl, container: parquet }\n";
    space.write("config/pretrain/texts.yaml", recipe);
    space.build();
    let mut expected: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    expected.sort();
    let lines = space.text("dataset/pretrain_texts_train.jsonl");
    let text =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    let mut read: Vec<String> = lines.lines().map(text).collect();
    read.sort();
    assert_eq!(read, expected, "JSON lines");
    assert!(!lines.contains('\u{2028}'), "some readers end a line there");
    let files = walkdir::WalkDir::new(space.path("dataset")).into_iter().filter_map(Result::ok);
    let file =
        files.map(walkdir::DirEntry::into_path).find(|path| path.extension().is_some_and(|end| end == "parquet"));
    let reader = SerializedFileReader::new(std::fs::File::open(file.unwrap()).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    let mut read: Vec<String> = rows.map(|row| row.unwrap().get_string(0).unwrap().clone()).collect();
    read.sort();
    assert_eq!(read, expected, "Parquet");
}

#[test]
fn a_source_without_rows_is_named() {
    let space = Space::new();
    for (name, bytes, says) in [
        ("array.json", "[]", "holds none"),
        ("header.csv", "instruction,output\n", "holds none"),
        ("zero.jsonl", "", "is empty"),
    ] {
        space.write(&format!("data/{name}"), bytes);
        let recipe = name.replace('.', "_");
        one(&space, &recipe, &format!("source: data/{name}"));
        let found = refusal(&space, &recipe);
        assert!(found.contains(&format!("`rows` has no rows: `data/{name}` {says}")), "{found}");
    }
}

#[test]
fn an_empty_side_is_never_written_without_a_word() {
    let space = Space::new();
    space.write("data/one.jsonl", "{\"instruction\":\"q\",\"output\":\"a\"}\n");
    let recipe = "metadata: { phase: sft }\ndatasets:\n  - { name: rows, source: data/one.jsonl }\n\
                  validation: { ratio: 0.2, seed: 1 }\n";
    space.write("config/sft/native.yaml", recipe);
    space.write("config/sft/shaped.yaml", format!("{recipe}output: {{ shape: trl }}\n"));
    let built = space.datac(&["build"]);
    let said = String::from_utf8(built.stderr).unwrap();
    assert!(built.status.success(), "{said}");
    assert!(said.contains("sft/native: validation has 0 of 1 rows"), "{said}");
    assert!(said.contains("its file is empty, which `load_dataset` refuses"), "{said}");
    assert_eq!(space.text("dataset/sft_native_val.jsonl"), "");
    // Files of shapes are written for loaders that refuse empty ones.
    let files = walkdir::WalkDir::new(space.path("dataset/sft_shaped")).into_iter().filter_map(Result::ok);
    let names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name.starts_with("train")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("val")), "{names:?}");
}
