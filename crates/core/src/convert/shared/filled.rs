//! A sample of what fills its slots: the one way from columns of any name to a sample of each kind.
//!
//! What fills a slot counts as used when it is taken: a column for which a sample has no place stays unused, and is kept, refused
//! or named like any other (`whole.rs`). What a recipe or a program gave for a slot has to be taken, or the row is refused.

mod asked;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{beside, chat, is_blank, keep::keep, not_json, pair::Diverge, spoken};
use crate::{
    convert::Options,
    row::{RawRow, Reason, Reject, Value},
    rules::Mode,
    sample::{Body, Content, Json, Message, Role, Sample, SampleKind, Slot, Step},
};

/// What fills the slots of a sample, with the name that rejects have for each.
pub(in crate::convert) struct Filled<'a, 'n> {
    row: &'a RawRow<'a>,
    options: &'n Options,
    /// Whether a recipe or a program says what fills which slot.
    is_given: bool,
    /// Whether a text is a text even where it spells a list of messages.
    is_plain: bool,
    cells: [Option<(&'n str, Value<'a>)>; Slot::ALL.len()],
    /// The tools that stand beside a list of messages, in an object that holds both.
    tools: Option<Json<'static>>,
}

pub(in crate::convert) use crate::mapping::borrowed;
use asked::Asked;

impl<'a, 'n> Filled<'a, 'n> {
    /// Nothing yet, of a row whose columns are known by their names.
    pub(in crate::convert) fn of(row: &'a RawRow<'a>, options: &'n Options) -> Self {
        let cells = [const { None }; Slot::ALL.len()];
        Self { row, options, is_given: false, is_plain: false, cells, tools: None }
    }

    /// Nothing yet, of a row of which a recipe or a program says what fills which slot.
    pub(in crate::convert) fn given(row: &'a RawRow<'a>, options: &'n Options) -> Self {
        Self { is_given: true, ..Self::of(row, options) }
    }

    /// Takes every text as what it is: the format has no lists of messages.
    pub(in crate::convert) fn of_texts(self) -> Self {
        Self { is_plain: true, ..self }
    }

    /// Fills a slot with the value of what is called `name`; `null` leaves it empty.
    pub(in crate::convert) fn fill(&mut self, slot: Slot, name: &'n str, value: Value<'a>) {
        if value != Value::Null {
            self.cells[slot as usize] = Some((name, value));
        }
    }

    /// What fills a slot, with its name.
    pub(in crate::convert) fn filled(&self, slot: Slot) -> Option<&(&'n str, Value<'a>)> {
        self.cells[slot as usize].as_ref()
    }

