//! How a JSON file is laid out, told by its beginning: lines, objects one after another, an array, or an object around a list.

use serde_json::value::RawValue;

use datac_core::json;

use super::{DecodeError, chunk::MAX_ROW_BYTES, json_spans::ValueScanner};

/// The layout of a JSON file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JsonLayout {
    /// Values, one per line.
    Lines,
    /// Objects one after another, which span lines or share them.
    Values,
    /// One array.
    Array,
    /// One object around a list, whose elements begin at this byte.
    Within(usize),
}

/// Returns the layout of a file that begins with `head`, whose first byte is not blank; `None` if that takes more of the file.
///
/// `lines` says that the file's name promises lines; `field` names the list of an object that holds one.
pub(super) fn json_layout(
    head: &[u8],
    at_end: bool,
    lines: bool,
    field: Option<&str>,
) -> Result<Option<JsonLayout>, DecodeError> {
    let is_object = match head.first() {
        Some(b'{') => true,
        Some(b'[') if field.is_none() => false,
        _ if field.is_some() => return Err(DecodeError::NoField { field: field.unwrap_or_default().to_owned() }),
        None => return Ok(Some(JsonLayout::Lines)),
        Some(_) if lines => return Ok(Some(JsonLayout::Lines)),
        Some(_) => return Err(DecodeError::NotJson { seen: first_line(head) }),
    };
    // An array is nothing else unless its file promises lines, and what goes on behind the first of them is no line.
    if !is_object && !lines {
        return Ok(Some(JsonLayout::Array));
    }
    let first_line = memchr::memchr(b'\n', head).map(|end| &head[..end]);
    if !is_object && first_line.is_some_and(|line| ValueScanner::default().end_of_value(line).is_none()) {
        return Ok(Some(JsonLayout::Array));
    }
    let Some(end) = ValueScanner::default().end_of_value(head) else {
        if !at_end && head.len() <= MAX_ROW_BYTES {
            return Ok(None);
        }
        // A value longer than any row is a list of rows, or a row that is too long.
        return Ok(Some(match is_object {
            false => JsonLayout::Array,
            true => list_within(head, field)?.map_or(JsonLayout::Lines, JsonLayout::Within),
        }));
    };
    let rest = &head[end..];
    let next = rest.trim_ascii_start().first();
    if next.is_none() && !at_end && head.len() <= MAX_ROW_BYTES {
        return Ok(None);
    }
    if !is_object {
        // Lines that are arrays each are rows that no converter takes, one reject each.
        return Ok(Some(if next.is_some() { JsonLayout::Lines } else { JsonLayout::Array }));
    }
    let over_lines = memchr::memchr(b'\n', &head[..end]).is_some();
    if next.is_none() && field.is_none() {
        no_table(&head[..end], lines && !over_lines)?;
    }
    // A line of a file of lines is a row, and so is what an object over lines is cut to if it is not even JSON.
    let is_json = || std::str::from_utf8(&head[..end]).is_ok_and(json::is_value);
    let is_row = field.is_none() && (lines && !over_lines || !is_json());
    Ok(Some(match next {
        _ if is_row && (next.is_none() || over_lines) => JsonLayout::Lines,
        None => match list_within(&head[..end], field)? {
            Some(at) => JsonLayout::Within(at),
            None if over_lines => JsonLayout::Values,
            None => JsonLayout::Lines,
        },
        Some(_) if field.is_some() => JsonLayout::Within(list_within(&head[..end], field)?.unwrap_or_default()),
        Some(_) if over_lines => JsonLayout::Values,
        Some(b'{') if !rest[..rest.len() - rest.trim_ascii_start().len()].contains(&b'\n') => JsonLayout::Values,
        Some(_) => JsonLayout::Lines,
    }))
}

/// Fields of turns and parts: a list of objects with one of the first, or with none but these, is part of one row.
const OF_A_TURN: &[&str] = &["role", "from", "speaker"];
const OF_A_PART: &[&str] = &["content", "value", "type", "function", "human", "assistant", "text"];

