//! Output streams: stdout for data, stderr for people, with colour where supported.

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use super::args::Color;
use crate::system;

/// The two output streams of the process.
#[derive(Clone)]
pub(super) struct Screen {
    color: Color,
    quiet: bool,
}

/// Bold red: errors.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Bold yellow: warnings, out-of-date recipes.
pub(super) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Green: success, up-to-date recipes.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Bold green: the verb of an operation.
pub(super) const VERB: Style = AnsiColor::Green.on_default().bold();
/// Cyan: hints and next steps.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// Dimmed: secondary details.
pub(super) const FAINT: Style = Style::new().dimmed();

impl Screen {
    pub(super) fn new(color: Color, quiet: bool) -> Self {
        Self { color, quiet }
    }

    /// Returns whether stderr is a terminal that a person watches.
    pub(super) fn is_live(&self) -> bool {
        std::io::stderr().is_terminal() && !self.quiet
    }

    /// Returns whether only errors and what was asked for are printed.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Returns the width for formatted text: that of the terminal, or 100 if there is none.
    pub(super) fn width(&self) -> usize {
        self.terminal_width(&console::Term::stderr()).unwrap_or(100)
    }

    /// Returns the width at which to break lines of stdout; `None` if stdout is not a terminal.
    pub(super) fn data_width(&self) -> Option<usize> {
        self.terminal_width(&console::Term::stdout())
    }

    fn terminal_width(&self, terminal: &console::Term) -> Option<usize> {
        const NARROWEST: usize = 40;
        let columns = system::env("COLUMNS").and_then(|columns| columns.parse().ok());
        let columns = columns.or_else(|| terminal.size_checked().map(|(_, columns)| usize::from(columns)));
        columns.map(|columns: usize| columns.max(NARROWEST))
    }

    /// Returns whether stderr shows colour.
    pub(super) fn has_color(&self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => AutoStream::choice(&std::io::stderr()) != ColorChoice::Never,
        }
    }

    /// Writes to stdout. A closed pipe is not an error; returns whether the reader is still there.
    pub(super) fn data(&self, text: &str) -> bool {
        let mut out = AutoStream::new(std::io::stdout(), self.choice());
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
    }

    /// Writes a line to stderr, unless `--quiet` was given.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.always(text);
        }
    }

    /// Writes a line to stderr like [`Screen::say`], wrapped to the width of the terminal; lines after the first are
    /// indented by `indent`.
    pub(super) fn say_wrapped(&self, text: &str, indent: usize) {
        let width = self.terminal_width(&console::Term::stderr());
        self.say(&wrapped(text, 0, indent, width));
    }

    /// Writes a line to stderr, even with `--quiet`.
    pub(super) fn always(&self, text: &str) {
        let mut err = AutoStream::new(std::io::stderr(), self.choice());
        writeln!(err, "{text}").ok();
    }

    /// Prints an error with a hint.
    pub(super) fn error(&self, message: &str, hint: Option<&str>) {
        self.error_of_code(None, message, hint);
    }

    /// Prints an error with the code that `datac explain` knows, if it has one, and a hint.
    pub(super) fn error_of_code(&self, code: Option<&str>, message: &str, hint: Option<&str>) {
        let width = self.terminal_width(&console::Term::stderr());
        let code = code.map_or_else(String::new, |code| format!("[{code}]"));
        self.always(&wrapped(&format!("{ERROR}error{code}:{ERROR:#} {message}"), 0, 7, width));
        if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
            self.always(&wrapped(&format!("{HINT}hint:{HINT:#} {hint}"), 0, 6, width));
        }
    }

    /// Prints a warning to stderr.
    pub(super) fn warn(&self, message: &str) {
        self.say_wrapped(&format!("{WARN}warning:{WARN:#} {message}"), 9);
    }

    fn choice(&self) -> ColorChoice {
        match self.color {
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
            Color::Auto => ColorChoice::Auto,
        }
    }
}

/// Wraps `text` between words into lines of at most `width` columns, of which `used` are taken on the first line;
/// later lines are indented. A word that is longer than a line stays whole, since it may be a path to copy. A
/// no-break space is printed as a space.
pub(super) fn wrapped(text: &str, used: usize, indent: usize, width: Option<usize>) -> String {
    let spaced = |text: &str| text.replace('\u{a0}', " ");
    let Some(width) = width else { return spaced(text) };
    let mut out = String::with_capacity(text.len() + 16);
    let (mut column, mut is_first) = (used, true);
    for word in text.split(' ') {
        let length = shown_width(word);
        if !is_first && column + 1 + length > width && column > indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !is_first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        is_first = false;
    }
    spaced(&out)
}

/// Returns the number of visible characters of `text`, without colour codes.
fn shown_width(text: &str) -> usize {
    let (mut count, mut in_code) = (0, false);
    for c in text.chars() {
        match c {
            '\x1b' => in_code = true,
            'm' if in_code => in_code = false,
            _ => count += usize::from(!in_code),
        }
    }
    count
}

/// Formats a number of bytes: `1.2 MB`.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// Formats a number of rows: `52,002`.
pub(super) fn rows(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a number of rows: `1 row`, `52,002 rows`.
pub(super) fn counted_rows(count: u64) -> String {
    format!("{} {}", rows(count), if count == 1 { "row" } else { "rows" })
}

/// Formats a duration: `12 ms`, `1.4 s`.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 0, 2, Some(8)), "one two\n  three");
        assert_eq!(wrapped("one two three", 4, 2, Some(8)), "one\n  two\n  three");
        assert_eq!(wrapped("averylongword b", 0, 2, Some(8)), "averylongword\n  b");
        assert_eq!(wrapped("one two\u{a0}three", 0, 2, Some(8)), "one\n  two three");
        assert_eq!(wrapped("one two\u{a0}three", 0, 2, None), "one two three");
        let styled = format!("{ERROR}one{ERROR:#} two three");
        assert_eq!(wrapped(&styled, 0, 2, Some(8)), format!("{ERROR}one{ERROR:#} two\n  three"));
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 52_002, 1_234_567].map(rows), ["0", "999", "1,000", "52,002", "1,234,567"]);
        assert_eq!([0, 999, 1000, 999_499, 1_500_000].map(bytes), ["0 B", "999 B", "1.0 kB", "999.5 kB", "1.5 MB"]);
        assert_eq!([7, 1400, 61_000].map(duration), ["7 ms", "1.4 s", "1 min 1 s"]);
    }
}
