//! Two dialogues that part at the last answer, and what is wrong with those that do not.

use crate::{
    convert::{OptionSpec, Options},
    row::{Reason, Reject},
    sample::{Body, Message, Role, Sample},
};

/// How two dialogues of a pair may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::convert) enum Diverge {
    /// In the last message alone.
    Reject,
    /// From any message on: what they share is the prompt.
    Allow,
}

impl Diverge {
    /// The option that says which.
    pub(in crate::convert) const OPTION: OptionSpec = OptionSpec {
        name: "diverge",
        values: &["reject", "allow"],
        help: "reject dialogues that differ before the last message, or take what they share as the prompt",
    };

    /// Reads the option.
    pub(in crate::convert) fn of(options: &Options) -> Self {
        if options.get(Self::OPTION.name).is_some_and(|value| value == "allow") { Self::Allow } else { Self::Reject }
    }

    /// Makes a pair of two dialogues.
    pub(in crate::convert) fn pair<'a>(
        self,
        chosen: Vec<Message<'a>>,
        rejected: Vec<Message<'a>>,
    ) -> Result<Sample<'a>, Reject> {
        match self {
            Self::Reject => pair(chosen, rejected),
            Self::Allow => diverging(chosen, rejected),
        }
    }
}

/// Makes a pair of two dialogues that share all but the last message.
///
/// Faults are looked for in this order, over both sides before the next: no final answer, an empty one, two equal
/// dialogues, prompts that differ.
pub(in crate::convert) fn pair<'a>(
    mut chosen: Vec<Message<'a>>,
    mut rejected: Vec<Message<'a>>,
) -> Result<Sample<'a>, Reject> {
    let (chosen_answer, chosen_prompt) = answer_of(&chosen, "chosen")?;
    let (rejected_answer, rejected_prompt) = answer_of(&rejected, "rejected")?;
    for (answer, side) in [(chosen_answer, "chosen"), (rejected_answer, "rejected")] {
        if answer.is_empty() && !answer.calls_tools() {
            return Err(Reject::new(Reason::EmptyLastAnswer, format!("the last answer of `{side}` is empty")));
        }
    }
    if chosen_prompt != rejected_prompt {
        return Err(Reject::new(Reason::PromptsDiffer, where_they_part(chosen_prompt, rejected_prompt)));
    }
    if chosen_answer == rejected_answer {
        return Err(Reject::new(Reason::IdenticalPair, ""));
    }
    let ranked = [chosen.pop(), rejected.pop()].map(|answer| answer.into_iter().collect()).into();
    Ok(Body::Preference { prompt: chosen, ranked }.into())
}

/// Makes a pair of two dialogues that may differ from any message on: what they share is the prompt.
///
/// At least one message of each side is not shared. Faults are looked for as in [`pair`].
fn diverging<'a>(mut chosen: Vec<Message<'a>>, mut rejected: Vec<Message<'a>>) -> Result<Sample<'a>, Reject> {
    for (dialogue, side) in [(&chosen, "chosen"), (&rejected, "rejected")] {
        let (answer, _) = answer_of(dialogue, side)?;
        if answer.is_empty() && !answer.calls_tools() {
            return Err(Reject::new(Reason::EmptyLastAnswer, format!("the last answer of `{side}` is empty")));
        }
    }
    if chosen == rejected {
        return Err(Reject::new(Reason::IdenticalPair, ""));
    }
    let shared = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
    let shared = shared.min(chosen.len() - 1).min(rejected.len() - 1);
    if shared == 0 {
        return Err(Reject::new(Reason::PromptsDiffer, "the sides do not share a single turn"));
    }
    let ranked = vec![chosen.split_off(shared), rejected.split_off(shared)];
    Ok(Body::Preference { prompt: chosen, ranked }.into())
}

fn answer_of<'m, 'a>(dialogue: &'m [Message<'a>], side: &str) -> Result<(&'m Message<'a>, &'m [Message<'a>]), Reject> {
    match dialogue.split_last() {
        Some((answer, prompt)) if answer.role == Role::Assistant => Ok((answer, prompt)),
        _ => Err(Reject::new(
            Reason::NoFinalAssistantTurn,
            format!("`{side}` does not end with a turn of the assistant"),
        )),
    }
}

fn where_they_part(chosen: &[Message<'_>], rejected: &[Message<'_>]) -> String {
    let shared = chosen.iter().zip(rejected).take_while(|(a, b)| a == b).count();
    format!("the sides have {} and {} turns and share the first {shared}", chosen.len() + 1, rejected.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(chosen: &[&'static str], rejected: &[&'static str]) -> Option<Reason> {
        let dialogue = |turns: &[&'static str]| {
            let roles = [Role::User, Role::Assistant].into_iter().cycle();
            roles.zip(turns).map(|(role, turn)| Message::new(role, *turn)).collect()
        };
        pair(dialogue(chosen), dialogue(rejected)).err().map(|reject| reject.reason)
    }

    #[test]
    fn faults_have_an_order() {
        assert_eq!(reason(&["q", "a"], &["q", "b"]), None);
        assert_eq!(reason(&["q", "a"], &["q", "a"]), Some(Reason::IdenticalPair));
        assert_eq!(reason(&["q", ""], &["q", ""]), Some(Reason::EmptyLastAnswer), "before identical");
        assert_eq!(reason(&["q", "a"], &["p", " "]), Some(Reason::EmptyLastAnswer), "before prompts");
        assert_eq!(reason(&["q", ""], &["q"]), Some(Reason::NoFinalAssistantTurn), "before empty");
        assert_eq!(reason(&["q"], &["q"]), Some(Reason::NoFinalAssistantTurn), "before identical");
        assert_eq!(reason(&["q", "a"], &["p", "a"]), Some(Reason::PromptsDiffer));
        assert_eq!(reason(&["q", "a"], &["q", "a", "q", "a"]), Some(Reason::PromptsDiffer));
        assert_eq!(reason(&[], &[]), Some(Reason::NoFinalAssistantTurn));
    }

    #[test]
    fn the_detail_says_where_sides_part() {
        let message = |text| Message::new(Role::Assistant, text);
        let reject = pair(vec![message("a"), message("b")], vec![message("c"), message("b")]).unwrap_err();
        assert_eq!(reject.detail, "the sides have 2 and 2 turns and share the first 0");
    }
}
