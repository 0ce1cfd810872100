//! Human-readable times in the local time zone.

use jiff::{SpanRound, Timestamp, Unit, Zoned, tz::TimeZone};

/// Formats a time in the local time zone: `2026-11-20 14:02`.
pub(super) fn local(ns: i64) -> String {
    timestamp(ns).to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Describes how long ago a time was: `3 minutes ago`, `yesterday at 14:02`, or the date.
pub(super) fn ago(ns: i64, now_ns: i64) -> String {
    let zone = TimeZone::system();
    let (then, now) = (timestamp(ns).to_zoned(zone.clone()), timestamp(now_ns).to_zoned(zone));
    in_words(&then, &now)
}

fn in_words(then: &Zoned, now: &Zoned) -> String {
    let seconds = now.timestamp().as_second() - then.timestamp().as_second();
    let some = |count: i64, what: &str| format!("{count} {what}{} ago", if count == 1 { "" } else { "s" });
    let days = then
        .date()
        .until((Unit::Day, now.date()))
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Day).days_are_24_hours()))
        .map_or(0, |span| span.get_days());
    match (seconds, days) {
        // The clock has been set back.
        (..0, _) => then.strftime("%Y-%m-%d %H:%M").to_string(),
        (0..60, _) => "just now".to_owned(),
        (60..3600, _) => some(seconds / 60, "minute"),
        (_, 0) => some(seconds / 3600, "hour"),
        (_, 1) => then.strftime("yesterday at %H:%M").to_string(),
        (_, 2..7) => then.strftime("%A at %H:%M").to_string(),
        _ => then.strftime("%Y-%m-%d").to_string(),
    }
}

fn timestamp(ns: i64) -> Timestamp {
    // Cannot fail: every `i64` of nanoseconds is in the range of `Timestamp`.
    Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        let now: Zoned = "2026-11-20T14:02:00[UTC]".parse().unwrap();
        for (then, words) in [
            ("2026-11-20T14:01:30[UTC]", "just now"),
            ("2026-11-20T14:00:50[UTC]", "1 minute ago"),
            ("2026-11-20T09:02:00[UTC]", "5 hours ago"),
            ("2026-11-19T23:00:00[UTC]", "yesterday at 23:00"),
            ("2026-11-17T08:05:00[UTC]", "Tuesday at 08:05"),
            ("2025-01-02T08:05:00[UTC]", "2025-01-02"),
            ("2026-11-20T14:03:00[UTC]", "2026-11-20 14:03"),
        ] {
            assert_eq!(in_words(&then.parse().unwrap(), &now), words, "{then}");
        }
    }
}
