//! The progress of each stage of a recipe, which `why` reports.

use super::{
    expected::tallied,
    grouping::{grouped, is_needed},
    inputs::{PlannerDb, RecipeFile},
    model::model_for,
    own_model::seen,
    queries::{Node, arranged, dataset, mixed, mixing, parse, selections, written},
    selection::{chunks, converted, is_scored, measures, rendered, scored, selected},
    sources::{conversion, files, scanned},
};

use datac_core::{config::SourceRole, stage::Stage};

/// Returns, for each stage of a recipe, how many of its actions have an outcome and how many are missing. `None`
/// means that the number of missing actions depends on an earlier stage.
pub(crate) fn stages(db: &dyn PlannerDb, file: RecipeFile) -> Vec<(Stage, u64, Option<u64>)> {
    let sources = parse(db, file).as_ref().map_or(0, |recipe| recipe.datasets.len());
    let mut scan = (0, 0);
    let (mut convert, mut score, mut render) = ((0, Some(0)), (0, Some(0)), (0, Some(0)));
    let has_model = parse(db, file).as_ref().is_ok_and(|recipe| recipe.model.is_some());
    let renders = parse(db, file).as_ref().is_ok_and(|recipe| recipe.all_models().next().is_some());
    let mut select = (0, Some(0));
    for number in 0..sources {
        let Some((kind, dataset)) = dataset(db, file, number) else { continue };
        let (Ok(files), Ok(conversion)) = (files(db, file, number), conversion(db, file, number)) else { continue };
        let mut unread = 0;
        for file in files {
            match scanned(db, file) {
                Ok(Some(_)) => scan.0 += 1,
                _ => unread += 1,
            }
        }
        let Ok(chunks) = chunks(db, files, conversion.as_ref(), *kind) else {
            scan.1 += unread;
            continue;
        };
        // A source limited by `max_samples` does not wait for files it may never read.
        if dataset.take.first().is_some() && !chunks.steps.is_empty() {
            unread = 0;
        }
        scan.1 += unread;
        let is_unknown = unread > 0;
        let mut samples = 0;
        for step in &chunks.steps {
            if dataset.take.first().is_some_and(|max| samples >= max) {
                break;
            }
            match converted(db, *step) {
                Node::Ready(outcome) => {
                    convert.0 += 1;
                    samples += u64::from(outcome.samples);
                }
                _ => {
                    convert.1 = convert.1.map(|missing| missing + 1);
                    samples += u64::from(step.chunk(db).rows);
                }
            }
            let mut measures = measures(db, file, number).unwrap_or_default();
            measures.retain(|measure| is_scored(measure, has_model));
            let wanted = measures.len() as u64;
            match scored(db, *step, measures) {
                Node::Ready(digests) => score.0 += digests.len() as u64,
                _ => score.1 = score.1.map(|missing| missing + wanted),
            }
            let rendered = match model_for(db, file, number) {
                Node::Ready(Some(model)) => matches!(rendered(db, *step, model), Node::Ready(_)),
                Node::Ready(None) => continue,
                Node::Needs(_) | Node::Failed(_) => false,
            };
            match rendered {
                true => render.0 += 1,
                false => render.1 = render.1.map(|missing| missing + 1),
            }
        }
        if is_unknown {
            (convert.1, score.1, render.1) = (None, None, None);
        }
        match selected(db, file, number) {
            Node::Ready(_) => select.0 += 1,
            _ => select.1 = None,
        }
    }
    for folder in parse(db, file).iter().flat_map(|recipe| recipe.models.keys()) {
        let chunks = match selections(db, file) {
            Node::Ready(sources) => {
                let encoded = sources.iter().filter(|source| source.role != SourceRole::Excluded);
                Some(encoded.map(|source| source.chunks.len() as u64).sum::<u64>())
            }
            _ => None,
        };
        match (seen(db, file, folder.clone()), chunks) {
            (Node::Ready(_), Some(chunks)) => render.0 += chunks,
            (Node::Needs(needs), Some(chunks)) => {
                let missing = (needs.len() as u64).min(chunks);
                render = (render.0 + chunks - missing, render.1.map(|known| known + missing));
            }
            _ => render.1 = None,
        }
    }
    let last = |is_known: bool, before_is_known: bool| match (is_known, before_is_known) {
        (true, _) => (1, Some(0)),
        (false, true) => (0, Some(1)),
        (false, false) => (0, None),
    };
    let is_mixed = matches!(mixed(db, file), Node::Ready(_));
    let is_arranged = matches!(arranged(db, file), Node::Ready(_));
    let arrange = last(is_arranged, is_mixed);
    let output = last(matches!(written(db, file), Node::Ready(_)), is_arranged);
    let roles = || parse(db, file).iter().flat_map(|recipe| &recipe.datasets).map(|dataset| dataset.role);
    let grouping = mixing(db, file).as_ref().map(|(.., grouping)| grouping);
    let is_compared = grouping.is_some_and(|grouping| is_needed(grouping, roles()));
    let is_grouped = match (selections(db, file), grouping) {
        (Node::Ready(sources), Some(grouping)) => matches!(grouped(db, sources, grouping), Node::Ready(_)),
        _ => false,
    };
    let group = last(is_grouped, select.1 == Some(0));
    let mut stages = vec![
        (Stage::Scan, scan.0, Some(scan.1)),
        (Stage::Convert, convert.0, convert.1),
        (Stage::Score, score.0, score.1),
        (Stage::Select, select.0, select.1),
        (Stage::Arrange, arrange.0, arrange.1),
        (Stage::Output, output.0, output.1),
    ];
    let after = |stage: Stage, stages: &[(Stage, u64, Option<u64>)]| {
        stages.iter().position(|(known, ..)| *known == stage).map_or(0, |at| at + 1)
    };
    if renders {
        stages.insert(after(Stage::Score, &stages), (Stage::Render, render.0, render.1));
    }
    if parse(db, file).as_ref().is_ok_and(|recipe| recipe.expect.iter().any(|one| one.of.is_tallied())) {
        let tally = last(matches!(tallied(db, file), Node::Ready(_)), is_arranged);
        stages.insert(after(Stage::Arrange, &stages), (Stage::Tally, tally.0, tally.1));
    }
    if is_compared {
        stages.insert(after(Stage::Select, &stages), (Stage::Group, group.0, group.1));
    }
    stages
}
