//! Scopes: which outcomes are looked up together in a shared cache, and what of it a recipe looks up.
//!
//! A scope follows from what is known before anything has run: the digest of a file, a conversion, the text of a recipe. Another
//! machine therefore knows the scope before it knows a single outcome.

use super::{
    action::{Action, ChunkRef, Conversion, SourceFile, Work},
    inputs::{Known, PlannerDb, RecipeFile, Snapshot, VersionsIn, World},
    keys,
    model::{model_key, model_of, models_of_outputs},
    queries::{Node, known, parse, plan, recipe_keys},
    selection::{Looked, looked_up},
    slice::{Made, Share, made},
    sources::{conversion_of, files, scan_key, snapshot_keys},
};
use datac_core::{
    code::CodeVersions,
    hash::Digest,
    id::{ActionKey, ChunkId},
    key::{Encoder, Keyed, Versions},
};
use datac_decode::Decoder;

/// Version of how scopes are named. Another one finds nothing of this one.
const SCOPE_VERSION: u64 = 1;

fn scope(kind: &str, fill: impl FnOnce(&mut Encoder)) -> Digest {
    let mut encoder = Encoder::default();
    encoder.name("scope").integer(SCOPE_VERSION);
    encoder.name("kind").text(kind);
    fill(&mut encoder);
    encoder.finish()
}

/// Returns the scope of what a file is cut into, given the key of its scan.
fn of_file(scan: &ActionKey) -> Digest {
    scope("file", |encoder| encoder.name("scan").digest(scan.digest()))
}

/// Returns the scope of what is made of the chunks of a file by one conversion.
fn of_chunks(scan: &ActionKey, conversion: &Conversion, decoder: Decoder, versions: &dyn Versions) -> Digest {
    // The key of a chunk that does not exist stands for everything else that decides the conversion.
    let nothing = ChunkId::from_bytes([0; 32]);
    let family = keys::Convert { conversion, decoder }.key(&&nothing, versions);
    scope("chunks", |encoder| {
        encoder.name("scan").digest(scan.digest());
        encoder.name("conversion").digest(family.digest());
    })
}

fn of_model(key: &ActionKey) -> Digest {
    scope("model", |encoder| encoder.name("model").digest(key.digest()))
}

/// Returns the scope of what belongs to one recipe: its selections, arrangement and outputs. `None` if the recipe is invalid, or
/// one of its sources is not pinned.
#[salsa::tracked]
pub(crate) fn of_recipe(db: &dyn PlannerDb, file: RecipeFile) -> Option<Digest> {
    let recipe = parse(db, file).as_ref().ok()?;
    let (world, here) = (World::get(db), World::get(db).here(db));
    let mut keys: Vec<_> = recipe.datasets.iter().flat_map(|dataset| snapshot_keys(dataset, here)).collect();
    keys.extend(recipe.all_models().flat_map(|model| model_key(model, here)));
    let snapshots: Option<Vec<&Snapshot>> =
        keys.iter().map(|key| Some(&**world.snapshots(db).get(key)?.state(db).as_ref()?.as_ref().ok()?)).collect();
    let snapshots = snapshots?;
    Some(scope("recipe", |encoder| {
        encoder.name("path").text(file.path(db));
        encoder.name("text").digest(Digest::of(file.text(db)));
        if let Some(defaults) = world.vocabulary(db).defaults.canonical() {
            encoder.name("defaults").text(&defaults);
        }
        encoder.name("snapshots").list(snapshots.len());
        for snapshot in snapshots {
            encoder.text(snapshot.origin.name());
            encoder.text(snapshot.origin.commit().unwrap_or_default());
            encoder.list(snapshot.files.len());
            for file in &snapshot.files {
                encoder.text(&file.path);
                encoder.text(&file.digest.to_string());
            }
        }
        encoder.name("code").list(world.code(db).len());
        for (component, code) in world.code(db) {
            encoder.text(&component.to_string());
            encoder.integer(u64::from(code.version(db)));
        }
    }))
}

