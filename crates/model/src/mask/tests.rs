//! Masks of small templates, and the fast way against the slow one.

use proptest::prelude::*;

use super::*;
use crate::Settings;

fn masker(source: &str) -> Masker {
    let settings = Settings::at(jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0));
    let template = ChatTemplate::compile(source, settings).expect("the source is valid");
    let special = ["<|s|>", "<|e|>", "<|user|>", "<|assistant|>", "<|tool|>"].map(str::to_owned);
    Masker::new(template, Vec::new(), special.into())
}

/// The runs as `text/reason/message`.
fn runs(masker: &Masker, conversation: &Conversation, rules: &Rules) -> Result<Vec<String>, String> {
    let masked = masker.mask(conversation, rules).map_err(|error| error.to_string())?;
    let word = |run: &Run| {
        let message = run.message.map_or("-".to_owned(), |message| message.to_string());
        let weight = if run.weight == 1.0 { String::new() } else { format!("*{}", run.weight) };
        format!("{}/{}/{message}{weight}", &masked.text[run.bytes.clone()], run.reason.name())
    };
    Ok(masked.runs.iter().map(word).collect())
}

fn parse(messages: &str) -> Conversation {
    Conversation::parse(messages, None).expect("it is a conversation")
}

const CHATML: &str = "{% for m in messages %}<|s|>{{ m.role }}\n{{ m.content }}<|e|>\n{% endfor %}\
    {% if add_generation_prompt %}<|s|>assistant\n{% endif %}";

const TURNS: &str = r#"[{"role": "system", "content": "S"}, {"role": "user", "content": "same"}, {"role": "assistant", "content": "same"},
    {"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}, {"role": "tool", "content": "T"}, {"role": "assistant", "content": "B"}]"#;

#[test]
fn rules_choose_messages() {
    let of = |train_on| {
        runs(&masker(CHATML), &parse(TURNS), &Rules { train_on, ..Rules::default() }).expect("it has a mask")
    };
    let turn = |text: &str, index: usize| [format!("{text}/content/{index}"), format!("<|e|>/end_of_turn/{index}")];
    assert_eq!(of(TrainOn::Assistant), [turn("same", 2), turn("A", 4), turn("B", 6)].concat());
    assert_eq!(of(TrainOn::Last), turn("B", 6));
    assert_eq!(of(TrainOn::Completion), [turn("A", 4), turn("B", 6)].concat());
    let all = of(TrainOn::All);
    assert_eq!(all.len(), 1);
    assert!(all[0].ends_with("/all/-"));
}

#[test]
fn messages_say_otherwise() {
    let messages = r#"[{"role": "user", "content": "u", "train": true}, {"role": "assistant", "content": "a", "weight": 0},
        {"role": "user", "content": "v"}, {"role": "assistant", "content": "b", "weight": 0.5}, {"role": "assistant", "content": "c", "training": false}]"#;
    let rules = Rules { end_of_turn: false, ..Rules::default() };
    assert_eq!(
        runs(&masker(CHATML), &parse(messages), &rules).expect("it has a mask"),
        ["u/content/0", "b/content/3*0.5"]
    );
    let all = Rules { train_on: TrainOn::All, ..rules };
    assert_eq!(
        runs(&masker("{% for m in messages %}{{ m.content }}.{% endfor %}"), &parse(messages), &all)
            .expect("it has a mask"),
        ["u./all/-", ".v./all/-", "b/all/3*0.5", "./all/-", "./all/-"]
    );
    let none = r#"[{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "train": false}]"#;
    assert_eq!(runs(&masker(CHATML), &parse(none), &rules), Err("no message is trained on".to_owned()));
    let bad = r#"[{"role": "assistant", "content": "a", "weight": -1}]"#;
    let message = "message 0 has a weight that is not a number from 0 on";
    assert_eq!(runs(&masker(CHATML), &parse(bad), &rules), Err(message.to_owned()));
}

const MARKED: &str = "{% for m in messages %}<|s|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|e|>\
    {% endgeneration %}{% else %}{{ m.content }}<|e|>{% endif %}{% endfor %}";

