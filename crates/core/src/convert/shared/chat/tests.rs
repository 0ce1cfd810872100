use proptest::prelude::*;

use super::*;
use crate::sample::{Arguments, ToolCall};

fn read(json: &str) -> Result<Vec<Message<'_>>, Reject> {
    messages(json, "m", &Options::new())
}

fn only(json: &str) -> Message<'_> {
    let mut list = read(json).unwrap();
    assert_eq!(list.len(), 1, "{json}");
    list.remove(0)
}

fn rejected(json: &str) -> (&'static str, String) {
    let reject = read(json).unwrap_err();
    (reject.reason.code(), reject.detail)
}

#[test]
fn both_spellings_are_read() {
    let openai = r#"[{"role":"system","content":"s"},{"content":"q\n","role":"user"},{"role":"assistant","content":"é","tool_calls":null}]"#;
    let share =
        r#"[{"from":"system","value":"s"},{"from":"human","value":"q\n"},{"from":"gpt","value":"é","tool_calls":[]}]"#;
    let expected =
        [Message::new(Role::System, "s"), Message::new(Role::User, "q\n"), Message::new(Role::Assistant, "é")];
    assert_eq!(read(openai).unwrap(), expected);
    assert_eq!(read(share).unwrap(), expected);
    assert_eq!(read("[]").unwrap(), []);
    let mixed = r#"[{"role":"user","value":"q"},{"from":"gpt","content":"a"}]"#;
    assert_eq!(read(mixed).unwrap(), [Message::new(Role::User, "q"), Message::new(Role::Assistant, "a")]);
}

#[test]
fn plain_contents_are_borrowed() {
    let list = read(r#"[{"role":"user","content":"q"},{"role":"user","content":"\u0071"}]"#).unwrap();
    assert!(matches!(list[0].content, Content::Text(Cow::Borrowed("q"))));
    assert!(matches!(&list[1].content, Content::Text(Cow::Owned(text)) if text == "q"));
    assert!(list.iter().all(|message| message.extras.is_none()));
}

#[test]
fn roles_have_many_names() {
    let role = |word: &str, options: &Options| {
        let json = format!(r#"[{{"from":"{word}","value":"x"}}]"#);
        messages(&json, "m", options).map(|list| list[0].role).map_err(|reject| reject.detail)
    };
    for (words, expected) in [
        ("system System SYSTEM", Role::System),
        ("developer", Role::Developer),
        ("user human Human USER prompter usr", Role::User),
        ("assistant gpt GPT model bot chatbot ai chatgpt bing", Role::Assistant),
        ("tool function observation tool_response ipython", Role::Tool),
    ] {
        for word in words.split(' ') {
            assert_eq!(role(word, &Options::new()), Ok(expected), "{word}");
        }
    }
    let unknown = role("hummany", &Options::new()).unwrap_err();
    assert_eq!(unknown, "`m[0].from` is `hummany`, which is no known role; say which it is with `roles: {hummany: …}`");
    let roles = [("hummany".to_owned(), Role::User), ("gpt".to_owned(), Role::Tool)].into();
    let options = Options { roles, ..Options::new() };
    assert_eq!(role("Hummany", &options), Ok(Role::User));
    assert_eq!(role("gpt", &options), Ok(Role::Tool), "the recipe comes first");
}

#[test]
fn every_key_has_its_place() {
    let message = only(
        r#"[{"z":[1,  2],"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[
            {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"},"index":0},
            {"name":"g","arguments":{"b": 1.0}}
        ],"tool_call_id":"c","name":"n","weight":0.50,"train":false,"loss":false,"a":"\u00e9","nothing":null}]"#,
    );
    let json = |text| Json::new(text).unwrap();
    let calls = vec![
        ToolCall {
            id: Some("1".into()),
            kind: Some("function".into()),
            name: "f".into(),
            arguments: Some(Arguments::Text("{\"a\": 1}".into())),
            other: vec![("index".into(), json("0"))],
        },
        ToolCall {
            id: None,
            kind: None,
            name: "g".into(),
            arguments: Some(Arguments::Json(json("{\"b\":1.0}"))),
            other: vec![],
        },
    ];
    let expected = MessageExtras {
        reasoning: Some("r".into()),
        tool_calls: Some(calls),
        tool_call_id: Some("c".into()),
        name: Some("n".into()),
        weight: Some(json("0.50")),
        train: Some(false),
        other: vec![("z".into(), json("[1,2]")), ("a".into(), json("\"é\""))],
    };
    assert_eq!((message.role, &message.content), (Role::Assistant, &Content::Null));
    assert_eq!(*message.extras.unwrap(), expected);
}

