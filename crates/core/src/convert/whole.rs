//! A row as a whole: its samples, and what becomes of the columns that the converter does not use.
//!
//! Nothing is dropped in silence: such a column is kept or ignored as the recipe says, refused if it changes what is trained
//! on, and else counted.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Converter, Options, meaning, messages,
    shared::{
        is_blank,
        keep::keep,
        spelling::{ANSWER, REASONING},
    },
};
use crate::{
    row::{RawRow, Reason, Reject, Value, is_called},
    rules::{self, Broken, Mode},
    sample::{Converted, SampleKind},
};

/// What happened in many rows besides their samples.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The columns that were not used, with the number of rows in which they hold something.
    pub unused: Vec<(String, u32)>,
    /// The rules that were broken, and what was done about it.
    pub broken: Vec<Broken>,
    /// Where each column stands in `unused`: rows may have many thousands.
    places: HashMap<String, usize>,
}

impl Tally {
    fn broken(&mut self, of_row: Vec<Broken>) {
        for new in of_row {
            match self.broken.iter_mut().find(|known| (&known.rule, known.mode) == (&new.rule, new.mode)) {
                Some(known) => known.places += new.places,
                None => self.broken.push(new),
            }
        }
    }

    fn unused(&mut self, column: &str) {
        match self.places.get(column) {
            Some(at) => self.unused[*at].1 += 1,
            None => {
                self.places.insert(column.to_owned(), self.unused.len());
                self.unused.push((column.to_owned(), 1));
            }
        }
    }

    /// Takes back what was counted of a row that is rejected after all: nothing of it counts, but that a rule forbids to build it.
    pub fn take_back(&mut self, of_row: Self) {
        for (column, rows) in &of_row.unused {
            if let Some(at) = self.places.get(column) {
                self.unused[*at].1 -= rows;
            }
        }
        self.unused.retain(|(_, rows)| *rows > 0);
        self.places = self.unused.iter().enumerate().map(|(at, (column, _))| (column.clone(), at)).collect();
        for old in of_row.broken.iter().filter(|broken| broken.mode != Mode::Fail) {
            let known = self.broken.iter_mut().find(|known| (&known.rule, known.mode) == (&old.rule, old.mode));
            known.into_iter().for_each(|known| known.places -= old.places);
        }
        self.broken.retain(|broken| broken.places > 0);
    }
}

/// Converts a row; a row that cannot be used is a reject, and counts in no tally.
pub fn convert<'a>(
    converter: &dyn Converter,
    row: &'a RawRow<'_>,
    options: &'a Options,
    tally: &mut Tally,
) -> Result<Converted<'a>, Reject> {
    row.forget_uses();
    let mut converted = converter.convert(row, options)?;
    let mut broken = Vec::new();
    for sample in converted.samples.as_mut_slice() {
        if let Err(reject) = rules::apply(sample, &options.rules, &mut broken) {
            // Nothing of a rejected row counts, but that a rule forbids to build it.
            broken.retain(|broken| broken.mode == Mode::Fail);
            tally.broken(broken);
            return Err(with_answer(reject, row, converter.kind()));
        }
    }
    let is_named = |name: &str| {
        !options.ignore.contains(name) && !converter.redundant().iter().any(|known| is_called(name, known))
    };
    let inside: Vec<String> = std::mem::take(&mut converted.unused);
    let inside: Vec<&str> = inside.iter().map(String::as_str).filter(|name| is_named(name)).collect();
    for name in &inside {
        let key = name.rsplit(['.', ']']).next().unwrap_or_default();
        if let Some(how) = meaning::of(key, converter.kind()) {
            let detail =
                format!("`{name}` {how}, and `{}` does not use it: write `ignore: [\"{name}\"]`", converter.name());
            return Err(Reject::new(Reason::UnusedColumn, detail));
        }
    }
    if inside.is_empty() && row.unused().all(|(name, _)| !is_named(name)) && options.keep.is_none() {
        tally.broken(broken);
        return Ok(converted);
    }
    let given = &options.keep.columns;
    // A column that the recipe keeps under this name comes before one that merely has it.
    let is_promised = |name: &str| given.iter().any(|(old, new)| new == name && old != name && row.peek(old).is_some());
    let known: Vec<usize> = converted.samples.as_slice().iter().map(|sample| sample.columns.len()).collect();
    let mut left = Vec::new();
    for (name, value, is_used) in row.uses() {
        let is_unused = !is_used && !value.is_nothing() && is_named(name);
        let kept = match given.get(name) {
            Some(new) if *value != Value::Null => Some(new.as_str()),
            None if options.keep.all && is_unused && !is_promised(name) => Some(name),
            _ => None,
        };
        let mut is_left = is_unused && kept.is_none();
        for (sample, known) in converted.samples.as_mut_slice().iter_mut().zip(&known) {
            let Some(kept) = kept else { break };
            if keep(sample, *known, Cow::Borrowed(kept), value)? {
                continue;
            }
            if given.contains_key(name) {
                let detail = format!("`{name}` is to be kept as `{kept}`, and the row has another `{kept}`");
                return Err(Reject::new(Reason::Conflict, detail));
            }
            is_left = true;
        }
        if is_left {
            left.push(name);
        }
    }
    for name in &left {
        if let Some(how) = meaning::of(name, converter.kind()) {
            let detail = format!(
                "`{name}` {how}, and `{}` does not use it: write `keep: [{name}]` or `ignore: [{name}]`",
                converter.name()
            );
            return Err(Reject::new(Reason::UnusedColumn, detail));
        }
    }
    left.iter().chain(&inside).for_each(|name| tally.unused(name));
    tally.broken(broken);
    Ok(converted)
}

