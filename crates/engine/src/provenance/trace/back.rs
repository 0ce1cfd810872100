//! Traces a line of an output back to the source row it was made from.

use std::{io::BufRead, path::Path};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    findings::{Finder, Findings},
    lineage::{At, Lineage, RejectAt},
    locate::{Located, locate},
    source_row::{SampleOf, SourcePlace, SourceText, Sources},
};
use crate::{
    cache::{Access, RunId},
    driver::{QuarantinePlace, quarantine_line},
    provenance::manifest::MadeSource,
    site::{Site, WorkspaceError, lines_of},
    status::FileState,
    system::FileError,
};
use datac_core::{
    config::SplitMethod,
    failure::{Failure, FailureKind},
    mix::arrange::{order_key, split_rank, split_threshold},
    outputs::{OutputKind, Side, row_id},
    quality::{Filter, ScoreColumn},
    row::Reason,
    sample::SampleIndex,
    shape::{self, WrittenRow},
};
use datac_decode::Encoding;

/// Origin of a line of an output.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Origin {
    /// Name of the file in the output folder.
    pub output: String,
    /// Line in the file as it was built, from 1.
    pub line: u64,
    /// Which of the recipe's files it is.
    pub side: OutputKind,
    /// Name of the recipe.
    pub recipe: String,
    /// Path of the recipe.
    pub path: String,
    /// The run that built the file.
    pub run: RunId,
    /// How the file on disk compares with the file that was built.
    pub file: FileAsBuilt,
    /// Location of the source row.
    pub source: SourcePlace,
    /// Which of the samples of its source row it is; `None` if the row yields only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleOf>,
    /// The source row.
    pub source_row: SourceText,
    /// Name of the converter.
    pub converter: String,
    /// Version of the converter.
    pub converter_code: String,
    /// Options of the converter.
    pub options: std::collections::BTreeMap<String, String>,
    /// What was left out of the sample so that it is not too long for the model, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortened: Option<String>,
    /// What the rules found in the row, and how many turns were joined; `None` for rejects.
    pub findings: Option<Findings>,
    /// Score of the row for each filter; empty for rejects.
    pub filters: Vec<Passed>,
    /// Why the row is on its side of the split; `None` for rejects.
    pub split: Option<Split>,
    /// Position of the row in the mixture; `None` for rejects.
    pub mixture: Option<Mixed>,
    /// Why the row was rejected; `None` for rows that were not.
    pub reject: Option<Rejected>,
    /// The line itself.
    #[schemars(with = "serde_json::Value")]
    pub row: Box<RawValue>,
}

/// How a file on disk compares with the file that was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileAsBuilt {
    /// Whether the file has the bytes that were written.
    pub state: FileState,
    /// The line that was asked for, if it differs from the line in the file as built.
    pub asked_line: Option<u64>,
    /// Whether a later build of the recipe gave other rows.
    pub is_older: bool,
}

/// A filter, and how a row scored with it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Passed {
    /// The `type` of the filter.
    pub filter: String,
    /// The field that was measured; the column whose value was compared, or the function that judged the sample.
    pub field: String,
    /// The score: a number, a language, the value of a column, or what a function said; why it failed, if it did.
    pub score: serde_json::Value,
    /// The bound, in the recipe's words.
    pub bound: String,
}

/// Why a row is on its side of the split.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Split {
    /// Hash of the prompt as 16 hexadecimal digits. Rows with the same prompt share it.
    pub prompt_hash: String,
    /// Rank of the prompt, in [0, 1): its position among all possible hashes.
    pub rank: f64,
    /// The share held out for the side that the row could have been on.
    pub ratio: f64,
    /// `hash`, `exact`, or `source` if all rows of the source are on one side.
    pub method: &'static str,
    /// The reason in words.
    pub why: String,
}

