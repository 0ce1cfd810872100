//! Two sets of rows, by their hashes.

use std::collections::{HashMap, VecDeque};

use super::{RowKey, RowSet};

/// What became of rows, each by its place in its set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// For each source of the new set, rows that are the same.
    pub(super) same: Vec<u64>,
    /// Rows that went from one side of the split to the other.
    pub(super) moved: Vec<(u32, u32)>,
    /// Rows of which the content changed.
    pub(super) changed: Vec<(u32, u32)>,
    /// Rows of the new set alone.
    pub(super) added: Vec<u32>,
    /// Rows of the old set alone.
    pub(super) removed: Vec<u32>,
}

/// Compares two sets; a row that is there twice has two partners.
pub(super) fn compare(old: &RowSet, new: &RowSet) -> Compared {
    // Sources go by their names, whatever their order.
    let name = |rows: &RowSet, key: &RowKey| -> u64 {
        let name = &rows.names[key.source as usize];
        old.names.iter().position(|known| known == name).unwrap_or(old.names.len() + key.source as usize) as u64
    };
    let mut before: Vec<u32> = (0..old.rows.len() as u32).collect();
    let mut after: Vec<u32> = (0..new.rows.len() as u32).collect();
    let mut pair = |same: &dyn Fn(&RowSet, &RowKey) -> Option<(u64, u64)>| {
        let mut waiting: HashMap<(u64, u64), VecDeque<u32>> = HashMap::new();
        for at in &before {
            if let Some(key) = same(old, &old.rows[*at as usize]) {
                waiting.entry(key).or_default().push_back(*at);
            }
        }
        let mut pairs = Vec::new();
        after.retain(|at| {
            let key = same(new, &new.rows[*at as usize]);
            let partner = key.and_then(|key| waiting.get_mut(&key)?.pop_front());
            pairs.extend(partner.map(|partner| (partner, *at)));
            partner.is_none()
        });
        let mut taken: Vec<u32> = pairs.iter().map(|(partner, _)| *partner).collect();
        taken.sort_unstable();
        before.retain(|at| taken.binary_search(at).is_err());
        pairs
    };
    let mut compared = Compared { same: vec![0; new.names.len()], ..Compared::default() };
    for (_, at) in pair(&|rows, key| Some((key.hash, name(rows, key) << 2 | key.side as u64))) {
        compared.same[new.rows[at as usize].source as usize] += 1;
    }
    compared.moved = pair(&|rows, key| Some((key.hash, name(rows, key))));
    // The same question is better evidence than the same place: what is inserted above moves every place below.
    compared.changed = pair(&|rows, key| Some((key.prompt, name(rows, key))));
    compared.changed.extend(pair(&|_, key| key.origin.map(|origin| (origin, 0))));
    compared.changed.sort_by_key(|(_, at)| *at);
    (compared.removed, compared.added) = (before, after);
    compared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::diff::rows::Side;

    fn set(names: &[&str], rows: &[(u64, u64, u64, u32, Side)]) -> RowSet {
        let key = |(line, (hash, prompt, origin, source, side)): (usize, &(u64, u64, u64, u32, Side))| RowKey {
            hash: *hash,
            prompt: *prompt,
            origin: (*origin > 0).then_some(*origin),
            source: *source,
            side: *side,
            line: line as u32 + 1,
            candidate: 0,
        };
        RowSet::for_test(names, rows.iter().enumerate().map(key).collect())
    }

    #[test]
    fn rows_are_matched_by_bytes_then_prompt_then_place() {
        use Side::{Train, Validation};
        let old = set(
            &["a", "b"],
            &[
                (1, 10, 1, 0, Train),
                (1, 10, 1, 0, Train), // a repeat
                (2, 20, 2, 0, Train),
                (3, 30, 3, 0, Train),
                (4, 40, 4, 0, Validation),
                (5, 50, 5, 1, Train),
            ],
        );
        let new = set(
            &["b", "a"],
            &[
                (1, 10, 1, 1, Train),      // same; the repeat is gone
                (2, 20, 9, 1, Validation), // moved
                (33, 30, 8, 1, Train),     // same prompt, other answer
                (44, 41, 4, 1, Train),     // same place, other question
                (6, 60, 6, 1, Train),      // new
                (5, 50, 5, 0, Train),      // same, though its source has another number
            ],
        );
        let compared = compare(&old, &new);
        let wanted = Compared {
            same: vec![1, 1],
            moved: vec![(2, 1)],
            changed: vec![(3, 2), (4, 3)],
            added: vec![4],
            removed: vec![1],
        };
        assert_eq!(compared, wanted);
        let nothing = compare(&new, &new);
        assert_eq!((nothing.same, nothing.added.len(), nothing.removed.len()), (vec![1, 5], 0, 0));
    }
}
