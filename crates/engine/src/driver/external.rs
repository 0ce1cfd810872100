//! Runs a command of a recipe on the rows of chunks.

use std::{ops::Range, sync::Arc};

use super::{context::Context, error::ActionError};
use crate::system;
use datac_core::{
    config::Command,
    failure::{Failure, FailureKind, SourceFault},
    json,
};
use datac_decode::Chunk;

/// The bytes of chunks that a command is given at once: starting an interpreter takes as long as converting a few MiB.
pub(super) const BATCH: usize = 8 << 20;

/// What a command wrote for the rows of a chunk: a line for each that can be read.
pub(super) struct Lines {
    text: Arc<str>,
    places: Vec<Range<usize>>,
}

impl Lines {
    /// Gives a command the rows of several chunks that can be read, and returns its lines for each chunk.
    pub(super) fn of(context: &Context, command: &Command, chunks: &[&Chunk]) -> Result<Vec<Self>, ActionError> {
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len() + chunk.bytes.len() / 8).sum();
        let (mut input, mut rows) = (Vec::with_capacity(bytes), Vec::with_capacity(chunks.len()));
        for chunk in chunks {
            let mut count = 0_usize;
            chunk.for_each_row(|_, _, parsed| {
                if let Ok(row) = parsed {
                    input.extend_from_slice(json::write_row(&row).as_bytes());
                    input.push(b'\n');
                    count += 1;
                }
            });
            rows.push(count);
        }
        let all: usize = rows.iter().sum();
        let text: Arc<str> = if all == 0 { Arc::from("") } else { run(context, command, &input, all)?.into() };
        let mut places = memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]).scan(0, |start, end| {
            let place = *start..end;
            *start = end + 1;
            Some(place)
        });
        let of = |count| Self { text: text.clone(), places: places.by_ref().take(count).collect() };
        Ok(rows.into_iter().map(of).collect())
    }

    /// Returns the lines, in the order of the rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| &self.text[place.clone()])
    }
}

/// Runs a command on `rows` rows, and returns what it wrote: so many lines.
fn run(context: &Context, command: &Command, input: &[u8], rows: usize) -> Result<String, ActionError> {
    let name = command.command.join(" ");
    let failed = |why: String, hint: &str| {
        let failure = Failure::new(FailureKind::Action, format!("run `{name}`: {why}"));
        ActionError::Failure(failure.about(SourceFault::Command).hint(hint))
    };
    let output = system::pipe(&command.command, &context.sources.root, input).map_err(|error| {
        failed(error.to_string(), "the program is looked for as a shell does, and runs in the workspace")
    })?;
    let said = last_lines(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(failed(format!("{}{said}", output.status), "try it: give it a row on its standard input"));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| failed("it wrote what is not UTF-8".to_owned(), "it has to write JSON, one value a line"))?;
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).count();
    let lines = ends + usize::from(!text.is_empty() && !text.ends_with('\n'));
    if lines != rows {
        let hint = "it has to write a line for each row: a sample, a list of samples, or `{\"reject\": \"why\"}`";
        return Err(failed(format!("it wrote {lines} lines for {rows} rows{said}"), hint));
    }
    Ok(text)
}

/// The last lines of what a program said, behind a colon.
fn last_lines(said: &str) -> String {
    const SHOWN: usize = 5;
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    match lines.len() {
        0 => String::new(),
        all => format!(": {}", lines[all.saturating_sub(SHOWN)..].join("; ")),
    }
}
