//! Rows for LLaMA-Factory, written from what its data code was seen to read (LLaMA-Factory 0.9.5).
//!
//! It drops a dialogue that does not alternate between what is said to the model and what the model says, with a line in its
//! log: results of several calls among them. Here such a dialogue does not fit. Reasoning and calls stand in the text of an answer, in the marks that it looks for.

use serde_json::value::RawValue;

use super::{
    Shape, Unfit, Written, WrittenRow,
    chat::{Said, arguments_object, quoted, results_in_order, text_of},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::{Object, list},
};
use crate::{
    outputs::Container,
    row::Value,
    sample::{Arguments, Body, Features, Json, Message, MessageExtras, Quoted, Role, SampleKind, SampleView, ToolCall},
};

/// Writes `{"conversations":[{"from":"human","value":"…"},{"from":"gpt","value":"…"}],"tools":"…"}`; preferences have `chosen` and
/// `rejected`, labelled dialogues `kto_tag`, texts are `{"text":"…"}`.
#[derive(Debug)]
pub struct LlamaFactory;

/// What it calls who speaks.
const NAMES: &[(Role, &str)] =
    &[(Role::User, "human"), (Role::Assistant, "gpt"), (Role::Tool, "observation"), (Role::System, "system")];

/// What it calls an answer that calls tools.
const CALLS: &str = "function_call";

const RESERVED: &[&str] =
    &["conversations", "chosen", "rejected", "kto_tag", "tools", "text", "system", "images", "videos", "audios"];

impl Shape for LlamaFactory {
    fn name(&self) -> &'static str {
        "llama-factory"
    }

    fn version(&self) -> u32 {
        3
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Preference, SampleKind::Labelled, SampleKind::Text]
    }

    fn containers(&self) -> Vec<Container> {
        vec![Container::Jsonl, Container::Parquet]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let turn = Type::Struct(vec![("from", Type::Text), ("value", Type::Text)]);
        let is = |one: SampleKind| kind == one;
        facts.with_kept(
            RESERVED,
            [
                (!is(SampleKind::Text), "conversations", turn.clone().list()),
                (is(SampleKind::Preference), "chosen", turn.clone()),
                (is(SampleKind::Preference), "rejected", turn),
                (is(SampleKind::Labelled), "kto_tag", Type::Bool),
                (facts.some.has(Features::TOOLS) && !is(SampleKind::Text), "tools", Type::Text),
                (is(SampleKind::Text), "text", Type::Text),
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
        if sample.margin.is_some() || (sample.label.is_some() && sample.kind() != SampleKind::Labelled) {
            return Err(Unfit("a label or a margin"));
        }
        let mut row = Object::begin(out);
        match &sample.body {
            Body::Conversation { messages } => {
                row.with("conversations", |out| dialogue(messages, Ends::Answer, out))?
            }
            Body::Labelled { messages } => {
                row.with("conversations", |out| dialogue(messages, Ends::Answer, out))?;
                row.boolean("kto_tag", sample.label);
            }
            Body::Preference { prompt, ranked } => {
                let [chosen, rejected] = &ranked[..] else { return Err(Unfit("more than two answers")) };
                row.with("conversations", |out| dialogue(prompt, Ends::Question, out))?;
                row.with("chosen", |out| side(chosen, out))?;
                row.with("rejected", |out| side(rejected, out))?;
            }
            Body::Text { text } => row.string("text", Some(*text)),
            _ => return Err(Unfit("samples of this kind")),
        }
        if facts.some.has(Features::TOOLS) && sample.kind() != SampleKind::Text {
            // It wraps what is not wrapped.
            let tools = sample.tools.as_ref().filter(|tools| !matches!(tools.as_str(), "[]" | "null"));
            row.named("tools", &tools.map_or_else(|| b"\"\"".to_vec(), |tools| quoted(tools.as_str())));
        }
        row.kept(sample, source, facts, RESERVED)?;
        row.end();
        Ok(())
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        if !fields.has("conversations", |_| true) {
            let text = fields.string("text")?.into();
            return fields.typed_row(Body::Text { text });
        }
        let turns = read::objects(&fields.take("conversations")?)?;
        let messages = turns.into_iter().map(said).collect::<Option<Vec<_>>>()?.concat();
        let mut side = |name| said(Fields::nested(&fields.take(name)?)?);
        let body = match (side("chosen"), side("rejected")) {
            (Some(chosen), Some(rejected)) => Body::Preference { prompt: messages, ranked: vec![chosen, rejected] },
            _ if fields.has("kto_tag", |_| true) => Body::Labelled { messages },
            _ => Body::Conversation { messages },
        };
        let label = fields.boolean("kto_tag");
        if fields.has("tools", |tools| matches!(tools, Value::String(text) if text.is_empty())) {
            fields.take("tools");
        }
        let mut row = fields.typed_row(body)?;
        row.sample.label = label;
        Some(row)
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        let mut columns = serde_json::Map::new();
        let mut column = |name: &str, of: &str| columns.insert(name.to_owned(), of.into());
        let is = |one: SampleKind| written.kind == one;
        column(
            if is(SampleKind::Text) { "prompt" } else { "messages" },
            if is(SampleKind::Text) { "text" } else { "conversations" },
        );
        if is(SampleKind::Preference) {
            column("chosen", "chosen");
            column("rejected", "rejected");
        }
        if is(SampleKind::Labelled) {
            column("kto_tag", "kto_tag");
        }
        if written.facts.some.has(Features::TOOLS) && !is(SampleKind::Text) {
            column("tools", "tools");
        }
        // It forgets the defaults of tags that are not named.
        let tags = serde_json::json!({
            "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
            "observation_tag": "observation", "function_tag": CALLS, "system_tag": "system",
        });
        let mut info = serde_json::Map::new();
        for (side, names) in written.files {
            for (number, name) in names.iter().enumerate() {
                let mut entry = serde_json::json!({ "file_name": name, "columns": columns });
                if !is(SampleKind::Text) {
                    entry["formatting"] = "sharegpt".into();
                    entry["tags"] = tags.clone();
                }
                if is(SampleKind::Preference) {
                    entry["ranking"] = true.into();
                }
                let part = if names.len() > 1 { format!("_{number}") } else { String::new() };
                info.insert(format!("{}_{}{part}", written.stem, side.word()), entry);
            }
        }
        let text = serde_json::to_string_pretty(&info).expect("a map is always JSON");
        vec![("dataset_info.json", text + "\n")]
    }
}

/// What a dialogue must end with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Answer,
    Question,
}

