//! `str(value)` and `repr(value)` as CPython writes them.

use std::fmt::{Error, Result, Write};

use minijinja3::value::{Value, ValueKind};

use super::value::{as_float, is_long_integer};

/// How deep lists and maps may be nested before they are refused; Python's own limit is about 1,000.
pub(crate) const MAX_DEPTH: usize = 200;

/// Writes `str(value)`. An undefined value is empty, as Jinja2 prints it.
pub(crate) fn write_str(out: &mut dyn Write, value: &Value) -> Result {
    match value.kind() {
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()),
        ValueKind::Undefined => Ok(()),
        _ => write_repr(out, value, 0),
    }
}

/// Returns `str(value)`, or `None` if the value is nested too deeply or cannot be read.
pub(crate) fn to_str(value: &Value) -> Option<String> {
    let mut out = String::new();
    write_str(&mut out, value).ok().map(|()| out)
}

/// Writes `repr(value)`.
fn write_repr(out: &mut dyn Write, value: &Value, depth: usize) -> Result {
    if depth > MAX_DEPTH {
        return Err(Error);
    }
    if let Some(number) = as_float(value) {
        return out.write_str(&float_repr(number));
    }
    match value.kind() {
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let (open, close) = if value.is_tuple() { ('(', ")") } else { ('[', "]") };
            out.write_char(open)?;
            let mut items = 0;
            for item in value.try_iter().map_err(|_| Error)? {
                if items > 0 {
                    out.write_str(", ")?;
                }
                write_repr(out, &item, depth + 1)?;
                items += 1;
            }
            if value.is_tuple() && items == 1 {
                out.write_char(',')?;
            }
            out.write_str(close)
        }
        ValueKind::Map if !is_long_integer(value) => {
            out.write_char('{')?;
            for (index, key) in value.try_iter().map_err(|_| Error)?.enumerate() {
                if index > 0 {
                    out.write_str(", ")?;
                }
                write_repr(out, &key, depth + 1)?;
                out.write_str(": ")?;
                write_repr(out, &value.get_item(&key).map_err(|_| Error)?, depth + 1)?;
            }
            out.write_char('}')
        }
        ValueKind::Undefined => out.write_str("Undefined"),
        _ => write!(out, "{value}"),
    }
}

/// Returns `repr(number)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
pub(crate) fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Rust's `Debug` switches to exponents at the same places; it writes them as `1e16` and `1.5e-7`.
    let digits = format!("{number:?}");
    let Some((mantissa, exponent)) = digits.split_once('e') else { return digits };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{}e{sign}{exponent:0>2}", mantissa.strip_suffix(".0").unwrap_or(mantissa))
}

/// Writes a string as `repr` quotes it: single quotes unless only double quotes need no escape.
fn write_quoted(out: &mut dyn Write, text: &str) -> Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c == quote => write!(out, "\\{c}")?,
            c if is_printable(c) => out.write_char(c)?,
            c => match u32::from(c) {
                code @ 0..=0xff => write!(out, "\\x{code:02x}")?,
                code @ 0x100..=0xffff => write!(out, "\\u{code:04x}")?,
                code => write!(out, "\\U{code:08x}")?,
            },
        }
    }
    out.write_char(quote)
}

/// Whether `repr` leaves a character as it is (`str.isprintable`): no control, format, surrogate, private-use, unassigned or
/// separator character but the space.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // Rust's `Debug` of strings escapes the same categories. In first place it also escapes combining marks.
    let mut pair = [0; 5];
    pair[0] = b'a';
    let length = 1 + c.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..length]).expect("two characters are UTF-8");
    pair.escape_debug().nth(1) == Some(c)
}

/// Whether Python takes a character for whitespace (`str.isspace`): Unicode's White_Space and four separators of ASCII.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repr(value: impl Into<Value>) -> String {
        let mut out = String::new();
        write_repr(&mut out, &value.into(), 0).expect("it is shallow");
        out
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        // repr() of CPython 3.11.
        let pairs = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (5e-324, "5e-324"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, written) in pairs {
            assert_eq!(float_repr(number), written);
        }
    }

    #[test]
    fn strings_are_quoted_as_python_quotes_them() {
        let pairs = [
            ("a", "'a'"),
            ("it's", "\"it's\""),
            ("it's \"so\"", "'it\\'s \"so\"'"),
            ("tab\t\\ \r\n", "'tab\\t\\\\ \\r\\n'"),
            ("\u{0}\u{7f}\u{a0}\u{ad}", "'\\x00\\x7f\\xa0\\xad'"),
            ("e\u{301} é \u{200b}\u{2028}\u{3000}", "'e\u{301} é \\u200b\\u2028\\u3000'"),
            ("\u{301}", "'\u{301}'"),
            ("\u{e000}\u{10ffff} 🦀", "'\\ue000\\U0010ffff 🦀'"),
        ];
        for (text, quoted) in pairs {
            assert_eq!(repr(text), quoted);
        }
    }

    #[test]
    fn lists_and_maps_are_nested() {
        let value = Value::from_pairs([
            ("a", Value::from(vec![Value::from(1), Value::from(true), Value::from(())])),
            ("b", Value::from_pairs([("c", 1.0)])),
        ]);
        assert_eq!(repr(value), "{'a': [1, True, None], 'b': {'c': 1.0}}");
        let deep = (0..1000).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert_eq!(to_str(&deep), None);
    }
}
