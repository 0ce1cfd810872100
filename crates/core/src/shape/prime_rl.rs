//! Rows for prime-rl's SFT, written from the source of its data code (commit 58813604, read and not run).

use super::{
    Shape, Unfit, WrittenRow,
    chat::{Chat, quoted, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::Object,
};
use crate::{
    outputs::Container,
    sample::{Body, Features, Quoted, SampleKind, SampleView},
};

/// Writes `{"messages":[…],"tools":"…"}`. Its environments for RL are programs that bring their own rows.
#[derive(Debug)]
pub struct PrimeRl;

/// Columns that it reads or adds.
const RESERVED: &[&str] = &["messages", "tools", "tool_defs", "prompt", "completion", "__subset", "__split", "__index"];

/// It parses arguments that are text, and takes nulls out of everything but them.
const CHAT: Chat = Chat::USUAL;

impl Shape for PrimeRl {
    fn name(&self) -> &'static str {
        "prime-rl"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation]
    }

    fn container(&self) -> Container {
        Container::Parquet
    }

    fn columns(&self, _: SampleKind, facts: &Facts) -> Vec<Column> {
        facts.with_kept(
            RESERVED,
            [(true, "messages", facts.messages()), (facts.some.has(Features::TOOLS), "tools", Type::Text)],
        )
    }

    fn write(
        &self,
        sample: &SampleView<'_>,
        source: Quoted<'_>,
        facts: &Facts,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        let Body::Conversation { messages } = &sample.body else { return Err(Unfit("samples of this kind")) };
        if sample.label.is_some() || sample.margin.is_some() {
            return Err(Unfit("a label or a margin"));
        }
        let mut row = Object::begin(out);
        row.with("messages", |out| CHAT.messages(messages, out))?;
        if facts.some.has(Features::TOOLS) {
            let tools = wrapped_tools(sample.tools.as_ref())?.map(|tools| quoted(&tools));
            row.or_null("tools", tools.as_deref());
        }
        row.kept(sample, source, facts, RESERVED)?;
        row.end();
        Ok(())
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        let messages = read::messages(&fields.take("messages")?)?;
        fields.typed_row(Body::Conversation { messages })
    }
}
