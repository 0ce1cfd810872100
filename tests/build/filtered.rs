//! Filters by the value of a column: which rows stay, what is said of the others, and what runs after an edit.

use datac::workspace::{BuildOptions, DroppedRow, Fate};

use crate::space::{Space, entry, ran, recipe};

const VALIDATION: &str = "validation: { ratio: 0, seed: 1 }\n";

/// A row of `question` and `answer` with more columns.
fn row(number: usize, more: &str) -> String {
    format!("{{\"question\":\"question {number}\",\"answer\":\"answer {number}\"{more}}}\n")
}

/// A workspace with one recipe over `rows`, with these lines in its dataset entry.
fn space(rows: &str, lines: &[&str]) -> Space {
    let space = Space::new();
    space.write("data/q.jsonl", rows);
    space.write("config/sft/q.yaml", recipe(&[entry("q", "data/q.jsonl", 1.0, lines)], VALIDATION));
    space
}

/// The numbers of the rows that are in the output, in order.
fn kept(space: &Space) -> Vec<usize> {
    let text = space.text("dataset/sft_q_train.jsonl");
    let number = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["conversations"][0]["content"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let mut numbers: Vec<usize> = text.lines().map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn dropped(space: &Space, filter: &str) -> Vec<DroppedRow> {
    let mut rows = Vec::new();
    space
        .workspace()
        .outputs()
        .dropped("sft/q", filter, 100, |row| {
            rows.push(row);
            true
        })
        .unwrap();
    rows
}

#[test]
fn rows_are_kept_by_the_value_of_a_column() {
    let values = ["4", "4.5", "3", "null", "\"5\"", "\"high\"", "[5]", "true", "1e1"];
    let rows: String =
        values.iter().enumerate().map(|(number, value)| row(number, &format!(",\"score\":{value}"))).collect();
    let space = space(&(rows + &row(9, "")), &["filters: [{ type: column, column: score, min: 4 }]"]);
    let report = space.build();
    assert_eq!(kept(&space), [0, 1, 4, 8]);
    let summary = report.recipes[0].summary.as_ref().unwrap();
    let count = &summary.sources[0].filters[0];
    assert_eq!((count.filter.as_str(), count.rows_in, count.rows_out, count.unknown), ("column:score", 10, 4, 5));
    assert!(
        summary.sources[0].unused.is_empty(),
        "a column that a filter reads is used: {:?}",
        summary.sources[0].unused
    );
    // What was dropped is shown with its value.
    for name in ["column", "column:score"] {
        let told: Vec<(u64, String)> =
            dropped(&space, name).into_iter().map(|row| (row.source.row, row.by.score.to_string())).collect();
        let told: Vec<(u64, &str)> = told.iter().map(|(row, score)| (*row, score.as_str())).collect();
        assert_eq!(told, [(2, "3"), (3, "null"), (5, "\"high\""), (6, "null"), (7, "true"), (9, "null")]);
    }
    let workspace = space.workspace();
    let fate = workspace.outputs().trace_source("q", "q.jsonl", 2).unwrap().fates.remove(0).fate;
    let Fate::Filtered { by, .. } = fate else { panic!("{fate:?}") };
    assert_eq!((by.filter.as_str(), by.field.as_str(), by.bound.as_str()), ("column", "score", "min 4.0"));

    // Rows without a value are the recipe's to decide, and nothing but the selection runs again.
    space.edit("config/sft/q.yaml", "min: 4 }", "min: 4, missing: keep }");
    let report = space.build();
    assert!(!ran(&report).contains("score") && !ran(&report).contains("convert"), "{}", ran(&report));
    assert_eq!(kept(&space), [0, 1, 3, 4, 5, 6, 7, 8, 9]);
    // Another column is another score; a text beside it is measured as before.
    space.edit("config/sft/q.yaml", "filters: [", "filters: [{ type: length, min_length: 1 }, ");
    space.build();
    assert_eq!(kept(&space).len(), 9);
}

#[test]
fn texts_flags_and_values_inside_columns_are_compared() {
    let rows = [
        r#","lang":"en","meta":{"ok":true,"scores":[1,9]}"#,
        r#","lang":"de","meta":{"ok":false,"scores":[1,2]}"#,
        r#","lang":"fr","meta":{"ok":true,"scores":[]}"#,
        r#","lang":"","meta":null"#,
    ];
    let rows: String = rows.iter().enumerate().map(|(number, more)| row(number, more)).collect();
    for (filter, expected) in [
        ("{ type: column, column: lang, in: [en, de] }", &[0, 1][..]),
        ("{ type: column, column: lang, is: fr }", &[2]),
        ("{ type: column, column: lang, is: fr, missing: keep }", &[2, 3]),
        ("{ type: column, column: meta.ok, is: true }", &[0, 2]),
        ("{ type: column, column: 'meta.scores[-1]', max: 5, missing: keep }", &[1, 2, 3]),
        ("{ type: column, column: lang, in: [en, de] }, { type: column, column: meta.ok, is: false }", &[1]),
    ] {
        let space = space(&rows, &[&format!("filters: [{filter}]")]);
        space.build();
        assert_eq!(kept(&space), expected, "{filter}");
    }
}

#[test]
fn what_a_sample_keeps_comes_before_its_row() {
    let rows: String = (0..4).map(|at| row(at, &format!(",\"a\":{at},\"b\":{}", 3 - at))).collect();
    for (keep, expected) in [("keep: [b]", [2, 3]), ("keep: { b: a }", [0, 1])] {
        let space = space(&rows, &[keep, "filters: [{ type: column, column: a, min: 2 }]"]);
        space.build();
        assert_eq!(kept(&space), expected, "{keep}");
    }
}

#[test]
fn a_column_that_is_not_there_is_an_error() {
    let space = space(&row(0, ",\"score\":5"), &["filters: [{ type: column, column: scor, min: 4 }]"]);
    let report = space.try_build(&BuildOptions::default()).unwrap();
    let failure = report.recipes[0].failure.as_ref().unwrap();
    assert_eq!(failure.message, "`column: scor` of a filter of `q` does not exist");
    assert!(failure.hint.as_ref().unwrap().contains("did you mean `score`?"), "{:?}", failure.hint);
    space.edit("config/sft/q.yaml", "scor,", "score,");
    space.build();
    assert_eq!(kept(&space), [0]);
    // The bound is what `why` names.
    space.edit("config/sft/q.yaml", "min: 4", "min: 6");
    let status = space.status();
    let reasons = format!("{:?}", status.recipes[0]);
    assert!(reasons.contains("column score min 6.0"), "{reasons}");
}
