//! Reads the files of a model.

use std::sync::Arc;

use datac_model::{
    ChatTemplate, DateTime, Json, Masker, Model, Rewritten, Rules, Settings, Shown, TemplateFiles, Templates,
    Tokenizer, TokenizerError, TokenizerFile, TrainOn,
};

use crate::{
    driver::{error::ActionError, models::ModelSinks, sources::Sources},
    graph::{ModelFile, ModelOutcome, PinnedFile, PinnedModel},
};
use datac_core::{
    config::{
        self,
        model::{Overlong, SpecialTokens, TrainOn as Asked},
    },
    failure::{Failure, FailureKind, SourceFault},
    leaf::Setting,
    sample::Sample,
    shape::wrapped_tools,
};

/// A model whose files have been read.
#[derive(Debug)]
pub(crate) struct ReadModel {
    pub(super) tokenizer: Arc<TokenizerFile>,
    /// The template for dialogues, or why there is none.
    pub(super) plain: Result<Model<Arc<TokenizerFile>>, String>,
    /// The template for dialogues with tools, if it is another one, or why it cannot be used: most recipes have no such rows.
    pub(super) with_tools: Option<Result<Model<Arc<TokenizerFile>>, Failure>>,
    pub(super) rules: Rules,
    pub(super) special_tokens: SpecialTokens,
    /// The id of the token that ends a text.
    pub(super) end_of_text: Option<u32>,
    /// The largest number of tokens of a sample, and what is done with those that have more.
    pub(super) max_tokens: Option<u64>,
    pub(super) overlong: Overlong,
}

/// Which tokenizers there are, for hints.
const SUPPORTED: &str = "tokenizers of the kind BPE are supported, as of Qwen, Llama, Gemma, Mistral and most others";

/// The time that templates see which do not ask for it.
const NO_TIME: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl ReadModel {
    /// Reads the files of a model.
    pub(super) fn read(sources: &Sources, pinned: &PinnedModel) -> Result<Self, ActionError> {
        let text = |of: &ModelFile| -> Result<Option<String>, ActionError> {
            let Some(PinnedFile { origin, file, .. }) = pinned.files.iter().find(|file| file.of == *of) else {
                return Ok(None);
            };
            let bytes = sources.read(origin, file)?;
            let text = String::from_utf8(bytes);
            text.map(Some).map_err(|_| unusable("source", format!("`{}` is not UTF-8", file.path), None))
        };
        let file = text(&ModelFile::Tokenizer)?.unwrap_or_default();
        let tokenizer = TokenizerFile::read(&file).map_err(|error| match error {
            TokenizerError::Unsupported(_) => unusable("source", error.to_string(), Some(SUPPORTED)),
            _ => unusable("source", error.to_string(), None),
        })?;
        let tokenizer = Arc::new(tokenizer);
        let (tokenizer_config, chat_template) = (text(&ModelFile::TokenizerConfig)?, text(&ModelFile::ChatTemplate)?);
        let mut named = Vec::new();
        for PinnedFile { of, .. } in &pinned.files {
            if let ModelFile::NamedTemplate(name) = of {
                named.push((name.as_str(), text(of)?.unwrap_or_default()));
            }
        }
        let additional: Vec<(&str, &str)> = named.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let files = TemplateFiles {
            tokenizer_config: tokenizer_config.as_deref(),
            chat_template: chat_template.as_deref(),
            additional: &additional,
        };
        let templates = Templates::read(files).map_err(|error| unusable("source", error.to_string(), None))?;
        let model = &pinned.model;
        let choose = |has_tools| templates.choose(model.template_name(), has_tools);
        let (plain, with_tools) = (choose(false), choose(true));
        if let (Some(_), Err(error)) = (model.template_name(), &plain) {
            return Err(unusable("template", error.to_string(), None));
        }
        let is_other = with_tools.as_ref().ok().filter(|source| plain.as_ref().ok() != Some(*source));
        let compile = |source: &str| compile(model, &templates, &tokenizer, source);
        let with_tools = match is_other.map(|source| compile(source)) {
            None => None,
            Some(Ok(model)) => Some(Ok(model)),
            Some(Err(ActionError::Failure(failure))) => Some(Err(failure)),
            Some(Err(other)) => return Err(other),
        };
        let plain = match plain {
            Ok(source) => Ok(compile(source)?),
            Err(error) => Err(error.to_string()),
        };
        let end = templates.eos_token().and_then(|end| {
            let added = tokenizer.vocabulary().added().iter();
            added.clone().find(|token| token.text == end).map(|token| token.id)
        });
        Ok(Self {
            plain,
            with_tools,
            rules: Rules {
                train_on: match model.train_on {
                    Asked::Assistant => TrainOn::Assistant,
                    Asked::Last => TrainOn::Last,
                    Asked::Completion => TrainOn::Completion,
                    Asked::All => TrainOn::All,
                },
                reasoning: model.reasoning,
                end_of_turn: model.end_of_turn,
            },
            special_tokens: model.special_tokens,
            end_of_text: end,
            max_tokens: model.max_tokens,
            overlong: model.overlong,
            tokenizer,
        })
    }

    /// Returns why the model cannot be used for a sample: it has a template of its own for tools, which cannot be used.
    pub(crate) fn unusable_for(&self, sample: &Sample<'_>) -> Option<&Failure> {
        let Some(Err(failure)) = &self.with_tools else { return None };
        matches!(wrapped_tools(sample.tools.as_ref()), Ok(Some(_))).then_some(failure)
    }

    /// Whether samples may be made shorter.
    pub(crate) fn shortens(&self) -> bool {
        self.overlong != Overlong::Reject
    }

    /// Asks the template what it does by itself, and to parts that many templates drop.
    pub(super) fn sinks(&self) -> ModelSinks {
        let Ok(model) = &self.plain else { return ModelSinks::default() };
        let masker = model.masker();
        let mut sinks = masker.sinks();
        if let Some(Ok(with_tools)) = &self.with_tools {
            // Rows with tools have a template of their own.
            let of_tools = with_tools.masker().sinks();
            (sinks.tools, sinks.calls, sinks.tool_results) = (of_tools.tools, of_tools.calls, of_tools.tool_results);
        }
        let parts = [
            ("system messages", sinks.system),
            ("developer messages", sinks.developer),
            ("tools", sinks.tools),
            ("calls of tools", sinks.calls),
            ("results of tools", sinks.tool_results),
            ("reasoning of the last answer", sinks.reasoning),
            ("reasoning of earlier answers", sinks.earlier_reasoning),
            ("contents in parts", sinks.parts),
        ];
        let word = |shown: &Shown| match shown {
            Shown::Shown => None,
            Shown::Printed => Some("printed"),
            Shown::Dropped => Some("dropped"),
            Shown::Refused(_) => Some("refused"),
        };
        let parts = parts.into_iter().filter_map(|(part, shown)| Some((part.to_owned(), word(&shown)?))).collect();
        let end_of_turn = masker.end_of_turn().map(|end| end.tokens.concat());
        let word = |part: &Rewritten| match part {
            Rewritten::Answer => "answers",
            Rewritten::Reasoning => "reasoning",
            Rewritten::Call => "calls of tools",
        };
        ModelSinks {
            begins_with: sinks.begins_with,
            end_of_turn,
            default_system: sinks.default_system,
            rewritten: sinks.rewritten.iter().map(word).collect(),
            begins_otherwise: !sinks.begins_alike,
            parts,
        }
    }

    /// Returns what is recorded of the model.
    pub(crate) fn outcome(&self) -> ModelOutcome {
        ModelOutcome {
            vocabulary: self.tokenizer.vocabulary().size() as u64,
            no_template: self.plain.as_ref().err().cloned(),
            ends_texts: self.end_of_text.is_some(),
        }
    }
}

