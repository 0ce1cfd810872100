//! The model of a recipe, pinned.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    action::{FileOrigin, ModelFile, ModelOutcome, Outcome, PinnedFile, PinnedModel, SourceFile, Work},
    inputs::{PlannerDb, RecipeFile, Snapshot, SnapshotKey, VersionsIn, World},
    keys::ReadModel,
    queries::{Node, dataset, in_entry, node, parse},
};
use crate::source::{MODELS, Purpose, RemoteFile, Selection};
use datac_core::{
    config::{Location, Model, SourceRole},
    failure::{Failure, FailureKind, SourceFault},
    key::Keyed,
    leaf::Setting,
    sample::SampleKind,
};
use datac_decode::{Compression, FileKind, Reading, RowFormat};

const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";
const ADDITIONAL: &str = "additional_chat_templates/";

/// Returns what a file of a model's repository is for; `None` if it decides nothing.
pub(crate) fn model_file(path: &str) -> Option<ModelFile> {
    match path {
        TOKENIZER => Some(ModelFile::Tokenizer),
        TOKENIZER_CONFIG => Some(ModelFile::TokenizerConfig),
        CHAT_TEMPLATE => Some(ModelFile::ChatTemplate),
        _ => {
            let name = path.strip_prefix(ADDITIONAL)?.strip_suffix(".jinja")?;
            (!name.contains('/')).then(|| ModelFile::NamedTemplate(name.to_owned()))
        }
    }
}

/// Returns the keys of the snapshots that a model depends on: its repository or folder, and the recipe's own template.
pub(crate) fn model_key(model: &Model, here: &BTreeSet<String>) -> Vec<SnapshotKey> {
    let folder = match &model.location {
        Location::Hub { .. } | Location::Bucket { .. } => None,
        Location::Local { paths, .. } => paths.first(),
        Location::Named { name, .. } => here.get(name),
    };
    let of_model = match folder {
        None => SnapshotKey {
            source: format!("{MODELS}{}", model.location.source()),
            revision: model.location.revision().map(str::to_owned),
            selection: None,
        },
        Some(folder) => {
            let folder = folder.trim_end_matches('/');
            let names = [TOKENIZER, TOKENIZER_CONFIG, CHAT_TEMPLATE, "additional_chat_templates/*.jinja"];
            let paths = names.map(|name| format!("{folder}/{name}")).into();
            let selection = Selection { paths, purpose: Purpose::Files, ..Selection::default() };
            SnapshotKey { source: folder.to_owned(), revision: None, selection: Some(selection) }
        }
    };
    let of_template = model.template_path().map(|path| {
        let selection = Selection { paths: vec![path.to_owned()], purpose: Purpose::Files, ..Selection::default() };
        SnapshotKey { source: path.to_owned(), revision: None, selection: Some(selection) }
    });
    [of_model].into_iter().chain(of_template).collect()
}

/// Returns the model of a recipe as it is pinned; `None` if it has none.
#[salsa::tracked]
pub(super) fn pinned_model(db: &dyn PlannerDb, file: RecipeFile) -> Result<Option<Arc<PinnedModel>>, Failure> {
    let Some(model) = parse(db, file).as_ref().ok().and_then(|recipe| recipe.model.as_ref()) else { return Ok(None) };
    pinned(db, file, model).map(Some)
}

/// Returns the model that an output has of its own as it is pinned, by the name of the output's folder; `None` if it has none.
#[salsa::tracked]
pub(super) fn pinned_model_of_output(
    db: &dyn PlannerDb,
    file: RecipeFile,
    folder: String,
) -> Result<Option<Arc<PinnedModel>>, Failure> {
    let Ok(recipe) = parse(db, file) else { return Ok(None) };
    let Some(model) = recipe.models.get(&folder) else { return Ok(None) };
    pinned(db, file, model).map(Some).map_err(|failure| failure.of_output(&folder))
}

