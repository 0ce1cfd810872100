//! Rows as a model sees them: what is rendered again after which edit, what a model refuses, and what is written.

use std::{collections::BTreeMap, fmt::Write as _, fs, ops::Range};

use arrow_array::{
    Array, ListArray, RecordBatch,
    cast::AsArray,
    types::{Int8Type, Int32Type},
};
use datac::workspace::BuildOptions;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::space::{Space, count, ran};

/// Dialogues of one or two turns, some of which the sample model refuses.
pub(crate) fn dialogues(numbers: Range<usize>) -> String {
    let mut rows = String::new();
    for number in numbers {
        let user = |text: &str| format!("{{\"role\":\"user\",\"content\":\"{text}\"}}");
        let assistant = |text: &str| format!("{{\"role\":\"assistant\",\"content\":\"{text}\"}}");
        let messages = match number % 20 {
            3 => [user("Ends <|end|> here."), assistant("No.")].join(","),
            7 => format!("{{\"role\":\"developer\",\"content\":\"Be brief.\"}},{},{}", user("Hi"), assistant("Hello.")),
            11 => {
                let unweighted = format!("{{\"role\":\"assistant\",\"content\":\"Wrong {number}.\",\"weight\":0}}");
                [user(&format!("Is it {number}?")), unweighted].join(",")
            }
            13 => [user("One?"), assistant("Two."), user(&format!("And {number}?")), assistant("Three.")].join(","),
            _ => [user(&format!("What is {number}?")), assistant(&format!("A number: {number}."))].join(","),
        };
        writeln!(rows, "{{\"messages\":[{messages}]}}").unwrap();
    }
    rows
}

pub(crate) fn with(model: &str) -> String {
    format!(
        "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: chat, source: data/a.jsonl }}\nvalidation: {{ ratio: 0.1, seed: 42 }}\n{model}\n"
    )
}

const MODEL: &str = "model: datac/sample\noutput: [native, {shape: tokens, id: true}]";

pub(crate) fn space() -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues(0..2000));
    space.write("config/a.yaml", with(MODEL));
    space
}

/// The rows of a file of ids: ids and labels.
pub(crate) fn token_rows(space: &Space, file: &str) -> Vec<(Vec<i64>, Vec<i64>)> {
    let reader = fs::File::open(space.path(file)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(reader).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch: RecordBatch = batch.unwrap();
        let column = |name: &str| -> ListArray { batch.column_by_name(name).unwrap().as_list::<i32>().clone() };
        let (ids, mask, labels) = (column("input_ids"), column("attention_mask"), column("labels"));
        let values = |list: &ListArray, row: usize| -> Vec<i64> {
            list.value(row).as_primitive::<Int32Type>().values().iter().map(|value| i64::from(*value)).collect()
        };
        for row in 0..ids.len() {
            let (ids, labels) = (values(&ids, row), values(&labels, row));
            assert_eq!(mask.value(row).as_primitive::<Int8Type>().values(), &vec![1; ids.len()][..]);
            assert_eq!(ids.len(), labels.len());
            assert!(ids.iter().zip(&labels).all(|(id, label)| *label == -100 || label == id));
            rows.push((ids, labels));
        }
    }
    rows
}

