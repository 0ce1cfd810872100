//! Converts failures of sources to problems of the recipe, with code, line and column.

use super::{
    Problem,
    leaves::find,
    problem::Fault,
    tree::{Node, Value},
    yaml,
};
use crate::{
    failure::{Failure, SourceFault},
    leaf::Setting,
};

/// Returns a failure as a problem of the recipe that it names, where `text` is the text of that recipe; `None` if it
/// names none.
///
/// The problem is shown at the key that it is about, or at the dataset's `source` if the recipe does not contain that
/// key.
pub fn problem_of(failure: &Failure, text: &[u8]) -> Option<Problem> {
    let about = failure.about.as_deref()?;
    let dataset = about.dataset.as_ref()?;
    let mut fault = Fault::of_file(about.fault.code(), failure.message.clone()).maybe_hint(failure.hint.clone());
    let parsed = super::plain_text(text).ok().and_then(|(plain, mark)| Some((yaml::parse(plain).root?, mark)));
    if let Some((root, mark)) = parsed {
        for (rank, leaf) in about.keys().iter().enumerate() {
            let Some((start, node)) = find(&root, leaf) else { continue };
            let mut span = about.word.as_deref().and_then(|word| item(node, word)).unwrap_or(node).span.clone();
            // The bounds of an expectation may be many lines, of which its key is the first.
            if let (SourceFault::Unexpected, Value::Map(_), Some(key)) = (about.fault, &node.value, &about.key) {
                span = start..start + key.key().len();
            }
            fault.span = Some(span.start + mark..span.end + mark);
            // A rule that must not be broken is no limit that is exceeded.
            let has_label = rank == 0 && !matches!(about.key, Some(Setting::Rule(_)));
            fault.label = has_label.then(|| about.fault.label().to_owned());
            break;
        }
    }
    Some(Problem { note: failure.note.clone(), ..fault.locate(&dataset.recipe, text) })
}

/// Returns a failure as problems of the recipe that it names: one for each part, if it sums up several.
pub fn problems_of(failure: &Failure, text: &[u8]) -> Vec<Problem> {
    match failure.parts.as_slice() {
        [] => problem_of(failure, text).into_iter().collect(),
        parts => {
            let mut problems: Vec<Problem> = parts.iter().filter_map(|part| problem_of(part, text)).collect();
            // What helps with all of them is said once, below the last.
            if let Some(last) = problems.last_mut() {
                (last.hint, last.note) = (failure.hint.clone(), failure.note.clone());
            }
            problems
        }
    }
}

