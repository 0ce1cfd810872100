//! Reads the rows of an output from its file: all of them, or those that meet conditions.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    cache::Access,
    provenance::trace::{Finder, Findings, Located, Sources, locate, named_output, split_place},
    selector::{find, one_recipe},
    site::{Site, WorkspaceError, lines_of},
    system::{self, FileError},
};
use datac_core::{
    failure::{Failure, FailureKind},
    outputs::OutputKind,
    sample::SampleKind,
};

/// A condition on a field of a row: `source=alpaca`, `conversations.0.role=system`, `text~recursion`.
///
/// If a step of the field leads to a list, any element may match, unless the next step is a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    field: Vec<String>,
    value: String,
    is_part: bool,
}

impl std::str::FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['=', '~']).filter(|at| *at > 0);
        let at = at.ok_or("use FIELD=VALUE, or FIELD~PART for a part of the text")?;
        Ok(Self {
            field: text[..at].split('.').map(str::to_owned).collect(),
            value: text[at + 1..].to_owned(),
            is_part: text[at..].starts_with('~'),
        })
    }
}

impl Condition {
    /// Returns whether a row meets the condition.
    pub fn is_met(&self, row: &Value) -> bool {
        self.is_met_below(row, &self.field)
    }

    fn is_met_below(&self, value: &Value, field: &[String]) -> bool {
        match (field.split_first(), value) {
            (None, Value::Array(items)) => items.iter().any(|item| self.is_met_below(item, field)),
            (None, Value::String(text)) => self.fits(text),
            (None, Value::Object(_)) => false,
            (None, other) => self.fits(&other.to_string()),
            (Some((step, rest)), Value::Object(fields)) => {
                fields.get(step).is_some_and(|value| self.is_met_below(value, rest))
            }
            (Some((step, rest)), Value::Array(items)) => match step.parse::<usize>() {
                Ok(number) => items.get(number).is_some_and(|item| self.is_met_below(item, rest)),
                Err(_) => items.iter().any(|item| self.is_met_below(item, field)),
            },
            _ => false,
        }
    }

    fn fits(&self, text: &str) -> bool {
        if self.is_part { text.contains(&self.value) } else { text == self.value }
    }
}

/// Which rows to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Maximum number of rows; by default one if a line was named, otherwise three.
    pub rows: Option<u64>,
    /// Conditions that every row must meet.
    pub conditions: Vec<Condition>,
    /// Whether to tell what is not in the file: the answer of each row, and what the rules found in it.
    pub tells_more: bool,
}

/// A row to show.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// The line as it is in the file.
    pub text: String,
    /// The final answer stored beside the row, if there is one and the file is as it was built.
    pub answer: Option<String>,
    /// What the rules found in the row, if the file is as it was built.
    pub findings: Option<Findings>,
}

/// Result of showing rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Path of the file.
    pub path: PathBuf,
    /// Number of rows shown.
    pub rows: u64,
    /// Number of rows that meet the conditions; of an output only as far as the file was read.
    pub of: u64,
}

/// What to do with the rows beyond those that are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// Leave them unread: an output may have many.
    Stop,
    /// Count them.
    Count,
}

/// Default number of rows to show.
const ROWS: u64 = 3;

/// Calls `each` with the rows of an output, beginning at the line that `target` names or at the first, until `each`
/// returns false.
///
/// `target` is an output by its path or name, or a recipe for its training file, optionally followed by `:LINE`.
pub(crate) fn show(
    site: &Site,
    target: &str,
    pick: &Pick,
    each: impl FnMut(ShownRow) -> bool,
) -> Result<Shown, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let (target, first) = match split_place(target) {
        Ok((file, line)) if !system::exists(&site.root().join(target)) => (file, Some(line)),
        _ => (target, None),
    };
    if first == Some(0) {
        return Err(no_line(format!("`{target}` has no line 0")).into());
    }
    let path = named_output(site, &record, target)?.path;
    let beside = || {
        let located = locate(site, &record, target).ok()?;
        let finder = Finder::new(Sources::new(site, &record, &located.lineage));
        Some(Beside { located, finder })
    };
    rows_of(path, (target, first), pick, Beyond::Stop, beside, each)
}

/// What the cache and the sources hold beside the rows of an output.
struct Beside<'s> {
    located: Located,
    finder: Finder<'s>,
}

impl Beside<'_> {
    /// Adds to a row what is known of it.
    fn add_to(&mut self, row: &mut ShownRow) -> Result<(), WorkspaceError> {
        let lineage = &self.located.lineage;
        let Some((at, index)) = self.located.sample(row.line)? else { return Ok(()) };
        if matches!(self.located.kind(), SampleKind::Prompt | SampleKind::Conversation) {
            row.answer = lineage.answer(at, &index)?;
        }
        row.findings = Some(self.finder.find(lineage, at, &index)?);
        Ok(())
    }
}

