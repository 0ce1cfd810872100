//! `datac init`: a workspace to begin with.

use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, HINT, Screen, VERB, WARN},
};
use crate::workspace::{InitFile, Placed, WORKFLOW, Workspace};

/// Options of `init`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac init                   in this folder; no file that is there is touched
  datac init corpus            in a new folder
  datac init corpus && cd corpus && datac build --hub sample")]
pub(super) struct Options {
    /// The folder [default: this one]
    #[arg(value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// What `init --json` prints.
#[derive(Serialize, JsonSchema)]
struct Begun {
    /// The workspace's files, by path.
    files: Vec<InitFile>,
}

impl Content for Begun {
    const SCHEMA: &'static str = "datac.init/1";
}

/// What it prints as JSON.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Begun>()];

/// `workspace` is the one to begin.
pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let files = match workspace.init() {
        Ok(files) => files,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&Begun { files }, screen);
        return exit::OK;
    }
    let mut same = 0;
    for file in &files {
        match file.outcome {
            Placed::Written | Placed::Kept => screen.say(&placed(file)),
            Placed::Same => same += 1,
        }
    }
    if same > 0 {
        let files = if same == 1 { "1 file is".to_owned() } else { format!("{same} files are") };
        screen.say(&format!("{FAINT}{files} there already, as they would be written{FAINT:#}"));
    }
    if files.iter().any(|file| file.path == WORKFLOW && file.outcome == Placed::Written) {
        let note = format!(
            "{FAINT}note: {WORKFLOW} installs datac from github.com/OWNER/datac: put its address there{FAINT:#}"
        );
        screen.say_wrapped(&note, 6);
    }
    let is_here = workspace.root() == Path::new(".");
    let enter = if is_here { String::new() } else { format!("cd {} && ", word(&workspace.root().to_string_lossy())) };
    let next = format!(
        "{HINT}next:{HINT:#} {enter}datac build --hub\u{a0}sample (without `--hub\u{a0}sample`: the real datasets)"
    );
    screen.say_wrapped(&next, 6);
    exit::OK
}

/// A line about a file: `Wrote Makefile`.
pub(super) fn placed(file: &InitFile) -> String {
    match file.outcome {
        Placed::Written => format!("{VERB}       Wrote{VERB:#} {}", file.path),
        Placed::Same => format!("{FAINT}        Same{FAINT:#} {}", file.path),
        Placed::Kept => format!("{WARN}        Kept{WARN:#} {}, which was there", file.path),
    }
}

/// A word for a shell, in quotes where it needs them.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@:".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
