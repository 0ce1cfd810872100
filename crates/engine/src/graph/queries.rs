//! The tracked queries. They return ids and small values; rows stay in the store.

use std::{collections::HashSet, sync::Arc};

use super::{
    about::{about, noted},
    action::{
        Action, ArrangeOutcome, ConvertedChunk, Grouping, Outcome, SelectOutcome, SelectedSource, ShapedOutcome,
        TallyOutcome, Work,
    },
    expected::{destination, expectations, is_expected, tallied, tally_key, unmet},
    grouping::{group_key, grouped},
    inputs::{Known, PlannerDb, RecipeFile, VersionsIn, World},
    keys::{self, Arrange, Quarantine},
    model::pinned_model,
    own_model::{OwnModel, keys_of_outputs, own_model, seen},
    selection::selected,
    sources::files,
};
use datac_core::{
    card::About,
    config::{
        self, Amount, Dataset, Expectation, Expected, Mix, Problem, Recipe, SourceRole, Unit, Validation, percent,
    },
    failure::{Failure, FailureKind, SourceFault},
    id::ActionKey,
    key::Keyed,
    leaf::Setting,
    mix::{Allotment, allot},
    outputs::{BySide, Destination, FileMeta, NamedFile, OutputKind, OutputSet, Side, Target},
    quality::ScoreKind,
    rules::{self, Mode},
    sample::SampleKind,
};

/// The value of a step of the plan, or why there is none yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<T> {
    /// The value is known.
    Ready(T),
    /// These actions must run first.
    Needs(Vec<Arc<Action>>),
    /// The step failed.
    Failed(Failure),
}

/// Takes the value of a node, or returns early with what is missing.
macro_rules! ready {
    ($node:expr) => {
        match $node {
            Node::Ready(value) => value,
            Node::Needs(actions) => return Node::Needs(actions.clone()),
            Node::Failed(failure) => return Node::Failed(failure.clone()),
        }
    };
}
pub(super) use ready;

/// The plan of a recipe whose actions all have an outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipePlan {
    /// Names of its files.
    pub outputs: OutputSet,
    /// The kind of its samples.
    pub kind: SampleKind,
    /// Its sources after selection.
    pub sources: Arc<Vec<SelectedSource>>,
    /// How they are mixed, split and ordered.
    pub arranged: ArrangeOutcome,
    /// Number of units that each source was to give.
    pub allotment: Allotment,
    /// What was counted because the recipe expects something of it.
    pub tallied: Option<TallyOutcome>,
    /// The file of each side, in the native shape; none if the recipe asks for other shapes alone.
    pub files: BySide<Option<FileMeta>>,
    /// The files of each target.
    pub shaped: Vec<(Target, Arc<ShapedOutcome>)>,
    /// What each target with a model of its own is made of, in the order of the targets; `None` for others.
    pub own: Vec<Option<Arc<OwnModel>>>,
    /// What the cards of the targets say; `None` without targets.
    pub about: Option<Arc<About>>,
    /// The quarantine file, if any row was rejected.
    pub quarantine: Option<FileMeta>,
}

impl RecipePlan {
    /// Returns the name of each output that the recipe has or may have, with the file to be written there; `None` if there
    /// is to be no quarantine file.
    pub fn named(&self) -> impl Iterator<Item = (OutputKind, String, Option<FileMeta>)> {
        let is_its = |kind: &OutputKind| *kind == OutputKind::Quarantine || self.file(*kind).is_some();
        let own = OutputKind::all().filter(is_its).map(|kind| (kind, self.outputs.name(kind), self.file(kind)));
        let shaped = self.shaped.iter().flat_map(|(_, shaped)| &shaped.files);
        own.chain(shaped.map(|file| {
            let kind = OutputKind::of(&file.name).unwrap_or(OutputKind::Beside);
            (kind, file.name.clone(), Some(file.meta))
        }))
    }

    /// Returns a file of the recipe; `None` for a side that it does not write, and for the quarantine file if no row was
    /// rejected.
    pub fn file(&self, kind: OutputKind) -> Option<FileMeta> {
        match kind {
            OutputKind::Rows(side) => *self.files.get(side),
            OutputKind::Quarantine => self.quarantine,
            // There may be several.
            OutputKind::Shard(_) | OutputKind::Beside => None,
        }
    }

