//! From the files of a dataset entry to its selected samples.

use std::sync::Arc;

use super::{
    action::{
        Action, ChunkRef, Conversion, ConvertOutcome, ConvertedChunk, Follower, Measure, Measured, Outcome,
        PinnedModel, RefusedChunk, RenderOutcome, ScanOutcome, ScanWork, Scoring, SelectedSource, ShortenedChunk,
        SourceFile, Work,
    },
    inputs::{PlannerDb, RecipeFile, VersionsIn},
    keys::{Convert, Render, Score, Select},
    model::model_for,
    queries::{Node, counts_tokens, dataset, invalid, node, ready},
    sources::{conversion, digests_of_function, files, scan_key, scanned},
};
use crate::source::layout::closest;
use datac_core::{
    config::Dataset,
    failure::{Failure, FailureKind, SourceFault},
    id::{ActionKey, BlobId},
    key::Keyed,
    leaf::Setting,
    mapping::Path,
    quality::{Filter, ScoreKind},
    sample::SampleKind,
};
use datac_decode::Compression;

/// A chunk and the conversion to apply to it.
// `revisions` keeps entries forever. Otherwise salsa would reuse the slot of an entry that was not read for some
// revisions, and would run queries again that depend on it, even in recipes that did not change.
#[salsa::interned(revisions = usize::MAX)]
pub(super) struct Step<'db> {
    #[returns(ref)]
    pub(super) chunk: ChunkRef,
    #[returns(ref)]
    conversion: Conversion,
    #[returns(copy)]
    kind: SampleKind,
}

#[salsa::tracked]
pub(super) fn converted<'db>(db: &'db dyn PlannerDb, step: Step<'db>) -> Node<ConvertOutcome> {
    let (chunk, conversion) = (step.chunk(db), step.conversion(db));
    let converted = node(
        db,
        Convert { conversion, decoder: chunk.encoding.decoder() }.key(&&chunk.digest, &VersionsIn(db)),
        |outcome| if let Outcome::Convert(outcome) = outcome { Some(outcome.clone()) } else { None },
        || Work::Convert(chunk.clone(), conversion.clone(), step.kind(db)),
    );
    of_file(converted, chunk)
}

/// Returns a node of a step, whose failure is told of the file that the step reads.
fn of_file<T>(node: Node<T>, chunk: &ChunkRef) -> Node<T> {
    match node {
        Node::Failed(failure) => Node::Failed(chunk.file.told(&failure)),
        node => node,
    }
}

/// Returns the score columns of a converted chunk, in the order of `measures`.
#[salsa::tracked]
pub(super) fn scored<'db>(db: &'db dyn PlannerDb, step: Step<'db>, measures: Vec<Measure>) -> Node<Vec<BlobId>> {
    let converted = ready!(converted(db, step));
    let (chunk, conversion) = (step.chunk(db), step.conversion(db));
    let (mut digests, mut needs) = (Vec::new(), Vec::new());
    for measure in measures {
        let score = node(
            db,
            Score { measure: &measure, decoder: chunk.encoding.decoder() }
                .key(&(&chunk.digest, converted), &VersionsIn(db)),
            |outcome| if let Outcome::Score(digest) = outcome { Some(*digest) } else { None },
            || Work::Score(chunk.clone(), conversion.clone(), step.kind(db), measure.clone()),
        );
        match of_file(score, chunk) {
            Node::Ready(digest) => digests.push(digest),
            Node::Needs(actions) => needs.extend(actions),
            Node::Failed(failure) => return Node::Failed(failure),
        }
    }
    if needs.is_empty() { Node::Ready(digests) } else { Node::Needs(needs) }
}

/// Returns the samples of a converted chunk as a model sees them.
#[salsa::tracked]
pub(super) fn rendered<'db>(db: &'db dyn PlannerDb, step: Step<'db>, model: Arc<PinnedModel>) -> Node<RenderOutcome> {
    let converted = ready!(converted(db, step));
    let (chunk, conversion) = (step.chunk(db), step.conversion(db));
    let rendered = node(
        db,
        Render { model: &model, decoder: chunk.encoding.decoder() }.key(&(&chunk.digest, converted), &VersionsIn(db)),
        |outcome| if let Outcome::Render(outcome) = outcome { Some(outcome.clone()) } else { None },
        || Work::Render(chunk.clone(), conversion.clone(), step.kind(db), model.clone()),
    );
    of_file(rendered, chunk)
}

