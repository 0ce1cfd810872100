//! Rows for ms-swift, written from what its data code was seen to read (ms-swift 4.6.0).
//!
//! Of a message it keeps `role`, `content` and `loss` alone, so reasoning and tool calls stand in contents, in its own forms.

use serde_json::value::RawValue;

use super::{
    Shape, Unfit, Written, WrittenRow,
    chat::{Said, arguments_object, quoted, results_in_order, text_of, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::Object,
};
use crate::{
    outputs::{Container, Side},
    row::Value,
    sample::{Arguments, Body, Features, Json, Message, MessageExtras, Quoted, Role, SampleKind, SampleView, ToolCall},
};

/// Writes `{"messages":[…],"tools":"…"}`; preferences have the other dialogue as `rejected_messages`, labelled dialogues `label`,
/// prompts their answer as `solution`. A text is one message of the assistant.
#[derive(Debug)]
pub struct Swift;

/// What it calls a call, and the result of one. Each is a message.
const CALL: &str = "tool_call";
const RESULT: &str = "tool_response";

const RESERVED: &[&str] = &[
    "messages",
    "rejected_messages",
    "rejected_response",
    "positive_messages",
    "negative_messages",
    "tools",
    "images",
    "videos",
    "audios",
    "objects",
    "label",
    "channel",
    "margin",
    "solution",
    "chat_template_kwargs",
    "system",
    "history",
    "conversation",
    "conversations",
];

impl Shape for Swift {
    fn name(&self) -> &'static str {
        "swift"
    }

    fn version(&self) -> u32 {
        3
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Preference, SampleKind::Labelled, SampleKind::Prompt, SampleKind::Text]
    }

    fn container(&self) -> Container {
        // `datasets` fixes the types of JSON lines by their first 10 MiB: keys that come later would end the run.
        Container::Parquet
    }

    fn containers(&self) -> Vec<Container> {
        vec![Container::Parquet, Container::Jsonl]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (messages, has) = (Type::Json.list(), |features| facts.some.has(features));
        let is = |one: SampleKind| kind == one;
        facts.with_kept(
            RESERVED,
            [
                (true, "messages", messages.clone()),
                (is(SampleKind::Preference), "rejected_messages", messages),
                (has(Features::TOOLS), "tools", Type::Text),
                (is(SampleKind::Labelled), "label", Type::Bool),
                (is(SampleKind::Preference) && has(Features::MARGIN), "margin", Type::Number),
                (is(SampleKind::Prompt) && has(Features::ANSWER), "solution", Type::Text),
            ],
        )
    }

    fn write(
        &self,
        sample: &SampleView<'_>,
        source: Quoted<'_>,
        facts: &Facts,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        if sample.kind() == SampleKind::Labelled && sample.label.is_none() {
            return Err(Unfit("an answer without its label"));
        }
        let kind = sample.kind();
        if sample.label.is_some() && kind != SampleKind::Labelled {
            return Err(Unfit("a label"));
        }
        let mut row = Object::begin(out);
        match &sample.body {
            Body::Conversation { messages } | Body::Labelled { messages } | Body::Prompt { messages } => {
                row.with("messages", |out| dialogue(messages, out))?;
            }
            Body::Preference { prompt, ranked } => {
                let [chosen, rejected] = &ranked[..] else { return Err(Unfit("more than two answers")) };
                row.with("messages", |out| dialogue(&[prompt, &chosen[..]].concat(), out))?;
                row.with("rejected_messages", |out| dialogue(&[prompt, &rejected[..]].concat(), out))?;
            }
            Body::Text { text } => row.with("messages", |out| {
                out.extend_from_slice(b"[{\"role\":\"assistant\",\"content\":");
                out.extend_from_slice(text.with_quotes());
                out.extend_from_slice(b"}]");
                Ok::<_, Unfit>(())
            })?,
            Body::Stepwise { .. } => return Err(Unfit("samples of this kind")),
        }
        if facts.some.has(Features::TOOLS) {
            let tools = wrapped_tools(sample.tools.as_ref())?.map(|tools| quoted(&tools));
            row.or_null("tools", tools.as_deref());
        }
        if kind == SampleKind::Labelled {
            row.boolean("label", sample.label);
        }
        if kind == SampleKind::Preference && facts.some.has(Features::MARGIN) {
            row.or_null("margin", sample.margin.as_ref().map(|margin| margin.as_str().as_bytes()));
        }
        if kind == SampleKind::Prompt && facts.some.has(Features::ANSWER) {
            row.or_null("solution", sample.answer.map(Quoted::with_quotes));
        }
        row.kept(sample, source, facts, RESERVED)?;
        row.end();
        Ok(())
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        let mut text = String::from(
            "# Arguments of `swift sft`, `swift pt` and `swift rlhf`. Paths are those of this folder: put it before them.\n",
        );
        for (side, names) in written.files {
            match side {
                Side::Train => text.push_str(&format!("--dataset {}\n", names.join(" "))),
                Side::Validation => text.push_str(&format!("--val_dataset {}\n", names.join(" "))),
                Side::Test => {}
            }
        }
        text.push_str(
            "# The rows are divided and in order already.\n--split_dataset_ratio 0\n--dataset_shuffle false\n",
        );
        vec![("swift.args", text)]
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        let messages = read_dialogue(&fields.take("messages")?)?;
        let answer = fields.text("solution");
        let body = match fields.take("rejected_messages") {
            Some(rejected) => read::preference(vec![messages, read_dialogue(&rejected)?])?,
            None if fields.has("label", |_| true) => Body::Labelled { messages },
            None => match &messages[..] {
                // Only prompts have answers beside them.
                _ if answer.is_some() => Body::Prompt { messages },
                [one] if one.role == Role::Assistant => Body::Text { text: one.text().to_owned().into() },
                [.., last] if last.role == Role::Assistant => Body::Conversation { messages },
                _ => Body::Prompt { messages },
            },
        };
        fields.take_null("solution");
        let mut row = fields.typed_row(body)?;
        row.sample.answer = answer;
        Some(row)
    }
}

