//! Preference pairs, in the shapes that TRL, LLaMA-Factory, ms-swift and others read.

use super::{
    Converter, Doubt, OptionSpec, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        pair::Diverge,
        spelling::{INPUT, Spellings},
    },
};
use crate::{
    row::{RawRow, Reason, Reject, is_called},
    sample::{Converted, SampleKind, Slot},
    survey::{Survey, Types},
};

/// Makes a pair of `prompt`, `chosen` and `rejected`, each a string or a list of messages, in any usual spelling.
///
/// A string is one message: the user's as a prompt, the assistant's as a completion; nothing is trimmed. A list of
/// messages that already begins with the prompt (a leading system message aside) is taken as the whole dialogue.
/// Without a `prompt`, or with an empty one, both sides must be lists and whole dialogues. Where only the other answer
/// stands beside `messages`, those end with the preferred one.
#[derive(Debug)]
pub struct Preference;

const SPELLINGS: Spellings = Spellings {
    names: &[
        (
            Slot::Chosen,
            &[
                "chosen",
                "chosen_response",
                "response_chosen",
                "chosen_messages",
                "chosen_conversations",
                "preferred_output",
                "preferred",
                "accepted",
            ],
        ),
        (
            Slot::Rejected,
            &[
                "rejected",
                "rejected_response",
                "response_rejected",
                "rejected_messages",
                "rejected_conversations",
                "non_preferred_output",
                "dispreferred",
            ],
        ),
        (Slot::User, &["prompt", "question", "instruction", "query", "problem", "input"]),
        (Slot::Assistant, &["response", "output", "answer"]),
        (Slot::Input, INPUT),
        (Slot::Messages, &["messages", "conversations"]),
        (Slot::System, SYSTEM),
        (Slot::History, &["history"]),
        (Slot::Margin, &["margin"]),
        (Slot::Tools, TOOLS),
    ],
    needs: &[
        &[Slot::User, Slot::Chosen, Slot::Rejected],
        &[Slot::Messages, Slot::Chosen, Slot::Rejected],
        &[Slot::Messages, Slot::Rejected],
        &[Slot::Chosen, Slot::Rejected],
        // ms-swift's: the other answer beside a question with its answer.
        &[Slot::User, Slot::Assistant, Slot::Rejected],
    ],
};

