//! What a command is working on, and how far it is: put together from events, drawn by `progress.rs`.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use textwrap::core::display_width;

use super::screen::{FAINT, VERB, bytes, duration, rows};
use crate::{
    event::{Event, JobKind},
    stage::Stage,
};

/// Over how long a rate is taken: long enough to be steady, short enough to follow a change.
const WINDOW: Duration = Duration::from_secs(6);

/// How many things in progress are shown, one a line.
const SHOWN: usize = 5;

/// Width of the bar in a wide terminal; in a narrow one it is a fifth of the line.
const BAR: usize = 24;

/// Everything that is known of the work in progress.
#[derive(Default)]
pub(super) struct Work {
    /// Recipes that are out of date, and how many of them have ended.
    recipes: usize,
    ended: usize,
    /// Files of sources by label.
    files: BTreeMap<String, Reading>,
    /// Outputs that are being written, by label.
    outputs: BTreeMap<String, Writing>,
    /// Files that are fetched or sent, by that and their paths: bytes so far, and in all.
    transfers: BTreeMap<(&'static str, String), (Amount, Rate)>,
    /// Everything else that runs: label to what is done.
    others: BTreeMap<String, &'static str>,
    /// Parts of the cache that are being checked.
    checked: Option<(Amount, Rate)>,
    /// Of all files.
    reading: Rate,
}

/// So many bytes, of so many.
#[derive(Clone, Copy, Default)]
struct Amount {
    done: u64,
    total: u64,
}

/// A file that is read, or will be.
#[derive(Default)]
struct Reading {
    amount: Amount,
    rows: u64,
    is_running: bool,
    rate: Rate,
}

/// An output that is written.
#[derive(Default)]
struct Writing {
    rows: u64,
    of: u64,
    bytes: u64,
    rate: Rate,
}

/// Bytes per second over the last few seconds.
#[derive(Default)]
struct Rate(VecDeque<(Duration, u64)>);

impl Rate {
    fn measure(&mut self, at: Duration, done: u64) {
        while self.0.front().is_some_and(|(begun, _)| at.saturating_sub(*begun) > WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((at, done));
    }

    fn a_second(&self) -> Option<f64> {
        let ((begun, first), (at, last)) = (self.0.front()?, self.0.back()?);
        let seconds = at.saturating_sub(*begun).as_secs_f64();
        (seconds >= 1.0 && last > first).then(|| (last - first) as f64 / seconds)
    }

    /// Returns the time left for the rest, and the rate, in words; nothing before there is one.
    fn words(&self, amount: Amount) -> Vec<String> {
        let Some(rate) = self.a_second() else { return Vec::new() };
        let left = amount.total.saturating_sub(amount.done);
        let left = (left > 0).then(|| format!("{} left", seconds(left as f64 / rate)));
        left.into_iter().chain([format!("{}/s", bytes(rate as u64))]).collect()
    }
}

/// Returns seconds for people, without the digits that nobody can know yet.
fn seconds(left: f64) -> String {
    match left {
        ..1.0 => "1 s".to_owned(),
        1.0..60.0 => format!("{left:.0} s"),
        _ => duration((left * 1000.0) as u64),
    }
}

impl Amount {
    fn share(self) -> f64 {
        if self.total == 0 { 0.0 } else { (self.done as f64 / self.total as f64).min(1.0) }
    }

    fn percent(self) -> String {
        format!("{:.0}%", (100.0 * self.share()).floor())
    }