/// Returns a converted chunk with its scores, and with its samples as the model sees them, if there is one.
pub(super) fn chosen<'db>(db: &'db dyn PlannerDb, step: Step<'db>, request: &Request<'_>) -> Node<ConvertedChunk> {
    let converted = ready!(converted(db, step)).clone();
    let scores = scored(db, step, request.measured());
    let rendered = request.model.map(|model| rendered(db, step, model.clone()));
    let mut needs = Vec::new();
    if let Node::Needs(actions) = scores {
        needs.extend(actions.iter().cloned());
    }
    if let Some(Node::Needs(actions)) = rendered {
        needs.extend(actions.iter().cloned());
    }
    match (scores, rendered) {
        (Node::Failed(failure), _) => Node::Failed(request.of_filter(failure)),
        (_, Some(Node::Failed(failure))) => Node::Failed(failure.clone()),
        (Node::Ready(scores), None) => Node::Ready(request.chunk(step.chunk(db), converted, scores, None)),
        (Node::Ready(scores), Some(Node::Ready(rendered))) => {
            Node::Ready(request.chunk(step.chunk(db), converted, scores, Some(rendered)))
        }
        _ => Node::Needs(needs),
    }
}

/// Returns whether a measure is one of texts: with a model, tokens are those of the model.
pub(super) fn is_scored(measure: &Measure, has_model: bool) -> bool {
    !has_model || !measure.kind.is_of_model()
}

/// Returns the measures of a dataset entry: one per filter, in order, and then tokens if the mixture counts them. It is an error
/// if a file of a function is missing.
pub(super) fn measures(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Vec<Measure>, Failure> {
    let Some((kind, dataset)) = dataset(db, file, number) else { return Ok(Vec::new()) };
    let field = dataset.text_field.as_deref().unwrap_or(kind.default_field());
    let measure = |(number, filter): (u32, &Filter)| {
        let of = match filter.function() {
            Some((function, judge)) => {
                let files = digests_of_function(db, function)
                    .map_err(|failure| failure.at_key(Setting::Filter(number)).at_word(function.to_string()))?;
                Measured::Sample(Scoring { function: function.clone(), judge, files }.into())
            }
            None => Measured::Field(filter.column().unwrap_or(field).to_owned()),
        };
        Ok(Measure { kind: filter.scorer, of })
    };
    let mut measures = (0..).zip(&dataset.filters).map(measure).collect::<Result<Vec<_>, Failure>>()?;
    if *counts_tokens(db, file) {
        measures.push(Measure { kind: ScoreKind::TOKENS, of: Measured::Field(kind.default_field().to_owned()) });
    }
    Ok(measures)
}

/// The known chunks of a dataset entry, and the files that may have more.
pub(super) struct Chunks<'db> {
    pub(super) steps: Vec<Step<'db>>,
    /// Files that are not completely scanned, with the number of their known chunks.
    unknown: Vec<(Arc<SourceFile>, u32)>,
}

impl Chunks<'_> {
    /// Returns whether the known chunks hold all rows: a file that was not read to its end may have been cut to its last
    /// byte.
    fn are_whole(&self, db: &dyn PlannerDb) -> bool {
        let ends = |file: &SourceFile| {
            let last = self.steps.iter().rev().map(|step| step.chunk(db)).find(|chunk| chunk.file.path == file.path);
            let is_plain = file.kind.compression == Compression::None;
            is_plain && last.is_some_and(|last| last.place.offset + last.place.length >= file.size)
        };
        self.unknown.iter().all(|(file, _)| ends(file))
    }
}

