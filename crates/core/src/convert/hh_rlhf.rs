//! Anthropic HH-RLHF: two transcripts, of which a person preferred one.

use super::{
    Converter, Options,
    shared::{pair::pair, spoken::Dialogue},
};
use crate::{
    row::{RawRow, Reason, Reject},
    sample::{Converted, SampleKind},
    survey::{Survey, Types},
};

/// Makes a pair of `chosen` and `rejected`, transcripts of `\n\nHuman: …\n\nAssistant: …`.
///
/// A turn begins only at a blank line followed by `Human:` or `Assistant:`; those words inside a line are text, and
/// people do write them. Contents are trimmed. An empty turn before the last one stays, as a message with no content.
#[derive(Debug)]
pub struct HhRlhf;

impl Converter for HhRlhf {
    fn name(&self) -> &'static str {
        "hh_rlhf"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Preference
    }

    fn repos(&self) -> &'static [&'static str] {
        &["Anthropic/hh-rlhf"]
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["chosen", "rejected"]]
    }

    fn rank(&self) -> u8 {
        2
    }

    /// Rows of two transcripts without a prompt; other pairs are [`Preference`](super::preference::Preference)'s.
    fn reads(&self, survey: &Survey) -> u32 {
        let is_transcript = |name: &str| survey.column(name).is_some_and(|column| column.types.has(Types::TRANSCRIPT));
        survey.count(|columns| {
            let has_both = ["chosen", "rejected"].iter().all(|name| columns.contains(name) && is_transcript(name));
            has_both && !columns.contains(&"prompt")
        })
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, _: &Options) -> Result<Converted<'a>, Reject> {
        let (chosen, rejected) = (row.text("chosen")?, row.text("rejected")?);
        let chosen = dialogue(chosen, "chosen")?;
        let rejected = dialogue(rejected, "rejected")?;
        let joined_turns = chosen.joined + rejected.joined;
        let pair = pair(chosen.messages, rejected.messages)?;
        Ok(Converted { joined_turns, ..pair.into() })
    }
}