#[test]
fn a_row_is_written_as_ids_with_labels_where_it_is_trained_on() {
    let space = space();
    let report = space.build();
    assert!(count(&report, "render") > 1, "{}", ran(&report));
    // Of 2,000 rows 100 hold a control token, 100 are of a role that the template refuses, of 100 nothing is trained on.
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for line in space.text("dataset/quarantine/sft_a.jsonl").lines() {
        let reject: serde_json::Value = serde_json::from_str(line).unwrap();
        let why = format!("{}: {}", reject["reason"].as_str().unwrap(), reject["detail"].as_str().unwrap());
        assert_eq!(reject["row"].as_u64().unwrap() + 1, reject["line"].as_u64().unwrap());
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((why, 1)),
        }
    }
    let expected = [
        ("special_token: message 1 (user) holds the control token `<|end|>`", 100),
        ("not_rendered: the role developer is not supported", 100),
        ("nothing_trained: no message is trained on", 100),
    ];
    assert_eq!(reasons, expected.map(|(why, count)| (why.to_owned(), count)));
    // The rows of ids are the native rows, in their order.
    let native: Vec<String> = space.text("dataset/sft_a_val.jsonl").lines().map(str::to_owned).collect();
    let rows = token_rows(&space, "dataset/sft_a/tokens/val.parquet");
    assert_eq!(native.len(), rows.len());
    let mut seen = Vec::new();
    let each = |row| {
        seen.push(row);
        true
    };
    space.workspace().outputs().seen("sft_a/tokens/val.parquet", 1, u64::MAX, each).unwrap();
    assert_eq!(seen.len(), rows.len());
    for ((native, (ids, labels)), seen) in native.iter().zip(&rows).zip(&seen) {
        let [sequence] = &seen.sequences[..] else { panic!("one sequence") };
        assert_eq!(sequence.ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>(), *ids);
        let native: serde_json::Value = serde_json::from_str(native).unwrap();
        let mut text = String::new();
        let mut trained = String::new();
        for message in native["conversations"].as_array().unwrap() {
            let (role, content) = (message["role"].as_str().unwrap(), message["content"].as_str().unwrap());
            let written = format!("{content}<|end|>\n");
            text += &format!("<|turn|>{role}\n{written}");
            trained += if role == "assistant" { &written } else { "" };
        }
        assert_eq!(sequence.text, text, "the text is what the template writes");
        let of_labels = sequence.tokens.iter().zip(labels).filter(|(_, label)| **label != -100);
        assert_eq!(of_labels.map(|(token, _)| token.as_str()).collect::<String>(), trained);
    }
}

#[test]
fn edits_render_what_they_touch_and_bytes_are_those_of_a_clean_build() {
    let space = space();
    // Rows of some length, so that there are several chunks.
    let rows = dialogues(0..1000).replace("\"content\":\"What", &format!("\"content\":\"{} What", "word ".repeat(600)));
    space.write("data/a.jsonl", rows);
    let whole = count(&space.build(), "render");
    assert!(whole >= 4, "several chunks and the model: {whole}");
    for (from, to) in
        [("What is 42?", "What is 42, then?"), ("Be brief.", "Be very brief."), ("\"weight\":0", "\"weight\":1")]
    {
        space.edit("data/a.jsonl", from, to);
        let report = space.build();
        assert_eq!(count(&report, "render"), 1, "one chunk: {}", ran(&report));
        space.assert_settled();
        space.assert_clean();
    }
    let text = space.text("data/a.jsonl");
    space.write("data/a.jsonl", text + &dialogues(5000..5001));
    assert_eq!(count(&space.build(), "render"), 1);
    space.assert_clean();
    // A bound renders nothing, nor does another split; another argument renders all.
    for (from, to, renders) in [
        ("model: datac/sample", "model: { source: datac/sample, max_tokens: 30 }", 0),
        ("max_tokens: 30", "max_tokens: 40", 0),
        ("seed: 42", "seed: 43", 0),
        ("max_tokens: 40", "max_tokens: 40, train_on: last", whole),
        ("train_on: last", "train_on: last, special_tokens: allow", whole),
        ("train_on: last, special_tokens: allow", "arguments: {mood: kind}", whole),
    ] {
        space.edit("config/a.yaml", from, to);
        let report = space.build();
        assert_eq!(count(&report, "render"), renders, "{to}: {}", ran(&report));
        assert_eq!(count(&report, "convert"), 0, "{to}: {}", ran(&report));
        space.assert_settled();
        space.assert_clean();
    }
}

