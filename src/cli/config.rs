//! `datac config`: the settings that hold in the workspace, and what decides each.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    exit, schema,
    screen::{FAINT, Screen, VERB},
};
use crate::workspace::{Configuration, EffectiveSetting, SETTINGS_FILE, SettingOrigin};

/// Options of `config`.
#[derive(Args, Debug)]
#[command(after_help = "\
An option goes before its environment variable, that before datac.toml in the
workspace, and that before the default. `datac schema settings` prints the JSON
Schema of datac.toml.

Examples:
  datac config                 all settings
  datac config cache           those of a table
  datac config cache.max_size  the value of one alone, for scripts")]
pub(super) struct Options {
    /// A key such as `hub` or `cache.max_size`, or a table [default: list all]
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// The document that `config --json` prints.
#[derive(Serialize, JsonSchema)]
struct Settings {
    /// The settings, in the order of `datac.toml`.
    settings: Vec<EffectiveSetting>,
}

impl Content for Settings {
    const SCHEMA: &'static str = "datac.config/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Settings>()];

pub(super) fn run(configuration: &Configuration, options: &Options, screen: &Screen) -> u8 {
    let mut settings = configuration.effective();
    let mut is_one = false;
    if let Some(key) = &options.key {
        let known: Vec<String> = settings.iter().map(|setting| setting.key.clone()).collect();
        is_one = known.contains(key);
        let within =
            |setting: &EffectiveSetting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        settings.retain(|setting| setting.key == *key || within(setting));
        if settings.is_empty() {
            let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
            let hint = match nearest {
                Some(nearest) if strsim::damerau_levenshtein(nearest, key) <= key.len().max(3) / 3 => {
                    format!("did you mean `{nearest}`?")
                }
                _ => format!("available: {}", known.join(", ")),
            };
            screen.error(&format!("unknown setting `{key}`"), Some(&hint));
            return exit::USAGE;
        }
    }
    if options.json {
        document::print(&Settings { settings }, screen);
    } else if let (true, [setting]) = (is_one, &settings[..]) {
        screen.data(&format!("{}\n", setting.text));
    } else {
        screen.data(&listed(&settings));
    }
    exit::OK
}

fn listed(settings: &[EffectiveSetting]) -> String {
    let width =
        |of: fn(&EffectiveSetting) -> &str| settings.iter().map(|one| of(one).chars().count()).max().unwrap_or(0);
    let (keys, values) = (width(|setting| setting.key.as_str()), width(|setting| setting.text.as_str()));
    let line = |setting: &EffectiveSetting| {
        let EffectiveSetting { key, text, .. } = setting;
        match &setting.origin {
            SettingOrigin::Default => format!("{FAINT}{key:<keys$}  {text:<values$}  default{FAINT:#}\n"),
            origin => format!("{VERB}{key:<keys$}{VERB:#}  {text:<values$}  {}\n", decided_by(setting, origin)),
        }
    };
    settings.iter().map(line).collect()
}

fn decided_by(setting: &EffectiveSetting, origin: &SettingOrigin) -> String {
    match origin {
        SettingOrigin::Option => setting.option.clone().unwrap_or_default(),
        SettingOrigin::Environment => setting.variable.clone().unwrap_or_default(),
        SettingOrigin::File { line } => format!("{SETTINGS_FILE}:{line}"),
        SettingOrigin::Default => "default".to_owned(),
    }
}
