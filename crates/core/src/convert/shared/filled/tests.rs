use super::*;
use crate::{
    convert::{self, Tally},
    json,
    sample::SampleKind,
    shape,
};

/// A sample of the columns of a row that are called as their slots are, as a native row; or the reject.
fn made(kind: SampleKind, row: &str, diverge: &str) -> Result<String, String> {
    let row = json::row(row).unwrap();
    let options = [("diverge".to_owned(), diverge.to_owned())].into();
    let mut filled = Filled::given(&row, &options);
    for (name, value) in &row.fields {
        filled.fill(Slot::by_name(name).unwrap(), name, borrowed(value));
    }
    match filled.sample(kind) {
        Ok(sample) => Ok(shape::row_of(shape::DEFAULT, &sample, "s").unwrap_or_else(|unfit| unfit.to_string())),
        Err(reject) => Err(format!("{}: {}", reject.reason.code(), reject.detail)),
    }
}

fn rejected(kind: SampleKind, row: &str) -> String {
    made(kind, row, "reject").unwrap_err()
}

#[test]
fn an_exchange_is_put_together() {
    let row = r#"{"system":"s","history":[["a","b"]],"user":"c","input":"d","assistant":"e"}"#;
    assert_eq!(
        made(SampleKind::Conversation, row, "reject").unwrap(),
        r#"{"conversations":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c\nd"},{"role":"assistant","content":"e"}],"text":"s\na\nb\nc\nd\ne","source":"s"}"#
    );
}

