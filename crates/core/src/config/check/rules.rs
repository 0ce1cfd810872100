//! Rules for names, paths and words, and guesses at the word that was meant.

use std::borrow::Cow;

use crate::quality::iso;

/// Returns the known word that `word` is most likely a typo of.
pub fn did_you_mean<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let meant = plain(word);
    let allowed = meant.chars().count().max(3) / 3;
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&meant, &plain(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        // `min` for `min_length`, `datasets` for `dataset_list`: one is a prefix of the other.
        .or_else(|| {
            let mut alike = known.iter().filter(|candidate| {
                meant.len() >= 3 && (plain(candidate).starts_with(&meant) || meant.starts_with(&plain(candidate)))
            });
            alike.next().filter(|_| alike.next().is_none()).copied()
        })
}

/// Returns a hint with the word that was meant, and all known words.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    match did_you_mean(word, known) {
        Some(meant) if known.len() > 1 => format!("did you mean `{meant}`? one of {}", list_of(known)),
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.len() > 1 => format!("one of {}", list_of(known)),
        None => format!("it can only be {}", list_of(known)),
    }
}

/// Returns the share that a percentage from 0 to 100 stands for; `None` if `text` is none.
pub(super) fn percentage(text: &str) -> Option<f64> {
    let written = text.ends_with('%').then(|| text.trim_end_matches('%').trim())?;
    let percent = written.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent))?;
    // `33.3%` is `0.333`, which 33.3 / 100 is not.
    Some(format!("{written}e-2").parse().unwrap_or(percent / 100.0) + 0.0)
}

/// Lists words in backticks, separated by commas.
pub(in super::super) fn list_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// Formats a number with at most six decimals and without trailing zeros.
pub(super) fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// Returns whether `text` consists of one or more of `[A-Za-z0-9._-]`.
pub(in super::super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What the addresses of buckets begin with.
pub(super) const SCHEMES: [&str; 3] = ["s3://", "gs://", "az://"];

/// Returns whether a source is the address of something in a bucket.
pub fn is_in_bucket(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// What is wrong with the address of something in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressFault {
    /// It has a password or a signature, which must not be shown.
    Credentials,
    /// Anything else, in words that follow the address.
    Plain(&'static str),
}

/// Removes trailing `/` from the address of something in a bucket, if it is one.
pub(super) fn bucket_address(text: &str) -> Result<&str, AddressFault> {
    let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or_default();
    let rest = rest.trim_end_matches('/');
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    // What signed URLs have, which let in whoever has them.
    let signs = ["sig=", "Signature=", "X-Amz-", "X-Goog-"];
    if bucket.contains('@') || signs.iter().any(|sign| rest.contains(sign)) {
        return Err(AddressFault::Credentials);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bucket.is_empty() || bucket.starts_with('.') || !bucket.chars().all(plain) {
        return Err(AddressFault::Plain("names no bucket"));
    }
    for part in path.split('/').filter(|_| !path.is_empty()) {
        match part {
            "" => return Err(AddressFault::Plain("has an empty part")),
            "." | ".." => return Err(AddressFault::Plain("has a part that stands for another folder")),
            part if part.contains(['\\', '#', '%']) || part.contains(char::is_control) => {
                return Err(AddressFault::Plain("has a character that no name of an object may have here"));
            }
            _ => {}
        }
    }
    Ok(text.trim_end_matches('/'))
}

/// Removes a leading `./` and trailing `/` from a relative path; the error says what is wrong with the path.
pub(super) fn relative_path(text: &str) -> Result<&str, &'static str> {
    let mut path = text;
    if path.contains('\\') {
        return Err("contains a backslash");
    }
    if path.starts_with('/') || has_drive(path) {
        return Err("is absolute");
    }
    if path.starts_with('~') {
        return Err("starts with `~`, which is not expanded");
    }
    if path.contains("://") {
        return Err("is a URL");
    }
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    path = path.trim_end_matches('/');
    for part in path.split('/') {
        match part {
            ".." => return Err("contains `..`"),
            "." => return Err("contains `.`"),
            "" => return Err("has an empty part"),
            _ => {}
        }
    }
    Ok(path)
}

fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Returns whether `text` is `name` or `organisation/name` as the Hub allows.
pub(super) fn is_hub_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    parts.len() <= 2
        && parts.iter().all(|part| {
            is_plain(part)
                && part.len() <= 96
                && !part.starts_with(['.', '-'])
                && !part.ends_with('.')
                && !part.contains("..")
        })
}

/// Returns the Hub id in a URL of the Hub or a `hf://` path.
pub(super) fn hub_id_of_url(text: &str) -> Option<&str> {
    let rest = text.split_once("datasets/").map(|(_, rest)| rest)?;
    let mut ends = rest.match_indices(['/', '?', '#', '@']).map(|(at, _)| at);
    let first = ends.next().unwrap_or(rest.len());
    let end = if rest[first..].starts_with('/') { ends.next().unwrap_or(rest.len()) } else { first };
    Some(&rest[..end]).filter(|id| is_hub_id(id))
}

/// Returns what is wrong with a branch, tag or commit, by the rules of git and of URLs.
pub(super) fn revision_fault(text: &str) -> Option<&'static str> {
    if text.chars().any(char::is_whitespace) {
        Some("contains white space")
    } else if text.contains("..") || text.contains("//") || text.contains("@{") {
        Some("contains `..`, `//` or `@{`")
    } else if text.contains(['\\', '?', '#', '%', '*', '[', '^', '~', ':']) {
        Some("contains a character that git does not allow")
    } else if text.starts_with(['-', '/', '.']) || text.ends_with(['/', '.']) {
        Some("starts or ends with a character that git does not allow there")
    } else {
        None
    }
}

