//! Rows for OpenRLHF, written from what its data code was seen to read (OpenRLHF 0.11.2).
//!
//! It renders dialogues without the tools of a row, so rows with tools do not fit.

use super::{
    Shape, Unfit, Written, WrittenRow,
    chat::{ArgumentsAs, Chat},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::Object,
};
use crate::{
    outputs::{Container, Side},
    sample::{Body, Content, Features, Message, Quoted, Role, SampleKind, SampleView},
};

/// Writes `{"messages":[…]}` for SFT, `{"prompt":[…],"chosen":[…],"rejected":[…]}` for DPO and reward models, and
/// `{"prompt":[…],"label":"…","datasource":"…"}` for PPO and its like.
#[derive(Debug)]
pub struct OpenRlhf;

const CHAT: Chat = Chat { late_system: false, arguments: ArgumentsAs::Object, ..Chat::USUAL };

const RESERVED: &[&str] =
    &["messages", "prompt", "chosen", "rejected", "margin", "label", "datasource", "input", "output", "images"];

impl Shape for OpenRlhf {
    fn name(&self) -> &'static str {
        "openrlhf"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Preference, SampleKind::Prompt]
    }

    fn container(&self) -> Container {
        // `datasets` fixes the types of JSON lines by their first 10 MiB: keys that come later would end the run.
        Container::Parquet
    }

    fn containers(&self) -> Vec<Container> {
        vec![Container::Parquet, Container::Jsonl]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (messages, has) = (facts.messages(), |features| facts.some.has(features));
        let is = |one: SampleKind| kind == one;
        facts.with_kept(
            RESERVED,
            [
                (is(SampleKind::Conversation), "messages", messages.clone()),
                (!is(SampleKind::Conversation), "prompt", messages.clone()),
                (is(SampleKind::Preference), "chosen", messages.clone()),
                (is(SampleKind::Preference), "rejected", messages),
                (is(SampleKind::Preference) && has(Features::MARGIN), "margin", Type::Number),
                (is(SampleKind::Prompt) && has(Features::ANSWER), "label", Type::Text),
                (is(SampleKind::Prompt), "datasource", Type::Text),
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
        if sample.tools.as_ref().is_some_and(|tools| !matches!(tools.as_str(), "[]" | "null")) {
            return Err(Unfit("tools, which it does not render"));
        }
        if sample.label.is_some() {
            return Err(Unfit("a label"));
        }
        let mut row = Object::begin(out);
        match &sample.body {
            Body::Conversation { messages } => {
                if messages.last().is_none_or(|last| last.role != Role::Assistant) {
                    return Err(Unfit("a dialogue that does not end with an answer"));
                }
                row.with("messages", |out| CHAT.messages(messages, out))?;
            }
            Body::Preference { prompt, ranked } => {
                let [chosen, rejected] = &ranked[..] else { return Err(Unfit("more than two answers")) };
                row.with("prompt", |out| CHAT.messages(prompt, out))?;
                row.with("chosen", |out| CHAT.continued(chosen, out))?;
                row.with("rejected", |out| CHAT.continued(rejected, out))?;
                if facts.some.has(Features::MARGIN) {
                    row.or_null("margin", sample.margin.as_ref().map(|margin| margin.as_str().as_bytes()));
                }
            }
            Body::Prompt { messages } => {
                if messages.iter().any(has_image_mark) {
                    return Err(Unfit("`<image>` in a prompt, which it would take for a picture"));
                }
                row.with("prompt", |out| CHAT.messages(messages, out))?;
                if facts.some.has(Features::ANSWER) {
                    let Some(answer) = sample.answer else {
                        return Err(Unfit("a prompt without an answer beside others with one"));
                    };
                    row.string("label", Some(answer));
                }
                row.string("datasource", Some(source));
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
        let prompt = read::messages(&fields.take("prompt")?)?;
        if fields.has("chosen", |_| true) {
            let sides = ["chosen", "rejected"];
            let ranked = sides.into_iter().map(|side| read::messages(&fields.take(side)?)).collect::<Option<_>>()?;
            return fields.typed_row(Body::Preference { prompt, ranked });
        }
        let answer = fields.text("label");
        fields.take("datasource")?;
        let mut row = fields.typed_row(Body::Prompt { messages: prompt })?;
        row.sample.answer = answer;
        Some(row)
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        let keys = match written.kind {
            SampleKind::Conversation => "--data.input_key messages --data.multiturn",
            SampleKind::Preference => "--data.prompt_key prompt --data.chosen_key chosen --data.rejected_key rejected",
            _ if written.facts.some.has(Features::ANSWER) => "--data.input_key prompt --data.label_key label",
            _ => "--data.input_key prompt",
        };
        let mut text = String::from("# Arguments of OpenRLHF. Paths are those of this folder: put it before them.\n");
        for (side, names) in written.files {
            let argument = match (side, written.kind) {
                (Side::Train, SampleKind::Prompt) => "--data.prompt_dataset",
                (Side::Train, _) => "--data.dataset",
                (Side::Validation, _) => "--data.eval_dataset",
                (Side::Test, _) => continue,
            };
            text.push_str(&format!("{argument} {}\n", names.join(",")));
        }
        text.push_str(&format!("{keys} --data.apply_chat_template\n"));
        vec![("openrlhf.args", text)]
    }
}

fn has_image_mark(message: &Message<'_, Quoted<'_>>) -> bool {
    matches!(&message.content, Content::Text(text) if memchr::memmem::find(text.inner(), b"<image>").is_some())
}
