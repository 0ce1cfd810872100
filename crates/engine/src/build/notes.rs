//! What the author of a recipe should know about a build that went well: where it gives something else than was asked for.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use crate::graph::{RecipePlan, SelectedSource, ShapedOutcome};
use datac_core::{
    config::{Dataset, Program, Recipe, SplitMethod, Strategy, Take, Unit, did_you_mean},
    mix::Realised,
    outputs::{BySide, Side, Target, UNFIT},
    rules::{self, Mode},
    sample::SampleKind,
    survey::{SURVEYED, Survey},
};

/// A statement about a build, once a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Note {
    /// The subject.
    pub about: NoteKind,
    /// The statement.
    pub text: String,
    /// What can be written into the recipe to change that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The subject of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// `max_samples` took the top of a source.
    FirstRows,
    /// `sample` asks for more rows than there are.
    FewRows,
    /// Texts are what a chat template writes.
    Rendered,
    /// `total` was not met.
    Total,
    /// A source limits the mixture, and others leave rows out.
    LeftOut,
    /// Rows are there more than once.
    Repeats,
    /// The shares of train or validation are not those of the mixture.
    Shares,
    /// The share of validation or of the test side is not the one requested.
    Validation,
    /// A filter drops more than half of what comes to it.
    Filter,
    /// Rows are also rows of other sources.
    Copies,
    /// Prompts are on several sides.
    Mingled,
    /// A shape has no place for some samples.
    Unfit,
    /// A converter makes no sample of some rows.
    Empty,
    /// The model's chat template leaves out parts of samples.
    Template,
    /// Files are there that have names of outputs and are none.
    Former,
    /// `keep` or `ignore` names a column that rows do not have.
    Columns,
    /// A function in Python failed for some samples.
    Function,
}

/// By how much the share of a source in one file may differ from the requested one before that is worth a note.
const SHARE_TOLERANCE: f64 = 0.02;

/// By which part of it the size of a side may differ from the requested one.
const SIZE_TOLERANCE: f64 = 0.1;

/// One row in so many that is also a row of another source is worth a note.
const COPIES: u64 = 100;

/// The most sources that a note lists.
const LISTED: usize = 4;

/// Returns what is to be said about a recipe that was built.
pub(crate) fn notes(name: &str, recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let mut notes = first_rows(recipe, plan);
    notes.extend(few_rows(recipe, plan));
    notes.extend(rendered(recipe, plan));
    notes.extend(without_samples(recipe, plan));
    notes.extend(failed(name, recipe, plan));
    notes.extend(filters(name, recipe, plan));
    notes.extend(total(recipe, plan));
    notes.extend(left_out(recipe, plan));
    notes.extend(repeats(recipe, plan));
    notes.extend(shares(recipe, plan));
    notes.extend(sizes(recipe, plan));
    notes.extend(copies(recipe, plan));
    notes.extend(unfit(plan));
    notes.extend(without_reasoning(recipe, plan));
    notes
}

/// Returns a note for each name in `keep` and `ignore` that is no column of the first rows of its source.
///
/// It is no error: further down there may be rows that have the column.
pub(crate) fn unknown_columns(recipe: &Recipe, surveys: impl Iterator<Item = Option<Survey>>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (dataset, survey) in recipe.datasets.iter().zip(surveys) {
        // The rows that a program writes are others than those that were looked at.
        let is_looked_at = |survey: &Survey| survey.rows > 0 && !survey.has_most_columns();
        let Some(survey) = survey.filter(|survey| is_looked_at(survey) && dataset.options.program.is_none()) else {
            continue;
        };
        let known = survey.names();
        // A part of a column can be ignored, and is not looked for.
        let within = |column: &str| {
            known.iter().any(|name| column.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '['])))
        };
        let kept = dataset.options.keep.columns.keys().map(|column| ("keep", column));
        let ignored = dataset.options.ignore.iter().filter(|column| !within(column)).map(|column| ("ignore", column));
        for (key, column) in kept.chain(ignored).filter(|(_, column)| survey.column(column).is_none()) {
            if key == "keep" && dataset.options.keep.is_implied(column) {
                continue;
            }
            let rows = match survey.rows < SURVEYED {
                true => "no row".to_owned(),
                false => format!("none of the first {} rows", grouped(survey.rows.into())),
            };
            let text =
                format!("{rows} of `{}` has the column `{}`, which `{key}` names", dataset.name, column.escape_debug());
            let hint = match did_you_mean(column, &known) {
                _ if within(column) => "`keep` keeps whole columns; `columns` reaches into them".to_owned(),
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "the columns are {}",
                    listed(&known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>())
                ),
            };
            notes.push(note(NoteKind::Columns, text, hint));
        }
    }
    notes
}

