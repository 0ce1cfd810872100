//! Writes the folder of a target: the rows of each side in a trainer's shape, and what stands beside them.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    context::Context,
    error::ActionError,
    output::{Candidates, Form, Unplaced, finish, progress},
    packing::pack,
    unseen::Unseen,
};
use crate::{
    graph::{ArrangeOutcome, SelectedSource, ShapedOutcome},
    system,
    writer::{Encoder, Layout, Order, OutputFile, Rows, UnfitSample, Written as WrittenFile},
};
use datac_core::{
    card::{About, Card, CardFile},
    failure::{Failure, FailureKind},
    outputs::{BySide, Destination, NamedFile, OutputSet, Side, Target, UNFIT, row_id},
    pack::OVERLONG,
    row,
    sample::SampleKind,
    shape::{
        self, Shape, UNTRAINED, Unfit, Written,
        facts::{Column, Facts, Type},
    },
};

/// What the files of a target are made of.
pub(super) struct Of<'a> {
    pub(super) outputs: &'a OutputSet,
    pub(super) destination: Destination,
    pub(super) target: &'a Target,
    pub(super) kind: SampleKind,
    pub(super) sources: &'a [SelectedSource],
    pub(super) arranged: &'a ArrangeOutcome,
    pub(super) about: &'a About,
    /// The largest number of tokens of a sample, where the target has a model of its own that says one.
    pub(super) max_tokens: Option<u64>,
}

