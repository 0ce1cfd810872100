//! Rows of token ids, as shapes write them, to Arrow arrays.
//!
//! Such a row has thousands of numbers, and a JSON parser that looks at each of them twice takes longer than the tokenizer that made
//! them. So rows of lists of integers are read by hand: no white space, and all columns in order.

use crate::array::Builder;
use datac_core::shape::facts::{Column, Type};

/// Returns whether rows of these columns are read here: lists of integers, beside strings that name the rows.
pub(crate) fn are_of(columns: &[Column]) -> bool {
    let is_integers =
        |of: &Type| matches!(of, Type::List(item) if matches!(**item, Type::Integer | Type::Int32 | Type::Int8));
    let is_names = |of: &Type| matches!(of, Type::Text) || matches!(of, Type::List(item) if **item == Type::Text);
    columns.iter().any(|column| is_integers(&column.of))
        && columns.iter().all(|column| is_integers(&column.of) || is_names(&column.of))
}

/// Adds a row: an object on a line, whose keys are the columns.
pub(crate) fn row(line: &[u8], columns: &[Column], builders: &mut [Builder]) -> Result<(), String> {
    let mut rest = Rest { line, at: 0 };
    for (number, (column, builder)) in columns.iter().zip(builders).enumerate() {
        rest.skip(if number == 0 { b"{\"" } else { b",\"" })?;
        rest.skip(column.name.as_bytes())?;
        rest.skip(b"\":")?;
        rest.value(builder)?;
    }
    rest.skip(b"}\n")?;
    if rest.at == line.len() { Ok(()) } else { Err(rest.unexpected("the end of the row")) }
}

/// What is left of a row.
struct Rest<'l> {
    line: &'l [u8],
    at: usize,
}

