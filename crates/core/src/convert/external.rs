//! Samples of what a program of the user's makes of rows.
//!
//! The program reads rows as JSON, one a line, and writes a line for each: an object that is a sample, a list of such objects,
//! or `{"reject": "why"}`. Running it is not the core's business; what it writes is read here.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    Converter, OptionSpec, Options,
    shared::{
        filled::{Filled, borrowed},
        keep::keep,
        pair::Diverge,
    },
};
use crate::{
    json,
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, SampleKind, Slot},
};

/// Makes a sample of an object that a program wrote: its keys are the slots, as in `columns`; others are kept as columns.
///
/// A row of an output is such an object, too.
#[derive(Debug)]
pub struct External(SampleKind);

/// One for each kind of sample; recipes give a command instead of a name.
pub static EXTERNAL: [External; 6] = [
    External(SampleKind::Conversation),
    External(SampleKind::Preference),
    External(SampleKind::Labelled),
    External(SampleKind::Stepwise),
    External(SampleKind::Prompt),
    External(SampleKind::Text),
];

/// Returns the one that makes samples of `kind`.
pub fn external(kind: SampleKind) -> &'static dyn Converter {
    EXTERNAL.iter().find(|external| external.0 == kind).expect("there is one for each kind")
}

/// Reads a line of a program: the objects that it makes of one row.
pub fn answers(line: &str) -> Result<Vec<RawRow<'_>>, Reject> {
    let wrong = |why: &str| Reject::new(Reason::Refused, format!("the command wrote no sample: {why}"));
    match line.trim_start().as_bytes().first() {
        Some(b'{') => Ok(vec![json::row(line).map_err(|reject| wrong(&reject.detail))?]),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
            items.into_iter().map(|item| json::row(item.get()).map_err(|reject| wrong(&reject.detail))).collect()
        }
        _ => Err(wrong("a line is neither an object nor a list")),
    }
}

impl Converter for External {
    fn name(&self) -> &'static str {
        match self.0 {
            SampleKind::Conversation => "command (conversation)",
            SampleKind::Preference => "command (preference)",
            SampleKind::Labelled => "command (labelled)",
            SampleKind::Stepwise => "command (stepwise)",
            SampleKind::Prompt => "command (prompt)",
            SampleKind::Text => "command (text)",
        }
    }

    fn version(&self) -> u32 {
        4
    }

    fn kind(&self) -> SampleKind {
        self.0
    }

    fn options(&self) -> &'static [OptionSpec] {
        match self.0 {
            SampleKind::Preference => &[Diverge::OPTION],
            _ => &[],
        }
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        match row.get("reject") {
            Some(Value::String(words)) => return Err(Reject::new(Reason::Refused, words.as_ref())),
            Some(Value::Null) | None => {}
            Some(_) => return Err(Reject::new(Reason::Refused, "")),
        }
        let mut filled = Filled::given(row, options);
        let mut others = Vec::new();
        for (at, (name, value)) in row.fields.iter().enumerate() {
            let slot = if name == "conversations" { Some(Slot::Messages) } else { Slot::by_name(name) };
            let Some(slot) = slot.filter(|slot| Slot::of(self.0).contains(slot)) else {
                others.push((at, name, value));
                continue;
            };
            row.use_at(at);
            match filled.filled(slot) {
                Some((first, other)) if *value != Value::Null && value != other => {
                    let detail =
                        format!("the command wrote both `{first}` and `{name}`, which are the same, and differ");
                    return Err(Reject::new(Reason::Conflict, detail));
                }
                _ => filled.fill(slot, name, borrowed(value)),
            }
        }
        let mut sample = filled.sample(self.0)?;
        // A row of an output has its source, and the contents of its messages as one text.
        let is_row = row.has("conversations") || row.has("messages") || row.has("chosen") && row.has("source");
        let known = sample.columns.len();
        for (at, name, value) in others {
            let is_again = is_row && matches!(&**name, "source" | "text");
            // What has no place stays unused, and is named.
            if is_again || *value == Value::Null || keep(&mut sample, known, Cow::Borrowed(name), value)? {
                row.use_at(at);
            }
        }
        Ok(sample.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        convert::{Tally, convert},
        shape,
    };

    fn made(kind: SampleKind, line: &str) -> Result<Vec<String>, String> {
        let told = |reject: Reject| format!("{}: {}", reject.reason.code(), reject.detail);
        let rows = answers(line).map_err(told)?;
        let mut made = Vec::new();
        for row in &rows {
            let converted = external(kind).convert(row, &Options::new()).map_err(told)?;
            made.extend(converted.samples.as_slice().iter().map(|s| shape::row_of(shape::DEFAULT, s, "s").unwrap()));
        }
        Ok(made)
    }

    #[test]
    fn objects_are_samples() {
        let row = r#"{"conversations":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"text":"q\na","source":"s"}"#;
        for line in [
            r#"{"user":"q","assistant":"a"}"#,
            r#"[{"prompt":"q","completion":"a"}]"#,
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#,
            row,
        ] {
            assert_eq!(made(SampleKind::Conversation, line).unwrap(), [row], "{line}");
        }
        assert_eq!(made(SampleKind::Text, "[]").unwrap(), [""; 0]);
        assert_eq!(made(SampleKind::Text, r#"[{"text":"a"},{"text":"b","n":1}]"#).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_sample_is_a_reject_with_the_words_of_the_program() {
        for (line, told) in [
            (r#"{"reject":"too old"}"#, "refused: too old"),
            ("Traceback", "refused: the command wrote no sample: a line is neither an object nor a list"),
            ("{\"a\":", "refused: the command wrote no sample: EOF while parsing a value"),
            (r#"{"user":"q"}"#, "missing_field: nothing for `assistant`"),
        ] {
            let reject = made(SampleKind::Conversation, line).unwrap_err();
            assert!(reject.starts_with(told), "{line}: {reject}");
        }
    }

    #[test]
    fn no_key_is_written_twice_and_none_is_lost_without_a_word() {
        let told = |line: &str| {
            let row = json::row(line).unwrap();
            let (options, mut tally) = (Options::new(), Tally::default());
            let converted = convert(external(SampleKind::Conversation), &row, &options, &mut tally);
            let converted = match converted {
                Ok(converted) => converted,
                Err(reject) => return format!("{}: {}", reject.reason.code(), reject.detail),
            };
            let row = shape::row_of(shape::DEFAULT, converted.only(), "s").unwrap();
            let (_, beside) = row.split_once(r#""text":"q\na","#).unwrap();
            let unused: Vec<String> = tally.unused.into_iter().map(|(name, _)| name).collect();
            format!("{beside} {}", unused.join(","))
        };
        for (line, expected) in [
            (r#"{"user":"q","assistant":"a","text":"foo"}"#, r#""source":"s"} text"#),
            (r#"{"user":"q","assistant":"a","source":"web","id":1}"#, r#""id":1,"source":"s"} source"#),
            (r#"{"user":"q","assistant":"a","images":["i"]}"#, r#""images":["i"],"source":"s"} "#),
            (r#"{"user":"q","prompt":"q","assistant":"a"}"#, r#""source":"s"} "#),
            (r#"{"user":"q","assistant":"a","answer":"4"}"#, r#""answer":"4","source":"s"} "#),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
        let both = told(r#"{"user":"q","prompt":"p","assistant":"a"}"#);
        assert!(both.starts_with("conflict: the command wrote both `user` and `prompt`"), "{both}");
    }
}