/// Writes a dialogue. It joins questions that follow each other, and puts an empty question before a first answer.
fn dialogue(messages: &[Said<'_>], out: &mut Vec<u8>) -> Result<(), Unfit> {
    let spoken: Vec<Role> = messages.iter().map(|message| message.role).collect();
    let begins = spoken.iter().position(|role| *role != Role::System).unwrap_or(spoken.len());
    if begins > 1 || spoken[begins..].contains(&Role::System) {
        return Err(Unfit("a system message after the first message"));
    }
    if spoken.get(begins) != Some(&Role::User) {
        return Err(Unfit("a dialogue that does not begin with a question"));
    }
    if spoken.windows(2).any(|pair| pair[0] == pair[1] && pair[0] != Role::Tool) {
        return Err(Unfit("two turns of one role in a row, which it joins"));
    }
    if spoken.windows(2).any(|pair| pair == [Role::Tool, Role::User]) {
        return Err(Unfit("a question after the result of a tool"));
    }
    results_in_order(messages)?;
    out.push(b'[');
    for (number, message) in messages.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        self::message(message, out)?;
    }
    out.push(b']');
    Ok(())
}

fn message(message: &Said<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let role = match message.role {
        Role::Developer => return Err(Unfit("the role `developer`")),
        Role::Tool => RESULT,
        role => role.name(),
    };
    let mut text = text_of(message)?;
    let Some(extras) = message.extras.as_deref() else {
        write(role, &text, None, out);
        return Ok(());
    };
    let MessageExtras { reasoning, tool_calls, tool_call_id: _, name, weight, train, other } = extras;
    if name.is_some() && message.role != Role::Tool {
        return Err(Unfit("the name of who speaks"));
    }
    if !other.is_empty() {
        return Err(Unfit("other keys of a message"));
    }
    let loss = match weight.as_ref().map(|weight| weight.as_str().parse::<f64>()) {
        None => *train,
        Some(Ok(0.0)) if *train != Some(true) => Some(false),
        Some(Ok(1.0)) if *train != Some(false) => Some(true),
        Some(_) => return Err(Unfit("weights of messages other than 0 and 1")),
    };
    if loss.is_some() && message.role != Role::Assistant && loss != Some(false) {
        return Err(Unfit("whether a message is trained on, but for answers"));
    }
    let loss = loss.filter(|_| message.role == Role::Assistant);
    if let Some(reasoning) = reasoning {
        text = format!("<think>\n{}\n</think>\n\n{text}", reasoning.unescape().unwrap_or_default());
    }
    let calls = tool_calls.as_deref().unwrap_or_default();
    if calls.is_empty() || !text.is_empty() {
        write(role, &text, loss, out);
    }
    for (number, call) in calls.iter().enumerate() {
        if number > 0 || !text.is_empty() {
            out.push(b',');
        }
        write(CALL, &call_text(call)?, loss, out);
    }
    Ok(())
}

