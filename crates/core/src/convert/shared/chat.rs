//! Lists of messages, as OpenAI (`role`, `content`) and ShareGPT (`from`, `value`) write them, with all that they have.
//!
//! Every key of a message is kept. Keys that say the same in several spellings have one place in a [`Message`]; the others
//! stand in its `other`, in their order. `null` counts as absent everywhere but in the content: columnar files give every
//! message every key.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    beside, not_json,
    parts::{self, Parted},
    tool_calls,
};
use crate::{
    convert::Options,
    row::{Reason, Reject, is_called},
    sample::{Content, Json, Message, MessageExtras, Role},
};

/// Reads a JSON array of messages; `field` names the column in rejects.
///
/// What has no place in a sample is rejected with its place, never cut down.
pub(in crate::convert) fn messages<'a>(
    json: &'a str,
    field: &str,
    options: &Options,
) -> Result<Vec<Message<'a>>, Reject> {
    let written: Vec<Written<'a>> = match serde_json::from_str(json) {
        Ok(written) => written,
        Err(error) => {
            let Some(list) = zipped(json) else { return Err(no_list(json, field, &error)) };
            return Ok(messages(&list, field, options)?.into_iter().map(Message::into_owned).collect());
        }
    };
    let mut messages: Vec<Message<'a>> = Vec::with_capacity(written.len());
    for (at, written) in written.into_iter().enumerate() {
        let Read { results, message, is_call } = written.message(&Place { field, at }, options)?;
        messages.extend(results);
        let Some(message) = message else { continue };
        match messages.last_mut() {
            Some(before) if is_call && goes_on(before, &message) => {
                let calls = message.extras.and_then(|extras| extras.tool_calls).unwrap_or_default();
                before.extras.get_or_insert_default().tool_calls.get_or_insert_default().extend(calls);
            }
            _ => messages.push(message),
        }
    }
    Ok(messages)
}

/// Whether a turn that is nothing but calls belongs to the answer before it: what it says and what it calls are one turn of the
/// model, and so are several calls.
fn goes_on(before: &Message<'_>, call: &Message<'_>) -> bool {
    let train = |message: &Message<'_>| message.extras.as_ref().and_then(|extras| extras.train);
    let is_bare = call.extras.as_deref().is_some_and(|extras| {
        let MessageExtras { reasoning, tool_calls: _, tool_call_id, name, weight, train: _, other } = extras;
        reasoning.is_none() && tool_call_id.is_none() && name.is_none() && weight.is_none() && other.is_empty()
    });
    before.role == Role::Assistant && is_bare && call.content == Content::Absent && train(before) == train(call)
}

/// Whether a text is a list of messages, or is meant as one and has to be refused: a list of objects of which each says who
/// speaks and what, or what would be one in Python. Any other JSON is a text like any other.
pub(in crate::convert) fn is_meant_as_messages(text: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix('[') else { return false };
    if !rest.trim_start().starts_with('{') {
        return false;
    }
    match serde_json::from_str::<Vec<BTreeMap<String, IgnoredAny>>>(text) {
        Ok(items) => items.iter().all(|keys| {
            let has = |names: &[&str]| names.iter().any(|name| keys.contains_key(*name));
            has(&["role", "from"]) && has(&["content", "value", "tool_calls", "function_call"])
        }),
        Err(_) => {
            let has = |word: &str| ['"', '\''].iter().any(|quote| text.contains(&format!("{quote}{word}{quote}")));
            (has("role") || has("from")) && (has("content") || has("value"))
        }
    }
}

/// Returns the list that messages in another form stand for: an object of lists, one for each key, as `datasets` stores the older
/// `Sequence({…})`; or a list of strings that hold one message each, as its JSON columns are without their mark.
pub(super) fn zipped(json: &str) -> Option<String> {
    if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        let texts: Vec<Cow<'_, str>> = items.into_iter().map(string).collect::<Option<_>>()?;
        let are_objects = !texts.is_empty() && texts.iter().all(|text| text.trim_start().starts_with('{'));
        return are_objects.then(|| format!("[{}]", texts.join(",")));
    }
    let mut columns: Vec<(String, Vec<&RawValue>)> = Vec::new();
    for (key, value) in crate::json::members(json)? {
        columns.push((serde_json::to_string(&key).ok()?, serde_json::from_str(value.get()).ok()?));
    }
    let length = columns.first()?.1.len();
    let says_who = columns.iter().any(|(key, _)| matches!(&**key, "\"role\"" | "\"from\""));
    if !says_who || columns.iter().any(|(_, values)| values.len() != length) {
        return None;
    }
    let message = |at: usize| {
        let keys = columns.iter().map(|(key, values)| format!("{key}:{}", values[at].get()));
        format!("{{{}}}", keys.collect::<Vec<_>>().join(","))
    };
    Some(format!("[{}]", (0..length).map(message).collect::<Vec<_>>().join(",")))
}

