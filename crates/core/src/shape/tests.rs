use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::sample::{
    self, Body, Json, Makeup, Message, Role, SampleIndex,
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
fn prompts_keep_what_their_own_row_says_of_its_reward() {
    let prompt = r#""prompt":[{"role":"user","content":"q"}]"#;
    let written = |shape: &dyn Shape, row: &str| {
        let sample = shape.read(row).unwrap_or_else(|| panic!("{row}")).sample;
        row_of(shape, &sample, "d")
    };
    let verl = |own: &str| format!(r#"{{"data_source":"openai/gsm8k",{prompt},"ability":"math",{own},"source":"d"}}"#);
    let ruled = r#""reward_model":{"style":"rule","ground_truth":"3"}"#;
    let tools = r#"{"search":{"create_kwargs":{"ground_truth":["3"]}}}"#;
    for own in [
        format!(r#"{ruled},"extra_info":{{"index":"a-b","split":"train"}}"#),
        format!(r#"{ruled},"extra_info":{{"index":1}}"#),
        format!(
            r#"{ruled},"extra_info":{{"need_tools_kwargs":true,"tools_kwargs":{tools},"index":7}},"agent_name":"tool_agent""#
        ),
        r#""reward_model":{"ground_truth":{"target":["3"]},"style":"rule"},"extra_info":{"index":1}"#.to_owned(),
        r#""reward_model":{"ground_truth":"3","style":"rule-lighteval/MATH_v2"},"extra_info":{"index":1}"#.to_owned(),
    ] {
        let row = verl(&own);
        assert_eq!(written(&verl::Verl, &row).as_ref(), Ok(&row));
    }
    // An index is added where there is none, and is none of the row's own where nothing else is there.
    let added = written(&verl::Verl, &verl(&format!(r#"{ruled},"extra_info":{{"split":"train"}}"#))).unwrap();
    assert!(added.contains(r#""extra_info":{"split":"train","index":"#), "{added}");
    let bare = verl(&format!(r#"{ruled},"extra_info":{{}}"#));
    let bare = row_of(&verl::Verl, &verl::Verl.read(&bare).unwrap().sample, "d").unwrap();
    assert_eq!(verl::Verl.read(&bare).unwrap().sample.columns.len(), 2, "the scorer and the ability: {bare}");
    // The names of the source are none of the row's own.
    let bare = bare.replace(r#""openai/gsm8k""#, r#""d""#).replace(r#""math""#, r#""d""#);
    let bare = row_of(&verl::Verl, &verl::Verl.read(&bare).unwrap().sample, "d").unwrap();
    for own in ["data_source", "ability"] {
        let columns = verl::Verl.read(&bare).unwrap().sample.columns;
        assert!(columns.iter().all(|(name, _)| name != own), "{columns:?}");
    }

    let skyrl = |own: &str| format!(r#"{{"data_source":"s",{prompt},"env_class":"search",{own},"source":"d"}}"#);
    for own in [
        r#""reward_spec":{"method":"rule","ground_truth":"3"},"extra_info":{"index":1}"#,
        r#""reward_spec":{"method":"rule","ground_truth":{"target":["3"]}}"#,
        r#""reward_spec":{"ground_truth":3,"method":"model"}"#,
    ] {
        let row = skyrl(own);
        assert_eq!(written(&skyrl::SkyRl, &row).as_ref(), Ok(&row));
    }
}

#[test]
fn a_prompt_whose_trainer_would_be_misled_does_not_fit() {
    let fit = |shape: &dyn Shape, answer: Option<&'static str>, columns: &[(&'static str, &str)]| {
        let mut sample = Sample::prompt(vec![Message::new(Role::User, "q")]);
        sample.answer = answer.map(Into::into);
        sample.columns = columns.iter().map(|(name, json)| ((*name).into(), Json::new(json).unwrap())).collect();
        row_of(shape, &sample, SOURCE).map(drop)
    };
    for (shape, reward) in [(&verl::Verl as &dyn Shape, "reward_model"), (&skyrl::SkyRl, "reward_spec")] {
        for (answer, own, fits) in [
            (Some("3"), None, true),
            (None, None, false),
            (None, Some(r#"{"ground_truth":[3]}"#), true),
            (Some("3"), Some(r#"{"ground_truth":"3"}"#), true),
            (Some("3"), Some(r#"{"ground_truth":"4"}"#), false),
            (None, Some(r#"{"ground_truth":null}"#), false),
            (Some("3"), Some("\"rule\""), false),
            (Some("3"), Some("null"), true),
            (None, Some(r#"{"ground_truth":1e999}"#), false),
        ] {
            let columns: Vec<(&str, &str)> = own.map(|own| (reward, own)).into_iter().collect();
            assert_eq!(fit(shape, answer, &columns).is_ok(), fits, "{}: {answer:?} {own:?}", shape.name());
        }
    }
    for (name, value, fits) in [
        ("extra_info", r#"{"split":"train"}"#, true),
        ("extra_info", "null", true),
        ("extra_info", r#""{}""#, false),
        ("extra_info", r#"{"n":99999999999999999999}"#, false),
        ("agent_name", r#""tool_agent""#, true),
        ("agent_name", "null", false),
        ("agent_name", "1", false),
        // Its dataset takes these out of `extra_info` alone, over what stands there.
        ("tools_kwargs", "{}", false),
        ("interaction_kwargs", "{}", false),
        ("level", "3", true),
    ] {
        assert_eq!(fit(&verl::Verl, Some("3"), &[(name, value)]).is_ok(), fits, "{name}: {value}");
    }
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
