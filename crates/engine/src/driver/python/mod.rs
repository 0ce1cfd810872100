//! Functions in Python, called on the rows and samples of chunks in processes that are kept for the whole build: one for each thread, and one
//! that repeats some of the calls.
//!
//! A cache must not hold what another call would not return. So of each chunk some rows, chosen by their hashes, are given to a
//! second process, in another order and with another order of Python's sets; what differs there fails the build.

mod interpreter;
mod worker;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Deserialize;

use super::{
    context::Context,
    error::ActionError,
    external::{Lines, place_of, place_of_row},
};
use crate::{
    graph::{Conversion, Scoring},
    source::FileDigest,
};
use datac_core::{
    config::Function,
    failure::{Failure, FailureKind, SourceFault},
    function::Judge,
    hash::Digest,
    json,
    quality::{NoScore, RefusedRow, ScoreColumn, ScoreKind},
    sample::{self, SampleIndex, SampleKind, write_identity},
};
use datac_decode::Chunk;
use worker::{HashSeed, Rows, Stop, Worker};

/// One of so many rows is given to the function twice, and at least one of each chunk.
const REPEATED: u64 = 64;

/// A function as it is called: with the files that decide what it does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    function: Function,
    role: CallRole,
    files: Arc<[(String, FileDigest)]>,
}

/// What a function is called for, which its decorator has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CallRole {
    /// It makes samples of this kind.
    Converter(SampleKind),
    /// It says something of samples.
    Judge(Judge),
}

impl CallRole {
    /// Returns the name of the decorator.
    fn word(self) -> &'static str {
        match self {
            Self::Converter(_) => "converter",
            Self::Judge(judge) => judge.word(),
        }
    }

    /// Returns what has to be made again when a file of the function changes.
    fn makes(self) -> &'static str {
        match self {
            Self::Converter(_) => "samples have",
            Self::Judge(Judge::Scorer) => "scores have",
            Self::Judge(Judge::Filter) => "its verdicts have",
        }
    }

    /// Returns what the function is given.
    fn given(self) -> &'static str {
        match self {
            Self::Converter(_) => "row",
            Self::Judge(_) => "sample",
        }
    }
}

/// The processes of a build that call functions.
pub(crate) struct Functions {
    /// The interpreter, if the user has chosen one.
    given: Option<PathBuf>,
    of_calls: Mutex<HashMap<Call, Arc<OfCall>>>,
}

/// The processes of one function.
#[derive(Default)]
struct OfCall {
    /// Those that work for no thread at the moment.
    idle: Mutex<Vec<Worker>>,
    /// The one that repeats calls.
    second: Mutex<Option<Worker>>,
    /// Whether that has been started.
    has_second: AtomicBool,
}

impl Functions {
    /// Creates functions without processes; `given` is the interpreter that the user has chosen.
    pub(crate) fn new(given: Option<PathBuf>) -> Self {
        Self { given, of_calls: Mutex::default() }
    }

    /// Calls a function on the rows of a chunk that can be read, and returns its lines for them.
    pub(super) fn lines(
        &self,
        context: &Context,
        (function, conversion): (&Function, &Conversion),
        kind: SampleKind,
        chunk: &Chunk,
    ) -> Result<Lines, ActionError> {
        let role = CallRole::Converter(kind);
        let call = Call { function: function.clone(), role, files: conversion.files.as_slice().into() };
        let mut rows = Rows::default();
        chunk.for_each_row(|_, _, parsed| {
            if let Ok(row) = parsed {
                rows.push(json::write_row(&row).as_bytes());
            }
        });
        if rows.places.is_empty() {
            return Ok(Lines::new(String::new(), &[0]).remove(0));
        }
        let lines = self.called(context, &call, &rows, |row| place_of(&[chunk], row))?;
        let count = rows.places.len();
        Ok(Lines::new(lines, &[count]).remove(0))
    }

