//! The document of a release: lines of text that a person can read, signed as the results in a shared cache are.
//!
//! ```text
//! datac-release/1
//! { …JSON… }
//! ed25519:<public key> <signature>
//! ```
//!
//! The signature covers the first line, which states the format, and the BLAKE3 of the JSON. The JSON names the release, so that a
//! document cannot be passed off as that of another one.

use std::collections::BTreeSet;

use super::{Release, ReleaseError, ReleaseName};
use crate::remote::keys::{PrivateKey, PublicKey};
use datac_core::hash::Digest;

/// The first line.
const HEAD: &str = "datac-release/1\n";

/// What the first line of every version begins with.
const ANY_HEAD: &str = "datac-release/";

/// A release with the key that signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedRelease {
    pub(crate) release: Release,
    pub(crate) key: PublicKey,
}

/// Encodes and signs a release.
pub(super) fn encode(release: &Release, key: &PrivateKey) -> Vec<u8> {
    let body = serde_json::to_string_pretty(release).expect("a release is plain data");
    let signature = key.sign(&message(body.as_bytes()));
    let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HEAD}{body}\n{} {digits}\n", key.public()).into_bytes()
}

/// Decodes the document that is to be the one of `name`, if a trusted key has signed it and nothing in it leads elsewhere.
pub(crate) fn decode(
    document: &[u8],
    name: &ReleaseName,
    is_trusted: impl Fn(&PublicKey) -> bool,
) -> Result<SignedRelease, ReleaseError> {
    let unsigned = || ReleaseError::Unsigned(name.clone());
    let text = std::str::from_utf8(document).map_err(|_| unsigned())?;
    let Some(rest) = text.strip_prefix(HEAD) else {
        let is_other = text.strip_prefix(ANY_HEAD).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        return Err(if is_other { ReleaseError::Unknown(name.clone()) } else { unsigned() });
    };
    let (body, last) = rest.strip_suffix('\n').and_then(|rest| rest.rsplit_once('\n')).ok_or_else(unsigned)?;
    let (key, signature) = last.split_once(' ').ok_or_else(unsigned)?;
    let key = PublicKey::parse(key).ok_or_else(unsigned)?;
    if !is_trusted(&key) {
        return Err(ReleaseError::Untrusted { name: name.clone(), key });
    }
    let signature = signature.split_at_checked(64).ok_or_else(unsigned)?;
    let half = |digits| Digest::from_hex(digits).ok_or_else(unsigned);
    let signature = [*half(signature.0)?.as_bytes(), *half(signature.1)?.as_bytes()].concat();
    if !key.has_signed(&message(body.as_bytes()), &signature) {
        return Err(unsigned());
    }
    let release: Release = serde_json::from_str(body).map_err(|_| ReleaseError::Unknown(name.clone()))?;
    if (release.name.as_str(), release.version.as_str()) != (name.name(), name.version()) {
        let of = format!("{}@{}", release.name.escape_debug(), release.version.escape_debug());
        return Err(ReleaseError::Misplaced { name: name.clone(), of });
    }
    check_paths(&release, name)?;
    Ok(SignedRelease { release, key })
}

fn message(body: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), Digest::of(body).as_bytes()].concat()
}

/// Fails if a file of a release is not one below a folder, or in the place of another one: a signature says who made the release, not
/// that it may write anywhere.
pub(crate) fn check_paths(release: &Release, name: &ReleaseName) -> Result<(), ReleaseError> {
    let mut files = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for file in release.files() {
        let bad = |reason| Err(ReleaseError::BadPath { name: name.clone(), path: file.path.clone(), reason });
        if let Some(reason) = fault_of(&file.path) {
            return bad(reason);
        }
        if !files.insert(file.path.as_str()) {
            return bad("which it has twice");
        }
        folders.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
    }
    match files.intersection(&folders).next() {
        Some(path) => Err(ReleaseError::BadPath {
            name: name.clone(),
            path: (*path).to_owned(),
            reason: "which is a folder of others",
        }),
        None => Ok(()),
    }
}

