//! Rows for TRL, written from what its trainers were seen to read (TRL 1.16.0 with transformers 5.23 and datasets 5.2).
//!
//! TRL decides by the first row of a file what the file is, and by one arbitrary column of a row whether it is a dialogue: so all
//! rows of an output have the same columns, and prompts and answers are always lists of messages.

use super::{
    Shape, Unfit, Written, WrittenRow,
    chat::{ArgumentsAs, Chat, Said, last_answer, quoted, wrapped_tools},
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::Object,
};
use crate::outputs::{Container, Side};
use crate::sample::{Body, Content, Features, Quoted, Role, SampleKind, SampleView, Step};

/// Rows of one of TRL's forms.
#[derive(Debug)]
pub struct Trl {
    name: &'static str,
    form: Form,
    kinds: &'static [SampleKind],
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    /// Whole dialogues; preferences with their prompt.
    Usual,
    /// A dialogue as the prompt and the last answer, of which only the answer is trained on.
    PromptCompletion,
    /// Preferences as two whole dialogues.
    ImplicitPrompt,
}

/// Writes for each of TRL's trainers what it reads:
///
/// | kind | row | trainer |
/// |---|---|---|
/// | conversation | `{"messages":[…]}` | SFT |
/// | preference | `{"prompt":[…],"chosen":[…],"rejected":[…]}`, `margin` if all have one | DPO, Reward |
/// | labelled | `{"prompt":[…],"completion":[…],"label":true}` | KTO |
/// | prompt | `{"prompt":[…],"answer":"…"}`; columns go to the reward functions | GRPO, RLOO |
/// | stepwise | `{"prompt":"…","completions":["…"],"labels":[true]}` | PRM |
/// | text | `{"text":"…"}` | SFT |
pub static TRL: Trl = Trl { name: "trl", form: Form::Usual, kinds: &SampleKind::ALL };

/// Writes dialogues as `{"prompt":[…],"completion":[…]}`: SFT trains on the last answer alone.
pub static PROMPT_COMPLETION: Trl =
    Trl { name: "trl-prompt-completion", form: Form::PromptCompletion, kinds: &[SampleKind::Conversation] };

/// Writes preferences as `{"chosen":[…],"rejected":[…]}`, whole dialogues whose common beginning is the prompt.
pub static IMPLICIT_PROMPT: Trl =
    Trl { name: "trl-implicit-prompt", form: Form::ImplicitPrompt, kinds: &[SampleKind::Preference] };

/// Templates render arguments that are objects; a string would be encoded once more. They ignore weights.
const CHAT: Chat = Chat { late_system: false, arguments: ArgumentsAs::Object, ..Chat::USUAL };

/// Columns that one of TRL's trainers reads or overwrites.
const RESERVED: &[&str] = &[
    "messages",
    "prompt",
    "completion",
    "chosen",
    "rejected",
    "label",
    "text",
    "conversations",
    "tools",
    "chat_template_kwargs",
    "images",
    "image",
    "input_ids",
    "labels",
    "completion_mask",
    "assistant_masks",
    "attention_mask",
    "seq_lengths",
    "prompt_ids",
    "chosen_ids",
    "rejected_ids",
    "completion_ids",
    "KL_completion_ids",
    "ref_logps",
    "ref_chosen_logps",
    "ref_rejected_logps",
    "margin",
    "prompts",
    "completions",
    "trainer_state",
    "log_extra",
    "log_metric",
    "environments",
    "environment",
];

/// Returns the names that no kept column may have.
fn reserved(facts: &Facts) -> Vec<&'static str> {
    let answer = facts.some.has(Features::ANSWER).then_some("answer");
    RESERVED.iter().copied().chain(answer).collect()
}

impl Shape for Trl {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u32 {
        3
    }