#[test]
fn marks_belong_to_messages() {
    let of = |train_on| {
        runs(&masker(MARKED), &parse(TURNS), &Rules { train_on, ..Rules::default() }).expect("it has a mask")
    };
    assert_eq!(of(TrainOn::Assistant), ["same<|e|>/marked/-", "A<|e|>/marked/-", "B<|e|>/marked/-"]);
    assert_eq!(of(TrainOn::Last), ["B<|e|>/marked/6"]);
    let one = "{% generation %}{% for m in messages %}{{ m.content }},{% endfor %}{% endgeneration %}";
    let last = Rules { train_on: TrainOn::Last, ..Rules::default() };
    let uncertain = "it is not certain where the chat template writes the marked text of message 2";
    assert_eq!(runs(&masker(one), &parse(TURNS), &last), Err(uncertain.to_owned()));
}

#[test]
fn what_a_template_does_to_contents_is_followed() {
    let of = |content: &str, expression: &str| {
        let source = CHATML.replace("m.content", expression);
        let conversation = Conversation::new(vec![Message::new("user", "u"), Message::new("assistant", content)]);
        runs(&masker(&source), &conversation, &Rules::default())
    };
    let found = |text: &str| Ok(vec![format!("{text}/content/1"), "<|e|>/end_of_turn/1".to_owned()]);
    assert_eq!(of(" a \n", "m.content"), found(" a \n"));
    assert_eq!(of(" a \n", "m.content | trim"), found("a"));
    assert_eq!(of("<t>x</t>a", "m.content.split('</t>')[-1]"), found("a"));
    assert_eq!(
        of(
            "x</t>a",
            "(m.content.split('</t>')[0] ~ '\\n</t>\\n' ~ m.content.split('</t>')[-1]) if '</t>' in m.content else m.content"
        ),
        found("x\n</t>\na")
    );
    assert_eq!(of("a", "'b'"), Err("the chat template drops the content of message 1".to_owned()));
    assert_eq!(
        of("abc", "m.content | upper"),
        Err("it is not certain where the chat template writes the content of message 1".to_owned())
    );
    assert_eq!(of("  ", "m.content | trim"), Ok(vec!["<|e|>/end_of_turn/1".to_owned()]));
}

#[test]
fn parts_are_contents() {
    let source = CHATML.replace("{{ m.content }}", "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}");
    let messages = r#"[{"role": "user", "content": "u"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]"#;
    assert_eq!(
        runs(&masker(&source), &parse(messages), &Rules::default()).expect("it has a mask"),
        ["ab/content/1", "<|e|>/end_of_turn/1"]
    );
}