/// Returns why a path is not one of an output; `None` if it is.
pub(in crate::remote) fn fault_of(path: &str) -> Option<&'static str> {
    const LONGEST: usize = 255;
    let is_bad = |part: &str| part.is_empty() || part.len() > LONGEST;
    if path.chars().any(|c| c.is_control() || c == '\\') {
        Some("which has characters that no output has in its name")
    } else if path.split('/').any(|part| part.starts_with('.')) {
        // This is `..` too, and what programs look for, such as `.git`.
        Some("which is hidden or outside of the folder")
    } else if path.split('/').any(is_bad) {
        Some("which is not a file below a folder")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::release::{ReleasedFile, Stored, tests::release_of};
    use datac_core::id::FileHash;

    fn stored(bytes: &[u8]) -> Stored {
        Stored { bytes: bytes.len() as u64, blake3: FileHash::of(bytes), pieces: None }
    }

    fn release(paths: &[&str]) -> Release {
        let file = |path: &&str| ReleasedFile { path: (*path).to_owned(), rows: 1, stored: stored(b"row\n") };
        release_of(paths.iter().map(file).collect())
    }

    fn name() -> ReleaseName {
        ReleaseName::parse("a@v1").unwrap()
    }

    #[test]
    fn a_document_is_read_by_whoever_trusts_its_signer() {
        let (key, other) = (PrivateKey::generate("a").unwrap(), PrivateKey::generate("b").unwrap());
        let document = encode(&release(&["sft_a_train.jsonl", "sft_a/trl/train.parquet"]), &key);
        let trusts = |key: PublicKey| move |other: &PublicKey| *other == key;
        let read = decode(&document, &name(), trusts(key.public())).unwrap();
        assert_eq!(read.release, release(&["sft_a_train.jsonl", "sft_a/trl/train.parquet"]));
        assert_eq!(read.key, key.public());
        let error = decode(&document, &name(), trusts(other.public())).unwrap_err();
        assert!(matches!(error, ReleaseError::Untrusted { .. }), "{error}");
        let error = decode(&document, &ReleaseName::parse("a@v2").unwrap(), trusts(key.public())).unwrap_err();
        assert!(error.to_string().ends_with("is that of `a@v1`"), "{error}");
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let key = PrivateKey::generate("a").unwrap();
        let document = encode(&release(&["sft_a_train.jsonl"]), &key);
        let is_trusted = |other: &PublicKey| *other == key.public();
        let text = String::from_utf8(document.clone()).unwrap();
        for bit in 0..document.len() * 8 {
            let mut changed = document.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // Digits of the key and the signature may be large or small.
            let is_same = String::from_utf8(changed.clone()).is_ok_and(|changed| changed.eq_ignore_ascii_case(&text));
            let at_last = text.trim_end().rfind('\n').unwrap();
            if !(is_same && bit / 8 > at_last) {
                assert!(decode(&changed, &name(), is_trusted).is_err(), "bit {bit}");
            }
        }
        for length in 0..document.len() {
            assert!(decode(&document[..length], &name(), is_trusted).is_err(), "cut at {length}");
        }
        // Signed by a stranger in the name of a trusted key.
        let forged = String::from_utf8(encode(&release(&["sft_a_train.jsonl"]), &PrivateKey::generate("b").unwrap()));
        let forged = forged.unwrap();
        let (at, _) = forged.match_indices("ed25519:").last().unwrap();
        let forged = format!("{}{}{}", &forged[..at], key.public(), &forged[at + 72..]);
        let error = decode(forged.as_bytes(), &name(), is_trusted).unwrap_err();
        assert!(matches!(error, ReleaseError::Unsigned(_)), "{error}");
    }

    #[test]
    fn a_part_of_the_shared_cache_is_no_document() {
        let key = PrivateKey::generate("a").unwrap();
        let text = String::from_utf8(encode(&release(&["sft_a_train.jsonl"]), &key)).unwrap();
        let body = text.strip_prefix(HEAD).unwrap().trim_end().rsplit_once('\n').unwrap().0;
        // The same key over the same body, as something else.
        let digits: String = key
            .sign(&[b"datac-part/1    ", Digest::of(body.as_bytes()).as_bytes().as_slice()].concat())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let forged = format!("{HEAD}{body}\n{} {digits}\n", key.public());
        assert!(matches!(decode(forged.as_bytes(), &name(), |_| true), Err(ReleaseError::Unsigned(_))));
        let newer = text.replacen("/1\n", "/2\n", 1);
        assert!(matches!(decode(newer.as_bytes(), &name(), |_| true), Err(ReleaseError::Unknown(_))));
    }

    #[test]
    fn paths_outside_of_the_folder_are_refused_whoever_signed() {
        let key = PrivateKey::generate("a").unwrap();
        for paths in [
            &["../a.jsonl"][..],
            &["/etc/a.jsonl"],
            &["a/../../b.jsonl"],
            &["a//b.jsonl"],
            &["a/./b.jsonl"],
            &["a/"],
            &[""],
            &[".git/hooks/post-checkout"],
            &["a\\b.jsonl"],
            &["a\u{0}b.jsonl"],
            &["a\nb.jsonl"],
            &["a.jsonl", "a.jsonl"],
            &["a", "a/b.jsonl"],
            &[&"x".repeat(256)],
        ] {
            let document = encode(&release(paths), &key);
            let error = decode(&document, &name(), |_| true).unwrap_err();
            assert!(matches!(error, ReleaseError::BadPath { .. }), "{paths:?}: {error}");
        }
    }
}
