//! Packing: which sequences stand together in one row of at most so many tokens.
//!
//! Packing that sorts all sequences by length, or cuts them into batches, moves most of them when one changes. Here each
//! sequence has a place of its own, given by a hash of its content, and meets its neighbours there:
//!
//! ```text
//! hash    0000  0001   0100  0110     1001  1011   1110
//!            \  /         \  /           \  /       |
//!            0__          01_             1__ ______/       pools of sequences that have no row yet
//!               \________/                |
//!                0___ ────────────────────                  a pool that fills a row gives it away,
//!                         \______________/                  and what is left moves on to the next node
//! ```
//!
//! The nodes are those of a binary tree over the hashes. A node takes what its two branches left, fills as many rows as can
//! be filled well, and leaves the rest to the node above. What counts as well gets easier with the tokens below a node. A
//! node leaves nothing if its rows can take all that is left with little room to spare, and none with `REACH` rows' worth of
//! tokens below it does. So a sequence has a say only in the rows that are made on its way up, a handful, and every other row
//! stays as it is: in what it holds, and in its place among the rows.
//!
//! A row is not filled as well as it can be, but with the longest sequences with which it can be filled well enough: what fills it
//! best is another set whenever a length changes by one token.

use std::cmp::Reverse;

use xxhash_rust::xxh3::xxh3_64;

/// Version of the packing, to be raised when the same sequences are packed otherwise.
pub const PACK_VERSION: u32 = 2;

/// What there is no place for in a packed row: a sample with more tokens than the row may have.
pub const OVERLONG: &str = "more tokens than a packed row has";

/// A node with at least so many rows' worth of tokens below it leaves nothing to the node above.
const REACH: u64 = 128;

/// The part of a row that may stay empty, as a divisor: of the row, and of the tokens below the node that fills it.
const EMPTY_OF_ROW: u64 = 100;
const EMPTY_OF_ALL: u64 = 250;

/// A node with at least so many rows' worth of tokens below it leaves nothing if all rows below it, filled with what is left, are
/// empty by no more than this part (as a divisor) of the tokens in them.
const CLOSES: u64 = 8;
const EMPTY_WHERE_CLOSED: u64 = 67;

/// A sequence to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place: a hash of its content.
    pub key: u64,
    /// Number of its tokens.
    pub tokens: u32,
    /// What the caller calls it.
    pub number: u32,
}

impl Item {
    fn place(&self) -> (u64, u32) {
        (self.key, self.number)
    }
}

/// Returns the key of a sample, by the hash of its prompt and the number of samples with this prompt that stand before it.
///
/// So a sample whose answer is edited keeps its place, and samples with one prompt are apart.
pub fn key(prompt_hash: u64, before: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&prompt_hash.to_le_bytes());
    bytes[8..].copy_from_slice(&before.to_le_bytes());
    xxh3_64(&bytes)
}

/// Packs items, which must come in the order of their keys, and calls `take` with each row.
///
/// An item must have at most `room` tokens. Items of a row are in the order of their keys. What is held in memory is the
/// pools of the nodes that are not complete, a few rows' worth for each level of the tree.
pub fn pack<E>(
    items: impl Iterator<Item = Result<Item, E>>,
    room: u32,
    mut take: impl FnMut(&[Item]) -> Result<(), E>,
) -> Result<(), E> {
    let mut packer = Packer { room, fill: Fill::new(room), take: &mut take };
    // The nodes that wait for their right branch, from the root down.
    let mut path: Vec<Node> = Vec::new();
    let mut last: Option<u64> = None;
    for item in items {
        let item = item?;
        debug_assert!(item.tokens <= room && last.is_none_or(|last| last <= item.key), "{item:?}");
        if let Some(last) = last.replace(item.key) {
            let fork = (last ^ item.key).leading_zeros();
            // Whatever forks below the new fork is complete.
            while let [.., left, right] = &mut path[..]
                && left.fork >= fork
            {
                let right = std::mem::take(right);
                let joined = packer.join(std::mem::take(left), right)?;
                path.truncate(path.len() - 2);
                path.push(joined);
            }
            path.last_mut().expect("an item came before").fork = fork;
        }
        let node =
            packer.settle(Node { pool: vec![item], below: item.tokens.into(), fork: u32::MAX, ..Node::default() })?;
        path.push(node);
    }
    while let Some(right) = path.pop() {
        let Some(left) = path.pop() else {
            return packer.empty(right.pool);
        };
        let joined = packer.join(left, right)?;
        path.push(joined);
    }
    Ok(())
}

