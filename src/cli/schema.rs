//! `datac schema`: JSON Schemas of printed documents and of input files.

use clap::Args;
use serde_json::Value;

use super::{
    add, blame, build, cache, check, clean, config, diff, doctor, document, exit, explain, fetch, graph, init, inspect,
    lock, log, ls, new, pull, push, release, releases, render, screen::Screen, stats, status, trace, validate, why,
    worker,
};
use crate::workspace::{
    EVENTS_SCHEMA, LOCK_SCHEMA, RECIPE_SCHEMA, SETTINGS_SCHEMA, events_schema, lock_schema, recipe_schema,
    settings_schema,
};

/// Options of `schema`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac schema                 list the names
  datac schema status          what `datac status --json` prints
  datac schema recipe          a recipe, for editors; `lock`: datac.lock
  datac schema settings        datac.toml
  datac schema events          a line of `datac build --events`")]
pub(super) struct Options {
    /// Name of the schema
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub(super) fn run(options: &Options, screen: &Screen) -> u8 {
    let all = all();
    let Some(name) = &options.name else {
        let width = all.iter().map(|(name, _)| word(name).len()).max().unwrap_or(0);
        let lines = all.iter().map(|(name, _)| format!("{:<width$}  {name}\n", word(name)));
        screen.data(&lines.collect::<String>());
        return exit::OK;
    };
    match all.iter().find(|(known, _)| word(known) == *name || *known == name.as_str()) {
        Some((_, schema)) => {
            let text = serde_json::to_string_pretty(&schema()).expect("a schema is plain data");
            screen.data(&format!("{text}\n"));
            exit::OK
        }
        None => {
            let names: Vec<String> = all.iter().map(|(name, _)| word(name)).collect();
            screen.error(&format!("unknown schema `{name}`"), Some(&format!("available: {}", names.join(", "))));
            exit::USAGE
        }
    }
}

/// Returns the name of a schema as typed: `log-run` for `datac.log.run/1`.
fn word(schema: &str) -> String {
    let name = schema.strip_prefix("datac.").unwrap_or(schema);
    name.split('/').next().unwrap_or(name).replace('.', "-")
}

/// A schema with its name.
pub(super) type Named = (&'static str, fn() -> Value);

/// Returns all schemas with their names.
fn all() -> Vec<Named> {
    let mut all = vec![(EVENTS_SCHEMA, events_schema as fn() -> Value)];
    // Schemas of input files.
    all.extend([
        (RECIPE_SCHEMA, recipe_schema as fn() -> Value),
        (LOCK_SCHEMA, lock_schema),
        (SETTINGS_SCHEMA, settings_schema),
    ]);
    let commands = [
        add::SCHEMAS,
        blame::SCHEMAS,
        build::SCHEMAS,
        cache::SCHEMAS,
        check::SCHEMAS,
        clean::SCHEMAS,
        config::SCHEMAS,
        diff::SCHEMAS,
        doctor::SCHEMAS,
        explain::SCHEMAS,
        fetch::SCHEMAS,
        graph::SCHEMAS,
        init::SCHEMAS,
        inspect::SCHEMAS,
        lock::SCHEMAS,
        log::SCHEMAS,
        ls::SCHEMAS,
        new::SCHEMAS,
        pull::SCHEMAS,
        push::SCHEMAS,
        release::SCHEMAS,
        releases::SCHEMAS,
        render::SCHEMAS,
        stats::SCHEMAS,
        status::SCHEMAS,
        trace::SCHEMAS,
        validate::SCHEMAS,
        why::SCHEMAS,
        worker::SCHEMAS,
    ];
    all.extend(commands.into_iter().flatten());
    all.sort_unstable_by_key(|(name, _)| *name);
    all
}

/// Returns a document's schema with its name.
pub(super) const fn of<T: document::Content>() -> Named {
    (T::SCHEMA, document::schema::<T>)
}
