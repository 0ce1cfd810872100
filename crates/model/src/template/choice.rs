//! Which template of a repository is meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::Json;

/// What repositories of models hold that decides how conversations are written; `None` for files that are missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateFiles<'f> {
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<&'f str>,
    /// `chat_template.jinja`.
    pub chat_template: Option<&'f str>,
    /// The files of `additional_chat_templates/`: their names without `.jinja`, and their texts.
    pub additional: &'f [(&'f str, &'f str)],
}

/// The templates of a model, and the tokens that templates know by name.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    templates: Held,
    special_tokens: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
enum Held {
    #[default]
    None,
    One(String),
    Named(BTreeMap<String, String>),
}

/// Why a model has no template for a conversation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// `tokenizer_config.json` cannot be read.
    #[error("`tokenizer_config.json` is invalid: {0}")]
    Config(#[source] serde_json::Error),
    /// No file holds a template.
    #[error("the model has no chat template")]
    None,
    /// None of several templates is the default.
    #[error("the model has several chat templates and no default; name one of: {}", .names.join(", "))]
    NoDefault {
        /// The names there are, in order.
        names: Vec<String>,
    },
    /// There is no template of this name.
    #[error("the model has no chat template `{name}`; there are: {}", .names.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are, in order.
        names: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    chat_template: Option<ConfigTemplate>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ConfigTemplate {
    One(String),
    List(Vec<ListedTemplate>),
    Named(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct ListedTemplate {
    name: String,
    template: String,
}

/// The names of tokens that templates see, in the order of transformers' `SPECIAL_TOKENS_ATTRIBUTES`.
const NAMED_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

impl Templates {
    /// Reads the files of a model as `AutoTokenizer.from_pretrained` of transformers 5.23 does.
    ///
    /// `chat_template.jinja` comes before `tokenizer_config.json`. Files of `additional_chat_templates` are templates with
    /// names beside it; they too hide the templates of `tokenizer_config.json`.
    pub fn read(files: TemplateFiles<'_>) -> Result<Self, ChoiceError> {
        let config: Option<Config> =
            files.tokenizer_config.map(serde_json::from_str).transpose().map_err(ChoiceError::Config)?;
        let (of_config, rest) = config.map_or((None, BTreeMap::new()), |config| (config.chat_template, config.rest));
        let default = files.chat_template.map(|template| ("default".to_owned(), template.to_owned()));
        let own = |(name, template): &(&str, &str)| ((*name).to_owned(), (*template).to_owned());
        let of_files: BTreeMap<String, String> = default.into_iter().chain(files.additional.iter().map(own)).collect();
        let templates = match (files.chat_template, of_files.len()) {
            (Some(template), 1) => Held::One(template.to_owned()),
            (_, 1..) => Held::Named(of_files),
            (_, 0) => match of_config {
                None => Held::None,
                Some(ConfigTemplate::One(template)) => Held::One(template),
                Some(ConfigTemplate::Named(named)) => Held::Named(named),
                Some(ConfigTemplate::List(list)) => {
                    Held::Named(list.into_iter().map(|listed| (listed.name, listed.template)).collect())
                }
            },
        };
        // A token is a string, or an object with its text in `content`.
        let text = |value: &serde_json::Value| {
            let text = value.get("content").unwrap_or(value);
            text.as_str().map(str::to_owned)
        };
        let token = |name: &str| Some((name.to_owned(), text(rest.get(name)?)?));
        let is_own = |name: &&String| name.ends_with("_token") && !NAMED_TOKENS.contains(&name.as_str());
        let mut special_tokens: Vec<_> = NAMED_TOKENS.iter().filter_map(|name| token(name)).collect();
        special_tokens.extend(rest.keys().filter(is_own).filter_map(|name| token(name)));
        if let Some(serde_json::Value::Object(extra)) = rest.get("extra_special_tokens") {
            special_tokens.extend(extra.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))));
        }
        Ok(Self { templates, special_tokens })
    }

    /// Returns the source of the template for a conversation, as `get_chat_template` of transformers 5.23 chooses it.
    ///
    /// Without a `name`: of several templates `tool_use` if there are tools, else `default`. With a name, the template of that
    /// name; a single template has none.
    pub fn choose(&self, name: Option<&str>, has_tools: bool) -> Result<&str, ChoiceError> {
        match (&self.templates, name) {
            (Held::None, _) => Err(ChoiceError::None),
            (Held::One(template), None | Some("default")) => Ok(template),
            (Held::One(_), Some(name)) => {
                Err(ChoiceError::Unknown { name: name.to_owned(), names: vec!["default".to_owned()] })
            }
            (Held::Named(named), Some(name)) => named
                .get(name)
                .map(String::as_str)
                .ok_or_else(|| ChoiceError::Unknown { name: name.to_owned(), names: named.keys().cloned().collect() }),
            (Held::Named(named), None) => {
                let tool_use = named.get("tool_use").filter(|_| has_tools);
                let template = tool_use.or_else(|| named.get("default"));
                template
                    .map(String::as_str)
                    .ok_or_else(|| ChoiceError::NoDefault { names: named.keys().cloned().collect() })
            }
        }
    }

    /// The names of the templates in order; empty if there is at most one.
    pub fn names(&self) -> Vec<&str> {
        match &self.templates {
            Held::Named(named) => named.keys().map(String::as_str).collect(),
            Held::None | Held::One(_) => Vec::new(),
        }
    }

    /// The tokens that templates know by name (`bos_token`, …), with their texts.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.special_tokens.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The text of `eos_token`, which ends what the model generates.
    pub fn eos_token(&self) -> Option<&str> {
        self.special_tokens().find(|(name, _)| *name == "eos_token").map(|(_, text)| text)
    }

    /// Returns the variables that templates see beside the conversation: the special tokens, then `arguments`, which replace
    /// tokens of the same name.
    pub fn variables(&self, arguments: impl IntoIterator<Item = (String, Json)>) -> Vec<(String, Json)> {
        let mut variables: Vec<(String, Json)> =
            self.special_tokens().map(|(name, text)| (name.to_owned(), Json::from(text))).collect();
        for (name, value) in arguments {
            match variables.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => variables.push((name, value)),
            }
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: Option<&str>, file: Option<&str>, additional: &[(&str, &str)]) -> Templates {
        let files = TemplateFiles { tokenizer_config: config, chat_template: file, additional };
        Templates::read(files).expect("the configuration is valid")
    }

    #[test]
    fn templates_are_chosen_as_transformers_chooses_them() {
        let one = r#"{"chat_template": "one"}"#;
        let list =
            r#"{"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]}"#;
        // The configuration, the file, the additional files; the name, whether there are tools; the template.
        type Files<'f> = (Option<&'f str>, Option<&'f str>, &'f [(&'f str, &'f str)]);
        type Case<'f> = (Files<'f>, (Option<&'f str>, bool), Result<&'f str, &'f str>);
        let cases: &[Case<'_>] = &[
            ((Some(one), None, &[]), (None, true), Ok("one")),
            ((Some(one), Some("file"), &[]), (None, false), Ok("file")),
            ((Some(one), Some("file"), &[("tool_use", "more")]), (None, false), Ok("file")),
            ((Some(one), Some("file"), &[("tool_use", "more")]), (None, true), Ok("more")),
            ((Some(list), None, &[]), (None, true), Ok("t")),
            ((Some(list), None, &[]), (None, false), Ok("d")),
            ((Some(list), None, &[]), (Some("tool_use"), false), Ok("t")),
            (
                (Some(list), None, &[]),
                (Some("rag"), false),
                Err("the model has no chat template `rag`; there are: default, tool_use"),
            ),
            (
                (Some(one), None, &[("a", "x"), ("b", "y")]),
                (None, false),
                Err("the model has several chat templates and no default; name one of: a, b"),
            ),
            ((None, None, &[]), (None, false), Err("the model has no chat template")),
        ];
        for ((config, file, additional), (name, has_tools), expected) in cases {
            let templates = read(*config, *file, additional);
            let chosen = templates.choose(*name, *has_tools).map_err(|error| error.to_string());
            assert_eq!(
                chosen.as_deref().map_err(String::as_str),
                expected.as_ref().map(|text| *text).map_err(|text| *text)
            );
        }
    }

    #[test]
    fn tokens_are_strings_or_objects_and_arguments_win() {
        let config = r#"{"eos_token": {"content": "</s>", "lstrip": false}, "bos_token": "<s>", "pad_token": null,
            "image_token": "<image>", "add_bos_token": true, "extra_special_tokens": {"eoh_token": "<eoh>"}}"#;
        let templates = read(Some(config), Some(""), &[]);
        let tokens: Vec<_> = templates.special_tokens().collect();
        assert_eq!(
            tokens,
            [("bos_token", "<s>"), ("eos_token", "</s>"), ("image_token", "<image>"), ("eoh_token", "<eoh>")]
        );
        assert_eq!(templates.eos_token(), Some("</s>"));
        let variables =
            templates.variables([("bos_token".to_owned(), Json::from("")), ("x".to_owned(), Json::from(true))]);
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["bos_token", "eos_token", "image_token", "eoh_token", "x"]);
    }

    #[test]
    fn a_bad_configuration_is_an_error() {
        let files = TemplateFiles { tokenizer_config: Some("{"), ..TemplateFiles::default() };
        assert!(matches!(Templates::read(files), Err(ChoiceError::Config(_))));
    }
}
