//! Samples of every form, and what holds for all of them.

use proptest::{collection::vec, option, prelude::*};

use super::*;

fn string() -> impl Strategy<Value = Cow<'static, str>> {
    "(\\PC|[\u{0}-\u{20}\"\\\\\u{7f}\u{2026}-\u{202a}é]){0,12}".prop_map(Cow::Owned)
}

fn json() -> impl Strategy<Value = Json<'static>> {
    let texts = [
        "null",
        "true",
        "1.0",
        "007e0",
        "9007199254740993",
        "[]",
        "{ }",
        "\"\\u00e9\\n\"",
        "\"\\ud800 \u{2028}\"",
        "[ {\"type\" : \"text\",\"text\":\"a b\u{2029}\"}, 1e5 ]",
        "{\"b\":1,\"a\":{\"x y\":\" \\\" \"}}",
    ];
    let texts: Vec<_> = texts.iter().filter_map(|text| Json::new(text)).collect();
    assert_eq!(texts.len(), 10, "007e0 is no JSON");
    prop::sample::select(texts)
}

fn number() -> impl Strategy<Value = Json<'static>> {
    prop::sample::select(vec!["0.50", "1", "9007199254740993", "-1e5"]).prop_map(|text| Json::new(text).unwrap())
}

fn keys() -> impl Strategy<Value = Vec<(Cow<'static, str>, Json<'static>)>> {
    vec((string(), json()), 0..3)
}

fn call() -> impl Strategy<Value = ToolCall<'static>> {
    let arguments = prop_oneof![string().prop_map(Arguments::Text), json().prop_map(Arguments::Json)];
    (option::of(string()), option::of(string()), string(), option::of(arguments), keys())
        .prop_map(|(id, kind, name, arguments, other)| ToolCall { id, kind, name, arguments, other })
}

fn extras() -> impl Strategy<Value = MessageExtras<'static>> {
    let texts = (option::of(string()), option::of(string()), option::of(string()));
    (texts, option::of(vec(call(), 0..3)), option::of(number()), option::of(any::<bool>()), keys()).prop_map(
        |((reasoning, tool_call_id, name), tool_calls, weight, train, other)| MessageExtras {
            reasoning,
            tool_calls,
            tool_call_id,
            name,
            weight,
            train,
            other,
        },
    )
}

/// Lists, which contents that are no text are.
fn parts() -> impl Strategy<Value = Json<'static>> {
    json().prop_map(|json| Json::new(&format!("[{}]", json.as_str())).unwrap())
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let content = prop_oneof![
        4 => string().prop_map(Content::Text),
        1 => parts().prop_map(Content::Parts),
        1 => Just(Content::Null),
        1 => Just(Content::Absent),
    ];
    let extras = prop_oneof![2 => Just(None), 1 => extras().prop_map(|extras| Some(Box::new(extras)))];
    (prop::sample::select(Role::ALL.to_vec()), content, extras).prop_map(|(role, content, extras)| Message {
        role,
        content,
        extras,
    })
}

fn messages() -> impl Strategy<Value = Vec<Message<'static>>> {
    vec(message(), 0..4)
}

fn body() -> impl Strategy<Value = Body<'static>> {
    prop_oneof![
        messages().prop_map(|messages| Body::Conversation { messages }),
        (messages(), vec(messages(), 2..4)).prop_map(|(prompt, ranked)| Body::Preference { prompt, ranked }),
        messages().prop_map(|messages| Body::Prompt { messages }),
        string().prop_map(|text| Body::Text { text }),
        messages().prop_map(|messages| Body::Labelled { messages }),
        (messages(), vec((string(), json()), 0..3)).prop_map(|(prompt, steps)| Body::Stepwise {
            prompt,
            steps: steps.into_iter().map(|(text, label)| Step { text, label }).collect(),
        }),
    ]
}

/// Samples with everything that a sample can have.
pub fn sample() -> impl Strategy<Value = Sample<'static>> {
    let beside = (option::of(json()), option::of(string()), option::of(any::<bool>()), option::of(number()), keys());
    (body(), beside).prop_map(|(body, (tools, answer, label, margin, columns))| Sample {
        body,
        tools,
        answer,
        label,
        margin,
        columns,
    })
}

/// Samples as today's converters make them: messages of text, and nothing else.
pub fn plain() -> impl Strategy<Value = Sample<'static>> {
    let turns = || vec((prop::sample::select(Role::ALL[..3].to_vec()), string()), 1..4);
    let messages =
        || turns().prop_map(|turns| turns.into_iter().map(|(role, text)| Message::new(role, text)).collect());
    let (answer, other) = (string(), string());
    prop_oneof![
        messages().prop_map(Sample::conversation),
        messages().prop_map(Sample::prompt),
        (messages(), answer, other).prop_map(|(prompt, chosen, rejected): (Vec<_>, _, _)| {
            let answer = |text| vec![Message::new(Role::Assistant, text)];
            Body::Preference { prompt, ranked: vec![answer(chosen), answer(rejected)] }.into()
        }),
        string().prop_map(|text| Body::Text { text }.into()),
        (messages(), any::<bool>()).prop_map(|(messages, label)| Sample::labelled(messages, label)),
        (messages(), vec((string(), number()), 1..3)).prop_map(|(prompt, steps)| {
            let steps = steps.into_iter().map(|(text, label)| Step { text, label }).collect();
            Body::Stepwise { prompt, steps }.into()
        }),
    ]
}

