use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::sample::{
    self, Body, Makeup, Message, Role, SampleIndex,
    tests::{plain, sample, stored},
};

const SOURCE: &str = "a \"b\"";

#[test]
fn every_shape_is_found_by_its_name_and_has_a_fixture_of_every_kind() {
    for shape in SHAPES.iter().filter(|shape| !shape.is_of_tokens()) {
        assert_eq!(by_name(shape.name()).map(Shape::name), Some(shape.name()), "names are unique");
        let path =
            format!("{}/tests/fixtures/shapes/{}.jsonl", concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), shape.name());
        #[expect(clippy::disallowed_methods, reason = "a test reads its fixture")]
        let fixture = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        let mut kinds = BTreeSet::new();
        for line in fixture.lines() {
            let WrittenRow { sample, source } = shape.read(line).unwrap_or_else(|| panic!("{}: {line}", shape.name()));
            assert_eq!(row_of(*shape, &sample, &source.unwrap_or_default()), Ok(line.to_owned()), "{}", shape.name());
            kinds.insert(sample.kind());
        }
        assert_eq!(kinds, shape.kinds().iter().copied().collect(), "{}", shape.name());
    }
    assert!(by_name("natve").is_none());
}

proptest! {
    #[test]
    fn what_a_shape_writes_it_reads_back(sample in prop_oneof![plain(), sample()]) {
        for shape in SHAPES {
            let Ok(row) = row_of(*shape, &sample, SOURCE) else { continue };
            let is_line = !row.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}']);
            prop_assert!(is_line);
            let back = shape.read(&row);
            // A key of a message or a column may look like one of the shape's own: what is read is written alike.
            if let Some(back) = &back {
                prop_assert!(back.source.as_deref().is_none_or(|source| source == SOURCE));
                prop_assert_eq!(row_of(*shape, &back.sample, SOURCE), Ok(row));
            }
        }
    }

    #[test]
    fn native_rows_hold_all_of_any_sample(sample in prop_oneof![plain(), sample()]) {
        let row = row_of(&native::Native, &sample, SOURCE).unwrap();
        let stored = stored(&sample);
        let mut identity = Vec::new();
        sample::write_identity(&sample::read(&stored).unwrap(), &mut identity);
        prop_assert!(row.as_bytes().starts_with(&identity));
        if let Some(back) = native::Native.read(&row) {
            prop_assert_eq!(back.sample.row_hash(), sample.row_hash());
        }
    }

    #[test]
    fn plain_samples_are_native_rows_whose_beginning_is_their_identity(sample in plain()) {
        let row = row_of(&native::Native, &sample, SOURCE).unwrap();
        let (stored, mut identity) = (stored(&sample), Vec::new());
        sample::write_identity(&sample::read(&stored).unwrap(), &mut identity);
        let ending: &[u8] = br#","source":"a \"b\""}"#;
        prop_assert_eq!(row.as_bytes(), [&identity[..], ending].concat());
        let back = native::Native.read(&row).unwrap().sample;
        match (&back.body, &sample.body) {
            // Which turns both share, if more than the prompt, the row does not say.
            (Body::Preference { .. }, Body::Preference { .. }) => {
                prop_assert_eq!(back.field_text("chosen"), sample.field_text("chosen"));
                prop_assert_eq!(back.field_text("rejected"), sample.field_text("rejected"));
            }
            _ => prop_assert_eq!(back, sample),
        }
    }
}

#[test]
fn nothing_is_cut_down() {
    let turn = |text: &'static str| Message::new(Role::User, text);
    let prompt = || Sample::prompt(vec![turn("q")]);
    assert_eq!(row_of(&messages::Messages, &prompt(), SOURCE), Err(Unfit("anything but conversations")));
}

