//! A sample of what fills its slots: the one way from columns of any name to a sample of each kind.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{beside, chat, is_blank, not_json, pair::Diverge};
use crate::{
    convert::Options,
    row::{RawRow, Reason, Reject, Value},
    sample::{Body, Json, Message, MessageExtras, Role, Sample, SampleKind, Slot, Step},
};

/// What fills the slots of a sample, with the name that rejects have for each.
pub(in crate::convert) struct Filled<'a, 'n> {
    options: &'n Options,
    /// Columns that are kept as they are.
    columns: Vec<(Cow<'a, str>, Json<'a>)>,
    cells: [Option<(&'n str, Value<'a>)>; Slot::ALL.len()],
}

pub(in crate::convert) use crate::mapping::borrowed;

impl<'a, 'n> Filled<'a, 'n> {
    /// Nothing yet, of a row whose media and the like are kept.
    pub(in crate::convert) fn of(row: &'a RawRow<'_>, options: &'n Options) -> Result<Self, Reject> {
        Ok(Self { options, columns: beside::carried(row)?, cells: [const { None }; Slot::ALL.len()] })
    }

    /// Fills a slot with the value of what is called `name`; `null` leaves it empty.
    pub(in crate::convert) fn fill(&mut self, slot: Slot, name: &'n str, value: Value<'a>) {
        if value != Value::Null {
            self.cells[slot as usize] = Some((name, value));
        }
    }

    /// Makes a sample of `kind`.
    pub(in crate::convert) fn sample(mut self, kind: SampleKind) -> Result<Sample<'a>, Reject> {
        let mut sample: Sample<'a> = match kind {
            SampleKind::Conversation => Sample::conversation(answered(self.dialogue()?)?),
            SampleKind::Labelled => {
                let label = self.label()?;
                Sample::labelled(answered(self.dialogue()?)?, label)
            }
            SampleKind::Preference => self.pair(Diverge::of(self.options))?,
            SampleKind::Stepwise => self.steps()?.into(),
            SampleKind::Prompt => {
                let user = self.name(Slot::User);
                let Some(messages) = self.prompt()? else { return Err(no_prompt(user)) };
                match messages.last() {
                    Some(last) if matches!(last.role, Role::User | Role::Tool) && !last.is_empty() => {}
                    _ => {
                        return Err(Reject::new(Reason::EmptyPrompt, "the prompt does not end with words of the user"));
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

    /// Makes a conversation of messages that were read from the column `name`, and of what is filled besides.
    pub(in crate::convert) fn conversation(mut self, name: &str, list: Vec<Message<'a>>) -> Result<Sample<'a>, Reject> {
        let mut messages = Vec::new();
        if let Some(system) = self.text_or_none(Slot::System)? {
            messages.push(Message::new(Role::System, system));
        }
        append(&mut messages, list, name)?;
        let mut sample = Sample::conversation(answered(messages)?);
        self.beside(&mut sample)?;
        Ok(sample)
    }

    /// The name of what fills a slot.
    fn name(&self, slot: Slot) -> Option<&'n str> {
        self.cells[slot as usize].as_ref().map(|(name, _)| *name)
    }

    fn take(&mut self, slot: Slot) -> Option<(&'n str, Value<'a>)> {
        self.cells[slot as usize].take()
    }

    /// The text of a slot that must be filled.
    fn text(&mut self, slot: Slot) -> Result<Cow<'a, str>, Reject> {
        match self.take(slot) {
            Some((name, value)) => text(name, value),
            None => Err(Reject::new(Reason::MissingField, format!("nothing for `{}`", slot.name()))),
        }
    }

    /// The text of a slot that may be empty.
    fn text_or_none(&mut self, slot: Slot) -> Result<Option<Cow<'a, str>>, Reject> {
        let Some((name, value)) = self.take(slot) else { return Ok(None) };
        Ok(Some(text(name, value)?).filter(|text| !is_blank(text)))
    }

    /// The turns before the answer; `None` if nothing is said there.
    fn prompt(&mut self) -> Result<Option<Vec<Message<'a>>>, Reject> {
        let mut messages = Vec::with_capacity(4);
        if let Some(system) = self.text_or_none(Slot::System)? {
            messages.push(Message::new(Role::System, system));
        }
        if let Some((name, value)) = self.take(Slot::History) {
            history(name, value, &mut messages)?;
        }
        match self.take(Slot::Messages) {
            Some((name, value)) => {
                append(&mut messages, list(name, &value, self.options)?.ok_or_else(|| no_list(name))?, name)?;
                return Ok(Some(messages));
            }
            None => {
                if let Some((name, value)) = self.take(Slot::User) {
                    match list(name, &value, self.options)? {
                        Some(list) if list.iter().all(|message| !says_something(message)) => {}
                        Some(list) => append(&mut messages, list, name)?,
                        None => {
                            let user = text(name, value)?;
                            let input = self.text_or_none(Slot::Input)?;
                            let user = match input.filter(|input| !input.trim().eq_ignore_ascii_case("<noinput>")) {
                                None => user,
                                Some(input) if is_blank(&user) => input,
                                Some(input) => Cow::Owned([&*user, "\n", &*input].concat()),
                            };
                            // An empty prompt is none: both sides of a pair may hold it themselves.
                            if is_blank(&user) && messages.is_empty() {
                                return Ok(None);
                            }
                            if is_blank(&user) {
                                return Err(Reject::new(Reason::EmptyPrompt, format!("`{name}` is empty")));
                            }
                            messages.push(Message::new(Role::User, user));
                        }
                    }
                } else if let Some(input) = self.text_or_none(Slot::Input)? {
                    messages.push(Message::new(Role::User, input));
                }
            }
        }
        Ok((!messages.is_empty()).then_some(messages))
    }

