//! Encodes samples as rows of a shape.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{order::Order, rows::OutputError};
use datac_core::{
    encoded::{ENCODED_VERSION, EncodedSample},
    outputs::row_id,
    row::write_string,
    sample::{self, Quoted, SAMPLES_VERSION},
    shape::{Shape, Unfit, facts::Facts},
};

/// Encodes samples as rows: a shape, and the encoded names of the sources.
pub struct Encoder {
    shape: &'static dyn Shape,
    sources: Vec<Vec<u8>>,
    facts: Facts,
    has_ids: bool,
    /// The samples that the shape has no place for; `None` if there can be none.
    unfit: Option<Mutex<Vec<UnfitSample>>>,
}

/// A sample that the shape of an output has no place for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnfitSample {
    /// Number of its source.
    pub source: u32,
    /// What the shape has no place for.
    pub what: &'static str,
    /// What exactly, in the words of whoever refuses it.
    pub detail: Option<String>,
    /// Hash of its identity text.
    pub row_hash: u64,
}

impl Encoder {
    /// Creates an encoder for samples of `sources`, which blocks refer to by number.
    pub fn new<'s>(shape: &'static dyn Shape, sources: impl Iterator<Item = &'s str>) -> Self {
        let quoted = |name: &str| {
            let mut quoted = Vec::new();
            write_string(name, &mut quoted);
            quoted
        };
        let sources = sources.map(quoted).collect();
        Self { shape, sources, facts: Facts::default(), has_ids: false, unfit: None }
    }

    /// Returns this encoder for samples with these facts, some of which may not fit; with an `id` in each row if `has_ids`.
    pub fn of_target(self, facts: Facts, has_ids: bool) -> Self {
        Self { facts, has_ids, unfit: Some(Mutex::default()), ..self }
    }

    /// Returns the samples that did not fit, in an order that does not depend on threads.
    pub fn unfit(&self) -> Vec<UnfitSample> {
        let mut unfit: Vec<UnfitSample> =
            self.unfit.iter().flat_map(|all| all.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect();
        unfit.sort();
        unfit
    }

    /// Returns the encoded name of a source.
    pub(super) fn source(&self, source: u32) -> Result<Quoted<'_>, OutputError> {
        self.sources.get(source as usize).and_then(|source| Quoted::new(source)).ok_or(OutputError::Mismatch)
    }

    /// Appends a sample as a line.
    pub(super) fn append(&self, sample: &[u8], source: u32, out: &mut Vec<u8>) -> Result<(), OutputError> {
        if self.shape.is_of_tokens() {
            return self.append_encoded(sample, source, out);
        }
        let sample = sample::read(sample).map_err(|_| OutputError::Mismatch)?;
        let (number, source, start) = (source, self.source(source)?, out.len());
        let row_hash = || {
            let mut identity = Vec::new();
            sample::write_identity(&sample, &mut identity);
            xxh3_64(&identity)
        };
        if self.has_ids {
            // The row's own brace is put in its place.
            write!(out, "{{\"id\":\"{}\"", row_id(row_hash())).expect("memory can be written");
        }
        let row = out.len();
        let mut written = match self.has_ids && self.facts.has_column("id") {
            // A command may have written it; recipes cannot keep one.
            true => Err(Unfit("a column `id` beside the `id` of the row")),
            false => self.shape.write(&sample, source, &self.facts, out),
        };
        if self.unfit.is_some() && written.is_ok() && has_half_letter(&out[row..]) {
            written = Err(Unfit("half of a surrogate pair, which is no text"));
        }
        match (written, &self.unfit) {
            (Ok(()), _) => {
                if self.has_ids {
                    out[row] = b',';
                }
                out.push(b'\n');
                Ok(())
            }
            (Err(Unfit(what)), Some(unfit)) => {
                out.truncate(start);
                let unfit_sample = UnfitSample { source: number, what, detail: None, row_hash: row_hash() };
                unfit.lock().unwrap_or_else(PoisonError::into_inner).push(unfit_sample);
                Ok(())
            }
            (Err(unfit), None) => Err(OutputError::Unfit(source.unescape().unwrap_or_default().into_owned(), unfit)),
        }
    }

    /// Appends a sample that a model has encoded as a line.
    fn append_encoded(&self, sample: &[u8], source: u32, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let sample = EncodedSample::read(sample).ok_or(OutputError::Mismatch)?;
        let start = out.len();
        if self.has_ids {
            write!(out, "{{\"id\":\"{}\"", row_id(sample.row_hash)).expect("memory can be written");
        }
        let row = out.len();
        if let Err(unfit) = self.shape.write_encoded(&sample, out) {
            out.truncate(start);
            return self.leave_out(unfit, &sample, source);
        }
        if self.has_ids {
            out[row] = b',';
        }
        out.push(b'\n');
        Ok(())
    }

    /// Notes that there is no place for an encoded sample.
    fn leave_out(&self, Unfit(what): Unfit, sample: &EncodedSample, source: u32) -> Result<(), OutputError> {
        let Some(unfit) = &self.unfit else {
            return Err(OutputError::Unfit(self.shape.name().to_owned(), Unfit(what)));
        };
        let unfit_sample = UnfitSample { source, what, detail: None, row_hash: sample.row_hash };
        unfit.lock().unwrap_or_else(PoisonError::into_inner).push(unfit_sample);
        Ok(())
    }

    /// Appends the rows of an order whose samples, from the place `first` on, are these.
    pub(super) fn append_rows<'s>(
        &self,
        samples: impl Iterator<Item = Result<(&'s [u8], u32), OutputError>>,
        order: &Order,
        first: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), OutputError> {
        let mut row = Vec::new();
        for (sample, place) in samples.zip(first..) {
            let (sample, source) = sample?;
            if !order.is_packed() {
                self.append(sample, source, out)?;
                continue;
            }
            let sample = EncodedSample::read(sample).ok_or(OutputError::Mismatch)?;
            match self.shape.check_packed(&sample) {
                Ok(()) => row.push(sample),
                Err(unfit) => self.leave_out(unfit, &sample, source)?,
            }
            if order.ends_row(place) {
                self.append_packed(&row, out);
                row.clear();
            }
        }
        Ok(())
    }

    /// Appends samples as one line; none if there are none.
    fn append_packed(&self, samples: &[EncodedSample], out: &mut Vec<u8>) {
        if samples.is_empty() {
            return;
        }
        if self.has_ids {
            out.extend_from_slice(b"{\"ids\":[");
            for (number, sample) in samples.iter().enumerate() {
                let comma = if number == 0 { "" } else { "," };
                write!(out, "{comma}\"{}\"", row_id(sample.row_hash)).expect("memory can be written");
            }
            out.push(b']');
        }
        let row = out.len();
        self.shape.write_packed(samples, out);
        if self.has_ids {
            out[row] = b',';
        }
        out.push(b'\n');
    }

    /// Returns the version of the blobs that samples are read from.
    pub(super) fn format(&self) -> u8 {
        if self.shape.is_of_tokens() { ENCODED_VERSION } else { SAMPLES_VERSION }
    }
}

/// Whether a JSON string in a row has half of a surrogate pair as an escape: readers refuse it, or take something else for it.
fn has_half_letter(row: &[u8]) -> bool {
    let is_half =
        |at: usize| matches!(row.get(at + 2..at + 4), Some([b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F']));
    memchr::memmem::find_iter(row, b"\\u").any(is_half) && serde_json::from_slice::<serde_json::Value>(row).is_err()
}
