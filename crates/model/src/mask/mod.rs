//! Loss masks: which bytes of a rendered conversation are trained on, and why.
//!
//! A template that marks what the model generates (`{% generation %}`) decides itself. For the others each message is swapped
//! for placeholders inside of the whole conversation: where the text changes, the message stands. Differences between
//! renderings of prefixes are not used: with a fifth of real templates `render(messages[:i])` is no prefix of
//! `render(messages)`. Where neither way is certain, the conversation is refused with the reason.

mod place;
mod turn;

use std::ops::Range;

use thiserror::Error;

use crate::{ChatTemplate, Conversation, Ending, Json, Message, RenderError, Rendered};
use place::{Field, Places};
pub use turn::EndOfTurn;

/// Which messages are trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrainOn {
    /// All messages of the assistant.
    #[default]
    Assistant,
    /// The last message of the assistant.
    Last,
    /// The messages of the assistant behind the last one of the user: the answer, with the calls of tools before it.
    Completion,
    /// The whole text, but for messages that say otherwise.
    All,
}

/// What of a conversation is trained on.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Which messages. Each message may say otherwise: `train` (or `training`, a boolean), or `weight` (a number; 0 is not trained).
    pub train_on: TrainOn,
    /// Whether reasoning is trained on, where the template writes it. Not asked if the template marks what is generated.
    pub reasoning: bool,
    /// Whether the token that ends a turn is trained on. Not asked if the template marks what is generated.
    pub end_of_turn: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { train_on: TrainOn::Assistant, reasoning: true, end_of_turn: true }
    }
}

/// Why a part of the text is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The template marks it as generated.
    Marked,
    /// The content of a message.
    Content,
    /// The reasoning of a message, with what the template writes around it.
    Reasoning,
    /// Calls of tools, with what the template writes around them.
    ToolCall,
    /// The token that ends the turn, with what stands before it.
    EndOfTurn,
    /// All text is trained on.
    All,
}

impl Reason {
    /// All reasons, in their order.
    pub const ALL: [Self; 6] =
        [Self::Marked, Self::Content, Self::Reasoning, Self::ToolCall, Self::EndOfTurn, Self::All];

    /// The reason's name in tables and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Content => "content",
            Self::Reasoning => "reasoning",
            Self::ToolCall => "tool_call",
            Self::EndOfTurn => "end_of_turn",
            Self::All => "all",
        }
    }
}

/// A part of the text that is trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Where it stands, in bytes; never empty.
    pub bytes: Range<usize>,
    /// Why it is trained on.
    pub reason: Reason,
    /// The message it belongs to, where one was asked for.
    pub message: Option<usize>,
    /// How much it counts: the `weight` of the message, else 1. Greater than 0.
    pub weight: f64,
}

/// A rendered conversation with what of it is trained on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Masked {
    /// The text.
    pub text: String,
    /// What is trained on: in order, apart, at least one.
    pub runs: Vec<Run>,
    /// The messages that are trained on without a token that ends them, since the template writes none there. Not known, and
    /// empty, if the template marks what is generated.
    pub unended: Vec<usize>,
    /// Where the content of each message stands, see [`Masker::contents`].
    pub contents: Option<Contents>,
}

/// For each message where its content stands in the text, in bytes; `None` for one that is blank.
pub type Contents = Vec<Option<Range<usize>>>;

/// Why a conversation has no mask.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The template refuses the conversation.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// No message is to be trained on.
    #[error("no message is trained on")]
    NoMessage,
    /// The template writes nothing of the messages that are trained on.
    #[error("nothing of the text is trained on")]
    Nothing,
    /// The weight of a message is no number from 0 on.
    #[error("message {message} has a weight that is not a number from 0 on")]
    Weight {
        /// The place of the message, from 0.
        message: usize,
    },
    /// The template does not write a part of a message.
    #[error("the chat template drops the {part} of message {message}")]
    Dropped {
        /// The place of the message, from 0.
        message: usize,
        /// The part: `content`, `tool calls`, `names of the tool calls`.
        part: &'static str,
    },
    /// It is not certain where a part of a message stands in the text.
    #[error("it is not certain where the chat template writes the {part} of message {message}")]
    Uncertain {
        /// The place of the message, from 0.
        message: usize,
        /// The part: `content`, `reasoning`, `tool calls`, `marked text`.
        part: &'static str,
    },
}

