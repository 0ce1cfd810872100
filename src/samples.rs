//! What a converted chunk is stored as: the rows as they will be written, and an index of what the later stages ask of
//! them, so that selecting, mixing and splitting read no text.
//!
//! Index format, version 1, all integers little-endian: version (1 byte), number of samples n (4 bytes), then the
//! columns `row` (n × 4), `end` (n × 4), `characters` (n × 4), `row_hash` (n × 8), `prompt_hash` (n × 8), then for every
//! sample its answer: length + 1 (4 bytes; 0: none) and UTF-8.

use xxhash_rust::xxh3::xxh3_64;

use crate::row::Converted;

/// Raised when the same samples are stored otherwise: another version is made again.
pub const SAMPLES_VERSION: u8 = 1;
const FIXED_BYTES: usize = 4 + 4 + 4 + 8 + 8;

/// An index that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a sample index: {0}")]
pub struct IndexError(&'static str);

/// What is known of each sample of a chunk besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleIndex {
    /// Which row of the chunk it was made of.
    pub row: Vec<u32>,
    /// One past its last byte in the rows blob; it begins where the one before ends.
    pub end: Vec<u32>,
    /// Characters of its text: what `unit: characters` counts.
    pub characters: Vec<u32>,
    /// XXH3-64 of its bytes in the rows blob: decides its place in the order.
    pub row_hash: Vec<u64>,
    /// See [`crate::row::Sample::prompt_hash`]: decides its side of the split.
    pub prompt_hash: Vec<u64>,
    /// A final answer kept beside the sample.
    pub answer: Vec<Option<String>>,
}

impl SampleIndex {
    /// Adds a sample made of row `row`, writing it behind the others in `rows`.
    pub fn push(&mut self, row: u32, converted: &Converted<'_>, rows: &mut Vec<u8>) {
        let start = rows.len();
        let sample = &converted.sample;
        sample.write_open_json(rows);
        self.row.push(row);
        self.end.push(rows.len() as u32);
        self.characters.push(sample.characters() as u32);
        self.row_hash.push(xxh3_64(&rows[start..]));
        self.prompt_hash.push(sample.prompt_hash());
        self.answer.push(converted.answer.as_deref().map(str::to_owned));
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let answers: usize = self.answer.iter().flatten().map(String::len).sum();
        self.len() * (FIXED_BYTES + size_of::<Option<String>>()) + answers
    }

    /// Where a sample stands in the rows blob.
    pub fn range(&self, sample: usize) -> std::ops::Range<usize> {
        let start = if sample == 0 { 0 } else { self.end[sample - 1] as usize };
        start..self.end[sample] as usize
    }

    /// Encodes the index.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5 + self.len() * (FIXED_BYTES + 4));
        out.push(SAMPLES_VERSION);
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        for column in [&self.row, &self.end, &self.characters] {
            column.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        }
        for column in [&self.row_hash, &self.prompt_hash] {
            column.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        }
        for answer in &self.answer {
            let length = answer.as_ref().map_or(0, |answer| answer.len() as u32 + 1);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(answer.as_deref().unwrap_or_default().as_bytes());
        }
        out
    }

    /// Decodes an index.
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let short = IndexError("it is cut off");
        let (&version, bytes) = bytes.split_first().ok_or(IndexError("it is empty"))?;
        if version != SAMPLES_VERSION {
            return Err(IndexError("it has another version"));
        }
        let (count, bytes) = bytes.split_first_chunk().ok_or(short)?;
        let count = u32::from_le_bytes(*count) as usize;
        let fixed = count.checked_mul(FIXED_BYTES).filter(|fixed| *fixed <= bytes.len());
        let (mut fixed, mut rest) = bytes.split_at(fixed.ok_or(IndexError("it is cut off"))?);
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
        let (row_hash, prompt_hash) = (wide(), wide());
        let mut answer = Vec::with_capacity(count);
        for _ in 0..count {
            let (length, after) = rest.split_first_chunk().ok_or(IndexError("it is cut off"))?;
            let length = u32::from_le_bytes(*length) as usize;
            let (text, after) = after.split_at_checked(length.saturating_sub(1)).ok_or(IndexError("it is cut off"))?;
            let text = std::str::from_utf8(text).map_err(|_| IndexError("an answer is not UTF-8"))?;
            answer.push((length > 0).then(|| text.to_owned()));
            rest = after;
        }
        if end.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(IndexError("its samples overlap"));
        }
        Ok(Self { row, end, characters, row_hash, prompt_hash, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Message, Role, Sample};

    #[test]
    fn index_reads_back_and_garbage_is_an_error() {
        let (mut index, mut rows) = (SampleIndex::default(), Vec::new());
        for (i, answer) in [Some("42"), None, Some("")].into_iter().enumerate() {
            let messages = vec![Message::new(Role::User, format!("q{i}"))];
            let converted =
                Converted { sample: Sample::Prompt { messages }, answer: answer.map(Into::into), joined_turns: 0 };
            index.push(i as u32 * 2, &converted, &mut rows);
        }
        let bytes = index.encode();
        assert_eq!(SampleIndex::decode(&bytes).unwrap(), index);
        assert_eq!(&rows[index.range(1)], br#"{"conversations":[{"role":"user","content":"q1"}]"#);
        for length in 0..bytes.len() {
            assert!(SampleIndex::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        assert!(SampleIndex::decode(&[1, 255, 255, 255, 255]).is_err());
    }
}
