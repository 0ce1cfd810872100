//! Characters whose normal form Python's tokenizers do not know.
//!
//! `tokenizers` 0.23 brings texts into NFC by the tables of Unicode 9, and the release that datac encodes with by those of Unicode 17.
//! A mark that came between is put in order by one of them alone, so a text that is not in NFC and has one would get other ids.

use unicode_normalization::is_nfc;

/// Characters whose combining class or canonical decomposition is not that of Unicode 9, as ranges in order, and what such
/// decompositions begin with. `tests/reference.rs` compares them with the tables.
#[rustfmt::skip]
const NEWER: [(u32, u32); 65] = [
    (0x7fd, 0x7fd), (0x897, 0x89f), (0x8ca, 0x8d3), (0x9fe, 0x9fe), (0xc3c, 0xc3c), (0xd3b, 0xd3c), (0xeba, 0xeba), (0x1715, 0x1715),
    (0x1abf, 0x1add), (0x1ae0, 0x1aeb), (0x1df6, 0x1dfa), (0xa82c, 0xa82c), (0x105c9, 0x105c9), (0x105d2, 0x105d2), (0x105da, 0x105da),
    (0x105e4, 0x105e4), (0x10d24, 0x10d27), (0x10d69, 0x10d6d), (0x10eab, 0x10eac), (0x10efa, 0x10efb), (0x10efd, 0x10eff),
    (0x10f46, 0x10f50), (0x10f82, 0x10f85), (0x11070, 0x11070), (0x1133b, 0x1133b), (0x11382, 0x11385), (0x1138b, 0x1138b),
    (0x1138e, 0x1138e), (0x11390, 0x11391), (0x113b8, 0x113b8), (0x113bb, 0x113bb), (0x113c2, 0x113c2), (0x113c5, 0x113c5),
    (0x113c7, 0x113c9), (0x113ce, 0x113d0), (0x1145e, 0x1145e), (0x11839, 0x1183a), (0x11930, 0x11930), (0x11935, 0x11935),
    (0x11938, 0x11938), (0x1193d, 0x1193e), (0x11943, 0x11943), (0x119e0, 0x119e0), (0x11a34, 0x11a34), (0x11a47, 0x11a47),
    (0x11a99, 0x11a99), (0x11d42, 0x11d42), (0x11d44, 0x11d45), (0x11d97, 0x11d97), (0x11f41, 0x11f42), (0x1611e, 0x16129),
    (0x1612f, 0x1612f), (0x16d63, 0x16d63), (0x16d67, 0x16d6a), (0x16ff0, 0x16ff1), (0x1e08f, 0x1e08f), (0x1e130, 0x1e136),
    (0x1e2ae, 0x1e2ae), (0x1e2ec, 0x1e2ef), (0x1e4ec, 0x1e4ef), (0x1e5ee, 0x1e5ef), (0x1e6e3, 0x1e6e3), (0x1e6e6, 0x1e6e6),
    (0x1e6ee, 0x1e6ef), (0x1e6f5, 0x1e6f5),
];

/// Returns the first character of a text because of which its normal form is not that of Python's tokenizers, and where it stands.
pub(super) fn first_in(text: &str) -> Option<(usize, char)> {
    if text.is_ascii() || is_nfc(text) {
        return None;
    }
    text.char_indices().find(|(_, c)| is_newer(*c))
}

fn is_newer(c: char) -> bool {
    let behind = NEWER.partition_point(|(first, _)| *first <= c as u32);
    behind > 0 && c as u32 <= NEWER[behind - 1].1
}

#[cfg(test)]
mod tests {
    use unicode_normalization::char::{canonical_combining_class, decompose_canonical};
    use unicode_normalization_alignments::char as older;

    use super::*;

    #[test]
    fn newer_characters_are_those_that_unicode_9_orders_otherwise() {
        let parts = |c: char| {
            let (mut new, mut old) = (Vec::new(), Vec::new());
            decompose_canonical(c, |part| new.push(part));
            older::decompose_canonical(c, |part| old.push(part));
            (new, old)
        };
        let mut begin = std::collections::HashSet::new();
        for c in '\0'..=char::MAX {
            let (new, old) = parts(c);
            let differs = new != old || canonical_combining_class(c) != older::canonical_combining_class(c);
            assert!(!differs || is_newer(c), "{c:?} {:#x}", c as u32);
            if new != old {
                begin.extend(new);
            }
            // None is refused without a reason; those that such a decomposition has stand before it or behind.
            let is_part =
                || ('\0'..=char::MAX).any(|whole| parts(whole).0.contains(&c) && parts(whole).0 != parts(whole).1);
            assert!(!is_newer(c) || differs || is_part(), "{c:?} {:#x}", c as u32);
        }
        // A decomposition that is new begins with what is new.
        assert!(begin.iter().filter(|c| !is_newer(**c)).all(|c| *c == '\u{307}'), "{begin:?}");
    }

    #[test]
    fn a_text_in_its_normal_form_is_of_no_concern() {
        assert_eq!(first_in("\u{1e130}\u{bcd}"), Some((0, '\u{1e130}')));
        assert_eq!(first_in("e\u{301}\u{1e130}"), Some((3, '\u{1e130}')));
        assert_eq!(first_in("\u{bcd}\u{1e130} é"), None);
        assert_eq!(first_in("e\u{301}"), None);
    }
}
