//! What the first rows of a source look like: which columns they have, of what types, and which stand together.
//!
//! A converter is chosen by it. One row is not asked: it may be a header of some exporter, or lack what all others have.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    json,
    row::{RawRow, Value, is_called},
};

/// The number of good rows that are looked at.
pub const SURVEYED: u32 = 100;

/// The number of bytes of chunks in which they are looked for: rows may be long, or all of them bad.
const MOST_BYTES: u64 = 8 << 20;

/// The number of columns of a row that are looked at: one row may have millions of keys.
const MOST_COLUMNS: usize = 512;

/// The first good rows of a source, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// How many rows were looked at.
    pub rows: u32,
    /// How many bytes the chunks have in which they were looked for.
    pub bytes: u64,
    /// Their columns, in the order in which they were met.
    pub columns: Vec<Column>,
    /// The sets of columns that rows have something in, by their numbers and with the types of their values, and how many rows
    /// each.
    patterns: Vec<(Vec<(u16, Types)>, u32)>,
}

/// One column of the surveyed rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name.
    pub name: String,
    /// In how many rows it has something: it is not missing, `null`, or empty.
    pub filled: u32,
    /// The types of these values.
    pub types: Types,
}

/// A set of types of values, and of what strings and objects turn out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Types(u16);

impl Types {
    /// `true` or `false`.
    pub const BOOLEAN: Self = Self(1);
    /// A number.
    pub const NUMBER: Self = Self(2);
    /// A string.
    pub const STRING: Self = Self(4);
    /// A list of strings.
    pub const STRINGS: Self = Self(8);
    /// A list of objects.
    pub const OBJECTS: Self = Self(16);
    /// Any other list.
    pub const LIST: Self = Self(32);
    /// An object.
    pub const OBJECT: Self = Self(64);
    /// What JSON has no type for, such as a date of a columnar file.
    pub const OTHER: Self = Self(128);
    /// A string that begins as a list of objects does, as CSV has them.
    pub const MESSAGES: Self = Self(256);
    /// A string with a number behind its last `####`.
    pub const FINAL_ANSWER: Self = Self(512);
    /// A transcript: a string that begins with `Human:`, blank lines aside.
    pub const TRANSCRIPT: Self = Self(1024);
    /// An object with `replies`.
    pub const TREE: Self = Self(2048);
    /// A list of one message, which is the assistant's.
    pub const ANSWER_ALONE: Self = Self(4096);
    /// Messages in another form than a list of objects: an object of lists, or a list of strings that hold an object each.
    pub const UNZIPPED: Self = Self(8192);

    const NAMED: [(Self, &'static str); 8] = [
        (Self::BOOLEAN, "boolean"),
        (Self::NUMBER, "number"),
        (Self::STRING, "string"),
        (Self::STRINGS, "list of strings"),
        (Self::OBJECTS, "list of objects"),
        (Self::LIST, "list"),
        (Self::OBJECT, "object"),
        (Self::OTHER, "other"),
    ];

    /// Whether any of the `other` types is among these.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns both sets in one.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the names of the types.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMED.iter().filter(|(of, _)| self.has(*of)).map(|(_, name)| *name).collect()
    }

    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Null => Self::default(),
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(text) => {
                let is_list =
                    text.trim_start().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
                let is_number = |text: &str| {
                    let digits = text.trim().trim_start_matches('-');
                    digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.contains('\n')
                };
                let is_final = text.rsplit_once("####").is_some_and(|(_, last)| is_number(last));
                let is_transcript = text.trim_start_matches('\n').starts_with("Human:");
                let marks =
                    [(is_list, Self::MESSAGES), (is_final, Self::FINAL_ANSWER), (is_transcript, Self::TRANSCRIPT)];
                marks.into_iter().filter(|(is, _)| *is).fold(Self::STRING, |types, (_, mark)| types.or(mark))
            }
            Value::Printed { .. } => Self::OTHER,
            Value::Json(json) if json.starts_with('{') => {
                if json.contains("\"replies\"") {
                    Self::OBJECT.or(Self::TREE)
                } else if is_unzipped(json) {
                    Self::OBJECT.or(Self::UNZIPPED)
                } else {
                    Self::OBJECT
                }
            }
            Value::Json(json) => match json[1..].trim_start().as_bytes().first() {
                Some(b'"') if json[1..].trim_start()[1..].trim_start().starts_with('{') => {
                    Self::STRINGS.or(Self::UNZIPPED)
                }
                Some(b'"') => Self::STRINGS,
                Some(b'{') if is_answer_alone(json) => Self::OBJECTS.or(Self::ANSWER_ALONE),
                Some(b'{') => Self::OBJECTS,
                _ => Self::LIST,
            },
        }
    }
}

