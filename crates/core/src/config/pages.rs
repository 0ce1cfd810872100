//! The pages of `docs/troubleshooting.md`, one per code.

/// The document that contains the pages.
const TEXT: &str = include_str!("../../../../docs/troubleshooting.md");

/// The page of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The code: `E0119`, `empty_output`, `exit-3`.
    pub code: &'static str,
    /// Meaning in one line.
    pub meaning: &'static str,
    /// The rest of the page, in Markdown: paragraphs, a wrong example and a right one.
    pub body: &'static str,
}

/// An example on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// Language, followed by `wrong`, `right` or `recipe` (a complete one); anything after that is for tests.
    pub info: &'static str,
    /// Text of the example.
    pub text: &'static str,
}

/// A part of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A paragraph.
    Words(&'static str),
    /// An example.
    Example(Example),
}

/// Returns all pages, in the order of the document.
pub fn pages() -> Vec<Page> {
    let sections = TEXT.split("\n### `").skip(1);
    sections
        .map(|section| {
            // What follows the next higher heading belongs to no code.
            let section = section.split("\n## ").next().unwrap_or(section);
            let (head, body) = section.split_once('\n').unwrap_or((section, ""));
            let (code, meaning) = head.split_once("`: ").unwrap_or((head, ""));
            Page { code, meaning, body: body.trim() }
        })
        .collect()
}

impl Page {
    /// Splits the page into paragraphs and examples.
    ///
    /// ```
    /// use datac_core::config::{Part, pages};
    ///
    /// let page = pages().into_iter().find(|page| page.code == "E0119").unwrap();
    /// assert!(matches!(page.parts()[0], Part::Words(_)));
    /// assert!(matches!(page.parts()[2], Part::Example(example) if example.info == "yaml wrong"));
    /// ```
    pub fn parts(&self) -> Vec<Part> {
        let (mut parts, mut rest) = (Vec::new(), self.body);
        while let Some((before, after)) = rest.split_once("```") {
            parts.extend(words(before));
            let (info, after) = after.split_once('\n').unwrap_or((after, ""));
            let (text, after) = after.split_once("```").unwrap_or((after, ""));
            parts.push(Part::Example(Example { info, text }));
            rest = after;
        }
        parts.extend(words(rest));
        parts
    }
}

fn words(text: &'static str) -> impl Iterator<Item = Part> {
    text.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).map(Part::Words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{CODES, SETTINGS_FILE, load, load_settings, tests::vocabulary},
        failure::SourceFault,
    };

    fn codes_of(text: &str) -> Vec<&'static str> {
        load("config/example.yaml", text.as_bytes(), &vocabulary())
            .map_or_else(|problems| problems.iter().map(|problem| problem.code).collect(), |_| Vec::new())
    }

    fn codes_of_settings(text: &str) -> Vec<&'static str> {
        let problems = load_settings(SETTINGS_FILE, text.as_bytes()).err().unwrap_or_default();
        problems.iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn every_code_has_a_page_with_its_meaning() {
        // The codes of rejects as written to files: `Self::EmptyOutput => "empty_output",`.
        let rejects = include_str!("../row.rs").split("pub fn code(self)").nth(1).expect("codes stand there");
        let rejects = rejects.split("\n    }\n").next().unwrap().split('"').skip(1).step_by(2);
        let exits = ["exit-1", "exit-2", "exit-3", "exit-4", "exit-5", "exit-6", "exit-9", "exit-70", "exit-130"];
        let rest = rejects.chain(exits).map(|code| (code, ""));
        let sources = SourceFault::ALL.iter().map(|fault| (fault.code(), fault.meaning()));
        let codes: Vec<(&str, &str)> = CODES.iter().copied().chain(sources).chain(rest).collect();
        assert!(codes.len() > 55, "the rejects are found");
        let pages = pages();
        let written: Vec<&str> = pages.iter().map(|page| page.code).collect();
        assert_eq!(written, codes.iter().map(|(code, _)| *code).collect::<Vec<_>>());
        for ((code, meaning), page) in codes.iter().zip(&pages) {
            assert!(
                page.meaning == *meaning || meaning.is_empty() && !page.meaning.is_empty(),
                "{code}: {}",
                page.meaning
            );
        }
    }

    #[test]
    fn every_page_says_something_and_shows_both_ways() {
        for page in pages() {
            let parts = page.parts();
            assert!(matches!(parts[0], Part::Words(words) if words.len() > 40), "{}", page.code);
            let shown = |words: &[&str]| {
                let is = |part: &Part| {
                    matches!(part, Part::Example(example)
                    if example.info.split(' ').nth(1).is_some_and(|word| words.contains(&word)))
                };
                parts.iter().filter(|part| is(part)).count()
            };
            // These cannot be provoked.
            let shows = usize::from(!["not_encoded", "exit-6", "exit-9", "exit-70", "exit-130"].contains(&page.code));
            assert_eq!((shown(&["wrong"]), shown(&["right", "recipe"])), (shows, shows), "{}", page.code);
        }
    }

    #[test]
    fn wrong_recipes_have_their_code_and_right_ones_none() {
        let mut seen = 0;
        for page in pages() {
            for part in page.parts() {
                let Part::Example(example) = part else { continue };
                match example.info {
                    "yaml wrong" => assert!(
                        codes_of(example.text).contains(&page.code),
                        "{}: {:?}",
                        page.code,
                        codes_of(example.text)
                    ),
                    "yaml recipe" => assert_eq!(codes_of(example.text), [""; 0], "{}", page.code),
                    "toml wrong" => assert!(codes_of_settings(example.text).contains(&page.code), "{}", page.code),
                    "toml right" => assert_eq!(codes_of_settings(example.text), [""; 0], "{}", page.code),
                    _ => continue,
                }
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen}");
    }
}
