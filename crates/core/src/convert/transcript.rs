//! Dialogues that were written down as one text.

use super::{Converter, Options, shared::filled::Filled};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Content, Converted, Message, Role, SampleKind},
    survey::Survey,
};

/// Makes a conversation of the text in `text` or `transcript`, whose turns begin with marks such as `Human:` at the beginning of
/// a line, `### Instruction:` anywhere, or ChatML's `<|im_start|>user`.
///
/// What stands before the first turn is the system message. Contents are trimmed. Only by name: most texts are no dialogues.
#[derive(Debug)]
pub struct Transcript;

/// The columns that may hold such a text.
pub(super) const COLUMNS: [&str; 2] = ["text", "transcript"];

/// Marks that begin a turn wherever they stand.
const ANYWHERE: [(&str, Turn); 8] = [
    ("### Human:", Turn::Of(Role::User)),
    ("### User:", Turn::Of(Role::User)),
    ("### Instruction:", Turn::Of(Role::User)),
    ("### Input:", Turn::More),
    ("### Response:", Turn::Of(Role::Assistant)),
    ("### Assistant:", Turn::Of(Role::Assistant)),
    ("### Output:", Turn::Of(Role::Assistant)),
    ("### System:", Turn::Of(Role::System)),
];

/// Marks that begin a turn at the beginning of a line.
const OF_LINES: [(&str, Turn); 9] = [
    ("Human:", Turn::Of(Role::User)),
    ("User:", Turn::Of(Role::User)),
    ("USER:", Turn::Of(Role::User)),
    ("Assistant:", Turn::Of(Role::Assistant)),
    ("ASSISTANT:", Turn::Of(Role::Assistant)),
    ("AI:", Turn::Of(Role::Assistant)),
    ("Bot:", Turn::Of(Role::Assistant)),
    ("System:", Turn::Of(Role::System)),
    ("SYSTEM:", Turn::Of(Role::System)),
];

/// What a mark begins.
#[derive(Clone, Copy)]
enum Turn {
    /// A turn.
    Of(Role),
    /// More of the turn before, on a new line.
    More,
}

impl Converter for Transcript {
    fn name(&self) -> &'static str {
        "transcript"
    }

    fn version(&self) -> u32 {
        4
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        Vec::new()
    }

    fn reads(&self, _: &Survey) -> u32 {
        0
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let Some(column) = row.column(&COLUMNS) else {
            return Err(Reject::new(Reason::MissingField, "no `text` or `transcript`"));
        };
        let text = match row.get(column) {
            Some(Value::String(text)) => text.as_ref(),
            Some(other) => return Err(other.not_text(column)),
            None => "",
        };
        let turns = if text.contains("<|im_start|>") { chatml(text, column)? } else { marked(text) };
        let turns = turns.ok_or_else(|| {
            Reject::new(
                Reason::NoFirstHumanTurn,
                format!("`{column}` has no turn that begins with a mark, such as `Human:`"),
            )
        })?;
        let mut messages: Vec<Message<'a>> = Vec::with_capacity(turns.len());
        for (turn, said) in turns {
            match (turn, messages.last_mut()) {
                (Turn::Of(role), _) => messages.push(Message::new(role, said)),
                (Turn::More, Some(Message { content: Content::Text(before), .. })) => {
                    let before = before.to_mut();
                    before.push('\n');
                    before.push_str(said);
                }
                (Turn::More, _) => messages.push(Message::new(Role::User, said)),
            }
        }
        Ok(Filled::of(row, options).conversation(column, messages)?.into())
    }
}

type Turns<'a> = Vec<(Turn, &'a str)>;

