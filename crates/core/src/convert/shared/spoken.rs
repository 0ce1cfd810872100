//! Transcripts of a person and an assistant as HH-RLHF writes them, `\n\nHuman: …\n\nAssistant: …`, which other collections
//! have as prompts, up to the word of whoever speaks next.

use std::borrow::Cow;

use crate::sample::{Content, Message, Role};

const HUMAN: &[u8] = b"Human:";
const ASSISTANT: &[u8] = b"Assistant:";

/// A transcript taken apart.
pub(in crate::convert) struct Dialogue<'a> {
    /// Its turns, the person's first.
    pub(in crate::convert) messages: Vec<Message<'a>>,
    /// How many turns were joined to the one before, of the same role.
    pub(in crate::convert) joined: u32,
}

/// Whether a text is a transcript beyond doubt: one that begins as those of HH-RLHF do and has an answer, or one that ends
/// where an answer is to follow.
pub(super) fn is_transcript(text: &str) -> bool {
    let is_answered = || text.starts_with('\n') && text.contains("\n\nAssistant:");
    text.strip_prefix("\n\n").unwrap_or(text).starts_with("Human:")
        && (text.trim_end().ends_with("\n\nAssistant:") || is_answered())
}

/// The next turn in `text`: where the one before it ends, whose it is, and where its content begins.
fn next_turn(text: &str) -> Option<(usize, Role, usize)> {
    let bytes = text.as_bytes();
    // Newlines are rare, so looking at each beats searching for the markers: a third line break before a marker needs
    // no care, and one pass finds both.
    memchr::memchr_iter(b'\n', bytes).find_map(|at| {
        let after = bytes[at + 1..].strip_prefix(b"\n")?;
        let start = at + 2;
        if after.starts_with(HUMAN) {
            Some((at, Role::User, start + HUMAN.len()))
        } else if after.starts_with(ASSISTANT) {
            Some((at, Role::Assistant, start + ASSISTANT.len()))
        } else {
            None
        }
    })
}

impl<'a> Dialogue<'a> {
    /// Takes a transcript apart; `None` if it does not begin with a turn of the person.
    pub(in crate::convert) fn of(transcript: &'a str) -> Option<Self> {
        let body = transcript.strip_prefix("\n\n").unwrap_or(transcript);
        let mut rest = body.strip_prefix("Human:")?;
        let mut dialogue = Dialogue { messages: Vec::with_capacity(8), joined: 0 };
        let mut role = Role::User;
        while let Some((at, next_role, next)) = next_turn(rest) {
            dialogue.push(role, rest[..at].trim());
            (role, rest) = (next_role, &rest[next..]);
        }
        dialogue.push(role, rest.trim());
        Some(dialogue)
    }

    /// Adds a turn, joining it to the one before if the same role has both.
    fn push(&mut self, role: Role, content: &'a str) {
        let last = self.messages.last_mut().filter(|last| last.role == role).map(|last| &mut last.content);
        let Some(Content::Text(last)) = last else {
            self.messages.push(Message::new(role, content));
            return;
        };
        self.joined += 1;
        if last.is_empty() {
            *last = Cow::Borrowed(content);
        } else if !content.is_empty() {
            // A blank line, except where it would make a turn of a content that happens to begin with a role's word.
            let begins_like_a_turn = [HUMAN, ASSISTANT].iter().any(|word| content.as_bytes().starts_with(word));
            let joint = if begins_like_a_turn { "\n" } else { "\n\n" };
            let joined = last.to_mut();
            joined.push_str(joint);
            joined.push_str(content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_known_by_its_beginning_and_its_end() {
        for text in ["\n\nHuman: q\n\nAssistant:", "Human: q\n\nAssistant: ", "\n\nHuman: q\n\nAssistant: a"] {
            assert!(is_transcript(text), "{text:?}");
        }
        let others =
            ["Human: q", "\n\nHuman: q", "Human: q\n\nAssistant: a", "q\n\nAssistant:", "Human: q\nAssistant:", ""];
        assert!(others.iter().all(|text| !is_transcript(text)));
    }
}
