//! Adds a source to a recipe, or makes a recipe of it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    init::{InitFile, Placed},
    inspect::{Entry, Inspect, InspectedKind, inspect},
    template::{self, NewRecipe},
};
use crate::{
    selector::find,
    site::{Site, WorkspaceError},
    system,
};
use datac_core::{
    config::{self, FORMATS},
    failure::{Failure, FailureKind},
};

/// What to add, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Add {
    /// The source.
    pub source: Inspect,
    /// The recipe to add it to, by path or name; `None`: a new one.
    pub to: Option<String>,
    /// The name of the dataset; of a new recipe, the name of that. `None`: taken from the source.
    pub name: Option<String>,
    /// The share of the mixture; `None`: as much as each of the others has.
    pub ratio: Option<f64>,
}

/// What was added.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Added {
    /// The files that were written.
    pub files: Vec<InitFile>,
    /// The name of the dataset.
    pub name: String,
    /// How the source is read in the phase of the recipe.
    pub kind: InspectedKind,
    /// The share of each dataset, in the order of the recipe.
    pub shares: Vec<(String, f64)>,
}

/// Looks at a source as the recipe would read it, and adds it if rows come of it.
pub(super) fn add(site: &Site, add: &Add) -> Result<Added, WorkspaceError> {
    let mut entry = Entry::of(site, &add.source)?;
    let Some(to) = &add.to else { return create(site, add, entry) };
    let found = find(site, std::slice::from_ref(to))?.recipes;
    let text = match &found[..] {
        [one] => one,
        many => {
            let names: Vec<&str> = many.iter().map(|recipe| recipe.name.as_str()).collect();
            let failure = Failure::plain(FailureKind::Config, format!("`{to}` matches {} recipes", many.len()));
            return Err(failure.hint(format!("choose one: {}", names.join(", "))).into());
        }
    };
    let recipe = site.recipes.load(&text.path, &text.text).map_err(WorkspaceError::Problems)?;
    let asked = Inspect { phase: Some(recipe.metadata.phase.clone()), ..add.source.clone() };
    let kind = usable(inspect(site, &asked)?.kinds)?;
    let names: Vec<&str> = recipe.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    entry.name = match &add.name {
        Some(name) => name.clone(),
        None => free_name(&entry.name, &names),
    };
    let ratio = add.ratio.unwrap_or_else(|| (1000.0 / (names.len() + 1) as f64).round() / 1000.0);
    let edited = std::str::from_utf8(&text.text).ok();
    let edited = edited.and_then(|text| config::add_dataset(text, &entry.pairs(None), ratio)).ok_or_else(|| {
        let failure = Failure::plain(FailureKind::Config, format!("`{}` has no list of datasets to add to", text.path));
        failure.hint("`datac inspect` prints the entry to paste")
    })?;
    let edited_recipe = site.recipes.load(&text.path, edited.as_bytes()).map_err(|problems| {
        let problem = problems.into_iter().next().expect("what is refused has a problem");
        let failure = Failure::plain(FailureKind::Config, format!("{} [{}]", problem.message, problem.code));
        problem.hint.into_iter().fold(failure, Failure::hint)
    })?;
    system::replace(&site.root().join(&text.path), edited.as_bytes())?;
    Ok(Added {
        files: vec![InitFile { path: text.path.clone(), outcome: Placed::Written }],
        name: entry.name,
        kind,
        shares: edited_recipe.datasets.iter().map(|dataset| (dataset.name.clone(), dataset.mix_ratio)).collect(),
    })
}

/// Makes a recipe of a source.
fn create(site: &Site, add: &Add, entry: Entry) -> Result<Added, WorkspaceError> {
    let kind = meant(inspect(site, &add.source)?.kinds)?;
    let format = entry.format.as_ref().and_then(|word| FORMATS.iter().find(|(known, _)| known == word));
    let new = NewRecipe {
        name: add.name.clone().unwrap_or_else(|| entry.name.clone()),
        phase: kind.phase.clone(),
        source: entry.source.clone(),
        format: Some(format.and_then(|(_, format)| *format)),
        converter: None,
    };
    let files = template::create(site, &new)?;
    Ok(Added { files, shares: vec![(entry.name.clone(), 1.0)], name: entry.name, kind })
}

/// Returns the best kind of sample that rows can be made into, or why there is none.
fn usable(kinds: Vec<InspectedKind>) -> Result<InspectedKind, WorkspaceError> {
    let is_any = kinds.first().is_some_and(|kind| kind.samples > 0);
    // Where nothing can be used, what a question and its answer would need is most often what is asked.
    let told = kinds.iter().position(|kind| !is_any && kind.phase == "sft").unwrap_or(0);
    match kinds.into_iter().nth(told) {
        Some(kind) if kind.samples > 0 => Ok(kind),
        kind => {
            let why = kind.as_ref().map_or_else(|| "no converter fits".to_owned(), |kind| kind.why.clone());
            let failure = Failure::plain(FailureKind::Config, format!("no rows can be used: {why}"));
            Err(kind.and_then(|kind| kind.hint).into_iter().fold(failure, Failure::hint).into())
        }
    }
}

/// Returns the kind of sample that rows are meant for, if that is clear: where most rows lack what the best kind needs, and
/// another kind could use more of them, whoever asks has to say it.
fn meant(kinds: Vec<InspectedKind>) -> Result<InspectedKind, WorkspaceError> {
    let others = kinds.iter().skip(1);
    if let Some(best) = kinds.first().filter(|best| best.samples > 0 && 2 * best.samples < best.rows)
        && let Some(other) = others.filter(|other| other.samples > best.samples).max_by_key(|other| other.samples)
    {
        let message = format!(
            "it is not clear what the rows are for: {} of {} could be used as `{}`, and {} as `{}`",
            best.samples, best.rows, best.phase, other.samples, other.phase
        );
        let why = best.rejects.first().map(|reject| format!(" ({}, first {})", reject.reason, reject.first));
        let hint = format!(
            "say it with `--phase {}` or `--phase {}`; `{}` leaves most rows out{}",
            best.phase,
            other.phase,
            best.phase,
            why.unwrap_or_default()
        );
        return Err(Failure::plain(FailureKind::Config, message).hint(hint).into());
    }
    usable(kinds)
}

/// Returns a name that no other dataset has.
fn free_name(name: &str, taken: &[&str]) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(&name.as_str())).expect("numbers do not end")
}
