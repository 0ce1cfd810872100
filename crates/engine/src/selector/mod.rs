//! Selectors: the grammar by which all commands refer to recipes.
//!
//! ```text
//! selector = ["+"] term ["+"]
//! term     = "source:" pattern | "converter:" pattern | "state:" state {"," state}
//!          | output | glob | place
//! output   = a text that ends in .jsonl, a glob or not
//! glob     = a text with one of * ? [ {
//! place    = any other text: a file, a folder, or the end of one below config/
//! ```
//!
//! A `+` before a term adds the recipes that its recipes read from; a `+` after it adds the recipes that read from
//! them. The name of an existing file or folder always means just that, even if it contains special characters; this
//! is checked before anything is parsed.

mod find;
mod one;
mod resolve;

pub(crate) use find::{assess_selected, find, recipe_folders};
pub(crate) use one::{one_recipe, recipe_of};
pub(crate) use resolve::{Writers, expected_converter};

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use crate::status::State;
use datac_core::{
    failure::{Failure, FailureKind},
    outputs,
};

/// A parsed selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Whether the recipes whose outputs the term's recipes read are selected too: `+x`.
    pub with_needed: bool,
    /// Whether the recipes that read outputs of the term's recipes are selected too: `x+`.
    pub with_readers: bool,
    /// The term, without `+`.
    pub term: Term,
}

/// The term of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// A file, a folder, or the end of one below `config/`.
    Place(String),
    /// Recipes whose name or path matches.
    Recipes(Pattern),
    /// Recipes that write an output.
    Output(Pattern),
    /// Recipes that read a source, given by its name in the recipe, its location, or its repository.
    Source(Pattern),
    /// Recipes in which a source is read by a converter.
    Converter(Pattern),
    /// Recipes in one of these states.
    State(Vec<State>),
}

/// A text to compare with, or a glob.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    glob: Option<GlobMatcher>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Parses a pattern. If it contains one of `* ? [ {`, it is a glob, in which `*` does not match `/` and `**`
    /// does.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let is_glob = text.contains(['*', '?', '[', '{']);
        let glob = || {
            let built = GlobBuilder::new(text).literal_separator(true).build();
            built.map(|glob| glob.compile_matcher()).map_err(|error| {
                let reason = error.kind();
                refused(text, &format!("not a valid glob: {reason}"))
                    .hint("valid globs: `sft/*`, `**/general`, `{sft,dpo}/*`, `[a-m]*`")
            })
        };
        Ok(Self { text: text.to_owned(), glob: if is_glob { Some(glob()?) } else { None } })
    }

    /// Returns whether the pattern is a glob, which can match several texts.
    pub fn is_glob(&self) -> bool {
        self.glob.is_some()
    }

    /// Returns the pattern as typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the pattern matches the whole of `text`.
    pub fn fits(&self, text: &str) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(text),
            None => self.text == text,
        }
    }
}

/// Known prefixes of terms.
const PREFIXES: [&str; 3] = ["source", "converter", "state"];