/// Fields that hold lists of objects in one row.
const IN_A_ROW: &[&str] = &[
    "messages",
    "conversations",
    "conversation",
    "turns",
    "history",
    "tools",
    "functions",
    "chosen",
    "rejected",
    "prompt",
    "answers",
    "completions",
    "responses",
    "choices",
    "images",
    "videos",
    "audios",
    "documents",
    "segments",
    "replies",
];

/// Refuses an object that is all of a file and holds a whole table in another way than as one list of rows. Taken for a row, it
/// would be one that says something else. `is_line` says that the file promises rows that are lines.
fn no_table(object: &[u8], is_line: bool) -> Result<(), DecodeError> {
    let found = fields(object);
    let value = |name: &str| found.iter().find(|(known, _)| known == name).map(|(_, at)| &object[*at..]);
    let first_of = |value: &[u8]| value.get(1..).and_then(|rest| rest.trim_ascii_start().first().copied());
    let is_list_of = |value: &[u8], first: &[u8]| {
        value.starts_with(b"[") && first_of(value).is_some_and(|byte| first.contains(&byte))
    };
    if value("columns").is_some_and(|names| is_list_of(names, b"\""))
        && value("data").is_some_and(|rows| is_list_of(rows, b"["))
    {
        return Err(DecodeError::Table { orient: "split" });
    }
    // The labels of rows that are not given any are numbers from 0 on.
    let is_numbered = |names: &[(String, usize)]| {
        !names.is_empty() && names.iter().enumerate().all(|(at, (name, _))| *name == at.to_string())
    };
    let are_objects = found.iter().all(|(_, at)| object[*at] == b'{');
    if are_objects && is_numbered(&found) {
        return Err(DecodeError::Table { orient: "index" });
    }
    if are_objects && found.iter().all(|(_, at)| is_numbered(&fields(&object[*at..]))) && !found.is_empty() {
        return Err(DecodeError::Table { orient: "columns" });
    }
    // One text for each row: a row may well hold one such list, or several of different lengths.
    let lengths = found.iter().map(|(_, at)| {
        let list =
            is_list_of(&object[*at..], b"\"").then(|| ValueScanner::default().end_of_value(&object[*at..]))??;
        serde_json::from_slice::<Vec<&RawValue>>(&object[*at..*at + list]).ok().map(|items| items.len())
    });
    let lengths: Option<Vec<usize>> = lengths.collect();
    if lengths.is_some_and(|all| all.len() > 1 && all[0] > 1 && all.iter().all(|length| *length == all[0])) {
        return Err(DecodeError::Table { orient: "columns" });
    }
    if let [(name, at)] = &found[..]
        && object[*at] == b'{'
        && !is_line
    {
        let inner = &object[*at..];
        let lists: Vec<(String, usize)> =
            fields(inner).into_iter().filter(|(name, at)| is_list_of_rows(name, &inner[*at..])).collect();
        if let [(list, _)] = &lists[..] {
            return Err(DecodeError::Deeper { field: format!("{name}.{list}") });
        }
    }
    Ok(())
}

/// Returns where the elements of the list begin that an object holds: the list under `field`, or the only list of objects.
fn list_within(object: &[u8], field: Option<&str>) -> Result<Option<usize>, DecodeError> {
    if let Some(field) = field {
        let mut at = 0;
        for name in field.split('.') {
            let found = fields(&object[at..]).into_iter().find(|(known, _)| known == name);
            let Some((_, start)) = found else { return Err(DecodeError::NoField { field: field.to_owned() }) };
            at += start;
        }
        return match object.get(at) {
            Some(b'[') => Ok(Some(at + 1)),
            _ => Err(DecodeError::NoField { field: field.to_owned() }),
        };
    }
    let lists: Vec<(String, usize)> =
        fields(object).into_iter().filter(|(name, at)| is_list_of_rows(name, &object[*at..])).collect();
    match &lists[..] {
        [] => Ok(None),
        [(_, at)] => Ok(Some(at + 1)),
        several => Err(DecodeError::SeveralLists { fields: several.iter().map(|(name, _)| name.clone()).collect() }),
    }
}

