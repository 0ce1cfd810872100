//! Methods of Python's `str`, `list` and `dict`.
//!
//! minijinja-contrib's `pycompat` knows most of them. Those here are missing there, or answer otherwise: whitespace includes
//! four separators of ASCII, lines end at ten characters, an empty separator is refused, positions may be bounded.

use minijinja3::{
    Error, ErrorKind, State,
    value::{Tuple, Value, ValueKind, from_args},
};

use super::text::is_space;

/// Calls `method` of `value`; minijinja asks when it knows no such method itself.
pub(crate) fn call(state: &mut State, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let known = match value.kind() {
        ValueKind::String => string_method(state, value.as_str().unwrap_or_default(), method, arguments)?,
        ValueKind::Map if method == "copy" && arguments.is_empty() => Some(value.clone()),
        ValueKind::Seq if method == "copy" && arguments.is_empty() => Some(value.clone()),
        ValueKind::Seq if method == "index" => {
            let (sought,): (&Value,) = from_args(arguments)?;
            let place = value.try_iter()?.position(|item| item == *sought);
            Some(place.map(Value::from).ok_or_else(|| failed("the value is not in the list"))?)
        }
        _ => None,
    };
    match known {
        Some(result) => Ok(result),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

fn string_method(state: &State, text: &str, method: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "strip" => strip(text, arguments, true, true)?,
        "lstrip" => strip(text, arguments, true, false)?,
        "rstrip" => strip(text, arguments, false, true)?,
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" => {
            let separator = separator(arguments)?;
            let parts = text.split_once(separator).map(|(before, after)| [before, separator, after]);
            Value::from(Tuple::from(parts.unwrap_or([text, "", ""]).map(Value::from)))
        }
        "rpartition" => {
            let separator = separator(arguments)?;
            let parts = text.rsplit_once(separator).map(|(before, after)| [before, separator, after]);
            Value::from(Tuple::from(parts.unwrap_or(["", "", text]).map(Value::from)))
        }
        "split" | "rsplit" => split(text, arguments, method == "rsplit")?,
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(arguments)?;
            Value::from(lines(text, keep_ends.unwrap_or(false)).into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "find" | "rfind" | "index" | "rindex" => {
            let (sought, from, to): (&str, Option<i64>, Option<i64>) = from_args(arguments)?;
            let slice = Slice::new(text, from, to);
            let place = slice.and_then(|slice| {
                let place = if method.starts_with('r') { slice.text.rfind(sought) } else { slice.text.find(sought) };
                place.map(|place| slice.from + slice.text[..place].chars().count())
            });
            match place {
                Some(place) => Value::from(place),
                None if method.ends_with("find") => Value::from(-1),
                None => return Err(failed("substring not found")),
            }
        }
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "swapcase" => {
            let swapped = text.chars().flat_map(|c| {
                let (upper, lower) = (c.is_lowercase(), c.is_uppercase());
                let upper = upper.then(|| c.to_uppercase()).into_iter().flatten();
                let lower_case = lower.then(|| c.to_lowercase()).into_iter().flatten();
                let same = (!c.is_lowercase() && !lower).then_some(c);
                upper.chain(lower_case).chain(same)
            });
            Value::from(swapped.collect::<String>())
        }
        "title" => Value::from(title(text)),
        "isspace" => Value::from(!text.is_empty() && text.chars().all(is_space)),
        "isdecimal" | "isdigit" if text.is_ascii() => {
            Value::from(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        }
        "zfill" => {
            let (width,): (i64,) = from_args(arguments)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            Value::from(format!("{sign}{}{digits}", padding(state, text, width, '0')?))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (i64, Option<char>) = from_args(arguments)?;
            let pad = padding(state, text, width, fill.unwrap_or(' '))?;
            Value::from(match method {
                "ljust" => format!("{text}{pad}"),
                "rjust" => format!("{pad}{text}"),
                _ => {
                    // CPython puts the odd one on the left if the width is odd.
                    let all = pad.chars().count();
                    let left = all / 2 + (all & usize::try_from(width).unwrap_or(0) & 1);
                    let at = pad.char_indices().nth(left).map_or(pad.len(), |(at, _)| at);
                    format!("{}{text}{}", &pad[..at], &pad[at..])
                }
            })
        }
        "expandtabs" => {
            let (size,): (Option<i64>,) = from_args(arguments)?;
            Value::from(expand_tabs(state, text, size.unwrap_or(8))?)
        }
        _ => return Ok(None),
    }))
}

/// A part of a text, by characters, as `text[from:to]` of Python.
struct Slice<'t> {
    from: usize,
    text: &'t str,
}

