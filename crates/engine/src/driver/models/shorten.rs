//! Samples that are too long for a model, made shorter or split as the recipe asks.

use datac_model::Tokenizer;

use super::{Fitted, ReadModel, encode::Found};
use datac_core::{
    config::model::Overlong,
    encoded::{EncodedSample, Notes},
    row::Reject,
    sample::{Body, Sample},
};

impl ReadModel {
    /// Renders and encodes a sample. If it has more tokens than it may and the recipe has it shortened, the shorter sample is
    /// returned too, or its parts in order; one that cannot be made short enough is encoded as it is, and left out for its length.
    pub(crate) fn fit<'s>(&self, sample: &Sample<'s>) -> Result<Vec<Fitted<'s>>, Reject> {
        let (encoded, Found { notes, roles, lacks_reasoning, .. }) = self.encode(sample)?;
        let whole = |encoded| vec![Fitted { encoded, notes, roles, sample: None, lacks_reasoning }];
        let Some(max) = self.max_tokens.filter(|max| encoded.tokens() as u64 > *max) else {
            return Ok(whole(encoded));
        };
        let shorter = match self.overlong {
            Overlong::Reject => None,
            Overlong::DropTurns => self.with_fewer_turns(sample, max),
            Overlong::TruncateEnd | Overlong::TruncateStart => self.truncated(sample, &encoded, max),
            Overlong::Split => return Ok(self.split(sample, &encoded, max).unwrap_or_else(|| whole(encoded))),
        };
        Ok(match shorter {
            Some((sample, encoded, Found { notes, roles, lacks_reasoning, .. })) => {
                vec![Fitted {
                    encoded,
                    notes: notes.and(Notes::SHORTENED),
                    roles,
                    sample: Some(sample),
                    lacks_reasoning,
                }]
            }
            None => whole(encoded),
        })
    }

    /// Leaves out as few of the oldest turns as it takes.
    fn with_fewer_turns<'s>(&self, sample: &Sample<'s>, max: u64) -> Option<(Sample<'s>, EncodedSample, Found)> {
        // Without more turns a dialogue is shorter, so the number of turns is found by halving; a template may see that
        // otherwise, so what is found is looked at.
        let (mut too_few, mut enough, mut found) = (0, sample.turns_to_drop() + 1, None);
        while too_few + 1 < enough {
            let turns = usize::midpoint(too_few, enough);
            let shorter = sample.without_oldest(turns);
            match self.short_enough(&shorter, max) {
                Some((encoded, of_it)) => (enough, found) = (turns, Some((shorter, encoded, of_it))),
                None => too_few = turns,
            }
        }
        found
    }

    /// Cuts a text between characters, so that what is left is as long as it may be; `whole` is the text as ids.
    fn truncated<'s>(
        &self,
        sample: &Sample<'s>,
        whole: &EncodedSample,
        max: u64,
    ) -> Option<(Sample<'s>, EncodedSample, Found)> {
        let Body::Text { text } = &sample.body else { return None };
        let ids = self.without_end(whole);
        let from_start = self.overlong == Overlong::TruncateStart;
        let mut kept = (max as usize).saturating_sub(usize::from(self.end_of_text.is_some())).min(ids.len());
        // A text that is cut may be encoded otherwise where it is cut, into more tokens.
        while kept > 0 {
            let ids = if from_start { &ids[ids.len() - kept..] } else { &ids[..kept] };
            let bytes: usize = ids.iter().map(|id| self.length(*id)).sum();
            let part = if from_start { end_of(text, bytes) } else { beginning_of(text, bytes) };
            if part.trim().is_empty() {
                return None;
            }
            let shorter = Sample { body: Body::Text { text: part.to_owned().into() }, ..sample.clone() };
            match self.short_enough(&shorter, max) {
                Some((encoded, of_it)) => return Some((shorter, encoded, of_it)),
                None => kept -= 1,
            }
        }
        None
    }

    /// Cuts a text into parts of at most `max` tokens, none of its bytes left out; `None` if it cannot be cut so finely. `whole` is
    /// the text as ids.
    fn split<'s>(&self, sample: &Sample<'s>, whole: &EncodedSample, max: u64) -> Option<Vec<Fitted<'s>>> {
        let Body::Text { text } = &sample.body else { return None };
        let ids = self.without_end(whole);
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let ends = self.ends(ids, text.len());
        let (mut parts, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let rest = &text[start..];
            let first = ends.partition_point(|end| *end <= start);
            let end = |tokens: usize| ends[first + tokens - 1] - start;
            let mut room = max;
            let part = loop {
                let cut = match first + room < ends.len() {
                    // As much as there is room for, but for the last quarter if there is a better place to cut in it.
                    true => place_to_cut(rest, end((room - room / 4).max(1)), end(room)),
                    false => rest.len(),
                };
                let part = self.part(sample, &rest[..cut], cut == rest.len())?;
                let tokens = part.encoded.tokens();
                if tokens <= max {
                    start += cut;
                    break part;
                }
                // A part may be encoded otherwise than in the whole text, into more tokens.
                room = room.checked_sub((tokens - max).min(room / 2).max(1)).filter(|room| *room > 0)?;
            };
            parts.push(part);
        }
        Some(parts)
    }

    /// Returns where in a text of `length` bytes its tokens end: nearly, if the tokenizer changes the text.
    fn ends(&self, ids: &[u32], length: usize) -> Vec<usize> {
        let mut end = 0;
        let mut ends: Vec<usize> = Vec::with_capacity(ids.len());
        for id in ids {
            end += self.length(*id);
            ends.push(end);
        }
        if end == length + 1 {
            // Some put a space before a text.
            ends.iter_mut().for_each(|end| *end = end.saturating_sub(1));
        } else if end != length {
            let scaled = |at: usize| (at as u128 * length as u128 / end.max(1) as u128) as usize;
            ends.iter_mut().for_each(|end| *end = scaled(*end));
        }
        if let Some(last) = ends.last_mut() {
            *last = length;
        }
        ends
    }

    /// Encodes a part of a text. Only the last one has the token that ends texts: a model must not learn to stop where a text goes
    /// on.
    fn part<'s>(&self, sample: &Sample<'s>, text: &str, is_last: bool) -> Option<Fitted<'s>> {
        let sample = Sample { body: Body::Text { text: text.to_owned().into() }, ..sample.clone() };
        let (mut encoded, Found { notes, roles, lacks_reasoning, .. }) = self.encode(&sample).ok()?;
        if !is_last && self.end_of_text.is_some() {
            for sequence in &mut encoded.sequences {
                sequence.ids.pop();
                sequence.runs.iter_mut().for_each(|run| run.length -= 1);
            }
        }
        Some(Fitted { encoded, notes: notes.and(Notes::PART), roles, sample: Some(sample), lacks_reasoning })
    }

    /// Returns the ids of a text without the one that ends it.
    fn without_end<'e>(&self, encoded: &'e EncodedSample) -> &'e [u32] {
        let ids = encoded.sequences.first().map_or(&[][..], |sequence| &sequence.ids);
        &ids[..ids.len() - usize::from(self.end_of_text.is_some()).min(ids.len())]
    }

    /// Returns how many bytes an id stands for.
    fn length(&self, id: u32) -> usize {
        self.tokenizer.vocabulary().bytes(id).map_or(0, <[u8]>::len)
    }

    fn short_enough(&self, sample: &Sample<'_>, max: u64) -> Option<(EncodedSample, Found)> {
        self.encode(sample).ok().filter(|(encoded, _)| encoded.tokens() as u64 <= max)
    }
}

