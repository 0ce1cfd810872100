//! Traces a source row forward to every output it is in, or to what kept it out.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    back::{Passed, Rejected, passed},
    findings::{Finder, Findings},
    lineage::{At, Lineage},
    source_row::{SampleOf, SourcePlace, SourceText, Sources},
};
use crate::{
    cache::{Access, Build, Record, RunId},
    graph::PackedRows,
    provenance::{history::read_manifest, manifest::MadeSource},
    site::{Site, WorkspaceError},
    system,
};
use datac_core::{
    failure::{Failure, FailureKind},
    leaf::Leaf,
    mix::{Selection, stops::Stops},
    outputs::{NamedFile, OutputKind, Side, hash_of_id},
};

/// What happened to a source row in all recipes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Journey {
    /// The source as it was asked for.
    pub source: String,
    /// Path of the file.
    pub file: String,
    /// Number of the row in the file, from 0.
    pub row: u64,
    /// The row as the first recipe read it.
    pub source_row: Option<SourceText>,
    /// What happened to the row, or to each of its samples, in each recipe that names the source; ordered by recipe
    /// path.
    pub fates: Vec<FateOf>,
}

/// What happened to a row in one recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FateOf {
    /// Name of the recipe.
    pub recipe: String,
    /// Path of the recipe.
    pub path: String,
    /// The run that built the recipe.
    pub run: RunId,
    /// Location of the row.
    pub source: SourcePlace,
    /// Which of the row's samples it is; `None` if the row yields one or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleOf>,
    /// What was left out of it so that it is not too long for the model, or which part of its text it is, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortened: Option<String>,
    /// What the rules found in it, and how many turns were joined; `None` for a row without a sample.
    pub findings: Option<Findings>,
    /// What happened to it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What happened to a row or a sample.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It is in the outputs.
    Written {
        /// The lines it is on.
        lines: Vec<OutputLine>,
    },
    /// It was rejected.
    Rejected {
        /// The reason.
        reject: Rejected,
        /// Its line in the quarantine file.
        quarantine: OutputLine,
    },
    /// The converter makes no sample of it.
    NoSample,
    /// A filter removed it.
    Filtered {
        /// The filter, the score and the bound.
        by: Passed,
        /// For deduplication, the earlier row with the same text.
        twin: Option<Twin>,
    },
    /// It was not looked at, because `max_samples` was reached before it; the file may not even have such a row.
    NotReached {
        /// `max_samples` of the source.
        max_samples: Option<u64>,
    },
    /// It passed the filters, but `sample` took other rows.
    NotSampled {
        /// Number of rows that `sample` takes.
        rows: u64,
    },
    /// It passed the filters, but another source has the prompt or the row.
    Compared {
        /// Names of the settings that rows of this source left by.
        by: Vec<String>,
    },
    /// It was kept, but the mixture chose other rows of its source.
    NotChosen {
        /// Number of samples of the source that were kept.
        kept: u64,
        /// Number of rows that the source gives to the outputs.
        gives: u64,
    },
}

/// A line of an output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct OutputLine {
    /// Name of the file in the output folder.
    pub output: String,
    /// Line in the file, from 1.
    pub line: u64,
    /// Which of the recipe's files it is.
    pub side: OutputKind,
}

/// The row that deduplication kept instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Twin {
    /// Path of its file.
    pub file: String,
    /// Number of the row in that file, from 0.
    pub row: u64,
}

/// Traces a source row through every recipe that has been built.
///
/// `source` is a repository, a local path, or the name that a recipe gives the source. `file` is the path of one of
/// its files, or the end of that path. Rows are counted from 0, as in quarantine files.
pub(crate) fn trace_source(site: &Site, source: &str, file: &str, row: u64) -> Result<Journey, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    journey(site, &record, &latest(site, &record)?, source, file, row)
}

/// The source rows of which a row with this `id` was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Identified {
    /// The `id` of rows of outputs.
    pub id: String,
    /// What happened to each source row whose sample has it: several, if they have the same content.
    pub rows: Vec<Journey>,
}

/// The largest number of source rows that are told for one `id`.
const MOST_ROWS: usize = 100;

