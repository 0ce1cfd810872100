//! Samples as a model sees them: token ids, with what of them is trained on and why, and how they are stored.
//!
//! The samples of a chunk are stored one after another in a blob, and what later stages need of each in an
//! [`EncodedIndex`], so that filters, shares and counts read no ids.

use serde::{Deserialize, Serialize};

use crate::sample::Role;

/// Raised when the same ids are stored otherwise. Blobs and indexes begin with it; those of another version are made again.
pub const ENCODED_VERSION: u8 = 2;

/// What labels and masks have no place for: they say whether a token is trained on, not how much it counts.
pub const WEIGHTED: &str = "a weight other than 0 and 1";

/// A dialogue or a text as ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// The ids.
    pub ids: Vec<u32>,
    /// Which of them are trained on: in order, apart, none of them empty. All others are not.
    pub runs: Vec<TrainedRun>,
}

/// Consecutive ids that are trained on for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedRun {
    /// The place of the first of them.
    pub start: u32,
    /// How many they are.
    pub length: u32,
    /// Why they are trained on.
    pub why: WhyTrained,
    /// The place of the message that they belong to, where one was asked for.
    pub message: Option<u32>,
    /// How much they count; greater than 0.
    pub weight: f64,
}

/// Why ids are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WhyTrained {
    /// The chat template marks them as generated.
    Marked,
    /// They are the content of a message.
    Content,
    /// They are the reasoning of a message, with what the template writes around it.
    Reasoning,
    /// They are calls of tools, with what the template writes around them.
    ToolCall,
    /// They end a turn.
    EndOfTurn,
    /// All of the text is trained on.
    All,
}

impl WhyTrained {
    /// Every reason, in order.
    pub const ALL: [Self; 6] =
        [Self::Marked, Self::Content, Self::Reasoning, Self::ToolCall, Self::EndOfTurn, Self::All];

    /// Returns the reason's name in outputs of commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Content => "content",
            Self::Reasoning => "reasoning",
            Self::ToolCall => "tool_call",
            Self::EndOfTurn => "end_of_turn",
            Self::All => "all",
        }
    }
}

impl Sequence {
    /// Returns the number of ids that are trained on.
    pub fn trained(&self) -> usize {
        self.runs.iter().map(|run| run.length as usize).sum()
    }

    /// Returns for each id whether it is trained on.
    pub fn mask(&self) -> Vec<bool> {
        let mut mask = vec![false; self.ids.len()];
        for run in &self.runs {
            let range = run.start as usize..(run.start + run.length) as usize;
            mask.get_mut(range).into_iter().for_each(|part| part.fill(true));
        }
        mask
    }
}

/// A sample as it is stored: its row hash, and its sequences: one, or for a preference one for each answer, the preferred one
/// first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EncodedSample {
    /// Hash of the sample's identity text.
    pub row_hash: u64,
    /// The sequences.
    pub sequences: Vec<Sequence>,
}

impl EncodedSample {
    /// Returns the number of ids of the longest sequence.
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.ids.len()).max().unwrap_or(0)
    }

    /// Returns the number of ids that are trained on, of all sequences.
    pub fn trained(&self) -> usize {
        self.sequences.iter().map(Sequence::trained).sum()
    }

    /// Reads a stored sample; `None` if the bytes are none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// What later stages need of the samples of a chunk instead of their ids. Samples that were refused have no ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EncodedIndex {
    /// For each sample, where it ends in the blob; it begins where the one before ends.
    pub ends: Vec<u32>,
    /// For each sample, the number of ids of its longest sequence.
    pub tokens: Vec<u32>,
    /// For each sample, the number of ids that are trained on, of all sequences.
    pub trained: Vec<u32>,
    /// For each sample, what is to be known about it.
    pub notes: Vec<Notes>,
    /// For each sample, what the ids of its longest sequence stand for.
    pub roles: Vec<RoleTokens>,
}

/// How many ids stand for the contents of messages, by who says them. All others are what the template writes: names of roles, ends
/// of turns, tools, calls, reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleTokens {
    /// Those of the system and the developer.
    pub system: u32,
    /// Those of the user.
    pub user: u32,
    /// Those of the assistant.
    pub assistant: u32,
    /// Those of results of tools.
    pub tool: u32,
}

impl RoleTokens {
    /// Adds the ids of a content.
    pub fn add(&mut self, role: Role, ids: u32) {
        let count = match role {
            Role::System | Role::Developer => &mut self.system,
            Role::User => &mut self.user,
            Role::Assistant => &mut self.assistant,
            Role::Tool => &mut self.tool,
        };
        *count += ids;
    }
}

/// What is to be known about an encoded sample. Several may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes(pub u8);

