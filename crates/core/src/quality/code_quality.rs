//! The `code_quality` scorer: how much a text looks like a program.

use super::{BoundSpec, Ends, Key, Score, Scorer};

/// Keeps texts that hold code.
pub(super) struct CodeQuality;

impl Scorer for CodeQuality {
    fn name(&self) -> &'static str {
        "code_quality"
    }

    fn version(&self) -> u32 {
        1
    }

    fn explain(&self) -> &'static str {
        "keeps texts that hold code"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Fraction(Ends {
            min: Some(Key { name: "min_code_ratio", about: "the score of code, at least" }),
            max: None,
        })
    }

    fn score(&self, text: &str) -> Score {
        Score::Fraction(code_quality(text))
    }
}

/// Words that are far more frequent in programs than in prose, in the case in which they are written.
///
/// `for`, `if`, `while`, `let`, `case` and the like are left out on purpose: two of them in a letter would give it
/// the whole of this part of the score.
const KEYWORDS: [&str; 32] = [
    "def", "class", "import", "return", "function", "const", "var", "elif", "fn", "func", "struct", "enum", "impl",
    "void", "int", "lambda", "async", "await", "print", "printf", "println", "console", "null", "None", "True",
    "False", "self", "SELECT", "FROM", "WHERE", "INSERT", "endif",
];

/// Pairs of symbols that prose does not use.
const SYMBOL_PAIRS: [[u8; 2]; 14] =
    [*b"()", *b"[]", *b"{}", *b"->", *b"=>", *b"==", *b"!=", *b"<=", *b">=", *b"&&", *b"||", *b"::", *b"+=", *b"-="];

/// Returns how much a text looks like code, in [0, 1].
///
/// Zero if the text has fewer than 10 characters. Otherwise the sum of
///
/// - 0.3 × the share of lines that begin with four spaces or a tab, where empty lines count as lines;
/// - min(0.3, keywords / 5), where each keyword of a fixed list counts once if it occurs as a whole word;
/// - min(0.2, 100 × symbol pairs / characters), where pairs such as `()`, `{}`, `->`, `==`, `::` are found from left
///   to right without overlap;
/// - min(0.2, 50 × semicolons and round brackets / characters).
///
/// A word is a run of ASCII letters, digits and underscores.
pub fn code_quality(text: &str) -> f64 {
    let characters = text.chars().count();
    if characters < 10 {
        return 0.0;
    }
    let (mut lines, mut indented) = (0_usize, 0_usize);
    for line in text.lines() {
        lines += 1;
        indented += usize::from(line.starts_with('\t') || line.starts_with("    "));
    }
    let Signs { keywords, pairs, punctuation } = Signs::of(text.as_bytes());
    let per_character = |count: usize| count as f64 / characters as f64;
    let score = 0.3 * (indented as f64 / lines as f64)
        + (f64::from(keywords) / 5.0).min(0.3)
        + (100.0 * per_character(pairs)).min(0.2)
        + (50.0 * per_character(punctuation)).min(0.2);
    score.min(1.0)
}

/// Counts from one pass over a text.
struct Signs {
    keywords: u32,
    pairs: usize,
    punctuation: usize,
}

impl Signs {
    fn of(bytes: &[u8]) -> Self {
        let (mut seen, mut pairs, mut punctuation) = (0_u32, 0, 0);
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match CLASS[byte as usize] {
                Class::Other => {}
                Class::Word => {
                    let start = at - 1;
                    while bytes.get(at).is_some_and(|&byte| CLASS[byte as usize] == Class::Word) {
                        at += 1;
                    }
                    seen |= keyword_bit(&bytes[start..at]);
                }
                Class::Symbol => {
                    punctuation += usize::from(is_punctuation(byte));
                    let second = bytes.get(at).copied().filter(|&second| SYMBOL_PAIRS.contains(&[byte, second]));
                    if let Some(second) = second {
                        pairs += 1;
                        punctuation += usize::from(is_punctuation(second));
                        at += 1;
                    }
                }
            }
        }
        Self { keywords: seen.count_ones(), pairs, punctuation }
    }
}

/// What a byte may begin.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    /// A word.
    Word,
    /// A pair of symbols, or counted punctuation.
    Symbol,
    /// Neither.
    Other,
}

/// A table, because every byte of a source is looked up.
const CLASS: [Class; 256] = {
    let mut table = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_' {
            table[byte] = Class::Word;
        }
        byte += 1;
    }
    let mut pair = 0;
    while pair < SYMBOL_PAIRS.len() {
        table[SYMBOL_PAIRS[pair][0] as usize] = Class::Symbol;
        pair += 1;
    }
    table[b';' as usize] = Class::Symbol;
    table[b')' as usize] = Class::Symbol;
    table
};

fn is_punctuation(byte: u8) -> bool {
    matches!(byte, b';' | b'(' | b')')
}

