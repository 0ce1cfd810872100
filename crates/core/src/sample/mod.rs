//! The neutral sample: what a converter makes of a row, with nothing lost, whatever trainer will read it.
//!
//! A [`Sample`] is stored once, in the canonical bytes of `codec.rs`; shapes (`crate::shape`) write rows from it. Its
//! identity (`identity.rs`) decides order and split, so that every shape of a recipe has the same rows in the same places.

mod codec;
mod fold;
mod identity;
mod index;
mod makeup;
mod shorten;
mod slot;
mod text;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use codec::{BadSample, append, at, begin, read};
pub use fold::fold;
pub use identity::{folded_row_hash, write_identity};
pub use index::{IndexError, SampleIndex};
pub use makeup::{Features, Makeup, Makeups, Types};
pub use slot::Slot;
use text::parts_text;
pub use text::{Json, Quoted};

/// Raised when the same samples are stored otherwise. Blobs of samples and their indexes begin with it; those of another
/// version are made again.
pub const SAMPLES_VERSION: u8 = 5;

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions before the dialogue.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// Instructions of the application, where a format tells them from the system's.
    Developer,
    /// The result of a tool call.
    Tool,
}

impl Role {
    /// All roles; a role's place here is its number in canonical bytes and in prompt hashes.
    pub const ALL: [Self; 5] = [Self::System, Self::User, Self::Assistant, Self::Developer, Self::Tool];

    /// The role's name in chat formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Developer => "developer",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a conversation. `T` is a string: unescaped as converters make it, or [`Quoted`] as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a, T = Cow<'a, str>> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content<'a, T>,
    /// Everything else that the message has; `None` for most.
    pub extras: Option<Box<MessageExtras<'a, T>>>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a, T = Cow<'a, str>> {
    /// A string.
    Text(T),
    /// A list of parts (text, images, …), exactly.
    Parts(Json<'a>),
    /// `null`, as many formats have it beside tool calls.
    Null,
    /// The message has no content.
    Absent,
}

/// What a message has besides its role and its content.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageExtras<'a, T = Cow<'a, str>> {
    /// The model's reasoning before its answer.
    pub reasoning: Option<T>,
    /// The tools that the model calls.
    pub tool_calls: Option<Vec<ToolCall<'a, T>>>,
    /// The call that a tool's message answers.
    pub tool_call_id: Option<T>,
    /// The name of the speaker or the tool.
    pub name: Option<T>,
    /// How much the message counts in training: a number.
    pub weight: Option<Json<'a>>,
    /// Whether the message is trained on.
    pub train: Option<bool>,
    /// All other keys, in order.
    pub other: Vec<(T, Json<'a>)>,
}

impl<T> Default for MessageExtras<'_, T> {
    fn default() -> Self {
        Self {
            reasoning: None,
            tool_calls: None,
            tool_call_id: None,
            name: None,
            weight: None,
            train: None,
            other: Vec::new(),
        }
    }
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall<'a, T = Cow<'a, str>> {
    /// The call's id, which the tool's message repeats.
    pub id: Option<T>,
    /// The call's `type`: `function`.
    pub kind: Option<T>,
    /// The tool's name.
    pub name: T,
    /// The arguments, exactly: most formats write a string that holds JSON, some the object itself.
    pub arguments: Option<Arguments<'a, T>>,
    /// All other keys, in order.
    pub other: Vec<(T, Json<'a>)>,
}

/// The arguments of a tool call as they are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments<'a, T = Cow<'a, str>> {
    /// A string.
    Text(T),
    /// Any other JSON value.
    Json(Json<'a>),
}

impl<'a> Message<'a> {
    /// A message of `role` saying `content`.
    pub fn new(role: Role, content: impl Into<Cow<'a, str>>) -> Self {
        Self { role, content: Content::Text(content.into()), extras: None }
    }

    /// The message with text of its own.
    pub fn into_owned(self) -> Message<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let content = match self.content {
            Content::Text(text) => Content::Text(own(text)),
            Content::Parts(json) => Content::Parts(json.into_owned()),
            Content::Null => Content::Null,
            Content::Absent => Content::Absent,
        };
        let keys = |keys: Vec<(Cow<'_, str>, Json<'_>)>| {
            keys.into_iter().map(|(key, value)| (own(key), value.into_owned())).collect()
        };
        let call = |call: ToolCall<'_>| ToolCall {
            id: call.id.map(own),
            kind: call.kind.map(own),
            name: own(call.name),
            arguments: call.arguments.map(|arguments| match arguments {
                Arguments::Text(text) => Arguments::Text(own(text)),
                Arguments::Json(json) => Arguments::Json(json.into_owned()),
            }),
            other: keys(call.other),
        };
        let extras = self.extras.map(|extras| {
            Box::new(MessageExtras {
                reasoning: extras.reasoning.map(own),
                tool_calls: extras.tool_calls.map(|calls| calls.into_iter().map(call).collect()),
                tool_call_id: extras.tool_call_id.map(own),
                name: extras.name.map(own),
                weight: extras.weight.map(Json::into_owned),
                train: extras.train,
                other: keys(extras.other),
            })
        });
        Message { role: self.role, content, extras }
    }

    /// The text of the content; empty where the content is no text.
    pub fn text(&self) -> &str {
        if let Content::Text(text) = &self.content { text } else { "" }
    }

    /// The text of the content, of parts that of those which are text.
    fn all_text(&self) -> Cow<'_, str> {
        match &self.content {
            Content::Text(text) => Cow::Borrowed(text),
            Content::Parts(parts) => Cow::Owned(parts_text(parts)),
            Content::Null | Content::Absent => Cow::Borrowed(""),
        }
    }

