//! What a template drops in silence.
//!
//! Each question is a small conversation with words in it that stand nowhere else; whether they are in the text is the answer.

use crate::{Conversation, Ending, Json, Masker, Message};

/// What a template does with a part of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It writes it.
    Shown,
    /// It writes it as Python prints a list or a dict, not as text.
    Printed,
    /// It writes nothing of it.
    Dropped,
    /// It refuses the conversation, with this message.
    Refused(String),
}

/// What a template does with parts that many templates drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sinks {
    /// A message of the system.
    pub system: Shown,
    /// A message of the developer.
    pub developer: Shown,
    /// Tools that may be called.
    pub tools: Shown,
    /// Calls with arguments as an object.
    pub calls: Shown,
    /// Calls with arguments as a string that holds JSON.
    pub calls_as_text: Shown,
    /// The result of a tool.
    pub tool_results: Shown,
    /// Reasoning in the last answer.
    pub reasoning: Shown,
    /// Reasoning in an answer before the last message of the user.
    pub earlier_reasoning: Shown,
    /// Contents that are lists of texts.
    pub parts: Shown,
    /// The control tokens with which the text begins: if the tokenizer adds one of its own, it stands twice.
    pub begins_with: Option<String>,
    /// What is written before a conversation that has no message of the system, beyond what is written before one that has:
    /// an instruction that nobody gave.
    pub default_system: Option<String>,
    /// The parts of a turn that it writes otherwise, or no longer, once the conversation goes on.
    pub rewritten: Vec<Rewritten>,
    /// Whether what asks for an answer stands before an answer in a whole conversation too.
    pub begins_alike: bool,
}

/// A part of a turn that may be written otherwise later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewritten {
    /// A question and its answer.
    Answer,
    /// An answer with reasoning.
    Reasoning,
    /// A call of a tool with its result, and the answer.
    Call,
}

/// Words that stand in no template.
const WORDS: [&str; 3] = ["qzvwx", "jkqzv", "wqxjz"];

