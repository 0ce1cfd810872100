//! Rows for SkyRL, written from what its data code was seen to read (SkyRL 0.4.0).

use super::{
    Shape, Unfit, WrittenRow,
    chat::{Chat, quoted, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    reward::{Reward, own_or_source, put_own},
    write::Object,
};
use crate::{
    outputs::Container,
    sample::{Body, Features, Quoted, Role, SampleKind, SampleView},
};

/// Writes `{"messages":[…],"tools":"…"}` for SFT, and for RL
/// `{"data_source":"…","prompt":[…],"env_class":"…","reward_spec":{"method":"rule","ground_truth":"…"}}`.
///
/// A row that has `data_source`, `env_class` or `reward_spec` as SkyRL reads them, keeps them. Without them, the first two are the name of
/// the source: the environment is chosen by it.
#[derive(Debug)]
pub struct SkyRl;

const REWARD: Reward = Reward { column: "reward_spec", how: "method" };

fn reserved(kind: SampleKind) -> &'static [&'static str] {
    if kind == SampleKind::Conversation {
        &["messages", "tools", "system"]
    } else {
        &["data_source", "prompt", "env_class", "reward_spec", "tools"]
    }
}

/// It parses arguments that are text.
const CHAT: Chat = Chat { late_system: false, ..Chat::USUAL };

impl Shape for SkyRl {
    fn name(&self) -> &'static str {
        "skyrl"
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
        vec![Container::Parquet, Container::Jsonl]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (is_chat, has) = (kind == SampleKind::Conversation, |features| facts.some.has(features));
        facts.with_kept(
            reserved(kind),
            [
                (is_chat, "messages", facts.messages()),
                (is_chat && has(Features::TOOLS), "tools", Type::Text),
                (!is_chat, "data_source", Type::Text),
                (!is_chat, "prompt", facts.messages()),
                (!is_chat, "env_class", Type::Text),
                (!is_chat, REWARD.column, REWARD.of(facts)),
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
        let tools = wrapped_tools(sample.tools.as_ref())?;
        let mut row = Object::begin(out);
        let mut written: Vec<&str> = Vec::new();
        match &sample.body {
            Body::Conversation { messages } => {
                // It cuts results of tools at the end, and leaves out what does not end with an answer.
                if messages.last().is_none_or(|last| last.role != Role::Assistant) {
                    return Err(Unfit("a dialogue that does not end with an answer"));
                }
                row.with("messages", |out| CHAT.messages(messages, out))?;
                if facts.some.has(Features::TOOLS) {
                    row.or_null("tools", tools.map(|tools| quoted(&tools)).as_deref());
                }
            }
            Body::Prompt { messages } => {
                if tools.is_some() {
                    return Err(Unfit("tools of a prompt"));
                }
                written.extend(own_or_source("data_source", sample, source, &mut row));
                row.with("prompt", |out| CHAT.messages(messages, out))?;
                written.extend(own_or_source("env_class", sample, source, &mut row));
                REWARD.write(sample, &mut row)?;
                written.push(REWARD.column);
            }
            _ => return Err(Unfit("samples of this kind")),
        }
        row.kept_but(&written, sample, source, facts, reserved(sample.kind()))?;
        row.end();
        Ok(())
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        if fields.has("messages", |_| true) {
            let messages = read::messages(&fields.take("messages")?)?;
            return fields.typed_row(Body::Conversation { messages });
        }
        let messages = read::messages(&fields.take("prompt")?)?;
        let reward = fields.take(REWARD.column)?;
        let own = ["data_source", "env_class"].map(|name| (name, fields.take(name)));
        let WrittenRow { mut sample, source } = fields.typed_row(Body::Prompt { messages })?;
        for (name, value) in own {
            put_own(name, &value?, source.as_deref(), &mut sample)?;
        }
        REWARD.read(&reward, &mut sample)?;
        Some(WrittenRow { sample, source })
    }
}