    /// A whole dialogue: a list of messages, or a prompt and its answer.
    fn dialogue(&mut self) -> Result<Vec<Message<'a>>, Reject> {
        let user = self.name(Slot::User);
        let is_list = self.cells[Slot::Messages as usize].is_some();
        let answer = self.take(Slot::Assistant);
        if answer.is_none() && !is_list {
            return Err(Reject::new(Reason::MissingField, "nothing for `assistant`"));
        }
        let prompt = self.prompt()?;
        let Some(mut messages) = prompt else { return Err(no_prompt(user)) };
        let reasoning = self.text_or_none(Slot::Reasoning)?;
        if let Some((name, value)) = answer {
            match list(name, &value, self.options)? {
                Some(list) => messages = continued(&messages, list),
                None => {
                    let answer = text(name, value)?;
                    if is_blank(&answer) {
                        return Err(Reject::new(Reason::EmptyOutput, format!("`{name}` is empty")));
                    }
                    messages.push(Message::new(Role::Assistant, answer));
                }
            }
        }
        if let (Some(reasoning), Some(last)) = (reasoning, messages.last_mut())
            && last.role == Role::Assistant
        {
            let extras = last.extras.get_or_insert_with(Box::default);
            **extras = MessageExtras { reasoning: Some(reasoning), ..std::mem::take(&mut **extras) };
        }
        Ok(messages)
    }

    fn pair(&mut self, diverge: Diverge) -> Result<Sample<'a>, Reject> {
        let (chosen, rejected) = (self.take(Slot::Chosen), self.take(Slot::Rejected));
        let user = self.name(Slot::User);
        let mut prompt = self.prompt()?;
        let is_list = |cell: &Option<(&str, Value<'_>)>| matches!(cell, None | Some((_, Value::Json(_))));
        if let (None, Some(user)) = (&prompt, user)
            && !(is_list(&chosen) && is_list(&rejected))
        {
            return Err(Reject::new(Reason::EmptyPrompt, format!("`{user}` is empty")));
        }
        let (name, value) = rejected.ok_or_else(|| Reject::new(Reason::MissingField, "nothing for `rejected`"))?;
        // Where only the other answer stands beside a list of messages, the list ends with the preferred one.
        let chosen = match chosen {
            Some((name, value)) => side(name, value, prompt.as_deref(), self.options)?,
            None => {
                let whole = prompt.take().ok_or_else(|| Reject::new(Reason::MissingField, "nothing for `chosen`"))?;
                let answers = whole.iter().rev().take_while(|message| message.role == Role::Assistant).count();
                prompt = Some(whole[..whole.len() - answers].to_vec());
                whole
            }
        };
        let rejected = side(name, value, prompt.as_deref(), self.options)?;
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

    fn label(&mut self) -> Result<bool, Reject> {
        let (name, value) =
            self.take(Slot::Label).ok_or_else(|| Reject::new(Reason::MissingField, "nothing for `label`"))?;
        truth(&value).ok_or_else(|| {
            Reject::new(Reason::WrongType, format!("`{name}` is neither true nor false (nor 1, 0, `true`, `false`)"))
        })
    }

    fn steps(&mut self) -> Result<Body<'a>, Reject> {
        let (completions, labels) = (self.take(Slot::Completions), self.take(Slot::Labels));
        let user = self.name(Slot::User);
        let prompt = self.prompt()?.ok_or_else(|| no_prompt(user))?;
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
        if let Some((name, value)) = self.take(Slot::Answer) {
            match value {
                Value::String(text) => sample.answer = Some(text),
                value => keep(name, &value, sample),
            }
        }
        for slot in [Slot::Images, Slot::Videos, Slot::Audios] {
            if let Some((_, value)) = self.take(slot) {
                keep(slot.name(), &value, sample);
            }
        }
        sample.columns.append(&mut self.columns);
        Ok(())
    }
}

