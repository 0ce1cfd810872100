//! `datac ls`: recipes, sources and outputs, one per line, for programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, Screen},
};
use crate::workspace::{Inventory, ListedOutput, ListedRecipe, ListedSource, Workspace};
use clap::Args;
use textwrap::core::display_width;

/// Options of `ls`.
#[derive(Args, Debug)]
#[command(
    override_usage = "datac ls [OPTIONS] [recipes|sources|outputs] [SELECTOR]...",
    after_help = "\
Columns, separated by tabs; `-` means unknown or missing:
  recipes   name, state, phase, rows, bytes, sources, path
  sources   id, commit, files, bytes, recipes
  outputs   path, recipe, state, rows, bytes, BLAKE3

Examples:
  datac ls                                     every recipe
  datac ls outputs state:fresh | cut -f1       files that are up to date
  datac ls sources sft --json                  sources that recipes in `sft` read"
)]
pub(super) struct Options {
    /// What to list [default: recipes], then selectors as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) words: Vec<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// The document that `ls --json` prints.
#[derive(Default, Serialize, JsonSchema)]
struct Listed<'a> {
    /// The recipes, by path.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipes: Option<&'a [ListedRecipe]>,
    /// The sources that the recipes read, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'a [ListedSource]>,
    /// The files that the recipes write, in the order of the recipes.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a [ListedOutput]>,
}

impl Content for Listed<'_> {
    const SCHEMA: &'static str = "datac.ls/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Listed<'_>>()];

/// Kind of list.
#[derive(Clone, Copy)]
enum What {
    Recipes,
    Sources,
    Outputs,
}

impl What {
    /// Splits arguments into the kind of list and the selectors.
    fn of(words: &[String]) -> (Self, &[String]) {
        match words.split_first() {
            Some((word, rest)) if word == "recipes" => (Self::Recipes, rest),
            Some((word, rest)) if word == "sources" => (Self::Sources, rest),
            Some((word, rest)) if word == "outputs" => (Self::Outputs, rest),
            _ => (Self::Recipes, words),
        }
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let (what, selectors) = What::of(&options.words);
    let inventory = match workspace.recipes().inventory(selectors) {
        Ok(inventory) => inventory,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&listed(what, &inventory), screen);
    }
    if inventory.recipes.is_empty() {
        return errors::no_recipes(selectors, workspace, screen);
    }
    if !options.json {
        let text = text(what, &inventory);
        screen.data(&match screen.data_width() {
            Some(columns) => aligned(what, &text, columns),
            None => text,
        });
    }
    exit::OK
}

fn listed(what: What, inventory: &Inventory) -> Listed<'_> {
    match what {
        What::Recipes => Listed { recipes: Some(&inventory.recipes), ..Listed::default() },
        What::Sources => Listed { sources: Some(&inventory.sources), ..Listed::default() },
        What::Outputs => Listed { outputs: Some(&inventory.outputs), ..Listed::default() },
    }
}

fn text(what: What, inventory: &Inventory) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    match what {
        What::Recipes => lines(&inventory.recipes, |recipe| {
            let ListedRecipe { name, state, phase, rows, bytes, sources, path, .. } = recipe;
            let (state, sources) = (state.word().to_owned(), joined(sources));
            [Some(name.clone()), Some(state), phase.clone(), number(*rows), number(*bytes), sources, Some(path.clone())]
        }),
        What::Sources => lines(&inventory.sources, |source| {
            let ListedSource { id, commit, files, bytes, recipes, .. } = source;
            [Some(id.clone()), commit.clone(), number(*files), number(*bytes), joined(recipes)]
        }),
        What::Outputs => lines(&inventory.outputs, |output| {
            let ListedOutput { path, recipe, state, rows, bytes, blake3 } = output;
            let (state, blake3) = ((*state).to_owned(), blake3.map(|digest| digest.to_string()));
            [Some(path.clone()), Some(recipe.clone()), Some(state), number(*rows), number(*bytes), blake3]
        }),
    }
}

/// Lays lines out for people: under a head, in columns that are aligned, each line no longer than the terminal is wide.
fn aligned(what: What, text: &str, columns: usize) -> String {
    let head = match what {
        What::Recipes => "name\tstate\tphase\trows\tbytes\tsources\tpath",
        What::Sources => "id\tcommit\tfiles\tbytes\trecipes",
        What::Outputs => "path\trecipe\tstate\trows\tbytes\tblake3",
    };
    let table: Vec<Vec<String>> = std::iter::once(head)
        .chain(text.lines())
        .enumerate()
        .map(|(at, line)| line.split('\t').map(|cell| shown(cell, at > 0)).collect())
        .collect();
    let widths: Vec<usize> = (0..table[0].len())
        .map(|column| table.iter().filter_map(|row| row.get(column)).map(|cell| display_width(cell)).max().unwrap_or(0))
        .collect();
    let line = |(at, row): (usize, &Vec<String>)| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{:pad$}", "", pad = width - display_width(cell)));
        let line = cells.collect::<Vec<_>>().join("  ");
        let mut line = line.trim_end().to_owned();
        if display_width(&line) >= columns {
            line = line.chars().take(columns.saturating_sub(2)).collect::<String>() + "…";
        }
        if at == 0 { format!("{FAINT}{line}{FAINT:#}\n") } else { line + "\n" }
    };
    table.iter().enumerate().map(line).collect()
}

/// Shortens a digest; the rest of it is for programs.
fn shown(cell: &str, is_value: bool) -> String {
    let hex = cell.rsplit(':').next().unwrap_or(cell);
    let is_digest = is_value && hex.len() >= 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { hex[..10].to_owned() } else { cell.to_owned() }
}

fn joined(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(","))
}

/// Formats one line per item. Tabs and line ends within names are escaped as in JSON, so that they do not add columns
/// or lines.
fn lines<T, const N: usize>(items: &[T], cells: impl Fn(&T) -> [Option<String>; N]) -> String {
    let clean = |text: String| text.replace('\t', "\\t").replace('\n', "\\n");
    let line = |item: &T| {
        let cells = cells(item).map(|cell| cell.map_or_else(|| "-".to_owned(), clean));
        cells.join("\t") + "\n"
    };
    items.iter().map(line).collect()
}
