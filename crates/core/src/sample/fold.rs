//! Text without case and without differences in white space, to tell whether two texts say the same.

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
    let ends_blank = |out: &Vec<u8>| out.len() == start || out.last() == Some(&b' ');
    while !rest.is_empty() {
        // Every prompt is folded: byte by byte, a tenth of the instructions of a cold build.
        while let Some(block) = rest.as_bytes().first_chunk()
            && is_plain(block, ends_blank(out))
        {
            let mut lower = *block;
            lower.make_ascii_lowercase();
            out.extend_from_slice(&lower);
            rest = &rest[BLOCK..];
        }
        // What is left of most texts is plain, too; zeros fill the block up.
        if rest.len() < BLOCK {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest.as_bytes());
            if is_plain(&block, ends_blank(out)) {
                block.make_ascii_lowercase();
                out.extend_from_slice(&block[..rest.len()]);
                break;
            }
        }
        let next = rest.char_indices().find(|(at, _)| *at >= BLOCK).map_or(rest.len(), |(at, _)| at);
        for character in rest[..next].chars() {
            if character.is_whitespace() {
                if !ends_blank(out) {
                    out.push(b' ');
                }
            } else if character.is_ascii() {
                out.push(character.to_ascii_lowercase() as u8);
            } else {
                let lower = character.to_lowercase();
                lower.for_each(|lower| out.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes()));
            }
        }
        rest = &rest[next..];
    }
    if out.len() > start && out.last() == Some(&b' ') {
        out.pop();
    }
}

/// Number of bytes that are looked at together.
const BLOCK: usize = 16;

/// Returns whether folding a block changes nothing but the case of ASCII letters. `after_blank`: it follows a blank, or nothing.
fn is_plain(block: &[u8; BLOCK], after_blank: bool) -> bool {
    let mut before = [if after_blank { b' ' } else { 0 }; BLOCK];
    before[1..].copy_from_slice(&block[..BLOCK - 1]);
    // Without branches, which SIMD has none of.
    let is_other = |(byte, before): (&u8, u8)| {
        !byte.is_ascii() | matches!(byte, b'\t'..=b'\r') | ((*byte == b' ') & (before == b' '))
    };
    !block.iter().zip(before).fold(false, |found, bytes| found | is_other(bytes))
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
        fn agrees_with_the_plain_rule(text in "([a-zA-Z0-9 .]{1,40}|[ \t\n]{1,3}|\\PC|\u{a0}|\u{2028}){0,12}") {
            let lower: String = text.chars().flat_map(char::to_lowercase).collect();
            let words: Vec<&str> = lower.split(char::is_whitespace).filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(folded(&text), words.join(" "));
        }
    }
}