impl Rest<'_> {
    fn skip(&mut self, wanted: &[u8]) -> Result<(), String> {
        if !self.line[self.at..].starts_with(wanted) {
            return Err(self.unexpected(&format!("`{}`", String::from_utf8_lossy(wanted).trim_end())));
        }
        self.at += wanted.len();
        Ok(())
    }

    fn unexpected(&self, wanted: &str) -> String {
        format!("there is not {wanted} at column {}", self.at + 1)
    }

    /// Whether a byte stands here; it is left out then.
    fn has(&mut self, byte: u8) -> bool {
        let is_there = self.line.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn value(&mut self, builder: &mut Builder) -> Result<(), String> {
        match builder {
            Builder::Text(texts) => texts.append_value(self.text()?),
            Builder::List { items, ends, nulls, length, .. } => {
                let added = match &mut **items {
                    Builder::Integer(integers) => self.integers(|integer| integers.append_value(integer)),
                    Builder::Int32(integers) => self.integers(|integer| integers.append_value(integer)),
                    Builder::Int8(integers) => self.integers(|integer| integers.append_value(integer)),
                    items => self.list(|rest| rest.value(items)),
                }?;
                *length = length.checked_add(added).ok_or("a list is too long")?;
                ends.push(*length);
                nulls.append_non_null();
            }
            _ => return Err(self.unexpected("a value of the column's type")),
        }
        Ok(())
    }

    /// Reads a list, item by item; returns how many there are.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<i32, String> {
        self.skip(b"[")?;
        if self.has(b']') {
            return Ok(0);
        }
        let mut count: i32 = 0;
        loop {
            item(self)?;
            count = count.checked_add(1).ok_or("a list is too long")?;
            if !self.has(b',') {
                break;
            }
        }
        self.skip(b"]")?;
        Ok(count)
    }

    /// Reads a list of integers; returns how many there are. What to do with an item is decided once for all of them.
    fn integers<T: TryFrom<i64>>(&mut self, mut add: impl FnMut(T)) -> Result<i32, String> {
        self.list(|rest| {
            add(rest.integer().ok_or_else(|| rest.unexpected("an integer of the column's size"))?);
            Ok(())
        })
    }

    /// Reads an integer of up to 18 digits, which cannot overflow.
    fn integer<T: TryFrom<i64>>(&mut self) -> Option<T> {
        let is_negative = self.has(b'-');
        let (first, mut value) = (self.at, 0_i64);
        while let Some(digit @ b'0'..=b'9') = self.line.get(self.at) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        match self.at - first {
            1..=18 => T::try_from(if is_negative { -value } else { value }).ok(),
            _ => None,
        }
    }

    /// Reads a string without escapes: names of rows have none.
    fn text(&mut self) -> Result<&str, String> {
        self.skip(b"\"")?;
        let first = self.at;
        let length = memchr::memchr2(b'"', b'\\', &self.line[first..]).unwrap_or(self.line.len() - first);
        self.at += length;
        self.skip(b"\"")?;
        std::str::from_utf8(&self.line[first..first + length]).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("id", Type::Text),
            Column::new("input_ids", Type::Int32.list()),
            Column::new("ids", Type::Text.list()),
            Column::new("labels", Type::Integer.list()),
            Column::new("mask", Type::Int8.list()),
        ]
    }

    #[test]
    fn rows_come_out_as_a_json_parser_reads_them() {
        let columns = columns();
        assert!(are_of(&columns));
        let names: Vec<String> = columns.iter().map(|column| column.name.to_string()).collect();
        let build = || columns.iter().map(|column| Builder::new(&column.of)).collect::<Vec<_>>();
        let (mut ours, mut theirs) = (build(), build());
        for line in [
            r#"{"id":"00ff","input_ids":[1,151643,0],"ids":["a","é"],"labels":[-100,151643,999999999999999999],"mask":[0,1]}"#,
            r#"{"id":"","input_ids":[],"ids":[],"labels":[-1],"mask":[127]}"#,
        ] {
            let line = format!("{line}\n");
            row(line.as_bytes(), &columns, &mut ours).unwrap();
            array::row(line.as_bytes(), &names, &mut theirs).unwrap();
        }
        for (ours, theirs) in ours.iter_mut().zip(&mut theirs) {
            assert_eq!(&ours.finish(), &theirs.finish());
        }
    }

    #[test]
    fn other_rows_are_refused() {
        for line in [
            r#"{"id":"1","input_ids":[1],"ids":[],"labels":[1]"#,
            r#"{"id":"1","input_ids":[1,],"ids":[],"labels":[1],"mask":[1]}"#,
            r#"{"id":"1","input_ids":[1.5],"ids":[],"labels":[1],"mask":[1]}"#,
            r#"{"id":"1","input_ids":[1],"ids":[],"labels":[1234567890123456789],"mask":[1]}"#,
            r#"{"id":"1","input_ids":[2147483648],"ids":[],"labels":[1],"mask":[1]}"#,
            r#"{"id":"1","input_ids":[1],"ids":[],"labels":[1],"mask":[128]}"#,
            r#"{"id":"1","input_ids":["1"],"ids":[],"labels":[1],"mask":[1]}"#,
            r#"{"id":"\u0031","input_ids":[1],"ids":[],"labels":[1],"mask":[1]}"#,
            r#"{"input_ids":[1],"id":"1","ids":[],"labels":[1],"mask":[1]}"#,
            r#"{"id":"1","input_ids":[1],"ids":[],"labels":[1],"mask":[1],"more":[1]}"#,
            r#"{"id":"1","input_ids":null,"ids":[],"labels":[1],"mask":[1]}"#,
        ] {
            let mut builders: Vec<Builder> = columns().iter().map(|column| Builder::new(&column.of)).collect();
            let refused = row(format!("{line}\n").as_bytes(), &columns(), &mut builders).unwrap_err();
            assert!(refused.starts_with("there is not "), "{refused}");
        }
        assert!(!are_of(&[Column::new("n", Type::Integer)]) && !are_of(&[Column::new("text", Type::Text)]));
    }
}
