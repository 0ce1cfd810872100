//! Where the fields of messages stand in a rendered text.
//!
//! The slow way swaps one field for a placeholder, twice, and looks where the text changes. The fast way swaps all contents at
//! once and takes the text apart between them: one rendering more per conversation instead of two per field. Where it does not
//! fit exactly, the slow way is asked; a property test holds the two together.

use std::{cell::OnceCell, ops::Range};

use super::{Contents, MaskError, Masker};
use crate::{Conversation, Ending, Json, Message, python::text::is_space};

/// A field of a message that templates write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The content.
    Content,
    /// The reasoning, under any of its names.
    Reasoning,
    /// The message but for its role: content, reasoning and tool calls.
    Whole,
}

impl Field {
    /// The field's name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Reasoning => "reasoning",
            Self::Whole => "tool calls",
        }
    }

    /// The text that stands in the field of a message; `None` if there is none.
    fn text(self, message: &Message) -> Option<String> {
        match self {
            Self::Content => message.text("content").map(str::to_owned).or_else(|| parts_text(message)),
            Self::Reasoning => message.reasoning().map(|(_, text)| text.to_owned()),
            Self::Whole => None,
        }
    }

    /// The message with another text in the field.
    fn swapped(self, message: &Message, text: &str) -> Message {
        match self {
            Self::Content if message.text("content").is_some() => message.with("content", Json::from(text)),
            Self::Content => {
                let part = [("type", "text"), ("text", text)].map(|(key, value)| (key.to_owned(), Json::from(value)));
                message.with("content", Json::from(vec![Json::object(part)]))
            }
            Self::Reasoning => {
                let names = crate::conversation::REASONING;
                names
                    .iter()
                    .filter(|name| message.text(name).is_some())
                    .fold(message.clone(), |message, name| message.with(name, Json::from(text)))
            }
            Self::Whole => {
                let [first, second, third] = crate::conversation::REASONING;
                message.without(&[first, second, third, "tool_calls"]).with("content", Json::from(text))
            }
        }
    }
}

/// The texts of a content that is a list of texts alone.
fn parts_text(message: &Message) -> Option<String> {
    let parts = message.get("content")?.items()?;
    let texts: Option<Vec<String>> = parts.iter().map(|part| Some(part.get("text")?.as_str()?.to_owned())).collect();
    texts.map(|texts| texts.concat()).filter(|text| !text.is_empty())
}

/// What stands for a text. No two share their first or their last character.
const PLACEHOLDERS: [&str; 4] = ["[placeholder one]", "zplaceholder twoz", "Qplaceholder threeQ", "(placeholder four)"];

/// Returns two placeholders that share neither the first nor the last character with a text: what surrounds the text then is
/// all that renderings share.
fn placeholders(text: &str) -> impl Iterator<Item = &'static str> {
    let (first, last) = (text.chars().next(), text.chars().next_back());
    let is_apart =
        move |placeholder: &&str| placeholder.chars().next() != first && placeholder.chars().next_back() != last;
    PLACEHOLDERS.into_iter().filter(is_apart).take(2)
}