/// Adds a value to the columns of a sample.
pub(in crate::convert) fn keep(name: &str, value: &Value<'_>, sample: &mut Sample<'_>) {
    if let Some(json) = Json::of(value) {
        sample.columns.push((name.to_owned().into(), json));
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

/// Why there is no prompt, which `user` should be.
fn no_prompt(user: Option<&str>) -> Reject {
    match user {
        Some(name) => Reject::new(Reason::EmptyPrompt, format!("`{name}` is empty")),
        None => Reject::new(Reason::MissingField, "nothing for `user`"),
    }
}

fn no_list(name: &str) -> Reject {
    Reject::new(Reason::WrongType, format!("`{name}` is not a list of messages"))
}

/// The messages of a list, of a single message, or of an object that holds such a list; `None` if the value is a text.
fn list<'a>(name: &str, value: &Value<'a>, options: &Options) -> Result<Option<Vec<Message<'a>>>, Reject> {
    match value {
        Value::Json(Cow::Borrowed(json)) => messages(name, json, options).map(Some),
        Value::Json(Cow::Owned(json)) => Ok(Some(owned(messages(name, json, options)?))),
        // Only what begins as a list of objects does is one that stands in a string, as in CSV.
        Value::String(text)
            if text.trim_start().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{')) =>
        {
            match text {
                Cow::Borrowed(text) => chat::messages(text, name, options).map(Some),
                Cow::Owned(text) => Ok(Some(owned(chat::messages(text, name, options)?))),
            }
        }
        Value::String(_) => Ok(None),
        Value::Printed { .. } => Err(value.not_text(name)),
        _ => Err(Reject::new(Reason::WrongType, format!("`{name}` is neither a string nor a list of messages"))),
    }
}

fn messages<'a>(name: &str, json: &'a str, options: &Options) -> Result<Vec<Message<'a>>, Reject> {
    if !json.starts_with('{') {
        return chat::messages(json, name, options);
    }
    match crate::json::member(json, "messages") {
        Some(list) => chat::messages(list, name, options),
        None => Ok(owned(chat::messages(&format!("[{json}]"), name, options)?)),
    }
}

fn owned(messages: Vec<Message<'_>>) -> Vec<Message<'static>> {
    messages.into_iter().map(Message::into_owned).collect()
}

/// Adds a list of messages behind those that stand there already; a second system message is refused.
fn append<'a>(messages: &mut Vec<Message<'a>>, list: Vec<Message<'a>>, name: &str) -> Result<(), Reject> {
    let is_system = |message: &&Message<'_>| matches!(message.role, Role::System | Role::Developer);
    match (messages.iter().find(is_system), list.iter().find(is_system)) {
        (Some(of_row), Some(own)) if of_row.content != own.content => {
            let detail = format!("the row has a system message, and `{name}` has another one");
            return Err(Reject::new(Reason::Conflict, detail));
        }
        (Some(_), Some(_)) => messages.retain(|message| !is_system(&message)),
        _ => {}
    }
    if messages.is_empty() {
        *messages = list;
    } else {
        messages.extend(list);
    }
    Ok(())
}