/// Returns a note for each source some of whose rows make no sample, and are no rejects.
fn without_samples(recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let note_of = |(dataset, source): (&Dataset, &SelectedSource)| {
        let (count, read) = (source.selected.rows_without_samples, source.selected.rows_read);
        let text = format!("no sample is made of {} of {} rows of `{}`", grouped(count), grouped(read), dataset.name);
        let hint = dataset.options.program.as_ref().map(|program| match program {
            Program::Command(_) => "a command that answers `{\"reject\": \"why\"}` says why".to_owned(),
            Program::Python(_) => "a function that raises `datac.Reject` says why".to_owned(),
        });
        (count > 0).then_some(Note { about: NoteKind::Empty, text, hint })
    };
    recipe.datasets.iter().zip(plan.sources.iter()).filter_map(note_of).collect()
}

/// Returns a note on samples whose reasoning the model does not see. Many templates drop that of earlier answers by design, so it
/// is no reason to reject them.
fn without_reasoning(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    let model = recipe.model.as_ref()?;
    let count: u64 = plan
        .sources
        .iter()
        .flat_map(|source| source.chunks.iter())
        .map(|chunk| u64::from(chunk.without_reasoning))
        .sum();
    let text = format!(
        "the chat template of `{}` leaves out reasoning of {} samples",
        model.location.source(),
        grouped(count)
    );
    let hint = "`datac check --tokens` says what it drops, and `template` of `model` names another".to_owned();
    (count > 0).then(|| note(NoteKind::Template, text, hint))
}

/// Returns a note for each target that some samples do not fit.
fn unfit(plan: &RecipePlan) -> Vec<Note> {
    let note_of = |(target, shaped): &(Target, Arc<ShapedOutcome>)| {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        shaped.unfit.iter().for_each(|(_, what, count)| *counts.entry(what).or_default() += count);
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| Reverse(*count));
        let reasons: Vec<String> =
            counts.iter().take(LISTED).map(|(what, count)| format!("{what} ({})", grouped(*count))).collect();
        let others = if counts.len() > LISTED { ", …" } else { "" };
        let text = format!("`{}` has no place for {}{others}", target.folder(), reasons.join(", "));
        note(NoteKind::Unfit, text, Some(format!("`{}/{UNFIT}` lists the samples", plan.outputs.folder(target))))
    };
    plan.shaped.iter().filter(|(_, shaped)| !shaped.unfit.is_empty()).map(note_of).collect()
}

fn note(about: NoteKind, text: String, hint: impl Into<Option<String>>) -> Note {
    Note { about, text, hint: hint.into() }
}

/// Returns a note for each source that `max_samples` cut.
fn first_rows(recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let mut notes = Vec::new();
    for (dataset, source) in recipe.datasets.iter().zip(plan.sources.iter()) {
        let (Take::First(max), selected) = (dataset.take, &source.selected) else { continue };
        if !selected.reached_max || source.rows == Some(selected.rows_read) {
            continue;
        }
        let whole = source.rows.map_or_else(|| "its rows".to_owned(), |rows| format!("its {} rows", grouped(rows)));
        let (name, kept, read) = (&dataset.name, grouped(selected.kept), grouped(selected.rows_read));
        let text = if selected.kept == selected.rows_read {
            format!("`{name}` gives the first {kept} of {whole}")
        } else {
            format!("`{name}` gives {kept} of the first {read} of {whole}")
        };
        let hint = format!("`sample: {{ rows: {max} }}` instead of `max_samples` takes random rows");
        notes.push(note(NoteKind::FirstRows, text, hint));
    }
    notes
}

