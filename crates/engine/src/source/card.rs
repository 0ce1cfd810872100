//! What a dataset card says of the files and of their licence: YAML at the top of a repository's `README.md`.
//!
//! `config/yaml.rs` reads recipes strictly: no aliases, no unknown keys, every problem with its location. A card is
//! someone else's file and free in form, so serde reads it leniently here.

use std::borrow::Cow;

use serde_yaml::Value;

use datac_core::{
    format::{DELIMITERS, Reading},
    license::{License, Stated},
};

/// A config as declared in a card.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CardConfig {
    /// Name of the config.
    pub(super) name: String,
    /// Whether the config has `default: true`.
    pub(super) is_default: bool,
    /// Folder that contains the files of the config.
    pub(super) data_dir: Option<String>,
    /// The other keys of the config, which say how its files are read.
    pub(super) parameters: Vec<(String, Value)>,
    /// Split names with their patterns, in the card's order; `None` if file names decide the splits.
    pub(super) data_files: Option<Vec<(String, Vec<String>)>>,
}

/// Keys of the front matter that a lock keeps.
const KEPT: &[&str] = &["license", "license_name", "license_link", "configs"];

/// Maximum size of a card's front matter in bytes. Real cards with thousands of configs stay below it.
const LIMIT: usize = 4 << 20;

/// Returns the configs that a card declares; none without `configs:`.
pub(super) fn configs(readme: &str) -> Result<Vec<CardConfig>, String> {
    let Some(head) = front_matter(readme) else { return Ok(Vec::new()) };
    // Without `configs:`, invalid YAML does not matter here.
    if !head.lines().any(|line| line.starts_with("configs") || line.starts_with(['{', '"', '\''])) {
        return Ok(Vec::new());
    }
    if head.len() > LIMIT {
        return Err(format!("the front matter is longer than {} MiB", LIMIT >> 20));
    }
    let mut head: Value = serde_yaml::from_str(&last_of_each(&head)).map_err(|error| error.to_string())?;
    // Where `<<` stands, YAML 1.1 takes the keys of another mapping over.
    head.apply_merge().map_err(|error| error.to_string())?;
    match head.get("configs") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Sequence(configs)) => {
            let mut found: Vec<CardConfig> = Vec::with_capacity(configs.len());
            // As in `datasets`, the last of several configs of one name is meant.
            for config in configs.iter().map(config) {
                let config = config?;
                found.retain(|known| known.name != config.name);
                found.push(config);
            }
            Ok(found)
        }
        Some(_) => Err("`configs` is not a list".to_owned()),
    }
}

/// Returns the licence that a card states; `None` without `license:`, or if the front matter is invalid.
pub fn license(readme: &str, stated: Stated) -> Option<License> {
    let head = front_matter(readme).filter(|head| head.len() <= LIMIT)?;
    let mut head: Value = serde_yaml::from_str(&last_of_each(&head)).ok()?;
    head.apply_merge().ok();
    let ids = head.get("license").filter(|ids| !ids.is_null()).and_then(paths)?;
    let named = |key| head.get(key).and_then(text).filter(|text| !text.trim().is_empty());
    let license = License::new(ids, stated)?;
    Some(License { name: named("license_name"), link: named("license_link"), ..license })
}

/// Returns the part of a card that describes the repository's files and says their licence, itself a valid card, for the lock to
/// keep; `None` if there is no such part.
///
/// A card with invalid front matter is kept whole, so that the code that needs it reports the problem.
pub fn essence(readme: &str) -> Option<String> {
    let head = front_matter(readme)?;
    let kept = match serde_yaml::from_str::<Value>(&last_of_each(&head)) {
        Ok(mut value) => {
            value.apply_merge().ok();
            let kept = KEPT
                .iter()
                .filter_map(|key| Some((Value::from(*key), value.get(key).filter(|value| !value.is_null())?.clone())));
            let only = serde_yaml::Mapping::from_iter(kept);
            if only.is_empty() {
                return None;
            }
            serde_yaml::to_string(&only).unwrap_or(head)
        }
        Err(_) => head,
    };
    Some(format!("---\n{kept}---\n"))
}

