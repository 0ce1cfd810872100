//! What shapes share to write messages as trainers read them: OpenAI's keys, with the differences between trainers as
//! settings.

use serde_json::value::RawValue;

use super::{
    Unfit,
    write::{Object, list},
};
use crate::sample::{Arguments, Content, Json, Message, MessageExtras, Quoted, Role, ToolCall};

/// A stored message.
pub(super) type Said<'b> = Message<'b, Quoted<'b>>;

/// Checks that results of tools stand in the order of their calls: where ids are not read, nothing else tells them apart.
pub(super) fn results_in_order(messages: &[Said<'_>]) -> Result<(), Unfit> {
    let (mut calls, mut results): (&[ToolCall<'_, Quoted<'_>>], usize) = (&[], 0);
    for message in messages {
        let extras = message.extras.as_deref();
        if message.role == Role::Tool {
            let id = extras.and_then(|extras| extras.tool_call_id);
            let called = id.and_then(|id| calls.iter().position(|call| call.id == Some(id)));
            if called.is_some_and(|called| called != results) {
                return Err(Unfit("results of tools in another order than their calls"));
            }
            results += 1;
        } else if let Some(called) = extras.and_then(|extras| extras.tool_calls.as_deref()) {
            (calls, results) = (called, 0);
        }
    }
    Ok(())
}

/// Other keys of messages by which some trainer leaves words out of the loss, and no other does.
const ABOUT_LOSS: &[&str] = &[
    "mask",
    "masked",
    "loss_mask",
    "mask_loss",
    "ignore_loss",
    "no_loss",
    "train_on",
    "train_on_turn",
    "train_detail",
    "is_trained",
];

/// How a trainer reads messages. What it does not read is [`Unfit`], never left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chat {
    /// The roles that it knows.
    pub(super) roles: &'static [Role],
    /// Whether a system message may stand behind other messages.
    pub(super) late_system: bool,
    /// How it reads the arguments of a tool call.
    pub(super) arguments: ArgumentsAs,
    /// Whether the content of a message that only calls tools is `null`, else an empty string.
    pub(super) null_content: bool,
    /// Whether it reads content in parts; if not, those of text alone are put together.
    pub(super) parts: bool,
    /// Whether it reads the reasoning of a message.
    pub(super) reasoning: bool,
    /// The key that says whether a message is trained on.
    pub(super) weight: WeightAs,
    /// Whether it reads the name of who speaks.
    pub(super) name: bool,
    /// Whether it reads the name of the tool in a result; if not, the shape sees to it that the call has that name.
    pub(super) tool_name: bool,
    /// Whether it passes all other keys on to the chat template.
    pub(super) other: bool,
}

/// How the arguments of a tool call are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArgumentsAs {
    /// As an object.
    Object,
    /// As a string that holds an object.
    Text,
}

/// How it is written whether a message is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WeightAs {
    /// It cannot be written.
    Never,
    /// As `weight`, 0 or 1.
    Weight,
    /// As a boolean of this name.
    Flag(&'static str),
}

impl Chat {
    /// What most trainers read; a shape names what its own does otherwise.
    pub(super) const USUAL: Self = Self {
        roles: &[Role::System, Role::User, Role::Assistant, Role::Tool],
        late_system: true,
        arguments: ArgumentsAs::Text,
        null_content: false,
        parts: false,
        reasoning: true,
        weight: WeightAs::Never,
        name: true,
        tool_name: true,
        other: true,
    };

