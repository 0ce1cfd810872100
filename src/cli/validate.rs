//! `datac validate`: whether recipes are sound, by their text alone.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{ERROR, GOOD, Screen},
};
use crate::{
    config::{MAX_BYTES, Problem},
    system,
    workspace::{Checked, STDIN, Workspace},
};

/// Options of `validate`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac validate               every recipe below config/
  datac validate sft --json    of one folder or name, as JSON
  datac validate - < new.yaml  one that is not in a file of the workspace")]
pub(super) struct Options {
    /// Recipes, named as for `build`; `-`: from stdin [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// What `validate --json` prints.
#[derive(Serialize, JsonSchema)]
struct Verdict<'a> {
    /// Whether every recipe is sound.
    sound: bool,
    /// The recipes, by path.
    recipes: Vec<Judged<'a>>,
    /// Everything that is wrong, recipe by recipe.
    problems: Vec<Told<'a>>,
    /// YAML files that are no recipes.
    others: &'a [String],
}

/// One recipe of it.
#[derive(Serialize, JsonSchema)]
struct Judged<'a> {
    /// Its name, `sft/general`.
    name: &'a str,
    /// Its path relative to the workspace; `-`: stdin.
    path: &'a str,
    /// Whether nothing is wrong with it.
    sound: bool,
}

/// One problem of a recipe.
#[derive(Serialize, JsonSchema)]
struct Told<'a> {
    /// The recipe's path relative to the workspace; `-`: stdin.
    file: &'a str,
    /// The line, from 1.
    line: usize,
    /// The column in characters, from 1.
    column: usize,
    /// A stable code; `datac explain CODE` says more.
    code: &'a str,
    /// What is wrong.
    message: &'a str,
    /// What to do about it.
    hint: Option<&'a str>,
}

impl Content for Verdict<'_> {
    const SCHEMA: &'static str = "datac.validate/1";
}

/// What it prints as JSON.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Verdict<'_>>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let (typed, paths): (Vec<_>, Vec<_>) = options.selectors.iter().cloned().partition(|path| path == STDIN);
    let stdin = if typed.is_empty() { None } else { Some(system::read_stdin(MAX_BYTES as u64)) };
    let stdin = match stdin.transpose() {
        Ok(stdin) => stdin,
        Err(error) => {
            screen.error(&error.to_string(), None);
            return exit::USAGE;
        }
    };
    let checked = match workspace.validate(&paths, stdin) {
        Ok(checked) => checked,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&verdict(&checked), screen);
    }
    if checked.recipes.is_empty() {
        return errors::no_recipes(&paths, screen);
    }
    if !options.json {
        print(&checked, screen);
    }
    if checked.problems().next().is_none() { exit::OK } else { exit::USAGE }
}

fn verdict<'c>(checked: &'c Checked) -> Verdict<'c> {
    let recipes: Vec<Judged<'_>> = checked
        .recipes
        .iter()
        .map(|recipe| Judged { name: &recipe.text.name, path: &recipe.text.path, sound: recipe.problems.is_empty() })
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

fn print(checked: &Checked, screen: &Screen) {
    let mut told = Vec::new();
    for recipe in &checked.recipes {
        let text = String::from_utf8_lossy(&recipe.text.text);
        errors::draw(&recipe.problems, &text, screen);
        told.extend(&recipe.problems);
    }
    errors::point_to_pages(told.iter().map(|problem| problem.code), screen);
    let (all, broken) =
        (checked.recipes.len(), checked.recipes.iter().filter(|recipe| !recipe.problems.is_empty()).count());
    let recipes = |count: usize| if count == 1 { "1 recipe".to_owned() } else { format!("{count} recipes") };
    if broken == 0 {
        let verb = if all == 1 { "is" } else { "are" };
        screen.data(&format!(
            "{GOOD}sound{GOOD:#}    {} {verb} as {} should be\n",
            recipes(all),
            if all == 1 { "it" } else { "they" }
        ));
    } else {
        let problems = if told.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", told.len()) };
        screen.data(&format!("{ERROR}broken{ERROR:#}   {broken} of {}: {problems}\n", recipes(all)));
    }
}