    /// Makes a sample of `kind`.
    ///
    /// Whether a dialogue with its answer can be trained on, [`crate::rules`] say.
    pub(in crate::convert) fn sample(mut self, kind: SampleKind) -> Result<Sample<'a>, Reject> {
        let mut sample: Sample<'a> = match kind {
            SampleKind::Conversation => Sample::conversation(self.dialogue()?),
            SampleKind::Labelled => {
                let label = self.label()?;
                Sample::labelled(self.dialogue()?, label)
            }
            SampleKind::Preference => self.pair(Diverge::of(self.options))?,
            SampleKind::Stepwise => self.steps()?.into(),
            SampleKind::Prompt => {
                let name = self.asking().into_iter().flatten().next().unwrap_or("prompt");
                let messages = self.question()?;
                match messages.last() {
                    Some(last) if matches!(last.role, Role::User | Role::Tool) && !last.is_empty() => {}
                    _ => {
                        let detail = format!("`{name}` does not end with words of the user");
                        return Err(Reject::new(Reason::EmptyPrompt, detail));
                    }
                }
                Sample::prompt(messages)
            }
            SampleKind::Text => {
                let text = self.text(Slot::Text)?;
                if is_blank(&text) {
                    return Err(Reject::new(Reason::EmptyOutput, "the text is empty"));
                }
                Body::Text { text }.into()
            }
        };
        self.beside(&mut sample)?;
        Ok(sample)
    }

    /// Makes a conversation of messages that were read from the column `name`, and of what stands beside them in the row.
    pub(in crate::convert) fn conversation(mut self, name: &str, list: Vec<Message<'a>>) -> Result<Sample<'a>, Reject> {
        let system = beside::system(self.row, beside::SYSTEM)?;
        let (system, question) = beside::with_system(system, list, name)?;
        let asked = Asked { system, question, ..Asked::default() };
        let mut sample = Sample::conversation(asked.into_messages());
        if let Some((column, value)) =
            self.row.column(beside::TOOLS).and_then(|column| Some((column, self.row.get(column)?)))
        {
            sample.tools = beside::tools_of(column, value)?;
        }
        self.beside(&mut sample)?;
        Ok(sample)
    }

    /// The name of what fills a slot.
    fn name(&self, slot: Slot) -> Option<&'n str> {
        self.filled(slot).map(|(name, _)| *name)
    }

    /// Takes what fills a slot: then it is used.
    fn take(&mut self, slot: Slot) -> Option<(&'n str, Value<'a>)> {
        let taken = self.cells[slot as usize].take();
        if let Some((name, _)) = &taken {
            self.row.get(name);
        }
        taken
    }

    /// The names of what should ask.
    fn asking(&self) -> [Option<&'n str>; 3] {
        [Slot::User, Slot::Messages, Slot::Input].map(|slot| self.name(slot))
    }

    /// The text of a slot that must be filled.
    fn text(&mut self, slot: Slot) -> Result<Cow<'a, str>, Reject> {
        match self.take(slot) {
            Some((name, value)) => text(name, value),
            None => Err(Reject::new(Reason::MissingField, format!("nothing for `{}`", slot.name()))),
        }
    }

    /// The text of a slot that may be empty, with its name.
    fn text_or_none(&mut self, slot: Slot) -> Result<Option<(&'n str, Cow<'a, str>)>, Reject> {
        let Some((name, value)) = self.take(slot) else { return Ok(None) };
        let text = text(name, value)?;
        Ok((!is_blank(&text)).then_some((name, text)))
    }

    /// What follows the question on a new line, unless it is empty; Alpaca's generator wrote `<noinput>` for "none", and did not
    /// always take it out again.
    fn input(&mut self) -> Result<Option<Cow<'a, str>>, Reject> {
        let input = self.text_or_none(Slot::Input)?.map(|(_, input)| input);
        Ok(input.filter(|input| !input.trim().eq_ignore_ascii_case("<noinput>")))
    }

    /// All that stands before the answer. The question is empty if nothing is asked.
    fn asked(&mut self) -> Result<Asked<'a>, Reject> {
        let mut asked = Asked::default();
        let mut said: Option<Cow<'a, str>> = None;
        let system = self.text_or_none(Slot::System)?;
        if let Some((name, value)) = self.take(Slot::History) {
            history(name, value, &mut asked.before)?;
        }
        let found = match self.take(Slot::Messages) {
            Some((name, value)) => Some((name, self.list(name, &value)?.ok_or_else(|| no_list(name))?)),
            None => match self.take(Slot::User) {
                None => None,
                Some((name, value)) => match self.list(name, &value)? {
                    Some(list) if list.iter().all(|message| !says_something(message)) => None,
                    Some(mut list) => {
                        asked.is_spoken = is_spoken(&value);
                        // The word of who is to answer.
                        if asked.is_spoken && list.last().is_some_and(|last| last.is_empty()) {
                            list.pop();
                        }
                        let joined = self.with_input(&list)?;
                        asked.bare = joined.is_some().then(|| list.clone());
                        Some((name, joined.unwrap_or(list)))
                    }
                    None => {
                        said = Some(text(name, value)?).filter(|text| !is_blank(text));
                        None
                    }
                },
            },
        };
        let (name, list) = found.unwrap_or(("", Vec::new()));
        let has_list = !name.is_empty();
        (asked.system, asked.question) = beside::with_system(system, list, name)?;
        if !has_list {
            let question = match (said, self.input()?) {
                (Some(said), Some(input)) => {
                    let joined = Cow::Owned(joined(&said, &input));
                    asked.bare = Some(vec![Message::new(Role::User, said)]);
                    Some(joined)
                }
                (said, input) => said.or(input),
            };
            asked.question.extend(question.map(|question| Message::new(Role::User, question)));
        }
        Ok(asked)
    }

    /// A list of messages that asks, with what follows it on a new line; `None` if nothing does. Where the list does not end with
    /// words of the user, that has no place, and is left.
    fn with_input(&mut self, list: &[Message<'a>]) -> Result<Option<Vec<Message<'a>>>, Reject> {
        let Some((Message { role: Role::User, content: Content::Text(said), .. }, _)) = list.split_last() else {
            return Ok(None);
        };
        let Some(input) = self.input()? else { return Ok(None) };
        let mut list = list.to_vec();
        if let Some(last) = list.last_mut() {
            last.content = Content::Text(Cow::Owned(joined(said, &input)));
        }
        Ok(Some(list))
    }

    /// The turns before an answer, of which there has to be one.
    fn question(&mut self) -> Result<Vec<Message<'a>>, Reject> {
        let asking = self.asking();
        let asked = self.asked()?;
        if asked.question.is_empty() { Err(no_prompt(&asking)) } else { Ok(asked.into_messages()) }
    }

    /// A whole dialogue: a list of messages, or a prompt and its answer.
    fn dialogue(&mut self) -> Result<Vec<Message<'a>>, Reject> {
        let asking = self.asking();
        let is_list = self.filled(Slot::Messages).is_some();
        let answer = self.take(Slot::Assistant);
        if answer.is_none() && !is_list {
            return Err(Reject::new(Reason::MissingField, "nothing for `assistant`"));
        }
        let asked = self.asked()?;
        let mut messages = match answer {
            None => asked.into_messages(),
            Some((name, value)) => match self.list(name, &value)? {
                Some(list) => asked.continued(list, name)?,
                None if asked.question.is_empty() => return Err(no_prompt(&asking)),
                None => {
                    let answer = asked.answer(text(name, value)?);
                    // A rule that may say otherwise is asked, and cannot name the column.
                    let mode = self.options.rules.get("empty_answer");
                    if is_blank(&answer) && matches!(mode, None | Some(Mode::Reject | Mode::Repair)) {
                        return Err(Reject::new(Reason::EmptyOutput, format!("`{name}` is empty")));
                    }
                    let mut messages = asked.into_messages();
                    messages.push(Message::new(Role::Assistant, answer));
                    messages
                }
            },
        };
        if let Some(last) = messages.last_mut().filter(|last| last.role == Role::Assistant)
            && let Some((name, reasoning)) = self.text_or_none(Slot::Reasoning)?
        {
            let extras = last.extras.get_or_insert_with(Box::default);
            if extras.reasoning.as_ref().is_some_and(|own| *own != reasoning) {
                let detail = format!("the answer has reasoning of its own, and `{name}` has another one");
                return Err(Reject::new(Reason::Conflict, detail));
            }
            extras.reasoning = Some(reasoning);
        }
        Ok(messages)
    }

    fn pair(&mut self, diverge: Diverge) -> Result<Sample<'a>, Reject> {
        let (chosen, rejected) = (self.take(Slot::Chosen), self.take(Slot::Rejected));
        let chosen = chosen.or_else(|| self.take(Slot::Assistant));
        let user = self.name(Slot::User);
        let mut asked = self.asked()?;
        let is_list = |cell: &Option<(&str, Value<'_>)>| cell.as_ref().is_none_or(|(_, value)| is_list(value));
        if let Some(user) = user
            && asked.question.is_empty()
            && !(is_list(&chosen) && is_list(&rejected))
        {
            return Err(Reject::new(Reason::EmptyPrompt, format!("`{user}` is empty")));
        }
        let (name, value) = rejected.ok_or_else(|| Reject::new(Reason::MissingField, "nothing for `rejected`"))?;
        // Where only the other answer stands beside a list of messages, the list ends with the preferred one.
        let chosen = match chosen {
            Some((name, value)) => self.side(name, value, &asked)?,
            None if asked.question.is_empty() => {
                return Err(Reject::new(Reason::MissingField, "nothing for `chosen`"));
            }
            None => {
                let question = &asked.question;
                let answers = question.iter().rev().take_while(|message| message.role == Role::Assistant).count();
                let answers = asked.question.split_off(question.len() - answers);
                let parts = [&asked.system, &asked.before, &asked.question, &answers];
                parts.into_iter().flatten().cloned().collect()
            }
        };
        let rejected = self.side(name, value, &asked)?;
        let mut sample = diverge.pair(chosen, rejected)?;
        if let Some((name, value)) = self.take(Slot::Margin) {
            let margin = match &value {
                Value::Number(text) => Json::new(text),
                Value::String(text) if text.trim().parse::<f64>().is_ok() => Json::new(text.trim()),
                _ => None,
            };
            sample.margin =
                Some(margin.ok_or_else(|| Reject::new(Reason::WrongType, format!("`{name}` is not a number")))?);
        }
        Ok(sample)
    }

    /// One side of a pair as a whole dialogue.
    fn side(&mut self, name: &str, value: Value<'a>, asked: &Asked<'a>) -> Result<Vec<Message<'a>>, Reject> {
        match self.list(name, &value)? {
            Some(list) => asked.continued(list, name),
            None if !asked.question.is_empty() => {
                let answer = Message::new(Role::Assistant, asked.answer(text(name, value)?));
                let Asked { system, before, question, .. } = asked;
                Ok([system, before, question].into_iter().flatten().cloned().chain([answer]).collect())
            }
            None => {
                let detail = format!("there is no prompt, and `{name}` is not a list of messages");
                Err(Reject::new(Reason::WrongType, detail))
            }
        }
    }

    /// The messages of a list, of a single message, of an object that holds such a list, or of a transcript; `None` if the value
    /// is any other text.
    fn list(&mut self, name: &str, value: &Value<'a>) -> Result<Option<Vec<Message<'a>>>, Reject> {
        let options = self.options;
        if let (Value::Json(json), false) = (value, self.is_plain) {
            self.beside_messages(name, json)?;
        }
        match value {
            _ if self.is_plain && !matches!(value, Value::String(_)) => Err(value.not_text(name)),
            Value::Json(Cow::Borrowed(json)) => messages(name, json, options).map(Some),
            Value::Json(Cow::Owned(json)) => Ok(Some(owned(messages(name, json, options)?))),
            // A list may stand in a string, as in CSV; any other JSON in a string is a text.
            Value::String(text) if !self.is_plain && chat::is_meant_as_messages(text) => match text {
                Cow::Borrowed(text) => chat::messages(text, name, options).map(Some),
                Cow::Owned(text) => Ok(Some(owned(chat::messages(text, name, options)?))),
            },
            Value::String(text) if !self.is_plain && spoken::is_transcript(text) => Ok(match text {
                Cow::Borrowed(text) => spoken::Dialogue::of(text).map(|dialogue| dialogue.messages),
                Cow::Owned(text) => spoken::Dialogue::of(text).map(|dialogue| owned(dialogue.messages)),
            }),
            Value::String(_) => Ok(None),
            Value::Printed { .. } => Err(value.not_text(name)),
            _ => Err(Reject::new(Reason::WrongType, format!("`{name}` is neither a string nor a list of messages"))),
        }
    }

    /// Takes what stands beside a list of messages in one object: tools, for which there is a place, and nothing else.
    fn beside_messages(&mut self, name: &str, json: &str) -> Result<(), Reject> {
        let members = if json.starts_with('{') { crate::json::members(json).unwrap_or_default() } else { Vec::new() };
        if members.iter().all(|(key, _)| key != "messages") {
            return Ok(());
        }
        for (key, value) in members.iter().filter(|(key, value)| key != "messages" && value.get() != "null") {
            if !beside::TOOLS.contains(&&**key) {
                let detail = format!("`{name}` has `{key}` beside its messages, for which there is no place");
                return Err(Reject::new(Reason::Conflict, detail));
            }
            let tools = beside::tools_of(key, &Value::Json(value.get().into()))?.map(Json::into_owned);
            if self.tools.is_some() && self.tools != tools {
                return Err(Reject::new(Reason::Conflict, format!("the `{key}` of `{name}` are not those of the row")));
            }
            self.tools = tools;
        }
        Ok(())
    }

    fn label(&mut self) -> Result<bool, Reject> {
        let (name, value) =
            self.take(Slot::Label).ok_or_else(|| Reject::new(Reason::MissingField, "nothing for `label`"))?;
        truth(&value).ok_or_else(|| {
            Reject::new(Reason::WrongType, format!("`{name}` is neither true nor false (nor 1, 0, `true`, `false`)"))
        })
    }

    fn steps(&mut self) -> Result<Body<'a>, Reject> {
        let (completions, labels) = (self.take(Slot::Completions), self.take(Slot::Labels));
        let prompt = self.question()?;
        let missing = |slot: Slot| Reject::new(Reason::MissingField, format!("nothing for `{}`", slot.name()));
        let (name, completions) = completions.ok_or_else(|| missing(Slot::Completions))?;
        let (label_name, labels) = labels.ok_or_else(|| missing(Slot::Labels))?;
        let texts: Vec<String> = read(name, &completions, "a list of strings")?;
        let no_labels =
            || Reject::new(Reason::WrongType, format!("`{label_name}` is not a list of booleans or numbers"));
        let labels: Vec<&RawValue> = read(label_name, &labels, "a list of booleans or numbers")?;
        if texts.is_empty() {
            return Err(Reject::new(Reason::EmptyOutput, format!("`{name}` has no steps")));
        }
        if texts.len() != labels.len() {
            let detail = format!("`{name}` has {} steps and `{label_name}` {} labels", texts.len(), labels.len());
            return Err(Reject::new(Reason::WrongType, detail));
        }
        let step = |(text, label): (String, &RawValue)| {
            let is_label = label.get().starts_with(|c: char| c.is_ascii_digit() || "-tf".contains(c));
            let label = is_label.then(|| Json::new(label.get())).flatten().ok_or_else(no_labels)?;
            Ok(Step { text: text.into(), label })
        };
        let steps = texts.into_iter().zip(labels).map(step).collect::<Result<_, Reject>>()?;
        Ok(Body::Stepwise { prompt, steps })
    }

    /// Adds what stands beside the body.
    fn beside(&mut self, sample: &mut Sample<'a>) -> Result<(), Reject> {
        if let Some((name, value)) = self.take(Slot::Tools) {
            sample.tools = beside::tools_of(name, &value)?;
        }
        if let Some(within) = self.tools.take() {
            if sample.tools.as_ref().is_some_and(|tools| *tools != within) {
                return Err(Reject::new(Reason::Conflict, "the row has tools twice, and they differ"));
            }
            sample.tools = Some(within);
        }
        let is_prompt = sample.kind() == SampleKind::Prompt;
        for slot in [Slot::Answer, Slot::Images, Slot::Videos, Slot::Audios] {
            let Some((name, value)) = self.filled(slot) else { continue };
            let is_kept = match value {
                Value::String(text) if slot == Slot::Answer && is_prompt && sample.answer.is_none() => {
                    sample.answer = Some(text.clone());
                    true
                }
                value => {
                    let name = if self.is_given { slot.name().into() } else { Cow::Owned((*name).to_owned()) };
                    keep(sample, usize::MAX, name, value)?
                }
            };
            if is_kept {
                self.take(slot);
            }
        }
        if sample.kind() != SampleKind::Text {
            beside::carry(self.row, sample)?;
        }
        let left = Slot::ALL.into_iter().zip(&self.cells).find_map(|(slot, cell)| {
            let (name, value) = cell.as_ref().filter(|(_, value)| self.is_given && !value.is_nothing())?;
            Some((slot, name, value))
        });
        match left {
            None => Ok(()),
            Some((slot, name, _)) => {
                let detail =
                    format!("`{name}` is given as the `{}`, for which the rest of the row has no place", slot.name());
                Err(Reject::new(Reason::Conflict, detail))
            }
        }
    }
}