/// Returns the beginning of a text, of at most so many bytes.
fn beginning_of(text: &str, bytes: usize) -> &str {
    &text[..(0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)]
}

/// Returns the end of a text, of at most so many bytes.
fn end_of(text: &str, bytes: usize) -> &str {
    let at = text.len().saturating_sub(bytes);
    &text[(at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())..]
}

/// Returns where to cut a text, of at least one character: behind `least` bytes and at most `most`, behind a paragraph, else behind
/// a line, else before a word, each as far back as can be; else at the last character.
fn place_to_cut(text: &str, least: usize, most: usize) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let most = beginning_of(text, most).len().max(first);
    let places = (least.clamp(first, most)..=most).rev().filter(|at| text.is_char_boundary(*at));
    // Of equal ones the first that is found is the last in the text.
    let mut best = (Cut::Character, most);
    for at in places {
        let cut = Cut::at(text, at);
        if cut > best.0 {
            best = (cut, at);
        }
        if cut == Cut::Paragraph {
            break;
        }
    }
    best.1
}

/// What a place in a text is good for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    Character,
    Word,
    Line,
    Paragraph,
}

impl Cut {
    fn at(text: &str, at: usize) -> Self {
        let (before, behind) = text.split_at(at);
        let mut next = behind.chars();
        match before.strip_suffix('\n') {
            // All lines that are empty stand before the cut.
            Some(line) if !behind.starts_with(['\n', '\r']) => {
                let is_empty = line.trim_end_matches([' ', '\t', '\r']).ends_with('\n');
                if is_empty { Self::Paragraph } else { Self::Line }
            }
            Some(_) => Self::Line,
            // A space stands before its word, as in tokens.
            None => match (next.next(), next.next()) {
                (Some(space), Some(c)) if space.is_whitespace() && !c.is_whitespace() && space != '\n' => Self::Word,
                _ => Self::Character,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_the_best_place_is() {
        let cut = |text: &str, least: usize, most: usize| {
            let at = place_to_cut(text, least, most);
            (text[..at].to_owned(), text[at..].to_owned())
        };
        let halves = |before: &str, behind: &str| (before.to_owned(), behind.to_owned());
        let text = "One.\n\nTwo words.\nThree more words";
        assert_eq!(cut(text, 1, 30), halves("One.\n\n", "Two words.\nThree more words"));
        assert_eq!(cut(text, 8, 30), halves("One.\n\nTwo words.\n", "Three more words"));
        assert_eq!(cut(text, 19, 32), halves("One.\n\nTwo words.\nThree more", " words"));
        assert_eq!(cut(text, 19, 21), halves("One.\n\nTwo words.\nThre", "e more words"));
        assert_eq!(cut("a\r\n \r\nb c", 1, 8), halves("a\r\n \r\n", "b c"));
        assert_eq!(cut("a\n\n\nb", 1, 4), halves("a\n\n\n", "b"));
        assert_eq!(cut("a   b", 1, 5), halves("a  ", " b"));
        // Between characters, and never nowhere.
        assert_eq!(cut("é€", 1, 1), halves("é", "€"));
        assert_eq!(cut("é€", 1, 4), halves("é", "€"));
        assert_eq!(cut("€", 0, 9), halves("€", ""));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = "xé€";
        assert_eq!(
            (0..=7).map(|bytes| beginning_of(text, bytes)).collect::<Vec<_>>(),
            ["", "x", "x", "xé", "xé", "xé", text, text]
        );
        assert_eq!(
            (0..=7).map(|bytes| end_of(text, bytes)).collect::<Vec<_>>(),
            ["", "", "", "€", "€", "é€", text, text]
        );
    }
}
