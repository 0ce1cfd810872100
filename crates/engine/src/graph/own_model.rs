//! Outputs with a model of their own: the samples of their recipe as that model sees them.
//!
//! Which samples a recipe has, and on which sides they are, is decided without these models. They are given what is stored, so
//! another model reads no source file and converts nothing.

use std::sync::Arc;

use super::{
    about::{about, of_model},
    action::{ConvertedChunk, Outcome, PinnedModel, SelectedSource, StoredOutcome, StoredSamples, Work},
    inputs::{PlannerDb, RecipeFile, VersionsIn},
    keys::{Noted, RenderStored},
    model::{lacking, pinned_model_of_output, read_model},
    queries::{Node, in_entry, invalid, mixed, node, parse, ready},
    selection::selected,
};
use datac_core::{card::About, config::SourceRole, failure::Failure, id::ActionKey, key::Keyed, outputs::Target};

/// What an output with a model of its own is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnModel {
    /// The model.
    pub pinned: Arc<PinnedModel>,
    /// The sources of the recipe after selection, with their samples as this model sees them.
    pub sources: Arc<Vec<SelectedSource>>,
    /// What the card of the output says.
    pub about: Arc<About>,
}

/// The chunks of each source as a model sees them.
type SeenChunks = Arc<Vec<Arc<Vec<ConvertedChunk>>>>;

/// Returns the chunks of each source of a recipe as the model of an output sees them, by the name of the output's folder; `None` if it
/// has no model of its own.
///
/// What is missing of sources that have been selected is named at once, whatever others wait for.
#[salsa::tracked]
pub(super) fn seen(db: &dyn PlannerDb, file: RecipeFile, folder: String) -> Node<Option<SeenChunks>> {
    let Ok(recipe) = parse(db, file) else { return invalid() };
    let model = match pinned_model_of_output(db, file, folder.clone()) {
        Ok(Some(model)) => model,
        Ok(None) => return Node::Ready(None),
        Err(failure) => return Node::Failed(failure.clone()),
    };
    let of_output = |failure: &Failure| in_entry(db, file, 0, &failure.clone().of_output(&folder));
    match read_model(db, model) {
        Node::Ready(outcome) => {
            if let Some(failure) = lacking(&outcome, Some(recipe.metadata.kind)) {
                return Node::Failed(of_output(&failure));
            }
        }
        Node::Needs(needs) => return Node::Needs(needs),
        Node::Failed(failure) => return Node::Failed(of_output(&failure)),
    }
    let (mut sources, mut needs, mut are_all_selected) = (Vec::new(), Vec::new(), true);
    for number in 0..recipe.datasets.len() {
        let Node::Ready(source) = selected(db, file, number) else {
            are_all_selected = false;
            continue;
        };
        if source.role == SourceRole::Excluded {
            sources.push(source.chunks.clone());
            continue;
        }
        let mut chunks = Vec::with_capacity(source.chunks.len());
        for chunk in source.chunks.iter() {
            match rendered(db, chunk, model) {
                Node::Ready(StoredOutcome { encoded, refused }) => {
                    chunks.push(ConvertedChunk { encoded: Some(encoded), refused, ..chunk.clone() });
                }
                Node::Needs(actions) => needs.extend(actions),
                Node::Failed(failure) => return Node::Failed(of_output(&chunk.chunk.file.told(&failure))),
            }
        }
        sources.push(Arc::new(chunks));
    }
    if are_all_selected && needs.is_empty() { Node::Ready(Some(Arc::new(sources))) } else { Node::Needs(needs) }
}

fn stored(chunk: &ConvertedChunk) -> StoredSamples {
    StoredSamples { rows: chunk.converted.rows, index: chunk.converted.index }
}

fn rendered(db: &dyn PlannerDb, chunk: &ConvertedChunk, model: &Arc<PinnedModel>) -> Node<StoredOutcome> {
    node(
        db,
        RenderStored { model }.key(&stored(chunk), &VersionsIn(db)),
        |outcome| if let Outcome::RenderStored(outcome) = outcome { Some(*outcome) } else { None },
        || Work::RenderStored(stored(chunk), chunk.chunk.file.path.clone(), model.clone()),
    )
}

/// Returns what a target with a model of its own is made of; `None` if it has none.
pub(super) fn own_model(
    db: &dyn PlannerDb,
    file: RecipeFile,
    target: &Target,
    noted: &Noted,
) -> Node<Option<Arc<OwnModel>>> {
    let folder = target.folder().into_owned();
    let Some(seen) = ready!(seen(db, file, folder.clone())) else { return Node::Ready(None) };
    let Ok(Some(pinned)) = pinned_model_of_output(db, file, folder) else { return invalid() };
    let (sources, _) = ready!(mixed(db, file));
    let with = |(source, chunks): (&SelectedSource, &Arc<Vec<ConvertedChunk>>)| SelectedSource {
        chunks: chunks.clone(),
        ..source.clone()
    };
    let about = &about(db, file, noted);
    let vocabulary = ready!(read_model(db, pinned)).vocabulary;
    let about = About { model: Some(of_model(pinned, vocabulary)), ..About::clone(ready!(about)) };
    Node::Ready(Some(Arc::new(OwnModel {
        pinned: pinned.clone(),
        sources: Arc::new(sources.iter().zip(seen.iter()).map(with).collect()),
        about: Arc::new(about),
    })))
}

/// Returns the keys of what is rendered for the models of outputs, as far as sources have been selected.
pub(super) fn keys_of_outputs(db: &dyn PlannerDb, file: RecipeFile) -> Vec<ActionKey> {
    let mut keys = Vec::new();
    let Ok(recipe) = parse(db, file) else { return keys };
    for folder in recipe.models.keys() {
        let Ok(Some(model)) = pinned_model_of_output(db, file, folder.clone()) else { continue };
        for number in 0..recipe.datasets.len() {
            let Node::Ready(source) = selected(db, file, number) else { continue };
            let chunks = source.chunks.iter().filter(|_| source.role != SourceRole::Excluded);
            keys.extend(chunks.map(|chunk| RenderStored { model }.key(&stored(chunk), &VersionsIn(db))));
        }
    }
    keys
}
