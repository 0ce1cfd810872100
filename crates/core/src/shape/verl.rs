//! Rows for verl, written from what its data code was seen to read (verl 0.9.1).
//!
//! It reads Parquet with pandas, which gives columns of JSON back as text: so its rows have typed columns alone. Messages have the
//! keys that any message of the recipe has; what is `null` in one is not there for its template.

use super::{
    Shape, Unfit, Written, WrittenRow,
    chat::{Chat, Said},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::{Object, text_column},
};
use crate::{
    outputs::{Container, Side},
    row::Value,
    sample::{Body, Features, Json, Quoted, SampleKind, SampleView},
};

/// Writes `{"messages":[…]}` for SFT, and for RL
/// `{"data_source":"…","prompt":[…],"ability":"…","reward_model":{"style":"rule","ground_truth":"…"},"extra_info":{"index":0}}`.
///
/// `data_source` and `ability` are the row's own columns, which `rlvr` keeps, or else the name of the source; `index` is a part of the hash of the row, since verl tells rows apart
/// by it.
#[derive(Debug)]
pub struct Verl;

const CHAT: Chat = Chat { other: false, ..Chat::USUAL };

const RESERVED: &[&str] = &[
    "messages",
    "tools",
    "images",
    "videos",
    "enable_thinking",
    "data_source",
    "prompt",
    "ability",
    "reward_model",
    "extra_info",
    "raw_prompt",
    "index",
    "agent_name",
];

impl Shape for Verl {
    fn name(&self) -> &'static str {
        "verl"
    }

    fn version(&self) -> u32 {
        3
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Prompt]
    }

    fn container(&self) -> Container {
        Container::Parquet
    }

    fn containers(&self) -> Vec<Container> {
        vec![Container::Parquet]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (is_chat, messages) = (kind == SampleKind::Conversation, messages(facts));
        let reward = Type::Struct(vec![("style", Type::Text), ("ground_truth", Type::Text)]);
        facts.with_kept(
            RESERVED,
            [
                (is_chat, "messages", messages.clone()),
                (!is_chat, "data_source", Type::Text),
                (!is_chat, "prompt", messages),
                (!is_chat, "ability", Type::Text),
                (!is_chat, "reward_model", reward),
                (!is_chat, "extra_info", Type::Struct(vec![("index", Type::Integer)])),
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
        if sample.label.is_some() || sample.margin.is_some() {
            return Err(Unfit("a label or a margin"));
        }
        if sample.tools.as_ref().is_some_and(|tools| !matches!(tools.as_str(), "[]" | "null")) {
            return Err(Unfit("tools"));
        }
        if let Body::Conversation { messages } | Body::Prompt { messages } = &sample.body
            && messages.iter().any(has_calls)
        {
            return Err(Unfit("calls of tools, whose arguments templates would get as text"));
        }
        let mut row = Object::begin(out);
        let mut written: Vec<&str> = Vec::new();
        match &sample.body {
            Body::Conversation { messages } => row.with("messages", |out| CHAT.messages(messages, out))?,
            Body::Prompt { messages } => {
                let Some(answer) = sample.answer else { return Err(Unfit("a prompt without an answer")) };
                let mut own = |name: &'static str| {
                    let text = text_column(sample, name);
                    written.extend(text.map(|_| name));
                    text.unwrap_or(source)
                };
                row.string("data_source", Some(own("data_source")));
                row.with("prompt", |out| CHAT.messages(messages, out))?;
                row.string("ability", Some(own("ability")));
                row.with("reward_model", |out| {
                    let mut reward = Object::begin(out);
                    reward.named("style", b"\"rule\"");
                    reward.string("ground_truth", Some(answer));
                    reward.end();
                    Ok::<_, Unfit>(())
                })?;
                // A signed integer of 64 bits holds one bit less.
                let index = row.hash() >> 1;
                row.named("extra_info", format!("{{\"index\":{index}}}").as_bytes());
            }
            _ => return Err(Unfit("samples of this kind")),
        }
        row.kept_but(&written, sample, source, facts, RESERVED)?;
        row.end();
        Ok(())
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        let mut text = String::from("# Arguments of verl. Paths are those of this folder: put it before them.\n");
        for (side, names) in written.files {
            let list = names.join(",");
            match side {
                Side::Train => text.push_str(&format!("data.train_files=[{list}]\n")),
                Side::Validation => text.push_str(&format!("data.val_files=[{list}]\n")),
                Side::Test => {}
            }
        }
        text.push_str(match written.kind {
            SampleKind::Prompt => "data.prompt_key=prompt\ndata.reward_fn_key=data_source\n",
            _ => "data.messages_key=messages\n",
        });
        vec![("verl.args", text)]
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        if fields.has("messages", |_| true) {
            let messages = read::messages(&fields.take("messages")?)?;
            return fields.typed_row(Body::Conversation { messages });
        }
        let messages = read::messages(&fields.take("prompt")?)?;
        let answer = Fields::nested(&fields.take("reward_model")?)?.text("ground_truth");
        fields.take("extra_info")?;
        let own = ["data_source", "ability"].map(|name| (name, fields.take(name)));
        let mut row = fields.typed_row(Body::Prompt { messages })?;
        for (name, value) in own {
            let value = value?;
            if !matches!(&value, Value::String(text) if row.source.as_deref() == Some(text)) {
                row.sample.columns.push((name.into(), Json::of(&value)?));
            }
        }
        row.sample.answer = answer;
        Some(row)
    }
}

fn has_calls(message: &Said<'_>) -> bool {
    let calls = message.extras.as_ref().and_then(|extras| extras.tool_calls.as_deref());
    calls.is_some_and(|calls| !calls.is_empty())
}

/// The type of messages, with the keys that some of them have.
fn messages(facts: &Facts) -> Type {
    let keys = [
        (true, "role", Type::Text),
        (true, "content", Type::Text),
        (facts.some.has(Features::REASONING), "reasoning_content", Type::Text),
        (facts.some.has(Features::RESULTS), "tool_call_id", Type::Text),
        (facts.some.has(Features::NAMES), "name", Type::Text),
    ];
    Type::Struct(keys.into_iter().filter(|(is_there, ..)| *is_there).map(|(_, name, of)| (name, of)).collect()).list()
}
