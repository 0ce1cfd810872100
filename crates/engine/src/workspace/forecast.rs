//! What a build would take from the shared cache, found out by asking it: the same questions as a build asks, without running or
//! storing anything.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    build::shared::Shared,
    cache::{Access, Blobs},
    graph::{Known, Node, Outcome, plan, scope},
    remote::{Refused, Requests},
    selector::assess_selected,
    site::{Site, WorkspaceError},
    status::{Assessment, State, assess::Looks},
};
use datac_core::{
    hash::Digest,
    id::{ActionKey, BlobId},
    stage::Stage,
};

/// What a build would take from the shared cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Forecast {
    /// The shared cache.
    pub remote: String,
    /// Number of results that would be taken, by stage.
    pub results: BTreeMap<Stage, u64>,
    /// Number of large artifacts that would be fetched.
    pub artifacts: u64,
    /// Number of actions that would have to run next, by stage; those behind them are not known yet.
    pub missing: BTreeMap<Stage, u64>,
    /// What would not be used.
    pub refused: Refused,
    /// Why it was not asked any further, if that is so.
    pub given_up: Option<String>,
    /// Requests that it took to find out.
    pub requests: Requests,
}

/// Returns the states of recipes, and what a build of them would take from the shared cache.
pub(super) fn forecast(site: &Site, selectors: &[String]) -> Result<(Assessment, Forecast), WorkspaceError> {
    let shared = Shared::named(site)?;
    let record = site.cache.record(Access::Read)?;
    let mut session = assess_selected(site, record.clone(), selectors, Looks::default())?;
    let store = site.cache.store(&record);
    let mut reader = shared.reader(None);
    let files: Vec<_> = session
        .recipes
        .iter()
        .filter(|assessed| !matches!(assessed.status.state, State::Fresh | State::Invalid))
        .filter_map(|assessed| assessed.file.filter(|_| assessed.recipe.is_some()))
        .collect();
    let mut found = Forecast { remote: reader.name().to_owned(), ..Forecast::default() };
    let (mut asked, mut large) = (HashSet::<ActionKey>::new(), BTreeSet::<BlobId>::new());
    loop {
        let (mut wanted, mut also): (Vec<(ActionKey, Digest)>, Vec<Digest>) = (Vec::new(), Vec::new());
        found.missing.clear();
        let mut needed = BTreeSet::new();
        for file in &files {
            let Node::Needs(actions) = plan(&session.planner, *file) else { continue };
            let of_recipe = *scope::of_recipe(&session.planner, *file);
            // Another recipe may have asked for all of this, but not where this one has its own.
            also.extend(of_recipe);
            for action in actions.iter().filter(|action| needed.insert(action.key)) {
                *found.missing.entry(action.work.stage()).or_default() += 1;
                if !asked.insert(action.key) {
                    continue;
                }
                match scope::of_action(action, &site.versions) {
                    Some((own, next)) => {
                        wanted.push((action.key, own));
                        also.extend(next);
                    }
                    None => wanted.extend(of_recipe.map(|own| (action.key, own))),
                }
            }
        }
        also.sort_unstable();
        also.dedup();
        reader.find(&wanted, &also);
        let mut has_any = false;
        for (key, _) in &wanted {
            let outcome = reader.outcome(key).and_then(|bytes| postcard::from_bytes::<Outcome>(bytes).ok());
            let Some(outcome) = outcome else { continue };
            let blobs = outcome.blobs();
            let absent = blobs.iter().zip(store.has(&blobs)).filter(|(id, has)| !has && !reader.has_small(id));
            large.extend(absent.map(|(id, _)| *id));
            *found.results.entry(outcome.stage()).or_default() += 1;
            session.planner.learn(key, Known::Outcome(outcome));
            has_any = true;
        }
        if !has_any {
            break;
        }
    }
    found.artifacts = large.len() as u64;
    found.given_up = reader.given_up().map(str::to_owned);
    found.refused = reader.refused();
    found.requests = shared.requests();
    Ok((session.into_assessment(), found))
}
