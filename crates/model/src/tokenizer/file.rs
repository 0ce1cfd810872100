//! `tokenizer.json`, read by the crate `tokenizers`.

use std::{fmt, panic, thread};

use tokenizers::pipeline::{EncodeOptions, Override, PipelineToken, PipelineTokenizer};

use super::{EncodeError, Tokenizer, TokenizerError, Vocabulary, newer, vocabulary::NormalForm};

/// The tokenizer of a `tokenizer.json`.
///
/// Padding and truncation that the file asks for are left aside: texts are encoded whole.
pub struct TokenizerFile {
    pipeline: PipelineTokenizer,
    vocabulary: Vocabulary,
    options: EncodeOptions,
}

impl TokenizerFile {
    /// Reads the text of a `tokenizer.json`, of any version; takes a second for a vocabulary of 150,000 tokens.
    ///
    /// # Errors
    /// If it is not valid, or names a component that is not compiled in: models other than BPE.
    pub fn read(json: &str) -> Result<Self, TokenizerError> {
        let (vocabulary, pipeline) = thread::scope(|scope| {
            // Nothing else of a build can go on meanwhile, so both are read at once.
            let vocabulary = scope.spawn(|| Vocabulary::read(json));
            let pipeline = pipeline(json);
            (vocabulary.join().unwrap_or_else(|panic| panic::resume_unwind(panic)), pipeline)
        });
        let (vocabulary, pipeline) = (vocabulary?, pipeline?);
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: false,
            padding: Override::Off,
            truncation: Override::Off,
        };
        Ok(Self { pipeline, vocabulary, options })
    }
}

fn pipeline(json: &str) -> Result<PipelineTokenizer, TokenizerError> {
    let unsupported = |error: &dyn fmt::Display| TokenizerError::Unsupported(error.to_string());
    let canonical = tokenizers::canonicalize_str(json).map_err(|error| unsupported(&error))?;
    tokenizers::from_json(&canonical).map_err(|error| unsupported(&error))
}

impl Tokenizer for TokenizerFile {
    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        if self.vocabulary.normal_form == NormalForm::Nfc
            && let Some((at, character)) = newer::first_in(text)
        {
            return Err(EncodeError::Newer { character, at });
        }
        let mut tokens: Vec<PipelineToken> = Vec::with_capacity(text.len() / 3);
        let failed = |error: &dyn fmt::Display| EncodeError::Failed(error.to_string());
        self.pipeline.encode_into(text, &self.options, &mut tokens).map_err(|error| failed(&error))?;
        ids.extend_from_slice(PipelineToken::cast_slice(&tokens));
        Ok(())
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}

impl fmt::Debug for TokenizerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenizerFile").field("tokens", &self.vocabulary.size()).finish_non_exhaustive()
    }
}