    /// Whether the message says nothing: no content, or one of whitespace alone. Calls of tools are not asked about.
    pub fn is_empty(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.trim_start().is_empty(),
            Content::Parts(_) => false,
            Content::Null | Content::Absent => true,
        }
    }

    /// Whether the message calls tools.
    pub fn calls_tools(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.tool_calls.is_some())
    }
}

/// What a phase trains on; every converter yields one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleKind {
    /// A whole dialogue, for supervised fine-tuning.
    Conversation,
    /// Dialogues that differ in the last answer, ranked, for preference optimisation.
    Preference,
    /// A dialogue that waits for an answer, for reinforcement learning.
    Prompt,
    /// Running text, for pre- and mid-training.
    Text,
    /// A dialogue whose answer is good or bad, for preference optimisation without pairs.
    Labelled,
    /// A solution in steps, each of them judged, for process reward models.
    Stepwise,
}

impl SampleKind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Conversation, Self::Preference, Self::Labelled, Self::Stepwise, Self::Prompt, Self::Text];

    /// The kind's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Preference => "preference",
            Self::Prompt => "prompt",
            Self::Text => "text",
            Self::Labelled => "labelled",
            Self::Stepwise => "stepwise",
        }
    }

    /// The fields of a sample that filters can measure: what `text_field` may name.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Conversation => &["conversations", "text"],
            Self::Preference => &["chosen", "rejected"],
            Self::Prompt => &["conversations"],
            Self::Text => &["text"],
            Self::Labelled => &["conversations", "text"],
            Self::Stepwise => &["prompt", "completions", "text"],
        }
    }

    /// The keys that native rows of the kind have of their own, so that no column can have their names.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Conversation | Self::Prompt => &["conversations", "text", "source"],
            Self::Preference => &["chosen", "rejected", "ranked", "source"],
            Self::Text => &["text", "source"],
            Self::Labelled => &["conversations", "text", "label", "source"],
            Self::Stepwise => &["prompt", "completions", "labels", "source"],
        }
    }

    /// The field that filters measure when a recipe names none.
    pub fn default_field(self) -> &'static str {
        match self {
            Self::Conversation | Self::Text | Self::Labelled | Self::Stepwise => "text",
            Self::Preference => "chosen",
            Self::Prompt => "conversations",
        }
    }
}

/// What a sample of each kind consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a, T = Cow<'a, str>> {
    /// See [`SampleKind::Conversation`].
    Conversation {
        /// The turns.
        messages: Vec<Message<'a, T>>,
    },
    /// See [`SampleKind::Preference`].
    Preference {
        /// The turns that all dialogues share: all but their last ones.
        prompt: Vec<Message<'a, T>>,
        /// How each dialogue goes on, the preferred one first; at least two.
        ranked: Vec<Vec<Message<'a, T>>>,
    },
    /// See [`SampleKind::Prompt`].
    Prompt {
        /// The turns; the last one is the user's.
        messages: Vec<Message<'a, T>>,
    },
    /// See [`SampleKind::Text`].
    Text {
        /// The text.
        text: T,
    },
    /// See [`SampleKind::Labelled`]; whether the answer is good is the sample's [`label`](Sample::label).
    Labelled {
        /// The turns; the last one is the assistant's.
        messages: Vec<Message<'a, T>>,
    },
    /// See [`SampleKind::Stepwise`].
    Stepwise {
        /// The turns before the solution.
        prompt: Vec<Message<'a, T>>,
        /// The solution; at least one step.
        steps: Vec<Step<'a, T>>,
    },
}

