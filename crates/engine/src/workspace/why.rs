//! Explains why a recipe would be built or not: what changed, what did not, what would run and what is reused.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cache::Access,
    graph::{Node, Planner, RecipeFile, RecipePlan, Work, plan, stages},
    provenance::history::why_run::{CacheMiss, PastBuild, misses, past},
    selector::{assess_selected, recipe_of},
    site::{Site, WorkspaceError},
    status::{
        RecipeStatus,
        assess::{Assessed, Depth, Looks},
    },
};
use datac_core::{
    config,
    failure::{Failure, FailureKind},
    leaf::Entry,
    stage::Stage,
    stale::StaleReason,
};

/// Progress of one stage of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// The stage: `scan`, `convert`, `score`, `select`, `arrange`, `output`.
    pub stage: Stage,
    /// Number of actions whose outcome is cached.
    pub reused: u64,
    /// Number of actions to run; `None` if it depends on an earlier stage.
    pub to_run: Option<u64>,
    /// For `scan`: number of samples after which reading stops, because of `max_samples`; `None` if files are read to
    /// their end, or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_samples: Option<u64>,
}

/// Explanation of a recipe's state.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// State of the recipe.
    pub status: RecipeStatus,
    /// Location of each changed value in the recipe: line and column, from 1.
    pub places: Vec<Option<(usize, usize)>>,
    /// Location of each changed value in `datac.toml`, where its `[defaults]` give it.
    pub default_places: Vec<Option<(usize, usize)>>,
    /// Values that did not change.
    pub unchanged: Vec<Entry>,
    /// The stages, in order.
    pub steps: Vec<Step>,
    /// Why missing actions are not in the cache, by stage.
    pub misses: Vec<CacheMiss>,
    /// Time of the last build, in nanoseconds since 1970.
    pub built_ns: Option<i64>,
    /// Explanation of the last build.
    pub past: Option<PastBuild>,
}

/// Explains the state of a recipe, given by path, by name or by one of its outputs.
pub(crate) fn why(site: &Site, target: &str) -> Result<Explanation, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let selectors = match recipe_of(site, target, &record)? {
        Some(path) => vec![path],
        None => vec![target.to_owned()],
    };
    let mut session =
        assess_selected(site, record.clone(), &selectors, Looks { depth: Depth::Close, ..Looks::default() })?;
    if session.recipes.len() != 1 {
        let names: Vec<&str> = session.recipes.iter().map(|assessed| assessed.status.name.as_str()).collect();
        let failure =
            Failure::plain(FailureKind::Config, format!("`{target}` matches {} recipes, expected one", names.len()));
        return Err(failure.hint(format!("choose one: {}", names.join(", "))).into());
    }
    let assessed = session.recipes.remove(0);
    let places: Vec<_> = assessed.status.reasons.iter().map(|reason| place(reason, &assessed)).collect();
    let defaults = &site.recipes.vocabulary().defaults;
    let of_defaults = |(reason, place): (&StaleReason, &Option<_>)| match place {
        Some(_) => None,
        None => defaults.locate(&reason.change()?.name),
    };
    let default_places = assessed.status.reasons.iter().zip(&places).map(of_defaults).collect();
    let unchanged = match &assessed.last {
        Some(_) => assessed.leaves.same_as(&assessed.detail.leaves),
        None => Vec::new(),
    };
    let steps = match assessed.file {
        Some(file) if assessed.recipe.is_some() => steps(&session.planner, file),
        _ => Vec::new(),
    };
    let misses = match assessed.file.map(|file| plan(&session.planner, file)) {
        Some(Node::Needs(actions)) => misses(&record, &site.cache.store(&record), actions)?,
        _ => Vec::new(),
    };
    let past = past(&site.cache, &record, &assessed.text.path, &assessed.text.text, None)?;
    Ok(Explanation {
        misses,
        past,
        places,
        default_places,
        unchanged,
        steps,
        built_ns: assessed.last.as_ref().map(|last| last.built_ns),
        status: assessed.status,
    })
}

/// Returns the progress of each stage of a valid recipe.
pub(super) fn steps(planner: &Planner, file: RecipeFile) -> Vec<Step> {
    let planned = plan(planner, file);
    let is_known = matches!(planned, Node::Ready(_));
    let step = |(stage, reused, to_run)| Step {
        stage,
        reused,
        to_run: if is_known { Some(0) } else { to_run },
        until_samples: if stage == Stage::Scan { until_samples(planned) } else { None },
    };
    stages(planner, file).into_iter().map(step).collect()
}

/// Returns the number of samples after which reading stops, unless some file is read to its end in any case.
fn until_samples(planned: &Node<RecipePlan>) -> Option<u64> {
    let Node::Needs(actions) = planned else { return None };
    let scans = actions.iter().filter_map(|action| match &action.work {
        Work::Scan(scan) => Some(scan),
        _ => None,
    });
    let wanted: Vec<Option<u64>> = scans.flat_map(|scan| &scan.followers).map(|follower| follower.samples).collect();
    if wanted.is_empty() { None } else { wanted.into_iter().sum() }
}

fn place(reason: &StaleReason, assessed: &Assessed) -> Option<(usize, usize)> {
    config::locate(&assessed.text.text, &reason.change()?.name)
}
