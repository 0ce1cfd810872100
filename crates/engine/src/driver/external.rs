//! Runs a command of a recipe on the rows of chunks.

use std::{ops::Range, sync::Arc};

use super::{context::Context, error::ActionError};
use crate::system::{self, PipeLimit, Piped, ScratchFolder};
use datac_core::{
    config::Command,
    failure::{Failure, FailureKind, SourceFault, THE_FILE},
    json,
};
use datac_decode::Chunk;

/// The bytes of chunks that a command is given at once: starting an interpreter takes as long as converting a few MiB. Each thread
/// that runs a command holds a few times as much memory.
pub(super) const BATCH: usize = 16 << 20;

/// What a program wrote for the rows of a chunk: a line for each that can be read.
pub(super) struct Lines {
    text: Arc<String>,
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
                    json::write_row_to(&row, &mut input);
                    input.push(b'\n');
                    count += 1;
                }
            });
            rows.push(count);
        }
        let all: usize = rows.iter().sum();
        let text = match all {
            0 => String::new(),
            all => run(context, command, &input, &Rows { chunks, count: all })?,
        };
        Ok(Self::new(text, &rows))
    }

    /// Gives each of several chunks its lines of a text; `rows` are their numbers.
    pub(super) fn new(text: String, rows: &[usize]) -> Vec<Self> {
        let text = Arc::new(text);
        let mut places = memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]).scan(0, |start, end| {
            let place = *start..end;
            *start = end + 1;
            Some(place)
        });
        rows.iter().map(|count| Self { text: text.clone(), places: places.by_ref().take(*count).collect() }).collect()
    }

    /// Returns the lines, in the order of the rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| &self.text[place.clone()])
    }
}

/// The rows that a command is given.
struct Rows<'a> {
    chunks: &'a [&'a Chunk],
    /// Number of those that can be read.
    count: usize,
}

impl Rows<'_> {
    fn place(&self, number: usize) -> String {
        place_of(self.chunks, number)
    }
}

/// Names the place of the row with this number among those of chunks that can be read; the last if there are not so many.
pub(super) fn place_of(chunks: &[&Chunk], number: usize) -> String {
    let (mut seen, mut last) = (0, None);
    for chunk in chunks {
        let has_lines = chunk.lines() > 0;
        chunk.for_each_row(|row, span, parsed| {
            if parsed.is_ok() && seen <= number {
                let line = has_lines.then(|| chunk.place.first_line + u64::from(span.line) + 1);
                last = Some((chunk.place.first_row + u64::from(row), line));
                seen += 1;
            }
        });
    }
    let (row, line) = last.unwrap_or_default();
    placed(row, line)
}

/// Names the place of a row of a chunk.
pub(super) fn place_of_row(chunk: &Chunk, number: u32) -> String {
    let mut place = None;
    chunk.for_each_row(|row, span, _| {
        if row == number {
            let line = chunk.place.first_line + u64::from(span.line) + 1;
            place = Some((chunk.place.first_row + u64::from(row), (chunk.lines() > 0).then_some(line)));
        }
    });
    let (row, line) = place.unwrap_or_default();
    placed(row, line)
}

fn placed(row: u64, line: Option<u64>) -> String {
    let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
    format!("`{THE_FILE}` row {row}{line}")
}

/// Bytes that a command may write beside a multiple of what it is given.
const OUTPUT: usize = 64 << 20;

/// Runs a command on rows, and returns what it wrote: a line for each.
fn run(context: &Context, command: &Command, input: &[u8], rows: &Rows<'_>) -> Result<String, ActionError> {
    const TRY: &str = "try it: give it a row on its standard input";
    const EACH: &str = "it has to write a line for each row: a sample, a list of samples, or `{\"reject\": \"why\"}`";
    let (name, count) = (command.command.join(" "), rows.count);
    let failed = |why: String, hint: &str| {
        let failure = Failure::new(FailureKind::Action, format!("run `{name}`: {why}"));
        ActionError::Failure(failure.about(SourceFault::Command).hint(hint))
    };
    let limit = PipeLimit { lines: count, bytes: OUTPUT + 16 * input.len() };
    let input = ScratchFolder(context.outputs.scratch.clone()).holding(input)?;
    let Piped { status, output, said } =
        system::pipe(&command.command, &context.sources.root, input, limit, &context.control.interrupt).map_err(
            |error| failed(error.to_string(), "the program is looked for as a shell does, and runs in the workspace"),
        )?;
    context.check()?;
    let said = last_lines(&String::from_utf8_lossy(&said));
    let ends = memchr::memchr_iter(b'\n', &output).count();
    match status {
        None if ends > count => {
            let why = format!("it was stopped: it wrote more than {count} lines for {count} rows{said}");
            return Err(failed(why, EACH));
        }
        None => {
            let mib = limit.bytes >> 20;
            let why =
                format!("it was stopped at {}: it wrote more than {mib} MiB for {count} rows{said}", rows.place(ends));
            return Err(failed(why, EACH));
        }
        // What it wrote for the rows before tells how far it came.
        Some(status) if !status.success() => {
            return Err(failed(format!("{status} after {ends} of {count} rows, at {}{said}", rows.place(ends)), TRY));
        }
        Some(_) => {}
    }
    let text = String::from_utf8(output).map_err(|error| {
        let before = memchr::memchr_iter(b'\n', &error.as_bytes()[..error.utf8_error().valid_up_to()]).count();
        let why = format!("it wrote what is not UTF-8 for {}", rows.place(before));
        failed(why, "it has to write JSON, one value a line")
    })?;
    let lines = ends + usize::from(!text.is_empty() && !text.ends_with('\n'));
    if lines != count {
        return Err(failed(
            format!("it wrote {lines} lines for the {count} rows from {} on{said}", rows.place(0)),
            EACH,
        ));
    }
    Ok(text)
}

/// The last lines of what a program said, behind a colon.
pub(super) fn last_lines(said: &str) -> String {
    const SHOWN: usize = 5;
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    match lines.len() {
        0 => String::new(),
        all => format!(": {}", lines[all.saturating_sub(SHOWN)..].join("; ")),
    }
}
