//! One question and its answer, whatever the two are called.

use super::shared::spelling::{Spellings, Tabled};
use crate::sample::{SampleKind, Slot};

/// Makes one exchange of a question and an answer, in any usual spelling.
///
/// A question or an answer may be a list of messages. Reasoning, a system message, earlier exchanges and a final answer are
/// taken from columns of their own.
pub static QA: Tabled = Tabled {
    name: "qa",
    version: 1,
    kind: SampleKind::Conversation,
    spellings: Spellings {
        names: &[
            (
                Slot::User,
                &[
                    "instruction",
                    "question",
                    "query",
                    "problem",
                    "prompt",
                    "user",
                    "human",
                    "message_1",
                    "request",
                    "input",
                ],
            ),
            (Slot::Input, &["input", "context", "article", "passage"]),
            (
                Slot::Assistant,
                &[
                    "response",
                    "output",
                    "completion",
                    "solution",
                    "generation",
                    "generated_solution",
                    "assistant",
                    "message_2",
                    "reply",
                    "answer",
                    "target",
                    "gpt",
                    "bot",
                ],
            ),
            (Slot::Reasoning, &["reasoning", "reasoning_content", "thinking", "rationale", "chain_of_thought"]),
            (Slot::System, &["system", "system_prompt", "system_message"]),
            (Slot::History, &["history"]),
            (Slot::Answer, &["answer", "final_answer", "expected_answer", "ground_truth"]),
            (Slot::Tools, &["tools", "functions"]),
        ],
        needs: &[&[Slot::User, Slot::Assistant]],
    },
};
