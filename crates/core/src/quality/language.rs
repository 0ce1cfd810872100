//! The `language` scorer: the language of a text.

use std::sync::LazyLock;

use whatlang::{Lang, Script};

use super::{BoundSpec, Key, LanguageKeys, Score, Scorer, iso};

/// Version of the scorer, to be raised when the same text gives another score, for instance when [`MODEL`] changes.
const VERSION: u32 = 3;

/// Keeps texts in some languages.
pub(super) struct Detector;

impl Scorer for Detector {
    fn name(&self) -> &'static str {
        "language"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn explain(&self) -> &'static str {
        "keeps texts in some languages"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Language(LanguageKeys {
            languages: Key { name: "languages", about: "ISO 639-1 codes that are kept" },
            min_certainty: Key {
                name: "min_certainty",
                about: "how certain another language must be for a text to be dropped; less is unknown",
            },
            unknown: Key { name: "unknown", about: "what becomes of texts whose language is unknown" },
        })
    }

    fn score(&self, text: &str) -> Score {
        Score::Language(language(text))
    }
}

/// The crate with the model. A test compares this with Cargo.lock.
#[cfg_attr(not(test), expect(dead_code, reason = "its place in this file is its use"))]
const MODEL: (&str, &str) = ("whatlang", "0.18.0");

/// Minimum number of letters to detect a language, unless the script determines it.
const MIN_LETTERS: usize = 10;

/// Number of characters that are looked at.
const MAX_CHARACTERS: usize = 4096;

/// Words that are English and no common words of another language in Latin letters.
const ENGLISH: [&str; 30] = [
    "the",
    "and",
    "that",
    "with",
    "from",
    "into",
    "about",
    "what",
    "how",
    "which",
    "your",
    "you",
    "this",
    "these",
    "write",
    "explain",
    "rewrite",
    "suggest",
    "identify",
    "translate",
    "following",
    "should",
    "would",
    "create",
    "generate",
    "each",
    "some",
    "between",
    "their",
    "people",
];

/// Number of letters above which the model is right by itself.
const SHORT: usize = 200;

/// A language as a two-letter code (ISO 639-1) with the certainty of it, or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language {
    code: [u8; 2],
    /// From 0 to 100.
    certainty: u8,
}

impl Language {
    /// No language could be detected.
    pub const UNKNOWN: Self = Self { code: [0, 0], certainty: 0 };

    /// Returns the two-letter code; `None` if unknown.
    pub fn code(&self) -> Option<&str> {
        if *self == Self::UNKNOWN { None } else { std::str::from_utf8(&self.code).ok() }
    }

    /// Returns the certainty, from 0 to 1.
    pub fn certainty(&self) -> f64 {
        f64::from(self.certainty) / 100.0
    }

    /// Returns whether a language is written in a script that this one is written in too.
    pub fn shares_script_with(&self, code: &str) -> bool {
        let scripts = |code: &[u8]| SCRIPTS.iter().find(|(known, _)| known == code).map_or(0, |(_, scripts)| *scripts);
        scripts(&self.code) & scripts(code.as_bytes()) != 0
    }

    /// Returns whether this language is so near to another one that the model takes many texts in one for the other.
    pub fn is_near(&self, code: &str) -> bool {
        const NEAR: [[&[u8; 2]; 2]; 5] =
            [[b"af", b"nl"], [b"da", b"nb"], [b"cs", b"sk"], [b"hr", b"sl"], [b"id", b"jv"]];
        let pair = |[a, b]: [&[u8; 2]; 2]| {
            (*a == self.code && code.as_bytes() == b) || (*b == self.code && code.as_bytes() == a)
        };
        NEAR.into_iter().any(pair)
    }

    /// Returns the code as two lower-case letters and the certainty in percent, or three zero bytes if unknown.
    pub fn to_bytes(self) -> [u8; 3] {
        [self.code[0], self.code[1], self.certainty]
    }

    /// Returns the language that [`Language::to_bytes`] encoded; `None` for any other bytes.
    pub fn from_bytes(bytes: [u8; 3]) -> Option<Self> {
        let [first, second, certainty] = bytes;
        let is_valid = [first, second].iter().all(u8::is_ascii_lowercase) && certainty <= 100;
        (bytes == [0; 3] || is_valid).then_some(Self { code: [first, second], certainty })
    }
}