/// Returns the front matter of a card: the text between the first two `---` lines.
fn front_matter(readme: &str) -> Option<String> {
    let mut lines = readme.trim_start_matches('\u{feff}').lines().map(str::trim_end).skip_while(|line| line.is_empty());
    if lines.next()? != "---" {
        return None;
    }
    let mut head = String::new();
    for line in lines {
        if line == "---" {
            return Some(head);
        }
        head.push_str(line);
        head.push('\n');
    }
    None
}

/// Leaves out the entries of front matter whose key comes again: the readers of the Hub take the last of them, and the parser here
/// takes none.
fn last_of_each(head: &str) -> Cow<'_, str> {
    let key = |line: &str| {
        let (key, rest) = line.split_once(':')?;
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        (is_key && (rest.is_empty() || rest.starts_with([' ', '\t']))).then(|| key.to_owned())
    };
    let mut entries: Vec<(Option<String>, String)> = vec![(None, String::new())];
    for line in head.split_inclusive('\n') {
        match key(line.trim_end()) {
            Some(key) => entries.push((Some(key), line.to_owned())),
            None => entries.last_mut().expect("there is a first one").1.push_str(line),
        }
    }
    let comes_again =
        |at: usize| entries[at].0.is_some() && entries[at + 1..].iter().any(|(key, _)| *key == entries[at].0);
    let again: Vec<bool> = (0..entries.len()).map(comes_again).collect();
    if !again.contains(&true) {
        return Cow::Borrowed(head);
    }
    let kept = entries.iter().zip(&again).filter(|(_, again)| !**again).map(|((_, text), _)| text.as_str());
    Cow::Owned(kept.collect())
}

/// Keys of a config that say nothing about how its files are read.
const DESCRIPTIVE: &[&str] = &[
    "config_name",
    "data_files",
    "data_dir",
    "default",
    "description",
    "version",
    "dataset_size",
    "download_size",
    "drop_labels",
];

fn parameters(value: &Value) -> Vec<(String, Value)> {
    let Value::Mapping(entries) = value else { return Vec::new() };
    let named = entries.iter().filter_map(|(key, value)| Some((text(key)?, value.clone())));
    named.filter(|(key, value)| !DESCRIPTIVE.contains(&key.as_str()) && (!value.is_null() || key == "header")).collect()
}

impl CardConfig {
    /// Returns how the files of the config are read; the error names a parameter that datac does not follow.
    pub(super) fn reading(&self) -> Result<Reading, String> {
        let mut reading = Reading::default();
        for (key, value) in &self.parameters {
            let followed = match key.as_str() {
                "sep" | "delimiter" => {
                    let word = text(value);
                    let byte = DELIMITERS.iter().find(|(known, byte)| {
                        word.as_deref().is_some_and(|word| word == *known || word.as_bytes() == [*byte])
                    });
                    reading.delimiter = byte.map(|(_, byte)| *byte);
                    byte.is_some()
                }
                "field" => {
                    reading.field = text(value);
                    reading.field.is_some()
                }
                "names" | "column_names" => {
                    reading.names = paths(value);
                    reading.names.is_some()
                }
                "skiprows" => {
                    let lines = value.as_u64().and_then(|lines| u32::try_from(lines).ok());
                    reading.skip = lines.unwrap_or_default();
                    lines.is_some()
                }
                "header" => match value {
                    Value::Number(number) if number.as_u64() == Some(0) => {
                        reading.header = Some(true);
                        true
                    }
                    // As pandas has it: there is none.
                    Value::Null => {
                        reading.header = Some(false);
                        true
                    }
                    Value::String(word) if word == "infer" => true,
                    _ => false,
                },
                "encoding" => {
                    let name = text(value).unwrap_or_default().to_ascii_lowercase().replace(['-', '_'], "");
                    matches!(name.as_str(), "utf8" | "utf8sig" | "ascii" | "usascii")
                }
                "quoting" => matches!(value.as_u64(), Some(0 | 1)),
                "quotechar" => text(value).as_deref() == Some("\""),
                "sample_by" => text(value).as_deref() == Some("line"),
                // Values keep the types that the files give them.
                "features" | "keep_default_na" | "na_filter" | "low_memory" | "on_mixed_types" => true,
                _ => READERS.iter().all(|known| *known != key),
            };
            if !followed {
                let shown = serde_yaml::to_string(value).unwrap_or_default();
                let shown = shown.trim().replace('\n', " ");
                return Err(format!(
                    "the card says `{key}: {shown}` for config `{}`, which datac does not follow: convert the files, or read \
                     them from a folder of the workspace",
                    self.name
                ));
            }
        }
        Ok(reading)
    }
}

