use super::*;
use crate::sample::{MessageExtras, Role};

/// `s`, `u`, `a` and `t` are turns of system, user, assistant and tool; what follows is what they say.
fn dialogue(turns: &[&'static str]) -> Sample<'static> {
    let turn = |turn: &&'static str| {
        let role = match &turn[..1] {
            "s" => Role::System,
            "u" => Role::User,
            "a" => Role::Assistant,
            _ => Role::Tool,
        };
        Message::new(role, &turn[1..])
    };
    Sample::conversation(turns.iter().map(turn).collect())
}

fn shown(sample: &Sample<'_>) -> Vec<String> {
    let Body::Conversation { messages } = &sample.body else { panic!("a conversation") };
    messages.iter().map(|message| format!("{}{}", &message.role.name()[..1], message.text())).collect()
}

/// The turns after a rule, and how many places it found; or the reason of the reject.
fn applied(turns: &[&'static str], rule: &str, mode: Mode) -> Result<(Vec<String>, u32), &'static str> {
    let (mut sample, mut broken) = (dialogue(turns), Vec::new());
    // What other rules do by default would hide this one.
    let mut given: BTreeMap<String, Mode> = RULES.iter().map(|rule| (rule.name.to_owned(), Mode::Warn)).collect();
    given.insert(rule.to_owned(), mode);
    apply(&mut sample, &given, &mut broken).map_err(|reject| reject.reason.code())?;
    let places = broken.iter().filter(|broken| broken.rule == rule).map(|broken| broken.places).sum();
    Ok((shown(&sample), places))
}

#[test]
fn sides_that_differ_in_case_and_blanks_are_alike() {
    let pair = |chosen: &'static str, rejected: &'static str| {
        let side = |text| vec![Message::new(Role::Assistant, text)];
        Sample::from(Body::Preference {
            prompt: vec![Message::new(Role::User, "q")],
            ranked: vec![side(chosen), side(rejected)],
        })
    };
    for (chosen, rejected, places) in [("Take oars.", "take  oars. ", 1), ("Take oars.", "Take oars!", 0)] {
        let (mut sample, mut broken) = (pair(chosen, rejected), Vec::new());
        apply(&mut sample, &BTreeMap::new(), &mut broken).unwrap();
        assert_eq!(broken.iter().map(|broken| broken.places).sum::<u32>(), places, "{chosen} {rejected}");
    }
    let given = BTreeMap::from([("alike_sides".to_owned(), Mode::Reject)]);
    assert_eq!(apply(&mut pair("a", "A"), &given, &mut Vec::new()).unwrap_err().reason, Reason::BrokenRule);
    let mut dialogue = dialogue(&["uq", "aa", "aa"]);
    assert_eq!(apply(&mut dialogue, &given, &mut Vec::new()), Ok(()), "other kinds have no sides");
}

#[test]
fn texts_that_a_chat_template_wrote_are_found_in_samples_of_all_kinds() {
    for (text, places) in [
        ("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", 1),
        ("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|>", 1),
        ("<bos><start_of_turn>user\nq<end_of_turn>\n", 1),
        ("<s>[INST] q [/INST]", 1),
        ("<|user|>\nq</s>\n<|assistant|>\n", 1),
        ("<｜User｜>q<｜Assistant｜>", 1),
        ("What does `<|im_start|>` mean in ChatML?", 0),
        ("a[INST] = 1", 0),
        ("[/INST] before [INST]", 0),
        ("if a < b: <div>|user|></div>", 0),
        ("<", 0),
    ] {
        let turn = || vec![Message::new(Role::User, text)];
        for mut sample in [
            Sample::from(Body::Text { text: text.into() }),
            Sample::prompt(turn()),
            Sample::conversation(turn()),
            Sample::from(Body::Preference { prompt: turn(), ranked: vec![vec![], vec![]] }),
        ] {
            let (before, mut broken) = (sample.clone(), Vec::new());
            let rule = by_name(rendered::NAME).unwrap();
            assert_eq!(self::places(rule, &mut sample, true), places, "{text}");
            assert_eq!(sample, before, "nothing is mended");
            if matches!(sample.kind(), SampleKind::Text | SampleKind::Prompt) {
                apply(&mut sample, &BTreeMap::new(), &mut broken).unwrap();
                assert_eq!(broken.iter().map(|broken| broken.places).sum::<u32>(), places, "it is found by default");
            }
        }
    }
}

#[test]
fn each_rule_finds_and_mends_its_faults() {
    for (rule, turns, mended, places) in [
        ("whitespace", &["u q ", "a\na"][..], &["uq", "aa"][..], 2),
        (
            "invisible",
            &["uq\u{200b}\u{7}", "aa\u{feff}", "u\n", "a👩\u{200d}🚀"],
            &["uq", "aa", "u\n", "a👩\u{200d}🚀"],
            2,
        ),
        ("empty_turns", &["s", "uq", "a ", "ur", "aa"], &["uq", "ur", "aa"], 2),
        ("late_system", &["ss", "uq", "st", "aa"], &["ss\n\nt", "uq", "aa"], 1),
        ("late_system", &["uq", "st", "aa"], &["st", "uq", "aa"], 1),
        ("alternate", &["uq", "ur", "us", "aa", "ab"], &["uq\n\nr\n\ns", "aa\n\nb"], 3),
        ("assistant_first", &["ss", "ahi", "uq", "aa"], &["ss", "uq", "aa"], 1),
        ("trailing_user", &["uq", "aa", "ur", "t4"], &["uq", "aa"], 2),
    ] {
        let turns_before: Vec<String> = shown(&dialogue(turns));
        let mended: Vec<String> = mended.iter().map(|turn| (*turn).to_owned()).collect();
        assert_eq!(applied(turns, rule, Mode::Repair), Ok((mended, places)), "{rule}");
        assert_eq!(applied(turns, rule, Mode::Warn), Ok((turns_before, places)), "{rule}");
        let reason = by_name(rule).unwrap().reason.code();
        assert_eq!(applied(turns, rule, Mode::Reject), Err(reason), "{rule}");
        assert_eq!(applied(turns, rule, Mode::Fail), Err(reason), "{rule}");
    }
}

#[test]
fn rules_about_texts_look_at_reasoning_too() {
    let mut sample = dialogue(&["uq", "aa"]);
    let Body::Conversation { messages } = &mut sample.body else { panic!("a conversation") };
    messages[1].extras = Some(Box::new(MessageExtras { reasoning: Some(" so\u{200b} ".into()), ..Default::default() }));
    let given = [("whitespace".to_owned(), Mode::Repair), ("invisible".to_owned(), Mode::Repair)].into();
    let mut broken = Vec::new();
    apply(&mut sample, &given, &mut broken).unwrap();
    let Body::Conversation { messages } = &sample.body else { panic!("a conversation") };
    assert_eq!(messages[1].extras.as_ref().unwrap().reasoning.as_deref(), Some("so"));
    assert_eq!(broken.iter().map(|broken| broken.places).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn turns_without_number_are_joined_at_once() {
    let turns = vec!["ua"; 100_000];
    let (mended, places) = applied(&turns, "alternate", Mode::Repair).unwrap();
    assert_eq!((mended.len(), places), (1, 99_999));
}

#[test]
fn what_cannot_be_mended_is_rejected() {
    for (rule, turns) in [
        ("no_user", &["ss", "aa"][..]),
        ("no_user", &["u ", "aa"]),
        ("trailing_user", &["uq", "ur"]),
        ("empty_answer", &["uq", "a "]),
    ] {
        assert!(applied(turns, rule, Mode::Repair).is_err(), "{rule}");
    }
}

#[test]
fn a_rule_that_is_kept_says_nothing() {
    let turns = ["ss", "uq", "aa", "ur", "t4", "ab"];
    for rule in RULES {
        assert_eq!(applied(&turns, rule.name, Mode::Fail), Ok((shown(&dialogue(&turns)), 0)), "{}", rule.name);
        assert_eq!(by_name(rule.name).map(|found| found.name), Some(rule.name), "names are unique");
    }
}

#[test]
fn defaults_hold_for_dialogues_with_an_answer_alone() {
    let (nothing, mut broken) = (BTreeMap::new(), Vec::new());
    let mut asks = Sample::prompt(vec![Message::new(Role::User, "q")]);
    assert_eq!(apply(&mut asks, &nothing, &mut broken), Ok(()));
    let mut odd = dialogue(&["uq", "ur", "a", "us", "aa"]);
    assert_eq!(apply(&mut odd, &nothing, &mut broken), Ok(()));
    let found: Vec<(&str, u32)> = broken.iter().map(|broken| (&*broken.rule, broken.places)).collect();
    assert_eq!(found, [("empty_turns", 1), ("alternate", 1)]);
    let reason = |turns: &[&'static str]| apply(&mut dialogue(turns), &nothing, &mut Vec::new()).unwrap_err().reason;
    assert_eq!(reason(&["ahi", "uq", "aa"]), Reason::EmptyPrompt);
    assert_eq!(reason(&["uq", "aa", "ur"]), Reason::NoFinalAssistantTurn);
    assert_eq!(reason(&["uq", "a"]), Reason::EmptyOutput);
    assert_eq!(reason(&[]), Reason::EmptyPrompt);
}
