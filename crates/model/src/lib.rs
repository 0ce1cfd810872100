//! What a model sees of a conversation: its chat template's text, byte for byte as transformers renders it.
//!
//! The crate is pure: callers hand in the contents of files, and the time. What it promises is equality with transformers 5.23,
//! jinja2 3.1.6 and tokenizers 0.23; `tests/consumers/templates` measures it on some hundred real templates.

mod conversation;
mod json;
mod python;
mod template;

pub use conversation::{Conversation, ConversationError, Message};
pub use json::{Json, JsonError};
pub use template::{
    ChatTemplate, ChoiceError, DateTime, Ending, RenderError, Rendered, Settings, TemplateError, TemplateFiles,
    Templates,
};
