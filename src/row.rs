//! Rows: what a decoder yields, what a converter makes of it, and how a sample is written.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A value of a source row, kept exactly as the source wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`, or a missing cell of a columnar file.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in its own spelling: `1.0` stays `1.0`, 2^53+1 keeps every digit.
    Number(Cow<'a, str>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array or object as JSON text.
    Json(Cow<'a, str>),
}

/// A row as it stands in a source file: its fields in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawRow<'a> {
    /// Field names with their values, in source order, names unique.
    pub fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> RawRow<'a> {
    /// The value of a field, if the row has it.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The text of a field that must be there and must be a string.
    pub fn text(&self, name: &'static str) -> Result<&str, Reject> {
        match self.get(name) {
            Some(Value::String(text)) => Ok(text),
            None | Some(Value::Null) => Err(Reject::new(Reason::MissingField, format!("no `{name}`"))),
            Some(_) => Err(Reject::new(Reason::WrongType, format!("`{name}` is not a string"))),
        }
    }

    /// The text of a field that may be missing or null: then it is empty.
    pub fn text_or_empty(&self, name: &'static str) -> Result<&str, Reject> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(_) => self.text(name),
        }
    }
}

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions before the dialogue.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Cow<'a, str>,
}

impl<'a> Message<'a> {
    /// A message of `role` saying `content`.
    pub fn new(role: Role, content: impl Into<Cow<'a, str>>) -> Self {
        Self { role, content: content.into() }
    }
}

/// What a phase trains on; every converter yields one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleKind {
    /// A whole dialogue, for supervised fine-tuning.
    Conversation,
    /// Two dialogues that differ in the last answer, for preference optimisation.
    Preference,
    /// A dialogue that waits for an answer, for reinforcement learning.
    Prompt,
    /// Running text, for pre- and mid-training.
    Text,
}

impl SampleKind {
    /// The kind's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Preference => "preference",
            Self::Prompt => "prompt",
            Self::Text => "text",
        }
    }

    /// The fields an output row of this kind has, `source` aside: what `text_field` may name.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Conversation => &["conversations", "text"],
            Self::Preference => &["chosen", "rejected"],
            Self::Prompt => &["conversations"],
            Self::Text => &["text"],
        }
    }

    /// The field that filters measure when a recipe names none.
    pub fn default_field(self) -> &'static str {
        match self {
            Self::Conversation | Self::Text => "text",
            Self::Preference => "chosen",
            Self::Prompt => "conversations",
        }
    }
}

/// A converted row.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample<'a> {
    /// See [`SampleKind::Conversation`].
    Conversation {
        /// The turns.
        messages: Vec<Message<'a>>,
        /// The dialogue as one text.
        text: Cow<'a, str>,
    },
    /// See [`SampleKind::Preference`].
    Preference {
        /// The dialogue that was preferred.
        chosen: Vec<Message<'a>>,
        /// The dialogue that was not.
        rejected: Vec<Message<'a>>,
    },
    /// See [`SampleKind::Prompt`].
    Prompt {
        /// The turns; the last one is the user's.
        messages: Vec<Message<'a>>,
    },
    /// See [`SampleKind::Text`].
    Text {
        /// The text.
        text: Cow<'a, str>,
    },
}

/// What a converter makes of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted<'a> {
    /// The sample.
    pub sample: Sample<'a>,
    /// A final answer kept beside the sample and not written to the output.
    pub answer: Option<Cow<'a, str>>,
    /// How many consecutive turns of one role were joined.
    pub joined_turns: u32,
}

impl<'a> From<Sample<'a>> for Converted<'a> {
    fn from(sample: Sample<'a>) -> Self {
        Self { sample, answer: None, joined_turns: 0 }
    }
}

/// Why a row is not used. The codes are a stable interface: tools read them from the quarantine file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The row is not a JSON object, or its JSON is broken.
    InvalidJson,
    /// The row is not valid UTF-8.
    InvalidUtf8,
    /// A key occurs twice in the row.
    DuplicateKey,
    /// The row is longer than 16 MiB.
    RowTooLong,
    /// A CSV record has more or fewer fields than the header.
    WrongFieldCount,
    /// A field the converter needs is missing or null.
    MissingField,
    /// A field has another type than the converter needs.
    WrongType,
    /// There is no answer to learn from.
    EmptyOutput,
    /// There is no question.
    EmptyPrompt,
    /// The `####` line with the final answer is missing or malformed.
    NoFinalAnswer,
    /// Chosen and rejected are the same dialogue.
    IdenticalPair,
    /// The last answer of a side is empty.
    EmptyLastAnswer,
    /// The two sides do not share all but the last turn.
    PromptsDiffer,
    /// A side does not end with an assistant turn.
    NoFinalAssistantTurn,
    /// A transcript does not begin with a `Human:` turn.
    NoFirstHumanTurn,
}

