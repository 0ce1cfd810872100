//! Rules that dialogues keep, and what is done where one is broken: one file a rule.
//!
//! To add one: a file here, a line in [`RULES`], a row in `docs/rows.md`. Rules look at samples after their converter, in the order
//! of the table: texts are mended before turns are looked at.

mod alike_sides;
mod alternate;
mod assistant_first;
mod empty_answer;
mod empty_turns;
mod invisible;
mod late_system;
mod no_user;
pub mod rendered;
mod trailing_user;
mod whitespace;

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{
    row::{Reason, Reject},
    sample::{Body, Content, Message, Sample, SampleKind},
};

/// Raised when a rule finds something else, or mends it otherwise.
pub const RULES_VERSION: u32 = 4;

/// Every rule, in the order in which they are applied.
pub static RULES: &[&Rule] = &[
    &whitespace::RULE,
    &invisible::RULE,
    &rendered::RULE,
    &empty_turns::RULE,
    &late_system::RULE,
    &alternate::RULE,
    &assistant_first::RULE,
    &no_user::RULE,
    &trailing_user::RULE,
    &empty_answer::RULE,
    &alike_sides::RULE,
];

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// The name in recipes, which is also the name of its source file.
    pub name: &'static str,
    /// What it asks for, in one line.
    pub about: &'static str,
    /// The reason of rows that it rejects.
    pub reason: Reason,
    /// What rejects say.
    pub detail: &'static str,
    /// What is done where a recipe says nothing: in conversations and labelled answers, in preferences if the rule is about sides,
    /// in all samples if it is about what stands in their texts; nothing is in all others.
    pub default: Option<Mode>,
    /// What is looked for.
    pub check: Check,
}

/// What a rule looks for.
#[derive(Debug)]
pub enum Check {
    /// Something about turns.
    Turns {
        /// Counts the places where it is broken.
        count: fn(&[Message<'_>], Part) -> u32,
        /// Mends them all, if they can be mended.
        mend: Option<fn(&mut Vec<Message<'_>>)>,
    },
    /// Something about each text: returns the mended text where it is broken.
    Texts(fn(&str) -> Option<String>),
    /// Something in each text that cannot be mended.
    Found(fn(&str) -> bool),
    /// Something about the ranked answers of a preference, the best first: counts the places where it is broken.
    Sides(fn(&[Vec<Message<'_>>]) -> u32),
}

/// Which part of a dialogue a list of turns is.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Whether the dialogue begins with it.
    pub is_start: bool,
    /// Whether the dialogue ends with it.
    pub is_end: bool,
}

/// What is done where a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// The row is rejected.
    Reject,
    /// The sample is mended and counted; what cannot be mended is rejected.
    Repair,
    /// The sample stays as it is, and is counted.
    Warn,
    /// The row is rejected, and the recipe is not built.
    Fail,
}

impl Mode {
    /// Every mode by the word recipes use.
    pub const ALL: &[(&str, Self)] =
        &[("reject", Self::Reject), ("repair", Self::Repair), ("warn", Self::Warn), ("fail", Self::Fail)];

    /// Returns the word recipes use.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(word, _)| word)
    }
}

/// How often a rule was broken, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Broken {
    /// The rule.
    pub rule: Cow<'static, str>,
    /// What was done: [`Mode::Repair`], [`Mode::Warn`] or [`Mode::Fail`].
    pub mode: Mode,
    /// How many places.
    pub places: u32,
}

impl Rule {
    /// Whether the rule can mend what breaks it.
    pub fn mends(&self) -> bool {
        match self.check {
            Check::Turns { mend, .. } => mend.is_some(),
            Check::Texts(_) => true,
            Check::Sides(_) | Check::Found(_) => false,
        }
    }
}

/// Returns the rule that recipes call `name`.
pub fn by_name(name: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.name == name)
}

/// Applies all rules to a sample, and adds to `broken` where one was; a sample that a rule rejects is a reject.
pub fn apply(sample: &mut Sample<'_>, given: &BTreeMap<String, Mode>, broken: &mut Vec<Broken>) -> Result<(), Reject> {
    let kind = sample.kind();
    let has_defaults = |rule: &Rule| match rule.check {
        Check::Sides(_) => kind == SampleKind::Preference,
        Check::Found(_) => true,
        Check::Turns { .. } | Check::Texts(_) => matches!(kind, SampleKind::Conversation | SampleKind::Labelled),
    };
    for rule in RULES {
        let Some(mode) = given.get(rule.name).copied().or(rule.default.filter(|_| has_defaults(rule))) else {
            continue;
        };
        let places = places(rule, sample, mode == Mode::Repair);
        if places == 0 {
            continue;
        }
        let left = if mode == Mode::Repair { self::places(rule, sample, false) } else { places };
        if mode != Mode::Warn && left > 0 {
            if mode == Mode::Fail {
                broken.push(Broken { rule: rule.name.into(), mode, places });
            }
            return Err(Reject::new(rule.reason, rule.detail));
        }
        broken.push(Broken { rule: rule.name.into(), mode, places });
    }
    Ok(())
}

/// Counts where a rule is broken, and mends that if it is to be mended.
fn places(rule: &Rule, sample: &mut Sample<'_>, mends: bool) -> u32 {
    match rule.check {
        Check::Sides(count) => match &sample.body {
            Body::Preference { ranked, .. } => count(ranked),
            _ => 0,
        },
        Check::Texts(mended) => texts(&mut sample.body, |text| {
            let Some(new) = mended(text) else { return 0 };
            if mends {
                *text = Cow::Owned(new);
            }
            1
        }),
        Check::Found(is_there) => texts(&mut sample.body, |text| u32::from(is_there(text))),
        Check::Turns { count, mend } => parts(&mut sample.body, |messages, part| {
            let places = count(messages, part);
            if let Some(mend) = mend.filter(|_| mends && places > 0) {
                mend(messages);
            }
            places
        }),
    }
}

fn parts(body: &mut Body<'_>, mut look: impl FnMut(&mut Vec<Message<'_>>, Part) -> u32) -> u32 {
    match body {
        Body::Conversation { messages } | Body::Labelled { messages } => {
            look(messages, Part { is_start: true, is_end: true })
        }
        Body::Prompt { messages } | Body::Stepwise { prompt: messages, .. } => {
            look(messages, Part { is_start: true, is_end: false })
        }
        Body::Preference { prompt, ranked } => {
            let ends = ranked.iter_mut().map(|turns| look(turns, Part { is_start: false, is_end: true })).sum::<u32>();
            ends + look(prompt, Part { is_start: true, is_end: false })
        }
        Body::Text { .. } => 0,
    }
}

fn texts<'a>(body: &mut Body<'a>, mut look: impl FnMut(&mut Cow<'a, str>) -> u32) -> u32 {
    let mut of = |messages: &mut Vec<Message<'a>>| {
        let texts = messages.iter_mut().flat_map(|message| {
            let content = match &mut message.content {
                Content::Text(text) => Some(text),
                _ => None,
            };
            content.into_iter().chain(message.extras.as_mut().and_then(|extras| extras.reasoning.as_mut()))
        });
        texts.map(&mut look).sum::<u32>()
    };
    match body {
        Body::Conversation { messages } | Body::Labelled { messages } | Body::Prompt { messages } => of(messages),
        Body::Preference { prompt, ranked } => of(prompt) + ranked.iter_mut().map(of).sum::<u32>(),
        Body::Stepwise { prompt, steps } => of(prompt) + steps.iter_mut().map(|step| look(&mut step.text)).sum::<u32>(),
        Body::Text { text } => look(text),
    }
}

#[cfg(test)]
mod tests;