/// A template with all that masks need to know of its model.
///
/// ```
/// use datac_model::{ChatTemplate, Conversation, Masker, Message, Reason, Rules, Settings};
///
/// let source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}";
/// let template = ChatTemplate::compile(source, Settings::at(jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0)))?;
/// let masker = Masker::new(template, Vec::new(), ["<|end|>", "<|user|>", "<|assistant|>"].map(str::to_owned).into());
/// let conversation = Conversation::new(vec![Message::new("user", "2+2?"), Message::new("assistant", "4")]);
/// let masked = masker.mask(&conversation, &Rules::default())?;
/// let runs: Vec<_> = masked.runs.iter().map(|run| (&masked.text[run.bytes.clone()], run.reason)).collect();
/// assert_eq!(runs, [("4", Reason::Content), ("<|end|>", Reason::EndOfTurn)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Masker {
    template: ChatTemplate,
    variables: Vec<(String, Json)>,
    special_tokens: Vec<String>,
    end: Option<EndOfTurn>,
}

/// What is asked of one message.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    message: usize,
    weight: f64,
}

impl Masker {
    /// Prepares a template. `variables` are given to each rendering; `special_tokens` are the texts of the tokenizer's control
    /// tokens, among which is the one that ends a turn.
    ///
    /// Renders the template once, to see how it ends an answer.
    pub fn new(template: ChatTemplate, variables: Vec<(String, Json)>, special_tokens: Vec<String>) -> Self {
        let mut masker = Self { template, variables, special_tokens, end: None };
        masker.end = EndOfTurn::find(&masker);
        masker
    }

    /// The template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// Returns how the template ends an answer that nothing follows; `None` if it writes no control token there.
    pub fn end_of_turn(&self) -> Option<&EndOfTurn> {
        self.end.as_ref()
    }

    /// Renders a conversation with the variables of the model.
    pub fn render(&self, conversation: &Conversation, ending: Ending<'_>) -> Result<Rendered, RenderError> {
        self.template.render(conversation, &self.variables, ending)
    }

    /// Returns where the contents of messages stand in the text that the conversation was rendered to; `None` if that is not
    /// certain, or a content is a list of parts.
    pub fn contents(&self, conversation: &Conversation, text: &str, ending: Ending<'_>) -> Option<Contents> {
        Places::new(self, conversation, text).take_apart(ending).filter(|_| are_texts(conversation))
    }

    /// Returns the first message with pictures, videos or sounds of which nothing stands in the text that the conversation was
    /// rendered to.
    pub fn unwritten_media(&self, conversation: &Conversation, text: &str, ending: Ending<'_>) -> Option<usize> {
        let is_unwritten = |index: &usize| {
            let without = conversation.messages[*index].without_media();
            let without = without.map(|message| conversation.with_message(*index, message));
            without.is_some_and(|without| self.render(&without, ending).is_ok_and(|rendered| rendered.text == text))
        };
        (0..conversation.messages.len()).find(is_unwritten)
    }

    /// Renders a conversation and finds what of it is trained on.
    pub fn mask(&self, conversation: &Conversation, rules: &Rules) -> Result<Masked, MaskError> {
        let (wanted, says_otherwise) = wanted(conversation, rules.train_on)?;
        if wanted.is_empty() {
            return Err(MaskError::NoMessage);
        }
        let rendered = self.render(conversation, Ending::Closed)?;
        let mut masked = if rules.train_on == TrainOn::All {
            self.mask_all(conversation, rendered, &wanted, says_otherwise)?
        } else if !self.looks_at_places(rules) {
            let is_all = rules.train_on == TrainOn::Assistant && !says_otherwise;
            self.mask_marked(conversation, rendered, &wanted, is_all)?
        } else {
            self.mask_places(conversation, rendered, &wanted, rules)?
        };
        if masked.runs.is_empty() {
            return Err(MaskError::Nothing);
        }
        if masked.contents.is_none() && !self.looks_at_places(rules) {
            masked.contents = self.contents(conversation, &masked.text, Ending::Closed);
        }
        Ok(masked)
    }

