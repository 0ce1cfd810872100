//! `datac diff`: counts the rows that differ from an earlier build, and shows a few of them.

use std::borrow::Cow;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Deserialize;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN, counted_rows, rows, wrapped},
    times,
};
use crate::{
    system,
    workspace::{DiffRow, DiffSide, RowPair, RowsDiff, SourceRows, TokenPair, Workspace},
};
use clap::Args;

/// Width of texts if there is no terminal.
const USUAL_WIDTH: usize = 100;

/// Maximum number of lines shown per text.
const LINES: usize = 3;

/// Options of `diff`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac diff sft/general                       the latest build against the previous one
  datac diff sft/general --vs 3                against the output after run 3
  datac diff dataset/a.jsonl --vs old.jsonl    two files, as they are on disk")]
pub(super) struct Options {
    /// An output file, or a recipe (as for `build`)
    #[arg(value_name = "OUTPUT")]
    pub(super) output: String,
    /// What to compare with: a run's number, or a file [default: the previous distinct build]
    #[arg(long, value_name = "RUN|FILE")]
    pub(super) vs: Option<String>,
    /// Number of rows of each kind to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
    pub(super) rows: u16,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for RowsDiff {
    const SCHEMA: &'static str = "datac.diff/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<RowsDiff>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let diff = match workspace.outputs().diff(&options.output, options.vs.as_deref(), usize::from(options.rows)) {
        Ok(diff) => diff,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&diff, screen);
    } else {
        screen.data(&text(&diff, screen.data_width()));
    }
    exit::OK
}

fn text(diff: &RowsDiff, columns: Option<usize>) -> String {
    let what = diff.recipe.clone().unwrap_or_else(|| side(&diff.new));
    let new = if diff.recipe.is_some() { format!(": {}", side(&diff.new)) } else { String::new() };
    let head = format!("{what}{new}, {} against {}, {}", count(&diff.new), side(&diff.old), count(&diff.old));
    let mut out = format!("{}\n", wrapped(&head, 0, 2, columns));
    let total = |of: fn(&SourceRows) -> u64| diff.sources.iter().map(of).sum::<u64>();
    let differ =
        [total(|rows| rows.added), total(|rows| rows.removed), total(|rows| rows.changed), total(|rows| rows.moved)];
    let encoded = total(|rows| rows.encoded);
    if differ == [0; 4] && encoded == 0 {
        out.push_str("no differences\n");
        return out;
    }
    out.push_str(&format!("\n{}\n", table(&diff.sources)));
    let width = columns.unwrap_or(USUAL_WIDTH);
    section(&mut out, "added", differ[0], diff.added.len());
    diff.added.iter().for_each(|row| out.push_str(&shown(row, &format!("{GOOD}+{GOOD:#}"), width)));
    section(&mut out, "removed", differ[1], diff.removed.len());
    diff.removed.iter().for_each(|row| out.push_str(&shown(row, &format!("{ERROR}-{ERROR:#}"), width)));
    section(&mut out, "changed", differ[2], diff.changed.len());
    diff.changed.iter().for_each(|pair| out.push_str(&changed(pair, width)));
    section(&mut out, "moved", differ[3], diff.moved.len());
    diff.moved.iter().for_each(|pair| out.push_str(&moved(pair, width)));
    section(&mut out, "other tokens", encoded, diff.encoded.len());
    diff.encoded.iter().for_each(|pair| out.push_str(&encoded_otherwise(pair, width)));
    let listed = [diff.added.len(), diff.removed.len(), diff.changed.len(), diff.moved.len(), diff.encoded.len()];
    if differ.iter().sum::<u64>() + encoded > listed.iter().sum::<usize>() as u64 {
        out.push_str(&format!("\n{HINT}next:{HINT:#} `-n 20` shows more rows\n"));
    }
    out
}

fn side(side: &DiffSide) -> String {
    match (&side.file, side.run) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(run)) => {
            let when = side.built_ns.map(|ns| format!(" ({})", times::ago(ns, system::now_ns())));
            format!("run\u{a0}{run}{}", when.unwrap_or_default().replace(' ', "\u{a0}").replacen('\u{a0}', " ", 1))
        }
        (None, None) => "nothing".to_owned(),
    }
}

