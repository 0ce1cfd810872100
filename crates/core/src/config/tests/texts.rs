//! Texts of recipes that tests change in one place.

use std::fmt::Write as _;

use crate::quality::{BoundSpec, ScoreKind};

/// Returns a valid recipe of five lines; `extra` follows in its only dataset, from line 6, column 5.
pub(super) fn dataset(extra: &str) -> String {
    let extra = extra.replace('\n', "\n    ");
    format!("metadata:\n  phase: sft\ndatasets:\n  - name: a\n    source: x/y\n    {extra}\n")
}

/// Returns the same recipe with `extra` at the top level, from line 6, column 1.
pub(super) fn root(extra: &str) -> String {
    format!("metadata:\n  phase: sft\ndatasets:\n  - name: a\n    source: x/y\n{extra}\n")
}

/// Returns the same recipe with `filter` as the only filter, at line 7, column 9.
pub(super) fn filter(filter: &str) -> String {
    dataset(&format!("filters:\n  - {}", filter.replace('\n', "\n    ")))
}

/// Returns an entry of `filters` with only the keys that this scorer requires.
pub(super) fn least_filter(scorer: ScoreKind) -> String {
    let key = scorer.bound().keys().next().expect("filters have keys");
    let value = match scorer.bound() {
        BoundSpec::Count(_) => "9",
        BoundSpec::Fraction(_) => "1",
        BoundSpec::Language(_) => "[en, no]",
        BoundSpec::Identity(..) => "~",
        BoundSpec::Value(_) => "c, min: 1",
        BoundSpec::Function(_) => "'a.py:f'",
    };
    format!("\n- {{type: {}, {key}: {value}}}", scorer.name())
}

/// Returns datasets with these shares, three lines each; `mix_ratio` is on lines 5, 8, 11 at column 16.
pub(super) fn shares(ratios: &[&str]) -> String {
    let mut text = "metadata: {phase: sft}\ndatasets:\n".to_owned();
    for (i, ratio) in ratios.iter().enumerate() {
        write!(text, "  - name: d{i}\n    source: x/y\n    mix_ratio: {ratio}\n").unwrap();
    }
    text
}
