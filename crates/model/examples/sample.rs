//! Writes the tokenizer of the sample model: byte-level BPE, trained on a few words.
//!
//!     sample > crates/model/sample/tokenizer.json

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

/// What the merges are learnt from.
const TEXT: &str = "\
What is the weather in the north of the country today? The sun is shining and the wind is weak. Please answer the question \
in one sentence. The answer is that there are seven days in a week and twelve months in a year. How many apples are there if \
three children have two apples each? There are six apples. Can you write a short text about rivers and mountains? A river \
begins in the mountains and ends in the sea. Thank you, that was very helpful. You are welcome! Let me know if there is \
anything else. I would like to know how to count to ten. One, two, three, four, five, six, seven, eight, nine, ten. \
for item in list: print(item) def function(value): return value + 1 {\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}} \
system user assistant tool Question Answer Today is calling the function with these arguments and reading what it returns. \
Thinking about it step by step, we see that this is right. Wer hat das Wetter gesehen? Das Jahr hat zw\u{f6}lf Monate, f\u{fc}r \
jeden eine Zahl. Le temps est beau aujourd'hui, et l'\u{e9}t\u{e9} commence.";

/// How many merges there are.
const MERGES: usize = 160;

/// The control tokens, behind all others.
const SPECIAL: [&str; 7] = ["<|pad|>", "<|begin|>", "<|end|>", "<|turn|>", "<|think|>", "<|/think|>", "<|call|>"];

/// The pattern of GPT-2, which cuts a text into words.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

#[allow(dead_code, reason = "the test that holds the file to this has a `main` of its own")]
fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(tokenizer().as_bytes())
}

/// The character that stands for a byte: printable ones of Latin-1 for themselves, those from U+0100 on for the others.
fn character(byte: u8) -> char {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(&byte) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|before| !printable(before)).count();
    char::from_u32(0x100 + place as u32).expect("there are fewer than 256")
}

/// The text of the file.
pub(crate) fn tokenizer() -> String {
    // Words with the space before them, as the pattern cuts letters; what else there is stands alone.
    let mut words: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for word in TEXT.split_inclusive(' ').flat_map(|word| word.split_inclusive(|c: char| !c.is_alphabetic())) {
        let letters = word.trim_end_matches(|c: char| !c.is_alphabetic());
        if !letters.is_empty() {
            let spaced = format!(" {letters}");
            *words.entry(spaced.bytes().map(|byte| character(byte).to_string()).collect()).or_default() += 1;
        }
    }
    let mut merges: Vec<(String, String)> = Vec::new();
    while merges.len() < MERGES {
        let mut pairs: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (word, count) in &words {
            for pair in word.windows(2) {
                *pairs.entry((pair[0].clone(), pair[1].clone())).or_default() += count;
            }
        }
        // The most frequent pair; of several the first.
        let Some((pair, _)) = pairs.into_iter().rev().max_by_key(|(_, count)| *count) else { break };
        let merged = |word: Vec<String>| {
            let mut out: Vec<String> = Vec::with_capacity(word.len());
            for token in word {
                match out.last_mut() {
                    Some(last) if *last == pair.0 && token == pair.1 => last.push_str(&token),
                    _ => out.push(token),
                }
            }
            out
        };
        words = words.into_iter().map(|(word, count)| (merged(word), count)).collect();
        merges.push(pair);
    }
    let bytes: BTreeSet<String> = (0..=255).map(|byte| character(byte).to_string()).collect();
    let tokens: Vec<String> = bytes.into_iter().chain(merges.iter().map(|(a, b)| format!("{a}{b}"))).collect();
    let vocab: serde_json::Map<String, serde_json::Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
    let added = SPECIAL.iter().enumerate().map(|(place, text)| {
        serde_json::json!({
            "id": tokens.len() + place, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    });
    let level = serde_json::json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    });
    let split =
        serde_json::json!({"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": false});
    let file = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level.clone()]},
        "post_processor": null,
        "decoder": level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges,
        },
    });
    format!("{file}\n")
}
