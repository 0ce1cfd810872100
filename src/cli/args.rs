//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    build, cache, clean, completions, diff, doctor, explain, fetch, graph, init, lock, log, ls, man, new, schema, show,
    stats, status, trace, validate, watch, why,
};
use crate::system;

/// A build tool for LLM training data: recipes in, train and validation JSONL out, and only what changed is rebuilt
#[derive(Debug, Parser)]
#[command(
    name = "datac",
    version,
    max_term_width = 100,
    after_help = "\
Environment:
  DATAC_HUB, DATAC_OFFLINE, DATAC_DIRECTORY, DATAC_CACHE_DIR, DATAC_OUTPUT_DIR,
  DATAC_COLOR, DATAC_JOBS, DATAC_LOCKED   stand in for the options so called
  DATAC_CACHE_GC, _MAX_SIZE, _MAX_AGE     as `datac cache gc --help` says
  HF_TOKEN, HF_ENDPOINT, HF_HOME          as the Hub's own tools read them

Exit codes:
    0  done, or fresh                     5  too many rejects, or no row left
    1  failed, or stale with --check      6  cache damaged beyond repair
    2  wrong usage, or a broken recipe    9  locked by another datac (--no-wait)
    3  a source is not to be had         70  a bug in datac
    4  datac.lock does not allow it     130  interrupted

Without the network: datac build --hub sample"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The workspace: recipes lie below its `config/`
    #[arg(
        short = 'C',
        long = "directory",
        global = true,
        value_name = "DIR",
        env = "DATAC_DIRECTORY",
        hide_env = true
    )]
    pub(super) directory: Option<PathBuf>,
    /// Where datasets come from: a URL, a folder laid out <org>/<name>/…, or `sample`
    #[arg(long, global = true, value_name = "HUB", env = "DATAC_HUB", hide_env = true)]
    pub(super) hub: Option<String>,
    /// Never use the network
    #[arg(
        long,
        global = true,
        env = "DATAC_OFFLINE",
        hide_env = true,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(super) offline: bool,
    /// The cache [default: cache, in the workspace]
    #[arg(long, global = true, value_name = "DIR", env = "DATAC_CACHE_DIR", hide_env = true)]
    pub(super) cache_dir: Option<PathBuf>,
    /// Where outputs go [default: dataset, in the workspace]
    #[arg(long, global = true, value_name = "DIR", env = "DATAC_OUTPUT_DIR", hide_env = true)]
    pub(super) output_dir: Option<PathBuf>,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", env = "DATAC_COLOR", hide_env = true)]
    pub(super) color: Color,
    /// Print only errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

// No doc comments on its values: they would make every help text the long one.
/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Begin a workspace: recipes, a Makefile, a CI workflow
    Init(init::Options),
    /// Write a new recipe, with comments
    New(new::Options),
    /// Build what is not fresh
    Build(build::Options),
    /// Build again on every save
    Watch(watch::Options),
    /// Show what is stale, and why; starts no work
    Status(status::Options),
    /// Explain why an output would be built or not, or why it was
    Why(why::Options),
    /// Pin sources in datac.lock
    Lock(lock::Options),
    /// Download what builds need, and nothing else
    Fetch(fetch::Options),
    /// Show what was built when, and what changed between two runs
    Log(log::Options),
    /// Show which rows differ from an earlier build
    Diff(diff::Options),
    /// List recipes, sources or outputs, a line each
    Ls(ls::Options),
    /// Draw how sources, recipes and outputs hang together
    Graph(graph::Options),
    /// Tell where a row of an output comes from, or where a row of a source went
    Trace(trace::Options),
    /// Show rows of an output, laid out to be read
    Show(show::Options),
    /// Measure outputs: rows, lengths, turns, prompts that come again, shares
    Stats(stats::Options),
    /// Show what the cache takes, and tidy it
    Cache(cache::Options),
    /// Remove the outputs that datac wrote
    Clean(clean::Options),
    /// Check recipes by their text alone: no source, no cache, no network
    Validate(validate::Options),
    /// Explain a code, with a wrong example and a right one
    Explain(explain::Options),
    /// Look for what could be wrong with cache, lock, token, hub, clock and disk
    Doctor(doctor::Options),
    /// Print completions for a shell
    Completions(completions::Options),
    /// Print a manual page, or write all of them
    Man(man::Options),
    /// Print the JSON Schema of what is printed as JSON, of recipes and datac.lock
    Schema(schema::Options),
}

/// The environment variables that datac reads under its own name.
const VARIABLES: &[&str] = &[
    "DATAC_CACHE_DIR",
    "DATAC_CACHE_GC",
    "DATAC_CACHE_MAX_AGE",
    "DATAC_CACHE_MAX_SIZE",
    "DATAC_COLOR",
    "DATAC_DIRECTORY",
    "DATAC_HUB",
    "DATAC_JOBS",
    "DATAC_LOCKED",
    "DATAC_OFFLINE",
    "DATAC_OUTPUT_DIR",
    // Read by tests only: where real rows are.
    "DATAC_SHARED",
];

/// Refuses `DATAC_` variables that mean nothing: one that is misspelt would be ignored for years.
pub(super) fn check_environment() -> Result<(), (String, String)> {
    for name in system::env_names("DATAC_") {
        if !VARIABLES.contains(&name.as_str()) {
            let nearest = VARIABLES.iter().min_by_key(|known| strsim::damerau_levenshtein(known, &name));
            let hint = nearest.map_or_else(String::new, |nearest| format!("did you mean `{nearest}`? or unset it"));
            return Err((format!("use the environment variable `{name}`: datac has none of that name"), hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
