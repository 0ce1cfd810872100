//! Whatever keys a message has, at any depth, and whatever is in them: it is in the sample, or named, or the row is refused.

use proptest::prelude::*;

use super::{Options, Tally, by_name, convert};
use crate::json;

/// Rows of each converter that reads lists of messages, with `LIST` where one stands.
const ROWS: &[(&str, &str)] = &[
    ("messages", r#"{"messages":[{"role":"user","content":"asks"},LIST,{"role":"assistant","content":"ends"}]}"#),
    ("messages", r#"{"conversations":[LIST,{"from":"human","value":"asks"},{"from":"gpt","value":"ends"}]}"#),
    ("messages", r#"{"messages":[{"role":"user","content":"asks"},LIST],"tools":[{"name":"f"}]}"#),
    ("turns", r#"{"dialogue":[{"role":"user","content":"asks"},LIST,{"role":"assistant","content":"ends"}]}"#),
    (
        "labelled",
        r#"{"messages":[{"role":"user","content":"asks"},LIST,{"role":"assistant","content":"a"}],"label":true}"#,
    ),
    (
        "qa",
        r#"{"prompt":[LIST,{"role":"user","content":"asks"}],"completion":[LIST,{"role":"assistant","content":"a"}]}"#,
    ),
    (
        "preference",
        r#"{"prompt":[LIST,{"role":"user","content":"asks"}],"chosen":[LIST,{"role":"assistant","content":"a"}],"rejected":"b"}"#,
    ),
    ("rlvr", r#"{"messages":[{"role":"user","content":"asks"},LIST,{"role":"user","content":"ends"}],"answer":"4"}"#),
    ("prompts", r#"{"prompt":[LIST,{"role":"user","content":"asks"}]}"#),
    ("stepwise", r#"{"prompt":[LIST,{"role":"user","content":"asks"}],"completions":["s"],"labels":[true]}"#),
];

/// What a message may say, with `mark` once.
fn contents(mark: &str) -> Vec<String> {
    let part = |part: String| format!("[{part}]");
    let text = r#"{"type":"text","text":"t"}"#;
    vec![
        format!(r#""{mark}""#),
        format!(r#""<think>\n{mark}\n</think>\n\ntext""#),
        format!(r#"["{mark}"]"#),
        format!(r#"{{"text":"{mark}"}}"#),
        part(format!(r#"{{"type":"text","text":"{mark}"}}"#)),
        part(format!(r#"{text},{{"type":"text","text":"{mark}"}},{text}"#)),
        part(format!(r#"{{"type":"text","text":"t","annotations":[{{"url":"{mark}","title":null}}]}}"#)),
        part(format!(r#"{{"type":"input_text","text":"{mark}"}}"#)),
        part(format!(r#"{{"text":"{mark}"}}"#)),
        part(format!(r#"{{"type":"image_url","image_url":{{"url":"{mark}","detail":null}}}},{text}"#)),
        part(format!(r#"{{"type":"image","image":null,"path":"{mark}"}},{text}"#)),
        part(format!(r#"{text},{{"type":"audio","audio":"{mark}"}}"#)),
        part(format!(r#"{{"type":"thinking","thinking":"{mark}","signature":"s"}},{text}"#)),
        part(format!(r#"{{"type":"reasoning","reasoning":"{mark}"}},{text}"#)),
        part(format!(r#"{{"type":"reasoning","reasoning":"r","effort":"{mark}"}},{text}"#)),
        part(format!(r#"{text},{{"type":"tool_use","id":"{mark}","name":"f","input":{{}}}}"#)),
        part(format!(r#"{{"type":"tool_use","id":"1","name":"f","input":{{"a":{{"b":[null,"{mark}"]}}}}}}"#)),
        part(format!(r#"{{"type":"tool_use","id":"1","name":"f","input":{{}},"caller":"{mark}"}}"#)),
        part(format!(r#"{{"type":"tool_result","tool_use_id":"{mark}","content":"4"}}"#)),
        part(format!(
            r#"{{"type":"tool_result","tool_use_id":"1","content":[{{"type":"text","text":"{mark}"}},{text}]}}"#
        )),
        part(format!(r#"{{"type":"tool_result","tool_use_id":"1","content":[{{"type":"image","source":"{mark}"}}]}}"#)),
        part(format!(r#"{{"type":"tool_result","tool_use_id":"1","content":"4","is_error":"{mark}"}},{text}"#)),
        part(format!(r#"{{"type":"{mark}","text":"t"}}"#)),
        part(format!(r#"{{"type":"refusal","refusal":"{mark}"}}"#)),
        "null".to_owned(),
        r#""""#.to_owned(),
        "[]".to_owned(),
    ]
}

/// Keys that a message may have beside role and content, with `mark` once in the value of each.
fn keys(mark: &str) -> Vec<(&'static str, String)> {
    let number = mark.trim_start_matches('m');
    let text = format!(r#""{mark}""#);
    let call = |function: String| format!(r#"[{{"id":"1","type":"function","function":{function}}}]"#);
    vec![
        ("name", text.clone()),
        ("tool_call_id", text.clone()),
        ("toolCallId", text.clone()),
        ("weight", format!("{number}.5")),
        ("loss_weight", number.to_owned()),
        ("train", "false".to_owned()),
        ("loss", text.clone()),
        ("reasoning_content", text.clone()),
        ("reasoning", text.clone()),
        ("reasoning", format!(r#"["{mark}"]"#)),
        ("reasoning", format!(r#"{{"text":"{mark}"}}"#)),
        ("thinking", format!(r#"[{{"type":"text","text":"{mark}"}}]"#)),
        ("Thinking", text.clone()),
        ("reasoning_details", format!(r#"[{{"type":"reasoning.text","text":"{mark}","signature":null}}]"#)),
        ("tool_calls", call(format!(r#"{{"name":"{mark}","arguments":"{{}}"}}"#))),
        ("tool_calls", call(format!(r#"{{"name":"f","arguments":{{"a":[{{"b":null,"c":"{mark}"}}]}}}}"#))),
        ("tool_calls", call(format!(r#"{{"name":"f","arguments":"{{\"a\":\"{mark}\"}}"}}"#))),
        ("tool_calls", call(format!(r#"{{"name":"f","arguments":"{{}}","strict":"{mark}"}}"#))),
        ("tool_calls", format!(r#"[{{"name":"f","arguments":{{}},"index":"{mark}"}}]"#)),
        ("toolCalls", format!(r#"["{{\"name\":\"f\",\"arguments\":{{\"a\":\"{mark}\"}}}}"]"#)),
        ("function_call", format!(r#"{{"name":"f","arguments":"{mark}"}}"#)),
        ("function_call", text.clone()),
        ("value", text.clone()),
        ("content", text.clone()),
        ("from", text.clone()),
        ("text", text.clone()),
        ("message", format!(r#"{{"a":"{mark}"}}"#)),
        ("speaker", text.clone()),
        ("images", format!(r#"["{mark}"]"#)),
        ("tools", format!(r#"[{{"name":"{mark}"}}]"#)),
        ("metadata", format!(r#"{{"a":{{"b":[[null,{{"c":"{mark}"}}]]}}}}"#)),
        ("", text.clone()),
        ("é\n", text),
        ("none", "null".to_owned()),
    ]
}

/// A message: who speaks, by both notations; what is said; and the keys beside it.
#[derive(Clone, Debug)]
struct Said {
    role: &'static str,
    by_from: bool,
    content: Option<usize>,
    keys: Vec<usize>,
}

fn dialogue() -> impl Strategy<Value = Vec<Said>> {
    let role = prop::sample::select(
        &["system", "developer", "user", "assistant", "tool", "function_call", "human", "gpt"][..],
    );
    let keys_of = prop::collection::btree_set(0..keys("m").len(), 0..4).prop_map(|keys| keys.into_iter().collect());
    let said = (role, any::<bool>(), prop::option::weighted(0.9, 0..contents("m").len()), keys_of)
        .prop_map(|(role, by_from, content, keys)| Said { role, by_from, content, keys });
    prop::collection::vec(said, 1..4)
}

/// The messages as JSON without the brackets, and the marks that stand in them.
fn written(dialogue: &[Said]) -> (String, Vec<String>) {
    let mut marks = Vec::new();
    let mut mark = |value: &dyn Fn(&str) -> String| {
        let mark = format!("m8{:02}417", marks.len());
        let value = value(&mark);
        if value.contains(mark.trim_start_matches('m')) {
            marks.push(mark.trim_start_matches('m').to_owned());
        }
        value
    };
    let mut messages = Vec::new();
    for said in dialogue {
        let (role, content) = if said.by_from { ("from", "value") } else { ("role", "content") };
        let mut fields = vec![(role, format!(r#""{}""#, said.role))];
        if let Some(at) = said.content {
            fields.push((content, mark(&|mark| contents(mark).swap_remove(at))));
        }
        for at in &said.keys {
            let name = keys("m")[*at].0;
            if fields.iter().all(|(known, _)| *known != name) {
                fields.push((name, mark(&|mark| keys(mark).swap_remove(*at).1)));
            }
        }
        let fields = fields.iter().map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap()));
        messages.push(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")));
    }
    (messages.join(","), marks)
}

/// Whether the row is converted, and the marks that are then neither in a sample nor named.
fn lost(converter: &str, row: &str, marks: &[String]) -> Option<Vec<String>> {
    let (options, mut tally) = (Options::new(), Tally::default());
    let row = json::row(row).unwrap();
    let converted = convert(by_name(converter).unwrap(), &row, &options, &mut tally).ok()?;
    let samples = format!("{:?} {:?}", converted.samples, tally.unused);
    Some(marks.iter().filter(|mark| !samples.contains(mark.as_str())).cloned().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_a_message_is_lost_without_a_word(
        (converter, row) in prop::sample::select(ROWS),
        dialogue in dialogue(),
    ) {
        let (list, marks) = written(&dialogue);
        let row = row.replace("LIST", &list);
        if let Some(lost) = lost(converter, &row, &marks) {
            prop_assert!(lost.is_empty(), "{converter} of {row}: {lost:?}");
        }
    }
}

/// The property is about something only if each value is taken somewhere, and only if it can fail.
#[test]
fn most_keys_and_contents_are_taken() {
    let one = |content: usize, keys: Vec<usize>| {
        let said = |role| Said { role, by_from: false, content: Some(content), keys: keys.clone() };
        ["user", "assistant"].into_iter().any(|role| {
            let (list, marks) = written(&[said(role)]);
            ROWS.iter().any(|(converter, row)| {
                lost(converter, &row.replace("LIST", &list), &marks).is_some_and(|lost| lost.is_empty())
            })
        })
    };
    let contents = (0..contents("m").len()).filter(|at| one(*at, Vec::new())).count();
    let keys = (0..keys("m").len()).filter(|at| one(0, vec![*at])).count();
    assert!(contents >= 16 && keys >= 26, "{contents} contents, {keys} keys");
    let (list, _) = written(&[Said { role: "user", by_from: false, content: Some(0), keys: Vec::new() }]);
    assert_eq!(lost(ROWS[0].0, &ROWS[0].1.replace("LIST", &list), &["none".to_owned()]), Some(vec!["none".to_owned()]));
}
