//! A tokenizer and a template together: conversations to ids with a loss mask.

use std::ops::Range;

use thiserror::Error;

use crate::{Conversation, EncodeError, Ending, MaskError, Masked, Masker, Reason, Rules, Run, Tokenizer};

/// A model's tokenizer and template.
///
/// `T` is a tokenizer, or a shared or boxed one: `Arc<dyn Tokenizer>`.
#[derive(Debug)]
pub struct Model<T> {
    tokenizer: T,
    masker: Masker,
}

/// A conversation as a model is trained on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// The text, with what of it is trained on in bytes.
    pub masked: Masked,
    /// The ids of the text.
    pub ids: Vec<u32>,
    /// For each id the bytes of the text it stands for.
    pub bytes: Vec<Range<usize>>,
    /// Which ids are trained on: in order and apart; of a dialogue at least one. All others are not.
    pub runs: Vec<TokenRun>,
    /// For each message how many ids stand for its content, or a part of it; `None` if it is not certain where contents stand.
    pub contents: Option<Vec<u32>>,
}

/// Consecutive ids that are trained on for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRun {
    /// Where they stand, as places in the ids; never empty.
    pub tokens: Range<usize>,
    /// Why they are trained on.
    pub reason: Reason,
    /// The message they belong to, where one was asked for.
    pub message: Option<usize>,
    /// How much they count; greater than 0.
    pub weight: f64,
}

/// Why a conversation has no ids.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// It has no mask.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl Encoded {
    /// Returns for each id whether it is trained on: 1 or 0, as `assistant_masks` of transformers.
    pub fn mask(&self) -> Vec<u8> {
        let mut mask = vec![0; self.ids.len()];
        for run in &self.runs {
            mask[run.tokens.clone()].fill(1);
        }
        mask
    }

    /// Returns the number of ids that are trained on.
    pub fn trained(&self) -> usize {
        self.runs.iter().map(|run| run.tokens.len()).sum()
    }
}

impl<T> Model<T>
where
    T: std::ops::Deref,
    T::Target: Tokenizer,
{
    /// A model of a tokenizer and a template.
    pub fn new(tokenizer: T, masker: Masker) -> Self {
        Self { tokenizer, masker }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &T::Target {
        &self.tokenizer
    }

    /// The template.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// Renders a conversation, encodes it, and says which ids are trained on.
    ///
    /// An id is trained on if it overlaps a run of bytes, however little (transformers decides so too); where two runs meet
    /// inside of one token, it belongs to the first.
    pub fn encode(&self, conversation: &Conversation, rules: &Rules) -> Result<Encoded, ModelError> {
        let masked = self.masker.mask(conversation, rules)?;
        let encoding = self.tokenizer.encode_placed(&masked.text)?;
        let mut runs: Vec<TokenRun> = Vec::with_capacity(masked.runs.len());
        for Run { bytes, reason, message, weight } in &masked.runs {
            let tokens = encoding.tokens(bytes);
            let taken = runs.last().map_or(0, |run| run.tokens.end);
            let tokens = tokens.start.max(taken)..tokens.end;
            if tokens.is_empty() {
                continue;
            }
            runs.push(TokenRun { tokens, reason: *reason, message: *message, weight: *weight });
        }
        let contents = masked.contents.as_ref().map(|contents| encoding.counts(contents));
        Ok(Encoded { masked, ids: encoding.ids, bytes: encoding.bytes, runs, contents })
    }

    /// Renders a conversation with what begins the next answer, and encodes it. Nothing of it is trained on.
    pub fn encode_prompt(&self, conversation: &Conversation) -> Result<Encoded, ModelError> {
        let ending = Ending::GenerationPrompt;
        let text = self.masker.render(conversation, ending).map_err(MaskError::from)?.text;
        let encoding = self.tokenizer.encode_placed(&text)?;
        let places = self.masker.contents(conversation, &text, ending);
        let contents = places.as_ref().map(|places| encoding.counts(places));
        let masked = Masked { text, contents: places, ..Masked::default() };
        Ok(Encoded { masked, ids: encoding.ids, bytes: encoding.bytes, runs: Vec::new(), contents })
    }
}
