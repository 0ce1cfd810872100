//! What the rules found in a sample, and which turns were joined.
//!
//! A build counts that for each chunk and does not record it for each row: of a row that is asked about, the chunk is read and
//! converted once more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    lineage::{At, Lineage},
    source_row::Sources,
};
use crate::{provenance::manifest::MadeSource, site::WorkspaceError};
use datac_core::{
    code::Component,
    config::Program,
    convert::{self, Converter, Tally},
    leaf::{Leaf, Value},
    row::RawRow,
    rules::{Mode, RULES_VERSION},
    sample::SampleIndex,
};
use datac_decode::Chunk;

/// What was done to a sample beyond taking it from its row, or why that is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Findings {
    /// What was done; nothing to most samples.
    Known(Repairs),
    /// Why it is unknown.
    Unavailable(String),
}

/// What was done to a sample beyond taking it from its row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Repairs {
    /// Number of turns that were joined to the turn before, in all samples of the row.
    pub joined_turns: u32,
    /// Places where rules were broken and mended, by rule.
    pub repaired: BTreeMap<String, u32>,
    /// Places where rules were broken and nothing was done, by rule.
    pub warned: BTreeMap<String, u32>,
}

impl Repairs {
    /// Returns whether the sample is as its row has it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// For each row of a chunk in which anything was found, that of each sample.
type OfChunk = HashMap<u32, Vec<Repairs>>;

/// Finds again what the rules found in the samples of one build.
pub(crate) struct Finder<'w> {
    sources: Sources<'w>,
    /// What was found in the chunks that were read, by source and chunk.
    known: HashMap<(usize, usize), Result<Arc<OfChunk>, String>>,
}

impl<'w> Finder<'w> {
    pub(crate) fn new(sources: Sources<'w>) -> Self {
        Self { sources, known: HashMap::new() }
    }

    /// Returns the reader of the source rows.
    pub(super) fn sources(&self) -> &Sources<'w> {
        &self.sources
    }

    /// Returns what was found in a sample.
    pub(crate) fn find(&mut self, lineage: &Lineage, at: At, index: &SampleIndex) -> Result<Findings, WorkspaceError> {
        let is_counted =
            lineage.manifest.summary.sources.get(at.source).is_none_or(|source| {
                source.joined_turns > 0 || !source.repaired.is_empty() || !source.warned.is_empty()
            });
        if !is_counted {
            return Ok(Findings::Known(Repairs::default()));
        }
        let sources = &self.sources;
        let known = self.known.entry((at.source, at.chunk)).or_insert_with(|| {
            let made = &lineage.manifest.sources[at.source];
            let converter = same_converter(lineage, made)?;
            let chunk = sources.chunk(made, &made.chunks[at.chunk])?;
            // Samples that were made shorter for the model have other hashes than what the converter makes.
            let shortened = lineage.shortened_samples(at).map_err(|error| error.to_string())?;
            of_chunk(&chunk, converter, made, index, &shortened).map(Arc::new)
        });
        let row = index.row[at.sample];
        let first = index.row.partition_point(|other| *other < row);
        Ok(match known {
            Ok(found) => {
                let of_row = found.get(&row).and_then(|samples| samples.get(at.sample - first));
                Findings::Known(of_row.cloned().unwrap_or_default())
            }
            Err(why) => Findings::Unavailable(why.clone()),
        })
    }
}

/// Returns the converter of a source, if it and the rules are those of the build.
fn same_converter(lineage: &Lineage, made: &MadeSource) -> Result<&'static dyn Converter, String> {
    match &made.options.program {
        Some(Program::Command(_)) => return Err("a command made the row, and is not run again".to_owned()),
        Some(Program::Python(function)) => {
            return Err(format!("`{function}` made the row, and is not called again"));
        }
        None => {}
    }
    let converter = convert::every().find(|converter| converter.name() == made.converter);
    let converter = converter.filter(|converter| converter.version() == made.version);
    let rules = lineage.manifest.leaves.get(&Leaf::Code(Component::Rules));
    match converter {
        Some(converter) if rules == Some(&Value::Version(RULES_VERSION)) => Ok(converter),
        _ => Err(format!("another version of `{}` or of the rules made the row", made.converter)),
    }
}

/// Converts a chunk again, and returns what was found in its samples, if these are those of the index.
fn of_chunk(
    chunk: &Chunk,
    converter: &dyn Converter,
    made: &MadeSource,
    index: &SampleIndex,
    shortened: &[bool],
) -> Result<OfChunk, String> {
    let (mut found, mut is_same) = (OfChunk::new(), true);
    let wholes = index.wholes();
    chunk.for_each_row(|row, _, parsed| {
        let samples = index.row.partition_point(|other| *other < row)..index.row.partition_point(|other| *other <= row);
        if let (Ok(raw), false) = (parsed, samples.is_empty()) {
            let of_row = OfRow {
                hashes: &index.row_hash[samples.clone()],
                shortened: shortened.get(samples.clone()).unwrap_or_default(),
                wholes: wholes.as_ref().map(|wholes| &wholes[samples.clone()]),
            };
            match of_row.found(&raw, converter, made) {
                Some(of_row) if of_row.iter().all(Repairs::is_nothing) => {}
                Some(of_row) => drop(found.insert(row, of_row)),
                None => is_same = false,
            }
        }
    });
    if is_same { Ok(found) } else { Err("the row is converted otherwise now".to_owned()) }
}

/// What is known of the samples of a row.
struct OfRow<'i> {
    hashes: &'i [u64],
    /// Which of them are not all of what the converter made.
    shortened: &'i [bool],
    /// Which text each of them is a part of, where texts stand in parts.
    wholes: Option<&'i [u32]>,
}

impl OfRow<'_> {
    /// Returns what was found in each sample of the row; `None` if the samples have other hashes.
    fn found(&self, raw: &RawRow<'_>, converter: &dyn Converter, made: &MadeSource) -> Option<Vec<Repairs>> {
        let raw = &*raw.without(|name| made.options.ignore.contains(name));
        let converted = convert::convert(converter, raw, &made.options, &mut Tally::default()).ok()?;
        let (made_again, joined_turns) = (converted.samples.as_slice(), converted.joined_turns);
        // For each sample the number of that of which it was made.
        let whole = |sample: usize| self.wholes.map_or(sample, |wholes| (wholes[sample] - wholes[0]) as usize);
        let samples = 0..self.hashes.len();
        let is_same = |sample: usize| {
            let hash = made_again.get(whole(sample)).map(datac_core::sample::Sample::row_hash);
            hash == Some(self.hashes[sample]) || (hash.is_some() && self.shortened.get(sample) == Some(&true))
        };
        if samples.clone().last().map(whole) != made_again.len().checked_sub(1) || !samples.clone().all(is_same) {
            return None;
        }
        let of_sample = |broken: Vec<datac_core::rules::Broken>| {
            let of = |mode| {
                let places = broken.iter().filter(move |broken| broken.mode == mode);
                places.map(|broken| (broken.rule.to_string(), broken.places)).collect()
            };
            Repairs { joined_turns, repaired: of(Mode::Repair), warned: of(Mode::Warn) }
        };
        let found: Vec<Repairs> =
            convert::broken(converter, raw, &made.options).ok()?.into_iter().map(of_sample).collect();
        samples.map(|sample| found.get(whole(sample)).cloned()).collect()
    }
}