/// A node of the tree.
#[derive(Default)]
struct Node {
    /// The items below that have no row.
    pool: Vec<Item>,
    /// Number of all tokens below.
    below: u64,
    /// How many more tokens the rows below have room for.
    empty: u64,
    /// Number of leading bits that its last item has in common with the item after it.
    fork: u32,
}

struct Packer<'t, T> {
    room: u32,
    fill: Fill,
    take: &'t mut T,
}

impl<T> Packer<'_, T> {
    fn join<E>(&mut self, left: Node, right: Node) -> Result<Node, E>
    where
        T: FnMut(&[Item]) -> Result<(), E>,
    {
        let mut pool = left.pool;
        pool.extend(right.pool);
        let (below, empty) = (left.below + right.below, left.empty + right.empty);
        self.settle(Node { pool, below, empty, fork: right.fork })
    }

    /// Fills the rows that can be filled well.
    fn settle<E>(&mut self, mut node: Node) -> Result<Node, E>
    where
        T: FnMut(&[Item]) -> Result<(), E>,
    {
        let room = u64::from(self.room);
        if node.below >= REACH * room {
            self.empty(std::mem::take(&mut node.pool))?;
            return Ok(node);
        }
        let may_be_empty = (room / EMPTY_OF_ROW).max(node.below / EMPTY_OF_ALL).min(room / 2);
        let enough = room - may_be_empty;
        let mut tokens: u64 = node.pool.iter().map(|item| u64::from(item.tokens)).sum();
        while tokens >= enough {
            let (row, rest) = self.fill.longest(std::mem::take(&mut node.pool), enough as u32);
            node.pool = rest;
            if row.is_empty() {
                break;
            }
            let filled: u64 = row.iter().map(|item| u64::from(item.tokens)).sum();
            (self.take)(&row)?;
            tokens -= filled;
            node.empty += room - filled;
        }
        if node.below >= CLOSES * room && !node.pool.is_empty() {
            self.close(&mut node, tokens)?;
        }
        Ok(node)
    }

    /// Fills rows with all that a node has left, which is so many tokens, if little stays empty.
    fn close<E>(&mut self, node: &mut Node, tokens: u64) -> Result<(), E>
    where
        T: FnMut(&[Item]) -> Result<(), E>,
    {
        let room = u64::from(self.room);
        let fewest = tokens.div_ceil(room).max(1);
        let empty = node.empty + fewest * room - tokens;
        if empty * EMPTY_WHERE_CLOSED > node.below {
            return Ok(());
        }
        let (mut rows, mut rest) = (Vec::new(), node.pool.clone());
        while !rest.is_empty() && (rows.len() as u64) < fewest {
            let (row, others) = self.fill.best(rest);
            rows.push(row);
            rest = others;
        }
        if rest.is_empty() {
            rows.iter().try_for_each(|row| (self.take)(row))?;
            (node.pool, node.empty) = (Vec::new(), empty);
        }
        Ok(())
    }

    /// Fills rows until no item is left.
    fn empty<E>(&mut self, mut pool: Vec<Item>) -> Result<(), E>
    where
        T: FnMut(&[Item]) -> Result<(), E>,
    {
        while !pool.is_empty() {
            let (row, rest) = self.fill.best(pool);
            (self.take)(&row)?;
            pool = rest;
        }
        Ok(())
    }
}

