//! `datac validate`: checks recipes by their text alone.

use std::collections::BTreeMap;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{ERROR, FAINT, GOOD, Screen},
};
use crate::{
    system,
    workspace::{Checked, MAX_BYTES, Problem, SETTINGS_FILE, STDIN, Taken, Workspace},
};

/// Options of `validate`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac validate               every recipe below config/
  datac validate sft --json    recipes that match `sft`, as JSON
  datac validate - < new.yaml  a recipe from stdin")]
pub(super) struct Options {
    /// Recipes, as for `build`; `-`: from stdin [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// The document that `validate --json` prints.
#[derive(Serialize, JsonSchema)]
struct Verdict<'a> {
    /// Whether every recipe is valid.
    sound: bool,
    /// The recipes, by path.
    recipes: Vec<Judged<'a>>,
    /// All problems, recipe by recipe.
    problems: Vec<Told<'a>>,
    /// YAML files that are not recipes.
    others: &'a [String],
}

/// One recipe of the document.
#[derive(Serialize, JsonSchema)]
struct Judged<'a> {
    /// Name of the recipe, such as `sft/general`.
    name: &'a str,
    /// Path of the recipe relative to the workspace; `-`: stdin.
    path: &'a str,
    /// Whether the recipe is valid.
    sound: bool,
    /// The defaults of `datac.toml` that hold for it.
    defaults: &'a [Taken],
}

/// One problem of a recipe.
#[derive(Serialize, JsonSchema)]
struct Told<'a> {
    /// Path of the recipe relative to the workspace; `-`: stdin.
    file: &'a str,
    /// Line of the problem, from 1.
    line: usize,
    /// Column of the problem in characters, from 1.
    column: usize,
    /// Stable code of the problem; `datac explain CODE` describes it.
    code: &'a str,
    /// Description of the problem.
    message: &'a str,
    /// Suggestion for fixing the problem.
    hint: Option<&'a str>,
}

impl Content for Verdict<'_> {
    const SCHEMA: &'static str = "datac.validate/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Verdict<'_>>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let (typed, paths): (Vec<_>, Vec<_>) = options.selectors.iter().cloned().partition(|path| path == STDIN);
    let stdin = if typed.is_empty() { None } else { Some(system::read_stdin(MAX_BYTES as u64)) };
    let stdin = match stdin.transpose() {
        Ok(stdin) => stdin,
        Err(error) => {
            screen.error(&format!("failed to {error}"), None);
            return exit::USAGE;
        }
    };
    let checked = match workspace.recipes().validate(&paths, stdin) {
        Ok(checked) => checked,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&verdict(&checked), screen);
    }
    if checked.recipes.is_empty() {
        return errors::no_recipes(&paths, workspace, screen);
    }
    if !options.json {
        print(&checked, workspace, screen);
    }
    if checked.problems().next().is_none() { exit::OK } else { exit::USAGE }
}

fn verdict<'c>(checked: &'c Checked) -> Verdict<'c> {
    let recipes: Vec<Judged<'_>> = checked
        .recipes
        .iter()
        .map(|recipe| Judged {
            name: &recipe.text.name,
            path: &recipe.text.path,
            sound: recipe.problems.is_empty(),
            defaults: &recipe.defaults,
        })
        .collect();
    let told = |problem: &'c Problem| Told {
        file: &problem.path,
        line: problem.line,
        column: problem.column,
        code: problem.code,
        message: &problem.message,
        hint: problem.hint.as_deref(),
    };
    let sound = recipes.iter().all(|recipe| recipe.sound);
    Verdict { sound, recipes, problems: checked.problems().map(told).collect(), others: &checked.others }
}

fn print(checked: &Checked, workspace: &Workspace, screen: &Screen) {
    let mut told = Vec::new();
    for recipe in &checked.recipes {
        let text = String::from_utf8_lossy(&recipe.text.text);
        // What only a default is to blame for stands in another file.
        let (of_defaults, own): (Vec<Problem>, Vec<Problem>) =
            recipe.problems.iter().cloned().partition(|problem| problem.path == SETTINGS_FILE);
        errors::draw(&own, &text, screen);
        errors::problems(&of_defaults, workspace, screen);
        told.extend(&recipe.problems);
    }
    errors::point_to_pages(told.iter().map(|problem| problem.code), screen);
    let (all, broken) =
        (checked.recipes.len(), checked.recipes.iter().filter(|recipe| !recipe.problems.is_empty()).count());
    let recipes = |count: usize| if count == 1 { "1 recipe".to_owned() } else { format!("{count} recipes") };
    if broken == 0 {
        let verb = if all == 1 { "is" } else { "are" };
        screen.data(&format!("{GOOD}ok{GOOD:#}: {} {verb} valid\n", recipes(all)));
    } else {
        let errors = if told.len() == 1 { "1 error".to_owned() } else { format!("{} errors", told.len()) };
        screen.data(&format!("{ERROR}{errors}{ERROR:#} in {broken} of {}\n", recipes(all)));
    }
    print_defaults(checked, screen);
}

/// Prints which values are not the recipes' own, each with its place and with who takes it.
fn print_defaults(checked: &Checked, screen: &Screen) {
    let mut takers: BTreeMap<usize, Vec<(&Taken, &str)>> = BTreeMap::new();
    for recipe in &checked.recipes {
        for taken in &recipe.defaults {
            takers.entry(taken.line).or_default().push((taken, &recipe.text.name));
        }
    }
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for (taken, name) in takers.into_values().flatten() {
        let line = format!("{} = {} {FAINT}({SETTINGS_FILE}:{}){FAINT:#}", taken.key, taken.value, taken.line);
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, names)) => names.push(name),
            None => lines.push((line, vec![name])),
        }
    }
    for (line, names) in lines {
        let by = match names[..] {
            [one] => one.to_owned(),
            _ => format!("{} of {} recipes", names.len(), checked.recipes.len()),
        };
        screen.data(&format!("default: {line} {FAINT}for{FAINT:#} {by}\n"));
    }
}