/// Returns the scope in which the outcome of an action is looked up, and those that are probably asked for next; `None` if it is
/// that of the recipes that wait for the action.
pub(crate) fn of_action(action: &Action, versions: &CodeVersions) -> Option<(Digest, Vec<Digest>)> {
    let scan = |file: &SourceFile| keys::Scan { file }.key(&(), versions);
    let of_chunk = |chunk: &ChunkRef, conversion: &Conversion| {
        of_chunks(&scan(&chunk.file), conversion, chunk.encoding.decoder(), versions)
    };
    match &action.work {
        Work::Scan(work) => {
            let conversions = work.followers.iter().filter_map(|follower| follower.conversion.as_ref());
            let decoder = Decoder::of(work.file.kind.format);
            let next = conversions.map(|conversion| of_chunks(&action.key, conversion, decoder, versions));
            Some((of_file(&action.key), next.collect()))
        }
        Work::List(_) => Some((of_file(&action.key), Vec::new())),
        Work::Convert(chunk, conversion, _)
        | Work::Score(chunk, conversion, ..)
        | Work::Render(chunk, conversion, ..) => Some((of_chunk(chunk, conversion), Vec::new())),
        Work::ReadModel(_) => Some((of_model(&action.key), Vec::new())),
        Work::Select { .. }
        | Work::Group { .. }
        | Work::Arrange { .. }
        | Work::Tally { .. }
        | Work::RenderStored(..)
        | Work::Output { .. }
        | Work::Shaped { .. }
        | Work::Quarantine { .. } => None,
    }
}

/// Returns everything that a worker has made of the files of its slice for a recipe, by scope: no more than what has an outcome, so
/// that the rest is not taken to be there.
pub(crate) fn worked(db: &dyn PlannerDb, file: RecipeFile, share: &Share) -> Vec<(Digest, Vec<ActionKey>)> {
    let Ok(recipe) = parse(db, file) else { return Vec::new() };
    let versions = VersionsIn(db);
    let mut found: Vec<(Digest, Vec<ActionKey>)> = Vec::new();
    for number in 0..recipe.datasets.len() {
        let conversion = conversion_of(db, file, number);
        let mut last: Option<(ActionKey, Digest)> = None;
        made(db, file, number, share, &mut |made| match (made, &conversion) {
            (Made::Scan(scan), _) => found.push((of_file(&scan), vec![scan])),
            (Made::Chunk(chunk, keys), Some(conversion)) => {
                let scan = scan_key(db, &chunk.file);
                let scope = match last.filter(|(known, _)| *known == scan) {
                    Some((_, scope)) => scope,
                    None => of_chunks(&scan, conversion, chunk.encoding.decoder(), &versions),
                };
                match found.last_mut().filter(|(known, _)| *known == scope) {
                    Some((_, known)) => known.extend(keys),
                    None => found.push((scope, keys)),
                }
                last = Some((scan, scope));
            }
            // What has been converted has a conversion.
            (Made::Chunk(..), None) => {}
        });
    }
    if let Some(model) = model_of(db, file).filter(|_| !found.is_empty()) {
        let key = keys::ReadModel { model: &model }.key(&(), &versions);
        if matches!(known(db, &key), Known::Outcome(_)) {
            found.push((of_model(&key), vec![key]));
        }
    }
    found
}

/// Returns every action that a recipe looks up, by scope, once its plan is known; nothing before.
pub(crate) fn reached(db: &dyn PlannerDb, file: RecipeFile) -> Vec<(Digest, Vec<ActionKey>)> {
    let (Node::Ready(_), Ok(recipe)) = (plan(db, file), parse(db, file)) else { return Vec::new() };
    let versions = VersionsIn(db);
    let mut found: Vec<(Digest, Vec<ActionKey>)> = Vec::new();
    let mut own: Vec<ActionKey> = Vec::new();
    for number in 0..recipe.datasets.len() {
        let Ok(files) = files(db, file, number) else { continue };
        for source in files {
            let scans = source.archive().iter().chain([&**source]).map(|file| scan_key(db, file)).collect::<Vec<_>>();
            found.extend(scans.into_iter().map(|scan| (of_file(&scan), vec![scan])));
        }
        let Some(conversion) = conversion_of(db, file, number) else { continue };
        let mut last: Option<(ActionKey, Digest)> = None;
        looked_up(db, file, number, &mut |looked| match looked {
            Looked::Chunk(chunk, keys) => {
                let scan = scan_key(db, &chunk.file);
                let scope = match last.filter(|(known, _)| *known == scan) {
                    Some((_, scope)) => scope,
                    None => of_chunks(&scan, &conversion, chunk.encoding.decoder(), &versions),
                };
                match found.last_mut().filter(|(known, _)| *known == scope) {
                    Some((_, known)) => known.extend(keys),
                    None => found.push((scope, keys)),
                }
                last = Some((scan, scope));
            }
            Looked::Select(key) => own.push(key),
        });
    }
    let of_outputs = models_of_outputs(db, file).into_iter().map(|(_, model)| model);
    for model in model_of(db, file).into_iter().chain(of_outputs) {
        let key = keys::ReadModel { model: &model }.key(&(), &versions);
        found.push((of_model(&key), vec![key]));
    }
    own.extend(recipe_keys(db, file));
    if let Some(scope) = *of_recipe(db, file) {
        found.push((scope, own));
    }
    found
}