impl Converter for Preference {
    fn name(&self) -> &'static str {
        "preference"
    }

    fn version(&self) -> u32 {
        9
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Preference
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        SPELLINGS.wants()
    }

    /// Rows with a prompt, or with two lists, which are whole dialogues.
    fn reads(&self, survey: &Survey) -> u32 {
        let lists = Types::OBJECTS.or(Types::OBJECT).or(Types::MESSAGES);
        let is_list = |name: &str| survey.column(name).is_some_and(|column| column.types.has(lists));
        survey.count(|columns| {
            let has = |slot: Slot| {
                columns.iter().any(|name| SPELLINGS.spelled(slot).iter().any(|known| is_called(name, known)))
            };
            let holds_lists = columns.iter().any(|name| {
                is_list(name) && SPELLINGS.spelled(Slot::Chosen).iter().any(|known| is_called(name, known))
            });
            SPELLINGS.fit(columns) && (has(Slot::User) || has(Slot::Messages) || holds_lists)
        })
    }

    fn doubt(&self, survey: &Survey) -> Option<Doubt> {
        SPELLINGS.doubt(survey)
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[Diverge::OPTION]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let filled = SPELLINGS.fill(row, options)?;
        // A row that has the column, but nothing in it, lacks the preferred answer.
        let is_chosen = |name: &str| SPELLINGS.spelled(Slot::Chosen).iter().any(|known| is_called(name, known));
        if filled.filled(Slot::Assistant).is_some()
            && let Some((name, _)) = row.fields.iter().find(|(name, _)| is_chosen(name))
        {
            return Err(Reject::new(Reason::MissingField, format!("no `{name}`")));
        }
        Ok(filled.sample(self.kind())?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::Value,
        sample::{Body, Message, Role},
    };

    fn text(text: &'static str) -> Value<'static> {
        Value::String(text.into())
    }

    fn list(json: &'static str) -> Value<'static> {
        Value::Json(json.into())
    }

    fn sides(prompt: Value<'static>, chosen: Value<'static>, rejected: Value<'static>) -> Result<[String; 2], Reason> {
        let fields = [("prompt", prompt), ("chosen", chosen), ("rejected", rejected)];
        let row = RawRow::new(fields.into_iter().map(|(name, value)| (name.into(), value)).collect());
        let converted = Preference.convert(&row, &Options::new()).map_err(|reject| reject.reason)?;
        let Body::Preference { prompt, ranked } = &converted.only().body else { panic!("a pair") };
        let [chosen, rejected] = &ranked[..] else { panic!("{ranked:?}") };
        let initial = |role: Role| role.name()[..1].to_uppercase();
        let show = |answer: &[Message<'_>]| {
            let turns = prompt.iter().chain(answer);
            turns.map(|m| format!("{}:{}", initial(m.role), m.text())).collect::<Vec<_>>().join("|")
        };
        Ok([show(chosen), show(rejected)])
    }

    const USER: &str = r#"[{"role":"user","content":"q"}]"#;
    const GOOD: &str = r#"[{"role":"assistant","content":"a"}]"#;
    const BAD: &str = r#"[{"role":"assistant","content":"b"}]"#;
    const WHOLE: &str = r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;
    const WHOLE_BAD: &str = r#"[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]"#;

    #[test]
    fn every_shape_gives_the_same_pair() {
        let expected = ["U:q|A:a".to_owned(), "U:q|A:b".to_owned()];
        assert_eq!(sides(text("q"), text("a"), text("b")).unwrap(), expected);
        assert_eq!(sides(list(USER), list(GOOD), list(BAD)).unwrap(), expected);
        assert_eq!(sides(text("q"), list(WHOLE), list(WHOLE_BAD)).unwrap(), expected, "UltraFeedback's");
        assert_eq!(sides(Value::Null, list(WHOLE), list(WHOLE_BAD)).unwrap(), expected, "implicit prompt");
        assert_eq!(sides(text(""), list(WHOLE), list(WHOLE_BAD)).unwrap(), expected, "an empty prompt is none");
        assert_eq!(sides(list(USER), text("a"), list(BAD)).unwrap(), expected);
    }

    #[test]
    fn a_transcript_is_the_turns_that_were_written_down() {
        const PROMPT: &str = "\n\nHuman: p\n\nAssistant: o\n\nHuman: q\n\nAssistant:";
        let expected = ["U:p|A:o|U:q|A:a".to_owned(), "U:p|A:o|U:q|A:b".to_owned()];
        assert_eq!(sides(text(PROMPT), text(" a"), text(" b")).unwrap(), expected);
        let list = list(r#"[{"role":"assistant","content":"a"}]"#);
        assert_eq!(sides(text(PROMPT), list, text(" b")).unwrap(), expected);
        let whole = |answer| Value::String(format!("{PROMPT} {answer}").into());
        assert_eq!(sides(text(PROMPT), whole("a"), whole("b")).unwrap(), expected);
        assert_eq!(sides(text("\n\nHuman:\n\nAssistant:"), text("a"), text("b")), Err(Reason::EmptyPrompt));
        let plain = ["U:Human: q|A: a".to_owned(), "U:Human: q|A: b".to_owned()];
        assert_eq!(sides(text("Human: q"), text(" a"), text(" b")).unwrap(), plain, "nobody is to answer");
    }

    #[test]
    fn the_other_answer_may_stand_beside_a_question_with_its_answer() {
        let convert = |row: &str| {
            let row = crate::json::row(row).unwrap();
            let converted = Preference.convert(&row, &Options::new()).map_err(|reject| reject.detail);
            converted.map(|converted| {
                let Body::Preference { ranked, .. } = &converted.only().body else { panic!("a pair") };
                ranked.iter().map(|side| side[0].text().to_owned()).collect::<Vec<_>>()
            })
        };
        let swift = convert(r#"{"query":"q","response":"a","rejected_response":"b"}"#);
        assert_eq!(swift, Ok(vec!["a".to_owned(), "b".to_owned()]));
        let given = convert(r#"{"prompt":"q","response":"x","chosen":"a","rejected":"b"}"#);
        assert_eq!(given, Ok(vec!["a".to_owned(), "b".to_owned()]), "what is said to be preferred comes first");
        let lacking = convert(r#"{"prompt":"q","response":"x","chosen":null,"rejected":"b"}"#);
        assert_eq!(lacking, Err("no `chosen`".to_owned()));
    }

    #[test]
    fn strings_are_not_trimmed() {
        assert_eq!(
            sides(text("The sky is"), text(" blue."), text(" green.")).unwrap(),
            ["U:The sky is|A: blue.".to_owned(), "U:The sky is|A: green.".to_owned()]
        );
    }

    #[test]
    fn a_system_message_may_precede_a_repeated_prompt() {
        let whole = |answer| {
            format!(
                r#"[{{"role":"system","content":"s"}},{{"role":"user","content":"q"}},{{"role":"assistant","content":"{answer}"}}]"#
            )
        };
        let (chosen, rejected) = (Value::Json(whole("a").into()), Value::Json(whole("b").into()));
        assert_eq!(sides(text("q"), chosen, rejected).unwrap(), ["S:s|U:q|A:a".to_owned(), "S:s|U:q|A:b".to_owned()]);
    }

    #[test]
    fn a_repeated_prompt_may_have_other_blanks_around_it() {
        const BLANK: &str = r#"[{"role":"user","content":"q "},{"role":"assistant","content":"a"}]"#;
        const BLANK_BAD: &str = r#"[{"role":"user","content":"q "},{"role":"assistant","content":"b"}]"#;
        let dialogues = ["U:q |A:a".to_owned(), "U:q |A:b".to_owned()];
        assert_eq!(sides(text("\nq"), list(BLANK), list(BLANK_BAD)).unwrap(), dialogues);
        assert_eq!(sides(text("q"), list(WHOLE), list(BLANK_BAD)), Err(Reason::PromptsDiffer));
    }

    #[test]
    fn unusable_pairs_are_rejected() {
        assert_eq!(sides(text(" "), text("a"), text("b")), Err(Reason::EmptyPrompt));
        assert_eq!(sides(list("[]"), text("a"), text("b")), Err(Reason::EmptyPrompt));
        assert_eq!(sides(text("q"), text("a"), text("a")), Err(Reason::IdenticalPair));
        assert_eq!(sides(text("q"), text("a"), text(" ")), Err(Reason::EmptyLastAnswer));
        assert_eq!(sides(text("q"), list(USER), text("b")), Err(Reason::NoFinalAssistantTurn));
        assert_eq!(sides(text("p"), list(WHOLE), text("b")), Err(Reason::PromptsDiffer));
        assert_eq!(sides(text("q"), Value::Null, text("b")), Err(Reason::MissingField));
        assert_eq!(sides(Value::Null, text("a"), text("b")), Err(Reason::WrongType));
        assert_eq!(sides(Value::Null, Value::Null, list(WHOLE)), Err(Reason::MissingField));
        assert_eq!(sides(Value::Bool(true), text("a"), text("b")), Err(Reason::WrongType));
        assert_eq!(sides(text("q"), list("{}"), text("b")), Err(Reason::WrongType));
    }
}
