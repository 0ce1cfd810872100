//! `datac doctor`: diagnoses problems and suggests fixes.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    exit, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN, wrapped},
};
use crate::workspace::{Finding, Health, Workspace};

/// Options of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac doctor                 cache, lock, token, hub, clock, disk and machine
  datac doctor --offline       without contacting the hub

Exits with 1 if a check fails. The token is never printed.")]
pub(super) struct Options {
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// The document that `doctor --json` prints.
#[derive(Serialize, JsonSchema)]
struct Findings {
    /// The worst result of all checks.
    health: Health,
    /// Results of the checks, in order.
    findings: Vec<Finding>,
}

impl Content for Findings {
    const SCHEMA: &'static str = "datac.doctor/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Findings>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let findings = workspace.doctor();
    let health = findings.iter().map(|finding| finding.health).max().unwrap_or(Health::Ok);
    if options.json {
        document::print(&Findings { health, findings }, screen);
    } else {
        let columns = screen.data_width();
        let mut out: String = findings.iter().map(|finding| line(finding, columns)).collect();
        out.push_str(&closing(&findings));
        screen.data(&out);
    }
    if health == Health::Fail { exit::FAILED } else { exit::OK }
}

fn line(finding: &Finding, columns: Option<usize>) -> String {
    const INDENT: usize = 15;
    let (word, style) = match finding.health {
        Health::Ok => ("ok", GOOD),
        Health::Skip => ("skip", FAINT),
        Health::Warn => ("warn", WARN),
        Health::Fail => ("fail", ERROR),
    };
    let text = wrapped(&finding.text, INDENT, INDENT, columns);
    let mut out = format!("{style}{word:<4}{style:#}  {:<9}{text}\n", finding.name);
    if let Some(hint) = &finding.hint {
        out.push_str(&format!(
            "{:INDENT$}{HINT}hint:{HINT:#} {}\n",
            "",
            wrapped(hint, INDENT + 6, INDENT + 6, columns)
        ));
    }
    out
}

fn closing(findings: &[Finding]) -> String {
    let count = |health: Health| findings.iter().filter(|finding| finding.health == health).count();
    match (count(Health::Fail), count(Health::Warn)) {
        (0, 0) => format!("{GOOD}all checks passed{GOOD:#}\n"),
        (0, warnings) => format!("no check failed, {WARN}{}{WARN:#}\n", counted(warnings, "warning")),
        (failed, 0) => format!("{ERROR}{} failed{ERROR:#}\n", counted(failed, "check")),
        (failed, warnings) => {
            format!("{ERROR}{} failed{ERROR:#}, {}\n", counted(failed, "check"), counted(warnings, "warning"))
        }
    }
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
