use std::{collections::BTreeSet, convert::Infallible};

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

fn packed(items: &[Item], room: u32) -> Vec<Vec<Item>> {
    let mut items = items.to_vec();
    items.sort_unstable_by_key(Item::place);
    let mut rows = Vec::new();
    let take = |row: &[Item]| {
        rows.push(row.to_vec());
        Ok::<_, Infallible>(())
    };
    pack(items.into_iter().map(Ok), room, take).unwrap();
    rows
}

/// The same by the definition: the tree is walked from its root.
fn by_definition(items: &[Item], room: u32) -> Vec<Vec<Item>> {
    fn node(items: &[Item], bit: u32, packer: &mut Packer<'_, impl FnMut(&[Item]) -> Result<(), Infallible>>) -> Node {
        if let ([_], _) | (_, 64) = (items, bit) {
            let mut nodes =
                items.iter().map(|item| Node { pool: vec![*item], below: item.tokens.into(), ..Node::default() });
            let mut all = nodes.next().map_or(Node::default(), |node| packer.settle(node).unwrap());
            for node in nodes {
                let node = packer.settle(node).unwrap();
                all = packer.join(all, node).unwrap();
            }
            return all;
        }
        let (left, right) = items.split_at(items.partition_point(|item| item.key >> (63 - bit) & 1 == 0));
        match (left, right) {
            ([], one) | (one, []) => node(one, bit + 1, packer),
            (left, right) => {
                let left = node(left, bit + 1, packer);
                let right = node(right, bit + 1, packer);
                packer.join(left, right).unwrap()
            }
        }
    }
    let mut items = items.to_vec();
    items.sort_unstable_by_key(Item::place);
    let mut rows = Vec::new();
    let mut take = |row: &[Item]| {
        rows.push(row.to_vec());
        Ok(())
    };
    let mut packer = Packer { room, fill: Fill::new(room), take: &mut take };
    let root = node(&items, 0, &mut packer);
    packer.empty(root.pool).unwrap();
    rows
}

/// Number of rows by best fit decreasing, over all items at once.
fn best_fit_decreasing(items: &[Item], room: u32) -> usize {
    let mut tokens: Vec<u32> = items.iter().map(|item| item.tokens).collect();
    tokens.sort_unstable_by_key(|tokens| Reverse(*tokens));
    let (mut left, mut rows): (BTreeSet<(u32, usize)>, _) = (BTreeSet::new(), 0);
    for tokens in tokens {
        let best = left.range((tokens, 0)..).next().copied();
        let (room, row) = best.unwrap_or((room, rows));
        rows += usize::from(best.is_none());
        left.remove(&(room, row));
        left.insert((room - tokens, row));
    }
    rows
}

/// A stream of hashes, the same for everyone.
fn hashes(seed: u64) -> impl Iterator<Item = u64> {
    (0_u64..).map(move |number| key(seed, number))
}

/// Items whose lengths are spread as those of conversations are: most are short, and some are many times as long. Their
/// logarithms have close to a normal distribution with σ = 0.8.
fn conversations(count: usize, mean: f64, room: u32, seed: u64) -> Vec<Item> {
    let mut hashes = hashes(seed);
    let mut next = || hashes.next().unwrap();
    let mut item = |number: usize| {
        let ups = (next() & 0xfff).count_ones();
        let factor = (0..12).fold(1.0 / 1.345, |factor, step| factor * if step < ups { 1.25 } else { 0.8 });
        let smooth = 0.9 + (next() % 1000) as f64 / 5000.0;
        Item { key: next(), tokens: ((mean * factor * smooth) as u32).clamp(1, room), number: number as u32 }
    };
    (0..count).map(&mut item).collect()
}