/// Returns why a text is no list of messages.
fn no_list(json: &str, field: &str, error: &serde_json::Error) -> Reject {
    let detail = match serde_json::from_str::<Vec<&RawValue>>(json) {
        Ok(items) => match items.iter().position(|item| !item.get().starts_with('{')) {
            Some(at) => format!("`{field}[{at}]` is not a message but {}", kind_of(items[at].get())),
            None => format!("`{field}` is not a list of messages: {error}"),
        },
        Err(error) if error.is_data() => format!("`{field}` is not a list of messages"),
        Err(error) => format!("`{field}` is not a list of messages: {}", not_json(json, &error)),
    };
    Reject::new(Reason::WrongType, detail)
}

/// Names the kind of a JSON value in words.
pub(super) fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Where a message stands.
pub(super) struct Place<'p> {
    field: &'p str,
    at: usize,
}

impl Place<'_> {
    /// Returns a reject for the value of a key, whose name may go on with indexes and keys below.
    pub(super) fn wrong(&self, key: impl fmt::Display, what: impl fmt::Display) -> Reject {
        Reject::new(Reason::WrongType, format!("`{}[{}].{key}` {what}", self.field, self.at))
    }

    pub(super) fn conflict(&self, keys: [&str; 2]) -> Reject {
        let Self { field, at } = self;
        let detail = format!("`{field}[{at}]` has both `{}` and `{}`, which differ", keys[0], keys[1]);
        Reject::new(Reason::Conflict, detail)
    }
}

/// The keys that have a place of their own in a message.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    Role,
    From,
    Content,
    Value,
    ReasoningContent,
    Reasoning,
    Thinking,
    Thought,
    ReasoningText,
    ToolCalls,
    FunctionCall,
    ToolCallId,
    Name,
    Weight,
    LossWeight,
    LossScale,
    Train,
    Loss,
    Trainable,
}

const KEYS: [(&str, Key); 19] = [
    ("role", Key::Role),
    ("from", Key::From),
    ("content", Key::Content),
    ("value", Key::Value),
    ("reasoning_content", Key::ReasoningContent),
    ("reasoning", Key::Reasoning),
    ("thinking", Key::Thinking),
    ("thought", Key::Thought),
    ("reasoning_text", Key::ReasoningText),
    ("tool_calls", Key::ToolCalls),
    ("function_call", Key::FunctionCall),
    ("tool_call_id", Key::ToolCallId),
    ("name", Key::Name),
    ("weight", Key::Weight),
    ("loss_weight", Key::LossWeight),
    ("loss_scale", Key::LossScale),
    ("train", Key::Train),
    ("loss", Key::Loss),
    ("trainable", Key::Trainable),
];

/// What the speaker of a message is called where there is neither `role` nor `from`.
const SPEAKERS: [&str; 3] = ["speaker", "sender", "author"];
/// What a message says is called where there is neither `content` nor `value`.
const SAID: [&str; 3] = ["text", "message", "utterance"];

fn quoted(name: &str) -> String {
    format!("`{}`", name.escape_debug())
}

/// What a message of a source makes.
struct Read<'a> {
    /// The results of tools that stand in its content, each a message of its own.
    results: Vec<Message<'a>>,
    /// The message; `None` if it is nothing but results.
    message: Option<Message<'a>>,
    /// Whether it is a turn of calls.
    is_call: bool,
}