pub(super) fn chunks<'db>(
    db: &'db dyn PlannerDb,
    files: &[Arc<SourceFile>],
    conversion: Option<&Conversion>,
    kind: SampleKind,
) -> Result<Chunks<'db>, Failure> {
    let mut chunks = Chunks { steps: Vec::new(), unknown: Vec::new() };
    for file in files {
        let scan = scanned(db, file)?;
        // Chunks after an unknown one are left out, because their order is not known yet.
        if let (Some(scan), Some(conversion), true) = (scan, conversion, chunks.unknown.is_empty()) {
            chunks.steps.extend(steps(db, file, scan, conversion, kind));
        }
        if scan.is_none_or(|scan| !scan.complete) {
            chunks.unknown.push((file.clone(), scan.map_or(0, |scan| scan.chunks.len() as u32)));
        }
    }
    Ok(chunks)
}

/// Returns the known chunks of a file, each with the conversion to apply to it.
pub(super) fn steps<'db>(
    db: &'db dyn PlannerDb,
    file: &Arc<SourceFile>,
    scan: &ScanOutcome,
    conversion: &Conversion,
    kind: SampleKind,
) -> impl Iterator<Item = Step<'db>> {
    let header: Arc<[u8]> = scan.header.as_slice().into();
    scan.chunks.iter().zip(0..).map(move |(chunk, number)| {
        let chunk = ChunkRef {
            file: file.clone(),
            number,
            digest: chunk.digest,
            rows: chunk.rows,
            place: chunk.place,
            encoding: scan.encoding,
            header: header.clone(),
        };
        Step::new(db, chunk, conversion.clone(), kind)
    })
}

