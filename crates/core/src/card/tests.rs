use super::*;
use crate::{
    license::Stated,
    outputs::{Container, Layout},
    shape::facts::Type,
};

fn source(name: &str, license: Option<&str>) -> AboutSource {
    AboutSource {
        name: name.to_owned(),
        from: format!("org/{name}"),
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        part: vec!["config main".to_owned(), "split train".to_owned()],
        role: "mixed",
        license: license.and_then(|id| License::new([id.to_owned()], Stated::Card)),
        read: 120,
        rejects: vec![("invalid_json", 2), ("no_answer", 1)],
        filters: vec![("length at least 20".to_owned(), 117, 100)],
        left: vec![("duplicate", 3)],
        kept: 97,
        share: Some(0.5),
        units: 97,
        rows: BySide { train: 90, validation: 7, test: 0 },
        repeats: 0,
    }
}

fn about() -> About {
    let local = AboutSource {
        from: "data/own.jsonl".to_owned(),
        commit: None,
        part: Vec::new(),
        license: License::new(["cc-by-nc-4.0".to_owned()], Stated::Recipe),
        rejects: Vec::new(),
        filters: Vec::new(),
        left: Vec::new(),
        units: 194,
        repeats: 97,
        ..source("own", None)
    };
    let held = AboutSource {
        role: "test",
        share: None,
        rows: BySide { train: 0, validation: 0, test: 9 },
        ..source("exam", None)
    };
    About {
        phase: "sft".to_owned(),
        description: Some("Questions | and answers.".to_owned()),
        kind: SampleKind::Conversation,
        unit: "rows",
        sources: vec![source("maths", Some("mit")), local, held],
        model: None,
    }
}

fn file(name: &str, side: Side, rows: u64) -> CardFile {
    CardFile { name: name.to_owned(), side, rows, bytes: 1000 + rows, sha256: "ab".repeat(32) }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("id", Type::Text),
        Column::new("messages", Type::plain_messages()),
        Column::new("tools", Type::Json),
        Column::new("steps", Type::Json.list()),
        Column::new("labels", Type::Bool.list()),
        Column::new("no", Type::Integer),
        Column::new("größe: \"x\"", Type::Number),
        Column::new("info", Type::Struct(vec![("split", Type::Text), ("tags", Type::Text.list())])),
        Column::new("source", Type::Text),
    ]
}

#[test]
fn cards_of_files_and_of_shards() {
    let unfit = [("maths".to_owned(), "a weight".to_owned(), 4)];
    let about = about();
    let target = Target {
        name: None,
        shape: "trl".to_owned(),
        container: Container::Parquet,
        shards: 2,
        layout: Layout::Hub,
        id: true,
        pack: None,
    };
    let shards = [
        file("data/train-00000-of-00002.parquet", Side::Train, 90),
        file("data/train-00001-of-00002.parquet", Side::Train, 86),
        file("data/test-00000-of-00002.parquet", Side::Test, 9),
    ];
    let card =
        Card { about: &about, stem: "sft_mine", target: &target, columns: &columns(), files: &shards, unfit: &unfit };
    let [(_, readme), (_, croissant)] = card.files();
    insta::assert_snapshot!("hub_readme", readme);
    insta::assert_snapshot!("hub_croissant", croissant);

    let one = About { sources: vec![source("maths", Some("mit"))], description: None, ..about };
    let target = Target {
        name: None,
        shape: "openai".to_owned(),
        container: Container::Jsonl,
        shards: 1,
        layout: Layout::Files,
        id: false,
        pack: None,
    };
    let files = [file("train.jsonl", Side::Train, 90), file("val.jsonl", Side::Validation, 7)];
    let card = Card { about: &one, stem: "sft_mine", target: &target, columns: &columns(), files: &files, unfit: &[] };
    let [(_, readme), (_, croissant)] = card.files();
    insta::assert_snapshot!("files_readme", readme);
    insta::assert_snapshot!("files_croissant", croissant);
    // Ids are worth nothing without the model that they are of.
    let settings = vec!["enable_thinking: false".to_owned(), "max_tokens: 4096".to_owned()];
    let model = AboutModel { from: "org/m".to_owned(), commit: Some("c0".to_owned()), settings, vocabulary: 151_669 };
    let encoded = About { model: Some(model), ..one.clone() };
    let [(_, readme), _] = Card { about: &encoded, ..card }.files();
    let told = "Rendered and encoded for the model `org/m` at `c0`, `enable_thinking: false`, `max_tokens: 4096`.";
    assert_eq!(readme.lines().filter(|line| *line == told).count(), 1);
}

#[test]
fn front_matter_is_yaml_whatever_columns_are_called() {
    let about = about();
    let target = Target::native();
    let files = [file("train.jsonl", Side::Train, 1)];
    let names = ["yes", "1", "a: b", "#", "\u{1f600}\n", "null", "-", "x\"y\\z", "ok"];
    let columns: Vec<Column> = names.iter().map(|name| Column::new(*name, Type::Text)).collect();
    let card = Card { about: &about, stem: "s", target: &target, columns: &columns, files: &files, unfit: &[] };
    let [(_, readme), _] = card.files();
    let head = readme.split("---\n").nth(1).unwrap();
    let value: serde_yaml::Value = serde_yaml::from_str(head).unwrap();
    let features = value["dataset_info"]["features"].as_sequence().unwrap().clone();
    let read: Vec<&str> = features.iter().map(|feature| feature["name"].as_str().unwrap()).collect();
    assert_eq!(read, names);
}

#[test]
fn a_licence_that_the_hub_does_not_know_is_named() {
    let mut about = about();
    let own = License {
        ids: vec!["other".to_owned()],
        name: Some("Terms of X".to_owned()),
        link: Some("https://example.org/terms".to_owned()),
        stated: Stated::Card,
    };
    about.sources.truncate(1);
    about.sources[0].license = Some(own);
    let target = Target::native();
    let files = [file("train.jsonl", Side::Train, 1)];
    let card = Card { about: &about, stem: "s", target: &target, columns: &[], files: &files, unfit: &[] };
    let [(_, readme), (_, croissant)] = card.files();
    assert!(
        readme.starts_with(
            "---\nlicense: other\nlicense_name: \"Terms of X\"\nlicense_link: \"https://example.org/terms\"\n"
        ),
        "{readme}"
    );
    assert!(croissant.contains("https://example.org/terms"), "{croissant}");
}
