//! `datac watch`: rebuilds on every save and prints the result.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use clap::Args;

use super::{
    build, cache, errors, exit,
    progress::Progress,
    screen::{FAINT, GOOD, Screen, VERB, duration},
    shared,
};
use crate::workspace::{BuildOptions, BuildReport, Round, WatchOptions, Workspace, asks_for_state};

/// Options of `watch`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac watch                    rebuild on every save, until Ctrl-C
  datac watch sft/general+       a recipe, and all recipes that read its outputs
  datac watch --poll             on network file systems without notifications")]
pub(super) struct Options {
    /// Recipes, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Wait until nothing has changed for this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(super) delay: u64,
    /// Check all files every N seconds instead of using file-system events [without a number: 1]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) poll: Option<u64>,
    /// Threads [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Fail rather than change datac.lock
    #[arg(long)]
    pub(super) locked: bool,
    /// The shared cache.
    #[command(flatten)]
    pub(super) remote: shared::Remote,
    #[command(flatten)]
    pub(super) keep: cache::Keep,
}

pub(super) fn run(
    workspace: &Workspace,
    options: &Options,
    command: Vec<String>,
    screen: &Screen,
    progress: &Progress,
) -> u8 {
    let watch = WatchOptions {
        delay: Duration::from_millis(options.delay),
        poll: options.poll.map(Duration::from_secs),
        build: BuildOptions {
            jobs: options.jobs.map_or(0, usize::from),
            locked: options.locked,
            command,
            bounds: options.keep.bounds(),
            ..BuildOptions::default()
        },
    };
    let mut teller = Teller { workspace, screen, selectors: &options.selectors, known: None, failed: BTreeSet::new() };
    let mut refused = None;
    let ended = workspace.watch(&options.selectors, watch, |round| {
        progress.finish();
        refused = teller.tell(round);
        refused.is_none()
    });
    match (ended, refused) {
        (Err(error), _) => errors::report(&error, workspace, screen),
        (Ok(()), Some(code)) => code,
        (Ok(()), None) => exit::INTERRUPTED,
    }
}

/// Stands for the whole build among the names of failed recipes.
const CALL: &str = "";

/// Prints the result of each round.
struct Teller<'a> {
    workspace: &'a Workspace,
    screen: &'a Screen,
    selectors: &'a [String],
    /// Recipes of the previous round; `None` before the first round.
    known: Option<BTreeSet<String>>,
    /// Names of the recipes that failed in the last round.
    failed: BTreeSet<String>,
}

impl Teller<'_> {
    /// Prints the result of a round; returns an exit code if there is nothing to watch.
    fn tell(&mut self, round: Round) -> Option<u8> {
        let is_first = self.known.is_none();
        let report = match round.built {
            Ok(report) if is_first && report.recipes.is_empty() && asks_for_state(self.selectors).is_none() => {
                return Some(errors::no_recipes(self.selectors, self.workspace, self.screen));
            }
            Ok(report) => report,
            Err(error) => {
                self.changed(&round.changed);
                let code = errors::report(&error, self.workspace, self.screen);
                if is_first {
                    return Some(code);
                }
                self.failed.insert(CALL.to_owned());
                let known = self.known.as_ref().map_or(0, BTreeSet::len);
                self.waiting(known);
                return None;
            }
        };
        let names = |test: &dyn Fn(&crate::workspace::RecipeReport) -> bool| -> BTreeSet<String> {
            report.recipes.iter().filter(|recipe| test(recipe)).map(|recipe| recipe.before.name.clone()).collect()
        };
        let all = names(&|_| true);
        let failed = names(&build::is_failed);
        let built = names(&|recipe| build::is_touched(recipe) && !build::is_failed(recipe));
        let fixed: BTreeSet<&String> = self.failed.iter().filter(|name| !failed.contains(*name)).collect();
        let gone: Vec<&String> = self.known.iter().flatten().filter(|name| !all.contains(*name)).collect();
        let is_own = |path: &PathBuf| self.workspace.outputs().contains(path) || path.ends_with("datac.lock");
        // Changes to outputs or the lock alone, by this build or another, are not worth a line if nothing was built.
        let is_silent = !is_first && built.is_empty() && failed.is_empty() && fixed.is_empty() && gone.is_empty();
        if is_silent && round.changed.iter().all(is_own) {
            return None;
        }
        self.changed(&round.changed);
        build::failures(&report, self.workspace, self.screen);
        let took = format!("{FAINT}in {}{FAINT:#}", duration(report.elapsed_ms));
        if !built.is_empty() {
            let ran = build::ran(&report);
            self.line("Built", &format!("{} {took}{ran}", few(built.iter())));
        } else if failed.is_empty() {
            self.line("Fresh", &format!("{} {took}", up_to_date(&report)));
        }
        let fixed: Vec<&String> = fixed.into_iter().filter(|name| all.contains(*name)).collect();
        if !fixed.is_empty() {
            self.line("Fixed", &few(fixed.into_iter()));
        }
        if !gone.is_empty() {
            self.line("Dropped", &format!("{}: its files are kept", few(gone.into_iter())));
        }
        self.waiting(all.len());
        (self.known, self.failed) = (Some(all), failed);
        None
    }

    fn changed(&self, paths: &[PathBuf]) {
        if !paths.is_empty() {
            let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            self.line("Changed", &few(paths.iter()));
        }
    }

    fn line(&self, verb: &str, text: &str) {
        self.screen.say_wrapped(&format!("{VERB}{verb:>12}{VERB:#} {text}"), 13);
    }

    fn waiting(&self, recipes: usize) {
        let recipes = if recipes == 1 { "1 recipe".to_owned() } else { format!("{recipes} recipes") };
        self.screen.say(&format!("{FAINT}watching {recipes}; press Ctrl-C to stop{FAINT:#}"));
    }
}

fn up_to_date(report: &BuildReport) -> String {
    match report.recipes.len() {
        0 => "no recipe matches".to_owned(),
        1 => format!("{GOOD}the recipe is up to date{GOOD:#}"),
        count => format!("{GOOD}all {count} recipes are up to date{GOOD:#}"),
    }
}

/// Lists the first few names.
fn few<'n>(names: impl ExactSizeIterator<Item = &'n String>) -> String {
    const FEW: usize = 5;
    let more = names.len().saturating_sub(FEW);
    let listed: Vec<&str> = names.take(FEW).map(String::as_str).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", listed.join(", "))
}