    /// Returns the files of the recipe that are to be written.
    pub fn written(&self) -> impl Iterator<Item = FileMeta> {
        let shaped = self.shaped.iter().flat_map(|(_, shaped)| shaped.files.iter().map(|file| file.meta));
        OutputKind::all().filter_map(|kind| self.file(kind)).chain(shaped)
    }

    /// Returns the number of rows on a side. Without native rows they are those of the first target, less what does not fit it.
    pub fn rows(&self, side: Side) -> u64 {
        match (self.files.get(side), self.shaped.first()) {
            (Some(file), _) => file.rows,
            (None, Some((_, shaped))) => {
                let is_of = |file: &&NamedFile| OutputKind::of(&file.name) == Some(OutputKind::Shard(side));
                shaped.files.iter().filter(is_of).map(|file| file.meta.rows).sum()
            }
            (None, None) => 0,
        }
    }
}

/// The rejects of a recipe, once their file is written.
#[derive(Clone, Debug)]
pub(crate) struct Rejects {
    /// Names of the recipe's files.
    pub(crate) outputs: OutputSet,
    /// The sources that the rejects come from.
    pub(crate) sources: Arc<Vec<SelectedSource>>,
    /// The quarantine file.
    pub(crate) file: FileMeta,
}

/// Returns the parsed recipe, or everything that is wrong with it.
#[salsa::tracked]
pub(crate) fn parse(db: &dyn PlannerDb, file: RecipeFile) -> Result<Arc<Recipe>, Vec<Problem>> {
    let vocabulary = World::get(db).vocabulary(db);
    config::load(file.path(db), file.text(db), vocabulary).map(Arc::new)
}

// The next three queries separate a recipe's text from what depends on it: an edit to the seed changes only
// `validation`.

#[salsa::tracked]
pub(super) fn dataset(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Option<(SampleKind, Arc<Dataset>)> {
    let recipe = parse(db, file).as_ref().ok()?;
    Some((recipe.metadata.kind, Arc::new(recipe.datasets.get(number)?.clone())))
}

#[salsa::tracked]
pub(super) fn validation(db: &dyn PlannerDb, file: RecipeFile) -> Option<Validation> {
    Some(parse(db, file).as_ref().ok()?.validation.clone())
}

#[salsa::tracked]
pub(super) fn mixing(db: &dyn PlannerDb, file: RecipeFile) -> Option<(Mix, Vec<f64>, Option<Amount>, Grouping)> {
    let recipe = parse(db, file).as_ref().ok()?;
    let shares = recipe.datasets.iter().map(|dataset| dataset.mix_ratio).collect();
    let grouping = Grouping { deduplicate: recipe.mix.deduplicate, normalise: recipe.validation.normalise };
    Some((recipe.mix.clone(), shares, recipe.max_rejects, grouping))
}

#[salsa::tracked]
pub(super) fn counts_tokens(db: &dyn PlannerDb, file: RecipeFile) -> bool {
    let is_unit = mixing(db, file).as_ref().is_some_and(|(mix, ..)| mix.unit == Unit::Tokens);
    is_unit || is_expected(expectations(db, file), &Expected::Tokens)
}

/// Returns the names of a recipe's files.
#[salsa::tracked]
pub(super) fn outputs(db: &dyn PlannerDb, file: RecipeFile) -> Option<OutputSet> {
    Some(parse(db, file).as_ref().ok()?.outputs(file.path(db)))
}

pub(super) fn invalid<T>() -> Node<T> {
    Node::Failed(Failure::new(FailureKind::Config, "read the recipe"))
}

pub(super) fn known<'db>(db: &'db dyn PlannerDb, key: &ActionKey) -> &'db Known {
    db.cell(key).known(db)
}

/// Returns the value that `take` gets from an action's outcome, or the action itself if it has no outcome.
pub(super) fn node<T>(
    db: &dyn PlannerDb,
    key: ActionKey,
    take: impl Fn(&Outcome) -> Option<T>,
    work: impl FnOnce() -> Work,
) -> Node<T> {
    match known(db, &key) {
        Known::Outcome(outcome) => match take(outcome) {
            Some(value) => Node::Ready(value),
            // The outcome is of another kind, so the record is damaged: run the action again.
            None => Node::Needs(vec![Arc::new(Action { key, work: work() })]),
        },
        Known::Nothing => Node::Needs(vec![Arc::new(Action { key, work: work() })]),
        Known::Failure(failure) => Node::Failed(failure.clone()),
    }
}

