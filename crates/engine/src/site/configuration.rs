//! The settings that hold in a workspace: what was given with the call, else the environment, else `datac.toml`, else a default.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Settings, WorkspaceError};
use crate::system;
use datac_core::{
    config::{
        Defaults, Described, FoundSetting, MAX_BYTES, SETTINGS, SETTINGS_FILE, SettingKey, SettingKind, SettingValue,
        load_settings,
    },
    failure::{Failure, FailureKind},
};

/// What decided a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "origin")]
pub enum SettingOrigin {
    /// An option of the command line, or an argument of the library.
    Option,
    /// Its environment variable.
    Environment,
    /// `datac.toml`.
    File {
        /// The line of the key, from 1.
        line: usize,
    },
    /// Nothing: the default holds.
    Default,
}

/// What is given with a call, which goes before the environment and `datac.toml`.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The settings.
    pub values: BTreeMap<SettingKey, SettingValue>,
    /// The folder that the names of folders are meant from, here and in the environment; the workspace for `None`.
    pub from: Option<PathBuf>,
    /// The folder that a hub is meant from if it is a folder, as for `from`.
    pub hub_from: Option<PathBuf>,
}

/// The settings that hold in a workspace, each with what decided it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    chosen: BTreeMap<SettingKey, (SettingValue, SettingOrigin)>,
    defaults: Defaults,
}

/// A setting that holds in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EffectiveSetting {
    /// Its key in `datac.toml`, such as `cache.max_size`.
    pub key: String,
    /// Its value: text, a boolean, or a number of threads, bytes or seconds; `null` if the default is found out when it is needed.
    pub value: Option<serde_json::Value>,
    /// The value in words.
    pub text: String,
    /// What decided it.
    #[serde(flatten)]
    pub origin: SettingOrigin,
    /// The environment variable that overrides `datac.toml`; none for what recipes override.
    pub variable: Option<String>,
    /// The option of the command line that overrides both; none for what recipes override.
    pub option: Option<String>,
    /// What it decides.
    pub about: String,
}

impl Configuration {
    /// Reads the settings that hold in the workspace at `root`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac_engine::{system, workspace::{Configuration, Given}};
    ///
    /// system::replace(&folder.path().join("datac.toml"), b"hub = 'sample'\n").unwrap();
    /// let configuration = Configuration::read(folder.path(), Given::default()).unwrap();
    /// assert_eq!(configuration.settings(folder.path()).hub.as_deref(), Some("sample"));
    /// ```
    pub fn read(root: &Path, given: Given) -> Result<Self, WorkspaceError> {
        let mut chosen = BTreeMap::new();
        let (in_file, defaults) = in_file(root)?;
        for found in in_file {
            chosen.insert(found.setting, (found.value, SettingOrigin::File { line: found.line }));
        }
        for described in SETTINGS {
            if let Some(value) = in_environment(described)? {
                chosen.insert(described.setting, (value, SettingOrigin::Environment));
            }
        }
        chosen.extend(given.values.into_iter().map(|(setting, value)| (setting, (value, SettingOrigin::Option))));
        for (setting, (value, origin)) in &mut chosen {
            let SettingValue::Text(text) = value else { continue };
            if matches!(origin, SettingOrigin::File { .. }) {
                continue;
            }
            if *setting == SettingKey::CacheRemote && text.contains("://") {
                continue;
            }
            // What is typed is meant from where it is typed, and what the file says from where the file is.
            let from = if *setting == SettingKey::Hub { &given.hub_from } else { &given.from };
            let Some(folder) = from.as_ref().map(|from| from.join(&*text)) else { continue };
            if *setting != SettingKey::Hub || system::is_dir(&folder) {
                *text = folder.to_string_lossy().into_owned();
            }
        }
        Ok(Self { chosen, defaults })
    }

