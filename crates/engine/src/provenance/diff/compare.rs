//! Compares two sets of rows by their hashes.

use super::{RowKey, RowSet};

/// Result of comparing two sets of rows, by index in each set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Number of unchanged rows for each source of the new set.
    pub(crate) same: Vec<u64>,
    /// Rows with the same content of which the model sees something else.
    pub(crate) encoded: Vec<(u32, u32)>,
    /// Rows that went from one side of the split to the other.
    pub(crate) moved: Vec<(u32, u32)>,
    /// Rows whose content changed.
    pub(crate) changed: Vec<(u32, u32)>,
    /// Rows that only the new set has.
    pub(crate) added: Vec<u32>,
    /// Rows that only the old set has.
    pub(crate) removed: Vec<u32>,
}

/// Returns the key that two rows must share to be paired, or `None` for a row that is never paired.
type Likeness<'a> = dyn Fn(&RowSet, &RowKey) -> Option<(u64, u64)> + 'a;

/// Compares two sets of rows. Each row is paired with at most one other, so duplicates need as many partners.
pub(crate) fn compare(old: &RowSet, new: &RowSet) -> Compared {
    // Sources are matched by name: their order may differ between builds.
    let name = |rows: &RowSet, key: &RowKey| -> u64 {
        let name = &rows.names[key.source as usize];
        old.names.iter().position(|known| known == name).unwrap_or(old.names.len() + key.source as usize) as u64
    };
    let mut before: Vec<u32> = (0..old.rows.len() as u32).collect();
    let mut after: Vec<u32> = (0..new.rows.len() as u32).collect();
    let mut pair = |same: &Likeness<'_>| {
        let keyed = |rows: &RowSet, all: &[u32]| -> Vec<((u64, u64), u32)> {
            let key = |at: &u32| Some((same(rows, &rows.rows[*at as usize])?, *at));
            let mut keyed: Vec<_> = all.iter().filter_map(key).collect();
            keyed.sort_unstable();
            keyed
        };
        let (waiting, mut coming) = (keyed(old, &before), keyed(new, &after).into_iter().peekable());
        let mut pairs = Vec::new();
        for (key, at) in waiting {
            while coming.next_if(|(other, _)| *other < key).is_some() {}
            pairs.extend(coming.next_if(|(other, _)| *other == key).map(|(_, partner)| (at, partner)));
        }
        let mut taken: Vec<u32> = pairs.iter().map(|(at, _)| *at).collect();
        taken.sort_unstable();
        before.retain(|at| taken.binary_search(at).is_err());
        pairs.sort_unstable_by_key(|(_, partner)| *partner);
        after.retain(|at| pairs.binary_search_by_key(at, |(_, partner)| *partner).is_err());
        pairs
    };
    let mut compared = Compared { same: vec![0; new.names.len()], ..Compared::default() };
    for (before, at) in pair(&|rows, key| Some((key.hash, name(rows, key) << 2 | key.side as u64))) {
        let (old, new) = (&old.rows[before as usize], &new.rows[at as usize]);
        match (old.encoded, new.encoded) {
            (Some(one), Some(other)) if one != other => compared.encoded.push((before, at)),
            _ => compared.same[new.source as usize] += 1,
        }
    }
    compared.moved = pair(&|rows, key| Some((key.hash, name(rows, key))));
    // The prompt is better evidence than the position: an inserted row shifts the position of every row below it.
    compared.changed = pair(&|rows, key| Some((key.prompt, name(rows, key))));
    compared.changed.extend(pair(&|_, key| key.origin.map(|origin| (origin, 0))));
    compared.changed.sort_by_key(|(_, at)| *at);
    (compared.removed, compared.added) = (before, after);
    compared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::diff::rows::Side;

    fn set(names: &[&str], rows: &[(u64, u64, u64, u32, Side)]) -> RowSet {
        let key = |(line, (hash, prompt, origin, source, side)): (usize, &(u64, u64, u64, u32, Side))| RowKey {
            hash: *hash,
            prompt: *prompt,
            origin: (*origin > 0).then_some(*origin),
            source: *source,
            side: *side,
            line: line as u32 + 1,
            candidate: 0,
            encoded: None,
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
            encoded: vec![],
            same: vec![1, 1],
            moved: vec![(2, 1)],
            changed: vec![(3, 2), (4, 3)],
            added: vec![4],
            removed: vec![1],
        };
        assert_eq!(compared, wanted);
        let nothing = compare(&new, &new);
        let mut seen = set(&["a"], &[(1, 10, 1, 0, Train), (2, 20, 2, 0, Train)]);
        let key = |hash| Some(crate::provenance::diff::rows::EncodedKey { hash, tokens: 3, trained: 1 });
        seen.rows.iter_mut().for_each(|row| row.encoded = key(7));
        let before = RowSet::for_test(&["a"], seen.rows.clone());
        seen.rows[1].encoded = key(8);
        let compared = compare(&before, &seen);
        assert_eq!((compared.encoded, compared.same), (vec![(1, 1)], vec![1]), "another template, say");
        assert_eq!((nothing.same, nothing.added.len(), nothing.removed.len()), (vec![1, 5], 0, 0));
    }
}
