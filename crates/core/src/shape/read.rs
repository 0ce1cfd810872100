//! What shapes share to read their rows back: the fields of an object, and messages with all that they have.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::WrittenRow;
use crate::{
    json,
    row::Value,
    sample::{Arguments, Body, Content, Json, Message, MessageExtras, Role, Sample, Step, ToolCall},
};

/// The fields of a JSON object that were not taken yet, in order.
pub(super) struct Fields(Vec<(String, Value<'static>)>);

impl Fields {
    /// Reads an object; `None` if the text is none, or has a key twice.
    pub(super) fn of(text: &str) -> Option<Self> {
        let fields = json::row(text).ok()?.fields;
        Some(Self(fields.into_iter().map(|(name, value)| (name.into_owned(), owned(value))).collect()))
    }

    /// Reads an object within a row.
    pub(super) fn nested(value: &Value<'_>) -> Option<Self> {
        let Value::Json(text) = value else { return None };
        Self::of(text)
    }

    /// Takes a field that is `null`.
    pub(super) fn take_null(&mut self, name: &str) {
        self.take_if(name, |value| matches!(value, Value::Null));
    }

    /// Whether there is a field that is fit.
    pub(super) fn has(&self, name: &str, is_fit: impl Fn(&Value<'_>) -> bool) -> bool {
        self.0.iter().any(|(field, value)| field == name && is_fit(value))
    }

    /// Returns which of `names` comes first.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        self.0.iter().find_map(|(field, _)| names.iter().copied().find(|name| name == field))
    }

    /// Takes a field, whatever it holds.
    pub(super) fn take(&mut self, name: &str) -> Option<Value<'static>> {
        self.take_if(name, |_| true)
    }

    /// Takes a field that is a string.
    pub(super) fn string(&mut self, name: &str) -> Option<String> {
        self.string_if(name, |_| true)
    }

    /// Takes a field that is a string which is fit.
    pub(super) fn string_if(&mut self, name: &str, is_fit: impl Fn(&str) -> bool) -> Option<String> {
        match self.take_if(name, |value| matches!(value, Value::String(text) if is_fit(text)))? {
            Value::String(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    /// Takes a field that is a string, if it is there.
    pub(super) fn text(&mut self, name: &str) -> Option<Cow<'static, str>> {
        self.string(name).map(Cow::Owned)
    }

    fn take_if(&mut self, name: &str, is_fit: impl Fn(&Value<'_>) -> bool) -> Option<Value<'static>> {
        let at = self.0.iter().position(|(field, value)| field == name && is_fit(value))?;
        Some(self.0.remove(at).1)
    }

    /// Takes a field that is a boolean.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.take_if(name, |value| matches!(value, Value::Bool(_)))? {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn value(&mut self, name: &str) -> Option<Json<'static>> {
        self.take(name).and_then(|value| Json::of(&value))
    }

    /// The fields that are left.
    fn rest(self) -> Option<Vec<(Cow<'static, str>, Json<'static>)>> {
        self.0.into_iter().map(|(name, value)| Some((name.into(), Json::of(&value)?))).collect()
    }

    /// The row of a sample, with the fields that are left as its columns.
    pub(super) fn row(mut self, body: Body<'static>) -> Option<WrittenRow> {
        let source = self.string("source");
        let mut sample = Sample::from(body);
        sample.tools = self.take_json("tools", |_| true)?;
        // Rows of conversations have the answer as their last message: what is called so there is a column.
        if matches!(sample.body, Body::Prompt { .. }) {
            sample.answer = self.text("answer");
        }
        sample.label = self.boolean("label");
        sample.margin = self.take_json("margin", |value| matches!(value, Value::Number(_)))?;
        sample.columns = self.rest()?;
        Some(WrittenRow { sample, source })
    }

    /// The row of a sample whose shape has the same columns in all rows: tools are text, and what is `null` is not there, but for
    /// the columns that are left.
    pub(super) fn typed_row(mut self, body: Body<'static>) -> Option<WrittenRow> {
        let source = self.string("source");
        let mut sample = Sample::from(body);
        sample.tools = match self.take("tools") {
            Some(Value::String(tools)) => Some(Json::new(&tools)?),
            Some(Value::Json(tools)) => Some(Json::new(&tools)?),
            _ => None,
        };
        sample.answer = match self.take("answer") {
            Some(Value::String(answer)) => Some(answer),
            Some(Value::Null) | None => None,
            Some(_) => return None,
        };
        sample.label = self.boolean("label");
        sample.margin = self.take_json("margin", |value| matches!(value, Value::Number(_)))?;
        sample.columns = self.rest()?;
        Some(WrittenRow { sample, source })
    }

    /// Takes a field that is fit; the outer `None` if it is no JSON.
    fn take_json(&mut self, name: &str, is_fit: impl Fn(&Value<'_>) -> bool) -> Option<Option<Json<'static>>> {
        match self.take_if(name, is_fit) {
            Some(value) => Json::of(&value).map(Some),
            None => Some(None),
        }
    }
}

/// Reads a list of dialogues.
pub(super) fn dialogues(value: &Value<'_>) -> Option<Vec<Vec<Message<'static>>>> {
    let Value::Json(list) = value else { return None };
    let items: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    items.into_iter().map(|item| messages(&Value::Json(item.get().into()))).collect()
}

/// Reads a list of messages.
pub(super) fn messages(value: &Value<'_>) -> Option<Vec<Message<'static>>> {
    objects(value)?.into_iter().map(message).collect()
}

/// Returns the preference that whole dialogues are, best first: what all of them begin with is the prompt.
pub(super) fn preference(dialogues: Vec<Vec<Message<'static>>>) -> Option<Body<'static>> {
    // An answer is left on all sides, even if it is the same.
    let (first, others) = dialogues.split_first()?;
    let shared = |other: &Vec<Message<'_>>| first.iter().zip(other).take_while(|(a, b)| a == b).count();
    let shortest = dialogues.iter().map(Vec::len).min()?;
    let shared = others.iter().map(shared).min()?.min(shortest.saturating_sub(1));
    let prompt = first[..shared].to_vec();
    Some(Body::Preference {
        prompt,
        ranked: dialogues.into_iter().map(|dialogue| dialogue[shared..].to_vec()).collect(),
    })
}

/// Reads the steps of a solution from the list of their texts and that of their labels.
pub(super) fn steps(completions: &Value<'_>, labels: &Value<'_>) -> Option<Vec<Step<'static>>> {
    let (Value::Json(completions), Value::Json(labels)) = (completions, labels) else { return None };
    let texts: Vec<String> = serde_json::from_str(completions).ok()?;
    let labels: Vec<&RawValue> = serde_json::from_str(labels).ok()?;
    if texts.len() != labels.len() {
        return None;
    }
    let step = |(text, label): (String, &RawValue)| Some(Step { text: text.into(), label: Json::new(label.get())? });
    texts.into_iter().zip(labels).map(step).collect()
}

/// Reads a message.
pub(super) fn one_message(value: &Value<'_>) -> Option<Message<'static>> {
    message(Fields::nested(value)?)
}

/// Reads a solution in steps whose prompt is one question.
pub(super) fn one_question(fields: &mut Fields) -> Option<Body<'static>> {
    let prompt = vec![Message::new(Role::User, fields.string("prompt")?)];
    Some(Body::Stepwise { prompt, steps: steps(&fields.take("completions")?, &fields.take("labels")?)? })
}

/// Reads a list of objects.
pub(super) fn objects(value: &Value<'_>) -> Option<Vec<Fields>> {
    let Value::Json(list) = value else { return None };
    let items: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    items.into_iter().map(|item| Fields::of(item.get())).collect()
}

fn message(mut fields: Fields) -> Option<Message<'static>> {
    let role = fields.string("role")?;
    let role = Role::ALL.into_iter().find(|known| known.name() == role)?;
    let content = match fields.take("content") {
        Some(Value::String(text)) => Content::Text(text),
        Some(Value::Null) => Content::Null,
        Some(other) => Content::Parts(Json::of(&other)?),
        None => Content::Absent,
    };
    let tool_calls = match fields.take_if("tool_calls", |value| matches!(value, Value::Json(_))) {
        Some(calls) => Some(objects(&calls)?.into_iter().map(call).collect::<Option<_>>()?),
        None => None,
    };
    let extras = MessageExtras {
        reasoning: fields.text("reasoning_content"),
        tool_calls,
        tool_call_id: fields.text("tool_call_id"),
        name: fields.text("name"),
        weight: fields.value("weight"),
        train: fields.boolean("train"),
        other: fields.rest()?,
    };
    let extras = (extras != MessageExtras::default()).then(|| Box::new(extras));
    Some(Message { role, content, extras })
}

fn call(mut fields: Fields) -> Option<ToolCall<'static>> {
    let Some(Value::Json(function)) = fields.take("function") else { return None };
    let mut function = Fields::of(&function)?;
    let (name, arguments) = (function.text("name")?, function.take("arguments"));
    if !function.0.is_empty() {
        return None;
    }
    let arguments = match arguments {
        Some(Value::String(text)) => Some(Arguments::Text(text)),
        Some(other) => Some(Arguments::Json(Json::of(&other)?)),
        None => None,
    };
    Some(ToolCall { id: fields.text("id"), kind: fields.text("type"), name, arguments, other: fields.rest()? })
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(value),
        Value::Number(text) => Value::Number(text.into_owned().into()),
        Value::String(text) => Value::String(text.into_owned().into()),
        Value::Json(text) => Value::Json(text.into_owned().into()),
        Value::Printed { kind, text } => {
            Value::Printed { kind: kind.into_owned().into(), text: text.into_owned().into() }
        }
    }
}
