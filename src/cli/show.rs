//! `datac show`: pretty-prints rows of an output.

use anstyle::Style;
use serde_json::Value;
use textwrap::core::display_width;

use super::{
    errors, exit,
    render::rendered,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN, counted_rows, rows},
    trace::{found, said},
};
use crate::workspace::{Condition, DroppedRow, Pick, ShownRow, Workspace, split_place};
use clap::Args;

/// Options of `show`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac show sft/general                        the first rows of the training file
  datac show dataset/dpo_safety_val.jsonl:7     one row
  datac show sft_code_train.jsonl --rows 10 --where source=code_alpaca
  datac show sft/general --where text~Python --json | jq .text
  datac show sft/general --rejected empty_output       rejected rows, with place and reason
  datac show sft/general --dropped length              rows that a filter drops, with their scores")]
pub(super) struct Options {
    /// An output by path or name, or a recipe (as for `build`) for its training file; `:LINE` starts at that line
    #[arg(value_name = "OUTPUT[:LINE]")]
    pub(super) output: String,
    /// Number of rows [default: 3, or 1 with a line]
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) rows: Option<u64>,
    /// Only rows whose field has this value, or with `~` contains it; repeatable, all must match
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub(super) conditions: Vec<Condition>,
    /// Show rejected rows of a recipe, all or those with this reason
    #[arg(long, value_name = "REASON", num_args = 0..=1, default_missing_value = "", conflicts_with = "dropped")]
    pub(super) rejected: Option<String>,
    /// Show rows that a filter of a recipe drops, with their scores: its type, `column:NAME`, or its function
    #[arg(long, value_name = "FILTER", conflicts_with = "conditions")]
    pub(super) dropped: Option<String>,
    /// Show rows as the recipe's model sees them, as `datac render` does
    #[arg(long, conflicts_with_all = ["conditions", "rejected", "dropped"])]
    pub(super) tokens: bool,
    /// Print the rows exactly as in the file
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    if options.tokens {
        let rows = options.rows.unwrap_or(if split_place(&options.output).is_ok() { 1 } else { 3 });
        return rendered(workspace, &options.output, rows, options.json, screen);
    }
    if let Some(filter) = &options.dropped {
        return dropped(workspace, options, filter, screen);
    }
    let pick = Pick { rows: options.rows, conditions: options.conditions.clone(), tells_more: !options.json };
    let columns = screen.data_width();
    let mut is_first = true;
    let each = |row: ShownRow| {
        let text = match (options.json, is_first) {
            (true, _) => row.text + "\n",
            (false, true) => laid_out(&row, columns),
            (false, false) => format!("\n{}", laid_out(&row, columns)),
        };
        is_first = false;
        screen.data(&text)
    };
    let outputs = workspace.outputs();
    let shown = match options.rejected.as_deref() {
        Some("") => outputs.show_rejected(&options.output, None, &pick, each),
        Some(reason) => outputs.show_rejected(&options.output, Some(reason), &pick, each),
        None => outputs.show(&options.output, &pick, each),
    };
    match shown {
        Ok(shown) if options.rejected.is_some() => {
            let what = match options.rejected.as_deref() {
                Some("") | None => "rejected".to_owned(),
                Some(reason) => format!("rejected as {reason}"),
            };
            shown_of(shown.rows, shown.of, &what, screen);
            exit::OK
        }
        Ok(shown) if shown.rows == 0 && !options.conditions.is_empty() => {
            let path = shown.path.strip_prefix(&workspace.settings().root).unwrap_or(&shown.path);
            screen.say(&format!("no matching rows in {}", path.strip_prefix(".").unwrap_or(path).display()));
            exit::OK
        }
        Ok(_) => exit::OK,
        Err(error) => errors::report(&error, workspace, screen),
    }
}

