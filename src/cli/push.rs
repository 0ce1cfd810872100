//! `datac push`: writes outputs to where others read them: a repository of the Hub, a folder, or a bucket.

use std::path::Path;

use super::{
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, Screen, VERB, bytes, rows},
    shared,
};
use crate::workspace::{PushOptions, PushReport, Pushed, PushedFile, PushedOutputs, PushedRecipe, Workspace};
use clap::Args;

/// Options of `push`.
#[derive(Args, Debug)]
#[command(after_help = "\
A folder or a bucket gets, for each recipe, all its outputs as a version that
never changes, in RECIPE/VERSION/, then RECIPE/current.json, which says which
version is the recipe now. Whoever begins with that file sees the old recipe or
the new one, never a mix. Files that are there are not sent again.

A dataset repository, which must exist, gets the folder of one target, with its
card. All files that are not there with the same bytes appear in one commit, or
none. Other files of the repository stay.

Credentials come from the environment: for buckets as for a shared cache
(docs/remote-cache.md), for the Hub HF_TOKEN, or the token that its own tools
have stored; that is sent to the configured hub alone.

Exit codes: 1 a recipe is not up to date, or somebody else has pushed it
meanwhile, 2 not an address, or not one target, 3 the place cannot be reached,
or refuses, 4 something else is in its place.

Examples:
  datac push s3://bucket/folder sft            also gs://, az://
  datac push /mnt/datasets sft/general
  datac push /mnt/datasets -n                  what it would send
  datac push hf://org/name sft/general --target trl --revision next")]
pub(super) struct Options {
    /// s3://bucket/folder (also gs://, az://), /folder, ./folder, or hf://ORG/NAME
    #[arg(value_name = "URL")]
    to: String,
    /// Recipes, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Hub only: the target, by its folder, if there are several [default: the one with `layout: hub`]
    #[arg(long, value_name = "FOLDER")]
    target: Option<String>,
    /// Hub only: the branch, which must exist [default: main]
    #[arg(long, value_name = "BRANCH")]
    revision: Option<String>,
    /// Hub only: what the commit is called [default: datac and the name of the recipe]
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

impl Content for PushedOutputs {
    const SCHEMA: &'static str = "datac.push.outputs/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Pushed>(), schema::of::<PushedOutputs>()];

impl Options {
    /// Returns whether a person waits for the command.
    pub(super) fn is_watched(&self) -> bool {
        !self.json
    }

    /// Makes a relative folder one below `folder`, where it was typed.
    pub(super) fn below(&mut self, folder: &Path) {
        if self.to.starts_with('.') {
            self.to = folder.join(&self.to).to_string_lossy().into_owned();
        }
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
        Ok(PushReport::Hub(pushed)) if options.json => document::print(&pushed, screen),
        Ok(PushReport::Outputs(pushed)) if options.json => document::print(&pushed, screen),
        Ok(PushReport::Hub(pushed)) => print(&pushed, screen),
        Ok(PushReport::Outputs(pushed)) => print_outputs(&pushed, screen),
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

/// How many digits of a version are shown.
const DIGITS: usize = 12;

fn print_outputs(pushed: &PushedOutputs, screen: &Screen) {
    let verb = if pushed.dry_run { "Would send" } else { "      Sent" };
    let is_kept = |recipe: &&PushedRecipe| !recipe.is_new && recipe.files.iter().all(|file| !file.is_new);
    let (kept, changed): (Vec<&PushedRecipe>, Vec<&PushedRecipe>) = pushed.recipes.iter().partition(is_kept);
    for recipe in &changed {
        for file in recipe.files.iter().filter(|file| file.is_new) {
            let verb = if recipe.copied.contains(&file.path) { "    Copied" } else { verb };
            let path = short(&format!("{}/{}", recipe.recipe, file.path), &recipe.version.to_string());
            screen.say(&format!("{VERB}{verb}{VERB:#} {path} {FAINT}({}){FAINT:#}", bytes(file.bytes)));
        }
        if !pushed.dry_run {
            screen.say_wrapped(&format!("{VERB}    Pushed{VERB:#} {}: {}", recipe.recipe, outcome(recipe)), 11);
        }
    }
    let files = changed.iter().flat_map(|recipe| &recipe.files).filter(|file| file.is_new);
    let count = shared::counted(files.count() as u64, "file");
    let sent: u64 = changed.iter().map(|recipe| recipe.uploaded_bytes).sum();
    let recipes = shared::counted(changed.len() as u64, "recipe");
    let also = match kept.len() as u64 {
        0 => String::new(),
        count => format!("; {} already there", shared::counted(count, "recipe")),
    };
    let asked = shared::counted(pushed.requests.all(), "request");
    let text = match (changed.is_empty(), pushed.dry_run) {
        (true, _) => {
            let all = shared::counted(kept.len() as u64, "recipe");
            format!("{GOOD}already there{GOOD:#}: {all} in {} {FAINT}({asked}){FAINT:#}", pushed.to)
        }
        (false, true) => {
            format!("would push {recipes} to {}: {count}, {}{also} {FAINT}({asked}){FAINT:#}", pushed.to, bytes(sent))
        }
        (false, false) => format!(
            "{GOOD}pushed{GOOD:#} {recipes} to {}: {count}, {} sent{also} {FAINT}({asked}){FAINT:#}",
            pushed.to,
            bytes(sent)
        ),
    };
    screen.say_wrapped(&text, 2);
}

/// Returns what became of a recipe, in words.
fn outcome(recipe: &PushedRecipe) -> String {
    let version = recipe.version.to_string();
    let version = version.get(..DIGITS).unwrap_or(&version);
    match recipe.before {
        _ if !recipe.is_new => format!("put back what version {version} lacked"),
        Some(before) if before == recipe.version => {
            format!("version {version} as before, from a changed recipe or lock")
        }
        Some(before) => {
            let before = before.to_string();
            format!("version {version} in place of {}", before.get(..DIGITS).unwrap_or(&before))
        }
        None => format!("version {version}, the first"),
    }
}

/// Returns a path with the digits of a version cut short.
fn short(path: &str, version: &str) -> String {
    path.replacen(version, &format!("{}…", version.get(..DIGITS).unwrap_or(version)), 1)
}
