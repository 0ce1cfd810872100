//! Orders recipes that read each other's outputs: each is built after those it reads from.
//!
//! The order is only determined when something is built. Recipes that read from no other are built together; the rest
//! are assessed again once their sources have been written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{BuildOptions, BuildReport, Done, RecipeReport, build_first};
use crate::{
    event::{Event, Observer},
    selector::Writers,
    site::{Site, WorkspaceError, local_sources, local_sources_of, relative},
    status::{
        RecipeStatus,
        assess::{Assessed, Session},
    },
};
use datac_core::{
    config::Dataset,
    failure::{Failure, FailureKind},
};

/// A recipe that waits for others.
pub(crate) struct WaitingRecipe {
    status: RecipeStatus,
    /// Paths of the recipes it reads from.
    needs: Vec<String>,
}

/// Builds the selected recipes. A recipe that reads what another one writes is built after it.
///
/// If a recipe cannot be built, only the recipes that read from it are skipped. The report has the result of each
/// recipe.
pub(crate) fn build(site: &Site, selectors: &[String], options: &BuildOptions) -> Result<BuildReport, WorkspaceError> {
    let (mut report, mut waiting) = build_first(site, selectors, options)?;
    while !waiting.is_empty() {
        let failed: BTreeSet<String> = report.recipes.iter().filter(|recipe| failed(recipe)).map(path_of).collect();
        let stops = options.fail_fast && !failed.is_empty();
        let is_held = |waiting: &WaitingRecipe| stops || waiting.needs.iter().any(|needed| failed.contains(needed));
        let (held, ready): (Vec<WaitingRecipe>, Vec<WaitingRecipe>) = waiting.into_iter().partition(is_held);
        if held.is_empty() {
            let paths: Vec<String> = ready.iter().map(|waiting| waiting.status.path.clone()).collect();
            let (next, later) = build_first(site, &paths, options)?;
            report.recipes.extend(next.recipes);
            for (kind, count) in next.actions {
                *report.actions.entry(kind).or_default() += count;
            }
            report.run = next.run.or(report.run);
            report.collected = next.collected.or(report.collected);
            report.shared = match (report.shared.take(), next.shared) {
                (Some(mut before), Some(next)) => {
                    before.add(next);
                    Some(before)
                }
                (before, next) => before.or(next),
            };
            report.elapsed_ms += next.elapsed_ms;
            waiting = later;
        } else {
            // Recipes that read from these are held in the next round.
            report.recipes.extend(held.into_iter().map(|held| held_up(&site.observer, held, &failed)));
            waiting = ready;
        }
    }
    report.recipes.sort_by(|a, b| a.before.path.cmp(&b.before.path));
    Ok(report)
}

/// Returns the report of a recipe that is skipped because another one failed.
fn held_up(observer: &Observer, waiting: WaitingRecipe, failed: &BTreeSet<String>) -> RecipeReport {
    let WaitingRecipe { status, needs } = waiting;
    let message = match needs.iter().find(|needed| failed.contains(*needed)) {
        Some(needed) => format!("skipped, because `{needed}` could not be built"),
        None => "skipped, because another recipe failed first".to_owned(),
    };
    let failure = Failure::plain(FailureKind::Action, message);
    observer(Event::Ended { recipe: status.path.clone(), failure: Some(failure.to_string()), files: Vec::new() });
    RecipeReport {
        before: status,
        summary: None,
        failure: Some(failure),
        notes: Vec::new(),
        done: Done::Failed,
        written: Vec::new(),
        chunks: (0, 0),
    }
}

