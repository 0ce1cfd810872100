//! How much a text looks like prose that says something.

use xxhash_rust::xxh3::xxh3_64;

/// Raised by hand whenever the same text yields another score.
pub(super) const VERSION: u32 = 1;

/// The quality of a text in [0, 1]: a product of penalties.
///
/// Zero under 10 characters. From 1.0:
///
/// - × 0.7 if there is none of `.`, `!`, `?`;
/// - with more than 5 words, × (0.5 + 0.5 × distinct words / words);
/// - with more than 10 words, × 0.5 if one word makes more than 30 % of them;
/// - with more than 2 parts between full stops, × 0.7 if they average under 3 words.
///
/// Words are what whitespace separates, compared in lower case with their punctuation. Parts without a word do not
/// count. Lower case and whitespace are Unicode's, as in Python's `str.lower` and `str.split` (which also splits at
/// U+001C to U+001F). Words are compared by 64-bit hash, so two different ones may be taken for one; a text of a
/// million words holds such a pair with a chance of about 10^-8.
pub fn quality(text: &str) -> f64 {
    if text.chars().nth(9).is_none() {
        return 0.0;
    }
    let words = Words::of(text);
    let mut score = 1.0;
    if memchr::memchr3(b'.', b'!', b'?', text.as_bytes()).is_none() {
        score *= 0.7;
    }
    if words.total > 5 {
        score *= 0.5 + 0.5 * (words.distinct as f64 / words.total as f64);
    }
    // Whole numbers: `most / total > 0.3` would rest on how 0.3 is rounded.
    if words.total > 10 && 10 * words.most_frequent > 3 * words.total {
        score *= 0.5;
    }
    if words.parts > 2 && words.in_parts < 3 * words.parts {
        score *= 0.7;
    }
    score
}

/// What one pass over a text counts.
struct Words {
    /// Words between whitespace.
    total: usize,
    /// Different ones among them, in lower case.
    distinct: usize,
    /// How often the most frequent one occurs.
    most_frequent: usize,
    /// Parts between full stops that hold a word.
    parts: usize,
    /// The sum of the parts' words: a full stop inside a word makes two.
    in_parts: usize,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut hashes = Vec::with_capacity(text.len() / 5);
        let mut lower = Vec::new();
        let (mut parts, mut in_parts) = (0, 0);
        let (mut part_has_word, mut in_piece) = (false, false);
        let bytes = text.as_bytes();
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            let space = match CLASS[bytes[at] as usize] {
                Class::Letter => 0,
                Class::FullStop => {
                    parts += usize::from(part_has_word);
                    (part_has_word, in_piece) = (false, false);
                    at += 1;
                    continue;
                }
                Class::MaybeSpace => whitespace(&bytes[at..]),
            };
            if space == 0 {
                in_parts += usize::from(!in_piece);
                (part_has_word, in_piece) = (true, true);
                at += 1;
                continue;
            }
            if start < at {
                hashes.push(lower_case_hash(&text[start..at], &mut lower));
            }
            in_piece = false;
            at += space;
            start = at;
        }
        if start < bytes.len() {
            hashes.push(lower_case_hash(&text[start..], &mut lower));
        }
        parts += usize::from(part_has_word);
        let (distinct, most_frequent) = count(&mut hashes);
        Self { total: hashes.len(), distinct, most_frequent, parts, in_parts }
    }
}

/// What a byte may be.
#[derive(Clone, Copy)]
enum Class {
    /// Part of a word, whatever follows.
    Letter,
    /// A full stop, which parts words too.
    FullStop,
    /// The first byte of a whitespace character, or of others.
    MaybeSpace,
}

/// A table, since this is asked of every byte of a source.
const CLASS: [Class; 256] = {
    let mut table = [Class::Letter; 256];
    table[b'.' as usize] = Class::FullStop;
    table[b' ' as usize] = Class::MaybeSpace;
    let mut byte = b'\t';
    while byte <= b'\r' {
        table[byte as usize] = Class::MaybeSpace;
        byte += 1;
    }
    table[0xC2] = Class::MaybeSpace;
    table[0xE1] = Class::MaybeSpace;
    table[0xE2] = Class::MaybeSpace;
    table[0xE3] = Class::MaybeSpace;
    table
};

