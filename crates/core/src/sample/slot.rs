//! Slots: what the columns of a row can be to a sample, whatever the columns are called.

use serde::{Deserialize, Serialize};

use super::SampleKind;

/// A place of a sample that a column of the source fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Slot {
    /// The instructions before the dialogue.
    System,
    /// Exchanges before the last one, as a list of pairs.
    History,
    /// What the user says; a list of messages is the whole prompt.
    User,
    /// More that the user says, on a new line.
    Input,
    /// What the assistant says.
    Assistant,
    /// The assistant's reasoning before its answer.
    Reasoning,
    /// A list of messages.
    Messages,
    /// The preferred answer, or the preferred dialogue.
    Chosen,
    /// The other answer, or the other dialogue.
    Rejected,
    /// By how much the preferred answer is better.
    Margin,
    /// The steps of a solution.
    Completions,
    /// Whether the answer is good.
    Label,
    /// What each step of a solution is worth.
    Labels,
    /// The final answer, or the ground truth.
    Answer,
    /// Running text.
    Text,
    /// The tools that the model may call.
    Tools,
    /// Images that messages refer to.
    Images,
    /// Videos that messages refer to.
    Videos,
    /// Sounds that messages refer to.
    Audios,
}

impl Slot {
    /// All slots; the place of a slot here is its number.
    pub const ALL: [Self; 19] = [
        Self::System,
        Self::History,
        Self::User,
        Self::Input,
        Self::Assistant,
        Self::Reasoning,
        Self::Messages,
        Self::Chosen,
        Self::Rejected,
        Self::Margin,
        Self::Completions,
        Self::Label,
        Self::Labels,
        Self::Answer,
        Self::Text,
        Self::Tools,
        Self::Images,
        Self::Videos,
        Self::Audios,
    ];

    /// Returns the word that recipes use for the slot.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::History => "history",
            Self::User => "user",
            Self::Input => "input",
            Self::Assistant => "assistant",
            Self::Reasoning => "reasoning",
            Self::Messages => "messages",
            Self::Chosen => "chosen",
            Self::Rejected => "rejected",
            Self::Margin => "margin",
            Self::Completions => "completions",
            Self::Label => "label",
            Self::Labels => "labels",
            Self::Answer => "answer",
            Self::Text => "text",
            Self::Tools => "tools",
            Self::Images => "images",
            Self::Videos => "videos",
            Self::Audios => "audios",
        }
    }

    /// Returns the slot that recipes call `word`: `prompt` and `completion` are the user's and the assistant's part.
    pub fn by_name(word: &str) -> Option<Self> {
        match word {
            "prompt" => Some(Self::User),
            "completion" => Some(Self::Assistant),
            _ => Self::ALL.into_iter().find(|slot| slot.name() == word),
        }
    }

    /// Returns the slots that a sample of `kind` cannot do without.
    pub fn needed_by(kind: SampleKind) -> &'static [Self] {
        match kind {
            SampleKind::Conversation => &[Self::User, Self::Assistant],
            SampleKind::Preference => &[Self::User, Self::Chosen, Self::Rejected],
            SampleKind::Labelled => &[Self::User, Self::Assistant, Self::Label],
            SampleKind::Stepwise => &[Self::User, Self::Completions, Self::Labels],
            SampleKind::Prompt => &[Self::User],
            SampleKind::Text => &[Self::Text],
        }
    }

    /// Returns the sets of slots of which a sample of `kind` needs one whole.
    pub fn sets_of(kind: SampleKind) -> &'static [&'static [Self]] {
        match kind {
            SampleKind::Conversation => {
                &[&[Self::User, Self::Assistant], &[Self::Messages], &[Self::Input, Self::Assistant]]
            }
            SampleKind::Preference => &[&[Self::Chosen, Self::Rejected], &[Self::Messages, Self::Rejected]],
            SampleKind::Labelled => &[&[Self::User, Self::Assistant, Self::Label], &[Self::Messages, Self::Label]],
            SampleKind::Stepwise => {
                &[&[Self::User, Self::Completions, Self::Labels], &[Self::Messages, Self::Completions, Self::Labels]]
            }
            SampleKind::Prompt => &[&[Self::User], &[Self::Messages], &[Self::Input]],
            SampleKind::Text => &[&[Self::Text]],
        }
    }

    /// Returns the slots that samples of `kind` have.
    pub fn of(kind: SampleKind) -> &'static [Self] {
        use Slot::{
            Answer, Assistant, Audios, Chosen, Completions, History, Images, Input, Label, Labels, Margin, Messages,
            Reasoning, Rejected, System, Text, Tools, User, Videos,
        };
        match kind {
            SampleKind::Conversation => {
                &[Messages, User, Input, Assistant, Reasoning, System, History, Tools, Answer, Images, Videos, Audios]
            }
            SampleKind::Preference => {
                &[Chosen, Rejected, User, Input, Messages, System, History, Margin, Tools, Images, Videos, Audios]
            }
            SampleKind::Labelled => {
                &[Label, Messages, User, Input, Assistant, Reasoning, System, History, Tools, Images, Videos, Audios]
            }
            SampleKind::Stepwise => &[User, Input, Completions, Labels, System, History, Messages, Answer],
            SampleKind::Prompt => &[User, Input, Messages, System, History, Answer, Tools, Images, Videos, Audios],
            SampleKind::Text => &[Text],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_its_number_and_its_name() {
        for (number, slot) in Slot::ALL.into_iter().enumerate() {
            assert_eq!(slot as usize, number);
            assert_eq!(Slot::by_name(slot.name()), Some(slot));
        }
        assert_eq!(Slot::by_name("prompt"), Some(Slot::User));
        assert_eq!(Slot::by_name("promt"), None);
    }
}