/// Returns the dataset entries of a session that read what other recipes of it write, by the numbers of the recipe and the entry,
/// whether that has been written or not.
pub(crate) fn chained(site: &Site, session: &Session) -> BTreeSet<(usize, usize)> {
    let all = || session.recipes.iter().zip(0..).filter_map(|(one, at)| Some((at, one, one.recipe.as_ref()?)));
    let outputs = all().flat_map(|(at, one, recipe)| {
        let names = recipe.output_names(&one.text.path).into_iter();
        names.map(move |name| (site.outputs.relative(&name), at))
    });
    let writers = Writers::new(outputs);
    let entries = all().flat_map(|(at, _, recipe)| {
        recipe.datasets.iter().zip(0..).map(move |(dataset, number)| (at, number, dataset))
    });
    let reads = |at: usize, dataset: &Dataset| {
        local_sources_of(dataset).any(|source| writers.of(site.root(), source).into_iter().any(|writer| writer != at))
    };
    entries.filter(|(at, _, dataset)| reads(*at, dataset)).map(|(at, number, _)| (at, number)).collect()
}

/// Removes from a session the recipes that read files which other recipes of the session, those for which `wanted`
/// holds, are yet to write. Returns the removed recipes.
pub(crate) fn set_aside(site: &Site, session: &mut Session, wanted: impl Fn(&Assessed) -> bool) -> Vec<WaitingRecipe> {
    let all = &session.recipes;
    let outputs = |at: usize| {
        let names = all[at].recipe.iter().map(|recipe| recipe.output_names(&all[at].text.path));
        let last = all[at].last.iter().flat_map(|last| &last.outputs).map(|output| output.name.clone());
        let names: BTreeSet<String> = names.flatten().chain(last).collect();
        names.into_iter().map(move |name| (site.outputs.relative(&name), at))
    };
    let named = |at: usize| {
        let named = all[at].recipe.iter().flat_map(|recipe| local_sources(recipe));
        let last = all[at].last.iter().filter(move |_| all[at].recipe.is_none()).flat_map(|last| &last.locals);
        named.chain(last.map(|(path, _)| path.as_str()))
    };
    // Most recipes read nothing near the output folder, and need no further checks.
    let folder = site.outputs.relative("");
    let is_near = |source: &str| {
        let source = relative(site.root(), Path::new(source));
        source.starts_with(&folder) || folder.starts_with(&source)
    };
    if !(0..all.len()).any(|at| named(at).any(is_near)) {
        return Vec::new();
    }
    let everyone = Writers::new((0..all.len()).flat_map(outputs));
    let reads = |at: usize| -> BTreeSet<usize> {
        let found = named(at).filter(|source| is_near(source)).flat_map(|source| everyone.of(site.root(), source));
        found.filter(|writer| *writer != at).collect()
    };
    let edges: BTreeMap<usize, BTreeSet<usize>> =
        (0..all.len()).map(|at| (at, reads(at))).filter(|(_, reads)| !reads.is_empty()).collect();
    if edges.is_empty() {
        return Vec::new();
    }
    // The recipes to be built, and all recipes that read from them.
    let mut touched: BTreeSet<usize> = (0..all.len()).filter(|at| wanted(&all[*at])).collect();
    loop {
        let reached = edges.iter().filter(|(_, reads)| !reads.is_disjoint(&touched)).map(|(at, _)| *at);
        let more: Vec<usize> = reached.filter(|at| !touched.contains(at)).collect();
        if more.is_empty() {
            break;
        }
        touched.extend(more);
    }
    let needs = |at: &usize| edges.get(at).map(|reads| reads.intersection(&touched).copied().collect::<Vec<_>>());
    let later: BTreeMap<usize, Vec<usize>> =
        touched.iter().filter_map(|at| Some((*at, needs(at).filter(|needs| !needs.is_empty())?))).collect();
    // Recipes that read each other's files in a cycle have no order; they are built from the existing files.
    if later.len() == touched.len() {
        return Vec::new();
    }
    let path = |at: &usize| all[*at].text.path.clone();
    let waiting = later
        .iter()
        .map(|(at, needs)| WaitingRecipe { status: all[*at].status.clone(), needs: needs.iter().map(path).collect() });
    let waiting = waiting.collect();
    let mut at = 0;
    session.recipes.retain(|_| {
        at += 1;
        !later.contains_key(&(at - 1))
    });
    waiting
}

fn failed(recipe: &RecipeReport) -> bool {
    recipe.failure.is_some() || !recipe.before.problems.is_empty()
}

fn path_of(recipe: &RecipeReport) -> String {
    recipe.before.path.clone()
}