/// Adds the exchanges of a history, `[[question, answer], …]`.
pub(super) fn history<'a>(name: &str, value: Value<'a>, messages: &mut Vec<Message<'a>>) -> Result<(), Reject> {
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

/// One side of a pair as a whole dialogue.
fn side<'a>(
    name: &str,
    value: Value<'a>,
    prompt: Option<&[Message<'a>]>,
    options: &Options,
) -> Result<Vec<Message<'a>>, Reject> {
    match (list(name, &value, options)?, prompt) {
        (Some(list), Some(prompt)) => Ok(continued(prompt, list)),
        (Some(list), None) => Ok(list),
        (None, Some(prompt)) => {
            let answer = Message::new(Role::Assistant, text(name, value)?);
            Ok(prompt.iter().cloned().chain([answer]).collect())
        }
        (None, None) => {
            Err(Reject::new(Reason::WrongType, format!("there is no prompt, and `{name}` is not a list of messages")))
        }
    }
}

/// A prompt and a list of messages that follows it, or repeats it at its beginning (a leading system message aside).
fn continued<'a>(prompt: &[Message<'a>], list: Vec<Message<'a>>) -> Vec<Message<'a>> {
    let from = list.iter().take_while(|message| message.role == Role::System).count();
    let is_whole = list.len() > prompt.len() && (list.starts_with(prompt) || list[from..].starts_with(prompt));
    if is_whole { list } else { [prompt, &list].concat() }
}

