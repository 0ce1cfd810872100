//! `datac status`: which recipes are out of date, and why.

use schemars::JsonSchema;
use serde::Serialize;

use std::collections::BTreeMap;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN, wrapped},
    shared,
};
use crate::{
    leaf::{Change, Leaf},
    stale::StaleReason,
    workspace::{Assessment, Forecast, RecipeStatus, State, Workspace},
};
use clap::Args;

/// Options of `status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac status                 what is out of date, and why
  datac status -v sft          all recipes that match `sft`
  datac status --exit-code     exit 1 if anything is out of date
  datac status --remote-check  what a build would take from DATAC_REMOTE")]
pub(super) struct Options {
    /// Recipes: names, globs, files, folders, outputs, source:ID, converter:NAME, state:WORD; `+x` adds what x
    /// depends on, `x+` what depends on x [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Also list recipes that are up to date
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
    /// Exit 1 if anything is out of date, 2 if a recipe is invalid
    #[arg(long)]
    pub(super) exit_code: bool,
    /// Also ask the shared cache what a build would take from it
    #[arg(long)]
    pub(super) remote_check: bool,
    /// The shared cache.
    #[command(flatten)]
    pub(super) remote: shared::Remote,
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let assessed = if options.remote_check {
        workspace.forecast(&options.selectors).map(|(assessment, forecast)| (assessment, Some(forecast)))
    } else {
        workspace.status(&options.selectors).map(|assessment| (assessment, None))
    };
    let (assessment, forecast) = match assessed {
        Ok(assessed) => assessed,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        print_json(&assessment, forecast.as_ref(), screen);
    }
    if assessment.recipes.is_empty() {
        return errors::no_recipes(&options.selectors, workspace, screen);
    }
    if !options.json {
        print(&assessment, options.verbose, screen);
        if let Some(forecast) = &forecast {
            screen.say_wrapped(&shared::forecast(forecast), 2);
        }
    }
    let worst = assessment.recipes.iter().map(|recipe| match recipe.state {
        State::Invalid => recipe.failure.as_ref().map_or(exit::USAGE, |failure| exit::of(failure.kind)),
        State::Fresh | State::Orphan => exit::OK,
        _ => exit::FAILED,
    });
    if options.exit_code { worst.max().unwrap_or(exit::OK) } else { exit::OK }
}

/// The document that `status --json` prints.
#[derive(Serialize, JsonSchema)]
struct Standing<'a> {
    /// The recipes, by path.
    recipes: Vec<Target<'a>>,
    /// YAML files that are not recipes.
    others: &'a [String],
    /// Number of recipes in each state.
    summary: BTreeMap<&'static str, usize>,
    /// What a build would take from the shared cache, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<&'a Forecast>,
}

/// One recipe of the document.
#[derive(Serialize, JsonSchema)]
struct Target<'a> {
    #[serde(flatten)]
    status: &'a RecipeStatus,
    /// Problems of the recipe itself, each with line and column.
    problems: Vec<String>,
}

impl Content for Standing<'_> {
    const SCHEMA: &'static str = "datac.status/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Standing<'_>>()];

pub(super) fn print_json(assessment: &Assessment, shared: Option<&Forecast>, screen: &Screen) {
    let mut summary = BTreeMap::new();
    for recipe in &assessment.recipes {
        *summary.entry(recipe.state.word()).or_default() += 1;
    }
    let target = |status| Target { status, problems: problems(status) };
    let recipes = assessment.recipes.iter().map(target).collect();
    document::print(&Standing { recipes, others: &assessment.others, summary, shared }, screen);
}

fn problems(status: &RecipeStatus) -> Vec<String> {
    status.problems.iter().map(ToString::to_string).collect()
}