impl Selector {
    /// Parses a selector, without looking at files.
    ///
    /// ```
    /// use datac_engine::workspace::{Selector, State, Term};
    ///
    /// let selector = Selector::parse("state:stale,new+").unwrap();
    /// assert_eq!(selector.term, Term::State(vec![State::Stale, State::New]));
    /// assert!(selector.with_readers && !selector.with_needed);
    /// ```
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (with_needed, term) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        let (with_readers, term) = term.strip_suffix('+').map_or((false, term), |rest| (true, rest));
        if term.is_empty() {
            return Err(
                refused(text, "no name was given").hint("name a recipe: `sft/general`, `+sft/general`, `sft/*`")
            );
        }
        let term = match term.split_once(':') {
            Some((prefix, "")) if PREFIXES.contains(&prefix) => {
                return Err(refused(text, &format!("`{prefix}:` needs a value")).hint(example_of(prefix)));
            }
            Some(("source", pattern)) => Term::Source(Pattern::parse(pattern)?),
            Some(("converter", pattern)) => Term::Converter(Pattern::parse(pattern)?),
            Some(("state", words)) => Term::State(states(text, words)?),
            Some((prefix, _)) if !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                let hint = match nearest(prefix, PREFIXES.iter().copied()) {
                    Some(near) => format!("did you mean `{near}:`?"),
                    None => "available: `source:`, `converter:` and `state:`".to_owned(),
                };
                return Err(refused(text, &format!("unknown prefix `{prefix}:`")).hint(hint));
            }
            _ if outputs::looks_like_output(term) => Term::Output(Pattern::parse(term)?),
            _ => match Pattern::parse(term)? {
                pattern if pattern.is_glob() => Term::Recipes(pattern),
                place => Term::Place(place.text),
            },
        };
        Ok(Self { with_needed, with_readers, term })
    }

    /// Returns whether recipes beyond those of the term are selected.
    pub fn reaches_on(&self) -> bool {
        self.with_needed || self.with_readers
    }
}

/// Returns the states that selectors ask for, if any. Such selectors may match no recipe without that being an error.
pub fn asks_for_state(selectors: &[String]) -> Option<Vec<State>> {
    let states = selectors.iter().filter_map(|text| match Selector::parse(text).ok()?.term {
        Term::State(states) => Some(states),
        _ => None,
    });
    let states: Vec<State> = states.flatten().collect();
    (!states.is_empty()).then_some(states)
}

fn states(selector: &str, words: &str) -> Result<Vec<State>, Failure> {
    let state = |word: &str| {
        State::ALL.iter().copied().find(|state| state.word() == word).ok_or_else(|| {
            let known = State::ALL.iter().map(|state| state.word());
            refused(selector, &format!("unknown state `{word}`")).hint(one_of(word, known))
        })
    };
    words.split(',').map(state).collect()
}

fn example_of(prefix: &str) -> &'static str {
    match prefix {
        "source" => "`source:tatsu-lab/alpaca`, `source:data/own.jsonl` or `source:own`",
        "converter" => "`converter:alpaca`",
        _ => "`state:stale` or `state:stale,new`",
    }
}

fn refused(selector: &str, why: &str) -> Failure {
    Failure::plain(FailureKind::Config, format!("invalid selector `{selector}`: {why}"))
}

/// Returns the known word most similar to `wanted`, unless none is similar enough.
pub(crate) fn nearest<'k>(wanted: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, wanted))?;
    (strsim::jaro_winkler(nearest, wanted) > 0.7).then_some(nearest)
}

