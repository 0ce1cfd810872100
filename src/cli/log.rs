//! `datac log`: past builds, and the differences between two of them.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, VERB, WARN, bytes, duration, rows, wrapped},
    times,
};
use crate::{
    stage::Stage,
    system,
    workspace::{FileDiff, FileHash, RunDiff, RunEntry, RunFile, RunOutcome, RunRecipe, Workspace},
};
use clap::{Args, Subcommand};

/// Options of `log`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  datac log                past builds, newest first
  datac log last           one run: what was built, the state before, and why
  datac log diff 3 last    which files differ between two runs, and why"
)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Option<LogCommand>,
    /// A run by its number, or `last`
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,
    /// Number of runs to list
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) limit: u16,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// Subcommands of `log`.
#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Compare the outputs after two runs
    Diff {
        /// The earlier run, by its number or `last`
        #[arg(value_name = "OLD")]
        old: String,
        /// The later run
        #[arg(value_name = "NEW")]
        new: String,
        /// Print one JSON document to stdout
        #[arg(long)]
        json: bool,
    },
}

/// The recorded runs.
#[derive(Serialize, JsonSchema)]
struct Runs {
    /// Runs, newest first.
    runs: Vec<RunEntry>,
}

impl Content for Runs {
    const SCHEMA: &'static str = "datac.log/1";
}

impl Content for RunEntry {
    const SCHEMA: &'static str = "datac.log.run/1";
}

impl Content for RunDiff {
    const SCHEMA: &'static str = "datac.log.diff/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Runs>(), schema::of::<RunEntry>(), schema::of::<RunDiff>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let columns = screen.data_width();
    let printed = match (&options.command, &options.run) {
        (Some(LogCommand::Diff { old, new, json }), _) => workspace.history().diff(old, new).map(|diff| {
            let is_json = *json || options.json;
            if is_json { document::text(&diff) } else { difference(&diff, columns) }
        }),
        (None, Some(name)) => workspace.history().entry(name).map(|entry| match options.json {
            true => document::text(&entry),
            false => one(&entry, columns),
        }),
        (None, None) => workspace.history().entries(usize::from(options.limit)).map(|runs| match options.json {
            true => document::text(&Runs { runs }),
            false => list(&runs, columns),
        }),
    };
    match printed {
        Ok(text) => {
            screen.data(&text);
            exit::OK
        }
        Err(error) => errors::report(&error, workspace, screen),
    }
}

fn list(runs: &[RunEntry], columns: Option<usize>) -> String {
    let Some(first) = runs.first() else {
        return format!("nothing has been built yet\n{HINT}next:{HINT:#} datac build\n");
    };
    let mut out: String = runs.iter().map(|run| head(run, columns) + &recipes_in_short(run, columns)).collect();
    let next = format!("{HINT}next:{HINT:#} datac log {}", first.run);
    out.push_str(&format!("\n{}\n", wrapped(&next, 0, 6, columns)));
    out
}

/// Formats the head of a run: `run 12, 3 minutes ago, built in 80 ms`, and the actions that ran.
fn head(run: &RunEntry, columns: Option<usize>) -> String {
    let (style, word) = match run.outcome {
        RunOutcome::Built => (GOOD, "built"),
        RunOutcome::Failed => (ERROR, "failed"),
        RunOutcome::Interrupted => (WARN, "interrupted"),
    };
    let when = times::ago(run.started_ns, system::now_ns()).replace(' ', "\u{a0}");
    let took = duration(run.ms).replace(' ', "\u{a0}");
    let first = format!("{VERB}run\u{a0}{}{VERB:#}, {when}, {style}{word}{style:#} in\u{a0}{took}", run.run);
    let ran = counts(&run.ran, "ran", "nothing ran");
    let reused = counts(&run.reused, "reused", "nothing reused");
    format!(
        "{}\n  {}\n",
        wrapped(&first, 0, 2, columns),
        wrapped(&format!("{FAINT}{ran}; {reused}{FAINT:#}"), 2, 4, columns)
    )
}

fn counts(actions: &std::collections::BTreeMap<Stage, u64>, verb: &str, none: &str) -> String {
    let ran = actions.iter().filter(|(_, count)| **count > 0);
    let parts: Vec<String> = ran.map(|(stage, count)| format!("{count}\u{a0}{stage}")).collect();
    if parts.is_empty() { none.to_owned() } else { format!("{verb} {}", parts.join(", ")) }
}

