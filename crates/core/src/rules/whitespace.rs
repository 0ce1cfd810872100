//! No text begins or ends with white space.

use super::{Check, Rule};
use crate::row::Reason;

/// Mends by trimming.
pub(super) const RULE: Rule = Rule {
    name: "whitespace",
    about: "no text begins or ends with white space; repaired by trimming",
    reason: Reason::BrokenRule,
    detail: "`whitespace`: a text begins or ends with white space",
    default: None,
    check: Check::Texts(trimmed),
};

fn trimmed(text: &str) -> Option<String> {
    let trimmed = text.trim();
    (trimmed.len() < text.len()).then(|| trimmed.to_owned())
}
