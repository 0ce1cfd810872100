//! `datac release`: puts outputs under a name in the shared cache, for good.

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, HINT, Screen, VERB, bytes, counted_rows, rows},
    shared,
};
use crate::workspace::{Released, Workspace};
use clap::Args;

/// Options of `release`.
#[derive(Args, Debug)]
#[command(after_help = "\
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
  datac pull posttrain@2026-12-01           get the files back")]
pub(super) struct Options {
    /// The name: NAME@VERSION
    #[arg(value_name = "NAME@VERSION")]
    name: String,
    /// Recipes, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// The shared cache.
    #[command(flatten)]
    pub(super) remote: shared::Remote,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for Released {
    const SCHEMA: &'static str = "datac.release/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Released>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    let released = workspace.release(&options.name, &options.selectors);
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