/// Position of a row in the mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mixed {
    /// Number of the sample among the source's kept samples, in source order, from 1.
    pub sample: u64,
    /// Number of samples of the source that were kept.
    pub kept: u64,
    /// Number of the row among the source's rows in this file, from 1.
    pub nth: u64,
    /// Number of the source's rows in this file.
    pub of: u64,
    /// Which use of the sample this row is, from 1.
    pub use_of: u32,
    /// Number of times the sample is used.
    pub uses: u32,
}

/// Why a row was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rejected {
    /// The reason.
    pub reason: Reason,
    /// Details, such as the field or the value at fault.
    pub detail: String,
}

/// How many samples of a packed row are named.
const SHOWN_IDS: usize = 12;

/// Traces a line of an output back to its source row, and explains why the row is there.
///
/// The result describes the file as it was built. If the file was edited by hand since, the line is found by its
/// content.
pub(crate) fn trace(site: &Site, output: &str, line: u64) -> Result<Origin, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let located = locate(site, &record, output)?;
    let (built, row) = match located.state {
        FileState::Edited => {
            let row = read_line(&located, line)?;
            (located.find(&row, line)?, Some(row))
        }
        _ => (line, None),
    };
    if built == 0 || built > located.rows {
        let message = format!("`{}` has no line {line}; the last line is {}", located.name, located.rows);
        return Err(Failure::plain(FailureKind::Config, message).hint("lines are counted from 1").into());
    }
    let mut finder = Finder::new(Sources::new(site, &record, &located.lineage));
    let mut origin = match located.side {
        OutputKind::Quarantine => {
            let rejects = located.lineage.quarantined()?;
            let at = rejects.get(built as usize - 1).ok_or_else(|| located.lineage.lost("a reject is missing"))?;
            reject_origin(&located, at, finder.sources())?
        }
        OutputKind::Rows(side) => row_origin(&located, side, built, &mut finder)?,
        OutputKind::Shard(side) => {
            let position = match located.packed(side, built)? {
                Some(samples) => one_of(&located, side, line, &samples)?,
                None => located.position(side, built)?,
            };
            let origin = row_origin(&located, side, position, &mut finder)?;
            Origin { side: located.side, line: built, ..origin }
        }
        OutputKind::Beside => return Err(no_rows(&located.name)),
    };
    if let Some(Ok(row)) = row.map(|row| RawValue::from_string(String::from_utf8_lossy(&row).into_owned())) {
        origin.row = row;
    }
    origin.file.asked_line = (built != line).then_some(line);
    Ok(origin)
}

/// Returns the native line of the only sample of a packed row.
fn one_of(located: &Located, side: Side, line: u64, samples: &[u32]) -> Result<u64, WorkspaceError> {
    let lineage = &located.lineage;
    if let [number] = samples {
        let found = lineage.lines(*number)?.into_iter().find(|(of, _)| *of == side);
        return found.map(|(_, line)| line).ok_or_else(|| lineage.lost("a packed sample is on no line"));
    }
    let mut ids = Vec::new();
    for number in samples.iter().take(SHOWN_IDS) {
        let at = lineage.at(*number)?;
        ids.push(row_id(lineage.index(at.source, at.chunk)?.row_hash[at.sample]));
    }
    if samples.len() > SHOWN_IDS {
        ids.push("…".to_owned());
    }
    let message = format!("line {line} of `{}` is packed of {} samples", located.name, samples.len());
    let hint = format!("trace one of them with `datac trace --id`: {}", ids.join(", "));
    Err(Failure::plain(FailureKind::Config, message).hint(hint).into())
}

fn no_rows(name: &str) -> WorkspaceError {
    let failure = Failure::plain(FailureKind::Config, format!("`{name}` holds no rows"));
    failure.hint("name a file of rows that stands beside it").into()
}