/// Writes the files of a target. Files that are already in place with the same bytes are left alone.
pub(super) fn shaped(context: &Context, of: &Of<'_>) -> Result<(ShapedOutcome, Vec<Unplaced>), ActionError> {
    let Of { outputs, destination, target, kind, sources, arranged, about, max_tokens } = *of;
    let shape = shape::by_name(&target.shape).expect("the recipe was checked");
    let folder = outputs.folder(target);
    let dir = destination.folder(&context.outputs.dir);
    let path = |name: &str| dir.join(&folder).join(name);
    let form = if shape.is_of_tokens() { Form::Encoded } else { Form::Samples };
    let candidates = Candidates::new(context, sources, form)?;
    let facts = match form {
        Form::Samples => candidates.facts(context)?,
        Form::Encoded => Facts::default(),
    };
    let columns = columns(shape, target, kind, &facts);
    let unseen = Unseen::of(context, &candidates, max_tokens)?;
    let (mut shards, mut packed, mut unpacked): (Vec<Shard>, BySide<_>, _) =
        (Vec::new(), BySide::default(), Vec::new());
    for (side, list) in arranged.lists.iter() {
        let samples = arranged.realised.iter().map(|source| *source.rows.get(side)).sum();
        // Loaders refuse a split without rows.
        let Some(list) = list.filter(|_| samples > 0) else { continue };
        let (list, samples) = match unseen.is_empty() {
            true => (list, samples),
            false => unseen.fitting(context, &list, &mut unpacked)?,
        };
        if samples == 0 {
            continue;
        }
        let order = match target.pack {
            None => Order::whole(list, samples),
            Some(room) => {
                let of_side = pack(context, &candidates, &list, samples, room)?;
                *packed.get_mut(side) = Some(of_side.rows);
                unpacked.extend(of_side.unfit);
                of_side.order
            }
        };
        if order.rows() == 0 {
            continue;
        }
        let count = target.shards_of(order.rows());
        let part = |number: u32| {
            let name = target.file_name(side, number, count);
            Shard { side, order: order.part(number.into(), count.into()), path: path(&name), name }
        };
        shards.extend((0..count).map(part));
    }
    for shard in &shards {
        system::create_dir(shard.path.parent().expect("a file of rows has a folder"))?;
    }
    let names = sources.iter().map(|source| source.name.as_str());
    let encoder = Arc::new(Encoder::new(shape, names).of_target(facts.clone(), target.id));
    let rows = Rows {
        store: &context.store,
        blocks: candidates.blocks.clone(),
        encoder: encoder.clone(),
        places: &|block| candidates.places(context, block),
        interrupt: &context.control.interrupt,
        check: &|| context.check(),
    };
    let vocabulary = about.model.as_ref().map_or(u64::MAX, |model| model.vocabulary);
    let ids = target.container.id_type(vocabulary);
    let layout = Layout { container: target.container, columns: &columns, ids };
    let told = progress(context, folder.clone(), shards.iter().map(|shard| shard.order.rows()).sum());
    let begin = |number: usize| {
        let file = OutputFile::of_rows(&shards[number].path, layout)?;
        Ok(file.telling(told.clone()))
    };
    let orders: Vec<Order> = shards.iter().map(|shard| shard.order.clone()).collect();
    let files = rows.write(&orders, &begin, None, &context.outputs.memory, &context.outputs.scratch)?;
    let mut unfit = encoder.unfit();
    unfit.extend(unpacked);
    unfit.sort();
    let mut made = Made { context, folder: &folder, files: Vec::new(), unplaced: Vec::new() };
    let mut sides: Vec<(Side, Vec<String>)> = Vec::new();
    let mut card_files: Vec<CardFile> = Vec::new();
    for (shard, file) in shards.iter().zip(&files) {
        let mut written = file.finish()?;
        // None of its samples may fit.
        if written.rows == 0 {
            continue;
        }
        let mut name = shard.name.clone();
        if shape.has_digest_in_name() {
            name = with_digest(&name, &written.digest_with_parts().to_string(), target);
            written.go_to(path(&name));
        }
        let parts = std::mem::take(&mut written.parts);
        card_files.push(card_file(&name, shard.side, &written));
        match sides.iter_mut().find(|(side, _)| *side == shard.side) {
            Some((_, names)) => names.push(name.clone()),
            None => sides.push((shard.side, vec![name.clone()])),
        }
        made.add(&name, written)?;
        for (mut part, name) in parts.into_iter().zip(target.container.parts(&name)) {
            part.go_to(path(&name));
            card_files.push(card_file(&name, shard.side, &part));
            made.add(&name, part)?;
        }
    }
    if made.files.iter().all(|file| file.meta.rows == 0) {
        return Err(ActionError::Failure(nothing_fits(target, &unfit)));
    }
    if !unfit.is_empty() {
        let mut file = OutputFile::new(&path(UNFIT))?;
        for sample in &unfit {
            file.write(&unfit_line(sample, sources))?;
        }
        made.add(UNFIT, file.finish()?)?;
    }
    let written = Written { stem: outputs.stem(), kind, facts: &facts, target, columns: &columns, ids, files: &sides };
    let counted = counted(&unfit, sources);
    let card = Card { about, stem: outputs.stem(), target, columns: &columns, files: &card_files, unfit: &counted };
    for (name, text) in shape.beside(&written).into_iter().chain(card.files()) {
        let mut file = OutputFile::new(&path(name))?;
        file.write(text.as_bytes())?;
        made.add(name, file.finish()?)?;
    }
    Ok((ShapedOutcome { files: made.files, unfit: counted, packed }, made.unplaced))
}

/// Returns the columns of the rows of a target.
fn columns(shape: &dyn Shape, target: &Target, kind: SampleKind, facts: &Facts) -> Vec<Column> {
    let (id, columns) = match target.pack {
        None => (Column::new("id", Type::Text), shape.columns(kind, facts)),
        Some(_) => (Column::new("ids", Type::Text.list()), shape.packed_columns().expect("the recipe was checked")),
    };
    target.id.then_some(id).into_iter().chain(columns).collect()
}

/// A file of rows to be written.
struct Shard {
    side: Side,
    order: Order,
    path: PathBuf,
    name: String,
}

/// The files that have been written.
struct Made<'a> {
    context: &'a Context,
    folder: &'a str,
    files: Vec<NamedFile>,
    unplaced: Vec<Unplaced>,
}

