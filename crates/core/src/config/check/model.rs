//! Checks `model`: for which model rows are rendered and encoded.

use super::{
    super::{
        Location,
        model::{Model, Overlong, SpecialTokens, TrainOn},
        problem::{self, Fault},
        tree::{Key, Node, Scalar, Value, quoted},
    },
    Checker, MODEL_KEYS,
    read::Fields,
    rules::{is_hub_id, relative_path},
};
use crate::sample::SampleKind;

impl Checker<'_> {
    /// Reads the model; `Some(None)` without one. `default_max` is the largest number of tokens where the model names none.
    pub(super) fn model(
        &mut self,
        fields: &Fields<'_, '_>,
        root: &Node<'_>,
        kind: Option<SampleKind>,
        default_max: Option<u64>,
    ) -> Option<Option<Model>> {
        match fields.get("model") {
            None => Some(None),
            Some(node) => self.model_of(node, root.entry("model").map(|(key, _)| key), kind, default_max).map(Some),
        }
    }

    /// Reads the model of an output, which makes no rows of its own; `Some(None)` without one.
    pub(super) fn model_of_output(
        &mut self,
        fields: &Fields<'_, '_>,
        entry: &Node<'_>,
        kind: Option<SampleKind>,
        default_max: Option<u64>,
    ) -> Option<Option<Model>> {
        let Some(node) = fields.get("model") else { return Some(None) };
        let model = self.model_of(node, entry.entry("model").map(|(key, _)| key), kind, default_max)?;
        if model.overlong == Overlong::Reject {
            return Some(Some(model));
        }
        let at = node.entry("overlong").map_or(&node.span, |(_, node)| &node.span);
        let message = "the model of an output makes no sample shorter: all outputs of a recipe have the same samples";
        let fault = Fault::new(problem::MODEL, at, message).label("not for one output");
        self.report(fault.hint("write it under the `model` of the recipe, or remove it: longer samples are left out"));
        None
    }

    fn model_of(
        &mut self,
        node: &Node<'_>,
        key: Option<&Key<'_>>,
        kind: Option<SampleKind>,
        default_max: Option<u64>,
    ) -> Option<Model> {
        if let (Some(SampleKind::Stepwise), Some(key)) = (kind, key) {
            let message = "`model` has no meaning for this phase: a reward model of steps has no chat template";
            self.report(
                Fault::new(problem::MODEL, &key.span, message).label("not for stepwise samples").hint("remove it"),
            );
            return None;
        }
        if !matches!(node.value, Value::Map(_)) {
            let location = self.model_source(node, None)?;
            return Some(Model {
                location,
                template: None,
                arguments: Vec::new(),
                now: None,
                train_on: TrainOn::default(),
                reasoning: true,
                end_of_turn: true,
                special_tokens: SpecialTokens::default(),
                max_tokens: default_max,
                overlong: Overlong::default(),
            });
        }
        let fields = self.fields(node, key, "`model`", MODEL_KEYS)?;
        let revision = self.optional(&fields, "revision", Self::revision);
        let source = self.required(&fields, "source", "add `source: Qwen/Qwen3-8B`, or the folder of a tokenizer");
        let location = source.and_then(|node| self.model_source(node, revision.clone()?));
        let template = self.optional(&fields, "template", |this, node, key| this.name(node, key).map(str::to_owned));
        let arguments = self.or_default(&fields, "arguments", Vec::new(), |this, node, _| this.model_arguments(node));
        let now = self.optional(&fields, "now", Self::moment);
        let train_on = self
            .or_default(&fields, "train_on", TrainOn::default(), |this, node, key| this.word(node, key, TrainOn::ALL));
        let reasoning = self.or_default(&fields, "reasoning", true, Self::boolean);
        let end_of_turn = self.or_default(&fields, "end_of_turn", true, Self::boolean);
        let special_tokens = self.or_default(&fields, "special_tokens", SpecialTokens::default(), |this, node, key| {
            this.word(node, key, SpecialTokens::ALL)
        });
        let max_tokens = self.optional(&fields, "max_tokens", |this, node, key| this.integer(node, key, 1));
        let max_tokens = max_tokens.map(|max| max.or(default_max));
        let overlong = self.overlong(&fields, kind, max_tokens);
        Some(Model {
            location: location?,
            template: template?,
            arguments: arguments?,
            now: now?,
            train_on: train_on?,
            reasoning: reasoning?,
            end_of_turn: end_of_turn?,
            special_tokens: special_tokens?,
            max_tokens: max_tokens?,
            overlong: overlong?,
        })
    }

    /// Reads what is done with samples that have more than `max` tokens.
    fn overlong(
        &mut self,
        fields: &Fields<'_, '_>,
        kind: Option<SampleKind>,
        max: Option<Option<u64>>,
    ) -> Option<Overlong> {
        let overlong = self.or_default(fields, "overlong", Overlong::default(), |this, node, key| {
            this.word(node, key, Overlong::ALL)
        })?;
        let is_of_texts = matches!(overlong, Overlong::TruncateEnd | Overlong::TruncateStart | Overlong::Split);
        let (label, message, hint) = match (overlong, kind, max) {
            (Overlong::Reject, ..) => return Some(overlong),
            (_, _, Some(None)) => {
                ("longer than what?", "`overlong` needs `max_tokens`".to_owned(), "add `max_tokens: 4096`")
            }
            (_, Some(SampleKind::Text), _) if !is_of_texts => {
                let message = format!("`overlong: {}` is for dialogues", overlong.word());
                ("texts have no turns", message, "write `split`, `truncate_end` or `truncate_start`")
            }
            (_, Some(kind), _) if is_of_texts && kind != SampleKind::Text => {
                let message = format!("`overlong: {}` is for texts", overlong.word());
                ("would cut an answer", message, "write `drop_turns`, or remove it: longer samples are left out")
            }
            _ => return Some(overlong),
        };
        let at = fields.get("overlong").map(|node| node.span.clone())?;
        self.report(Fault::new(problem::MODEL, &at, message).label(label).hint(hint));
        None
    }

    /// Reads where a model lies: a repository, or a folder of the workspace.
    fn model_source(&mut self, node: &Node<'_>, revision: Option<String>) -> Option<Location> {
        let text = self.name(node, "source")?;
        let is_path = text.starts_with("./") || text.ends_with('/') || text.matches('/').count() > 1;
        if !is_path && is_hub_id(text) {
            return Some(Location::Named { name: text.to_owned(), revision });
        }
        match relative_path(text) {
            Ok(path) => Some(Location::Local { path: text.to_owned(), paths: vec![path.to_owned()] }),
            Err(why) => {
                let message = format!("{} is neither a repository nor a folder of the workspace: {why}", quoted(text));
                let fault = Fault::new(problem::MODEL, &node.span, message).label("no such place");
                self.report(fault.hint("write an id such as `Qwen/Qwen3-8B`, or a folder such as `models/mine/`"));
                None
            }
        }
    }

    fn model_arguments(&mut self, node: &Node<'_>) -> Option<Vec<(String, String)>> {
        let Value::Map(entries) = &node.value else {
            let hint = "write `arguments: { enable_thinking: false }`".to_owned();
            self.wrong_type(node, "arguments", "a mapping", Some(hint));
            return None;
        };
        let mut arguments: Vec<(String, String)> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            if SET_BY_DATAC.contains(&key.name.as_ref()) {
                let message = format!("the argument {} is what datac renders", quoted(&key.name));
                let fault = Fault::new(problem::MODEL, &key.span, message).label("not yours to set");
                self.report(fault.hint("remove it"));
                return None;
            }
            arguments.push((key.name.to_string(), json_of(node)?.to_string()));
        }
        arguments.sort();
        Some(arguments)
    }

    /// Reads a date, or a date with a time.
    fn moment(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        let text = self.text(node, key)?;
        if is_moment(text) {
            return Some(text.to_owned());
        }
        let message = format!("`{key}` must be a date, found {}", quoted(text));
        let fault = Fault::new(problem::MODEL, &node.span, message).label("not a date");
        self.report(fault.hint("write `2026-01-31`, or `2026-01-31T12:00:00`"));
        None
    }
}