impl Notes {
    /// The sample was refused.
    pub const REFUSED: Self = Self(1);
    /// A text holds the text of a control token.
    pub const SPECIAL_IN_TEXT: Self = Self(2);
    /// A turn that is trained on has no token that ends it.
    pub const UNENDED: Self = Self(4);
    /// Parts of the sample were left out, so that it is not too long.
    pub const SHORTENED: Self = Self(8);
    /// Some of what is trained on counts more or less than the rest.
    pub const WEIGHTED: Self = Self(16);
    /// The sample is a part of a text that is too long.
    pub const PART: Self = Self(32);
    /// It is not known which ids stand for what is said by whom.
    pub const UNPLACED: Self = Self(64);

    /// Returns both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether `other` holds.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The encoded samples of a chunk, as they are collected.
#[derive(Debug)]
pub struct EncodedSamples {
    /// What stands in the blob.
    pub bytes: Vec<u8>,
    /// The index.
    pub index: EncodedIndex,
}

impl Default for EncodedSamples {
    fn default() -> Self {
        Self { bytes: vec![ENCODED_VERSION], index: EncodedIndex::default() }
    }
}

impl EncodedSamples {
    /// Adds a sample.
    pub fn push(&mut self, sample: &EncodedSample, notes: Notes, roles: RoleTokens) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(sample, bytes).expect("ids are plain data");
        self.index.ends.push(self.bytes.len() as u32);
        self.index.tokens.push(sample.tokens() as u32);
        self.index.trained.push(sample.trained() as u32);
        let is_weighted = sample.sequences.iter().flat_map(|sequence| &sequence.runs).any(|run| run.weight != 1.0);
        self.index.notes.push(if is_weighted { notes.and(Notes::WEIGHTED) } else { notes });
        self.index.roles.push(roles);
    }

    /// Adds a sample that was refused.
    pub fn refuse(&mut self) {
        self.index.ends.push(self.bytes.len() as u32);
        self.index.tokens.push(0);
        self.index.trained.push(0);
        self.index.notes.push(Notes::REFUSED);
        self.index.roles.push(RoleTokens::default());
    }
}

impl EncodedIndex {
    /// Returns where a sample stands in the blob.
    pub fn range(&self, sample: usize) -> std::ops::Range<usize> {
        let start = sample.checked_sub(1).map_or(1, |before| self.ends[before] as usize);
        start..self.ends[sample] as usize
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the index as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![ENCODED_VERSION]).expect("numbers are plain data")
    }

    /// Reads a stored index; `None` if it is of another version, or its columns are not of one length.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&ENCODED_VERSION, rest) = bytes.split_first()? else { return None };
        let index: Self = postcard::from_bytes(rest).ok()?;
        let length = index.ends.len();
        let columns = [index.tokens.len(), index.trained.len(), index.notes.len(), index.roles.len()];
        let is_whole = columns.iter().all(|own| *own == length);
        (is_whole && index.ends.is_sorted()).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_as_they_were_stored() {
        let run = TrainedRun { start: 1, length: 2, why: WhyTrained::Content, message: Some(1), weight: 0.5 };
        let sequence = Sequence { ids: vec![7, 151_643, 0, 9], runs: vec![run] };
        let first = EncodedSample { row_hash: u64::MAX, sequences: vec![sequence.clone()] };
        let last = EncodedSample { row_hash: 3, sequences: vec![Sequence::default(), sequence] };
        let mut samples = EncodedSamples::default();
        let roles = RoleTokens { user: 2, tool: 1, ..RoleTokens::default() };
        samples.push(&first, Notes::default(), roles);
        samples.refuse();
        samples.push(&last, Notes::UNENDED.and(Notes::SPECIAL_IN_TEXT), RoleTokens::default());
        let index = EncodedIndex::decode(&samples.index.encode()).unwrap();
        assert_eq!(index, samples.index);
        assert_eq!((&index.tokens[..], &index.trained[..]), (&[4, 0, 4][..], &[2, 0, 2][..]));
        assert_eq!(index.roles[0], roles);
        assert!(index.notes[1].has(Notes::REFUSED) && !index.notes[2].has(Notes::REFUSED));
        assert_eq!(EncodedSample::read(&samples.bytes[index.range(0)]), Some(first.clone()));
        assert!(index.range(1).is_empty());
        assert_eq!(EncodedSample::read(&samples.bytes[index.range(2)]), Some(last));
        assert_eq!(first.sequences[0].mask(), [false, true, true, false]);
    }

    #[test]
    fn damaged_indexes_are_none() {
        let mut samples = EncodedSamples::default();
        samples.push(&EncodedSample::default(), Notes::default(), RoleTokens::default());
        let stored = samples.index.encode();
        assert!(EncodedIndex::decode(&[]).is_none() && EncodedIndex::decode(&stored[..3]).is_none());
        let mut other = stored;
        other[0] += 1;
        assert!(EncodedIndex::decode(&other).is_none());
    }
}