#[test]
fn what_leaves_words_out_of_the_loss_is_never_left_to_a_trainer_that_does_not_read_it() {
    let masked = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","mask":true}]}"#;
    let sample = messages::Messages.read(masked).unwrap().sample;
    for name in
        ["trl", "trl-prompt-completion", "axolotl", "swift", "openai", "openrlhf", "nemo-rl", "prime-rl", "skyrl"]
    {
        assert!(row_of(by_name(name).unwrap(), &sample, SOURCE).is_err(), "{name}");
    }
    for name in ["native", "messages"] {
        assert!(row_of(by_name(name).unwrap(), &sample, SOURCE).unwrap().contains(r#""mask":true"#), "{name}");
    }
}

#[test]
fn rows_of_verl_keep_what_chooses_their_scorer() {
    let row = r#"{"data_source":"openai/gsm8k","prompt":[{"role":"user","content":"q"}],"ability":"math","reward_model":{"style":"rule","ground_truth":"3"},"extra_info":{"index":1},"source":"d"}"#;
    let sample = verl::Verl.read(row).unwrap().sample;
    let written = row_of(&verl::Verl, &sample, "d").unwrap();
    for kept in [r#""data_source":"openai/gsm8k""#, r#""ability":"math""#] {
        assert!(written.contains(kept) && written.matches("ability").count() == 1, "{written}");
    }
    let other = row.replace(r#""openai/gsm8k""#, r#""d""#).replace(r#""math""#, r#""d""#);
    assert!(verl::Verl.read(&other).unwrap().sample.columns.is_empty(), "the name of the source is none of the row's");
}

#[test]
fn what_a_trainer_would_misread_does_not_fit() {
    let ask = r#"{"role":"user","content":"q"}"#;
    let call = |id: &str| {
        format!(
            r#"{{"role":"assistant","content":"","tool_calls":[{{{id}"type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}}"#
        )
    };
    let result = |keys: &str| format!(r#"{{"role":"tool","content":"r"{keys}}}"#);
    let (named, nameless) = (call(r#""id":"c","#), call(""));
    let both = named
        .replace("]}", &format!(",{}]}}", r#"{"id":"d","type":"function","function":{"name":"f","arguments":"{}"}}"#));
    let results = |ids: [&str; 2]| ids.map(|id| result(&format!(r#","tool_call_id":"{id}""#)));
    let dialogue =
        |turns: &[&str]| format!(r#"{{"messages":[{},{{"role":"assistant","content":"a"}}]}}"#, turns.join(","));
    let part = |kind: &str| format!(r#"{{"role":"user","content":[{{"type":"{kind}","text":"t"}}]}}"#);
    for (shape, turns, fits) in [
        ("openai", vec![ask.to_owned(), named.clone(), result(r#","tool_call_id":"c""#)], true),
        ("openai", vec![ask.to_owned(), named.clone(), result(r#","tool_call_id":"c","name":"f""#)], true),
        ("openai", vec![ask.to_owned(), named.clone(), result(r#","tool_call_id":"c","name":"g""#)], false),
        ("openai", vec![ask.to_owned(), named.clone(), result("")], false),
        ("openai", vec![ask.to_owned(), nameless, result(r#","tool_call_id":"c""#)], false),
        ("openai", vec![part("text")], true),
        ("openai", vec![part("image")], false),
        ("verl", vec![ask.to_owned(), named.clone()], false),
        ("swift", vec![ask.to_owned(), named.clone(), result(r#","tool_call_id":"c""#), ask.to_owned()], false),
        (
            "llama-factory",
            vec![ask.to_owned(), named.replace(r#""content":"""#, r#""content":"<tool_call>""#), result("")],
            false,
        ),
        ("llama-factory", vec![ask.to_owned(), named.clone(), result("")], true),
        ("llama-factory", vec![ask.to_owned(), both.clone(), result(r#","tool_call_id":"c""#)], true),
        ("llama-factory", vec![ask.to_owned(), both.clone(), result(r#","tool_call_id":"d""#)], false),
        ("swift", [&[ask.to_owned(), both.clone()], &results(["c", "d"])[..]].concat(), true),
        ("swift", [&[ask.to_owned(), both], &results(["d", "c"])[..]].concat(), false),
        ("skyrl", vec![ask.to_owned(), r#"{"role":"system","content":"s"}"#.to_owned()], false),
    ] {
        let row = dialogue(&turns.iter().map(String::as_str).collect::<Vec<_>>());
        let sample = messages::Messages.read(&row).unwrap_or_else(|| panic!("{row}")).sample;
        assert_eq!(row_of(by_name(shape).unwrap(), &sample, SOURCE).is_ok(), fits, "{shape}: {row}");
    }
    let ranked = |answers: usize, turns: usize| {
        let answer = |_| vec![Message::new(Role::Assistant, "a"); turns];
        Sample::from(Body::Preference {
            prompt: vec![Message::new(Role::User, "q")],
            ranked: (0..answers).map(answer).collect(),
        })
    };
    for (sample, fits) in [(ranked(2, 1), true), (ranked(3, 1), false), (ranked(2, 2), false)] {
        assert_eq!(row_of(&nemo_rl::NemoRl, &sample, SOURCE).is_ok(), fits);
    }
}

proptest! {
    #[test]
    fn an_index_knows_what_any_of_its_samples_have(
        samples in proptest::collection::vec((prop_oneof![plain(), sample()], any::<bool>()), 0..12),
        kept in 0..12usize,
    ) {
        let (mut index, mut blob, mut scratch) = (SampleIndex::default(), Vec::new(), Vec::new());
        samples.iter().for_each(|(sample, _)| index.push(0, sample, &mut blob, &mut scratch));
        index.truncate(kept.min(samples.len()), &mut blob);
        // Samples may be added after others were taken away.
        samples.iter().skip(kept).for_each(|(sample, _)| index.push(0, sample, &mut blob, &mut scratch));
        let index = SampleIndex::decode(&index.encode()).unwrap();
        let wanted = || (0_u32..).zip(&samples).filter(|(_, (_, is_wanted))| *is_wanted);
        let (mut found, mut all) = (Facts::default(), Facts::default());
        index.makeups.of(wanted().map(|(number, _)| number)).for_each(|makeup| found.add(makeup));
        wanted().for_each(|(_, (sample, _))| all.add(&Makeup::of(&sample::read(&stored(sample)).unwrap())));
        prop_assert_eq!(found, all);
    }
}

/// The shapes whose rows only have the columns that their sample needs.
const SPARSE: &[&str] = &["native", "messages", "openai"];

proptest! {
    #[test]
    fn rows_that_stand_together_have_the_columns_that_the_shape_names(
        samples in proptest::collection::vec(prop_oneof![plain(), sample()], 1..6),
    ) {
        let stored: Vec<Vec<u8>> = samples.iter().map(stored).collect();
        let views: Vec<SampleView<'_>> = stored.iter().map(|stored| sample::read(stored).unwrap()).collect();
        for (shape, kind) in SHAPES.iter().flat_map(|shape| shape.kinds().iter().map(move |kind| (shape, *kind))) {
            let own: Vec<&SampleView<'_>> = views.iter().filter(|view| view.kind() == kind).collect();
            let mut facts = Facts::default();
            own.iter().for_each(|view| facts.add(&Makeup::of(view)));
            let columns: Vec<String> =
                shape.columns(kind, &facts).into_iter().map(|column| column.name.into_owned()).collect();
            for view in own {
                let mut row = Vec::new();
                if shape.write(view, Quoted::new(br#""s""#).unwrap(), &facts, &mut row).is_err() {
                    continue;
                }
                let row = String::from_utf8(row).unwrap();
                // A generated sample may have a column twice, which none that is converted has.
                let Ok(row) = crate::json::row(&row) else { continue };
                let keys: Vec<String> = row.fields.into_iter().map(|(key, _)| key.into_owned()).collect();
                prop_assert!(keys.iter().all(|key| columns.contains(key)), "{}: {keys:?} of {columns:?}", shape.name());
                prop_assert!(SPARSE.contains(&shape.name()) || keys == columns, "{}: {keys:?} of {columns:?}", shape.name());
            }
        }
    }
}