/// The length of the whitespace character that `bytes` begin with; 0 if they begin with another.
///
/// The characters of Unicode's `White_Space`; `bytes` stand in a `str`, at a boundary or inside a character.
fn whitespace(bytes: &[u8]) -> usize {
    match *bytes {
        [b' ' | b'\t'..=b'\r', ..] => 1,
        [0xC2, 0x85 | 0xA0, ..] => 2,
        [0xE1, 0x9A, 0x80, ..] | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..] => 3,
        [0xE2, 0x81, 0x9F, ..] | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

/// How many different hashes there are, and how often the most frequent one occurs.
fn count(hashes: &mut [u64]) -> (usize, usize) {
    // A table is quicker for the texts that there are; of the longest it would take more room than the text itself.
    const MOST_IN_TABLE: usize = 4096;
    if hashes.len() <= MOST_IN_TABLE { count_in_table(hashes) } else { count_sorted(hashes) }
}

fn count_sorted(hashes: &mut [u64]) -> (usize, usize) {
    hashes.sort_unstable();
    hashes.chunk_by(|a, b| a == b).fold((0, 0), |(distinct, most), run| (distinct + 1, most.max(run.len())))
}

fn count_in_table(hashes: &[u64]) -> (usize, usize) {
    // Open addressing, at most half full, so that a free slot is always near.
    let slots = (2 * hashes.len()).next_power_of_two();
    let mut table = vec![(0_u64, 0_u32); slots];
    let (mut distinct, mut most) = (0, 0);
    for &hash in hashes {
        let mut slot = hash as usize & (slots - 1);
        while table[slot].1 > 0 && table[slot].0 != hash {
            slot = (slot + 1) & (slots - 1);
        }
        distinct += usize::from(table[slot].1 == 0);
        table[slot] = (hash, table[slot].1 + 1);
        most = most.max(table[slot].1);
    }
    (distinct, most as usize)
}

/// The hash of a word in lower case; `buffer` is room to write it in.
fn lower_case_hash(word: &str, buffer: &mut Vec<u8>) -> u64 {
    if word.is_ascii() {
        if !word.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return xxh3_64(word.as_bytes());
        }
        buffer.clear();
        buffer.extend(word.bytes().map(|byte| byte.to_ascii_lowercase()));
        return xxh3_64(buffer);
    }
    let is_lower = |c: char| c.to_lowercase().eq([c]);
    if word.chars().all(is_lower) {
        return xxh3_64(word.as_bytes());
    }
    // The whole word, not letter by letter: a Σ at its end becomes ς.
    xxh3_64(word.to_lowercase().as_bytes())
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
        // 5 words are too few for the second rule, 6 are enough: 3 distinct of 6.
        close("a b a b a.", 1.0);
        close("One two three one two THREE", 0.7 * 0.75);
        // Punctuation belongs to the word: `three` and `three.` are two.
        close("one two three one two three.", 0.5 + 0.5 * (4.0 / 6.0));
        // `x` makes 3 of 10: not more than 10 words, so only the second rule.
        close("x x x b c d e f g h!", 0.5 + 0.5 * 0.8);
        // 4 of 11 is over 30 %.
        close("x x x X b c d e f g h!", (0.5 + 0.5 * (8.0 / 11.0)) * 0.5);
        // 6 of 20 is exactly 30 %.
        close("x x x x x x a b c d e f g h i j k l m n!", 0.5 + 0.5 * 0.75);
        // Two parts are too few for the last rule; three of 2, 1 and 1 words average under 3.
        close("one two. three four.", 1.0);
        close("one two. three. four.", 0.7);
        close("one two three. four five six. seven eight nine.", 1.0);
        // Blank parts do not count: these are two.
        close("one two... three four.", 1.0);
        // A full stop inside a word makes two: `3.14` is a part's last word and the next one's first.
        close("3.14 2.72 1.0", 0.7);
    }

    #[test]
    fn lower_case_is_unicodes() {
        let same = |a: &str, b: &str| {
            assert_eq!(lower_case_hash(a, &mut Vec::new()), lower_case_hash(b, &mut Vec::new()), "{a} {b}");
        };
        same("ÉTÉ", "été");
        same("ΟΔΟΣ", "οδος");
        same("ǅ", "ǆ");
        same("İ", "i\u{307}");
        same("HELLO", "hello");
    }

    #[test]
    fn long_texts_are_counted_alike() {
        let mut hashes: Vec<u64> = (0..5000_u64).map(|n| xxh3_64(&(n % 1234 % 777).to_le_bytes())).collect();
        assert_eq!(count_in_table(&hashes), count_sorted(&mut hashes));
        assert_eq!(count(&mut []), (0, 0));
        // Three words, each a third of all.
        close(&"one two three. ".repeat(2000), (0.5 + 0.5 * (3.0 / 6000.0)) * 0.5);
    }

    #[test]
    fn whitespace_is_unicodes() {
        for c in '\0'..=char::MAX {
            let expected = if c.is_whitespace() { c.len_utf8() } else { 0 };
            let text = c.to_string();
            assert_eq!(whitespace(text.as_bytes()), expected, "{c:?}");
            // Inside a character nothing begins that looks like whitespace.
            assert!((1..text.len()).all(|at| whitespace(&text.as_bytes()[at..]) == 0), "{c:?}");
        }
    }

    /// The formula again, as plainly as possible.
    fn naive(text: &str) -> f64 {
        if text.chars().count() < 10 {
            return 0.0;
        }
        let mut score = 1.0;
        if !text.contains(['.', '!', '?']) {
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
        fn stays_between_zero_and_one(text in "\\PC{0,80}|[a-b .]{0,200}") {
            let score = quality(&text);
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
            prop_assert_eq!(score, naive(&text));
        }
    }
}