fn compile(
    model: &config::Model,
    templates: &Templates,
    tokenizer: &Arc<TokenizerFile>,
    source: &str,
) -> Result<Model<Arc<TokenizerFile>>, ActionError> {
    let now = match &model.now {
        Some(now) => now.parse().map_err(|_| unusable("now", format!("`{now}` is not a date"), None))?,
        None if source.contains("strftime_now") => {
            let hint = "add `now: 2026-01-31` under `model`, so that the rows do not depend on the day of the build";
            return Err(unusable(
                "source",
                "its chat template writes the date, and the recipe has none".into(),
                Some(hint),
            ));
        }
        None => NO_TIME,
    };
    let template = ChatTemplate::compile(source, Settings::at(now));
    let key = if model.template.is_some() { "template" } else { "source" };
    let template = template.map_err(|error| unusable(key, error.to_string(), None))?;
    let argument = |(name, json): &(String, String)| {
        let value = Json::parse(json).map_err(|error| unusable("arguments", error.to_string(), None))?;
        Ok((name.clone(), value))
    };
    let arguments = model.arguments.iter().map(argument).collect::<Result<Vec<_>, ActionError>>()?;
    let special = tokenizer.vocabulary().special().map(|token| token.text.clone()).collect();
    Ok(Model::new(tokenizer.clone(), Masker::new(template, templates.variables(arguments), special)))
}

/// The failure of a model that cannot be used, at a key of `model`.
fn unusable(key: &str, why: String, hint: Option<&str>) -> ActionError {
    let failure = Failure::plain(FailureKind::Config, format!("the model cannot be used: {why}"));
    let failure = failure.about(SourceFault::Model).at_key(Setting::Model(key.to_owned()));
    ActionError::Failure(hint.into_iter().fold(failure, Failure::hint))
}
