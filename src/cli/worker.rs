//! `datac worker`: works on a slice of the source files, and says what it did.

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, Screen, bytes, duration, rows},
    shared::{self, counted},
};
use crate::workspace::{Slice, WorkOptions, WorkReport, Workspace};
use clap::Args;

/// Options of `worker`.
#[derive(Args, Debug)]
#[command(after_help = "\
Each worker has the same recipes, datac.lock and datac.keys, and a key to sign
with. It reads, converts, scores and renders the source files of its slice, and
adds the results to the shared cache. Afterwards `datac build --remote URL`, on
any machine, takes them from there; it only selects, orders and writes.

Examples:
  datac worker --slice 0/2 --remote /mnt/team    the first of two workers
  datac worker sft --slice 1/2                   the second, for some recipes
  datac worker --slice 0/2 --dry-run             which files the first one has")]
pub(super) struct Options {
    /// Recipes, as for `build`; the same for every worker [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Which of how many slices of the files, from 0
    #[arg(long, value_name = "I/N")]
    slice: Slice,
    /// Show which files the slice has, without doing anything
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Threads [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Fail rather than wait for another datac that uses the same cache
    #[arg(long)]
    no_wait: bool,
    /// Also print requests to the shared cache
    #[arg(short, long)]
    verbose: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
    /// The shared cache.
    #[command(flatten)]
    pub(super) remote: shared::Remote,
}

impl Content for WorkReport {
    const SCHEMA: &'static str = "datac.worker/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<WorkReport>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json && !self.dry_run
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    let how = WorkOptions {
        slice: options.slice,
        jobs: options.jobs.map_or(0, usize::from),
        no_wait: options.no_wait,
        dry_run: options.dry_run,
    };
    let worked = workspace.work(&options.selectors, &how);
    progress.finish();
    let report = match worked {
        Ok(report) => report,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&report, screen);
    }
    if report.recipes == 0 {
        return errors::no_recipes(&options.selectors, workspace, screen);
    }
    if !options.json {
        print(&report, options, screen);
    }
    errors::problems(&report.problems, workspace, screen);
    for failure in &report.failures {
        errors::failed(failure, None, workspace, screen);
    }
    report.failure().map_or(exit::OK, exit::of)
}

fn print(report: &WorkReport, options: &Options, screen: &Screen) {
    for left in &report.left {
        let text =
            format!("note: `{}` of {} is left to the build: another recipe writes it", left.dataset, left.recipe);
        screen.say_wrapped(&format!("{FAINT}{text}{FAINT:#}"), 6);
    }
    let of = format!("{} of {}, {}", rows(report.files.len() as u64), files(report.of_files), bytes(report.bytes()));
    if options.dry_run {
        for file in &report.files {
            let of_source =
                if file.path.starts_with(&file.source) { String::new() } else { format!("{} ", file.source) };
            screen.data(&format!("{of_source}{} {FAINT}({}){FAINT:#}\n", file.path, bytes(file.bytes)));
        }
        return screen.say_wrapped(&format!("slice {}: {of}", report.slice), 2);
    }
    let Some(told) = &report.shared else { return };
    let ran: Vec<String> = report.actions.iter().map(|(stage, count)| format!("{} {stage}", rows(*count))).collect();
    let ran = if ran.is_empty() { "nothing ran".to_owned() } else { format!("ran {}", ran.join(", ")) };
    let parts = [
        ran,
        format!("{} taken", counted(told.taken(), "result")),
        format!("{} added", counted(told.published_results, "result")),
    ];
    let took = duration(report.elapsed_ms);
    let head = format!("{GOOD}slice {}{GOOD:#}: {of}", report.slice);
    screen.say_wrapped(&format!("{head}; {} {FAINT}({took}){FAINT:#}", parts.join("; ")), 2);
    if options.verbose {
        screen.say_wrapped(&shared::in_full(told), 2);
    }
}

fn files(count: usize) -> String {
    format!("{} file{}", rows(count as u64), if count == 1 { "" } else { "s" })
}
