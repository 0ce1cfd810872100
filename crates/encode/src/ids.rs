//! Rows of token ids as bare numbers.

use serde::Deserialize;

use crate::EncodeError;
use datac_core::outputs::IdType;

/// The ids of the rows of a group.
#[derive(Default)]
pub(crate) struct Ids {
    /// The ids of all rows, one after another.
    pub(crate) bytes: Vec<u8>,
    /// For each row, the number of its ids.
    pub(crate) lengths: Vec<u32>,
    /// For each id, whether it is trained on, if rows say so.
    pub(crate) mask: Vec<u8>,
    /// The `id` of each row, if rows have one.
    pub(crate) names: Vec<String>,
}

/// A row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: Option<String>,
    input_ids: Vec<u32>,
    label_mask: Option<Vec<u8>>,
}

impl Ids {
    /// Reads rows, JSON objects, one a line.
    pub(crate) fn read(lines: &[u8], of: IdType) -> Result<Self, EncodeError> {
        let mut read = Self::default();
        let mut begin = 0;
        for (row, end) in memchr::memchr_iter(b'\n', lines).enumerate() {
            let failed = |reason: String| EncodeError::Row { row, reason };
            let Row { id: name, input_ids, label_mask } =
                serde_json::from_slice(&lines[begin..end]).map_err(|error| failed(error.to_string()))?;
            begin = end + 1;
            for id in &input_ids {
                let is_written = write(*id, of, &mut read.bytes);
                is_written.ok_or_else(|| failed(format!("the id {id} does not fit {}", of.name())))?;
            }
            read.lengths.push(input_ids.len() as u32);
            let mask = label_mask.unwrap_or_default();
            if !mask.is_empty() && mask.len() != input_ids.len() {
                return Err(failed(format!("a mask of {} for {} ids", mask.len(), input_ids.len())));
            }
            read.mask.extend(mask);
            read.names.extend(name);
        }
        Ok(read)
    }
}

/// Appends an id; `None` if the type has no such number.
fn write(id: u32, of: IdType, out: &mut Vec<u8>) -> Option<()> {
    match of {
        IdType::U8 => out.push(u8::try_from(id).ok()?),
        IdType::U32 => out.extend_from_slice(&id.to_le_bytes()),
        IdType::U16 => out.extend_from_slice(&u16::try_from(id).ok()?.to_le_bytes()),
        IdType::I32 => out.extend_from_slice(&i32::try_from(id).ok()?.to_le_bytes()),
    }
    Some(())
}