#[test]
fn ids_are_written_beside_what_is_excluded() {
    let space = space();
    let excluded = "exclude: [{ name: held, source: data/held.jsonl }]\n";
    space.write("data/held.jsonl", dialogues(0..500));
    space.write("config/a.yaml", with(&format!("{excluded}{MODEL}")));
    space.build();
    let native = space.text("dataset/sft_a_train.jsonl").lines().count();
    assert!(native > 1000 && native < 1500, "{native}");
    assert_eq!(token_rows(&space, "dataset/sft_a/tokens/train.parquet").len(), native);
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn a_tokenizer_without_a_chat_template_encodes_and_counts_texts() {
    let space = Space::new();
    let texts = |name: &str, words: usize| {
        let text = |number: usize| format!("{{\"text\":\"{name} {number}.{}\"}}\n", " word".repeat(words + number % 7));
        (0..200).map(text).collect::<String>()
    };
    space.write("data/a.jsonl", texts("Long", 30));
    space.write("data/b.jsonl", texts("Short", 3));
    space.write("data/bare/tokenizer.json", include_str!("../../crates/model/sample/tokenizer.json"));
    space.write("data/bare/tokenizer_config.json", "{\"eos_token\": \"<|end|>\"}");
    let recipe = "metadata: { phase: pretrain }\ndatasets:\n  - { name: a, source: data/a.jsonl, mix_ratio: 0.5 }\n  - { name: b, source: \
                  data/b.jsonl, mix_ratio: 0.5 }\nmix: { unit: tokens, strategy: cut }\nvalidation: { ratio: 0 }\nmodel: data/bare/\n\
                  output: [native, tokens]\n";
    space.write("config/a.yaml", recipe);
    let report = space.build();
    let summary = report.recipes[0].summary.as_ref().unwrap();
    assert!((summary.sources[0].realised - 0.5).abs() < 0.05, "{}", summary.sources[0].realised);
    assert!(summary.sources[0].rows * 3 < summary.sources[1].rows, "{summary:?}");
    let ids = token_rows(&space, "dataset/pretrain_a/tokens/train.parquet");
    assert!(!ids.is_empty() && ids.iter().all(|(ids, _)| ids.last() == Some(&418)));
    space.assert_clean();
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let outputs = [1, 2, 8].map(|jobs| {
        let space = space();
        space.build_with(&BuildOptions { jobs, ..BuildOptions::default() });
        space.outputs()
    });
    assert!(outputs[0].len() > 5);
    assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2]);
}

#[test]
fn tokens_of_the_model_are_what_filters_and_shares_count() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues(0..200));
    space.write("data/b.jsonl", dialogues(1000..1400));
    let mixed = "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: data/a.jsonl, mix_ratio: 0.5 }\n  - { name: b, source: \
                 data/b.jsonl, mix_ratio: 0.5 }\nmix: { unit: tokens, strategy: cut }\nmodel: datac/sample\noutput: [native, tokens]\n";
    space.write("config/a.yaml", mixed);
    let report = space.build();
    let mut lengths = std::collections::BTreeMap::from([("a", 0), ("b", 0)]);
    for side in ["train", "val"] {
        let native = space.text(&format!("dataset/sft_a_{side}.jsonl"));
        let rows = token_rows(&space, &format!("dataset/sft_a/tokens/{side}.parquet"));
        assert_eq!(native.lines().count(), rows.len());
        for (native, (ids, _)) in native.lines().zip(&rows) {
            let source = if native.contains("\"source\":\"a\"") { "a" } else { "b" };
            *lengths.get_mut(source).unwrap() += ids.len() as u64;
        }
    }
    let of = |name: &str| lengths[name];
    assert!(of("a").abs_diff(of("b")) < 60, "within a row or two: {lengths:?}");
    let summary = report.recipes[0].summary.as_ref().unwrap();
    let share = of("a") as f64 / (of("a") + of("b")) as f64;
    assert!((summary.sources[0].realised - share).abs() < 1e-9, "the report counts the tokens that are written");
}

/// Counts the tokens that hold a part of what each role says, by the messages of the native rows and how the sample's template
/// writes them.
fn tokens_by_role(space: &Space, side: &str) -> BTreeMap<String, u64> {
    let native = space.text(&format!("dataset/sft_a_{side}.jsonl"));
    let (mut native, mut counted) = (native.lines(), BTreeMap::new());
    let each = |row: datac::workspace::SeenRow| {
        let messages: serde_json::Value = serde_json::from_str(native.next().unwrap()).unwrap();
        let [sequence] = &row.sequences[..] else { panic!("one sequence") };
        let mut tokens: Vec<Range<usize>> = Vec::new();
        for token in &sequence.tokens {
            let start = tokens.last().map_or(0, |before| before.end);
            tokens.push(start..start + token.len());
        }
        let mut begin = 0;
        for message in messages["conversations"].as_array().unwrap() {
            let (role, content) = (message["role"].as_str().unwrap(), message["content"].as_str().unwrap());
            begin += format!("<|turn|>{role}\n").len();
            let end = begin + content.len();
            let overlaps = tokens.iter().filter(|token| token.start < end && begin < token.end).count() as u64;
            *counted.entry(role.to_owned()).or_default() += overlaps;
            begin = end + "<|end|>\n".len();
        }
        true
    };
    space.workspace().outputs().seen(&format!("sft_a/tokens/{side}.parquet"), 1, u64::MAX, each).unwrap();
    counted
}

