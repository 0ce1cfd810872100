//! Rows that stand in a file which an earlier build wrote, in the same order: they are copied from there.
//!
//! A row is named by its blob and its place in it, never by what the file holds; what is read of the file is checked row
//! by row against the hash of the sample. A row that has come into another blob may be found by its hash: what is read of
//! it is compared with that blob. A file that was changed, by whomever, costs time and nothing else.

use std::fs::File;

use crate::id::FileHash;

/// A row that is no candidate any more.
pub const GONE: u32 = u32::MAX;

/// A file of the rows' recipe as an earlier build left it.
#[derive(Debug)]
pub struct Former {
    /// The file.
    pub file: File,
    /// BLAKE3 of its bytes.
    pub digest: FileHash,
    /// Its rows in order.
    pub rows: Vec<FormerRow>,
    /// The blocks of rows that were found in it by their hash.
    pub compared: Vec<usize>,
}

/// A former file that holds all of an output and nothing else: there is nothing to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    /// BLAKE3 of its bytes.
    pub digest: FileHash,
    /// Its size.
    pub bytes: u64,
}

/// A row of a former file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerRow {
    /// The candidate that it is, or [`GONE`].
    pub candidate: u32,
    /// Its bytes, with its ending.
    pub bytes: u32,
}

/// Consecutive rows of an output that are consecutive in the former file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first row, counted in the output, and the first behind it.
    pub(super) rows: (u32, u32),
    /// The first byte and the first behind it, counted in the output.
    pub(super) bytes: (u64, u64),
    /// The first byte in the former file.
    pub(super) from: u64,
}

/// Finds stretches, given an output's rows in order.
pub(super) struct Finder<'f> {
    rows: &'f [FormerRow],
    /// The row of the former file it is at, and where that begins.
    row: usize,
    from: u64,
    /// For each candidate where it stands in the former file.
    stands: Vec<u32>,
    found: Vec<Stretch>,
}

impl<'f> Finder<'f> {
    /// A finder among `rows`; candidates are below `candidates`.
    pub(super) fn new(rows: &'f [FormerRow], candidates: usize) -> Self {
        let mut stands = vec![GONE; candidates];
        for (at, row) in rows.iter().enumerate().rev() {
            if let Some(stands) = stands.get_mut(row.candidate as usize) {
                *stands = at as u32;
            }
        }
        Self { rows, row: 0, from: 0, stands, found: Vec::new() }
    }

    /// The output's next row: its number, its candidate, its first byte and its length.
    pub(super) fn next(&mut self, number: u32, candidate: u32, at: u64, length: u64) {
        let is_here = |row: usize| self.rows.get(row).is_some_and(|row| row.candidate == candidate);
        // A row that was there once, or stood before, is not looked for again: both orders agree but for a few rows.
        let row = match self.stands.get(candidate as usize) {
            _ if is_here(self.row) => self.row,
            Some(&stands) if stands != GONE && stands as usize > self.row => stands as usize,
            _ => return,
        };
        self.from += self.rows[self.row..row].iter().map(|row| u64::from(row.bytes)).sum::<u64>();
        let end = at + length;
        match self.found.last_mut() {
            Some(last) if last.bytes.1 == at && last.from + (at - last.bytes.0) == self.from => {
                (last.rows.1, last.bytes.1) = (number + 1, end);
            }
            _ => self.found.push(Stretch { rows: (number, number + 1), bytes: (at, end), from: self.from }),
        }
        (self.row, self.from) = (row + 1, self.from + length);
    }

    /// The stretches in order, unless they make up less than half of the output's `bytes`.
    pub(super) fn finish(self, bytes: u64) -> Vec<Stretch> {
        let kept: u64 = self.found.iter().map(|stretch| stretch.bytes.1 - stretch.bytes.0).sum();
        if kept >= bytes / 2 { self.found } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of candidate × 10 + 10 bytes each, 7 bytes for those that are gone.
    fn found(former: &[u32], now: &[u32]) -> Vec<(u32, u32, u64)> {
        let bytes = |candidate: u32| if candidate == GONE { 7 } else { candidate * 10 + 10 };
        let rows: Vec<FormerRow> =
            former.iter().map(|&candidate| FormerRow { candidate, bytes: bytes(candidate) }).collect();
        let mut finder = Finder::new(&rows, 10);
        let mut at = 0;
        for (number, candidate) in now.iter().enumerate() {
            finder.next(number as u32, *candidate, at, u64::from(bytes(*candidate)));
            at += u64::from(bytes(*candidate));
        }
        let found = finder.finish(at);
        found.iter().map(|stretch| (stretch.rows.0, stretch.rows.1, stretch.from)).collect()
    }

    #[test]
    fn what_stayed_is_found_in_stretches() {
        assert_eq!(found(&[3, 1, 2], &[3, 1, 2]), [(0, 3, 0)]);
        assert_eq!(found(&[3, 1, 2], &[3, 1, 0, 2]), [(0, 2, 0), (3, 4, 60)], "a row is new");
        assert_eq!(found(&[3, GONE, 1, 2], &[3, 1, 2]), [(0, 1, 0), (1, 3, 47)], "one is gone");
        assert_eq!(found(&[3, 4, 1, 2], &[3, 1, 2]), [(0, 1, 0), (1, 3, 90)], "one is on the other side now");
        assert_eq!(found(&[5, 5, 1], &[5, 5, 5, 1]), [(0, 2, 0), (3, 4, 120)], "one is repeated more often");
        assert_eq!(found(&[5, 5, 5, 1], &[5, 1]), [(0, 1, 0), (1, 2, 180)], "or less");
        assert_eq!(found(&[1, 2, 3, 4, 5], &[5, 4, 3, 2, 1]), [], "in another order there is little to copy");
        assert_eq!(found(&[], &[1]), []);
        assert_eq!(found(&[1], &[]), []);
    }
}