/// The fields of a conversation in its text.
pub(super) struct Places<'a> {
    masker: &'a Masker,
    conversation: &'a Conversation,
    pub(super) text: &'a str,
    /// Where each content stands that is text, by the fast way; asked for once.
    contents: OnceCell<Option<Contents>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(masker: &'a Masker, conversation: &'a Conversation, text: &'a str) -> Self {
        Self { masker, conversation, text, contents: OnceCell::new() }
    }

    /// Returns where a field of a message stands; `None` if the message has no such text, or the template does not write it.
    pub(super) fn find(&self, message: usize, field: Field) -> Result<Option<Range<usize>>, MaskError> {
        let Some(sought) = field.text(&self.conversation.messages[message]) else { return Ok(None) };
        if field == Field::Content
            && let Some(found) = self.quick(message)
        {
            return Ok(Some(found));
        }
        let Some(found) = self.changed(message, field) else { return Ok(None) };
        // Templates trim, cut thoughts off and wrap them anew. What they write of a field is the field's own text, but for
        // whitespace; anything else that changes with it stands elsewhere, or is not understood.
        let written = &self.text[found.clone()];
        if sought.contains(written) || is_part(written, &sought) {
            Ok(Some(found))
        } else {
            Err(MaskError::Uncertain { message, part: field.name() })
        }
    }

    /// Returns whether the content of a message, which the template does not write, is text alone; `None` if there is none, or
    /// nothing but whitespace.
    pub(super) fn unwritten(&self, message: usize) -> Option<bool> {
        let message = &self.conversation.messages[message];
        let content = message.get("content")?;
        if content.as_str().is_some() || content.items().is_some_and(|parts| parts.is_empty()) {
            let is_blank = content.as_str().unwrap_or_default().trim_matches(is_space).is_empty();
            return (!is_blank).then_some(true);
        }
        Some(parts_text(message).is_some())
    }

    /// Returns where the text changes if a field is swapped; `None` if it does not, or the swapped conversation is refused.
    pub(super) fn changed(&self, message: usize, field: Field) -> Option<Range<usize>> {
        let mut changed: Option<Range<usize>> = None;
        let text = field.text(&self.conversation.messages[message]).unwrap_or_default();
        for placeholder in placeholders(text.trim_matches(is_space)) {
            let swapped = field.swapped(&self.conversation.messages[message], placeholder);
            let conversation = self.conversation.with_message(message, swapped);
            let rendered = self.masker.render(&conversation, Ending::Closed).ok()?;
            let range = difference(self.text, &rendered.text)?;
            changed = Some(match changed {
                Some(other) => other.start.min(range.start)..other.end.max(range.end),
                None => range,
            });
        }
        changed.filter(|range| range.start < range.end)
    }

    /// Returns where the content of a message would stand that is blank and not written; `None` if the text changes elsewhere,
    /// too, once the message says something.
    pub(super) fn vacant(&self, message: usize) -> Option<usize> {
        self.conversation.messages[message].get("content")?.as_str()?;
        let placeholder = PLACEHOLDERS.into_iter().find(|placeholder| !self.text.contains(placeholder))?;
        let swapped = self.conversation.messages[message].with("content", Json::from(placeholder));
        let conversation = self.conversation.with_message(message, swapped);
        let rendered = self.masker.render(&conversation, Ending::Closed).ok()?.text;
        let (before, behind) = rendered.split_once(placeholder)?;
        (self.text.strip_prefix(before)? == behind).then_some(before.len())
    }

    /// Returns where a content stands by the fast way.
    pub(super) fn quick(&self, message: usize) -> Option<Range<usize>> {
        self.contents.get_or_init(|| self.take_apart(Ending::Closed)).as_ref()?.get(message)?.clone()
    }

    /// Returns where each content stands by the fast way.
    pub(super) fn contents(&self) -> Option<Contents> {
        self.contents.get_or_init(|| self.take_apart(Ending::Closed)).clone()
    }

    /// Swaps all contents that are text at once, and takes the text apart between them. `None` if it does not fit exactly.
    pub(super) fn take_apart(&self, ending: Ending<'_>) -> Option<Contents> {
        let messages = &self.conversation.messages;
        let placeholder = |message: usize| format!("[placeholder {message} of {}]", messages.len());
        let swap = |(index, message): (usize, &Message)| match message.text("content") {
            Some(text) if !text.trim_matches(is_space).is_empty() => {
                message.with("content", Json::from(placeholder(index)))
            }
            _ => message.clone(),
        };
        let swapped =
            Conversation { messages: messages.iter().enumerate().map(swap).collect(), ..self.conversation.clone() };
        let swapped = self.masker.render(&swapped, ending).ok()?.text;
        let mut places = vec![None; messages.len()];
        let (mut rest, mut at) = (swapped.as_str(), 0);
        let mut before: Option<(usize, &str)> = None;
        // The text between two contents must be the same in both; then so must be where the first content ends.
        let mut fit = |before: Option<(usize, &str)>, between: &str| -> Option<()> {
            let text = &self.text[at..];
            let length = match before {
                None => 0,
                Some((index, content)) => {
                    let trimmed = content.trim_matches(is_space);
                    let left = content.trim_start_matches(is_space);
                    let right = content.trim_end_matches(is_space);
                    let fits =
                        |content: &&str| text.strip_prefix(*content).is_some_and(|rest| rest.starts_with(between));
                    let length = [content, trimmed, left, right].into_iter().find(fits)?.len();
                    places[index] = Some(at..at + length);
                    length
                }
            };
            at += length + text[length..].strip_prefix(between).map(|_| between.len())?;
            Some(())
        };
        for (index, message) in messages.iter().enumerate() {
            let Some(content) = message.text("content").filter(|text| !text.trim_matches(is_space).is_empty()) else {
                continue;
            };
            let (between, behind) = rest.split_once(placeholder(index).as_str())?;
            // Written twice, in this place or behind.
            if behind.contains(placeholder(index).as_str()) {
                return None;
            }
            fit(before, between)?;
            (rest, before) = (behind, Some((index, content)));
        }
        // The last piece must be all that is left.
        fit(before, rest)?;
        (at == self.text.len()).then_some(places)
    }
}

/// Where `text` differs from `other`: what stands between the beginning and the end that they share. `None` if they are the same.
fn difference(text: &str, other: &str) -> Option<Range<usize>> {
    if text == other {
        return None;
    }
    let (a, b) = (text.as_bytes(), other.as_bytes());
    let mut start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let most = a.len().min(b.len()) - start;
    let same = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let mut end = a.len() - same;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    Some(start..end)
}

/// Whether a text is a part of another one if whitespace does not count.
fn is_part(written: &str, sought: &str) -> bool {
    let dense = |text: &str| text.chars().filter(|c| !is_space(*c)).collect::<String>();
    let (written, sought) = (dense(written), dense(sought));
    !written.is_empty() && sought.contains(&written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_stand_between_what_is_shared() {
        for (text, other, range) in [
            ("abc", "abc", None),
            ("abc", "axc", Some(1..2)),
            ("abab", "ab", Some(2..4)),
            ("aé", "aè", Some(1..3)),
            ("éa", "ča", Some(0..2)),
            ("", "a", Some(0..0)),
        ] {
            assert_eq!(difference(text, other), range, "{text} {other}");
        }
    }
}
