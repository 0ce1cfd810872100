//! The index of a converted chunk: what later stages ask of its samples, so that selecting, mixing and splitting read no
//! text.
//!
//! Format, all integers little-endian: version (1 byte), number of samples n (4 bytes), then the columns `row` (n × 4),
//! `end` (n × 4), `characters` (n × 4), `row_hash` (n × 8), `prompt_hash` (n × 8), `folded_hash` (n × 8), and `makeups` in the
//! encoding of postcard.

use super::{Features, Makeups, SAMPLES_VERSION, Sample, append, begin, identity::row_hash, read};

const FIXED_BYTES: usize = 4 + 4 + 4 + 8 + 8 + 8;

/// An index that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a sample index: {0}")]
pub struct IndexError(&'static str);

/// What is known of each sample of a chunk besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleIndex {
    /// Which row of the chunk each sample was made of: a row may have made several samples, or none.
    pub row: Vec<u32>,
    /// One past the last byte of each sample in its blob; a sample begins where the one before it ends.
    pub end: Vec<u32>,
    /// Characters of the sample's text: what `unit: characters` counts.
    pub characters: Vec<u32>,
    /// XXH3-64 of the sample's [identity text](super::write_identity): decides its place in the order.
    pub row_hash: Vec<u64>,
    /// See [`Sample::prompt_hash`]: decides the sample's side of the split.
    pub prompt_hash: Vec<u64>,
    /// The [`Sample::folded_hash`], by which prompts are compared regardless of case and white space.
    pub folded_hash: Vec<u64>,
    /// What each sample has: decides the columns of rows.
    pub makeups: Makeups,
}

impl SampleIndex {
    /// Adds a sample made of row `row`, and appends it to its blob. `scratch` is room to be used again.
    pub fn push(&mut self, row: u32, sample: &Sample<'_>, blob: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        if blob.is_empty() {
            begin(blob);
        }
        let start = blob.len();
        append(sample, blob);
        self.row.push(row);
        self.end.push(blob.len() as u32);
        self.characters.push(sample.characters() as u32);
        let stored = read(&blob[start..]).expect("what was stored can be read");
        self.row_hash.push(row_hash(&stored, scratch));
        self.makeups.push(&stored);
        self.prompt_hash.push(sample.prompt_hash());
        self.folded_hash.push(sample.folded_hash(scratch));
    }

    /// Says that the prompt of the last sample is that of `sample`, of which only a part was added.
    pub fn set_prompt(&mut self, sample: &Sample<'_>, scratch: &mut Vec<u8>) {
        let (Some(prompt), Some(folded)) = (self.prompt_hash.last_mut(), self.folded_hash.last_mut()) else { return };
        (*prompt, *folded) = (sample.prompt_hash(), sample.folded_hash(scratch));
    }

    /// Adds a sample whose text goes on with that of the last one.
    pub fn push_continued(&mut self, row: u32, sample: &Sample<'_>, blob: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        self.push(row, sample, blob, scratch);
        self.makeups.add_to_last(Features::CONTINUES);
    }

    /// Returns for each sample the number of the text that it is, or is a part of; `None` if no text stands in parts.
    pub fn wholes(&self) -> Option<Vec<u32>> {
        let mut wholes = 0_u32;
        let whole = |continues: bool| {
            wholes += u32::from(!continues);
            wholes.saturating_sub(1)
        };
        Some(self.makeups.with(Features::CONTINUES)?.map(whole).collect())
    }

    /// Removes the samples behind the first `samples`, and their bytes from the blob.
    pub fn truncate(&mut self, samples: usize, blob: &mut Vec<u8>) {
        blob.truncate(samples.checked_sub(1).map_or(1, |last| self.end[last] as usize));
        [&mut self.row, &mut self.end, &mut self.characters].into_iter().for_each(|column| column.truncate(samples));
        [&mut self.row_hash, &mut self.prompt_hash, &mut self.folded_hash]
            .into_iter()
            .for_each(|column| column.truncate(samples));
        self.makeups.truncate(samples as u32);
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// About how many bytes of memory the index takes.
    pub fn bytes(&self) -> usize {
        self.len() * FIXED_BYTES + self.makeups.bytes()
    }

    /// Where a sample stands in its blob.
    pub fn range(&self, sample: usize) -> std::ops::Range<usize> {
        // The first byte of the blob is its version.
        let start = if sample == 0 { 1 } else { self.end[sample - 1] as usize };
        start..self.end[sample] as usize
    }

    /// Encodes the index.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5 + self.len() * FIXED_BYTES);
        out.push(SAMPLES_VERSION);
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        for column in [&self.row, &self.end, &self.characters] {
            column.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        }
        for column in [&self.row_hash, &self.prompt_hash, &self.folded_hash] {
            column.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        }
        postcard::to_extend(&self.makeups, out).expect("memory can be written")
    }

    /// Decodes an index.
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let (&version, bytes) = bytes.split_first().ok_or(IndexError("it is empty"))?;
        if version != SAMPLES_VERSION {
            return Err(IndexError("it has another version"));
        }
        let (count, bytes) = bytes.split_first_chunk().ok_or(IndexError("it is cut off"))?;
        let count = u32::from_le_bytes(*count) as usize;
        let fixed = count.checked_mul(FIXED_BYTES).and_then(|length| bytes.split_at_checked(length));
        let (mut fixed, makeups) = fixed.ok_or(IndexError("it is cut off"))?;
        let (makeups, rest) = postcard::take_from_bytes::<Makeups>(makeups)
            .map_err(|_| IndexError("what its samples have cannot be read"))?;
        if !rest.is_empty() || !makeups.are_sound() || makeups.samples() as usize != count {
            return Err(IndexError("its length is wrong"));
        }
        let mut narrow = || {
            let (column, after) = fixed.split_at(count * 4);
            fixed = after;
            column.as_chunks().0.iter().map(|value| u32::from_le_bytes(*value)).collect()
        };
        let (row, end, characters): (Vec<u32>, Vec<u32>, Vec<u32>) = (narrow(), narrow(), narrow());
        let mut wide = || {
            let (column, after) = fixed.split_at(count * 8);
            fixed = after;
            column.as_chunks().0.iter().map(|value| u64::from_le_bytes(*value)).collect()
        };
        let (row_hash, prompt_hash, folded_hash) = (wide(), wide(), wide());
        if end.first().is_some_and(|end| *end == 0) || end.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(IndexError("its samples overlap"));
        }
        Ok(Self { row, end, characters, row_hash, prompt_hash, folded_hash, makeups })
    }
}
