//! Everything that decides a recipe's outputs: by name, so that `status` and `why` can compare two points in time,
//! and as one digest for the first look.

use std::collections::BTreeSet;

use super::{
    about::noted,
    action::Grouping,
    expected::is_expected,
    grouping::is_needed,
    inputs::{PlannerDb, RecipeFile, VersionsIn, World},
    keys::{
        Arrange, Convert, Group, Hashed, Output, Quarantine, ReadModel, RenderStored, Scan, Score, Select, Shaped,
        Tally, decide_storing, decoder_component,
    },
    model::{model_of, models_of_outputs},
    queries::parse,
    selection::{is_scored, measures},
    sources::{conversion, files, snapshot_key},
};
use datac_core::{
    code::{CodeVersions, Component},
    config::{Defaults, Expected, decide_role, is_in_bucket, model::OfOutput},
    id::{EnvironmentId, FileHash},
    key::{Encoder, KEY_VERSION, Keyed, LeafCollector, Visitor},
    leaf::{Leaf, Leaves},
};
use datac_decode::Decoder;

/// Returns the leaves of a recipe. The list is empty if the recipe is invalid; sources that are not locked have no
/// leaves for their files.
#[salsa::tracked]
pub(crate) fn leaves(db: &dyn PlannerDb, file: RecipeFile) -> Leaves {
    let versions = VersionsIn(db);
    let mut collector = LeafCollector::new(&versions);
    let Ok(recipe) = parse(db, file) else { return collector.finish() };
    recipe.decide(&mut collector);
    let mut are_all_listed = true;
    for (number, dataset) in recipe.datasets.iter().enumerate() {
        collector.within(&dataset.name, |leaves| {
            dataset.decide(leaves);
            dataset.options.decide(leaves);
            let snapshot = World::get(db)
                .snapshots(db)
                .get(&snapshot_key(dataset, World::get(db).here(db)))
                .and_then(|input| input.state(db).as_ref());
            if let Some(Ok(snapshot)) = snapshot
                && let Some(commit) = snapshot.origin.commit()
                && !is_in_bucket(snapshot.origin.name())
            {
                // Of objects in a bucket, their own names tell more.
                leaves.source(Leaf::Commit { repo: snapshot.origin.name().to_owned() }, &Hashed(commit));
            }
            let files = files(db, file, number).as_deref().unwrap_or_default();
            files.iter().for_each(|file| Scan { file }.decide(leaves));
            are_all_listed &= !files.iter().any(|file| file.kind.format.is_archive());
            let formats = files.iter().map(|file| Decoder::of(file.kind.format));
            let decoders: BTreeSet<Decoder> = formats.collect();
            for decoder in decoders {
                match conversion(db, file, number) {
                    Ok(Some(conversion)) => Convert { conversion, decoder }.decide(leaves),
                    // The columns decide the converter, and they have not been read yet.
                    _ => {
                        decide_storing(decoder, leaves);
                        leaves.code(Component::Rules);
                        leaves.unknown(Leaf::Converter { dataset: dataset.name.clone() });
                    }
                }
                // A function whose module is gone has no files.
                let measures = measures(db, file, number).unwrap_or_default();
                let scored = measures.iter().filter(|measure| is_scored(measure, recipe.model.is_some()));
                scored.for_each(|measure| Score { measure, decoder }.decide(leaves));
            }
            decide_role(dataset.role, leaves);
            Select { filters: &dataset.filters, take: dataset.take }.decide(leaves);
        });
    }
    let own = model_of(db, file).into_iter().map(|model| (None, model));
    let of_outputs = models_of_outputs(db, file).into_iter().map(|(folder, model)| (Some(folder), model));
    for (folder, model) in own.chain(of_outputs) {
        if let Some(commit) = model.origin.commit() {
            collector.source(Leaf::Commit { repo: model.origin.name().to_owned() }, &Hashed(commit));
        }
        match &folder {
            None => ReadModel { model: &model }.decide(&mut collector),
            Some(folder) => {
                let mut visitor = OfOutput { folder, visitor: &mut collector };
                ReadModel { model: &model }.decide(&mut visitor);
                RenderStored { model: &model }.decide(&mut visitor);
            }
        }
    }
    let grouping = Grouping { deduplicate: recipe.mix.deduplicate, normalise: recipe.validation.normalise };
    if is_needed(&grouping, recipe.datasets.iter().map(|dataset| dataset.role)) {
        Group { grouping: &grouping }.decide(&mut collector);
    }
    Arrange { unit: recipe.mix.unit, validation: &recipe.validation }.decide(&mut collector);
    if recipe.expect.iter().any(|expectation| expectation.of.is_tallied()) {
        Tally { normalise: &recipe.validation.normalise, tokens: is_expected(&recipe.expect, &Expected::Tokens) }
            .decide(&mut collector);
    }
    if recipe.writes_native() {
        Output.decide(&mut collector);
    }
    if let Some(noted) = recipe.targets().next().and_then(|_| noted(db, file)) {
        recipe.targets().for_each(|target| Shaped { target, noted: &noted }.decide(&mut collector));
    }
    Quarantine.decide(&mut collector);
    // What reads the files of an archive is not known before these are. What is known otherwise stays.
    if !are_all_listed {
        Decoder::ALL.iter().for_each(|decoder| collector.unknown(Leaf::Code(decoder_component(*decoder))));
    }
    collector.finish()
}

/// Returns one digest of everything outside a recipe's own text and files that its outputs may depend on.
pub(crate) fn environment(lock: &FileHash, hub: &str, defaults: &Defaults, versions: &CodeVersions) -> EnvironmentId {
    let mut encoder = Encoder::default();
    if let Some(defaults) = defaults.canonical() {
        encoder.name("defaults").text(&defaults);
    }
    encoder.name("keys").integer(KEY_VERSION.into());
    encoder.name("lock").digest(lock.digest());
    encoder.name("hub").text(hub);
    for (component, version) in versions.iter() {
        encoder.name("code").text(&component.to_string());
        encoder.integer(version.into());
    }
    EnvironmentId::new(encoder.finish())
}