proptest! {
    #[test]
    fn each_item_stands_in_one_row_that_has_room(
        items in prop::collection::vec((any::<u64>(), 0_u32..100), 0..300),
        room in 99_u32..700,
        few in any::<bool>(),
    ) {
        let item = |(number, (key, tokens)): (usize, (u64, u32))| {
            Item { key: if few { key % 4 } else { key }, tokens, number: number as u32 }
        };
        let items: Vec<Item> = items.into_iter().enumerate().map(item).collect();
        let rows = packed(&items, room);
        let mut found: Vec<u32> = rows.iter().flatten().map(|item| item.number).collect();
        found.sort_unstable();
        prop_assert_eq!(found, (0..items.len() as u32).collect::<Vec<_>>());
        for row in &rows {
            prop_assert!(row.iter().map(|item| item.tokens).sum::<u32>() <= room);
            prop_assert!(!row.is_empty() && row.is_sorted_by_key(Item::place));
        }
        prop_assert_eq!(rows, by_definition(&items, room));
    }

    #[test]
    fn rows_are_filled_as_well_as_they_can_be(tokens in prop::collection::vec(1_u32..60, 1..9), room in 59_u32..130) {
        let item = |(number, tokens): (usize, &u32)| Item { key: number as u64, tokens: *tokens, number: number as u32 };
        let items: Vec<Item> = tokens.iter().enumerate().map(item).collect();
        let longest = (0..items.len()).max_by_key(|at| (tokens[*at], Reverse(*at))).unwrap();
        let sum = |chosen: u32| (0..items.len()).filter(|at| chosen >> at & 1 == 1).map(|at| tokens[at]).sum::<u32>();
        let sets = (0_u32..1 << items.len()).filter(|chosen| chosen >> longest & 1 == 1);
        let best = sets.map(sum).filter(|sum| *sum <= room).max().unwrap();
        let (row, rest) = Fill::new(room).best(items.clone());
        prop_assert_eq!(row.iter().map(|item| item.tokens).sum::<u32>(), best);
        prop_assert_eq!(row.len() + rest.len(), items.len());
    }
}

proptest! {
    #[test]
    fn rows_have_the_longest_items_that_fill_them(
        tokens in prop::collection::vec(1_u32..60, 1..9),
        room in 59_u32..130,
        spare in 0_u32..20,
    ) {
        let item = |(number, tokens): (usize, &u32)| Item { key: number as u64, tokens: *tokens, number: number as u32 };
        let mut items: Vec<Item> = tokens.iter().enumerate().map(item).collect();
        let enough = room - spare;
        let (row, rest) = Fill::new(room).longest(items.clone(), enough);
        prop_assert_eq!(row.len() + rest.len(), items.len());
        // Of all sets that fill the row, the first where the longest items are the highest bits.
        items.sort_unstable_by_key(|item| (Reverse(item.tokens), item.place()));
        let bit = |at: usize| 1_u32 << (items.len() - 1 - at);
        let sum = |chosen: u32| (0..items.len()).filter(|at| chosen & bit(*at) > 0).map(|at| items[at].tokens).sum::<u32>();
        let best = (1..1 << items.len()).filter(|chosen| (enough.max(1)..=room).contains(&sum(*chosen))).max();
        let chosen = (0..items.len()).filter(|at| row.contains(&items[*at])).map(bit).sum::<u32>();
        prop_assert_eq!(chosen, best.unwrap_or(0));
    }
}

/// What an edit changes, and what is left empty: `(mean number of rows that are new, largest, rows above best fit in percent)`.
fn measured(mean: f64, room: u32, count: usize) -> (f64, usize, f64) {
    let items = conversations(count, mean, room, 7);
    let rows = packed(&items, room);
    let before: BTreeSet<Vec<(u64, u32)>> = rows.iter().map(|row| contents(row)).collect();
    let (mut all, mut largest, edits) = (0, 0, 20);
    for (edit, hash) in hashes(11).take(edits).enumerate() {
        let mut edited = items.clone();
        let item = &mut edited[hash as usize % count];
        // The answer is edited: between half and one and a half times as long.
        item.tokens = (item.tokens / 2 + (edit as u32 * item.tokens) / edits as u32).clamp(1, room);
        let after = packed(&edited, room);
        let new = after.iter().filter(|row| !before.contains(&contents(row))).count();
        (all, largest) = (all + new, largest.max(new));
    }
    let best = best_fit_decreasing(&items, room);
    (all as f64 / edits as f64, largest, 100.0 * (rows.len() as f64 / best as f64 - 1.0))
}

fn contents(row: &[Item]) -> Vec<(u64, u32)> {
    row.iter().map(|item| (item.key, item.tokens)).collect()
}

#[test]
fn an_edit_changes_a_handful_of_rows_and_little_stays_empty() {
    for (mean, room, count) in [(300.0, 8192, 20_000), (500.0, 4096, 10_000), (500.0, 2048, 5_000)] {
        let measured @ (mean, largest, empty) = measured(mean, room, count);
        assert!(mean < 5.0 && largest <= 8 && empty < 1.5, "{measured:?} for rows of {room}");
    }
}

#[test]
fn keys_of_one_prompt_are_apart() {
    assert_ne!(key(1, 0) >> 32, key(1, 1) >> 32);
    assert_eq!(key(1, 1), key(1, 1));
}
