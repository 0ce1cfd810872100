//! What several converters share; a change here counts as a change of every converter.

pub(super) mod chat;
pub(super) mod filled;
pub(super) mod instruction;
pub(super) mod pair;
pub(super) mod spelling;

/// Whether a text has nothing but whitespace.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim_start().is_empty()
}