/// Finds the items that fill a row best.
struct Fill {
    room: u32,
    /// The sums that can be reached, as bits.
    sums: Vec<u64>,
    /// For each sum that can be reached, which of the items reached it first. Of others it says nothing.
    by: Vec<u32>,
}

impl Fill {
    fn new(room: u32) -> Self {
        Self { room, sums: vec![0; room as usize / 64 + 1], by: vec![0; room as usize + 1] }
    }

    /// Divides items into those that fill a row best, the longest among them, and the others; both in the order of their keys.
    fn best(&mut self, mut items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
        items.sort_unstable_by_key(|item| (Reverse(item.tokens), item.place()));
        self.sums.fill(0);
        let Some(first) = items.first().map(|item| item.tokens) else { return (items, Vec::new()) };
        self.set(first);
        let mut most = first;
        for (number, item) in items.iter().enumerate().skip(1) {
            if most == self.room {
                break;
            }
            most = most.max(self.add(item.tokens, number as u32));
        }
        let (mut chosen, mut sum) = (vec![false; items.len()], most);
        chosen[0] = true;
        while sum != first {
            let number = self.by[sum as usize] as usize;
            chosen[number] = true;
            sum -= items[number].tokens;
        }
        let (mut row, mut rest) = (Vec::new(), Vec::new());
        for (item, is_chosen) in items.into_iter().zip(chosen) {
            if is_chosen { row.push(item) } else { rest.push(item) }
        }
        row.sort_unstable_by_key(Item::place);
        rest.sort_unstable_by_key(Item::place);
        (row, rest)
    }

    /// Divides items into those that fill a row up to `enough` tokens or more, none if none do, and the others; both in the order
    /// of their keys. From the longest item on, each is chosen with which those behind it can still fill the row.
    fn longest(&mut self, mut items: Vec<Item>, enough: u32) -> (Vec<Item>, Vec<Item>) {
        items.sort_unstable_by_key(|item| (Reverse(item.tokens), item.place()));
        self.sums.fill(0);
        self.set(0);
        self.by[0] = items.len() as u32;
        // Sums of the last items first: `by` is then the last item from which on a sum can be reached.
        for (number, item) in items.iter().enumerate().rev() {
            self.add(item.tokens, number as u32);
        }
        let (mut row, mut rest, mut sum) = (Vec::new(), Vec::new(), 0);
        for (number, item) in (1..).zip(items) {
            let with = sum + item.tokens;
            if with <= self.room && self.reach(number, enough.saturating_sub(with)..=self.room - with) {
                sum = with;
                row.push(item);
            } else {
                rest.push(item);
            }
        }
        row.sort_unstable_by_key(Item::place);
        rest.sort_unstable_by_key(Item::place);
        (row, rest)
    }

    /// Returns whether the items from a number on reach one of these sums.
    fn reach(&self, from: u32, mut sums: std::ops::RangeInclusive<u32>) -> bool {
        sums.any(|sum| self.sums[sum as usize / 64] >> (sum % 64) & 1 == 1 && self.by[sum as usize] >= from)
    }

    fn set(&mut self, sum: u32) {
        self.sums[sum as usize / 64] |= 1 << (sum % 64);
    }

    /// Adds an item to every sum; returns the largest new sum, or 0.
    fn add(&mut self, tokens: u32, number: u32) -> u32 {
        let (words, bits) = (tokens as usize / 64, tokens % 64);
        let mut most = 0;
        // From the top down, since a word is made of words below it that must be as they were.
        for at in (words..self.sums.len()).rev() {
            let mut moved = self.sums[at - words] << bits;
            if bits > 0 && at > words {
                moved |= self.sums[at - words - 1] >> (64 - bits);
            }
            let mut new = moved & !self.sums[at];
            while new != 0 {
                let sum = at as u32 * 64 + new.trailing_zeros();
                new &= new - 1;
                if sum > self.room {
                    break;
                }
                self.set(sum);
                self.by[sum as usize] = number;
                most = most.max(sum);
            }
        }
        most
    }
}

#[cfg(test)]
mod tests;
