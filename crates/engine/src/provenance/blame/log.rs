//! Reads logs of training: JSON lines, each with a step and the ids of the rows that a rank trained on in it.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    io::BufRead,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    event::{Event, Observer},
    site::WorkspaceError,
    system::{self, FileError},
};
use datac_core::{
    failure::{Failure, FailureKind},
    outputs::hash_of_id,
};

/// An id as a log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) id: String,
    /// The hash that the id stands for.
    pub(super) hash: u64,
    /// The recipe whose output it is of, if the log says so.
    pub(super) recipe: Option<String>,
    /// The log: its place among those that were named.
    pub(super) log: usize,
    /// Line in the log, from 1.
    pub(super) line: u64,
}

/// A line of a log. Other keys, such as a loss, are of whoever writes them.
#[derive(Deserialize)]
struct Line<'l> {
    /// The optimizer step, from 1.
    step: Option<u64>,
    /// A training begins after this step: what the rank did in later ones before is of a training that was given up.
    begin: Option<u64>,
    #[serde(default)]
    rank: u64,
    #[serde(borrow)]
    recipe: Option<Cow<'l, str>>,
    #[serde(borrow)]
    ids: Option<Vec<Cow<'l, str>>>,
}

/// What a line is, beyond being JSON.
enum Meant<'l> {
    Begin { after: u64, rank: u64 },
    Step { step: u64, rank: u64, recipe: Option<Cow<'l, str>>, ids: Vec<Cow<'l, str>> },
}

/// Reads the ids of a step from all logs, in their order.
pub(super) fn read(logs: &[PathBuf], step: u64, observer: &Observer) -> Result<Vec<Logged>, WorkspaceError> {
    let (mut found, mut steps) = (Vec::new(), BTreeSet::new());
    for (number, path) in logs.iter().enumerate() {
        let mut of_log = OfLog { path, number, step, found: Vec::new(), steps: &mut steps };
        of_log.read(observer)?;
        found.extend(of_log.found.into_iter().flat_map(|(_, ids)| ids));
    }
    if found.is_empty() {
        let names: Vec<String> = logs.iter().map(|path| format!("`{}`", path.display())).collect();
        let has = if logs.len() == 1 { "has" } else { "have" };
        let failure = Failure::plain(FailureKind::Config, format!("{} {has} no rows of step {step}", names.join(", ")));
        return Err(match (steps.first(), steps.last()) {
            (Some(first), Some(last)) if first == last => failure.hint(format!("the only step is {first}")),
            (Some(first), Some(last)) => failure.hint(format!("there are steps from {first} to {last}")),
            _ => failure.hint("there are no steps at all: `datac.trl.RowIds` writes them while a model is trained"),
        }
        .into());
    }
    Ok(found)
}

/// What is read from one log.
struct OfLog<'a> {
    path: &'a Path,
    /// Its place among the logs.
    number: usize,
    step: u64,
    /// The ids of the step, with the rank that trained on them.
    found: Vec<(u64, Vec<Logged>)>,
    /// All steps of all logs.
    steps: &'a mut BTreeSet<u64>,
}

impl OfLog<'_> {
    fn read(&mut self, observer: &Observer) -> Result<(), WorkspaceError> {
        let path = self.path;
        let failed = |source| FileError { verb: "read", path: path.to_owned(), source };
        let opened = system::open(path).map_err(|error| match error.is_missing() {
            true => WorkspaceError::from(Failure::plain(
                FailureKind::Config,
                format!("the log `{}` does not exist", path.display()),
            )),
            false => error.into(),
        });
        let mut reader = std::io::BufReader::new(opened?);
        let (mut text, mut line) = (Vec::new(), 0);
        loop {
            text.clear();
            if reader.read_until(b'\n', &mut text).map_err(failed)? == 0 {
                return Ok(());
            }
            line += 1;
            let is_whole = text.ends_with(b"\n");
            if text.trim_ascii().is_empty() {
                continue;
            }
            match meant(text.trim_ascii()) {
                Ok(meant) => self.take(meant, line)?,
                // The process that wrote it was killed, or is writing it.
                Err(_) if !is_whole => {
                    let place = format!("{}:{line}", self.path.display());
                    observer(Event::Warning(format!("{place}: the last line is not complete; it is left out")));
                }
                Err(why) => return Err(self.malformed(line, &why)),
            }
        }
    }

    fn take(&mut self, meant: Meant<'_>, line: u64) -> Result<(), WorkspaceError> {
        match meant {
            Meant::Begin { after, rank } => {
                if after < self.step {
                    self.found.retain(|(known, _)| *known != rank);
                }
            }
            Meant::Step { step, .. } if step != self.step => {
                self.steps.insert(step);
            }
            Meant::Step { rank, recipe, ids, .. } => {
                let logged = |id: Cow<'_, str>| {
                    let Some(hash) = hash_of_id(&id) else {
                        return Err(self.malformed(line, &format!("`{id}` is no `id` of a row")));
                    };
                    let recipe = recipe.as_deref().map(str::to_owned);
                    Ok(Logged { id: id.into_owned(), hash, recipe, log: self.number, line })
                };
                let ids = ids.into_iter().map(logged).collect::<Result<_, _>>()?;
                self.found.push((rank, ids));
            }
        }
        Ok(())
    }

    fn malformed(&self, line: u64, why: &str) -> WorkspaceError {
        let failure = Failure::plain(FailureKind::Config, format!("{}:{line}: {why}", self.path.display()));
        failure.hint("a line is such as `{\"step\": 5, \"ids\": [\"row-0123456789abcdef\"]}`").into()
    }
}

