//! The access token, and other settings of Hub users in the environment.

use std::{fmt, path::PathBuf};

use hf_hub::Cache;

use crate::system;

/// An access token. `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Creates a token from a text, trimming white space; `None` if the rest is not a valid token.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// Returns the token itself, for the `Authorization` header only.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces the token in a text from elsewhere.
    pub(super) fn redact(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Returns the token from where the Python client looks for it: `HF_TOKEN`, then the file named by `HF_TOKEN_PATH`,
/// then `$HF_HOME/token`, then `~/.cache/huggingface/token`; none if `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set.
pub fn find_token() -> Option<Token> {
    find_token_and_place().map(|(token, _)| token)
}

/// Returns the same token as [`find_token`], and the variable or file that holds it.
pub fn find_token_and_place() -> Option<(Token, String)> {
    find_token_in(system::env, system::home_dir())
}

/// Returns whether `HF_TOKEN` is set to something that cannot be a token.
pub fn has_bad_token() -> bool {
    system::env("HF_TOKEN").is_some_and(|text| Token::new(&text).is_none())
}

/// Returns the address of the Hub: `HF_ENDPOINT`, or `https://huggingface.co`.
pub fn default_endpoint() -> String {
    system::env("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned())
}

/// Returns whether `HF_HUB_OFFLINE` is set to a true value.
pub fn env_offline() -> bool {
    is_on(system::env("HF_HUB_OFFLINE"))
}

fn is_on(value: Option<String>) -> bool {
    value.is_some_and(|value| matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}

fn find_token_in(env: impl Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Option<(Token, String)> {
    const LONGEST: u64 = 4096;
    if is_on(env("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
        return None;
    }
    if let Some(token) = env("HF_TOKEN").and_then(|text| Token::new(&text)) {
        return Some((token, "HF_TOKEN".to_owned()));
    }
    let expand = |text: String| match (text.strip_prefix("~/"), &home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    };
    let cache = || env("XDG_CACHE_HOME").map(expand).or_else(|| Some(home.as_ref()?.join(".cache")));
    let path = match env("HF_TOKEN_PATH") {
        Some(path) => expand(path),
        None => {
            let home = env("HF_HOME").map(expand).or_else(|| Some(cache()?.join("huggingface")))?;
            Cache::new(home.join("hub")).token_path()
        }
    };
    let bytes = system::read_up_to(&path, LONGEST).ok()?;
    Some((Token::new(std::str::from_utf8(&bytes).ok()?)?, path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(vars: &[(&str, &str)], home: Option<&std::path::Path>) -> Option<String> {
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        find_token_in(env, home.map(Into::into)).map(|(token, _)| token.expose().to_owned())
    }

    #[test]
    fn the_places_are_searched_in_the_python_clients_order() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            system::create_dir(path.parent().expect("a folder")).expect("a folder");
            system::replace(&path, text.as_bytes()).expect("a file");
            path.to_str().expect("UTF-8").to_owned()
        };
        let named = write("named", "hf_named\r\n");
        write("hf/token", "hf_home\n");
        write(".cache/huggingface/token", "  hf_cache \n");
        write("xdg/huggingface/token", "hf_xdg");
        let (hf_home, xdg) = (format!("{}/hf", home.path().display()), format!("{}/xdg", home.path().display()));
        let home = Some(home.path());

        let all = [("HF_TOKEN", " hf_env\n"), ("HF_TOKEN_PATH", named.as_str()), ("HF_HOME", hf_home.as_str())];
        assert_eq!(found(&all, home).as_deref(), Some("hf_env"));
        assert_eq!(found(&all[1..], home).as_deref(), Some("hf_named"));
        assert_eq!(found(&all[2..], home).as_deref(), Some("hf_home"));
        assert_eq!(found(&[("XDG_CACHE_HOME", &xdg)], home).as_deref(), Some("hf_xdg"));
        assert_eq!(found(&[], home).as_deref(), Some("hf_cache"));
        assert_eq!(found(&[("HF_HOME", "~/hf")], home).as_deref(), Some("hf_home"));
        assert_eq!(found(&[], None), None);
        assert_eq!(found(&[all[0], ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "YES")], home), None);
        assert_eq!(found(&[all[0], ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")], home).as_deref(), Some("hf_env"));
    }

    #[test]
    fn a_token_never_shows() {
        let token = Token::new(" hf_CANARY\n").expect("a token");
        assert_eq!(format!("{token} {token:?} {:?}", Some(&token)), "*** *** Some(***)");
        assert_eq!(token.redact("sent hf_CANARY twice: hf_CANARY"), "sent *** twice: ***");
        assert_eq!(Token::new("two words"), None);
        assert_eq!(Token::new("  "), None);
    }

    #[test]
    fn switches_are_the_python_clients() {
        for (value, on) in [("1", true), ("On", true), ("TRUE", true), ("yes", true), ("0", false), ("no", false)] {
            assert_eq!(is_on(Some(value.to_owned())), on, "{value}");
        }
        assert!(!is_on(None));
    }
}