/// A sample as it is stored.
pub fn stored(sample: &Sample<'_>) -> Vec<u8> {
    let mut blob = Vec::new();
    append(sample, &mut blob);
    blob
}

fn identity(sample: &Sample<'_>) -> String {
    let (stored, mut text) = (stored(sample), Vec::new());
    write_identity(&read(&stored).unwrap(), &mut text);
    String::from_utf8(text).unwrap()
}

proptest! {
    #[test]
    fn a_sample_reads_back_with_nothing_lost(sample in sample()) {
        let bytes = stored(&sample);
        let back: Sample<'_> = read(&bytes).unwrap().try_into().unwrap();
        prop_assert_eq!(&back, &sample);
        prop_assert_eq!(stored(&back), bytes);
    }

    #[test]
    fn bytes_that_are_no_sample_are_found(sample in sample(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = stored(&sample);
        let at = at.index(bytes.len());
        prop_assert_eq!(read(&bytes[..at]), Err(BadSample));
        bytes[at] = byte;
        // Another sample or none, but no panic.
        if let Ok(view) = read(&bytes) {
            let _ = Sample::<Cow<'_, str>>::try_from(view);
        }
        bytes = stored(&sample);
        bytes.push(0);
        prop_assert_eq!(read(&bytes), Err(BadSample));
    }

    #[test]
    fn identity_is_one_line_of_json_and_differs_where_samples_do(a in sample(), b in sample()) {
        let (text, other) = (identity(&a), identity(&b));
        let is_line = !text.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}']);
        prop_assert!(is_line);
        if !text.contains("\\ud800") {
            let closed = format!("{text}}}");
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&closed).is_ok(), "{}", closed);
        }
        if a.body != b.body && a.kind() == b.kind() && !matches!(a.body, Body::Preference { .. }) {
            prop_assert_ne!(text, other);
        }
    }

    #[test]
    fn strings_of_json_need_no_escaping_once_they_are_stored(a in string(), b in string()) {
        let quoted = |text: &str| {
            let mut out = Vec::new();
            crate::row::write_string(text, &mut out);
            out
        };
        let (both, a_quoted, b_quoted) = (quoted(&format!("{a}{b}")), quoted(&a), quoted(&b));
        let [a_quoted, b_quoted] = [&a_quoted, &b_quoted].map(|bytes| Quoted::new(bytes).unwrap());
        prop_assert_eq!(&both[1..both.len() - 1], [a_quoted.inner(), b_quoted.inner()].concat());
        prop_assert_eq!(a_quoted.unescape(), Some(a));
    }

    #[test]
    fn characters_are_those_of_the_main_field(sample in sample()) {
        let text = sample.field_text(sample.kind().default_field()).unwrap();
        prop_assert_eq!(sample.characters(), text.chars().count());
    }
}

#[test]
fn the_bytes_of_a_sample_are_fixed() {
    let sample = Sample {
        answer: Some("4".into()),
        ..Sample::conversation(vec![Message::new(Role::User, "2+2\u{85}"), Message::new(Role::Assistant, "\"4\"\n")])
    };
    let expected = b"\x00\x02\x02\0\0\0\x01\x0b\0\0\0\"2+2\\u0085\"\x02\x09\0\0\0\"\\\"4\\\"\\n\"\x03\0\0\0\"4\"";
    assert_eq!(stored(&sample), expected);
    assert_eq!(SAMPLES_VERSION, 5, "a new version needs new bytes here");
}

