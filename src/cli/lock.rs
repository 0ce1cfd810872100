//! `datac lock`: pins sources, and says what moved.

use serde::Serialize;

use super::{
    args::Lock,
    errors, exit,
    screen::{FAINT, GOOD, HINT, Screen, WARN},
};
use crate::workspace::{LockReport, Upgrade, Workspace};

pub(super) fn run(workspace: &Workspace, options: &Lock, screen: &Screen) -> u8 {
    let upgrade = match &options.upgrade {
        None => Upgrade::None,
        Some(sources) if sources.is_empty() => Upgrade::All,
        Some(sources) => Upgrade::Sources(sources.clone()),
    };
    let report = match workspace.lock(&options.paths, &upgrade, options.check) {
        Ok(report) => report,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: &'static str,
            datac: &'static str,
            #[serde(flatten)]
            report: &'a LockReport,
        }
        let document = Document { schema: "datac.lock/1", datac: env!("CARGO_PKG_VERSION"), report: &report };
        let text = serde_json::to_string_pretty(&document).expect("a report is plain data");
        screen.data(&format!("{text}\n"));
    } else {
        print(&report, options.check, screen);
    }
    if options.check && !report.changes.is_empty() { exit::FAILED } else { exit::OK }
}

fn print(report: &LockReport, check: bool, screen: &Screen) {
    for change in &report.changes {
        let text = match (&change.old, &change.new) {
            (None, Some(new)) => format!("pinned at {}", short(new)),
            (Some(old), Some(new)) if old == new => "other files at the same commit".to_owned(),
            (Some(old), Some(new)) => format!("{} -> {}", short(old), short(new)),
            (Some(old), None) => format!("removed, no recipe uses it (was {})", short(old)),
            (None, None) => continue,
        };
        screen.say(&format!("{WARN}{}{WARN:#} {text}", change.source));
    }
    let unchanged = format!("{FAINT}{} unchanged{FAINT:#}", report.unchanged);
    match (report.changes.len(), check) {
        (0, _) => screen.say(&format!("{GOOD}datac.lock{GOOD:#} is up to date, {unchanged}")),
        (changes, true) => {
            screen.say(&format!("{WARN}datac.lock{WARN:#} would change: {changes} changed, {unchanged}"));
            screen.say(&format!("{HINT}next:{HINT:#} datac lock"));
        }
        (changes, false) => screen.say(&format!("{GOOD}datac.lock{GOOD:#} is written: {changes} changed, {unchanged}")),
    }
}

fn short(commit: &str) -> &str {
    let hex = commit.rsplit(':').next().unwrap_or(commit);
    hex.get(..10).unwrap_or(hex)
}
