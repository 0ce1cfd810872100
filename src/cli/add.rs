//! `datac add`: adds a source to a recipe.

use clap::Args;

use super::{
    document::{self, Content},
    errors, exit, init, schema,
    screen::{FAINT, HINT, Screen, VERB, WARN, counted_rows, rows},
};
use crate::workspace::{Add, Added, Inspect, Workspace};

/// Options of `add`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac add data/chats.jsonl                       a new recipe of its own
  datac add openai/gsm8k --to sft/general          into a recipe, with as much as each of the others
  datac add data/more.jsonl --to sft/general --ratio 0.2 --name more")]
pub(super) struct Options {
    /// A Hub dataset, or a file or folder of the workspace
    #[arg(value_name = "SOURCE")]
    pub(super) source: String,
    /// Recipe to add it to [default: a new one]
    #[arg(long, value_name = "RECIPE")]
    pub(super) to: Option<String>,
    /// Name of the dataset, or of the new recipe [default: by the source]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Share of the mixture; the others are scaled [default: that of each of the others]
    #[arg(long, value_name = "SHARE", requires = "to", value_parser = share)]
    ratio: Option<f64>,
    /// Config of the dataset [default: its own]
    #[arg(long, value_name = "NAME", requires = "to")]
    config: Option<String>,
    /// Split to read; repeatable [default: train]
    #[arg(long = "split", value_name = "NAME", requires = "to")]
    splits: Vec<String>,
    /// Phase of a new recipe [default: what suits the rows]
    #[arg(long, value_name = "PHASE", conflicts_with = "to")]
    phase: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("a share is between 0 and 1".to_owned()),
    }
}

impl Content for Added {
    const SCHEMA: &'static str = "datac.add/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Added>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let source = Inspect {
        config_name: options.config.clone(),
        splits: options.splits.clone(),
        phase: options.phase.clone(),
        ..Inspect::of(&options.source)
    };
    let what = Add { source, to: options.to.clone(), name: options.name.clone(), ratio: options.ratio };
    let added = match workspace.add(&what) {
        Ok(added) => added,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        document::print(&added, screen);
        return exit::OK;
    }
    for file in &added.files {
        screen.say(&init::placed(file));
    }
    let Added { name, kind, shares, files } = &added;
    let converter = kind.converter.as_deref().unwrap_or("a converter");
    let looked = format!("{FAINT}(looked at {}){FAINT:#}", counted_rows(kind.rows));
    screen.say_wrapped(&format!("{VERB}       Added{VERB:#} {name}: read by {converter} {looked}"), 13);
    for reject in &kind.rejects {
        let text = format!("{} rejected as {}, first {}", rows(reject.rows), reject.reason, reject.first);
        screen.say_wrapped(&format!("{WARN}{text}{WARN:#}"), 2);
    }
    if shares.len() > 1 {
        let shares: Vec<String> = shares.iter().map(|(name, share)| format!("{name}\u{a0}{share}")).collect();
        screen.say_wrapped(&format!("shares: {}", shares.join(", ")), 2);
    }
    let path = files.first().map_or("", |file| file.path.as_str());
    screen.say_wrapped(&format!("{HINT}next:{HINT:#} datac build {}", init::word(path)), 6);
    exit::OK
}