fn keyword_bit(word: &[u8]) -> u32 {
    // First letter and length rule out nearly every word that is not a keyword.
    let may_be = word.len() <= 8 && KEYWORD_STARTS[word[0] as usize] & (1 << word.len()) != 0;
    if !may_be {
        return 0;
    }
    KEYWORDS.iter().position(|keyword| keyword.as_bytes() == word).map_or(0, |at| 1 << at)
}

/// Lengths of the keywords that begin with each byte, as bits.
const KEYWORD_STARTS: [u16; 256] = {
    let mut lengths = [0; 256];
    let mut at = 0;
    while at < KEYWORDS.len() {
        let keyword = KEYWORDS[at].as_bytes();
        assert!(keyword.len() <= 8, "`keyword_bit` looks at words of up to 8 letters");
        lengths[keyword[0] as usize] |= 1 << keyword.len();
        at += 1;
    }
    lengths
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(text: &str, expected: f64) {
        let score = code_quality(text);
        assert!((score - expected).abs() < 1e-12, "{text:?}: {score} is not {expected}");
    }

    #[test]
    fn scores_worked_by_hand() {
        close("", 0.0);
        close("f(x); g();", 0.2 + 0.2);
        close("f(x);g();", 0.0);
        close("Plain words of a letter, no more.", 0.0);
        // One keyword gives 1 / 5; two are limited to 0.3.
        close("return to sender", 0.2);
        close("return null and void", 0.3);
        close("return return return", 0.2);
        close("returned returns _return Return", 0.0);
        // Half of the lines are indented: a tab and four spaces count, three spaces do not.
        close("aaaaaaaaa\n\tbbb", 0.15);
        close("aaaaaaaaa\n    bbb\n   ccc\n", 0.1);
        close("aaaaaaaaa\n\n\tbbb\n", 0.1);
        // One pair and one semicolon in 1000 characters.
        close(&format!("{}->", "a".repeat(998)), 0.1);
        close(&format!("{};", "a".repeat(999)), 0.05);
        // All four parts at their maximum.
        close("    def f(): return {}\n    x = []; y == z()", 1.0);
    }

    #[test]
    fn pairs_do_not_overlap() {
        let pairs = |text: &str| Signs::of(text.as_bytes()).pairs;
        assert_eq!(pairs("==="), 1);
        assert_eq!(pairs("===="), 2);
        assert_eq!(pairs("->=>"), 2);
        assert_eq!(pairs("( )"), 0);
        assert_eq!(pairs("f()[]{}"), 3);
        assert_eq!(pairs("é::é"), 1);
    }

    #[test]
    fn every_keyword_and_pair_can_be_found() {
        for keyword in KEYWORDS {
            assert_eq!(Signs::of(format!("x {keyword}.").as_bytes()).keywords, 1, "{keyword}");
        }
        for pair in SYMBOL_PAIRS {
            assert_eq!(Signs::of(&pair).pairs, 1, "{pair:?}");
        }
    }

    /// The formula again, written as plainly as possible.
    fn naive(text: &str) -> f64 {
        let characters = text.chars().count() as f64;
        if characters < 10.0 {
            return 0.0;
        }
        let lines: Vec<&str> = text.lines().collect();
        let indented = lines.iter().filter(|line| line.starts_with("    ") || line.starts_with('\t')).count();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words: Vec<&str> = text.split(|c| !is_word(c)).collect();
        let keywords = KEYWORDS.iter().filter(|keyword| words.contains(keyword)).count();
        let mut pairs = 0;
        let mut chars: Vec<char> = text.chars().rev().collect();
        while let Some(first) = chars.pop() {
            let second = chars.last().copied().unwrap_or(' ');
            if SYMBOL_PAIRS.iter().any(|&[a, b]| (char::from(a), char::from(b)) == (first, second)) {
                pairs += 1;
                chars.pop();
            }
        }
        let punctuation = text.matches([';', '(', ')']).count();
        let sum = 0.3 * (indented as f64 / lines.len() as f64)
            + f64::min(0.3, keywords as f64 / 5.0)
            + f64::min(0.2, 100.0 * (f64::from(pairs) / characters))
            + f64::min(0.2, 50.0 * (punctuation as f64 / characters));
        sum.min(1.0)
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_formula(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "def", "return", "SELECT", "returned", "(", ")", ";", "{", "}", "=", "-", ">", ":", "\n", "    ",
                    "\t", " ", "word words and more words ", "é", "\r\n", "_", "!", "&&",
                ]),
                0..60,
            ),
        ) {
            let text = pieces.concat();
            prop_assert_eq!(code_quality(&text), naive(&text));
        }

        #[test]
        fn stays_between_zero_and_one(text in "\\PC{0,80}|[\n\t a;(){}=]{0,80}") {
            let score = code_quality(&text);
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
            prop_assert_eq!(score, naive(&text));
        }
    }
}
