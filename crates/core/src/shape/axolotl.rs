//! Rows for axolotl, written from what its data code was seen to read (axolotl 0.21.0).
//!
//! Arguments of calls and tools are JSON text: axolotl removes the nulls within objects, those that were meant, too. Its own cache
//! of prepared rows looks at the path and not at the bytes, so names of files hold a part of their digest.

use super::{
    Shape, Unfit, Written, WrittenRow,
    chat::{Chat, Said, WeightAs, quoted, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    trl::stepwise,
    write::Object,
};
use crate::{
    outputs::{Container, Side},
    sample::{Body, Features, Quoted, Role, SampleKind, SampleView},
};

/// Writes `{"messages":[…],"tools":"…"}` for `chat_template`, `{"messages":[…],"chosen":{…},"rejected":{…}}` for
/// `chat_template.default` of DPO, `{"prompt":"…","completions":["…"],"labels":[true]}` for `stepwise_supervised` and
/// `{"text":"…"}` for `completion`.
#[derive(Debug)]
pub struct Axolotl;

const CHAT: Chat = Chat { weight: WeightAs::Flag("train"), ..Chat::USUAL };

/// Columns that it reads or makes itself.
const RESERVED: &[&str] = &[
    "messages",
    "chosen",
    "rejected",
    "tools",
    "system",
    "prompt",
    "completions",
    "labels",
    "text",
    "input_ids",
    "attention_mask",
    "position_ids",
];

impl Shape for Axolotl {
    fn name(&self) -> &'static str {
        "axolotl"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Preference, SampleKind::Stepwise, SampleKind::Text]
    }

    fn container(&self) -> Container {
        // `datasets` fixes the types of JSON lines by their first 10 MiB: keys that come later would end the run.
        Container::Parquet
    }

    fn containers(&self) -> Vec<Container> {
        vec![Container::Parquet, Container::Jsonl, Container::JsonlZst]
    }

    fn has_digest_in_name(&self) -> bool {
        true
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (messages, is) = (facts.messages(), |kinds: &[SampleKind]| kinds.contains(&kind));
        facts.with_kept(
            RESERVED,
            [
                (is(&[SampleKind::Conversation, SampleKind::Preference]), "messages", messages),
                (is(&[SampleKind::Preference]), "chosen", Type::Json),
                (is(&[SampleKind::Preference]), "rejected", Type::Json),
                (is(&[SampleKind::Stepwise]), "prompt", Type::Text),
                (is(&[SampleKind::Stepwise]), "completions", Type::Text.list()),
                (is(&[SampleKind::Stepwise]), "labels", Type::Bool.list()),
                (is(&[SampleKind::Text]), "text", Type::Text),
                (facts.some.has(Features::TOOLS), "tools", Type::Text),
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
            Body::Conversation { messages } => row.with("messages", |out| CHAT.messages(messages, out))?,
            Body::Preference { prompt, ranked } => {
                let [chosen, rejected] = &ranked[..] else { return Err(Unfit("more than two answers")) };
                row.with("messages", |out| CHAT.messages(prompt, out))?;
                row.with("chosen", |out| answer(chosen, out))?;
                row.with("rejected", |out| answer(rejected, out))?;
            }
            Body::Stepwise { prompt, steps } => stepwise(prompt, steps, &mut row)?,
            Body::Text { text } => row.string("text", Some(*text)),
            _ => return Err(Unfit("samples of this kind")),
        }
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
        let body = match fields.first(&["messages", "prompt", "text"])? {
            "messages" => {
                let messages = read::messages(&fields.take("messages")?)?;
                if fields.has("chosen", |_| true) {
                    let sides = ["chosen", "rejected"];
                    let side = |side| Some(vec![read::one_message(&fields.take(side)?)?]);
                    Body::Preference { prompt: messages, ranked: sides.into_iter().map(side).collect::<Option<_>>()? }
                } else {
                    Body::Conversation { messages }
                }
            }
            "prompt" => read::one_question(&mut fields)?,
            _ => Body::Text { text: fields.string("text")?.into() },
        };
        fields.typed_row(body)
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        let kind = match written.kind {
            SampleKind::Preference => "chat_template.default",
            SampleKind::Stepwise => "stepwise_supervised",
            SampleKind::Text => "completion",
            _ => "chat_template",
        };
        let format = if written.target.container == Container::Parquet { "parquet" } else { "json" };
        let entry = |names: &[String]| {
            let one = |name: &String| {
                let mut lines =
                    format!("  - path: {name}\n    ds_type: {format}\n    split: train\n    type: {kind}\n");
                if kind.starts_with("chat_template") {
                    lines.push_str("    field_messages: messages\n");
                }
                if written.facts.some.has(Features::WEIGHTS) {
                    lines.push_str("    message_field_training: train\n");
                }
                lines
            };
            names.iter().map(one).collect::<String>()
        };
        let mut text = String::from("# Paths are those of this folder: put it before them, or start axolotl here.\n");
        if written.kind == SampleKind::Preference {
            text.push_str("rl: dpo\n");
        }
        for (side, names) in written.files {
            match side {
                Side::Train => text.push_str(&format!("datasets:\n{}", entry(names))),
                Side::Validation => text.push_str(&format!("test_datasets:\n{}", entry(names))),
                Side::Test => {}
            }
        }
        text.push_str("# The rows are divided already.\nval_set_size: 0\n");
        vec![("axolotl.yaml", text)]
    }
}

/// Writes one side of a preference, which is one message.
fn answer(messages: &[Said<'_>], out: &mut Vec<u8>) -> Result<(), Unfit> {
    match messages {
        [one] if one.role == Role::Assistant => CHAT.message(one, false, out),
        _ => Err(Unfit("sides of a preference that are more than one answer")),
    }
}
