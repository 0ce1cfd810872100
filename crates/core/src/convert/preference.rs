//! Preference pairs with a prompt of their own, in the shapes that TRL reads.

use std::borrow::Cow;

use super::{
    Converter, OptionSpec, Options,
    shared::{chat, pair::Diverge},
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, Message, Role, SampleKind},
};

/// Makes a pair of `prompt`, `chosen` and `rejected`, each a string or a list of messages.
///
/// A string is one message: the user's as a prompt, the assistant's as a completion; nothing is trimmed. A list of
/// messages that already begins with the prompt (a leading system message aside) is taken as the whole dialogue.
/// Without a `prompt`, or with an empty one, both sides must be lists and whole dialogues.
#[derive(Debug)]
pub struct Preference;

impl Converter for Preference {
    fn name(&self) -> &'static str {
        "preference"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Preference
    }

    fn accepts(&self, columns: &[&str]) -> bool {
        ["prompt", "chosen", "rejected"].iter().all(|column| columns.contains(column))
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[Diverge::OPTION]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let prompt = prompt(row, options)?;
        let chosen = dialogue(row, "chosen", prompt.as_deref(), options)?;
        let rejected = dialogue(row, "rejected", prompt.as_deref(), options)?;
        Ok(Diverge::of(options).pair(chosen, rejected)?.into())
    }
}

/// The messages of `prompt`; none if the row has no such field, or if it is empty and both sides are whole dialogues.
fn prompt<'a>(row: &'a RawRow<'_>, options: &Options) -> Result<Option<Vec<Message<'a>>>, Reject> {
    let messages = match row.get("prompt") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Json(json)) => chat::messages_with(json, "prompt", options)?,
        Some(_) => vec![Message::new(Role::User, row.text("prompt")?)],
    };
    if messages.iter().all(Message::is_empty) {
        if ["chosen", "rejected"].iter().all(|side| matches!(row.get(side), Some(Value::Json(_)))) {
            return Ok(None);
        }
        return Err(Reject::new(Reason::EmptyPrompt, "`prompt` is empty"));
    }
    Ok(Some(messages))
}

fn dialogue<'a>(
    row: &'a RawRow<'_>,
    side: &'static str,
    prompt: Option<&[Message<'a>]>,
    options: &Options,
) -> Result<Vec<Message<'a>>, Reject> {
    let completion = match (row.get(side), prompt) {
        (Some(Value::Json(json)), _) => chat::messages_with(json, side, options)?,
        (_, Some(_)) => vec![Message::new(Role::Assistant, Cow::Borrowed(row.text(side)?))],
        (None | Some(Value::Null), None) => return Err(Reject::new(Reason::MissingField, format!("no `{side}`"))),
        (Some(_), None) => {
            return Err(Reject::new(Reason::WrongType, format!("no `prompt`, and `{side}` is not a list of messages")));
        }
    };
    Ok(match prompt {
        Some(prompt) if !is_whole(&completion, prompt) => [prompt, &completion].concat(),
        _ => completion,
    })
}

/// Whether a list of messages repeats the prompt at its beginning.
fn is_whole(list: &[Message<'_>], prompt: &[Message<'_>]) -> bool {
    let from = list.iter().take_while(|message| message.role == Role::System).count();
    list.len() > prompt.len() && (list.starts_with(prompt) || list[from..].starts_with(prompt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Body;

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