/// Reads a list, which may stand in a string, as in CSV.
fn read<'v, T: serde::Deserialize<'v>>(name: &str, value: &'v Value<'_>, what: &str) -> Result<T, Reject> {
    let wrong = |why: &str| Reject::new(Reason::WrongType, format!("`{name}` is not {what}{why}"));
    let (Value::Json(json) | Value::String(json)) = value else { return Err(wrong("")) };
    serde_json::from_str(json).map_err(|error| match error.is_data() {
        true => wrong(""),
        false => wrong(&format!(": {}", not_json(json, &error))),
    })
}

fn text<'a>(name: &str, value: Value<'a>) -> Result<Cow<'a, str>, Reject> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(other.not_text(name)),
    }
}

/// What the user says, and on a new line what belongs to it.
fn joined(said: &str, input: &str) -> String {
    [said, "\n", input].concat()
}

/// Why there is no prompt, which these should be.
fn no_prompt(names: &[Option<&str>]) -> Reject {
    match names.iter().flatten().collect::<Vec<_>>()[..] {
        [] => Reject::new(Reason::MissingField, "nothing for `user`"),
        [name] => Reject::new(Reason::EmptyPrompt, format!("`{name}` is empty")),
        [first, second, ..] => Reject::new(Reason::EmptyPrompt, format!("`{first}` and `{second}` are empty")),
    }
}

