//! `datac render`: rows as the recipe's model sees them.

use anstyle::Style;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, GOOD, HINT, Screen, WARN},
};
use crate::workspace::{SeenPart, SeenRow, SeenRun, SeenSequence, Workspace, split_place};
use clap::Args;

/// Options of `render`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac render sft/chat                        the first row of the training file
  datac render dataset/sft_chat_train.jsonl:7  one row
  datac render sft/chat -n 100 --json | jq .sequences[0].ids")]
pub(super) struct Options {
    /// An output by path or name, or a recipe (as for `build`) for its training file; `:LINE` starts at that line
    #[arg(value_name = "OUTPUT[:LINE]")]
    pub(super) output: String,
    /// Number of rows
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    pub(super) rows: u64,
    /// Print one JSON document per row, with the text, the ids and what of them is trained on
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for SeenRow {
    const SCHEMA: &'static str = "datac.rendered/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<SeenRow>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    rendered(workspace, &options.output, options.rows, options.json, screen)
}

/// Prints rows of an output as the model sees them.
pub(super) fn rendered(workspace: &Workspace, output: &str, rows: u64, json: bool, screen: &Screen) -> u8 {
    let (file, first) = split_place(output).unwrap_or((output, 1));
    let mut is_first = true;
    let shown = workspace.outputs().seen(file, first, rows, |row| {
        let text = match json {
            true => document::line(&row),
            false => format!("{}{}", if is_first { "" } else { "\n" }, laid_out(&row)),
        };
        is_first = false;
        screen.data(&text)
    });
    match shown {
        Ok(()) => exit::OK,
        Err(error) => errors::report(&error, workspace, screen),
    }
}

fn laid_out(row: &SeenRow) -> String {
    let mut out = String::new();
    for (number, sequence) in row.sequences.iter().enumerate() {
        let which = match (number, row.sequences.len()) {
            _ if sequence.id.is_some() => sequence.id.iter().map(|id| format!(", {id}")).collect(),
            (_, 1) => String::new(),
            (0, _) => ", chosen".to_owned(),
            (1, 2) => ", rejected".to_owned(),
            (number, _) => format!(", rank {}", number + 1),
        };
        let trained: u32 = sequence.trained.iter().map(|run| run.end - run.start).sum();
        out.push_str(&format!(
            "line {} of {}{which} {FAINT}{} tokens of {}, {trained} trained on{FAINT:#}\n",
            row.line,
            row.output,
            sequence.ids.len(),
            row.model,
        ));
        out.push_str(&text_of(sequence));
        out.push_str(&runs_of(sequence));
    }
    out
}

/// Formats the text, with what is trained on in the colour of its reason.
fn text_of(sequence: &SeenSequence) -> String {
    let mut out = String::from("  ");
    for SeenPart { text, why } in &sequence.parts {
        let style = why.map_or(FAINT, style_of);
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                out.push_str("\n  ");
            }
            if !line.is_empty() {
                out.push_str(&format!("{style}{}{style:#}", printable(line)));
            }
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Lists what is trained on, and why.
fn runs_of(sequence: &SeenSequence) -> String {
    let line = |run: &SeenRun| {
        let style = style_of(run.why);
        let message = run.message.map_or_else(String::new, |message| format!("message {}", message + 1));
        let weight = if run.weight == 1.0 { String::new() } else { format!(", weight {}", run.weight) };
        let (tokens, why) = (format!("{}..{}", run.start, run.end), run.why);
        match format!("{message}{weight}") {
            beside if beside.is_empty() => format!("  {tokens:<12} {style}{why}{style:#}\n"),
            beside => format!("  {tokens:<12} {style}{why:<11}{style:#}  {FAINT}{beside}{FAINT:#}\n"),
        }
    };
    match sequence.trained.is_empty() {
        true => format!("  {FAINT}nothing is trained on{FAINT:#}\n"),
        false => sequence.trained.iter().map(line).collect(),
    }
}

fn style_of(why: &str) -> Style {
    match why {
        "reasoning" => HINT,
        "tool_call" => WARN,
        "end_of_turn" => GOOD.underline(),
        _ => GOOD,
    }
}

/// Replaces control characters, which could affect the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_trained_on_is_listed_with_its_reason() {
        let run = |start, end, why| SeenRun { start, end, why, message: Some(1), weight: 1.0 };
        let sequence = SeenSequence {
            id: None,
            text: "<u>hi\n<a>\u{1b}yes<end>".to_owned(),
            ids: vec![1, 2, 3, 4, 5],
            tokens: ["<u>", "hi\n", "<a>", "\u{1b}yes", "<end>"].map(str::to_owned).into(),
            trained: vec![run(3, 4, "content"), run(4, 5, "end_of_turn")],
            parts: [("<u>hi\n<a>", None), ("\u{1b}yes", Some("content")), ("<end>", Some("end_of_turn"))]
                .map(|(text, why)| SeenPart { text: text.to_owned(), why })
                .into(),
        };
        let row = SeenRow { output: "a.jsonl".into(), line: 7, model: "m".into(), sequences: vec![sequence] };
        let shown = anstream::adapter::strip_str(&laid_out(&row)).to_string();
        let expected = "line 7 of a.jsonl 5 tokens of m, 2 trained on\n  <u>hi\n  <a>\u{fffd}yes<end>\n  \
                        3..4         content      message 2\n  4..5         end_of_turn  message 2\n";
        assert_eq!(shown, expected);
    }
}
