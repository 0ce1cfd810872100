//! Rows: what a decoder yields of a source, why one is not used, and how JSON is spelled.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    ops::Range,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};

use crate::key::{Encode, Encoder};

/// A value of a source row, kept exactly as the source wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`, or a missing cell of a columnar file.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in its own spelling: `1.0` stays `1.0`, 2^53+1 keeps every digit.
    Number(Cow<'a, str>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array or object as JSON text.
    Json(Cow<'a, str>),
    /// A value that JSON has no type for, such as a date or NaN; never a text, but it can be shown and kept.
    Printed {
        /// The type, such as `timestamp[us]`.
        kind: Cow<'a, str>,
        /// The value as text.
        text: Cow<'a, str>,
    },
}

/// The kind of a printed value that is bytes without being UTF-8.
pub const BINARY: &str = "binary";

/// The kind of a printed value that is NaN or an infinity.
pub const NO_NUMBER: &str = "a float that is no number";

/// The kind of a printed value that is a string with half of a surrogate pair.
pub const LONE_SURROGATE: &str = "a string with half of a surrogate pair";

impl Value<'_> {
    /// Returns why this value of the field `name`, which is neither a string nor missing, cannot be used as a text.
    pub fn not_text(&self, name: &str) -> Reject {
        match self {
            Self::Printed { kind, .. } if kind == BINARY => {
                Reject::new(Reason::InvalidUtf8, format!("`{name}` holds bytes that are not UTF-8"))
            }
            Self::Printed { kind, .. } if kind == LONE_SURROGATE => {
                let detail =
                    format!("`{name}` holds half of a surrogate pair (`\\ud83d` alone), which is no character");
                Reject::new(Reason::InvalidUtf8, detail)
            }
            Self::Printed { kind, text } if kind == NO_NUMBER => {
                Reject::new(Reason::WrongType, format!("`{name}` is {text}, not a string"))
            }
            Self::Printed { kind, .. } => Reject::new(Reason::WrongType, format!("`{name}` is {kind}, not a string")),
            _ => Reject::new(Reason::WrongType, format!("`{name}` is not a string")),
        }
    }
}

impl Value<'_> {
    /// Whether there is nothing in the value: `null`, an empty string, list or object, in JSON or in a string that holds it.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Null => true,
            Self::String(text) => matches!(text.trim(), "" | "[]" | "{}"),
            Self::Printed { .. } => false,
            Self::Json(json) => {
                json.len() <= 16 && json.bytes().filter(|byte| !byte.is_ascii_whitespace()).count() <= 2
            }
            Self::Bool(_) | Self::Number(_) => false,
        }
    }
}

/// A row as it stands in a source file: its fields in their order.
///
/// A row notes which of its fields were used, so that what nobody used can be told: see [`RawRow::unused`].
#[derive(Clone, Debug, Default)]
pub struct RawRow<'a> {
    /// Field names with their values, in source order, names unique.
    pub fields: Vec<(Cow<'a, str>, Value<'a>)>,
    used: Used,
}

/// Which fields of a row were used, by their places.
#[derive(Clone, Debug, Default)]
struct Used {
    /// The first 64 fields.
    first: Cell<u64>,
    /// The fields behind them, 64 a number: few rows have any, and those take no allocation before one is used.
    others: RefCell<Vec<u64>>,
}

impl Used {
    fn add(&self, at: usize) {
        if at < 64 {
            self.first.set(self.first.get() | 1 << at);
        } else {
            let mut others = self.others.borrow_mut();
            let number = at / 64 - 1;
            if others.len() <= number {
                others.resize(number + 1, 0);
            }
            others[number] |= 1 << (at % 64);
        }
    }

    fn has(&self, at: usize) -> bool {
        if at < 64 {
            return self.first.get() >> at & 1 == 1;
        }
        self.others.borrow().get(at / 64 - 1).is_some_and(|others| others >> (at % 64) & 1 == 1)
    }
}