/// Returns the selections of all sources of a recipe.
#[salsa::tracked]
pub(super) fn selections(db: &dyn PlannerDb, file: RecipeFile) -> Node<Arc<Vec<SelectedSource>>> {
    let Some((_, shares, ..)) = mixing(db, file) else { return invalid() };
    let measures_tokens = |number| {
        let filters = dataset(db, file, number).as_ref().map(|(_, dataset)| dataset.filters.as_slice());
        filters.unwrap_or_default().iter().any(|filter| filter.scorer == ScoreKind::TOKENS)
    };
    let counts = *counts_tokens(db, file) || (0..shares.len()).any(measures_tokens);
    let has_model = !matches!(pinned_model(db, file), Ok(None));
    if counts && !has_model && !cfg!(feature = "tokens") {
        let failure = Failure::plain(
            FailureKind::Config,
            "`unit: tokens` needs the `tokens` feature, which this datac was built without",
        );
        return Node::Failed(failure.hint("use `unit: characters`, or build datac with its default features"));
    }
    let (mut sources, mut needs) = (Vec::new(), Vec::new());
    for number in 0..shares.len() {
        match selected(db, file, number) {
            Node::Ready(source) => sources.push(source.clone()),
            Node::Needs(actions) => needs.extend(actions.iter().cloned()),
            Node::Failed(failure) => return Node::Failed(in_entry(db, file, number, failure)),
        }
    }
    if needs.is_empty() { Node::Ready(Arc::new(sources)) } else { Node::Needs(needs) }
}

/// Returns the failure of a source as one of the dataset entry that names it.
pub(super) fn in_entry(db: &dyn PlannerDb, file: RecipeFile, number: usize, failure: &Failure) -> Failure {
    match dataset(db, file, number) {
        Some((_, dataset)) => failure.clone().in_dataset(file.path(db), &dataset.name),
        None => failure.clone(),
    }
}

/// The sources of a recipe as they were selected, where all are known.
pub(crate) fn sources_of(db: &dyn PlannerDb, file: RecipeFile) -> Option<Arc<Vec<SelectedSource>>> {
    match selections(db, file) {
        Node::Ready(sources) => Some(sources.clone()),
        _ => None,
    }
}

/// Returns the selections of all sources of a recipe, and how much each source is to give.
#[salsa::tracked]
pub(super) fn mixed(db: &dyn PlannerDb, file: RecipeFile) -> Node<(Arc<Vec<SelectedSource>>, Allotment)> {
    let sources = ready!(selections(db, file));
    let Some((mix, shares, max_rejects, grouping)) = mixing(db, file) else { return invalid() };
    let nothing_read = |number| nothing_read(db, file, number);
    if let Some((number, failure)) = refusal(file.path(db), sources, *max_rejects, nothing_read) {
        return Node::Failed(in_entry(db, file, number, &failure));
    }
    let sources = &ready!(grouped(db, sources, grouping));
    let sizes: Vec<u64> = sources
        .iter()
        .map(|source| match mix.unit {
            Unit::Rows => source.selected.kept,
            Unit::Characters => source.selected.characters,
            Unit::Tokens => source.selected.tokens,
        })
        .collect();
    Node::Ready((sources.clone(), allotted(sources, &sizes, shares, mix)))
}

/// Returns how much each source gives: of what is mixed its share, of what makes up a side all, of what is excluded
/// nothing. A source all of whose rows left for another one has no share.
fn allotted(sources: &[SelectedSource], sizes: &[u64], shares: &[f64], mix: &Mix) -> Allotment {
    let is_shared = |number: &usize| sources[*number].role == SourceRole::Mixed && sizes[*number] > 0;
    let mixed: Vec<usize> = (0..sources.len()).filter(is_shared).collect();
    let sizes_of: Vec<u64> = mixed.iter().map(|number| sizes[*number]).collect();
    let shares_of: Vec<f64> = mixed.iter().map(|number| shares[*number]).collect();
    let Allotment { total, counts } = allot(&sizes_of, &shares_of, mix.strategy, mix.total);
    let held = |number: usize| if sources[number].role.side().is_some() { sizes[number] } else { 0 };
    let mut all: Vec<u64> = (0..sources.len()).map(held).collect();
    mixed.iter().zip(counts).for_each(|(number, count)| all[*number] = count);
    Allotment { total, counts: all }
}