    /// Writes a dialogue from its beginning.
    pub(super) fn messages(&self, messages: &[Said<'_>], out: &mut Vec<u8>) -> Result<(), Unfit> {
        let mut is_first = true;
        list(messages, out, |message, out| self.message(message, std::mem::take(&mut is_first), out))
    }

    /// Writes messages that follow others.
    pub(super) fn continued(&self, messages: &[Said<'_>], out: &mut Vec<u8>) -> Result<(), Unfit> {
        list(messages, out, |message, out| self.message(message, false, out))
    }

    /// Writes a message.
    pub(super) fn message(&self, message: &Said<'_>, is_first: bool, out: &mut Vec<u8>) -> Result<(), Unfit> {
        if !self.roles.contains(&message.role) {
            return Err(Unfit(match message.role {
                Role::Developer => "the role `developer`",
                Role::Tool => "results of tools",
                Role::System => "system messages",
                Role::User | Role::Assistant => "the role of a message",
            }));
        }
        if message.role == Role::System && !is_first && !self.late_system {
            return Err(Unfit("a system message after the first message"));
        }
        let mut object = Object::begin(out);
        object.named("role", &[b"\"", message.role.name().as_bytes(), b"\""].concat());
        let calls = message.extras.as_ref().and_then(|extras| extras.tool_calls.as_deref()).unwrap_or_default();
        match &message.content {
            Content::Text(text) => object.string("content", Some(*text)),
            Content::Parts(parts) if self.parts => object.json("content", Some(parts)),
            Content::Parts(parts) => object.named("content", &one_text(parts)?),
            Content::Null | Content::Absent if self.null_content && !calls.is_empty() => {
                object.named("content", b"null")
            }
            Content::Null | Content::Absent => object.named("content", b"\"\""),
        }
        if let Some(extras) = &message.extras {
            self.extras(message.role, extras, &mut object)?;
        }
        object.end();
        Ok(())
    }

    fn extras(&self, role: Role, extras: &MessageExtras<'_, Quoted<'_>>, object: &mut Object<'_>) -> Result<(), Unfit> {
        let MessageExtras { reasoning, tool_calls, tool_call_id, name, weight, train, other } = extras;
        if reasoning.is_some() && !self.reasoning {
            return Err(Unfit("the reasoning of a message"));
        }
        object.string("reasoning_content", *reasoning);
        if let Some(calls) = tool_calls.as_deref().filter(|calls| !calls.is_empty()) {
            object.try_list("tool_calls", calls, |call, out| self.call(call, out))?;
        }
        object.string("tool_call_id", *tool_call_id);
        if name.is_some() && !self.name {
            return Err(Unfit("the name of who speaks"));
        }
        object.string("name", name.filter(|_| self.tool_name || role != Role::Tool));
        self.weight(role, weight.as_ref(), *train, object)?;
        if other.iter().any(|(key, _)| ABOUT_LOSS.iter().any(|known| known.as_bytes() == key.inner())) {
            return Err(Unfit("whether a message is trained on"));
        }
        if !other.is_empty() && !self.other {
            return Err(Unfit("other keys of a message"));
        }
        if other.iter().any(|(_, value)| has_wide_number(value.as_str().as_bytes())) {
            return Err(Unfit("numbers in keys of a message that no 64 bits hold"));
        }
        other.iter().for_each(|(key, value)| object.other(key, value));
        Ok(())
    }

    /// Writes whether a message is trained on. That answers are, and other messages are not, is what all trainers do.
    fn weight(
        &self,
        role: Role,
        weight: Option<&Json<'_>>,
        train: Option<bool>,
        object: &mut Object<'_>,
    ) -> Result<(), Unfit> {
        let weight = match weight.map(|weight| weight.as_str().parse::<f64>()) {
            None => None,
            Some(Ok(0.0)) => Some(false),
            Some(Ok(1.0)) => Some(true),
            Some(_) => return Err(Unfit("weights of messages other than 0 and 1")),
        };
        let is_trained = match (weight, train) {
            (Some(weight), Some(train)) if weight != train => return Err(Unfit("a weight and a flag that differ")),
            (weight, train) => weight.or(train),
        };
        match (self.weight, is_trained) {
            (_, None) => {}
            (WeightAs::Never, Some(is_trained)) if is_trained == (role == Role::Assistant) => {}
            (WeightAs::Never, _) => return Err(Unfit("whether a message is trained on")),
            (WeightAs::Weight, Some(_)) if role != Role::Assistant => {
                if is_trained == Some(true) {
                    return Err(Unfit("whether a message is trained on, but for answers"));
                }
            }
            (WeightAs::Weight, Some(is_trained)) => object.named("weight", if is_trained { b"1" } else { b"0" }),
            (WeightAs::Flag(key), is_trained) => object.boolean(key, is_trained),
        }
        Ok(())
    }

    fn call(&self, call: &ToolCall<'_, Quoted<'_>>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let ToolCall { id, kind: _, name, arguments, other } = call;
        let mut object = Object::begin(out);
        object.string("id", *id);
        object.named("type", b"\"function\"");
        let mut function = Vec::new();
        let mut inner = Object::begin(&mut function);
        inner.string("name", Some(*name));
        inner.named("arguments", &self.arguments(arguments.as_ref())?);
        inner.end();
        object.named("function", &function);
        if !other.is_empty() && !self.other {
            return Err(Unfit("other keys of a tool call"));
        }
        other.iter().for_each(|(key, value)| object.other(key, value));
        object.end();
        Ok(())
    }

    fn arguments(&self, arguments: Option<&Arguments<'_, Quoted<'_>>>) -> Result<Vec<u8>, Unfit> {
        match (self.arguments, arguments) {
            (ArgumentsAs::Text, Some(Arguments::Text(text))) => Ok(text.with_quotes().to_vec()),
            (ArgumentsAs::Object, arguments) => {
                let object = arguments_object(arguments)?;
                if has_wide_number(&object) {
                    return Err(Unfit("numbers in arguments that no 64 bits hold"));
                }
                Ok(object)
            }
            (ArgumentsAs::Text, arguments) => {
                let object = arguments_object(arguments)?;
                Ok(quoted(std::str::from_utf8(&object).map_err(|_| NO_OBJECT)?))
            }
        }
    }
}

const NO_OBJECT: Unfit = Unfit("arguments of a tool call that are no JSON object");

/// Returns the arguments of a call as a JSON object, numbers as they were written.
pub(super) fn arguments_object(arguments: Option<&Arguments<'_, Quoted<'_>>>) -> Result<Vec<u8>, Unfit> {
    let object = match arguments {
        None => "{}".to_owned(),
        Some(Arguments::Json(json)) => json.as_str().to_owned(),
        Some(Arguments::Text(text)) => {
            let text = text.unescape().ok_or(NO_OBJECT)?;
            // An empty string is how some write that there are none.
            let text = if text.trim().is_empty() { "{}" } else { &*text };
            Json::new(text).ok_or(NO_OBJECT)?.as_str().to_owned()
        }
    };
    if object.starts_with('{') { Ok(object.into_bytes()) } else { Err(NO_OBJECT) }
}

/// Whether JSON has a number that no integer of 64 bits and no float holds. One of them makes `datasets` 5.2 give the keys of
/// all rows to each other.
pub(super) fn has_wide_number(json: &[u8]) -> bool {
    numbers(json).any(|number| match number.split(['.', 'e', 'E']).next() {
        Some(whole) if whole == number => number.parse::<i64>().is_err() && number.parse::<u64>().is_err(),
        Some(whole) => {
            let is_wide = whole.parse::<i64>().is_err() && whole.parse::<u64>().is_err();
            is_wide || !number.parse::<f64>().is_ok_and(f64::is_finite)
        }
        None => false,
    })
}

/// The numbers of valid JSON, as they are written.
fn numbers(json: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let at = rest.iter().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
            rest = &rest[at..];
            if rest[0] != b'"' {
                let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let end = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
                let (number, after) = rest.split_at(end);
                rest = after;
                return std::str::from_utf8(number).ok();
            }
            let mut end = 1;
            while let Some(found) = memchr::memchr2(b'"', b'\\', rest.get(end..)?) {
                end += found + 1;
                if rest[end - 1] == b'"' {
                    break;
                }
                end += 1;
            }
            rest = rest.get(end..)?;
        }
    })
}