fn count(side: &DiffSide) -> String {
    counted_rows(side.rows).replace(' ', "\u{a0}")
}

fn table(sources: &[SourceRows]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    // Most recipes have no model.
    let has_encoded = sources.iter().any(|source| source.encoded > 0);
    let encoded = has_encoded.then_some("other tokens");
    let heads = ["source", "added", "removed", "changed", "moved"].into_iter().chain(encoded).chain(["same"]);
    let heads: Vec<&str> = heads.collect();
    table.set_header(heads.iter().enumerate().map(|(at, head)| match at {
        0 => Cell::new(head),
        _ => right((*head).to_owned()),
    }));
    for source in sources {
        let encoded = has_encoded.then_some(source.encoded);
        let counts = [source.added, source.removed, source.changed, source.moved].into_iter().chain(encoded);
        let counts: Vec<u64> = counts.chain([source.same]).collect();
        let name = if source.name.is_empty() { "(none)" } else { source.name.as_str() };
        table.add_row(std::iter::once(Cell::new(name)).chain(counts.into_iter().map(|count| right(rows(count)))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.to_string();
    lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn section(out: &mut String, name: &str, all: u64, shown: usize) {
    if shown > 0 {
        let some =
            if all > shown as u64 { format!(" {FAINT}({shown} of {}){FAINT:#}", rows(all)) } else { String::new() };
        out.push_str(&format!("\n{name}{some}\n"));
    }
}

/// Formats a row with its location, prompt and answer.
fn shown(row: &DiffRow, sign: &str, width: usize) -> String {
    let parts = parts(row);
    let mut out = format!("  {sign} {FAINT}{}{FAINT:#}\n", place(row));
    for (name, text) in &parts {
        out.push_str(&block("    ", name, text, width));
    }
    out
}

/// Formats a changed row: changed parts before and after, unchanged parts once.
fn changed(pair: &RowPair, width: usize) -> String {
    let (old, new) = (parts(&pair.old), parts(&pair.new));
    let mut out = format!("  {WARN}~{WARN:#} {FAINT}{}{FAINT:#}\n", place(&pair.new));
    for (at, (name, text)) in new.iter().enumerate() {
        match old.get(at).map(|(_, text)| text) {
            Some(before) if before == text => out.push_str(&block("    ", name, text, width)),
            before => {
                // Begin shortly before the texts differ, so that the difference is among the lines shown.
                let from = before.map_or(0, |before| parting(before, text));
                if let Some(before) = before {
                    out.push_str(&block(&format!("  {ERROR}-{ERROR:#} "), name, &tail(before, from), width));
                }
                out.push_str(&block(&format!("  {GOOD}+{GOOD:#} "), name, &tail(text, from), width));
            }
        }
    }
    out
}

fn moved(pair: &RowPair, width: usize) -> String {
    let word = |row: &DiffRow| row.split.unwrap_or("file");
    let sign = format!("{WARN}{} -> {}{WARN:#}", word(&pair.old), word(&pair.new));
    let mut out = format!("  {sign} {FAINT}{}{FAINT:#}\n", place(&pair.new));
    // The prompt identifies the row.
    if let Some((name, text)) = parts(&pair.new).first() {
        out.push_str(&block("    ", name, text, width));
    }
    out
}

/// Formats a row of which the model sees something else.
fn encoded_otherwise(pair: &TokenPair, width: usize) -> String {
    let count = |before: u32, now: u32| match before == now {
        true => rows(now.into()),
        false => format!("{} -> {}", rows(before.into()), rows(now.into())),
    };
    let (tokens, trained) = (count(pair.tokens_before, pair.tokens), count(pair.trained_before, pair.trained));
    let counts = format!("{WARN}{tokens} tokens, {trained} trained on{WARN:#}");
    let mut out = format!("  {WARN}~{WARN:#} {FAINT}{}{FAINT:#} {counts}\n", place(&pair.row));
    // The prompt identifies the row.
    if let Some((name, text)) = parts(&pair.row).first() {
        out.push_str(&block("    ", name, text, width));
    }
    out
}

fn place(row: &DiffRow) -> String {
    match row.split {
        Some(split) => format!("{} line {}, {}", split, rows(u64::from(row.line)), row.source),
        None => format!("line {}, {}", rows(u64::from(row.line)), row.source),
    }
}

/// Returns the byte offset where two texts start to differ, less a few words of context.
fn parting(one: &str, other: &str) -> usize {
    const BEFORE: usize = 40;
    let same = one.char_indices().zip(other.chars()).take_while(|((_, a), b)| a == b);
    let at = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
    if at <= 2 * BEFORE {
        return 0;
    }
    let from = at - BEFORE;
    (from..=at).find(|from| one.is_char_boundary(*from)).unwrap_or(at)
}

fn tail(text: &str, from: usize) -> Cow<'_, str> {
    match (from, text.get(from..)) {
        (1.., Some(rest)) => Cow::Owned(format!("…{rest}")),
        _ => Cow::Borrowed(text),
    }
}

/// Formats the first lines of a text, next to its name.
fn block(lead: &str, name: &str, text: &str, width: usize) -> String {
    const NAME: usize = 10;
    // Two columns are reserved for the mark of omitted text.
    let room = width.saturating_sub(4 + NAME + 2).max(16);
    // Control characters, which a terminal would interpret, are shown as spaces.
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // Only a few lines are shown, so only the beginning of a long text is wrapped.
    let enough: String = plain.chars().take(room * (LINES + 1)).collect();
    let mut lines = textwrap::wrap(&enough, room);
    let is_cut = lines.len() > LINES || enough.len() < plain.len();
    lines.truncate(LINES);
    let mut out = String::new();
    let last = lines.len().saturating_sub(1);
    for (at, line) in lines.iter().enumerate() {
        let head = if at == 0 { format!("{lead}{FAINT}{name:<NAME$}{FAINT:#}") } else { " ".repeat(4 + NAME) };
        let more = if at == last && is_cut { " …" } else { "" };
        out.push_str(format!("{head}{line}{more}").trim_end());
        out.push('\n');
    }
    out
}

/// Returns the parts of a row: speakers, and what they say.
fn parts(row: &DiffRow) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Row {
        conversations: Option<Vec<Turn>>,
        chosen: Option<Vec<Turn>>,
        rejected: Option<Vec<Turn>>,
        text: Option<String>,
    }
    #[derive(Deserialize)]
    struct Turn {
        role: String,
        content: String,
    }
    let says = |turn: Turn| (turn.role, turn.content);
    let Ok(read) = serde_json::from_str::<Row>(row.row.get()) else {
        return vec![("row".to_owned(), row.row.get().to_owned())];
    };
    match (read.conversations, read.chosen) {
        (Some(turns), _) => turns.into_iter().map(says).collect(),
        (None, Some(mut chosen)) => {
            let preferred = chosen.pop().map(|turn| ("chosen".to_owned(), turn.content));
            let other = read.rejected.and_then(|mut turns| turns.pop());
            let other = other.map(|turn| ("rejected".to_owned(), turn.content));
            chosen.into_iter().map(says).chain(preferred).chain(other).collect()
        }
        (None, None) => vec![("text".to_owned(), read.text.unwrap_or_default())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_differences_are_in_sight() {
        let long = "word ".repeat(100);
        let shown = block("    ", "user", &long, 40);
        assert_eq!(shown.lines().count(), LINES);
        let seen = |line: &str| line.replace(&FAINT.to_string(), "").replace(&format!("{FAINT:#}"), "").chars().count();
        assert!(shown.ends_with(" …\n") && shown.lines().all(|line| seen(line) <= 40), "{shown}");
        assert_eq!(block("    ", "user", "", 40), format!("    {FAINT}{:<10}{FAINT:#}\n", "user"));
        let (one, other) = (format!("{long}é end"), format!("{long}è end"));
        let from = parting(&one, &other);
        assert!(tail(&one, from).starts_with('…') && tail(&one, from).ends_with("é end"));
        assert_eq!(parting("short", "shirt"), 0);
        assert!(!block("", "x", "a\u{1b}[31mb\u{7}", 40).contains('\u{7}'));
    }
}