fn meant(text: &[u8]) -> Result<Meant<'_>, String> {
    let line: Line<'_> = serde_json::from_slice(text).map_err(|error| {
        // The parser counts lines within the line that it was given.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        match error.is_data() {
            true => words.to_owned(),
            false => format!("not JSON at column {}: {words}", error.column()),
        }
    })?;
    match line {
        Line { begin: Some(after), rank, .. } => Ok(Meant::Begin { after, rank }),
        Line { step: Some(step), ids: Some(ids), rank, recipe, .. } => Ok(Meant::Step { step, rank, recipe, ids }),
        Line { step: None, .. } => Err("it has no `step`".to_owned()),
        Line { ids: None, .. } => Err("it has no `ids`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn observer() -> (Observer, Arc<Mutex<Vec<String>>>) {
        let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = warnings.clone();
        let observer: Observer = Arc::new(move |event| {
            if let Event::Warning(text) = event {
                told.lock().unwrap().push(text);
            }
        });
        (observer, warnings)
    }

    fn ids(texts: &[&str], step: u64) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..texts.len()).map(|number| folder.path().join(format!("{number}.jsonl"))).collect();
        for (path, text) in paths.iter().zip(texts) {
            system::replace(path, text.as_bytes()).unwrap();
        }
        match read(&paths, step, &observer().0) {
            Ok(found) => Ok(found.iter().map(|one| format!("{}:{} {}", one.log, one.line, &one.id[16..])).collect()),
            Err(WorkspaceError::Failure(failure)) => {
                let folder = format!("{}/", folder.path().display());
                Err(format!("{}; {}", failure.message.replace(&folder, ""), failure.hint.unwrap_or_default()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn row(last: u8) -> String {
        format!("row-00000000000000{last:02x}")
    }

    fn line(step: u64, rank: u64, rows: &[u8]) -> String {
        let rows: Vec<String> = rows.iter().map(|last| format!("{:?}", row(*last))).collect();
        format!("{{\"loss\": 0.5, \"step\": {step}, \"rank\": {rank}, \"ids\": [{}]}}\n", rows.join(", "))
    }

    #[test]
    fn a_step_has_the_rows_of_all_ranks_and_logs() {
        let one = [line(1, 0, &[1]), line(1, 1, &[2]), line(2, 0, &[3])].concat();
        let two = [line(1, 2, &[4, 4]), "\n".to_owned()].concat();
        assert_eq!(ids(&[&one, &two], 1).unwrap(), ["0:1 0001", "0:2 0002", "1:1 0004", "1:1 0004"]);
        assert_eq!(ids(&[&one, &two], 2).unwrap(), ["0:3 0003"]);
    }

    #[test]
    fn a_training_that_goes_on_from_a_step_replaces_what_came_after_it() {
        let begin = |after: u64, rank: u64| format!("{{\"begin\": {after}, \"rank\": {rank}}}\n");
        let text =
            [begin(0, 0), line(1, 0, &[1]), line(2, 0, &[2]), line(2, 1, &[3]), begin(1, 0), line(2, 0, &[4])].concat();
        assert_eq!(ids(&[&text], 1).unwrap(), ["0:2 0001"]);
        assert_eq!(ids(&[&text], 2).unwrap(), ["0:4 0003", "0:6 0004"]);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let good = line(1, 0, &[1]);
        let told = |bad: &str| ids(&[&format!("{good}{bad}\n")], 1).unwrap_err();
        let hint = "a line is such as `{\"step\": 5, \"ids\": [\"row-0123456789abcdef\"]}`";
        for (bad, why) in [
            ("{\"step\": 1", "not JSON at column 10: EOF while parsing an object"),
            ("step 1", "not JSON at column 1: expected value"),
            ("{\"ids\": []}", "it has no `step`"),
            ("{\"step\": 1}", "it has no `ids`"),
            ("{\"step\": 1, \"ids\": [\"7\"]}", "`7` is no `id` of a row"),
            ("[1]", "invalid length 1"),
        ] {
            let told = told(bad);
            assert!(told.starts_with(&format!("0.jsonl:2: {why}")) && told.ends_with(hint), "{told}");
        }
        assert_eq!(ids(&[&good], 7).unwrap_err(), "`0.jsonl` has no rows of step 7; the only step is 1");
        let more = [line(3, 0, &[1]), line(9, 0, &[1])].concat();
        assert_eq!(
            ids(&[&more, &good], 7).unwrap_err(),
            "`0.jsonl`, `1.jsonl` have no rows of step 7; there are steps from 1 to 9"
        );
        assert!(ids(&[""], 1).unwrap_err().contains("there are no steps at all"));
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        system::replace(&path, format!("{}{{\"step\": 1, \"id", line(1, 0, &[1])).as_bytes()).unwrap();
        let (observer, warnings) = observer();
        assert_eq!(read(&[path], 1, &observer).unwrap().len(), 1);
        assert!(warnings.lock().unwrap()[0].ends_with(":2: the last line is not complete; it is left out"));
    }
}