/// Writes a dialogue, whose turns must alternate.
fn dialogue(messages: &[Said<'_>], ends: Ends, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let is_system = |message: &Said<'_>| message.role == Role::System;
    let spoken = &messages[messages.iter().take(1).filter(|first| is_system(first)).count()..];
    if spoken.iter().any(is_system) {
        return Err(Unfit("a system message after the first message"));
    }
    let alternate = spoken.iter().enumerate().all(|(at, message)| (message.role == Role::Assistant) == (at % 2 == 1));
    if !alternate {
        return Err(Unfit("turns that do not alternate, which it drops"));
    }
    match (spoken.len().is_multiple_of(2), ends) {
        _ if spoken.is_empty() => Err(Unfit("an empty dialogue")),
        (false, Ends::Answer) => Err(Unfit("a dialogue that does not end with an answer")),
        (true, Ends::Question) => Err(Unfit("a prompt that ends with an answer")),
        _ => {
            results_in_order(messages)?;
            list(messages, out, turn)
        }
    }
}

/// Writes one side of a preference, which is one answer.
fn side(messages: &[Said<'_>], out: &mut Vec<u8>) -> Result<(), Unfit> {
    match messages {
        [one] if one.role == Role::Assistant => turn(one, out),
        _ => Err(Unfit("sides of a preference that are more than one answer")),
    }
}

/// Writes a message.
fn turn(message: &Said<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let Some((_, from)) = NAMES.iter().find(|(role, _)| *role == message.role) else {
        return Err(Unfit("the role `developer`"));
    };
    let mut value = text_of(message)?;
    if message.role == Role::User && value.contains("{{idx}}") {
        return Err(Unfit("`{{idx}}` in a question, which it replaces"));
    }
    let extras = message.extras.as_deref();
    let calls = extras.and_then(|extras| extras.tool_calls.as_deref()).unwrap_or_default();
    let reasoning = extras.and_then(|extras| extras.reasoning);
    if let Some(extras) = extras {
        held(message.role, extras)?;
    }
    if let Some(reasoning) = reasoning {
        let reasoning = reasoning.unescape().unwrap_or_default();
        value = format!("<think>\n{reasoning}\n</think>\n\n{value}");
    }
    if !calls.is_empty() {
        let calls = calls_text(calls)?;
        // It takes what stands between the first pair of marks for the calls.
        if [&value, &calls].iter().any(|text| text.contains("<tool_call>") || text.contains("</tool_call>")) {
            return Err(Unfit("`<tool_call>` in a text beside calls"));
        }
        value = if value.is_empty() { calls } else { format!("{value}<tool_call>{calls}</tool_call>") };
    }
    let mut object = Object::begin(out);
    object.named("from", &quoted(if calls.is_empty() { from } else { CALLS }));
    object.named("value", &quoted(&value));
    object.end();
    Ok(())
}

/// Checks that a message has nothing that it does not read. Ids and names only say which call a result is of; results stand in the
/// order of the calls.
fn held(role: Role, extras: &MessageExtras<'_, Quoted<'_>>) -> Result<(), Unfit> {
    let MessageExtras { reasoning: _, tool_calls: _, tool_call_id: _, name, weight, train, other } = extras;
    if name.is_some() && role != Role::Tool {
        return Err(Unfit("the name of who speaks"));
    }
    if weight.is_some() || train.is_some_and(|train| train != (role == Role::Assistant)) {
        return Err(Unfit("whether a message is trained on"));
    }
    if !other.is_empty() {
        return Err(Unfit("other keys of a message"));
    }
    Ok(())
}

/// Returns calls as the list that it parses, numbers as they were written.
fn calls_text(calls: &[ToolCall<'_, Quoted<'_>>]) -> Result<String, Unfit> {
    let mut out = Vec::new();
    list(calls, &mut out, |call, out| {
        if !call.other.is_empty() {
            return Err(Unfit("other keys of a tool call"));
        }
        let mut object = Object::begin(out);
        object.string("name", Some(call.name));
        object.named("arguments", &arguments_object(call.arguments.as_ref())?);
        object.end();
        Ok(())
    })?;
    String::from_utf8(out).map_err(|_| Unfit("content that is not text"))
}

/// Reads a turn; several results are several messages.
fn said(mut turn: Fields) -> Option<Vec<Message<'static>>> {
    let (from, mut value) = (turn.string("from")?, turn.string("value")?);
    let mut extras = MessageExtras::default();
    if (from == CALLS || from == "gpt")
        && let Some((reasoning, after)) =
            value.strip_prefix("<think>\n").and_then(|rest| rest.split_once("\n</think>\n\n"))
    {
        (extras.reasoning, value) = (Some(reasoning.to_owned().into()), after.to_owned());
    }
    if from == CALLS {
        let (text, calls) = match value.strip_suffix("</tool_call>").and_then(|rest| rest.rsplit_once("<tool_call>")) {
            Some((text, calls)) => (text.to_owned(), calls.to_owned()),
            None => (String::new(), value),
        };
        let items: Vec<&RawValue> = serde_json::from_str(&calls).ok()?;
        let call = |item: &&RawValue| {
            let mut fields = Fields::nested(&Value::Json(item.get().into()))?;
            let Value::Json(arguments) = fields.take("arguments")? else { return None };
            let arguments = Some(Arguments::Json(Json::new(&arguments)?));
            Some(ToolCall {
                id: None,
                kind: Some("function".into()),
                name: fields.text("name")?,
                arguments,
                other: Vec::new(),
            })
        };
        extras.tool_calls = Some(items.iter().map(call).collect::<Option<_>>()?);
        let message = Message::new(Role::Assistant, text);
        return Some(vec![Message { extras: Some(Box::new(extras)), ..message }]);
    }
    let (role, _) = NAMES.iter().find(|(_, name)| *name == from)?;
    let message = Message::new(*role, value);
    let has_extras = extras.reasoning.is_some();
    Some(vec![Message { extras: has_extras.then(|| Box::new(extras)), ..message }])
}
