//! `datac trace`: follows an output row to its source, and a source row to the outputs.

use std::collections::BTreeMap;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, GOOD, Screen, WARN, rows, wrapped},
};
use crate::{
    outputs::OutputKind,
    workspace::{
        Fate, FateOf, FileState, Findings, Identified, Journey, Origin, OutputLine, Passed, SampleOf, SourcePlace,
        SourceText, Workspace, split_place,
    },
};
use clap::Args;

/// Options of `trace`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac trace dataset/sft_general_train.jsonl:17    the row's source, filters, split and position
  datac trace quarantine/sft_general.jsonl:1        a rejected row
  datac trace --id row-0123456789abcdef             a row of a trainer's log
  datac trace --source tatsu-lab/alpaca data/train-00000-of-00001.parquet:811
                                                    what happened to a source row")]
pub(super) struct Options {
    /// A line of an output, counted from 1; with `--source`, a row of a source file, counted from 0
    #[arg(value_name = "FILE:NUMBER", required_unless_present = "id")]
    pub(super) place: Option<String>,
    /// Trace a row of this source to the outputs: a repository, a local path, or its name in a recipe
    #[arg(long, value_name = "SOURCE")]
    pub(super) source: Option<String>,
    /// Trace the `id` of a row, which `output: {shape: …, id: true}` writes
    #[arg(long, value_name = "ID", conflicts_with_all = ["place", "source"])]
    pub(super) id: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for Origin {
    const SCHEMA: &'static str = "datac.trace/1";
}

impl Content for Journey {
    const SCHEMA: &'static str = "datac.journey/1";
}

impl Content for Identified {
    const SCHEMA: &'static str = "datac.identified/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] =
    &[schema::of::<Origin>(), schema::of::<Journey>(), schema::of::<Identified>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let columns = screen.data_width();
    let place = || split_place(options.place.as_deref().unwrap_or_default());
    let told = match (&options.id, &options.source) {
        (Some(id), _) => workspace.outputs().trace_id(id).map(|identified| match options.json {
            true => document::text(&identified),
            false => {
                let rows: Vec<String> = identified.rows.iter().map(|journey| journey_text(journey, columns)).collect();
                rows.join("\n")
            }
        }),
        (None, Some(source)) => place().and_then(|(file, number)| {
            let journey = workspace.outputs().trace_source(source, file, number)?;
            Ok(if options.json { document::text(&journey) } else { journey_text(&journey, columns) })
        }),
        (None, None) => place().and_then(|(file, number)| {
            let origin = workspace.outputs().trace(file, number)?;
            Ok(if options.json { document::text(&origin) } else { origin_text(&origin, columns) })
        }),
    };
    match told {
        Ok(text) => {
            screen.data(&text);
            exit::OK
        }
        Err(error) => errors::report(&error, workspace, screen),
    }
}

/// Width of the column of names.
const NAMES: usize = 11;

/// Formats a line with a name; a long value is wrapped below its first line.
fn entry(name: &str, value: &str, columns: Option<usize>) -> String {
    format!("  {name:<NAMES$}{}\n", wrapped(value, NAMES + 2, NAMES + 2, columns))
}

fn origin_text(origin: &Origin, columns: Option<usize>) -> String {
    let style = if origin.side == OutputKind::Quarantine { WARN } else { GOOD };
    let side = origin.side.word();
    let mut out = format!("{}:{} {style}{side}{style:#}\n", origin.output, origin.line);
    out.push_str(&entry("built", &format!("by {}, run {}", origin.path, origin.run), columns));
    let file = &origin.file;
    match (file.state, file.asked_line) {
        (FileState::Edited, Some(asked)) => {
            let text = format!("edited by hand since; line {asked} is line {} of the built file", origin.line);
            out.push_str(&entry("file", &format!("{WARN}{text}{WARN:#}"), columns));
        }
        (FileState::Edited, None) => {
            let text = "edited by hand since, but not in this line";
            out.push_str(&entry("file", &format!("{WARN}{text}{WARN:#}"), columns));
        }
        (FileState::Missing, _) => out.push_str(&entry("file", "missing; shown as it was built", columns)),
        (FileState::Same, _) => {}
    }
    if file.is_older {
        out.push_str(&entry("file", "from an older build; the recipe has been rebuilt since", columns));
    }
    out.push_str(&place(&origin.source, columns));
    if let Some(SampleOf { nth, of }) = origin.sample {
        out.push_str(&entry("sample", &format!("{nth} of the {of} that the row yields"), columns));
    }
    let options: Vec<String> = origin.options.iter().map(|(name, value)| format!(", {name} {value}")).collect();
    let converter = format!("{} {}{}", origin.converter, origin.converter_code, options.concat());
    out.push_str(&entry("converter", &converter, columns));
    if let Some(shortened) = &origin.shortened {
        out.push_str(&entry("shortened", shortened, columns));
    }
    if let Some(findings) = origin.findings.as_ref().and_then(found) {
        out.push_str(&entry("rules", &findings, columns));
    }
    for (i, filter) in origin.filters.iter().enumerate() {
        out.push_str(&entry(if i == 0 { "filters" } else { "" }, &scored(filter), columns));
    }
    if let Some(reject) = &origin.reject {
        let detail = if reject.detail.is_empty() { String::new() } else { format!(": {}", reject.detail) };
        out.push_str(&entry("rejected", &format!("{WARN}{}{WARN:#}{detail}", reject.reason.code()), columns));
    }
    if let Some(split) = &origin.split {
        let prompt = format!("{FAINT}(prompt {}){FAINT:#}", split.prompt_hash);
        out.push_str(&entry("split", &format!("{} {prompt}", split.why), columns));
    }
    if let Some(mixed) = &origin.mixture {
        let mut text = format!(
            "sample {} of the {} kept from {}; row {} of {} in this file",
            rows(mixed.sample),
            rows(mixed.kept),
            origin.source.source,
            rows(mixed.nth),
            rows(mixed.of)
        );
        if mixed.uses > 1 {
            text.push_str(&format!(", occurrence {} of {}", mixed.use_of, mixed.uses));
        }
        out.push_str(&entry("mixture", &text, columns));
    }
    out.push_str(&source_row(&origin.source_row, columns));
    out
}

/// Formats what the rules found in a row, with the words of a build; `None` if there is nothing.
pub(super) fn found(findings: &Findings) -> Option<String> {
    let found = match findings {
        Findings::Known(found) if found.is_nothing() => return None,
        Findings::Known(found) => found,
        Findings::Unavailable(why) => return Some(format!("{FAINT}unknown: {why}{FAINT:#}")),
    };
    let places = |verb: &str, places: &BTreeMap<String, u32>| {
        let rules: Vec<String> = places.iter().map(|(rule, places)| format!("{places} {rule}")).collect();
        (!rules.is_empty()).then(|| format!("{verb} {}", rules.join(", ")))
    };
    let joined = (found.joined_turns > 0).then(|| format!("{} turns joined", found.joined_turns));
    let all = [joined, places("repaired", &found.repaired), places("found", &found.warned)];
    Some(all.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Formats repository, file and row.
fn place(place: &SourcePlace, columns: Option<usize>) -> String {
    let mut out = String::new();
    if !place.commit.is_empty() {
        let commit = place.commit.rsplit(':').next().unwrap_or_default();
        let license = place.license.as_ref().map_or_else(String::new, |license| format!(", licence {license}"));
        let text = format!("{} at {}{license}", place.repo, commit.get(..10).unwrap_or(commit));
        out.push_str(&entry("source", &text, columns));
    }
    out.push_str(&entry("row", &row_of(place), columns));
    out
}

fn row_of(place: &SourcePlace) -> String {
    let mut text = format!("{}:{}", place.file, place.row);
    if let (Some(line), Some(offset)) = (place.line, place.offset) {
        text.push_str(&format!(" {FAINT}(line {line}, byte {offset}){FAINT:#}"));
    }
    text
}

/// Formats the score of a filter and its threshold.
fn scored(filter: &Passed) -> String {
    let score = match &filter.score {
        serde_json::Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |number| format!("{number:.4}"))
        }
        serde_json::Value::String(text) => text.get(..12).unwrap_or(text).to_owned(),
        other => other.to_string(),
    };
    match filter.filter.as_str() {
        "deduplication" => format!("deduplication of {}: {score}", filter.field),
        "column" if filter.score.is_null() => format!("column {}: no value (requires {})", filter.field, filter.bound),
        "column" => format!("column {}: {} (requires {})", filter.field, filter.score, filter.bound),
        "python" => format!("{}: {} (requires {})", filter.field, said(&filter.score), filter.bound),
        name => format!("{name} of {}: {score} (requires {})", filter.field, filter.bound),
    }
}

/// Formats what a function said of a sample.
pub(super) fn said(score: &serde_json::Value) -> String {
    match score {
        serde_json::Value::Null => "no score".to_owned(),
        serde_json::Value::String(why) => format!("no score: {why}"),
        score => score.to_string(),
    }
}

/// Formats the source row, cut after two lines.
fn source_row(text: &SourceText, columns: Option<usize>) -> String {
    match text {
        SourceText::Row(row) => {
            let room = columns.map_or(200, |columns| 2 * columns.saturating_sub(NAMES + 4)).max(40);
            let row: String = row.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let row = row.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown: String = row.chars().take(room).collect();
            let more = if shown.len() < row.len() { "…" } else { "" };
            entry("source row", &format!("{FAINT}{shown}{more}{FAINT:#}"), columns)
        }
        SourceText::Unavailable(why) => entry("source row", &format!("{FAINT}unavailable: {why}{FAINT:#}"), columns),
    }
}

fn journey_text(journey: &Journey, columns: Option<usize>) -> String {
    let mut out = format!("{} {}:{}\n", journey.source, journey.file, journey.row);
    if let Some(first) = journey.fates.first()
        && let (Some(line), Some(offset)) = (first.source.line, first.source.offset)
    {
        out.push_str(&entry("location", &format!("line {line}, byte {offset}"), columns));
    }
    if let Some(text) = &journey.source_row {
        out.push_str(&source_row(text, columns));
    }
    for fate in &journey.fates {
        let sample = fate.sample.map(|sample| format!(", sample {} of {}", sample.nth, sample.of));
        out.push_str(&format!("{}{}\n", fate.recipe, sample.unwrap_or_default()));
        out.push_str(&fate_text(fate, columns));
        if let Some(shortened) = &fate.shortened {
            out.push_str(&entry("shortened", shortened, columns));
        }
        if let Some(findings) = fate.findings.as_ref().and_then(found) {
            out.push_str(&entry("rules", &findings, columns));
        }
    }
    out
}

fn fate_text(fate: &FateOf, columns: Option<usize>) -> String {
    let place = |line: &OutputLine| format!("{}:{}", line.output, line.line);
    match &fate.fate {
        Fate::Written { lines } => {
            let lines: Vec<String> = lines.iter().map(place).collect();
            entry(&format!("{GOOD}written{GOOD:#}    "), &lines.join(" "), columns)
        }
        Fate::Rejected { reject, quarantine } => {
            let detail = if reject.detail.is_empty() { String::new() } else { format!(": {}", reject.detail) };
            let text = format!("{}{detail}; {}", reject.reason.code(), place(quarantine));
            entry(&format!("{WARN}rejected{WARN:#}   "), &text, columns)
        }
        Fate::NoSample => entry(&format!("{WARN}no sample{WARN:#}  "), "the converter makes none of it", columns),
        Fate::Filtered { by, twin } => {
            let twin = twin.as_ref().map(|twin| format!(", as {}:{}", twin.file, twin.row));
            let text = scored(by) + &twin.unwrap_or_default();
            entry(&format!("{WARN}filtered{WARN:#}   "), &text, columns)
        }
        Fate::NotReached { max_samples } => {
            let max = max_samples.map_or_else(String::new, |max| format!(": earlier rows filled max_samples {max}"));
            entry(&format!("{WARN}unread{WARN:#}     "), &format!("not needed{max}"), columns)
        }
        Fate::NotSampled { rows: taken } => {
            let text = format!("`sample` takes {} other rows", rows(*taken));
            entry(&format!("{WARN}left out{WARN:#}   "), &text, columns)
        }
        Fate::Compared { by } => {
            let text = format!("another source has its prompt or row ({})", by.join(", "));
            entry(&format!("{WARN}left out{WARN:#}   "), &text, columns)
        }
        Fate::NotChosen { kept, gives } => {
            let text = format!("the mixture uses {} of the {} kept rows", rows(*gives), rows(*kept));
            entry(&format!("{WARN}left out{WARN:#}   "), &text, columns)
        }
    }
}
