//! One question and its answer, whatever the two are called.

use super::{Converter, Doubt, Options, shared::spelling::Spellings};
use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind, Slot},
    survey::Survey,
};

/// Makes one exchange of a question and an answer, in any usual spelling.
///
/// A question or an answer may be a list of messages. Reasoning, a system message, earlier exchanges and a final answer are
/// taken from columns of their own.
#[derive(Debug)]
pub struct Qa;

const SPELLINGS: Spellings = Spellings {
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
};

impl Converter for Qa {
    fn name(&self) -> &'static str {
        "qa"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        SPELLINGS.wants()
    }

    fn reads(&self, survey: &Survey) -> u32 {
        SPELLINGS.reads(survey)
    }

    fn doubt(&self, survey: &Survey) -> Option<Doubt> {
        SPELLINGS.doubt(survey)
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        Ok(SPELLINGS.fill(row, options)?.sample(self.kind())?.into())
    }
}
