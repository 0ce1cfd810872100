//! A row as a whole: its samples, and what becomes of the columns that the converter does not use.
//!
//! Nothing is dropped in silence: such a column is kept or ignored as the recipe says, refused if it changes what is trained
//! on, and else counted.

use std::borrow::Cow;

use super::{Converter, Options, meaning};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    rules::{self, Broken, Mode},
    sample::{Body, Converted, Json, Sample},
};

/// What happened in many rows besides their samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The columns that were not used, with the number of rows in which they hold something.
    pub unused: Vec<(String, u32)>,
    /// The rules that were broken, and what was done about it.
    pub broken: Vec<Broken>,
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
        match self.unused.iter_mut().find(|(known, _)| known == column) {
            Some((_, rows)) => *rows += 1,
            None => self.unused.push((column.to_owned(), 1)),
        }
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
            return Err(reject);
        }
    }
    let is_unused = |name: &str| {
        !options.ignore.contains(name) && !converter.redundant().iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    if row.unused().all(|(name, _)| !is_unused(name)) && options.keep.is_none() {
        tally.broken(broken);
        return Ok(converted);
    }
    let unused: Vec<&str> = row.unused().map(|(name, _)| name).filter(|name| is_unused(name)).collect();
    let mut left = Vec::new();
    for (name, value) in &row.fields {
        let is_unused = unused.contains(&name.as_ref());
        match options.keep.name_of(name, is_unused) {
            Some(kept) if !value.is_nothing() => {
                let mut is_left = false;
                for sample in converted.samples.as_mut_slice() {
                    is_left |= !keep(sample, kept, value)?;
                }
                if is_left && is_unused {
                    left.push(&**name);
                }
            }
            _ if is_unused => left.push(name),
            _ => {}
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
    left.iter().for_each(|name| tally.unused(name));
    tally.broken(broken);
    Ok(converted)
}

/// Adds a column to a sample; returns whether there was room for it under this name.
fn keep<'a>(sample: &mut Sample<'a>, name: &'a str, value: &'a Value<'_>) -> Result<bool, Reject> {
    let not_json = || Reject::new(Reason::InvalidJson, format!("`{name}` is to be kept and is not JSON"));
    let json = || Json::of(value).ok_or_else(not_json);
    match (name, value) {
        ("tools", _) => return Ok(put(&mut sample.tools, json()?)),
        ("answer", Value::String(text)) if matches!(sample.body, Body::Prompt { .. }) => {
            return Ok(put(&mut sample.answer, Cow::Borrowed(&**text)));
        }
        ("label", Value::Bool(label)) => return Ok(put(&mut sample.label, *label)),
        ("margin", Value::Number(_)) => return Ok(put(&mut sample.margin, json()?)),
        _ => {}
    }
    if sample.kind().keys().contains(&name) {
        return Ok(false);
    }
    if sample.columns.iter().all(|(known, _)| known != name) {
        sample.columns.push((Cow::Borrowed(name), json()?));
    }
    Ok(true)
}

fn put<T>(place: &mut Option<T>, value: T) -> bool {
    let is_free = place.is_none();
    if is_free {
        *place = Some(value);
    }
    is_free
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
        r#"{"id":7,"source":"web","instruction":"i","output":"o","tools":[{"name":"f"}],"text":"io","note":null}"#;

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
            "`tools` holds the tools that the model may call, and `alpaca` does not use it: write `keep: [tools]` or \
             `ignore: [tools]`"
        );
        let plain =
            r#"{"conversations":[{"role":"user","content":"i"},{"role":"assistant","content":"o"}],"text":"i\no","#;
        let (row, unused) = converted("alpaca", ROW, &options(&[], false, &["tools"])).unwrap();
        assert_eq!((row.as_str(), unused.as_str()), (&*format!(r#"{plain}"source":"s"}}"#), "id 1, source 1"));
        let (row, unused) = converted("alpaca", ROW, &options(&[("tools", "tools")], false, &["id"])).unwrap();
        assert_eq!(
            (row, unused),
            (format!(r#"{plain}"tools":[{{"name":"f"}}],"source":"s"}}"#), "source 1".to_owned())
        );
        let empty = ROW.replace(r#"[{"name":"f"}]"#, "[]");
        assert!(converted("alpaca", &empty, &Options::new()).is_ok(), "no tools are none");
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
    fn text_names_its_columns_and_refuses_none() {
        let row = r#"{"text":"t","tools":[1],"url":"u","n":""}"#;
        let (written, unused) = converted("text", row, &Options::new()).unwrap();
        assert_eq!((written.as_str(), unused.as_str()), (r#"{"text":"t","source":"s"}"#, "tools 1, url 1"));
    }
}
