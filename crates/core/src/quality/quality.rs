//! The `quality` scorer: how much a text looks like meaningful prose.

use std::cell::RefCell;

use xxhash_rust::xxh3::xxh3_64;

use super::{BoundSpec, Ends, Key, Score, Scorer};

/// Keeps texts that read like prose.
pub(super) struct Quality;

impl Scorer for Quality {
    fn name(&self) -> &'static str {
        "quality"
    }

    fn version(&self) -> u32 {
        2
    }

    fn explain(&self) -> &'static str {
        "keeps texts that read like prose"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Fraction(Ends {
            min: Some(Key { name: "min_score", about: "the score of prose, at least" }),
            max: None,
        })
    }

    fn score(&self, text: &str) -> Score {
        Score::Fraction(quality(text))
    }
}

/// Marks that end a sentence where `.`, `!` and `?` do not: Chinese and Japanese, Arabic and Urdu, Devanagari and the scripts
/// of India that share its marks, Armenian, Ethiopic, Khmer, Burmese, Tibetan.
const ENDS: [char; 17] = ['。', '！', '？', '｡', '．', '؟', '۔', '।', '॥', '։', '՜', '՞', '።', '፧', '។', '။', '།'];

/// Returns the quality of a text in [0, 1]: a product of penalties.
///
/// Zero if the text has fewer than 10 characters. Otherwise 1.0, multiplied by
///
/// - 0.7 if there is no `.`, `!` or `?`;
/// - 0.5 + 0.5 × distinct words / words, if there are more than 5 words;
/// - 0.5 if there are more than 10 words and one word makes up more than 30 % of them;
/// - 0.7 if there are more than 2 parts between full stops and they average fewer than 3 words.
///
/// Words are separated by white space, and compared in lower case with their punctuation. Parts without a word do not
/// count. Lower case and white space are Unicode's, as in Python's `str.lower` and `str.split` (which also splits at
/// U+001C to U+001F). Words of eight bytes or more are compared by hash, so two may be taken for one; in a text of a
/// million words, that has a probability of about 10^-8.
pub fn quality(text: &str) -> f64 {
    if text.chars().nth(9).is_none() {
        return 0.0;
    }
    let words = Words::of(text);
    let mut score = 1.0;
    if memchr::memchr3(b'.', b'!', b'?', text.as_bytes()).is_none() && !text.contains(ENDS) {
        score *= 0.7;
    }
    if words.total > 5 {
        score *= 0.5 + 0.5 * (words.distinct as f64 / words.total as f64);
    }
    // In integers, because `most / total > 0.3` would depend on how 0.3 is rounded.
    if words.total > 10 && 10 * words.most_frequent > 3 * words.total {
        score *= 0.5;
    }
    if words.parts > 2 && words.in_parts < 3 * words.parts {
        score *= 0.7;
    }
    score
}

/// Counts from one pass over a text.
struct Words {
    /// Number of words, separated by white space.
    total: usize,
    /// Number of distinct words, in lower case.
    distinct: usize,
    /// Number of occurrences of the most frequent word.
    most_frequent: usize,
    /// Number of parts between full stops that have a word.
    parts: usize,
    /// Number of words in all parts, where a full stop inside a word makes two.
    in_parts: usize,
}

