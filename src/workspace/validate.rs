//! Recipes by their text alone: no source, no cache and no network is asked.

use rayon::prelude::*;

use super::{Workspace, WorkspaceError};
use crate::{
    config::{self, Problem, Recipe},
    id::FileHash,
    workspace::RecipeText,
};

/// A recipe with what is wrong with it.
#[derive(Clone, Debug)]
pub struct CheckedRecipe {
    /// The recipe as it was read.
    pub text: RecipeText,
    /// Everything that is wrong with it, in the order of its text.
    pub problems: Vec<Problem>,
}

/// What reading recipes came to.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The recipes, by path.
    pub recipes: Vec<CheckedRecipe>,
    /// YAML files that are no recipes.
    pub others: Vec<String>,
}

/// The path that stands for what is written to the process.
pub const STDIN: &str = "-";

impl Workspace {
    /// Reads the recipes that `selectors` name and checks them, all of each and each against the others.
    ///
    /// `stdin` is the text of one more recipe, whose path is [`STDIN`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac::workspace::{Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings::new(folder.path()));
    /// let text = b"metadata: { phase: sft }\ndatasets: [{ name: a, source: org/name, mix_ratio: 2 }]\n";
    /// let checked = workspace.validate(&[], Some(text.to_vec())).unwrap();
    /// assert_eq!(checked.recipes[0].problems[0].code, "E0114");
    /// ```
    pub fn validate(&self, selectors: &[String], stdin: Option<Vec<u8>>) -> Result<Checked, WorkspaceError> {
        let found =
            if stdin.is_some() && selectors.is_empty() { super::Found::default() } else { self.find(selectors)? };
        let typed = stdin.map(|text| RecipeText {
            path: STDIN.to_owned(),
            name: STDIN.to_owned(),
            digest: FileHash::of(&text),
            text,
        });
        let mut recipes = Vec::new();
        let mut sound: Vec<(usize, Recipe)> = Vec::new();
        for (text, loaded) in self.load_all(found.recipes.into_iter().chain(typed).collect()) {
            let problems = match loaded {
                Ok(recipe) => {
                    sound.push((recipes.len(), recipe));
                    Vec::new()
                }
                Err(problems) => problems,
            };
            recipes.push(CheckedRecipe { text, problems });
        }
        // Those that were not asked for are not told of, but others may not write their outputs.
        let others = if selectors.is_empty() { Vec::new() } else { self.find(&[])?.recipes };
        let asked = |path: &str| recipes.iter().any(|checked: &CheckedRecipe| checked.text.path == path);
        let others = self.load_all(others.into_iter().filter(|text| !asked(&text.path)).collect());
        let others: Vec<(RecipeText, Recipe)> =
            others.into_iter().filter_map(|(text, loaded)| Some((text, loaded.ok()?))).collect();
        let of_others = others.iter().map(|(text, recipe)| (text.path.as_str(), recipe, text.text.as_slice()));
        let own = sound
            .iter()
            .map(|(at, recipe)| (recipes[*at].text.path.as_str(), recipe, recipes[*at].text.text.as_slice()));
        // What comes from no file has no outputs that could collide.
        let written: Vec<(&str, &Recipe, &[u8])> = of_others.chain(own).filter(|(path, ..)| *path != STDIN).collect();
        for problem in config::check_collisions(&written) {
            if let Some(checked) = recipes.iter_mut().find(|checked| checked.text.path == problem.path) {
                checked.problems.push(problem);
            }
        }
        Ok(Checked { recipes, others: found.others })
    }

    fn load_all(&self, texts: Vec<RecipeText>) -> Vec<(RecipeText, Result<Recipe, Vec<Problem>>)> {
        let load = |text: RecipeText| {
            let loaded = config::load(&text.path, &text.text, &self.vocabulary);
            (text, loaded)
        };
        texts.into_par_iter().with_min_len(64).map(load).collect()
    }
}

impl Checked {
    /// Everything that is wrong, recipe by recipe.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.recipes.iter().flat_map(|checked| &checked.problems)
    }
}
