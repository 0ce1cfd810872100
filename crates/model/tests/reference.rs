//! Ids against release 0.23 of tokenizers, which is what Python has.

use datac_model::{EncodeError, Tokenizer, TokenizerFile};
use proptest::prelude::*;
use tokenizers_reference as reference;
use unicode_normalization::is_nfc;

const SAMPLE: &str = include_str!("../sample/tokenizer.json");

/// Patterns by which models split texts: those of Llama 3, Qwen2, o200k and GPT-2.
const PATTERNS: [&str; 4] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
];

/// The sample's tokenizer with another pattern, as both releases read it.
fn pair(pattern: &str) -> (TokenizerFile, reference::Tokenizer) {
    let mut file: serde_json::Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern.into();
    let file = file.to_string();
    let reference = file.parse().expect("the reference reads it");
    (TokenizerFile::read(&file).expect("it is supported"), reference)
}

fn ids(reference: &reference::Tokenizer, text: &str) -> Vec<u32> {
    reference.encode_fast(text, false).expect("the reference encodes it").get_ids().to_vec()
}

thread_local! {
    static PAIRS: Vec<(TokenizerFile, reference::Tokenizer)> = PATTERNS.iter().map(|pattern| pair(pattern)).collect();
}

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "\\PC{0,6}",
        "[a-zA-Z' ]{0,12}",
        "[0-9]{0,5}",
        "[ \t\r\n\u{a0}\u{3000}]{0,4}",
        prop::sample::select(vec![
            "<|end|>",
            "<|turn|>",
            "<|",
            "|>",
            "e\u{301}",
            "it's",
            "DON'T",
            "\u{0}",
            "🦀👩\u{200d}👧",
            "हिन्दी",
            "\u{212b}",
            "Ω",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn ids_are_those_of_the_reference(text in text()) {
        PAIRS.with(|pairs| {
            for (ours, reference) in pairs {
                let encoding = ours.encode_placed(&text);
                let expected = ids(reference, &text);
                match encoding {
                    Ok(encoding) => {
                        prop_assert_eq!(&encoding.ids, &expected);
                        prop_assert_eq!(encoding.bytes.len(), expected.len());
                        prop_assert_eq!(encoding.bytes.last().map_or(0, |bytes| bytes.end), text.len());
                    }
                    // By other tables of Unicode the text would be in another order.
                    Err(EncodeError::Newer { .. }) => {}
                    // Where tokens stand is refused, never wrong: a character behind a control token that composes with it.
                    Err(_) => prop_assert_eq!(ours.encode(&text).expect("it can be encoded"), expected),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn places_are_those_of_the_reference(text in text()) {
        PAIRS.with(|pairs| {
            let (ours, reference) = &pairs[0];
            let Ok(encoding) = ours.encode_placed(&text) else { return Ok(()) };
            let expected = reference.encode(text.as_str(), false).expect("the reference encodes it");
            for (bytes, (start, end)) in encoding.bytes.iter().zip(expected.get_offsets()) {
                // The reference names whole characters where a token has some of their bytes, and of composed characters the
                // first one alone.
                let fits = if is_nfc(&text) {
                    *start <= bytes.start && bytes.end <= *end
                } else {
                    *start < bytes.end && bytes.start < *end
                };
                prop_assert!(fits, "{:?} {:?} {:?}", text, bytes, (start, end));
            }
            Ok(())
        })?;
    }
}
