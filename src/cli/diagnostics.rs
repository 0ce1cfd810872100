//! Renders problems in the style of rustc.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle};

use crate::workspace::Problem;

/// Renders a problem of the file whose text is `text`, for a terminal of `width` columns.
///
/// The second line is always ` --> path:line:column`, which editors and `grep` understand.
pub fn render(problem: &Problem, text: &str, color: bool, width: usize) -> String {
    let title = Level::ERROR.primary_title(problem.message.as_str()).id(problem.code);
    let mut group = match snippet_of(problem, text) {
        Some(snippet) => Group::with_title(title).element(snippet),
        None => Group::with_title(title)
            .element(Origin::path(problem.path.as_str()).line(problem.line).char_column(problem.column)),
    };
    if let Some(note) = &problem.note {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).term_width(width.max(40)).render(&[group])
}

/// Returns the lines that the problem concerns, cut from the text so that drawing is fast in large files.
fn snippet_of<'a>(problem: &'a Problem, text: &'a str) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let span = problem.span.clone()?;
    // If the text has changed since it was read, the old positions are wrong.
    if span.end > text.len() || !text.is_char_boundary(span.start) || !text.is_char_boundary(span.end) {
        return None;
    }
    let line_start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_start = line_start + if text[line_start..].starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let line_end = text[span.start..].find(['\n', '\r']).map_or(text.len(), |length| span.start + length);
    let source = &text[line_start..line_end];
    let underlined = span.start.max(line_start) - line_start..span.end.min(line_end).max(line_start) - line_start;
    let annotation = AnnotationKind::Primary.span(underlined).label(problem.label.as_deref());
    Some(Snippet::source(source).line_start(problem.line).path(problem.path.as_str()).annotation(annotation))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Vocabulary, load};

    const RECIPE: &str = "\u{feff}metadata:\r\n  phase: sft\r\n# ünï\ndatasets:\n  - name: é1\n    source: a/b\n    mix_ratio: 0.75\n    \
                          filters: [{ type: length, min_length: 3 }]\n  - { name: \"t\\u00fc\", source: c/d, mix_ratio: 0.25 }\n\
                          validation:\n  ratio: 0.1\n";

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn whatever_is_wrong_with_a_recipe_can_be_drawn(
            at in 0..RECIPE.len(),
            length in 0_usize..20,
            piece in "([\\PC\\n\\r\\t]|: |- |\\{|\\}|\\[|\\]|\"|'|&a |\\*a|\\|\\n|\u{feff}|\u{2028}){0,6}",
            width in 0_usize..200,
        ) {
            let boundary = |at: usize| (at..=RECIPE.len()).find(|at| RECIPE.is_char_boundary(*at)).unwrap_or(RECIPE.len());
            let from = boundary(at);
            let mut text = RECIPE.to_owned();
            text.replace_range(from..boundary((from + length).min(RECIPE.len())), &piece);
            for problem in load("config/a.yaml", text.as_bytes(), &Vocabulary::default()).err().unwrap_or_default() {
                prop_assert!(render(&problem, &text, false, width).contains(" --> config/a.yaml:"));
            }
        }
    }

    fn rendered(text: &str) -> String {
        let problems = load("config/a.yaml", text.as_bytes(), &Vocabulary::default()).unwrap_err();
        let shown: Vec<String> = problems.iter().map(|problem| render(problem, text, false, 100)).collect();
        for (problem, shown) in problems.iter().zip(&shown) {
            assert!(shown.contains(&format!("config/a.yaml:{}:{}", problem.line, problem.column)), "{shown}");
        }
        shown.join("\n\n")
    }

    #[test]
    fn problems_are_drawn_with_place_reason_and_help() {
        insta::assert_snapshot!(rendered(
            "metadata:\n  phase: sft\ndatasets:\n  - name: é1\n    source: a/b\n    mix_ratio: 0.75\n    min_lenght: 3\n  - \
             name: two\n    source: c/d\n    mix_ratio: 0.2\n    text_field: \"ünï\\0\"\n"
        ));
    }

    #[test]
    fn a_problem_of_the_whole_file_still_names_a_place() {
        insta::assert_snapshot!(rendered("# nothing\n"));
    }

    #[test]
    fn whatever_is_wrong_is_drawn() {
        let text = "metadata: {phase: sft}\ndatasets:\n  - {name: é1, source: a/b, filters: [{type: length}]}\n";
        for at in text.char_indices().map(|(at, _)| at) {
            let inserted =
                ["\"", "\t", "\u{2028}", "\r", "&a ", "é: [", "\0"].map(|piece| [piece, &text[at..]].concat());
            for rest in inserted.iter().map(String::as_str).chain([""]) {
                let garbled = [&text[..at], rest].concat();
                let problems =
                    load("config/a.yaml", garbled.as_bytes(), &Vocabulary::default()).err().unwrap_or_default();
                problems
                    .iter()
                    .for_each(|problem| assert!(render(problem, &garbled, false, 80).contains(problem.code)));
            }
        }
    }

    #[test]
    fn a_text_that_changed_is_not_drawn() {
        let text = "metadata: {phase: sft}\ndatasets: [{name: a, source: ../x}]\n";
        let problem = load("a.yaml", text.as_bytes(), &Vocabulary::default()).unwrap_err().remove(0);
        assert!(render(&problem, "é", false, 80).contains("a.yaml:2:30"));
    }

    #[test]
    fn long_lines_tabs_and_crlf_are_survived() {
        let long = format!(
            "metadata: {{phase: sft}} # {}\r\ndatasets: [{{name: a, source: x/y, nam: \tb}}]\r\n",
            "x".repeat(3000)
        );
        assert!(rendered(&long).lines().all(|line| line.chars().count() < 200));
    }

    #[test]
    fn colour_is_only_written_when_asked_for() {
        let problem = load("a.yaml", b"", &Vocabulary::default()).unwrap_err().remove(0);
        assert!(!render(&problem, "", false, 80).contains('\u{1b}'));
        assert!(render(&problem, "", true, 80).contains('\u{1b}'));
    }
}