impl PartialEq for RawRow<'_> {
    /// Compares what rows hold, not what was used of it.
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl<'a> RawRow<'a> {
    /// A row of these fields, none of which was used.
    pub fn new(fields: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        Self { fields, used: Used::default() }
    }

    /// Returns the row as it is without the fields of which `is_out` holds.
    pub fn without(&self, is_out: impl Fn(&str) -> bool) -> Cow<'_, Self> {
        if !self.fields.iter().any(|(name, _)| is_out(name)) {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self::new(self.fields.iter().filter(|(name, _)| !is_out(name)).cloned().collect()))
    }

    /// Returns the value of a field, if the row has it, and notes that it was used.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        self.used.add(at);
        Some(&self.fields[at].1)
    }

    /// Returns the value of a field for a look that makes nothing of it: the field does not count as used.
    pub fn peek(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Whether the row has something in a field; see [`Value::is_nothing`]. The field does not count as used.
    pub fn has(&self, name: &str) -> bool {
        self.peek(name).is_some_and(|value| !value.is_nothing())
    }

    /// Returns the name, as the row spells it, of the first of these columns in which there is something, else of the first
    /// that is not `null`: the one answer to "is the column there?". The field does not count as used.
    pub fn column(&self, names: &[&str]) -> Option<&str> {
        let first = |is_there: fn(&Value<'_>) -> bool| {
            names.iter().find_map(|name| self.spelled(name, is_there)).map(|(field, _)| field)
        };
        first(|value| !value.is_nothing()).or_else(|| first(|value| *value != Value::Null))
    }

    /// Returns the field of this name, else the first that is [called](is_called) so, of whose value `is_there` holds. The field does
    /// not count as used.
    pub fn spelled(&self, name: &str, is_there: impl Fn(&Value<'a>) -> bool) -> Option<(&str, &Value<'a>)> {
        let find = |is_meant: fn(&str, &str) -> bool| {
            self.fields.iter().find(|(field, value)| is_meant(field, name) && is_there(value))
        };
        let found = find(|field, name| field == name).or_else(|| find(is_called));
        found.map(|(field, value)| (&**field, value))
    }

    /// Returns all fields with whether each was used, in order.
    pub fn uses(&self) -> impl Iterator<Item = (&str, &Value<'a>, bool)> {
        let fields = self.fields.iter().enumerate();
        fields.map(|(at, (name, value))| (name.as_ref(), value, self.used.has(at)))
    }

    /// Notes that the field at this place was used.
    pub fn use_at(&self, at: usize) {
        self.used.add(at);
    }

    /// Notes that all fields were used.
    pub fn use_all(&self) {
        (0..self.fields.len()).for_each(|at| self.used.add(at));
    }

    /// Forgets which fields were used.
    pub fn forget_uses(&self) {
        self.used.first.set(0);
        self.used.others.borrow_mut().clear();
    }

    /// Returns the fields that hold something and were not used, in order.
    pub fn unused(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        let fields = self.fields.iter().enumerate();
        let unused = fields.filter(|(at, (_, value))| !self.used.has(*at) && !value.is_nothing());
        unused.map(|(_, (name, value))| (name.as_ref(), value))
    }

    /// The text of a field that must be there and must be a string.
    pub fn text(&self, name: &str) -> Result<&str, Reject> {
        match self.get(name) {
            Some(Value::String(text)) => Ok(text),
            None | Some(Value::Null) => Err(Reject::new(Reason::MissingField, format!("no `{name}`"))),
            Some(other) => Err(other.not_text(name)),
        }
    }

    /// The text of a field that may be missing or null: then it is empty.
    pub fn text_or_empty(&self, name: &'static str) -> Result<&str, Reject> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(_) => self.text(name),
        }
    }
}

/// Whether a column is called so, whatever its case and however its words are joined: `systemPrompt` and `System Prompt` are
/// `system_prompt`, as programs in JavaScript and people with spreadsheets write it.
pub fn is_called(column: &str, name: &str) -> bool {
    let differ_at_once = || match (column.as_bytes(), name.as_bytes()) {
        ([first, ..], [of_name, ..]) => {
            first.is_ascii_alphabetic() && of_name.is_ascii_alphabetic() && !first.eq_ignore_ascii_case(of_name)
        }
        _ => false,
    };
    // Nearly always one of both is so, and rows have many columns that are looked for under many names.
    column == name || (!differ_at_once() && letters(column).eq(letters(name)))
}

/// The bytes of a name that count, in lower case.
pub(crate) fn letters(name: &str) -> impl DoubleEndedIterator<Item = u8> {
    name.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b' ')).map(|byte| byte.to_ascii_lowercase())
}