/// Returns all ISO 639-1 codes, sorted.
pub(in super::super) fn language_codes() -> Vec<String> {
    iso::all().map(|language| language.code.to_owned()).collect()
}

/// Returns the ISO 639-1 code that a text probably means.
pub(super) fn language_meant(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let short = lower.split(['-', '_']).next().unwrap_or_default();
    let language = iso::by_code(short).or_else(|| iso::by_long_code(short)).or_else(|| iso::by_name(&lower));
    language.map(|language| language.code)
}

/// Returns a file name without its folders and its last extension.
pub(in super::super) fn file_stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// Returns what is wrong with the stem of a recipe's file, which outputs are named after.
pub(in super::super) fn stem_fault(stem: &str) -> Option<Cow<'static, str>> {
    const LONGEST: usize = 150;
    if stem.is_empty() || stem.starts_with('.') {
        return Some("starts with a dot".into());
    }
    if stem.len() > LONGEST {
        return Some(format!("is longer than {LONGEST} bytes").into());
    }
    if stem.trim() != stem {
        return Some("starts or ends with white space".into());
    }
    let bad = stem.chars().find(|c| c.is_control() || "\\:*?\"<>|`$&;'".contains(*c))?;
    Some(format!("contains the character `{}`", bad.escape_default()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let known = ["min_length", "max_length", "type"];
        assert_eq!(did_you_mean("min_lenght", &known), Some("min_length"));
        assert_eq!(did_you_mean("Max-Length", &known), Some("max_length"));
        assert_eq!(did_you_mean("min", &known), Some("min_length"));
        assert_eq!(did_you_mean("colour", &known), None);
        assert_eq!(did_you_mean("", &known), None);
        assert_eq!(did_you_mean("m", &["max", "min"]), None);
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(relative_path("./a/b/"), Ok("a/b"));
        assert_eq!(relative_path("a b/ü.jsonl"), Ok("a b/ü.jsonl"));
        for bad in ["/a", "../a", "a/../b", "a//b", "", ".", "./", "a/./b", "C:/a", "C:a", "a\\b", "~/a", "file://a"] {
            assert!(relative_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hub_ids() {
        for good in ["gsm8k", "tatsu-lab/alpaca", "sahil2801/CodeAlpaca-20k", "a/b.c_d", "_x/y"] {
            assert!(is_hub_id(good), "{good}");
        }
        for bad in ["", "/", "a/", "/b", "a/b/c", "a/..", "../b", "a b/c", "a/b.", "é/b", ".a/b", "a..b/c"] {
            assert!(!is_hub_id(bad), "{bad}");
        }
        assert_eq!(hub_id_of_url("https://huggingface.co/datasets/a/b/tree/main"), Some("a/b"));
        assert_eq!(hub_id_of_url("https://huggingface.co/datasets/gsm8k?x=1"), Some("gsm8k"));
        assert_eq!(hub_id_of_url("hf://datasets/a/b@main/x.parquet"), Some("a/b"));
        assert_eq!(hub_id_of_url("https://example.com/a/b"), None);
    }

    #[test]
    fn languages_that_were_meant() {
        for (text, code) in [("English", "en"), ("EN", "en"), ("eng", "en"), ("en-US", "en"), ("german", "de")] {
            assert_eq!(language_meant(text), Some(code), "{text}");
        }
        assert_eq!(language_meant("klingonese"), None);
        assert_eq!(language_meant("é"), None);
        assert_eq!(language_meant(""), None);
    }

    #[test]
    fn stems() {
        assert_eq!(file_stem("config/data/a.b.yaml"), "a.b");
        assert_eq!(file_stem("general"), "general");
        assert_eq!(file_stem(".yaml"), ".yaml");
        assert!(stem_fault("général_2").is_none());
        for bad in ["", ".yaml", "a:b", "a\nb", " a", "a$b"] {
            assert!(stem_fault(bad).is_some(), "{bad:?}");
        }
    }
}
