//! Converters on real rows, where they are at hand: `DATAC_SHARED`, else `../shared/data`.

mod common;

use std::{collections::BTreeMap, io::Read, path::PathBuf};

use datac::{
    convert::{Converter, Options, by_name},
    row::Reason,
    sample::{Body, Message, Role, Sample},
    system,
};

/// The lines of a file of real rows; `None`, with a note, if it is not here.
fn lines(name: &str) -> Option<Vec<String>> {
    let folder = system::env("DATAC_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let path = folder.join(name);
    let bytes = match system::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return None,
        Err(error) => panic!("{error}"),
    };
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip of UTF-8");
    } else {
        text = String::from_utf8(bytes).expect("UTF-8");
    }
    Some(text.lines().map(str::to_owned).collect())
}

fn converter(name: &str) -> &'static dyn Converter {
    by_name(name).expect("a registered converter")
}

/// The value of the last `<<…=value>>`, without commas.
fn last_annotation(answer: &str) -> Option<f64> {
    let (_, after) = answer.rsplit_once("<<")?;
    let (inside, _) = after.split_once(">>")?;
    inside.rsplit_once('=')?.1.replace(',', "").parse().ok()
}

#[test]
fn every_gsm8k_row_has_an_answer() {
    let mut seen = 0;
    for (file, rows, mismatches) in [("gsm8k_train.jsonl", 7473, 377), ("gsm8k_test.jsonl", 1319, 93)] {
        let Some(lines) = lines(file) else {
            eprintln!("skipped: no {file}; set DATAC_SHARED");
            continue;
        };
        seen += 1;
        assert_eq!(lines.len(), rows);
        let mut other = 0;
        for line in &lines {
            let row = common::row(line);
            let strip = Options::from([("calculator".to_owned(), "strip".to_owned())]);
            let stripped = converter("gsm8k").convert(&row, &strip).expect("every row converts");
            let [stripped] = stripped.samples.as_slice() else { panic!("one sample: {line}") };
            let text = stripped.field_text("text").expect("a text");
            assert!(!text.contains("<<") && !text.contains(">>"), "{text}");

            let converted = converter("gsm8k").convert(&row, &Options::new()).expect("every row converts");
            let [converted] = converted.samples.as_slice() else { panic!("one sample: {line}") };
            assert_eq!(converted.answer, stripped.answer);
            let answer: f64 = converted.answer.as_deref().expect("an answer").parse().expect("a number");
            let annotated = last_annotation(row.text("answer").expect("an answer"));
            // Rows without an annotation have no last one to differ.
            other += usize::from(annotated.is_some_and(|value| value != answer));
        }
        assert_eq!(other, mismatches, "{file}");
    }
    eprintln!("{seen} files checked");
}

/// What became of a row: the messages of each side and how many turns were joined, or why not.
type Outcome = Result<(usize, usize, u32), Reason>;

#[test]
fn every_hh_row_is_accounted_for() {
    let Some(lines) = lines("hh_harmless_base_test.jsonl.gz") else {
        eprintln!("skipped: no hh_harmless_base_test.jsonl.gz; set DATAC_SHARED");
        return;
    };
    assert_eq!(lines.len(), 2312);
    let mut outcomes: Vec<Outcome> = Vec::new();
    for line in &lines {
        let row = common::row(line);
        outcomes.push(match converter("hh_rlhf").convert(&row, &Options::new()) {
            Err(reject) => Err(reject.reason),
            Ok(converted) => {
                let [Sample { body: Body::Preference { prompt, ranked }, .. }] = converted.samples.as_slice() else {
                    panic!("a pair: {line}")
                };
                let [chosen, rejected] = [0, 1].map(|rank| [&prompt[..], &ranked[rank]].concat());
                assert_eq!((ranked.len(), ranked[0].len(), ranked[1].len()), (2, 1, 1));
                assert_ne!(chosen, rejected);
                for side in [&chosen, &rejected] {
                    check_dialogue(side);
                }
                check_nothing_is_lost(row.text("chosen").expect("a string"), &chosen);
                check_nothing_is_lost(row.text("rejected").expect("a string"), &rejected);
                Ok((chosen.len(), rejected.len(), converted.joined_turns))
            }
        });
    }

    let mut rejects: BTreeMap<Reason, Vec<usize>> = BTreeMap::new();
    for (at, outcome) in outcomes.iter().enumerate() {
        if let Err(reason) = outcome {
            rejects.entry(*reason).or_default().push(at);
        }
    }
    assert_eq!(rejects, BTreeMap::from([(Reason::EmptyLastAnswer, vec![86, 516, 925, 1103])]));
    assert_eq!(outcomes.iter().flatten().count(), 2308);

    // One side is a prefix of the other: nothing is wrong with that, and no answer is cut where they part.
    assert_eq!(outcomes[1609], Ok((8, 8, 0)));

    // The assistant has two turns in a row on one side or both: joined, all nine are usable.
    let odd = [
        (667, 18, 2),
        (763, 4, 2),
        (1254, 4, 1),
        (1319, 12, 2),
        (1688, 4, 1),
        (1849, 6, 2),
        (1950, 2, 1),
        (1952, 4, 1),
        (2036, 10, 1),
    ];
    for (at, messages, joined) in odd {
        assert_eq!(outcomes[at], Ok((messages, messages, joined)), "row {at}");
    }
    let joined = (0..outcomes.len()).filter(|&at| outcomes[at].is_ok_and(|(_, _, joined)| joined > 0));
    assert!(joined.eq(odd.map(|(at, ..)| at)), "no other row is joined");
}

/// A transcript's words, marks of its turns aside, are those of its messages.
fn check_nothing_is_lost(transcript: &str, messages: &[Message<'_>]) {
    let bare = transcript.replace("\n\nHuman:", "\n").replace("\n\nAssistant:", "\n");
    let spoken = messages.iter().flat_map(|message| message.text().split_whitespace());
    assert!(bare.split_whitespace().eq(spoken), "{transcript}");
}

fn check_dialogue(messages: &[Message<'_>]) {
    for (at, message) in messages.iter().enumerate() {
        let expected = if at % 2 == 0 { Role::User } else { Role::Assistant };
        assert_eq!(message.role, expected, "roles take turns");
        assert_eq!(message.text().trim(), message.text());
        assert!(!message.text().contains("\n\nHuman:") && !message.text().contains("\n\nAssistant:"));
    }
    assert_eq!(messages.len() % 2, 0, "the assistant has the last word");
}