/// One step of a solution.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a, T = Cow<'a, str>> {
    /// The text of the step.
    pub text: T,
    /// What the step is worth: a boolean or a number.
    pub label: Json<'a>,
}

impl<T> Body<'_, T> {
    /// The kind of the sample.
    pub fn kind(&self) -> SampleKind {
        match self {
            Self::Conversation { .. } => SampleKind::Conversation,
            Self::Preference { .. } => SampleKind::Preference,
            Self::Prompt { .. } => SampleKind::Prompt,
            Self::Text { .. } => SampleKind::Text,
            Self::Labelled { .. } => SampleKind::Labelled,
            Self::Stepwise { .. } => SampleKind::Stepwise,
        }
    }
}

/// A converted row. `T` is a string: unescaped as converters make it, or [`Quoted`] as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a, T = Cow<'a, str>> {
    /// What the sample's kind consists of.
    pub body: Body<'a, T>,
    /// The tools that the model may call: a JSON list.
    pub tools: Option<Json<'a>>,
    /// The final answer or ground truth.
    pub answer: Option<T>,
    /// Whether the answer is good.
    pub label: Option<bool>,
    /// By how much the preferred answer is better: a number.
    pub margin: Option<Json<'a>>,
    /// Columns of the source row that are kept, in order.
    pub columns: Vec<(T, Json<'a>)>,
}

/// A sample as it is stored: its strings are slices of the blob, ready to be copied into JSON.
pub type SampleView<'b> = Sample<'b, Quoted<'b>>;

impl<'a, T> From<Body<'a, T>> for Sample<'a, T> {
    fn from(body: Body<'a, T>) -> Self {
        Self { body, tools: None, answer: None, label: None, margin: None, columns: Vec::new() }
    }
}

impl<'a, T> Sample<'a, T> {
    /// A conversation of `messages`.
    pub fn conversation(messages: Vec<Message<'a, T>>) -> Self {
        Body::Conversation { messages }.into()
    }

    /// A dialogue of `messages`, whose answer is good or not.
    pub fn labelled(messages: Vec<Message<'a, T>>, is_good: bool) -> Self {
        Self { label: Some(is_good), ..Body::Labelled { messages }.into() }
    }

    /// A prompt of `messages`.
    pub fn prompt(messages: Vec<Message<'a, T>>) -> Self {
        Body::Prompt { messages }.into()
    }

    /// The sample's kind.
    pub fn kind(&self) -> SampleKind {
        self.body.kind()
    }
}