#[test]
fn tokens_that_are_trained_on_are_counted_and_filtered_by() {
    let space = space();
    space.write("config/a.yaml", with("model: datac/sample\noutput: [native, tokens]"));
    space.build();
    let trained = |labels: &[i64]| labels.iter().filter(|label| **label != -100).count();
    let rows = token_rows(&space, "dataset/sft_a/tokens/train.parquet");
    let stats = space.workspace().outputs().stats(&["a".to_owned()]).unwrap();
    let [train, validation] = &stats.recipes[0].tokens[..] else { panic!("{stats:?}") };
    let sum = |count: &dyn Fn(&(Vec<i64>, Vec<i64>)) -> usize| rows.iter().map(count).sum::<usize>() as u64;
    assert_eq!(train.all.samples, rows.len() as u64);
    assert_eq!(train.all.tokens, sum(&|(ids, _)| ids.len()));
    assert_eq!(train.all.trained, sum(&|(_, labels)| trained(labels)));
    assert_eq!(train.all.lengths.longest, rows.iter().map(|(ids, _)| ids.len()).max().unwrap() as u64);
    assert_eq!(train.sources["chat"], train.all);
    assert!(validation.all.samples > 0);
    let roles = train.all.roles.as_ref().expect("dialogues have roles");
    let counted = tokens_by_role(&space, "train");
    let of = |role: &str| counted.get(role).copied().unwrap_or_default();
    assert_eq!((roles.user, roles.assistant, roles.system, roles.tool), (of("user"), of("assistant"), 0, 0));
    assert_eq!(roles.template, train.all.tokens - of("user") - of("assistant"));
    assert!(of("user") > 0 && of("assistant") > 0 && roles.unknown_samples == 0, "{roles:?}");
    // A filter of them reads what is known.
    let bound = rows.iter().map(|(_, labels)| trained(labels)).sum::<usize>() / rows.len() + 1;
    let filter = format!("filters: [{{ type: length, unit: trained_tokens, min_length: {bound} }}]");
    space.edit("config/a.yaml", "source: data/a.jsonl }", &format!("source: data/a.jsonl, {filter} }}"));
    let report = space.build();
    assert_eq!(
        (count(&report, "render"), count(&report, "convert"), count(&report, "score")),
        (0, 0, 0),
        "{}",
        ran(&report)
    );
    let left = token_rows(&space, "dataset/sft_a/tokens/train.parquet");
    let passes = rows.iter().filter(|(_, labels)| trained(labels) >= bound).count();
    assert!(left.iter().all(|(_, labels)| trained(labels) >= bound) && passes > 0 && passes < rows.len());
    let told = space.datac(&["trace", "dataset/sft_a_train.jsonl:1"]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("trained_tokens"), "{told}");
    space.assert_clean();
    // The note for the trainer is the limit of a model that has none.
    let longest = rows.iter().map(|(ids, _)| ids.len()).max().unwrap();
    space.edit("config/a.yaml", &format!(", {filter}"), "");
    space.edit("config/a.yaml", "phase: sft", &format!("phase: sft, max_seq_length: {}", longest - 1));
    space.build();
    let shorter = token_rows(&space, "dataset/sft_a/tokens/train.parquet");
    assert!(!shorter.is_empty() && shorter.iter().all(|(ids, _)| ids.len() < longest));
    space.assert_clean();
}