/// Parameters of the readers of `datasets` that change which rows or values are read, and that datac does not follow.
const READERS: &[&str] = &[
    "usecols",
    "index_col",
    "dtype",
    "converters",
    "true_values",
    "false_values",
    "skipinitialspace",
    "nrows",
    "na_values",
    "skip_blank_lines",
    "parse_dates",
    "thousands",
    "decimal",
    "lineterminator",
    "escapechar",
    "comment",
    "doublequote",
    "encoding_errors",
    "on_bad_lines",
    "skipfooter",
    "columns",
    "filters",
    "keep_linebreaks",
    "prefix",
    "mangle_dupe_cols",
];

fn config(value: &Value) -> Result<CardConfig, String> {
    let name = value.get("config_name").and_then(text).ok_or("a config has no `config_name`")?;
    let data_files = match value.get("data_files") {
        None | Some(Value::Null) => None,
        Some(files) => Some(data_files(files).ok_or_else(|| {
            format!("`data_files` of config `{name}` is neither a path, a list of paths nor splits with their paths")
        })?),
    };
    Ok(CardConfig {
        is_default: value.get("default").is_some_and(is_true),
        data_dir: value.get("data_dir").and_then(text),
        data_files,
        name,
        parameters: parameters(value),
    })
}

/// Parses `path`, `[path, …]`, `{split: path or paths, …}` or `[{split, path: path or paths}, …]`.
fn data_files(value: &Value) -> Option<Vec<(String, Vec<String>)>> {
    match value {
        Value::Mapping(splits) => splits.iter().map(|(split, path)| Some((text(split)?, paths(path)?))).collect(),
        Value::Sequence(entries) if entries.iter().any(Value::is_mapping) => {
            entries.iter().map(|entry| Some((text(entry.get("split")?)?, paths(entry.get("path")?)?))).collect()
        }
        _ => Some(vec![("train".to_owned(), paths(value)?)]),
    }
}

/// Returns whether a value counts as true in Python.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => false,
    }
}

fn paths(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Sequence(paths) => paths.iter().map(text).collect(),
        one => Some(vec![text(one)?]),
    }
}