impl Reason {
    /// The code as it is written to files.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::DuplicateKey => "duplicate_key",
            Self::RowTooLong => "row_too_long",
            Self::WrongFieldCount => "wrong_field_count",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::EmptyOutput => "empty_output",
            Self::EmptyPrompt => "empty_prompt",
            Self::NoFinalAnswer => "no_final_answer",
            Self::IdenticalPair => "identical_pair",
            Self::EmptyLastAnswer => "empty_last_answer",
            Self::PromptsDiffer => "prompts_differ",
            Self::NoFinalAssistantTurn => "no_final_assistant_turn",
            Self::NoFirstHumanTurn => "no_first_human_turn",
        }
    }
}

/// A row that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The reason's code.
    pub reason: Reason,
    /// What exactly, in words; may be empty.
    pub detail: String,
}

impl Reject {
    /// A reject for `reason`, with `detail` in words.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl Sample<'_> {
    /// The sample's kind.
    pub fn kind(&self) -> SampleKind {
        match self {
            Self::Conversation { .. } => SampleKind::Conversation,
            Self::Preference { .. } => SampleKind::Preference,
            Self::Prompt { .. } => SampleKind::Prompt,
            Self::Text { .. } => SampleKind::Text,
        }
    }

    /// The text of an output field: a string as it is, a dialogue as its contents joined by newlines.
    pub fn field_text(&self, field: &str) -> Option<Cow<'_, str>> {
        match (self, field) {
            (Self::Conversation { text, .. } | Self::Text { text }, "text") => Some(Cow::Borrowed(text)),
            (Self::Conversation { messages, .. } | Self::Prompt { messages }, "conversations") => {
                Some(contents(messages))
            }
            (Self::Preference { chosen, .. }, "chosen") => Some(contents(chosen)),
            (Self::Preference { rejected, .. }, "rejected") => Some(contents(rejected)),
            _ => None,
        }
    }

    /// The number of characters of its main field, see [`SampleKind::default_field`] and [`Sample::field_text`].
    pub fn characters(&self) -> usize {
        match self {
            Self::Conversation { text, .. } | Self::Text { text } => text.chars().count(),
            Self::Preference { chosen: messages, .. } | Self::Prompt { messages } => {
                let contents: usize = messages.iter().map(|message| message.content.chars().count()).sum();
                contents + messages.len().saturating_sub(1)
            }
        }
    }

    /// The hash that decides a sample's side of the split: samples that ask the same share it.
    ///
    /// XXH3-64 over role and content of each message before the last answer, each content followed by a zero byte.
    /// A conversation's prompt is what precedes its first answer, so dialogues that begin alike stay together; a
    /// preference pair's is all that both sides share; a text's is the text.
    pub fn prompt_hash(&self) -> u64 {
        match self {
            Self::Conversation { messages, .. } => {
                let end = messages.iter().position(|m| m.role == Role::Assistant).unwrap_or(messages.len());
                hash_messages(&messages[..end])
            }
            Self::Preference { chosen, .. } => hash_messages(&chosen[..chosen.len().saturating_sub(1)]),
            Self::Prompt { messages } => hash_messages(messages),
            Self::Text { text } => xxh3_64(text.as_bytes()),
        }
    }

    /// Appends the sample as a JSON object that is still open: `{"text":"…"`.
    ///
    /// The writer of an output closes it with `,"source":"…"}` so that recipes which name a source differently can
    /// share one conversion.
    pub fn write_open_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Conversation { messages, text } => {
                out.extend_from_slice(b"{\"conversations\":");
                write_messages(messages, out);
                out.extend_from_slice(b",\"text\":");
                write_string(text, out);
            }
            Self::Preference { chosen, rejected } => {
                out.extend_from_slice(b"{\"chosen\":");
                write_messages(chosen, out);
                out.extend_from_slice(b",\"rejected\":");
                write_messages(rejected, out);
            }
            Self::Prompt { messages } => {
                out.extend_from_slice(b"{\"conversations\":");
                write_messages(messages, out);
            }
            Self::Text { text } => {
                out.extend_from_slice(b"{\"text\":");
                write_string(text, out);
            }
        }
    }
}