/// Returns the text of a message.
pub(super) fn text_of(message: &Said<'_>) -> Result<String, Unfit> {
    const NO_TEXT: Unfit = Unfit("content that is not text");
    let unescaped = |text: Quoted<'_>| text.unescape().map(std::borrow::Cow::into_owned).ok_or(NO_TEXT);
    match &message.content {
        Content::Text(text) => unescaped(*text),
        Content::Parts(parts) => unescaped(Quoted::new(&one_text(parts)?).ok_or(NO_TEXT)?),
        Content::Null | Content::Absent => Ok(String::new()),
    }
}

/// Returns tools as the list of objects that chat templates expect, `{"type":"function","function":{…}}` each, or `None` if there
/// are none.
pub fn wrapped_tools(tools: Option<&Json<'_>>) -> Result<Option<String>, Unfit> {
    const NO_TOOLS: Unfit = Unfit("tools that are no list of objects");
    let Some(tools) = tools else { return Ok(None) };
    if tools.as_str() == "null" {
        return Ok(None);
    }
    let items: Vec<&RawValue> = serde_json::from_str(tools.as_str()).map_err(|_| NO_TOOLS)?;
    if items.is_empty() {
        return Ok(None);
    }
    let mut out = String::from("[");
    for (at, item) in items.iter().enumerate() {
        #[derive(serde::Deserialize)]
        struct Tool<'a> {
            #[serde(borrow)]
            function: Option<&'a RawValue>,
            #[serde(borrow)]
            name: Option<&'a RawValue>,
        }
        let tool: Tool<'_> = serde_json::from_str(item.get()).map_err(|_| NO_TOOLS)?;
        if at > 0 {
            out.push(',');
        }
        match (tool.function, tool.name) {
            (None, Some(_)) => out.extend(["{\"type\":\"function\",\"function\":", item.get(), "}"]),
            _ => out.push_str(item.get()),
        }
    }
    out.push(']');
    Ok(Some(out))
}