/// Returns the item of a list, or the value of a key, that equals `word`.
fn item<'n, 't>(node: &'n Node<'t>, word: &str) -> Option<&'n Node<'t>> {
    let is_it = |item: &&Node<'t>| matches!(&item.value, Value::Scalar(_, text) if text == word);
    match &node.value {
        Value::Map(entries) => entries.iter().map(|(_, node)| node).find(is_it),
        _ => node.items().iter().find(is_it),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    const TEXT: &str = "\u{feff}metadata: { phase: sft }\ndatasets:\n  - name: a\n    source: x/y\n    splits: [train, dev]\n  \
                        - { name: b, source: data/b.jsonl }\nmax_rejects: 2\n";

    fn at(fault: SourceFault, dataset: &str, word: Option<&str>) -> (usize, usize, Option<String>) {
        let failure = Failure::plain(FailureKind::Config, "wrong").about(fault);
        let failure = word.into_iter().fold(failure, Failure::at_word).in_dataset("config/r.yaml", dataset);
        let problem = problem_of(&failure, TEXT.as_bytes()).unwrap();
        assert_eq!((problem.code, problem.path.as_str()), (fault.code(), "config/r.yaml"));
        (problem.line, problem.column, problem.label)
    }

    #[test]
    fn a_rule_that_must_not_be_broken_is_shown_where_the_recipe_says_so() {
        let entry = "  - { name: a, source: data/a.jsonl, rules: { no_user: fail } }";
        let text = format!("metadata: {{ phase: sft }}\ndatasets:\n{entry}\n");
        let failure = Failure::plain(FailureKind::Policy, "broken").about(SourceFault::ManyRejects);
        let failure = failure.at_key(Setting::Rule("no_user".to_owned())).in_dataset("config/r.yaml", "a");
        let problem = problem_of(&failure, text.as_bytes()).unwrap();
        let column = entry.find("fail").unwrap() + 1;
        assert_eq!((problem.line, problem.column, problem.label), (3, column, None));
    }

    #[test]
    fn failures_are_shown_at_the_key_they_are_about() {
        assert_eq!(at(SourceFault::NotFound, "b", None), (6, 24, Some("does not exist".into())));
        assert_eq!(at(SourceFault::NoSplit, "a", Some("dev")), (5, 21, Some("no such split".into())));
        assert_eq!(at(SourceFault::NoSplit, "a", Some("other")), (5, 13, Some("no such split".into())));
        assert_eq!(at(SourceFault::NoSplit, "b", Some("train")), (6, 24, None), "the recipe names no split");
        assert_eq!(at(SourceFault::ManyRejects, "a", None), (7, 14, Some("exceeded".into())));
        assert_eq!(at(SourceFault::NotFound, "gone", None), (1, 1, None), "the text has changed since");
    }

    #[test]
    fn what_is_not_as_expected_is_shown_one_by_one() {
        let text = "metadata: { phase: sft }\ndatasets: [{ name: a.b, source: x/y }]\nexpect:\n  rows: { min: 5 }\n  shares:\n    \
                    a.b: 0.5\n";
        let unmet = |message: &str, key: Setting| {
            let failure = Failure::plain(FailureKind::Policy, message).about(SourceFault::Unexpected);
            failure.at_key(key).in_dataset("config/r.yaml", "a.b")
        };
        let (rows, share) = (Setting::Expected("rows".to_owned()), Setting::ExpectedShare("a.b".to_owned()));
        let one = Failure::of_all(vec![unmet("one", rows.clone())]).unwrap();
        let both = Failure::of_all(vec![unmet("one", rows), unmet("two", share)]).unwrap().hint("help").note("note");
        let shown = |failure: &Failure| -> Vec<_> {
            let of = |problem: Problem| (problem.message, problem.line, problem.column, problem.span, problem.hint);
            problems_of(failure, text.as_bytes()).into_iter().map(of).collect()
        };
        let at = |word: &str| text.find(word).map(|at| at..at + word.len());
        assert_eq!(shown(&one), [("one".to_owned(), 4, 3, at("rows"), None)]);
        let half = Some("help".to_owned());
        let two = ("two".to_owned(), 6, 10, at("0.5"), half);
        assert_eq!(shown(&both), [("one".to_owned(), 4, 3, at("rows"), None), two]);
        assert_eq!(both.message, "one, and two");
        assert_eq!(Failure::of_all(Vec::new()), None);
    }

    #[test]
    fn failures_of_sources_that_are_not_mixed_are_shown_in_their_blocks() {
        let text = "datasets: [{ name: a, source: x/y }]\nvalidation: { source: x/z }\ntest: { split: [dev, tests] }\n\
                    exclude: [{ name: e, source: x/e }]\n";
        let at = |fault: SourceFault, dataset: &str, word: Option<&str>| {
            let failure = Failure::plain(FailureKind::Config, "wrong").about(fault);
            let failure = word.into_iter().fold(failure, Failure::at_word).in_dataset("config/r.yaml", dataset);
            let problem = problem_of(&failure, text.as_bytes()).unwrap();
            (problem.line, problem.column)
        };
        assert_eq!(at(SourceFault::NotFound, "validation", None), (2, 23));
        assert_eq!(at(SourceFault::NoSplit, "a (test)", Some("tests")), (3, 22));
        assert_eq!(at(SourceFault::NotFound, "a (test)", None), (1, 31));
        assert_eq!(at(SourceFault::NotFound, "e", None), (4, 30));
    }

    #[test]
    fn a_failure_that_names_no_dataset_is_no_problem_of_a_recipe() {
        let failure = Failure::plain(FailureKind::Config, "wrong");
        assert_eq!(problem_of(&failure, TEXT.as_bytes()), None);
        assert_eq!(problem_of(&failure.about(SourceFault::Empty), TEXT.as_bytes()), None);
    }
}
