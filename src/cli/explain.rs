//! `datac explain`: what a code means, with a wrong example and a right one.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    exit, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, VERB, WARN, wrapped},
};
use crate::config::{Page, Part, pages};

/// Options of `explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac explain                every code there is
  datac explain E0119          of a problem in a recipe
  datac explain empty_output   of a rejected row")]
pub(super) struct Options {
    /// A code, as problems and quarantine files have it [default: list them]
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// What `explain --json` prints.
#[derive(Serialize, JsonSchema)]
struct Pages {
    /// The page asked for, or all.
    pages: Vec<Told>,
}

/// One page of it.
#[derive(Serialize, JsonSchema)]
struct Told {
    /// The code.
    code: &'static str,
    /// What it means, in one line.
    meaning: &'static str,
    /// The page, Markdown.
    text: &'static str,
}

impl Content for Pages {
    const SCHEMA: &'static str = "datac.explain/1";
}

/// What it prints as JSON.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Pages>()];

/// The width that prose is laid out for where there is no terminal.
const PROSE: usize = 80;

pub(super) fn run(options: &Options, screen: &Screen) -> u8 {
    let mut pages = pages();
    if let Some(code) = &options.code {
        let named = pages.iter().find(|page| page.code.eq_ignore_ascii_case(code.trim())).copied();
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
    let columns = screen.data_width().unwrap_or(PROSE);
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
            format!("did you mean `{}`, {}?", page.code, page.meaning)
        }
        _ => "`datac explain` lists all codes".to_owned(),
    };
    screen.error(&format!("explain `{code}`: there is no such code"), Some(&hint));
    exit::USAGE
}

fn listed(pages: &[Page], columns: usize) -> String {
    let width = pages.iter().map(|page| page.code.len()).max().unwrap_or(0) + 2;
    let line = |page: &Page| {
        let meaning = wrapped(page.meaning, width, width, Some(columns));
        format!("{VERB}{:<width$}{VERB:#}{meaning}\n", page.code)
    };
    pages.iter().map(line).collect::<String>() + &format!("{HINT}next:{HINT:#} datac explain CODE\n")
}

fn shown(page: &Page, columns: usize) -> String {
    let head = format!("{WARN}{}{WARN:#}: {}", page.code, page.meaning);
    let mut out = wrapped(&head, 0, 2, Some(columns)) + "\n";
    for part in page.parts() {
        match part {
            Part::Words(words) => {
                // Prose is broken anew; what leads to an example is of its colour.
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