fn recipes_in_short(run: &RunEntry, columns: Option<usize>) -> String {
    const SHOWN: usize = 4;
    let line = |recipe: &RunRecipe| {
        let why = match (&recipe.failure, recipe.reasons.split_first()) {
            (Some(failure), _) => format!("{ERROR}failed{ERROR:#}: {failure}"),
            (None, Some((first, []))) => first.clone(),
            (None, Some((first, more))) => format!("{first}, and {} more", more.len()),
            (None, None) => recipe.state.clone(),
        };
        format!("  {}\n", wrapped(&format!("{}: {why}", recipe.recipe), 2, 4, columns))
    };
    // Failed recipes first, since users look for those.
    let mut recipes: Vec<&RunRecipe> = run.recipes.iter().collect();
    recipes.sort_by_key(|recipe| recipe.failure.is_none());
    let mut out: String = recipes.iter().take(SHOWN).map(|recipe| line(recipe)).collect();
    if recipes.len() > SHOWN {
        out.push_str(&format!("  {FAINT}and {} more{FAINT:#}\n", recipes.len() - SHOWN));
    }
    out
}

fn one(run: &RunEntry, columns: Option<usize>) -> String {
    let mut out = head(run, columns);
    let mut facts = vec![("began", times::local(run.started_ns)), ("hub", run.hub.clone())];
    if !run.command.is_empty() {
        facts.push(("command", format!("datac {}", run.command.join(" "))));
    }
    for (name, value) in facts {
        out.push_str(&format!("  {FAINT}{name:<8}{FAINT:#} {}\n", wrapped(&value, 11, 11, columns)));
    }
    for recipe in &run.recipes {
        let style = if recipe.failure.is_some() { ERROR } else { WARN };
        out.push_str(&format!("\n{} was {style}{}{style:#}\n", recipe.recipe, recipe.state));
        for reason in &recipe.reasons {
            out.push_str(&format!("  {}\n", wrapped(reason, 2, 4, columns)));
        }
        if let Some(failure) = &recipe.failure {
            out.push_str(&format!("  {}\n", wrapped(&format!("{ERROR}failed{ERROR:#}: {failure}"), 2, 4, columns)));
        }
        for file in &recipe.files {
            out.push_str(&format!("  {FAINT}{}{FAINT:#}\n", wrapped(&file_line(file), 2, 4, columns)));
        }
    }
    out
}

fn file_line(file: &RunFile) -> String {
    let name = file.name.as_deref().unwrap_or("a file");
    let size = match (file.rows, file.bytes) {
        (Some(count), Some(size)) => format!("{}\u{a0}rows, {}, ", rows(count), bytes(size)),
        _ => String::new(),
    };
    format!("{name}: {size}blake3\u{a0}{}", file.blake3.short())
}

fn difference(diff: &RunDiff, columns: Option<usize>) -> String {
    let mut out = String::new();
    for recipe in &diff.recipes {
        let word = match (recipe.built_old, recipe.built_new) {
            (None, _) => "is new",
            (_, None) => "is gone",
            _ => "differs",
        };
        out.push_str(&format!("{} {WARN}{word}{WARN:#}\n", recipe.recipe));
        for change in &recipe.changes {
            out.push_str(&format!("  {}\n", wrapped(&change.to_string(), 2, 4, columns)));
        }
        if let Some(unknown) = &recipe.unknown {
            let text = format!("{FAINT}changes unknown: {unknown}{FAINT:#}");
            out.push_str(&format!("  {}\n", wrapped(&text, 2, 4, columns)));
        }
        for file in &recipe.files {
            out.push_str(&format!("  {FAINT}{}{FAINT:#}\n", wrapped(&changed_file(file), 2, 4, columns)));
        }
        out.push('\n');
    }
    let verb = if diff.recipes.len() == 1 { "differs" } else { "differ" };
    let same = match (diff.recipes.len(), diff.same) {
        (0, _) => format!("the same files after run {} and run {}", diff.old, diff.new),
        (differ, same) => format!("run {} to run {}: {differ} {verb}, {same} the same", diff.old, diff.new),
    };
    out + &wrapped(&same, 0, 2, columns) + "\n"
}

fn changed_file(file: &FileDiff) -> String {
    let name = file.name.as_deref().unwrap_or("a file");
    let digest = |digest: Option<FileHash>| digest.map_or("none".to_owned(), |digest| digest.short());
    let count = match (file.old_rows, file.new_rows) {
        (Some(old), Some(new)) if old != new => format!("{}\u{a0}->\u{a0}{}\u{a0}rows, ", rows(old), rows(new)),
        (_, Some(count)) | (Some(count), None) => format!("{}\u{a0}rows, ", rows(count)),
        (None, None) => String::new(),
    };
    format!("{name}: {count}blake3\u{a0}{}\u{a0}->\u{a0}{}", digest(file.old), digest(file.new))
}
