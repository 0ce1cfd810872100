//! The shared cache on the command line: the option that names it, and what a build did with it in words.

use std::path::Path;

use clap::Args;

use super::screen::{FAINT, GOOD, WARN, bytes, rows};
use crate::{
    remote::{SharedCollected, SharedPart, SharedReport, SharedSize, SharedVerified},
    workspace::Forecast,
};

/// The option that names the shared cache.
#[derive(Args, Clone, Debug)]
pub(super) struct Remote {
    /// A cache that is shared with others: a folder, s3://bucket/folder (also gs://, az://), or https://address, which is only read
    #[arg(id = "remote", long = "remote", value_name = "URL", env = "DATAC_REMOTE", hide_env = true)]
    pub(super) given: Option<String>,
}

impl Remote {
    /// Makes a relative folder one below `folder`, where it was typed.
    pub(super) fn below(&mut self, folder: &Path) {
        if let Some(given) = self.given.as_mut().filter(|given| !given.contains("://")) {
            *given = folder.join(&*given).to_string_lossy().into_owned();
        }
    }
}

/// The option that has a command look at the shared cache instead of the local one.
#[derive(Args, Clone, Debug)]
pub(super) struct Instead {
    /// The shared cache instead of the local one [without URL: that of the settings]
    #[arg(id = "remote", long = "remote", value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    given: Option<String>,
}

impl Instead {
    /// Returns whether the shared cache is meant.
    pub(super) fn is_meant(&self) -> bool {
        self.given.is_some()
    }

    /// Makes a relative folder one below `folder`, where it was typed.
    pub(super) fn below(&mut self, folder: &Path) {
        if let Some(given) = self.given.as_mut().filter(|given| !given.is_empty() && !given.contains("://")) {
            *given = folder.join(&*given).to_string_lossy().into_owned();
        }
    }

    /// Returns the shared cache, if one is meant: none is that of the settings.
    pub(super) fn named(&self) -> Option<Option<String>> {
        self.given.as_ref().map(|given| Some(given.clone()).filter(|given| !given.is_empty()))
    }
}

/// Returns how many actions did not run because the shared cache had their results; `None` if it had none.
pub(super) fn taken(report: &SharedReport) -> Option<String> {
    let taken = report.taken();
    (taken > 0).then(|| format!("{}\u{a0}from\u{a0}the\u{a0}shared\u{a0}cache", rows(taken)))
}

/// Returns what a build did with the shared cache, in one line.
pub(super) fn in_full(report: &SharedReport) -> String {
    let requests = &report.requests;
    let mut parts = vec![format!(
        "{} and {} taken",
        counted(report.taken(), "result"),
        counted(report.artifacts, "large artifact")
    )];
    parts.extend(report.refused.in_words().map(|refused| format!("{refused}: ignored")));
    match (&report.read_only, &report.given_up) {
        (_, Some(_)) => {}
        (Some(why), None) => parts.push(format!("nothing added, since {why}")),
        (None, None) => parts.push(format!(
            "{} and {} added",
            counted(report.published_results, "result"),
            counted(report.published_artifacts, "large artifact")
        )),
    }
    let moved = format!("{} received, {} sent", bytes(requests.received_bytes), bytes(requests.sent_bytes));
    let asked = counted(requests.all(), "request");
    format!("shared cache {}: {} {FAINT}({asked}, {moved}){FAINT:#}", report.remote, parts.join("; "))
}

/// Returns what a build would take from the shared cache, in words.
pub(super) fn forecast(found: &Forecast) -> String {
    let taken: u64 = found.results.values().sum();
    let (results, artifacts) = (counted(taken, "result"), counted(found.artifacts, "large artifact"));
    let mut text = format!("from the shared cache {}: a build would take {results} and {artifacts}", found.remote);
    let missing: Vec<String> = found.missing.iter().map(|(stage, count)| format!("{count}\u{a0}{stage}")).collect();
    match (missing.is_empty(), &found.given_up) {
        (_, Some(why)) => text.push_str(&format!("; {WARN}it cannot be used{WARN:#}: {why}")),
        (true, None) => text.push_str(&format!(", and {GOOD}run nothing{GOOD:#}")),
        (false, None) => text.push_str(&format!(", and run {}", missing.join(", "))),
    }
    if let Some(refused) = found.refused.in_words() {
        text.push_str(&format!("; ignored: {refused}"));
    }
    format!("{text} {FAINT}({}){FAINT:#}", counted(found.requests.all(), "request"))
}

/// Returns the sizes of what is in a shared cache, a line each.
pub(super) fn size(size: &SharedSize) -> String {
    let line = |name: &str, part: SharedPart| format!("{name:<10}{:>9}  {:>9}\n", rows(part.count), bytes(part.bytes));
    let all = [size.packs, size.artifacts, size.index, size.releases, size.others];
    let total =
        SharedPart { count: all.iter().map(|part| part.count).sum(), bytes: all.iter().map(|part| part.bytes).sum() };
    let mut text = format!("{:<10}{:>9}  {:>9}\n", "", "count", "size");
    text.push_str(&line("packs", size.packs));
    text.push_str(&line("artifacts", size.artifacts));
    text.push_str(&line("index", size.index));
    text.push_str(&line("releases", size.releases));
    text.push_str(&line("others", size.others));
    text + &line("all", total)
}

/// Returns what was removed from a shared cache, in words.
pub(super) fn collected(collected: &SharedCollected) -> String {
    let verb = if collected.dry_run { "would remove" } else { "removed" };
    let part = |part: SharedPart, word: &str| format!("{}, {}", counted(part.count, word), bytes(part.bytes));
    format!(
        "{verb} {}; {}; {} {FAINT}({} before, {} after){FAINT:#}",
        counted(collected.entries, "entry").replace("entrys", "entries"),
        part(collected.packs, "pack"),
        part(collected.artifacts, "artifact"),
        bytes(collected.before_bytes),
        bytes(collected.after_bytes)
    )
}

/// Returns what was found in a shared cache, in words.
pub(super) fn verified(verified: &SharedVerified) -> String {
    let mut read = format!("{} and {}", counted(verified.packs, "pack"), counted(verified.artifacts, "artifact"));
    if verified.releases + verified.pieces > 0 {
        let (releases, pieces) = (counted(verified.releases, "release"), counted(verified.pieces, "piece"));
        read.push_str(&format!(", {releases} of {pieces}"));
    }
    read.push_str(&format!(", {}", bytes(verified.bytes)));
    let mut text = match verified.damaged.len() as u64 {
        0 => format!("the shared cache is {GOOD}intact{GOOD:#}: {read}"),
        count => match &verified.kept {
            None => format!("{WARN}{count} damaged{WARN:#} and removed, in {read}"),
            Some(why) => format!("{WARN}{count} damaged{WARN:#} in {read}; not removed: {why}"),
        },
    };
    if let Some(refused) = verified.refused.in_words() {
        text.push_str(&format!("; builds would ignore {refused}"));
    }
    if !verified.damaged_releases.is_empty() {
        let names = verified.damaged_releases.join(", ");
        text.push_str(&format!("; the documents of these releases are {WARN}damaged{WARN:#} and stay: {names}"));
    }
    text
}

/// Returns a number with its noun, in the plural if need be.
pub(super) fn counted(count: u64, word: &str) -> String {
    format!("{} {word}{}", rows(count), if count == 1 { "" } else { "s" })
}
