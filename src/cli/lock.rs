//! `datac lock`: pins sources, and says what moved.

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
  datac lock                              pin what is not pinned yet
  datac lock --check                      for CI: exit 1 if that would change it
  datac lock --upgrade tatsu-lab/alpaca   take the newest commit of one source")]
pub(super) struct Options {
    /// Recipes whose sources are pinned, named as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Write nothing; exit 1 if datac.lock would change
    #[arg(long)]
    pub(super) check: bool,
    /// Move pins to what their revision names now; of these sources, or of all
    #[arg(long, value_name = "SOURCE", num_args = 0..)]
    pub(super) upgrade: Option<Vec<String>>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for LockReport {
    const SCHEMA: &'static str = "datac.lock.report/1";
}

/// What it prints as JSON.
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
