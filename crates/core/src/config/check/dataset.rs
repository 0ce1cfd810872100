//! Checks an entry of `datasets`: where its rows come from, how they are converted and which are kept.

use std::{collections::BTreeMap, ops::Range};

use super::{
    super::{
        ConverterWord,
        problem::{self, Fault},
        recipe::{Dataset, FORMATS, Location, Sampling, SourceRole, Take},
        tree::{Key, Node, Value, quoted},
    },
    Checker, DATASET_KEYS, SAMPLE_KEYS,
    read::Fields,
    rules::{
        AddressFault, bucket_address, decimal, hub_id_of_url, is_hub_id, is_in_bucket, is_plain, relative_path,
        revision_fault, suggest,
    },
};
use crate::{
    config::{
        Command, Function, Keep, Options, Program,
        options::{ID, SOURCE_ID},
    },
    format::{DELIMITERS, Reading},
    mapping::Mapping,
    rules::{Mode, RULES},
    sample::{Role, SampleKind},
};

/// The parts of a dataset entry that later checks need, even if other parts are invalid.
pub(super) struct CheckedDataset {
    /// Name of the dataset, and its span.
    pub(super) name: Option<(String, Range<usize>)>,
    /// Share of the dataset, and its span.
    pub(super) ratio: Option<(f64, Range<usize>)>,
    /// The dataset, if the whole entry is valid.
    pub(super) dataset: Option<Dataset>,
}

/// Where the rows of a dataset can come from, as far as `format` says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// From a repository: `format: huggingface`.
    Hub,
    /// From files of the workspace: any other `format`.
    Workspace,
    /// From either: there is no `format`.
    Any,
}

/// Returns whether a source without `format` can only be a path of the workspace.
fn looks_like_path(text: &str) -> bool {
    let base = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_file = base.split('.').skip(1).any(|part| FILES.contains(&part));
    text.starts_with("./")
        || text.ends_with('/')
        || text.contains(['*', '?', '['])
        || (text.matches('/').count() > 1 && relative_path(text).is_ok())
        || (is_file && relative_path(text).is_ok())
}

/// An example of a function that converts rows.
const FUNCTION: &str = "converters/chat.py:to_sample";

/// Parts of names behind a dot that files of rows have.
const FILES: &[&str] = &["jsonl", "json", "ndjson", "parquet", "arrow", "csv", "tsv", "txt"];