#[test]
fn contents_that_are_no_text_are_refused() {
    let of = |content: &str| {
        let messages =
            format!(r#"[{{"role": "user", "content": "u"}}, {{"role": "assistant", "content": {content}}}]"#);
        runs(&masker(CHATML), &parse(&messages), &Rules::default()).expect_err("it is refused")
    };
    let uncertain = "it is not certain where the chat template writes the content of message 1";
    assert_eq!(of(r#"[{"type": "image"}, {"type": "text", "text": "a"}]"#), uncertain);
    assert_eq!(of("5"), uncertain);
    assert_eq!(of("[]"), "nothing of the text is trained on");
    let source = "{% for m in messages if m.content is string %}{{ m.content }}{% endfor %}";
    let parts =
        r#"[{"role": "user", "content": "u"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]"#;
    let dropped = "the chat template drops the content of message 1";
    assert_eq!(runs(&masker(source), &parse(parts), &Rules::default()), Err(dropped.to_owned()));
}

const TOOLS: &str = "{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}\
    {{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}\
    {% if m.role == 'assistant' %}<|e|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

const CALLS: &str = r#"[{"role": "user", "content": "u"}, {"role": "assistant", "content": "I look.", "reasoning": "why", "tool_calls":
    [{"function": {"name": "f", "arguments": {"x": 1.0}}}, {"function": {"name": "g", "arguments": {}}}]}, {"role": "tool", "content": "r"}, {"role": "assistant", "content": "b"}]"#;

#[test]
fn calls_may_stand_before_the_content() {
    let template = "{% for m in messages %}<|s|>{{ m.role }}\n{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}</call>{% endfor %}\
        {{ m.content }}<|e|>\n{% endfor %}{% if add_generation_prompt %}<|s|>assistant\n{% endif %}";
    let conversation = |content: &str| {
        let call =
            |name: &str| format!(r#"{{"type": "function", "function": {{"name": "{name}", "arguments": {{}}}}}}"#);
        parse(&format!(
            r#"[{{"role": "user", "content": "now?"}}, {{"role": "assistant", "content": "{content}", "tool_calls": [{}, {}]}},
            {{"role": "tool", "content": "noon"}}, {{"role": "assistant", "content": "Noon."}}]"#,
            call("now"),
            call("here")
        ))
    };
    for content in ["I look.", "<call>me</call>", "now", "<"] {
        assert_eq!(
            runs(&masker(template), &conversation(content), &Rules::default()).expect("it has a mask"),
            [
                "<call>now</call><call>here</call>/tool_call/1".to_owned(),
                format!("{content}/content/1"),
                "<|e|>/end_of_turn/1".to_owned(),
                "Noon./content/3".to_owned(),
                "<|e|>/end_of_turn/3".to_owned(),
            ]
        );
    }
    // Results between the calls and the content are not the model's.
    let result = "{% if m.tool_calls and loop.nextitem is defined %}<result></result>{% endif %}{{ m.content }}";
    let with_results = template.replace("{{ m.content }}", result);
    let uncertain = runs(&masker(&with_results), &conversation("I look."), &Rules::default());
    assert_eq!(uncertain.unwrap_err(), "it is not certain where the chat template writes the tool calls of message 1");
    let nameless = template.replace("c.function.name", "'f'");
    let dropped = runs(&masker(&nameless), &conversation("I look."), &Rules::default());
    assert_eq!(dropped.unwrap_err(), "the chat template drops the names of the tool calls of message 1");
}

#[test]
fn calls_and_reasoning_are_found() {
    let rules = Rules::default();
    let expected = [
        "<think>why</think>/reasoning/1",
        "I look./content/1",
        "<call>f({\"x\": 1.0})<call>g({})/tool_call/1",
        "<|e|>/end_of_turn/1",
        "b/content/3",
        "<|e|>/end_of_turn/3",
    ];
    assert_eq!(runs(&masker(TOOLS), &parse(CALLS), &rules).expect("it has a mask"), expected);
    let without = Rules { reasoning: false, ..rules };
    assert_eq!(runs(&masker(TOOLS), &parse(CALLS), &without).expect("it has a mask"), expected[1..]);
    // A template that refuses results without calls.
    let strict = format!(
        "{{% if messages | length > 2 and messages[2].role == 'tool' and not messages[1].tool_calls %}}{{{{ raise_exception('no call') }}}}{{% endif %}}{TOOLS}"
    );
    assert_eq!(runs(&masker(&strict), &parse(CALLS), &rules).expect("it has a mask"), expected);
    let dropped = "the chat template drops the tool calls of message 1";
    assert_eq!(runs(&masker(CHATML), &parse(CALLS), &rules), Err(dropped.to_owned()));
}

#[test]
fn calls_end_where_their_turn_ends() {
    // The result says which call it is of, so without the calls it is written otherwise, too.
    let template = "{% set ns = namespace(calls=0) %}{% for m in messages %}<|s|>{{ m.role }}\n{% if m.tool_calls %}{% for c in m.tool_calls %}\
        [{{ ns.calls }} {{ c.function.name }}]{% set ns.calls = ns.calls + 1 %}{% endfor %}{% else %}{{ m.content }}{% endif %}\
        {% if m.role == 'tool' %} of {{ ns.calls }}{% endif %}<|e|>\n{% endfor %}\
        {% if add_generation_prompt %}<|s|>assistant\n{% endif %}";
    let before = "{% for m in messages %}<|s|>{{ m.role }}\n{% if m.role == 'tool' %}of {{ messages[loop.index0 - 1].tool_calls | length }}: {% endif %}\
        {{ m.content or '' }}{% for c in m.tool_calls or [] %}({{ c.function.name }}){% endfor %}<|e|>\n{% endfor %}\
        {% if add_generation_prompt %}<|s|>assistant\n{% endif %}";
    let messages = r#"[{"role": "user", "content": "u"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "now", "arguments": {}}}]},
        {"role": "tool", "content": "noon"}, {"role": "assistant", "content": "It is noon."}]"#;
    let end = |index: usize| format!("<|e|>/end_of_turn/{index}");
    let answer = || ["It is noon./content/3".to_owned(), end(3)];
    for (source, call) in [(template, "[0 now]"), (before, "(now)")] {
        let found = runs(&masker(source), &parse(messages), &Rules::default()).unwrap();
        assert_eq!(found[..2], [format!("{call}/tool_call/1"), end(1)], "{source}");
        assert_eq!(found[2..], answer());
    }
}

