//! From a row of a source to every place it went, or what kept it from going there.

use std::path::Path;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    back::{Passed, Rejected, passed},
    lineage::{At, Lineage},
    source_row::{SampleOf, SourcePlace, SourceText, Sources},
};
use crate::{
    cache::{Access, RunId},
    provenance::{history::read_manifest, manifest::MadeSource},
    site::{Site, WorkspaceError},
    system,
};
use datac_core::{
    failure::{Failure, FailureKind},
    leaf::Leaf,
    mix::{
        Selection,
        select::{ChunkScores, stopped_by},
    },
    outputs::OutputKind,
};

/// What became of a row of a source.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Journey {
    /// The source as it was asked for.
    pub source: String,
    /// The file.
    pub file: String,
    /// The row's number in the file, from 0.
    pub row: u64,
    /// The row, as the first recipe that read it has it.
    pub source_row: Option<SourceText>,
    /// What became of it, or of each of its samples, in each recipe that names the source, by recipe path.
    pub fates: Vec<FateOf>,
}

/// What became of a row in one recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FateOf {
    /// The recipe's name.
    pub recipe: String,
    /// The recipe's path.
    pub path: String,
    /// The run that built it.
    pub run: RunId,
    /// Where the row stands.
    pub source: SourcePlace,
    /// Which of the row's samples it is; `None` if the row yields one or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleOf>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of a row.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It is in the outputs.
    Written {
        /// Where.
        lines: Vec<OutputLine>,
    },
    /// It could not be used.
    Rejected {
        /// Why.
        reject: Rejected,
        /// Its line in the quarantine file.
        quarantine: OutputLine,
    },
    /// Its converter makes no sample of it.
    NoSample,
    /// A filter kept it out.
    Filtered {
        /// The filter, what it measured and what it asked for.
        by: Passed,
        /// For deduplication, the row before it that has the same text.
        twin: Option<Twin>,
    },
    /// The recipe had samples enough before it, or the file has no such row.
    NotReached {
        /// `max_samples` of the source.
        max_samples: Option<u64>,
    },
    /// It was kept, and the mixture took other rows of its source.
    NotChosen {
        /// The source's kept samples.
        kept: u64,
        /// How many rows the source gives.
        gives: u64,
    },
}

/// A line of an output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct OutputLine {
    /// The file's name within the output folder.
    pub output: String,
    /// The line, from 1.
    pub line: u64,
    /// Which of the recipe's files it is.
    pub side: OutputKind,
}

/// The row that deduplication kept instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Twin {
    /// Its file.
    pub file: String,
    /// Its number there, from 0.
    pub row: u64,
}

/// Tells what became of a row of a source in every recipe that was built.
///
/// `source` is a repository, a local path, or a name that recipes give it; `file` the path of a file in it or the
/// end of one; rows are counted from 0, as in quarantine files.
pub(crate) fn trace_source(site: &Site, source: &str, file: &str, row: u64) -> Result<Journey, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let builds = record.latest_builds()?;
    let lineages: Vec<Lineage> = builds
        .par_iter()
        .filter(|(_, build)| system::exists(&site.root().join(&build.path)))
        .map(|(run, build)| {
            Ok(Lineage::new(read_manifest(&site.cache.store(&record), build)?, *run, site.cache.store(&record)))
        })
        .collect::<Result<_, WorkspaceError>>()?;
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
    let file = file_of(&lineages, source, file)?;
    let mut journey =
        Journey { source: source.to_owned(), file: file.clone(), row, source_row: None, fates: Vec::new() };
    for lineage in &lineages {
        for (number, made) in lineage.manifest.sources.iter().enumerate().filter(|(_, made)| is_meant(made)) {
            let Some((mut place, fates)) = fates(lineage, number, &file, row)? else { continue };
            if let Some((chunk, within)) = chunk_of(made, &file, row) {
                let sources = Sources::new(site, &record, lineage);
                let text = sources.read(made, &made.chunks[chunk], within, &mut place);
                journey.source_row.get_or_insert(text);
            }
            journey.fates.extend(fates.into_iter().map(|(sample, fate)| FateOf {
                recipe: lineage.manifest.name.clone(),
                path: lineage.manifest.path.clone(),
                run: lineage.run,
                source: place.clone(),
                sample,
                fate,
            }));
        }
    }
    if journey.fates.is_empty() {
        let message = format!("`{file}` has no row {row}");
        return Err(Failure::plain(FailureKind::Config, message).hint("rows are counted from 0").into());
    }
    Ok(journey)
}

/// The file of a source that is meant by its path, or by the end of its path if that fits one file alone.
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

/// The files of a source that a build did not get to.
fn unread<'l>(lineage: &'l Lineage, made: &'l MadeSource) -> impl Iterator<Item = &'l str> {
    lineage.manifest.leaves.iter().filter_map(move |(leaf, _)| match leaf {
        Leaf::File { source, path } if source == made.origin.name() => Some(path.as_str()),
        _ => None,
    })
}

/// The chunk that holds a row, and the row's number in it.
fn chunk_of(made: &MadeSource, file: &str, row: u64) -> Option<(usize, u32)> {
    let number = made.files.iter().position(|known| known.path == file)?;
    let holds = |chunk: &crate::provenance::manifest::MadeChunk| {
        let within = row.checked_sub(chunk.place.first_row)?;
        (chunk.file as usize == number && within < u64::from(chunk.rows)).then_some(within as u32)
    };
    made.chunks.iter().enumerate().find_map(|(at, chunk)| Some((at, holds(chunk)?)))
}