/// Suggests what to type instead of `wanted`: a similar known word, or the first few known words.
pub(crate) fn one_of<'k>(wanted: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    const FEW: usize = 12;
    if let Some(near) = nearest(wanted, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let mut all: Vec<&str> = Vec::new();
    // Two recipes may read one source.
    known.for_each(|name| {
        if !all.contains(&name) {
            all.push(name)
        }
    });
    let mut listed: Vec<&str> = all.iter().copied().take(FEW).collect();
    let more = all.len() - listed.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match listed.pop() {
        None => "none are available".to_owned(),
        Some(last) => {
            listed.push(last);
            format!("available: {}{more}", listed.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Selector {
        Selector::parse(text).unwrap_or_else(|failure| panic!("{text}: {failure}"))
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn every_form_is_told_apart() {
        for (text, term) in [
            ("sft/general", Term::Place("sft/general".into())),
            ("config/a.yaml", Term::Place("config/a.yaml".into())),
            ("./odd:name", Term::Place("./odd:name".into())),
            ("sft/*", Term::Recipes(pattern("sft/*"))),
            ("dataset/sft_a_train.jsonl", Term::Output(pattern("dataset/sft_a_train.jsonl"))),
            ("sft_*_val.jsonl", Term::Output(pattern("sft_*_val.jsonl"))),
            ("source:data/own.jsonl", Term::Source(pattern("data/own.jsonl"))),
            ("source:a:b", Term::Source(pattern("a:b"))),
            ("converter:alpaca", Term::Converter(pattern("alpaca"))),
            ("state:new", Term::State(vec![State::New])),
        ] {
            assert_eq!(parsed(text), Selector { with_needed: false, with_readers: false, term: term.clone() });
            for (before, after) in [("+", ""), ("", "+"), ("+", "+")] {
                let selector = parsed(&format!("{before}{text}{after}"));
                assert_eq!(selector.term, term, "{before}{text}{after}");
                assert_eq!((selector.with_needed, selector.with_readers), (before == "+", after == "+"));
            }
        }
    }

    #[test]
    fn what_means_nothing_is_refused_with_a_hint() {
        for (text, hint) in [
            ("", "name a recipe"),
            ("+", "name a recipe"),
            ("++", "name a recipe"),
            ("state:", "`state:stale`"),
            ("source:", "`source:tatsu-lab/alpaca`"),
            ("state:stail", "did you mean `stale`?"),
            ("state:stale,", "available: fresh, stale"),
            ("sorce:alpaca", "did you mean `source:`?"),
            ("quite:other", "available: `source:`"),
            ("sft/[a", "`sft/*`"),
        ] {
            let failure = Selector::parse(text).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Config);
            assert!(failure.hint.as_deref().is_some_and(|found| found.contains(hint)), "{text}: {failure:?}");
        }
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        let fits = |glob: &str, text: &str| pattern(glob).fits(text);
        assert!(fits("sft/*", "sft/general") && !fits("sft/*", "config/sft/general") && !fits("*", "sft/general"));
        assert!(fits("**/sft/*.yaml", "config/data/sft/a.yaml") && fits("{sft,dpo}/[a-m]*", "dpo/helpful"));
        assert!(!pattern("alpaca").fits("alpaca_own"), "without a glob's signs the whole text is meant");
    }

    #[test]
    fn states_may_name_nothing() {
        let texts = |selectors: &[&str]| selectors.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(asks_for_state(&texts(&["sft", "state:stale,new"])), Some(vec![State::Stale, State::New]));
        assert_eq!(asks_for_state(&texts(&["sft", "source:x"])), None);
        assert_eq!(asks_for_state(&[]), None);
    }

    proptest! {
        /// Any text is either parsed or refused with a hint, and `+` on either side changes nothing else.
        #[test]
        fn any_text_is_a_selector_or_an_error(text in "[-a-z0-9+:/.,*?\\[\\]{}é ]{0,16}") {
            match Selector::parse(&text) {
                Err(failure) => prop_assert!(failure.hint.is_some(), "{}", failure),
                Ok(selector) if !selector.reaches_on() => {
                    let both = Selector::parse(&format!("+{text}+")).unwrap();
                    prop_assert_eq!(both, Selector { with_needed: true, with_readers: true, term: selector.term });
                }
                Ok(_) => {}
            }
        }

        /// Replacing part of a text by stars makes a glob that still matches the text.
        #[test]
        fn a_star_fits_what_it_stands_for(a in "[a-z_]{0,6}", b in "[a-z_]{0,6}", c in "[a-z_]{0,6}") {
            let (text, across) = ([&*a, &*b, &*c].concat(), [&*a, "/", &*b, &*c].concat());
            let glob = pattern(&[&*a, "*", &*c].concat());
            prop_assert!(glob.fits(&text), "{} {}", glob, text);
            prop_assert!(!glob.fits(&across), "{} {}", glob, across);
        }

        /// A text without special characters is the place of that name.
        #[test]
        fn plain_words_are_places(text in "[a-z0-9_][a-z0-9_/]{0,12}") {
            prop_assert_eq!(parsed(&text).term, Term::Place(text));
        }
    }
}
