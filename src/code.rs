//! Digests of the project's own source, so that changed code is a changed cache key.
//!
//! `build.rs` hashes every file whose code decides bytes. A version raised by hand says what people mean to change;
//! these digests cover what they change without meaning to.

include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The digest of one source file: 16 hexadecimal digits. `file` is relative to `src/`, with `/` between parts.
pub(crate) fn hash_of(file: &str) -> &'static str {
    let found = SOURCES.iter().find(|(name, _)| *name == file).map(|(_, hash)| *hash);
    found.expect("`build.rs` lists every file asked for; the tests beside each registry ask for all of them")
}

/// One digest over the names and contents of every source file whose name begins with `prefix`.
pub(crate) fn hash_of_all(prefix: &str) -> String {
    let files: Vec<_> = SOURCES.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    // A misspelt prefix would otherwise give one constant digest, and stale artifacts for ever.
    assert!(!files.is_empty(), "`build.rs` lists no source file under `{prefix}`");
    combine(files.iter().flat_map(|(name, hash)| [*name, *hash]))
}

/// One digest over several parts, each preceded by its length: 16 hexadecimal digits.
pub(crate) fn combine<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_have_digests() {
        assert_eq!(hash_of("row.rs").len(), 16);
        assert_ne!(hash_of("row.rs"), hash_of("convert/mod.rs"));
        assert_eq!(hash_of_all("convert/").len(), 16);
        assert_ne!(hash_of_all("convert/"), hash_of_all("convert/mod.rs"));
    }

    #[test]
    #[should_panic(expected = "no source file under `convrt/`")]
    fn a_misspelt_prefix_is_not_a_digest() {
        hash_of_all("convrt/");
    }

    #[test]
    fn boundaries_between_parts_count() {
        assert_ne!(combine(["ab", "c"]), combine(["a", "bc"]));
    }
}
