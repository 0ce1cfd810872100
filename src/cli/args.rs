//! The command line: commands and global options.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    add, blame, build, cache, check, clean, completions, config, diff, doctor, explain, fetch, graph, init, inspect,
    lock, log, ls, man, new, pull, push, release, releases, render, schema, show, stats, status, trace, validate,
    watch, why, worker,
};
use crate::{system, workspace::Configuration};

/// A build tool for LLM training data: recipes in, train and validation JSONL out, and only what changed is rebuilt
#[derive(Debug, Parser)]
#[command(
    name = "datac",
    version,
    max_term_width = 100,
    after_help = "\
Environment:
  DATAC_HUB, DATAC_OFFLINE, DATAC_DIRECTORY, DATAC_CACHE_DIR, DATAC_OUTPUT_DIR,
  DATAC_COLOR, DATAC_JOBS, DATAC_LOCKED   defaults for the options of that name,
                                          which override datac.toml
  DATAC_REMOTE                            a shared cache: see `datac build --help`
  DATAC_CACHE_KEY                         see `datac cache key --help`
  DATAC_CACHE_GC, _MAX_SIZE, _MAX_AGE     see `datac cache gc --help`
  DATAC_PYTHON                            the Python that runs converters
  HF_TOKEN, HF_ENDPOINT, HF_HOME          as in the Hub's own tools

Exit codes:
    0  success, or up to date             5  too many rejects, or no rows left
    1  failed, or --check: out of date    6  cache damaged beyond repair
    2  usage error, or invalid recipe     9  locked by another datac (--no-wait)
    3  source unavailable                70  a bug in datac
    4  forbidden by a lock or release   130  interrupted

To try datac without network: datac build --hub sample"
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
    /// The workspace [default: the current folder, or the nearest above with recipes below config/]
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
    #[arg(long, global = true, value_name = "HUB")]
    pub(super) hub: Option<String>,
    /// Never use the network
    #[arg(long, global = true)]
    pub(super) offline: bool,
    /// The cache [default: cache, in the workspace]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Where outputs go [default: dataset, in the workspace]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) output_dir: Option<PathBuf>,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", env = "DATAC_COLOR", hide_env = true)]
    pub(super) color: Color,
    /// Print only errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

// No doc comments on its values: they would make every help text the long one.
/// Policy for coloured output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a workspace: recipes, a Makefile, a CI workflow
    Init(init::Options),
    /// Create a commented recipe
    New(new::Options),
    /// Look at a source: files, columns, rows, and what reads it
    Inspect(inspect::Options),
    /// Add a source to a recipe
    Add(add::Options),
    /// Build out-of-date recipes
    Build(build::Options),
    /// Do one machine's part of a build that many machines share
    Worker(worker::Options),
    /// Rebuild on every save
    Watch(watch::Options),
    /// Show what is out of date and why (read-only)
    Status(status::Options),
    /// Explain why an output is out of date, or why it was built
    Why(why::Options),
    /// Pin sources in datac.lock
    Lock(lock::Options),
    /// Download the sources that builds need
    Fetch(fetch::Options),
    /// Show past builds, and what changed between two of them
    Log(log::Options),
    /// Show which rows differ from an earlier build
    Diff(diff::Options),
    /// List recipes, sources or outputs, one per line
    Ls(ls::Options),
    /// Draw the graph of sources, recipes and outputs
    Graph(graph::Options),
    /// Trace an output row to its source, or a source row to the outputs
    Trace(trace::Options),
    /// Name the rows that a model was trained on in a step
    Blame(blame::Options),
    /// Pretty-print rows of an output
    Show(show::Options),
    /// Show rows as the model sees them: text, tokens, and what is trained on
    Render(render::Options),
    /// Show output statistics: rows, lengths, turns, repeated prompts, shares
    Stats(stats::Options),
    /// Put outputs under a name in the shared cache, for good
    Release(release::Options),
    /// List the releases in the shared cache
    Releases(releases::Options),
    /// Get the files of a release, or of a recipe that was pushed
    Pull(pull::Options),
    /// Write outputs to a folder, a bucket, or a dataset repository of the Hub
    Push(push::Options),
    /// Inspect and clean up the cache
    Cache(cache::Options),
    /// Remove the outputs that datac wrote
    Clean(clean::Options),
    /// Check recipes without reading any data
    Validate(validate::Options),
    /// Check what the models of recipes see, before a trainer is started
    Check(check::Options),
    /// Show the settings that hold here, and what decides each
    Config(config::Options),
    /// Explain a code, with examples
    Explain(explain::Options),
    /// Diagnose problems with cache, lock, token, hub, clock and disk
    Doctor(doctor::Options),
    /// Print shell completions
    Completions(completions::Options),
    /// Print the man page, or write all of them
    Man(man::Options),
    /// Print JSON Schemas of JSON output, recipes, datac.toml and datac.lock
    Schema(schema::Options),
}

