//! Shorter forms of samples that are too long for a model.

use super::{Body, Message, Role, Sample};

impl<'a> Sample<'a> {
    /// Returns how many turns could be left out: all but the last. A turn is what the user says, with everything up to where
    /// the user speaks again; what stands before the first of them is a turn too, but for instructions.
    pub fn turns_to_drop(&self) -> usize {
        self.dialogue().map_or(0, |messages| cuts(messages).len())
    }

    /// Returns the sample without the oldest `turns` turns. Instructions (messages of the system or the developer) stay,
    /// wherever they stand. Of a preference, the turns of the prompt are meant.
    pub fn without_oldest(&self, turns: usize) -> Self {
        let mut shorter = self.clone();
        let messages = match &mut shorter.body {
            Body::Conversation { messages } | Body::Labelled { messages } | Body::Prompt { messages } => messages,
            Body::Preference { prompt, .. } => prompt,
            Body::Text { .. } | Body::Stepwise { .. } => return shorter,
        };
        let Some(cut) = turns.checked_sub(1).and_then(|turn| cuts(messages).get(turn).copied()) else { return shorter };
        let mut place = 0..;
        messages.retain(|message| place.next() >= Some(cut) || is_instruction(message));
        shorter
    }

    fn dialogue(&self) -> Option<&[Message<'a>]> {
        match &self.body {
            Body::Conversation { messages } | Body::Labelled { messages } | Body::Prompt { messages } => Some(messages),
            Body::Preference { prompt, .. } => Some(prompt),
            Body::Text { .. } | Body::Stepwise { .. } => None,
        }
    }
}

/// Returns where a dialogue can begin instead of at its beginning: at each turn of the user behind the first one.
fn cuts(messages: &[Message<'_>]) -> Vec<usize> {
    let head = messages.iter().take_while(|message| is_instruction(message)).count();
    let speaks = |at: &usize| messages[*at].role == Role::User && messages[*at - 1].role != Role::User;
    (head + 1..messages.len()).filter(speaks).collect()
}

fn is_instruction(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialogue(roles: &str) -> Vec<Message<'static>> {
        let role = |letter: char| match letter {
            's' => Role::System,
            'd' => Role::Developer,
            'u' => Role::User,
            't' => Role::Tool,
            _ => Role::Assistant,
        };
        roles.chars().enumerate().map(|(number, letter)| Message::new(role(letter), number.to_string())).collect()
    }

    fn left(sample: &Sample<'_>) -> String {
        sample.dialogue().unwrap().iter().map(Message::all_text).collect()
    }

    #[test]
    fn the_oldest_turns_are_left_out_and_instructions_stay() {
        let shorter = |roles: &str| {
            let sample = Sample::conversation(dialogue(roles));
            let all = 1..=sample.turns_to_drop();
            all.map(|turns| left(&sample.without_oldest(turns))).collect::<Vec<_>>()
        };
        assert_eq!(shorter("suaua"), ["034"]);
        // With all that belongs to a turn: calls and their results, and several messages of the user.
        assert_eq!(shorter("uataauua"), ["567"]);
        assert_eq!(shorter("auaua"), ["1234", "34"]);
        // Instructions in the middle stay.
        assert_eq!(shorter("suaduaua"), ["034567", "0367"]);
        for roles in ["", "s", "su", "sua", "uta", "aa"] {
            assert_eq!(shorter(roles), [""; 0], "{roles}");
        }
        let sample = Sample::conversation(dialogue("uaua"));
        assert_eq!(left(&sample.without_oldest(0)), "0123");
        assert_eq!(left(&sample.without_oldest(9)), "0123", "there are not so many");
    }

    #[test]
    fn prompts_of_other_kinds_are_shortened_likewise() {
        let ranked = vec![dialogue("a"), dialogue("a")];
        let pair = Sample::from(Body::Preference { prompt: dialogue("uau"), ranked: ranked.clone() });
        assert_eq!(pair.turns_to_drop(), 1);
        let Body::Preference { prompt, ranked: still } = pair.without_oldest(1).body else { panic!("another kind") };
        assert_eq!((prompt.len(), &still), (1, &ranked));
        assert_eq!(left(&Sample::prompt(dialogue("uauau")).without_oldest(2)), "4");
        assert_eq!(Sample::from(Body::Text { text: "a text".into() }).turns_to_drop(), 0);
    }
}
