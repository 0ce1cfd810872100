//! Which bytes of a text each token stands for.
//!
//! Quick tokenizers return ids alone. What they stand for, put together, is the text again, and so says where each of them
//! stands: every byte is compared, and what does not fit is an error, not a guess.

use std::ops::Range;

use unicode_normalization::{
    IsNormalized, UnicodeNormalization, char::canonical_combining_class, is_nfc, is_nfc_quick,
};

use super::{
    EncodeError, Vocabulary,
    vocabulary::{NormalForm, Spelling},
};
use crate::python::text::is_space;

/// Returns the bytes of `text` that each id stands for.
pub(super) fn places(vocabulary: &Vocabulary, text: &str, ids: &[u32]) -> Result<Vec<Range<usize>>, EncodeError> {
    let direct = follow(vocabulary, text, ids);
    if vocabulary.normal_form == NormalForm::Nfc && direct.is_err() && !is_nfc(text) {
        let composed = Composed::new(text);
        let places = follow(vocabulary, &composed.text, ids)?;
        return Ok(places.into_iter().map(|place| composed.original(place)).collect());
    }
    direct
}

fn follow(vocabulary: &Vocabulary, text: &str, ids: &[u32]) -> Result<Vec<Range<usize>>, EncodeError> {
    let mut places = Vec::with_capacity(ids.len());
    let mut at = 0;
    let mut rest = ids;
    while !rest.is_empty() {
        // Up to the next added token, which is looked for before anything else.
        let length = rest.iter().position(|id| vocabulary.added_token(*id).is_some()).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(length);
        at = follow_piece(vocabulary, text, piece, at, &mut places)?;
        if let Some((id, behind)) = behind.split_first() {
            let end = end_of_added(vocabulary, text, *id, at).ok_or(EncodeError::Elsewhere { at })?;
            places.push(at..end);
            at = end;
            rest = behind;
        } else {
            rest = behind;
        }
    }
    if at == text.len() { Ok(places) } else { Err(EncodeError::Elsewhere { at }) }
}

/// Follows ids that are no added tokens, from `at` on; returns where they end.
fn follow_piece(
    vocabulary: &Vocabulary,
    text: &str,
    ids: &[u32],
    at: usize,
    places: &mut Vec<Range<usize>>,
) -> Result<usize, EncodeError> {
    let before = places.len();
    let found = follow_bytes(vocabulary, text, ids, at, 0, places);
    if found.is_err() && vocabulary.spelling == Spelling::Words {
        // The space that was put before the first word.
        let starts = ids.first().and_then(|id| vocabulary.bytes(*id)).is_some_and(|bytes| bytes.first() == Some(&b' '));
        if starts {
            places.truncate(before);
            return follow_bytes(vocabulary, text, ids, at, 1, places);
        }
    }
    found
}

/// Follows ids byte for byte, but for the first `skipped` bytes of the first.
fn follow_bytes(
    vocabulary: &Vocabulary,
    text: &str,
    ids: &[u32],
    mut at: usize,
    mut skipped: usize,
    places: &mut Vec<Range<usize>>,
) -> Result<usize, EncodeError> {
    for id in ids {
        let bytes = vocabulary.bytes(*id).ok_or(EncodeError::Unknown(*id))?;
        let bytes = bytes.get(skipped..).unwrap_or_default();
        skipped = 0;
        let length =
            matched(vocabulary.spelling, &text.as_bytes()[at..], bytes).ok_or(EncodeError::Elsewhere { at })?;
        places.push(at..at + length);
        at += length;
    }
    Ok(at)
}

/// Returns how many bytes of a text a token stands for with which the text begins.
fn matched(spelling: Spelling, text: &[u8], token: &[u8]) -> Option<usize> {
    if text.starts_with(token) {
        return Some(token.len());
    }
    if spelling != Spelling::Words {
        return None;
    }
    // What stands for a space in tokens may also stand in the text itself.
    let mut rest = text;
    for byte in token {
        rest = match rest.strip_prefix(&[*byte]) {
            Some(rest) => rest,
            None if *byte == b' ' => rest.strip_prefix("\u{2581}".as_bytes())?,
            None => return None,
        };
    }
    Some(text.len() - rest.len())
}

/// Returns where an added token ends that begins at `at`, with the whitespace it takes along.
fn end_of_added(vocabulary: &Vocabulary, text: &str, id: u32, at: usize) -> Option<usize> {
    let token = vocabulary.added_token(id)?;
    let rest = text.get(at..)?;
    let trimmed =
        if token.takes_left && !rest.starts_with(&token.text) { rest.trim_start_matches(is_space) } else { rest };
    let behind = trimmed.strip_prefix(token.text.as_str())?;
    let behind = if token.takes_right { behind.trim_start_matches(is_space) } else { behind };
    Some(text.len() - behind.len())
}

/// A text in its normal form NFC, and where its parts come from.
struct Composed {
    text: String,
    /// Parts that were changed: their bytes in the normal form, and in the text.
    changed: Vec<(Range<usize>, Range<usize>)>,
}

impl Composed {
    fn new(original: &str) -> Self {
        let mut composed = Self { text: String::with_capacity(original.len()), changed: Vec::new() };
        let mut start = 0;
        let mut characters = original.char_indices().peekable();
        while characters.next().is_some() {
            // A part goes up to the next character that no character before it can change.
            while characters.next_if(|(_, c)| !begins_part(*c)).is_some() {}
            let end = characters.peek().map_or(original.len(), |(at, _)| *at);
            let part = &original[start..end];
            let from = composed.text.len();
            composed.text.extend(part.nfc());
            if composed.text[from..] != *part {
                composed.changed.push((from..composed.text.len(), start..end));
            }
            start = end;
        }
        composed
    }

    /// Returns the bytes of the text that bytes of the normal form come from: all of a part that was changed.
    fn original(&self, bytes: Range<usize>) -> Range<usize> {
        let place = |at: usize, is_end: bool| {
            // The last changed part that begins before.
            let index = self.changed.partition_point(|(new, _)| if is_end { new.start < at } else { new.start <= at });
            match index.checked_sub(1).map(|index| &self.changed[index]) {
                None => at,
                Some((new, old)) if at >= new.end => old.end + (at - new.end),
                Some((_, old)) => {
                    if is_end {
                        old.end
                    } else {
                        old.start
                    }
                }
            }
        };
        place(bytes.start, false)..place(bytes.end, true)
    }
}

/// Whether a character begins a part that is composed by itself: what it is made of combines with nothing before it.
fn begins_part(c: char) -> bool {
    let first = std::iter::once(c).nfd().next().unwrap_or(c);
    canonical_combining_class(first) == 0 && is_nfc_quick(std::iter::once(first)) == IsNormalized::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_compose_to_the_whole() {
        for text in [
            "",
            "abc",
            "e\u{301}a",
            "\u{1100}\u{1161}\u{11a8}x",
            "\u{344}",
            "a\u{5b0}\u{5b1}\u{301}b",
            "\u{301}e",
            "\u{212b}",
        ] {
            assert_eq!(Composed::new(text).text, text.nfc().collect::<String>(), "{text:?}");
        }
    }

    #[test]
    fn places_are_those_of_the_text_before() {
        // "xéy" composed; é is two bytes there and three before.
        let composed = Composed::new("xe\u{301}y");
        assert_eq!(composed.text, "xéy");
        assert_eq!(
            [0..1, 1..3, 1..2, 2..3, 3..4, 0..4].map(|place| composed.original(place)),
            [0..1, 1..4, 1..4, 1..4, 4..5, 0..5]
        );
    }
}
