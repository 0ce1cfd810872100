//! `datac lock`: pins sources, and lists changed pins.

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, GOOD, HINT, Screen, WARN},
};
use crate::workspace::{LockReport, Upgrade, Workspace};
use clap::Args;

/// Options of `lock`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac lock                              pin sources that are not pinned yet
  datac lock --check                      for CI: exit 1 if datac.lock would change
  datac lock --upgrade tatsu-lab/alpaca   move one source to its newest commit")]
pub(super) struct Options {
    /// Recipes whose sources to pin, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Write nothing; exit 1 if datac.lock would change
    #[arg(long)]
    pub(super) check: bool,
    /// Move the pins of these sources (or of all) to the current commit of their revision
    #[arg(long, value_name = "SOURCE", num_args = 0..)]
    pub(super) upgrade: Option<Vec<String>>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for LockReport {
    const SCHEMA: &'static str = "datac.lock.report/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<LockReport>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let upgrade = match &options.upgrade {
        None => Upgrade::None,
        Some(sources) if sources.is_empty() => Upgrade::All,
        Some(sources) => Upgrade::Sources(sources.clone()),
    };
    let report = match workspace.lock(&options.selectors, &upgrade, options.check) {
        Ok(report) => report,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&report, screen);
    } else {
        print(&report, options.check, screen);
    }
    if options.check && !report.changes.is_empty() { exit::FAILED } else { exit::OK }
}

fn print(report: &LockReport, check: bool, screen: &Screen) {
    for change in &report.changes {
        let text = match (&change.old, &change.new) {
            (None, Some(new)) => format!("pinned at {}", short(new)),
            (Some(old), Some(new)) if old == new => "different files at the same commit".to_owned(),
            (Some(old), Some(new)) => format!("{} -> {}", short(old), short(new)),
            (Some(old), None) => format!("removed, not used by any recipe (was {})", short(old)),
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
        (changes, false) => screen.say(&format!("{GOOD}datac.lock{GOOD:#} updated: {changes} changed, {unchanged}")),
    }
}

fn short(commit: &str) -> &str {
    let hex = commit.rsplit(':').next().unwrap_or(commit);
    hex.get(..10).unwrap_or(hex)
}
