//! What verl and SkyRL read alike beside a prompt: objects that say how its answer is rewarded, and columns that the row brings along
//! for its trainer.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Unfit,
    facts::{Facts, Type},
    write::{Object, text_column},
};
use crate::{
    row::Value,
    sample::{Json, Quoted, Sample, SampleView},
};

/// The column that holds the reward of a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reward {
    /// The name of the column.
    pub(super) column: &'static str,
    /// The key of the object that says how an answer is judged.
    pub(super) how: &'static str,
}

impl Reward {
    /// The type of the column: one struct where all rewards compare with an answer, and JSON where some row has a reward of its own,
    /// since a struct would give all rows the keys of each other.
    pub(super) fn of(self, facts: &Facts) -> Type {
        if facts.has_column(self.column) {
            Type::Json
        } else {
            Type::Struct(vec![(self.how, Type::Text), ("ground_truth", Type::Text)])
        }
    }

    /// Writes the reward that the row has, or else one that compares with the sample's answer.
    pub(super) fn write(self, sample: &SampleView<'_>, row: &mut Object<'_>) -> Result<(), Unfit> {
        #[derive(Deserialize)]
        struct Own<'a> {
            #[serde(borrow)]
            ground_truth: Option<&'a serde_json::value::RawValue>,
        }
        let own = object_column(sample, self.column, Unfit("a reward that is no object"))?;
        let Some(own) = own else {
            let Some(answer) = sample.answer else { return Err(Unfit("a prompt without an answer")) };
            return row.with(self.column, |out| {
                let mut reward = Object::begin(out);
                reward.named(self.how, b"\"rule\"");
                reward.string("ground_truth", Some(answer));
                reward.end();
                Ok(())
            });
        };
        let truth = serde_json::from_str::<Own<'_>>(own).ok().and_then(|own| own.ground_truth);
        let Some(truth) = truth else { return Err(Unfit("a reward without a `ground_truth`")) };
        if sample.answer.is_some_and(|answer| answer.with_quotes() != truth.get().as_bytes()) {
            return Err(Unfit("an answer beside a reward that has another"));
        }
        row.named(self.column, own.as_bytes());
        Ok(())
    }

    /// Puts the reward of a written row back where it came from: an answer, or a column of the row's own.
    pub(super) fn read(self, reward: &Value<'_>, sample: &mut Sample<'static>) -> Option<()> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ruled {
            #[serde(alias = "style", alias = "method")]
            how: String,
            ground_truth: String,
        }
        let Value::Json(text) = reward else { return None };
        match serde_json::from_str::<Ruled>(text) {
            Ok(Ruled { how, ground_truth }) if how == "rule" => sample.answer = Some(ground_truth.into()),
            _ => sample.columns.push((self.column.into(), Json::of(reward)?)),
        }
        Some(())
    }
}

/// Writes the row's own text of a column that the trainer reads, or else the name of the source. Returns the name if the text is the row's.
pub(super) fn own_or_source(
    name: &'static str,
    sample: &SampleView<'_>,
    source: Quoted<'_>,
    row: &mut Object<'_>,
) -> Option<&'static str> {
    let text = text_column(sample, name);
    row.string(name, Some(text.unwrap_or(source)));
    text.map(|_| name)
}

/// Puts a text of a written row back where it came from: nowhere if it is the name of the source, else a column of the row's own.
pub(super) fn put_own(
    name: &'static str,
    value: &Value<'_>,
    source: Option<&str>,
    sample: &mut Sample<'static>,
) -> Option<()> {
    if !matches!(value, Value::String(text) if source == Some(text)) {
        sample.columns.push((name.into(), Json::of(value)?));
    }
    Some(())
}

/// Returns the object in a column that the recipe keeps, if the row has one there.
pub(super) fn object_column<'s>(
    sample: &'s SampleView<'_>,
    name: &str,
    other: Unfit,
) -> Result<Option<&'s str>, Unfit> {
    let value = sample.columns.iter().find(|(column, _)| column.inner() == name.as_bytes());
    match value.map(|(_, value)| value.as_str()) {
        None | Some("null") => Ok(None),
        Some(text) if !text.starts_with('{') => Err(other),
        Some(text) if super::chat::has_wide_number(text.as_bytes()) => Err(WIDE),
        Some(text) => Ok(Some(text)),
    }
}

const WIDE: Unfit = Unfit("numbers in columns that no 64 bits hold");

/// Returns an object with one more key, unless it has that key.
pub(super) fn with_key<'a>(object: &'a str, key: &str, value: &str) -> Result<Cow<'a, str>, Unfit> {
    let keys: BTreeMap<Cow<'_, str>, IgnoredAny> =
        serde_json::from_str(object).map_err(|_| Unfit("an object that is no JSON"))?;
    if keys.contains_key(key) {
        return Ok(object.into());
    }
    let comma = if keys.is_empty() { "" } else { "," };
    Ok(format!("{}{comma}\"{key}\":{value}}}", &object[..object.len() - 1]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_once() {
        for (object, with) in [
            ("{}", r#"{"index":7}"#),
            (r#"{"a":{"index":1}}"#, r#"{"a":{"index":1},"index":7}"#),
            (r#"{"index":"x","a":1}"#, r#"{"index":"x","a":1}"#),
            (r#"{"index":null}"#, r#"{"index":null}"#),
        ] {
            assert_eq!(with_key(object, "index", "7").as_deref(), Ok(with));
        }
    }
}