/// Traces an `id` of rows to the source rows, and those through every recipe that has been built.
pub(crate) fn trace_id(site: &Site, id: &str) -> Result<Identified, WorkspaceError> {
    let Some(hash) = hash_of_id(id) else {
        let failure = Failure::plain(FailureKind::Config, format!("`{id}` is no `id` of a row"));
        return Err(failure
            .hint("an `id` is `row-` and 16 hexadecimal digits, as `output: {shape: …, id: true}` writes it")
            .into());
    };
    let record = site.cache.record(Access::Read)?;
    let lineages = latest(site, &record)?;
    let mut places: Vec<(String, String, u64)> = Vec::new();
    for lineage in &lineages {
        for (source, made) in lineage.manifest.sources.iter().enumerate() {
            for chunk in 0..made.chunks.len() {
                let index = lineage.index(source, chunk)?;
                for sample in (0..index.len()).filter(|sample| index.row_hash[*sample] == hash) {
                    let place = SourcePlace::new(made, &made.chunks[chunk], index.row[sample]);
                    let place = (made.origin.name().to_owned(), place.file, place.row);
                    if !places.contains(&place) && places.len() < MOST_ROWS {
                        places.push(place);
                    }
                }
            }
        }
    }
    if places.is_empty() {
        let failure = Failure::plain(FailureKind::Config, format!("no sample of the latest builds has the id `{id}`"));
        return Err(failure
            .hint("an id stays the same as long as the content of the row does; build the recipe again")
            .into());
    }
    let rows = places.iter().map(|(source, file, row)| journey(site, &record, &lineages, source, file, *row));
    Ok(Identified { id: id.to_owned(), rows: rows.collect::<Result<_, _>>()? })
}

/// Returns the latest builds of all recipes that still exist.
fn latest(site: &Site, record: &Arc<Record>) -> Result<Vec<Lineage>, WorkspaceError> {
    let builds = record.latest_builds()?;
    let read = |(run, build): &(RunId, Build)| {
        Ok(Lineage::new(read_manifest(&site.cache.store(record), build)?, *run, site.cache.store(record)))
    };
    builds.par_iter().filter(|(_, build)| system::exists(&site.root().join(&build.path))).map(read).collect()
}

fn journey(
    site: &Site,
    record: &Arc<Record>,
    lineages: &[Lineage],
    source: &str,
    file: &str,
    row: u64,
) -> Result<Journey, WorkspaceError> {
    let is_meant = |made: &MadeSource| made.origin.name() == source || made.name == source;
    let sources = || lineages.iter().flat_map(|lineage| lineage.manifest.sources.iter());
    if !sources().any(is_meant) {
        let mut known: Vec<&str> = sources().map(|made| made.origin.name()).collect();
        known.sort_unstable();
        known.dedup();
        let failure = Failure::plain(FailureKind::Config, format!("no build read the source `{source}`"));
        return Err(match known.as_slice() {
            [] => failure.hint("nothing has been built yet; run `datac build`"),
            known => failure.hint(format!("available: {}", known.join(", "))),
        }
        .into());
    }
    let file = file_of(lineages, source, file)?;
    let mut journey =
        Journey { source: source.to_owned(), file: file.clone(), row, source_row: None, fates: Vec::new() };
    for lineage in lineages {
        for (number, made) in lineage.manifest.sources.iter().enumerate().filter(|(_, made)| is_meant(made)) {
            let Some((mut place, fates)) = fates(lineage, number, &file, row)? else { continue };
            let mut finder = Finder::new(Sources::new(site, record, lineage));
            if let Some((chunk, within)) = chunk_of(made, &file, row) {
                let text = finder.sources().read(made, &made.chunks[chunk], within, &mut place);
                journey.source_row.get_or_insert(text);
            }
            for FateAt { at, sample, fate } in fates {
                let find = |at: At| finder.find(lineage, at, &lineage.index(at.source, at.chunk)?);
                let shortened = |at: At| lineage.shortened(at, &lineage.index(at.source, at.chunk)?);
                journey.fates.push(FateOf {
                    recipe: lineage.manifest.name.clone(),
                    path: lineage.manifest.path.clone(),
                    run: lineage.run,
                    source: place.clone(),
                    sample,
                    shortened: at.map(shortened).transpose()?.flatten(),
                    findings: at.map(find).transpose()?,
                    fate,
                });
            }
        }
    }
    if journey.fates.is_empty() {
        let message = format!("`{file}` has no row {row}");
        return Err(Failure::plain(FailureKind::Config, message).hint("rows are counted from 0").into());
    }
    Ok(journey)
}