/// Returns the selected samples of a dataset entry.
///
/// Without `max_samples`, samples are selected from all chunks. With it, they are selected from the shortest prefix
/// of chunks with enough samples. If filters leave too few, a longer prefix is tried; its length depends only on the
/// previous selection, so that the same chunks are selected from whatever else has been read of the source.
#[salsa::tracked]
pub(super) fn selected(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Node<SelectedSource> {
    select_with(db, file, number, &mut |_, _, _| {}, &mut |_| {})
}

/// What a dataset entry looks up.
pub(super) enum Looked<'a> {
    /// What is made of a chunk.
    Chunk(&'a ChunkRef, Vec<ActionKey>),
    /// A selection.
    Select(ActionKey),
}

/// Calls `look` with everything that a dataset entry looks up once its files are cut into chunks.
pub(super) fn looked_up(db: &dyn PlannerDb, file: RecipeFile, number: usize, look: &mut dyn FnMut(Looked<'_>)) {
    let look = std::cell::RefCell::new(look);
    let mut seen = 0;
    select_with(
        db,
        file,
        number,
        &mut |at, step, request| {
            // A longer prefix begins with the chunks of the shorter one.
            if at >= seen {
                seen = at + 1;
                (look.borrow_mut())(Looked::Chunk(step.chunk(db), keys_of(db, step, request)));
            }
        },
        &mut |key| (look.borrow_mut())(Looked::Select(key)),
    );
}

/// Returns the keys of what is made of a chunk.
pub(super) fn keys_of<'db>(db: &'db dyn PlannerDb, step: Step<'db>, request: &Request<'_>) -> Vec<ActionKey> {
    let (chunk, versions) = (step.chunk(db), &VersionsIn(db));
    let decoder = chunk.encoding.decoder();
    let mut keys = vec![Convert { conversion: step.conversion(db), decoder }.key(&&chunk.digest, versions)];
    if let Node::Ready(converted) = converted(db, step) {
        let inputs = (&chunk.digest, converted);
        keys.extend(request.measured().iter().map(|measure| Score { measure, decoder }.key(&inputs, versions)));
        keys.extend(request.model.map(|model| Render { model, decoder }.key(&inputs, versions)));
    }
    keys
}

/// Selects the samples of a dataset entry. Calls `see_chunk` with every chunk that they are selected from and its number, and
/// `see_selection` with the key of every selection.
fn select_with<'db>(
    db: &'db dyn PlannerDb,
    file: RecipeFile,
    number: usize,
    see_chunk: &mut dyn FnMut(usize, Step<'db>, &Request<'_>),
    see_selection: &mut dyn FnMut(ActionKey),
) -> Node<SelectedSource> {
    let Some((kind, dataset)) = dataset(db, file, number) else { return invalid() };
    let files = match files(db, file, number) {
        Ok(files) => files,
        Err(failure) => return Node::Failed(failure.clone()),
    };
    let conversion = match conversion(db, file, number) {
        Ok(conversion) => conversion.as_ref(),
        Err(failure) => return Node::Failed(failure.clone()),
    };
    let chunks = match chunks(db, files, conversion, *kind) {
        Ok(chunks) => chunks,
        Err(failure) => return Node::Failed(failure),
    };
    if let Some(failure) = unknown_names(db, files, *kind, dataset) {
        return Node::Failed(failure);
    }
    let model = ready!(model_for(db, file, number));
    let model = model.as_ref();
    let measures = match measures(db, file, number) {
        Ok(measures) => measures,
        Err(failure) => return Node::Failed(failure),
    };
    let request = Request { kind: *kind, conversion, measures, model, dataset };
    let mut target = dataset.take.first();
    loop {
        let prefix = ready!(prefix(db, &chunks, &request, target));
        let mut chosen = Vec::with_capacity(prefix);
        let mut needs = Vec::new();
        for (at, step) in chunks.steps[..prefix].iter().enumerate() {
            see_chunk(at, *step, &request);
            match self::chosen(db, *step, &request) {
                Node::Ready(chunk) => chosen.push(chunk),
                Node::Needs(actions) => needs.extend(actions),
                Node::Failed(failure) => return Node::Failed(failure),
            }
        }
        if !needs.is_empty() {
            return Node::Needs(needs);
        }
        let samples: u64 = chosen.iter().map(|chunk| u64::from(chunk.converted.samples)).sum();
        let chosen = Arc::new(chosen);
        let key = Select { filters: &dataset.filters, take: dataset.take }.key(&chosen.as_slice(), &VersionsIn(db));
        see_selection(key);
        let (selected, refused) = ready!(node(
            db,
            key,
            |outcome| match outcome {
                Outcome::Select(outcome) => Some((outcome.clone(), Vec::new())),
                Outcome::Refusing(outcome, refused) => Some((outcome.clone(), refused.clone())),
                _ => None,
            },
            || Work::Select { chunks: chosen.clone(), filters: dataset.filters.clone(), take: dataset.take },
        ));
        let is_all = chunks.unknown.is_empty() && prefix == chunks.steps.len();
        match dataset.take.first() {
            Some(max) if !selected.reached_max && !is_all => target = Some(more(max, samples, selected.kept)),
            _ => {
                let rows = chunks.steps.iter().map(|step| u64::from(step.chunk(db).rows)).sum();
                return Node::Ready(SelectedSource {
                    name: dataset.row_source().to_owned(),
                    role: dataset.role,
                    // Rows that functions of filters refuse are rejects like those that made no sample.
                    chunks: RefusedChunk::put_into(&refused, chosen),
                    rows: chunks.are_whole(db).then_some(rows),
                    selected,
                    grouped: None,
                    ungrouped: None,
                });
            }
        }
    }
}

/// Returns an error if a dataset entry names a field or a column that its rows do not have, as far as rows have been read.
pub(super) fn unknown_names(
    db: &dyn PlannerDb,
    files: &[Arc<SourceFile>],
    kind: SampleKind,
    dataset: &Dataset,
) -> Option<Failure> {
    unknown_text_field(db, files, kind, dataset).or_else(|| unknown_column(db, files, dataset))
}

/// Returns an error if `text_field` names a field that neither samples nor source rows have.
fn unknown_text_field(
    db: &dyn PlannerDb,
    files: &[Arc<SourceFile>],
    kind: SampleKind,
    dataset: &Dataset,
) -> Option<Failure> {
    let field = dataset.text_field.as_deref().filter(|field| !kind.fields().contains(field))?;
    let Ok(Some(scan)) = scanned(db, files.first()?) else { return None };
    if scan.survey.columns.is_empty() || scan.survey.column(field).is_some() {
        return None;
    }
    let message = format!("`text_field: {field}` of `{}` does not exist", dataset.name);
    let failure = Failure::plain(FailureKind::Config, message).about(SourceFault::NoField);
    let columns = scan.survey.names();
    let near = closest(field, kind.fields().iter().copied().chain(columns.iter().copied()));
    let near = near.map_or_else(String::new, |near| format!("{near} "));
    Some(failure.hint(format!(
        "{near}fields of samples: {}; columns of source rows: {}",
        kind.fields().join(", "),
        columns.join(", ")
    )))
}