#[test]
fn identities_of_plain_samples_are_the_first_rows() {
    let turn = Message::new;
    let dialogue = vec![turn(Role::System, "s"), turn(Role::User, "é\u{2028}"), turn(Role::Assistant, "a")];
    let conversation = Sample { answer: Some("a".into()), ..Sample::conversation(dialogue.clone()) };
    assert_eq!(
        identity(&conversation),
        r#"{"conversations":[{"role":"system","content":"s"},{"role":"user","content":"é\u2028"},{"role":"assistant","content":"a"}],"text":"s\né\u2028\na""#
    );
    let answer = |text| vec![turn(Role::Assistant, text)];
    let pair = |ranked| Sample::from(Body::Preference { prompt: vec![turn(Role::User, "q")], ranked });
    assert_eq!(
        identity(&pair(vec![answer("a"), answer("b")])),
        r#"{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]"#
    );
    assert!(
        identity(&pair(vec![answer("a"), answer("b"), answer("c")]))
            .ends_with(r#","ranked":[[{"role":"user","content":"q"},{"role":"assistant","content":"c"}]]"#)
    );
    let prompt = Sample::prompt(vec![turn(Role::User, "q")]);
    assert_eq!(identity(&prompt), r#"{"conversations":[{"role":"user","content":"q"}]"#);
    let with_answer = Sample { answer: Some("4".into()), label: Some(true), ..prompt };
    assert!(identity(&with_answer).ends_with(r#"],"answer":"4","label":true"#));
    assert_eq!(identity(&Body::Text { text: "t".into() }.into()), r#"{"text":"t""#);
}

#[test]
fn what_a_message_has_besides_text_counts() {
    let call = ToolCall {
        id: Some("1".into()),
        kind: Some("function".into()),
        name: "f".into(),
        arguments: Some(Arguments::Text("{}".into())),
        other: Vec::new(),
    };
    let extras = MessageExtras {
        reasoning: Some("r".into()),
        tool_calls: Some(vec![call]),
        train: Some(false),
        other: vec![("k".into(), Json::new("[1, 2]").unwrap())],
        ..MessageExtras::default()
    };
    let message = Message { role: Role::Assistant, content: Content::Null, extras: Some(Box::new(extras)) };
    assert_eq!(
        identity(&Sample::prompt(vec![message])),
        r#"{"conversations":[{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}],"train":false,"k":[1,2]}]"#
    );
}

#[test]
fn prompt_hash_ignores_answers_and_keeps_turns_apart() {
    let dialogue = |turns: &[(Role, &'static str)]| {
        Sample::conversation(turns.iter().map(|(role, text)| Message::new(*role, *text)).collect())
    };
    let asked = dialogue(&[(Role::User, "q"), (Role::Assistant, "a")]);
    assert_eq!(asked.prompt_hash(), dialogue(&[(Role::User, "q"), (Role::Assistant, "b")]).prompt_hash());
    assert_ne!(asked.prompt_hash(), dialogue(&[(Role::User, "q2"), (Role::Assistant, "a")]).prompt_hash());
    let prompt = Sample::prompt(vec![Message::new(Role::User, "q")]);
    assert_eq!(asked.prompt_hash(), prompt.prompt_hash(), "one question has one side in every recipe");
}

#[test]
fn json_keeps_its_spelling_but_for_blanks_and_escapes() {
    for (text, kept) in [
        (r#" { "b" : 1.0 , "a" : [ 1e5, "x \" y" ] } "#, r#"{"b":1.0,"a":[1e5,"x \" y"]}"#),
        (r#""\u00e9 \ud83d\ude00 \/""#, "\"é 😀 /\""),
        ("\"\\ud800\u{2028}\"", "\"\\ud800\\u2028\""),
        ("\"\u{2028}\"", "\"\\u2028\""),
        ("\"\\ud800\u{85}\"", "\"\\ud800\\u0085\""),
    ] {
        assert_eq!(Json::new(text).unwrap().as_str(), kept, "{text}");
    }
    assert!(["", "{", "1 2", "nul"].iter().all(|text| Json::new(text).is_none()));
}

#[test]
fn folded_hashes_ignore_case_and_white_space_alone() {
    let dialogue = |question: &str, answer: &str| {
        let turns = [Message::new(Role::User, question.to_owned()), Message::new(Role::Assistant, answer.to_owned())];
        Sample::conversation(turns.to_vec())
    };
    let prompt = |question: &str| dialogue(question, "a").folded_hash(&mut Vec::new());
    assert_eq!(prompt("Name knot 1"), prompt(" name  KNOT 1\n"));
    assert_ne!(prompt("Name knot 1"), prompt("Name knot 2"));
    let row = |sample: &Sample<'_>| folded_row_hash(&read(&stored(sample)).unwrap());
    assert_eq!(row(&dialogue("Say \"hi\"", "Hi\n")), row(&dialogue("say \"HI\" ", "hi")));
    assert_ne!(row(&dialogue("a", "b")), row(&dialogue("a", "c")));
    // Only strings are folded, and what stands in one string stays in it.
    assert_ne!(row(&dialogue("a b", "")), row(&dialogue("a", "b")));
    let labelled = |label| Sample { label: Some(label), ..dialogue("a", "b") };
    assert_ne!(row(&labelled(true)), row(&labelled(false)));
}

#[test]
fn index_reads_back_and_garbage_is_an_error() {
    let (mut index, mut blob, mut scratch) = (SampleIndex::default(), Vec::new(), Vec::new());
    // A row with one sample, one with none, one with two.
    for (i, row) in [0, 2, 2].into_iter().enumerate() {
        let sample = Sample::prompt(vec![Message::new(Role::User, format!("q{i}"))]);
        index.push(row, &sample, &mut blob, &mut scratch);
        assert_eq!(at(&blob, index.range(i)).and_then(Sample::try_from), Ok(sample));
    }
    assert_eq!(blob[0], SAMPLES_VERSION);
    let bytes = index.encode();
    assert_eq!(SampleIndex::decode(&bytes).unwrap(), index);
    for length in 0..bytes.len() {
        assert!(SampleIndex::decode(&bytes[..length]).is_err(), "cut at {length}");
    }
    assert!(SampleIndex::decode(&[SAMPLES_VERSION, 255, 255, 255, 255]).is_err());
}