/// Returns why the selected sources must not be built: too many rejects, or a source without a sample.
fn refusal(
    recipe: &str,
    sources: &[SelectedSource],
    max_rejects: Option<Amount>,
    nothing_read: impl Fn(usize) -> String,
) -> Option<(usize, Failure)> {
    let total = |source: &SelectOutcome| source.rejects.iter().map(|(_, count)| count).sum::<u64>();
    let rejects: u64 = sources.iter().map(|source| total(&source.selected)).sum();
    let rows: u64 = sources.iter().map(|source| source.selected.rows_read).sum();
    let (too_many, allowed) = match max_rejects {
        Some(Amount::Count(max)) => (rejects > max, max.to_string()),
        Some(Amount::Share(max)) => (rejects as f64 > max * rows as f64, percent(max)),
        None => (false, String::new()),
    };
    if too_many {
        let message = format!("{rejects} of {rows} rows were rejected; `max_rejects` allows {allowed}");
        let failure = Failure::plain(FailureKind::Policy, message).about(SourceFault::ManyRejects);
        let first = sources.iter().position(|source| !source.selected.rejects.is_empty()).unwrap_or(0);
        let hint = format!("`datac show {recipe} --rejected` shows them; or raise `max_rejects`");
        return Some((first, failure.hint(hint)));
    }
    if let Some(failure) = forbidden(sources) {
        return Some(failure);
    }
    let number = sources.iter().position(|source| source.selected.kept == 0)?;
    let (name, outcome) = (&sources[number].name, &sources[number].selected);
    if outcome.rows_read == 0 {
        let message = format!("`{name}` has no rows: {}", nothing_read(number));
        let failure = Failure::plain(FailureKind::Policy, message).about(SourceFault::Empty);
        return Some((number, failure.hint("check its files and `splits`, or remove the source")));
    }
    let mut why: Vec<String> =
        outcome.rejects.iter().map(|(reason, count)| format!("{count} {}", reason.code())).collect();
    if outcome.rows_without_samples > 0 {
        why.push(format!("{} without a sample", outcome.rows_without_samples));
    }
    why.extend(
        outcome
            .filters
            .iter()
            .map(|filter| format!("`{}` kept {} of {} rows", filter.filter, filter.rows_out, filter.rows_in)),
    );
    let message = format!("no rows of `{name}` are left, of {} read ({})", outcome.rows_read, why.join(", "));
    let mut failure = Failure::plain(FailureKind::Policy, message).about(SourceFault::NothingLeft);
    // A function that fails for every sample mostly has a bug.
    if let Some((filter, why)) = outcome.filters.iter().find_map(|count| Some((count, count.failure.as_ref()?))) {
        failure = failure.note(format!("`{}` refuses {} rows, first: {why}", filter.filter, filter.failed));
    }
    let hint = match (total(outcome) == outcome.rows_read, outcome.filters.first()) {
        (false, Some(filter)) => format!("`datac show {recipe} --dropped {}` shows them", filter.filter),
        _ if outcome.filters.iter().any(|filter| filter.failed > 0) => {
            format!("`datac show {recipe} --rejected` shows the rows, each with the reason")
        }
        _ if outcome.rows_without_samples == outcome.rows_read => {
            "no row makes a sample: does the `converter` suit it?".to_owned()
        }
        _ if !outcome.rejects.is_empty() && outcome.rejects.iter().all(|(reason, _)| reason.is_of_model()) => {
            format!(
                "does the `model` suit it? `datac show {recipe} --rejected` shows the rows, and why it refuses them"
            )
        }
        _ => format!("does the `converter` suit it? `datac show {recipe} --rejected` shows the rows"),
    };
    Some((number, failure.hint(hint)))
}

