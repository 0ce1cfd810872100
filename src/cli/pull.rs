//! `datac pull`: puts the files of a release, or of a recipe that was pushed, in place.

use std::path::{Path, PathBuf};

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, Screen, VERB, bytes, counted_rows},
    shared,
};
use crate::workspace::{Placement, PullOptions, PullReport, Pulled, PulledFile, PulledOutputs, Workspace};
use clap::Args;

/// Options of `pull`.
#[derive(Args, Debug)]
#[command(after_help = "\
No recipe is needed. For a release, the shared cache and datac.keys are, which
says whose releases to use. A URL is the folder of a recipe that `datac push` has
written to; its current version is got.

Every byte is checked, and each file is put in place whole. Files that are there
with the same bytes are not fetched. If any has other bytes, nothing is written
without --force. Nothing else is touched.

Exit codes: 1 a file with other bytes is in the way, or the disk is full, 3 no
such release or recipe, something of it is damaged, or the place cannot be
reached, 4 not signed with a key that this workspace trusts, or not what datac
has written.

Examples:
  datac pull posttrain@2026-12-01                   into dataset/
  datac pull posttrain@2026-12-01 --to /data/rows
  datac pull posttrain@2026-12-01 -n                what it would write
  datac pull s3://bucket/folder/sft/general --to rows")]
pub(super) struct Options {
    /// The release, or the folder of a recipe that was pushed: /folder/sft/general, s3://bucket/folder/sft/general, https://…
    #[arg(value_name = "NAME@VERSION|URL")]
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

impl Content for PulledOutputs {
    const SCHEMA: &'static str = "datac.pull.outputs/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Pulled>(), schema::of::<PulledOutputs>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json
    }

    /// Makes relative folders ones below `folder`, where they were typed.
    pub(super) fn below(&mut self, folder: &Path) {
        self.remote.below(folder);
        if self.name.starts_with('.') {
            self.name = folder.join(&self.name).to_string_lossy().into_owned();
        }
        self.to = self.to.as_ref().map(|to| folder.join(to));
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    let how = PullOptions { to: options.to.clone(), force: options.force, dry_run: options.dry_run };
    let pulled = workspace.pull(&options.name, &how);
    progress.finish();
    match pulled {
        Ok(PullReport::Release(pulled)) if options.json => document::print(&pulled, screen),
        Ok(PullReport::Outputs(pulled)) if options.json => document::print(&pulled, screen),
        Ok(PullReport::Release(pulled)) => {
            let day = pulled.created.get(..10).unwrap_or(&pulled.created);
            let key = pulled.key.as_deref().unwrap_or("an unnamed key");
            let from = format!("{} of {day}, signed by {key}", pulled.release);
            print(&pulled.files, &from, pulled.dry_run, pulled.requests.received_bytes, screen);
        }
        Ok(PullReport::Outputs(pulled)) => {
            let version = pulled.version.to_string();
            let from = format!("{}, version {}", pulled.recipe, version.get(..12).unwrap_or(&version));
            print(&pulled.files, &from, pulled.dry_run, pulled.requests.received_bytes, screen);
        }
        Err(error) => return errors::report(&error, workspace, screen),
    }
    exit::OK
}

fn print(files: &[PulledFile], from: &str, dry_run: bool, received: u64, screen: &Screen) {
    let is_new = |file: &&PulledFile| file.placement != Placement::Kept;
    for file in files.iter().filter(is_new) {
        let verb = match (dry_run, file.placement) {
            (true, Placement::Replaced) => "Would replace",
            (true, _) => "  Would write",
            (false, Placement::Replaced) => "    Replaced",
            (false, _) => "       Wrote",
        };
        let size = format!("{FAINT}({}, {}){FAINT:#}", counted_rows(file.rows), bytes(file.bytes));
        screen.say(&format!("{VERB}{verb}{VERB:#} {} {size}", file.path.display()));
    }
    let (new, kept): (Vec<&PulledFile>, Vec<&PulledFile>) = files.iter().partition(is_new);
    let size = |files: &[&PulledFile]| {
        let all = files.iter().map(|file| file.bytes).sum();
        format!("{}, {}", shared::counted(files.len() as u64, "file"), bytes(all))
    };
    let received = format!("{FAINT}({} received){FAINT:#}", bytes(received));
    let text = match (new.is_empty(), kept.is_empty(), dry_run) {
        (true, ..) => format!("{GOOD}already there{GOOD:#}: {from}: {}", size(&kept)),
        (false, _, true) => format!("would pull {from}: {}; {} already there", size(&new), kept.len()),
        (false, true, false) => format!("{GOOD}pulled{GOOD:#} {from}: {} {received}", size(&new)),
        (false, false, false) => {
            format!("{GOOD}pulled{GOOD:#} {from}: {}; {} already there {received}", size(&new), kept.len())
        }
    };
    screen.say_wrapped(&text, 2);
}
