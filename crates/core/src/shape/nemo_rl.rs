//! Rows for NeMo-RL, written from the source of its data code (read and not run: its package on PyPI is empty). What its
//! configuration calls them changes from version to version, so nothing stands beside them.

use super::{
    Shape, Unfit, WrittenRow,
    chat::{ArgumentsAs, Chat, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::{Object, list},
};
use crate::{
    outputs::Container,
    sample::{Body, Features, Quoted, Role, SampleKind, SampleView},
};

/// Writes `{"messages":[…],"tools":[…]}` for SFT, and preferences as
/// `{"context":[…],"completions":[{"rank":0,"completion":[…]},{"rank":1,"completion":[…]}]}`.
#[derive(Debug)]
pub struct NemoRl;

const CHAT: Chat = Chat { arguments: ArgumentsAs::Object, ..Chat::USUAL };

/// Columns that it reads or makes itself.
const RESERVED: &[&str] = &["messages", "context", "completions", "tools", "message_loss_mask", "task_name"];

impl Shape for NemoRl {
    fn name(&self) -> &'static str {
        "nemo-rl"
    }

    fn version(&self) -> u32 {
        3
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Preference]
    }

    fn containers(&self) -> Vec<Container> {
        vec![Container::Jsonl]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let is_chat = kind == SampleKind::Conversation;
        facts.with_kept(
            RESERVED,
            [
                (is_chat, "messages", facts.messages()),
                (!is_chat, "context", facts.messages()),
                (!is_chat, "completions", Type::Json.list()),
                (is_chat && facts.some.has(Features::TOOLS), "tools", Type::Json.list()),
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
        let mut row = Object::begin(out);
        match &sample.body {
            Body::Conversation { messages } => {
                // Anything else ends its run.
                if messages.last().is_none_or(|last| last.role != Role::Assistant) {
                    return Err(Unfit("a dialogue that does not end with an answer"));
                }
                row.with("messages", |out| CHAT.messages(messages, out))?;
            }
            Body::Preference { prompt, ranked } => {
                if ranked.len() != 2 {
                    return Err(Unfit("more than two answers"));
                }
                if sample.tools.as_ref().is_some_and(|tools| !matches!(tools.as_str(), "[]" | "null")) {
                    return Err(Unfit("tools of a preference, which it does not render"));
                }
                // Only the last message of a side counts in its loss.
                if ranked.iter().any(|answer| answer.len() != 1) {
                    return Err(Unfit("sides of a preference that are more than one answer"));
                }
                row.with("context", |out| CHAT.messages(prompt, out))?;
                row.with("completions", |out| {
                    let mut rank = 0;
                    list(ranked, out, |answer, out| {
                        let mut completion = Object::begin(out);
                        completion.named("rank", rank.to_string().as_bytes());
                        completion.with("completion", |out| CHAT.continued(answer, out))?;
                        completion.end();
                        rank += 1;
                        Ok(())
                    })
                })?;
            }
            _ => return Err(Unfit("samples of this kind")),
        }
        if sample.kind() == SampleKind::Conversation && facts.some.has(Features::TOOLS) {
            let tools = wrapped_tools(sample.tools.as_ref())?;
            row.or_null("tools", tools.as_ref().map(|tools| tools.as_bytes()));
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
        let prompt = read::messages(&fields.take("context")?)?;
        let answer = |mut fields: Fields| read::messages(&fields.take("completion")?);
        let ranked = read::objects(&fields.take("completions")?)?.into_iter().map(answer).collect::<Option<_>>()?;
        fields.typed_row(Body::Preference { prompt, ranked })
    }
}