#[test]
fn calls_have_their_names() {
    let template = "{% for m in messages %}<|s|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}[{{ c.id }}]{% endfor %}<|e|>\n\
        {% endfor %}{% if add_generation_prompt %}<|s|>assistant\n{% endif %}";
    let of = |id: &str| {
        let call = format!(r#"{{"id": "{id}", "type": "function", "function": {{"name": "now", "arguments": {{}}}}}}"#);
        let messages =
            format!(r#"[{{"role": "user", "content": "u"}}, {{"role": "assistant", "tool_calls": [{call}]}}]"#);
        runs(&masker(template), &parse(&messages), &Rules::default())
    };
    assert_eq!(of("functions.now:0").unwrap()[0], "[functions.now:0]/tool_call/1");
    assert_eq!(of("call_1").unwrap_err(), "the chat template drops the names of the tool calls of message 1");
}

#[test]
fn media_that_are_not_written_are_found() {
    let texts = "{% for m in messages %}<|s|>{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text or '' }}\
        {% endfor %}{% endif %}<|e|>{% endfor %}";
    let all = texts.replace("{{ p.text or '' }}", "{{ p.text or '<image>' }}");
    let conversation = parse(
        r#"[{"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"}]"#,
    );
    for (source, unwritten) in [(texts, Some(1)), (all.as_str(), None)] {
        let masker = masker(source);
        let text = masker.render(&conversation, Ending::Closed).unwrap().text;
        assert_eq!(masker.unwritten_media(&conversation, &text, Ending::Closed), unwritten);
    }
}

#[test]
fn turns_without_an_end_are_said() {
    let source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}";
    let masker = masker(source);
    assert_eq!(masker.end_of_turn(), None);
    let masked = masker.mask(&parse(TURNS), &Rules::default()).expect("it has a mask");
    assert_eq!(masked.unended, [2, 4, 6]);
    // The last answer ends otherwise than those before.
    let source = "{% for m in messages %}<|s|>{{ m.role }} {{ m.content }}{{ '<|tool|>' if loop.last else '<|e|>' }}{% endfor %}";
    let runs = runs(&self::masker(source), &parse(TURNS), &Rules::default()).expect("it has a mask");
    assert_eq!([&runs[1], &runs[5]], ["<|e|>/end_of_turn/2", "<|tool|>/end_of_turn/6"]);
}

#[test]
fn empty_answers_have_their_block() {
    let messages = r#"[{"role": "user", "content": "u", "train": false}, {"role": "assistant", "content": ""},
        {"role": "user", "content": "v"}, {"role": "assistant", "content": "b", "weight": 0}]"#;
    let of = |messages: &str| runs(&masker(MARKED), &parse(messages), &Rules::default());
    assert_eq!(of(messages).expect("it has a mask"), ["<|e|>/marked/1"]);
    let two = messages.replace(r#"{"role": "user", "content": "v"}"#, r#"{"role": "assistant", "content": ""}"#);
    assert_eq!(
        of(&two),
        Err("it is not certain where the chat template writes the marked text of message 1".to_owned())
    );
}

#[test]
fn empty_answers_are_ended() {
    let messages = r#"[{"role": "user", "content": "u"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "v"},
        {"role": "assistant", "content": " \n"}, {"role": "user", "content": "w"}, {"role": "assistant", "content": "b"}]"#;
    let rules = Rules::default();
    let of = |source: &str, rules: &Rules| runs(&masker(source), &parse(messages), rules).expect("it has a mask");
    let ends = [1, 3].map(|message| format!("<|e|>/end_of_turn/{message}"));
    let last = ["b/content/5", "<|e|>/end_of_turn/5"].map(str::to_owned);
    assert_eq!(of(&CHATML.replace("m.content", "m.content | trim"), &rules), [&ends[..], &last].concat());
    let found = of(CHATML, &rules);
    assert_eq!(found, [&ends[..1], &[" \n/content/3".to_owned()], &ends[1..], &last].concat());
    assert_eq!(of(CHATML, &Rules { end_of_turn: false, ..rules }), [" \n/content/3", "b/content/5"]);
    // A template that writes no turn for an answer that says nothing has none to end, nor has one that writes something instead.
    let without = format!("{{% set messages = messages | selectattr('content') | list %}}{CHATML}");
    assert_eq!(of(&without, &rules), found[1..]);
    let instead = CHATML.replace("m.content", "m.content or '(nothing)'");
    assert_eq!(of(&instead, &rules), found[1..]);
}

