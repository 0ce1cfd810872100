//! Rows for SkyRL, written from the source of its data code (SkyRL 0.4.0, read and not run).

use super::{
    Shape, Unfit, WrittenRow,
    chat::{Chat, quoted, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::Object,
};
use crate::{
    outputs::Container,
    sample::{Body, Features, Quoted, Role, SampleKind, SampleView},
};

/// Writes `{"messages":[…],"tools":"…"}` for SFT, and for RL
/// `{"data_source":"…","prompt":[…],"env_class":"…","reward_spec":{"method":"rule","ground_truth":"…"}}`.
///
/// `data_source` and `env_class` are the name of the source: the environment is chosen by it.
#[derive(Debug)]
pub struct SkyRl;

const RESERVED: &[&str] = &["messages", "tools", "system", "data_source", "prompt", "env_class", "reward_spec"];

/// It parses arguments that are text.
const CHAT: Chat = Chat { late_system: false, ..Chat::USUAL };

impl Shape for SkyRl {
    fn name(&self) -> &'static str {
        "skyrl"
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
        vec![Container::Parquet, Container::Jsonl]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (is_chat, has) = (kind == SampleKind::Conversation, |features| facts.some.has(features));
        let reward = Type::Struct(vec![("method", Type::Text), ("ground_truth", Type::Text)]);
        facts.with_kept(
            RESERVED,
            [
                (is_chat, "messages", facts.messages()),
                (is_chat && has(Features::TOOLS), "tools", Type::Text),
                (!is_chat, "data_source", Type::Text),
                (!is_chat, "prompt", facts.messages()),
                (!is_chat, "env_class", Type::Text),
                (!is_chat, "reward_spec", reward),
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
                let Some(answer) = sample.answer else { return Err(Unfit("a prompt without an answer")) };
                if tools.is_some() {
                    return Err(Unfit("tools of a prompt"));
                }
                row.string("data_source", Some(source));
                row.with("prompt", |out| CHAT.messages(messages, out))?;
                row.string("env_class", Some(source));
                row.with("reward_spec", |out| {
                    let mut reward = Object::begin(out);
                    reward.named("method", b"\"rule\"");
                    reward.string("ground_truth", Some(answer));
                    reward.end();
                    Ok::<_, Unfit>(())
                })?;
            }
            _ => return Err(Unfit("samples of this kind")),
        }
        row.kept(sample, source, facts, RESERVED)?;
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
        let answer = Fields::nested(&fields.take("reward_spec")?)?.text("ground_truth");
        for own in ["data_source", "env_class"] {
            fields.take(own)?;
        }
        let mut row = fields.typed_row(Body::Prompt { messages })?;
        row.sample.answer = answer;
        Some(row)
    }
}
