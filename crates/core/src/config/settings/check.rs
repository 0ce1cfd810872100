//! Reads settings from `datac.toml`, or reports every fault in it with its location.

use super::{
    super::{
        check::rules::{did_you_mean, list_of},
        defaults, plain_text,
        problem::{self, Fault, Problem, line_and_column},
        toml,
        tree::{Key, Node, Scalar, Value, quoted},
    },
    Described, MAX_JOBS, SETTINGS, SettingKey, SettingKind, SettingValue,
    quantity::{age, size, switch},
};

/// A setting that `datac.toml` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSetting {
    /// The setting.
    pub setting: SettingKey,
    /// Its value.
    pub value: SettingValue,
    /// The line of its key, from 1.
    pub line: usize,
}

/// Reads the settings of a workspace, or reports everything that is wrong with them in the order of the text.
///
/// ```
/// use datac_core::config::{SettingKey, SettingValue, load_settings};
///
/// let found = load_settings("datac.toml", b"[cache]\nmax_size = '50GB'\n").unwrap();
/// assert_eq!((found[0].setting, &found[0].value), (SettingKey::CacheMaxSize, &SettingValue::Number(50_000_000_000)));
///
/// let problems = load_settings("datac.toml", b"[cache]\nmax_sise = '50GB'\n").unwrap_err();
/// assert_eq!((problems[0].line, problems[0].column), (2, 1));
/// assert_eq!(problems[0].hint.as_deref(), Some("did you mean `max_size`?"));
/// ```
pub fn load_settings(path: &str, text: &[u8]) -> Result<Vec<FoundSetting>, Vec<Problem>> {
    let mut reader = Reader { found: Vec::new(), faults: Vec::new() };
    let mut mark = 0;
    match plain_text(text) {
        Ok((plain, size)) => {
            mark = size;
            match toml::parse(plain) {
                Ok(root) => reader.root(&root),
                Err(faults) => reader.faults = faults,
            }
        }
        Err(fault) => reader.faults.push(fault),
    }
    let Reader { found, mut faults } = reader;
    if faults.is_empty() {
        let line = |at: usize| line_and_column(text, at + mark).0;
        let found = found.into_iter().map(|(setting, value, at)| FoundSetting { setting, value, line: line(at) });
        return Ok(found.collect());
    }
    for span in faults.iter_mut().filter_map(|fault| fault.span.as_mut()) {
        *span = span.start + mark..span.end + mark;
    }
    faults.sort_by_key(|fault| fault.span.as_ref().map(|span| (span.start, span.end)));
    Err(faults.into_iter().map(|fault| fault.locate(path, text)).collect())
}

/// Returns the settings of a table; of the top for `None`.
fn settings_of(table: Option<&str>) -> impl Iterator<Item = &'static Described> {
    SETTINGS.iter().filter(move |described| described.table == table)
}

/// Returns the names of the tables.
fn tables() -> Vec<&'static str> {
    let mut tables: Vec<&str> = SETTINGS.iter().filter_map(|described| described.table).collect();
    tables.dedup();
    tables
}

struct Reader {
    /// The settings, and where their keys begin.
    found: Vec<(SettingKey, SettingValue, usize)>,
    faults: Vec<Fault>,
}

impl Reader {
    fn root(&mut self, root: &Node<'_>) {
        let Value::Map(entries) = &root.value else { return };
        for (key, node) in entries {
            if key.name == defaults::TABLE {
                defaults::check(node, &mut self.faults);
                continue;
            }
            match tables().into_iter().find(|table| key.name == *table) {
                Some(table) => self.table(table, node),
                None => self.entry(None, key, node),
            }
        }
    }

    fn table(&mut self, table: &'static str, node: &Node<'_>) {
        let Value::Map(entries) = &node.value else {
            let fault = Fault::new(
                problem::WRONG_TYPE,
                &node.span,
                format!("`{table}` must be a table, found {}", node.describe()),
            );
            self.faults.push(fault.label("not a table").hint(format!("write `[{table}]` above its keys")));
            return;
        };
        for (key, node) in entries {
            self.entry(Some(table), key, node);
        }
    }

    fn entry(&mut self, table: Option<&'static str>, key: &Key<'_>, node: &Node<'_>) {
        let Some(described) = settings_of(table).find(|described| key.name == described.key) else {
            return self.unknown_key(table, key);
        };
        if let Some(value) = self.value(described, node) {
            self.found.push((described.setting, value, key.span.start));
        }
    }