/// Returns a scalar as text, so that a config may be called `2023` or `no` without quotes.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(yaml: &str) -> Option<Vec<(String, Vec<String>)>> {
        let card = format!("---\nlicense: mit\nconfigs:\n- config_name: a\n{yaml}\n---\n# Card\n");
        configs(&card).unwrap().remove(0).data_files
    }

    fn split(name: &str, paths: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn each_form_of_data_files() {
        assert_eq!(files("  data_files: a.csv"), Some(vec![split("train", &["a.csv"])]));
        assert_eq!(files("  data_files:\n  - a.csv\n  - b/*"), Some(vec![split("train", &["a.csv", "b/*"])]));
        assert_eq!(
            files("  data_files:\n  - split: test\n    path: t\n  - {split: train, path: [a, b]}"),
            Some(vec![split("test", &["t"]), split("train", &["a", "b"])])
        );
        assert_eq!(
            files("  data_files: {test: t, train: [a]}"),
            Some(vec![split("test", &["t"]), split("train", &["a"])])
        );
        assert_eq!(files("  data_dir: d"), None);
    }

    #[test]
    fn names_flags_and_folders() {
        let card = "\u{feff}\r\n---\r\nconfigs:\r\n- config_name: 2023\r\n  default: true\r\n  data_dir: d\r\n---\r\n";
        let found = configs(card).unwrap();
        let wanted = CardConfig {
            name: "2023".into(),
            is_default: true,
            data_dir: Some("d".into()),
            parameters: Vec::new(),
            data_files: None,
        };
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn cards_that_declare_nothing() {
        for card in ["", "# Title\n---\nconfigs: 1\n---\n", "---\nlicense: mit\n---\n", "---\nconfigs:\n- a\n"] {
            assert_eq!(configs(card), Ok(vec![]), "{card:?}");
        }
        assert_eq!(configs("---\nlicense: [mit\n---\n"), Ok(vec![]), "a fault that does not concern us");
        assert_eq!(configs("---\nconfigs:\n---\n"), Ok(vec![]));
    }

    #[test]
    fn parameters_are_followed_or_named() {
        let reading = |yaml: &str| {
            let card = format!("---\nconfigs:\n- config_name: a\n  data_files: a.csv\n{yaml}\n---\n");
            configs(&card).unwrap().remove(0).reading()
        };
        let plain = Reading::default();
        assert_eq!(reading("  sep: \";\""), Ok(Reading { delimiter: Some(b';'), ..plain.clone() }));
        assert_eq!(reading("  delimiter: \"\\t\""), Ok(Reading { delimiter: Some(b'\t'), ..plain.clone() }));
        let names = Some(vec!["id".to_owned(), "text".to_owned()]);
        assert_eq!(reading("  names: [id, text]"), Ok(Reading { names, ..plain.clone() }));
        let within = Reading { field: Some("data".into()), skip: 2, ..plain.clone() };
        assert_eq!(reading("  field: data\n  skiprows: 2"), Ok(within));
        assert_eq!(reading("  encoding: utf-8\n  description: x"), Ok(plain));
        for (yaml, named) in
            [("encoding: latin-1", "`encoding: latin-1`"), ("sep: x", "`sep: x`"), ("nrows: 2", "`nrows: 2`")]
        {
            let error = reading(&format!("  {yaml}")).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn of_what_is_said_twice_the_last_counts() {
        let card = "---\nlicense: mit\nconfigs:\n- config_name: x\n  data_files: a.jsonl\nlicense: gpl-3.0\nconfigs:\n\
                    - config_name: x\n  data_files: b.jsonl\n- config_name: x\n  data_files: c.jsonl\n---\n";
        for card in [card.to_owned(), essence(card).unwrap()] {
            let configs = configs(&card).unwrap();
            assert_eq!(configs.len(), 1);
            assert_eq!(configs[0].data_files, Some(vec![split("train", &["c.jsonl"])]));
            assert_eq!(license(&card, Stated::Card).unwrap().ids, ["gpl-3.0"]);
        }
    }

    #[test]
    fn merged_keys_are_taken_over() {
        let card = "---\nbase: &b\n  data_files: a.jsonl\nconfigs:\n- <<: *b\n  config_name: one\n---\n";
        assert_eq!(configs(card).unwrap()[0].data_files, Some(vec![split("train", &["a.jsonl"])]));
        let kept = essence(card).unwrap();
        assert_eq!(configs(&kept).unwrap()[0].data_files, Some(vec![split("train", &["a.jsonl"])]));
    }

    #[test]
    fn licences_are_read_and_kept() {
        let of = |yaml: &str| license(&format!("---\n{yaml}\n---\n# Card\n"), Stated::Card);
        let ids = |yaml: &str| of(yaml).map(|license| license.ids);
        assert_eq!(ids("license: MIT"), Some(vec!["mit".to_owned()]));
        assert_eq!(ids("license:\n- cc-by-4.0\n- gpl"), Some(vec!["cc-by-4.0".to_owned(), "gpl".to_owned()]));
        for none in ["license:", "license: []", "license: ''", "license: {a: b}", "license: [", "a: b"] {
            assert_eq!(of(none), None, "{none}");
        }
        let own = "license: other\nlicense_name: Own terms\nlicense_link: LICENSE";
        let license = of(own).unwrap();
        assert_eq!((license.name.as_deref(), license.link.as_deref()), (Some("Own terms"), Some("LICENSE")));
        let kept = essence(&format!("---\n{own}\ntags: [x]\n---\n")).unwrap();
        assert_eq!(kept, "---\nlicense: other\nlicense_name: Own terms\nlicense_link: LICENSE\n---\n");
        assert_eq!(essence("---\ntags: [x]\n---\n"), None);
    }

    #[test]
    fn broken_configs_are_named() {
        let fault = |yaml: &str| configs(&format!("---\n{yaml}\n---\n")).unwrap_err();
        assert_eq!(fault("configs: 7"), "`configs` is not a list");
        assert_eq!(fault("configs:\n- data_files: a"), "a config has no `config_name`");
        assert!(fault("configs:\n- config_name: a\n  data_files: [{split: x}]").contains("`data_files` of config `a`"));
        assert!(fault("configs: [").contains("line"), "{}", fault("configs: ["));
    }
}