    /// Whether masks are made of places, by which those of the contents are known.
    fn looks_at_places(&self, rules: &Rules) -> bool {
        rules.train_on != TrainOn::All && !self.template.marks_generation()
    }

    /// The whole text, without the messages that are not wanted.
    fn mask_all(
        &self,
        conversation: &Conversation,
        rendered: Rendered,
        wanted: &[Wanted],
        says_otherwise: bool,
    ) -> Result<Masked, MaskError> {
        let text = rendered.text;
        let mut runs = Vec::new();
        let mut start = 0;
        if says_otherwise {
            let places = Places::new(self, conversation, &text);
            let mut apart = Vec::new();
            for message in 0..conversation.messages.len() {
                let wanted = wanted.iter().find(|wanted| wanted.message == message);
                let weight = wanted.map_or(0.0, |wanted| wanted.weight);
                if weight != 1.0 {
                    let turn = self.turn(conversation, &places, message)?;
                    apart.extend(turn.parts.into_iter().map(|(bytes, _)| (bytes, message, weight)));
                }
            }
            apart.sort_by_key(|(bytes, ..)| bytes.start);
            for (bytes, message, weight) in apart {
                push(&mut runs, start..bytes.start, Reason::All, None, 1.0);
                start = start.max(bytes.end);
                push(&mut runs, bytes, Reason::All, Some(message), weight);
            }
        }
        push(&mut runs, start..text.len(), Reason::All, None, 1.0);
        Ok(Masked { text, runs, ..Masked::default() })
    }

    /// What stands in generation blocks.
    fn mask_marked(
        &self,
        conversation: &Conversation,
        rendered: Rendered,
        wanted: &[Wanted],
        is_all: bool,
    ) -> Result<Masked, MaskError> {
        let Rendered { text, generated } = rendered;
        let mut runs = Vec::new();
        if is_all {
            for bytes in generated {
                push(&mut runs, bytes, Reason::Marked, None, 1.0);
            }
            return Ok(Masked { text, runs, ..Masked::default() });
        }
        // Which message a block belongs to is where its content stands; a block without any is nobody's.
        let places = Places::new(self, conversation, &text);
        for wanted in wanted {
            let message = wanted.message;
            let turn = self.turn(conversation, &places, message)?;
            let mut found = false;
            for bytes in &generated {
                if turn.parts.iter().any(|(part, _)| part.start < bytes.end && bytes.start < part.end) {
                    found = true;
                    push(&mut runs, bytes.clone(), Reason::Marked, Some(message), wanted.weight);
                }
            }
            if found {
                continue;
            }
            if !turn.parts.is_empty() {
                // A message that asks to be trained on, and has no block.
                return Err(MaskError::Uncertain { message, part: "marked text" });
            }
            // An empty answer has what ends it in its block, which stands between the contents before and behind.
            let (from, to) = self.room(conversation, &places, message)?;
            let mut blocks = generated.iter().filter(|block| from <= block.start && block.end <= to);
            if let Some(bytes) = blocks.next() {
                if blocks.next().is_some() {
                    return Err(MaskError::Uncertain { message, part: "marked text" });
                }
                push(&mut runs, bytes.clone(), Reason::Marked, Some(message), wanted.weight);
            }
        }
        runs.sort_by_key(|run| run.bytes.start);
        // One block for several messages cannot be both trained on and not.
        if let Some(pair) = runs.windows(2).find(|pair| pair[1].bytes.start < pair[0].bytes.end) {
            let message = pair[1].message.unwrap_or_default();
            return Err(MaskError::Uncertain { message, part: "marked text" });
        }
        for (message, other) in conversation.messages.iter().enumerate() {
            let is_wanted = wanted.iter().any(|wanted| wanted.message == message);
            if is_wanted || other.role() != "assistant" {
                continue;
            }
            let parts = self.turn(conversation, &places, message)?.parts;
            let overlaps =
                |run: &Run| parts.iter().any(|(part, _)| part.start < run.bytes.end && run.bytes.start < part.end);
            if runs.iter().any(overlaps) {
                return Err(MaskError::Uncertain { message, part: "marked text" });
            }
        }
        Ok(Masked { text, runs, ..Masked::default() })
    }

