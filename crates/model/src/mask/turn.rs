//! All that a message writes, and what ends it.

use std::ops::Range;

use super::{Field, MaskError, Masker, Places, Reason};
use crate::{Conversation, Ending, Message, python::text::is_space};

/// How a template ends an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndOfTurn {
    /// What stands before the first token; mostly empty.
    pub before: String,
    /// The control tokens; one in most templates. Those of Cohere's newer models end the response, then the turn.
    pub tokens: Vec<String>,
}

/// What a message writes: parts in order and apart.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) parts: Vec<(Range<usize>, Reason)>,
}

impl EndOfTurn {
    /// Renders an answer, and returns the first control token behind it, with those that follow at once.
    pub(super) fn find(masker: &Masker) -> Option<Self> {
        const ANSWER: &str = "[an answer]";
        let conversation =
            Conversation::new(vec![Message::new("user", "[a question]"), Message::new("assistant", ANSWER)]);
        let text = masker.render(&conversation, Ending::Closed).ok()?.text;
        let (_, behind) = text.rsplit_once(ANSWER)?;
        let (at, _) = masker.first_special(behind)?;
        let mut rest = &behind[at..];
        let mut tokens = Vec::new();
        while let Some(token) = masker.special_at_start(rest) {
            tokens.push(token.to_owned());
            rest = &rest[token.len()..];
        }
        Some(Self { before: behind[..at].to_owned(), tokens })
    }
}

impl Masker {
    /// Returns the control token that stands first in a text, and where. Of two that begin at the same place the longer one.
    fn first_special(&self, text: &str) -> Option<(usize, &str)> {
        let tokens = self.special_tokens.iter().filter(|token| !token.is_empty());
        let found = tokens.filter_map(|token| Some((text.find(token.as_str())?, token.as_str())));
        found.min_by_key(|(at, token)| (*at, usize::MAX - token.len()))
    }