#[test]
fn models_that_cannot_be_used_are_told_where_the_recipe_names_them() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues(0..20));
    space.write("models/empty/readme.txt", "nothing");
    space.write("models/broken/tokenizer.json", "{");
    space.write("models/bare/tokenizer.json", include_str!("../../crates/model/sample/tokenizer.json"));
    space.write("data/mine.jinja", "{% for m in messages %}{{ m.content }}{{ strftime_now('%Y') }}{% endfor %}");
    for (model, problem, line) in [
        ("model: { source: models/empty/ }", "`models/empty/` has no `tokenizer.json`", 5),
        ("model: { source: models/broken/ }", "the model cannot be used: `tokenizer.json` is invalid", 5),
        ("model: { source: models/bare/ }", "the model has no chat template", 5),
        ("model: { source: datac/other }", "datac/other", 5),
        ("model: models/mine", "failed to find model `models/mine`", 5),
        ("model:\n  source: datac/sample\n  template: other", "the model has no chat template `other`", 7),
        (
            "model:\n  source: datac/sample\n  template: data/other.jinja",
            "the template `data/other.jinja` does not exist",
            7,
        ),
        ("model:\n  source: datac/sample\n  template: data/mine.jinja", "its chat template writes the date", 6),
    ] {
        space.write("config/a.yaml", with(model));
        let report = space.try_build(&BuildOptions::default()).unwrap();
        let failure = report.recipes[0].failure.as_ref().unwrap_or_else(|| panic!("{model}"));
        assert!(failure.message.contains(problem), "{model}: {failure}");
        let text = space.text("config/a.yaml");
        let found = datac::config::problem_of(failure, text.as_bytes()).unwrap_or_else(|| panic!("{model}: no place"));
        assert_eq!((found.code, found.line), ("E0220", line), "{model}: {found}");
    }
    // What is mended builds, and a template that comes later is noticed.
    space
        .write("config/a.yaml", with("model:\n  source: datac/sample\n  template: data/mine.jinja\n  now: 2026-01-31"));
    space.build();
    let before = space.text("dataset/sft_a_train.jsonl");
    space.write("data/mine.jinja", "{% for m in messages %}[{{ m.content }}]{% endfor %}");
    assert!(count(&space.build(), "render") > 0);
    assert_eq!(space.text("dataset/sft_a_train.jsonl"), before, "native rows do not depend on the template");
    space.assert_clean();
}

#[test]
fn what_a_template_does_to_a_row_is_told() {
    let space = Space::new();
    let row = |question: &str, more: &str| {
        format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":{question}}},{{\"role\":\"assistant\",\"content\":\"Four.\"{more}}}]}}\n"
        )
    };
    let reasoned = ",\"reasoning_content\":\"Two and two.\"";
    let parts = "[{\"type\":\"text\",\"text\":\"What is it?\"},{\"type\":\"image\",\"image\":\"a.png\"}]";
    space.write(
        "data/a.jsonl",
        [row("\"2 + 2?\"", reasoned), row("\"1 + 3?\"", reasoned), row("\"4?\"", ""), row(parts, "")].concat(),
    );
    space.write("config/a.yaml", with("model: datac/sample").replace("ratio: 0.1", "ratio: 0"));
    let report = space.build();
    let notes = |report: &datac::workspace::BuildReport| -> Vec<String> {
        report.recipes[0].notes.iter().map(|note| note.text.clone()).collect()
    };
    assert_eq!(notes(&report), ["the chat template of `datac/sample` leaves out reasoning of 2 samples"]);
    let rejected: serde_json::Value =
        serde_json::from_str(space.text("dataset/quarantine/sft_a.jsonl").trim()).unwrap();
    assert_eq!(
        (rejected["reason"].as_str(), rejected["detail"].as_str()),
        (
            Some("not_rendered"),
            Some("the chat template writes the parts of message 1 as Python prints a list, not what they hold")
        )
    );
    // A template that writes both.
    space.write(
        "data/whole.jinja",
        "{% for m in messages %}<|turn|>{{ m.role }}\n{% if m.reasoning_content %}<|think|>{{ m.reasoning_content }}<|/think|>{% endif %}{% if \
         m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}{{ part.text or part.image }}{% endfor %}{% endif \
         %}<|end|>\n{% endfor %}",
    );
    space.edit("config/a.yaml", "model: datac/sample", "model: { source: datac/sample, template: data/whole.jinja }");
    let report = space.build();
    assert_eq!((notes(&report), count(&report, "convert")), (Vec::new(), 0));
    assert!(!space.path("dataset/quarantine/sft_a.jsonl").exists());
    assert_eq!(space.text("dataset/sft_a_train.jsonl").lines().count(), 4);
    // One that writes the texts alone: the answer would be about a picture that nobody sees.
    let texts = space.text("data/whole.jinja").replace("part.text or part.image", "part.text");
    space.write("data/whole.jinja", texts);
    space.build();
    let rejected = space.text("dataset/quarantine/sft_a.jsonl");
    assert!(
        rejected.contains("the chat template writes nothing of the picture, video or sound in message 1"),
        "{rejected}"
    );
    assert_eq!(rejected.lines().count(), 1);
    space.assert_clean();
}

