//! The `model` block: for which model rows are rendered and encoded, and what of them is trained on.

use serde::{Deserialize, Serialize};

use super::Location;
use crate::{
    code::Component,
    key::{Deciding, Encode, Visitor},
    leaf::{Leaf, Setting},
};

/// A model as recipes name it: the files of its tokenizer and chat templates, and how samples go through them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Model {
    /// The repository, or the folder of the workspace.
    pub location: Location,
    /// The name of one of the model's chat templates, or the path of a template in the workspace; `None` leaves the choice to
    /// the rule of transformers.
    pub template: Option<String>,
    /// What the template is given beside the conversation, by name, as JSON; sorted by name.
    pub arguments: Vec<(String, String)>,
    /// The time that the template is told: `2026-01-31` or `2026-01-31T12:00:00`.
    pub now: Option<String>,
    /// Which messages are trained on.
    pub train_on: TrainOn,
    /// Whether reasoning is trained on.
    pub reasoning: bool,
    /// Whether the token that ends a turn is trained on.
    pub end_of_turn: bool,
    /// What is done with texts that hold control tokens.
    pub special_tokens: SpecialTokens,
    /// The largest number of tokens that a sample may have.
    pub max_tokens: Option<u64>,
    /// What is done with samples that have more.
    pub overlong: Overlong,
}

/// Which messages are trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum TrainOn {
    /// All messages of the assistant.
    #[default]
    Assistant,
    /// The last message of the assistant.
    Last,
    /// The messages of the assistant behind the last one of the user.
    Completion,
    /// The whole text.
    All,
}

impl TrainOn {
    /// Every word that recipes use.
    pub const ALL: &[(&str, Self)] =
        &[("assistant", Self::Assistant), ("last", Self::Last), ("completion", Self::Completion), ("all", Self::All)];

    /// Returns the word that recipes use.
    pub fn word(self) -> &'static str {
        word(Self::ALL, self)
    }
}

/// What is done with a text that holds the text of a control token, which the tokenizer would read as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum SpecialTokens {
    /// Its row is rejected.
    #[default]
    Reject,
    /// It is encoded like any other, so the sample says what only the template should say.
    Allow,
}

impl SpecialTokens {
    /// Every word that recipes use.
    pub const ALL: &[(&str, Self)] = &[("reject", Self::Reject), ("allow", Self::Allow)];

    /// Returns the word that recipes use.
    pub fn word(self) -> &'static str {
        word(Self::ALL, self)
    }
}

/// What is done with samples that have more tokens than they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Overlong {
    /// They are left out.
    #[default]
    Reject,
    /// As many of the oldest turns of a dialogue are left out as it takes; instructions stay.
    DropTurns,
    /// The end of a text is cut off.
    TruncateEnd,
    /// The beginning of a text is cut off.
    TruncateStart,
    /// A text is cut into several.
    Split,
}

impl Overlong {
    /// Every word that recipes use.
    pub const ALL: &[(&str, Self)] = &[
        ("reject", Self::Reject),
        ("drop_turns", Self::DropTurns),
        ("truncate_end", Self::TruncateEnd),
        ("truncate_start", Self::TruncateStart),
        ("split", Self::Split),
    ];

    /// Returns the word that recipes use.
    pub fn word(self) -> &'static str {
        word(Self::ALL, self)
    }

    /// Returns what is left out of samples, in words; `None` if nothing is.
    pub fn left_out(self) -> Option<&'static str> {
        match self {
            Self::Reject | Self::Split => None,
            Self::DropTurns => Some("the oldest turns"),
            Self::TruncateEnd => Some("the end"),
            Self::TruncateStart => Some("the beginning"),
        }
    }
}

/// The end of names of template files.
const TEMPLATE_FILE: &str = ".jinja";

impl Model {
    /// Returns the path of the template in the workspace, if `template` is one.
    pub fn template_path(&self) -> Option<&str> {
        self.template.as_deref().filter(|template| template.ends_with(TEMPLATE_FILE))
    }

    /// Returns the name of the template among those of the model, if `template` is one.
    pub fn template_name(&self) -> Option<&str> {
        self.template.as_deref().filter(|template| !template.ends_with(TEMPLATE_FILE))
    }

    /// Names the model itself, which stands for the files that decide, and what it may leave out.
    pub(super) fn decide_limit(&self, visitor: &mut dyn Visitor) {
        visitor.setting(of("source"), &self.location.source().to_owned());
        visitor.setting(of("revision"), &self.location.revision().map(str::to_owned));
        visitor.setting(of("max_tokens"), &self.max_tokens);
    }

    /// Names the values that decide ids and masks, besides the files of the model.
    pub fn decide(&self, visitor: &mut dyn Visitor) {
        let Self {
            template,
            arguments,
            now,
            train_on,
            reasoning,
            end_of_turn,
            special_tokens,
            max_tokens,
            overlong,
            ..
        } = self;
        visitor.setting(of("template"), template);
        for (name, value) in arguments {
            visitor.setting(Setting::ModelArgument(name.clone()), value);
        }
        visitor.setting(of("now"), now);
        visitor.setting(of("train_on"), &train_on.word().to_owned());
        visitor.setting(of("reasoning"), reasoning);
        visitor.setting(of("end_of_turn"), end_of_turn);
        visitor.setting(of("special_tokens"), &special_tokens.word().to_owned());
        // What is left out has no part in what is rendered.
        if *overlong != Overlong::Reject {
            visitor.setting(of("overlong"), &overlong.word().to_owned());
            visitor.setting(of("max_tokens"), max_tokens);
        }
    }
}

/// Names what is decided by the model of an output as that of the output.
pub struct OfOutput<'v> {
    /// The name of the output's folder.
    pub folder: &'v str,
    /// Receives it.
    pub visitor: &'v mut dyn Visitor,
}

impl Visitor for OfOutput<'_> {
    fn code(&mut self, component: Component) {
        self.visitor.code(component);
    }

    fn setting(&mut self, setting: Setting, value: &dyn Deciding) {
        self.visitor.setting(setting.of_output(self.folder), value);
    }

    fn source(&mut self, leaf: Leaf, value: &dyn Deciding) {
        self.visitor.source(leaf, value);
    }

    fn derived(&mut self, name: &'static str, value: &dyn Encode) {
        self.visitor.derived(name, value);
    }
}

fn of(key: &'static str) -> Setting {
    Setting::Model(key.to_owned())
}

fn word<T: PartialEq>(words: &'static [(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}