/// Returns a note for each source that has fewer rows than `sample` asks for.
fn few_rows(recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let note_of = |(dataset, source): (&Dataset, &SelectedSource)| {
        let (Take::Sample(sampling), kept) = (dataset.take, source.selected.kept) else { return None };
        let asked = grouped(sampling.rows);
        let text =
            format!("`{}` has only {} rows, requested `sample: {{ rows: {asked} }}`", dataset.name, grouped(kept));
        // What leaves since it is in another source is named there.
        (kept < sampling.rows && source.ungrouped.is_none()).then(|| note(NoteKind::FewRows, text, None))
    };
    recipe.datasets.iter().zip(plan.sources.iter()).filter_map(note_of).collect()
}

/// Returns a note for each source with texts that a chat template wrote.
fn rendered(recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let note_of = |(dataset, source): (&Dataset, &SelectedSource)| {
        let broken = source.chunks.iter().flat_map(|chunk| &chunk.converted.broken);
        let of_rule = broken.filter(|broken| broken.rule == rules::rendered::NAME && broken.mode == Mode::Warn);
        let count: u64 = of_rule.map(|broken| u64::from(broken.places)).sum();
        let (texts, hold) = if count == 1 { ("text", "holds") } else { ("texts", "hold") };
        let so = match recipe.metadata.kind {
            SampleKind::Text => "a model is trained on them as they stand",
            _ => "a chat template would write them once more",
        };
        let text = format!(
            "{} {texts} of `{}` {hold} marks of a chat template, such as `<|im_start|>user`: {so}",
            grouped(count),
            dataset.name
        );
        let hint = "`rules: { rendered: reject }` leaves such rows out".to_owned();
        (count > 0).then(|| note(NoteKind::Rendered, text, hint))
    };
    recipe.datasets.iter().zip(plan.sources.iter()).filter_map(note_of).collect()
}

/// Returns a note for each filter whose function refuses rows.
fn failed(name: &str, recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let mut notes = Vec::new();
    for (dataset, source) in recipe.datasets.iter().zip(plan.sources.iter()) {
        for count in &source.selected.filters {
            let Some(why) = &count.failure else { continue };
            let rows = if count.failed == 1 { "1 row".to_owned() } else { format!("{} rows", grouped(count.failed)) };
            let text = format!("`{}` refuses {rows} of `{}`, first: {why}", count.filter, dataset.name);
            let hint =
                format!("they are rejects: `datac show {name} --rejected` shows them; `max_rejects` limits them");
            notes.push(note(NoteKind::Function, text, hint));
        }
    }
    notes
}

/// Returns a note for each filter that drops more than half of the rows that come to it.
fn filters(name: &str, recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let mut notes = Vec::new();
    for (dataset, source) in recipe.datasets.iter().zip(plan.sources.iter()) {
        for count in source.selected.filters.iter().filter(|count| count.rows_out * 2 < count.rows_in) {
            let (kept, all) = (grouped(count.rows_out), grouped(count.rows_in));
            let text = format!("the filter `{}` keeps {kept} of {all} rows of `{}`", count.filter, dataset.name);
            let hint = format!("`datac show {name} --dropped {}` shows the others", count.filter);
            notes.push(note(NoteKind::Filter, text, hint));
        }
    }
    notes
}

/// Returns the sources that are mixed, each with what it came to.
fn mixed<'p>(
    recipe: &'p Recipe,
    plan: &'p RecipePlan,
) -> impl Iterator<Item = (&'p Dataset, &'p SelectedSource, &'p Realised)> {
    let all = recipe.datasets.iter().zip(plan.sources.iter()).zip(&plan.arranged.realised);
    all.map(|((dataset, source), realised)| (dataset, source, realised)).filter(|(dataset, ..)| dataset.is_mixed())
}

/// Returns what the mixture holds, in its unit.
fn realised_units(recipe: &Recipe, plan: &RecipePlan) -> u64 {
    mixed(recipe, plan).map(|(.., realised)| realised.all_units()).sum()
}

fn total(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    let (asked, got) = (recipe.mix.total?, realised_units(recipe, plan));
    let is_met = match recipe.mix.unit {
        Unit::Rows => got == asked,
        // Rows are not cut, so the last one of a source may be too long or too short.
        Unit::Characters | Unit::Tokens => got.abs_diff(asked) * 100 <= asked,
    };
    if is_met {
        return None;
    }
    let unit = unit_word(recipe.mix.unit);
    let text = format!("the mixture has {} {unit}, requested `total: {asked}`", grouped(got));
    Some(match scarcest(recipe, plan) {
        Some(scarce) if plan.allotment.total < asked => {
            let source = &plan.sources[scarce];
            let text = format!("{text}: `{}` has only {}", source.name, of_source(recipe, plan, scarce));
            note(NoteKind::Total, text, "`strategy: repeat` repeats the rows of short sources".to_owned())
        }
        _ => note(NoteKind::Total, format!("{text}: rows are not cut"), None),
    })
}

