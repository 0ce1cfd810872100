//! What checks the answers to a prompt: the columns that a verifiable reward reads.

use std::borrow::Cow;

use super::keep::keep;
use crate::{
    row::{RawRow, Reject, Value, is_called},
    sample::Sample,
};

/// What the right answer is called where the column cannot be the model's own.
pub(in crate::convert) const TRUTH: &[&str] =
    &["ground_truth", "final_answer", "expected_answer", "reference_answer", "gold", "gold_standard_solution"];

/// What says how an answer is checked.
pub(in crate::convert) const CHECKS: &[&str] = &[
    "reward_model",
    "reward_spec",
    "test_cases",
    "tests",
    "verification_info",
    "test",
    "inputs",
    "outputs",
    "unit_tests",
    "public_tests",
    "private_tests",
    "public_test_cases",
    "private_test_cases",
    "input_output",
    "starter_code",
    "entry_point",
    "answers",
    "choices",
    "rubric",
    "rubrics",
    "reference",
    "reference_solution",
];

/// What goes with it: where a row is from and what it asks for, as verl writes it.
const BESIDE: &[&str] = &["data_source", "ability", "extra_info"];

/// Keeps the columns of a row that check an answer, and those called like `answers` that are not used, as columns of a prompt.
pub(in crate::convert) fn keep_checks<'a>(
    sample: &mut Sample<'a>,
    row: &'a RawRow<'_>,
    answers: &[&str],
) -> Result<(), Reject> {
    // Of several spellings of an answer the first is the answer: a solution beside it is kept as it is.
    let known = sample.columns.len();
    let is_used: Vec<bool> = row.uses().map(|(_, _, is_used)| is_used).collect();
    for ((name, value), is_used) in row.fields.iter().zip(is_used) {
        let mut names = [answers, CHECKS, BESIDE].into_iter().flatten();
        let is_meant = names.any(|known| is_called(name, known));
        // A right answer that JSON has no type for is none; what else checks it is kept as a text.
        if let Value::Printed { .. } = value
            && answers.iter().any(|known| is_called(name, known))
        {
            return Err(value.not_text(name));
        }
        if is_meant && !is_used && *value != Value::Null && keep(sample, known, Cow::Borrowed(name), value)? {
            row.get(name);
        }
    }
    Ok(())
}