/// Whether an object has a list of who speaks.
fn is_unzipped(json: &str) -> bool {
    ["role", "from"].into_iter().any(|key| json::member(json, key).is_some_and(|value| value.starts_with('[')))
}

impl Survey {
    /// Adds a column that all rows have, as in CSV and Parquet, whether or not any has something in it.
    pub fn add_column(&mut self, name: &str) {
        self.number(name);
    }

    /// Whether as many rows were looked at as ever are.
    pub fn is_full(&self) -> bool {
        self.rows >= SURVEYED || self.bytes >= MOST_BYTES
    }

    /// Whether as many columns were met as are looked at: there may be others.
    pub fn has_most_columns(&self) -> bool {
        self.columns.len() >= MOST_COLUMNS
    }

    /// Looks at a row, unless there were enough.
    pub fn add(&mut self, row: &RawRow<'_>) {
        if self.is_full() {
            return;
        }
        self.rows += 1;
        let mut pattern = Vec::new();
        for (name, value) in row.fields.iter().take(MOST_COLUMNS) {
            let Some(number) = self.number(name) else { continue };
            let column = &mut self.columns[number];
            if value.is_nothing() {
                continue;
            }
            let types = Types::of(value);
            pattern.push((number as u16, types));
            column.filled += 1;
            column.types = column.types.or(types);
        }
        pattern.sort_unstable();
        self.note(pattern, 1);
    }

    /// Adds what was seen behind the rows of this survey, as far as there is room.
    ///
    /// A survey that would be more than full is added whole: which rows it is of cannot be told any more.
    pub fn merge(&mut self, other: &Self) {
        if self.is_full() {
            return;
        }
        self.rows += other.rows;
        self.bytes += other.bytes;
        let mut numbers = Vec::with_capacity(other.columns.len());
        for of in &other.columns {
            let number = self.number(&of.name);
            if let Some(number) = number {
                let column = &mut self.columns[number];
                column.filled += of.filled;
                column.types = column.types.or(of.types);
            }
            numbers.push(number);
        }
        for (pattern, rows) in &other.patterns {
            let number = |number: &u16| numbers[usize::from(*number)].map(|number| number as u16);
            let mut pattern: Vec<(u16, Types)> =
                pattern.iter().filter_map(|(of, types)| Some((number(of)?, *types))).collect();
            pattern.sort_unstable();
            self.note(pattern, *rows);
        }
    }

    /// The number of a column, which is new if it was not met before.
    fn number(&mut self, name: &str) -> Option<usize> {
        let known = self.columns.iter().position(|column| column.name == name);
        known.or_else(|| {
            (self.columns.len() < MOST_COLUMNS).then(|| {
                self.columns.push(Column::new(name.to_owned()));
                self.columns.len() - 1
            })
        })
    }

    fn note(&mut self, pattern: Vec<(u16, Types)>, rows: u32) {
        match self.patterns.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, known)) => *known += rows,
            None => self.patterns.push((pattern, rows)),
        }
    }

    /// Returns a column by its name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the columns that are [called](is_called) so.
    pub fn called(&self, name: &str) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(move |column| is_called(&column.name, name))
    }

    /// Returns the names of all columns.
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// Returns the survey of the same rows, had they nothing in columns of which `is_out` holds.
    pub fn without(&self, is_out: impl Fn(&str) -> bool) -> Self {
        let mut survey = self.clone();
        for column in survey.columns.iter_mut().filter(|column| is_out(&column.name)) {
            (column.filled, column.types) = (0, Types::default());
        }
        survey.patterns.clear();
        for (pattern, rows) in &self.patterns {
            let is_left = |(number, _): &&(u16, Types)| !is_out(&self.columns[usize::from(*number)].name);
            survey.note(pattern.iter().filter(is_left).copied().collect(), *rows);
        }
        survey
    }

    /// Returns surveys of rows that have values of the same types in the same columns.
    pub fn alike(&self) -> impl Iterator<Item = Self> {
        self.patterns.iter().map(|(pattern, rows)| {
            let column = |(number, types): &(u16, Types)| Column {
                name: self.columns[usize::from(*number)].name.clone(),
                filled: *rows,
                types: *types,
            };
            let numbers = pattern.iter().enumerate().map(|(number, (_, types))| (number as u16, *types));
            Self {
                rows: *rows,
                bytes: self.bytes,
                columns: pattern.iter().map(column).collect(),
                patterns: vec![(numbers.collect(), *rows)],
            }
        })
    }

    /// Returns how many rows have something in all of these columns.
    pub fn rows_with(&self, columns: &[&str]) -> u32 {
        self.count(|names| columns.iter().all(|column| names.contains(column)))
    }

    /// Returns how many rows are such that `is_fit` holds for the columns that they have something in.
    pub fn count(&self, is_fit: impl Fn(&[&str]) -> bool) -> u32 {
        let names = |pattern: &[(u16, Types)]| -> Vec<&str> {
            pattern.iter().map(|(number, _)| self.columns[usize::from(*number)].name.as_str()).collect()
        };
        self.patterns.iter().filter(|(pattern, _)| is_fit(&names(pattern))).map(|(_, rows)| rows).sum()
    }
}