/// Returns an error if a filter is by a column that rows of the source do not have, and that none is kept as.
fn unknown_column(db: &dyn PlannerDb, files: &[Arc<SourceFile>], dataset: &Dataset) -> Option<Failure> {
    // Of these parts of a sample nobody knows which rows have them; a program may write any column.
    const PARTS: [&str; 3] = ["answer", "label", "margin"];
    let columns = (0..).zip(&dataset.filters).filter(|_| dataset.options.program.is_none());
    let mut columns = columns.filter_map(|(number, filter)| Some((number, filter.column()?))).peekable();
    columns.peek()?;
    let Ok(Some(scan)) = scanned(db, files.first()?) else { return None };
    if scan.survey.columns.is_empty() {
        return None;
    }
    let kept = &dataset.options.keep.columns;
    let is_there = |name: &str| {
        PARTS.contains(&name) || scan.survey.column(name).is_some() || kept.iter().any(|(_, new)| new == name)
    };
    let (number, column) = columns.find(|(_, column)| Path::parse(column).is_ok_and(|path| !path.is_in(is_there)))?;
    let message = format!("`column: {column}` of a filter of `{}` does not exist", dataset.name);
    let failure = Failure::plain(FailureKind::Config, message).about(SourceFault::NoField);
    let failure = failure.at_key(Setting::Filter(number)).at_word(column);
    let names = scan.survey.names();
    let near = closest(column, names.iter().copied()).map_or_else(String::new, |near| format!("{near} "));
    Some(failure.hint(format!("{near}columns of source rows: {}", names.join(", "))))
}

/// Returns how many samples to look at next if `kept` of `samples` passed and `max` are wanted: as many as the pass
/// rate suggests, plus one sixteenth.
fn more(max: u64, samples: u64, kept: u64) -> u64 {
    let missing = u128::from(max - kept) * u128::from(samples.max(1)) / u128::from(kept.max(1));
    let missing = u64::try_from(missing).unwrap_or(u64::MAX / 4);
    samples + missing + missing / 16 + 1
}

/// What a dataset entry wants made of each chunk.
pub(super) struct Request<'a> {
    pub(super) kind: SampleKind,
    pub(super) conversion: Option<&'a Conversion>,
    /// One per filter, in order, and then tokens if the mixture counts them.
    pub(super) measures: Vec<Measure>,
    pub(super) model: Option<&'a Arc<PinnedModel>>,
    pub(super) dataset: &'a Dataset,
}