    fn unknown_key(&mut self, table: Option<&'static str>, key: &Key<'_>) {
        let name = key.name.as_ref();
        let place = table.map_or_else(|| "`datac.toml`".to_owned(), |table| format!("`[{table}]`"));
        let mut known: Vec<&str> = settings_of(table).map(|described| described.key).collect();
        if table.is_none() {
            known.extend(tables());
            known.push(defaults::TABLE);
        }
        let elsewhere = || {
            let others = || SETTINGS.iter().filter(|described| described.table != table);
            let exact = others().find(|described| described.key == name);
            let meant = exact.or_else(|| {
                let keys: Vec<&str> = others().map(|described| described.key).collect();
                let meant = did_you_mean(name, &keys)?;
                others().find(|described| described.key == meant)
            })?;
            Some(match meant.table {
                Some(table) => format!("`{}` belongs to `[{table}]`", meant.key),
                None => format!("`{}` stands above all tables", meant.key),
            })
        };
        let hint = did_you_mean(name, &known).map(|meant| format!("did you mean `{meant}`?"));
        let hint = hint.or_else(elsewhere).unwrap_or_else(|| format!("known keys of {place}: {}", list_of(&known)));
        let fault = Fault::new(problem::UNKNOWN_KEY, &key.span, format!("unknown key {} in {place}", quoted(name)));
        self.faults.push(fault.label("unknown key").hint(hint));
    }

    fn value(&mut self, described: &Described, node: &Node<'_>) -> Option<SettingValue> {
        let name = described.key;
        match (described.kind, &node.value) {
            (SettingKind::Text, Value::Scalar(Scalar::Text, text)) => {
                if text.trim().is_empty() {
                    let fault = Fault::new(problem::EMPTY_VALUE, &node.span, format!("`{name}` is empty"));
                    self.faults.push(fault.label("empty").hint("write a value, or remove the key"));
                    return None;
                }
                if let Some(control) = text.chars().find(|c| c.is_control()) {
                    let message = format!("`{name}` contains the control character `{}`", control.escape_default());
                    self.faults.push(Fault::new(problem::BAD_CHARACTER, &node.span, message).hint("remove it"));
                    return None;
                }
                Some(SettingValue::Text(text.to_string()))
            }
            (SettingKind::Text, _) => self.wrong_type(name, node, "text", Some("put it between quotes")),
            (SettingKind::Switch, Value::Scalar(Scalar::Bool(value), _)) => Some(SettingValue::Switch(*value)),
            (SettingKind::Switch, other) => {
                let meant = match other {
                    Value::Scalar(_, text) => switch(text).ok(),
                    _ => None,
                };
                let hint = meant.map(|meant| if meant { "write `true`" } else { "write `false`" });
                self.wrong_type(name, node, "`true` or `false`", hint)
            }
            (SettingKind::Threads, Value::Scalar(Scalar::Int(number), text)) => {
                let number = u64::try_from(*number).ok().filter(|number| (1..=MAX_JOBS).contains(number));
                if number.is_none() {
                    let bound = format!("from 1 to {MAX_JOBS}");
                    let message = format!("`{name}` must be {bound}, found `{text}`");
                    let fault = Fault::new(problem::OUT_OF_RANGE, &node.span, message).label(bound);
                    self.faults.push(fault.hint("remove the key for one thread per core"));
                }
                number.map(SettingValue::Number)
            }
            (SettingKind::Threads, other) => {
                let is_number =
                    matches!(other, Value::Scalar(Scalar::Text, text) if text.trim().parse::<u64>().is_ok());
                self.wrong_type(name, node, "an integer", is_number.then_some("remove the quotes"))
            }
            (SettingKind::Size, Value::Scalar(Scalar::Text | Scalar::Int(_), text)) => {
                self.quantity(name, node, size(text), "a size")
            }
            (SettingKind::Age, Value::Scalar(Scalar::Text | Scalar::Int(_), text)) => {
                self.quantity(name, node, age(text), "an age")
            }
            (SettingKind::Size, _) => self.wrong_type(name, node, "a size", Some("write it as `\"10GB\"`")),
            (SettingKind::Age, _) => self.wrong_type(name, node, "an age", Some("write it as `\"30d\"`")),
        }
    }

    fn quantity(&mut self, name: &str, node: &Node<'_>, read: Result<u64, String>, what: &str) -> Option<SettingValue> {
        match read {
            Ok(number) => Some(SettingValue::Number(number)),
            Err(hint) => {
                let message = format!("`{name}` must be {what}, found {}", node.describe());
                self.faults
                    .push(Fault::new(problem::QUANTITY, &node.span, message).label(format!("not {what}")).hint(hint));
                None
            }
        }
    }

