//! Samples with more tokens than they may have, made shorter.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::space::{Space, count, ran};

const MAX: usize = 60;

/// Dialogues of one to nine turns behind an instruction; one has an answer that is too long by itself.
fn dialogues() -> String {
    let mut rows = String::new();
    for number in 0..400 {
        let mut messages = vec![format!("{{\"role\":\"system\",\"content\":\"Number {number}.\"}}")];
        for turn in 0..1 + number % 9 {
            let words = if number == 7 && turn == 7 { 90 } else { (number + turn) % 5 };
            messages.push(format!("{{\"role\":\"user\",\"content\":\"What is {turn}?\"}}"));
            let answer = format!("It is {turn}.{}", " word".repeat(words));
            messages.push(format!("{{\"role\":\"assistant\",\"content\":\"{answer}\"}}"));
        }
        rows.push_str(&format!("{{\"messages\":[{}]}}\n", messages.join(",")));
    }
    rows
}

fn recipe(phase: &str, model: &str) -> String {
    format!(
        "metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: a, source: data/a.jsonl }}\nvalidation: {{ ratio: 0 }}\nmodel: {{ source: \
         datac/sample{model} }}\noutput: [native, {{ shape: tokens, container: jsonl, id: true }}, {{ shape: messages, id: true }}]\n"
    )
}

