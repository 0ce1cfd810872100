//! Samples with more tokens than they may have, made shorter.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use datac::workspace::Fate;

use crate::space::{Dice, Space, count, ran};

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
            native.iter().map(|row| contents(row, "conversations")[0].clone()).collect::<BTreeSet<_>>()
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

/// The token that ends texts of the sample model.
const END: u64 = 418;

/// Texts of many forms and lengths: with paragraphs and lines, without a space, of blanks, of characters of several bytes.
fn text(dice: &mut Dice) -> String {
    const PIECES: [&str; 9] = [" word", " Words, that", ".\n\n", "\n", "é€😀", "日本語", "\r\n \r\n", "    ", "x1"];
    let (length, few) = (1 + dice.below(150), 1 + dice.below(PIECES.len()));
    let from = dice.below(PIECES.len());
    let piece = |dice: &mut Dice| PIECES[(from + dice.below(few)) % PIECES.len()];
    format!("{}.", (0..length).map(|_| piece(dice)).collect::<String>())
}

fn split_recipe(more: &str, keys: &str) -> String {
    format!(
        "metadata: {{ phase: pretrain }}\ndatasets:\n  - {{ name: a, source: data/a.jsonl{keys} }}\n{more}\nmodel: {{ source: datac/sample, \
         max_tokens: {MAX}, overlong: split }}\noutput: [native, {{ shape: tokens, container: jsonl, id: true }}]\n"
    )
}