/// Returns whether a value is a list of objects that can be rows.
fn is_list_of_rows(field: &str, value: &[u8]) -> bool {
    if IN_A_ROW.contains(&field) {
        return false;
    }
    let Some(rest) = value.strip_prefix(b"[") else { return false };
    let first = rest.trim_ascii_start();
    if first.first() != Some(&b'{') {
        return false;
    }
    let names = fields(first);
    // An element that is cut off shows its first fields.
    let is_turn = names.iter().any(|(name, _)| OF_A_TURN.contains(&name.as_str()));
    !is_turn && !names.iter().all(|(name, _)| OF_A_PART.contains(&name.as_str()))
}

/// Returns the fields of an object with the bytes at which their values begin, as far as it goes.
fn fields(object: &[u8]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let blanks = |at: usize| at + object[at..].len() - object[at..].trim_ascii_start().len();
    let mut at = 1;
    loop {
        at = blanks(at.min(object.len()));
        if object.get(at) == Some(&b',') {
            at = blanks(at + 1);
        }
        if object.get(at) != Some(&b'"') {
            return found;
        }
        let Some(end) = end_of_string(&object[at..]) else { return found };
        let Ok(name) = serde_json::from_slice::<String>(&object[at..at + end]) else { return found };
        at = blanks(at + end);
        if object.get(at) != Some(&b':') {
            return found;
        }
        at = blanks(at + 1);
        if at >= object.len() {
            return found;
        }
        found.push((name, at));
        let rest = &object[at..];
        let length = match rest[0] {
            b'{' | b'[' => ValueScanner::default().end_of_value(rest),
            b'"' => end_of_string(rest),
            _ => rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']')),
        };
        let Some(length) = length else { return found };
        at += length;
    }
}

