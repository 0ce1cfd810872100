//! The sample model: its files, and what they make of conversations.

#[path = "../examples/sample.rs"]
mod sample;

use datac_model::{
    ChatTemplate, Conversation, DateTime, Encoded, Masker, Message, Model, Reason, Rewritten, Rules, Settings, Shown,
    TemplateFiles, Templates, Tokenizer, TokenizerFile, TrainOn,
};

const FILE: &str = include_str!("../sample/tokenizer.json");

fn templates() -> Templates {
    let additional = [
        ("plain", include_str!("../sample/additional_chat_templates/plain.jinja")),
        ("tool_use", include_str!("../sample/additional_chat_templates/tool_use.jinja")),
    ];
    let files = TemplateFiles {
        tokenizer_config: Some(include_str!("../sample/tokenizer_config.json")),
        chat_template: Some(include_str!("../sample/chat_template.jinja")),
        additional: &additional,
    };
    Templates::read(files).expect("the files are valid")
}

fn tokenizer() -> &'static TokenizerFile {
    static TOKENIZER: std::sync::LazyLock<TokenizerFile> =
        std::sync::LazyLock::new(|| TokenizerFile::read(FILE).expect("the file is valid"));
    &TOKENIZER
}

fn model(name: Option<&str>, has_tools: bool) -> Model<&'static TokenizerFile> {
    let templates = templates();
    let settings = Settings::at(jiff::civil::date(2026, 1, 2).at(3, 4, 5, 0));
    let source = templates.choose(name, has_tools).expect("there is such a template");
    let template = ChatTemplate::compile(source, settings).expect("it is valid");
    let special = tokenizer().vocabulary().special().map(|token| token.text.clone()).collect();
    Model::new(tokenizer(), Masker::new(template, templates.variables([]), special))
}

/// The parts that are trained on, put together from their tokens.
fn trained(encoded: &Encoded) -> Vec<(String, Reason)> {
    let text = |run: &datac_model::TokenRun| {
        let bytes = tokenizer().decode(&encoded.ids[run.tokens.clone()]);
        (String::from_utf8_lossy(&bytes).into_owned(), run.reason)
    };
    encoded.runs.iter().map(text).collect()
}

#[test]
fn the_file_is_what_the_example_writes() {
    assert_eq!(
        FILE,
        sample::tokenizer(),
        "cargo run -p datac-model --example sample > crates/model/sample/tokenizer.json"
    );
}

fn rivers() -> Conversation {
    Conversation::new(vec![
        Message::new("user", "What is a river?"),
        Message::new("assistant", "Water that flows."),
        Message::new("user", "And a mountain?"),
        Message::new("assistant", " A high hill.\n"),
    ])
}

#[test]
fn marks_are_trained_on() {
    let encoded = model(None, false).encode(&rivers(), &Rules::default()).expect("it can be encoded");
    let expected = [("Water that flows.<|end|>\n", Reason::Marked), (" A high hill.\n<|end|>\n", Reason::Marked)];
    assert_eq!(trained(&encoded), expected.map(|(text, reason)| (text.to_owned(), reason)));
    assert_eq!(tokenizer().decode(&encoded.ids), encoded.masked.text.as_bytes());
    assert_eq!(encoded.mask().iter().filter(|trained| **trained == 1).count(), encoded.trained());
}

#[test]
fn placeholders_find_trimmed_answers() {
    let encoded = model(Some("plain"), false).encode(&rivers(), &Rules::default()).expect("it can be encoded");
    let expected = [
        ("Water that flows.", Reason::Content),
        ("<|end|>", Reason::EndOfTurn),
        ("A high hill.", Reason::Content),
        ("<|end|>", Reason::EndOfTurn),
    ];
    // The space before an answer belongs to its first token: any overlap counts.
    let trimmed = |(text, reason): (String, Reason)| (text.trim_start().to_owned(), reason);
    let found: Vec<_> = trained(&encoded).into_iter().map(trimmed).collect();
    assert_eq!(found, expected.map(|(text, reason)| (text.to_owned(), reason)));
    let rules = Rules { train_on: TrainOn::Last, end_of_turn: false, ..Rules::default() };
    let last = model(Some("plain"), false).encode(&rivers(), &rules).expect("it can be encoded");
    assert_eq!(trained(&last), [(" A high hill.".to_owned(), Reason::Content)]);
}

