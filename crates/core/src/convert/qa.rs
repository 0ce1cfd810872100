//! One question and its answer, whatever the two are called.

use super::shared::{
    beside::{SYSTEM, TOOLS},
    spelling::{ANSWER, INPUT, QUESTION, REASONING, Spellings, Tabled},
};
use crate::sample::{SampleKind, Slot};

/// Makes one exchange of a question and an answer, in any usual spelling.
///
/// A question or an answer may be a list of messages. Reasoning, a system message, earlier exchanges and a final answer are
/// taken from columns of their own.
pub static QA: Tabled = Tabled {
    name: "qa",
    version: 6,
    kind: SampleKind::Conversation,
    spellings: Spellings {
        names: &[
            (Slot::User, QUESTION),
            (Slot::Input, INPUT),
            (Slot::Assistant, ANSWER),
            (Slot::Reasoning, REASONING),
            (Slot::System, SYSTEM),
            (Slot::History, &["history"]),
            (Slot::Answer, &["answer", "final_answer", "expected_answer", "ground_truth"]),
            (Slot::Tools, TOOLS),
        ],
        needs: &[&[Slot::User, Slot::Assistant]],
    },
};
