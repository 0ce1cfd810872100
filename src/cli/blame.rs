//! `datac blame`: names the rows that a model was trained on in a step, from a log of training.

use std::path::PathBuf;

use clap::Args;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, Screen, rows},
};
use crate::workspace::{Blame, BlamedRow, MadeOf, Workspace};

/// Options of `blame`.
#[derive(Args, Debug)]
#[command(after_help = "\
A log has a line of JSON for each step and rank, such as
  {\"step\": 5, \"rank\": 0, \"recipe\": \"sft/general\", \"ids\": [\"row-…\"]}
`datac.trl.RowIds` of the Python package writes it; `id: true` of a recipe's
`output` gives rows their ids. `rank` and `recipe` may be left out.

Exit codes: 0 all rows are named, 1 no build of the history has some of them.

Examples:
  datac blame rows.jsonl --step 5
  datac blame rows.rank*.jsonl --step 5       a log for each rank
  datac blame rows.jsonl --step 5 --json | jq -r '.rows[].made_of[].source.file'")]
pub(super) struct Options {
    /// Logs of one training
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// The optimizer step, from 1
    #[arg(long, value_name = "N")]
    step: u64,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for Blame {
    const SCHEMA: &'static str = "datac.blame/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Blame>()];

/// The most rows without a source that are listed one by one.
const LISTED: usize = 5;

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let blame = match workspace.outputs().blame(&options.logs, options.step) {
        Ok(blame) => blame,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    screen.data(&if options.json { document::text(&blame) } else { listed(&blame) });
    let unknown: Vec<&BlamedRow> = blame.unknown().collect();
    if unknown.is_empty() {
        return exit::OK;
    }
    for row in unknown.iter().take(LISTED) {
        screen.error(&format!("{}:{}: no build has the row `{}`", row.log.display(), row.line, row.id), None);
    }
    let more = unknown.len().saturating_sub(LISTED);
    let count = if more == 0 { String::new() } else { format!("and {} more; ", rows(more as u64)) };
    let hint = "an id stays the same as long as the content of the row does; the history has the last 200 runs";
    screen.say_wrapped(&format!("{FAINT}{count}{hint}{FAINT:#}"), 2);
    exit::FAILED
}

/// Lists each row with what it was made of, one line for each source row.
fn listed(blame: &Blame) -> String {
    let made = || blame.rows.iter().flat_map(|row| &row.made_of);
    let width = |of: &dyn Fn(&MadeOf) -> String| made().map(|made| of(made).chars().count()).max().unwrap_or(0);
    let recipe = |made: &MadeOf| match made.is_latest {
        true => made.recipe.clone(),
        false => format!("{} (run {})", made.recipe, made.run),
    };
    let converter = |made: &MadeOf| format!("{} {}", made.converter, made.converter_code);
    let (recipes, converters, sources) = (width(&recipe), width(&converter), width(&source));
    let mut out = String::new();
    for row in &blame.rows {
        let times = if row.times > 1 { format!("  {FAINT}{} times{FAINT:#}", row.times) } else { String::new() };
        if row.made_of.is_empty() {
            out.push_str(&format!("{}  unknown{times}\n", row.id));
        }
        for (nth, made) in row.made_of.iter().enumerate() {
            let id = if nth == 0 { row.id.as_str() } else { "" };
            let (recipe, converter, source) = (recipe(made), converter(made), source(made));
            let ids = row.id.len();
            out.push_str(&format!(
                "{id:<ids$}  {recipe:<recipes$}  {converter:<converters$}  {source:<sources$}  {}{times}\n",
                place(made)
            ));
        }
    }
    out
}

/// Formats a repository with its commit, or a local path.
fn source(made: &MadeOf) -> String {
    match made.source.commit.rsplit(':').next().unwrap_or_default() {
        "" => made.source.repo.clone(),
        commit => format!("{} at {}", made.source.repo, commit.get(..10).unwrap_or(commit)),
    }
}

/// Formats a file with the line of a row, or its number if the file has no lines.
fn place(made: &MadeOf) -> String {
    let sample = made.sample.map_or_else(String::new, |sample| format!(", sample {} of {}", sample.nth, sample.of));
    match made.source.line {
        Some(line) => format!("{}:{line}{sample}", made.source.file),
        None => format!("{} row {}{sample}", made.source.file, made.source.row),
    }
}
