//! What the sources of a recipe come to once their samples have been compared with each other.

use std::sync::Arc;

use super::{
    action::{GroupedSource, Grouping, Outcome, SelectOutcome, SelectedSource, Work},
    inputs::{PlannerDb, VersionsIn},
    keys::Group,
    queries::{Node, node, ready},
};
use datac_core::{
    config::{Overlap, SourceRole},
    failure::{Failure, FailureKind},
    id::ActionKey,
    key::Keyed,
    outputs::Side,
};

/// Returns whether anything of sources with these roles depends on samples of other sources.
pub(super) fn is_needed(grouping: &Grouping, mut roles: impl Iterator<Item = SourceRole>) -> bool {
    grouping.deduplicate.is_some() || roles.any(|role| role != SourceRole::Mixed)
}

/// Returns the key of the comparison of all sources of a recipe; `None` if they need not be compared.
pub(super) fn group_key(db: &dyn PlannerDb, sources: &[SelectedSource], grouping: &Grouping) -> Option<ActionKey> {
    let is_needed = is_needed(grouping, sources.iter().map(|source| source.role));
    is_needed.then(|| Group { grouping }.key(&sources, &VersionsIn(db)))
}

/// Returns the sources of a recipe, less the samples that leave because of samples of other sources.
pub(super) fn grouped(
    db: &dyn PlannerDb,
    sources: &Arc<Vec<SelectedSource>>,
    grouping: &Grouping,
) -> Node<Arc<Vec<SelectedSource>>> {
    let Some(key) = group_key(db, sources, grouping) else { return Node::Ready(sources.clone()) };
    let found = ready!(node(
        db,
        key,
        |outcome| if let Outcome::Group(found) = outcome { Some(found.clone()) } else { None },
        || Work::Group { sources: sources.to_vec(), grouping: grouping.clone() },
    ));
    let left = |(source, found): (&SelectedSource, &GroupedSource)| {
        let GroupedSource { selection, kept, characters, tokens, grouped } = *found;
        let selected = SelectOutcome { selection, kept, characters, tokens, ..source.selected.clone() };
        let ungrouped = Some(source.selected.selection);
        SelectedSource { selected, grouped: Some(grouped), ungrouped, ..source.clone() }
    };
    let left: Vec<SelectedSource> = sources.iter().zip(&found).map(left).collect();
    match refusal(&left) {
        Some(failure) => Node::Failed(failure),
        None => Node::Ready(Arc::new(left)),
    }
}

/// Returns why what is left must not be built: an overlap that is not allowed, or a side or a mixture without a row.
fn refusal(sources: &[SelectedSource]) -> Option<Failure> {
    for side in [Side::Test, Side::Validation] {
        let is_refused = |source: &&SelectedSource| source.role == SourceRole::Held(side, Overlap::Fail);
        let shared: u64 = sources.iter().filter_map(|source| Some(*source.grouped?.shared.get(side))).sum();
        if let (Some(held), 1..) = (sources.iter().find(is_refused), shared) {
            let message = format!("{shared} rows of other sources have prompts of `{}` (`overlap: fail`)", held.name);
            let hint = "`overlap: remove` leaves these rows out, `overlap: keep` keeps and counts them";
            return Some(Failure::plain(FailureKind::Policy, message).hint(hint));
        }
    }
    let held = sources.iter().find(|source| source.selected.kept == 0 && matches!(source.role, SourceRole::Held(..)));
    let is_mixed = |source: &&SelectedSource| source.role == SourceRole::Mixed;
    let mut mixed = sources.iter().filter(is_mixed);
    let message = match held {
        Some(held) => format!("no rows of `{}` are left: all of its prompts are in the test side", held.name),
        None if mixed.all(|source| source.selected.kept == 0) => {
            "no rows are left for training: all prompts are in other sides or excluded".to_owned()
        }
        None => return None,
    };
    let hint = "check which files each side is read from; `overlap: keep` keeps rows whose prompts are in other sides";
    Some(Failure::plain(FailureKind::Policy, message).hint(hint))
}
