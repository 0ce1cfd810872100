//! What token ids stand for.

use std::collections::HashMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::TokenizerError;

/// The tokens of a tokenizer, as bytes.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// The texts of all tokens, one after the other.
    text: Vec<u8>,
    /// By id, where its text ends; ids without a token have the end of the id before, and are `missing`.
    ends: Vec<u32>,
    missing: Vec<u32>,
    added: Vec<AddedToken>,
    added_by_id: HashMap<u32, usize>,
    /// A bit for each id: whether it is an added token. Every token of every text is looked up here, and few are.
    is_added: Vec<u64>,
    /// For each byte, the places in `added` of the control tokens whose texts begin with it, by id.
    special_by_first: Vec<Vec<usize>>,
    pub(super) spelling: Spelling,
    pub(super) normal_form: NormalForm,
}

/// A token that is found in texts before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// Whether it is a control token, which decoders leave out.
    pub is_special: bool,
    /// Whether it takes the whitespace before it along.
    pub takes_left: bool,
    /// Whether it takes the whitespace behind it along.
    pub takes_right: bool,
}

/// How tokens are spelled in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As they are.
    #[default]
    Plain,
    /// A character stands for each byte.
    Bytes,
    /// `▁` stands for a space, `<0x0A>` for a byte; a space may stand before a text that has none.
    Words,
}

/// What a tokenizer does to a text first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NormalForm {
    /// Nothing, or what cannot be followed.
    #[default]
    None,
    /// It composes characters.
    Nfc,
}

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Option<Value>,
}

#[derive(Deserialize)]
struct Model {
    vocab: Vocab,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vocab {
    Ids(HashMap<String, u32>),
    Scored(Vec<(String, IgnoredAny)>),
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
}

/// No real vocabulary has more.
const MAX_ID: u32 = 1 << 24;

impl Vocabulary {
    /// Reads the tokens of a `tokenizer.json`.
    pub fn read(json: &str) -> Result<Self, TokenizerError> {
        let file: File = serde_json::from_str(json).map_err(TokenizerError::Invalid)?;
        let spelling = spelling(&file);
        let normal_form = match kinds(file.normalizer.as_ref()).as_slice() {
            [one] if one == "NFC" => NormalForm::Nfc,
            _ => NormalForm::None,
        };
        let mut tokens: Vec<(u32, Vec<u8>)> = match file.model.vocab {
            Vocab::Ids(ids) => ids.into_iter().map(|(token, id)| (id, spelling.bytes(token))).collect(),
            Vocab::Scored(list) => (0..).zip(list).map(|(id, (token, _))| (id, spelling.bytes(token))).collect(),
        };
        let added: Vec<AddedToken> = file.added_tokens.into_iter().map(AddedToken::from).collect();
        tokens.extend(added.iter().map(|token| (token.id, token.text.clone().into_bytes())));
        // The sort is stable: of two with one id the added token stays.
        tokens.sort_by_key(|(id, _)| *id);
        tokens.reverse();
        tokens.dedup_by_key(|(id, _)| *id);
        tokens.reverse();
        let mut vocabulary = Self { spelling, normal_form, ..Self::default() };
        for (id, token) in tokens {
            if id >= MAX_ID {
                return Err(TokenizerError::Unsupported(format!("the id {id} is too large")));
            }
            let end = u32::try_from(vocabulary.text.len());
            let end = end.map_err(|_| TokenizerError::Unsupported("its tokens are too long".to_owned()))?;
            while vocabulary.ends.len() < id as usize {
                vocabulary.missing.push(vocabulary.ends.len() as u32);
                vocabulary.ends.push(end);
            }
            vocabulary.text.extend_from_slice(&token);
            vocabulary.ends.push(end.saturating_add(token.len() as u32));
        }
        vocabulary.added_by_id = added.iter().enumerate().map(|(place, token)| (token.id, place)).collect();
        vocabulary.is_added = vec![0; vocabulary.size().div_ceil(64)];
        for token in &added {
            vocabulary.is_added[token.id as usize / 64] |= 1 << (token.id % 64);
        }
        vocabulary.special_by_first = vec![Vec::new(); 256];
        let mut special: Vec<usize> = (0..added.len()).filter(|place| added[*place].is_special).collect();
        special.sort_by_key(|place| added[*place].id);
        for place in special {
            if let Some(first) = added[place].text.bytes().next() {
                vocabulary.special_by_first[usize::from(first)].push(place);
            }
        }
        vocabulary.added = added;
        Ok(vocabulary)
    }

    /// Returns the bytes that an id stands for: those of an added token's text, whatever it takes along.
    pub fn bytes(&self, id: u32) -> Option<&[u8]> {
        let end = *self.ends.get(id as usize)? as usize;
        if self.missing.binary_search(&id).is_ok() {
            return None;
        }
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before as usize] as usize);
        self.text.get(start..end)
    }

    /// Returns the number of ids: one more than the highest.
    pub fn size(&self) -> usize {
        self.ends.len()
    }

    /// The tokens that are found in texts before anything else, in the file's order.
    pub fn added(&self) -> &[AddedToken] {
        &self.added
    }

    /// The control tokens.
    pub fn special(&self) -> impl Iterator<Item = &AddedToken> {
        self.added.iter().filter(|token| token.is_special)
    }

    /// Returns the added token of an id.
    pub fn added_token(&self, id: u32) -> Option<&AddedToken> {
        let bits = *self.is_added.get(id as usize / 64)?;
        if bits >> (id % 64) & 1 == 0 {
            return None;
        }
        self.added_by_id.get(&id).map(|place| &self.added[*place])
    }

    /// Returns the control tokens that stand in a text, such as the content of a message: it would be read as control tokens.
    /// Each is named once, in the order in which they first appear.
    pub fn special_in(&self, text: &str) -> Vec<&AddedToken> {
        let mut found: Vec<&AddedToken> = Vec::new();
        // Some models have hundreds of them, and few texts have what they begin with: each is looked for there alone.
        for (at, first) in text.bytes().enumerate() {
            let Some(places) = self.special_by_first.get(usize::from(first)) else { continue };
            for token in places.iter().map(|place| &self.added[*place]) {
                let is_here = text.as_bytes()[at..].starts_with(token.text.as_bytes());
                if is_here && !found.iter().any(|known| known.id == token.id) {
                    found.push(token);
                }
            }
        }
        found
    }
}