/// Prints one line per out-of-date recipe, and the next step.
pub(super) fn print(assessment: &Assessment, verbose: bool, screen: &Screen) {
    let recipes = &assessment.recipes;
    let count = |state: State| recipes.iter().filter(|recipe| recipe.state == state).count();
    let width = recipes.iter().map(|recipe| recipe.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for recipe in recipes.iter().filter(|recipe| verbose || recipe.state != State::Fresh) {
        out.push_str(&line(recipe, width, screen.data_width()));
    }
    let fresh = count(State::Fresh);
    if fresh > 0 && !verbose && fresh < recipes.len() {
        out.push_str(&format!("{FAINT}{fresh} more up to date (-v to list){FAINT:#}\n"));
    }
    let states = [State::New, State::Stale, State::Edited, State::Cached, State::Invalid, State::Orphan, State::Fresh];
    let counts: Vec<String> = states
        .iter()
        .filter(|state| count(**state) > 0)
        .map(|state| format!("{} {}", count(*state), if *state == State::Fresh { "up to date" } else { state.word() }))
        .collect();
    let summary = if fresh == recipes.len() { all_fresh(fresh) } else { counts.join(", ") };
    out.push_str(&format!("{summary}\n"));
    screen.data(&out);
    if let Some(next) = next(recipes) {
        screen.say_wrapped(&format!("{HINT}next:{HINT:#} {next}"), 6);
    }
}

/// Formats the line that says everything is up to date.
pub(super) fn all_fresh(recipes: usize) -> String {
    let recipes = match recipes {
        1 => "the recipe is".to_owned(),
        2 => "both recipes are".to_owned(),
        _ => format!("all {recipes} recipes are"),
    };
    format!("{recipes} {GOOD}up to date{GOOD:#}")
}

fn line(recipe: &RecipeStatus, width: usize, columns: Option<usize>) -> String {
    const STATE: usize = 9;
    const SHOWN: usize = 4;
    let style = match recipe.state {
        State::Fresh => GOOD,
        State::Invalid => ERROR,
        State::Orphan => FAINT,
        _ => WARN,
    };
    let mut out = format!("{style}{:<8}{style:#} {:<width$}", recipe.state.word(), recipe.name);
    let reasons = reasons(recipe);
    // In a narrow terminal, reasons are printed below their recipe.
    let is_narrow = columns.is_some_and(|columns| columns < width + 45);
    let indent = if is_narrow { 4 } else { STATE + width + 2 };
    for (i, reason) in reasons.iter().take(SHOWN).enumerate() {
        out.push_str(&if i == 0 && !is_narrow { "  ".to_owned() } else { format!("\n{:indent$}", "") });
        out.push_str(&wrapped(reason, indent, indent, columns));
    }
    if reasons.len() > SHOWN {
        out.push_str(&format!("\n{:indent$}and {} more: datac why {}", "", reasons.len() - SHOWN, recipe.name));
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

/// Describes why a recipe is in its state.
pub(super) fn reasons(recipe: &RecipeStatus) -> Vec<String> {
    let problems = recipe.problems.iter().map(ToString::to_string);
    problems.chain(recipe.reasons.iter().map(ToString::to_string)).collect()
}

/// Returns the change of hub that prevents a closer look at a recipe.
fn change_of_hub(recipe: &RecipeStatus) -> Option<&Change> {
    recipe.reasons.iter().filter_map(StaleReason::change).find(|change| matches!(change.name, Leaf::Hub { .. }))
}

/// Returns the next command for a recipe, if its state alone determines it.
pub(super) fn next_of(recipe: &RecipeStatus) -> Option<String> {
    if !recipe.problems.is_empty() {
        return Some(format!("fix {}", recipe.path));
    }
    if let Some(failure) = &recipe.failure {
        return failure.hint.clone();
    }
    let change = change_of_hub(recipe)?;
    let (old, new) = (change.old.as_ref()?.to_string(), change.new.as_ref()?.to_string());
    let (from, stay) = match old.as_str() {
        "sample" => ("the sample data", "`--hub\u{a0}sample` (or DATAC_HUB=sample)".to_owned()),
        "folder" => ("a folder hub", "`--hub\u{a0}FOLDER` (or DATAC_HUB=FOLDER)".to_owned()),
        url => (url, format!("`--hub\u{a0}{url}`")),
    };
    let new = if new == "folder" { "this folder" } else { &new };
    Some(format!("built from {from}: add {stay} to keep using it, or run `datac\u{a0}build` to use {new}"))
}

fn next(recipes: &[RecipeStatus]) -> Option<String> {
    let first = |state: State| recipes.iter().find(|recipe| recipe.state == state);
    if let Some(next) = first(State::Invalid).and_then(next_of) {
        return Some(next);
    }
    if let Some(next) = recipes.iter().find(|recipe| change_of_hub(recipe).is_some()).and_then(next_of) {
        return Some(next);
    }
    if let Some(recipe) = first(State::Edited) {
        return Some(format!("datac build {} overwrites it; move your version away first", recipe.name));
    }
    if let Some(recipe) = first(State::Stale) {
        return Some(format!("datac build, or datac why {}", recipe.name));
    }
    if first(State::New).is_some() || first(State::Cached).is_some() {
        return Some("datac build".to_owned());
    }
    let orphan = first(State::Orphan)?;
    let names: Vec<&str> = orphan.files.iter().map(|file| file.name.as_str()).collect();
    Some(format!("remove {} if they are no longer wanted", names.join(", ")))
}