#[test]
fn keys_with_several_spellings_are_read_once() {
    for key in ["reasoning_content", "reasoning", "thinking"] {
        let json = format!(r#"[{{"role":"assistant","content":"a","{key}":"r"}}]"#);
        assert_eq!(only(&json).extras.unwrap().reasoning, Some("r".into()), "{key}");
    }
    let both = r#"[{"role":"assistant","content":"a","reasoning":"r","thinking":"r"}]"#;
    assert_eq!(only(both).extras.unwrap().reasoning, Some("r".into()));
    let weights = only(r#"[{"role":"user","content":"q","loss_weight":0.0}]"#);
    assert_eq!(weights.extras.unwrap().weight, Json::new("0.0"));
    let steps = only(r#"[{"role":"assistant","content":"a","thinking":{"steps":2},"reasoning":"r"}]"#);
    let extras = steps.extras.unwrap();
    assert_eq!(
        (extras.reasoning, extras.other),
        (Some("r".into()), vec![("thinking".into(), Json::new("{\"steps\":2}").unwrap())])
    );
    let spoken = only(r#"[{"role":"user","content":"q","from":"ann","value":3}]"#).extras.unwrap();
    assert_eq!(
        spoken.other,
        [("from".into(), Json::new("\"ann\"").unwrap()), ("value".into(), Json::new("3").unwrap())]
    );
    for (json, keys) in [
        (r#"[{"role":"assistant","content":"a","reasoning":"r","thinking":"s"}]"#, ["reasoning", "thinking"]),
        (r#"[{"role":"assistant","content":"a","weight":1,"loss_weight":0}]"#, ["weight", "loss_weight"]),
        (r#"[{"role":"assistant","content":"a","train":true,"loss":false}]"#, ["train", "loss"]),
        (
            r#"[{"role":"assistant","tool_calls":[{"name":"f"}],"function_call":{"name":"f"}}]"#,
            ["tool_calls", "function_call"],
        ),
    ] {
        let detail = format!("`m[0]` has both `{}` and `{}`, which differ", keys[0], keys[1]);
        assert_eq!(rejected(json), ("conflict", detail), "{json}");
    }
}

#[test]
fn calls_are_read_in_every_spelling() {
    let call =
        |arguments| ToolCall { id: None, kind: None, name: "f".into(), arguments: Some(arguments), other: vec![] };
    let object = call(Arguments::Json(Json::new(r#"{"a":1}"#).unwrap()));
    let text = call(Arguments::Text("{\"a\":1}".into()));
    for (json, expected) in [
        (r#"[{"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"a\":1}}"}]"#, vec![object.clone()]),
        (r#"[{"role":"tool_call","content":"[{\"name\":\"f\",\"arguments\":{\"a\": 1}}]"}]"#, vec![object.clone()]),
        (r#"[{"from":"function_call","value":{"name":"f","arguments":{"a":1}}}]"#, vec![object.clone()]),
        (
            r#"[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}}]"#,
            vec![text.clone()],
        ),
        (
            r#"[{"role":"assistant","tool_calls":"[{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}]"}]"#,
            vec![text.clone()],
        ),
        (r#"[{"role":"assistant","tool_calls":[{"function":"f","arguments":{"a":1}}]}]"#, vec![object.clone()]),
        (
            r#"[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1}},"id":null}]}]"#,
            vec![object],
        ),
    ] {
        let message = only(json);
        assert_eq!(message.role, Role::Assistant);
        assert_eq!(message.extras.unwrap().tool_calls, Some(expected), "{json}");
    }
}

#[test]
fn calls_belong_to_the_answer_before_them() {
    let call = |name: &str| format!(r#"{{"role":"tool_call","content":"{{\"name\":\"{name}\",\"arguments\":{{}}}}"}}"#);
    let answer = r#"{"role":"assistant","content":"a"}"#;
    let names = |message: &Message<'_>| {
        let calls = message.extras.as_ref().and_then(|extras| extras.tool_calls.clone()).unwrap_or_default();
        (message.text().to_owned(), calls.iter().map(|call| call.name.to_string()).collect::<Vec<_>>().concat())
    };
    for (turns, read) in [
        (vec![answer.to_owned(), call("f"), call("g")], &[("a", "fg")][..]),
        (vec![call("f"), call("g")], &[("", "fg")]),
        (
            vec![r#"{"role":"user","content":"q"}"#.to_owned(), call("f"), answer.to_owned()],
            &[("q", ""), ("", "f"), ("a", "")],
        ),
        // A turn that is not trained on is another one.
        (vec![answer.replace("}", r#","loss":false}"#), call("f")], &[("a", ""), ("", "f")]),
        (
            vec![
                r#"{"from":"function_call","value":"a<tool_call>[{\"name\":\"f\",\"arguments\":{}}]</tool_call>"}"#
                    .to_owned(),
            ],
            &[("a", "f")],
        ),
    ] {
        let json = format!("[{}]", turns.join(","));
        let found: Vec<(String, String)> = self::read(&json).unwrap().iter().map(names).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(text, calls)| (text.as_str(), calls.as_str())).collect();
        assert_eq!(found, read, "{json}");
    }
}

#[test]
fn parts_that_are_text_are_one_text() {
    let content = |parts: &str| {
        let json = format!(r#"[{{"role":"user","content":{parts}}}]"#);
        only(&json).content.to_owned_for_test()
    };
    let text = |text: &str| Content::Text(Cow::Owned(text.to_owned()));
    assert_eq!(content(r#"[{"type":"text","text":"a"},{"type":"text","value":"\nb","image_url":null}]"#), text("a\nb"));
    assert_eq!(content(r#"[{"text":"a"}]"#), text("a"));
    assert_eq!(content("[]"), text(""));
    for kept in [
        r#"[{"type":"image_url","image_url":{"url":"x.png"}},{"type":"text","text":"What is it?"}]"#,
        r#"[{"type":"text","text":"a","train":false}]"#,
        r#"[{"type":"input_audio","input_audio":{"data":"…"}}]"#,
        r#"[{"image":"x.png"},{"text":"What is it?"}]"#,
    ] {
        assert_eq!(content(kept), Content::Parts(Json::new(kept).unwrap()));
    }
}

impl Content<'_> {
    fn to_owned_for_test(&self) -> Content<'static> {
        match self {
            Content::Text(text) => Content::Text(Cow::Owned(text.clone().into_owned())),
            Content::Parts(json) => Content::Parts(json.clone().into_owned()),
            Content::Null => Content::Null,
            Content::Absent => Content::Absent,
        }
    }
}

#[test]
fn what_cannot_be_kept_whole_is_rejected_with_its_place() {
    for (json, detail) in [
        ("{}", "`m` is not a list of messages"),
        ("[1]", "`m[0]` is not a message but a number"),
        (r#"["Hi"]"#, "`m[0]` is not a message but a string"),
        ("[{]", "`m` is not a list of messages: key must be a string at character 3"),
        ("Hi", "`m` is not a list of messages: expected value at character 1"),
        (
            "[{'role': 'user', 'content': 'q'}]",
            "`m` is not a list of messages: it is a Python literal, not JSON; write it with `json.dumps`",
        ),
        (r#"[{"content":"q"}]"#, "`m[0].role` is missing; the message has `content`"),
        (r#"[{"role":null,"user":"q"}]"#, "`m[0].role` is missing; the message has `user`"),
        ("[{}]", "`m[0].role` is missing"),
        (r#"[{"role":7,"content":"q"}]"#, "`m[0].role` is not a string but a number"),
        (
            r#"[{"role":"user","content":"q"},{"role":"assistant","content":null}]"#,
            "`m[1].content` is not a string but null",
        ),
        (r#"[{"from":"human"}]"#, "`m[0].value` is missing"),
        (r#"[{"from":"human","words":"q"}]"#, "`m[0].value` is missing; the message has `words`"),
        (r#"[{"role":"tool","content":{"a":1}}]"#, "`m[0].content` is not a string but an object"),
        (
            r#"[{"role":"user","content":"\ud800"}]"#,
            "`m[0].content` is not text: it has an escape that is no character",
        ),
        (r#"[{"role":"user","content":["q"]}]"#, "`m[0].content[0]` is not a part but a string"),
        (r#"[{"role":"user","content":[{"type":"tool_use","id":"1"}]}]"#, "`m[0].content[0]` names no tool"),
        (
            r#"[{"role":"user","content":[{"type":"server_tool_use","id":"1"}]}]"#,
            "`m[0].content[0]` is a part of the unknown type `server_tool_use`",
        ),
        (
            r#"[{"role":"user","content":[{"type":"thinking","thinking":"r"},{"type":"text","text":"q"}]}]"#,
            "`m[0].content` has calls or reasoning, and is not the assistant's but of the role `user`",
        ),
        (
            r#"[{"role":"assistant","content":[{"type":"tool_use","name":"f"},{"type":"text","text":"a"}]}]"#,
            "`m[0].content[1]` stands behind a call, where a message has no place for it",
        ),
        (
            r#"[{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"thinking","thinking":"r"}]}]"#,
            "`m[0].content[1]` is reasoning behind other parts, where a message has no place for it",
        ),
        (
            r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"tool_result","content":"3"}]}]"#,
            "`m[0].content[1]` is the result of a tool behind other parts, where a dialogue has no place for it",
        ),
        (r#"[{"role":"user","content":"q","trainable":1}]"#, "`m[0].trainable` is not a boolean but a number"),
        (r#"[{"role":"assistant","content":"","tool_calls":[{}]}]"#, "`m[0].tool_calls[0]` names no tool"),
        (
            r#"[{"role":"assistant","content":"","tool_calls":[1]}]"#,
            "`m[0].tool_calls[0]` is no call: invalid type: integer `1`, expected a JSON object at character 1",
        ),
        (
            r#"[{"role":"assistant","tool_calls":[{"function":{"name":"f","strict":true}}]}]"#,
            "`m[0].tool_calls[0].function.strict` has no place in a call",
        ),
        (
            r#"[{"role":"assistant","tool_calls":[{"function":{"name":1}}]}]"#,
            "`m[0].tool_calls[0].name` is not a string",
        ),
        (
            r#"[{"from":"function_call","value":"get the tide"}]"#,
            "`m[0].value` is no call: expected value at character 1",
        ),
        (r#"[{"from":"function_call","value":"[]"}]"#, "`m[0].value` calls nothing"),
        (r#"[{"role":"user","content":"q","weight":"high"}]"#, "`m[0].weight` is not a number but a string"),
        (r#"[{"role":"user","content":"q","train":1}]"#, "`m[0].train` is not a boolean but a number"),
        (r#"[{"role":"user","content":"q","name":["a"]}]"#, "`m[0].name` is not a string but a list"),
    ] {
        assert_eq!(rejected(json), ("wrong_type", detail.to_owned()), "{json}");
    }
    for json in [r#"[{"role":"user","role":"user","content":"q"}]"#, r#"[{"role":"user","content":"q","a":1,"a":1}]"#] {
        assert_eq!(rejected(json).0, "duplicate_key", "{json}");
    }
}

#[test]
fn reasoning_calls_and_results_among_parts_have_places_of_their_own() {
    let anthropic = r#"[
        {"role":"user","content":"q"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"Look."},
            {"type":"tool_use","id":"1","name":"f","input":{"x":1.0}},{"type":"tool_use","id":"2","name":"g","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"3"},
            {"type":"tool_result","tool_use_id":"2","content":[{"type":"text","text":"4"}],"is_error":true},
            {"type":"text","text":"And?"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"3","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"3","content":"5"}]},
        {"role":"assistant","content":"a"}]"#;
    let openai = r#"[
        {"role":"user","content":"q"},
        {"role":"assistant","content":"Look.","reasoning_content":"hm","tool_calls":[
            {"id":"1","type":"function","function":{"name":"f","arguments":{"x":1.0}}},
            {"id":"2","type":"function","function":{"name":"g","arguments":{}}}]},
        {"role":"tool","tool_call_id":"1","content":"3"},
        {"role":"tool","tool_call_id":"2","content":"4","is_error":true},
        {"role":"user","content":"And?"},
        {"role":"assistant","tool_calls":[{"id":"3","type":"function","function":{"name":"f","arguments":{}}}]},
        {"role":"tool","tool_call_id":"3","content":"5"},
        {"role":"assistant","content":"a"}]"#;
    assert_eq!(read(anthropic).unwrap(), read(openai).unwrap());
    // LLaMA-Factory's parts, and calls that are texts.
    let call = r#""tool_calls":[{"name":"f","arguments":{"x":1}}]"#;
    let expected = format!(r#"[{{"role":"assistant","reasoning_content":"hm","content":"Look.",{call}}}]"#);
    for same in [
        r#"[{"role":"assistant","content":[{"type":"reasoning","value":"hm"},{"type":"text","value":"Look."},
            {"type":"tool_call","value":"{\"name\":\"f\",\"arguments\":{\"x\":1}}"}]}]"#,
        r#"[{"role":"assistant","thought":"hm","content":"Look.","tool_calls":["{\"name\":\"f\",\"arguments\":{\"x\":1}}"]}]"#,
        r#"[{"role":"assistant","reasoning_text":"hm","content":"Look.","tool_calls":{"name":"f","arguments":{"x":1}}}]"#,
    ] {
        assert_eq!(read(same).unwrap(), read(&expected).unwrap(), "{same}");
    }
}

#[test]
fn whether_a_message_is_trained_on_has_many_names() {
    let message = |key: &str| {
        let json = format!(r#"[{{"role":"assistant","content":"a",{key}}}]"#);
        only(&json).into_owned().extras.unwrap()
    };
    for key in [r#""train":false"#, r#""loss":false"#, r#""trainable":false"#] {
        assert_eq!(message(key).train, Some(false), "{key}");
    }
    for key in [r#""weight":0.5"#, r#""loss_weight":0.5"#, r#""loss_scale":0.5"#] {
        assert_eq!(message(key).weight, Json::new("0.5"), "{key}");
    }
}

#[test]
fn messages_in_columns_and_as_texts_are_messages() {
    let expected = [Message::new(Role::User, "q"), Message::new(Role::Assistant, "a")];
    for same in [
        r#"{"from":["human","gpt"],"value":["q","a"]}"#,
        r#"{"role":["user","assistant"],"content":["q","a"],"name":[null,null]}"#,
        r#"["{\"role\":\"user\",\"content\":\"q\"}","{\"role\":\"assistant\",\"content\":\"a\"}"]"#,
    ] {
        assert_eq!(read(same).unwrap(), expected, "{same}");
    }
    for wrong in [r#"{"from":["human","gpt"],"value":["q"]}"#, r#"{"value":["q"]}"#, r#"["q","a"]"#, "{}"] {
        assert_eq!(rejected(wrong).0, "wrong_type", "{wrong}");
    }
}

/// Values that a key of a message may be given, right and wrong ones.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;
    prop::sample::select(vec![
        json!(null),
        json!(""),
        json!("é\n\"x\""),
        json!("user"),
        json!("assistant"),
        json!("function_call"),
        json!("{\"name\":\"f\",\"arguments\":{\"a\":1}}"),
        json!(0.5),
        json!(true),
        json!([]),
        json!([{"type":"text","text":"t"}]),
        json!([{"type":"image","image":"x.png"}]),
        json!([{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]),
        json!({"name":"f","arguments":{"b":[1,2]}}),
    ])
}

fn message() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).chain(["mood", "id", "é"]).collect();
    let extra = prop::collection::vec((prop::sample::select(keys), value()), 0..6);
    extra.prop_map(|extra| {
        let mut message = serde_json::Map::new();
        message.insert("role".into(), "assistant".into());
        message.insert("content".into(), "said".into());
        message.extend(extra.into_iter().map(|(key, value)| (key.to_owned(), value)));
        message
    })
}

proptest! {
    /// Each value of a message that was read is found again in its native row, or says nothing.
    #[test]
    fn nothing_of_a_message_is_lost(message in message()) {
        use crate::{sample::Sample, shape};
        let json = serde_json::to_string(&[&message]).unwrap();
        let Ok(list) = read(&json) else { return Ok(()) };
        let row = shape::row_of(&shape::native::Native, &Sample::prompt(list), "s").unwrap();
        let row: serde_json::Value = serde_json::from_str(&row).unwrap();
        let written = serde_json::to_string(&row["conversations"][0]).unwrap();
        for (key, value) in &message {
            let is_nothing = value.is_null() || (value.as_array().is_some_and(Vec::is_empty) && key != "mood" && key != "id");
            let is_role = key == "role" || key == "from";
            if is_nothing || is_role {
                continue;
            }
            // What a turn or a key of another spelling says stands at another key, or put together.
            let spelled = match value {
                serde_json::Value::String(text) if text.starts_with('{') => "\"f\"".to_owned(),
                serde_json::Value::Array(parts) if parts[..].iter().any(|part| part.get("text").is_some()) => "t".to_owned(),
                serde_json::Value::Array(calls) if calls.iter().any(|call| call.get("function").is_some()) => "\"f\"".to_owned(),
                serde_json::Value::Object(_) => "[1,2]".to_owned(),
                value => value.to_string(),
            };
            let is_there = written.contains(&spelled) || written.contains(&value.to_string());
            prop_assert!(is_there, "{}: {} is not in {}", key, value, written);
        }
    }

    #[test]
    fn a_message_reads_back_from_its_native_row(message in message()) {
        use crate::{sample::Sample, shape::{self, Shape, native::Native}};
        let json = serde_json::to_string(&[&message]).unwrap();
        let Ok(list) = read(&json) else { return Ok(()) };
        let sample = Sample::prompt(list);
        let row = shape::row_of(&Native, &sample, "s").unwrap();
        prop_assert_eq!(Native.read(&row).unwrap().sample, sample);
    }
}

#[test]
fn a_message_of_many_keys_takes_no_longer_than_they_are_many() {
    let keys = |last: &str| {
        let keys: String = (0..100_000).map(|number| format!(r#","k{number}":1"#)).collect();
        format!(r#"[{{"role":"user","content":"q"{keys},"{last}":1}}]"#)
    };
    assert_eq!(only(&keys("last")).extras.unwrap().other.len(), 100_001);
    for again in ["k3", "k16", "k17", "k99999"] {
        assert_eq!(rejected(&keys(again)), ("duplicate_key", format!("`m[0]` has the key `{again}` twice")));
    }
}

#[test]
fn keys_are_known_in_other_spellings() {
    let plain = messages(
        r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a","reasoning_content":"r","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"4","tool_call_id":"1"}]"#,
        "m",
        &Options::new(),
    );
    for other in [
        r#"[{"Role":"User","Content":"q"},{"Role":"Assistant","Content":"a","reasoningContent":"r","toolCalls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"4","toolCallId":"1"}]"#,
        r#"[{"speaker":"user","text":"q"},{"sender":"assistant","message":"a","reasoning-content":"r","tool-calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},{"author":"tool","utterance":"4","Tool Call Id":"1"}]"#,
    ] {
        assert_eq!(messages(other, "m", &Options::new()), plain, "{other}");
    }
    let detail = |json: &str| messages(json, "m", &Options::new()).unwrap_err().detail;
    assert!(detail(r#"[{"role":"Assistant:","content":"a"}]"#).ends_with(r#"`roles: {"Assistant:": …}`"#));
    assert!(detail(r#"[{"role":"user","Role":"user","content":"a"}]"#).contains("`Role` twice"));
}