    /// What placeholders find.
    fn mask_places(
        &self,
        conversation: &Conversation,
        rendered: Rendered,
        wanted: &[Wanted],
        rules: &Rules,
    ) -> Result<Masked, MaskError> {
        let text = rendered.text;
        let places = Places::new(self, conversation, &text);
        let mut runs = Vec::new();
        let mut unended = Vec::new();
        for wanted in wanted {
            let message = wanted.message;
            let turn = self.turn(conversation, &places, message)?;
            // An answer that says nothing is ended, too: the model learns to stop where nothing is to be said.
            let end = turn.parts.iter().map(|(bytes, _)| bytes.end).max().or_else(|| places.vacant(message));
            let Some(end) = end else { continue };
            for (bytes, reason) in turn.parts {
                if reason != Reason::Reasoning || rules.reasoning {
                    push(&mut runs, bytes, reason, Some(message), wanted.weight);
                }
            }
            match self.end_after(conversation, &places, message, end) {
                Some(token) if rules.end_of_turn => {
                    push(&mut runs, end..token, Reason::EndOfTurn, Some(message), wanted.weight);
                }
                Some(_) => {}
                None => unended.push(message),
            }
        }
        runs.sort_by_key(|run| run.bytes.start);
        if let Some(pair) = runs.windows(2).find(|pair| pair[1].bytes.start < pair[0].bytes.end) {
            let message = pair[1].message.unwrap_or_default();
            return Err(MaskError::Uncertain { message, part: "content" });
        }
        let contents = places.contents().filter(|_| are_texts(conversation));
        Ok(Masked { text, runs, unended, contents })
    }
}

/// Whether no content is a list of parts.
fn are_texts(conversation: &Conversation) -> bool {
    conversation.messages.iter().all(|message| message.get("content").is_none_or(|content| content.items().is_none()))
}

/// Adds a run that is not empty and counts.
fn push(runs: &mut Vec<Run>, bytes: Range<usize>, reason: Reason, message: Option<usize>, weight: f64) {
    if bytes.start < bytes.end && weight > 0.0 {
        runs.push(Run { bytes, reason, message, weight });
    }
}

/// Returns the messages that are trained on, and whether any message says otherwise than `train_on`.
fn wanted(conversation: &Conversation, train_on: TrainOn) -> Result<(Vec<Wanted>, bool), MaskError> {
    let messages = &conversation.messages;
    let is_assistant = |message: &Message| message.role() == "assistant";
    let last = messages.iter().rposition(is_assistant);
    let behind_user = messages.iter().rposition(|message| message.role() == "user").map_or(0, |user| user + 1);
    let mut wanted = Vec::new();
    let mut says_otherwise = false;
    for (index, message) in messages.iter().enumerate() {
        let by_rule = match train_on {
            TrainOn::All => true,
            TrainOn::Assistant => is_assistant(message),
            TrainOn::Last => Some(index) == last,
            TrainOn::Completion => is_assistant(message) && index >= behind_user,
        };
        let flag = ["train", "training"].into_iter().find_map(|name| message.get(name)?.as_bool());
        let weight = match message.get("weight") {
            None => None,
            Some(weight) => {
                let weight = weight.as_f64().filter(|weight| weight.is_finite() && *weight >= 0.0);
                Some(weight.ok_or(MaskError::Weight { message: index })?)
            }
        };
        // A weight scales what is trained on, and takes out with 0; a flag alone brings in what the rule leaves out.
        let is_wanted = flag.unwrap_or(by_rule) && weight != Some(0.0);
        says_otherwise |= is_wanted != by_rule || (is_wanted && weight.is_some_and(|weight| weight != 1.0));
        if is_wanted {
            wanted.push(Wanted { message: index, weight: weight.unwrap_or(1.0) });
        }
    }
    Ok((wanted, says_otherwise))
}

#[cfg(test)]
mod tests;