impl Checker<'_> {
    /// Checks one of `count` entries of a recipe whose samples are of `kind`.
    pub(super) fn dataset(&mut self, node: &Node<'_>, count: usize, kind: Option<SampleKind>) -> CheckedDataset {
        let mut entry = CheckedDataset { name: None, ratio: None, dataset: None };
        let Some(fields) = self.fields(node, None, "a dataset", DATASET_KEYS) else { return entry };
        let named = self.required(&fields, "name", "add `name: alpaca`: rows carry it as their `source`");
        entry.name = named.and_then(|node| Some((self.name(node, "name")?.to_owned(), node.span.clone())));
        entry.ratio = self.mix_ratio(&fields, node, count);
        let name = entry.name.as_ref().map(|(name, _)| name.clone());
        entry.dataset = self.entry(&fields, kind, name, entry.ratio.as_ref().map(|(ratio, _)| *ratio));
        entry
    }

    /// Reads the keys of a source whose name and share are known, or have been reported.
    pub(super) fn entry(
        &mut self,
        fields: &Fields<'_, '_>,
        kind: Option<SampleKind>,
        name: Option<String>,
        mix_ratio: Option<f64>,
    ) -> Option<Dataset> {
        let owned = |this: &mut Self, node: &Node<'_>, key: &str| this.name(node, key).map(str::to_owned);

        let format = self.or_default(fields, "format", None, |this, node, key| this.word(node, key, FORMATS));
        let place = match (format, fields.get("format")) {
            // An unknown format has been reported; what the source should look like is then anyone's guess.
            (None, _) => None,
            (Some(None), Some(_)) => Some(Place::Hub),
            (Some(None), None) => Some(Place::Any),
            (Some(Some(_)), _) => Some(Place::Workspace),
        };
        let source = self.required(
            fields,
            "source",
            "add a Hub id such as `source: tatsu-lab/alpaca`, or a path such as `data/mine.jsonl`",
        );
        let revision = self.optional(fields, "revision", Self::revision);
        let location = source.and_then(|node| self.location(node, place?, revision.clone()?, fields));
        let delimiter = self.optional(fields, "delimiter", |this, node, key| this.word(node, key, DELIMITERS));
        let field = self.optional(fields, "field", owned);
        let splits = self.or_default(fields, "splits", vec!["train".to_owned()], |this, node, key| {
            this.names(node, key, Self::split)
        });
        let take = self.take(fields);
        let text_field = self.optional(fields, "text_field", owned);
        let config_name = self.optional(fields, "config_name", owned);
        let license = self.or_default(fields, "license", Vec::new(), |this, node, key| {
            this.names(node, key, |_, _, text| Some(text.to_owned()))
        });
        let data_dir =
            self.or_default(fields, "data_dir", Vec::new(), |this, node, key| this.names(node, key, Self::folder));
        let program = match fields.get("converter") {
            Some(node) if matches!(node.value, Value::Map(_)) => self.program(node).map(Some),
            _ => Some(None),
        };
        let is_program = !matches!(program, Some(None));
        let converter = match is_program {
            true => Some(None),
            false => self.optional(fields, "converter", |this, node, _| this.converter(node, kind)),
        };
        let word = converter.clone().flatten();
        let of_converter =
            self.or_default(fields, "options", BTreeMap::new(), |this, node, _| this.options(node, word.as_ref()));
        let has_converter = fields.get("converter").is_some();
        let columns = self
            .or_default(fields, "columns", Mapping::default(), |this, node, _| this.columns(node, kind, has_converter));
        let roles = self.or_default(fields, "roles", BTreeMap::new(), |this, node, _| this.roles(node));
        let mut keep = self.or_default(fields, "keep", Keep::default(), |this, node, _| this.keep(node, kind));
        let rules = self.or_default(fields, "rules", BTreeMap::new(), |this, node, _| this.dialogue_rules(node));
        let ignore = self.or_default(fields, "ignore", Vec::new(), |this, node, key| {
            this.names(node, key, |_, _, text| Some(text.to_owned()))
        });
        if let (Some(keep), Some(ignore), Some(node)) = (&keep, &ignore, fields.get("ignore"))
            && let Some(both) = ignore.iter().find(|column| keep.columns.contains_key(*column))
        {
            let message = format!("column {} is kept and ignored", quoted(both));
            self.report(Fault::new(problem::CONTRADICTION, &node.span, message).hint("remove it from one of the two"));
        }
        if let Some(keep) = keep.as_mut().filter(|keep| keep.all && self.has_ids)
            && !keep.columns.values().any(|new| new == SOURCE_ID)
            && !ignore.iter().flatten().any(|column| column == ID)
        {
            // `all` keeps the source's own ids, too, beside those that datac gives rows.
            keep.columns.entry(ID.to_owned()).or_insert_with(|| SOURCE_ID.to_owned());
        }
        let filters = self.or_default(fields, "filters", Vec::new(), |this, node, _| this.filters(node));

        Some(Dataset {
            name: name?,
            written_as: None,
            role: SourceRole::Mixed,
            location: location?,
            format: format?,
            reading: Reading { delimiter: delimiter?, field: field?, ..Reading::default() },
            mix_ratio: mix_ratio?,
            splits: splits?,
            take: take?,
            text_field: text_field?,
            config_name: config_name?,
            license: license?,
            data_dir: data_dir?,
            converter: converter?.map(|word| word.name),
            options: Options {
                of_converter: of_converter?,
                columns: columns?,
                program: program?,
                roles: roles?,
                keep: keep?,
                ignore: ignore?.into_iter().collect(),
                rules: rules?,
            },
            filters: filters?,
        })
    }

    fn mix_ratio(&mut self, fields: &Fields<'_, '_>, node: &Node<'_>, count: usize) -> Option<(f64, Range<usize>)> {
        let written = match fields.get("mix_ratio") {
            None if count == 1 => return Some((1.0, node.span.clone())),
            None => {
                let equal = decimal((1e4 / count as f64).round() / 1e4);
                self.required(
                    fields,
                    "mix_ratio",
                    &format!("shares must sum to 1.0; equal shares would be `mix_ratio: {equal}`"),
                )?
            }
            Some(written) => written,
        };
        let ratio =
            self.number_in(written, "mix_ratio", "above 0 and at most 1", |ratio| ratio > 0.0 && ratio <= 1.0)?;
        Some((ratio, written.span.clone()))
    }

    /// Reads `max_samples` and `sample`, of which there may be one.
    fn take(&mut self, fields: &Fields<'_, '_>) -> Option<Take> {
        let max_samples = self.optional(fields, "max_samples", |this, node, key| this.integer(node, key, 1));
        let sample = self.optional(fields, "sample", |this, node, _| this.sampling(node));
        match (max_samples?, sample?) {
            (None, None) => Some(Take::All),
            (Some(max), None) => Some(Take::First(max)),
            (None, Some(sampling)) => Some(Take::Sample(sampling)),
            (Some(_), Some(_)) => {
                let span = fields.get("sample").map_or(0..0, |node| node.span.clone());
                let message = "a dataset has both `max_samples` and `sample`";
                let fault = Fault::new(problem::CONTRADICTION, &span, message).label("the first rows, or random ones?");
                self.report(fault.hint("keep one: `max_samples` takes the first rows, `sample` random ones"));
                None
            }
        }
    }

    fn sampling(&mut self, node: &Node<'_>) -> Option<Sampling> {
        let fields = self.fields(node, None, "`sample`", SAMPLE_KEYS)?;
        let rows = self.required(&fields, "rows", "such as `sample: { rows: 1000, seed: 42 }`");
        let rows = rows.and_then(|node| self.integer(node, "rows", 1));
        let seed = self.or_default(&fields, "seed", 42, |this, node, key| this.integer(node, key, 0));
        Some(Sampling { rows: rows?, seed: seed? })
    }

    /// Reads `source`: a repository, or paths of the workspace, as `place` and the words themselves say.
    fn location(
        &mut self,
        node: &Node<'_>,
        place: Place,
        revision: Option<String>,
        fields: &Fields<'_, '_>,
    ) -> Option<Location> {
        let is_list = matches!(node.value, Value::List(_));
        let texts = self.names(node, "source", |_, _, text| Some(text.to_owned()))?;
        let first = texts.first()?.clone();
        if texts.iter().any(|text| is_in_bucket(text)) {
            return self.addresses(node, &texts, place, fields);
        }
        let is_path = is_list || looks_like_path(&first);
        if place == Place::Hub || (place == Place::Any && !is_path) {
            return self.repo(node, &first, place, revision).filter(|_| !is_list || self.one_repo(node));
        }
        let mut paths = Vec::with_capacity(texts.len());
        let items = if let Value::List(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
        for (item, text) in items.iter().zip(&texts) {
            paths.push(self.path(item, text));
        }
        let paths: Vec<String> = paths.into_iter().collect::<Option<_>>()?;
        self.of_no_repository(fields, &first, "a path of the workspace", "not of a path")?;
        Some(Location::Local { path: paths.join(", "), paths })
    }

    /// Reads addresses of buckets.
    fn addresses(
        &mut self,
        node: &Node<'_>,
        texts: &[String],
        place: Place,
        fields: &Fields<'_, '_>,
    ) -> Option<Location> {
        let items = if let Value::List(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
        let mut addresses = Vec::with_capacity(items.len());
        for (item, text) in items.iter().zip(texts) {
            addresses.push(self.address(item, text));
        }
        let addresses: Vec<String> = addresses.into_iter().collect::<Option<_>>()?;
        if place == Place::Hub {
            let message = format!("{} is in a bucket, which is not `huggingface`", quoted(&addresses[0]));
            let fault = Fault::new(problem::SOURCE, &node.span, message).label("in a bucket");
            self.report(fault.hint("remove `format:`, or name the format of the objects, such as `format: jsonl`"));
            return None;
        }
        self.of_no_repository(fields, &addresses[0], "in a bucket", "not of a bucket")?;
        Some(Location::Bucket { address: addresses.join(", "), addresses })
    }

    fn address(&mut self, node: &Node<'_>, text: &str) -> Option<String> {
        if !is_in_bucket(text) {
            let message = format!("source {} is not in a bucket, as others of the list are", quoted(text));
            let fault = Fault::new(problem::SOURCE, &node.span, message).label("not an address");
            self.report(fault.hint("write a dataset entry for each place"));
            return None;
        }
        match bucket_address(text) {
            Ok(address) => Some(address.to_owned()),
            Err(AddressFault::Credentials) => {
                let message = "the source is an address with credentials, which are not shown here";
                let fault = Fault::new(problem::SOURCE, &node.span, message).unseen();
                self.report(fault.hint("remove them: they come from the environment, see docs/sources.md"));
                None
            }
            Err(AddressFault::Plain(what)) => {
                let message = format!("source {} {what}", quoted(text));
                let fault = Fault::new(problem::SOURCE, &node.span, message).label("not an address of a bucket");
                self.report(fault.hint("write it as `s3://bucket/folder/*.jsonl`, `gs://…` or `az://…`"));
                None
            }
        }
    }

    /// Reports keys that only repositories have.
    fn of_no_repository(&mut self, fields: &Fields<'_, '_>, source: &str, is: &str, label: &str) -> Option<()> {
        for key in ["revision", "config_name"] {
            if let Some(other) = fields.get(key) {
                let message = format!("`{key}` is of a repository, but {} is {is}", quoted(source));
                let fault = Fault::new(problem::SOURCE, &other.span, message).label(label);
                self.report(fault.hint(format!("remove `{key}:`")));
                return None;
            }
        }
        Some(())
    }

    fn one_repo(&mut self, node: &Node<'_>) -> bool {
        let message = "a repository of the Hub cannot be listed with others";
        let fault = Fault::new(problem::SOURCE, &node.span, message).label("a list");
        self.report(fault.hint("write a dataset entry for each repository; paths of the workspace may be listed"));
        false
    }

    fn repo(&mut self, node: &Node<'_>, text: &str, place: Place, revision: Option<String>) -> Option<Location> {
        if is_hub_id(text) {
            return Some(match place {
                Place::Hub => Location::Hub { repo: text.to_owned(), revision },
                _ => Location::Named { name: text.to_owned(), revision },
            });
        }
        let hint = match hub_id_of_url(text) {
            Some(id) => format!("write `{id}`"),
            None => match linkable(text) {
                Some(name) if place == Place::Any => {
                    format!("link to the data from the workspace: `ln -s {text} {name}`, and write `{name}`")
                }
                _ => "write `organisation/name`, or a path of the workspace such as `data/mine.jsonl`".to_owned(),
            },
        };
        let message = format!("source {} is not a Hub id", quoted(text));
        self.report(Fault::new(problem::SOURCE, &node.span, message).label("not `organisation/name`").hint(hint));
        None
    }

    fn path(&mut self, node: &Node<'_>, text: &str) -> Option<String> {
        match relative_path(text) {
            Ok(path) => Some(path.to_owned()),
            Err(what) => {
                let message = format!("source {} {what}; it must be a path inside the workspace", quoted(text));
                let hint = match linkable(text) {
                    Some(name) => format!("link to the data from the workspace: `ln -s {text} {name}`"),
                    None => "write a relative path, with `/` between its parts".to_owned(),
                };
                self.report(Fault::new(problem::SOURCE, &node.span, message).label(what).hint(hint));
                None
            }
        }
    }

    pub(super) fn split(&mut self, node: &Node<'_>, text: &str) -> Option<String> {
        // As in `datasets`, letters are those of any script.
        if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "._-".contains(c)) {
            return Some(text.to_owned());
        }
        let hint = if text.contains('[') {
            "slices are not supported; use `max_samples` or `sample`"
        } else if text.contains('+') || text.contains(',') {
            "write several splits as a list: `[train, test]`"
        } else {
            "letters, digits, `.`, `_` and `-`"
        };
        let message = format!("invalid split name {}", quoted(text));
        self.report(Fault::new(problem::SPLIT, &node.span, message).label("invalid").hint(hint));
        None
    }

    fn folder(&mut self, node: &Node<'_>, text: &str) -> Option<String> {
        match relative_path(text) {
            Ok(path) => Some(path.to_owned()),
            Err(what) => {
                let message = format!("data_dir {} {what}", quoted(text));
                let hint = "write a folder of the repository, such as `helpful-base`";
                self.report(Fault::new(problem::FOLDER, &node.span, message).label(what).hint(hint));
                None
            }
        }
    }

    pub(super) fn revision(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        let text = self.name(node, key)?;
        match revision_fault(text) {
            None => Some(text.to_owned()),
            Some(what) => {
                let message = format!("revision {} {what}", quoted(text));
                let hint = "a branch, a tag, or a commit of 40 hexadecimal digits";
                self.report(Fault::new(problem::REVISION, &node.span, message).label(what).hint(hint));
                None
            }
        }
    }

    fn converter(&mut self, node: &Node<'_>, kind: Option<SampleKind>) -> Option<ConverterWord> {
        let text = self.name(node, "converter")?;
        let fits = |word: &&ConverterWord| kind.is_none_or(|kind| word.kind == kind);
        let fitting: Vec<&str> =
            self.vocabulary.converters.iter().filter(fits).map(|word| word.name.as_str()).collect();
        let known: Vec<&str> = self.vocabulary.converters.iter().map(|word| word.name.as_str()).collect();
        let Some(word) = self.vocabulary.converters.iter().find(|word| word.name == text) else {
            let hint = if known.is_empty() { "there are no converters".to_owned() } else { suggest(text, &known) };
            let message = format!("unknown converter {}", quoted(text));
            self.report(Fault::new(problem::CONVERTER, &node.span, message).label("unknown").hint(hint));
            return None;
        };
        if let Some(kind) = kind.filter(|kind| *kind != word.kind) {
            let message = format!(
                "converter `{text}` makes {} samples, but the phase needs {} samples",
                word.kind.name(),
                kind.name()
            );
            let hint = if fitting.is_empty() {
                format!("no converter makes {} samples", kind.name())
            } else {
                format!("for {} samples: {}", kind.name(), super::rules::list_of(&fitting))
            };
            let label = format!("makes {} samples", word.kind.name());
            self.report(Fault::new(problem::CONVERTER_KIND, &node.span, message).label(label).hint(hint));
            return None;
        }
        Some(word.clone())
    }

    /// Reads a program that converts rows.
    fn program(&mut self, node: &Node<'_>) -> Option<Program> {
        if node.entry("python").is_none() {
            return self.command(node).map(Program::Command);
        }
        let fields = self.fields(node, None, "`converter`", &["python", "files", "timeout"])?;
        let function = self.required(&fields, "python", &format!("add `python: {FUNCTION}`"))?;
        self.function(function, &fields, FUNCTION).map(Program::Python)
    }

    /// Reads a function in Python from the node that names it, and the keys beside it; `example` names another one.
    pub(super) fn function(&mut self, node: &Node<'_>, fields: &Fields<'_, '_>, example: &str) -> Option<Function> {
        let named = self.function_name(node, example);
        let files = self.or_default(fields, "files", Vec::new(), |this, node, key| this.names(node, key, Self::file));
        let timeout =
            self.or_default(fields, "timeout", Function::TIMEOUT, |this, node, key| this.integer(node, key, 1));
        let (module, name) = named?;
        Some(Function { module, name, files: files?, timeout: timeout? })
    }

    /// Reads the file and the name of a function in Python.
    fn function_name(&mut self, node: &Node<'_>, example: &str) -> Option<(String, String)> {
        let text = self.name(node, "python")?;
        let is_name = |name: &str| {
            name.chars().all(|char| char.is_alphanumeric() || char == '_')
                && name.starts_with(|char: char| char.is_alphabetic() || char == '_')
        };
        let found = text.rsplit_once(':').filter(|(module, name)| module.ends_with(".py") && is_name(name));
        let Some((module, name)) = found else {
            let message = format!("{} does not name a function in a Python file of the workspace", quoted(text));
            let hint = format!("write the file and the function: `python: {example}`");
            self.report(Fault::new(problem::FUNCTION, &node.span, message).label("not a function").hint(hint));
            return None;
        };
        Some((self.file(node, module)?, name.to_owned()))
    }

    /// Reads a command that converts rows.
    fn command(&mut self, node: &Node<'_>) -> Option<Command> {
        let fields = self.fields(node, None, "`converter`", &["command", "files"])?;
        let hint = "add `command: [python3, convert.py]`, or `python: convert.py:to_sample`";
        let command = self.required(&fields, "command", hint)?;
        let Value::List(items) = &command.value else {
            let hint = "write a list, `command: [python3, convert.py]`: no shell reads it".to_owned();
            self.wrong_type(command, "command", "a list", Some(hint));
            return None;
        };
        if items.is_empty() {
            let fault = Fault::new(problem::EMPTY_VALUE, &command.span, "`command` is an empty list");
            self.report(fault.label("empty").hint("begin with the program"));
            return None;
        }
        let words: Vec<Option<String>> =
            items.iter().map(|item| self.text(item, "command").map(str::to_owned)).collect();
        let files = self.or_default(&fields, "files", Vec::new(), |this, node, key| this.names(node, key, Self::file));
        Some(Command { command: words.into_iter().collect::<Option<_>>()?, files: files? })
    }

    fn file(&mut self, node: &Node<'_>, text: &str) -> Option<String> {
        match relative_path(text) {
            Ok(path) => Some(path.to_owned()),
            Err(what) => {
                let message = format!("the file {} {what}; it must be inside the workspace", quoted(text));
                self.report(Fault::new(problem::FOLDER, &node.span, message).label(what));
                None
            }
        }
    }

    /// Reads what is done where rules are broken.
    fn dialogue_rules(&mut self, node: &Node<'_>) -> Option<BTreeMap<String, Mode>> {
        let known: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        let fields = self.fields(node, None, "`rules`", &known)?;
        let mut rules = BTreeMap::new();
        let mut sound = true;
        for rule in RULES {
            let Some(value) = fields.get(rule.name) else { continue };
            match self.word(value, rule.name, Mode::ALL) {
                Some(Mode::Repair) if !rule.mends() => {
                    let message = format!("what breaks the rule `{}` cannot be repaired", rule.name);
                    let fault = Fault::new(problem::UNKNOWN_WORD, &value.span, message).label("not `repair`");
                    self.report(fault.hint("write `reject`, `warn` or `fail`"));
                    sound = false;
                }
                Some(mode) => drop(rules.insert(rule.name.to_owned(), mode)),
                None => sound = false,
            }
        }
        sound.then_some(rules)
    }

    /// Reads the columns that samples keep: `all`, names, or names with those they are to have.
    fn keep(&mut self, node: &Node<'_>, kind: Option<SampleKind>) -> Option<Keep> {
        let mut keep = Keep::default();
        let mut sound = true;
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for item in items {
            if let Value::Map(entries) = &item.value {
                for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                    match self.name(value, &key.name) {
                        Some(new) => sound &= self.keep_as(&mut keep, (&key.name, new), value, kind),
                        None => sound = false,
                    }
                }
                continue;
            }
            match self.name(item, "keep") {
                Some("all") => keep.all = true,
                Some(column) => sound &= self.keep_as(&mut keep, (column, column), item, kind),
                None => sound = false,
            }
        }
        sound.then_some(keep)
    }

    /// Adds a column that samples keep under a new name; `false` if its place is taken.
    fn keep_as(
        &mut self,
        keep: &mut Keep,
        (old, new): (&str, &str),
        node: &Node<'_>,
        kind: Option<SampleKind>,
    ) -> bool {
        let fault = if kind.is_some_and(|kind| kind.keys().contains(&new)) || new == ID && self.has_ids {
            let other = match new {
                "source" => "origin",
                ID => SOURCE_ID,
                _ => "source_text",
            };
            let why = if new == ID { ", by `id: true` in `output`" } else { "" };
            let message = format!("rows have {} `{new}` of their own{why}", if new == ID { "an" } else { "a" });
            let hint = format!("give the column another name: `keep: {{{old}: {other}}}`");
            Fault::new(problem::CONTRADICTION, &node.span, message).hint(hint)
        } else if keep.columns.contains_key(old) || keep.columns.values().any(|known| known == new) {
            Fault::new(problem::DUPLICATE_NAME, &node.span, format!("`keep` names {} twice", quoted(new)))
                .label("already named")
        } else {
            keep.columns.insert(old.to_owned(), new.to_owned());
            return true;
        };
        self.report(fault);
        false
    }

    /// Reads the roles that words of the source stand for.
    fn roles(&mut self, node: &Node<'_>) -> Option<BTreeMap<String, Role>> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, "roles", "a mapping", Some("write `roles: { customer: user }`".to_owned()));
            return None;
        };
        let table = Role::ALL.map(|role| (role.name(), role));
        let mut roles = BTreeMap::new();
        let mut sound = true;
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            match self.word(value, &key.name, &table) {
                Some(role) => drop(roles.insert(key.name.to_string(), role)),
                None => sound = false,
            }
        }
        sound.then_some(roles)
    }

    /// Checks options; their names and values only if the recipe names a converter.
    fn options(&mut self, node: &Node<'_>, word: Option<&ConverterWord>) -> Option<BTreeMap<String, String>> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, "options", "a mapping", Some("write `options: { calculator: strip }`".to_owned()));
            return None;
        };
        let mut options = BTreeMap::new();
        let mut sound = true;
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            match self.option(key, value, word) {
                Some(text) => drop(options.insert(key.name.to_string(), text.to_owned())),
                None => sound = false,
            }
        }
        sound.then_some(options)
    }

    fn option<'n>(&mut self, key: &Key<'_>, value: &'n Node<'_>, word: Option<&ConverterWord>) -> Option<&'n str> {
        if !is_plain(&key.name) {
            let message = format!("invalid option name {}", quoted(&key.name));
            let fault = Fault::new(problem::BAD_CHARACTER, &key.span, message);
            self.report(fault.hint("letters, digits, `.`, `_` and `-`"));
            return None;
        }
        let text = self.name(value, &key.name)?;
        let Some(word) = word else { return Some(text) };
        let Some((_, values)) = word.options.iter().find(|(name, _)| *name == key.name) else {
            let known: Vec<&str> = word.options.iter().map(|(name, _)| name.as_str()).collect();
            let hint =
                if known.is_empty() { "this converter has no options".to_owned() } else { suggest(&key.name, &known) };
            let message = format!("converter `{}` has no option {}", word.name, quoted(&key.name));
            self.report(Fault::new(problem::CONVERTER_OPTION, &key.span, message).label("unknown option").hint(hint));
            return None;
        };
        if !values.is_empty() && !values.iter().any(|known| known == text) {
            let known: Vec<&str> = values.iter().map(String::as_str).collect();
            let message = format!("option `{}` cannot be {}", key.name, quoted(text));
            let fault = Fault::new(problem::CONVERTER_OPTION, &value.span, message).label("unknown value");
            self.report(fault.hint(suggest(text, &known)));
            return None;
        }
        Some(text)
    }
}

/// Returns the name of a link in the workspace to data outside of it; `None` if `text` is not such a path.
fn linkable(text: &str) -> Option<&str> {
    let is_outside = text.starts_with("../") || text.starts_with('/') || text.starts_with("~/");
    let is_typed_as_is = |c: char| c.is_ascii_alphanumeric() || "._-/~".contains(c);
    let name = text.trim_end_matches('/').rsplit('/').next()?;
    (is_outside && text.chars().all(is_typed_as_is) && is_plain(name) && name != "..").then_some(name)
}