impl Request<'_> {
    /// Returns what is measured of texts.
    fn measured(&self) -> Vec<Measure> {
        self.measures.iter().filter(|measure| is_scored(measure, self.model.is_some())).cloned().collect()
    }

    /// Returns the failure of a function as one of the filter that names it.
    fn of_filter(&self, failure: &Failure) -> Failure {
        let word = failure.about.as_ref().and_then(|about| about.word.as_deref());
        let is_its = |filter: &Filter| filter.function().is_some_and(|(of, _)| Some(&*of.to_string()) == word);
        match (0..).zip(&self.dataset.filters).find(|(_, filter)| is_its(filter)) {
            Some((number, _)) => failure.clone().at_key(Setting::Filter(number)),
            None => failure.clone(),
        }
    }

    /// Returns the action that reads a file, of which `known` chunks are known. `samples` are those still needed of it; `None`
    /// for all.
    pub(super) fn read(
        &self,
        db: &dyn PlannerDb,
        file: &Arc<SourceFile>,
        known: u32,
        samples: Option<u64>,
    ) -> Arc<Action> {
        let follower = || Follower {
            conversion: self.conversion.cloned(),
            options: self.dataset.options.clone(),
            text_field: self.dataset.text_field.clone(),
            kind: self.kind,
            measures: self.measured(),
            model: self.model.cloned(),
            samples,
        };
        let work = match file.kind.format.is_archive() {
            true => Work::List(file.clone()),
            false => Work::Scan(ScanWork { file: file.clone(), known, followers: vec![follower()] }),
        };
        Arc::new(Action { key: scan_key(db, file), work })
    }

    /// Puts together what is known of a chunk; `scores` are those of what is measured, in order.
    fn chunk(
        &self,
        chunk: &ChunkRef,
        converted: ConvertOutcome,
        scores: &[BlobId],
        rendered: Option<&RenderOutcome>,
    ) -> ConvertedChunk {
        let mut measured = scores.iter().copied();
        let column = |measure: &Measure| match rendered {
            Some(rendered) if measure.kind == ScoreKind::TOKENS => Some(rendered.encoded.tokens),
            Some(rendered) if measure.kind == ScoreKind::TRAINED_TOKENS => Some(rendered.encoded.trained),
            _ => measured.next(),
        };
        let mut columns: Vec<BlobId> = self.measures.iter().filter_map(column).collect();
        let tokens = columns.drain(self.dataset.filters.len()..).next();
        let converted = match rendered {
            // Rows whose samples the model refuses are rejects like those that made none.
            Some(RenderOutcome { rejects, rejected, .. }) => {
                ConvertOutcome { rejects: *rejects, rejected: rejected.clone(), ..converted }
            }
            None => converted,
        };
        let shortened = rendered.and_then(|rendered| rendered.shortened);
        // All that comes later, whatever its shape, is made of the shorter samples.
        let converted = match shortened {
            Some(ShortenedChunk { rows, bytes, index, samples, .. }) => {
                ConvertOutcome { rows, bytes, index, samples, ..converted }
            }
            None => converted,
        };
        let (shortened, split) = shortened.map_or((0, 0), |shortened| (shortened.count, shortened.split));
        let encoded = rendered.map(|rendered| rendered.encoded);
        let without_reasoning = rendered.map_or(0, |rendered| rendered.without_reasoning);
        let chunk = chunk.clone();
        let refused = None;
        ConvertedChunk {
            chunk,
            converted,
            scores: columns,
            tokens,
            encoded,
            shortened,
            split,
            without_reasoning,
            refused,
        }
    }
}

/// Returns the number of leading chunks that hold `target` samples; all chunks if `target` is `None` or cannot be
/// met.
fn prefix(db: &dyn PlannerDb, chunks: &Chunks<'_>, request: &Request<'_>, target: Option<u64>) -> Node<usize> {
    let (mut needs, mut samples) = (Vec::new(), 0_u64);
    for (number, step) in chunks.steps.iter().enumerate() {
        if target.is_some_and(|target| samples >= target) {
            return if needs.is_empty() { Node::Ready(number) } else { Node::Needs(needs) };
        }
        match converted(db, *step) {
            Node::Ready(outcome) => samples += u64::from(outcome.samples),
            Node::Needs(actions) => {
                needs.extend(actions.iter().cloned());
                // Most rows make one sample. If they make more, one chunk too many is converted; if fewer, more
                // chunks are asked for in the next round.
                samples += u64::from(step.chunk(db).rows);
            }
            Node::Failed(failure) => return Node::Failed(failure.clone()),
        }
    }
    if target.is_none_or(|target| samples < target) {
        // With `max_samples`, only after this file is read is it known whether the next one is needed.
        let mut wanted = if request.dataset.take.first().is_none() { chunks.unknown.len() } else { 1 };
        // An archive may hold anything. If the first has no rows, the others are not even downloaded.
        if chunks.steps.is_empty() && chunks.unknown.iter().all(|(file, _)| file.kind.format.is_archive()) {
            wanted = 1;
        }
        for (file, known) in chunks.unknown.iter().take(wanted) {
            needs.push(request.read(db, file, *known, target.map(|target| target - samples)));
        }
    }
    if needs.is_empty() { Node::Ready(chunks.steps.len()) } else { Node::Needs(needs) }
}
