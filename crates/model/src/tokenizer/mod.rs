//! Texts as token ids, and where each token stands in its text.

mod align;
mod file;
mod newer;
mod vocabulary;

use std::ops::Range;

use thiserror::Error;

pub use file::TokenizerFile;
pub use vocabulary::{AddedToken, Vocabulary};

/// Turns texts into token ids. Any implementation gives the ids that `tokenizers` of Python gives with
/// `add_special_tokens=False`: chat templates write the tokens that begin and end a text themselves.
pub trait Tokenizer: Send + Sync {
    /// Appends the ids of a text.
    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), EncodeError>;

    /// What ids stand for.
    fn vocabulary(&self) -> &Vocabulary;

    /// Returns the ids of a text.
    fn encode(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.encode_into(text, &mut ids)?;
        Ok(ids)
    }

    /// Returns the ids of a text, each with the bytes it stands for.
    ///
    /// # Errors
    /// [`EncodeError::Elsewhere`] if the tokens, put together, are not the text: if the tokenizer changes it in a way that
    /// cannot be followed. The text's normal form (NFC) can.
    fn encode_placed(&self, text: &str) -> Result<Encoding, EncodeError> {
        let ids = self.encode(text)?;
        let bytes = align::places(self.vocabulary(), text, &ids)?;
        Ok(Encoding { ids, bytes })
    }

    /// Returns what ids stand for, put together: for people to look at. Ids that are not known are nothing.
    fn decode(&self, ids: &[u32]) -> Vec<u8> {
        ids.iter().filter_map(|id| self.vocabulary().bytes(*id)).flatten().copied().collect()
    }
}

/// A text as ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The ids.
    pub ids: Vec<u32>,
    /// For each id the bytes of the text it stands for, in order. Ranges begin where the one before ends, unless the tokenizer
    /// brings the text into its normal form: then tokens of one composed character share its bytes.
    pub bytes: Vec<Range<usize>>,
}

impl Encoding {
    /// Returns which ids overlap a range of bytes, however little; transformers decides so too.
    pub fn tokens(&self, bytes: &Range<usize>) -> Range<usize> {
        let start = self.bytes.partition_point(|token| token.end <= bytes.start);
        let end = self.bytes.partition_point(|token| token.start < bytes.end);
        start..end.max(start)
    }

    /// Returns how many ids overlap each of these ranges of bytes.
    pub(crate) fn counts(&self, places: &[Option<Range<usize>>]) -> Vec<u32> {
        places.iter().map(|bytes| bytes.as_ref().map_or(0, |bytes| self.tokens(bytes).len() as u32)).collect()
    }
}

/// Why a text has no ids, or they no places.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The tokenizer failed.
    #[error("the tokenizer failed: {0}")]
    Failed(String),
    /// An id has no token.
    #[error("the tokenizer gave the id {0}, which has no token")]
    Unknown(u32),
    /// Python's tokenizers bring the text into another normal form.
    #[error("`{}` at byte {at} is newer than Unicode 9, by which Python's tokenizers bring a text into its normal form NFC", .character.escape_unicode())]
    Newer {
        /// The first such character.
        character: char,
        /// Where it stands.
        at: usize,
    },
    /// The tokens are not the text.
    #[error("the tokens differ from the text at byte {at}: the tokenizer changes it")]
    Elsewhere {
        /// Where the first difference is.
        at: usize,
    },
}

/// Why a `tokenizer.json` cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// It is not a tokenizer.
    #[error("`tokenizer.json` is invalid: {0}")]
    Invalid(#[source] serde_json::Error),
    /// It has a part that is not supported.
    #[error("`tokenizer.json` is not supported: {0}")]
    Unsupported(String),
}

#[cfg(test)]
mod tests;
