//! `datac check`: what the models of recipes see, looked at before a trainer is started.

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, GOOD, HINT, Screen, WARN, wrapped},
};
use crate::workspace::{Level, ModelCheck, ModelChecks, ModelFinding, Unchecked, Workspace};
use clap::Args;

/// Options of `check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac check --tokens                 every recipe with a model
  datac check --tokens sft/chat --json | jq '.recipes[0].findings[] | select(.level == \"warning\")'")]
pub(super) struct Options {
    /// Recipes by name, path, glob or state; all by default
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Check what models see of rows: tokens, loss masks, control tokens. This is all there is to check
    #[arg(long)]
    pub(super) tokens: bool,
    /// Exit with 1 if there is a warning
    #[arg(long)]
    pub(super) strict: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for ModelChecks {
    const SCHEMA: &'static str = "datac.check/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<ModelChecks>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let checks = match workspace.check(&options.selectors) {
        Ok(checks) => checks,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&checks, screen);
    } else {
        let texts: Vec<String> = checks.recipes.iter().map(|check| laid_out(check, screen.data_width())).collect();
        screen.data(&texts.join("\n"));
        if checks.recipes.is_empty() && checks.unchecked.is_empty() {
            screen.say("no recipe has a `model`");
        }
        for Unchecked { recipe, why } in &checks.unchecked {
            screen.say(&format!("{WARN}not checked{WARN:#} {recipe}: {why}"));
        }
    }
    match checks.worst() {
        _ if !checks.unchecked.is_empty() => exit::FAILED,
        Level::Warning if options.strict => exit::FAILED,
        _ => exit::OK,
    }
}

/// Columns before what was found.
const INDENT: usize = 11;

fn laid_out(check: &ModelCheck, columns: Option<usize>) -> String {
    let share = match check.tokens {
        0 => 0.0,
        tokens => 100.0 * check.trained as f64 / tokens as f64,
    };
    let mut out = format!(
        "{} {FAINT}for {}{FAINT:#}\n  {} samples, {} tokens, {share:.1}% of them trained on; the longest has {}\n",
        check.recipe, check.model, check.samples, check.tokens, check.longest,
    );
    for finding in &check.findings {
        out.push_str(&finding_text(finding, columns));
    }
    out
}

fn finding_text(finding: &ModelFinding, columns: Option<usize>) -> String {
    let (style, word) = match finding.level {
        Level::Ok => (GOOD, "ok"),
        Level::Note => (HINT, "note"),
        Level::Warning => (WARN, "warning"),
    };
    let count = finding.count.filter(|count| *count > 0).map_or_else(String::new, |count| format!("{count} "));
    let text = wrapped(&format!("{}: {count}{}", finding.name, finding.text), INDENT, INDENT, columns);
    let mut out = format!("  {style}{word:<8}{style:#} {text}\n");
    for row in &finding.rows {
        let detail = if row.detail.is_empty() { String::new() } else { format!(": {}", row.detail) };
        let place = wrapped(&format!("{}:{}{detail}", row.file, row.row), INDENT + 2, INDENT + 2, columns);
        out.push_str(&format!("{:INDENT$}  {FAINT}{place}{FAINT:#}\n", ""));
    }
    out
}
