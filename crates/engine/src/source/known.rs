//! Facts that repositories do not state themselves: former names and obvious default configs.

/// A repository with former names or an obvious default config.
struct Known {
    id: &'static str,
    former: &'static [&'static str],
    config: Option<&'static str>,
}

const KNOWN: &[Known] = &[Known { id: "openai/gsm8k", former: &["gsm8k"], config: Some("main") }];

fn known(repo: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.id == repo || known.former.contains(&repo))
}

/// Returns the present name of a repository.
pub fn canonical(repo: &str) -> &str {
    known(repo).map_or(repo, |known| known.id)
}

/// Returns the config to use if a recipe names none and the repository's card has no default.
pub fn default_config(repo: &str) -> Option<&'static str> {
    known(repo).and_then(|known| known.config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gsm8k_under_both_names() {
        for repo in ["gsm8k", "openai/gsm8k"] {
            assert_eq!((canonical(repo), default_config(repo)), ("openai/gsm8k", Some("main")));
        }
        assert_eq!((canonical("a/gsm8k"), default_config("a/gsm8k")), ("a/gsm8k", None));
    }
}
