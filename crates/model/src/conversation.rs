//! A conversation as it is given to a template.

use crate::{Json, JsonError};

/// Names under which the reasoning of a message is given; templates read any of them.
pub(crate) const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// One message: keys and values in order, such as `role`, `content`, `reasoning_content`, `tool_calls`.
#[derive(Clone, Debug)]
pub struct Message {
    fields: Vec<(String, Json)>,
}

impl Message {
    /// A message of `role` that says `content`.
    pub fn new(role: &str, content: impl Into<Json>) -> Self {
        Self::of([("role".to_owned(), Json::from(role)), ("content".to_owned(), content.into())])
    }

    /// A message of these keys in order. A key whose value is `null` counts as missing, as in transformers.
    pub fn of(fields: impl IntoIterator<Item = (String, Json)>) -> Self {
        Self { fields: fields.into_iter().filter(|(_, value)| !value.is_null()).collect() }
    }

    /// Returns what the message has under a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Returns who speaks; empty if the message does not say.
    pub fn role(&self) -> &str {
        self.get("role").and_then(Json::as_str).unwrap_or_default()
    }

    /// Returns the text of a key that holds one, if it is not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::as_str).filter(|text| !text.is_empty())
    }

    /// Returns the name under which the message has reasoning, with its text.
    pub(crate) fn reasoning(&self) -> Option<(&'static str, &str)> {
        REASONING.into_iter().find_map(|name| Some((name, self.text(name)?)))
    }

    /// Returns whether the message calls tools.
    pub(crate) fn calls_tools(&self) -> bool {
        self.get("tool_calls").and_then(Json::items).is_some_and(|calls| !calls.is_empty())
    }

    /// The message without the parts of its content that are no text, such as pictures; `None` if it has none.
    pub(crate) fn without_media(&self) -> Option<Self> {
        let parts = self.get("content")?.items()?;
        let texts: Vec<Json> = parts.iter().filter(|part| part.get("text").is_some()).cloned().collect();
        (texts.len() < parts.len()).then(|| self.with("content", Json::from(texts)))
    }

    /// The message with another value under a key that it has, or with the key at its end.
    pub(crate) fn with(&self, key: &str, value: Json) -> Self {
        let mut fields = self.fields.clone();
        match fields.iter_mut().find(|(name, _)| name == key) {
            Some(field) => field.1 = value,
            None => fields.push((key.to_owned(), value)),
        }
        Self { fields }
    }

    /// The message without some keys.
    pub(crate) fn without(&self, keys: &[&str]) -> Self {
        Self { fields: self.fields.iter().filter(|(name, _)| !keys.contains(&name.as_str())).cloned().collect() }
    }

    /// The message as a template sees it: its reasoning stands under `reasoning_content`, and under `thinking`, which then is
    /// the first key.
    pub(crate) fn prepared(&self) -> Vec<(String, Json)> {
        let Some(reasoning) = REASONING.into_iter().find_map(|name| self.get(name)) else { return self.fields.clone() };
        let thinking = self.get("thinking").unwrap_or(reasoning);
        let mut fields = vec![("thinking".to_owned(), thinking.clone())];
        fields.extend(self.fields.iter().filter(|(name, _)| name != "thinking").cloned());
        match fields.iter_mut().find(|(name, _)| name == "reasoning_content") {
            Some(field) => field.1 = reasoning.clone(),
            None => fields.push(("reasoning_content".to_owned(), reasoning.clone())),
        }
        fields
    }
}

/// A conversation with all that templates may write of it.
///
/// ```
/// use datac_model::{Conversation, Message};
///
/// let conversation = Conversation::new(vec![Message::new("user", "2+2?"), Message::new("assistant", "4")]);
/// let same = Conversation::parse(
///     r#"[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]"#,
///     None,
/// )?;
/// assert_eq!(conversation.messages[1].role(), same.messages[1].role());
/// # Ok::<(), datac_model::ConversationError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The messages in order; at least one, or rendering is refused.
    pub messages: Vec<Message>,
    /// The tools that may be called: a list of JSON schemas. `None` differs from an empty list, which some templates write.
    pub tools: Option<Json>,
    /// Texts to answer from.
    pub documents: Option<Json>,
}

/// Why JSON is no conversation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationError {
    /// A text is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The messages are no list.
    #[error("the messages are not a list")]
    NotAList,
    /// A message is no object.
    #[error("message {index} is not an object")]
    NotAnObject {
        /// The place of the message, from 0.
        index: usize,
    },
}

impl Conversation {
    /// A conversation without tools.
    pub fn new(messages: Vec<Message>) -> Self {
        Self { messages, tools: None, documents: None }
    }

    /// Reads messages and tools from JSON texts: a list of objects each.
    pub fn parse(messages: &str, tools: Option<&str>) -> Result<Self, ConversationError> {
        let tools = tools.map(Json::parse).transpose()?;
        Self::of(&Json::parse(messages)?, tools)
    }

    /// A conversation of a list of messages, and of tools; tools that are `null` are none.
    pub fn of(messages: &Json, tools: Option<Json>) -> Result<Self, ConversationError> {
        let messages = messages.items().ok_or(ConversationError::NotAList)?;
        let message = |(index, message): (usize, Json)| {
            message.pairs().map(Message::of).ok_or(ConversationError::NotAnObject { index })
        };
        let messages = messages.into_iter().enumerate().map(message).collect::<Result<_, _>>()?;
        Ok(Self { messages, tools: tools.filter(|tools| !tools.is_null()), documents: None })
    }

    /// The conversation with another message in place of one.
    pub(crate) fn with_message(&self, index: usize, message: Message) -> Self {
        let mut conversation = self.clone();
        conversation.messages[index] = message;
        conversation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_missing_and_reasoning_has_its_names() {
        // {"thinking": r, **message, "reasoning_content": r}, after keys with None are dropped.
        let pairs = [
            (r#"[{"role": "a", "content": null}]"#, "role"),
            (r#"[{"role": "a", "reasoning": "r"}]"#, "thinking=r role reasoning reasoning_content=r"),
            (r#"[{"role": "a", "thinking": "t", "reasoning_content": "c"}]"#, "thinking=t role reasoning_content=c"),
            (r#"[{"reasoning_content": null, "thinking": "t"}]"#, "thinking=t reasoning_content=t"),
        ];
        for (messages, expected) in pairs {
            let conversation = Conversation::parse(messages, None).expect("it is a conversation");
            let fields = conversation.messages[0].prepared();
            let word = |(name, value): &(String, Json)| match name.as_str() {
                "thinking" | "reasoning_content" => format!("{name}={}", value.as_str().unwrap_or_default()),
                _ => name.clone(),
            };
            assert_eq!(fields.iter().map(word).collect::<Vec<_>>().join(" "), expected);
        }
    }

    #[test]
    fn what_is_no_conversation_is_an_error() {
        for messages in ["{}", "[1]", "[", "[{}, []]"] {
            assert!(Conversation::parse(messages, None).is_err(), "{messages}");
        }
    }
}
