//! `datac new`: creates a recipe.

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    errors, exit, init, schema,
    screen::{HINT, Screen},
};
use crate::workspace::{FORMATS, InitFile, NewRecipe, Workspace};

/// Options of `new`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac new math --kind sft --source openai/gsm8k
  datac new mine --kind sft --source data/mine.jsonl --converter messages
  datac new team/pairs --kind dpo --source org/name   below config/, in team/")]
pub(super) struct Options {
    /// File name of the recipe, or path below config/
    #[arg(value_name = "NAME")]
    name: String,
    /// Phase of the recipe, which is the kind of its rows
    #[arg(long, value_name = "KIND")]
    kind: Kind,
    /// A Hub dataset, or a local file or folder
    #[arg(long, value_name = "ID")]
    source: String,
    /// Format of the source [default: by file name, otherwise the Hub]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    format: Option<String>,
    /// Converter for the rows [default: chosen at build time]
    #[arg(long, value_name = "NAME")]
    converter: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

// No doc comments on its values: they would make the help text the long one.
/// Kind of rows of a new recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Sft,
    Dpo,
    Reward,
    Kto,
    Prm,
    Rlaif,
    Pretrain,
}

fn formats() -> clap::builder::PossibleValuesParser {
    FORMATS.iter().map(|(word, _)| *word).collect::<Vec<_>>().into()
}

/// The document that `new --json` prints.
#[derive(Serialize, JsonSchema)]
struct Made {
    /// The recipe, and the schema of recipes if it did not exist.
    files: Vec<InitFile>,
}

impl Content for Made {
    const SCHEMA: &'static str = "datac.new/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Made>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let phase = match options.kind {
        Kind::Sft => "sft",
        Kind::Dpo => "dpo",
        Kind::Reward => "reward",
        Kind::Kto => "kto",
        Kind::Prm => "prm",
        Kind::Rlaif => "rlaif",
        Kind::Pretrain => "pretrain",
    };
    let format = options.format.as_ref().and_then(|word| FORMATS.iter().find(|(known, _)| known == word));
    let files = match workspace.recipes().create(&NewRecipe {
        name: options.name.clone(),
        phase: phase.to_owned(),
        source: options.source.clone(),
        format: format.map(|(_, format)| *format),
        converter: options.converter.clone(),
    }) {
        Ok(files) => files,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    let path = files.first().map_or_else(String::new, |file| file.path.clone());
    if options.json {
        document::print(&Made { files }, screen);
        return exit::OK;
    }
    for file in &files {
        screen.say(&init::placed(file));
    }
    screen.say_wrapped(&format!("{HINT}next:{HINT:#} edit it, then datac build {}", init::word(&path)), 6);
    exit::OK
}