#[test]
fn a_template_for_tools_that_cannot_be_used_fails_the_recipes_with_tools() {
    let space = Space::new();
    let plain =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Where?\"},{\"role\":\"assistant\",\"content\":\"Here.\"}]";
    let tools = ",\"tools\":[{\"name\":\"look\",\"parameters\":{}}]";
    space.write("data/a.jsonl", format!("{plain}{tools}}}\n{plain}}}\n"));
    space.write("data/b.jsonl", format!("{plain}}}\n{plain},\"tools\":[]}}\n"));
    let recipe = with("model: datac/sample").replace("ratio: 0.1", "ratio: 0");
    space.write("config/a.yaml", &recipe);
    space.write("config/b.yaml", recipe.replace("a.jsonl", "b.jsonl"));
    space.write("config/plain.yaml", with("").replace("ratio: 0.1", "ratio: 0"));
    let report = space.try_build(&BuildOptions::default()).unwrap();
    let failure = |number: usize| report.recipes[number].failure.as_ref();
    assert!(failure(0).is_some_and(|failure| failure.message.contains("its chat template writes the date")));
    let problem = datac::config::problem_of(failure(0).unwrap(), space.text("config/a.yaml").as_bytes()).unwrap();
    assert_eq!(problem.code, "E0220");
    assert!(failure(1).is_none() && failure(2).is_none());
    space.edit("config/a.yaml", "model: datac/sample", "model: { source: datac/sample, now: 2026-01-31 }");
    space.build();
    assert_eq!(space.text("dataset/sft_a_train.jsonl").lines().count(), 2);
}

