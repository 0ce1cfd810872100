//! What the cards of a recipe's targets say before the files are written.

use std::{fmt, sync::Arc};

use super::{
    action::{PinnedModel, SelectedSource},
    inputs::{PlannerDb, RecipeFile},
    keys::Noted,
    model::{model_of, read_model},
    queries::{Node, arranged, invalid, mixed, parse, ready},
    sources::license,
};
use datac_core::{
    card::{About, AboutModel, AboutSource, unit_word},
    config::{
        Dataset, Model,
        model::{Overlong, SpecialTokens, TrainOn},
    },
    license::License,
    mix::{Grouped, Realised},
};

/// Returns what cards quote of the recipe and the sources, before any row is read; `None` if the recipe is invalid.
pub(super) fn noted(db: &dyn PlannerDb, file: RecipeFile) -> Option<Noted> {
    let recipe = parse(db, file).as_ref().ok()?;
    let names = recipe.datasets.iter().map(|dataset| dataset.name.clone());
    let licenses = names.enumerate().map(|(number, name)| (name, license(db, file, number))).collect();
    Some(Noted { description: recipe.metadata.description.clone(), licenses })
}

/// Returns what cards say, with the counts of a build.
pub(super) fn about(db: &dyn PlannerDb, file: RecipeFile, noted: &Noted) -> Node<Arc<About>> {
    let (sources, _) = ready!(mixed(db, file));
    let arranged = ready!(arranged(db, file));
    let Ok(recipe) = parse(db, file) else { return invalid() };
    let licenses = noted.licenses.iter().map(|(_, license)| license.clone());
    let realised = arranged.realised.iter().copied();
    let each = recipe.datasets.iter().zip(sources.iter()).zip(realised).zip(licenses);
    let sources = each.map(|(((dataset, source), realised), license)| of_source(dataset, source, &realised, license));
    let model = match model_of(db, file) {
        Some(model) => Some(of_model(&model, ready!(read_model(db, &model)).vocabulary)),
        None => None,
    };
    Node::Ready(Arc::new(About {
        phase: recipe.metadata.phase.clone(),
        description: noted.description.clone(),
        kind: recipe.metadata.kind,
        unit: unit_word(recipe.mix.unit),
        sources: sources.collect(),
        model,
    }))
}

pub(super) fn of_model(pinned: &PinnedModel, vocabulary: u64) -> AboutModel {
    let Model {
        template, arguments, now, train_on, reasoning, end_of_turn, special_tokens, max_tokens, overlong, ..
    } = &pinned.model;
    let word = |key: &str, value: &dyn fmt::Display| format!("{key}: {value}");
    let mut settings: Vec<String> = template.iter().map(|name| word("template", name)).collect();
    settings.extend(arguments.iter().map(|(name, json)| word(name, json)));
    settings.extend(now.iter().map(|now| word("now", now)));
    if *train_on != TrainOn::default() {
        settings.push(word("train_on", &train_on.word()));
    }
    settings.extend((!reasoning).then(|| word("reasoning", &false)));
    settings.extend((!end_of_turn).then(|| word("end_of_turn", &false)));
    if *special_tokens != SpecialTokens::default() {
        settings.push(word("special_tokens", &special_tokens.word()));
    }
    settings.extend(max_tokens.iter().map(|max| word("max_tokens", max)));
    if *overlong != Overlong::default() {
        settings.push(word("overlong", &overlong.word()));
    }
    let (from, commit) = (pinned.model.location.source().to_owned(), pinned.origin.commit().map(str::to_owned));
    AboutModel { from, commit, settings, vocabulary }
}

fn of_source(dataset: &Dataset, source: &SelectedSource, realised: &Realised, license: Option<License>) -> AboutSource {
    let origin = source.chunks.first().map(|chunk| &chunk.chunk.file.origin);
    let outcome = &source.selected;
    let config = dataset.config_name.iter().map(|name| format!("config {name}"));
    let splits = dataset.splits.iter().map(|split| format!("split {split}"));
    let passed = dataset.filters.iter().zip(&outcome.filters);
    AboutSource {
        name: dataset.name.clone(),
        from: origin.map_or_else(|| dataset.location.source().to_owned(), |origin| origin.name().to_owned()),
        commit: origin.and_then(|origin| origin.commit().map(str::to_owned)),
        part: config.chain(splits).collect(),
        role: dataset.role.word(),
        license,
        read: outcome.rows_read,
        rejects: outcome.rejects.iter().map(|(reason, count)| (reason.code(), *count)).collect(),
        filters: passed.map(|(filter, count)| (filter.to_string(), count.rows_in, count.rows_out)).collect(),
        left: source.grouped.iter().flat_map(left).collect(),
        kept: outcome.kept,
        share: dataset.is_mixed().then_some(dataset.mix_ratio),
        units: realised.all_units(),
        rows: realised.rows,
        repeats: realised.repeats,
    }
}

/// Returns why samples left when sources were compared, and how many.
fn left(grouped: &Grouped) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    let all = [
        ("the prompt is excluded", grouped.excluded),
        ("a source of validation rows has the prompt", grouped.held.validation),
        ("a source of test rows has the prompt", grouped.held.test),
        ("an earlier row is the same", grouped.duplicates),
    ];
    all.into_iter().filter(|(_, count)| *count > 0)
}