    fn kinds(&self) -> &'static [SampleKind] {
        self.kinds
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        let command = match written.kind {
            SampleKind::Conversation | SampleKind::Text => "sft",
            SampleKind::Preference => "dpo",
            SampleKind::Labelled => "kto",
            SampleKind::Prompt => "grpo",
            // Its trainer left TRL with version 1.16.
            SampleKind::Stepwise => return Vec::new(),
        };
        // `datasets` does not load `.`: it takes the last part of the path as the name.
        let folder = written.target.folder();
        let mut text =
            format!("# For `trl {command} --config trl.yaml`, started in this folder.\ndataset_name: ../{folder}\n");
        for (side, _) in written.files {
            match side {
                Side::Train => text.push_str("dataset_train_split: train\n"),
                Side::Validation => text.push_str("dataset_test_split: validation\neval_strategy: steps\n"),
                Side::Test => {}
            }
        }
        vec![("trl.yaml", text)]
    }

    /// Parquet: its types are fixed, and values of JSON columns come back as they are.
    fn container(&self) -> Container {
        Container::Parquet
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (messages, has) = (facts.messages(), |features| facts.some.has(features));
        let is = |kinds: &[SampleKind]| kinds.contains(&kind);
        let is_split = self.form == Form::PromptCompletion;
        facts.with_kept(
            &reserved(facts),
            [
                (is(&[SampleKind::Conversation]) && !is_split, "messages", messages.clone()),
                (self.has_prompt(kind), "prompt", messages.clone()),
                (is(&[SampleKind::Labelled]) || is_split, "completion", messages.clone()),
                (is(&[SampleKind::Preference]), "chosen", messages.clone()),
                (is(&[SampleKind::Preference]), "rejected", messages),
                (is(&[SampleKind::Stepwise]), "prompt", Type::Text),
                (is(&[SampleKind::Stepwise]), "completions", Type::Text.list()),
                (is(&[SampleKind::Stepwise]), "labels", Type::Bool.list()),
                (is(&[SampleKind::Text]), "text", Type::Text),
                (is(&[SampleKind::Labelled]), "label", Type::Bool),
                (has(Features::TOOLS), "tools", Type::Text),
                (has(Features::ANSWER), "answer", Type::Text),
                (has(Features::MARGIN), "margin", Type::Number),
            ],
        )
    }

    fn write(
        &self,
        sample: &SampleView<'_>,
        source: Quoted<'_>,
        facts: &Facts,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        if sample.kind() == SampleKind::Labelled && sample.label.is_none() {
            return Err(Unfit("an answer without its label"));
        }
        let (kind, mut row) = (sample.kind(), Object::begin(out));
        if !self.kinds.contains(&kind) {
            return Err(Unfit("samples of this kind"));
        }
        match &sample.body {
            Body::Conversation { messages } if self.form == Form::PromptCompletion => split(messages, &mut row)?,
            Body::Conversation { messages } if self.form == Form::Usual => {
                row.with("messages", |out| CHAT.messages(messages, out))?;
            }
            Body::Preference { prompt, ranked } => self.preference(prompt, ranked, &mut row)?,
            Body::Labelled { messages } if self.form == Form::Usual => {
                split(messages, &mut row)?;
                row.boolean("label", sample.label);
            }
            Body::Prompt { messages } if self.form == Form::Usual => {
                row.with("prompt", |out| CHAT.messages(messages, out))?;
                if facts.some.has(Features::TOOLS) && sample.tools.is_some() {
                    return Err(Unfit("tools of a prompt, which GRPO takes from its own arguments"));
                }
            }
            Body::Stepwise { prompt, steps } if self.form == Form::Usual => stepwise(prompt, steps, &mut row)?,
            Body::Text { text } if self.form == Form::Usual => row.string("text", Some(*text)),
            _ => return Err(Unfit("samples of this kind")),
        }
        if sample.label.is_some() && kind != SampleKind::Labelled {
            return Err(Unfit("a label"));
        }
        if facts.some.has(Features::TOOLS) {
            // As text, tools of different rows cannot be given each other's keys.
            let tools = wrapped_tools(sample.tools.as_ref())?.map(|tools| quoted(&tools));
            row.or_null("tools", tools.as_deref());
        }
        if facts.some.has(Features::ANSWER) {
            row.or_null("answer", sample.answer.map(Quoted::with_quotes));
        }
        if facts.some.has(Features::MARGIN) {
            let Some(margin) = &sample.margin else {
                return Err(Unfit("a sample without a margin beside others with one"));
            };
            row.json("margin", Some(margin));
        }
        row.kept(sample, source, facts, &reserved(facts))?;
        row.end();
        Ok(())
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        let whole = |fields: &mut Fields| {
            let mut messages = read::messages(&fields.take("prompt")?)?;
            messages.extend(read::messages(&fields.take("completion")?)?);
            Some(messages)
        };
        let body =
            match (&self.form, fields.first(&["messages", "completion", "chosen", "completions", "prompt", "text"])?) {
                (Form::Usual, "messages") => {
                    Body::Conversation { messages: read::messages(&fields.take("messages")?)? }
                }
                (_, "chosen" | "prompt") if fields.has("chosen", |_| true) => {
                    let prompt = match self.form {
                        Form::ImplicitPrompt => Vec::new(),
                        _ => read::messages(&fields.take("prompt")?)?,
                    };
                    let (chosen, rejected) = (fields.take("chosen")?, fields.take("rejected")?);
                    let ranked = vec![read::messages(&chosen)?, read::messages(&rejected)?];
                    if self.form == Form::ImplicitPrompt {
                        read::preference(ranked)?
                    } else {
                        Body::Preference { prompt, ranked }
                    }
                }
                (Form::PromptCompletion, _) => Body::Conversation { messages: whole(&mut fields)? },
                (Form::Usual, _) if fields.has("completion", |_| true) => {
                    Body::Labelled { messages: whole(&mut fields)? }
                }
                (Form::Usual, _) if fields.has("completions", |_| true) => read::one_question(&mut fields)?,
                (Form::Usual, "prompt") => Body::Prompt { messages: read::messages(&fields.take("prompt")?)? },
                (Form::Usual, "text") => Body::Text { text: fields.string("text")?.into() },
                _ => return None,
            };
        fields.typed_row(body)
    }
}