#[test]
fn all_tokens_that_end_every_turn_are_found() {
    let source = "{% for m in messages %}<|s|>{{ m.role }} {{ m.content }}{% if m.role == 'assistant' %}<|tool|>{% endif %}<|e|>{% endfor %}";
    let masker = masker(source);
    let end = masker.end_of_turn().expect("the template ends turns");
    assert_eq!(end.tokens, ["<|tool|>", "<|e|>"]);
    let found = runs(&masker, &parse(TURNS), &Rules::default()).expect("it has a mask");
    assert_eq!([&found[1], &found[5]], ["<|tool|><|e|>/end_of_turn/2", "<|tool|><|e|>/end_of_turn/6"]);
    // What ends the conversation only is no end of an earlier turn, and the next header is none.
    let source =
        "{% for m in messages %}<|s|>{{ m.role }} {{ m.content }}<|e|>{{ '<|tool|>' if loop.last }}{% endfor %}";
    let found = runs(&self::masker(source), &parse(TURNS), &Rules::default()).expect("it has a mask");
    assert_eq!([&found[1], &found[5]], ["<|e|>/end_of_turn/2", "<|e|><|tool|>/end_of_turn/6"]);
}

#[test]
fn turns_end_before_messages_that_are_moved() {
    let of = |role: &str| {
        format!(
            "{{% for m in messages if m.role {role} 'system' %}}<|s|>{{{{ m.role }}}} {{{{ m.content }}}}<|e|>{{% endfor %}}"
        )
    };
    let messages = r#"[{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}, {"role": "system", "content": "S"},
        {"role": "user", "content": "v"}, {"role": "assistant", "content": "b"}]"#;
    let found = runs(&masker(&(of("==") + &of("!="))), &parse(messages), &Rules::default()).expect("it has a mask");
    assert_eq!(found, ["a/content/1", "<|e|>/end_of_turn/1", "b/content/4", "<|e|>/end_of_turn/4"]);
}

/// Any text, often with what templates look for.
fn odd_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "\\PC{0,4}",
        prop::sample::select(vec![
            "",
            " ",
            "\n",
            "<think>",
            "</think>",
            "<|e|>",
            "<|s|>",
            "[placeholder one]",
            "[placeholder 0 of 2]",
            "e\u{301}",
            "\u{10fffe}",
            "\u{10ffff}",
            "{{ x }}",
            "a",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..6).prop_map(|words| words.concat())
}

fn odd_message() -> impl Strategy<Value = Message> {
    let role = prop::sample::select(vec!["system", "user", "assistant", "assistant", "tool", "", "developer"]);
    let call = r#"[{"id": "1", "function": {"name": "f", "arguments": {"a": [1, null]}}}]"#;
    let odd = prop::sample::select(vec![
        "null",
        "[]",
        "{}",
        "1e400",
        "[{\"text\": \"x\"}]",
        "true",
        call,
        "\"\"",
        "[[[]]]",
        "-0.0",
    ]);
    (role, odd_text(), prop::option::of(odd_text()), prop::option::of(odd.clone()), prop::option::of(odd)).prop_map(
        |(role, content, reasoning, calls, instead)| {
            let json = |text: &str| Json::parse(text).expect("it is JSON");
            let mut message = Message::new(role, instead.map_or_else(|| Json::from(content), json));
            if let Some(reasoning) = reasoning {
                message = message.with("reasoning_content", Json::from(reasoning));
            }
            if let Some(calls) = calls {
                message = message.with("tool_calls", json(calls));
            }
            message
        },
    )
}

fn odd_conversation() -> impl Strategy<Value = Conversation> {
    prop::collection::vec(odd_message(), 0..6).prop_map(Conversation::new)
}

