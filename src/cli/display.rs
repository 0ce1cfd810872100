//! What a command is working on, as lines of text: for programs that have a place of their own to show it, such as a notebook.

use super::work::Work;
use crate::{event::Event, system::Stopwatch};

/// The lines that the command would draw in a terminal.
pub struct Display {
    verb: &'static str,
    begun: Stopwatch,
    work: Work,
}

impl Display {
    /// Begins to follow a command; the verb says what it does: `Building`.
    pub fn new(verb: &'static str) -> Self {
        Self { verb, begun: Stopwatch::start(), work: Work::default() }
    }

    /// Takes in an event of the command.
    pub fn see(&mut self, event: &Event) {
        self.work.see(event, self.begun.elapsed());
    }

    /// Returns the lines for a place of `width` columns, without colour.
    pub fn lines(&mut self, width: usize) -> Vec<String> {
        let at = self.begun.elapsed();
        self.work.measure(at);
        let plain = |line: String| anstream::adapter::strip_str(&line).to_string();
        self.work.lines(self.verb, at, width).into_iter().map(plain).collect()
    }
}