impl Command {
    /// Returns the words that may name recipes by path.
    pub(super) fn words_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Build(options) => options.selectors.iter_mut().collect(),
            Self::Watch(options) => options.selectors.iter_mut().collect(),
            Self::Worker(options) => options.selectors.iter_mut().collect(),
            Self::Status(options) => options.selectors.iter_mut().collect(),
            Self::Lock(options) => options.selectors.iter_mut().collect(),
            Self::Fetch(options) => options.selectors.iter_mut().collect(),
            Self::Graph(options) => options.selectors.iter_mut().collect(),
            Self::Stats(options) => options.selectors.iter_mut().collect(),
            Self::Validate(options) => options.selectors.iter_mut().collect(),
            Self::Check(options) => options.selectors.iter_mut().collect(),
            Self::Release(options) => options.selectors.iter_mut().collect(),
            Self::Push(options) => options.selectors.iter_mut().collect(),
            Self::Ls(options) => options.words.iter_mut().collect(),
            Self::Why(options) => vec![&mut options.output],
            Self::Show(options) => vec![&mut options.output],
            Self::Render(options) => vec![&mut options.output],
            Self::Inspect(options) => vec![&mut options.source],
            Self::Add(options) => std::iter::once(&mut options.source).chain(&mut options.to).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes options that were not given from the settings.
    pub(super) fn fill_in(&mut self, configuration: &Configuration) {
        let jobs = configuration.jobs().and_then(|jobs| u16::try_from(jobs).ok());
        match self {
            Self::Build(options) => {
                options.jobs = options.jobs.or(jobs);
                options.locked |= configuration.locked();
                options.keep.fill_in(configuration);
            }
            Self::Watch(options) => {
                options.jobs = options.jobs.or(jobs);
                options.locked |= configuration.locked();
                options.keep.fill_in(configuration);
            }
            Self::Worker(options) => options.jobs = options.jobs.or(jobs),
            Self::Fetch(options) => options.locked |= configuration.locked(),
            Self::Cache(options) => options.fill_in(configuration),
            _ => {}
        }
    }

    /// Makes the shared cache that was typed in `folder` relative to that.
    pub(super) fn remote_below(&mut self, folder: &Path) {
        match self {
            Self::Build(options) => options.remote.below(folder),
            Self::Watch(options) => options.remote.below(folder),
            Self::Worker(options) => options.remote.below(folder),
            Self::Status(options) => options.remote.below(folder),
            Self::Release(options) => options.remote_mut().below(folder),
            Self::Releases(options) => options.remote.below(folder),
            Self::Pull(options) => options.below(folder),
            Self::Push(options) => options.below(folder),
            Self::Cache(options) => options.remote_mut().into_iter().for_each(|remote| remote.below(folder)),
            _ => {}
        }
    }

    /// Returns whether the command works in a workspace, whose settings it then needs.
    pub(super) fn has_workspace(&self) -> bool {
        !matches!(self, Self::Init(_) | Self::Explain(_) | Self::Completions(_) | Self::Man(_) | Self::Schema(_))
    }

    /// Returns the shared cache that the command is to use, of those that have one; `set` is that of the settings.
    pub(super) fn remote(&mut self, set: Option<&str>) -> Option<String> {
        let given = match self {
            Self::Build(options) => options.remote.given.clone(),
            Self::Watch(options) => options.remote.given.clone(),
            Self::Worker(options) => options.remote.given.clone(),
            Self::Status(options) => options.remote.given.clone(),
            Self::Release(options) => options.remote_mut().given.clone(),
            Self::Releases(options) => options.remote.given.clone(),
            Self::Pull(options) => options.remote.given.clone(),
            Self::Cache(options) => options.remote_mut()?.named()?,
            _ => return None,
        };
        given.or_else(|| set.map(str::to_owned))
    }

    /// Returns whether the command writes to the workspace.
    pub(super) fn writes(&self) -> bool {
        matches!(
            self,
            Self::New(_)
                | Self::Add(_)
                | Self::Build(_)
                | Self::Watch(_)
                | Self::Worker(_)
                | Self::Lock(_)
                | Self::Fetch(_)
                | Self::Pull(_)
                | Self::Clean(_)
        )
    }
}

/// Environment variables of datac.
const VARIABLES: &[&str] = &[
    "DATAC_CACHE_DIR",
    "DATAC_CACHE_GC",
    "DATAC_CACHE_KEY",
    "DATAC_CACHE_MAX_AGE",
    "DATAC_CACHE_MAX_SIZE",
    "DATAC_COLOR",
    "DATAC_DIRECTORY",
    "DATAC_HUB",
    "DATAC_JOBS",
    "DATAC_LOCKED",
    "DATAC_OFFLINE",
    "DATAC_OUTPUT_DIR",
    "DATAC_PYTHON",
    "DATAC_REMOTE",
    // Only tests read this: the folder of real rows.
    "DATAC_SHARED",
];

/// Rejects unknown `DATAC_` variables; otherwise a typo could go unnoticed for years.
pub(super) fn check_environment() -> Result<(), (String, String)> {
    for name in system::env_names("DATAC_") {
        if !VARIABLES.contains(&name.as_str()) {
            let nearest = VARIABLES.iter().min_by_key(|known| strsim::damerau_levenshtein(known, &name));
            let hint =
                nearest.map_or_else(String::new, |nearest| format!("did you mean `{nearest}`? otherwise unset it"));
            return Err((format!("unknown environment variable `{name}`"), hint));
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