/// Reads a line, counted from 1, of a file on disk.
fn read_line(located: &Located, line: u64) -> Result<Vec<u8>, WorkspaceError> {
    let failed = |path: &Path, source| FileError { verb: "read", path: path.to_owned(), source };
    let mut reader = lines_of(&located.path)?;
    let (mut bytes, mut count) = (Vec::new(), 0);
    loop {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).map_err(|error| failed(&located.path, error))?;
        if read == 0 {
            let message = format!("`{}` has no line {line}; the last line is {count}", located.name);
            return Err(Failure::plain(FailureKind::Config, message).hint("lines are counted from 1").into());
        }
        count += 1;
        if count == line {
            bytes.truncate(bytes.trim_ascii_end().len());
            return Ok(bytes);
        }
    }
}

impl Located {
    /// Returns the line of the file as built that has this content; if there are several, the one nearest to `line`.
    fn find(&self, row: &[u8], line: u64) -> Result<u64, WorkspaceError> {
        let lines = if self.side == OutputKind::Quarantine { self.rejects_like(row)? } else { self.rows_like(row)? };
        lines.into_iter().min_by_key(|found| found.abs_diff(line)).ok_or_else(|| {
            let name = &self.name;
            let message = format!("trace line {line} of `{name}`: the file was edited by hand");
            let failure = Failure::new(FailureKind::Action, format!("{message}, and no build wrote this line"));
            failure.hint(format!("`datac build {}` rewrites the file", self.lineage.manifest.path)).into()
        })
    }

    fn rows_like(&self, row: &[u8]) -> Result<Vec<u64>, WorkspaceError> {
        let lineage = &self.lineage;
        let written = std::str::from_utf8(row).ok().and_then(shape::read);
        let Some(WrittenRow { sample, source: Some(name) }) = written else { return Ok(Vec::new()) };
        let (hash, mut lines) = (sample.row_hash(), Vec::new());
        for (source, made) in lineage.manifest.sources.iter().enumerate().filter(|(_, made)| made.name == name) {
            let in_chunk = |chunk: usize| {
                let index = lineage.index(source, chunk)?;
                let like = |sample: &usize| index.row_hash[*sample] == hash;
                let found: Vec<At> = (0..index.len()).filter(like).map(|sample| At { source, chunk, sample }).collect();
                found.into_iter().filter_map(|at| is_row(lineage, at, &index, row).transpose()).collect()
            };
            let found: Vec<Vec<At>> =
                (0..made.chunks.len()).into_par_iter().map(in_chunk).collect::<Result<_, WorkspaceError>>()?;
            for at in found.into_iter().flatten() {
                if let Some(number) = lineage.number(at)? {
                    let own =
                        lineage.lines(number)?.into_iter().filter(|(side, _)| OutputKind::Rows(*side) == self.side);
                    lines.extend(own.map(|(_, line)| line));
                }
            }
        }
        Ok(lines)
    }

    fn rejects_like(&self, row: &[u8]) -> Result<Vec<u64>, WorkspaceError> {
        #[derive(serde::Deserialize)]
        struct Line {
            source: String,
            file: String,
            row: u64,
        }
        let Ok(wanted) = serde_json::from_slice::<Line>(row) else { return Ok(Vec::new()) };
        let is_it = |at: &RejectAt| {
            let source = &self.lineage.manifest.sources[at.source];
            let chunk = &source.chunks[at.chunk];
            let place = SourcePlace::new(source, chunk, chunk.rejected[at.number].0);
            (place.source, place.file, place.row) == (wanted.source.clone(), wanted.file.clone(), wanted.row)
        };
        Ok(self.lineage.quarantined()?.iter().filter(|at| is_it(at)).map(|at| at.line).collect())
    }

    fn as_built(&self) -> FileAsBuilt {
        FileAsBuilt { state: self.state, asked_line: None, is_older: self.is_older }
    }
}

/// Returns the sample if its row is written as `row`.
fn is_row(lineage: &Lineage, at: At, index: &SampleIndex, row: &[u8]) -> Result<Option<At>, WorkspaceError> {
    Ok((lineage.line(at, index)? == row).then_some(at))
}