/// Where a row stands, and what became of each of its samples, or of itself.
type Fates = (SourcePlace, Vec<(Option<SampleOf>, Fate)>);

/// Returns what became of a row of a source in one recipe; `None`: the recipe knows of no such row.
fn fates(lineage: &Lineage, source: usize, file: &str, row: u64) -> Result<Option<Fates>, WorkspaceError> {
    let made = &lineage.manifest.sources[source];
    let max_samples = made.max_samples;
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
        // Unless the maximum was reached, every row was read.
        let is_unread = is_its && lineage.selection(source)?.reached_max;
        return Ok(is_unread.then_some((place, vec![(None, Fate::NotReached { max_samples })])));
    };
    let place = SourcePlace::new(made, &made.chunks[chunk], within);
    let selection = lineage.selection(source)?;
    if within >= selection.rows_looked_at[chunk] {
        return Ok(Some((place, vec![(None, Fate::NotReached { max_samples })])));
    }
    if let Some(number) = made.chunks[chunk].rejected.iter().position(|(row, _)| *row == within) {
        let stored = lineage.rejects(source, chunk)?;
        let stored = stored.get(number).ok_or_else(|| lineage.lost("a reject is missing"))?;
        let reject = Rejected { reason: stored.reject.reason, detail: stored.reject.detail.clone() };
        let is_it = |at: &&super::lineage::RejectAt| (at.source, at.chunk, at.number) == (source, chunk, number);
        let at = lineage.quarantined()?.iter().find(is_it).map_or(0, |at| at.line);
        let quarantine = output_line(lineage, OutputKind::Quarantine, at);
        return Ok(Some((place, vec![(None, Fate::Rejected { reject, quarantine })])));
    }
    let index = lineage.index(source, chunk)?;
    let samples = index.row.partition_point(|row| *row < within)..index.row.partition_point(|row| *row <= within);
    if samples.is_empty() {
        return Ok(Some((place, vec![(None, Fate::NoSample)])));
    }
    let fate = |sample| Ok((SampleOf::among(&index, sample), fate(lineage, At { source, chunk, sample })?));
    Ok(Some((place, samples.map(fate).collect::<Result<_, WorkspaceError>>()?)))
}

/// Returns what became of a sample.
fn fate(lineage: &Lineage, at: At) -> Result<Fate, WorkspaceError> {
    let made = &lineage.manifest.sources[at.source];
    Ok(match lineage.number(at)? {
        Some(number) => {
            let lines = lineage.lines(number)?;
            let lines: Vec<OutputLine> =
                lines.into_iter().map(|(side, line)| output_line(lineage, OutputKind::Rows(side), line)).collect();
            if lines.is_empty() {
                let gives = lineage.manifest.summary.sources.get(at.source).map_or(0, |source| source.rows);
                Fate::NotChosen { kept: made.kept, gives }
            } else {
                Fate::Written { lines }
            }
        }
        // The samples behind the last one needed were not looked at, though their row was.
        None if is_behind_last(at, lineage.selection(at.source)?) => Fate::NotReached { max_samples: made.max_samples },
        None => filtered(lineage, at)?,
    })
}

/// Whether a sample stands behind the one with which `max_samples` was reached.
fn is_behind_last(at: At, selection: &Selection) -> bool {
    let last = selection.samples(at.chunk).last();
    let is_last_chunk = (at.chunk + 1..selection.chunks()).all(|chunk| selection.count(chunk) == 0);
    selection.reached_max && is_last_chunk && last.is_some_and(|last| at.sample > last as usize)
}

fn filtered(lineage: &Lineage, At { source, chunk, sample }: At) -> Result<Fate, WorkspaceError> {
    let made = &lineage.manifest.sources[source];
    let read = |chunk| Ok((lineage.index(source, chunk)?, lineage.scores(source, chunk)?));
    let loaded: Vec<_> = (0..=chunk).into_par_iter().map(read).collect::<Result<_, WorkspaceError>>()?;
    let views: Vec<ChunkScores<'_>> = loaded
        .iter()
        .zip(&made.chunks)
        .map(|((index, scores), chunk)| ChunkScores {
            count: chunk.rows,
            rows: &index.row,
            characters: &index.characters,
            rejects: &[],
            scores,
            tokens: None,
        })
        .collect();
    let stopped = stopped_by(&views, &made.filters, sample)
        .map_err(|error| lineage.lost(error))?
        .ok_or_else(|| lineage.lost("a sample passes all filters and was not kept"))?;
    let twin = stopped.twin.map(|(chunk, sample)| {
        let place = SourcePlace::new(made, &made.chunks[chunk], loaded[chunk].0.row[sample]);
        Twin { file: place.file, row: place.row }
    });
    let scores = &loaded[chunk].1[stopped.filter];
    Ok(Fate::Filtered { by: passed(&made.filters[stopped.filter], scores, sample, &made.field), twin })
}

fn output_line(lineage: &Lineage, side: OutputKind, line: u64) -> OutputLine {
    let file = lineage.manifest.files.iter().find(|file| OutputKind::of(&file.name) == Some(side));
    OutputLine { output: file.map_or_else(String::new, |file| file.name.clone()), line, side }
}
