//! `datac clean`: removes outputs and the cache.

use super::{
    cache::from_here,
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, GOOD, Screen, VERB, WARN, bytes, rows},
};
use crate::workspace::{CleanOptions, Cleaned, Workspace};
use clap::Args;

/// Options of `clean`.
#[derive(Args, Debug)]
#[command(after_help = "\
An output is only removed if its bytes are those of a build; outputs edited by
hand are kept and listed. Files that datac did not create are never removed.

Examples:
  datac clean                  all outputs, including those of deleted recipes
  datac clean sft/general -n   what would be removed for one recipe
  datac clean --cache          the cache too; the next build starts from scratch")]
pub(super) struct Options {
    /// Recipes, as for `build` [default: all, including deleted recipes]
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// Show what would be removed, without removing it
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Also remove the cache
    #[arg(long)]
    cache: bool,
    /// Also remove outputs that were edited by hand
    #[arg(long)]
    force: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for Cleaned {
    const SCHEMA: &'static str = "datac.clean/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Cleaned>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let how = CleanOptions { dry_run: options.dry_run, force: options.force, cache: options.cache };
    match workspace.outputs().clean(&options.selectors, &how) {
        Ok(cleaned) if options.json => document::print(&cleaned, screen),
        Ok(cleaned) => print(&cleaned, workspace, screen),
        Err(error) => return errors::report(&error, workspace, screen),
    }
    exit::OK
}

fn print(cleaned: &Cleaned, workspace: &Workspace, screen: &Screen) {
    let shown = |name: &str| from_here(&workspace.outputs().dir().join(name));
    let verb = if cleaned.dry_run { "Would remove" } else { "     Removed" };
    for file in &cleaned.removed {
        screen.say(&format!("{VERB}{verb}{VERB:#} {} {FAINT}({}){FAINT:#}", shown(&file.name), bytes(file.bytes)));
    }
    for file in &cleaned.kept {
        let hint = if file.why.contains("by hand") { " (--force removes it)" } else { "" };
        screen.say_wrapped(&format!("{WARN}        Kept{WARN:#} {}: {}{hint}", shown(&file.name), file.why), 13);
    }
    if let Some(cache) = &cleaned.cache {
        let size = format!("{FAINT}({} files, {}){FAINT:#}", rows(cache.files), bytes(cache.bytes));
        match cache.files {
            0 => screen.say_wrapped(&format!("no cache at {}", from_here(&cache.dir)), 2),
            _ => screen.say_wrapped(&format!("{VERB}{verb}{VERB:#} {} {size}", from_here(&cache.dir)), 13),
        }
        for path in &cache.kept {
            let text = format!("{WARN}        Kept{WARN:#} {}: not created by datac", from_here(path));
            screen.say_wrapped(&text, 13);
        }
    }
    if cleaned.removed.is_empty() {
        screen.say(&format!("{GOOD}no outputs{GOOD:#} to remove"));
    }
}