#[test]
fn calls_and_reasoning_have_their_own_reasons() {
    let messages = r#"[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Rome?"},
        {"role": "assistant", "content": "", "reasoning_content": "I must look.",
         "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome", "days": 1.0}}}]},
        {"role": "tool", "content": "sunny"},
        {"role": "assistant", "content": "Sunny.", "reasoning_content": "It says so."}
    ]"#;
    let tools = r#"[{"type": "function", "function": {"name": "weather"}}]"#;
    let conversation = Conversation::parse(messages, Some(tools)).expect("it is valid");
    let model = model(None, true);
    let encoded = model.encode(&conversation, &Rules::default()).expect("it can be encoded");
    assert!(encoded.masked.text.contains("Be brief.\n\nToday is 2026-01-02."));
    let expected = [
        ("<|think|>I must look.", Reason::Reasoning),
        ("<|/think|>\n<|call|>weather {\"city\": \"Rome\", \"days\": 1.0}", Reason::ToolCall),
        ("<|end|>", Reason::EndOfTurn),
        ("<|think|>It says so.<|/think|>\n", Reason::Reasoning),
        ("Sunny.", Reason::Content),
        ("<|end|>", Reason::EndOfTurn),
    ];
    assert_eq!(trained(&encoded), expected.map(|(text, reason)| (text.to_owned(), reason)));
    assert_eq!(encoded.masked.runs[1].message, Some(2));
}

#[test]
fn sinks_are_said() {
    let plain = model(Some("plain"), false).masker().sinks();
    assert_eq!(plain.begins_with.as_deref(), Some("<|begin|>"));
    assert_eq!(plain.system, Shown::Shown);
    assert_eq!(plain.tools, Shown::Dropped);
    assert_eq!(plain.reasoning, Shown::Dropped);
    assert_eq!(plain.calls, Shown::Refused("only questions and answers, please: tool".to_owned()));
    assert_eq!(plain.default_system, None);
    let tools = model(None, true).masker().sinks();
    assert_eq!([&tools.calls, &tools.calls_as_text, &tools.tool_results, &tools.reasoning], [&Shown::Shown; 4]);
    assert_eq!([&tools.earlier_reasoning, &tools.parts], [&Shown::Dropped, &Shown::Printed]);
    assert_eq!(tools.developer, Shown::Shown);
    assert_eq!((&plain.rewritten, plain.begins_alike), (&vec![], true));
    assert_eq!((&tools.rewritten, tools.begins_alike), (&vec![Rewritten::Reasoning], true));
}

#[test]
fn what_is_written_otherwise_later_is_said() {
    let sinks = |source: &str| {
        let template =
            ChatTemplate::compile(source, Settings::at(DateTime::constant(2026, 1, 31, 0, 0, 0, 0))).unwrap();
        Masker::new(template, Vec::new(), Vec::new()).sinks()
    };
    // Only the last turn has a marker; answers begin with a word that the prompt of the model does not have.
    let found = sinks(
        "{% for m in messages %}{{ '>' if loop.index > messages | length - 2 }}{{ m.role }}:{{ m.content }};{% endfor %}{% if add_generation_prompt %}assistant>{% endif %}",
    );
    assert_eq!(found.rewritten, [Rewritten::Answer, Rewritten::Reasoning, Rewritten::Call]);
    assert!(!found.begins_alike);
    let found = sinks(
        "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
    );
    assert!(found.rewritten.is_empty() && found.begins_alike);
}

#[test]
fn control_tokens_in_contents_are_found() {
    let found = tokenizer().vocabulary().special_in("an <|end|>, a <|turn|> and <|end|>");
    assert_eq!(found.iter().map(|token| token.text.as_str()).collect::<Vec<_>>(), ["<|end|>", "<|turn|>"]);
}
