//! What a sample has besides its text, in short: by this, shapes choose the columns of rows without reading samples again.

use serde::{Deserialize, Serialize};

use super::{Body, Content, Message, Quoted, Role, SampleView};

/// A set of things that a sample may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features(u16);

impl Features {
    /// Tools that the model may call.
    pub const TOOLS: Self = Self(1);
    /// A final answer or ground truth.
    pub const ANSWER: Self = Self(1 << 1);
    /// A margin between two answers.
    pub const MARGIN: Self = Self(1 << 2);
    /// Messages that call tools.
    pub const CALLS: Self = Self(1 << 3);
    /// Messages with anything but a role and a string as content.
    pub const RICH: Self = Self(1 << 4);
    /// Content in parts.
    pub const PARTS: Self = Self(1 << 5);
    /// Prompts of more than one message of the user.
    pub const DIALOGUE: Self = Self(1 << 6);
    /// A system message.
    pub const SYSTEM: Self = Self(1 << 7);
    /// More than two answers.
    pub const RANKED: Self = Self(1 << 8);
    /// A label.
    pub const LABEL: Self = Self(1 << 9);
    /// Tools, even if there are none in the list.
    pub const TOOLS_KEY: Self = Self(1 << 11);
    /// Messages with reasoning.
    pub const REASONING: Self = Self(1 << 12);
    /// Messages that are results of calls, with the id of the call.
    pub const RESULTS: Self = Self(1 << 13);
    /// Messages with the name of who speaks.
    pub const NAMES: Self = Self(1 << 14);
    /// Messages that say whether they are trained on.
    pub const WEIGHTS: Self = Self(1 << 10);
    /// The text goes on with that of the sample before: both are parts of one text.
    pub const CONTINUES: Self = Self(1 << 15);

    /// Whether all of `other` is in the set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds all of `other`.
    pub fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn add(&mut self, other: Self, is_there: bool) {
        if is_there {
            self.0 |= other.0;
        }
    }
}

/// The JSON types of a column's values, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Types(u8);

impl Types {
    /// Strings.
    pub const STRING: u8 = 1;
    /// Booleans.
    pub const BOOL: u8 = 2;
    /// Integers of 64 bits.
    pub const INTEGER: u8 = 4;
    /// Numbers that a float of 64 bits gives back as they are written.
    pub const NUMBER: u8 = 8;
    /// Lists, objects, and all other numbers.
    pub const OTHER: u8 = 16;

    /// Returns the type of a value; none of `null`.
    pub fn of(json: &str) -> Self {
        Self(match json.as_bytes().first() {
            Some(b'"') => Self::STRING,
            Some(b't' | b'f') => Self::BOOL,
            Some(b'n') => 0,
            Some(b'{' | b'[') => Self::OTHER,
            // An integer that no 64 bits hold is kept as JSON, as is a number that would be read as another one.
            _ if json.parse::<i64>().is_ok() && json != "-0" => Self::INTEGER,
            _ if is_exact(json) => Self::NUMBER,
            _ => Self::OTHER,
        })
    }

    /// Whether all values are of these types.
    pub fn are(self, types: u8) -> bool {
        self.0 & !types == 0
    }

    /// Adds the types of other values.
    pub fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Whether a number is written as its 64-bit float is: no digit is lost if it is stored as one.
fn is_exact(number: &str) -> bool {
    number.contains('.') && number.parse::<f64>().is_ok_and(|value| format!("{value:?}") == number)
}

/// What a sample has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Makeup {
    /// Its parts.
    pub features: Features,
    /// The columns that are kept of its row: names as they are written in JSON, without quotes, and types.
    pub columns: Vec<(Vec<u8>, Types)>,
}

impl Makeup {
    /// Returns what a sample has.
    pub fn of(sample: &SampleView<'_>) -> Self {
        let column = |(name, types): (&[u8], Types)| (name.to_vec(), types);
        Self { features: Features::of(sample), columns: columns(sample).map(column).collect() }
    }

    fn is_of(&self, sample: &SampleView<'_>) -> bool {
        let own = self.columns.iter().map(|(name, types)| (name.as_slice(), *types));
        self.columns.len() == sample.columns.len() && self.features == Features::of(sample) && own.eq(columns(sample))
    }
}

fn columns<'s>(sample: &'s SampleView<'_>) -> impl Iterator<Item = (&'s [u8], Types)> {
    sample.columns.iter().map(|(name, value)| (name.inner(), Types::of(value.as_str())))
}

impl Features {
    fn of(sample: &SampleView<'_>) -> Self {
        let mut all = Self::default();
        all.add(Self::TOOLS_KEY, sample.tools.is_some());
        all.add(Self::TOOLS, sample.tools.as_ref().is_some_and(|tools| !matches!(tools.as_str(), "[]" | "null")));
        all.add(Self::ANSWER, sample.answer.is_some());
        all.add(Self::MARGIN, sample.margin.is_some());
        all.add(Self::LABEL, sample.label.is_some());
        let mut each = |messages: &[Message<'_, Quoted<'_>>]| messages.iter().for_each(|message| all.message(message));
        match &sample.body {
            Body::Conversation { messages } | Body::Labelled { messages } => each(messages),
            Body::Prompt { messages } => {
                each(messages);
                all.add(Self::DIALOGUE, messages.len() > 1);
            }
            Body::Preference { prompt, ranked } => {
                each(prompt);
                ranked.iter().for_each(|answer| each(answer));
                all.add(Self::RANKED, ranked.len() > 2);
            }
            Body::Stepwise { prompt, .. } => each(prompt),
            Body::Text { .. } => {}
        }
        all
    }