    /// Returns both numbers in the unit of the larger: `1.6 of 2.0 GB`.
    fn words(self) -> String {
        let (done, total) = (bytes(self.done.min(self.total)), bytes(self.total));
        match (done.rsplit_once(' '), total.rsplit_once(' ')) {
            (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} of {total}"),
            _ => format!("{done} of {total}"),
        }
    }
}

impl Writing {
    /// Returns the bytes so far, and how many there will be if the rest of the rows is as long.
    fn amount(&self) -> Amount {
        let total = if self.rows == 0 { 0.0 } else { self.bytes as f64 / self.rows as f64 * self.of as f64 };
        Amount { done: self.bytes, total: total as u64 }
    }
}

impl Work {
    /// Takes in an event that came `at` this long after the beginning.
    pub(super) fn see(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Planned { state, .. } => self.recipes += usize::from(*state != "fresh"),
            Event::Ended { .. } => self.ended += 1,
            Event::ToRead { label, bytes } => {
                let file = self.files.entry(label.clone()).or_default();
                file.amount.total = file.amount.total.max(*bytes);
            }
            Event::Started { kind: JobKind::Stage(Stage::Scan), label, .. } => {
                self.files.entry(label.clone()).or_default().is_running = true;
            }
            Event::Started { kind: JobKind::Stage(Stage::Output), label, .. } => {
                self.outputs.insert(label.clone(), Writing::default());
            }
            Event::Started { kind, label, .. } => {
                self.others.insert(label.clone(), doing(*kind));
            }
            Event::Reading { label, rows, bytes } => {
                let file = self.files.entry(label.clone()).or_default();
                (file.rows, file.amount.done) = (*rows, file.amount.done.max(*bytes));
                file.rate.measure(at, file.amount.done);
            }
            Event::Writing { label, rows, of, bytes } => {
                let output = self.outputs.entry(label.clone()).or_default();
                // They come from several threads, and may overtake each other.
                (output.rows, output.of) = (output.rows.max(*rows), *of);
                output.bytes = output.bytes.max(*bytes);
                output.rate.measure(at, output.bytes);
            }
            Event::Finished { kind: JobKind::Stage(Stage::Scan), label, .. } => {
                if let Some(file) = self.files.get_mut(label) {
                    file.is_running = false;
                    // Of a file that was read in part, the rest is not wanted.
                    file.amount.total = if file.amount.done == 0 { file.amount.total } else { file.amount.done };
                    file.amount.done = file.amount.total;
                }
            }
            Event::Finished { kind: JobKind::Stage(Stage::Output), label, .. } => drop(self.outputs.remove(label)),
            Event::Finished { label, .. } => drop(self.others.remove(label)),
            Event::Download { path, done, total } => {
                self.transfer("fetching", path, Amount { done: *done, total: *total }, at)
            }
            Event::Upload { path, done, total } => {
                self.transfer("sending", path, Amount { done: *done, total: *total }, at)
            }
            Event::Checked { done, total } => {
                let (amount, rate) = self.checked.get_or_insert_default();
                *amount = Amount { done: *done, total: *total };
                rate.measure(at, *done);
            }
            _ => {}
        }
    }

    /// Notes how much of a file is fetched or sent.
    fn transfer(&mut self, verb: &'static str, path: &str, amount: Amount, at: Duration) {
        let key = (verb, path.to_owned());
        if amount.done >= amount.total {
            self.transfers.remove(&key);
            return;
        }
        let (known, rate) = self.transfers.entry(key).or_default();
        *known = amount;
        rate.measure(at, amount.done);
    }

    /// Notes how far everything is `at` this time, for rates.
    pub(super) fn measure(&mut self, at: Duration) {
        let done = self.read().done;
        self.reading.measure(at, done);
    }

    /// Returns how much is read of all files that are known to be read.
    fn read(&self) -> Amount {
        let sum = |of: fn(&Reading) -> u64| self.files.values().map(of).sum();
        Amount { done: sum(|file| file.amount.done), total: sum(|file| file.amount.total) }
    }

    /// Returns how much of everything is done: half of it reading, half of it recipes, if there are any.
    fn share(&self) -> f64 {
        if let Some((amount, _)) = &self.checked {
            return amount.share();
        }
        let written: f64 = self.outputs.values().map(|output| output.rows as f64 / output.of.max(1) as f64).sum();
        let recipes = (self.ended as f64 + written) / self.recipes.max(1) as f64;
        let read = self.read();
        let share = match (self.recipes, read.total) {
            (_, 0) => recipes,
            // A worker comes to the end of no recipe.
            (0, _) => read.share(),
            _ => (recipes + read.share()) / 2.0,
        };
        share.clamp(0.0, 1.0)
    }

    /// Returns what is said of everything: recipes, bytes, rate, time left; the most important first.
    fn summary(&self) -> Vec<String> {
        let mut parts = Vec::new();
        if self.recipes > 0 {
            parts.push(format!("{}/{}", self.ended.min(self.recipes), self.recipes));
        }
        let read = self.read();
        if read.total > 0 && read.done >= read.total {
            parts.push(format!("{} read", bytes(read.total)));
        } else if read.total > 0 {
            parts.push(format!("{} read", read.words()));
            parts.extend(self.reading.words(read));
        }
        if let Some((amount, rate)) = &self.checked {
            parts.push(amount.words());
            parts.extend(rate.words(*amount));
        }
        parts
    }