impl Trl {
    fn has_prompt(&self, kind: SampleKind) -> bool {
        match kind {
            SampleKind::Conversation => self.form == Form::PromptCompletion,
            SampleKind::Preference => self.form == Form::Usual,
            SampleKind::Labelled | SampleKind::Prompt => true,
            SampleKind::Stepwise | SampleKind::Text => false,
        }
    }

    fn preference<'b>(&self, prompt: &[Said<'b>], ranked: &[Vec<Said<'b>>], row: &mut Object<'_>) -> Result<(), Unfit> {
        let [chosen, rejected] = ranked else { return Err(Unfit("more than two answers")) };
        if prompt.is_empty() {
            return Err(Unfit("a preference without a prompt"));
        }
        if chosen.is_empty() || rejected.is_empty() {
            return Err(Unfit("a preference without an answer"));
        }
        if self.form == Form::ImplicitPrompt {
            row.with("chosen", |out| CHAT.messages(&[prompt, chosen].concat(), out))?;
            return row.with("rejected", |out| CHAT.messages(&[prompt, rejected].concat(), out));
        }
        row.with("prompt", |out| CHAT.messages(prompt, out))?;
        row.with("chosen", |out| CHAT.continued(chosen, out))?;
        row.with("rejected", |out| CHAT.continued(rejected, out))
    }
}

/// Writes a dialogue as its prompt and its last answer.
fn split(messages: &[Said<'_>], row: &mut Object<'_>) -> Result<(), Unfit> {
    let (prompt, answer) = last_answer(messages)?;
    if prompt.last().is_some_and(|last| last.role == Role::Assistant) {
        return Err(Unfit("two answers at the end of a dialogue"));
    }
    row.with("prompt", |out| CHAT.messages(prompt, out))?;
    row.with("completion", |out| CHAT.continued(std::slice::from_ref(answer), out))
}

/// Writes a solution in steps, whose prompt is one question.
pub(super) fn stepwise(prompt: &[Said<'_>], steps: &[Step<'_, Quoted<'_>>], row: &mut Object<'_>) -> Result<(), Unfit> {
    let [Said { role: Role::User, content: Content::Text(text), extras: None }] = prompt else {
        return Err(Unfit("a prompt of steps that is not one question"));
    };
    row.string("prompt", Some(*text));
    row.list("completions", steps, |step, out| out.extend_from_slice(step.text.with_quotes()));
    row.try_list("labels", steps, |step, out| match step.label.as_str() {
        label @ ("true" | "false") => {
            out.extend_from_slice(label.as_bytes());
            Ok(())
        }
        _ => Err(Unfit("labels of steps that are no booleans")),
    })
}