impl Words {
    fn of(text: &str) -> Self {
        SCRATCH.with_borrow_mut(|scratch| {
            let (parts, in_parts) = scratch.take(text);
            let (distinct, most_frequent) = scratch.count();
            Self { total: scratch.words.len(), distinct, most_frequent, parts, in_parts }
        })
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Buffers that are reused from text to text: allocating them took longer than counting.
#[derive(Default)]
struct Scratch {
    /// The text, with its ASCII letters in lower case.
    lower: Vec<u8>,
    /// A number for every word, equal for equal words.
    words: Vec<u64>,
    table: Vec<Slot>,
    /// Number of the current text: slots of the table from other texts count as empty.
    round: u32,
}

/// A word and the number of its occurrences in its round.
#[derive(Clone, Copy, Default)]
struct Slot {
    word: u64,
    round: u32,
    count: u32,
}

impl Scratch {
    /// Collects the words of a text. Returns the number of parts and of the words in them.
    fn take(&mut self, text: &str) -> (usize, usize) {
        self.words.clear();
        self.lower.clear();
        self.lower.extend_from_slice(text.as_bytes());
        self.lower.make_ascii_lowercase();
        // Spaces end the last word, pad the text to whole steps, and add one step to read ahead into.
        self.lower.resize((text.len() + 1).next_multiple_of(8) + 8, b' ');
        let lower = self.lower.as_slice();
        let (mut parts, mut in_parts, mut part_has_word) = (0, 0, false);
        // White space ends a word; white space or a full stop ends a piece.
        let (mut word, mut piece, mut is_ascii) = (0, 0, true);
        for (step, bytes) in lower[..lower.len() - 8].as_chunks::<8>().0.iter().enumerate() {
            let mut breaks = may_break(u64::from_le_bytes(*bytes));
            while breaks != 0 {
                let at = 8 * step + (breaks.trailing_zeros() / 8) as usize;
                breaks &= breaks - 1;
                let space = match lower[at] {
                    b'.' => 0,
                    first => match whitespace(&lower[at..]) {
                        0 => {
                            is_ascii &= first.is_ascii();
                            continue;
                        }
                        space => space,
                    },
                };
                let is_piece = at > piece;
                in_parts += usize::from(is_piece);
                part_has_word |= is_piece;
                piece = at + space.max(1);
                if space == 0 {
                    parts += usize::from(part_has_word);
                    part_has_word = false;
                    continue;
                }
                if at > word {
                    self.words.push(match is_ascii {
                        true => number_of(lower, word, at),
                        // The whole word rather than single letters, because a Σ at its end becomes ς.
                        false => number(text[word..at].to_lowercase().as_bytes()),
                    });
                }
                (word, is_ascii) = (piece, true);
            }
        }
        (parts + usize::from(part_has_word), in_parts)
    }

    /// Returns the number of distinct words, and the number of occurrences of the most frequent one.
    fn count(&mut self) -> (usize, usize) {
        // A table is faster for usual texts; for the longest, it would take more memory than the text.
        const MOST_IN_TABLE: usize = 4096;
        if self.words.len() <= MOST_IN_TABLE { self.count_in_table() } else { self.count_sorted() }
    }

    fn count_sorted(&mut self) -> (usize, usize) {
        self.words.sort_unstable();
        self.words.chunk_by(|a, b| a == b).fold((0, 0), |(distinct, most), run| (distinct + 1, most.max(run.len())))
    }

    fn count_in_table(&mut self) -> (usize, usize) {
        // Open addressing, at most half full, so that a free slot is always near.
        let slots = (2 * self.words.len()).next_power_of_two().max(2);
        if self.table.len() < slots {
            self.table.resize(slots, Slot::default());
        }
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.table.fill(Slot::default());
            1
        });
        let table = &mut self.table[..slots];
        let (mut distinct, mut most) = (0, 0);
        for &word in &self.words {
            // The upper bits of the product depend on all bits of the word.
            let mut slot = (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - slots.ilog2())) as usize;
            while table[slot].round == self.round && table[slot].word != word {
                slot = (slot + 1) & (slots - 1);
            }
            let is_new = table[slot].round != self.round;
            let count = if is_new { 1 } else { table[slot].count + 1 };
            table[slot] = Slot { word, round: self.round, count };
            distinct += usize::from(is_new);
            most = most.max(count);
        }
        (distinct, most as usize)
    }
}

/// Returns, as the highest bit of each of eight bytes, whether the byte may end a word or a part: a full stop, a
/// space, a control character, or a byte of a non-ASCII character.
fn may_break(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // Neither sum carries into the next byte, since all bytes are at most 0x7F.
    let ascii = bytes & !HIGH;
    let is_above_blank = ascii + (0x80 - 0x21) * ONES;
    let is_no_stop = (ascii ^ (b'.' as u64 * ONES)) + 0x7F * ONES;
    (!(is_above_blank & is_no_stop) | bytes) & HIGH
}