    /// Returns the control token that a text begins with.
    pub(crate) fn special_at_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.first_special(text).filter(|(at, _)| *at == 0).map(|(_, token)| &text[..token.len()])
    }

    /// Returns what a message writes.
    pub(super) fn turn(
        &self,
        conversation: &Conversation,
        places: &Places<'_>,
        index: usize,
    ) -> Result<Turn, MaskError> {
        let message = &conversation.messages[index];
        let content = places.find(index, Field::Content)?;
        let reasoning = places.find(index, Field::Reasoning)?;
        // Templates may write what others say elsewhere, such as instructions; an answer must be found.
        if content.is_none() && message.role() == "assistant" {
            match places.unwritten(index) {
                Some(true) => return Err(MaskError::Dropped { message: index, part: Field::Content.name() }),
                Some(false) => return Err(MaskError::Uncertain { message: index, part: Field::Content.name() }),
                None => {}
            }
        }
        let mut parts = Vec::new();
        match (&reasoning, &content) {
            (Some(reasoning), Some(content)) if reasoning.end <= content.start => {
                let start = self.start_before(conversation, places.text, index, reasoning.start);
                // What stands between ends the reasoning: the model writes it too.
                parts.push((start..content.start, Reason::Reasoning));
                parts.push((content.clone(), Reason::Content));
            }
            (Some(reasoning), Some(content)) if content.end <= reasoning.start => {
                parts.push((content.clone(), Reason::Content));
                parts.push((content.end..reasoning.end, Reason::Reasoning));
            }
            (Some(_), Some(_)) => return Err(MaskError::Uncertain { message: index, part: "reasoning" }),
            (Some(reasoning), None) => {
                let start = self.start_before(conversation, places.text, index, reasoning.start);
                parts.push((start..reasoning.end, Reason::Reasoning));
            }
            (None, Some(content)) => parts.push((content.clone(), Reason::Content)),
            (None, None) => {}
        }
        if message.calls_tools()
            && let Err(why) = self.add_calls(conversation, places, index, &mut parts)
        {
            let [(content, Reason::Content)] = &parts[..] else { return Err(why) };
            let calls = self.calls_before(conversation, places, index, content).ok_or(why)?;
            parts.insert(0, (calls, Reason::ToolCall));
        }
        Ok(Turn { parts })
    }

    /// Where the model begins to write, if that is before `at`: behind the generation prompt, if that is how the text begins.
    fn start_before(&self, conversation: &Conversation, text: &str, index: usize, at: usize) -> usize {
        let before = Conversation { messages: conversation.messages[..index].to_vec(), ..conversation.clone() };
        match self.render(&before, Ending::GenerationPrompt) {
            Ok(prompt) if prompt.text.len() <= at && text.starts_with(&prompt.text) => prompt.text.len(),
            _ => at,
        }
    }

    /// Adds the calls of a message to its parts.
    fn add_calls(
        &self,
        conversation: &Conversation,
        places: &Places<'_>,
        index: usize,
        parts: &mut Vec<(Range<usize>, Reason)>,
    ) -> Result<(), MaskError> {
        let uncertain = || MaskError::Uncertain { message: index, part: Field::Whole.name() };
        let message = &conversation.messages[index];
        let names = call_names(message);
        // Without the calls, the text changes where they stand.
        let bare = conversation.with_message(index, message.without(&["tool_calls"]));
        if self.render(&bare, Ending::Closed).is_ok_and(|bare| bare.text == places.text) {
            return Err(MaskError::Dropped { message: index, part: Field::Whole.name() });
        }
        let begin = parts.iter().map(|(bytes, _)| bytes.end).max();
        let (from, to) = self.room(conversation, places, index)?;
        let from = begin.unwrap_or(from).max(from);
        let region = places.changed(index, Field::Whole).filter(|region| from < region.end && region.end <= to);
        let region = match region {
            Some(region) => region.start.max(from)..region.end,
            // Templates that look back at calls refuse the conversation without them, or write their results otherwise.
            None => self.calls_between_prefixes(conversation, places, index, begin, to).ok_or_else(uncertain)?,
        };
        let end_of_turn = self.end.as_ref().and_then(|end| end.tokens.last());
        let ends = |text: &str| end_of_turn.and_then(|end| text.find(end.as_str()));
        // The names stand there, in order.
        let (mut first, mut last) = (None, region.start);
        for name in &names {
            let Some(at) = places.text[last..region.end].find(name.as_str()) else {
                // Kimi K2 writes the id of a call alone, which has to hold the name.
                let turn = &places.text[region.start..];
                let turn = &turn[..ends(turn).unwrap_or(turn.len())];
                let dropped = MaskError::Dropped { message: index, part: "names of the tool calls" };
                return Err(if first.is_some() || turn.contains(name.as_str()) { uncertain() } else { dropped });
            };
            first.get_or_insert(last + at);
            last += at + name.len();
        }
        // What ends a turn is no part of calls: if the text changes behind it, a later message is written otherwise, such as the id of
        // a result that counts the calls before it.
        let end = ends(&places.text[last..region.end]).map_or(region.end, |end| last + end);
        let start = match (begin, first) {
            (Some(begin), _) => begin,
            (None, None) => return Ok(()),
            // What every answer begins with is not written by the model, and what follows the prompt is.
            (None, Some(first)) => match self.start_before(conversation, places.text, index, first) {
                start if start != first => start,
                _ if ends(&places.text[region.start..first]).is_some() => return Err(uncertain()),
                _ => region.start,
            },
        };
        parts.push((start..end, Reason::ToolCall));
        Ok(())
    }

    /// Returns where the calls of a message stand that the template writes before its content, as Gemma 4 does: what is gone from
    /// the text without them, up to the content. All names must be in it, in their order, and nothing that a later message has
    /// written there, such as the result of a call, which other versions of that template put before the content, too.
    fn calls_before(
        &self,
        conversation: &Conversation,
        places: &Places<'_>,
        index: usize,
        content: &Range<usize>,
    ) -> Option<Range<usize>> {
        let bare = conversation.with_message(index, conversation.messages[index].without(&["tool_calls"]));
        let bare = self.render(&bare, Ending::Closed).ok()?.text;
        let length = places.text.len().checked_sub(bare.len())?;
        let start = content.start.checked_sub(length)?;
        let (before, behind) = (places.text.get(..start)?, places.text.get(content.start..)?);
        if bare.strip_prefix(before)? != behind {
            return None;
        }
        let up_to = Conversation { messages: conversation.messages[..=index].to_vec(), ..conversation.clone() };
        if !self.render(&up_to, Ending::Closed).ok()?.text.starts_with(&places.text[..content.end]) {
            return None;
        }
        let mut written = &places.text[start..content.start];
        for name in call_names(&conversation.messages[index]) {
            written = &written[written.find(&name)? + name.len()..];
        }
        Some(self.start_before(conversation, places.text, index, start)..content.start)
    }

    /// Returns where the calls of a message stand if the text begins with the prompt for the message, and goes on as the
    /// conversation does that ends with it, up to a control token.
    fn calls_between_prefixes(
        &self,
        conversation: &Conversation,
        places: &Places<'_>,
        index: usize,
        begin: Option<usize>,
        to: usize,
    ) -> Option<Range<usize>> {
        let start = match begin {
            Some(begin) => begin,
            None => Some(self.start_before(conversation, places.text, index, to)).filter(|start| *start < to)?,
        };
        let up_to = Conversation { messages: conversation.messages[..=index].to_vec(), ..conversation.clone() };
        let up_to = self.render(&up_to, Ending::Closed).ok()?.text;
        let same = up_to.bytes().zip(places.text.bytes()).take_while(|(a, b)| a == b).count();
        // Up to a control token, the last one of which ends the turn: a text that differs inside of one is not understood.
        let written = places.text.get(start..start.max(floor_boundary(places.text, same.min(to))))?;
        let ends =
            self.special_tokens.iter().filter(|token| !token.is_empty()).filter_map(|token| written.rfind(token));
        Some(start..start + ends.max()?)
    }

    /// Between which bytes a message must stand: behind the last content before it, and before the first one after it.
    pub(super) fn room(
        &self,
        conversation: &Conversation,
        places: &Places<'_>,
        index: usize,
    ) -> Result<(usize, usize), MaskError> {
        let find = |other: usize| places.find(other, Field::Content).ok().flatten();
        let before = (0..index).rev().find_map(find).map_or(0, |range| range.end);
        let after =
            (index + 1..conversation.messages.len()).find_map(find).map_or(places.text.len(), |range| range.start);
        if before <= after {
            Ok((before, after))
        } else {
            Err(MaskError::Uncertain { message: index, part: "content" })
        }
    }

    /// Returns where the tokens end that end a message whose own text ends at `at`; `None` if there are none.
    ///
    /// The first control token that follows ends the turn if it is the one that ends every answer; or if nothing but whitespace
    /// stands before it and a further control token, the one of the next header, stands between it and the next message. What
    /// follows it at once ends the turn too if it does so behind every answer.
    pub(super) fn end_after(
        &self,
        conversation: &Conversation,
        places: &Places<'_>,
        index: usize,
        at: usize,
    ) -> Option<usize> {
        // Some templates write later messages, such as those of the system, before all others.
        let start_behind = |other| {
            let range = places.find(other, Field::Content).ok().flatten();
            range.map(|range| range.start).filter(|start| *start >= at)
        };
        let after = (index + 1..conversation.messages.len()).find_map(start_behind).unwrap_or(places.text.len());
        let behind = places.text.get(at..after)?;
        let (before, token) = self.first_special(behind)?;
        let mut end = before + token.len();
        let known = self.end.as_ref().map_or(&[][..], |known| &known.tokens);
        let is_known = known.first().is_some_and(|known| known == token);
        let is_own = || {
            let is_last = index + 1 == conversation.messages.len();
            behind[..before].chars().all(is_space) && (is_last || self.first_special(&behind[end..]).is_some())
        };
        if !is_known && !is_own() {
            return None;
        }
        for next in known.iter().skip(1) {
            if self.special_at_start(&behind[end..]) == Some(next) {
                end += next.len();
            }
        }
        Some(at + end)
    }
}

/// Returns the names of the functions that a message calls.
fn call_names(message: &Message) -> Vec<String> {
    let calls = message.get("tool_calls").and_then(|calls| calls.items()).unwrap_or_default();
    let name = |call: &crate::Json| {
        let function = call.get("function").unwrap_or_else(|| call.clone());
        function.get("name").and_then(|name| name.as_str().map(str::to_owned))
    };
    calls.iter().filter_map(name).collect()
}

/// Returns the last boundary of a character that is not behind `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