fn contents<'m>(messages: &'m [Message<'_>]) -> Cow<'m, str> {
    match messages {
        [only] => Cow::Borrowed(&only.content),
        many => {
            let parts: Vec<&str> = many.iter().map(|message| message.content.as_ref()).collect();
            Cow::Owned(parts.join("\n"))
        }
    }
}

fn hash_messages(messages: &[Message<'_>]) -> u64 {
    let mut hasher = Xxh3::new();
    for message in messages {
        hasher.update(&[message.role as u8]);
        hasher.update(message.content.as_bytes());
        hasher.update(&[0]);
    }
    hasher.digest()
}

fn write_messages(messages: &[Message<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, message) in messages.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let head: &[u8] = match message.role {
            Role::System => b"{\"role\":\"system\",\"content\":",
            Role::User => b"{\"role\":\"user\",\"content\":",
            Role::Assistant => b"{\"role\":\"assistant\",\"content\":",
        };
        out.extend_from_slice(head);
        write_string(&message.content, out);
        out.push(b'}');
    }
    out.push(b']');
}

/// Appends `text` as a JSON string: UTF-8 kept as it is, U+2028 and U+2029 escaped.
///
/// JSON allows the two separators bare, but readers that split text into lines (Python's `str.splitlines`) then see
/// more lines than rows.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if separators(text).next().is_none() {
        return json_escape_simd::escape_into(text, out);
    }
    let mut serializer = Serializer::with_formatter(out, LineSafe);
    serde::Serializer::serialize_str(&mut serializer, text).expect("a Vec takes every write");
}

/// Where U+2028 and U+2029 stand, with their escapes.
fn separators(text: &str) -> impl Iterator<Item = (usize, &'static [u8])> {
    // Both are three bytes that begin E2 80, as curly quotes do; only the third byte tells. The finder is made once:
    // making it costs more than looking through a short text.
    static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\xE2\x80"));
    let bytes = text.as_bytes();
    FINDER.find_iter(bytes).filter_map(|at| match bytes[at + 2] {
        0xA8 => Some((at, &b"\\u2028"[..])),
        0xA9 => Some((at, &b"\\u2029"[..])),
        _ => None,
    })
}

/// Appends a value as JSON on one line, escaped as [`write_string`] does.
pub fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    let mut serializer = Serializer::with_formatter(out, LineSafe);
    value.serialize(&mut serializer).expect("a Vec takes every write, and plain data serialises");
}

/// serde_json's compact output with the two Unicode line separators escaped.
struct LineSafe;

impl Formatter for LineSafe {
    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut written = 0;
        for (at, escape) in separators(fragment) {
            writer.write_all(&fragment.as_bytes()[written..at])?;
            writer.write_all(escape)?;
            written = at + 3;
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        write_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in "(\\PC|[\u{0}-\u{20}\"\\\\\u{7f}\u{2026}-\u{202a}]){0,200}") {
            let expected = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(json(&text), expected.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"));
        }
    }

    #[test]
    fn only_line_separators_and_json_specials_are_escaped() {
        assert_eq!(json("a\u{2028}b\u{2029}“é”\n\"\u{1}"), "\"a\\u2028b\\u2029“é”\\n\\\"\\u0001\"");
        assert_eq!(json("\u{2028}"), "\"\\u2028\"");
    }

    #[test]
    fn prompt_hash_ignores_answers_and_keeps_turns_apart() {
        let dialogue = |turns: &[(Role, &'static str)]| Sample::Conversation {
            messages: turns.iter().map(|(role, text)| Message::new(*role, *text)).collect(),
            text: "".into(),
        };
        let asked = dialogue(&[(Role::User, "q"), (Role::Assistant, "a")]);
        assert_eq!(asked.prompt_hash(), dialogue(&[(Role::User, "q"), (Role::Assistant, "b")]).prompt_hash());
        assert_ne!(asked.prompt_hash(), dialogue(&[(Role::User, "q2"), (Role::Assistant, "a")]).prompt_hash());
        let prompt = Sample::Prompt { messages: vec![Message::new(Role::User, "q")] };
        assert_eq!(asked.prompt_hash(), prompt.prompt_hash(), "one question has one side in every recipe");
    }

    #[test]
    fn samples_are_written_open() {
        let pair = Sample::Preference {
            chosen: vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, "a")],
            rejected: vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, "b")],
        };
        let mut out = Vec::new();
        pair.write_open_json(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]"#
        );
        assert_eq!(pair.field_text("chosen").as_deref(), Some("q\na"));
        assert_eq!(pair.field_text("text"), None);
    }
}