    /// Calls a function on the samples of a chunk, whose bytes are `samples`, and returns what it says of them.
    pub(super) fn scores(
        &self,
        context: &Context,
        scoring: &Scoring,
        chunk: &Chunk,
        (samples, index): (&[u8], &SampleIndex),
    ) -> Result<ScoreColumn, ActionError> {
        let Scoring { function, judge, files } = scoring;
        let role = CallRole::Judge(*judge);
        let call = Call { function: function.clone(), role, files: files.as_slice().into() };
        let (mut rows, mut scratch) = (Rows::default(), Vec::new());
        for number in 0..index.len() {
            let sample = sample::at(samples, index.range(number));
            let sample = sample.map_err(|error| ActionError::Failure(Failure::new(FailureKind::Cache, error)))?;
            scratch.clear();
            write_identity(&sample, &mut scratch);
            scratch.push(b'}');
            rows.push(&scratch);
        }
        let (mut column, mut rows_of_chunk) = (ScoreColumn::new(ScoreKind::PYTHON), None);
        if rows.places.is_empty() {
            return Ok(column);
        }
        let lines = self.called(context, &call, &rows, |sample| place_of_row(chunk, index.row[sample]))?;
        for (line, row) in lines.split('\n').zip(&index.row) {
            let (flag, number) = (line.parse::<bool>(), line.parse::<f64>());
            match (flag, number) {
                (Ok(flag), _) => column.push_number(Some(f64::from(u8::from(flag)))),
                (_, Ok(number)) if number.is_finite() => column.push_number(Some(number)),
                _ if line == "null" => column.push_number(None),
                _ => match serde_json::from_str(line) {
                    Ok(Unscored::Failed { failed }) => column.push_failure(NoScore { why: failed, refused: None }),
                    Ok(Unscored::Reject { reject }) => {
                        // They are read once more where there is a reject, which is rare.
                        let rows = rows_of_chunk.get_or_insert_with(|| chunk.spans());
                        let refused = rows.get(*row as usize).map(|span| RefusedRow {
                            line: span.line,
                            offset: span.start as u64,
                            raw: chunk.raw(*span).into_owned(),
                        });
                        column.push_failure(NoScore { why: reject, refused });
                    }
                    Err(error) => {
                        let why = format!("the worker answered no score: {error}");
                        return Err(ActionError::Failure(worker::failed(function, why)));
                    }
                },
            }
        }
        Ok(column)
    }

    /// Calls a function on rows, and returns its lines; `place` names the place of a row by its number.
    fn called(
        &self,
        context: &Context,
        call: &Call,
        rows: &Rows,
        place: impl Fn(usize) -> String,
    ) -> Result<String, ActionError> {
        context.check()?;
        let of_call = {
            let mut of_calls = self.of_calls.lock().unwrap_or_else(PoisonError::into_inner);
            of_calls.entry(call.clone()).or_default().clone()
        };
        of_call.lines(context, call, rows).map_err(|stop| match stop {
            Stop::Action(error) => error,
            Stop::Failed(failure, row) => {
                let row = row.map_or_else(String::new, |row| format!("; at {}", place(row)));
                ActionError::Failure(Failure { message: format!("{}{row}", failure.message), ..*failure })
            }
        })
    }
}

/// What stands for the score of a sample that has none, as `_runner.py` writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Unscored {
    /// The function gave a number that is none.
    Failed {
        /// In words.
        failed: String,
    },
    /// The function refuses the row that the sample was made of.
    Reject {
        /// Why.
        reject: String,
    },
}

