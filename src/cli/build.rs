//! `datac build`: builds recipes and prints a report.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::{
    cache,
    document::{self, Content},
    errors,
    events::Listener,
    exit, integrations,
    progress::{Progress, Seen, Wrote},
    schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, VERB, WARN, bytes, counted_rows, duration, rows},
    shared, status,
};
use crate::{
    failure::FailureKind,
    outputs, system,
    workspace::{
        BuildOptions, BuildReport, Done, Make, Note, NoteKind, RecipeReport, SourceSummary, State, Summary, Workspace,
        makes_nothing,
    },
};
use clap::Args;

/// Options of `build`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac build                     all recipes below config/
  datac build sft/general dpo     a recipe and a folder of recipes, by name
  datac build --hub sample        from the bundled sample data: no network
  datac build --check             for CI: exit 1 if anything is out of date")]
pub(super) struct Options {
    /// Recipes: names, globs, files, folders, outputs, source:ID, converter:NAME, state:WORD; `+x` adds what x
    /// depends on, `x+` what depends on x [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Show what would be done, without doing it
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// Write nothing; exit 1 if anything is out of date
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) check: bool,
    /// Rebuild everything, ignoring the cache
    #[arg(long)]
    pub(super) force: bool,
    /// Threads [default: one per core; under make -j, one per job slot]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Fail rather than change datac.lock
    #[arg(long)]
    pub(super) locked: bool,
    /// Fail rather than wait for another datac
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Continue with other recipes when one fails (the default)
    #[arg(short, long, overrides_with = "fail_fast")]
    pub(super) keep_going: bool,
    /// Start no more work once a recipe has failed
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Also list the files that are written, and requests to the shared cache
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
    /// The shared cache.
    #[command(flatten)]
    pub(super) remote: shared::Remote,
    /// Cache cleanup after the build.
    #[command(flatten)]
    pub(super) keep: cache::Keep,
    /// Options for make, ninja and other programs.
    #[command(flatten)]
    pub(super) integrations: integrations::Integrations,
}