const TEMPLATES: [&str; 7] = [
    "You are é, \u{ff5c} and so on.{% for m in messages %}<\u{ff5c}{{ m.role }}\u{ff5c}>{{ m.content }}\u{ff5d}{% endfor %}",
    CHATML,
    MARKED,
    TOOLS,
    "{% for m in messages %}<|s|>{{ m.role }} {{ m.content | trim }}{{ ' <|e|>' if not loop.last }}{% endfor %}",
    "{% set x = messages[-1].content %}{% for m in messages %}{{ m.content.split('</think>')[-1] }}<|e|>{{ x }}{% endfor %}",
    "{% macro turn(m) %}[{% generation %}{{ m.content }}{% endgeneration %}]{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn masks_of_odd_conversations_are_in_order(
        conversation in odd_conversation(),
        template in prop::sample::select(TEMPLATES.to_vec()),
        train_on in prop::sample::select(vec![TrainOn::Assistant, TrainOn::Last, TrainOn::Completion, TrainOn::All]),
        reasoning in any::<bool>(),
    ) {
        let masker = masker(template);
        if let Ok(masked) = masker.mask(&conversation, &Rules { train_on, reasoning, end_of_turn: true }) {
            let mut at = 0;
            for run in &masked.runs {
                prop_assert!(at <= run.bytes.start && run.bytes.start < run.bytes.end);
                prop_assert!(masked.text.get(run.bytes.clone()).is_some());
                at = run.bytes.end;
            }
        }
        let _ = masker.sinks();
    }

    #[test]
    fn the_fast_way_finds_what_the_slow_way_finds(
        texts in prop::collection::vec(odd_text(), 1..6),
        template in prop::sample::select(TEMPLATES.to_vec()),
    ) {
        let masker = masker(template);
        let role = |index: usize| if index.is_multiple_of(2) { "user" } else { "assistant" };
        let messages = texts.into_iter().enumerate().map(|(index, text)| Message::new(role(index), text)).collect();
        let conversation = Conversation::new(messages);
        let Ok(rendered) = masker.render(&conversation, Ending::Closed) else { return Ok(()) };
        let places = Places::new(&masker, &conversation, &rendered.text);
        for message in 0..conversation.messages.len() {
            // Where the fast way is sure, the slow way must be too, and find the same but for whitespace at the edges.
            if let (Some(quick), Some(slow)) = (places.quick(message), places.changed(message, Field::Content)) {
                prop_assert_eq!(rendered.text[quick].trim(), rendered.text[slow].trim());
            }
        }
    }
}

#[test]
fn contents_stand_where_they_are_written() {
    let marked = "{% for m in messages %}<|s|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim }}<|e|>\
        {% endgeneration %}{% else %}{{ m.content }}<|e|>{% endif %}\n{% endfor %}";
    let messages = r#"[{"role": "user", "content": "same"}, {"role": "assistant", "content": " same "},
        {"role": "user", "content": "  "}, {"role": "assistant", "content": "é"}]"#;
    for (source, train_on, answer) in [
        (CHATML, TrainOn::Assistant, " same "),
        (CHATML, TrainOn::All, " same "),
        (marked, TrainOn::Assistant, "same"),
        (marked, TrainOn::Last, "same"),
    ] {
        let masked = masker(source).mask(&parse(messages), &Rules { train_on, ..Rules::default() }).unwrap();
        let contents = masked.contents.expect("it is certain");
        let texts: Vec<Option<&str>> =
            contents.iter().map(|bytes| bytes.clone().map(|bytes| &masked.text[bytes])).collect();
        assert_eq!(texts, [Some("same"), Some(answer), None, Some("é")]);
    }
    // What a template writes twice, or turns upside down, is not certain; nor are parts.
    let twice = "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}";
    let parts =
        r#"[{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "content": "b"}]"#;
    let upper = "{% for m in messages %}{{ m.content | upper }}{% endfor %}";
    for (source, messages) in [(twice, messages), (upper, messages), (CHATML, parts)] {
        let conversation = parse(messages);
        let masker = masker(source);
        let text = masker.render(&conversation, Ending::Closed).unwrap().text;
        assert_eq!(masker.contents(&conversation, &text, Ending::Closed), None, "{source}");
    }
}