impl OfCall {
    /// Returns the lines of a function for rows, some of which have been repeated.
    fn lines(&self, context: &Context, call: &Call, rows: &Rows) -> Result<String, Stop> {
        if !self.has_second.swap(true, Ordering::Relaxed) {
            // It imports the module while the first one does so.
            let second = Worker::start(context, call, HashSeed::Second)?;
            *self.second.lock().unwrap_or_else(PoisonError::into_inner) = Some(second);
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let worker = match idle {
            Some(worker) => worker,
            None => Worker::start(context, call, HashSeed::First)?,
        };
        let (worker, lines) = worker.call(context, rows)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        self.repeat(context, call, rows, &lines)?;
        Ok(lines)
    }

    /// Calls the function again on some of the rows, the last first, and compares.
    fn repeat(&self, context: &Context, call: &Call, rows: &Rows, lines: &str) -> Result<(), Stop> {
        let mut chosen = chosen(rows);
        chosen.reverse();
        let mut again = Rows::default();
        chosen.iter().for_each(|number| again.push(rows.row(*number)));
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = match second.take() {
            Some(worker) => worker,
            None => Worker::start(context, call, HashSeed::Second)?,
        };
        let (worker, repeated) = worker.call(context, &again).map_err(|stop| match stop {
            Stop::Failed(failure, row) => Stop::Failed(failure, row.map(|row| chosen[row])),
            stop => stop,
        })?;
        *second = Some(worker);
        drop(second);
        let lines: Vec<&str> = lines.split('\n').collect();
        for (number, other) in chosen.iter().zip(repeated.split('\n')) {
            if lines[*number] != other {
                return Err(Stop::Failed(Box::new(unsteady(call, lines[*number], other)), Some(*number)));
            }
        }
        Ok(())
    }
}

/// Returns the numbers of the rows that are given to a function twice: those whose hash says so, or else the one with the smallest.
fn chosen(rows: &Rows) -> Vec<usize> {
    let hash = |number: &usize| {
        let digest = Digest::of(rows.row(*number));
        u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"))
    };
    let hashes: Vec<u64> = (0..rows.places.len()).map(|number| hash(&number)).collect();
    let chosen: Vec<usize> = (0..hashes.len()).filter(|number| hashes[*number].is_multiple_of(REPEATED)).collect();
    match chosen.is_empty() {
        true => (0..hashes.len()).min_by_key(|number| hashes[*number]).into_iter().collect(),
        false => chosen,
    }
}

/// The failure of a function that returned two results for one row or sample.
fn unsteady(call: &Call, first: &str, second: &str) -> Failure {
    let (first, second) = difference(first, second);
    let (function, row) = (&call.function, call.role.given());
    let why = format!("call `{function}`: it returned two results for the same {row}: `{first}`, then `{second}`");
    let hint = format!(
        "let it depend on nothing but the {row} and its files: no clock, no random numbers without a seed from the {row}, no \
         order of a set, nothing that it remembers of other {row}s"
    );
    Failure::new(FailureKind::Action, why).about(SourceFault::Unsteady).at_word(function.to_string()).hint(hint)
}

/// Returns the parts of two texts that differ, with a little of what is around.
fn difference(first: &str, second: &str) -> (String, String) {
    const AROUND: usize = 24;
    const MOST: usize = 80;
    let (a, b): (Vec<char>, Vec<char>) = (first.chars().collect(), second.chars().collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let start = same.saturating_sub(AROUND);
    let part = |text: &[char]| {
        let end = text.len().min(start + MOST);
        let (before, after) = (if start > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
        format!("{before}{}{after}", text[start..end].iter().collect::<String>())
    };
    (part(&a), part(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_rows_of_each_chunk_are_repeated_and_always_the_same() {
        let rows = |count: usize| {
            let mut rows = Rows::default();
            (0..count).for_each(|number| rows.push(format!("{{\"n\":{number}}}").as_bytes()));
            rows
        };
        assert_eq!(chosen(&rows(1)), [0]);
        let many = chosen(&rows(6400));
        assert!((50..200).contains(&many.len()), "{}", many.len());
        assert_eq!(many, chosen(&rows(6400)));
        assert_eq!(chosen(&rows(3)).len(), 1);
    }

    #[test]
    fn what_differs_is_shown() {
        let long = "x".repeat(100);
        let (first, second) = difference(&format!("{long}1{long}"), &format!("{long}2{long}"));
        assert!(first.starts_with("…xxx") && first.contains("x1x") && first.ends_with("x…"), "{first}");
        assert_eq!(first.replace('1', "2"), second);
        assert_eq!(difference("a", "ab"), ("a".to_owned(), "ab".to_owned()));
        assert_eq!(difference("é", ""), ("é".to_owned(), String::new()));
    }
}