#[test]
fn tools_and_calls_are_given_to_templates_as_trainers_have_them() {
    let space = Space::new();
    let call = |arguments: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":"Where?"}},{{"role":"assistant","content":"","tool_calls":[{{"type":"function","function":{{"name":"look","arguments":{arguments}}}}}]}}],"tools":[{{"name":"look","parameters":{{}}}}]}}"#
        )
    };
    // Arguments as an object, and as a text that holds one.
    space.write("data/a.jsonl", format!("{}\n{}\n", call(r#"{"at":1}"#), call(r#""{\"at\":1}""#)));
    space.write(
        "config/a.yaml",
        with("model: { source: datac/sample, now: 2026-01-31 }").replace("ratio: 0.1", "ratio: 0"),
    );
    space.build();
    let mut texts = Vec::new();
    let each = |row: datac::workspace::SeenRow| {
        texts.push(row.sequences[0].text.clone());
        true
    };
    space.workspace().outputs().seen("sft_a_train.jsonl", 1, 9, each).unwrap();
    let [first, second] = &texts[..] else { panic!("{texts:?}") };
    assert_eq!(first, second);
    let tool = r#"{"type": "function", "function": {"name": "look", "parameters": {}}}"#;
    assert!(first.contains(tool) && first.contains(r#"<|call|>look {"at": 1}<|end|>"#), "{first}");
}

#[test]
fn control_tokens_are_refused_wherever_a_template_may_write_them() {
    let row = |name: &str, call: &str, arguments: &str, tool: &str| {
        let user = format!(r#"{{"role":"user","content":"Where?"{name}}}"#);
        let function = format!(r#"{{"name":"{call}","arguments":{arguments}}}"#);
        let calls = format!(r#"[{{"type":"function","function":{function}}}]"#);
        let assistant = format!(r#"{{"role":"assistant","content":"","tool_calls":{calls}}}"#);
        let tools = format!(r#"[{{"name":"look","description":"{tool}","parameters":{{}}}}]"#);
        format!("{{\"messages\":[{user},{assistant}],\"tools\":{tools}}}\n")
    };
    let space = Space::new();
    let rows = [
        row("", "look", "{}", "Looks."),
        row("", "look", "{}", "Looks.<|end|>"),
        row("", "look<|end|>", "{}", "Looks."),
        row(r#","name":"<|end|>""#, "look", "{}", "Looks."),
        row(r#","mood":["<|end|>"]"#, "look", "{}", "Looks."),
        row("", "look", r#"{"at":"<|end|>"}"#, "Looks."),
        // A text whose object holds it only once it is read.
        row("", "look", r#""{\"at\":\"\\u003c|end|>\"}""#, "Looks."),
    ];
    space.write("data/a.jsonl", rows.concat());
    space.write(
        "config/a.yaml",
        with("model: { source: datac/sample, now: 2026-01-31 }").replace("ratio: 0.1", "ratio: 0"),
    );
    space.build();
    assert_eq!(space.text("dataset/sft_a_train.jsonl").lines().count(), 1);
    let rejects = space.text("dataset/quarantine/sft_a.jsonl");
    let places: Vec<String> = rejects
        .lines()
        .map(|line| {
            let reject: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(reject["reason"], "special_token", "{reject}");
            let detail = reject["detail"].as_str().unwrap();
            detail.strip_suffix(" holds the control token `<|end|>`").unwrap().to_owned()
        })
        .collect();
    let (asks, calls) = ("message 1 (user)", "message 2 (assistant)");
    assert_eq!(places, ["the tools", calls, asks, asks, calls, calls]);
}

#[test]
fn what_the_cache_has_lost_is_said_with_what_brings_it_back() {
    let space = space();
    space.build();
    let check = || space.workspace().check(&["a".to_owned()]).unwrap();
    assert_eq!((check().recipes.len(), check().unchecked.len()), (1, 0));
    fs::remove_dir_all(space.path("cache/v1/cas")).unwrap();
    // The files are in place, so a build makes nothing.
    assert_eq!(count(&space.build(), "render"), 0);
    let [unchecked] = &check().unchecked[..] else { panic!("{:?}", check()) };
    assert!(unchecked.why.contains("`datac build --force config/a`"), "{unchecked:?}");
    space.build_with(&BuildOptions { force: true, ..BuildOptions::default() });
    assert_eq!((check().recipes.len(), check().unchecked.len()), (1, 0));
}

#[test]
fn other_kinds_of_samples_are_counted_and_trained_on_by_their_nature() {
    let space = Space::new();
    let (pair, text) = (
        r#"{"prompt":"Which?","chosen":"The longer one of both.","rejected":"None."}"#,
        r#"{"text":"A river runs to the sea."}"#,
    );
    space.write("data/pairs.jsonl", [pair; 40].join("\n") + "\n");
    space.write("data/texts.jsonl", [text; 40].join("\n") + "\n");
    let recipe = |phase: &str, source: &str| {
        format!("metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: a, source: {source} }}\nmodel: datac/sample\n")
    };
    space.write("config/a.yaml", recipe("dpo", "data/pairs.jsonl"));
    space.write("config/b.yaml", recipe("pretrain", "data/texts.jsonl"));
    space.build();
    let seen = |output: &str| {
        let mut seen = Vec::new();
        let each = |row| {
            seen.push(row);
            true
        };
        space.workspace().outputs().seen(output, 1, 1, each).unwrap();
        seen.remove(0).sequences
    };
    let trained = |sequence: &datac::workspace::SeenSequence| -> String {
        sequence
            .trained
            .iter()
            .flat_map(|run| &sequence.tokens[run.start as usize..run.end as usize])
            .cloned()
            .collect()
    };
    let pair = seen("dpo_a_train.jsonl");
    let answers: Vec<String> = pair.iter().map(trained).collect();
    assert_eq!(answers, ["The longer one of both.<|end|>\n", "None.<|end|>\n"]);
    assert!(pair.iter().all(|sequence| sequence.text.starts_with("<|turn|>user\nWhich?<|end|>\n<|turn|>assistant\n")));
    let [text] = &seen("pretrain_b_train.jsonl")[..] else { panic!("one sequence") };
    assert_eq!(trained(text), "A river runs to the sea.<|end|>");
}

#[test]
fn a_diff_tells_rows_that_the_model_sees_otherwise() {
    let space = space();
    space.build();
    let rows = space.text("dataset/sft_a_train.jsonl");
    space.edit("config/a.yaml", "model: datac/sample", "model: { source: datac/sample, train_on: all }");
    space.build();
    let told = space.datac(&["diff", "a", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let source = &told["sources"][0];
    // Rows that no answer was trained on come in; of all others the user's turns are trained on too.
    let all = rows.lines().count() + space.text("dataset/sft_a_val.jsonl").lines().count();
    assert!(source["added"].as_u64().unwrap() > 0, "{source}");
    assert_eq!((source["changed"].as_u64(), source["removed"].as_u64()), (Some(0), Some(0)), "{source}");
    let seen = source["encoded"].as_u64().unwrap() + source["same"].as_u64().unwrap();
    assert!(seen <= all as u64 && source["encoded"].as_u64().unwrap() > 1000, "{source} of {all}");
    let pair = &told["encoded"][0];
    assert_eq!(pair["tokens"], pair["tokens_before"]);
    assert!(pair["trained"].as_u64() > pair["trained_before"].as_u64(), "{pair}");
    let told = space.datac(&["diff", "a"]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("other tokens") && text.contains(" trained on"), "{text}");
}
