//! Rows for verl, written from what its data code was seen to read (verl 0.9.1).
//!
//! It reads dialogues with pandas, which gives columns of JSON back as text: so their rows have typed columns alone. Messages have the
//! keys that any message of the recipe has; what is `null` in one is not there for its template. Prompts it reads with `datasets`, which
//! gives back the objects.

use super::{
    Shape, Unfit, Written, WrittenRow,
    chat::{Chat, Said},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    reward::{Reward, object_column, own_or_source, put_own, with_key},
    row_of,
    write::{Object, text_column},
};
use crate::{
    outputs::{Container, Side},
    sample::{Body, Features, Json, Quoted, SampleKind, SampleView},
};

/// Writes `{"messages":[…]}` for SFT, and for RL
/// `{"data_source":"…","prompt":[…],"ability":"…","reward_model":{"style":"rule","ground_truth":"…"},"extra_info":{"index":0}}`.
///
/// A row that has `data_source`, `ability`, `reward_model` or `extra_info` as verl reads them, keeps them, and so `agent_name`. Without
/// them, the first two are the name of the source; `index` is a part of the hash of the row, since verl tells rows apart by it.
#[derive(Debug)]
pub struct Verl;

const CHAT: Chat = Chat { other: false, ..Chat::USUAL };

const REWARD: Reward = Reward { column: "reward_model", how: "style" };

/// What it reads of dialogues.
const OF_CHATS: &[&str] = &["messages", "tools", "images", "videos", "audios", "enable_thinking"];

/// What it reads of prompts, and what its dataset, its trainer and its agents put in these places of a row.
const OF_PROMPTS: &[&str] = &[
    "data_source",
    "prompt",
    "ability",
    "reward_model",
    "extra_info",
    "agent_name",
    "images",
    "videos",
    "audios",
    "raw_prompt",
    "index",
    "tools_kwargs",
    "interaction_kwargs",
    "dummy_tensor",
    "uid",
    "session_id",
    "global_steps",
    "sampling_params",
    "trajectory",
    "trace",
    "reward_scores",
    "tool_extra_fields",
];

fn reserved(kind: SampleKind) -> &'static [&'static str] {
    if kind == SampleKind::Conversation { OF_CHATS } else { OF_PROMPTS }
}

impl Shape for Verl {
    fn name(&self) -> &'static str {
        "verl"
    }

    fn version(&self) -> u32 {
        4
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
        // A struct would give all rows the keys of each other, as `null`, and verl takes `tools_kwargs` that are `null` for a fault.
        let has_own = facts.has_column("extra_info");
        let extra = if has_own { Type::Json } else { Type::Struct(vec![("index", Type::Integer)]) };
        facts.with_kept(
            reserved(kind),
            [
                (is_chat, "messages", messages.clone()),
                (!is_chat, "data_source", Type::Text),
                (!is_chat, "prompt", messages),
                (!is_chat, "ability", Type::Text),
                (!is_chat, REWARD.column, REWARD.of(facts)),
                (!is_chat, "extra_info", extra),
                (!is_chat && facts.has_column(AGENT), AGENT, Type::Text),
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
                written.extend(own_or_source("data_source", sample, source, &mut row));
                row.with("prompt", |out| CHAT.messages(messages, out))?;
                written.extend(own_or_source("ability", sample, source, &mut row));
                REWARD.write(sample, &mut row)?;
                // A signed integer of 64 bits holds one bit less.
                let index = (row.hash() >> 1).to_string();
                let own = object_column(sample, "extra_info", Unfit("an `extra_info` that is no object"))?;
                row.named("extra_info", with_key(own.unwrap_or("{}"), "index", &index)?.as_bytes());
                written.extend([REWARD.column, "extra_info"]);
                if facts.has_column(AGENT) {
                    let name = text_column(sample, AGENT).ok_or(Unfit("no `agent_name`, which other rows have"))?;
                    row.string(AGENT, Some(name));
                    written.push(AGENT);
                }
            }
            _ => return Err(Unfit("samples of this kind")),
        }
        row.kept_but(&written, sample, source, facts, reserved(sample.kind()))?;
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
        let (reward, extra) = (fields.take(REWARD.column)?, fields.take("extra_info")?);
        let own = ["data_source", "ability"].map(|name| (name, fields.take(name)));
        let WrittenRow { mut sample, source } = fields.typed_row(Body::Prompt { messages })?;
        for (name, value) in own {
            put_own(name, &value?, source.as_deref(), &mut sample)?;
        }
        REWARD.read(&reward, &mut sample)?;
        // What the shape adds itself is none of the row's.
        let (extra, written) = (Json::of(&extra)?, row_of(self, &sample, source.as_deref().unwrap_or_default()).ok()?);
        if Json::of(&Fields::of(&written)?.take("extra_info")?)? != extra {
            sample.columns.push(("extra_info".into(), extra));
        }
        Some(WrittenRow { sample, source })
    }
}

/// The column that chooses which loop of tools and turns a prompt is given to.
const AGENT: &str = "agent_name";

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
