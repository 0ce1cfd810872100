//! `datetime.strftime` in the C locale, for a date and time without a zone.

use jiff::{civil::DateTime, fmt::strtime};

/// Returns `now` written by `format`, or `None` for a directive that is not known.
///
/// Directives are those of glibc, which CPython hands the format to: `%c`, `%x`, `%X` and `%r` as the C locale writes them, and
/// `%Z` and `%z` empty, since the time has no zone.
pub(crate) fn strftime(now: DateTime, format: &str) -> Option<String> {
    let mut plain = String::with_capacity(format.len());
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        match rest.next() {
            Some('c') => plain.push_str("%a %b %e %H:%M:%S %Y"),
            Some('x') => plain.push_str("%m/%d/%y"),
            Some('X') => plain.push_str("%H:%M:%S"),
            Some('r') => plain.push_str("%I:%M:%S %p"),
            Some('f') => plain.push_str("%6f"),
            Some('Z' | 'z') => {}
            Some(other) => plain.extend(['%', other]),
            // A percent sign at the end stands for itself.
            None => plain.push_str("%%"),
        }
    }
    strtime::format(&plain, now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_those_of_the_c_locale() {
        let now = jiff::civil::date(2026, 3, 9).at(6, 7, 5, 0);
        // datetime(2026, 3, 9, 6, 7, 5).strftime() of CPython 3.11 on Linux.
        let pairs = [
            ("%d %b %Y", "09 Mar 2026"),
            ("%Y-%m-%d", "2026-03-09"),
            ("%A, %B %-d, %Y", "Monday, March 9, 2026"),
            ("%H:%M:%S %p %j %y", "06:07:05 AM 068 26"),
            ("%c|%x|%X|%Z|%z|%f", "Mon Mar  9 06:07:05 2026|03/09/26|06:07:05|||000000"),
            ("%% 100%", "% 100%"),
        ];
        for (format, written) in pairs {
            assert_eq!(strftime(now, format).as_deref(), Some(written), "{format}");
        }
        assert_eq!(strftime(now, "%9"), None);
    }
}
