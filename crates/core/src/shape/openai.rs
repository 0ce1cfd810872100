//! Rows for OpenAI's fine-tuning API, as its reference describes them: supervised, preference and reinforcement fine-tuning.
//!
//! It refuses keys that it does not know, so rows have no `source` and no kept columns, except where a grader reads them.

use super::{
    Shape, Unfit, WrittenRow,
    chat::{Chat, Said, WeightAs, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::Object,
};
use crate::{
    outputs::Container,
    sample::{Body, Content, Features, Json, Quoted, Role, SampleKind, SampleView, ToolCall},
};

/// Writes `{"messages":[…],"tools":[…]}`, `{"input":{"messages":[…]},"preferred_output":[…],"non_preferred_output":[…]}`, and for
/// graders `{"messages":[…],"answer":"…"}` with the columns that the recipe keeps.
#[derive(Debug)]
pub struct OpenAi;

const CHAT: Chat = Chat {
    roles: &[Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool],
    null_content: true,
    parts: true,
    reasoning: false,
    tool_name: false,
    weight: WeightAs::Weight,
    other: false,
    ..Chat::USUAL
};

/// What the rows of prompts have themselves, and what graders call an answer and a row.
const RESERVED: &[&str] = &["messages", "tools", "answer", "sample", "item"];

impl Shape for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn version(&self) -> u32 {
        3
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Preference, SampleKind::Prompt]
    }

    fn has_ids(&self) -> bool {
        false
    }

    fn containers(&self) -> Vec<Container> {
        vec![Container::Jsonl]
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let has = |features| facts.some.has(features);
        match kind {
            SampleKind::Preference => {
                [("input", Type::Json), ("preferred_output", Type::Json), ("non_preferred_output", Type::Json)]
                    .map(|(name, of)| Column::new(name, of))
                    .to_vec()
            }
            SampleKind::Prompt => facts.with_kept(
                RESERVED,
                [
                    (true, "messages", facts.messages()),
                    (has(Features::TOOLS), "tools", Type::Json),
                    (has(Features::ANSWER), "answer", Type::Text),
                ],
            ),
            _ => vec![Column::new("messages", facts.messages()), Column::new("tools", Type::Json)],
        }
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
        let is_graded = sample.kind() == SampleKind::Prompt;
        if !sample.columns.is_empty() && !is_graded {
            return Err(Unfit("columns besides its own"));
        }
        let tools = wrapped_tools(sample.tools.as_ref())?;
        let mut row = Object::begin(out);
        match &sample.body {
            Body::Conversation { messages } | Body::Prompt { messages } => {
                check(messages)?;
                row.with("messages", |out| CHAT.messages(messages, out))?;
                tools.iter().for_each(|tools| row.named("tools", tools.as_bytes()));
            }
            Body::Preference { prompt, ranked } => {
                let [chosen, rejected] = &ranked[..] else { return Err(Unfit("more than two answers")) };
                check(prompt)?;
                row.with("input", |out| {
                    let mut input = Object::begin(out);
                    input.with("messages", |out| CHAT.messages(prompt, out))?;
                    tools.iter().for_each(|tools| input.named("tools", tools.as_bytes()));
                    input.end();
                    Ok(())
                })?;
                row.with("preferred_output", |out| answer(chosen, out))?;
                row.with("non_preferred_output", |out| answer(rejected, out))?;
            }
            _ => return Err(Unfit("samples of this kind")),
        }
        if is_graded {
            row.string("answer", sample.answer);
            row.kept(sample, source, facts, RESERVED)?;
        }
        row.end();
        Ok(())
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        if !fields.has("input", |_| true) {
            let messages = read::messages(&fields.take("messages")?)?;
            let is_graded = fields.has("source", |_| true);
            return fields.typed_row(if is_graded {
                Body::Prompt { messages }
            } else {
                Body::Conversation { messages }
            });
        }
        let mut input = Fields::nested(&fields.take("input")?)?;
        let prompt = read::messages(&input.take("messages")?)?;
        let answers = ["preferred_output", "non_preferred_output"];
        let ranked = answers.into_iter().map(|side| read::messages(&fields.take(side)?)).collect::<Option<_>>()?;
        input.typed_row(Body::Preference { prompt, ranked })
    }
}

/// Checks what its reference requires of messages and others do not.
fn check(messages: &[Said<'_>]) -> Result<(), Unfit> {
    let mut calls: Vec<&ToolCall<'_, Quoted<'_>>> = Vec::new();
    for message in messages {
        if let Content::Parts(parts) = &message.content {
            check_parts(message.role, parts)?;
        }
        let extras = message.extras.as_deref();
        let own = extras.and_then(|extras| extras.tool_calls.as_deref()).unwrap_or_default();
        if own.iter().any(|call| call.id.is_none()) {
            return Err(Unfit("a call of a tool without `id`"));
        }
        calls.extend(own);
        if message.role != Role::Tool {
            continue;
        }
        let Some(id) = extras.and_then(|extras| extras.tool_call_id) else {
            return Err(Unfit("a result of a tool without `tool_call_id`"));
        };
        let is_named = |name: Quoted<'_>| calls.iter().any(|call| call.id == Some(id) && call.name == name);
        if extras.and_then(|extras| extras.name).is_some_and(|name| !is_named(name)) {
            return Err(Unfit("a result of a tool that has another name than its call"));
        }
    }
    Ok(())
}

/// Checks the types of parts, which depend on who speaks.
fn check_parts(role: Role, parts: &Json<'_>) -> Result<(), Unfit> {
    #[derive(serde::Deserialize)]
    struct Part<'a> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    let allowed: &[&str] = match role {
        Role::User => &["text", "image_url", "input_audio", "file"],
        Role::Assistant => &["text", "refusal"],
        Role::System | Role::Developer | Role::Tool => &["text"],
    };
    let parts: Vec<Part<'_>> =
        serde_json::from_str(parts.as_str()).map_err(|_| Unfit("parts of content without a type"))?;
    let is_allowed = |part: &Part<'_>| allowed.contains(&&*part.kind);
    if parts.iter().all(is_allowed) { Ok(()) } else { Err(Unfit("parts of content of a type that it does not know")) }
}

/// Writes one side of a preference: answers alone.
fn answer(messages: &[Said<'_>], out: &mut Vec<u8>) -> Result<(), Unfit> {
    if messages.iter().any(|message| message.role != Role::Assistant) {
        return Err(Unfit("sides of a preference that are more than answers"));
    }
    check(messages)?;
    CHAT.continued(messages, out)
}