/// Returns a text as a JSON string.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    crate::row::write_string(text, &mut out);
    out
}

/// Returns parts that are all text as one JSON string, as templates that read parts put them together.
fn one_text(parts: &Json<'_>) -> Result<Vec<u8>, Unfit> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        #[serde(rename = "type")]
        kind: String,
        text: String,
    }
    let parts: Vec<Part> = serde_json::from_str(parts.as_str()).map_err(|_| Unfit("content that is not text"))?;
    if parts.iter().any(|part| part.kind != "text") {
        return Err(Unfit("content that is not text"));
    }
    Ok(quoted(&parts.iter().map(|part| part.text.as_str()).collect::<String>()))
}

/// Splits a dialogue into what stands before the last answer, and that answer.
pub(super) fn last_answer<'m, 'b>(messages: &'m [Said<'b>]) -> Result<(&'m [Said<'b>], &'m Said<'b>), Unfit> {
    match messages.split_last() {
        Some((last, before)) if last.role == Role::Assistant && !before.is_empty() => Ok((before, last)),
        _ => Err(Unfit("a dialogue that does not end with an answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_change_are_found() {
        for (json, is_wide) in [
            (r#"{"a":18446744073709551615,"b":[-9223372036854775808,0.30,1e300]}"#, false),
            (r#"{"a":18446744073709551616}"#, true),
            (r#"{"a":"18446744073709551616 \" 99999999999999999999","b":1}"#, false),
            (r#"{"a\\":[{"b":-9223372036854775809}]}"#, true),
            (r#"[1e400]"#, true),
            (r#"[100000000000000000000.5]"#, true),
            ("{}", false),
        ] {
            assert_eq!(has_wide_number(json.as_bytes()), is_wide, "{json}");
        }
    }
}