/// Adds to a reject of a dialogue without an answer what would read the row if its answer stands in a column of its own.
fn with_answer(reject: Reject, row: &RawRow<'_>, kind: SampleKind) -> Reject {
    if reject.reason != Reason::NoFinalAssistantTurn || !matches!(kind, SampleKind::Conversation | SampleKind::Labelled)
    {
        return reject;
    }
    let says = |value: &Value<'_>| matches!(value, Value::String(text) if !is_blank(text));
    let of = |names: &[&str]| names.iter().find_map(|name| row.spelled(name, says)).map(|(column, _)| column);
    let (Some(messages), Some(answer)) = (row.column(&messages::COLUMNS), of(ANSWER)) else { return reject };
    let reasoning = of(REASONING).map(|column| format!(", reasoning: {column}")).unwrap_or_default();
    let mapping = format!("`columns: {{ messages: {messages}, assistant: {answer}{reasoning} }}`");
    Reject { detail: format!("{}; if `{answer}` holds the answer, {mapping} reads it", reject.detail), ..reject }
}

/// Returns the rules that each sample of a row breaks, and what is done about it; [`convert`] counts the same for many rows.
pub fn broken(converter: &dyn Converter, row: &RawRow<'_>, options: &Options) -> Result<Vec<Vec<Broken>>, Reject> {
    row.forget_uses();
    let mut converted = converter.convert(row, options)?;
    let samples = converted.samples.as_mut_slice().iter_mut();
    let of = |sample| {
        let mut broken = Vec::new();
        rules::apply(sample, &options.rules, &mut broken)?;
        Ok(broken)
    };
    samples.map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Keep,
        convert::by_name,
        json,
        shape::{self, native::Native},
    };

    const ROW: &str =
        r#"{"id":7,"source":"web","instruction":"i","output":"o","loss":[{"name":"f"}],"text":"io","note":null}"#;

    /// The row as it is written, and the columns that were not used; or why it is rejected.
    fn converted(converter: &str, row: &str, options: &Options) -> Result<(String, String), String> {
        let (row, mut tally) = (json::row(row).unwrap(), Tally::default());
        let converted =
            convert(by_name(converter).unwrap(), &row, options, &mut tally).map_err(|reject| reject.detail)?;
        let written = shape::row_of(&Native, converted.only(), "s").unwrap();
        let unused: Vec<String> = tally.unused.iter().map(|(column, rows)| format!("{column} {rows}")).collect();
        Ok((written, unused.join(", ")))
    }

    fn options(keep: &[(&str, &str)], all: bool, ignore: &[&str]) -> Options {
        let columns = keep.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        let ignore = ignore.iter().map(|column| (*column).to_owned()).collect();
        Options { keep: Keep { all, columns }, ignore, ..Options::new() }
    }

    #[test]
    fn columns_that_change_what_is_trained_on_are_kept_ignored_or_refused() {
        let refused = converted("alpaca", ROW, &Options::new()).unwrap_err();
        assert_eq!(
            refused,
            "`loss` says how much a row is trained on, and `alpaca` does not use it: write `keep: [loss]` or \
             `ignore: [loss]`"
        );
        let plain =
            r#"{"conversations":[{"role":"user","content":"i"},{"role":"assistant","content":"o"}],"text":"i\no","#;
        let (row, unused) = converted("alpaca", ROW, &options(&[], false, &["loss"])).unwrap();
        assert_eq!((row.as_str(), unused.as_str()), (&*format!(r#"{plain}"source":"s"}}"#), "id 1, source 1"));
        let (row, unused) = converted("alpaca", ROW, &options(&[("loss", "loss")], false, &["id"])).unwrap();
        assert_eq!((row, unused), (format!(r#"{plain}"loss":[{{"name":"f"}}],"source":"s"}}"#), "source 1".to_owned()));
        let empty = ROW.replace(r#"[{"name":"f"}]"#, "[]");
        assert!(converted("alpaca", &empty, &Options::new()).is_ok(), "an empty one is none");
    }

    #[test]
    fn a_column_is_kept_once_or_refused_or_named() {
        let row = r#"{"question":"q","answer":"a","a":1,"b":2,"empty":"","list":[],"none":null}"#;
        let plain =
            r#"{"conversations":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"text":"q\na","#;
        for (keep, all, kept, unused) in [
            (&[("a", "b")][..], true, r#""b":1,"#, "b 1"),
            (&[("b", "a")], true, r#""a":2,"#, "a 1"),
            (&[("a", "b"), ("b", "a")], false, r#""b":1,"a":2,"#, ""),
            (&[("empty", "empty"), ("list", "l"), ("none", "none")], false, r#""empty":"","l":[],"#, "a 1, b 1"),
        ] {
            let made = converted("qa", row, &options(keep, all, &[])).unwrap();
            assert_eq!(made, (format!(r#"{plain}{kept}"source":"s"}}"#), unused.to_owned()), "{keep:?}");
        }
        let row = r#"{"question":"q","answer":"a","images":["i"],"id":1}"#;
        let refused = converted("qa", row, &options(&[("id", "images")], false, &[])).unwrap_err();
        assert_eq!(refused, "`id` is to be kept as `images`, and the row has another `images`");
        let row = r#"{"prompt":"q","ground_truth":"4","score":7}"#;
        assert!(converted("rlvr", row, &options(&[("score", "answer")], false, &[])).is_err());
    }

    #[test]
    fn what_was_counted_of_a_row_can_be_taken_back() {
        let rows = [r#"{"text":"t","a":1}"#, r#"{"text":"t","a":1,"b":1}"#, r#"{"text":"t","c":1}"#];
        let rows = rows.map(|row| json::row(row).unwrap());
        let (options, text) = (Options::new(), by_name("text").unwrap());
        let mut all = Tally::default();
        for row in &rows {
            convert(text, row, &options, &mut all).unwrap();
        }
        let mut of_row = Tally::default();
        convert(text, &rows[1], &options, &mut of_row).unwrap();
        all.take_back(of_row);
        convert(text, &rows[2], &options, &mut all).unwrap();
        assert_eq!(all.unused, [("a".to_owned(), 1), ("c".to_owned(), 2)]);
    }

    #[test]
    fn many_columns_take_no_longer_than_they_are_many() {
        let columns: String = (0..50_000).map(|number| format!(r#","c{number}":1"#)).collect();
        let row = format!(r#"{{"text":"t"{columns}}}"#);
        let (_, unused) = converted("text", &row, &Options::new()).unwrap();
        assert_eq!(unused.matches(", ").count(), 49_999);
        let (kept, _) = converted("text", &row, &options(&[], true, &[])).unwrap();
        assert!(kept.contains(r#""c49999":1"#));
    }

    #[test]
    fn columns_are_kept_as_they_are() {
        let row = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"source":"web","id":9007199254740993,"meta":{"b": 1.0,"a":"\u00e9"},"answer":"a"}"#;
        let plain =
            r#"{"conversations":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"text":"q\na","#;
        let kept = r#""id":9007199254740993,"meta":{"b":1.0,"a":"é"},"answer":"a","source":"s"}"#;
        let (written, unused) = converted("messages", row, &options(&[], true, &[])).unwrap();
        assert_eq!(
            (written, unused.as_str()),
            (format!("{plain}{kept}"), "source 1"),
            "rows have a source of their own"
        );
        let (written, unused) = converted("messages", row, &options(&[("source", "origin")], true, &[])).unwrap();
        assert_eq!((written, unused.as_str()), (format!(r#"{plain}"origin":"web",{kept}"#), ""));
        let (written, unused) = converted("messages", row, &options(&[("id", "id")], false, &["meta"])).unwrap();
        assert_eq!(
            (written, unused.as_str()),
            (format!(r#"{plain}"id":9007199254740993,"source":"s"}}"#), "source 1, answer 1")
        );
    }

    #[test]
    fn places_of_a_sample_take_the_columns_of_their_names() {
        let row = r#"{"question":"q","answer":"4","margin":0.5,"label":true,"id":1}"#;
        let (written, _) = converted("prompts", row, &options(&[], true, &[])).unwrap();
        let expected = r#"{"conversations":[{"role":"user","content":"q"}],"answer":"4","label":true,"margin":0.5,"id":1,"source":"s"}"#;
        assert_eq!(written, expected);
        assert_eq!(shape::read(&written).unwrap().sample.answer.as_deref(), Some("4"));
    }

    #[test]
    fn a_dialogue_whose_answer_stands_beside_it_says_what_reads_it() {
        let asked = r#""messages":[{"role":"user","content":"q"}]"#;
        let told = |beside: &str| converted("messages", &format!("{{{asked}{beside}}}"), &Options::new()).unwrap_err();
        assert!(told(r#","reasoning":"r","answer":"a""#).ends_with(
            "if `answer` holds the answer, `columns: { messages: messages, assistant: answer, reasoning: reasoning }` reads it"
        ));
        assert!(
            told(r#","Response":"a""#).ends_with("`columns: { messages: messages, assistant: Response }` reads it")
        );
        for beside in [r#","answer":" ""#, r#","answer":4"#, ""] {
            assert!(!told(beside).contains("columns"), "{beside}");
        }
    }

    #[test]
    fn columns_have_their_meaning_however_their_names_are_written() {
        for name in ["systemPrompt", "System Prompt", "system-prompt", "SYSTEM_PROMPT"] {
            let row = format!(r#"{{"question":"q","answer":"a","{name}":"s"}}"#);
            let (written, unused) = converted("qa", &row, &Options::new()).unwrap();
            assert!(written.contains(r#"{"role":"system","content":"s"}"#) && unused.is_empty(), "{name}");
        }
        let row = |beside: &str| {
            format!(r#"{{"Messages":[{{"Role":"user","Content":"q"}},{{"role":"assistant","content":"a"}}],{beside}}}"#)
        };
        let (written, _) =
            converted("messages", &row(r#""Images":["i"],"Tools":[{"name":"f"}]"#), &Options::new()).unwrap();
        assert!(written.contains(r#""tools":[{"name":"f"}],"images":["i"]"#), "{written}");
        assert!(
            converted("messages", &row(r#""sampleWeight":0.5"#), &Options::new()).unwrap_err().contains("trained on")
        );
        // The one that is spelled as it should be is meant; the other one is named.
        let (written, unused) = converted(
            "messages",
            &row(r#""messages":[{"role":"user","content":"p"},{"role":"assistant","content":"b"}]"#),
            &Options::new(),
        )
        .unwrap();
        assert!(written.contains(r#""content":"b""#) && unused == "Messages 1", "{written} {unused:?}");
        let parts = r#""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}},{"text":"t"}]"#;
        assert!(
            converted("messages", &row(parts), &Options::new())
                .unwrap()
                .0
                .contains(r#"{"role":"system","content":"st"}"#)
        );
        assert!(converted("messages", &row(r#""system":[{"type":"image"}]"#), &Options::new()).is_err());
    }

    #[test]
    fn what_nobody_sees_is_empty() {
        for blank in ["\u{200b}", " \u{feff}\n", "\u{ad}\u{2060}"] {
            let row = format!(r#"{{"instruction":"q","output":{}}}"#, serde_json::to_string(blank).unwrap());
            assert!(converted("alpaca", &row, &Options::new()).is_err(), "{blank:?}");
        }
        assert!(
            converted("alpaca", "{\"instruction\":\"q\",\"output\":\"\u{1f469}\u{200d}\u{1f680}\"}", &Options::new())
                .is_ok()
        );
    }

    #[test]
    fn text_names_its_columns_and_refuses_none() {
        let row = r#"{"text":"t","tools":[1],"url":"u","n":""}"#;
        let (written, unused) = converted("text", row, &Options::new()).unwrap();
        assert_eq!((written.as_str(), unused.as_str()), (r#"{"text":"t","source":"s"}"#, "tools 1, url 1"));
    }
}
