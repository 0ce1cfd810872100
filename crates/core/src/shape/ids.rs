//! Columns of token ids, labels and masks, as JSON lists.

use super::Unfit;
use crate::encoded::{EncodedSample, Sequence, WEIGHTED};

/// What PyTorch's cross entropy leaves out: `ignore_index`.
const NOT_TRAINED: &[u8] = b"-100";

/// What a shape without a mask has no place for: its trainer would train on them.
pub const UNTRAINED: Unfit = Unfit("tokens that are not trained on");

/// What a mask that never has the first token leaves nothing of.
pub(super) const FIRST_ALONE: Unfit = Unfit("a first token that alone is trained on");

/// Returns for each id 1 if it is trained on, otherwise 0; always 0 for the first, as none stands before it.
pub(super) fn mask(sequence: &Sequence) -> Result<Vec<u32>, Unfit> {
    let mut mask: Vec<u32> = sequence.mask().into_iter().map(u32::from).collect();
    mask.iter_mut().take(1).for_each(|first| *first = 0);
    if mask.contains(&1) { Ok(mask) } else { Err(FIRST_ALONE) }
}

/// Returns the only sequence of a sample, if labels or a mask can say what of it is trained on: they say whether, not how much.
pub(super) fn sequence(sample: &EncodedSample) -> Result<&Sequence, Unfit> {
    let [sequence] = &sample.sequences[..] else { return Err(Unfit("several sequences")) };
    match sequence.runs.iter().all(|run| run.weight == 1.0) {
        true => Ok(sequence),
        false => Err(Unfit(WEIGHTED)),
    }
}

/// Appends a list of numbers under a name.
pub(super) fn column<'n>(name: &str, numbers: impl Iterator<Item = &'n u32>, out: &mut Vec<u8>) {
    list(name, numbers.copied().map(Some), out);
}

/// Appends a list of ones under a name.
pub(super) fn ones(name: &str, count: usize, out: &mut Vec<u8>) {
    begin(name, out);
    out.extend_from_slice(&b"1,".repeat(count));
    end(out);
}

/// Appends labels: the id, or -100 for what is not trained on.
pub(super) fn labels(labels: impl Iterator<Item = Option<u32>>, out: &mut Vec<u8>) {
    list("labels", labels, out);
}

/// Appends a list of numbers under a name, with -100 where there is none.
///
/// To append each by itself is a call that moves some five bytes, for forty million numbers of a file. So they are gathered first.
fn list(name: &str, numbers: impl Iterator<Item = Option<u32>>, out: &mut Vec<u8>) {
    /// The bytes that a number takes at most, with its comma.
    const LONGEST: usize = 11;
    let (mut gathered, mut at) = ([0; 256 * LONGEST], 0);
    begin(name, out);
    for number in numbers {
        if at + LONGEST > gathered.len() {
            out.extend_from_slice(&gathered[..at]);
            at = 0;
        }
        match number {
            Some(number) => {
                let mut left = number;
                let comma = at + left.checked_ilog10().unwrap_or(0) as usize + 1;
                for place in gathered[at..comma].iter_mut().rev() {
                    *place = b'0' + (left % 10) as u8;
                    left /= 10;
                }
                at = comma;
            }
            None => {
                gathered[at..at + NOT_TRAINED.len()].copy_from_slice(NOT_TRAINED);
                at += NOT_TRAINED.len();
            }
        }
        gathered[at] = b',';
        at += 1;
    }
    out.extend_from_slice(&gathered[..at]);
    end(out);
}

fn begin(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\"{name}\":[").as_bytes());
}

/// Ends a list of numbers with commas behind them.
fn end(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_json_has_them() {
        let edges = (0..10).flat_map(|power| [10_u32.pow(power) - 1, 10_u32.pow(power)]);
        let numbers: Vec<u32> = edges.chain([u32::MAX]).cycle().take(2000).collect();
        let mut out = Vec::new();
        column("n", numbers.iter(), &mut out);
        assert_eq!(out, format!("\"n\":{}", serde_json::to_string(&numbers).unwrap()).into_bytes());
    }
}
