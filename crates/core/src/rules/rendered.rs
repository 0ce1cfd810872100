//! No text is what a chat template writes.

use memchr::memchr2_iter;

use super::{Check, Mode, Rule};
use crate::row::Reason;

/// The name of the rule, about which builds say more than a number.
pub const NAME: &str = "rendered";

/// Such a text would be rendered once more when a model is trained on it. Who wrote it cannot be told from it, so nothing is mended.
pub(super) const RULE: Rule = Rule {
    name: NAME,
    about: "no text holds the marks between turns of chat templates, such as `<|im_start|>user` or `[INST]`",
    reason: Reason::BrokenRule,
    detail: "`rendered`: a text holds marks that a chat template writes between turns",
    default: Some(Mode::Warn),
    check: Check::Found(is_rendered),
};

/// What turns begin with, behind its `<`.
const MARKS: [&[u8]; 16] = [
    b"|im_start|>user",
    b"|im_start|>assistant",
    b"|im_start|>system",
    b"|start_header_id|>user",
    b"|start_header_id|>assistant",
    b"|start_header_id|>system",
    b"|start|>user",
    b"|start|>assistant",
    b"|start|>system",
    b"start_of_turn>user",
    b"start_of_turn>model",
    b"|user|>",
    b"|assistant|>",
    "｜User｜>".as_bytes(),
    "｜Assistant｜>".as_bytes(),
    b"|turn>user",
];

fn is_rendered(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut is_open = false;
    memchr2_iter(b'<', b'[', bytes).any(|at| {
        let behind = &bytes[at + 1..];
        match (bytes[at], behind.first()) {
            (b'[', _) => {
                is_open |= behind.starts_with(b"INST]");
                is_open && behind.starts_with(b"/INST]")
            }
            // Code has many a `<`, and hardly one with such a byte behind it.
            (_, Some(b'|' | b's' | 0xef)) => MARKS.iter().any(|mark| behind.starts_with(mark)),
            _ => false,
        }
    })
}
