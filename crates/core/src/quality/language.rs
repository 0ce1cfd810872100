//! The `language` scorer: the language of a text.

use whatlang::{Lang, Script};

use super::{BoundSpec, Key, Score, Scorer, iso};

/// Version of the scorer, to be raised when the same text gives another score, for instance when [`MODEL`] changes.
const VERSION: u32 = 1;

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
        BoundSpec::Language(Key { name: "languages", about: "ISO 639-1 codes that are kept" })
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

/// A language as a two-letter code (ISO 639-1), or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language([u8; 2]);

impl Language {
    /// No language could be detected.
    pub const UNKNOWN: Self = Self([0, 0]);

    /// Returns the two-letter code; `None` if unknown.
    pub fn code(&self) -> Option<&str> {
        if *self == Self::UNKNOWN { None } else { std::str::from_utf8(&self.0).ok() }
    }

    /// Returns the code as two lower-case letters, or as two zero bytes if unknown.
    pub fn to_bytes(self) -> [u8; 2] {
        self.0
    }

    /// Returns the language that [`Language::to_bytes`] encoded; `None` for any other bytes.
    pub fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        let is_valid = bytes == [0, 0] || bytes.iter().all(u8::is_ascii_lowercase);
        is_valid.then_some(Self(bytes))
    }
}

/// Returns the language of a text, judged by its first 4,096 characters.
///
/// The language is unknown if the text has no letters, or fewer than 10 unless the script determines the language
/// (Greek, Thai, …). Otherwise it is the most likely of 70 languages, even if that is uncertain: rejecting all
/// uncertain texts would lose more good rows than wrong guesses do. Codes are ISO 639-1: Mandarin is `zh`, Persian
/// `fa`, Bokmål `nb`.
pub fn language(text: &str) -> Language {
    let text = text.char_indices().nth(MAX_CHARACTERS).map_or(text, |(end, _)| &text[..end]);
    match whatlang::detect(text) {
        Some(found) if is_settled_by(found.script()) || has_enough_letters(text) => code_of(found.lang()),
        _ => Language::UNKNOWN,
    }
}

/// Returns whether only one language uses a script. Japanese is distinguished from Mandarin by its kana.
fn is_settled_by(script: Script) -> bool {
    script.langs().len() == 1
}

fn has_enough_letters(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).nth(MIN_LETTERS - 1).is_some()
}

fn code_of(lang: Lang) -> Language {
    let code = match lang {
        // The two languages that ISO 639-1 only has as macrolanguages.
        Lang::Cmn => Some("zh"),
        Lang::Pes => Some("fa"),
        other => iso::by_long_code(other.code()).map(|language| language.code),
    };
    code.and_then(|code| code.as_bytes().try_into().ok()).map_or(Language::UNKNOWN, Language)
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
    fn what_cannot_be_told_is_unknown() {
        for text in ["", " \n", "12 + 30 = 42", "?!", "ok", "Yes.", "Да.", "a = 1; b = 2", "\u{1F600}"] {
            assert_eq!(language(text), Language::UNKNOWN, "{text:?}");
        }
        assert_eq!(Language::UNKNOWN.code(), None);
    }

    #[test]
    fn every_language_of_the_model_has_its_own_code() {
        let codes: BTreeSet<_> = Lang::all().iter().map(|&lang| code_of(lang)).collect();
        assert!(!codes.contains(&Language::UNKNOWN));
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
        assert_eq!(Language::from_bytes(*b"en").and_then(|l| l.code().map(str::to_owned)).as_deref(), Some("en"));
        assert_eq!(Language::from_bytes(Language::UNKNOWN.to_bytes()), Some(Language::UNKNOWN));
        for bytes in [*b"EN", [b'e', 0], [0xC3, 0xA9]] {
            assert_eq!(Language::from_bytes(bytes), None);
        }
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