    fn message(&mut self, message: &Message<'_, Quoted<'_>>) {
        self.add(Self::PARTS, matches!(message.content, Content::Parts(_)));
        self.add(Self::SYSTEM, message.role == Role::System);
        let Some(extras) = &message.extras else { return };
        self.add(Self::RICH, true);
        self.add(Self::CALLS, extras.tool_calls.is_some());
        self.add(Self::REASONING, extras.reasoning.is_some());
        self.add(Self::RESULTS, extras.tool_call_id.is_some());
        self.add(Self::NAMES, extras.name.is_some());
        self.add(Self::WEIGHTS, extras.weight.is_some() || extras.train.is_some());
    }
}

/// Number of things among which one is looked for: in a long list, to say a thing twice costs less than to find it.
const LOOKED_AT: usize = 64;

/// What each of many samples has. Nearly always it is the same for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Makeups {
    distinct: Vec<Makeup>,
    /// Stretches of samples that have the same: one past the last sample, and the number of what they have.
    stretches: Vec<(u32, u32)>,
}

impl Makeups {
    /// Adds what the next sample has.
    pub(super) fn push(&mut self, sample: &SampleView<'_>) {
        if let Some((end, number)) = self.stretches.last_mut()
            && self.distinct[*number as usize].is_of(sample)
        {
            *end += 1;
            return;
        }
        let number = self.number_of(Makeup::of(sample));
        self.stretches.push((self.samples() + 1, number));
    }

    fn number_of(&mut self, makeup: Makeup) -> u32 {
        let known = self.distinct.iter().rev().take(LOOKED_AT).position(|known| *known == makeup);
        let number = known.map_or(self.distinct.len(), |back| self.distinct.len() - 1 - back);
        if known.is_none() {
            self.distinct.push(makeup);
        }
        number as u32
    }

    /// Adds features to what the last sample has.
    pub(super) fn add_to_last(&mut self, features: Features) {
        let Some((end, number)) = self.stretches.pop() else { return };
        if self.samples() + 1 < end {
            self.stretches.push((end - 1, number));
        }
        let mut makeup = self.distinct[number as usize].clone();
        makeup.features.join(features);
        let number = self.number_of(makeup);
        match self.stretches.last_mut() {
            Some((before, known)) if *known == number => *before = end,
            _ => self.stretches.push((end, number)),
        }
    }

    /// Returns for each sample whether it has all of these features; `None` if none has them.
    pub(super) fn with(&self, features: Features) -> Option<impl Iterator<Item = bool>> {
        let have: Vec<bool> = self.distinct.iter().map(|makeup| makeup.features.has(features)).collect();
        if !have.contains(&true) {
            return None;
        }
        let starts = std::iter::once(0).chain(self.stretches.iter().map(|(end, _)| *end));
        let each = starts.zip(&self.stretches);
        Some(each.flat_map(move |(start, (end, number))| {
            (start..*end).map({
                let has = have[*number as usize];
                move |_| has
            })
        }))
    }

    /// Number of samples.
    pub(super) fn samples(&self) -> u32 {
        self.stretches.last().map_or(0, |(end, _)| *end)
    }

    /// Removes the samples behind the first `samples`.
    pub(super) fn truncate(&mut self, samples: u32) {
        let start = |at: usize, stretches: &[(u32, u32)]| at.checked_sub(1).map_or(0, |before| stretches[before].0);
        while let Some(last) = self.stretches.len().checked_sub(1)
            && start(last, &self.stretches) >= samples
        {
            self.stretches.pop();
        }
        if let Some((end, _)) = self.stretches.last_mut() {
            *end = samples.min(*end);
        }
    }

    /// Whether each stretch is behind the one before it, and of something that is known.
    pub(super) fn are_sound(&self) -> bool {
        let ends = std::iter::once(0).chain(self.stretches.iter().map(|(end, _)| *end));
        ends.zip(&self.stretches).all(|(start, (end, number))| start < *end && (*number as usize) < self.distinct.len())
    }

    /// Returns what some of the samples have, each thing once. `samples` are numbers in ascending order.
    pub fn of(&self, samples: impl Iterator<Item = u32>) -> impl Iterator<Item = &Makeup> {
        let (mut is_wanted, mut stretch) = (vec![false; self.distinct.len()], 0);
        for sample in samples {
            while self.stretches.get(stretch).is_some_and(|(end, _)| *end <= sample) {
                stretch += 1;
            }
            let Some((_, number)) = self.stretches.get(stretch) else { break };
            is_wanted[*number as usize] = true;
        }
        self.distinct.iter().zip(is_wanted).filter_map(|(makeup, is_wanted)| is_wanted.then_some(makeup))
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.stretches.as_slice()) + self.distinct.len() * 64
    }
}
