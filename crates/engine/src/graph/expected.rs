//! Holds results to what recipes expect of them, before their files are put in place.

use super::{
    action::{ArrangeOutcome, Outcome, SelectedSource, TallyOutcome, Work},
    inputs::{PlannerDb, RecipeFile, VersionsIn},
    keys::Tally,
    queries::{
        Node, RecipePlan, arranged, dataset, in_entry, invalid, made, mixed, mixing, node, ready, targets, validation,
    },
};
use datac_core::{
    config::{Expectation, Expected, Found, Validation},
    failure::{Failure, FailureKind, SourceFault},
    id::ActionKey,
    key::Keyed,
    outputs::{BySide, Destination},
};

/// Returns what a recipe expects.
pub(super) fn expectations(db: &dyn PlannerDb, file: RecipeFile) -> &[Expectation] {
    targets(db, file).as_ref().map_or(&[], |(.., expectations)| expectations)
}

/// Returns whether anything is expected of a number.
pub(super) fn is_expected(expectations: &[Expectation], of: &Expected) -> bool {
    expectations.iter().any(|expectation| expectation.of == *of)
}

/// Returns the key of what counts the numbers that take a look at each row.
pub(super) fn tally_key(
    db: &dyn PlannerDb,
    file: RecipeFile,
    sources: &[SelectedSource],
    arranged: &ArrangeOutcome,
    validation: &Validation,
) -> ActionKey {
    let tokens = is_expected(expectations(db, file), &Expected::Tokens);
    Tally { normalise: &validation.normalise, tokens }.key(&(sources, arranged), &VersionsIn(db))
}

/// Returns the numbers that take a look at each row that is written.
#[salsa::tracked]
pub(super) fn tallied(db: &dyn PlannerDb, file: RecipeFile) -> Node<TallyOutcome> {
    let (sources, _) = ready!(mixed(db, file));
    let arranged = ready!(arranged(db, file));
    let Some(validation) = validation(db, file) else { return invalid() };
    let tokens = is_expected(expectations(db, file), &Expected::Tokens);
    node(
        db,
        tally_key(db, file, sources, arranged, validation),
        |outcome| if let Outcome::Tally(outcome) = outcome { Some(*outcome) } else { None },
        || Work::Tally {
            sources: sources.to_vec(),
            arranged: arranged.clone(),
            normalise: validation.normalise,
            tokens,
        },
    )
}

/// Returns why the result of a recipe is not what it expects; `None` if it is.
#[salsa::tracked]
pub(super) fn unmet(db: &dyn PlannerDb, file: RecipeFile) -> Node<Option<Failure>> {
    let expectations = expectations(db, file);
    if expectations.is_empty() {
        return Node::Ready(None);
    }
    let (sources, _) = ready!(mixed(db, file));
    let arranged = ready!(arranged(db, file));
    let Some((mix, ..)) = mixing(db, file) else { return invalid() };
    let is_tallied = expectations.iter().any(|expectation| expectation.of.is_tallied());
    let tallied = if is_tallied { Some(*ready!(tallied(db, file))) } else { None };
    let mixed = sources.iter().zip(&arranged.realised).enumerate().filter(|(number, _)| {
        // A side that is made of splits of the datasets has its own sources.
        dataset(db, file, *number).as_ref().is_some_and(|(_, dataset)| dataset.is_mixed())
    });
    let found = Found {
        rows: BySide::new(|side| arranged.realised.iter().map(|source| *source.rows.get(side)).sum()),
        rows_read: sources.iter().map(|source| source.selected.rows_read).sum(),
        rejects: sources.iter().flat_map(|source| &source.selected.rejects).map(|(_, count)| count).sum(),
        characters: tallied.map_or(0, |tallied| tallied.characters),
        tokens: tallied.map_or(0, |tallied| tallied.tokens),
        repeated_prompts: tallied.map_or(0, |tallied| tallied.repeated_prompts),
        mixed: mixed.map(|(_, (source, realised))| (source.name.as_str(), realised.all_units())).collect(),
        unit: Some(mix.unit),
    };
    let failed = expectations.iter().filter_map(|expectation| {
        let failure = Failure::plain(FailureKind::Policy, expectation.unmet(&found)?).about(SourceFault::Unexpected);
        Some(in_entry(db, file, 0, &failure.at_key(expectation.of.setting())))
    });
    let hint = "mend the sources, or change `expect` if this is as it should be";
    Node::Ready(Failure::of_all(failed.collect()).map(|failure| failure.hint(hint)))
}

/// Returns where the files of a recipe are to be put.
pub(super) fn destination(db: &dyn PlannerDb, file: RecipeFile) -> Node<Destination> {
    match ready!(unmet(db, file)) {
        Some(_) => Node::Ready(Destination::Unexpected),
        None => Node::Ready(Destination::Place),
    }
}

/// Returns the plan of a recipe whose result is not what it expects, once all of its actions have an outcome.
pub(crate) fn unexpected(db: &dyn PlannerDb, file: RecipeFile) -> Option<RecipePlan> {
    match (unmet(db, file), made(db, file)) {
        (Node::Ready(Some(_)), Node::Ready(plan)) => Some(plan),
        _ => None,
    }
}
