//! Samples of what a program of the user's makes of rows, be it a command or a function in Python.
//!
//! It is given rows as JSON, and writes a line for each: an object that is a sample, a list of such objects, or
//! `{"reject": "why"}`. Running it is not the core's business; what it writes is read here.

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
    config::Program,
    json,
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, SampleKind, Slot},
};

/// Makes a sample of an object that a program wrote: its keys are the slots, as in `columns`; others are kept as columns.
///
/// A row of an output is such an object, too.
#[derive(Debug)]
pub struct External {
    kind: SampleKind,
    by: By,
}

/// What writes the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Command,
    Python,
}

/// Two for each kind of sample; recipes give a command or a function instead of a name.
pub static EXTERNAL: [External; 12] = [
    External { kind: SampleKind::Conversation, by: By::Command },
    External { kind: SampleKind::Preference, by: By::Command },
    External { kind: SampleKind::Labelled, by: By::Command },
    External { kind: SampleKind::Stepwise, by: By::Command },
    External { kind: SampleKind::Prompt, by: By::Command },
    External { kind: SampleKind::Text, by: By::Command },
    External { kind: SampleKind::Conversation, by: By::Python },
    External { kind: SampleKind::Preference, by: By::Python },
    External { kind: SampleKind::Labelled, by: By::Python },
    External { kind: SampleKind::Stepwise, by: By::Python },
    External { kind: SampleKind::Prompt, by: By::Python },
    External { kind: SampleKind::Text, by: By::Python },
];

/// Returns the one that makes samples of `kind` of what a program writes.
pub fn external(kind: SampleKind, program: &Program) -> &'static dyn Converter {
    let by = match program {
        Program::Command(_) => By::Command,
        Program::Python(_) => By::Python,
    };
    let of = EXTERNAL.iter().find(|external| external.kind == kind && external.by == by);
    of.expect("there is one for each kind and each sort of program")
}

/// Reads a line of a program: the objects that it makes of one row.
pub fn answers(line: &str) -> Result<Vec<RawRow<'_>>, Reject> {
    let wrong = |why: &str| Reject::new(Reason::Refused, format!("the program wrote no sample: {why}"));
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
        match (self.by, self.kind) {
            (By::Command, SampleKind::Conversation) => "command (conversation)",
            (By::Command, SampleKind::Preference) => "command (preference)",
            (By::Command, SampleKind::Labelled) => "command (labelled)",
            (By::Command, SampleKind::Stepwise) => "command (stepwise)",
            (By::Command, SampleKind::Prompt) => "command (prompt)",
            (By::Command, SampleKind::Text) => "command (text)",
            (By::Python, SampleKind::Conversation) => "python (conversation)",
            (By::Python, SampleKind::Preference) => "python (preference)",
            (By::Python, SampleKind::Labelled) => "python (labelled)",
            (By::Python, SampleKind::Stepwise) => "python (stepwise)",
            (By::Python, SampleKind::Prompt) => "python (prompt)",
            (By::Python, SampleKind::Text) => "python (text)",
        }
    }

    fn version(&self) -> u32 {
        match self.by {
            By::Command => 7,
            By::Python => 3,
        }
    }

    fn kind(&self) -> SampleKind {
        self.kind
    }

    fn options(&self) -> &'static [OptionSpec] {
        match self.kind {
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
            let Some(slot) = slot.filter(|slot| Slot::of(self.kind).contains(slot)) else {
                others.push((at, name, value));
                continue;
            };
            row.use_at(at);
            match filled.filled(slot) {
                Some((first, other)) if *value != Value::Null && value != other => {
                    let detail =
                        format!("the program wrote both `{first}` and `{name}`, which are the same, and differ");
                    return Err(Reject::new(Reason::Conflict, detail));
                }
                _ => filled.fill(slot, name, borrowed(value)),
            }
        }
        let mut sample = filled.sample(self.kind)?;
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
        config::Command,
        convert::{Tally, convert},
        shape,
    };

    fn command() -> Program {
        Program::Command(Command { command: vec!["true".to_owned()], files: Vec::new() })
    }

    fn made(kind: SampleKind, line: &str) -> Result<Vec<String>, String> {
        let told = |reject: Reject| format!("{}: {}", reject.reason.code(), reject.detail);
        let rows = answers(line).map_err(told)?;
        let mut made = Vec::new();
        for row in &rows {
            let converted = external(kind, &command()).convert(row, &Options::new()).map_err(told)?;
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
            ("Traceback", "refused: the program wrote no sample: a line is neither an object nor a list"),
            ("{\"a\":", "refused: the program wrote no sample: EOF while parsing a value"),
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
            let converted = convert(external(SampleKind::Conversation, &command()), &row, &options, &mut tally);
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
        assert!(both.starts_with("conflict: the program wrote both `user` and `prompt`"), "{both}");
    }
}
