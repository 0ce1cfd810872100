//! What is asked in a row: the words of the system, earlier exchanges, the question.

use std::borrow::Cow;

use super::beside;
use crate::{
    row::{Reason, Reject},
    sample::{Content, Message},
};

/// What is asked: all that stands before the answer.
#[derive(Default)]
pub(super) struct Asked<'a> {
    /// The words of the system.
    pub(super) system: Vec<Message<'a>>,
    /// Earlier exchanges.
    pub(super) before: Vec<Message<'a>>,
    /// What the user says last, or a list of messages.
    pub(super) question: Vec<Message<'a>>,
    /// The question without what follows it on a new line.
    pub(super) bare: Option<Vec<Message<'a>>>,
    /// Whether the question is a transcript, in which the blanks around a turn are none of its words.
    pub(super) is_spoken: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn into_messages(self) -> Vec<Message<'a>> {
        let Self { system: mut messages, mut before, mut question, .. } = self;
        if messages.is_empty() && before.is_empty() {
            return question;
        }
        messages.append(&mut before);
        messages.append(&mut question);
        messages
    }

    /// Returns the words of an answer to the question.
    pub(super) fn answer(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        match (self.is_spoken, text) {
            (false, text) => text,
            (true, Cow::Borrowed(text)) => Cow::Borrowed(text.trim()),
            (true, Cow::Owned(text)) => Cow::Owned(text.trim().to_owned()),
        }
    }

    /// Returns the whole dialogue of a list called `name`, which goes on from here, or repeats the question, or all that stands
    /// here.
    pub(super) fn continued(&self, list: Vec<Message<'a>>, name: &str) -> Result<Vec<Message<'a>>, Reject> {
        let own = list.iter().find(|message| beside::is_system(message));
        match (self.system.first(), own) {
            (Some(said), Some(own)) if said.content != own.content => {
                let detail = format!("the row has a system message, and `{name}` has another one");
                return Err(Reject::new(Reason::Conflict, detail));
            }
            _ => {}
        }
        let leading = list.iter().take_while(|message| beside::is_system(message)).count();
        let rest = &list[leading..];
        let all = [&self.before[..], &self.question].concat();
        let repeated = if begins(rest, &all) {
            all.len()
        } else if begins(rest, &self.question) || self.bare.as_ref().is_some_and(|bare| begins(rest, bare)) {
            self.question.len()
        } else {
            0
        };
        // The list may say more of a message than the row does, such as its weight, but nothing else.
        let mut all = all;
        let from = all.len() - repeated;
        for (own, said) in all[from..].iter_mut().zip(rest) {
            // With the blanks that the dialogue has around them; what follows a question on a new line stays.
            if is_same(own, said) {
                own.content.clone_from(&said.content);
            }
            match (&own.extras, &said.extras) {
                (None, Some(_)) => own.extras.clone_from(&said.extras),
                (Some(own), Some(said)) if own != said => {
                    let detail = format!("`{name}` repeats a message of the prompt with other keys");
                    return Err(Reject::new(Reason::Conflict, detail));
                }
                _ => {}
            }
        }
        let system = if self.system.is_empty() { &list[..leading] } else { &self.system };
        Ok(system.iter().chain(&all).chain(&rest[repeated..]).cloned().collect())
    }
}

/// Whether a list begins with these messages.
fn begins(list: &[Message<'_>], with: &[Message<'_>]) -> bool {
    list.len() >= with.len() && list.iter().zip(with).all(|(a, b)| is_same(a, b))
}

/// Whether messages are of one role and say the same, whatever blanks are around their words, and whatever else each of them has.
fn is_same(a: &Message<'_>, b: &Message<'_>) -> bool {
    let says_the_same = match (&a.content, &b.content) {
        (Content::Text(a), Content::Text(b)) => a.trim() == b.trim(),
        (a, b) => a == b,
    };
    a.role == b.role && says_the_same
}
