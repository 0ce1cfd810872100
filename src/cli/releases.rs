//! `datac releases`: lists the releases in the shared cache.

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, Screen, WARN, bytes, rows},
    shared,
};
use crate::workspace::{ListedRelease, ReleaseList, Workspace};
use clap::Args;

/// Options of `releases`.
#[derive(Args, Debug)]
#[command(after_help = "\
For each release: when it was made, its rows, files and size, and the key that
signed it. With NAME@VERSION, its files with their digests. `--json` also has the
texts of the recipes.

Behind a web server nothing can be listed; NAME@VERSION is found there too.

Examples:
  datac releases                        all of them
  datac releases posttrain              those of a name
  datac releases posttrain@2026-12-01   what is in one")]
pub(super) struct Options {
    /// A name, or one release [default: all]
    #[arg(value_name = "NAME[@VERSION]")]
    name: Option<String>,
    /// The shared cache.
    #[command(flatten)]
    pub(super) remote: shared::Remote,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

impl Content for ReleaseList {
    const SCHEMA: &'static str = "datac.releases/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<ReleaseList>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let list = match workspace.releases(options.name.as_deref()) {
        Ok(list) => list,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    let is_one = options.name.as_ref().is_some_and(|name| name.contains('@'));
    match &list.releases[..] {
        _ if options.json => document::print(&list, screen),
        [] => screen.say_wrapped(&nothing(&list, options.name.as_deref()), 2),
        [one] if is_one => print_one(one, screen),
        all => print_all(all, screen),
    }
    exit::OK
}

fn nothing(list: &ReleaseList, name: Option<&str>) -> String {
    let of = name.map(|name| format!(" of `{name}`")).unwrap_or_default();
    format!("no releases{of} in the shared cache {}", list.remote)
}

fn day(release: &ListedRelease) -> &str {
    let created = release.content.as_ref().map_or("", |content| &content.created);
    created.get(..10).unwrap_or(created)
}

fn print_all(all: &[ListedRelease], screen: &Screen) {
    let width = all.iter().map(|one| one.release.len()).max().unwrap_or(0).max("release".len());
    let head = ["release", "date", "rows", "files", "size", "key"];
    let mut text =
        format!("{:<width$}  {:<10}  {:>11}  {:>6}  {:>9}  {}\n", head[0], head[1], head[2], head[3], head[4], head[5]);
    for one in all {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), rows);
        let key = match (&one.key, &one.refused) {
            (_, Some(_)) => format!("{WARN}not used{WARN:#}"),
            (Some(key), None) => key.clone(),
            (None, None) => "-".to_owned(),
        };
        text.push_str(&format!(
            "{:<width$}  {:<10}  {:>11}  {:>6}  {:>9}  {key}\n",
            one.release,
            if one.refused.is_some() { "-" } else { day(one) },
            number(one.rows),
            number(one.files),
            one.bytes.map_or_else(|| "-".to_owned(), bytes),
        ));
    }
    screen.data(&text);
    for refused in all.iter().filter_map(|one| one.refused.as_ref()) {
        screen.warn(refused);
    }
}

fn print_one(one: &ListedRelease, screen: &Screen) {
    let Some(content) = &one.content else {
        if let Some(refused) = &one.refused {
            screen.warn(refused);
        }
        return;
    };
    let key = one.key.as_deref().unwrap_or("-");
    let mut text =
        format!("{} {FAINT}{}, signed by {key}, datac {}{FAINT:#}\n", one.release, content.created, content.datac);
    for recipe in &content.recipes {
        text.push_str(&format!("{} {FAINT}({}){FAINT:#}\n", recipe.name, recipe.path));
        for file in &recipe.files {
            let digest = file.stored.blake3.short();
            text.push_str(&format!(
                "  {}: {} rows, {}, blake3 {digest}\n",
                file.path,
                rows(file.rows),
                bytes(file.stored.bytes)
            ));
        }
    }
    screen.data(&text);
}
