//! `datac explain`: the meaning of a code, with a wrong example and a right one.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    exit, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, VERB, WARN, wrapped},
};
use crate::workspace::{Page, Part, pages};

/// Options of `explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac explain                list all codes
  datac explain E0119          an error in a recipe
  datac explain empty_output   a reason for rejecting a row
  datac explain 4              an exit code")]
pub(super) struct Options {
    /// An error code, a reject code or an exit code [default: list all]
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// The document that `explain --json` prints.
#[derive(Serialize, JsonSchema)]
struct Pages {
    /// The requested page, or all pages.
    pages: Vec<Told>,
}

/// One page of the document.
#[derive(Serialize, JsonSchema)]
struct Told {
    /// Code that the page explains.
    code: &'static str,
    /// Meaning of the code in one line.
    meaning: &'static str,
    /// Text of the page, as Markdown.
    text: &'static str,
}

impl Content for Pages {
    const SCHEMA: &'static str = "datac.explain/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Pages>()];

/// Prefix of the codes of exit codes; the number alone is accepted too.
const EXIT: &str = "exit-";

/// Width of prose without a terminal, and the maximum width.
const PROSE: usize = 80;
const WIDEST: usize = 100;

pub(super) fn run(options: &Options, screen: &Screen) -> u8 {
    let mut pages = pages();
    if let Some(code) = &options.code {
        let is_called = |page: &&Page| {
            let number = page.code.strip_prefix(EXIT);
            page.code.eq_ignore_ascii_case(code.trim()) || number.is_some_and(|number| number == code.trim())
        };
        let named = pages.iter().find(is_called).copied();
        match named {
            Some(page) => pages = vec![page],
            None => return unknown(code, &pages, screen),
        }
    }
    if options.json {
        let told = pages.iter().map(|page| Told { code: page.code, meaning: page.meaning, text: page.body });
        document::print(&Pages { pages: told.collect() }, screen);
        return exit::OK;
    }
    let columns = screen.data_width().unwrap_or(PROSE).min(WIDEST);
    match (&options.code, &pages[..]) {
        (Some(_), [page]) => screen.data(&shown(page, columns)),
        _ => screen.data(&listed(&pages, columns)),
    };
    exit::OK
}

fn unknown(code: &str, pages: &[Page], screen: &Screen) -> u8 {
    let meant = code.trim().to_lowercase();
    let nearest = pages.iter().min_by_key(|page| strsim::damerau_levenshtein(&page.code.to_lowercase(), &meant));
    let hint = match nearest {
        Some(page) if strsim::damerau_levenshtein(&page.code.to_lowercase(), &meant) <= meant.len().max(4) / 3 => {
            format!("did you mean `{}` ({})?", page.code, page.meaning)
        }
        _ => "`datac explain` lists all codes".to_owned(),
    };
    screen.error(&format!("unknown code `{code}`"), Some(&hint));
    exit::USAGE
}

fn listed(pages: &[Page], columns: usize) -> String {
    let (problems, rest): (Vec<&Page>, Vec<&Page>) = pages.iter().partition(|page| page.code.starts_with('E'));
    let (exits, rejects): (Vec<&Page>, Vec<&Page>) = rest.into_iter().partition(|page| page.code.starts_with(EXIT));
    let (recipes, sources): (Vec<&Page>, Vec<&Page>) =
        problems.into_iter().partition(|page| page.code.starts_with("E01"));
    let groups = [
        ("Errors in recipes and datac.toml", recipes),
        ("Errors of sources", sources),
        ("Rejected rows", rejects),
        ("Exit codes", exits),
    ];
    let groups = groups.iter().map(|(title, pages)| group(title, pages, columns) + "\n");
    groups.collect::<String>() + &format!("{HINT}next:{HINT:#} datac explain CODE\n")
}

fn group(title: &str, pages: &[&Page], columns: usize) -> String {
    const NARROW: usize = 60;
    let width = pages.iter().map(|page| page.code.len()).max().unwrap_or(0) + 4;
    let mut out = format!("{title}:\n");
    for page in pages {
        let (gap, indent) = match columns {
            ..NARROW => ("\n      ".to_owned(), 6),
            _ => (" ".repeat(width - 2 - page.code.len()), width),
        };
        let meaning = wrapped(page.meaning, indent, indent, Some(columns));
        out.push_str(&format!("  {VERB}{}{VERB:#}{gap}{meaning}\n", page.code));
    }
    out
}

fn shown(page: &Page, columns: usize) -> String {
    let head = format!("{WARN}{}{WARN:#}: {}", page.code, page.meaning);
    let mut out = wrapped(&head, 0, 2, Some(columns)) + "\n";
    for part in page.parts() {
        match part {
            Part::Words(words) => {
                // Paragraphs are wrapped anew; a paragraph that introduces an example has its colour.
                let style = match words {
                    "Right:" | "Used:" => GOOD,
                    words if words.ends_with(':') => ERROR,
                    _ => anstyle::Style::new(),
                };
                let words = words.replace('\n', " ");
                out.push_str(&format!("\n{style}{}{style:#}\n", wrapped(&words, 0, 0, Some(columns))));
            }
            Part::Example(example) => {
                let lines = example.text.lines().map(|line| format!("  {FAINT}|{FAINT:#} {line}\n"));
                out.extend(lines);
            }
        }
    }
    out
}