/// Refuses a dialogue in which nothing is asked or answered.
fn answered(messages: Vec<Message<'_>>) -> Result<Vec<Message<'_>>, Reject> {
    let mut asks = messages.iter().take_while(|message| message.role != Role::Assistant);
    if !asks.any(|message| message.role == Role::User && says_something(message)) {
        return Err(Reject::new(Reason::EmptyPrompt, "the user says nothing before the first answer"));
    }
    match messages.last() {
        Some(last) if last.role != Role::Assistant => {
            Err(Reject::new(Reason::NoFinalAssistantTurn, "the dialogue does not end with a turn of the assistant"))
        }
        Some(last) if !says_something(last) => Err(Reject::new(Reason::EmptyOutput, "the last answer is empty")),
        _ => Ok(messages),
    }
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
mod tests {
    use super::*;
    use crate::{json, sample::SampleKind, shape};

    /// A sample of the columns of a row that are called as their slots are, as a native row; or the reject.
    fn made(kind: SampleKind, row: &str, diverge: &str) -> Result<String, String> {
        let row = json::row(row).unwrap();
        let options = [("diverge".to_owned(), diverge.to_owned())].into();
        let mut filled = Filled::of(&row, &options).unwrap();
        for (name, value) in &row.fields {
            filled.fill(Slot::by_name(name).unwrap(), name, borrowed(value));
        }
        match filled.sample(kind) {
            Ok(sample) => Ok(shape::row_of(shape::DEFAULT, &sample, "s").unwrap_or_else(|unfit| unfit.to_string())),
            Err(reject) => Err(format!("{}: {}", reject.reason.code(), reject.detail)),
        }
    }

    fn rejected(kind: SampleKind, row: &str) -> String {
        made(kind, row, "reject").unwrap_err()
    }

    #[test]
    fn an_exchange_is_put_together() {
        let row = r#"{"system":"s","history":[["a","b"]],"user":"c","input":"d","assistant":"e"}"#;
        assert_eq!(
            made(SampleKind::Conversation, row, "reject").unwrap(),
            r#"{"conversations":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c\nd"},{"role":"assistant","content":"e"}],"text":"s\na\nb\nc\nd\ne","source":"s"}"#
        );
    }

    #[test]
    fn labels_have_many_spellings() {
        for (label, expected) in [("true", "true"), ("0", "false"), (r#""True""#, "true"), (r#""0""#, "false")] {
            let row = format!(r#"{{"prompt":"q","completion":"a","label":{label}}}"#);
            let made = made(SampleKind::Labelled, &row, "reject").unwrap();
            assert!(made.ends_with(&format!(r#""label":{expected},"source":"s"}}"#)), "{made}");
        }
        let row = r#"{"prompt":"q","completion":"a","label":"good"}"#;
        assert!(rejected(SampleKind::Labelled, row).starts_with("wrong_type: `label`"));
        assert!(rejected(SampleKind::Labelled, r#"{"prompt":"q","completion":"a"}"#).starts_with("missing_field"));
    }

    #[test]
    fn steps_and_labels_go_together() {
        let row = r#"{"prompt":"q","completions":["a","b"],"labels":[true,0.5]}"#;
        assert_eq!(
            made(SampleKind::Stepwise, row, "reject").unwrap(),
            r#"{"prompt":[{"role":"user","content":"q"}],"completions":["a","b"],"labels":[true,0.5],"source":"s"}"#
        );
        for (row, reason) in [
            (r#"{"prompt":"q","completions":["a"],"labels":[true,false]}"#, "wrong_type: `completions` has 1 steps"),
            (r#"{"prompt":"q","completions":[],"labels":[]}"#, "empty_output"),
            (r#"{"prompt":"q","completions":["a"],"labels":["+"]}"#, "wrong_type: `labels`"),
            (r#"{"prompt":"q","completions":["a"],"labels":[null]}"#, "wrong_type: `labels`"),
            (r#"{"prompt":"q","completions":[1],"labels":[1]}"#, "wrong_type: `completions`"),
            (r#"{"prompt":" ","completions":["a"],"labels":[1]}"#, "empty_prompt"),
        ] {
            let reject = rejected(SampleKind::Stepwise, row);
            assert!(reject.starts_with(reason), "{row}: {reject}");
        }
    }

    #[test]
    fn pairs_are_made_of_texts_messages_and_dialogues() {
        let expected = r#"{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}],"source":"s"}"#;
        for row in [
            r#"{"user":"q","chosen":"a","rejected":"b"}"#,
            r#"{"user":"","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}"#,
            r#"{"messages":[{"from":"human","value":"q"}],"chosen":{"from":"gpt","value":"a"},"rejected":{"from":"gpt","value":"b"}}"#,
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":"b"}"#,
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#,
            r#"{"user":{"messages":[{"role":"user","content":"q"}]},"chosen":[{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#,
            r#"{"user":"[{\"role\":\"user\",\"content\":\"q\"}]","chosen":"a","rejected":"b"}"#,
        ] {
            assert_eq!(made(SampleKind::Preference, row, "reject").as_deref(), Ok(expected), "{row}");
        }
        assert!(rejected(SampleKind::Preference, r#"{"chosen":"a","rejected":"b"}"#).starts_with("wrong_type"));
    }

    #[test]
    fn dialogues_that_diverge_early_may_share_less() {
        let turns = |answers: [&str; 2]| {
            let [first, last] = answers;
            format!(
                r#"[{{"role":"user","content":"q"}},{{"role":"assistant","content":"{first}"}},{{"role":"user","content":"r"}},{{"role":"assistant","content":"{last}"}}]"#
            )
        };
        let row = format!(r#"{{"chosen":{},"rejected":{}}}"#, turns(["a", "b"]), turns(["c", "d"]));
        assert!(rejected(SampleKind::Preference, &row).starts_with("prompts_differ"));
        assert!(made(SampleKind::Preference, &row, "allow").is_ok());
    }

    #[test]
    fn prompts_end_with_the_user_and_carry_the_answer() {
        let row = json::row(r#"{"messages":[{"role":"user","content":"q"}],"answer":"4"}"#).unwrap();
        let options = Options::new();
        let mut filled = Filled::of(&row, &options).unwrap();
        for (name, value) in &row.fields {
            filled.fill(Slot::by_name(name).unwrap(), name, borrowed(value));
        }
        let sample = filled.sample(SampleKind::Prompt).unwrap();
        assert_eq!((sample.answer.as_deref(), sample.columns.len()), (Some("4"), 0));
        let row = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#;
        assert!(rejected(SampleKind::Prompt, row).starts_with("empty_prompt"));
    }
}