/// Returns the file of a source that has this path, or whose path alone ends in it.
fn file_of(lineages: &[Lineage], source: &str, file: &str) -> Result<String, WorkspaceError> {
    let mut known: Vec<&str> = Vec::new();
    for lineage in lineages {
        for made in lineage.manifest.sources.iter().filter(|made| made.origin.name() == source || made.name == source) {
            known.extend(made.files.iter().map(|file| file.path.as_str()));
            known.extend(unread(lineage, made));
        }
    }
    known.sort_unstable();
    known.dedup();
    if known.contains(&file) {
        return Ok(file.to_owned());
    }
    let ends: Vec<&str> = known.iter().copied().filter(|known| Path::new(known).ends_with(file)).collect();
    match ends.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Failure::plain(FailureKind::Config, format!("no build read a file `{file}` of `{source}`"))
            .hint(format!("files that were read: {}", known.join(", ")))
            .into()),
        several => Err(Failure::plain(FailureKind::Config, format!("no build read a file `{file}` of `{source}`"))
            .hint(format!("several files match: {}", several.join(", ")))
            .into()),
    }
}

/// Returns the files of a source that a recipe depends on, including those that its build did not read.
fn unread<'l>(lineage: &'l Lineage, made: &'l MadeSource) -> impl Iterator<Item = &'l str> {
    lineage.manifest.leaves.iter().filter_map(move |(leaf, _)| match leaf {
        Leaf::File { source, path } if source == made.origin.name() => Some(path.as_str()),
        _ => None,
    })
}

/// Returns the chunk that holds a row, and the row's number in that chunk.
fn chunk_of(made: &MadeSource, file: &str, row: u64) -> Option<(usize, u32)> {
    let number = made.files.iter().position(|known| known.path == file)?;
    let holds = |chunk: &crate::provenance::manifest::MadeChunk| {
        let within = row.checked_sub(chunk.place.first_row)?;
        (chunk.file as usize == number && within < u64::from(chunk.rows)).then_some(within as u32)
    };
    made.chunks.iter().enumerate().find_map(|(at, chunk)| Some((at, holds(chunk)?)))
}

/// What happened to a sample, or to a row that has none.
struct FateAt {
    /// The sample.
    at: Option<At>,
    /// Which of the row's samples it is, if there are several.
    sample: Option<SampleOf>,
    fate: Fate,
}

impl FateAt {
    fn of_row(fate: Fate) -> Vec<Self> {
        vec![Self { at: None, sample: None, fate }]
    }
}

/// Location of a row, and what happened to each of its samples, or to the row itself.
type Fates = (SourcePlace, Vec<FateAt>);

/// Returns what happened to a source row in one recipe; `None` if the recipe's source has no such row.
fn fates(lineage: &Lineage, source: usize, file: &str, row: u64) -> Result<Option<Fates>, WorkspaceError> {
    let made = &lineage.manifest.sources[source];
    let max_samples = made.take.first();
    let Some((chunk, within)) = chunk_of(made, file, row) else {
        let is_its =
            made.files.iter().any(|known| known.path == file) || unread(lineage, made).any(|path| path == file);
        let place = SourcePlace {
            source: made.name.clone(),
            repo: made.origin.name().to_owned(),
            commit: made.origin.commit().unwrap_or_default().to_owned(),
            license: made.license.clone(),
            file: file.to_owned(),
            row,
            line: None,
            offset: None,
        };
        // A row that is in no chunk can only exist if `max_samples` stopped the reading.
        let is_unread = is_its && lineage.selection(source)?.reached_max;
        return Ok(is_unread.then_some((place, FateAt::of_row(Fate::NotReached { max_samples }))));
    };
    let place = SourcePlace::new(made, &made.chunks[chunk], within);
    let selection = lineage.selection(source)?;
    if within >= selection.rows_looked_at[chunk] {
        return Ok(Some((place, FateAt::of_row(Fate::NotReached { max_samples }))));
    }
    if let Some(number) = made.chunks[chunk].rejected.iter().position(|(row, _)| *row == within) {
        let stored = lineage.rejects(source, chunk)?;
        let stored = stored.get(number).ok_or_else(|| lineage.lost("a reject is missing"))?;
        let reject = Rejected { reason: stored.reject.reason, detail: stored.reject.detail.clone() };
        let is_it = |at: &&super::lineage::RejectAt| (at.source, at.chunk, at.number) == (source, chunk, number);
        let at = lineage.quarantined()?.iter().find(is_it).map_or(0, |at| at.line);
        let quarantine = output_line(lineage, OutputKind::Quarantine, at);
        return Ok(Some((place, FateAt::of_row(Fate::Rejected { reject, quarantine }))));
    }
    let index = lineage.index(source, chunk)?;
    let samples = index.row.partition_point(|row| *row < within)..index.row.partition_point(|row| *row <= within);
    if samples.is_empty() {
        return Ok(Some((place, FateAt::of_row(Fate::NoSample))));
    }
    let fate = |sample| {
        let at = At { source, chunk, sample };
        Ok(FateAt { at: Some(at), sample: SampleOf::among(&index, sample), fate: fate(lineage, at)? })
    };
    Ok(Some((place, samples.map(fate).collect::<Result<_, WorkspaceError>>()?)))
}

