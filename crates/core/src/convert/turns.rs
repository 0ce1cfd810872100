//! Dialogues whose list holds something else than messages: pairs of question and answer, or texts that alternate.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Converter, Options,
    shared::{
        chat,
        filled::Filled,
        is_blank,
        spelling::{ANSWER, QUESTION},
    },
};
use crate::{
    row::{RawRow, Reason, Reject, Value, is_called},
    sample::{Converted, Message, Role, SampleKind},
    survey::{Survey, Types},
};

/// Makes a conversation of a list of turns in `conversation`, `data`, `dialogue`, `dialog` or `turns`.
///
/// A turn is an object `{input, output}`, `{human, assistant}` or the like, a text (the user's and the assistant's in turn),
/// a pair of texts, or a message.
#[derive(Debug)]
pub struct Turns;

const COLUMNS: [&str; 5] = ["conversation", "data", "dialogue", "dialog", "turns"];

impl Converter for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    fn version(&self) -> u32 {
        5
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

    /// Rows with a list of turns. Texts, and whatever stands in `data` or `turns`, may be anything where a question and its answer
    /// have columns of their own.
    fn reads(&self, survey: &Survey) -> u32 {
        let (lists, texts) = (Types::STRINGS.or(Types::OBJECTS).or(Types::LIST), Types::STRINGS);
        survey.count(|columns| {
            let has = |names: &[&str]| columns.iter().any(|column| names.iter().any(|name| is_called(column, name)));
            let is_exchange = has(QUESTION) && has(ANSWER);
            let is_own = |name: &&str| {
                survey.called(name).filter(|column| columns.contains(&&*column.name)).any(|column| {
                    let is_vague = matches!(*name, "data" | "turns") || column.types.has(texts);
                    column.types.has(lists) && !(is_exchange && is_vague)
                })
            };
            COLUMNS.iter().any(is_own)
        })
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let Some((column, value)) = row.column(&COLUMNS).and_then(|column| Some((column, row.get(column)?))) else {
            return Err(Reject::new(
                Reason::MissingField,
                "no `conversation`, `data`, `dialogue`, `dialog` or `turns`",
            ));
        };
        let (Value::Json(json) | Value::String(json)) = value else {
            return Err(Reject::new(Reason::WrongType, format!("`{column}` is not a list of turns")));
        };
        Ok(Filled::of(row, options).conversation(column, messages(json, column, options)?)?.into())
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
        keys.is_ok_and(|keys| [keys.role, keys.from, keys.speaker, keys.sender].iter().any(Option::is_some))
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
                // Where each turn has the same words, they stand once.
                let before = messages.iter().rev().find(|message| message.role == Role::System);
                let is_new = |words: &Cow<'_, str>| {
                    !is_blank(words) && before.is_none_or(|before| before.text() != words.as_ref())
                };
                let system = system.filter(is_new);
                messages.extend(system.map(|system| Message::new(Role::System, system)));
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
    #[serde(borrow)]
    speaker: Option<&'a RawValue>,
    #[serde(borrow)]
    sender: Option<&'a RawValue>,
}
