//! `datac pull`: puts the files of a release in place.

use std::path::{Path, PathBuf};

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, Screen, VERB, bytes, counted_rows},
    shared,
};
use crate::workspace::{Placement, PullOptions, Pulled, PulledFile, Workspace};
use clap::Args;

/// Options of `pull`.
#[derive(Args, Debug)]
#[command(after_help = "\
No recipe is needed, only a shared cache and datac.keys, which says whose
releases to use. Every byte is checked, and each file is put in place whole.
Files that are there with the same bytes are not fetched. If any has other
bytes, nothing is written without --force. Nothing else is touched.

Exit codes: 1 a file with other bytes is in the way, or the disk is full, 3 no
such release, a damaged piece of it, or no shared cache, 4 not signed with a key
that this workspace trusts.

Examples:
  datac pull posttrain@2026-12-01                   into dataset/
  datac pull posttrain@2026-12-01 --to /data/rows
  datac pull posttrain@2026-12-01 -n                what it would write")]
pub(super) struct Options {
    /// The release: NAME@VERSION
    #[arg(value_name = "NAME@VERSION")]
    name: String,
    /// The folder to put the files in [default: that of the outputs]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Replace files that have other bytes
    #[arg(long)]
    force: bool,
    /// Show what would be done, without doing it
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The shared cache.
    #[command(flatten)]
    pub(super) remote: shared::Remote,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for Pulled {
    const SCHEMA: &'static str = "datac.pull/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Pulled>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json
    }

    /// Makes relative folders ones below `folder`, where they were typed.
    pub(super) fn below(&mut self, folder: &Path) {
        self.remote.below(folder);
        self.to = self.to.as_ref().map(|to| folder.join(to));
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    let how = PullOptions { to: options.to.clone(), force: options.force, dry_run: options.dry_run };
    let pulled = workspace.pull(&options.name, &how);
    progress.finish();
    match pulled {
        Ok(pulled) if options.json => document::print(&pulled, screen),
        Ok(pulled) => print(&pulled, screen),
        Err(error) => return errors::report(&error, workspace, screen),
    }
    exit::OK
}

fn print(pulled: &Pulled, screen: &Screen) {
    let is_new = |file: &&PulledFile| file.placement != Placement::Kept;
    for file in pulled.files.iter().filter(is_new) {
        let verb = match (pulled.dry_run, file.placement) {
            (true, Placement::Replaced) => "Would replace",
            (true, _) => "  Would write",
            (false, Placement::Replaced) => "    Replaced",
            (false, _) => "       Wrote",
        };
        let size = format!("{FAINT}({}, {}){FAINT:#}", counted_rows(file.rows), bytes(file.bytes));
        screen.say(&format!("{VERB}{verb}{VERB:#} {} {size}", file.path.display()));
    }
    let (new, kept): (Vec<&PulledFile>, Vec<&PulledFile>) = pulled.files.iter().partition(is_new);
    let size = |files: &[&PulledFile]| {
        let all = files.iter().map(|file| file.bytes).sum();
        format!("{}, {}", shared::counted(files.len() as u64, "file"), bytes(all))
    };
    let day = pulled.created.get(..10).unwrap_or(&pulled.created);
    let from = format!("{} of {day}, signed by {}", pulled.release, pulled.key.as_deref().unwrap_or("an unnamed key"));
    let received = format!("{FAINT}({} received){FAINT:#}", bytes(pulled.requests.received_bytes));
    let text = match (new.is_empty(), kept.is_empty(), pulled.dry_run) {
        (true, ..) => format!("{GOOD}already there{GOOD:#}: {from}: {}", size(&kept)),
        (false, _, true) => format!("would pull {from}: {}; {} already there", size(&new), kept.len()),
        (false, true, false) => format!("{GOOD}pulled{GOOD:#} {from}: {} {received}", size(&new)),
        (false, false, false) => {
            format!("{GOOD}pulled{GOOD:#} {from}: {}; {} already there {received}", size(&new), kept.len())
        }
    };
    screen.say_wrapped(&text, 2);
}