impl Masker {
    /// Asks the template what it does with parts that many templates drop. Renders about two dozen times.
    pub fn sinks(&self) -> Sinks {
        let [word, other, third] = WORDS;
        let user = || Message::new("user", "[a question]");
        let answer = || Message::new("assistant", "[an answer]");
        let reasoned = || answer().with("reasoning_content", Json::from(word));
        let object =
            |pairs: Vec<(&str, Json)>| Json::object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)));
        let tool = || {
            let parameters = object(vec![("type", Json::from("object")), ("properties", object(Vec::new()))]);
            let function = object(vec![
                ("name", Json::from(other)),
                ("description", Json::from(word)),
                ("parameters", parameters),
            ]);
            Json::from(vec![object(vec![("type", Json::from("function")), ("function", function)])])
        };
        let call = |arguments: Json| {
            let function = object(vec![("name", Json::from(other)), ("arguments", arguments)]);
            let call = [("id", Json::from("abcdefghi")), ("type", Json::from("function")), ("function", function)];
            Message::new("assistant", "").with("tool_calls", Json::from(vec![object(call.into())]))
        };
        let result = || {
            let message = Message::new("tool", third);
            message.with("tool_call_id", Json::from("abcdefghi")).with("name", Json::from(other))
        };
        let calls = |arguments: Json| Conversation {
            tools: Some(tool()),
            ..Conversation::new(vec![user(), call(arguments), result(), answer()])
        };
        let as_object = || calls(object(vec![("city", Json::from(word))]));
        let part = || object(vec![("type", Json::from("text")), ("text", Json::from(word))]);
        let plain = |messages: Vec<Message>| Conversation::new(messages);
        Sinks {
            system: self.shown(&plain(vec![Message::new("system", word), user(), answer()]), word),
            developer: self.shown(&plain(vec![Message::new("developer", word), user(), answer()]), word),
            tools: self.shown(&Conversation { tools: Some(tool()), ..plain(vec![user(), answer()]) }, word),
            calls: self.shown(&as_object(), "city"),
            calls_as_text: self.shown(&calls(Json::from(format!("{{\"city\": \"{word}\"}}"))), "city"),
            tool_results: self.shown(&as_object(), third),
            reasoning: self.shown(&plain(vec![user(), reasoned()]), word),
            earlier_reasoning: self.shown(&plain(vec![user(), reasoned(), user(), answer()]), word),
            parts: self.shown(&plain(vec![Message::new("user", Json::from(vec![part()])), answer()]), word),
            begins_with: self.begins_with(&plain(vec![user(), answer()])),
            default_system: self.default_system(),
            rewritten: {
                let end = || Message::new("assistant", WORDS[2]);
                let reasoned = vec![user(), end().with("reasoning_content", Json::from(word))];
                let called = Conversation {
                    tools: Some(tool()),
                    ..plain(vec![user(), call(object(vec![("city", Json::from(word))])), result(), end()])
                };
                let turns = [
                    (Rewritten::Answer, plain(vec![user(), end()])),
                    (Rewritten::Reasoning, plain(reasoned)),
                    (Rewritten::Call, called),
                ];
                let is_rewritten = |conversation: &Conversation| self.rewrites(conversation, &[user(), answer()]);
                turns.iter().filter(|(_, turn)| is_rewritten(turn)).map(|(turn, _)| *turn).collect()
            },
            begins_alike: self.begins_alike(&[user()], Message::new("assistant", word)),
        }
    }

    /// Returns whether the text of a conversation, up to the last of its words that stand nowhere else, is another one once more
    /// messages follow.
    fn rewrites(&self, conversation: &Conversation, more: &[Message]) -> bool {
        let longer = Conversation {
            messages: conversation.messages.iter().chain(more).cloned().collect(),
            ..conversation.clone()
        };
        let text = |conversation: &Conversation| self.render(conversation, Ending::Closed).ok().map(|made| made.text);
        let (Some(alone), Some(longer)) = (text(conversation), text(&longer)) else { return false };
        let Some(end) = alone.rfind(WORDS[2]).map(|at| at + WORDS[2].len()) else { return false };
        !longer.starts_with(&alone[..end])
    }

    /// Returns whether the text that asks for an answer begins the text of the whole; the answer is a word.
    fn begins_alike(&self, messages: &[Message], answer: Message) -> bool {
        let whole = Conversation::new(messages.iter().cloned().chain([answer]).collect());
        let asked = self.render(&Conversation::new(messages.to_vec()), Ending::GenerationPrompt);
        match (asked, self.render(&whole, Ending::Closed)) {
            (Ok(asked), Ok(whole)) => match whole.text.split_once(WORDS[0]) {
                // What the model is to write itself may stand between.
                Some((before, _)) => before.starts_with(&asked.text),
                None => true,
            },
            _ => true,
        }
    }

    fn shown(&self, conversation: &Conversation, word: &str) -> Shown {
        match self.render(conversation, Ending::Closed) {
            Err(error) => Shown::Refused(error.to_string()),
            Ok(rendered) if !rendered.text.contains(word) => Shown::Dropped,
            // JSON has no single quotes.
            Ok(rendered) if rendered.text.contains(&format!("'{word}'")) => Shown::Printed,
            Ok(_) => Shown::Shown,
        }
    }

    fn begins_with(&self, conversation: &Conversation) -> Option<String> {
        let text = self.render(conversation, Ending::Closed).ok()?.text;
        self.special_at_start(&text).map(str::to_owned)
    }

    fn default_system(&self) -> Option<String> {
        let before = |messages: Vec<Message>, word: &str| {
            let text = self.render(&Conversation::new(messages), Ending::Closed).ok()?.text;
            Some(text.split_once(word)?.0.to_owned())
        };
        let [word, other, _] = WORDS;
        let bare = before(vec![Message::new("user", word)], word)?;
        let second = before(
            vec![Message::new("user", other), Message::new("assistant", "x"), Message::new("user", word)],
            word,
        )?;
        let between = second.split_once(other)?.1;
        // The header of the user's turn, as it stands in the middle, is no instruction.
        let shared = bare.chars().rev().zip(between.chars().rev()).take_while(|(a, b)| a == b);
        let header: usize = shared.map(|(c, _)| c.len_utf8()).sum();
        let extra = &bare[..bare.len() - header];
        let extra = self.special_at_start(extra).map_or(extra, |token| &extra[token.len()..]);
        // Control tokens and names of roles are none either.
        let words = extra.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).count();
        (words > 3).then(|| extra.to_owned())
    }
}