impl From<Added> for AddedToken {
    fn from(added: Added) -> Self {
        Self {
            id: added.id,
            text: added.content,
            is_special: added.special,
            takes_left: added.lstrip,
            takes_right: added.rstrip,
        }
    }
}

/// The types of a component and of all that it is made of.
fn kinds(component: Option<&Value>) -> Vec<String> {
    let Some(component) = component else { return Vec::new() };
    let parts = ["normalizers", "pretokenizers", "decoders"].into_iter().find_map(|key| component.get(key)?.as_array());
    match parts {
        Some(parts) => parts.iter().flat_map(|part| kinds(Some(part))).collect(),
        None => component.get("type").and_then(Value::as_str).map(str::to_owned).into_iter().collect(),
    }
}

fn spelling(file: &File) -> Spelling {
    let decoder = kinds(file.decoder.as_ref());
    let has = |kinds: &[String], kind: &str| kinds.iter().any(|known| known == kind);
    if has(&decoder, "ByteLevel") || has(&kinds(file.pre_tokenizer.as_ref()), "ByteLevel") {
        return Spelling::Bytes;
    }
    let replaces = |component: &Option<Value>| {
        component.as_ref().is_some_and(|component| component.to_string().contains('\u{2581}'))
    };
    if has(&decoder, "Metaspace") || (has(&decoder, "Replace") && replaces(&file.decoder)) {
        return Spelling::Words;
    }
    Spelling::Plain
}

impl Spelling {
    fn bytes(self, token: String) -> Vec<u8> {
        match self {
            Self::Plain => token.into_bytes(),
            Self::Bytes => {
                let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
                bytes.unwrap_or_else(|| token.into_bytes())
            }
            Self::Words => {
                let byte = token.strip_prefix("<0x").and_then(|hex| hex.strip_suffix('>'));
                match byte.filter(|hex| hex.len() == 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(byte) => vec![byte],
                    None => token.replace('\u{2581}', " ").into_bytes(),
                }
            }
        }
    }
}

/// Returns the byte that a character of a byte-level token stands for: GPT-2's table. Printable characters of Latin-1 stand for
/// themselves, those from U+0100 on for the other bytes in order.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut bytes: Vec<u8> = ('\0'..='\u{200}').filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(['Ġ', 'Ċ', 'Ń', 'a'].map(byte_of), [Some(b' '), Some(b'\n'), Some(0xad), Some(b'a')]);
    }

    #[test]
    fn tokens_are_bytes() {
        let file = r#"{"model": {"vocab": {"Ġa": 0, "Ã": 1, "x": 5}}, "decoder": {"type": "ByteLevel"},
            "added_tokens": [{"id": 3, "content": "<é>", "special": true}]}"#;
        let vocabulary = Vocabulary::read(file).expect("it is valid");
        let bytes: Vec<Option<&[u8]>> = (0..7).map(|id| vocabulary.bytes(id)).collect();
        assert_eq!(bytes, [Some(&b" a"[..]), Some(b"\xc3"), None, Some("<é>".as_bytes()), None, Some(b"x"), None]);
        assert_eq!(vocabulary.special_in("a <é> b <é>").len(), 1);
        let added: Vec<Option<u32>> = (0..200).map(|id| vocabulary.added_token(id).map(|token| token.id)).collect();
        assert_eq!(added.iter().flatten().collect::<Vec<_>>(), [&3]);
        assert_eq!(vocabulary.size(), 6);
    }

    #[test]
    fn control_tokens_are_found_in_the_order_in_which_they_stand() {
        let added = |id: u32, text: &str, special: bool| {
            format!(r#"{{"id": {id}, "content": "{text}", "special": {special}}}"#)
        };
        let added = [
            added(9, "<|a", true),
            added(4, "<|", true),
            added(5, "é", true),
            added(6, "b", false),
            added(130, "|a", true),
        ];
        let file = format!(r#"{{"model": {{"vocab": {{"x": 0}}}}, "added_tokens": [{}]}}"#, added.join(","));
        let vocabulary = Vocabulary::read(&file).expect("it is valid");
        for (text, ids) in
            [("b <|a> <| é", &[4, 9, 130, 5][..]), ("é|a<|", &[5, 130, 4]), ("< | \u{e0}b", &[]), ("", &[])]
        {
            let found: Vec<u32> = vocabulary.special_in(text).iter().map(|token| token.id).collect();
            assert_eq!(found, ids, "{text}");
        }
        assert!(Vocabulary::default().special_in("<|").is_empty());
    }

    #[test]
    fn what_is_no_tokenizer_is_an_error() {
        for file in ["", "{}", r#"{"model": {"vocab": {"a": 4294967295}}}"#] {
            assert!(Vocabulary::read(file).is_err());
        }
    }
}