/// Why a row is not used. The codes are a stable interface: tools read them from the quarantine file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The row is not a JSON object, or its JSON is broken.
    InvalidJson,
    /// The row is not valid UTF-8.
    InvalidUtf8,
    /// A key occurs twice in the row.
    DuplicateKey,
    /// The row is longer than 16 MiB.
    RowTooLong,
    /// A CSV record has more or fewer fields than the header.
    WrongFieldCount,
    /// A field the converter needs is missing or null.
    MissingField,
    /// A field has another type than the converter needs.
    WrongType,
    /// There is no answer to learn from.
    EmptyOutput,
    /// There is no question.
    EmptyPrompt,
    /// The `####` line with the final answer is missing or malformed.
    NoFinalAnswer,
    /// Chosen and rejected are the same dialogue.
    IdenticalPair,
    /// The last answer of a side is empty.
    EmptyLastAnswer,
    /// The two sides do not share all but the last turn.
    PromptsDiffer,
    /// A side does not end with an assistant turn.
    NoFinalAssistantTurn,
    /// A transcript does not begin with a `Human:` turn.
    NoFirstHumanTurn,
    /// A message is of a role that nobody knows.
    UnknownRole,
    /// The program that converts rows refuses it, or a function that filters samples.
    Refused,
    /// The row says two things of which only one can be.
    Conflict,
    /// A column that changes what is trained on is not used.
    UnusedColumn,
    /// A rule of the recipe is broken.
    BrokenRule,
    /// The model's chat template refuses the conversation, or drops a part of it.
    NotRendered,
    /// Nothing of the sample is trained on.
    NothingTrained,
    /// A text holds the text of a control token.
    SpecialToken,
    /// The tokenizer changes the text, so that it is not known where tokens stand.
    NotEncoded,
}

impl Reason {
    /// Returns whether the recipe's model refuses the row, and not its conversion.
    pub fn is_of_model(self) -> bool {
        matches!(self, Self::NotRendered | Self::NothingTrained | Self::SpecialToken | Self::NotEncoded)
    }

    /// The code as it is written to files.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::DuplicateKey => "duplicate_key",
            Self::RowTooLong => "row_too_long",
            Self::WrongFieldCount => "wrong_field_count",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::EmptyOutput => "empty_output",
            Self::EmptyPrompt => "empty_prompt",
            Self::NoFinalAnswer => "no_final_answer",
            Self::IdenticalPair => "identical_pair",
            Self::EmptyLastAnswer => "empty_last_answer",
            Self::PromptsDiffer => "prompts_differ",
            Self::NoFinalAssistantTurn => "no_final_assistant_turn",
            Self::NoFirstHumanTurn => "no_first_human_turn",
            Self::UnknownRole => "unknown_role",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::UnusedColumn => "unused_column",
            Self::BrokenRule => "broken_rule",
            Self::NotRendered => "not_rendered",
            Self::NothingTrained => "nothing_trained",
            Self::SpecialToken => "special_token",
            Self::NotEncoded => "not_encoded",
        }
    }
}

/// A row that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The reason's code.
    pub reason: Reason,
    /// What exactly, in words; may be empty.
    pub detail: String,
}

impl Reject {
    /// A reject for `reason`, with `detail` in words.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Appends `text` as a JSON string: UTF-8 kept as it is, U+0085, U+2028 and U+2029 escaped.
///
/// JSON allows these separators bare, but readers that split text into lines (Python's `str.splitlines`) then see
/// more lines than rows.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if separators(text).next().is_none() {
        return json_escape_simd::escape_into(text, out);
    }
    let mut serializer = Serializer::with_formatter(out, LineSafe);
    serde::Serializer::serialize_str(&mut serializer, text).expect("a Vec takes every write");
}

/// Where U+0085, U+2028 and U+2029 stand, with their escapes.
fn separators(text: &str) -> impl Iterator<Item = (Range<usize>, &'static [u8])> {
    let bytes = text.as_bytes();
    // Neither byte occurs within a character, but only as the first of two or three.
    memchr::memchr2_iter(0xC2, 0xE2, bytes).filter_map(|at| match bytes[at..] {
        [0xC2, 0x85, ..] => Some((at..at + 2, &b"\\u0085"[..])),
        [0xE2, 0x80, 0xA8, ..] => Some((at..at + 3, &b"\\u2028"[..])),
        [0xE2, 0x80, 0xA9, ..] => Some((at..at + 3, &b"\\u2029"[..])),
        _ => None,
    })
}

