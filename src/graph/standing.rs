//! Everything that decides a recipe's outputs, by name: what `status` and `why` compare between then and now.

use super::{
    action::arrange_version,
    inputs::{PlannerDb, RecipeFile, Snapshot, World},
    queries::parse,
    selection::measures,
    sources::{conversion, files, snapshot_key},
};
use crate::{code, config::Unit, decode::CUTTER_VERSION, hash::Manifest, mix::select::SELECT_VERSION, quality};

/// The versions of the stages that every recipe goes through, as `name -> version`.
pub(crate) fn stage_versions() -> Vec<(&'static str, String)> {
    let decode = code::hash_of_all("decode/");
    vec![
        ("decoder", format!("{CUTTER_VERSION}+{decode}")),
        ("row writer", code::hash_of("row.rs").to_owned()),
        ("selection", format!("{SELECT_VERSION}+{}", code::hash_of("mix/select.rs"))),
        ("arrangement", arrange_version()),
    ]
}

/// The leaves of a recipe that parses; sources that are not locked yet have none.
#[salsa::tracked]
pub(crate) fn leaves(db: &dyn PlannerDb, file: RecipeFile) -> Manifest {
    let mut manifest = Manifest::new();
    let Ok(recipe) = parse(db, file) else { return manifest };
    recipe.leaves(&mut manifest);
    for (number, dataset) in recipe.datasets.iter().enumerate() {
        let name = &dataset.name;
        let snapshot =
            World::get(db).snapshots(db).get(&snapshot_key(dataset)).and_then(|input| input.state(db).as_ref());
        if let Some(Ok(snapshot)) = snapshot
            && let Snapshot::Hub { repo, commit, .. } = &**snapshot
        {
            manifest.push(format!("commit of {repo}"), commit);
        }
        if let Ok(files) = files(db, file, number) {
            for file in files {
                manifest.push(format!("file {} of {}", file.path, file.origin.name()), file.digest);
            }
        }
        if let Ok(Some(conversion)) = conversion(db, file, number) {
            manifest.push(format!("converter of {name}"), format!("{} {}", conversion.converter, conversion.code));
        }
        for measure in measures(recipe.metadata.kind, dataset, recipe.mix.unit == Unit::Tokens) {
            let entry = format!("scorer {}", measure.kind.name());
            if manifest.get(&entry).is_none() {
                manifest.push(entry, quality::code_version(measure.kind));
            }
        }
    }
    for (stage, version) in stage_versions() {
        manifest.push(stage, version);
    }
    manifest
}
