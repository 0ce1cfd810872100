//! How long a text is.

/// Raised by hand whenever the same text yields another score.
pub(super) const VERSION: u32 = 1;

/// The number of characters (Unicode scalar values, as Python's `len` counts them).
pub fn length(text: &str) -> u64 {
    text.chars().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_scalar_values() {
        assert_eq!(length(""), 0);
        assert_eq!(length("aé“\u{1F600}\n"), 5);
        assert_eq!(length("e\u{301}"), 2, "a combining accent counts");
    }
}
