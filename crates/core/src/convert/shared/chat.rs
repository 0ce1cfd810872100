//! Lists of messages, as OpenAI (`role`, `content`) and ShareGPT (`from`, `value`) write them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    row::{Reason, Reject},
    sample::{Message, Role},
};

/// A message as written. Other keys (`name`, `weight`, …) say nothing about its text and are left aside.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

/// Reads a JSON array of messages.
///
/// What cannot be kept whole is rejected, never cut down: roles other than system, user and assistant, contents that
/// are not text, calls of tools. `field` names the column in the reject.
pub(in crate::convert) fn messages<'a>(json: &'a str, field: &str) -> Result<Vec<Message<'a>>, Reject> {
    let wrong = |detail: String| Reject::new(Reason::WrongType, detail);
    let written: Vec<Written<'a>> =
        serde_json::from_str(json).map_err(|_| wrong(format!("`{field}` is not a list of messages")))?;
    let message = |(at, written): (usize, Written<'a>)| {
        let text = |value: Option<&'a RawValue>, key| {
            value.and_then(string).ok_or_else(|| wrong(format!("`{field}[{at}].{key}` is not a string")))
        };
        let (speaker, content) = if written.role.is_some() || written.from.is_none() {
            (text(written.role, "role")?, text(written.content, "content")?)
        } else {
            (text(written.from, "from")?, text(written.value, "value")?)
        };
        let role =
            role(&speaker).ok_or_else(|| wrong(format!("`{field}[{at}]` is of role `{}`", speaker.escape_debug())))?;
        if written.tool_calls.is_some_and(|calls| !matches!(calls.get(), "null" | "[]")) {
            return Err(wrong(format!("`{field}[{at}]` calls tools")));
        }
        Ok(Message::new(role, content))
    };
    written.into_iter().enumerate().map(message).collect()
}

fn role(speaker: &str) -> Option<Role> {
    match speaker {
        "system" | "developer" => Some(Role::System),
        "user" | "human" => Some(Role::User),
        "assistant" | "gpt" => Some(Role::Assistant),
        _ => None,
    }
}

fn string(json: &RawValue) -> Option<Cow<'_, str>> {
    let json = json.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    // Without a backslash the text stands in the source as it is.
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Content;

    #[test]
    fn both_spellings_are_read() {
        let openai = r#"[{"role":"developer","content":"s"},{"content":"q\n","role":"user","name":"x"},{"role":"assistant","content":"é","tool_calls":null}]"#;
        let share = r#"[{"from":"system","value":"s"},{"from":"human","value":"q\n"},{"from":"gpt","value":"é"}]"#;
        let expected =
            [Message::new(Role::System, "s"), Message::new(Role::User, "q\n"), Message::new(Role::Assistant, "é")];
        assert_eq!(messages(openai, "messages").unwrap(), expected);
        assert_eq!(messages(share, "conversations").unwrap(), expected);
        assert_eq!(messages("[]", "messages").unwrap(), []);
    }

    #[test]
    fn plain_contents_are_borrowed() {
        let list = messages(r#"[{"role":"user","content":"q"},{"role":"user","content":"\u0071"}]"#, "m").unwrap();
        assert!(matches!(list[0].content, Content::Text(Cow::Borrowed("q"))));
        assert!(matches!(&list[1].content, Content::Text(Cow::Owned(text)) if text == "q"));
    }

    #[test]
    fn what_cannot_be_kept_whole_is_rejected() {
        for (json, detail) in [
            ("{}", "`m` is not a list of messages"),
            ("[1]", "`m` is not a list of messages"),
            (r#"[{"role":"user","role":"user","content":"q"}]"#, "`m` is not a list of messages"),
            (r#"[{"content":"q"}]"#, "`m[0].role` is not a string"),
            (
                r#"[{"role":"user","content":"q"},{"role":"assistant","content":null}]"#,
                "`m[1].content` is not a string",
            ),
            (r#"[{"role":"user","content":[{"type":"text","text":"q"}]}]"#, "`m[0].content` is not a string"),
            (r#"[{"from":"human","content":"q"}]"#, "`m[0].value` is not a string"),
            (r#"[{"role":"tool","content":"4"}]"#, "`m[0]` is of role `tool`"),
            (r#"[{"role":"assistant","content":"","tool_calls":[{}]}]"#, "`m[0]` calls tools"),
            (r#"[{"role":"user","content":"\ud800"}]"#, "`m[0].content` is not a string"),
        ] {
            let reject = messages(json, "m").unwrap_err();
            assert_eq!((reject.reason, reject.detail.as_str()), (Reason::WrongType, detail), "{json}");
        }
    }
}
