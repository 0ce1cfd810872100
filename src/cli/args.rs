//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{system, workspace::Condition};

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
    /// Build what is not fresh
    Build(Build),
    /// Show what is stale, and why; starts no work
    Status(Status),
    /// Explain why an output would be built or not, or why it was
    Why(Why),
    /// Pin sources in datac.lock
    Lock(Lock),
    /// Show what was built when, and what changed between two runs
    Log(Log),
    /// Show which rows differ from an earlier build
    Diff(Diff),
    /// Tell where a row of an output comes from, or where a row of a source went
    Trace(Trace),
    /// Show rows of an output, laid out to be read
    Show(Show),
    /// Measure outputs: rows, lengths, turns, prompts that come again, shares
    Stats(Stats),
}

/// Options of `build`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac build                     all recipes below config/
  datac build sft/general dpo     a recipe and a folder of recipes, by name
  datac build --hub sample        from the binary's own sample: no network
  datac build --check             for CI: exit 1 if something is not fresh")]
pub(super) struct Build {
    /// Recipes: files, folders, or names such as sft/general [default: all below config/]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// Write nothing; exit 1 if something is not fresh
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) check: bool,
    /// Build again whatever the cache holds
    #[arg(long)]
    pub(super) force: bool,
    /// Threads [default: one a core; under make -j, one a token]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "DATAC_JOBS", hide_env = true)]
    pub(super) jobs: Option<u16>,
    /// Fail rather than change datac.lock
    #[arg(long, env = "DATAC_LOCKED", hide_env = true, value_parser = clap::builder::BoolishValueParser::new())]
    pub(super) locked: bool,
    /// Fail rather than wait for another datac
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Go on with the other recipes when one fails (the default)
    #[arg(short, long, overrides_with = "fail_fast")]
    pub(super) keep_going: bool,
    /// Start nothing more once a recipe has failed
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
    /// Options for make, ninja and other programs.
    #[command(flatten)]
    pub(super) plug: Plug,
}

/// What a build leaves for the program that called it.
#[derive(Args, Debug)]
#[command(next_help_heading = "For make, ninja and other programs")]
pub(super) struct Plug {
    /// Write what the outputs hang on, as a make rule; paths are as seen from here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "check"])]
    pub(super) depfile: Option<PathBuf>,
    /// Touch a file once everything is built or fresh
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "check"])]
    pub(super) stamp: Option<PathBuf>,
    /// Write what happens as it happens, a JSON object a line; `-`: to stdout
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
    /// Write what took how long, for chrome://tracing or ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,
}

impl Plug {
    /// Whether stdout is for events.
    pub(super) fn is_on_stdout(&self) -> bool {
        self.events.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

/// Options of `status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac status                 what is not fresh, and why
  datac status -v sft          fresh recipes too, of one folder or name
  datac status --exit-code     exit 1 if something is not fresh")]
pub(super) struct Status {
    /// Recipes: files, folders, or names such as sft/general [default: all below config/]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<String>,
    /// List fresh recipes too
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
    /// Exit 1 if something is not fresh, 2 if a recipe is broken
    #[arg(long)]
    pub(super) exit_code: bool,
}

/// Options of `why`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac why dataset/sft_general_train.jsonl
  datac why sft/general --run 3                why run 3 built it")]
pub(super) struct Why {
    /// An output file, or a recipe by path or name
    #[arg(value_name = "OUTPUT")]
    pub(super) output: String,
    /// Explain what a run built, by its number or `last`
    #[arg(long, value_name = "RUN")]
    pub(super) run: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `lock`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac lock                              pin what is not pinned yet
  datac lock --check                      for CI: exit 1 if that would change it
  datac lock --upgrade tatsu-lab/alpaca   take the newest commit of one source")]
pub(super) struct Lock {
    /// Recipes whose sources are pinned [default: all below config/]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<String>,
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

/// Options of `log`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  datac log                what was built, newest first
  datac log last           one run: what was built, from which state, why
  datac log diff 3 last    whose files differ between two runs, and why"
)]
pub(super) struct Log {
    #[command(subcommand)]
    pub(super) command: Option<LogCommand>,
    /// A run by its number, or `last`
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,
    /// How many runs to list
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) limit: u16,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// What else `log` can do.
#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Compare what stood after two runs
    Diff {
        /// The earlier run: its number, or `last`
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

/// Options of `diff`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac diff sft/general                       the last build against the one before it
  datac diff sft/general --vs 3                against what stood after run 3
  datac diff dataset/a.jsonl --vs old.jsonl    two files, as they are on disk")]
pub(super) struct Diff {
    /// An output file, or a recipe by path or name
    #[arg(value_name = "OUTPUT")]
    pub(super) output: String,
    /// What to compare with: a run's number, or a file [default: the build before the last]
    #[arg(long, value_name = "RUN|FILE")]
    pub(super) vs: Option<String>,
    /// How many rows of each kind to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
    pub(super) rows: u16,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `trace`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac trace dataset/sft_general_train.jsonl:17    the row's source, filters, side and place
  datac trace quarantine/sft_general.jsonl:1        a row that could not be used
  datac trace --source tatsu-lab/alpaca data/train-00000-of-00001.parquet:811
                                                    what became of a row of a source")]
pub(super) struct Trace {
    /// A line of an output, counted from 1; with `--source` a row of a source's file, counted from 0
    #[arg(value_name = "FILE:NUMBER")]
    pub(super) place: String,
    /// The source whose row is followed to the outputs: a repository, a local path, or its name in a recipe
    #[arg(long, value_name = "SOURCE")]
    pub(super) source: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `show`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac show sft/general                        the first rows of its training file
  datac show dataset/dpo_safety_val.jsonl:7     one row
  datac show sft_code_train.jsonl --rows 10 --where source=code_alpaca
  datac show sft/general --where text~Python --json | jq .text")]
pub(super) struct Show {
    /// An output by path or name, or a recipe for its training file; with `:LINE` from that line on
    #[arg(value_name = "OUTPUT[:LINE]")]
    pub(super) output: String,
    /// How many rows [default: 3, or 1 with a line]
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) rows: Option<u64>,
    /// Only rows whose field has this value, or with `~` this part of it; all of several must fit
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub(super) conditions: Vec<Condition>,
    /// Print the rows as they stand in the file
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `stats`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac stats                  every recipe's files
  datac stats sft --json       of one folder or name, as JSON")]
pub(super) struct Stats {
    /// Recipes: files, folders, or names such as sft/general [default: all below config/]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// The environment variables that datac reads under its own name.
const VARIABLES: &[&str] = &[
    "DATAC_CACHE_DIR",
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