    /// Returns what is in progress: what is done, to what, how far it is, and details.
    fn running(&self) -> Vec<(&'static str, String, Vec<String>)> {
        let mut running = Vec::new();
        for (label, output) in &self.outputs {
            let amount = output.amount();
            let mut details = Vec::new();
            if amount.total > 0 {
                details.extend([amount.percent(), amount.words()]);
                details.extend(output.rate.words(amount));
            }
            running.push(("writing", label.clone(), details));
        }
        for ((verb, path), (amount, rate)) in &self.transfers {
            let details = [vec![amount.percent(), amount.words()], rate.words(*amount)].concat();
            running.push((*verb, path.clone(), details));
        }
        for (label, file) in self.files.iter().filter(|(_, file)| file.is_running) {
            let mut details = Vec::new();
            if file.amount.done > 0 && file.amount.total > 0 {
                details.extend([file.amount.percent(), file.amount.words()]);
            }
            if file.rows > 0 {
                details.push(format!("{} rows", rows(file.rows)));
            }
            running.push(("reading", label.clone(), details));
        }
        running.extend(self.others.iter().map(|(label, doing)| (*doing, label.clone(), Vec::new())));
        running
    }

    /// Returns the lines for a terminal of `width` columns.
    pub(super) fn lines(&self, verb: &str, at: Duration, width: usize) -> Vec<String> {
        // The last column stays free: some terminals break a line that fills it.
        let width = width.saturating_sub(1);
        let room = BAR.min(width / 5);
        let filled = (self.share() * room as f64) as usize;
        let bar = match filled {
            filled if filled >= room => "=".repeat(room),
            filled => format!("{}>{}", "=".repeat(filled), " ".repeat(room - filled - 1)),
        };
        let mut parts = self.summary();
        parts.push(duration(at.as_millis() as u64 / 100 * 100));
        let head = format!("{verb:>12} [{bar}] ");
        let rest = fitting(parts, ", ", width.saturating_sub(display_width(&head)));
        let mut lines = vec![format!("{VERB}{verb:>12}{VERB:#} [{bar}] {rest}")];
        let running = self.running();
        let more = running.len().saturating_sub(SHOWN);
        for (doing, label, details) in running.into_iter().take(SHOWN) {
            const HEAD: usize = 13;
            let room = width.saturating_sub(HEAD);
            let label = shortened(&label, room.saturating_sub(2).min(room / 2).max(8));
            let details = fitting(details, ", ", room.saturating_sub(display_width(&label) + 2));
            lines.push(format!("{FAINT}{doing:>12}{FAINT:#} {label}  {FAINT}{details}{FAINT:#}"));
        }
        if more > 0 {
            lines.push(format!("{FAINT}{:>12} {more} more{FAINT:#}", "and"));
        }
        lines
    }

    /// Returns the line that says how far things are where no terminal shows it; `None` if nothing is known.
    pub(super) fn line(&self, verb: &str) -> Option<String> {
        let mut parts = self.summary();
        parts.extend(self.running().into_iter().take(SHOWN).map(|(doing, label, details)| {
            let details: Vec<String> = details.into_iter().take(1).collect();
            format!("{doing} {label} {}", details.join("")).trim_end().to_owned()
        }));
        (!parts.is_empty()).then(|| format!("{VERB}{verb:>12}{VERB:#} {}", parts.join(", ")))
    }
}

/// Returns what a job does, for the line about it.
fn doing(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Reread => "rereading",
        JobKind::Restore => "restoring",
        JobKind::Stage(Stage::Select) => "selecting",
        JobKind::Stage(Stage::Arrange) => "arranging",
        JobKind::Stage(Stage::Quarantine) => "quarantining",
        JobKind::Stage(Stage::Tally) => "counting",
        JobKind::Stage(_) => "working on",
    }
}

/// Joins as many of the first parts as there is room for.
fn fitting(parts: Vec<String>, between: &str, room: usize) -> String {
    let mut out = String::new();
    for part in parts {
        let needed = display_width(&part) + if out.is_empty() { 0 } else { between.len() };
        if display_width(&out) + needed > room {
            break;
        }
        if !out.is_empty() {
            out.push_str(between);
        }
        out.push_str(&part);
    }
    out
}

/// Shortens a path from its beginning, which says least.
fn shortened(text: &str, room: usize) -> String {
    if display_width(text) <= room {
        return text.to_owned();
    }
    let mut end = String::new();
    for c in text.chars().rev() {
        if display_width(&end) + display_width(c.encode_utf8(&mut [0; 4])) + 1 > room {
            break;
        }
        end.insert(0, c);
    }
    format!("…{end}")
}

