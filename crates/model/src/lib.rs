//! What a model sees of a conversation: its chat template's text byte for byte as transformers renders it, token ids, and which of
//! them are trained on.
//!
//! | step | type |
//! |---|---|
//! | the files of a model, to its templates and named tokens | [`Templates`] |
//! | a template's source, compiled once | [`ChatTemplate`] |
//! | a conversation to text | [`ChatTemplate::render`] |
//! | what of the text is trained on, with the reason | [`Masker::mask`] |
//! | `tokenizer.json`, read once | [`TokenizerFile`] |
//! | text to ids, each with its bytes | [`Tokenizer::encode_placed`] |
//! | all of it | [`Model::encode`] |
//! | what a template drops in silence | [`Masker::sinks`] |
//!
//! The crate is pure: callers hand in the contents of files, and the time. What it promises is equality with transformers 5.23,
//! jinja2 3.1.6 and tokenizers 0.23; `tests/consumers/templates` measures it on some hundred real templates. All types are
//! `Send + Sync`; rendering and encoding take `&self`.

mod conversation;
mod json;
mod mask;
mod model;
mod python;
mod sinks;
mod template;
mod tokenizer;

pub use conversation::{Conversation, ConversationError, Message};
pub use json::{Json, JsonError};
pub use mask::{Contents, EndOfTurn, MaskError, Masked, Masker, Reason, Rules, Run, TrainOn};
pub use model::{Encoded, Model, ModelError, TokenRun};
pub use sinks::{Rewritten, Shown, Sinks};
pub use template::{
    ChatTemplate, ChoiceError, DateTime, Ending, RenderError, Rendered, Settings, TemplateError, TemplateFiles,
    Templates,
};
pub use tokenizer::{AddedToken, EncodeError, Encoding, Tokenizer, TokenizerError, TokenizerFile, Vocabulary};
