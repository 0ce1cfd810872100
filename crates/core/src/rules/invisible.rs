//! No text holds characters that nobody sees.

use super::{Check, Rule};
use crate::row::Reason;

/// Mends by taking the characters out. Joiners stay: letters of many scripts and emoji are made with them.
pub(super) const RULE: Rule = Rule {
    name: "invisible",
    about: "no text holds zero-width spaces, byte order marks, replacement or control characters; repaired by removing them",
    reason: Reason::BrokenRule,
    detail: "`invisible`: a text holds characters that nobody sees",
    default: None,
    check: Check::Texts(without),
};

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{fffd}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

fn without(text: &str) -> Option<String> {
    text.contains(is_invisible).then(|| text.replace(is_invisible, ""))
}