/// The variables of templates that transformers sets itself.
pub(in super::super) const SET_BY_DATAC: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// Returns a node as JSON; `None` if the parser has refused a part of it.
fn json_of(node: &Node<'_>) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::Scalar(Scalar::Null, _) => serde_json::Value::Null,
        Value::Scalar(Scalar::Bool(value), _) => (*value).into(),
        Value::Scalar(Scalar::Int(value), text) => match i64::try_from(*value) {
            Ok(value) => value.into(),
            Err(_) => text.as_ref().into(),
        },
        Value::Scalar(Scalar::Float(value), text) => match serde_json::Number::from_f64(*value) {
            Some(value) => value.into(),
            None => text.as_ref().into(),
        },
        Value::Scalar(Scalar::Date | Scalar::Text, text) => text.as_ref().into(),
        Value::List(items) => items.iter().map(json_of).collect::<Option<Vec<_>>>()?.into(),
        Value::Map(entries) => {
            let pair = |(key, node): &(Key<'_>, Node<'_>)| Some((key.name.to_string(), json_of(node)?));
            serde_json::Value::Object(entries.iter().map(pair).collect::<Option<_>>()?)
        }
        Value::Refused => return None,
    })
}

/// Returns whether a text is `2026-01-31`, or that with `T12:00:00` behind it, and there is such a day and time.
fn is_moment(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-T:".contains(&byte));
    match text.len() {
        10 => is_plain && text.parse::<jiff::civil::Date>().is_ok(),
        19 => is_plain && text.parse::<jiff::civil::DateTime>().is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_days_that_there_are() {
        for text in ["2026-01-31", "2024-02-29", "2000-02-29T23:59:59"] {
            assert!(is_moment(text), "{text}");
        }
        for text in [
            "2026-1-31",
            "2026-02-29",
            "2026-W05-6",
            "2026-01-31T12:00",
            "1900-02-29",
            "2026-13-01",
            "2026-01-31T24:00:00",
            "now",
            "2026-01-31 12:00:00",
        ] {
            assert!(!is_moment(text), "{text}");
        }
    }
}