/// For each language of the model, the scripts it is written in, a bit each.
static SCRIPTS: LazyLock<Vec<([u8; 2], u32)>> = LazyLock::new(|| {
    let of = |lang: &Lang| {
        let scripts = (0..).zip(Script::all()).filter(|(_, script)| script.langs().contains(lang));
        (code_of(*lang), scripts.map(|(bit, _)| 1 << bit).sum())
    };
    Lang::all().iter().map(of).filter_map(|(code, scripts)| Some((code?, scripts))).collect()
});

/// Returns the language of a text, judged by its first 4,096 characters.
///
/// The language is unknown if the text has no letters, or fewer than 10 unless the script determines the language
/// (Greek, Thai, …). Otherwise it is the most likely of 70 languages, with the certainty of the model, which is low
/// for short texts and between similar languages. A text of up to 200 letters that the model takes for another language in Latin
/// letters is English if English words stand in it: with a certainty of 0.1 if it is one, and 0.5 if there are more. Codes are
/// ISO 639-1: Mandarin is `zh`, Persian `fa`, Bokmål `nb`.
pub fn language(text: &str) -> Language {
    let text = text.char_indices().nth(MAX_CHARACTERS).map_or(text, |(end, _)| &text[..end]);
    let found = whatlang::detect(text);
    let is_other = |found: &whatlang::Info| found.script() == Script::Latin && found.lang() != Lang::Eng;
    if found.as_ref().is_some_and(is_other) && has_enough_letters(text) {
        let words = english(text);
        if words > 0 {
            return Language { code: *b"en", certainty: if words > 1 { 50 } else { 10 } };
        }
    }
    match found {
        Some(found) if is_settled_by(found.script()) || has_enough_letters(text) => {
            let certainty = if is_settled_by(found.script()) { 1.0 } else { found.confidence() };
            let certainty = (100.0 * certainty.clamp(0.0, 1.0)).round() as u8;
            code_of(found.lang()).map_or(Language::UNKNOWN, |code| Language { code, certainty })
        }
        _ => Language::UNKNOWN,
    }
}

/// Returns how many English words a short text has. The model goes by the frequency of three letters in a row, of which a short
/// text has few: of 999 instructions in English it takes 96 for another language.
fn english(text: &str) -> usize {
    if text.chars().filter(|c| c.is_alphabetic()).nth(SHORT).is_some() {
        return 0;
    }
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| ENGLISH.iter().any(|english| word.eq_ignore_ascii_case(english))).count()
}

/// Returns whether only one language uses a script. Japanese is distinguished from Mandarin by its kana.
fn is_settled_by(script: Script) -> bool {
    script.langs().len() == 1
}

fn has_enough_letters(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).nth(MIN_LETTERS - 1).is_some()
}