/// The turns of a text with marks; `None` if it has none.
fn marked(text: &str) -> Option<Turns<'_>> {
    let begins = |mark: &'static str, turn: Turn, of_line: bool| {
        let is_fit = move |at: usize| !of_line || at == 0 || text.as_bytes()[at - 1] == b'\n';
        text.match_indices(mark).filter(move |(at, _)| is_fit(*at)).map(move |(at, _)| (at, at + mark.len(), turn))
    };
    let anywhere = ANYWHERE.into_iter().flat_map(|(mark, turn)| begins(mark, turn, false));
    let mut marks: Vec<(usize, usize, Turn)> = anywhere.collect();
    // A text with the one kind of marks may well have the words of the other in its contents.
    if marks.is_empty() {
        marks.extend(OF_LINES.into_iter().flat_map(|(mark, turn)| begins(mark, turn, true)));
    }
    marks.sort_by_key(|(at, ..)| *at);
    let before = text[..marks.first()?.0].trim();
    let ends = marks.iter().skip(1).map(|(at, ..)| *at).chain([text.len()]);
    let turns = marks.iter().zip(ends).map(|((_, start, turn), end)| (*turn, text[*start..end].trim()));
    let first = (!before.is_empty()).then_some((Turn::Of(Role::System), before));
    // An empty input is none.
    Some(
        first.into_iter().chain(turns).filter(|(turn, said)| !matches!(turn, Turn::More) || !said.is_empty()).collect(),
    )
}

/// The turns of ChatML; `None` if one is of a role that it does not have. Words behind the end of a turn are refused: whose
/// they are, nobody can say.
fn chatml<'a>(text: &'a str, column: &str) -> Result<Option<Turns<'a>>, Reject> {
    let turn = |part: &'_ str| -> Option<Turn> {
        Some(Turn::Of(match part.trim() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            _ => return None,
        }))
    };
    let mut parts = text.split("<|im_start|>");
    let before = parts.next().map_or("", spoken);
    let mut turns: Turns<'a> = Vec::new();
    if !before.is_empty() {
        turns.push((Turn::Of(Role::System), before));
    }
    for part in parts {
        let Some((role, said)) = part.split_once('\n') else { return Ok(None) };
        let Some(turn) = turn(role) else { return Ok(None) };
        let (said, behind) = said.split_once("<|im_end|>").unwrap_or((said, ""));
        let stray = spoken(behind);
        if !stray.is_empty() {
            let start: String = stray.chars().take(40).collect();
            let detail = format!("`{column}` has words behind the end of a turn: `{}`", start.escape_debug());
            return Err(Reject::new(Reason::Conflict, detail));
        }
        turns.push((turn, said.trim()));
    }
    Ok(Some(turns))
}

/// A text without the white space and the marks of tokenizers around it.
fn spoken(text: &str) -> &str {
    const MARKS: [&str; 5] = ["<s>", "</s>", "<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>"];
    let mut text = text.trim();
    while let Some(rest) = MARKS.iter().find_map(|mark| text.strip_prefix(mark).or(text.strip_suffix(mark))) {
        text = rest.trim();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &'static str) -> Result<String, String> {
        let row = RawRow::new(vec![("text".into(), Value::String(text.into()))]);
        match Transcript.convert(&row, &Options::new()) {
            Ok(converted) => Ok(converted.only().field_text("text").unwrap().into_owned()),
            Err(reject) => Err(format!("{}: {}", reject.reason.code(), reject.detail)),
        }
    }

    #[test]
    fn nothing_around_the_turns_of_chatml_is_lost() {
        const TURNS: &str = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n";
        assert_eq!(said(TURNS).unwrap(), "hi\nyo");
        assert_eq!(said(&*format!("You are X.\n{TURNS}").leak()).unwrap(), "You are X.\nhi\nyo");
        assert_eq!(said(&*format!("<s>{TURNS}<|endoftext|>").leak()).unwrap(), "hi\nyo");
        let stray = said(&*format!("{TURNS}TAIL").leak()).unwrap_err();
        assert_eq!(stray, "conflict: `text` has words behind the end of a turn: `TAIL`");
        let stray = "<|im_start|>user\nhi<|im_end|>\nSTRAY\n<|im_start|>assistant\nyo<|im_end|>";
        assert!(said(stray).unwrap_err().contains("`STRAY`"));
    }
}