/// The rows of a file.
fn rows(space: &Space, file: &str) -> Vec<Value> {
    space.text(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn length(row: &Value) -> usize {
    row["input_ids"].as_array().unwrap().len()
}

fn contents(row: &Value, key: &str) -> Vec<String> {
    row[key].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn as_many_of_the_oldest_turns_as_it_takes_are_left_out_in_every_shape() {
    let whole = Space::new();
    whole.write("data/a.jsonl", dialogues());
    whole.write("config/a.yaml", recipe("sft", ""));
    whole.build();
    // The length of each dialogue, by its messages.
    let native = rows(&whole, "dataset/sft_a_train.jsonl");
    let ids = rows(&whole, "dataset/sft_a/tokens/train.jsonl");
    let lengths: BTreeMap<Vec<String>, usize> =
        native.iter().zip(&ids).map(|(native, ids)| (contents(native, "conversations"), length(ids))).collect();
    assert_eq!(lengths.len(), 400);

    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write("config/a.yaml", recipe("sft", &format!(", max_tokens: {MAX}, overlong: drop_turns")));
    let report = space.build();
    let native = rows(&space, "dataset/sft_a_train.jsonl");
    let ids = rows(&space, "dataset/sft_a/tokens/train.jsonl");
    let messages = rows(&space, "dataset/sft_a/messages/train.jsonl");
    assert_eq!((native.len(), ids.len(), messages.len()), (399, 399, 399), "one answer is too long by itself");
    let (mut shortened, mut probes) = (0, String::new());
    for ((native, ids), messages) in native.iter().zip(&ids).zip(&messages) {
        let left = contents(native, "conversations");
        assert_eq!(left, contents(messages, "messages"));
        assert_eq!(ids["id"], messages["id"]);
        assert!(length(ids) <= MAX, "{left:?} has {} tokens", length(ids));
        let (all, tokens) = lengths.iter().find(|(all, _)| all[0] == left[0]).unwrap();
        assert!(left[0].starts_with("Number ") && left.len() % 2 == 1, "the instruction stays: {left:?}");
        assert_eq!(left[1..], all[all.len() + 1 - left.len()..], "the newest turns stay");
        let dropped = all.len() - left.len();
        assert_eq!(dropped > 0, *tokens > MAX);
        if dropped > 0 {
            shortened += 1;
            let roles = ["user", "assistant"].iter().cycle();
            let one_more = left[..1].iter().map(|text| ("system", text)).chain(roles.copied().zip(&all[dropped - 1..]));
            let message = |(role, text): (&str, &String)| format!("{{\"role\":\"{role}\",\"content\":\"{text}\"}}");
            let one_more: Vec<String> = one_more.map(message).collect();
            probes.push_str(&format!("{{\"messages\":[{}]}}\n", one_more.join(",")));
        }
    }
    // With one turn more each of them is too long.
    whole.write("data/a.jsonl", probes);
    whole.build();
    let probed = rows(&whole, "dataset/sft_a/tokens/train.jsonl");
    assert_eq!(probed.len() as u64, shortened);
    assert!(probed.iter().all(|row| length(row) > MAX));
    let source = &report.recipes[0].summary.as_ref().unwrap().sources[0];
    assert_eq!(source.shortened, shortened, "the report counts them");
    assert!(shortened > 100, "{shortened}");

    // A shortened row says so, and others do not; what the rules found in rows is told of all.
    let shown = |line: usize| {
        let told = space.datac(&["trace", &format!("dataset/sft_a_train.jsonl:{line}")]);
        String::from_utf8(told.stdout).unwrap()
    };
    let is_short = |row: &Value| {
        let left = contents(row, "conversations");
        lengths.keys().any(|all| all[0] == left[0] && all.len() > left.len())
    };
    let (short, other) =
        (native.iter().position(is_short).unwrap(), native.iter().position(|row| !is_short(row)).unwrap());
    let told = shown(short + 1);
    assert!(told.contains("the oldest turns left out, so that it has at most 60 tokens"), "{told}");
    assert!(!shown(other + 1).contains("left out"));
    let id = messages[short]["id"].as_str().unwrap();
    let by_id = String::from_utf8(space.datac(&["trace", "--id", id]).stdout).unwrap();
    assert!(by_id.contains("the oldest turns left out"), "{by_id}");
    space.edit("config/a.yaml", "source: data/a.jsonl }", "source: data/a.jsonl, rules: { whitespace: warn } }");
    space.edit("data/a.jsonl", "Number 3.", "Number 3. ");
    space.build();
    let rows_now = rows(&space, "dataset/sft_a_train.jsonl");
    let broken = rows_now.iter().position(|row| contents(row, "conversations")[0] == "Number 3. ").unwrap();
    assert!(shown(broken + 1).contains("found 1 whitespace"), "{}", shown(broken + 1));
    space.edit("data/a.jsonl", "Number 3. ", "Number 3.");
    space.edit("config/a.yaml", ", rules: { whitespace: warn }", "");
    space.build();

    // Another bound renders again, and what is built is what a clean build makes.
    space.assert_settled();
    space.assert_clean();
    space.edit("config/a.yaml", "max_tokens: 60", "max_tokens: 80");
    let report = space.build();
    assert!(count(&report, "render") > 0 && count(&report, "convert") == 0, "{}", ran(&report));
    space.assert_clean();
    space.edit("data/a.jsonl", "Number 399.", "Number four hundred.");
    space.build();
    space.assert_clean();
    // Without it, longer ones are left out.
    space.edit("config/a.yaml", ", overlong: drop_turns", "");
    let report = space.build();
    assert_eq!(report.recipes[0].summary.as_ref().unwrap().sources[0].shortened, 0);
    let fit = lengths.values().filter(|tokens| **tokens <= 80).count();
    assert_eq!(rows(&space, "dataset/sft_a_train.jsonl").len(), fit);
    space.assert_clean();
}

#[test]
fn what_is_held_out_or_excluded_stays_out_however_short_it_becomes() {
    let recipe = |more: &str, model: &str| {
        format!(
            "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: a, source: data/a.jsonl }}\n{more}\nmodel: {{ source: datac/sample{model} }}\n"
        )
    };
    let held = dialogues().lines().take(120).map(|line| format!("{line}\n")).collect::<String>();
    // The same dialogues, with an answer of another length at the end.
    let longer = held.replace("\"}]}", " And a good deal more of it.\"}]}");
    for (more, file) in [
        ("exclude: [{ name: bench, source: data/held.jsonl }]\nvalidation: { ratio: 0 }", &held),
        ("validation: { source: data/held.jsonl }", &longer),
    ] {
        let [without, with] = ["", ", max_tokens: 90, overlong: drop_turns"].map(|model| {
            let space = Space::new();
            space.write("data/a.jsonl", dialogues());
            space.write("data/held.jsonl", file);
            space.write("config/a.yaml", recipe(more, model));
            space.build();
            let native = rows(&space, "dataset/sft_a_train.jsonl");
            native
                .iter()
                .map(|row| contents(row, "conversations")[0].clone())
                .collect::<std::collections::BTreeSet<_>>()
        });
        assert!(without.len() <= 280 && !without.contains("Number 5."), "{more}: {}", without.len());
        assert!(with.is_subset(&without), "{more}: {:?}", with.difference(&without).collect::<Vec<_>>());
        assert!(with.len() + 1 >= without.len(), "{more}: one answer is too long by itself");
    }
}

#[test]
fn texts_are_cut_at_the_end_that_is_asked_for() {
    let text = |number: usize| format!("Text {number}: {}end é€ of {number}.", "a word, ".repeat(number % 40));
    let texts: Vec<String> = (0..200).map(text).collect();
    for (word, from_start) in [("truncate_end", false), ("truncate_start", true)] {
        let space = Space::new();
        let lines: Vec<String> = texts.iter().map(|text| format!("{{\"text\":\"{text}\"}}\n")).collect();
        space.write("data/a.jsonl", lines.concat());
        let recipe = recipe("pretrain", &format!(", max_tokens: {MAX}, overlong: {word}"));
        space.write("config/a.yaml", recipe.replace(", { shape: messages, id: true }", ""));
        let report = space.build();
        let (native, ids) =
            (rows(&space, "dataset/pretrain_a_train.jsonl"), rows(&space, "dataset/pretrain_a/tokens/train.jsonl"));
        assert_eq!((native.len(), ids.len()), (200, 200));
        let mut shortened = 0;
        for (native, ids) in native.iter().zip(&ids) {
            let left = native["text"].as_str().unwrap();
            assert!(length(ids) <= MAX);
            if texts.iter().any(|text| text == left) {
                continue;
            }
            shortened += 1;
            assert!(
                texts.iter().any(|text| if from_start { text.ends_with(left) } else { text.starts_with(left) }),
                "{left}"
            );
            assert!(length(ids) >= MAX - 3, "{left}: {} tokens", length(ids));
        }
        assert_eq!(report.recipes[0].summary.as_ref().unwrap().sources[0].shortened, shortened);
        assert!(shortened > 20, "{shortened}");
        space.assert_clean();
    }
}

#[test]
fn prompts_of_preferences_lose_their_oldest_turns() {
    let space = Space::new();
    let message = |role: &str, text: &str| format!("{{\"role\":\"{role}\",\"content\":\"{text}\"}}");
    let words = " word".repeat(20);
    let early = [message("user", &format!("First?{words}")), message("assistant", &format!("One.{words}"))].join(",");
    let pair = format!(
        "{{\"prompt\":[{early},{}],\"chosen\":[{}],\"rejected\":[{}]}}\n",
        message("user", "And then?"),
        message("assistant", "Two."),
        message("assistant", &format!("Three.{}", " word".repeat(6)))
    );
    space.write("data/a.jsonl", pair);
    let recipe = recipe("dpo", &format!(", max_tokens: {MAX}, overlong: drop_turns"));
    space.write("config/a.yaml", recipe.split("output").next().unwrap());
    let report = space.build();
    assert_eq!(report.recipes[0].summary.as_ref().unwrap().sources[0].shortened, 1);
    let row = space.text("dataset/dpo_a_train.jsonl");
    assert!(row.contains("And then?") && !row.contains("First?"), "{row}");
}
