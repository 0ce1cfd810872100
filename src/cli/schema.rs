//! `datac schema`: the JSON Schema of what is printed as JSON.

use clap::Args;
use serde_json::Value;

use super::{build, diff, document, exit, graph, lock, log, ls, screen::Screen, stats, status, trace, why};
use crate::workspace::{EVENTS_SCHEMA, events_schema};

/// Options of `schema`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac schema                 the names there are
  datac schema status          what `datac status --json` prints
  datac schema events          a line of `datac build --events`")]
pub(super) struct Options {
    /// Which schema
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
            screen.error(&format!("find a schema `{name}`"), Some(&format!("there are {}", names.join(", "))));
            exit::USAGE
        }
    }
}

/// A schema's name as it is typed: `log-run` for `datac.log.run/1`.
fn word(schema: &str) -> String {
    let name = schema.strip_prefix("datac.").unwrap_or(schema);
    name.split('/').next().unwrap_or(name).replace('.', "-")
}

/// A schema with its name.
pub(super) type Named = (&'static str, fn() -> Value);

/// Every schema with its name.
fn all() -> Vec<Named> {
    let mut all = vec![(EVENTS_SCHEMA, events_schema as fn() -> Value)];
    let commands = [build::SCHEMAS, diff::SCHEMAS, lock::SCHEMAS, log::SCHEMAS, stats::SCHEMAS, status::SCHEMAS];
    all.extend(commands.into_iter().chain([graph::SCHEMAS, ls::SCHEMAS, trace::SCHEMAS, why::SCHEMAS]).flatten());
    all.sort_unstable_by_key(|(name, _)| *name);
    all
}

/// A document's schema with its name.
pub(super) const fn of<T: document::Content>() -> Named {
    (T::SCHEMA, document::schema::<T>)
}
