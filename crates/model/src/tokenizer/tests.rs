//! Small tokenizers of each spelling.

use super::*;

/// A tokenizer that has one token for each byte of ASCII, and ids given.
struct Fixed {
    vocabulary: Vocabulary,
    ids: Vec<u32>,
}

impl Tokenizer for Fixed {
    fn encode_into(&self, _: &str, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        ids.extend_from_slice(&self.ids);
        Ok(())
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}

/// The pieces of a text that ids stand for.
fn pieces<'t>(file: &str, text: &'t str, ids: &[u32]) -> Result<Vec<&'t [u8]>, EncodeError> {
    let tokenizer = Fixed { vocabulary: Vocabulary::read(file).expect("it is valid"), ids: ids.to_vec() };
    let encoding = tokenizer.encode_placed(text)?;
    Ok(encoding.bytes.into_iter().map(|bytes| &text.as_bytes()[bytes]).collect())
}

#[test]
fn bytes_of_characters_are_told_apart() {
    let file = r#"{"model": {"vocab": {"Ã": 0, "©": 1, "Ġa": 2, "b": 3}}, "decoder": {"type": "ByteLevel"}}"#;
    let found = pieces(file, "é ab", &[0, 1, 2, 3]).expect("it fits");
    assert_eq!(found, [&b"\xc3"[..], b"\xa9", b" a", b"b"]);
    assert!(matches!(pieces(file, "é ab", &[0, 1, 2]), Err(EncodeError::Elsewhere { at: 4 })));
    assert!(matches!(pieces(file, "é ab", &[0, 1, 3]), Err(EncodeError::Elsewhere { at: 2 })));
    assert!(matches!(pieces(file, "é", &[9]), Err(EncodeError::Unknown(9))));
    assert!(pieces(file, "", &[]).expect("it fits").is_empty());
}

#[test]
fn words_may_have_a_space_before_them() {
    let file = r#"{"model": {"vocab": {"▁a": 0, "b": 1, "▁": 2, "<0xC3>": 3, "<0xA9>": 4}},
        "added_tokens": [{"id": 9, "content": "<s>", "special": true}],
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}]}}"#;
    assert_eq!(pieces(file, "ab a", &[0, 1, 0]).expect("it fits"), [&b"a"[..], b"b", b" a"]);
    assert_eq!(pieces(file, " ab", &[2, 0, 1]).expect("it fits"), [&b""[..], b" a", b"b"]);
    assert_eq!(pieces(file, "<s>aé", &[9, 0, 3, 4]).expect("it fits"), [&b"<s>"[..], b"a", b"\xc3", b"\xa9"]);
    // The character that stands for a space may stand in the text.
    assert_eq!(pieces(file, "b▁a", &[1, 0]).expect("it fits"), [&b"b"[..], "▁a".as_bytes()]);
    assert!(pieces(file, "b-a", &[1, 0]).is_err());
}

#[test]
fn added_tokens_take_spaces_along() {
    let file = r#"{"model": {"vocab": {"a": 0}}, "added_tokens": [
        {"id": 1, "content": "<l>", "lstrip": true}, {"id": 2, "content": "<r>", "rstrip": true}]}"#;
    assert_eq!(
        pieces(file, "a  <l>a<r> \na", &[0, 1, 0, 2, 0]).expect("it fits"),
        [&b"a"[..], b"  <l>", b"a", b"<r> \n", b"a"]
    );
}

#[test]
fn composed_characters_are_followed() {
    let file = r#"{"model": {"vocab": {"Ã": 0, "©": 1, "a": 2}}, "decoder": {"type": "ByteLevel"}, "normalizer": {"type": "NFC"}}"#;
    assert_eq!(
        pieces(file, "ae\u{301}a", &[2, 0, 1, 2]).expect("it fits"),
        [b"a", "e\u{301}".as_bytes(), "e\u{301}".as_bytes(), b"a"]
    );
    let other = file.replace("NFC", "NFKC");
    assert!(pieces(&other, "ae\u{301}a", &[2, 0, 1, 2]).is_err());
}

#[test]
fn any_overlap_counts() {
    let encoding = Encoding { ids: vec![0; 4], bytes: vec![0..2, 2..3, 3..3, 3..6] };
    let tokens = |bytes: Range<usize>| encoding.tokens(&bytes);
    assert_eq!(
        [tokens(0..2), tokens(1..3), tokens(2..3), tokens(3..4), tokens(0..6), tokens(5..6)],
        [0..1, 0..2, 1..2, 3..4, 0..4, 3..4]
    );
}

#[test]
fn tokenizers_that_are_not_supported_say_why() {
    let error = TokenizerFile::read(r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#);
    assert!(matches!(error, Err(TokenizerError::Unsupported(_))), "{error:?}");
    assert!(matches!(TokenizerFile::read("{}"), Err(TokenizerError::Invalid(_))));
}
