//! `datac why`: explains what changed, what did not, what would run and what is reused.

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN, counted_rows, rows, wrapped},
    status, times,
};
use crate::{
    leaf::Entry,
    system,
    workspace::{Explanation, PastBuild, PastExplanation, PastReason, SETTINGS_FILE, State, Workspace},
};
use clap::Args;

/// Options of `why`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac why dataset/sft_general_train.jsonl
  datac why sft/general --run 3                why run 3 rebuilt it")]
pub(super) struct Options {
    /// An output file, or a recipe (as for `build`)
    #[arg(value_name = "OUTPUT")]
    pub(super) output: String,
    /// Explain a past run, by its number or `last`
    #[arg(long, value_name = "RUN")]
    pub(super) run: Option<String>,
    /// Also list what has not changed
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for Explanation {
    const SCHEMA: &'static str = "datac.why/1";
}

impl Content for PastExplanation {
    const SCHEMA: &'static str = "datac.why.run/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Explanation>(), schema::of::<PastExplanation>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    if let Some(run) = &options.run {
        return of_run(workspace, options, run, screen);
    }
    let explanation = match workspace.why(&options.output) {
        Ok(explanation) => explanation,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&explanation, screen);
        return exit::OK;
    }
    errors::problems(&explanation.status.problems, workspace, screen);
    screen.data(&text(&explanation, options.verbose, screen.data_width()));
    exit::OK
}

/// Explains why a run built its recipes.
fn of_run(workspace: &Workspace, options: &Options, run: &str, screen: &Screen) -> u8 {
    let explanation = match workspace.history().why(&options.output, run) {
        Ok(explanation) => explanation,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&explanation, screen);
        return exit::OK;
    }
    let PastExplanation { name, path, build } = &explanation;
    let state = &build.state;
    let columns = screen.data_width();
    let mut text = format!("{name} was {WARN}{state}{WARN:#}\n\n{}", past(build, path, columns));
    if let Some(failure) = &build.failure {
        text.push_str(&format!("\n{}\n", wrapped(&format!("{ERROR}failed{ERROR:#}: {failure}"), 0, 2, columns)));
    }
    screen.data(&text);
    exit::OK
}

/// Describes when and why a recipe was built.
fn past(build: &PastBuild, path: &str, columns: Option<usize>) -> String {
    let verb = if build.failure.is_some() { "tried" } else { "built" };
    let when = times::ago(build.started_ns, system::now_ns()).replace(' ', "\u{a0}");
    let because = if build.reasons.is_empty() { "" } else { ", because" };
    let mut out =
        format!("{}\n", wrapped(&format!("{verb} in run\u{a0}{}, {when}{because}", build.run), 0, 2, columns));
    for PastReason { reason, place } in &build.reasons {
        out.push_str(&format!("  {}\n", wrapped(&reason.to_string(), 2, 4, columns)));
        if let Some((line, column)) = place {
            out.push_str(&format!("    {FAINT}at {path}:{line}:{column}{FAINT:#}\n"));
        }
    }
    out
}

fn text(explanation: &Explanation, verbose: bool, columns: Option<usize>) -> String {
    let status = &explanation.status;
    let style = match status.state {
        State::Fresh => GOOD,
        State::Invalid => ERROR,
        _ => WARN,
    };
    let mut out = format!("{} is {style}{}{style:#}\n", status.name, status.state.word());
    let width = status.files.iter().map(|file| file.name.chars().count()).max().unwrap_or(0);
    for file in &status.files {
        let (name, blake3) = (&file.name, file.meta.digest.short());
        let rows = counted_rows(file.meta.rows).replace(' ', "\u{a0}");
        let line = format!("{FAINT}{name:<width$}  {rows}, blake3\u{a0}{blake3}{FAINT:#}");
        out.push_str(&format!("  {}\n", wrapped(&line, 2, 4, columns)));
    }
    // Problems have been printed with their lines.
    if status.problems.is_empty() && !status.reasons.is_empty() {
        out.push_str("\nbecause\n");
        let places = explanation.places.iter().zip(&explanation.default_places);
        for (reason, (place, default)) in status::reasons(status).iter().zip(places) {
            out.push_str(&format!("  {}\n", wrapped(reason, 2, 2, columns)));
            let in_recipe = place.map(|place| (status.path.as_str(), place));
            if let Some((path, (line, column))) = in_recipe.or(default.map(|place| (SETTINGS_FILE, place))) {
                out.push_str(&format!("    {FAINT}at {path}:{line}:{column}{FAINT:#}\n"));
            }
        }
    }
    if let (State::Fresh, Some(build)) = (status.state, &explanation.past) {
        out.push_str(&format!("\n{}", past(build, &status.path, columns)));
    }
    if status.state != State::Fresh && status.state != State::Invalid {
        out.push_str(&stages(explanation));
    }
    let unchanged = explanation.unchanged.len();
    if unchanged > 0 && !verbose {
        out.push_str(&format!("\n{FAINT}{unchanged} unchanged (-v to list){FAINT:#}\n"));
    } else if unchanged > 0 {
        out.push_str("\nunchanged\n");
        let name = |entry: &Entry| entry.name.to_string();
        let width = explanation.unchanged.iter().map(|entry| name(entry).chars().count()).max().unwrap_or(0).min(40);
        for entry in &explanation.unchanged {
            let line = format!("{FAINT}{:<width$}  {}{FAINT:#}", name(entry), entry.value.short());
            out.push_str(&format!("  {}\n", wrapped(&line, 2, 4, columns)));
        }
    }
    let is_stale = !matches!(status.state, State::Fresh | State::Invalid);
    let next = status::next_of(status).or_else(|| is_stale.then(|| format!("datac build {}", status.name)));
    if let Some(next) = next {
        out.push_str(&format!("\n{}\n", wrapped(&format!("{HINT}next:{HINT:#} {next}"), 0, 6, columns)));
    }
    out
}

/// Lists per stage how many actions would run and how many are reused.
fn stages(explanation: &Explanation) -> String {
    let mut out = String::new();
    // Nothing is known about a source that is not pinned.
    if explanation.steps.iter().all(|step| step.reused == 0 && step.to_run.is_none_or(|runs| runs == 0)) {
        return out;
    }
    for step in &explanation.steps {
        let what = match (step.to_run, step.reused) {
            (Some(0), 0) => continue,
            (Some(0), reused) => format!("{reused} reused"),
            (Some(runs), 0) => format!("{runs} to run"),
            (Some(runs), reused) => format!("{runs} to run, {reused} reused"),
            (None, 0) => "to run, unless the previous stage produces the same bytes".to_owned(),
            (None, reused) => format!("{reused} reused, more may run"),
        };
        let until = match step.until_samples {
            Some(1) => ", until one sample is found".to_owned(),
            Some(samples) => format!(", until {} samples are found", rows(samples)),
            None => String::new(),
        };
        let misses = explanation.misses.iter().filter(|miss| miss.stage == step.stage);
        let why: Vec<String> = misses
            .map(|miss| match step.to_run == Some(miss.count) {
                true => miss.reason.words().to_owned(),
                false => format!("{} {}", miss.count, miss.reason.words()),
            })
            .collect();
        let why =
            if why.is_empty() || step.to_run == Some(0) { String::new() } else { format!(": {}", why.join(", ")) };
        out.push_str(&format!("  {:<8} {what}{until}{why}\n", step.stage));
    }
    format!("\nstages\n{out}")
}
