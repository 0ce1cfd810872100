//! Samples that are too long for a model, made shorter as the recipe asks.

use datac_model::Tokenizer;

use super::ReadModel;
use datac_core::{
    config::model::Overlong,
    encoded::{EncodedSample, Notes},
    row::Reject,
    sample::{Body, Sample},
};

impl ReadModel {
    /// Renders and encodes a sample. If it has more tokens than it may and the recipe has it shortened, the shorter sample is
    /// returned too; one that cannot be made short enough is encoded as it is, and left out for its length.
    pub(crate) fn fit<'s>(&self, sample: &Sample<'s>) -> Result<(EncodedSample, Notes, Option<Sample<'s>>), Reject> {
        let (encoded, notes) = self.encode(sample)?;
        let Some(max) = self.max_tokens.filter(|max| encoded.tokens() as u64 > *max) else {
            return Ok((encoded, notes, None));
        };
        let shorter = match self.overlong {
            Overlong::Reject => None,
            Overlong::DropTurns => self.with_fewer_turns(sample, max),
            Overlong::TruncateEnd | Overlong::TruncateStart => self.truncated(sample, max),
        };
        Ok(match shorter {
            Some((sample, encoded, notes)) => (encoded, notes.and(Notes::SHORTENED), Some(sample)),
            None => (encoded, notes, None),
        })
    }

    /// Leaves out as few of the oldest turns as it takes.
    fn with_fewer_turns<'s>(&self, sample: &Sample<'s>, max: u64) -> Option<(Sample<'s>, EncodedSample, Notes)> {
        // Without more turns a dialogue is shorter, so the number of turns is found by halving; a template may see that
        // otherwise, so what is found is looked at.
        let (mut too_few, mut enough, mut found) = (0, sample.turns_to_drop() + 1, None);
        while too_few + 1 < enough {
            let turns = usize::midpoint(too_few, enough);
            let shorter = sample.without_oldest(turns);
            match self.short_enough(&shorter, max) {
                Some((encoded, notes)) => (enough, found) = (turns, Some((shorter, encoded, notes))),
                None => too_few = turns,
            }
        }
        found
    }

    /// Cuts a text between characters, so that what is left is as long as it may be.
    fn truncated<'s>(&self, sample: &Sample<'s>, max: u64) -> Option<(Sample<'s>, EncodedSample, Notes)> {
        let Body::Text { text } = &sample.body else { return None };
        let ids = self.tokenizer.encode(text).ok()?;
        let from_start = self.overlong == Overlong::TruncateStart;
        let mut kept = (max as usize).saturating_sub(usize::from(self.end_of_text.is_some())).min(ids.len());
        // A text that is cut may be encoded otherwise where it is cut, into more tokens.
        while kept > 0 {
            let ids = if from_start { &ids[ids.len() - kept..] } else { &ids[..kept] };
            let bytes: usize = ids.iter().map(|id| self.tokenizer.vocabulary().bytes(*id).map_or(0, <[u8]>::len)).sum();
            let part = if from_start { end_of(text, bytes) } else { beginning_of(text, bytes) };
            if part.trim().is_empty() {
                return None;
            }
            let shorter = Sample { body: Body::Text { text: part.to_owned().into() }, ..sample.clone() };
            match self.short_enough(&shorter, max) {
                Some((encoded, notes)) => return Some((shorter, encoded, notes)),
                None => kept -= 1,
            }
        }
        None
    }

    fn short_enough(&self, sample: &Sample<'_>, max: u64) -> Option<(EncodedSample, Notes)> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