/// A transcript that has to begin with a turn of the person.
fn dialogue<'a>(transcript: &'a str, side: &str) -> Result<Dialogue<'a>, Reject> {
    Dialogue::of(transcript)
        .ok_or_else(|| Reject::new(Reason::NoFirstHumanTurn, format!("`{side}` does not begin with `Human:`")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::borrow::Cow;

    use super::*;
    use crate::{
        row::Value,
        sample::{Body, Content, Message, Role},
    };

    fn row(chosen: &str, rejected: &str) -> RawRow<'static> {
        let field = |name: &'static str, text: &str| (name.into(), Value::String(text.to_owned().into()));
        RawRow::new(vec![field("chosen", chosen), field("rejected", rejected)])
    }

    /// Each side as `U:content|A:content`, and the count of joined turns.
    fn sides(chosen: &str, rejected: &str) -> Result<(String, String, u32), Reason> {
        let row = row(chosen, rejected);
        let converted = HhRlhf.convert(&row, &Options::new()).map_err(|reject| reject.reason)?;
        let Body::Preference { prompt, ranked } = &converted.only().body else { panic!("{converted:?}") };
        let [chosen, rejected] = &ranked[..] else { panic!("{ranked:?}") };
        let show = |answer: &[Message<'_>]| {
            let turn = |m: &Message<'_>| format!("{}:{}", if m.role == Role::User { 'U' } else { 'A' }, m.text());
            prompt.iter().chain(answer).map(turn).collect::<Vec<_>>().join("|")
        };
        Ok((show(chosen), show(rejected), converted.joined_turns))
    }

    fn chosen_of(chosen: &str, rejected: &str) -> (String, u32) {
        let (chosen, _, joined) = sides(chosen, rejected).unwrap();
        (chosen, joined)
    }

    #[test]
    fn every_turn_is_kept_and_trimmed() {
        let chosen = "\n\nHuman: q1 \n\nAssistant:  a1\n\nHuman: q2\n\nAssistant: good\n";
        let rejected = "\n\nHuman: q1\n\nAssistant: a1\n\nHuman: q2\n\nAssistant: bad";
        let (chosen, rejected, joined) = sides(chosen, rejected).unwrap();
        assert_eq!(chosen, "U:q1|A:a1|U:q2|A:good");
        assert_eq!(rejected, "U:q1|A:a1|U:q2|A:bad");
        assert_eq!(joined, 0);
    }

    #[test]
    fn only_a_blank_line_begins_a_turn() {
        let rejected = "\n\nHuman: q\n\nAssistant: b";
        for inside in ["x  Human: y", "x.\nHuman: y", "Human: y", "x\n\n Human: y", "x\n\nhuman: y", "x\n\nHuman : y"] {
            let (chosen, _) = chosen_of(&format!("\n\nHuman: q\n\nAssistant: {inside}"), rejected);
            assert_eq!(chosen, format!("U:q|A:{inside}"));
        }
        let (chosen, _) = chosen_of("\n\nHuman: q\n\n\n\nAssistant:\n\n\nx", rejected);
        assert_eq!(chosen, "U:q|A:x", "more line breaks than two still hold a blank line");
        let (chosen, _) = chosen_of("\n\nHuman: q\n\n\nAssistant:x", rejected);
        assert_eq!(chosen, "U:q|A:x");
    }

    #[test]
    fn the_first_turn_is_the_persons() {
        let good = "\n\nHuman: q\n\nAssistant: b";
        assert_eq!(chosen_of("Human: q\n\nAssistant: a", good).0, "U:q|A:a", "leading line breaks may be gone");
        for bad in ["", "\n\nAssistant: a", "x\n\nHuman: q\n\nAssistant: a", "\nHuman: q\n\nAssistant: a"] {
            assert_eq!(sides(bad, good), Err(Reason::NoFirstHumanTurn), "{bad:?}");
            assert_eq!(sides(good, bad), Err(Reason::NoFirstHumanTurn), "{bad:?}");
        }
    }

    #[test]
    fn consecutive_turns_are_joined_and_counted() {
        let rejected = "\n\nHuman: q\n\nAssistant: b";
        let (chosen, joined) = chosen_of("\n\nHuman: q\n\nAssistant: a\n\nAssistant: c\n\nAssistant: d", rejected);
        assert_eq!((chosen.as_str(), joined), ("U:q|A:a\n\nc\n\nd", 2));
        let (chosen, joined) =
            chosen_of("\n\nHuman: p\n\nHuman: q\n\nAssistant: a", "\n\nHuman: p\n\nHuman: q\n\nAssistant: b");
        assert_eq!((chosen.as_str(), joined), ("U:p\n\nq|A:a", 2), "both sides count");
        // The shared part is all but the last message even where that message begins alike on both sides.
        let (chosen, joined) = chosen_of(
            "\n\nHuman: q\n\nAssistant: same\n\nAssistant: good",
            "\n\nHuman: q\n\nAssistant: same\n\nAssistant: bad",
        );
        assert_eq!((chosen.as_str(), joined), ("U:q|A:same\n\ngood", 2));
    }

    #[test]
    fn joining_adds_no_empty_lines_and_no_turns() {
        let rejected = "\n\nHuman: q\n\nAssistant: b";
        assert_eq!(chosen_of("\n\nHuman: q\n\nAssistant: \n\nAssistant: a", rejected), ("U:q|A:a".to_owned(), 1));
        assert_eq!(chosen_of("\n\nHuman: q\n\nAssistant: a\n\nAssistant: ", rejected), ("U:q|A:a".to_owned(), 1));
        let (chosen, _) = chosen_of("\n\nHuman: q\n\nAssistant: a\n\nAssistant: Human: c", rejected);
        assert_eq!(chosen, "U:q|A:a\nHuman: c", "a blank line would begin a turn here");
    }

    #[test]
    fn empty_turns_in_the_middle_stay() {
        let (chosen, _) = chosen_of(
            "\n\nHuman: q\n\nAssistant: \n\nHuman: r\n\nAssistant: a",
            "\n\nHuman: q\n\nAssistant:\n\nHuman: r\n\nAssistant: b",
        );
        assert_eq!(chosen, "U:q|A:|U:r|A:a");
    }

    #[test]
    fn unusable_pairs_are_rejected() {
        let good = "\n\nHuman: q\n\nAssistant: a";
        assert_eq!(sides(good, good), Err(Reason::IdenticalPair));
        assert_eq!(sides(good, "\n\nHuman: q\n\nAssistant: a "), Err(Reason::IdenticalPair), "after trimming");
        assert_eq!(sides(good, "\n\nHuman: q\n\nAssistant: "), Err(Reason::EmptyLastAnswer));
        assert_eq!(sides(good, "\n\nHuman: p\n\nAssistant: a"), Err(Reason::PromptsDiffer));
        assert_eq!(sides(good, "\n\nHuman: q\n\nAssistant: a\n\nHuman: q"), Err(Reason::NoFinalAssistantTurn));
        let lists = RawRow::new(vec![("chosen".into(), Value::Json("[]".into()))]);
        assert_eq!(HhRlhf.convert(&lists, &Options::new()).unwrap_err().reason, Reason::WrongType);
    }

    #[test]
    fn contents_are_borrowed_unless_joined() {
        let row = row("\n\nHuman: q\n\nAssistant: a", "\n\nHuman: q\n\nAssistant: b");
        let converted = HhRlhf.convert(&row, &Options::new()).unwrap();
        let Body::Preference { prompt, ranked } = &converted.only().body else { panic!("a pair") };
        let is_borrowed = |message: &Message<'_>| matches!(message.content, Content::Text(Cow::Borrowed(_)));
        assert!(prompt.iter().chain(ranked.iter().flatten()).all(is_borrowed));
    }

    /// The same rules told as plainly as possible: cut at every marker, trim, join.
    fn naive(transcript: &str) -> Option<Vec<(Role, String)>> {
        let mut text = transcript.to_owned();
        if text.starts_with("Human:") {
            text.insert_str(0, "\n\n");
        }
        let mut turns: Vec<(Role, String)> = Vec::new();
        let mut parts = text.replace("\n\nHuman:", "\u{1}U").replace("\n\nAssistant:", "\u{1}A");
        if !parts.starts_with("\u{1}U") {
            return None;
        }
        parts.remove(0);
        for part in parts.split('\u{1}') {
            let role = if part.starts_with('U') { Role::User } else { Role::Assistant };
            let content = part[1..].trim();
            match turns.last_mut().filter(|last| last.0 == role) {
                Some((_, before)) if before.is_empty() || content.is_empty() => before.push_str(content),
                Some((_, before)) => {
                    let like_a_turn = content.starts_with("Human:") || content.starts_with("Assistant:");
                    *before = format!("{before}{}{content}", if like_a_turn { "\n" } else { "\n\n" });
                }
                None => turns.push((role, content.to_owned())),
            }
        }
        Some(turns)
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_telling(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "\n\nHuman:", "\n\nAssistant:", "\n\nHuman: ", "\n\nAssistant: ", "\n", "\n\n", "Human:",
                    "Assistant:", " ", "word", "é“", "\u{2028}", ":",
                ]),
                0..14,
            ),
            prefix in prop::sample::select(vec!["\n\nHuman:", "Human: ", ""]),
        ) {
            let transcript = format!("{prefix}{}", pieces.concat());
            match (dialogue(&transcript, "chosen"), naive(&transcript)) {
                (Ok(dialogue), Some(expected)) => {
                    let turns: Vec<_> =
                        dialogue.messages.iter().map(|m| (m.role, m.text().to_owned())).collect();
                    prop_assert_eq!(&turns, &expected);
                    for (_, content) in &turns {
                        prop_assert!(!content.contains("\n\nHuman:") && !content.contains("\n\nAssistant:"));
                    }
                    prop_assert!(turns.windows(2).all(|pair| pair[0].0 != pair[1].0));
                }
                (Err(_), None) => {}
                (found, expected) => prop_assert!(false, "{:?} {:?}", found.is_ok(), expected),
            }
        }
    }
}
