//! Checks recipes by their text alone, without sources, cache or network.

use rayon::prelude::*;

use crate::{
    selector::find,
    site::{Found, RecipeFolder, RecipeText, Site, WorkspaceError},
};
use datac_core::{
    config::{self, Problem, Recipe, Taken},
    id::FileHash,
};

/// A recipe with its problems.
#[derive(Clone, Debug)]
pub struct CheckedRecipe {
    /// Text of the recipe.
    pub text: RecipeText,
    /// Problems of the recipe, in the order of its text.
    pub problems: Vec<Problem>,
    /// The defaults of `datac.toml` that hold for it.
    pub defaults: Vec<Taken>,
}

/// Result of checking recipes.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The recipes, by path.
    pub recipes: Vec<CheckedRecipe>,
    /// YAML files that are not recipes.
    pub others: Vec<String>,
}

/// The path that stands for standard input.
pub const STDIN: &str = "-";

/// Reads the recipes that `selectors` match and checks them, individually and against each other.
///
/// `stdin` is the text of one more recipe, whose path is [`STDIN`].
pub(super) fn validate(site: &Site, selectors: &[String], stdin: Option<Vec<u8>>) -> Result<Checked, WorkspaceError> {
    let found = if stdin.is_some() && selectors.is_empty() { Found::default() } else { find(site, selectors)? };
    let typed = stdin.map(|text| RecipeText {
        path: STDIN.to_owned(),
        name: STDIN.to_owned(),
        digest: FileHash::of(&text),
        text,
    });
    let mut recipes = Vec::new();
    let mut sound: Vec<(usize, Recipe)> = Vec::new();
    for (text, loaded) in load_all(&site.recipes, found.recipes.into_iter().chain(typed).collect()) {
        let problems = match loaded {
            Ok(recipe) => {
                sound.push((recipes.len(), recipe));
                Vec::new()
            }
            Err(problems) => problems,
        };
        let defaults = site.recipes.defaults_of(&text.text);
        recipes.push(CheckedRecipe { text, problems, defaults });
    }
    // Other recipes are not reported, but the selected ones must not write their outputs.
    let others = if selectors.is_empty() { Vec::new() } else { site.recipes.find_all()?.recipes };
    let asked = |path: &str| recipes.iter().any(|checked: &CheckedRecipe| checked.text.path == path);
    let others = load_all(&site.recipes, others.into_iter().filter(|text| !asked(&text.path)).collect());
    let others: Vec<(RecipeText, Recipe)> =
        others.into_iter().filter_map(|(text, loaded)| Some((text, loaded.ok()?))).collect();
    let of_others = others.iter().map(|(text, recipe)| (text.path.as_str(), recipe, text.text.as_slice()));
    let own =
        sound.iter().map(|(at, recipe)| (recipes[*at].text.path.as_str(), recipe, recipes[*at].text.text.as_slice()));
    // A recipe from standard input has no file name, so it has no outputs that could collide.
    let written: Vec<(&str, &Recipe, &[u8])> = of_others.chain(own).filter(|(path, ..)| *path != STDIN).collect();
    for problem in config::check_collisions(&written) {
        if let Some(checked) = recipes.iter_mut().find(|checked| checked.text.path == problem.path) {
            checked.problems.push(problem);
        }
    }
    Ok(Checked { recipes, others: found.others })
}

fn load_all(folder: &RecipeFolder, texts: Vec<RecipeText>) -> Vec<(RecipeText, Result<Recipe, Vec<Problem>>)> {
    let load = |text: RecipeText| {
        let loaded = folder.load(&text.path, &text.text);
        (text, loaded)
    };
    texts.into_par_iter().with_min_len(64).map(load).collect()
}

impl Checked {
    /// Returns all problems, recipe by recipe.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.recipes.iter().flat_map(|checked| &checked.problems)
    }
}
