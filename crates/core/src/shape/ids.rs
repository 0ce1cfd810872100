//! Columns of token ids, labels and masks, as JSON lists.

use super::Unfit;
use crate::encoded::{EncodedSample, Sequence, WEIGHTED};

/// What PyTorch's cross entropy leaves out: `ignore_index`.
const NOT_TRAINED: &str = "-100";

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
    let mut buffer = itoa::Buffer::new();
    begin(name, out);
    for number in numbers {
        out.extend_from_slice(buffer.format(*number).as_bytes());
        out.push(b',');
    }
    end(out);
}

/// Appends a list of ones under a name.
pub(super) fn ones(name: &str, count: usize, out: &mut Vec<u8>) {
    begin(name, out);
    out.extend_from_slice(&b"1,".repeat(count));
    end(out);
}

/// Appends labels: the id, or -100 for what is not trained on.
pub(super) fn labels(labels: impl Iterator<Item = Option<u32>>, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    begin("labels", out);
    for label in labels {
        let label = label.map_or(NOT_TRAINED, |id| buffer.format(id));
        out.extend_from_slice(label.as_bytes());
        out.push(b',');
    }
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