/// Returns what happened to a sample.
fn fate(lineage: &Lineage, at: At) -> Result<Fate, WorkspaceError> {
    let made = &lineage.manifest.sources[at.source];
    Ok(match lineage.number(at)? {
        Some(number) => {
            let lines = lineage.lines(number)?;
            let is_written = !lines.is_empty();
            let lines: Vec<Vec<OutputLine>> =
                lines.into_iter().map(|(side, line)| lines_of(lineage, side, line)).collect::<Result<_, _>>()?;
            let lines = lines.concat();
            if !is_written {
                let gives = lineage.manifest.summary.sources.get(at.source).map_or(0, |source| source.rows);
                Fate::NotChosen { kept: made.kept, gives }
            } else {
                Fate::Written { lines }
            }
        }
        // Samples after the last one needed were not looked at, even if their row was.
        None => {
            let ungrouped = lineage.ungrouped(at.source)?;
            let selection = ungrouped.as_ref().map_or_else(|| lineage.selection(at.source), Ok)?;
            if ungrouped.is_some() && selection.samples(at.chunk).any(|sample| sample as usize == at.sample) {
                Fate::Compared { by: compared_by(made) }
            } else if is_behind_last(at, selection) {
                Fate::NotReached { max_samples: made.take.first() }
            } else {
                filtered(lineage, at)?
            }
        }
    })
}

/// Names the settings that rows of a source left by when sources were compared.
fn compared_by(made: &MadeSource) -> Vec<String> {
    let grouped = made.grouped.unwrap_or_default();
    let by = [
        ("exclude", grouped.excluded),
        ("test.overlap", grouped.held.test),
        ("validation.overlap", grouped.held.validation),
        ("mix.deduplicate", grouped.duplicates),
    ];
    by.into_iter().filter(|(_, rows)| *rows > 0).map(|(setting, _)| setting.to_owned()).collect()
}

/// Returns whether a sample comes after the one with which `max_samples` was reached.
fn is_behind_last(at: At, selection: &Selection) -> bool {
    let last = selection.samples(at.chunk).last();
    let is_last_chunk = (at.chunk + 1..selection.chunks()).all(|chunk| selection.count(chunk) == 0);
    selection.reached_max && is_last_chunk && last.is_some_and(|last| at.sample > last as usize)
}

