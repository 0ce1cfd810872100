//! `datac why`: what changed, what did not, what would run and what is reused.

use serde::Serialize;

use super::{
    args::Why,
    errors, exit,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN},
};
use crate::workspace::{Explanation, State, Workspace};

pub(super) fn run(workspace: &Workspace, options: &Why, screen: &Screen) -> u8 {
    let explanation = match workspace.why(&options.output) {
        Ok(explanation) => explanation,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: &'static str,
            datac: &'static str,
            #[serde(flatten)]
            explanation: &'a Explanation,
        }
        let document = Document { schema: "datac.why/1", datac: env!("CARGO_PKG_VERSION"), explanation: &explanation };
        let text = serde_json::to_string_pretty(&document).expect("an explanation is plain data");
        screen.data(&format!("{text}\n"));
        return exit::OK;
    }
    errors::problems(&explanation.status.problems, workspace, screen);
    screen.data(&text(&explanation));
    exit::OK
}

fn text(explanation: &Explanation) -> String {
    let status = &explanation.status;
    let style = match status.state {
        State::Fresh => GOOD,
        State::Invalid => ERROR,
        _ => WARN,
    };
    let mut out = format!("{} is {style}{}{style:#}\n", status.name, status.state.word());
    for file in &status.files {
        out.push_str(&format!("  {FAINT}{}  {} rows, blake3 {}{FAINT:#}\n", file.name, file.rows, file.blake3.short()));
    }
    if !status.reasons.is_empty() {
        out.push_str("\nbecause\n");
        for (reason, place) in status.reasons.iter().zip(&explanation.places) {
            let place = place
                .map(|(line, column)| format!("  {FAINT}{}:{line}:{column}{FAINT:#}", status.path))
                .unwrap_or_default();
            out.push_str(&format!("  {reason}{place}\n"));
        }
    }
    if !explanation.unchanged.is_empty() {
        out.push_str("\nunchanged\n");
        for entry in &explanation.unchanged {
            let value = match entry.value.rsplit_once(':') {
                Some((_, hex)) if hex.len() >= 40 => &hex[..10],
                _ => entry.value.as_str(),
            };
            out.push_str(&format!("  {FAINT}{}  {value}{FAINT:#}\n", entry.name));
        }
    }
    if status.state != State::Fresh && status.state != State::Invalid {
        out.push_str("\nstages\n");
        for step in &explanation.steps {
            let what = match (step.to_run, step.reused) {
                (Some(0), 0) => continue,
                (Some(0), reused) => format!("{reused} reused"),
                (Some(runs), 0) => format!("{runs} to run"),
                (Some(runs), reused) => format!("{runs} to run, {reused} reused"),
                (None, 0) => "to run, unless the stage before yields the same bytes".to_owned(),
                (None, reused) => format!("{reused} reused, more may run"),
            };
            out.push_str(&format!("  {:<8} {what}\n", step.stage));
        }
    }
    let is_stale = !matches!(status.state, State::Fresh | State::Invalid);
    let next = status.failure.as_ref().and_then(|failure| failure.hint.clone());
    if let Some(next) = next.or_else(|| is_stale.then(|| format!("datac build {}", status.name))) {
        out.push_str(&format!("\n{HINT}next:{HINT:#} {next}\n"));
    }
    out
}
