//! `datac push`: writes outputs with their card to a dataset repository of the Hub.

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, Screen, VERB, bytes, rows},
    shared,
};
use crate::workspace::{PushOptions, Pushed, PushedFile, Workspace};
use clap::Args;

/// Options of `push`.
#[derive(Args, Debug)]
#[command(after_help = "\
The folder of one target, with its card, becomes the repository, which must
exist. Only files that are not there with the same bytes are sent, and all of
them appear in one commit, or none. Other files of the repository stay.

HF_TOKEN, or the token that the Hub's own tools have stored, must have the right
to write; it is sent to the configured hub alone.

Exit codes: 1 the recipe is not up to date, 2 not one target, or not a
repository, 3 the hub cannot be reached, or refuses.

Examples:
  datac push hf://org/name sft/general
  datac push hf://org/name sft/general --target trl --revision next
  datac push hf://org/name sft/general -n      what it would send")]
pub(super) struct Options {
    /// The repository: hf://ORG/NAME
    #[arg(value_name = "hf://ORG/NAME")]
    to: String,
    /// Recipes, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// The target, by its folder, if there are several [default: the one with `layout: hub`]
    #[arg(long, value_name = "FOLDER")]
    target: Option<String>,
    /// The branch, which must exist [default: main]
    #[arg(long, value_name = "BRANCH")]
    revision: Option<String>,
    /// What the commit is called [default: datac and the name of the recipe]
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Show what would be sent, without sending it
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for Pushed {
    const SCHEMA: &'static str = "datac.push/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Pushed>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    let how = PushOptions {
        revision: options.revision.clone(),
        message: options.message.clone(),
        target: options.target.clone(),
        dry_run: options.dry_run,
    };
    let pushed = workspace.push(&options.to, &options.selectors, &how);
    progress.finish();
    match pushed {
        Ok(pushed) if options.json => document::print(&pushed, screen),
        Ok(pushed) => print(&pushed, screen),
        Err(error) => return errors::report(&error, workspace, screen),
    }
    exit::OK
}

fn print(pushed: &Pushed, screen: &Screen) {
    let new: Vec<&PushedFile> = pushed.files.iter().filter(|file| file.is_new).collect();
    let verb = if pushed.dry_run { "Would send" } else { "      Sent" };
    for file in &new {
        screen.say(&format!("{VERB}  {verb}{VERB:#} {} {FAINT}({}){FAINT:#}", file.path, bytes(file.bytes)));
    }
    let commit = pushed.commit.get(..10).unwrap_or(&pushed.commit);
    let place = format!("{} ({})", pushed.repo, pushed.revision);
    let kept = rows((pushed.files.len() - new.len()) as u64);
    let count = shared::counted(new.len() as u64, "file");
    let text = match (pushed.is_new, pushed.dry_run) {
        (_, true) => format!("would send {count} to {place}; {kept} already there"),
        (true, false) => format!(
            "{GOOD}pushed{GOOD:#} {} to {place}: commit {commit}; {count}, {kept} already there {FAINT}({} sent){FAINT:#}",
            pushed.target,
            bytes(pushed.uploaded_bytes)
        ),
        (false, false) => {
            format!("{GOOD}already there{GOOD:#}: {} is what {place} has, commit {commit}", pushed.target)
        }
    };
    screen.say_wrapped(&text, 2);
}