    fn wrong_type(&mut self, name: &str, node: &Node<'_>, expected: &str, hint: Option<&str>) -> Option<SettingValue> {
        let message = format!("`{name}` must be {expected}, found {}", node.describe());
        let fault = Fault::new(problem::WRONG_TYPE, &node.span, message).label(format!("expected {expected}"));
        self.faults.push(fault.maybe_hint(hint.map(str::to_owned)));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        match load_settings("datac.toml", text.as_bytes()) {
            Ok(found) => found
                .into_iter()
                .map(|found| format!("{}: {} = {:?}", found.line, found.setting.described().name(), found.value))
                .collect(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn settings_are_found_with_their_lines() {
        let text = "\u{feff}hub = 'sample'\noffline = true\n\n[build]\njobs = 8\nlocked = false\n[cache]\ndir = '/scratch/é'\ngc = false\n\
                    max_size = '50 GB'\nmax_age = 0\n[outputs]\ndir = 'rows'\n";
        assert_eq!(
            told(text),
            [
                "1: hub = Text(\"sample\")",
                "2: offline = Switch(true)",
                "5: build.jobs = Number(8)",
                "6: build.locked = Switch(false)",
                "8: cache.dir = Text(\"/scratch/é\")",
                "9: cache.gc = Switch(false)",
                "10: cache.max_size = Number(50000000000)",
                "11: cache.max_age = Number(0)",
                "13: outputs.dir = Text(\"rows\")",
            ]
        );
        assert_eq!(
            told("cache.max_size = 4096\nbuild = { jobs = 2 }"),
            ["1: cache.max_size = Number(4096)", "2: build.jobs = Number(2)"]
        );
        assert_eq!(told(""), [""; 0]);
    }

    #[test]
    fn faults_are_told_with_place_and_remedy() {
        for (text, expected) in [
            ("hubb = 'x'", "1:1: unknown key `hubb` in `datac.toml` [E0110]; did you mean `hub`?"),
            ("max_size = 1", "1:1: unknown key `max_size` in `datac.toml` [E0110]; `max_size` belongs to `[cache]`"),
            ("[build]\nhub = 'x'", "2:1: unknown key `hub` in `[build]` [E0110]; `hub` stands above all tables"),
            (
                "[cache]\nzzz = 1",
                "2:1: unknown key `zzz` in `[cache]` [E0110]; known keys of `[cache]`: `dir`, `gc`, `max_size`, `max_age`, `remote`",
            ),
            ("[caches]", "1:2: unknown key `caches` in `datac.toml` [E0110]; did you mean `cache`?"),
            ("cache = 'x'", "1:9: `cache` must be a table, found the text `x` [E0112]; write `[cache]` above its keys"),
            ("hub = 1", "1:7: `hub` must be text, found the number `1` [E0112]; put it between quotes"),
            ("hub = 2026-01-31", "1:7: `hub` must be text, found the date `2026-01-31` [E0112]; put it between quotes"),
            ("hub = ' '", "1:7: `hub` is empty [E0116]; write a value, or remove the key"),
            ("hub = \"a\\tb\"", "1:7: `hub` contains the control character `\\t` [E0117]; remove it"),
            (
                "offline = 'yes'",
                "1:11: `offline` must be `true` or `false`, found the text `yes` [E0112]; write `true`",
            ),
            ("offline = 0", "1:11: `offline` must be `true` or `false`, found the number `0` [E0112]; write `false`"),
            (
                "build.jobs = 0",
                "1:14: `jobs` must be from 1 to 1024, found `0` [E0114]; remove the key for one thread per core",
            ),
            ("build.jobs = '4'", "1:14: `jobs` must be an integer, found the text `4` [E0112]; remove the quotes"),
            (
                "cache.max_size = '10 QB'",
                "1:18: `max_size` must be a size, found the text `10 QB` [E0140]; write a size as 10GB, 500MB or 2GiB",
            ),
            (
                "cache.max_size = -1",
                "1:18: `max_size` must be a size, found the number `-1` [E0140]; write a size as 10GB, 500MB or 2GiB",
            ),
            (
                "cache.max_age = 30",
                "1:17: `max_age` must be an age, found the number `30` [E0140]; write an age as 30d, 12h, 2w or 0",
            ),
            (
                "cache.max_age = true",
                "1:17: `max_age` must be an age, found the boolean `true` [E0112]; write it as `\"30d\"`",
            ),
            ("[cache]\n[cache]", "2:2: `cache` is given twice [E0108]; remove one"),
        ] {
            assert_eq!(told(text), [format!("datac.toml:{expected}")], "{text}");
        }
        assert!(
            told("hub = sample")[0].starts_with("datac.toml:1:7: `datac.toml` is not TOML: "),
            "{:?}",
            told("hub = sample")
        );
        assert!(load_settings("datac.toml", b"hub = '\xff'").unwrap_err()[0].code == "E0102");
        assert_eq!(told("a = 1\n[cache]\nb = 2\n[build]\njobs = 0").len(), 3, "all faults are told");
    }
}