impl Sample<'_> {
    /// Returns the text of a field, see [`SampleKind::fields`]: of dialogues the contents joined by newlines. A message
    /// without text, such as one that only calls tools, is an empty line.
    pub fn field_text(&self, field: &str) -> Option<Cow<'_, str>> {
        match (&self.body, field) {
            (Body::Text { text }, "text") => Some(Cow::Borrowed(text)),
            (Body::Conversation { messages } | Body::Labelled { messages }, "text" | "conversations")
            | (Body::Prompt { messages }, "conversations") => Some(contents(messages, &[])),
            (Body::Preference { prompt, ranked }, "chosen") => Some(contents(prompt, ranked.first()?)),
            (Body::Preference { prompt, ranked }, "rejected") => Some(contents(prompt, ranked.get(1)?)),
            (Body::Stepwise { prompt, .. }, "prompt") => Some(contents(prompt, &[])),
            (Body::Stepwise { steps, .. }, "completions") => {
                Some(joined(steps.iter().map(|step| Cow::Borrowed(&*step.text))))
            }
            (Body::Stepwise { prompt, steps }, "text") => {
                let (prompt, steps) =
                    (prompt.iter().map(Message::all_text), steps.iter().map(|step| Cow::Borrowed(&*step.text)));
                Some(joined(prompt.chain(steps)))
            }
            _ => None,
        }
    }

    /// Counts the characters of the main field, see [`SampleKind::default_field`] and [`Sample::field_text`].
    pub fn characters(&self) -> usize {
        let of = |messages: &[Message<'_>]| messages.iter().map(|message| message.all_text().chars().count() + 1).sum();
        let with_line_ends: usize = match &self.body {
            Body::Text { text } => return text.chars().count(),
            Body::Conversation { messages } | Body::Prompt { messages } | Body::Labelled { messages } => of(messages),
            Body::Stepwise { prompt, steps } => {
                of(prompt) + steps.iter().map(|step| step.text.chars().count() + 1).sum::<usize>()
            }
            Body::Preference { prompt, ranked } => of(prompt) + ranked.first().map_or(0, |answer| of(answer)),
        };
        with_line_ends.saturating_sub(1)
    }

    /// Returns the hash that decides the place in the order: XXH3-64 of the [identity text](write_identity).
    pub fn row_hash(&self) -> u64 {
        let mut bytes = Vec::new();
        append(self, &mut bytes);
        identity::row_hash(&read(&bytes).expect("what was stored can be read"), &mut Vec::new())
    }

    /// Returns the hash that decides the side of the split: samples that ask the same share it.
    ///
    /// XXH3-64 over role and content of each message before the answer, each content followed by a zero byte.
    /// The prompt of a conversation or of a labelled dialogue is what precedes its first answer, so dialogues that begin
    /// alike stay together; a preference's is all that its dialogues share; a text's is the text.
    pub fn prompt_hash(&self) -> u64 {
        identity::prompt_hash(&self.body)
    }

    /// Returns the [`Sample::prompt_hash`] of the [folded](fold) prompt: prompts that differ in case and white space alone
    /// share it. `scratch` is room to be used again.
    pub fn folded_hash(&self, scratch: &mut Vec<u8>) -> u64 {
        identity::folded_hash(&self.body, scratch)
    }
}

fn contents<'m>(first: &'m [Message<'_>], then: &'m [Message<'_>]) -> Cow<'m, str> {
    match (first, then) {
        ([only], []) | ([], [only]) => only.all_text(),
        _ => joined(first.iter().chain(then).map(Message::all_text)),
    }
}

fn joined<'m>(texts: impl Iterator<Item = Cow<'m, str>>) -> Cow<'m, str> {
    Cow::Owned(texts.collect::<Vec<_>>().join("\n"))
}

/// What a converter makes of one row: any number of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted<'a> {
    /// The samples, in order.
    pub samples: Samples<'a>,
    /// How many consecutive turns of one role were joined.
    pub joined_turns: u32,
    /// What stands inside a column that was used, and was not used itself.
    pub unused: Vec<String>,
}

/// The samples of one row: nearly always one, which then takes no allocation of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples<'a> {
    /// One sample.
    One(Sample<'a>),
    /// None, or several.
    Many(Vec<Sample<'a>>),
}

impl<'a> Samples<'a> {
    /// The samples as a slice.
    pub fn as_slice(&self) -> &[Sample<'a>] {
        match self {
            Self::One(sample) => std::slice::from_ref(sample),
            Self::Many(samples) => samples,
        }
    }
}

impl<'a> Samples<'a> {
    /// The samples as a slice that can be changed.
    pub fn as_mut_slice(&mut self) -> &mut [Sample<'a>] {
        match self {
            Self::One(sample) => std::slice::from_mut(sample),
            Self::Many(samples) => samples,
        }
    }
}

impl<'a> From<Sample<'a>> for Converted<'a> {
    fn from(sample: Sample<'a>) -> Self {
        Self { samples: Samples::One(sample), joined_turns: 0, unused: Vec::new() }
    }
}

impl<'a> From<Vec<Sample<'a>>> for Converted<'a> {
    fn from(samples: Vec<Sample<'a>>) -> Self {
        Self { samples: Samples::Many(samples), joined_turns: 0, unused: Vec::new() }
    }
}

#[cfg(test)]
impl<'a> Converted<'a> {
    /// The sample of a row that yields exactly one.
    pub fn only(&self) -> &Sample<'a> {
        let [only] = self.samples.as_slice() else { panic!("one sample, not {}", self.samples.as_slice().len()) };
        only
    }
}

#[cfg(test)]
pub mod tests;
