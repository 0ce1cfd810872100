//! Finds the one recipe that a name refers to.

use std::path::Path;

use super::find;
use crate::{
    cache::{FreshRecipe, Record},
    site::{Site, WorkspaceError},
    system,
};
use datac_core::{
    failure::{Failure, FailureKind},
    outputs,
};

/// Returns the path of the recipe that writes the output `target`; `None` if `target` does not look like an output.
pub(crate) fn recipe_of(site: &Site, target: &str, record: &Record) -> Result<Option<String>, WorkspaceError> {
    if !outputs::looks_like_output(target) {
        return Ok(None);
    }
    let is_bare = !target.contains('/');
    let is_own =
        |output: &str| Path::new(target).ends_with(output) || (is_bare && output.rsplit('/').next() == Some(target));
    let wrote_it = |(path, last): &(String, FreshRecipe)| {
        last.outputs.iter().any(|output| is_own(&output.name)) && system::exists(&site.root().join(path))
    };
    // A renamed recipe leaves an entry behind. If several match, take the first by path, so that the choice is
    // stable.
    if let Some((path, _)) = record.recipes()?.into_iter().filter(wrote_it).min_by(|a, b| a.0.cmp(&b.0)) {
        return Ok(Some(path));
    }
    // No build is recorded: look for the recipe that would write the output.
    for text in site.recipes.find_all()?.recipes {
        if let Ok(recipe) = site.recipes.load(&text.path, &text.text)
            && recipe.output_names(&text.path).iter().any(|output| is_own(output))
        {
            return Ok(Some(text.path));
        }
    }
    let failure = Failure::plain(FailureKind::Config, format!("no recipe writes `{target}`"));
    Err(failure.hint("`datac status` lists recipes and their files").into())
}

/// Returns the path of the one recipe that `target` matches, by its name or by one of its outputs.
pub(crate) fn one_recipe(site: &Site, target: &str, record: &Record) -> Result<String, WorkspaceError> {
    if let Some(path) = recipe_of(site, target, record)? {
        return Ok(path);
    }
    let mut found = find(site, &[target.to_owned()])?.recipes;
    match found.len() {
        1 => Ok(found.remove(0).path),
        count => {
            let names: Vec<String> = found.into_iter().map(|text| text.name).collect();
            let failure =
                Failure::plain(FailureKind::Config, format!("`{target}` matches {count} recipes, expected one"));
            Err(failure.hint(format!("choose one: {}", names.join(", "))).into())
        }
    }
}