fn no_list(name: &str) -> Reject {
    Reject::new(Reason::WrongType, format!("`{name}` is not a list of messages"))
}

/// Whether a value is a list of messages, or is meant as one.
fn is_list(value: &Value<'_>) -> bool {
    match value {
        Value::Json(_) => true,
        Value::String(text) => chat::is_meant_as_messages(text) || spoken::is_transcript(text),
        _ => false,
    }
}

fn messages<'a>(name: &str, json: &'a str, options: &Options) -> Result<Vec<Message<'a>>, Reject> {
    if !json.starts_with('{') {
        return chat::messages(json, name, options);
    }
    match crate::json::member(json, "messages") {
        Some(list) => chat::messages(list, name, options),
        None => {
            let list = chat::zipped(json).unwrap_or_else(|| format!("[{json}]"));
            Ok(owned(chat::messages(&list, name, options)?))
        }
    }
}

/// Whether a value is a transcript.
fn is_spoken(value: &Value<'_>) -> bool {
    matches!(value, Value::String(text) if spoken::is_transcript(text))
}

fn owned(messages: Vec<Message<'_>>) -> Vec<Message<'static>> {
    messages.into_iter().map(Message::into_owned).collect()
}

/// Adds the exchanges of a history, `[[question, answer], …]`.
fn history<'a>(name: &str, value: Value<'a>, messages: &mut Vec<Message<'a>>) -> Result<(), Reject> {
    if matches!(&value, Value::String(text) if is_blank(text)) {
        return Ok(());
    }
    let pairs: Vec<[String; 2]> = read(name, &value, "a list of pairs of question and answer")?;
    for [question, answer] in pairs {
        messages.push(Message::new(Role::User, question));
        messages.push(Message::new(Role::Assistant, answer));
    }
    Ok(())
}

/// Whether a message has words, parts or calls.
fn says_something(message: &Message<'_>) -> bool {
    !message.is_empty() || message.calls_tools()
}

/// A truth value in the spellings of JSON, of Python and of CSV.
fn truth(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(text) | Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "1.0" => Some(true),
            "false" | "0" | "0.0" => Some(false),
            _ => None,
        },
        Value::Null | Value::Json(_) | Value::Printed { .. } => None,
    }
}

#[cfg(test)]
mod tests;