/// The rows of both sides: the side, the text and the ids.
fn parts_of(space: &Space) -> BTreeMap<(&'static str, u64), (String, Vec<u64>)> {
    let mut parts = BTreeMap::new();
    for side in ["train", "val"] {
        let native = rows(space, &format!("dataset/pretrain_a_{side}.jsonl"));
        let ids = rows(space, &format!("dataset/pretrain_a/tokens/{side}.jsonl"));
        assert_eq!(native.len(), ids.len());
        for (line, (native, ids)) in (1..).zip(native.iter().zip(&ids)) {
            let numbers = ids["input_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
            assert_eq!(ids["input_ids"], ids["labels"], "all of a text is trained on");
            parts.insert((side, line), (native["text"].as_str().unwrap().to_owned(), numbers));
        }
    }
    parts
}

#[test]
fn texts_that_are_split_lose_nothing_and_stay_on_one_side() {
    let mut dice = Dice(7);
    let texts: Vec<String> = (0..120).map(|_| text(&mut dice)).collect();
    let space = Space::new();
    let line = |text: &String| serde_json::json!({ "text": text }).to_string() + "\n";
    space.write("data/a.jsonl", texts.iter().map(line).collect::<String>());
    let filters = ", filters: [{ type: deduplication }]";
    space.write("config/a.yaml", split_recipe("validation: { ratio: 0.3 }", filters));
    let report = space.build();
    let parts = parts_of(&space);
    let workspace = space.workspace();
    let (mut split, mut pieces, mut seen) = (0, 0, BTreeSet::new());
    for (row, text) in texts.iter().enumerate() {
        let journey = workspace.outputs().trace_source("a", "a.jsonl", row as u64).unwrap();
        let (mut whole, mut sides) = (String::new(), BTreeSet::new());
        let count = journey.fates.len();
        for (number, fate) in journey.fates.into_iter().enumerate() {
            let Fate::Written { lines } = fate.fate else {
                assert!(texts[..row].contains(text), "{text:?} is a duplicate");
                whole.clone_from(text);
                continue;
            };
            let side = if lines[0].output.contains("val") { "val" } else { "train" };
            sides.insert(side);
            let (part, ids) = &parts[&(side, lines[0].line)];
            assert!(seen.insert((side, lines[0].line)), "a line is of one part");
            whole += part;
            assert!(!part.is_empty() && ids.len() <= MAX, "{part:?} has {} tokens", ids.len());
            let is_last = number + 1 == count;
            assert_eq!(ids.iter().filter(|id| **id == END).count(), usize::from(is_last), "{part:?}");
            assert_eq!(ids.last() == Some(&END), is_last, "the text ends with its last part alone");
            let told = fate.shortened.unwrap_or_default();
            assert_eq!(told.starts_with(&format!("part {} of {count} ", number + 1)), count > 1, "{told}");
            assert!(is_last || ids.len() > MAX / 2, "{part:?} has only {} tokens", ids.len());
        }
        assert_eq!(&whole, text);
        assert!(sides.len() <= 1, "{text:?} is on {sides:?}");
        split += u64::from(count > 1);
        pieces += count;
    }
    assert_eq!(seen.len(), parts.len(), "every row is a part of a text");
    assert!(split > 30 && pieces > 200, "{split} of {pieces}");
    let summary = report.recipes[0].summary.as_ref().unwrap();
    assert_eq!((summary.sources[0].split, summary.sources[0].shortened), (split, 0));
    let stats = workspace.outputs().stats(&["a".to_owned()]).unwrap();
    let tokens: u64 = stats.recipes[0].tokens.iter().map(|side| side.all.tokens).sum();
    assert_eq!(tokens, parts.values().map(|(_, ids)| ids.len() as u64).sum::<u64>());
    // A part is found by its id, and back from its line.
    let ids = rows(&space, "dataset/pretrain_a/tokens/train.jsonl");
    let found = workspace.outputs().trace_id(ids[0]["id"].as_str().unwrap()).unwrap();
    assert!(!found.rows.is_empty());
    let origin = workspace.outputs().trace("pretrain_a_train.jsonl", 1).unwrap();
    assert!(texts[origin.source.row as usize].contains(&parts[&("train", 1)].0));
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn duplicates_and_repeated_prompts_are_those_of_whole_texts() {
    let long = |name: &str| format!("{name}: {}", "the same words again. ".repeat(40));
    let texts = [long("a"), long("b"), long("a"), "short".to_owned(), long("b")];
    let line = |text: &String| serde_json::json!({ "text": text }).to_string() + "\n";
    let space = Space::new();
    space.write("data/a.jsonl", texts.iter().map(line).collect::<String>());
    let sides = "validation: { ratio: 0 }";
    let lines = |more: &str, keys: &str| {
        space.write("config/a.yaml", split_recipe(&format!("{sides}\n{more}"), keys));
        let report = space.build();
        space.assert_clean();
        let summary = report.recipes[0].summary.clone().unwrap();
        let left: u64 = summary.sources[0].filters.iter().map(|filter| filter.rows_in - filter.rows_out).sum();
        (summary.train_rows, left)
    };
    let (all, _) = lines("", "");
    let once = (all - 1) / 2 + 1;
    // Without the second of each text all its parts are gone, and no other.
    assert_eq!(lines("mix: { deduplicate: prompt }", ""), (once, all - once));
    assert_eq!(lines("", ", filters: [{ type: deduplication }]"), (once, all - once));
    // Parts are rows; the middle of these texts is the same.
    assert!(lines("mix: { deduplicate: row }", "").0 < once);
    lines("expect: { repeated_prompts: { max: 2 } }", "");
    space.write("config/a.yaml", split_recipe(&format!("{sides}\nexpect: {{ repeated_prompts: {{ max: 1 }} }}"), ""));
    let report = space.try_build(&datac::workspace::BuildOptions::default()).unwrap();
    let failure = report.recipes[0].failure.as_ref().expect("two texts are repeated");
    assert!(failure.to_string().contains('2'), "{failure}");
}

#[test]
fn edits_of_texts_that_are_split_give_the_bytes_of_a_clean_build() {
    const RECIPES: [(&str, &str); 5] = [
        ("validation: { ratio: 0.3 }", ""),
        ("validation: { ratio: 0.2, method: exact }\nmix: { unit: tokens }", ", filters: [{ type: deduplication }]"),
        (
            "mix: { deduplicate: prompt, normalise: true }",
            ", filters: [{ type: length, unit: tokens, min_length: 20 }]",
        ),
        ("mix: { deduplicate: row }\ntest: { ratio: 0.1 }", ", max_samples: 70"),
        ("exclude: [{ name: held, source: data/held.jsonl }]", ", filters: [{ type: length, max_length: 900 }]"),
    ];
    let mut dice = Dice(11);
    let space = Space::new();
    // Many small chunks take as long as a few large ones, so there is one; what lies in others is the same as in other tests.
    let mut texts: Vec<String> = (0..60).map(|_| text(&mut dice)).collect();
    let line = |text: &String| serde_json::json!({ "text": text }).to_string() + "\n";
    for step in 0..15 {
        let at = dice.below(texts.len());
        match dice.below(4) {
            0 => texts[at] = text(&mut dice),
            1 => texts.push(texts[at].clone()),
            2 => drop(texts.remove(at)),
            _ => texts.insert(at, text(&mut dice)),
        }
        space.write("data/a.jsonl", texts.iter().map(line).collect::<String>());
        space.write("data/held.jsonl", texts.iter().take(5).map(line).collect::<String>());
        let (more, keys) = RECIPES[step % RECIPES.len()];
        space.write("config/a.yaml", split_recipe(more, keys));
        space.build();
        space.assert_settled();
        space.assert_clean();
    }
    // No part of what is excluded is there, unless another text has it.
    let (held, others) = texts.split_at(5);
    for side in ["train", "val"] {
        for row in rows(&space, &format!("dataset/pretrain_a_{side}.jsonl")) {
            let part = row["text"].as_str().unwrap();
            assert!(others.iter().any(|text| !held.contains(text) && text.contains(part)), "{part}");
        }
    }
}

#[test]
fn texts_that_cannot_be_cut_so_finely_are_left_out() {
    let space = Space::new();
    space.write("data/a.jsonl", "{\"text\":\"😀😀😀\"}\n{\"text\":\"a\"}\n");
    let recipe = split_recipe("validation: { ratio: 0 }", "").replace(&format!("max_tokens: {MAX}"), "max_tokens: 2");
    space.write("config/a.yaml", recipe);
    let report = space.build();
    let summary = report.recipes[0].summary.as_ref().unwrap();
    assert_eq!((summary.train_rows, summary.sources[0].split), (1, 0));
}