#[test]
fn labels_have_many_spellings() {
    for (label, expected) in [("true", "true"), ("0", "false"), (r#""True""#, "true"), (r#""0""#, "false")] {
        let row = format!(r#"{{"prompt":"q","completion":"a","label":{label}}}"#);
        let made = made(SampleKind::Labelled, &row, "reject").unwrap();
        assert!(made.ends_with(&format!(r#""label":{expected},"source":"s"}}"#)), "{made}");
    }
    let row = r#"{"prompt":"q","completion":"a","label":"good"}"#;
    assert!(rejected(SampleKind::Labelled, row).starts_with("wrong_type: `label`"));
    assert!(rejected(SampleKind::Labelled, r#"{"prompt":"q","completion":"a"}"#).starts_with("missing_field"));
}

#[test]
fn steps_and_labels_go_together() {
    let row = r#"{"prompt":"q","completions":["a","b"],"labels":[true,0.5]}"#;
    assert_eq!(
        made(SampleKind::Stepwise, row, "reject").unwrap(),
        r#"{"prompt":[{"role":"user","content":"q"}],"completions":["a","b"],"labels":[true,0.5],"source":"s"}"#
    );
    for (row, reason) in [
        (r#"{"prompt":"q","completions":["a"],"labels":[true,false]}"#, "wrong_type: `completions` has 1 steps"),
        (r#"{"prompt":"q","completions":[],"labels":[]}"#, "empty_output"),
        (r#"{"prompt":"q","completions":["a"],"labels":["+"]}"#, "wrong_type: `labels`"),
        (r#"{"prompt":"q","completions":["a"],"labels":[null]}"#, "wrong_type: `labels`"),
        (r#"{"prompt":"q","completions":[1],"labels":[1]}"#, "wrong_type: `completions`"),
        (r#"{"prompt":" ","completions":["a"],"labels":[1]}"#, "empty_prompt"),
    ] {
        let reject = rejected(SampleKind::Stepwise, row);
        assert!(reject.starts_with(reason), "{row}: {reject}");
    }
}

#[test]
fn pairs_are_made_of_texts_messages_and_dialogues() {
    let expected = r#"{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}],"source":"s"}"#;
    for row in [
        r#"{"user":"q","chosen":"a","rejected":"b"}"#,
        r#"{"user":"","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}"#,
        r#"{"messages":[{"from":"human","value":"q"}],"chosen":{"from":"gpt","value":"a"},"rejected":{"from":"gpt","value":"b"}}"#,
        r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":"b"}"#,
        r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#,
        r#"{"user":{"messages":[{"role":"user","content":"q"}]},"chosen":[{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#,
        r#"{"user":"[{\"role\":\"user\",\"content\":\"q\"}]","chosen":"a","rejected":"b"}"#,
    ] {
        assert_eq!(made(SampleKind::Preference, row, "reject").as_deref(), Ok(expected), "{row}");
    }
    assert!(rejected(SampleKind::Preference, r#"{"chosen":"a","rejected":"b"}"#).starts_with("wrong_type"));
}

#[test]
fn dialogues_that_diverge_early_may_share_less() {
    let turns = |answers: [&str; 2]| {
        let [first, last] = answers;
        format!(
            r#"[{{"role":"user","content":"q"}},{{"role":"assistant","content":"{first}"}},{{"role":"user","content":"r"}},{{"role":"assistant","content":"{last}"}}]"#
        )
    };
    let row = format!(r#"{{"chosen":{},"rejected":{}}}"#, turns(["a", "b"]), turns(["c", "d"]));
    assert!(rejected(SampleKind::Preference, &row).starts_with("prompts_differ"));
    assert!(made(SampleKind::Preference, &row, "allow").is_ok());
}

#[test]
fn prompts_end_with_the_user_and_carry_the_answer() {
    let row = json::row(r#"{"messages":[{"role":"user","content":"q"}],"answer":"4"}"#).unwrap();
    let options = Options::new();
    let mut filled = Filled::given(&row, &options);
    for (name, value) in &row.fields {
        filled.fill(Slot::by_name(name).unwrap(), name, borrowed(value));
    }
    let sample = filled.sample(SampleKind::Prompt).unwrap();
    assert_eq!((sample.answer.as_deref(), sample.columns.len()), (Some("4"), 0));
    let row = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#;
    assert!(rejected(SampleKind::Prompt, row).starts_with("empty_prompt"));
}

/// What a converter makes of a row: its turns, then `+` and the columns beside them, then `-` and those that were not used;
/// or the reject.
fn converted(converter: &str, row: &str, rules: &[(&str, Mode)]) -> String {
    let (row, mut tally) = (json::row(row).unwrap(), Tally::default());
    let rules = rules.iter().map(|(rule, mode)| ((*rule).to_owned(), *mode)).collect();
    let options = Options { rules, ..Options::new() };
    let converter = convert::by_name(converter).unwrap();
    let converted = match convert::convert(converter, &row, &options, &mut tally) {
        Ok(converted) => converted,
        Err(reject) => return format!("{}: {}", reject.reason.code(), reject.detail),
    };
    let sample = converted.only();
    let field = sample.kind().default_field();
    let turns = sample.field_text(field).unwrap().replace('\n', "|");
    let columns = sample.columns.iter().map(|(name, value)| format!(" +{name}={}", value.as_str()));
    let unused = tally.unused.iter().map(|(name, _)| format!(" -{name}"));
    columns.chain(unused).fold(turns, |all, part| all + &part)
}

const WHOLE: &str = r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;

#[test]
fn a_dialogue_that_repeats_its_prompt_is_written_once() {
    let bad = WHOLE.replace(r#""a""#, r#""b""#);
    let with_system = format!(r#"[{{"role":"system","content":"T"}},{}"#, &WHOLE[1..]);
    for (converter, row, made) in [
        ("preference", format!(r#"{{"system":"S","prompt":"q","chosen":{WHOLE},"rejected":{bad}}}"#), "S|q|a"),
        (
            "preference",
            format!(r#"{{"prompt":"q","history":[["x","y"]],"chosen":{WHOLE},"rejected":{bad}}}"#),
            "x|y|q|a",
        ),
        ("preference", format!(r#"{{"prompt":"q","input":"i","chosen":{WHOLE},"rejected":{bad}}}"#), "q|i|a"),
        ("preference", format!(r#"{{"system":"S","prompt":"","chosen":{WHOLE},"rejected":{bad}}}"#), "S|q|a"),
        ("qa", format!(r#"{{"system":"S","question":"q","response":{WHOLE}}}"#), "S|q|a"),
        ("qa", format!(r#"{{"system":"T","question":"q","response":{with_system}}}"#), "T|q|a"),
        ("qa", format!(r#"{{"question":"q","response":{with_system}}}"#), "T|q|a"),
        ("qa", r#"{"question":"q","response":[{"role":"assistant","content":"a"}]}"#.to_owned(), "q|a"),
    ] {
        assert_eq!(converted(converter, &row, &[]), made, "{row}");
    }
    for row in [
        format!(r#"{{"system":"S","prompt":"q","chosen":{with_system},"rejected":{bad}}}"#),
        format!(r#"{{"system":"S","prompt":"q","chosen":{WHOLE},"rejected":{with_system}}}"#),
    ] {
        assert!(converted("preference", &row, &[]).starts_with("conflict"), "{row}");
    }
    let more = r#"{"prompt":[{"role":"user","content":"q","weight":1}],"response":[{"role":"user","content":"q","weight":0},{"role":"assistant","content":"a"}]}"#;
    assert!(converted("qa", more, &[]).starts_with("conflict"));
}

#[test]
fn an_input_beside_a_list_of_messages_is_used_or_named() {
    for (converter, row, made) in [
        ("qa", r#"{"prompt":[{"role":"user","content":"q"}],"input":"I","response":"a"}"#, "q|I|a"),
        ("qa", r#"{"prompt":[{"role":"user","content":"q"}],"input":"<noinput>","response":"a"}"#, "q|a"),
        (
            "qa",
            r#"{"prompt":[{"role":"user","content":"q"},{"role":"tool","content":"t"}],"input":"I","response":"a"}"#,
            "q|t|a -input",
        ),
        ("rlvr", r#"{"messages":[{"role":"user","content":"q"}],"context":"I","answer":"4"}"#, "q -context"),
        ("labelled", &format!(r#"{{"messages":{WHOLE},"context":"I","label":true}}"#), "q|a -context"),
        ("preference", &format!(r#"{{"messages":{WHOLE},"context":"I","rejected_response":"b"}}"#), "q|a -context"),
    ] {
        assert_eq!(converted(converter, row, &[]), made, "{row}");
    }
    // What a recipe gives for a slot is used or refused.
    let row = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"input":"I"}"#;
    assert!(rejected(SampleKind::Conversation, row).starts_with("conflict: `input` is given as the `input`"));
}

#[test]
fn rules_decide_whether_a_dialogue_can_be_trained_on() {
    let more = format!("{},{}", WHOLE.trim_end_matches(']'), r#"{"role":"user","content":"more"}]"#);
    let first = format!("[{},{}", r#"{"role":"assistant","content":"hi"}"#, &WHOLE[1..]);
    let row = |column: &str, list: &str| format!(r#"{{"{column}":{list},"label":true}}"#);
    for (converter, column, list, rule, reason) in [
        ("turns", "conversation", &more, "trailing_user", "no_final_assistant_turn"),
        ("turns", "conversation", &first, "assistant_first", "empty_prompt"),
        ("labelled", "messages", &more, "trailing_user", "no_final_assistant_turn"),
        ("labelled", "messages", &first, "assistant_first", "empty_prompt"),
        ("messages", "messages", &more, "trailing_user", "no_final_assistant_turn"),
    ] {
        let row = row(column, list)
            .replace(r#","label":true"#, if converter == "labelled" { r#","label":true"# } else { "" });
        assert_eq!(converted(converter, &row, &[(rule, Mode::Repair)]), "q|a", "{row}");
        assert!(converted(converter, &row, &[]).starts_with(reason), "{row}");
    }
    let blank = r#"{"question":"q","answer":" "}"#;
    assert!(converted("qa", blank, &[]).starts_with("empty_output"));
    assert_eq!(converted("qa", blank, &[("empty_answer", Mode::Warn)]), "q| ");
}

#[test]
fn json_in_a_text_is_a_text_unless_it_is_a_list_of_messages() {
    for (row, made) in [
        (r#"{"question":"list","response":"[{\"name\":\"Bob\"}]"}"#, r#"list|[{"name":"Bob"}]"#),
        (r#"{"question":"list","response":"[{\"name\": 1"}"#, r#"list|[{"name": 1"#),
        (r#"{"question":"q","response":"[{\"role\":\"assistant\",\"content\":\"a\"}]"}"#, "q|a"),
        (r#"{"question":"empty list?","response":"[]"}"#, "empty list?|[]"),
    ] {
        assert_eq!(converted("qa", row, &[]), made, "{row}");
    }
    for row in [
        r#"{"question":"q","response":"[{'role': 'assistant', 'content': 'a'}]"}"#,
        r#"{"question":"q","response":"[{\"role\":\"customer\",\"content\":\"a\"}]"}"#,
    ] {
        let reject = converted("qa", row, &[]);
        assert!(reject.starts_with("wrong_type") || reject.starts_with("unknown_role"), "{reject}");
    }
    let csv = r#"{"messages":"[{\"role\":\"user\",\"content\":\"q\"}]"}"#;
    assert_eq!(converted("prompts", csv, &[]), "q");
    let plain = r#"{"instruction":"i","output":"[{\"role\":\"user\",\"content\":\"q\"}]"}"#;
    assert!(converted("alpaca", plain, &[]).starts_with("i|[{"), "texts of Alpaca are texts");
}

#[test]
fn what_stands_beside_a_question_is_not_lost() {
    for (converter, row, made) in [
        ("qa", r#"{"problem":"p","solution":"s","answer":"42"}"#, r#"p|s +answer="42""#),
        ("qa", r#"{"problem":"p","solution":"s","final_answer":43}"#, "p|s +final_answer=43"),
        ("alpaca", r#"{"instruction":"Summarise","context":"TEXT","output":"o"}"#, "Summarise|TEXT|o"),
        ("prompts", r#"{"question":"q","context":"TEXT","id":1}"#, "q|TEXT -id"),
        ("prompts", r#"{"system":"S","question":"q"}"#, "S|q"),
        ("gsm8k", r#"{"question":"q","context":"TEXT","answer":"1\n#### 1"}"#, "q|TEXT|1|#### 1"),
        ("rlvr", r#"{"prompt":"q","Answer":"4","solution":"s"}"#, r#"q +solution="s""#),
        ("qa", r#"{"question":"","prompt":"q","answer":"a"}"#, "q|a"),
        ("qa", r#"{"question":"q","answer":"a","system":"","system_prompt":"S"}"#, "S|q|a"),
        ("turns", r#"{"conversation":[["q","a"]],"system":"","system_prompt":"S"}"#, "S|q|a"),
        ("turns", r#"{"conversation":[],"turns":[["q","a"]]}"#, "q|a"),
        (
            "turns",
            r#"{"conversation":[{"input":"q","output":"a"},{"system":"L","input":"r","output":"b"}]}"#,
            "q|a|L|r|b",
        ),
        ("labelled", r#"{"conversation":[],"prompt":"q","completion":"a","label":true}"#, "q|a"),
    ] {
        assert_eq!(converted(converter, row, &[]), made, "{row}");
    }
    for row in [
        r#"{"conversation":[["q","a"]],"system":"S","system_prompt":"T"}"#,
        r#"{"turns":[["q","a"]],"System":"S","system_prompt":"T"}"#,
    ] {
        assert!(converted("turns", row, &[]).starts_with("conflict"), "{row}");
    }
    let own = r#"{"question":"q","reasoning":"R","answer":[{"role":"assistant","content":"a","reasoning":"S"}]}"#;
    assert!(converted("qa", own, &[]).starts_with("conflict"));
}