impl Made<'_> {
    fn add(&mut self, name: &str, written: WrittenFile) -> Result<(), ActionError> {
        let meta = finish(self.context, written, &mut self.unplaced)?;
        self.files.push(NamedFile { name: format!("{}/{name}", self.folder), meta });
        Ok(())
    }
}

fn card_file(name: &str, side: Side, written: &WrittenFile) -> CardFile {
    let sha256 = written.sha256.clone().unwrap_or_default();
    CardFile { name: name.to_owned(), side, rows: written.rows, bytes: written.bytes, sha256 }
}

/// Returns the name of a file with the beginning of its digest before the extension.
fn with_digest(name: &str, digest: &str, target: &Target) -> String {
    let extension = target.container.word();
    let bare = name.strip_suffix(extension).and_then(|bare| bare.strip_suffix('.')).unwrap_or(name);
    format!("{bare}-{}.{extension}", &digest[..12.min(digest.len())])
}

fn nothing_fits(target: &Target, unfit: &[UnfitSample]) -> Failure {
    if unfit.is_empty() {
        let failure = Failure::plain(FailureKind::Policy, format!("there are no rows to write as `{}`", target.shape));
        return failure.hint("raise `mix.total`, or remove a limit of the sources");
    }
    if unfit.iter().all(|sample| sample.what == OVERLONG) {
        let message = format!("every sample has more tokens than a packed row of `{}`", target.shape);
        return Failure::plain(FailureKind::Policy, message).hint("raise `pack`");
    }
    if unfit.iter().all(|sample| Unfit(sample.what) == UNTRAINED) {
        let message = format!(
            "no sample can be written as `{}`: it has no loss mask, and every sample has {}",
            target.shape, UNTRAINED.0
        );
        let hint =
            "choose a shape with a mask, such as `tokens`, or train on all of each text: `train_on: all` under `model`";
        return Failure::plain(FailureKind::Policy, message).hint(hint);
    }
    let reasons = reasons(unfit.iter().map(|sample| (sample.what, 1)));
    let message = format!("no sample can be written as `{}`: it has no place for {reasons}", target.shape);
    Failure::plain(FailureKind::Policy, message)
        .hint("choose another shape, or change the samples with `rules`, `roles` or `keep`")
}

/// Lists what there is no place for, with counts.
fn reasons<'a>(unfit: impl Iterator<Item = (&'a str, u64)>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    unfit.for_each(|(what, count)| *counts.entry(what).or_default() += count);
    let shown: Vec<String> = counts.iter().map(|(what, count)| format!("{what} ({count})")).collect();
    shown.join(", ")
}

fn counted(unfit: &[UnfitSample], sources: &[SelectedSource]) -> Vec<(String, String, u64)> {
    let mut counts: BTreeMap<(u32, &str), u64> = BTreeMap::new();
    unfit.iter().for_each(|sample| *counts.entry((sample.source, sample.what)).or_default() += 1);
    let name = |source: u32| sources.get(source as usize).map(|source| source.name.clone()).unwrap_or_default();
    counts.into_iter().map(|((source, what), count)| (name(source), what.to_owned(), count)).collect()
}

/// Returns a line of the file of samples that do not fit.
fn unfit_line(sample: &UnfitSample, sources: &[SelectedSource]) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        /// The `id` that its row would have.
        id: String,
        /// The name of its source.
        source: &'a str,
        /// What the shape has no place for.
        no_place_for: &'a str,
        /// What exactly, in the words of a chat template that refuses it.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    }
    let source = sources.get(sample.source as usize).map_or("", |source| source.name.as_str());
    let mut line = Vec::new();
    let (id, detail) = (row_id(sample.row_hash), sample.detail.as_deref());
    row::write_json(&Line { id, source, no_place_for: sample.what, detail }, &mut line);
    line.push(b'\n');
    line
}