fn left_out(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    let scarce = scarcest(recipe, plan)?;
    // With a total that the sources can meet, none of them is the bound.
    if recipe.mix.total.is_some_and(|total| plan.allotment.total >= total) {
        return None;
    }
    let left: Vec<String> = mixed(recipe, plan)
        .filter_map(|(_, source, realised)| {
            let left = source.selected.kept - (realised.all_rows() - realised.repeats);
            let kept = grouped(source.selected.kept);
            (left > 0).then(|| format!("{} of {kept} rows of `{}`", grouped(left), source.name))
        })
        .collect();
    if left.is_empty() {
        return None;
    }
    let (name, has) = (&plan.sources[scarce].name, of_source(recipe, plan, scarce));
    let text = format!("`{name}` limits the mixture with its {has}: {} are left out", listed(&left));
    Some(note(NoteKind::LeftOut, text, "`strategy: repeat` uses all and repeats the rows of short sources".to_owned()))
}

/// Returns the source that has least for its share, if the mixture repeats no row.
fn scarcest(recipe: &Recipe, plan: &RecipePlan) -> Option<usize> {
    let size = |source: usize| size(recipe, plan, source) as f64 / recipe.datasets[source].mix_ratio;
    (recipe.mix.strategy == Strategy::Cut).then(|| {
        (0..recipe.datasets.len())
            .filter(|source| recipe.datasets[*source].is_mixed() && plan.sources[*source].selected.kept > 0)
            .min_by(|a, b| size(*a).total_cmp(&size(*b)))
    })?
}

fn size(recipe: &Recipe, plan: &RecipePlan, source: usize) -> u64 {
    let selected = &plan.sources[source].selected;
    match recipe.mix.unit {
        Unit::Rows => selected.kept,
        Unit::Characters => selected.characters,
        Unit::Tokens => selected.tokens,
    }
}

fn of_source(recipe: &Recipe, plan: &RecipePlan, source: usize) -> String {
    format!("{} {}", grouped(size(recipe, plan, source)), unit_word(recipe.mix.unit))
}

/// Returns a note on the repeats of a single source; of several, the table of the mixture has them.
fn repeats(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    let mut mixed = mixed(recipe, plan);
    let (Some((_, source, realised)), None) = (mixed.next(), mixed.next()) else { return None };
    let text = || {
        let (name, kept) = (&source.name, grouped(source.selected.kept));
        let (repeats, rows) = (grouped(realised.repeats), grouped(realised.all_rows()));
        format!("`{name}` has {kept} rows, so {repeats} of {rows} are repeats")
    };
    let hint = || "`strategy: cut` repeats no row".to_owned();
    (realised.repeats > 0).then(|| note(NoteKind::Repeats, text(), hint()))
}

fn shares(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    let mixed: Vec<(&Dataset, &Realised)> =
        mixed(recipe, plan).map(|(dataset, _, realised)| (dataset, realised)).collect();
    if mixed.len() < 2 {
        return None;
    }
    let whole: f64 = mixed.iter().map(|(dataset, _)| dataset.mix_ratio).sum();
    let off = |side: Side| {
        let total: u64 = mixed.iter().map(|(_, realised)| *realised.units.get(side)).sum();
        let share = |realised: &Realised| *realised.units.get(side) as f64 / total.max(1) as f64;
        let is_off = |(dataset, realised): &(&Dataset, &Realised)| {
            (share(realised) - dataset.mix_ratio / whole).abs() > SHARE_TOLERANCE
        };
        let shares = mixed.iter().map(|(dataset, realised)| format!("{} {}", dataset.name, percent(share(realised))));
        let is_told = total > 0 && mixed.iter().any(is_off);
        is_told.then(|| format!("{} has {}", side.word(), listed(&shares.collect::<Vec<_>>())))
    };
    let off: Vec<String> = Side::ALL.into_iter().filter_map(off).collect();
    let asked: Vec<String> = mixed.iter().map(|(dataset, _)| percent(dataset.mix_ratio / whole)).collect();
    // Without a split, whatever makes a difference is no matter of the method.
    let is_split = recipe.validation.ratio > 0.0 || recipe.validation.test_ratio > 0.0;
    let hint = (is_split && recipe.validation.method == SplitMethod::Hash)
        .then(|| "`method: exact` in `validation` divides each source in the same ratio".to_owned());
    let text = || format!("{}; requested {}", off.join(", "), listed(&asked));
    (!off.is_empty()).then(|| note(NoteKind::Shares, text(), hint))
}

