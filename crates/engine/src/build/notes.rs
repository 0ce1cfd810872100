//! What the author of a recipe should know about a build that went well: where it gives something else than was asked for.

use schemars::JsonSchema;
use serde::Serialize;

use crate::graph::RecipePlan;
use datac_core::config::{Recipe, SplitMethod, Strategy, Take, Unit};

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
    /// `total` was not met.
    Total,
    /// A source limits the mixture, and others leave rows out.
    LeftOut,
    /// Rows are there more than once.
    Repeats,
    /// The shares of train or validation are not those of the mixture.
    Shares,
    /// The share of validation is not the one requested.
    Validation,
}

/// By how much the share of a source in one file may differ from the requested one before that is worth a note.
const SHARE_TOLERANCE: f64 = 0.02;

/// By which part of it the size of the validation side may differ from the requested one.
const VALIDATION_TOLERANCE: f64 = 0.1;

/// The most sources that a note lists.
const LISTED: usize = 4;

/// Returns what is to be said about a recipe that was built.
pub(crate) fn notes(recipe: &Recipe, plan: &RecipePlan) -> Vec<Note> {
    let mut notes = first_rows(recipe, plan);
    notes.extend(total(recipe, plan));
    notes.extend(left_out(recipe, plan));
    notes.extend(repeats(recipe, plan));
    notes.extend(shares(recipe, plan));
    notes.extend(validation(recipe, plan));
    notes
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

/// Returns what the mixture holds, in its unit.
fn realised_units(plan: &RecipePlan) -> u64 {
    plan.arranged.realised.iter().map(|realised| realised.units).sum()
}

fn total(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    let (asked, got) = (recipe.mix.total?, realised_units(plan));
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
    let sources = plan.sources.iter().zip(&plan.arranged.realised);
    let left: Vec<String> = sources
        .filter_map(|(source, realised)| {
            let left = source.selected.kept - (realised.train + realised.validation - realised.repeats);
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
    (recipe.mix.strategy == Strategy::Cut)
        .then(|| (0..recipe.datasets.len()).min_by(|a, b| size(*a).total_cmp(&size(*b))))?
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
    let ([_], [source], [realised]) = (&*recipe.datasets, &**plan.sources, &*plan.arranged.realised) else {
        return None;
    };
    let rows = realised.train + realised.validation;
    let text = || {
        let (name, kept) = (&source.name, grouped(source.selected.kept));
        format!("`{name}` has {kept} rows, so {} of {} are repeats", grouped(realised.repeats), grouped(rows))
    };
    let hint = || "`strategy: cut` repeats no row".to_owned();
    (realised.repeats > 0).then(|| note(NoteKind::Repeats, text(), hint()))
}

fn shares(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    if recipe.datasets.len() < 2 || recipe.mix.unit != Unit::Rows {
        return None;
    }
    let whole: f64 = recipe.datasets.iter().map(|dataset| dataset.mix_ratio).sum();
    let realised = &plan.arranged.realised;
    let sides: [(&str, Vec<u64>); 2] = [
        ("train", realised.iter().map(|source| source.train).collect()),
        ("validation", realised.iter().map(|source| source.validation).collect()),
    ];
    let off = |(side, rows): &(&str, Vec<u64>)| {
        let total: u64 = rows.iter().sum();
        let share = |source: usize| rows[source] as f64 / total.max(1) as f64;
        let is_off =
            |source: usize| (share(source) - recipe.datasets[source].mix_ratio / whole).abs() > SHARE_TOLERANCE;
        let shares = |source: usize| format!("{} {}", recipe.datasets[source].name, percent(share(source)));
        let is_told = total > 0 && (0..rows.len()).any(is_off);
        is_told.then(|| format!("{side} has {}", listed(&(0..rows.len()).map(shares).collect::<Vec<_>>())))
    };
    let off: Vec<String> = sides.iter().filter_map(off).collect();
    let asked = |dataset: &datac_core::config::Dataset| percent(dataset.mix_ratio / whole);
    let asked: Vec<String> = recipe.datasets.iter().map(asked).collect();
    let hint = (recipe.validation.method == SplitMethod::Hash)
        .then(|| "`method: exact` in `validation` divides each source in the same ratio".to_owned());
    let text = || format!("{}; requested {}", off.join(", "), listed(&asked));
    (!off.is_empty()).then(|| note(NoteKind::Shares, text(), hint))
}

fn validation(recipe: &Recipe, plan: &RecipePlan) -> Option<Note> {
    let asked = recipe.validation.ratio;
    let sum = |rows: fn(&datac_core::mix::Realised) -> u64| plan.arranged.realised.iter().map(rows).sum::<u64>();
    let (train, held_out) = (sum(|source| source.train), sum(|source| source.validation));
    let rows = train + held_out;
    let expected = asked * rows as f64;
    let difference = (held_out as f64 - expected).abs();
    // Less than a row cannot be told from rounding.
    if asked <= 0.0 || rows == 0 || difference < 1.0 || difference <= VALIDATION_TOLERANCE * expected {
        return None;
    }
    let (got, held_out) = (percent(held_out as f64 / rows as f64), grouped(held_out));
    let text = format!("validation has {held_out} of {} rows ({got}), requested {}", grouped(rows), percent(asked));
    let hint = match recipe.validation.method {
        SplitMethod::Hash => Some("`method: exact` in `validation` holds out the requested number of rows".to_owned()),
        SplitMethod::Exact => None,
    };
    Some(note(NoteKind::Validation, text, hint))
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