/// Whether a list is one message of the assistant.
fn is_answer_alone(list: &str) -> bool {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
    }
    serde_json::from_str::<[Said<'_>; 1]>(list).is_ok_and(|[said]| said.role == "assistant")
}

impl Column {
    fn new(name: String) -> Self {
        Self { name, filled: 0, types: Types::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn survey(rows: &[&str]) -> Survey {
        let mut survey = Survey::default();
        rows.iter().for_each(|row| survey.add(&json::row(row).unwrap()));
        survey
    }

    #[test]
    fn rows_are_counted_by_what_they_have() {
        let survey = survey(&[
            r#"{"_meta":{}}"#,
            r#"{"q":"a","a":null}"#,
            r#"{"q":"a","a":"x\n#### 1"}"#,
            r#"{"a":["x"],"q":"\n\nHuman: a"}"#,
        ]);
        assert_eq!((survey.rows, survey.names()), (4, vec!["_meta", "q", "a"]));
        assert_eq!((survey.rows_with(&["q"]), survey.rows_with(&["q", "a"]), survey.rows_with(&["b"])), (3, 2, 0));
        let column = survey.column("a").unwrap();
        assert_eq!((column.filled, column.types.names()), (2, vec!["string", "list of strings"]));
        let alike: Vec<Survey> = survey.alike().collect();
        let is = |rows: &Survey, name, types| rows.column(name).is_some_and(|column| column.types.has(types));
        let counts = [("a", Types::FINAL_ANSWER), ("a", Types::STRINGS), ("q", Types::TRANSCRIPT)]
            .map(|(name, types)| alike.iter().filter(|rows| is(rows, name, types)).map(|rows| rows.rows).sum::<u32>());
        assert_eq!((alike.len(), counts), (4, [1, 1, 1]), "rows of one type are alike");
    }

    #[test]
    fn strings_and_objects_are_told_apart_by_what_they_hold() {
        for (value, types) in [
            (r#"" [ {\"role\":1""#, Types::MESSAGES),
            (r#""[1]""#, Types::STRING),
            (r#""x\n#### -1,200""#, Types::FINAL_ANSWER),
            ("\"#### Title\\ntext\"", Types::STRING),
            ("\"#### 1\\ntext\"", Types::STRING),
            (r#""\n\nHuman: a""#, Types::TRANSCRIPT),
            (r#"{"text":"q","replies":[]}"#, Types::TREE),
            (r#"{"text":"q"}"#, Types::OBJECT),
            (r#"[{"role":"assistant","content":"a"}]"#, Types::ANSWER_ALONE),
            (r#"[{"role":"assistant","content":"a"},{"role":"user","content":"q"}]"#, Types::OBJECTS),
            (r#"[{"role":"user","content":"q"}]"#, Types::OBJECTS),
        ] {
            let found = Types::of(&json::value(value).unwrap());
            let marks = [Types::MESSAGES, Types::FINAL_ANSWER, Types::TRANSCRIPT, Types::TREE, Types::ANSWER_ALONE];
            assert!(found.has(types), "{value}");
            assert!(marks.into_iter().all(|mark| mark == types || !found.has(mark)), "{value}: {found:?}");
        }
    }

    #[test]
    fn surveys_of_several_files_are_put_together() {
        let (a, b) = (r#"{"q":"a","x":1}"#, r#"{"x":"2","q":"b","z":null}"#);
        let mut both = survey(&[a]);
        both.merge(&survey(&[b]));
        assert_eq!(both, survey(&[a, b]));
    }

    #[test]
    fn a_hundred_rows_are_enough() {
        let row = json::row(r#"{"a":1}"#).unwrap();
        let mut survey = Survey::default();
        (0..=SURVEYED).for_each(|_| survey.add(&row));
        survey.add(&json::row(r#"{"b":1}"#).unwrap());
        assert!(survey.is_full() && survey.column("b").is_none());
        assert_eq!(survey.rows_with(&["a"]), SURVEYED);
    }
}