fn pinned(db: &dyn PlannerDb, file: RecipeFile, model: &Model) -> Result<Arc<PinnedModel>, Failure> {
    let about = |failure: Failure, key: &str| {
        let failure = match failure.about {
            Some(_) => failure,
            None => failure.about(SourceFault::Model),
        };
        let failure = Failure { about: failure.about.map(|about| Box::new(of_model(*about))), ..failure };
        in_entry(db, file, 0, &failure.at_key(Setting::Model(key.to_owned())))
    };
    if !cfg!(feature = "model") {
        let failure = Failure::plain(FailureKind::Config, "this datac was built without the `model` feature");
        return Err(about(failure.hint("build datac with its default features"), "source"));
    }
    let mut keys = model_key(model, World::get(db).here(db)).into_iter();
    let snapshot = |key: Option<SnapshotKey>| -> Result<Option<&Arc<Snapshot>>, Failure> {
        let Some(key) = key else { return Ok(None) };
        match World::get(db).snapshots(db).get(&key).and_then(|input| input.state(db).as_ref()) {
            Some(Ok(snapshot)) => Ok(Some(snapshot)),
            Some(Err(failure)) => Err(failure.clone()),
            None => Err(Failure::plain(FailureKind::Lock, format!("the model `{}` is not in datac.lock", key.source))
                .about(SourceFault::NotPinned)
                .hint("run `datac lock` or `datac build`")),
        }
    };
    let own = snapshot(keys.next()).map_err(|failure| about(failure, "source"))?;
    let own = own.expect("a model has a place");
    let folder = match own.origin.commit() {
        Some(_) => String::new(),
        None => format!("{}/", own.origin.name()),
    };
    let of = |path: &str| model_file(path.strip_prefix(&folder)?);
    let pinned =
        |of, origin: &FileOrigin, file: &RemoteFile| PinnedFile { of, origin: origin.clone(), file: file.clone() };
    let mut files: Vec<PinnedFile> =
        own.files.iter().filter_map(|file| Some(pinned(of(&file.path)?, &own.origin, file))).collect();
    if !files.iter().any(|file| file.of == ModelFile::Tokenizer) {
        let message = format!("`{}` has no `{TOKENIZER}`", model.location.source());
        let failure = Failure::plain(FailureKind::Config, message);
        let hint = "name a folder or a repository with the tokenizer of a model, as `save_pretrained` writes it";
        return Err(about(failure.hint(hint), "source"));
    }
    if let Some(path) = model.template_path() {
        let template = snapshot(keys.next()).map_err(|failure| about(failure, "template"))?;
        let found = template.and_then(|template| Some((&template.origin, template.files.first()?)));
        let Some((origin, template)) = found else {
            let failure = Failure::plain(FailureKind::Config, format!("the template `{path}` does not exist"));
            return Err(about(failure.hint("name a file of the workspace, or a template of the model"), "template"));
        };
        files.retain(|file| matches!(file.of, ModelFile::Tokenizer | ModelFile::TokenizerConfig));
        files.push(pinned(ModelFile::ChatTemplate, origin, template));
    }
    files.sort_by(|a, b| a.of.cmp(&b.of));
    Ok(Arc::new(PinnedModel { model: model.clone(), origin: own.origin.clone(), files }))
}

/// Makes a fault of a source one of the model.
fn of_model(about: datac_core::failure::AboutSource) -> datac_core::failure::AboutSource {
    datac_core::failure::AboutSource { fault: SourceFault::Model, word: None, ..about }
}