/// Appends a value as JSON on one line, escaped as [`write_string`] does.
pub fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    let mut serializer = Serializer::with_formatter(out, LineSafe);
    value.serialize(&mut serializer).expect("a Vec takes every write, and plain data serialises");
}

/// serde_json's compact output with the line separators beyond ASCII escaped.
struct LineSafe;

impl Formatter for LineSafe {
    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut written = 0;
        for (place, escape) in separators(fragment) {
            writer.write_all(&fragment.as_bytes()[written..place.start])?;
            writer.write_all(escape)?;
            written = place.end;
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

impl Encode for (u32, Reason) {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.list(2);
        encoder.integer(self.0.into());
        encoder.text(self.1.code());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        write_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in "(\\PC|[\u{0}-\u{20}\"\\\\\u{7f}\u{2026}-\u{202a}]){0,200}") {
            let expected = serde_json::to_string(&text).unwrap();
            let lines = [('\u{85}', "\\u0085"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
            let expected = lines.into_iter().fold(expected, |text, (c, escape)| text.replace(c, escape));
            prop_assert_eq!(json(&text), expected);
        }
    }

    #[test]
    fn a_row_knows_which_fields_were_used() {
        let names: Vec<String> = (0..70).map(|number| format!("c{number}")).collect();
        let field = |name: &String| (name.clone().into(), Value::Bool(true));
        let row = RawRow::new(names.iter().map(field).collect());
        let unused = |row: &RawRow<'_>| row.unused().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(unused(&row), names);
        assert!(row.peek("c1").is_some() && row.has("c2") && row.get("none").is_none());
        assert_eq!(unused(&row), names, "a look is no use");
        for name in ["c0", "c63", "c64", "c69", "c69"] {
            assert!(row.get(name).is_some());
        }
        assert_eq!(unused(&row), [&names[1..63], &names[65..69]].concat());
        let used = row.uses().filter(|(_, _, is_used)| *is_used).map(|(name, ..)| name).collect::<Vec<_>>();
        assert_eq!(used, ["c0", "c63", "c64", "c69"]);
        row.forget_uses();
        assert_eq!(unused(&row), names);
        row.use_all();
        assert_eq!(unused(&row), [""; 0]);
    }

    #[test]
    fn a_column_that_has_something_comes_before_one_that_is_empty() {
        let row = |fields: &[(&'static str, Value<'static>)]| {
            RawRow::new(fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
        };
        let (text, empty) = (|| Value::String("x".into()), || Value::String(" ".into()));
        for (fields, found) in [
            (vec![("a", empty()), ("b", text())], Some("b")),
            (vec![("B", text()), ("a", Value::Json("[]".into()))], Some("B")),
            (vec![("b", empty()), ("a", Value::Null)], Some("b")),
            (vec![("b", empty()), ("a", empty())], Some("a")),
            (vec![("a", empty()), ("A", text())], Some("A")),
            (vec![("a", Value::Null), ("c", text())], None),
        ] {
            let row = row(&fields);
            assert_eq!(row.column(&["a", "b"]), found, "{fields:?}");
            assert_eq!(row.uses().filter(|(_, _, is_used)| *is_used).count(), 0);
        }
    }

    #[test]
    fn nothing_has_many_spellings() {
        for nothing in [Value::Null, Value::String(" ".into()), Value::String("[]".into()), Value::Json("[ ]".into())] {
            assert!(nothing.is_nothing(), "{nothing:?}");
        }
        for something in [Value::Bool(false), Value::Number("0".into()), Value::Json("[0]".into())] {
            assert!(!something.is_nothing(), "{something:?}");
        }
    }

    #[test]
    fn only_line_separators_and_json_specials_are_escaped() {
        assert_eq!(json("a\u{2028}b\u{2029}“é”\n\"\u{1}"), "\"a\\u2028b\\u2029“é”\\n\\\"\\u0001\"");
        assert_eq!(json("\u{2028}"), "\"\\u2028\"");
        assert_eq!(json("é\u{85}\u{a0}\u{c5}\u{2030}\u{85}"), "\"é\\u0085\u{a0}\u{c5}\u{2030}\\u0085\"");
    }
}