fn write(role: &str, text: &str, loss: Option<bool>, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.named("role", &quoted(role));
    object.named("content", &quoted(text));
    object.boolean("loss", loss);
    object.end();
}

fn call_text(call: &ToolCall<'_, Quoted<'_>>) -> Result<String, Unfit> {
    if !call.other.is_empty() {
        return Err(Unfit("other keys of a tool call"));
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.string("name", Some(call.name));
    object.named("arguments", &arguments_object(call.arguments.as_ref())?);
    object.end();
    String::from_utf8(out).map_err(|_| Unfit("content that is not text"))
}

fn read_dialogue(value: &Value<'_>) -> Option<Vec<Message<'static>>> {
    let mut messages: Vec<Message<'static>> = Vec::new();
    let mut was_call = false;
    for mut fields in read::objects(value)? {
        let (role, mut text, train) = (fields.string("role")?, fields.string("content")?, fields.boolean("loss"));
        let is_call = role == CALL;
        if is_call {
            let call = call(&text)?;
            // Calls belong to the answer before them.
            let goes_on = was_call || messages.last().is_some_and(|last| last.role == Role::Assistant);
            if !goes_on {
                let extras = MessageExtras { train, ..MessageExtras::default() };
                messages.push(Message { extras: Some(Box::new(extras)), ..Message::new(Role::Assistant, "") });
            }
            let extras = messages.last_mut()?.extras.get_or_insert_default();
            extras.tool_calls.get_or_insert_default().push(call);
        } else {
            let role =
                if role == RESULT { Role::Tool } else { Role::ALL.into_iter().find(|known| known.name() == role)? };
            let mut extras = MessageExtras { train, ..MessageExtras::default() };
            if role == Role::Assistant
                && let Some((reasoning, after)) =
                    text.strip_prefix("<think>\n").and_then(|rest| rest.split_once("\n</think>\n\n"))
            {
                (extras.reasoning, text) = (Some(reasoning.to_owned().into()), after.to_owned());
            }
            let extras = (extras != MessageExtras::default()).then(|| Box::new(extras));
            messages.push(Message { extras, ..Message::new(role, text) });
        }
        was_call = is_call;
    }
    Some(messages)
}

fn call(text: &str) -> Option<ToolCall<'static>> {
    let item: &RawValue = serde_json::from_str(text).ok()?;
    let mut fields = Fields::nested(&Value::Json(item.get().into()))?;
    let Value::Json(arguments) = fields.take("arguments")? else { return None };
    let arguments = Some(Arguments::Json(Json::new(&arguments)?));
    Some(ToolCall { id: None, kind: Some("function".into()), name: fields.text("name")?, arguments, other: Vec::new() })
}
