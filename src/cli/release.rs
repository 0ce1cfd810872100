//! `datac release`: puts outputs under a name in the shared cache, for good, and `datac release remove` takes them away.

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, HINT, Screen, VERB, bytes, counted_rows, rows},
    shared,
};
use crate::workspace::{Released, RemovedReleases, Workspace};
use clap::{Args, Subcommand};

/// Options of `release`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
The recipes must be up to date, and there must be a key (`datac cache key new`).
Their texts, pins, manifests and output files go to the shared cache, whose
garbage collection never removes them. A name stands for the same bytes for
ever: releasing the same again changes nothing, anything else is refused.

NAME and VERSION have up to 64 letters, digits, `-`, `_` and `.` each; the first
is a letter or a digit.

Exit codes: 1 a recipe is not up to date, 2 bad name, or no key, 3 no shared
cache, 4 the name stands for other bytes.

Examples:
  datac release posttrain@2026-12-01        all recipes below config/
  datac release sft@v3 sft --remote /mnt/team
  datac pull posttrain@2026-12-01           get the files back
  datac release remove sft@v2               take a release away"
)]
pub(super) struct Options {
    /// What else is done with releases
    #[command(subcommand)]
    command: Option<ReleaseCommand>,
    /// The name: NAME@VERSION
    #[arg(value_name = "NAME@VERSION", required = true)]
    name: Option<String>,
    /// Recipes, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// The shared cache.
    #[command(flatten)]
    remote: shared::Remote,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ReleaseCommand {
    /// Remove releases from the shared cache, with what no other one needs
    Remove(RemoveOptions),
}

/// Options of `release remove`.
#[derive(Args, Debug)]
#[command(after_help = "\
Nobody can pull a removed release any more, and nothing keeps its name from being
given to other bytes: choose a new version all the same. What other releases need
stays. Without a name, only the pieces are removed that killed releases have left;
they must be a day old.

Exit codes: 2 bad name, or a shared cache behind a web server, 3 no such release,
or no shared cache, 4 the document of another release is damaged.

Examples:
  datac release remove posttrain@2025-01-01
  datac release remove sft@v1 sft@v2 -n     what it would remove
  datac release remove                      what killed releases have left")]
struct RemoveOptions {
    /// The releases
    #[arg(value_name = "NAME@VERSION")]
    names: Vec<String>,
    /// Show what would be removed, without removing it
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The shared cache.
    #[command(flatten)]
    remote: shared::Remote,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for RemovedReleases {
    const SCHEMA: &'static str = "datac.release.remove/1";
}

impl Content for Released {
    const SCHEMA: &'static str = "datac.release/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Released>(), schema::of::<RemovedReleases>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json && self.command.is_none()
    }

    /// Returns the option that names the shared cache.
    pub(super) fn remote_mut(&mut self) -> &mut shared::Remote {
        match &mut self.command {
            Some(ReleaseCommand::Remove(options)) => &mut options.remote,
            None => &mut self.remote,
        }
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    if let Some(ReleaseCommand::Remove(options)) = &options.command {
        return remove(workspace, options, screen);
    }
    let released = workspace.release(options.name.as_deref().unwrap_or_default(), &options.selectors);
    progress.finish();
    match released {
        Ok(released) if options.json => document::print(&released, screen),
        Ok(released) => print(&released, screen),
        Err(error) => return errors::report(&error, workspace, screen),
    }
    exit::OK
}

fn print(released: &Released, screen: &Screen) {
    let Released { release, files, added_pieces, shared_pieces, requests, .. } = released;
    let recipes = shared::counted(released.recipes.len() as u64, "recipe");
    let what = format!(
        "{recipes}, {}, {}, {}",
        shared::counted(*files, "file"),
        counted_rows(released.rows),
        bytes(released.bytes)
    );
    if released.is_new {
        let pieces = format!(
            "{} added, {} sent; {} there already",
            shared::counted(*added_pieces, "piece"),
            bytes(requests.sent_bytes),
            rows(*shared_pieces)
        );
        screen.say_wrapped(&format!("{VERB}    Released{VERB:#} {release}: {what} {FAINT}({pieces}){FAINT:#}"), 13);
    } else {
        let day = released.created.get(..10).unwrap_or(&released.created);
        let mut text =
            format!("{GOOD}released already{GOOD:#}: {release} is the same, since {day} {FAINT}({what}){FAINT:#}");
        if *added_pieces > 0 {
            text.push_str(&format!("; put back {}", shared::counted(*added_pieces, "missing or damaged piece")));
        }
        screen.say_wrapped(&text, 2);
    }
    if !released.is_key_shared {
        let next = format!("datac cache key trust NAME {}", released.key);
        screen.say_wrapped(&format!("{HINT}next:{HINT:#} {next} {FAINT}(others need it to pull){FAINT:#}"), 6);
    }
}

fn remove(workspace: &Workspace, options: &RemoveOptions, screen: &Screen) -> u8 {
    let removed = match workspace.remove_releases(&options.names, options.dry_run) {
        Ok(removed) => removed,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&removed, screen);
        return exit::OK;
    }
    let verb = if removed.dry_run { "would remove" } else { "removed" };
    let what = match removed.releases.is_empty() {
        true => String::new(),
        false => format!("{} and ", removed.releases.join(", ")),
    };
    let pieces = shared::counted(removed.pieces.count, "piece");
    let (gone, kept) = (bytes(removed.pieces.bytes), shared::counted(removed.kept.count, "piece"));
    let text = format!("{verb} {what}{pieces}, {gone}; {kept} kept {FAINT}({}){FAINT:#}", bytes(removed.kept.bytes));
    screen.say_wrapped(&text, 2);
    for name in &removed.made_meanwhile {
        let text = format!("{name} was made meanwhile and may lack pieces: release it again, which puts them back");
        screen.warn(&text);
    }
    exit::OK
}