/// Returns a note for each side that takes a share of the mixture and has much more or less.
fn sizes(recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let split = &recipe.validation;
    let rows: BySide<u64> =
        BySide::new(|side| mixed(recipe, plan).map(|(.., realised)| *realised.rows.get(side)).sum());
    let all: u64 = rows.values().sum();
    let mut notes = Vec::new();
    // Validation takes its share of what the test side leaves.
    for (side, asked, whole) in [(Side::Test, split.test_ratio, all), (Side::Validation, split.ratio, all - rows.test)]
    {
        let held_out = *rows.get(side);
        let expected = asked * whole as f64;
        let difference = (held_out as f64 - expected).abs();
        // Less than a row cannot be told from rounding.
        if asked <= 0.0 || whole == 0 || (held_out > 0 && (difference < 1.0 || difference <= SIZE_TOLERANCE * expected))
        {
            continue;
        }
        let got = percent(held_out as f64 / whole as f64);
        let (word, held_out, whole) = (side.word(), grouped(held_out), grouped(whole));
        let empty = if *rows.get(side) == 0 && recipe.writes_native() {
            "; its file is empty, which `load_dataset` refuses"
        } else {
            ""
        };
        let text = format!("{word} has {held_out} of {whole} rows ({got}), requested {}{empty}", percent(asked));
        let hint = match split.method {
            SplitMethod::Hash => {
                Some("`method: exact` in `validation` holds out the requested number of rows".to_owned())
            }
            SplitMethod::Exact => None,
        };
        notes.push(note(NoteKind::Validation, text, hint));
    }
    notes
}

/// Returns notes on rows that are also rows of other sources, and on prompts that are on several sides.
fn copies(recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let mut notes = Vec::new();
    let rows: u64 = mixed(recipe, plan).map(|(.., realised)| realised.all_rows()).sum();
    let across = plan.arranged.across;
    if across > 0 && across * COPIES >= rows {
        let text = format!("{} of {} rows repeat rows of another source", grouped(across), grouped(rows));
        notes.push(note(NoteKind::Copies, text, "`deduplicate: row` in `mix` keeps each once".to_owned()));
    }
    for (dataset, source) in recipe.datasets.iter().zip(plan.sources.iter()) {
        let Some(found) = source.grouped else { continue };
        if dataset.is_mixed() && source.selected.kept == 0 {
            let text = format!("`{}` gives no row: all of its rows or prompts are in other sources", dataset.name);
            notes.push(note(NoteKind::Copies, text, None));
        }
        for (side, shared) in found.shared.iter().filter(|(_, shared)| **shared > 0) {
            let text = format!("`{}` has {} rows with prompts of {}", dataset.name, grouped(*shared), side.word());
            notes.push(note(NoteKind::Mingled, text, "`overlap: remove` leaves them out".to_owned()));
        }
    }
    if let Some(mingled @ 1..) = plan.arranged.mingled
        && !recipe.validation.normalise
    {
        let text = format!("{} prompts are on several sides but for case and white space", grouped(mingled));
        notes.push(note(NoteKind::Mingled, text, "`normalise: true` in `validation` keeps them on one".to_owned()));
    }
    notes
}

fn unit_word(unit: Unit) -> &'static str {
    Unit::ALL.iter().find(|(_, known)| *known == unit).map_or("rows", |(word, _)| word)
}

fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

/// Lists the first items in words.
fn listed(items: &[String]) -> String {
    let (first, rest) = items.split_at(items.len().min(LISTED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    first.join(", ") + &more
}

/// Writes a number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_lists_are_cut() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let items: Vec<String> = (1..=6).map(|i| i.to_string()).collect();
        assert_eq!((listed(&items).as_str(), listed(&items[..2]).as_str()), ("1, 2, 3, 4 and 2 more", "1, 2"));
    }
}