/// Prints the rows that a filter drops.
fn dropped(workspace: &Workspace, options: &Options, filter: &str, screen: &Screen) -> u8 {
    let columns = screen.data_width();
    let mut is_first = true;
    let limit = options.rows.unwrap_or(3);
    let shown = workspace.outputs().dropped(&options.output, filter, limit, |row| {
        let text = match options.json {
            true => serde_json::to_string(&row).expect("a row is plain data") + "\n",
            false => format!("{}{}", if is_first { "" } else { "\n" }, laid_out_dropped(&row, columns)),
        };
        is_first = false;
        screen.data(&text)
    });
    match shown {
        Ok(shown) => {
            shown_of(shown.shown, shown.dropped, &format!("dropped by {filter}"), screen);
            exit::OK
        }
        Err(error) => errors::report(&error, workspace, screen),
    }
}

/// Says how many of the rows are shown.
fn shown_of(shown: u64, of: u64, what: &str, screen: &Screen) {
    let text = match (shown, of) {
        (_, 0) => format!("no row was {what}"),
        (shown, of) if shown < of => format!("{} of {} {what}; -n\u{a0}{of} shows all", rows(shown), counted_rows(of)),
        (_, of) => format!("{} {what}", counted_rows(of)),
    };
    screen.say_wrapped(&format!("{FAINT}{text}{FAINT:#}"), 2);
}

/// Formats a dropped row: where it is and why it was dropped, then its parts.
fn laid_out_dropped(row: &DroppedRow, columns: Option<usize>) -> String {
    let parts = parts_of(row.row.get(), None, None, columns).map_or_else(String::new, |(_, parts)| parts);
    let score = row.by.score.as_str().map_or_else(|| row.by.score.to_string(), str::to_owned);
    let why = match &row.twin {
        Some(twin) => format!("same {} as {}:{}", row.by.field, clean(&twin.file), twin.row),
        None if row.by.filter == "column" && row.by.score.is_null() => {
            format!("no value in column {} (requires {})", clean(&row.by.field), clean(&row.by.bound))
        }
        None if row.by.filter == "column" => {
            format!("column {} is {} (requires {})", clean(&row.by.field), clean(&score), clean(&row.by.bound))
        }
        None if row.by.filter == "python" => {
            format!("{}: {} (requires {})", clean(&row.by.field), clean(&said(&row.by.score)), row.by.bound)
        }
        None => format!("{} of {} is {score} (requires {})", row.by.filter, row.by.field, row.by.bound),
    };
    let place = format!("{}:{}", clean(&row.source.file), row.source.row);
    format!("{place} {FAINT}of {}{FAINT:#} {WARN}{why}{WARN:#}\n{parts}", clean(&row.source.source))
}

/// Formats a row for reading: a line with its number, then its parts.
fn laid_out(row: &ShownRow, columns: Option<usize>) -> String {
    let findings = row.findings.as_ref().and_then(found);
    match parts_of(&row.text, row.answer.as_deref(), findings.as_deref(), columns) {
        Some((what, parts)) => format!("line {} {FAINT}{what}{FAINT:#}\n{parts}", row.line),
        None => format!("line {} {ERROR}not a row{ERROR:#}\n{}\n", row.line, clean(&row.text)),
    }
}

/// Formats the parts of a row; returns what it is, and the parts. `None` if the text is no row.
fn parts_of(
    row: &str,
    answer: Option<&str>,
    findings: Option<&str>,
    columns: Option<usize>,
) -> Option<(String, String)> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(row) else { return None };
    let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
    let source = text(fields.remove("source")).unwrap_or_default();
    let mut page = Page { out: String::new(), columns };
    let dialogue = ["conversations", "messages"].into_iter().find_map(|name| Some((name, turns(fields.get(name))?)));
    let kind = match (dialogue, turns(fields.get("chosen")), turns(fields.get("rejected"))) {
        (Some((name, turns)), ..) => {
            let has_text = fields.contains_key("text");
            // The same conversation as a single text.
            fields.retain(|field, _| field != name && (field != "text" || name == "messages"));
            page.dialogue(&turns);
            match (has_text || name == "messages", fields.contains_key("label")) {
                (true, _) => "conversation",
                (false, true) => "labelled",
                (false, false) => "prompt",
            }
        }
        (None, Some(chosen), Some(rejected)) => {
            fields.retain(|name, _| !["chosen", "rejected"].contains(&name.as_str()));
            page.pair(&chosen, &rejected);
            "preference"
        }
        _ => match (text(fields.get("reason").cloned()), text(fields.get("raw").cloned())) {
            (Some(reason), Some(raw)) => {
                let detail = text(fields.get("detail").cloned()).unwrap_or_default();
                page.part("rejected", WARN, &if detail.is_empty() { reason } else { format!("{reason}: {detail}") });
                page.part("place", FAINT, &place_of(&fields));
                page.part("raw", Style::new(), &raw);
                const TOLD: &[&str] = &["reason", "raw", "detail", "file", "row", "line", "offset"];
                fields.retain(|name, value| !TOLD.contains(&name.as_str()) && value.as_str() != Some(""));
                "reject"
            }
            _ => match text(fields.remove("text")) {
                Some(running) => {
                    page.part("text", Style::new(), &running);
                    "text"
                }
                None => "row",
            },
        },
    };
    if let Some(answer) = answer {
        page.part("answer", GOOD, answer);
    }
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        page.part(name, FAINT, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    if let Some(findings) = findings {
        page.part("rules", WARN, findings);
    }
    let what = if source.is_empty() { kind.to_owned() } else { format!("{kind} of {}", clean(&source)) };
    Some((what, page.out))
}

