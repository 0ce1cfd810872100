//! What several converters share; a change here counts as a change of every converter.

pub(super) mod beside;
pub(super) mod chat;
pub(super) mod checks;
pub(super) mod filled;
pub(super) mod final_answer;
pub(super) mod instruction;
pub(super) mod keep;
pub(super) mod pair;
mod parts;
pub(super) mod spelling;
pub(super) mod spoken;
mod tool_calls;

use crate::json;

/// Whether a text has nothing that a person would see: white space, and what has no width.
pub(super) fn is_blank(text: &str) -> bool {
    let has_no_width = |c: char| matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}');
    text.trim_start_matches(|c: char| c.is_whitespace() || has_no_width(c)).is_empty()
}

/// Says why a text is not the JSON that it should be.
pub(super) fn not_json(text: &str, error: &serde_json::Error) -> String {
    if is_python(text) {
        return "it is a Python literal, not JSON; write it with `json.dumps`".to_owned();
    }
    json::words(error)
}

/// Whether a text looks like the `repr` of a Python list or dict, which JSON takes for strings in single quotes.
fn is_python(text: &str) -> bool {
    let text = text.trim_start();
    let inner = text.trim_start_matches(['[', '{', '(', ' ', '\n', '\t']);
    text.starts_with(['[', '{', '('])
        && (inner.starts_with('\'')
            || ["None", "True", "False"]
                .iter()
                .any(|word| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == *word)))
}
