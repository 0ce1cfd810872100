//! `datac inspect`: looks at a source before a recipe reads it.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{
    document::{self, Content},
    errors, exit, init, schema,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN, bytes, counted_rows, rows, wrapped},
};
use crate::workspace::{Inspect, InspectedColumn, InspectedKind, Inspection, Workspace};
use clap::Args;

/// Options of `inspect`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac inspect data/chats.jsonl               a file of the workspace
  datac inspect openai/gsm8k --split test      a split of a Hub dataset
  datac inspect data/pairs --phase dpo --json")]
pub(super) struct Options {
    /// A Hub dataset, or a file or folder of the workspace
    #[arg(value_name = "SOURCE")]
    pub(super) source: String,
    /// Config of the dataset [default: its own]
    #[arg(long, value_name = "NAME")]
    config: Option<String>,
    /// Split to read; repeatable [default: train]
    #[arg(long = "split", value_name = "NAME")]
    splits: Vec<String>,
    /// Phase that the rows are for [default: all are tried]
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,
    /// Number of samples to convert
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for Inspection {
    const SCHEMA: &'static str = "datac.inspect/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Inspection>()];

/// How many files and columns are listed.
const LISTED: usize = 8;

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let asked = Inspect {
        config_name: options.config.clone(),
        splits: options.splits.clone(),
        phase: options.phase.clone(),
        rows: options.rows,
        ..Inspect::of(&options.source)
    };
    let found = match workspace.inspect(&asked) {
        Ok(found) => found,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&found, screen);
    } else {
        screen.data(&text(&found, screen.data_width()));
        if found.entry.is_some() {
            let next = format!("datac add {} puts the entry into a recipe", init::word(&found.source));
            screen.say_wrapped(&format!("{HINT}next:{HINT:#} {next}"), 6);
        }
    }
    if found.entry.is_some() { exit::OK } else { exit::USAGE }
}

fn text(found: &Inspection, columns: Option<usize>) -> String {
    let mut out = match &found.commit {
        Some(commit) => format!("{} at {} ({})\n", found.repo, short(commit), found.place),
        None => format!("{} ({})\n", found.repo, found.place),
    };
    files(found, columns, &mut out);
    columns_of(found, columns, &mut out);
    if !found.examples.is_empty() {
        out.push_str("\nrows\n");
        for example in &found.examples {
            out.push_str(&format!("  {}\n", cut(&one_line(example), columns.map_or(160, |columns| columns - 3))));
        }
    }
    out.push_str("\nconverters\n");
    for kind in &found.kinds {
        converter(kind, found.entry.is_none(), columns, &mut out);
    }
    if let Some(entry) = &found.entry {
        out.push_str(&format!("\nrecipe entry {FAINT}(below `datasets:`){FAINT:#}\n{entry}"));
    }
    out
}

fn files(found: &Inspection, columns: Option<usize>, out: &mut String) {
    let size: u64 = found.files.iter().map(|file| file.bytes).sum();
    out.push_str(&format!("\nfiles {FAINT}({}, {}){FAINT:#}\n", rows(found.files.len() as u64), bytes(size)));
    for file in found.files.iter().take(LISTED) {
        out.push_str(&format!("  {}  {FAINT}{}, {}{FAINT:#}\n", file.path, file.format, bytes(file.bytes)));
    }
    if found.files.len() > LISTED {
        out.push_str(&format!("  {FAINT}and {} more{FAINT:#}\n", found.files.len() - LISTED));
    }
    if !found.passed_over.is_empty() {
        let names: Vec<&str> = found.passed_over.iter().take(LISTED).map(String::as_str).collect();
        let more = match found.passed_over.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!("{WARN}not read{WARN:#}: {}{more}", names.join(", "));
        out.push_str(&format!("  {}\n", wrapped(&text, 2, 4, columns)));
    }
}

fn columns_of(found: &Inspection, width: Option<usize>, out: &mut String) {
    if found.columns.is_empty() {
        return;
    }
    let first = if found.is_whole { "" } else { "first " };
    out.push_str(&format!("\ncolumns {FAINT}({first}{}){FAINT:#}\n", counted_rows(found.rows)));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for column in &found.columns {
        table.add_row([column.name.clone(), types(column), absent(column, found.rows)]);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if at == 0 { 2 } else { 0 }, 2));
        column.set_cell_alignment(CellAlignment::Left);
    }
    for line in table.lines() {
        out.push_str(&cut(line.trim_end(), width.unwrap_or(usize::MAX)));
        out.push('\n');
    }
}

/// Formats the types of a column, the commonest first.
fn types(column: &InspectedColumn) -> String {
    let mut types: Vec<(&str, u64)> = column.types.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    types.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match types[..] {
        [] => "null".to_owned(),
        [(kind, _)] => kind.to_owned(),
        _ => types.iter().map(|(kind, count)| format!("{kind} {}", rows(*count))).collect::<Vec<_>>().join(", "),
    }
}

/// Formats how many rows have no value in a column.
fn absent(column: &InspectedColumn, of: u64) -> String {
    let share =
        |count: u64, what: &str| (count > 0).then(|| format!("{:.1}% {what}", 100.0 * count as f64 / of.max(1) as f64));
    share(column.nulls, "null").into_iter().chain(share(column.missing, "missing")).collect::<Vec<_>>().join(", ")
}

fn converter(kind: &InspectedKind, is_stuck: bool, columns: Option<usize>, out: &mut String) {
    let mut say = |text: String, indent: usize| {
        let pad = " ".repeat(indent);
        out.push_str(&format!("{pad}{}\n", wrapped(&text, indent, indent + 2, columns)));
    };
    let phase = &kind.phase;
    match &kind.converter {
        Some(name) if kind.samples > 0 => {
            let counts = format!("{} of {} used", rows(kind.rows - rejected(kind)), counted_rows(kind.rows));
            say(format!("{GOOD}{phase:<9}{GOOD:#} {name}: {}; {counts}", kind.why), 2);
        }
        Some(name) => say(format!("{ERROR}{phase:<9}{ERROR:#} {name}: {}", kind.why), 2),
        None => say(format!("{FAINT}{phase:<9}{FAINT:#} {}", kind.why), 2),
    }
    if let Some(hint) = kind.hint.as_ref().filter(|_| is_stuck) {
        say(format!("{HINT}hint:{HINT:#} {hint}"), 12);
    }
    for reject in &kind.rejects {
        say(format!("{WARN}rejected{WARN:#} {} {}, first {}", rows(reject.rows), reject.reason, reject.first), 12);
    }
}

fn rejected(kind: &InspectedKind) -> u64 {
    kind.rejects.iter().map(|reject| reject.rows).sum::<u64>().min(kind.rows)
}

/// Returns the first ten digits of a commit.
fn short(commit: &str) -> &str {
    let hex = commit.rsplit(':').next().unwrap_or(commit);
    hex.get(..10).unwrap_or(hex)
}

/// Puts a row on one line, without what would steer a terminal.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts a line at `width` columns.
fn cut(text: &str, width: usize) -> String {
    if textwrap::core::display_width(text) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if textwrap::core::display_width(&out) + 2 > width {
            break;
        }
        out.push(c);
    }
    out + "…"
}
