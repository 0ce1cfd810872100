//! Which converter reads a source.

use super::{Converter, by_name};
use crate::sample::SampleKind;

/// A source that no converter can be chosen for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// No converter has the name the recipe gives.
    #[error("unknown converter `{name}`; {} converters: {}", kind.name(), list(converters))]
    Unknown {
        /// The name.
        name: String,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The converters of that kind.
        converters: Vec<&'static str>,
    },
    /// The recipe names a converter that makes another kind of sample.
    #[error(
        "converter `{name}` makes {} samples, but the phase needs {} samples ({})",
        makes.name(), kind.name(), list(converters)
    )]
    WrongKind {
        /// The name.
        name: &'static str,
        /// The kind it makes.
        makes: SampleKind,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The converters of that kind.
        converters: Vec<&'static str>,
    },
    /// No converter of the wanted kind reads these columns.
    #[error(
        "no {} converter ({}) matches the columns {} of {}",
        kind.name(), list(converters), list(columns), called(repo)
    )]
    NoneFits {
        /// The source.
        repo: String,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The converters of that kind.
        converters: Vec<&'static str>,
        /// The columns of the source.
        columns: Vec<String>,
    },
    /// Several converters of the wanted kind read these columns.
    #[error(
        "several {} converters ({}) match the columns {} of {}",
        kind.name(), list(converters), list(columns), called(repo)
    )]
    Ambiguous {
        /// The source.
        repo: String,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The converters that fit.
        converters: Vec<&'static str>,
        /// The columns of the source.
        columns: Vec<String>,
    },
}

/// A source by the name that decides; files of one's own have none.
fn called(repo: &str) -> String {
    if repo.is_empty() { "the local files".to_owned() } else { format!("`{repo}`") }
}

fn list(words: &[impl AsRef<str>]) -> String {
    if words.is_empty() {
        return "(none)".to_owned();
    }
    let quoted: Vec<_> = words.iter().map(|word| format!("`{}`", word.as_ref().escape_debug())).collect();
    quoted.join(", ")
}

/// The converter for a source: the one named, else the repository's, else the only one that reads such columns.
///
/// Only converters that make the wanted `kind` are considered. Repository ids are compared without regard to case, as
/// the Hub does.
pub fn choose(
    explicit: Option<&str>,
    repo: &str,
    kind: SampleKind,
    columns: &[&str],
) -> Result<&'static dyn Converter, ChooseError> {
    let of_kind: Vec<_> = super::all().filter(|converter| converter.kind() == kind).collect();
    let names = |converters: &[&'static dyn Converter]| converters.iter().map(|converter| converter.name()).collect();
    if let Some(name) = explicit {
        return match by_name(name) {
            Some(converter) if converter.kind() == kind => Ok(converter),
            Some(converter) => Err(ChooseError::WrongKind {
                name: converter.name(),
                makes: converter.kind(),
                kind,
                converters: names(&of_kind),
            }),
            None => Err(ChooseError::Unknown { name: name.to_owned(), kind, converters: names(&of_kind) }),
        };
    }
    let is_repos_own = |converter: &&dyn Converter| converter.repos().iter().any(|id| id.eq_ignore_ascii_case(repo));
    if let Some(converter) = of_kind.iter().copied().find(is_repos_own) {
        return Ok(converter);
    }
    let fitting: Vec<_> = of_kind.iter().copied().filter(|converter| converter.accepts(columns)).collect();
    let (repo, columns) = (repo.to_owned(), columns.iter().map(|&column| column.to_owned()).collect());
    match fitting[..] {
        [one] => Ok(one),
        [] => Err(ChooseError::NoneFits { repo, kind, converters: names(&of_kind), columns }),
        _ => Err(ChooseError::Ambiguous { repo, kind, converters: names(&fitting), columns }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::CONVERTERS, *};
    use crate::sample::SampleKind::{Conversation, Preference, Prompt, Text};

    fn chosen(repo: &str, kind: SampleKind, columns: &[&str]) -> Result<&'static str, ChooseError> {
        choose(None, repo, kind, columns).map(Converter::name)
    }

    #[test]
    fn the_recipes_sources_have_their_converters() {
        let alpaca = ["instruction", "input", "output", "text"];
        assert_eq!(chosen("tatsu-lab/alpaca", Conversation, &alpaca), Ok("alpaca"));
        assert_eq!(chosen("sahil2801/CodeAlpaca-20k", Conversation, &alpaca[..3]), Ok("code_alpaca"));
        assert_eq!(chosen("gsm8k", Conversation, &["question", "answer"]), Ok("gsm8k"));
        assert_eq!(chosen("OpenAI/GSM8K", Conversation, &[]), Ok("gsm8k"), "case does not count");
        assert_eq!(chosen("anthropic/hh-rlhf", Preference, &["chosen", "rejected"]), Ok("hh_rlhf"));
        assert_eq!(chosen("tatsu-lab/alpaca", Prompt, &alpaca), Ok("prompts"));
    }

    #[test]
    fn other_sources_are_known_by_their_columns() {
        for (kind, columns, name) in [
            (Conversation, &["output", "instruction"][..], "alpaca"),
            (Conversation, &["question", "answer"], "gsm8k"),
            (Conversation, &["id", "conversations"], "messages"),
            (Conversation, &["messages"], "messages"),
            (Preference, &["chosen", "rejected"], "hh_rlhf"),
            (Preference, &["prompt", "chosen", "rejected"], "preference"),
            (Prompt, &["prompt"], "prompts"),
            (Text, &["text"], "text"),
        ] {
            assert_eq!(chosen("a/b", kind, columns), Ok(name));
        }
    }

    #[test]
    fn a_name_in_the_recipe_comes_first() {
        let named = |name, kind| choose(Some(name), "tatsu-lab/alpaca", kind, &[]).map(Converter::name);
        assert_eq!(named("messages", Conversation), Ok("messages"));
        assert_eq!(
            named("hh_rlhf", Conversation).unwrap_err().to_string(),
            "converter `hh_rlhf` makes preference samples, but the phase needs conversation samples \
             (`alpaca`, `code_alpaca`, `gsm8k`, `messages`)"
        );
        assert_eq!(
            named("alpacca", Text).unwrap_err().to_string(),
            "unknown converter `alpacca`; text converters: `text`"
        );
    }

    #[test]
    fn errors_name_converters_and_columns() {
        assert_eq!(
            chosen("a/b", Preference, &["q", "x`\n"]).unwrap_err().to_string(),
            "no preference converter (`hh_rlhf`, `preference`) matches the columns `q`, `x`\\n` of `a/b`"
        );
        assert_eq!(
            chosen("a/b", Conversation, &["question", "answer", "messages"]).unwrap_err().to_string(),
            "several conversation converters (`gsm8k`, `messages`) match the columns `question`, `answer`, `messages` \
             of `a/b`"
        );
        assert!(chosen("a/b", Text, &[]).unwrap_err().to_string().ends_with("matches the columns (none) of `a/b`"));
    }

    #[test]
    fn a_repository_has_one_converter_per_kind() {
        let mut seen = BTreeSet::new();
        for converter in CONVERTERS {
            for repo in converter.repos() {
                assert!(seen.insert((converter.kind(), repo.to_ascii_lowercase())), "{repo}");
            }
        }
    }
}