fn row_origin(located: &Located, side: Side, line: u64, finder: &mut Finder<'_>) -> Result<Origin, WorkspaceError> {
    let lineage = &located.lineage;
    let order = lineage.order(side)?;
    let number = *order.get(line as usize - 1).ok_or_else(|| lineage.lost("an order is too short"))?;
    let at = lineage.at(number)?;
    let index = lineage.index(at.source, at.chunk)?;
    let source = &lineage.manifest.sources[at.source];
    let chunk = &source.chunks[at.chunk];
    let scores = lineage.scores(at.source, at.chunk, &index)?;
    let filters = source.filters.iter().zip(&scores);
    let hashes = if lineage.manifest.validation.normalise { &index.folded_hash } else { &index.prompt_hash };
    let prompt_hash = hashes[at.sample];
    let mut place = SourcePlace::new(source, chunk, index.row[at.sample]);
    let source_row = finder.sources().read(source, chunk, index.row[at.sample], &mut place);
    let row = String::from_utf8_lossy(&lineage.line(at, &index)?).into_owned();
    Ok(Origin {
        output: located.name.clone(),
        line,
        side: OutputKind::Rows(side),
        recipe: lineage.manifest.name.clone(),
        path: lineage.manifest.path.clone(),
        run: lineage.run,
        file: located.as_built(),
        source: place,
        sample: SampleOf::among(&index, at.sample),
        source_row,
        converter: source.converted_by(),
        converter_code: source.version.to_string(),
        options: source.options.of_converter.clone(),
        shortened: lineage.shortened(at, &index)?,
        findings: Some(finder.find(lineage, at, &index)?),
        filters: filters.map(|(filter, scores)| passed(filter, scores, at.sample, &source.field)).collect(),
        split: Some(split(lineage, side, source, prompt_hash)),
        mixture: Some(mixed(lineage, side, line, at, number, index.row_hash[at.sample])?),
        reject: None,
        row: RawValue::from_string(row).map_err(|error| lineage.lost(error))?,
    })
}

fn reject_origin(located: &Located, at: &RejectAt, sources: &Sources<'_>) -> Result<Origin, WorkspaceError> {
    let lineage = &located.lineage;
    let source = &lineage.manifest.sources[at.source];
    let chunk = &source.chunks[at.chunk];
    let rejects = lineage.rejects(at.source, at.chunk)?;
    let stored = rejects.get(at.number).ok_or_else(|| lineage.lost("a reject is missing"))?;
    let mut place = SourcePlace::new(source, chunk, stored.row);
    let source_row = match sources.read(source, chunk, stored.row, &mut place) {
        SourceText::Unavailable(_) if !stored.raw.is_empty() => SourceText::Row(stored.raw.clone()),
        text => text,
    };
    if source.files[chunk.file as usize].encoding != Encoding::Columns {
        place.line = Some(chunk.place.first_line + u64::from(stored.line) + 1);
        place.offset = Some(chunk.place.offset + stored.offset);
    }
    let reject = Rejected { reason: stored.reject.reason, detail: stored.reject.detail.clone() };
    let line = quarantine_line(
        &QuarantinePlace {
            source: &source.name,
            repo: source.origin.name(),
            commit: source.origin.commit().unwrap_or_default(),
            file: &place.file,
            place: &chunk.place,
            encoding: source.files[chunk.file as usize].encoding,
        },
        stored,
    );
    let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
    Ok(Origin {
        output: located.name.clone(),
        line: at.line,
        side: OutputKind::Quarantine,
        recipe: lineage.manifest.name.clone(),
        path: lineage.manifest.path.clone(),
        run: lineage.run,
        file: located.as_built(),
        source: place,
        sample: None,
        source_row,
        converter: source.converted_by(),
        converter_code: source.version.to_string(),
        options: source.options.of_converter.clone(),
        shortened: None,
        findings: None,
        filters: Vec::new(),
        split: None,
        mixture: None,
        reject: Some(reject),
        row: RawValue::from_string(line).map_err(|error| lineage.lost(error))?,
    })
}