fn no_line(message: String) -> Failure {
    Failure::plain(FailureKind::Config, message).hint("lines are counted from 1")
}

/// Calls `each` with the rejected rows of a recipe, until `each` returns false.
pub(crate) fn show_rejected(
    site: &Site,
    target: &str,
    reason: Option<&str>,
    pick: &Pick,
    each: impl FnMut(ShownRow) -> bool,
) -> Result<Shown, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let recipe = one_recipe(site, target, &record)?;
    let text = find(site, &[recipe])?.recipes.into_iter().next();
    let text = text.ok_or_else(|| Failure::plain(FailureKind::Config, format!("`{target}` is no recipe")))?;
    let recipe = site.recipes.load(&text.path, &text.text).map_err(WorkspaceError::Problems)?;
    let path = site.outputs.file(&recipe.outputs(&text.path).name(OutputKind::Quarantine));
    if !system::exists(&path) {
        if record.recipes()?.contains_key(&text.path) {
            return Ok(Shown { path, rows: 0, of: 0 });
        }
        let failure = Failure::plain(FailureKind::Config, format!("`{}` has not been built yet", text.name));
        return Err(failure.hint(format!("run `datac build {}` first", text.name)).into());
    }
    let mut conditions = pick.conditions.clone();
    conditions.extend(reason.map(|reason| Condition {
        field: vec!["reason".to_owned()],
        value: reason.to_owned(),
        is_part: false,
    }));
    rows_of(path, (target, None), &Pick { conditions, ..pick.clone() }, Beyond::Count, || None, each)
}

/// Calls `each` with the rows of a file that `pick` wants, from line `first` on; `target` is what was typed.
fn rows_of<'s>(
    path: PathBuf,
    (target, first): (&str, Option<u64>),
    pick: &Pick,
    beyond: Beyond,
    beside: impl Fn() -> Option<Beside<'s>>,
    mut each: impl FnMut(ShownRow) -> bool,
) -> Result<Shown, WorkspaceError> {
    let failed = |source| FileError { verb: "read", path: path.clone(), source };
    let mut reader = lines_of(&path)?;
    let limit = pick.rows.unwrap_or(if first.is_some() && pick.conditions.is_empty() { 1 } else { ROWS });
    let (mut line, mut shown, mut of) = (0, 0, 0);
    let mut known: Option<Option<Beside<'s>>> = None;
    let mut bytes = Vec::new();
    while shown < limit || beyond == Beyond::Count {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            break;
        }
        line += 1;
        if first.is_some_and(|first| line < first) {
            continue;
        }
        let text = String::from_utf8_lossy(bytes.trim_ascii_end());
        if !pick.conditions.is_empty() {
            let row = serde_json::from_str::<Value>(&text).unwrap_or(Value::Null);
            if !pick.conditions.iter().all(|condition| condition.is_met(&row)) {
                continue;
            }
        }
        of += 1;
        if shown >= limit {
            continue;
        }
        let mut row = ShownRow { line, text: text.into_owned(), answer: None, findings: None };
        if pick.tells_more
            && let Some(beside) = known.get_or_insert_with(&beside)
        {
            // A row is shown even if what stands beside it is unavailable.
            let _ = beside.add_to(&mut row);
        }
        shown += 1;
        if !each(row) {
            break;
        }
    }
    if let Some(first) = first.filter(|first| *first > line && limit > 0) {
        return Err(no_line(format!("`{target}` has no line {first}, only {line} lines")).into());
    }
    Ok(Shown { path, rows: shown, of })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_reach_into_rows() {
        let row: Value = serde_json::from_str(
            r#"{"conversations":[{"role":"system","content":"Be brief."},{"role":"user","content":"Why a = b?"}],
                "source":"a.b","n":1.5,"ok":true,"none":null}"#,
        )
        .unwrap();
        let met = |text: &str| text.parse::<Condition>().unwrap().is_met(&row);
        for text in [
            "source=a.b",
            "n=1.5",
            "ok=true",
            "none=null",
            "conversations.role=user",
            "conversations.0.role=system",
            "conversations.content~a = b",
            "source~.",
        ] {
            assert!(met(text), "{text}");
        }
        for text in
            ["source=a", "conversations.1.role=system", "conversations.9.role=user", "missing=", "conversations=x"]
        {
            assert!(!met(text), "{text}");
        }
        for text in ["", "source", "=x", "~"] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}