/// Returns the files of a recipe's models that a hub has.
pub(crate) fn model_files(db: &dyn PlannerDb, file: RecipeFile) -> Result<Vec<SourceFile>, Failure> {
    let mut models: Vec<Arc<PinnedModel>> = pinned_model(db, file).clone()?.into_iter().collect();
    for folder in parse(db, file).iter().flat_map(|recipe| recipe.models.keys()) {
        models.extend(pinned_model_of_output(db, file, folder.clone()).clone()?);
    }
    let kind = FileKind { format: RowFormat::Txt, compression: Compression::None };
    let source_file = |PinnedFile { origin, file, .. }: &PinnedFile| SourceFile {
        inside: None,
        origin: origin.clone(),
        path: file.path.clone(),
        size: file.size,
        digest: file.digest,
        etag: None,
        kind,
        reading: Reading::default(),
    };
    let files = models.iter().flat_map(|model| &model.files);
    Ok(files.filter(|file| !file.origin.is_local()).map(source_file).collect())
}

/// Returns the model of a recipe as it is pinned, if it has one that is.
pub(crate) fn model_of(db: &dyn PlannerDb, file: RecipeFile) -> Option<Arc<PinnedModel>> {
    pinned_model(db, file).as_ref().ok()?.clone()
}

/// Returns the models that outputs of a recipe have of their own, by the names of the outputs' folders, as far as they are pinned.
pub(crate) fn models_of_outputs(db: &dyn PlannerDb, file: RecipeFile) -> Vec<(String, Arc<PinnedModel>)> {
    let folders = parse(db, file).iter().flat_map(|recipe| recipe.models.keys()).cloned().collect::<Vec<_>>();
    let pinned = |folder: String| {
        let model = pinned_model_of_output(db, file, folder.clone()).as_ref().ok()?.clone()?;
        Some((folder, model))
    };
    folders.into_iter().filter_map(pinned).collect()
}

/// Returns the model that a dataset entry is encoded for, once its files have been read and found usable; `None` if there is
/// none. Rows that are left out are not encoded.
pub(super) fn model_for(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Node<Option<Arc<PinnedModel>>> {
    let pinned = match pinned_model(db, file) {
        Ok(None) => return Node::Ready(None),
        Ok(Some(pinned)) => pinned.clone(),
        Err(failure) => return Node::Failed(failure.clone()),
    };
    if dataset(db, file, number).as_ref().is_some_and(|(_, dataset)| dataset.role == SourceRole::Excluded) {
        return Node::Ready(None);
    }
    match read_model(db, &pinned) {
        Node::Ready(outcome) => {
            let kind = dataset(db, file, number).as_ref().map(|(kind, _)| *kind);
            match lacking(&outcome, kind) {
                None => Node::Ready(Some(pinned)),
                Some(failure) => Node::Failed(in_entry(db, file, 0, &failure)),
            }
        }
        Node::Needs(needs) => Node::Needs(needs),
        Node::Failed(failure) => Node::Failed(in_entry(db, file, 0, &failure)),
    }
}

/// Returns what is known of a model once its files have been read.
pub(super) fn read_model(db: &dyn PlannerDb, pinned: &Arc<PinnedModel>) -> Node<ModelOutcome> {
    node(
        db,
        ReadModel { model: pinned }.key(&(), &VersionsIn(db)),
        |outcome| if let Outcome::ReadModel(outcome) = outcome { Some(outcome.clone()) } else { None },
        || Work::ReadModel(pinned.clone()),
    )
}

/// Returns what a model lacks for samples of a kind.
pub(super) fn lacking(model: &ModelOutcome, kind: Option<SampleKind>) -> Option<Failure> {
    let failure = |why: &str, hint: &str| {
        let failure = Failure::plain(FailureKind::Config, format!("the model cannot be used: {why}"));
        failure.about(SourceFault::Model).at_key(Setting::Model("source".to_owned())).hint(hint)
    };
    match (&model.no_template, kind) {
        (_, Some(SampleKind::Text)) if !model.ends_texts => {
            let hint = "name its `eos_token` in `tokenizer_config.json`, as a token of `added_tokens`";
            Some(failure("it has no token that ends a text", hint))
        }
        (Some(why), Some(kind)) if kind != SampleKind::Text => {
            Some(failure(why, "name a template of the workspace, such as `template: templates/chat.jinja`"))
        }
        _ => None,
    }
}