/// Returns a number for a word: words of up to seven bytes are encoded, longer ones hashed.
fn number(word: &[u8]) -> u64 {
    if word.len() >= 8 {
        return xxh3_64(word) | 1 << 63;
    }
    let bytes = word.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    bytes | (word.len() as u64) << 56
}

/// Returns the number of the word at `start..end`; faster if eight bytes can be read from its start.
fn number_of(text: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    match text[start..].first_chunk() {
        Some(bytes) if length < 8 => u64::from_le_bytes(*bytes) & ((1 << (8 * length)) - 1) | (length as u64) << 56,
        _ => number(&text[start..end]),
    }
}

/// Returns the length of the white-space character at the beginning of `bytes`, or 0 if there is none.
///
/// White space is Unicode's `White_Space`. `bytes` are from a `str`, and may begin inside a character.
fn whitespace(bytes: &[u8]) -> usize {
    match *bytes {
        [b' ' | b'\t'..=b'\r', ..] => 1,
        [0xC2, 0x85 | 0xA0, ..] => 2,
        [0xE1, 0x9A, 0x80, ..] | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..] => 3,
        [0xE2, 0x81, 0x9F, ..] | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn close(text: &str, expected: f64) {
        assert!((quality(text) - expected).abs() < 1e-12, "{text:?}: {} is not {expected}", quality(text));
    }

    #[test]
    fn scores_worked_by_hand() {
        close("", 0.0);
        close("123456 8.", 0.0);
        close("1234567 9.", 1.0);
        close("éééééééé.", 0.0);
        close("ééééééééé.", 1.0);
        close("no full stop", 0.7);
        close("is it so?!", 1.0);
        close("यह एक छोटा सा वाक्य।", 1.0);
        close("ما هي عاصمة فرنسا؟", 1.0);
        close("这只狐狸跳过了那只懒狗。", 1.0);
        close("这只狐狸跳过了那只懒狗", 0.7);
        // 5 words are too few for the second rule; 6 are enough: 3 of 6 are distinct.
        close("a b a b a.", 1.0);
        close("One two three one two THREE", 0.7 * 0.75);
        // Punctuation belongs to the word: `three` and `three.` differ.
        close("one two three one two three.", 0.5 + 0.5 * (4.0 / 6.0));
        // `x` makes up 3 of 10, but 10 words are not more than 10, so only the second rule applies.
        close("x x x b c d e f g h!", 0.5 + 0.5 * 0.8);
        // 4 of 11 is more than 30 %.
        close("x x x X b c d e f g h!", (0.5 + 0.5 * (8.0 / 11.0)) * 0.5);
        // 6 of 20 is exactly 30 %.
        close("x x x x x x a b c d e f g h i j k l m n!", 0.5 + 0.5 * 0.75);
        // Two parts are too few for the last rule; three with 2, 1 and 1 words average fewer than 3.
        close("one two. three four.", 1.0);
        close("one two. three. four.", 0.7);
        close("one two three. four five six. seven eight nine.", 1.0);
        // Blank parts do not count, so these are two.
        close("one two... three four.", 1.0);
        // A full stop inside a word makes two: `3.14` ends one part and begins the next.
        close("3.14 2.72 1.0", 0.7);
    }

    /// Returns the numbers of a text's words.
    fn numbers(text: &str) -> Vec<u64> {
        let mut scratch = Scratch::default();
        scratch.take(text);
        scratch.words
    }

    #[test]
    fn lower_case_is_unicodes() {
        for (a, b) in [
            ("ÉTÉ", "été"),
            ("ΟΔΟΣ", "οδος"),
            ("ǅ", "ǆ"),
            ("İ", "i\u{307}"),
            ("HELLO", "hello"),
            ("LONGER THAN EIGHT", "longer than eight"),
            // The Kelvin sign is a non-ASCII letter whose lower case is ASCII.
            ("\u{212A}", "k"),
            ("\u{212A}ILOGRAMMES", "kilogrammes"),
        ] {
            assert_eq!(numbers(a), numbers(b), "{a} {b}");
        }
    }

    #[test]
    fn long_texts_are_counted_alike() {
        let words: Vec<u64> = (0..5000_u64).map(|n| n % 1234 % 777).collect();
        let mut scratch = Scratch { words, ..Scratch::default() };
        let in_table = scratch.count_in_table();
        assert_eq!(scratch.count_in_table(), in_table, "what is left of a text does not count in the next");
        scratch.round = u32::MAX;
        assert_eq!(scratch.count_in_table(), in_table, "nor when rounds begin again");
        assert_eq!(scratch.count_sorted(), in_table);
        assert_eq!(Scratch::default().count(), (0, 0));
        // Three words, each a third of all.
        close(&"one two three. ".repeat(2000), (0.5 + 0.5 * (3.0 / 6000.0)) * 0.5);
    }

    #[test]
    fn different_words_have_different_numbers() {
        let words = ["a", "a\0", "a\0\0", "aa", "seven77", "eight888", "eight88", "longerthaneight", "é", "éé", "ée"];
        let all: std::collections::BTreeSet<u64> = numbers(&words.join(" ")).into_iter().collect();
        assert_eq!(all.len(), words.len());
        for word in words {
            assert_eq!(numbers(word), [number(word.as_bytes())], "{word}");
        }
    }

    #[test]
    fn whitespace_is_unicodes() {
        for c in '\0'..=char::MAX {
            let expected = if c.is_whitespace() { c.len_utf8() } else { 0 };
            let text = c.to_string();
            assert_eq!(whitespace(text.as_bytes()), expected, "{c:?}");
            // Nothing that looks like white space begins inside a character.
            assert!((1..text.len()).all(|at| whitespace(&text.as_bytes()[at..]) == 0), "{c:?}");
        }
    }

    /// The formula again, written as plainly as possible.
    fn naive(text: &str) -> f64 {
        if text.chars().count() < 10 {
            return 0.0;
        }
        let mut score = 1.0;
        if !text.contains(['.', '!', '?']) && !ENDS.iter().any(|end| text.contains(*end)) {
            score *= 0.7;
        }
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for word in &words {
            *counts.entry(word).or_default() += 1;
        }
        if words.len() > 5 {
            score *= 0.5 + 0.5 * (counts.len() as f64 / words.len() as f64);
        }
        let most = counts.values().max().copied().unwrap_or(0);
        if words.len() > 10 && most as f64 / words.len() as f64 > 0.3 {
            score *= 0.5;
        }
        let parts: Vec<&str> = text.split('.').filter(|part| !part.trim().is_empty()).collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.split_whitespace().count()).collect();
        if parts.len() > 2 && (lengths.iter().sum::<usize>() as f64 / parts.len() as f64) < 3.0 {
            score *= 0.7;
        }
        score
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_formula(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "A", "the", "The", "b.", ".", "3.14", "...", "x!", "été", "ÉTÉ", "ΟΔΟΣ", "οδος", "\u{a0}",
                    "\n", "word", "other?", "a.b.c",
                ]),
                0..40,
            ),
            glue in prop::sample::select(vec![" ", "", "  \t", "\u{2003}"]),
        ) {
            let text = words.join(glue);
            prop_assert_eq!(quality(&text), naive(&text));
        }

        #[test]
        fn any_byte_may_stand_anywhere(text in "[ -~\t\r\n\u{0}\u{1c}é€😀\u{a0}\u{2003}]{0,60}|[a-cA-C. \u{b}]{0,200}") {
            prop_assert_eq!(quality(&text), naive(&text));
        }

        #[test]
        fn stays_between_zero_and_one(text in "\\PC{0,80}|[a-b .]{0,200}") {
            let score = quality(&text);
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
            prop_assert_eq!(score, naive(&text));
        }
    }
}
