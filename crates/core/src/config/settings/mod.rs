//! The settings of a workspace: what each is called in `datac.toml`, in the environment and on the command line, and what it may be.
//!
//! [`SETTINGS`] is the only list of them. What reads `datac.toml`, its schema, the environment and `datac config` follow from it.

mod check;
mod quantity;
mod schema;

pub use check::{FoundSetting, load_settings};
pub use quantity::{age, size, switch};
pub use schema::{SETTINGS_SCHEMA, settings_schema};

/// Name of the file in the workspace.
pub const SETTINGS_FILE: &str = "datac.toml";

/// A setting of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingKey {
    /// Where datasets come from.
    Hub,
    /// Whether the network is disabled.
    Offline,
    /// Number of threads of a build.
    Jobs,
    /// Whether `datac.lock` must not be changed.
    Locked,
    /// The cache folder.
    CacheDir,
    /// Whether builds clean up the cache.
    CacheGc,
    /// How large the cache may grow.
    CacheMaxSize,
    /// How long unused entries of the cache are kept.
    CacheMaxAge,
    /// The cache that is shared with others.
    CacheRemote,
    /// The output folder.
    OutputsDir,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A text, or a folder.
    Text,
    /// On or off.
    Switch,
    /// A number from 1 to 1,024.
    Threads,
    /// A number of bytes.
    Size,
    /// A number of seconds.
    Age,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// A text, or a folder.
    Text(String),
    /// On or off.
    Switch(bool),
    /// A number: threads, bytes or seconds.
    Number(u64),
}

/// A setting as people know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// The setting.
    pub setting: SettingKey,
    /// Table of `datac.toml` that has the key; `None` for the keys at its top.
    pub table: Option<&'static str>,
    /// Key in that table.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// Option of the command line.
    pub option: &'static str,
    /// What it may be.
    pub kind: SettingKind,
    /// What holds where nothing is set, for people.
    pub default: &'static str,
    /// What it decides, in one line.
    pub explain: &'static str,
}

/// Most threads that can be asked for.
pub const MAX_JOBS: u64 = 1024;

macro_rules! settings {
    ($($setting:ident: $table:expr, $key:literal, $variable:literal, $option:literal, $kind:ident, $default:literal, $explain:literal;)*) => {
        /// All settings, in the order of `datac.toml`.
        pub const SETTINGS: &[Described] = &[$(Described {
            setting: SettingKey::$setting,
            table: $table,
            key: $key,
            variable: $variable,
            option: $option,
            kind: SettingKind::$kind,
            default: $default,
            explain: $explain,
        }),*];
    };
}

settings! {
    Hub: None, "hub", "DATAC_HUB", "--hub", Text, "HF_ENDPOINT, or https://huggingface.co",
        "Where datasets come from: a URL, a folder laid out `<org>/<name>/…`, or `sample`.";
    Offline: None, "offline", "DATAC_OFFLINE", "--offline", Switch, "false",
        "Whether the network is never used.";
    Jobs: Some("build"), "jobs", "DATAC_JOBS", "--jobs", Threads, "one per core",
        "Threads of a build.";
    Locked: Some("build"), "locked", "DATAC_LOCKED", "--locked", Switch, "false",
        "Whether a build fails rather than change datac.lock.";
    CacheDir: Some("cache"), "dir", "DATAC_CACHE_DIR", "--cache-dir", Text, "cache",
        "The folder of the cache, relative to the workspace.";
    CacheGc: Some("cache"), "gc", "DATAC_CACHE_GC", "--no-gc", Switch, "true",
        "Whether builds clean up the cache.";
    CacheMaxSize: Some("cache"), "max_size", "DATAC_CACHE_MAX_SIZE", "--max-size", Size, "10GB",
        "Above this size, the least recently used entries of the cache are evicted: 10GB, 500MB, 2GiB.";
    CacheMaxAge: Some("cache"), "max_age", "DATAC_CACHE_MAX_AGE", "--max-age", Age, "30d",
        "Unused entries of the cache are kept this long: 30d, 12h, 2w, 0.";
    CacheRemote: Some("cache"), "remote", "DATAC_REMOTE", "--remote", Text, "none",
        "A cache that is shared with others: a folder, relative to the workspace, a bucket, or an address.";
    OutputsDir: Some("outputs"), "dir", "DATAC_OUTPUT_DIR", "--output-dir", Text, "dataset",
        "The folder of the outputs, relative to the workspace.";
}

impl SettingKey {
    /// Returns the setting as people know it.
    pub fn described(self) -> &'static Described {
        SETTINGS.iter().find(|described| described.setting == self).expect("every setting is described")
    }
}

impl Described {
    /// Returns the whole key, such as `cache.max_size`.
    pub fn name(&self) -> String {
        self.table.map_or_else(|| self.key.to_owned(), |table| format!("{table}.{}", self.key))
    }

    /// Reads a value as it is written in the environment. The error says how to write one.
    ///
    /// ```
    /// use datac_core::config::{SettingKey, SettingValue};
    ///
    /// let jobs = SettingKey::Jobs.described();
    /// assert_eq!(jobs.parse("8"), Ok(SettingValue::Number(8)));
    /// assert_eq!(jobs.parse("0"), Err("use a number from 1 to 1024".to_owned()));
    /// ```
    pub fn parse(&self, text: &str) -> Result<SettingValue, String> {
        match self.kind {
            SettingKind::Text => Ok(SettingValue::Text(text.to_owned())),
            SettingKind::Switch => quantity::switch(text).map(SettingValue::Switch),
            SettingKind::Threads => {
                let jobs = text.trim().parse().ok().filter(|jobs| (1..=MAX_JOBS).contains(jobs));
                jobs.map(SettingValue::Number).ok_or_else(|| format!("use a number from 1 to {MAX_JOBS}"))
            }
            SettingKind::Size => quantity::size(text).map(SettingValue::Number),
            SettingKind::Age => quantity::age(text).map(SettingValue::Number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_names_of_their_own() {
        for (at, described) in SETTINGS.iter().enumerate() {
            assert_eq!(described.setting.described(), described);
            for other in &SETTINGS[at + 1..] {
                assert_ne!(described.name(), other.name());
                assert_ne!(described.variable, other.variable);
            }
        }
    }
}