/// Formats where a reject is in its source: file, row, line and byte.
fn place_of(fields: &serde_json::Map<String, Value>) -> String {
    let number = |name: &str| fields.get(name).and_then(Value::as_u64);
    let file = fields.get("file").and_then(Value::as_str).unwrap_or_default();
    let row = number("row").map_or_else(String::new, |row| format!(":{row}"));
    match (number("line"), number("offset")) {
        (Some(line), Some(offset)) => format!("{file}{row} (line {line}, byte {offset})"),
        _ => format!("{file}{row}"),
    }
}

/// Returns the turns of a conversation: the speaker and the content of each, with whatever else the message has.
fn turns(value: Option<&Value>) -> Option<Vec<(String, String)>> {
    let turn = |turn: &Value| {
        let role = turn.get("role").or(turn.get("from"))?.as_str()?.to_owned();
        let mut parts: Vec<String> = Vec::new();
        for (name, value) in turn.as_object()?.iter().filter(|(name, _)| !["role", "from"].contains(&name.as_str())) {
            match (name.as_str(), value) {
                ("content" | "value", Value::String(text)) => parts.push(text.clone()),
                ("content" | "value", Value::Null) => {}
                ("content" | "value", value) => parts.push(value.to_string()),
                (_, Value::String(text)) => parts.push(format!("{name}: {text}")),
                (_, value) => parts.push(format!("{name}: {value}")),
            }
        }
        Some((role, parts.join("\n")))
    };
    value?.as_array()?.iter().map(turn).collect()
}

/// Replaces control characters, which could affect the terminal.
fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => '\n',
        '\t' => ' ',
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Width of the column of roles.
const ROLES: usize = 11;

/// Minimum width of the terminal for two texts side by side.
const PAIRED: usize = 100;

/// Text of one row.
struct Page {
    out: String,
    columns: Option<usize>,
}

impl Page {
    /// Writes a text next to its name.
    fn part(&mut self, name: &str, style: Style, text: &str) {
        let name = clean(name);
        let lines = lines(text, self.columns.map(|columns| columns.saturating_sub(ROLES + 2)));
        let pad = ROLES.saturating_sub(display_width(&name)).max(1);
        for (i, line) in lines.iter().enumerate() {
            let head = if i == 0 {
                format!("  {style}{name}{style:#}{:pad$}{line}", "")
            } else {
                format!("  {:ROLES$}{line}", "")
            };
            self.out.push_str(head.trim_end());
            self.out.push('\n');
        }
    }

    fn dialogue(&mut self, turns: &[(String, String)]) {
        for (role, content) in turns {
            self.part(role, style_of(role), content);
        }
    }

