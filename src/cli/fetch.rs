//! `datac fetch`: downloads sources, and lists new files and files that were already present.

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, Screen, VERB, bytes, rows},
};
use crate::workspace::{Fetched, FetchedFile, Workspace};
use clap::Args;

/// Options of `fetch`.
#[derive(Args, Debug)]
#[command(after_help = "\
Afterwards `datac build --offline` needs no network.

Examples:
  datac fetch                  everything that the recipes below config/ read
  datac fetch sft --locked     one folder, and only what datac.lock pins")]
pub(super) struct Options {
    /// Recipes, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Fail rather than change datac.lock
    #[arg(long)]
    pub(super) locked: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for Fetched {
    const SCHEMA: &'static str = "datac.fetch/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Fetched>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    let fetched = workspace.fetch(&options.selectors, options.locked);
    progress.finish();
    let fetched = match fetched {
        Ok(fetched) => fetched,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&fetched, screen);
    }
    if fetched.recipes == 0 {
        return errors::no_recipes(&options.selectors, workspace, screen);
    }
    if !options.json {
        print(&fetched, screen);
    }
    errors::problems(&fetched.problems, workspace, screen);
    for failed in &fetched.failures {
        errors::failed(&failed.failure, None, workspace, screen);
    }
    fetched.failure().map_or(exit::OK, exit::of)
}

fn print(fetched: &Fetched, screen: &Screen) {
    for file in fetched.files.iter().filter(|file| file.is_new) {
        let size = format!("{FAINT}({}){FAINT:#}", bytes(file.bytes));
        screen.say(&format!("{VERB}     Fetched{VERB:#} {} {} {size}", file.repo, file.path));
    }
    let counted = |is_new: bool| {
        let files: Vec<&FetchedFile> = fetched.files.iter().filter(|file| file.is_new == is_new).collect();
        let plural = if files.len() == 1 { "" } else { "s" };
        let size = bytes(files.iter().map(|file| file.bytes).sum());
        (files.len(), format!("{} file{plural}, {size}", rows(files.len() as u64)))
    };
    let ((new, new_text), (here, here_text)) = (counted(true), counted(false));
    let text = match (fetched.files.len(), fetched.is_remote) {
        (0, _) if fetched.failure().is_some() => return,
        (0, _) => "nothing to download: all sources are local".to_owned(),
        (_, false) => {
            let hub = &fetched.hub;
            format!("nothing to download: the hub `{hub}` is on this machine {FAINT}({here_text}){FAINT:#}")
        }
        _ if new == 0 => format!("{GOOD}already downloaded{GOOD:#}: {here_text}"),
        _ if here == 0 => format!("{GOOD}fetched{GOOD:#} {new_text}"),
        _ => format!("{GOOD}fetched{GOOD:#} {new_text}; {here_text} already downloaded"),
    };
    screen.say_wrapped(&text, 2);
}
