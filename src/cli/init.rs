//! `datac init`: creates a workspace.

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
  datac init                   in the current folder; existing files are not touched
  datac init corpus            in a new folder
  datac init corpus && cd corpus && datac build --hub sample")]
pub(super) struct Options {
    /// The folder [default: the current one]
    #[arg(value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// The document that `init --json` prints.
#[derive(Serialize, JsonSchema)]
struct Begun {
    /// The workspace's files, by path.
    files: Vec<InitFile>,
}

impl Content for Begun {
    const SCHEMA: &'static str = "datac.init/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Begun>()];

/// Creates the files of `workspace`.
pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let files = match workspace.recipes().init() {
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
        let files = if same == 1 { "1 file".to_owned() } else { format!("{same} files") };
        screen.say(&format!("{FAINT}{files} already up to date{FAINT:#}"));
    }
    if files.iter().any(|file| file.path == WORKFLOW && file.outcome == Placed::Written) {
        let note =
            format!("{FAINT}note: {WORKFLOW} installs datac from github.com/OWNER/datac: replace OWNER{FAINT:#}");
        screen.say_wrapped(&note, 6);
    }
    let is_here = workspace.settings().root == Path::new(".");
    let enter =
        if is_here { String::new() } else { format!("cd {} && ", word(&workspace.settings().root.to_string_lossy())) };
    let next = format!(
        "{HINT}next:{HINT:#} {enter}datac build --hub\u{a0}sample (omit `--hub\u{a0}sample` to use the real datasets)"
    );
    screen.say_wrapped(&next, 6);
    exit::OK
}

/// Formats the line about a file: `Wrote Makefile`.
pub(super) fn placed(file: &InitFile) -> String {
    match file.outcome {
        Placed::Written => format!("{VERB}       Wrote{VERB:#} {}", file.path),
        Placed::Same => format!("{FAINT}        Same{FAINT:#} {}", file.path),
        Placed::Kept => format!("{WARN}     Skipped{WARN:#} {} (exists)", file.path),
    }
}

/// Quotes a word for a shell, if necessary.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@:".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