    fn text(&self, setting: SettingKey) -> Option<&str> {
        match self.chosen.get(&setting) {
            Some((SettingValue::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    fn number(&self, setting: SettingKey) -> Option<u64> {
        match self.chosen.get(&setting) {
            Some((SettingValue::Number(number), _)) => Some(*number),
            _ => None,
        }
    }

    fn switch(&self, setting: SettingKey) -> Option<bool> {
        match self.chosen.get(&setting) {
            Some((SettingValue::Switch(is_on), _)) => Some(*is_on),
            _ => None,
        }
    }

    /// Returns the settings to open the workspace at `root` with.
    pub fn settings(&self, root: impl Into<PathBuf>) -> Settings {
        let is_in_file = |setting| matches!(self.chosen.get(&setting), Some((_, SettingOrigin::File { .. })));
        Settings {
            cache_dir: self.text(SettingKey::CacheDir).map(PathBuf::from),
            output_dir: self.text(SettingKey::OutputsDir).map(PathBuf::from),
            hub: self.text(SettingKey::Hub).map(str::to_owned),
            is_hub_from_file: is_in_file(SettingKey::Hub),
            offline: self.switch(SettingKey::Offline).unwrap_or(false),
            remote: self.text(SettingKey::CacheRemote).map(str::to_owned),
            defaults: self.defaults.clone(),
            ..Settings::new(root)
        }
    }

    /// Returns the number of threads of a build; `None` for one per core.
    pub fn jobs(&self) -> Option<usize> {
        self.number(SettingKey::Jobs).map(|jobs| jobs as usize)
    }

    /// Returns whether a build fails rather than change `datac.lock`.
    pub fn locked(&self) -> bool {
        self.switch(SettingKey::Locked).unwrap_or(false)
    }

    /// Returns whether builds clean up the cache.
    pub fn cleans_cache(&self) -> bool {
        self.switch(SettingKey::CacheGc).unwrap_or(true)
    }

    /// Returns how large the cache may grow, in bytes, if that is set.
    pub fn cache_max_bytes(&self) -> Option<u64> {
        self.number(SettingKey::CacheMaxSize)
    }

    /// Returns how long unused entries of the cache are kept, if that is set.
    pub fn cache_max_age(&self) -> Option<Duration> {
        self.number(SettingKey::CacheMaxAge).map(Duration::from_secs)
    }

    /// Returns all settings, in the order of the documentation, and the defaults of recipes that there are.
    pub fn effective(&self) -> Vec<EffectiveSetting> {
        let of_recipes = self.defaults.listed().into_iter().map(|(key, text, line)| EffectiveSetting {
            key,
            value: Some(text.clone().into()),
            text,
            origin: SettingOrigin::File { line },
            variable: None,
            option: None,
            about: "What holds for recipes that do not say otherwise.".to_owned(),
        });
        SETTINGS.iter().map(|described| self.effective_one(described)).chain(of_recipes).collect()
    }

    fn effective_one(&self, described: &Described) -> EffectiveSetting {
        let default = || described.parse(described.default).ok().filter(|_| is_plain(described));
        let (value, origin) = match self.chosen.get(&described.setting) {
            Some((value, origin)) => (Some(value.clone()), origin.clone()),
            None => (default(), SettingOrigin::Default),
        };
        let text = match &value {
            Some(value) => in_words(described.kind, value),
            None => described.default.to_owned(),
        };
        let value = value.map(|value| match value {
            SettingValue::Text(text) => text.into(),
            SettingValue::Switch(is_on) => is_on.into(),
            SettingValue::Number(number) => number.into(),
        });
        EffectiveSetting {
            key: described.name(),
            value,
            text,
            origin,
            variable: Some(described.variable.to_owned()),
            option: Some(described.option.to_owned()),
            about: described.explain.to_owned(),
        }
    }
}

/// Returns whether the default of a setting is a value, not a description of one.
fn is_plain(described: &Described) -> bool {
    !matches!(described.setting, SettingKey::Hub | SettingKey::CacheRemote)
}

/// Returns a value as people write it.
fn in_words(kind: SettingKind, value: &SettingValue) -> String {
    const SIZES: [(u64, &str); 7] = [
        (1_000_000_000_000, "TB"),
        (1 << 30, "GiB"),
        (1_000_000_000, "GB"),
        (1 << 20, "MiB"),
        (1_000_000, "MB"),
        (1000, "kB"),
        (1, "B"),
    ];
    const AGES: [(u64, &str); 4] = [(24 * 3600, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let scaled = |number: u64, units: &[(u64, &str)]| {
        let unit = units.iter().find(|(scale, _)| number > 0 && number.is_multiple_of(*scale));
        unit.map_or_else(|| "0".to_owned(), |(scale, unit)| format!("{}{unit}", number / scale))
    };
    match value {
        SettingValue::Text(text) => text.clone(),
        SettingValue::Switch(is_on) => is_on.to_string(),
        SettingValue::Number(number) => match kind {
            SettingKind::Size => scaled(*number, &SIZES),
            SettingKind::Age => scaled(*number, &AGES),
            _ => number.to_string(),
        },
    }
}

fn in_file(root: &Path) -> Result<(Vec<FoundSetting>, Defaults), WorkspaceError> {
    match system::read_up_to(&root.join(SETTINGS_FILE), MAX_BYTES as u64) {
        Ok(text) => {
            let found = load_settings(SETTINGS_FILE, &text).map_err(WorkspaceError::Problems)?;
            Ok((found, Defaults::of(&text)))
        }
        Err(error) if error.is_missing() => Ok((Vec::new(), Defaults::default())),
        Err(error) => Err(error.into()),
    }
}

fn in_environment(described: &Described) -> Result<Option<SettingValue>, WorkspaceError> {
    let Some(text) = system::env(described.variable) else { return Ok(None) };
    described.parse(&text).map(Some).map_err(|hint| {
        let message = format!("invalid value `{text}` of the environment variable `{}`", described.variable);
        Failure::plain(FailureKind::Config, message).hint(hint).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, given: Given) -> Configuration {
        let folder = tempfile::tempdir().unwrap();
        system::replace(&folder.path().join(SETTINGS_FILE), text.as_bytes()).unwrap();
        Configuration::read(folder.path(), given).unwrap()
    }

    fn shown(configuration: &Configuration) -> Vec<(String, String)> {
        let effective = configuration.effective().into_iter();
        effective.map(|setting| (setting.key, format!("{} {:?}", setting.text, setting.origin))).collect()
    }

    #[test]
    fn what_is_given_goes_before_the_file_and_the_file_before_defaults() {
        let text = "hub = 'corpora'\n[cache]\nmax_size = '50GB'\nmax_age = '90m'\n[build]\njobs = 3\n";
        let values =
            [(SettingKey::Jobs, SettingValue::Number(8)), (SettingKey::OutputsDir, SettingValue::Text("o".into()))];
        let given = Given { values: values.into(), from: Some("/typed/here".into()), ..Given::default() };
        let configuration = read(text, given);
        let found = shown(&configuration);
        let find = |key: &str| found.iter().find(|(known, _)| known == key).unwrap().1.as_str();
        assert_eq!(find("hub"), "corpora File { line: 1 }");
        assert_eq!(find("cache.max_size"), "50GB File { line: 3 }");
        assert_eq!(find("cache.max_age"), "90m File { line: 4 }");
        assert_eq!(find("build.jobs"), "8 Option");
        assert_eq!(find("outputs.dir"), "/typed/here/o Option");
        assert_eq!(find("cache.dir"), "cache Default");
        assert_eq!(find("cache.gc"), "true Default");
        assert_eq!(configuration.jobs(), Some(8));
        assert_eq!(configuration.cache_max_bytes(), Some(50_000_000_000));
        assert!(configuration.settings(".").is_hub_from_file);
    }

    #[test]
    fn defaults_are_those_of_what_they_stand_for() {
        let configuration = Configuration::default();
        let bounds = crate::gc::CacheBounds::default();
        let numbers: Vec<Option<u64>> = ["cache.max_size", "cache.max_age"]
            .map(|key| {
                let effective = configuration.effective();
                let setting = effective.iter().find(|setting| setting.key == key).unwrap();
                setting.value.as_ref().unwrap().as_u64()
            })
            .into();
        assert_eq!(numbers, [Some(bounds.max_bytes), Some(bounds.max_age.as_secs())]);
        let settings = configuration.settings("/w");
        let site = crate::site::Site::new(&settings);
        assert!(site.cache.dir().ends_with("cache") && site.outputs.dir().ends_with("dataset"));
    }

    #[test]
    fn a_file_that_is_no_settings_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        system::replace(&folder.path().join(SETTINGS_FILE), b"\nhubb = 1\n").unwrap();
        let error = Configuration::read(folder.path(), Given::default()).unwrap_err();
        let WorkspaceError::Problems(problems) = error else { panic!("{error}") };
        assert_eq!((problems[0].path.as_str(), problems[0].line), (SETTINGS_FILE, 2));
    }
}
