//! Text without case and without differences in white space, to tell whether two texts say the same.

/// Lower case of ASCII; white space is a blank.
const LOWER: [u8; 128] = {
    let mut table = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        let lower = (byte as u8).to_ascii_lowercase();
        table[byte] = if matches!(lower, b'\t'..=b'\r' | b' ') { b' ' } else { lower };
        byte += 1;
    }
    table
};

/// Appends a text in lower case, with a blank for each run of white space and none at the ends.
///
/// Lower case and white space are Unicode's. Marks, punctuation and accents stay.
///
/// ```
/// let mut folded = Vec::new();
/// datac_core::sample::fold(" Name\tthis \nKNOT?\n", &mut folded);
/// assert_eq!(folded, b"name this knot?");
/// ```
pub fn fold(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(text.len() + 1);
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|byte| byte >= 128).unwrap_or(rest.len());
        fold_ascii(&rest.as_bytes()[..ascii], start, out);
        rest = &rest[ascii..];
        let other = rest.bytes().position(|byte| byte < 128).unwrap_or(rest.len());
        for character in rest[..other].chars() {
            if character.is_whitespace() {
                fold_ascii(b" ", start, out);
            } else {
                let mut bytes = [0; 4];
                character
                    .to_lowercase()
                    .for_each(|lower| out.extend_from_slice(lower.encode_utf8(&mut bytes).as_bytes()));
            }
        }
        rest = &rest[other..];
    }
    if out.len() > start && out.last() == Some(&b' ') {
        out.pop();
    }
}

/// Appends ASCII text that follows what has been appended from `start` on.
fn fold_ascii(text: &[u8], start: usize, out: &mut Vec<u8>) {
    let mut end = out.len();
    let mut is_blank = end == start || out[end - 1] == b' ';
    out.resize(end + text.len(), 0);
    // Each byte is written; a blank behind a blank is written over. Branches that depend on the text would cost more.
    for byte in text {
        let lower = LOWER[usize::from(*byte) & 127];
        out[end] = lower;
        let is_another = lower == b' ' && is_blank;
        is_blank = lower == b' ';
        end += usize::from(!is_another);
    }
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    fn folded(text: &str) -> String {
        let mut out = b"before ".to_vec();
        fold(text, &mut out);
        String::from_utf8(out.split_off(7)).unwrap()
    }

    #[test]
    fn case_and_white_space_do_not_count() {
        for text in ["name knot 1", "Name knot 1\n", "\u{a0}NAME\u{2003}\r\n knot\u{b}1 ", "name\u{85}knot 1"] {
            assert_eq!(folded(text), "name knot 1", "{text:?}");
        }
        assert_eq!(folded("ÄÖ Straße  ΣΑΣ"), "äö straße σασ");
        assert_eq!((folded(""), folded(" \n ")), (String::new(), String::new()));
        assert_ne!(folded("a b"), folded("ab"));
        assert_ne!(folded("a."), folded("a"));
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_rule(text in "([a-zA-Z \t\n]|\\PC|\u{a0}|\u{2028}){0,60}") {
            let lower: String = text.chars().flat_map(char::to_lowercase).collect();
            let words: Vec<&str> = lower.split(char::is_whitespace).filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(folded(&text), words.join(" "));
        }
    }
}
