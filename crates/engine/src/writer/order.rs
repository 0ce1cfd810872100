//! The order of an output, and which of its samples share a row.

use std::{ops::Range, sync::Arc};

use datac_core::id::BlobId;

/// The order of an output: a blob of candidate numbers, each of 4 bytes in little-endian order.
#[derive(Clone, Debug)]
pub struct Order {
    /// The blob.
    pub list: BlobId,
    /// Number of samples.
    pub samples: u64,
    /// Number of samples of the list that stand before them.
    pub first: u64,
    /// Number of samples of the list.
    pub of: u64,
    /// The rows that samples are packed in; `None` if each sample is a row.
    packed: Option<Packed>,
}

/// Rows of several samples.
#[derive(Clone, Debug)]
struct Packed {
    /// For each row of the list, the number of samples that stand before its end.
    ends: Arc<Vec<u32>>,
    /// Which of these rows are meant.
    rows: Range<usize>,
}

impl Order {
    /// A whole list.
    pub fn whole(list: BlobId, samples: u64) -> Self {
        Self { list, samples, first: 0, of: samples, packed: None }
    }

    /// A whole list whose samples are packed in rows; `ends` says for each row how many samples stand before its end.
    pub fn packed(list: BlobId, ends: Arc<Vec<u32>>) -> Self {
        let samples = ends.last().copied().unwrap_or(0).into();
        let rows = 0..ends.len();
        Self { packed: Some(Packed { ends, rows }), ..Self::whole(list, samples) }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        self.packed.as_ref().map_or(self.samples, |packed| packed.rows.len() as u64)
    }

    /// One of `count` parts with about the same number of rows.
    pub fn part(&self, number: u64, count: u64) -> Self {
        let bound = |number: u64| (u128::from(self.rows()) * u128::from(number) / u128::from(count)) as u64;
        let (start, end) = (bound(number), bound(number + 1));
        let Some(packed) = &self.packed else {
            return Self { first: self.first + start, samples: end - start, ..self.clone() };
        };
        let rows = packed.rows.start + start as usize..packed.rows.start + end as usize;
        let before = |row: usize| row.checked_sub(1).map_or(0, |row| u64::from(packed.ends[row]));
        let (first, samples) = (before(rows.start), before(rows.end) - before(rows.start));
        Self { first, samples, packed: Some(Packed { ends: packed.ends.clone(), rows }), ..self.clone() }
    }

    /// Whether samples share rows.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Returns whether a row ends with a sample, given by its place in this order, from 0.
    pub fn ends_row(&self, sample: u64) -> bool {
        let end = self.first + sample + 1;
        self.packed.as_ref().is_none_or(|packed| packed.ends.binary_search(&(end as u32)).is_ok())
    }

    /// Returns the first place that is no less than `sample`, and before which a row ends.
    pub fn next_row(&self, sample: u64) -> u64 {
        let Some(packed) = &self.packed else { return sample };
        let end = (self.first + sample) as u32;
        let row = packed.ends.partition_point(|known| *known < end);
        if sample == 0 { 0 } else { packed.ends.get(row).map_or(self.samples, |end| u64::from(*end) - self.first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(ends: &[u32]) -> Order {
        Order::packed(BlobId::of(b"list"), Arc::new(ends.to_vec()))
    }

    #[test]
    fn parts_have_whole_rows() {
        let whole = order(&[3, 4, 9, 10, 12]);
        assert_eq!((whole.rows(), whole.samples, whole.of), (5, 12, 12));
        let parts: Vec<Order> = (0..2).map(|number| whole.part(number, 2)).collect();
        let of = |order: &Order| (order.first, order.samples, order.rows(), order.of);
        assert_eq!(parts.iter().map(of).collect::<Vec<_>>(), [(0, 4, 2, 12), (4, 8, 3, 12)]);
        let ends: Vec<u64> = (0..8).filter(|sample| parts[1].ends_row(*sample)).collect();
        assert_eq!(ends, [4, 5, 7]);
        assert_eq!((0..=8).map(|sample| parts[1].next_row(sample)).collect::<Vec<_>>(), [0, 5, 5, 5, 5, 5, 6, 8, 8]);
    }

    #[test]
    fn each_sample_is_a_row_unless_packed() {
        let whole = Order::whole(BlobId::of(b"list"), 7);
        let part = whole.part(1, 2);
        assert_eq!((part.first, part.samples, part.rows(), part.ends_row(0), part.next_row(2)), (3, 4, 4, true, 2));
    }
}