/// Returns the first source with a row that breaks a rule of mode `fail`, and why its recipe is not built.
fn forbidden(sources: &[SelectedSource]) -> Option<(usize, Failure)> {
    for (number, source) in sources.iter().enumerate() {
        let fails = |chunk: &&ConvertedChunk| chunk.converted.broken.iter().any(|broken| broken.mode == Mode::Fail);
        let Some(chunk) = source.chunks.iter().find(fails) else { continue };
        let broken = chunk.converted.broken.iter().find(|broken| broken.mode == Mode::Fail)?;
        let reason = rules::by_name(&broken.rule).map(|rule| rule.reason);
        let first = chunk.converted.rejected.iter().find(|(_, found)| Some(*found) == reason);
        // Rows count from 0, as in the quarantine file and wherever else one is named.
        let row = chunk.chunk.place.first_row + first.map_or(0, |(row, _)| u64::from(*row));
        let message = format!(
            "row {row} of `{}` breaks the rule `{}` of `{}`, which must not be broken",
            chunk.chunk.file.path, broken.rule, source.name
        );
        let failure = Failure::plain(FailureKind::Policy, message).about(SourceFault::ManyRejects);
        let failure = failure.at_key(Setting::Rule(broken.rule.to_string()));
        return Some((number, failure.hint(format!("mend the row, or write `rules: {{{}: reject}}`", broken.rule))));
    }
    None
}