impl Content for BuildReport {
    const SCHEMA: &'static str = "datac.build/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<BuildReport>()];

pub(super) fn run(
    workspace: &Workspace,
    options: &Options,
    command: Vec<String>,
    make: Option<Arc<Make>>,
    screen: &Screen,
    progress: &Progress,
    listener: &Listener,
) -> u8 {
    if options.json && options.integrations.is_on_stdout() {
        screen.error("`--json` and `--events -` would both print to stdout", Some("write one of them to a file"));
        return exit::USAGE;
    }
    let (code, report) = built_or_seen(workspace, options, command, make, screen, progress, listener);
    let told = listener.finish(report.as_ref(), code);
    // The process ends here. Freeing what is known of thousands of recipes takes 3 % of a build with nothing to do.
    std::mem::forget(report);
    match told {
        Ok(()) => code,
        Err(error) => {
            screen.error(&format!("failed to {error}"), Some("`--profile` needs a writable file"));
            if code == exit::OK { exit::FAILED } else { code }
        }
    }
}

fn built_or_seen(
    workspace: &Workspace,
    options: &Options,
    command: Vec<String>,
    make: Option<Arc<Make>>,
    screen: &Screen,
    progress: &Progress,
    listener: &Listener,
) -> (u8, Option<BuildReport>) {
    if options.dry_run || options.check || makes_nothing() {
        return (look(workspace, options, screen, listener), None);
    }
    if let Some(make) = &make {
        make.confine();
    }
    let how = BuildOptions {
        jobs: options.jobs.map_or(0, usize::from),
        make,
        force: options.force,
        locked: options.locked,
        no_wait: options.no_wait,
        fail_fast: options.fail_fast,
        detailed: options.json,
        command,
        bounds: options.keep.bounds(),
        ..BuildOptions::default()
    };
    let started = system::now_ns();
    let built = workspace.build(&options.selectors, &how);
    let Seen { wrote, pinned } = progress.finish();
    let report = match built {
        Ok(report) => report,
        Err(error) => return (errors::report(&error, workspace, screen), None),
    };
    if options.json {
        document::print(&report, screen);
        failures(&report, workspace, screen);
    } else {
        let wrote = if options.verbose { wrote } else { Wrote::new() };
        print(&report, wrote, options.verbose, workspace, screen);
        if pinned && workspace.settings().is_on_sample() {
            let text = "note: built from the bundled sample data; drop `--hub\u{a0}sample` to use the real datasets";
            screen.say_wrapped(&format!("{FAINT}{text}{FAINT:#}"), 6);
        }
    }
    if report.recipes.is_empty() {
        return (errors::no_recipes(&options.selectors, workspace, screen), Some(report));
    }
    let code = match report.failure() {
        Some(failure) => exit::of(failure),
        None => integrations::leave(workspace, options, &report, started, screen),
    };
    (code, Some(report))
}

/// Runs `--dry-run` and `--check`, which take the same looks as `status`.
fn look(workspace: &Workspace, options: &Options, screen: &Screen, listener: &Listener) -> u8 {
    let assessment = match workspace.status(&options.selectors) {
        Ok(assessment) => assessment,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    for recipe in &assessment.recipes {
        listener.planned(recipe);
        errors::problems(&recipe.problems, workspace, screen);
    }
    if options.json {
        status::print_json(&assessment, None, screen);
    }
    if assessment.recipes.is_empty() {
        return errors::no_recipes(&options.selectors, workspace, screen);
    }
    if !options.json && !options.integrations.is_on_stdout() {
        status::print(&assessment, false, screen);
    }
    let states = || assessment.recipes.iter().map(|recipe| recipe.state);
    if states().any(|state| state == State::Invalid) {
        exit::USAGE
    } else if options.check && states().any(|state| state != State::Fresh && state != State::Orphan) {
        exit::FAILED
    } else {
        exit::OK
    }
}

fn print(report: &BuildReport, wrote: Wrote, verbose: bool, workspace: &Workspace, screen: &Screen) {
    for other in &report.others {
        screen.say_wrapped(&format!("{FAINT}note: {other} is not a recipe (no `metadata`, no `datasets`){FAINT:#}"), 6);
    }
    let touched: Vec<&RecipeReport> = report.recipes.iter().filter(|recipe| is_touched(recipe)).collect();
    if touched.is_empty() {
        let what = match report.recipes.len() {
            0 => return,
            count => status::all_fresh(count),
        };
        let took = duration(report.elapsed_ms);
        screen.say(&format!("{what} {FAINT}({took}){FAINT:#}"));
        return;
    }
    files(&touched, wrote, workspace, screen);
    let done: Vec<(&RecipeReport, &Summary)> =
        touched.iter().filter_map(|recipe| Some((*recipe, recipe.summary.as_ref()?))).collect();
    if !done.is_empty() {
        table(&touched, screen);
        mixtures(&done, screen);
        passed_and_rejected(&done, workspace, screen);
        notes(&done, screen);
    }
    failures(report, workspace, screen);
    if let Some(collected) = &report.collected {
        screen.say_wrapped(&cache::in_short(collected), 13);
    }
    if let Some(shared) = report.shared.as_ref().filter(|_| verbose) {
        screen.say_wrapped(&shared::in_full(shared), 2);
    }
    closing(report, screen);
    if report.recipes.iter().any(is_without_source) {
        screen.say(&format!("{HINT}next:{HINT:#} to try datac without network, use `--hub sample`"));
    }
}

/// Prints the files that were written, in the order of recipes.
fn files(recipes: &[&RecipeReport], mut wrote: Wrote, workspace: &Workspace, screen: &Screen) {
    let say = |path: &str, (count, size): (u64, u64)| {
        let detail = format!("{FAINT}({}, {}){FAINT:#}", counted_rows(count), bytes(size));
        screen.say(&format!("{VERB}       Wrote{VERB:#} {} {detail}", shown(workspace, Path::new(path))));
    };
    for name in recipes.iter().flat_map(|recipe| &recipe.written) {
        let path = workspace.outputs().dir().join(name).to_string_lossy().into_owned();
        if let Some(size) = wrote.remove(&path) {
            say(&path, size);
        }
    }
    // Files of recipes that failed after writing them.
    wrote.iter().for_each(|(path, size)| say(path, *size));
}

/// Returns a path as it would be typed in the workspace.
fn shown(workspace: &Workspace, path: &Path) -> String {
    let path = path.strip_prefix(&workspace.settings().root).unwrap_or(path);
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Prints the final table, one line per recipe, and names the columns that a narrow terminal has no room for.
fn table(recipes: &[&RecipeReport], screen: &Screen) {
    let is_narrow = screen.width() < 76;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let has_test = recipes.iter().any(|recipe| recipe.summary.as_ref().is_some_and(|summary| summary.test_rows > 0));
    let mut head = vec!["recipe", "train", "val"];
    head.extend(has_test.then_some("test"));
    head.push("rejects");
    if !is_narrow {
        head.extend(["size", "converted", "files"]);
    }
    table.set_header(head);
    for recipe in recipes {
        let mut cells = vec![Cell::new(&recipe.before.name)];
        match &recipe.summary {
            Some(summary) => {
                let test = has_test.then_some(summary.test_rows);
                let counts = [summary.train_rows, summary.validation_rows].into_iter().chain(test);
                cells.extend(counts.chain([summary.rejects]).map(rows).map(Cell::new));
                if !is_narrow {
                    let (converted, all) = recipe.chunks;
                    let chunks = if all == 1 { "chunk" } else { "chunks" };
                    let files = match recipe.written.len() {
                        0 => "unchanged".to_owned(),
                        written => format!("{written} written"),
                    };
                    cells.push(Cell::new(bytes(summary.bytes)));
                    cells.push(Cell::new(format!("{converted} of {all} {chunks}")));
                    cells.push(Cell::new(files));
                }
            }
            None if is_interrupted(recipe) => cells.push(Cell::new("interrupted")),
            None => cells.push(Cell::new("failed")),
        }
        table.add_row(cells);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    screen.say(&table.trim_fmt());
    if is_narrow {
        let text = "no room for size, converted, files: widen the terminal, or use --json";
        screen.say_wrapped(&format!("{FAINT}{text}{FAINT:#}"), 2);
    }
}

/// Prints requested and actual shares of recipes that mix several sources.
fn mixtures(recipes: &[(&RecipeReport, &Summary)], screen: &Screen) {
    for (recipe, summary) in recipes {
        let mixed: Vec<&SourceSummary> = summary.sources.iter().filter(|source| source.mixed).collect();
        if mixed.len() < 2 {
            continue;
        }
        screen.say(&format!("mixture of {}", recipe.before.name));
        let width = mixed.iter().map(|source| source.name.chars().count()).max().unwrap_or(0);
        for source in mixed {
            let repeats =
                if source.repeats > 0 { format!(", {} of them repeats", rows(source.repeats)) } else { String::new() };
            let used = source.rows - source.repeats;
            let of = if used < source.kept { format!(" of {}", rows(source.kept)) } else { String::new() };
            let text = format!(
                "  {:<width$}  requested {:.2}%, actual {:.2}%: {}{of}{repeats}",
                source.name,
                100.0 * source.asked,
                100.0 * source.realised,
                counted_rows(source.rows)
            );
            screen.say_wrapped(&text, 4);
        }
    }
}

/// Lists how many rows each filter kept, and rejects by reason.
fn passed_and_rejected(recipes: &[(&RecipeReport, &Summary)], workspace: &Workspace, screen: &Screen) {
    for (recipe, summary) in recipes {
        for source in &summary.sources {
            let mut parts: Vec<String> = source
                .filters
                .iter()
                .map(|filter| {
                    let unknown = match filter.unknown {
                        0 => String::new(),
                        unknown => format!("\u{a0}({}\u{a0}unknown)", rows(unknown)),
                    };
                    let (rows_in, rows_out) = (rows(filter.rows_in), rows(filter.rows_out));
                    format!("{}\u{a0}{rows_in}\u{a0}->\u{a0}{rows_out}{unknown}", filter.filter)
                })
                .collect();
            if source.joined_turns > 0 {
                parts.push(format!("{}\u{a0}turns\u{a0}joined", rows(source.joined_turns)));
            }
            if source.shortened > 0 {
                parts.push(format!("{}\u{a0}shortened", rows(source.shortened)));
            }
            if source.split > 0 {
                parts.push(format!("{}\u{a0}split", rows(source.split)));
            }
            parts.extend(broken("repaired", &source.repaired));
            parts.extend(broken("found", &source.warned));
            parts.extend(unused(source));
            let rejects: Vec<String> =
                source.rejects.iter().map(|(reason, count)| format!("{}\u{a0}{reason}", rows(*count))).collect();
            if !rejects.is_empty() {
                parts.push(format!("{WARN}rejected{WARN:#}\u{a0}{}", rejects.join(", ")));
            }
            if parts.is_empty() {
                continue;
            }
            let name = match summary.sources.len() {
                1 => recipe.before.name.clone(),
                _ => format!("{} {}", recipe.before.name, source.name),
            };
            screen.say_wrapped(&format!("{name}: {}", parts.join(", ")), 2);
        }
    }
    if recipes.iter().any(|(_, summary)| summary.rejects > 0) {
        let folder = shown(workspace, &workspace.outputs().dir().join(outputs::QUARANTINE));
        screen.say_wrapped(&format!("{FAINT}rejected rows and reasons: {folder}/{FAINT:#}"), 2);
    }
}

/// The most recipes of which a note on one subject is printed in full.
const NOTED: usize = 3;
/// The most recipes that are named in one line.
const NAMED: usize = 8;

/// Prints where recipes give something else than was asked for, subject by subject; each hint once, and what is said of several
/// recipes in the same words once.
fn notes(recipes: &[(&RecipeReport, &Summary)], screen: &Screen) {
    let mut subjects: BTreeMap<NoteKind, Vec<(Vec<&str>, &Note)>> = BTreeMap::new();
    let mut places: BTreeMap<(NoteKind, &str), usize> = BTreeMap::new();
    for (recipe, _) in recipes {
        for note in &recipe.notes {
            let notes = subjects.entry(note.about).or_default();
            let place = *places.entry((note.about, note.text.as_str())).or_insert(notes.len());
            match notes.get_mut(place) {
                Some((names, _)) => names.push(recipe.before.name.as_str()),
                None => notes.push((vec![recipe.before.name.as_str()], note)),
            }
        }
    }
    for (about, notes) in subjects {
        // Each target leaves out samples for reasons of its own.
        let shown = if about != NoteKind::Unfit && notes.len() > NOTED + 1 { NOTED } else { notes.len() };
        let hint = notes.iter().find_map(|(_, note)| note.hint.as_ref());
        let mut hint = hint.map(|hint| format!(" {FAINT}({hint}){FAINT:#}"));
        for (recipes, note) in &notes[..shown] {
            let hint = hint.take().unwrap_or_default();
            screen.say_wrapped(&format!("{WARN}note{WARN:#} {}: {}{hint}", first_of(recipes), note.text), 2);
        }
        if shown < notes.len() {
            let mut seen = HashSet::new();
            let rest = notes[shown..].iter().flat_map(|(names, _)| names).copied();
            let rest: Vec<&str> = rest.filter(|name| seen.insert(*name)).collect();
            screen.say_wrapped(&format!("{FAINT}and alike: {} (see `--json`){FAINT:#}", first_of(&rest)), 2);
        }
    }
}

/// Names recipes, the first few of many.
fn first_of(recipes: &[&str]) -> String {
    match recipes.len() - recipes.len().min(NAMED) {
        0 => recipes.join(", "),
        more => format!("{} and {more} more", recipes[..NAMED].join(", ")),
    }
}

/// Lists the rules that were broken, by how often.
fn broken(verb: &str, places: &BTreeMap<String, u64>) -> Option<String> {
    let rules: Vec<String> = places.iter().map(|(rule, places)| format!("{}\u{a0}{rule}", rows(*places))).collect();
    (!rules.is_empty()).then(|| format!("{verb} {}", rules.join(", ")))
}

/// Names the columns of a source that were not used, those of as many rows together.
fn unused(source: &SourceSummary) -> Option<String> {
    let mut by_rows: BTreeMap<Reverse<u64>, Vec<String>> = BTreeMap::new();
    for (column, rows) in &source.unused {
        by_rows.entry(Reverse(*rows)).or_default().push(format!("`{}`", column.escape_debug()));
    }
    let named: Vec<String> = by_rows
        .iter()
        .map(|(Reverse(count), columns)| format!("{} of {}", columns.join(", "), counted_rows(*count)))
        .collect();
    (!named.is_empty()).then(|| format!("not used: {}", named.join("; ")))
}

/// Prints the failures that kept recipes from being built.
pub(super) fn failures(report: &BuildReport, workspace: &Workspace, screen: &Screen) {
    for recipe in &report.recipes {
        errors::problems(&recipe.before.problems, workspace, screen);
        // Whoever interrupts a build knows why its recipes are not built; the last line says it once.
        if let Some(failure) = recipe.failure.as_ref().filter(|_| !is_interrupted(recipe)) {
            errors::failed(failure, Some(&recipe.before.name), workspace, screen);
        }
    }
    let codes = |recipe: &RecipeReport| {
        let of_problems = recipe.before.problems.iter().map(|problem| problem.code);
        of_problems.chain(recipe.failure.as_ref().and_then(errors::code_of)).collect::<Vec<_>>()
    };
    errors::point_to_pages(report.recipes.iter().flat_map(codes), screen);
}

/// Prints the last line: the number of recipes per result, the elapsed time, and the actions that ran.
fn closing(report: &BuildReport, screen: &Screen) {
    let count = |test: &dyn Fn(&RecipeReport) -> bool| report.recipes.iter().filter(|recipe| test(recipe)).count();
    let done = |done: Done| count(&|recipe| recipe.done == done && !is_failed(recipe));
    let interrupted = count(&is_interrupted);
    let parts = [
        (done(Done::Built), "built", GOOD),
        (done(Done::Rebuilt), "rebuilt, same bytes", GOOD),
        (done(Done::Restored), "restored from the cache", GOOD),
        (done(Done::Nothing), "up to date", FAINT),
        (count(&is_failed) - interrupted, "failed", ERROR),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, word, style)| format!("{style}{count} {word}{style:#}"))
        .collect();
    let (ran, took) = (ran(report), duration(report.elapsed_ms));
    if interrupted == 0 {
        return screen.say_wrapped(&format!("{} in {took}{ran}", parts.join(", ")), 2);
    }
    let before = if parts.is_empty() { String::new() } else { format!("{}; ", parts.join(", ")) };
    let text =
        format!("{before}{WARN}interrupted{WARN:#} after {took}; finished steps are kept. Run again to continue.");
    screen.say_wrapped(&text, 2);
}

/// Formats how many actions of each stage ran, in parentheses after a space; empty if none ran.
pub(super) fn ran(report: &BuildReport) -> String {
    let mut ran: Vec<String> = report.actions.iter().map(|(stage, count)| format!("{count}\u{a0}{stage}")).collect();
    ran.extend(report.shared.as_ref().and_then(shared::taken));
    if ran.is_empty() { String::new() } else { format!(" {FAINT}({}){FAINT:#}", ran.join(", ")) }
}

/// Returns whether something was done with a recipe, or should have been.
pub(super) fn is_touched(recipe: &RecipeReport) -> bool {
    recipe.done != Done::Nothing || recipe.before.state != State::Fresh
}

fn is_interrupted(recipe: &RecipeReport) -> bool {
    recipe.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Interrupted)
}

pub(super) fn is_failed(recipe: &RecipeReport) -> bool {
    recipe.failure.is_some() || !recipe.before.problems.is_empty()
}

fn is_without_source(recipe: &RecipeReport) -> bool {
    recipe.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Source)
}