/// A message as it is written.
struct Written<'a> {
    known: [Option<&'a RawValue>; KEYS.len()],
    other: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// A key that occurs twice.
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for Written<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

/// A key, borrowed unless it has escapes. (`Cow` alone would always be owned.)
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Fields {
    type Value = Written<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written<'de>, A::Error> {
        let mut written = Written { known: [None; KEYS.len()], other: Vec::new(), repeated: None };
        // A message may have many thousands of keys, too many to compare all pairs.
        const FEW: usize = 16;
        let mut seen: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            let is_first = match known_key(&name) {
                Some(key) => written.known[key as usize].replace(value).is_none(),
                None => {
                    let is_first = match written.other.len() {
                        ..FEW => written.other.iter().all(|(other, _)| *other != name),
                        FEW => {
                            seen.extend(written.other.iter().map(|(other, _)| other.clone()));
                            seen.insert(name.clone())
                        }
                        _ => seen.insert(name.clone()),
                    };
                    written.other.push((name.clone(), value));
                    is_first
                }
            };
            if !is_first {
                written.repeated = Some(name.into_owned());
            }
        }
        Ok(written)
    }
}

impl<'a> Written<'a> {
    /// Takes the value of a key; `null` counts as absent.
    fn take(&mut self, key: Key) -> Option<&'a RawValue> {
        self.known[key as usize].take().filter(|value| value.get() != "null")
    }

    /// Leaves the value of a key that has no place here among the other keys.
    fn leave(&mut self, key: Key) {
        if let Some(value) = self.take(key) {
            self.other.push((Cow::Borrowed(name_of(key)), value));
        }
    }

    /// Takes the first string under one of these names, which have no place of their own.
    fn take_other(&mut self, names: &[&str]) -> Option<&'a RawValue> {
        let is_meant = |(name, value): &(Cow<'a, str>, &'a RawValue)| {
            value.get().starts_with('"') && names.iter().any(|known| is_called(name, known))
        };
        let at = self.other.iter().position(is_meant)?;
        Some(self.other.remove(at).1)
    }

    /// Says that a key is missing, and which there are.
    fn missing(&self) -> String {
        let known = KEYS.iter().filter(|(_, key)| self.known[*key as usize].is_some()).map(|(name, _)| *name);
        let names: Vec<String> = known.chain(self.other.iter().map(|(name, _)| &**name)).take(8).map(quoted).collect();
        match names.is_empty() {
            true => "is missing".to_owned(),
            false => format!("is missing; the message has {}", names.join(", ")),
        }
    }

    /// Returns the message.
    fn message(mut self, place: &Place<'_>, options: &Options) -> Result<Read<'a>, Reject> {
        if let Some(name) = &self.repeated {
            let detail = format!("`{}[{}]` has the key `{}` twice", place.field, place.at, name.escape_debug());
            return Err(Reject::new(Reason::DuplicateKey, detail));
        }
        let (role, content) = self.speaker();
        let Some(spoken) = self.take(role).or_else(|| self.take_other(&SPEAKERS)) else {
            return Err(place.wrong(name_of(role), self.missing()));
        };
        let Some(word) = string(spoken) else {
            return Err(place.wrong(name_of(role), format_args!("is not a string but {}", kind_of(spoken.get()))));
        };
        let Some(speaker) = speaker(&word, options) else {
            let Place { field, at } = place;
            return Err(unknown_role(format_args!("{field}[{at}].{}", name_of(role)), &word));
        };
        let said = self.known[content as usize].take().or_else(|| self.take_other(&SAID));
        let mut extras = self.extras(place)?;
        let mut results = Vec::new();
        let mut is_results = false;
        let message = match speaker {
            Speaker::Role(role) => {
                let key = name_of(content);
                let Parted { content, blocks } = self.content(said, key, extras.tool_calls.is_some(), place)?;
                if let Some(blocks) = blocks {
                    is_results = content == Content::Absent && !blocks.results.is_empty();
                    results = blocks.put(role, key, &mut extras, place)?;
                }
                Message { role, content, extras: None }
            }
            Speaker::Call => {
                if extras.tool_calls.is_some() {
                    return Err(place.conflict([name_of(content), "tool_calls"]));
                }
                let said = said.ok_or_else(|| place.wrong(name_of(content), "is missing"))?;
                let (text, calls) = tool_calls::of_turn(said, name_of(content), place)?;
                extras.tool_calls = Some(calls);
                let content = text.map_or(Content::Absent, |text| Content::Text(text.into()));
                Message { role: Role::Assistant, content, extras: None }
            }
        };
        extras.other.extend(self.others(place)?);
        let extras = (extras != MessageExtras::default()).then(|| Box::new(extras));
        if is_results && extras.is_some() {
            return Err(
                place.wrong(name_of(content), "has results of tools alone, beside which other keys have no place")
            );
        }
        let message = Message { extras, ..message };
        Ok(Read { results, message: (!is_results).then_some(message), is_call: matches!(speaker, Speaker::Call) })
    }

    /// Returns the keys that say who speaks and what; those of the other spelling are keys like any other.
    fn speaker(&mut self) -> (Key, Key) {
        let has = |key: Key| self.known[key as usize].is_some_and(|value| value.get() != "null");
        let (role, other_role) =
            if has(Key::Role) || !has(Key::From) { (Key::Role, Key::From) } else { (Key::From, Key::Role) };
        let (own, other) = if role == Key::Role { (Key::Content, Key::Value) } else { (Key::Value, Key::Content) };
        let is_there = |key: Key| self.known[key as usize].is_some();
        let (content, other) = if is_there(own) || !is_there(other) { (own, other) } else { (other, own) };
        self.leave(other_role);
        self.leave(other);
        (role, content)
    }

    fn content(
        &self,
        said: Option<&'a RawValue>,
        key: &str,
        calls_tools: bool,
        place: &Place<'_>,
    ) -> Result<Parted<'a>, Reject> {
        let Some(said) = said else {
            return if calls_tools { Ok(Content::Absent.into()) } else { Err(place.wrong(key, self.missing())) };
        };
        match said.get().as_bytes().first() {
            Some(b'"') => match string(said) {
                Some(text) => Ok(Content::Text(text).into()),
                None => Err(place.wrong(key, "is not text: it has an escape that is no character")),
            },
            Some(b'[') => parts::content(said, key, place),
            Some(b'n') if calls_tools => Ok(Content::Null.into()),
            _ => Err(place.wrong(key, format_args!("is not a string but {}", kind_of(said.get())))),
        }
    }

    /// Reads the keys with a place of their own, apart from role and content.
    fn extras(&mut self, place: &Place<'_>) -> Result<MessageExtras<'a>, Reject> {
        let calls = match (self.take(Key::ToolCalls), self.take(Key::FunctionCall)) {
            (Some(_), Some(_)) => return Err(place.conflict(["tool_calls", "function_call"])),
            (Some(calls), None) => tool_calls::list(calls, "tool_calls", place)?,
            (None, Some(call)) => tool_calls::list(call, "function_call", place)?,
            (None, None) => Vec::new(),
        };
        Ok(MessageExtras {
            reasoning: self.reasoning(place)?,
            // A message that calls no tool is a message like any other.
            tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
            tool_call_id: self.one(place, [Key::ToolCallId], "a string", string)?,
            name: self.one(place, [Key::Name], "a string", string)?,
            weight: self.one(place, [Key::Weight, Key::LossWeight, Key::LossScale], "a number", number)?,
            train: self.one(place, [Key::Train, Key::Loss, Key::Trainable], "a boolean", boolean)?,
            other: Vec::new(),
        })
    }

    /// Returns the reasoning, whose spellings are many; of two of them, what is no text is a key like any other.
    fn reasoning(&mut self, place: &Place<'_>) -> Result<Option<Cow<'a, str>>, Reject> {
        let mut found: Option<(Key, Cow<'a, str>)> = None;
        for key in [Key::ReasoningContent, Key::Reasoning, Key::Thinking, Key::Thought, Key::ReasoningText] {
            let Some(raw) = self.known[key as usize].filter(|raw| raw.get() != "null") else { continue };
            match (string(raw), &found) {
                (None, _) if key == Key::ReasoningContent => {
                    return Err(place.wrong(name_of(key), format_args!("is not a string but {}", kind_of(raw.get()))));
                }
                (None, _) => self.leave(key),
                (Some(text), None) => found = Some((key, text)),
                (Some(text), Some((first, said))) if text != *said => {
                    return Err(place.conflict([name_of(*first), name_of(key)]));
                }
                (Some(_), Some(_)) => {}
            }
        }
        Ok(found.map(|(_, text)| text))
    }

    /// Returns what a key says that may have several spellings.
    fn one<T: PartialEq, const N: usize>(
        &mut self,
        place: &Place<'_>,
        keys: [Key; N],
        what: &str,
        read: impl Fn(&'a RawValue) -> Option<T>,
    ) -> Result<Option<T>, Reject> {
        let mut found: Option<(Key, T)> = None;
        for key in keys {
            let Some(raw) = self.take(key) else { continue };
            let is_not = || place.wrong(name_of(key), format_args!("is not {what} but {}", kind_of(raw.get())));
            let value = read(raw).ok_or_else(is_not)?;
            match &found {
                Some((first, said)) if *said != value => return Err(place.conflict([name_of(*first), name_of(key)])),
                _ => found = Some((key, value)),
            }
        }
        Ok(found.map(|(_, value)| value))
    }

    /// Returns all other keys that hold something.
    fn others(self, place: &Place<'_>) -> Result<Vec<(Cow<'a, str>, Json<'a>)>, Reject> {
        let there = self.other.into_iter().filter(|(_, value)| value.get() != "null");
        there
            .map(|(name, value)| Ok((beside::json(value.get(), || place.wrong(&name, "is not JSON"))?, name)))
            .map(|found| found.map(|(json, name)| (name, json)))
            .collect()
    }
}

/// Returns the key of this name; one that is spelled otherwise, as `toolCalls` and `Role` are, is the same key.
fn known_key(name: &str) -> Option<Key> {
    let exact = KEYS.iter().find(|(key, _)| *key == name);
    let is_odd = || name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b' ');
    let key = exact.or_else(|| is_odd().then(|| KEYS.iter().find(|(key, _)| is_called(name, key)))?);
    key.map(|(_, key)| *key)
}

fn name_of(key: Key) -> &'static str {
    KEYS[key as usize].0
}

/// Who speaks in a message.
#[derive(Clone, Copy)]
enum Speaker {
    Role(Role),
    /// The assistant, who calls a tool: the content is the call.
    Call,
}

/// Returns the role that a word of a source means.
pub(in crate::convert) fn role(word: &str, options: &Options) -> Option<Role> {
    match speaker(word, options) {
        Some(Speaker::Role(role)) => Some(role),
        _ => None,
    }
}

/// Returns why a word of a source means no role.
pub(in crate::convert) fn unknown_role(place: impl fmt::Display, word: &str) -> Reject {
    let is_plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let key = if is_plain { word.to_owned() } else { format!("{word:?}") };
    let word = word.escape_debug();
    let what = format!("is `{word}`, which is no known role; say which it is with `roles: {{{key}: …}}`");
    Reject::new(Reason::UnknownRole, format!("`{place}` {what}"))
}

/// Returns who a word of a source means.
fn speaker(word: &str, options: &Options) -> Option<Speaker> {
    if !options.roles.is_empty() {
        let given = options.roles.iter().find(|(known, _)| known.as_str() == word);
        let given = given.or_else(|| options.roles.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)));
        if let Some((_, role)) = given {
            return Some(Speaker::Role(*role));
        }
    }
    known(word).or_else(|| known(&word.trim().to_ascii_lowercase()))
}

/// Returns who a word means that is in wide use, in lower case.
fn known(word: &str) -> Option<Speaker> {
    Some(Speaker::Role(match word {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" | "human" | "prompter" | "usr" => Role::User,
        "assistant" | "gpt" | "model" | "bot" | "chatbot" | "ai" | "chatgpt" | "bing" => Role::Assistant,
        "tool" | "function" | "observation" | "tool_response" | "tool_result" | "tool_output" | "function_response"
        | "ipython" | "environment" => Role::Tool,
        "function_call" | "tool_call" => return Some(Speaker::Call),
        _ => return None,
    }))
}

/// Returns the text of a JSON string, borrowed where it stands in the source as it is.
pub(super) fn string(json: &RawValue) -> Option<Cow<'_, str>> {
    let json = json.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

fn number(json: &RawValue) -> Option<Json<'_>> {
    matches!(json.get().as_bytes().first(), Some(b'-' | b'0'..=b'9')).then(|| Json::new(json.get()))?
}

fn boolean(json: &RawValue) -> Option<bool> {
    match json.get() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
