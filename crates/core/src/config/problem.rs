//! Problems of a recipe or of `datac.toml`: what is wrong, where, and what to do about it.

use std::{fmt, ops::Range};

/// A problem in a recipe or in `datac.toml`. All problems of a file are reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable code from [`CODES`].
    pub code: &'static str,
    /// Path of the file.
    pub path: String,
    /// Statement of what is wrong.
    pub message: String,
    /// Advice on what to do, if any helps.
    pub hint: Option<String>,
    /// What shows it best, such as the first of the rows that were rejected.
    pub note: Option<String>,
    /// Words below the underlined text.
    pub label: Option<String>,
    /// Span of the underlined text in bytes; `None` for a problem of the whole file.
    pub span: Option<Range<usize>>,
    /// Line of the span, from 1.
    pub line: usize,
    /// Column of the span in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {} [{}]", self.path, self.line, self.column, self.message, self.code)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

/// A problem whose line and column have not been determined.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
    pub(super) label: Option<String>,
    pub(super) hint: Option<String>,
    /// Whether the text must not be shown, as it holds a secret.
    pub(super) is_unseen: bool,
}

impl Fault {
    pub(super) fn new(code: &'static str, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { code, span: Some(span.clone()), message: message.into(), label: None, hint: None, is_unseen: false }
    }

    /// Creates a fault of the whole file.
    pub(super) fn of_file(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, span: None, message: message.into(), label: None, hint: None, is_unseen: false }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says where the fault is without showing the text there.
    pub(super) fn unseen(mut self) -> Self {
        self.is_unseen = true;
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Determines the line and column in `text`.
    pub(super) fn locate(self, path: &str, text: &[u8]) -> Problem {
        let (line, column) = self.span.as_ref().map_or((1, 1), |span| line_and_column(text, span.start));
        Problem {
            code: self.code,
            path: path.to_owned(),
            message: self.message,
            hint: self.hint,
            note: None,
            label: self.label,
            span: self.span.filter(|_| !self.is_unseen),
            line,
            column,
        }
    }
}

/// Returns the line, and the column in characters, of a byte of `text`; both from 1.
pub(super) fn line_and_column(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    // A byte order mark is invisible, so it does not count.
    let shown = before[line_start..].strip_prefix("\u{feff}".as_bytes()).unwrap_or(&before[line_start..]);
    (line, String::from_utf8_lossy(shown).chars().count() + 1)
}

/// Defines each code once, as a constant and as an entry of [`CODES`].
macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub(super) const $name: &str = $code;)*

        /// All codes with their meanings. Codes are never reused.
        pub const CODES: &[(&str, &str)] = &[$(($code, $meaning)),*];
    };
}

codes! {
    SYNTAX = "E0101", "the file is not YAML";
    NOT_UTF8 = "E0102", "the file is not UTF-8";
    TOO_LARGE = "E0103", "the file is larger than 1 MiB";
    EMPTY = "E0104", "the file is empty";
    MANY_DOCUMENTS = "E0105", "the file holds more than one YAML document";
    ALIAS = "E0106", "anchors and aliases are not supported in recipes";
    TAG = "E0107", "tags are not supported in recipes";
    DUPLICATE_KEY = "E0108", "duplicate key";
    TOO_DEEP = "E0109", "lists and mappings are nested too deeply, or a mapping has too many keys";
    UNKNOWN_KEY = "E0110", "unknown key";
    MISSING_KEY = "E0111", "missing required key";
    WRONG_TYPE = "E0112", "a value is of the wrong type";
    NOT_FINITE = "E0113", "a number is not finite";
    OUT_OF_RANGE = "E0114", "value out of range";
    UNKNOWN_WORD = "E0115", "unknown word: a value is not one of those allowed";
    EMPTY_VALUE = "E0116", "a required list or text is empty";
    BAD_CHARACTER = "E0117", "a name contains an invalid character";
    PHASE = "E0118", "unknown phase";
    RATIO_SUM = "E0119", "the shares of the datasets do not sum to 1.0";
    DUPLICATE_NAME = "E0120", "two datasets have the same name, or a list has a duplicate";
    SPLIT = "E0121", "invalid split name";
    FOLDER = "E0122", "invalid folder: not a plain relative path";
    SOURCE = "E0123", "invalid source: neither a Hub id nor a path inside the workspace";
    BOUNDS = "E0124", "the bounds of a filter contradict each other or are missing";
    LANGUAGE = "E0125", "unknown language: not an ISO 639-1 code";
    CONVERTER = "E0126", "unknown converter";
    CONVERTER_KIND = "E0127", "the converter makes another kind of sample than the phase needs";
    CONVERTER_OPTION = "E0128", "unknown converter option, or unknown value of one";
    MAX_REJECTS = "E0129", "invalid `max_rejects` or bound of `expect`: neither a count nor a share";
    REVISION = "E0130", "invalid revision: not a branch, tag or commit";
    FILE_NAME = "E0131", "unsafe output file name";
    COLLISION = "E0132", "two recipes write the same output";
    TOO_MANY = "E0133", "too many problems to list";
    CONTRADICTION = "E0134", "two keys contradict each other";
    COLUMNS = "E0135", "invalid `columns`: not what such samples are made of, or not a column, path or template";
    SHAPE = "E0136", "unknown shape of `output`, or one that has no rows for such samples or no such files";
    EXPECT = "E0137", "`expect` has bounds that nothing can meet, or is about what the recipe does not have";
    MODEL = "E0138", "invalid `model`: no place, argument or date, or not for such samples";
    NOT_TOML = "E0139", "`datac.toml` is not TOML";
    QUANTITY = "E0140", "a setting is not a size or an age";
    FUNCTION = "E0141", "invalid `python`: not a function in a file of the workspace";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "é: 1\nname: ñandú x".as_bytes();
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 2), (1, 2));
        assert_eq!(line_and_column(text, text.len() - 1), (2, 13));
        assert_eq!(line_and_column(text, text.len() + 9), (2, 14));
        assert_eq!(line_and_column("\u{feff}a: 1".as_bytes(), 3), (1, 1));
    }

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