/// Returns the name of a recipe from its path: the last folder and the stem.
pub(super) fn shown_file(path: &str) -> &str {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    match stem.rmatch_indices('/').nth(1) {
        Some((at, _)) => &stem[at + 1..],
        None => stem,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::hash::Digest;

    fn started(stage: Stage, label: &str) -> Event {
        let (kind, key) = (JobKind::Stage(stage), Digest::of(b""));
        Event::Started { kind, key, label: label.to_owned(), recipes: Arc::new([]) }
    }

    fn finished(stage: Stage, label: &str) -> Event {
        let (kind, key, took) = (JobKind::Stage(stage), Digest::of(b""), Duration::ZERO);
        let (label, recipes) = (label.to_owned(), Arc::new([]) as Arc<[String]>);
        Event::Finished { kind, key, label, recipes, took, rows: None, bytes: None, is_done: true }
    }

    fn planned(recipe: &str) -> Event {
        Event::Planned { recipe: recipe.to_owned(), state: "new", reasons: Vec::new() }
    }

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string().trim_end().to_owned()).collect()
    }

    /// Three recipes, one of which has ended; a file is read, an output is written.
    fn busy() -> Work {
        let mut work = Work::default();
        let at = Duration::from_secs;
        for recipe in ["config/sft/a.yaml", "config/sft/b.yaml", "config/sft/c.yaml"] {
            work.see(&planned(recipe), at(0));
        }
        for (label, bytes) in [("data/big.jsonl", 2_000_000_000), ("data/folder/small.jsonl", 1_000_000)] {
            work.see(&Event::ToRead { label: label.to_owned(), bytes }, at(0));
            work.see(&started(Stage::Scan, label), at(0));
        }
        work.see(&finished(Stage::Scan, "data/folder/small.jsonl"), at(1));
        work.see(&Event::Ended { recipe: "config/sft/a.yaml".into(), failure: None, files: Vec::new() }, at(1));
        work.see(&started(Stage::Output, "sft_b"), at(1));
        for second in 1..=5 {
            let bytes = second * 200_000_000;
            work.see(&Event::Reading { label: "data/big.jsonl".into(), rows: second * 100_000, bytes }, at(second));
            let (rows, bytes) = (second * 1000, second * 50_000_000);
            work.see(&Event::Writing { label: "sft_b".into(), rows, of: 10_000, bytes }, at(second));
            work.measure(at(second));
        }
        work
    }

    #[test]
    fn what_is_going_on_is_said_in_one_line_each() {
        let lines = plain(&busy().lines("Building", Duration::from_millis(5060), 160));
        let told = [
            "    Building [============>           ] 1/3, 1.0 of 2.0 GB read, 5 s left, 200.0 MB/s, 5.0 s",
            "     writing sft_b  50%, 250.0 of 500.0 MB, 5 s left, 50.0 MB/s",
            "     reading data/big.jsonl  50%, 1.0 of 2.0 GB, 500,000 rows",
        ];
        assert_eq!(lines, told);
        let line = busy().line("Building").unwrap();
        let told =
            "    Building 1/3, 1.0 of 2.0 GB read, 5 s left, 200.0 MB/s, writing sft_b 50%, reading data/big.jsonl 50%";
        assert_eq!(plain(&[line]), [told]);
    }

    #[test]
    fn lines_fit_their_width_and_lose_the_end_first() {
        for width in [40, 60, 80, 100, 200] {
            for line in plain(&busy().lines("Building", Duration::from_secs(75), width)) {
                assert!(display_width(&line) < width, "{width}: {line}");
            }
        }
        let narrow = plain(&busy().lines("Building", Duration::from_secs(75), 40));
        assert_eq!(narrow[0], "    Building [===>   ] 1/3");
        assert_eq!(shortened("data/a/very/long/path.jsonl", 12), "…/path.jsonl");
    }

    #[test]
    fn what_is_sent_is_not_told_to_be_fetched() {
        let mut work = Work::default();
        let path = || "dataset/train.jsonl".to_owned();
        let lines = |work: &Work| plain(&work.lines("Pushing", Duration::from_secs(1), 100)).split_off(1);
        work.see(&Event::Upload { path: path(), done: 250_000_000, total: 500_000_000 }, Duration::from_secs(1));
        assert_eq!(lines(&work), ["     sending dataset/train.jsonl  50%, 250.0 of 500.0 MB"]);
        work.see(&Event::Download { path: path(), done: 0, total: 10 }, Duration::from_secs(1));
        work.see(&Event::Upload { path: path(), done: 500_000_000, total: 500_000_000 }, Duration::from_secs(2));
        assert_eq!(lines(&work).len(), 1);
        assert!(lines(&work)[0].starts_with("    fetching dataset/train.jsonl"));
    }

    #[test]
    fn a_file_that_is_read_in_part_does_not_hold_up_the_rest() {
        let mut work = busy();
        work.see(&finished(Stage::Scan, "data/big.jsonl"), Duration::from_secs(6));
        assert_eq!(work.read().share(), 1.0);
    }

    #[test]
    fn recipes_are_called_by_their_name() {
        assert_eq!(shown_file("config/data/posttrain/sft/code.yaml"), "sft/code");
        assert_eq!(shown_file("config/own.yaml"), "config/own");
        assert_eq!(shown_file("own.yaml"), "own");
    }
}