fn code_of(lang: Lang) -> Option<[u8; 2]> {
    let code = match lang {
        // The two languages that ISO 639-1 only has as macrolanguages.
        Lang::Cmn => Some("zh"),
        Lang::Pes => Some("fa"),
        other => iso::by_long_code(other.code()).map(|language| language.code),
    };
    code?.as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> Option<String> {
        language(text).code().map(str::to_owned)
    }

    #[test]
    fn languages_are_told() {
        for (text, expected) in [
            ("Write a short letter to a friend who has moved to another city.", "en"),
            ("Schreibe einen kurzen Brief an eine Freundin, die umgezogen ist.", "de"),
            ("Écris une courte lettre à un ami qui a déménagé dans une autre ville.", "fr"),
            ("Напиши короткое письмо другу, который переехал в другой город.", "ru"),
            ("给搬到另一个城市的朋友写一封短信。", "zh"),
            ("別の町に引っ越した友だちに短い手紙を書いてください。", "ja"),
            ("به دوستی که به شهر دیگری رفته است نامه‌ای کوتاه بنویس.", "fa"),
            ("Γεια", "el"),
            ("你好", "zh"),
            ("はい", "ja"),
        ] {
            assert_eq!(code(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn near_languages_are_near_both_ways() {
        let of = |code: &[u8; 2]| Language { code: *code, certainty: 50 };
        assert!(of(b"af").is_near("nl") && of(b"nl").is_near("af") && of(b"nb").is_near("da"));
        assert!(!of(b"nl").is_near("nl") && !of(b"nl").is_near("de") && !of(b"cs").is_near("nl"));
    }

    #[test]
    fn what_cannot_be_told_is_unknown() {
        for text in ["", " \n", "12 + 30 = 42", "?!", "ok", "Yes.", "Да.", "a = 1; b = 2", "\u{1F600}"] {
            assert_eq!(language(text), Language::UNKNOWN, "{text:?}");
        }
        assert_eq!(Language::UNKNOWN.code(), None);
    }

    #[test]
    fn every_language_of_the_model_has_its_own_code() {
        let codes: BTreeSet<_> = Lang::all().iter().map(|&lang| code_of(lang)).collect();
        assert!(!codes.contains(&None));
        assert_eq!(codes.len(), Lang::all().len());
        assert_eq!(Lang::all().len(), 70, "the number in the documentation of `language`");
    }

    #[test]
    fn the_model_is_the_one_named_here() {
        let lock = include_str!("../../../../Cargo.lock");
        let (name, version) = MODEL;
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
        assert!(lock.contains(&entry), "`{name}` is not {version}: change `MODEL` and raise `VERSION`");
    }

    #[test]
    fn the_beginning_decides() {
        let text = "This is how the text begins, and so it goes on. ".repeat(100);
        assert_eq!(language(&format!("{text}{}", "Так он кончается. ".repeat(1000))).code(), Some("en"));
    }

    #[test]
    fn bytes_round_trip() {
        let english = Language::from_bytes([b'e', b'n', 73]).unwrap();
        assert_eq!((english.code(), english.certainty(), english.to_bytes()), (Some("en"), 0.73, [b'e', b'n', 73]));
        assert_eq!(Language::from_bytes(Language::UNKNOWN.to_bytes()), Some(Language::UNKNOWN));
        for bytes in [[b'E', b'N', 1], [b'e', 0, 1], [0, 0, 1], [b'e', b'n', 101]] {
            assert_eq!(Language::from_bytes(bytes), None);
        }
    }

    #[test]
    fn certainty_and_script_tell_short_texts_apart() {
        let short = language("Describe a memorable moment in your life.");
        assert!(short.certainty() < 0.2 && short.shares_script_with("en") && !short.shares_script_with("ru"));
        let russian = language("Почему небо голубое?");
        assert!(!russian.shares_script_with("en") && russian.shares_script_with("ru"));
        assert!(language("给搬到另一个城市的朋友写一封短信。").certainty() > 0.99);
        assert!(language("Schreibe einen kurzen Brief an eine Freundin, die umgezogen ist.").certainty() > 0.9);
        assert!(!Language::UNKNOWN.shares_script_with("en"));
    }

    #[test]
    fn words_tell_that_a_short_text_is_english() {
        for (text, expected, certainty) in [
            ("Translate 'good morning' into Spanish.", "en", 0.5),
            ("Write a poem about drug addictions.", "en", 0.5),
            ("Describe a memorable moment in your life.", "en", 0.1),
            ("Explică de ce cerul este albastru.", "ro", 1.0),
            ("Schreibe einen kurzen Brief an eine Freundin, die umgezogen ist.", "de", 1.0),
        ] {
            let found = language(text);
            assert_eq!((found.code(), found.certainty()), (Some(expected), certainty), "{text}");
        }
        let long = "Scrie o scrisoare scurtă unui prieten care s-a mutat în alt oraș, numit the end. ".repeat(4);
        assert_eq!(language(&long).code(), Some("ro"), "the model knows long texts");
    }

    proptest! {
        #[test]
        fn any_text_has_one_answer(text in "\\PC{0,60}") {
            let found = language(&text);
            prop_assert_eq!(found, language(&text));
            prop_assert_eq!(Language::from_bytes(found.to_bytes()), Some(found));
        }
    }
}