/// Says what is at hand of a source without rows: the one file that is empty, or how many there are.
fn nothing_read(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> String {
    let files = files(db, file, number).as_deref().unwrap_or_default();
    let empty = files.iter().filter(|file| file.size == 0).count();
    match files {
        [] => "no file was read".to_owned(),
        [one] if one.size == 0 => format!("`{}` is empty", one.path),
        [one] => format!("`{}` holds none", one.path),
        many if empty == many.len() => format!("its {} files are empty", many.len()),
        many => format!("its {} files hold none, `{}` first", many.len(), many[0].path),
    }
}

fn arrange_key(
    db: &dyn PlannerDb,
    sources: &[SelectedSource],
    allotment: &Allotment,
    mix: &Mix,
    validation: &Validation,
) -> ActionKey {
    Arrange { unit: mix.unit, validation }.key(&(sources, allotment), &VersionsIn(db))
}

#[salsa::tracked]
pub(super) fn arranged(db: &dyn PlannerDb, file: RecipeFile) -> Node<ArrangeOutcome> {
    let (sources, allotment) = ready!(mixed(db, file));
    let (Some(validation), Some((mix, ..))) = (validation(db, file), mixing(db, file)) else { return invalid() };
    node(
        db,
        arrange_key(db, sources, allotment, mix, validation),
        |outcome| if let Outcome::Arrange(outcome) = outcome { Some(outcome.clone()) } else { None },
        || Work::Arrange {
            sources: sources.to_vec(),
            allotment: allotment.clone(),
            unit: mix.unit,
            validation: validation.clone(),
            sides: validation.sides(sources.iter().map(|source| source.role)),
        },
    )
}

#[salsa::tracked]
pub(super) fn output(db: &dyn PlannerDb, file: RecipeFile) -> Node<BySide<Option<FileMeta>>> {
    let arranged = ready!(arranged(db, file));
    let (sources, _) = ready!(mixed(db, file));
    let at = destination(db, file);
    let destination = *ready!(&at);
    let Some(outputs) = outputs(db, file) else { return invalid() };
    node(
        db,
        keys::Output.key(&(sources.as_slice(), arranged), &VersionsIn(db)),
        |outcome| if let Outcome::Output(files) = outcome { Some(*files) } else { None },
        || Work::Output {
            outputs: outputs.clone(),
            destination,
            sources: sources.to_vec(),
            arranged: arranged.clone(),
        },
    )
}

/// Returns the files of a target.
#[salsa::tracked]
pub(super) fn shaped(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Node<Arc<ShapedOutcome>> {
    let (Some(outputs), Some((kind, _, targets, _))) = (outputs(db, file), targets(db, file)) else { return invalid() };
    let (Some(target), Some(noted)) = (targets.get(number), noted(db, file)) else { return invalid() };
    // What its own model sees is asked for while samples are still being arranged.
    let arranged = match (arranged(db, file), seen(db, file, target.folder().into_owned())) {
        (Node::Failed(failure), _) | (_, Node::Failed(failure)) => return Node::Failed(failure.clone()),
        (Node::Ready(arranged), _) => arranged,
        (Node::Needs(needs), Node::Needs(more)) => return Node::Needs(needs.iter().chain(more).cloned().collect()),
        (Node::Needs(needs), _) => return Node::Needs(needs.clone()),
    };
    let (sources, _) = ready!(mixed(db, file));
    let at = destination(db, file);
    let destination = *ready!(&at);
    let own = own_model(db, file, target, &noted);
    let own = ready!(&own).as_deref();
    let about = about(db, file, &noted);
    let about = match own {
        Some(own) => &own.about,
        None => ready!(&about),
    };
    let sources = own.map_or(sources, |own| &own.sources);
    let max_tokens = own.and_then(|own| own.pinned.model.max_tokens);
    node(
        db,
        keys::Shaped { target, noted: &noted }
            .key(&(outputs, sources.as_slice(), arranged, about, max_tokens), &VersionsIn(db)),
        |outcome| if let Outcome::Shaped(outcome) = outcome { Some(outcome.clone()) } else { None },
        || Work::Shaped {
            outputs: outputs.clone(),
            destination,
            target: target.clone(),
            kind: *kind,
            sources: sources.to_vec(),
            arranged: arranged.clone(),
            about: about.clone(),
            max_tokens,
        },
    )
}

/// Returns the files of each side, if native rows are asked for, and those of all targets.
#[salsa::tracked]
pub(super) fn written(db: &dyn PlannerDb, file: RecipeFile) -> Node<Written> {
    let Some((_, is_native, targets, _)) = targets(db, file) else { return invalid() };
    let native = if *is_native { output(db, file).clone() } else { Node::Ready(BySide::default()) };
    let (mut needs, mut shapes, mut files) = (Vec::new(), Vec::new(), BySide::default());
    match native {
        Node::Ready(native) => files = native,
        Node::Needs(actions) => needs.extend(actions),
        Node::Failed(failure) => return Node::Failed(failure),
    }
    for (number, target) in targets.iter().enumerate() {
        match shaped(db, file, number) {
            Node::Ready(shaped) => shapes.push((target.clone(), shaped.clone())),
            Node::Needs(actions) => needs.extend(actions.iter().cloned()),
            Node::Failed(failure) => return Node::Failed(failure.clone()),
        }
    }
    if needs.is_empty() { Node::Ready((files, shapes)) } else { Node::Needs(needs) }
}

type Written = (BySide<Option<FileMeta>>, Vec<(Target, Arc<ShapedOutcome>)>);

/// Returns the kind of a recipe's samples, whether native rows are asked for, the targets, and what is expected.
#[salsa::tracked]
pub(super) fn targets(db: &dyn PlannerDb, file: RecipeFile) -> Option<Asked> {
    let recipe = parse(db, file).as_ref().ok()?;
    Some((recipe.metadata.kind, recipe.writes_native(), recipe.targets().cloned().collect(), recipe.expect.clone()))
}

type Asked = (SampleKind, bool, Vec<Target>, Vec<Expectation>);

#[salsa::tracked]
pub(super) fn quarantine(db: &dyn PlannerDb, file: RecipeFile) -> Node<Option<FileMeta>> {
    // Depends on selections, not on `mixed`: the quarantine file is needed most if the recipe is refused for its
    // rejects.
    let sources = ready!(selections(db, file));
    if sources.iter().all(|source| source.selected.rejects.is_empty()) {
        return Node::Ready(None);
    }
    // Without a result there is nothing to expect, and the file is shown.
    let destination = match destination(db, file) {
        Node::Ready(destination) => destination,
        Node::Needs(actions) => return Node::Needs(actions),
        Node::Failed(_) => Destination::Place,
    };
    let Some(outputs) = outputs(db, file) else { return invalid() };
    node(
        db,
        Quarantine.key(&sources.as_slice(), &VersionsIn(db)),
        |outcome| if let Outcome::Quarantine(file) = outcome { Some(Some(*file)) } else { None },
        || Work::Quarantine { outputs: outputs.clone(), destination, sources: sources.to_vec() },
    )
}

/// Returns the keys of the actions that a recipe looks up behind its selections, as far as they are known.
pub(super) fn recipe_keys(db: &dyn PlannerDb, file: RecipeFile) -> Vec<ActionKey> {
    let versions = &VersionsIn(db);
    let mut keys = Vec::new();
    let (Node::Ready(selected), Some((mix, _, _, grouping))) = (selections(db, file), mixing(db, file)) else {
        return keys;
    };
    keys.extend(group_key(db, selected, grouping));
    keys.extend(keys_of_outputs(db, file));
    if selected.iter().any(|source| !source.selected.rejects.is_empty()) {
        keys.push(Quarantine.key(&selected.as_slice(), versions));
    }
    let (Node::Ready((sources, allotment)), Some(validation)) = (mixed(db, file), validation(db, file)) else {
        return keys;
    };
    keys.push(arrange_key(db, sources, allotment, mix, validation));
    let (Node::Ready(arranged), Some((_, is_native, targets, _))) = (arranged(db, file), targets(db, file)) else {
        return keys;
    };
    if expectations(db, file).iter().any(|expectation| expectation.of.is_tallied()) {
        keys.push(tally_key(db, file, sources, arranged, validation));
    }
    if *is_native {
        keys.push(keys::Output.key(&(sources.as_slice(), arranged), versions));
    }
    if let (false, Some(outputs), Some(noted)) = (targets.is_empty(), outputs(db, file), noted(db, file))
        && let Node::Ready(about) = about(db, file, &noted)
    {
        let key = |target| {
            let own = match own_model(db, file, target, &noted) {
                Node::Ready(own) => own,
                _ => return None,
            };
            let (sources, about) = own.as_deref().map_or((sources, &about), |own| (&own.sources, &own.about));
            let max_tokens = own.as_deref().and_then(|own| own.pinned.model.max_tokens);
            let inputs = (outputs, sources.as_slice(), arranged, &**about, max_tokens);
            Some(keys::Shaped { target, noted: &noted }.key(&inputs, versions))
        };
        keys.extend(targets.iter().filter_map(key));
    }
    keys
}

/// Returns the rejects of a recipe, if their file is known.
pub(crate) fn rejects(db: &dyn PlannerDb, file: RecipeFile) -> Option<Rejects> {
    match (selections(db, file), quarantine(db, file), outputs(db, file)) {
        (Node::Ready(sources), Node::Ready(Some(file)), Some(outputs)) => {
            Some(Rejects { outputs: outputs.clone(), sources: sources.clone(), file: *file })
        }
        _ => None,
    }
}

/// Returns the plan of a recipe, if its result is what it expects.
#[salsa::tracked]
pub(crate) fn plan(db: &dyn PlannerDb, file: RecipeFile) -> Node<RecipePlan> {
    match (made(db, file), unmet(db, file)) {
        (Node::Ready(_), Node::Ready(Some(failure))) => Node::Failed(failure.clone()),
        (made, _) => made,
    }
}

/// Returns the plan of a recipe, whatever it expects.
pub(super) fn made(db: &dyn PlannerDb, file: RecipeFile) -> Node<RecipePlan> {
    let needs = match (written(db, file), quarantine(db, file)) {
        (Node::Failed(failure), Node::Needs(needs)) if failure.kind == FailureKind::Policy => needs.clone(),
        (Node::Failed(failure), _) | (_, Node::Failed(failure)) => return Node::Failed(failure.clone()),
        (Node::Ready((files, shaped)), Node::Ready(quarantine)) => {
            let (sources, allotment) = ready!(mixed(db, file));
            let arranged = ready!(arranged(db, file));
            let is_tallied = expectations(db, file).iter().any(|expectation| expectation.of.is_tallied());
            let tallied = if is_tallied { Some(*ready!(tallied(db, file))) } else { None };
            let (Some(outputs), Some((kind, ..))) = (outputs(db, file), targets(db, file)) else { return invalid() };
            let (mut own, mut told) = (Vec::with_capacity(shaped.len()), None);
            if let Some(noted) = shaped.first().and_then(|_| noted(db, file)) {
                told = Some(ready!(&about(db, file, &noted)).clone());
                for (target, _) in shaped {
                    own.push(ready!(&own_model(db, file, target, &noted)).clone());
                }
            }
            return Node::Ready(RecipePlan {
                outputs: outputs.clone(),
                kind: *kind,
                sources: sources.clone(),
                arranged: arranged.clone(),
                allotment: allotment.clone(),
                tallied,
                files: *files,
                shaped: shaped.clone(),
                own,
                about: told,
                quarantine: *quarantine,
            });
        }
        // Without all selections, both queries ask for the same actions; each action is needed once.
        (Node::Needs(needs), Node::Needs(more)) => {
            let known: HashSet<*const Action> = needs.iter().map(Arc::as_ptr).collect();
            let is_new = |action: &&Arc<Action>| !known.contains(&Arc::as_ptr(action));
            needs.iter().chain(more.iter().filter(is_new)).cloned().collect()
        }
        (Node::Needs(needs), _) | (_, Node::Needs(needs)) => needs.clone(),
    };
    Node::Needs(needs)
}