    /// Writes the shared part of two conversations, then the rest of each.
    fn pair(&mut self, chosen: &[(String, String)], rejected: &[(String, String)]) {
        let shared = chosen.iter().zip(rejected).take_while(|(a, b)| a == b).count();
        self.dialogue(&chosen[..shared]);
        let joined = |turns: &[(String, String)]| match turns {
            [(role, content)] if role == "assistant" => content.clone(),
            turns => turns.iter().map(|(role, content)| format!("{role}: {content}")).collect::<Vec<_>>().join("\n"),
        };
        let (chosen, rejected) = (joined(&chosen[shared..]), joined(&rejected[shared..]));
        match self.columns {
            Some(columns) if columns >= PAIRED => {
                let width = (columns - 2 - 3) / 2;
                let (left, right) = (lines(&chosen, Some(width)), lines(&rejected, Some(width)));
                let pad = width - "chosen".len();
                self.out.push_str(&format!("  {GOOD}chosen{GOOD:#}{:pad$} │ {ERROR}rejected{ERROR:#}\n", ""));
                for i in 0..left.len().max(right.len()) {
                    let (left, right) = (left.get(i).map_or("", |line| line), right.get(i).map_or("", |line| line));
                    let pad = width.saturating_sub(display_width(left));
                    self.out.push_str(format!("  {left}{:pad$} │ {right}", "").trim_end());
                    self.out.push('\n');
                }
            }
            _ => {
                self.part("chosen", GOOD, &chosen);
                self.part("rejected", ERROR, &rejected);
            }
        }
    }
}

fn style_of(role: &str) -> Style {
    match role {
        "system" => FAINT,
        "user" => HINT,
        "assistant" => GOOD,
        _ => WARN,
    }
}

/// Wraps a text into lines of at most `width` columns, keeping its own line ends.
fn lines(text: &str, width: Option<usize>) -> Vec<String> {
    let text = clean(text);
    match width {
        None => text.split('\n').map(str::to_owned).collect(),
        Some(width) => text
            .split('\n')
            .flat_map(|line| {
                let options = textwrap::Options::new(width.max(20));
                textwrap::wrap(line, options).into_iter().map(std::borrow::Cow::into_owned).collect::<Vec<_>>()
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, columns: Option<usize>) -> String {
        let row = ShownRow { line: 7, text: text.to_owned(), answer: None, findings: None };
        anstream::adapter::strip_str(&laid_out(&row, columns)).to_string()
    }

    #[test]
    fn rows_fit_their_width() {
        let pair = r#"{"chosen":[{"role":"user","content":"Which?"},{"role":"assistant","content":"The one that was
 preferred, at some length, 東京 and all."}],"rejected":[{"role":"user","content":"Which?"},{"role":"assistant","content":"No."}],"source":"s"}"#;
        let pair = pair.replace("\n", "");
        for columns in [40, 80, 120, 200] {
            for line in shown(&pair, Some(columns)).lines() {
                assert!(display_width(line) <= columns, "{columns}: {line}");
            }
        }
        let wide = shown(&pair, Some(120));
        assert!(wide.contains("│ No."), "{wide}");
        let narrow = shown(&pair, Some(40));
        assert!(narrow.contains("\n  rejected   No.\n"), "{narrow}");
        assert_eq!(narrow.matches("Which?").count(), 1, "what both share is shown once");
    }

    #[test]
    fn rows_cannot_steer_the_terminal_and_need_not_be_rows() {
        let text = shown("{\"text\":\"a\\u001b[2Jb\\tc\\nd\",\"source\":\"\\u0007\",\"more\":[1]}", None);
        assert_eq!(text, "line 7 text of ␇\n  text       a␛[2Jb c\n             d\n  more       [1]\n");
        assert_eq!(shown("not\u{7} json", Some(40)), "line 7 not a row\nnot␇ json\n");
        assert!(shown("[1,2]", None).contains("not a row"));
        let reject =
            r#"{"source":"s","file":"a.jsonl","row":3,"line":null,"reason":"empty_output","detail":"no","raw":"{}"}"#;
        assert_eq!(
            shown(reject, None),
            "line 7 reject of s\n  rejected   empty_output: no\n  place      a.jsonl:3\n  raw        {}\n"
        );
    }

    #[test]
    fn messages_are_laid_out_with_all_that_they_have() {
        let row = r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[1]}],"id":7}"#;
        let told = "line 7 conversation\n  user       Hi\n  assistant  tool_calls: [1]\n  id         7\n";
        assert_eq!(shown(row, None), told);
    }
}