/// Returns what a sample scored with a filter, and the bound of the filter.
pub(crate) fn passed(filter: &Filter, scores: &ScoreColumn, sample: usize, field: &str) -> Passed {
    Passed {
        filter: filter.type_name().to_owned(),
        field: match (filter.column(), filter.function()) {
            (Some(column), _) => column.to_owned(),
            (None, Some((function, _))) => function.to_string(),
            (None, None) => field.to_owned(),
        },
        score: filter.shown(scores.score(sample)),
        bound: filter.bound.to_string(),
    }
}

fn split(lineage: &Lineage, side: Side, source: &MadeSource, prompt_hash: u64) -> Split {
    let validation = &lineage.manifest.validation;
    // The draw that decided: the test side is drawn first, so a row of the test side was not in the other draw.
    let (drawn, share) = match side {
        Side::Test => (Side::Test, validation.test_ratio),
        Side::Train | Side::Validation => (Side::Validation, validation.ratio),
    };
    let rank = split_rank(prompt_hash, validation.seed, drawn);
    let is_held_out = side != Side::Train;
    let fraction = rank as f64 / 18_446_744_073_709_551_616.0;
    let (word, side) = (drawn.word(), side.word());
    let (method, why) = match validation.method {
        _ if source.is_held => ("source", format!("{side}: all rows of `{}` are on this side", source.name)),
        _ if share <= 0.0 => ("hash", format!("{side}: no share of the mixture is held out for {word}")),
        SplitMethod::Hash => {
            let is_low = u128::from(rank) < split_threshold(share);
            let why = match (is_low, is_held_out) {
                (true, true) => format!("{word}: prompt hash {fraction:.4} < {share}"),
                (false, false) => format!("train: prompt hash {fraction:.4} >= {share}"),
                (true, false) => format!("train: all prompt hashes are < {share}, and this is the highest"),
                (false, true) => format!("{word}: no prompt hash is < {share}, and this is the lowest"),
            };
            ("hash", why)
        }
        SplitMethod::Exact => {
            let summary = &lineage.manifest.summary;
            let rows = if drawn == Side::Test { summary.test_rows } else { summary.validation_rows };
            let among = if validation.stratified { "of its source" } else { "of all sources" };
            let why = if is_held_out {
                format!("{word}: among the lowest prompt hashes {among}, which make up the {rows} {word} rows")
            } else {
                format!("train: lower prompt hashes {among} make up the {rows} {word} rows")
            };
            ("exact", why)
        }
    };
    Split { prompt_hash: format!("{prompt_hash:016x}"), rank: fraction, ratio: share, method, why }
}

fn mixed(
    lineage: &Lineage,
    side: Side,
    line: u64,
    at: At,
    number: u32,
    row_hash: u64,
) -> Result<Mixed, WorkspaceError> {
    let own = lineage.numbers(at.source);
    let order = lineage.order(side)?;
    let count = |rows: &[u32]| rows.iter().filter(|row| own.contains(&u64::from(**row))).count() as u64;
    let lines = lineage.lines(number)?;
    // Repeats of a row are ordered by their keys, so the nth line of the row is the repeat with the nth smallest key.
    let seed = lineage.manifest.validation.seed;
    let mut keys: Vec<(u64, u32)> =
        (0..lines.len() as u32).map(|repeat| (order_key(row_hash, repeat, seed), repeat)).collect();
    keys.sort_unstable();
    let which = lines.iter().position(|found| *found == (side, line)).and_then(|which| keys.get(which));
    Ok(Mixed {
        sample: u64::from(number) - own.start + 1,
        kept: lineage.manifest.sources[at.source].kept,
        nth: count(&order[..line as usize]),
        of: count(order),
        use_of: which.map_or(1, |(_, repeat)| repeat + 1),
        uses: lines.len() as u32,
    })
}