fn filtered(lineage: &Lineage, At { source, chunk, sample }: At) -> Result<Fate, WorkspaceError> {
    let made = &lineage.manifest.sources[source];
    let read = |chunk| {
        let index = lineage.index(source, chunk)?;
        let scores = lineage.scores(source, chunk, &index)?;
        Ok((index, scores))
    };
    let loaded: Vec<_> = (0..=chunk).into_par_iter().map(read).collect::<Result<_, WorkspaceError>>()?;
    let (mut stops, mut stopped) = (Stops::new(&made.filters), None);
    for (number, (index, scores)) in loaded.iter().enumerate() {
        let samples = if number == chunk { sample + 1 } else { index.len() };
        let is_refused = |sample: usize| made.chunks[number].rejects(index.row[sample]);
        let added = stops.add(scores, index.wholes().as_deref(), samples, is_refused, |at, by| {
            if (number, at) == (chunk, sample) {
                stopped = Some(by);
            }
        });
        added.map_err(|error| lineage.lost(error))?;
    }
    let Some(stopped) = stopped else {
        let Some(sampling) = made.take.sampling() else {
            return Err(lineage.lost("a sample passes all filters and was not kept"));
        };
        return Ok(Fate::NotSampled { rows: sampling.rows });
    };
    let twin = stopped.twin.map(|(chunk, sample)| {
        let place = SourcePlace::new(made, &made.chunks[chunk], loaded[chunk].0.row[sample]);
        Twin { file: place.file, row: place.row }
    });
    let scores = &loaded[chunk].1[stopped.filter];
    Ok(Fate::Filtered { by: passed(&made.filters[stopped.filter], scores, sample, &made.field), twin })
}

/// Returns the lines of files that a row of a side is on: in its native file, and in those of targets all of whose samples fit
/// in rows of their own.
fn lines_of(lineage: &Lineage, side: Side, line: u64) -> Result<Vec<OutputLine>, WorkspaceError> {
    let rows = lineage.order(side)?.len() as u64;
    let files = || lineage.manifest.files.iter();
    let native = files().any(|file| OutputKind::of(&file.name) == Some(OutputKind::Rows(side)));
    let mut lines: Vec<OutputLine> =
        native.then(|| output_line(lineage, OutputKind::Rows(side), line)).into_iter().collect();
    let mut folders: BTreeMap<String, Vec<&NamedFile>> = BTreeMap::new();
    for file in files().filter(|file| OutputKind::of(&file.name) == Some(OutputKind::Shard(side))) {
        folders.entry(file.name.splitn(3, '/').take(2).collect::<Vec<_>>().join("/")).or_default().push(file);
    }
    for (folder, shards) in folders {
        if let Some((_, packed)) = lineage.manifest.packed.iter().find(|(packed, _)| *packed == folder) {
            lines.extend(
                packed.get(side).map(|rows| packed_line(lineage, &rows, side, line, &shards)).transpose()?.flatten(),
            );
            continue;
        }
        if shards.iter().map(|file| file.meta.rows).sum::<u64>() != rows {
            continue;
        }
        let mut left = line;
        for file in shards {
            if left <= file.meta.rows {
                lines.push(OutputLine { output: file.name.clone(), line: left, side: OutputKind::Shard(side) });
                break;
            }
            left -= file.meta.rows;
        }
    }
    Ok(lines)
}

/// Returns the line of a packed file that a row of a side is on; `None` if that cannot be told, as some samples have no place.
fn packed_line(
    lineage: &Lineage,
    rows: &PackedRows,
    side: Side,
    line: u64,
    shards: &[&NamedFile],
) -> Result<Option<OutputLine>, WorkspaceError> {
    let (samples, ends) = lineage.packed(rows)?;
    if shards.iter().map(|file| file.meta.rows).sum::<u64>() != ends.len() as u64 {
        return Ok(None);
    }
    let order = lineage.order(side)?;
    let Some((number, before)) = order.get(line as usize - 1).zip(order.get(..line as usize - 1)) else {
        return Ok(None);
    };
    // A sample that is used several times stands in several rows.
    let uses = before.iter().filter(|other| *other == number).count();
    let mut places = (0_u32..).zip(&samples).filter(|(_, other)| *other == number).map(|(place, _)| place);
    let Some(place) = places.nth(uses) else { return Ok(None) };
    let mut row = ends.partition_point(|end| *end <= place) as u64;
    for file in shards {
        if row < file.meta.rows {
            return Ok(Some(OutputLine { output: file.name.clone(), line: row + 1, side: OutputKind::Shard(side) }));
        }
        row -= file.meta.rows;
    }
    Ok(None)
}

fn output_line(lineage: &Lineage, side: OutputKind, line: u64) -> OutputLine {
    let file = lineage.manifest.files.iter().find(|file| OutputKind::of(&file.name) == Some(side));
    OutputLine { output: file.map_or_else(String::new, |file| file.name.clone()), line, side }
}
