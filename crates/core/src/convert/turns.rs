//! Dialogues whose list holds something else than messages: pairs of question and answer, or texts that alternate.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Converter, Options,
    shared::{
        chat,
        filled::{Filled, borrowed},
    },
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, Message, Role, SampleKind, Slot},
    survey::{Survey, Types},
};

/// Makes a conversation of a list of turns in `conversation`, `data`, `dialogue`, `dialog` or `turns`.
///
/// A turn is an object `{input, output}`, `{human, assistant}` or the like, a text (the user's and the assistant's in turn),
/// a pair of texts, or a message.
#[derive(Debug)]
pub struct Turns;

const COLUMNS: [&str; 5] = ["conversation", "data", "dialogue", "dialog", "turns"];
const BESIDE: [(Slot, &str); 3] = [(Slot::System, "system_prompt"), (Slot::System, "system"), (Slot::Tools, "tools")];

impl Converter for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn rank(&self) -> u8 {
        3
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        COLUMNS.iter().map(|column| vec![*column]).collect()
    }

    fn reads(&self, survey: &Survey) -> u32 {
        let lists = Types::STRINGS.or(Types::OBJECTS).or(Types::LIST);
        let is_list = |name: &str| survey.column(name).is_some_and(|column| column.types.has(lists));
        survey.count(|columns| COLUMNS.iter().any(|name| columns.contains(name) && is_list(name)))
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let found = COLUMNS.into_iter().find(|column| !matches!(row.peek(column), None | Some(Value::Null)));
        let Some(column) = found else {
            return Err(Reject::new(
                Reason::MissingField,
                "no `conversation`, `data`, `dialogue`, `dialog` or `turns`",
            ));
        };
        let Some(Value::Json(json) | Value::String(json)) = row.get(column) else {
            return Err(Reject::new(Reason::WrongType, format!("`{column}` is not a list of turns")));
        };
        let mut filled = Filled::of(row, options)?;
        for (slot, name) in BESIDE {
            if let Some(value) = row.get(name) {
                filled.fill(slot, name, borrowed(value));
            }
        }
        Ok(filled.conversation(column, messages(json, column, options)?)?.into())
    }
}

/// One turn, in one of its forms.
#[derive(Deserialize)]
#[serde(untagged)]
enum Turn<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Pair([Cow<'a, str>; 2]),
    Exchange(Exchange<'a>),
}

/// A question and its answer, as Capybara, ms-swift and others call them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange<'a> {
    #[serde(
        borrow,
        alias = "human",
        alias = "user",
        alias = "question",
        alias = "query",
        alias = "prompt",
        alias = "instruction"
    )]
    input: Cow<'a, str>,
    #[serde(borrow, alias = "assistant", alias = "answer", alias = "response", alias = "gpt", alias = "completion")]
    output: Cow<'a, str>,
    #[serde(borrow)]
    system: Option<Cow<'a, str>>,
}

fn messages<'a>(json: &'a str, column: &str, options: &Options) -> Result<Vec<Message<'a>>, Reject> {
    let wrong = |at: usize| {
        Reject::new(
            Reason::WrongType,
            format!("`{column}[{at}]` is neither a text, nor a question with its answer, nor a message"),
        )
    };
    let items: Vec<&'a RawValue> = serde_json::from_str(json)
        .map_err(|_| Reject::new(Reason::WrongType, format!("`{column}` is not a list of turns")))?;
    let is_message = |item: &&RawValue| {
        if !item.get().starts_with('{') {
            return false;
        }
        let keys = serde_json::from_str::<Keys<'_>>(item.get());
        keys.is_ok_and(|keys| keys.role.is_some() || keys.from.is_some())
    };
    if items.first().is_some_and(is_message) {
        return chat::messages(json, column, options);
    }
    let mut messages = Vec::with_capacity(2 * items.len());
    for (at, item) in items.into_iter().enumerate() {
        match serde_json::from_str(item.get()).map_err(|_| wrong(at))? {
            Turn::Text(text) => {
                messages.push(Message::new(if at % 2 == 0 { Role::User } else { Role::Assistant }, text));
            }
            Turn::Pair([question, answer]) => {
                messages.push(Message::new(Role::User, question));
                messages.push(Message::new(Role::Assistant, answer));
            }
            Turn::Exchange(Exchange { input, output, system }) => {
                if let Some(system) = system.filter(|system| at == 0 && !system.is_empty()) {
                    messages.push(Message::new(Role::System, system));
                }
                messages.push(Message::new(Role::User, input));
                messages.push(Message::new(Role::Assistant, output));
            }
        }
    }
    Ok(messages)
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
}