/// Returns the length of the string at the beginning of `text`, quotes included.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', text.get(at..)?)? + at;
        if text[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Checks what follows a list that lies within `depth` objects, one in another: their other fields, and their ends.
pub(super) fn check_tail(tail: &[u8], depth: usize, offset: u64) -> Result<(), DecodeError> {
    let trailing = DecodeError::TrailingText { offset };
    let rest = tail.trim_ascii();
    let rest = rest.strip_prefix(b",").unwrap_or(rest);
    let Ok(rest) = std::str::from_utf8(rest) else { return Err(trailing) };
    let object = format!("{}{{{rest}", "{\"\":".repeat(depth.saturating_sub(1)));
    if serde_json::from_str::<&RawValue>(&object).is_err() {
        return Err(trailing);
    }
    let lists =
        fields(object.as_bytes()).into_iter().filter(|(name, at)| is_list_of_rows(name, &object.as_bytes()[*at..]));
    let fields: Vec<String> = lists.map(|(name, _)| name).collect();
    if fields.is_empty() { Ok(()) } else { Err(DecodeError::SeveralLists { fields }) }
}

/// Returns the first line of a file for a message.
pub(super) fn first_line(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let text: String = String::from_utf8_lossy(line).chars().take(60).collect();
    if line.len() > text.len() { format!("{text}…") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, lines: bool) -> String {
        match json_layout(text.as_bytes(), true, lines, None) {
            Ok(Some(JsonLayout::Within(at))) => format!("within {}", &text[at..]),
            Ok(Some(layout)) => format!("{layout:?}"),
            Ok(None) => "more".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn layouts_are_told_by_the_beginning() {
        for lines in [true, false] {
            assert_eq!(of("{\"a\":1}\n{\"a\":2}\n", lines), "Lines");
            assert_eq!(of("{\"a\":1}", lines), "Lines");
            assert_eq!(of("{\"a\":1} x\n{\"a\":2}\n", lines), "Lines");
            assert_eq!(of("{\"a\":1}{\"a\":2}\n", lines), "Values");
            assert_eq!(of("{\n \"a\": 1\n}\n{\n", lines), "Values");
            assert_eq!(of("{\n \"a\": \"}\"\n}\n", lines), "Values");
            assert_eq!(of("[\n{\"a\":1}\n]\n", lines), "Array");
            assert_eq!(of("[\"a\"]", lines), "Array");
        }
        assert_eq!(json_layout(b"[{\"a\":1},\n{\"a\"", false, true, None).ok(), Some(Some(JsonLayout::Array)));
        assert_eq!(json_layout(b"[{\"a\":1},{\"a\"", false, false, None).ok(), Some(Some(JsonLayout::Array)));
        assert_eq!(json_layout(b"[{\"a\":1},{\"a\"", false, true, None).ok(), Some(None));
        assert_eq!(of("{\n \"a\": NaN\n}\n{\n", true), "Values");
        assert_eq!(of("[1]\n[2]\n", true), "Lines");
        assert_eq!(of("[1]\n[2]\n", false), "Array");
        assert_eq!(of("# comment\n{\"a\":1}\n", true), "Lines");
        assert!(of("id;text\n", false).contains("`id;text`"));
    }

    #[test]
    fn one_list_of_rows_in_an_object_is_found() {
        let wrapped = "{\"v\": 2, \"data\": [{\"q\": 1}]}";
        assert_eq!(of(wrapped, false), "within {\"q\": 1}]}");
        assert_eq!(of(wrapped, true), "Lines", "a line of a file of lines is a row");
        assert_eq!(of("{\"v\": 2,\n\"data\": [{\"q\": 1}]}", true), "within {\"q\": 1}]}");
        for row in [
            "{\"dialog\":[{\"role\":\"user\",\"content\":\"q\",\"weight\":1}]}",
            "{\"messages\":[],\"tools\":[{\"name\":\"f\",\"parameters\":{}}]}",
            "{\"prompt\":\"q\",\"answers\":[{\"answer\":\"a\",\"rank\":1}]}",
        ] {
            assert_eq!(of(row, false), "Lines", "{row} is one row");
        }
        assert!(of("{\"a\":[{\"x\":1}],\"b\":[{\"x\":1}]}", false).contains("`a`, `b`"));
        let field =
            |text: &str, field| json_layout(text.as_bytes(), true, true, Some(field)).map_err(|e| e.to_string());
        assert_eq!(field("{\"a\":[1],\"b\":[2]}", "b"), Ok(Some(JsonLayout::Within(14))));
        assert_eq!(field("{\"a\":{\"b\":[2]}}", "a.b"), Ok(Some(JsonLayout::Within(11))));
        assert!(field("{\"a\":[1]}", "c").unwrap_err().contains("`c`"));
    }

    #[test]
    fn a_table_that_is_no_list_of_rows_is_none_of_one_row() {
        for (table, orient) in [
            (r#"{"columns":["q","a"],"index":[0,1],"data":[["x","y"],["z","w"]]}"#, "split"),
            (r#"{"0":{"q":"x"},"1":{"q":"y"}}"#, "index"),
            (r#"{"q":{"0":"x","1":"y"},"a":{"0":"z","1":"w"}}"#, "columns"),
            (r#"{"q":["x","y"],"a":["z","w"]}"#, "columns"),
        ] {
            for lines in [true, false] {
                assert!(of(table, lines).contains(&format!("orient=\"{orient}\"")), "{table}");
            }
            assert_eq!(of(&format!("{table}\n{table}\n"), true), "Lines", "several are rows");
        }
        for row in [
            r#"{"q":["x"],"a":["y"]}"#,
            r#"{"steps":["x","y"],"labels":[true,false]}"#,
            r#"{"q":["x","y"],"a":["z"]}"#,
            r#"{"meta":{"a":1}}"#,
            r#"{"q":"x","meta":{"0":1}}"#,
            r#"{"data":[["x","y"]],"columns":"c"}"#,
            "{}",
        ] {
            assert_eq!(of(row, false), "Lines", "{row}");
        }
        let nested = r#"{"data":{"rows":[{"q":"x"}]}}"#;
        assert!(of(nested, false).contains("`data.rows`") && of(nested, true) == "Lines");
    }

    #[test]
    fn what_follows_the_list_is_checked() {
        assert_eq!(check_tail(b"\n}\n", 1, 1).map_err(|error| error.to_string()), Ok(()));
        assert!(check_tail(b", \"n\": 1}", 1, 1).is_ok());
        assert!(check_tail(b", \"more\": [{\"q\": 1}]}", 1, 1).is_err());
        assert!(check_tail(b"", 1, 1).is_err());
        assert!(check_tail(b"} {", 1, 1).is_err());
        assert!(check_tail(b", \"n\": 1}, \"m\": 2}", 2, 1).is_ok());
        assert!(check_tail(b"}", 2, 1).is_err());
    }
}