impl<'t> Slice<'t> {
    /// Returns the part, or `None` if it begins beyond the text.
    fn new(text: &'t str, from: Option<i64>, to: Option<i64>) -> Option<Self> {
        if from.is_none() && to.is_none() {
            return Some(Self { from: 0, text });
        }
        let length = text.chars().count();
        let place = |place: i64| {
            let place = if place < 0 { place.saturating_add_unsigned(length as u64) } else { place };
            usize::try_from(place.max(0)).unwrap_or(usize::MAX)
        };
        let (from, to) = (place(from.unwrap_or(0)), to.map_or(length, place).min(length));
        let byte = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
        (from <= to).then(|| Self { from, text: &text[byte(from)..byte(to)] })
    }
}

fn failed(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The only argument, a separator that is not empty.
fn separator(arguments: &[Value]) -> Result<&str, Error> {
    let (separator,): (&str,) = from_args(arguments)?;
    if separator.is_empty() { Err(failed("empty separator")) } else { Ok(separator) }
}

fn strip(text: &str, arguments: &[Value], left: bool, right: bool) -> Result<Value, Error> {
    let (characters,): (Option<Value>,) = from_args(arguments)?;
    let characters = match characters.filter(|characters| !characters.is_none()) {
        None => None,
        Some(characters) => Some(characters.to_str().ok_or_else(|| failed("strip arg must be None or str"))?),
    };
    let is_stripped = |c: char| characters.as_ref().map_or_else(|| is_space(c), |characters| characters.contains(c));
    let mut rest = text;
    if left {
        rest = rest.trim_start_matches(is_stripped);
    }
    if right {
        rest = rest.trim_end_matches(is_stripped);
    }
    Ok(Value::from(rest))
}

/// `split` and `rsplit`; without a separator at runs of whitespace.
fn split(text: &str, arguments: &[Value], from_right: bool) -> Result<Value, Error> {
    let (arguments, named) = match arguments.split_last() {
        Some((last, rest)) if last.is_kwargs() => (rest, Some(last)),
        _ => (arguments, None),
    };
    let (separator, most): (Option<Value>, Option<i64>) = from_args(arguments)?;
    let named = |name: &str| named.and_then(|named| named.get_attr(name).ok()).filter(|value| !value.is_undefined());
    let separator = separator.or_else(|| named("sep")).filter(|value| !value.is_none());
    let most = match (most, named("maxsplit")) {
        (Some(most), _) => most,
        (None, Some(most)) => i64::try_from(most)?,
        (None, None) => -1,
    };
    // A negative number means all.
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = match &separator {
        Some(separator) => {
            let separator = separator.as_str().ok_or_else(|| failed("must be str or None"))?;
            if separator.is_empty() {
                return Err(failed("empty separator"));
            }
            if from_right {
                text.rsplitn(most.saturating_add(1), separator).collect()
            } else {
                text.splitn(most.saturating_add(1), separator).collect()
            }
        }
        None => {
            let mut parts = Vec::new();
            let mut rest = if from_right { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) };
            while !rest.is_empty() && parts.len() < most {
                let cut = if from_right {
                    rest.char_indices().rfind(|(_, c)| is_space(*c)).map(|(at, c)| (at + c.len_utf8(), rest.len()))
                } else {
                    rest.char_indices().find(|(_, c)| is_space(*c)).map(|(at, _)| (0, at))
                };
                let (from, to) = cut.unwrap_or((0, rest.len()));
                parts.push(&rest[from..to]);
                rest = if from_right {
                    rest[..from].trim_end_matches(is_space)
                } else {
                    rest[to..].trim_start_matches(is_space)
                };
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
            parts
        }
    };
    if from_right {
        parts.reverse();
    }
    Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
}

/// The lines of a text: `str.splitlines`.
pub(crate) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}') {
            let mut end = at + c.len_utf8();
            if c == '\r' && characters.next_if(|(_, next)| *next == '\n').is_some() {
                end += 1;
            }
            lines.push(&text[start..if keep_ends { end } else { at }]);
            start = end;
        }
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_uppercase() || c.is_lowercase();
    }
    out
}

/// What fills a text up to `width` characters, paid for with fuel.
fn padding(state: &State, text: &str, width: i64, fill: char) -> Result<String, Error> {
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(text.chars().count());
    state.consume_fuel((missing / 16) as u64)?;
    if missing > MAX_PADDING {
        return Err(failed("the width is too large"));
    }
    Ok(std::iter::repeat_n(fill, missing).collect())
}

/// More than any template pads to, and little enough to make without fuel.
const MAX_PADDING: usize = 1 << 24;

fn expand_tabs(state: &State, text: &str, size: i64) -> Result<String, Error> {
    let size = usize::try_from(size).unwrap_or(0);
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let missing = if size == 0 { 0 } else { size - column % size };
                state.consume_fuel((missing / 16) as u64)?;
                if missing > MAX_PADDING {
                    return Err(failed("the tab is too wide"));
                }
                out.extend(std::iter::repeat_n(' ', missing));
                column += missing;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out)
}
