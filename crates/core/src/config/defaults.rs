//! The `[defaults]` of `datac.toml`: what holds for recipes that do not say otherwise.
//!
//! The keys are those of recipes. Before a recipe is checked, they are put into its tree wherever it has no such key: so they are
//! checked, decide outputs and are leaves exactly as if they stood in the recipe.

use std::{collections::HashSet, fmt::Write as _, ops::Range};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::{
    Vocabulary,
    check::{
        self,
        rules::{did_you_mean, list_of},
    },
    leaves::{self, HELD},
    plain_text,
    problem::{self, Fault, line_and_column},
    toml,
    tree::{Key, Node, Scalar, Value, quoted},
    yaml,
};
use crate::{
    leaf::{Leaf, Setting},
    rules::RULES,
};

/// Name of the table.
pub(super) const TABLE: &str = "defaults";

/// Spans of defaults in the tree of a recipe begin here: no recipe is so long.
const BEYOND: usize = 1 << 30;

/// The blocks of recipes of which single keys may have defaults.
const BLOCKS: &[(&str, &[&str])] = &[
    ("validation", &["ratio", "seed", "stratified", "method", "normalise"]),
    ("mix", &["strategy", "unit", "deduplicate", "normalise"]),
];

/// The keys of recipes that have defaults as a whole.
const WHOLE: &[&str] = &["max_rejects", "output"];

/// The key of each dataset entry that may have defaults.
const OF_DATASETS: &str = "rules";

/// The defaults of the recipes of a workspace: a text of `datac.toml`, which is sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    text: String,
    /// Size of its byte order mark in bytes.
    mark: usize,
}

impl Defaults {
    /// Returns the defaults in a text of `datac.toml`, which must be sound.
    pub fn of(text: &[u8]) -> Self {
        match plain_text(text) {
            Ok((plain, mark)) if table(plain).is_some() => {
                Self { text: String::from_utf8_lossy(text).into_owned(), mark }
            }
            _ => Self::default(),
        }
    }

    /// Returns the text without its byte order mark.
    fn plain(&self) -> &str {
        &self.text[self.mark..]
    }

    /// Returns all defaults in a form that spelling and place do not change; `None` if there are none.
    pub fn canonical(&self) -> Option<String> {
        let mut canonical = String::new();
        write_canonical(&table(self.plain())?, &mut canonical);
        Some(canonical)
    }

    /// Returns every default as it would stand behind the name of its key, with the line of the key, from 1.
    pub fn listed(&self) -> Vec<(String, String, usize)> {
        let mut found = Vec::new();
        if let Some(table) = table(self.plain()) {
            list(&table, TABLE, self.plain(), &mut found);
        }
        found.into_iter().map(|Listed { key, value, line, .. }| (key, value, line)).collect()
    }

    /// Returns those of the defaults that hold for a recipe, since its text does not say otherwise: as [`Defaults::listed`], without the
    /// name of the table.
    pub fn taken_by(&self, recipe: &[u8]) -> Vec<Taken> {
        let (Some(table), Ok((text, _))) = (table(self.plain()), plain_text(recipe)) else { return Vec::new() };
        let Some(mut root) = yaml::parse(text).root else { return Vec::new() };
        self.put_into(&mut root);
        let (mut taken, mut found) = (HashSet::new(), Vec::new());
        keys_of_defaults(&root, &mut taken);
        list(&table, "", self.plain(), &mut found);
        found.retain(|one| taken.contains(&one.start));
        found.into_iter().map(|Listed { key, value, line, .. }| Taken { key, value, line }).collect()
    }

    /// Returns the line and column of the key in `datac.toml` that a leaf was read from; `None` if there is no default of it.
    pub fn locate(&self, leaf: &Leaf) -> Option<(usize, usize)> {
        let table = table(self.plain())?;
        let leaf = match leaf {
            // Those of all datasets stand at one place.
            Leaf::Dataset { setting: setting @ Setting::Rule(_), .. } => Leaf::Recipe { setting: setting.clone() },
            Leaf::Recipe { .. } => leaf.clone(),
            _ => return None,
        };
        let (start, _) = leaves::find(&table, &leaf)?;
        Some(line_and_column(self.plain().as_bytes(), start))
    }

    /// Puts the defaults into the tree of a recipe, wherever it says nothing.
    pub(super) fn put_into<'t>(&'t self, root: &mut Node<'t>) {
        if let (Some(table), Value::Map(_)) = (table(self.plain()), &root.value) {
            merge(root, &shifted(table));
        }
    }

    /// Returns whether a span in the tree of a recipe is one of a default.
    pub(super) fn have(span: &Range<usize>) -> bool {
        span.start >= BEYOND
    }

    /// Returns the text that a fault is about, if it is about a default, and corrects the span.
    pub(super) fn text_of(&self, fault: &mut Fault) -> Option<&str> {
        let span = fault.span.as_mut().filter(|span| Self::have(span))?;
        let at = |place: usize| place - BEYOND + self.mark;
        *span = at(span.start)..at(span.end);
        Some(&self.text)
    }
}

/// A default that holds for a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Taken {
    /// The key of the recipe, such as `validation.seed`; of `rules`, that of each dataset that does not say otherwise.
    pub key: String,
    /// The value, as `datac.toml` spells it.
    pub value: String,
    /// The line of the key in `datac.toml`, from 1.
    pub line: usize,
}

/// A value of the table.
struct Listed {
    key: String,
    value: String,
    line: usize,
    /// Where the key begins.
    start: usize,
}

/// Returns the table in a text of `datac.toml`, if it has one.
fn table(text: &str) -> Option<Node<'_>> {
    let Value::Map(entries) = toml::parse(text).ok()?.value else { return None };
    entries.into_iter().find(|(key, _)| key.name == TABLE).map(|(_, node)| node)
}

/// Checks the table: its keys, and their values as those of a recipe. What only some recipes can have is left to these.
pub(super) fn check(node: &Node<'_>, faults: &mut Vec<Fault>) {
    let Value::Map(entries) = &node.value else {
        let message = format!("`{TABLE}` must be a table, found {}", node.describe());
        let fault = Fault::new(problem::WRONG_TYPE, &node.span, message).label("not a table");
        faults.push(fault.hint(format!("write `[{TABLE}]` above its keys")));
        return;
    };
    let before = faults.len();
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    let blocks = || BLOCKS.iter().copied().chain([(OF_DATASETS, rules.as_slice())]);
    let all: Vec<&str> = blocks().map(|(block, _)| block).chain(WHOLE.iter().copied()).collect();
    for (key, value) in entries {
        match (blocks().find(|(block, _)| key.name == *block), &value.value) {
            (Some((block, keys)), Value::Map(entries)) => {
                let place = format!("`[{TABLE}.{block}]`");
                entries.iter().for_each(|(key, _)| known(key, keys, &place, faults));
            }
            (Some((block, _)), _) => {
                let message = format!("`{block}` must be a table, found {}", value.describe());
                let fault = Fault::new(problem::WRONG_TYPE, &value.span, message).label("not a table");
                faults.push(fault.hint(format!("write `[{TABLE}.{block}]` above its keys")));
            }
            (None, _) => known(key, &all, &format!("`[{TABLE}]`"), faults),
        }
    }
    if faults.len() > before {
        return;
    }
    let mut recipe = stand_in();
    merge(&mut recipe, node);
    let (_, found) = check::check(&recipe, &Vocabulary::default());
    // A shape has rows for samples of some phases, which each recipe says for itself.
    faults.extend(found.into_iter().filter(|fault| fault.code != problem::SHAPE));
}

/// Returns the JSON Schema of the table, whose keys are as those of recipes.
pub(super) fn schema() -> Json {
    let recipe = super::schema(&Vocabulary::default());
    let of = |properties: &Json, keys: &[&str]| -> Json {
        keys.iter().map(|key| ((*key).to_owned(), properties[*key].clone())).collect::<Map<_, _>>().into()
    };
    let object = |description: &Json, properties: Json| {
        let mut object = json!({ "description": description, "type": "object", "additionalProperties": false });
        object["properties"] = properties;
        object
    };
    let mut properties = of(&recipe["properties"], WHOLE);
    for (block, keys) in BLOCKS {
        let whole = &recipe["properties"][*block];
        // A block that may be a word has its keys in one of its variants.
        let variants = whole["anyOf"].as_array().into_iter().flatten();
        let keyed = [whole].into_iter().chain(variants).find(|schema| schema["properties"].is_object());
        let keyed = keyed.expect("every block has keys");
        properties[*block] = object(&whole["description"], of(&keyed["properties"], keys));
    }
    let rules = &recipe["properties"]["datasets"]["items"]["properties"][OF_DATASETS];
    properties[OF_DATASETS] = object(&rules["description"], rules["properties"].clone());
    object(&json!("what holds for recipes that do not say otherwise, as recipes write it"), properties)
}

fn known(key: &Key<'_>, keys: &[&str], place: &str, faults: &mut Vec<Fault>) {
    let name = key.name.as_ref();
    if keys.contains(&name) {
        return;
    }
    let hint = match did_you_mean(name, keys) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known keys of {place}: {}", list_of(keys)),
    };
    let fault = Fault::new(problem::UNKNOWN_KEY, &key.span, format!("unknown key {} in {place}", quoted(name)));
    faults.push(fault.label("unknown key").hint(hint));
}

/// Returns a recipe that says nothing but what it must.
fn stand_in() -> Node<'static> {
    let node = |value| Node { span: 0..0, value };
    let text = |text: &'static str| node(Value::Scalar(Scalar::Text, text.into()));
    let map = |entries: Vec<(&'static str, Node<'static>)>| {
        let key = |name: &'static str| Key { span: 0..0, name: name.into() };
        node(Value::Map(entries.into_iter().map(|(name, node)| (key(name), node)).collect()))
    };
    let dataset = map(vec![("name", text("a")), ("source", text("org/a"))]);
    map(vec![("metadata", map(vec![("phase", text("sft"))])), ("datasets", node(Value::List(vec![dataset])))])
}

/// Puts the defaults into the tree of a recipe.
fn merge<'t>(root: &mut Node<'t>, defaults: &Node<'t>) {
    let Value::Map(given) = &defaults.value else { return };
    for (key, default) in given {
        let name = key.name.as_ref();
        if WHOLE.contains(&name) {
            put(root, key, default);
        } else if name == OF_DATASETS {
            each_dataset(root, |dataset| put_keys(dataset, key, default, &[]));
        } else {
            // A side that has rows of its own takes no share of the mixture.
            let is_held = root.entry(name).is_some_and(|(_, block)| {
                ["source", "split", "splits"]
                    .iter()
                    .any(|key| block.entry(key).is_some_and(|(_, node)| !node.is_null()))
            });
            put_keys(root, key, default, if name == "validation" && is_held { &["ratio"] } else { &[] });
        }
    }
}

/// Adds a key that a mapping does not have, or has without a value.
fn put<'t>(node: &mut Node<'t>, key: &Key<'t>, default: &Node<'t>) {
    let Value::Map(entries) = &mut node.value else { return };
    match entries.iter_mut().find(|(known, _)| known.name == key.name) {
        Some((known, value)) if value.is_null() => (*known, *value) = (key.clone(), default.clone()),
        Some(_) => {}
        None => entries.push((key.clone(), default.clone())),
    }
}

/// Adds the keys of a block that the one of a mapping does not have, but for some of them. A block that is a word, such as `none`,
/// stays as it is.
fn put_keys<'t>(node: &mut Node<'t>, key: &Key<'t>, default: &Node<'t>, but: &[&str]) {
    let Value::Map(entries) = &mut node.value else { return };
    let own = entries.iter_mut().find(|(known, value)| known.name == key.name && !value.is_null());
    match (own, &default.value) {
        (Some((_, own)), Value::Map(defaults)) => {
            let wanted = defaults.iter().filter(|(key, _)| !but.contains(&key.name.as_ref()));
            wanted.for_each(|(key, default)| put(own, key, default));
        }
        (Some(_), _) => {}
        (None, _) => put(node, key, default),
    }
}

/// Calls `each` with everything in the tree of a recipe that names a source.
fn each_dataset<'t>(root: &mut Node<'t>, mut each: impl FnMut(&mut Node<'t>)) {
    let Value::Map(entries) = &mut root.value else { return };
    for (key, node) in entries {
        let is_held = HELD.contains(&key.name.as_ref()) && node.entry("source").is_some();
        match &mut node.value {
            Value::List(items) if ["datasets", "exclude"].contains(&key.name.as_ref()) => {
                items.iter_mut().for_each(&mut each);
            }
            Value::Map(_) if is_held => each(node),
            _ => {}
        }
    }
}

/// Returns a tree whose spans are those of defaults.
fn shifted(node: Node<'_>) -> Node<'_> {
    let span = |span: Range<usize>| span.start + BEYOND..span.end + BEYOND;
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(shifted).collect()),
        Value::Map(mut entries) => {
            entries.iter_mut().for_each(|(key, _)| key.span = span(key.span.clone()));
            Value::Map(entries.into_iter().map(|(key, node)| (key, shifted(node))).collect())
        }
        value => value,
    };
    Node { span: span(node.span), value }
}

/// Writes a value so that equal values are written alike.
fn write_canonical(node: &Node<'_>, out: &mut String) {
    match &node.value {
        Value::Scalar(Scalar::Int(number), _) => write!(out, "{number}"),
        Value::Scalar(Scalar::Float(number), _) => write!(out, "{number:?}"),
        Value::Scalar(_, text) => write!(out, "{text:?}"),
        Value::List(items) => {
            out.push('[');
            items.iter().for_each(|item| {
                write_canonical(item, out);
                out.push(',');
            });
            write!(out, "]")
        }
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
            out.push('{');
            for (key, node) in entries {
                write!(out, "{:?}:", key.name).expect("a string takes any text");
                write_canonical(node, out);
                out.push(',');
            }
            write!(out, "}}")
        }
        Value::Refused => Ok(()),
    }
    .expect("a string takes any text");
}

/// Notes where the keys of defaults begin that were put into the tree of a recipe.
fn keys_of_defaults(node: &Node<'_>, found: &mut HashSet<usize>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| keys_of_defaults(item, found)),
        Value::Map(entries) => {
            for (key, node) in entries {
                found.extend(Defaults::have(&key.span).then(|| key.span.start - BEYOND));
                keys_of_defaults(node, found);
            }
        }
        _ => {}
    }
}

/// Lists the values of a table by the names of their keys, those of lists as they are spelled.
fn list(node: &Node<'_>, name: &str, text: &str, found: &mut Vec<Listed>) {
    let Value::Map(entries) = &node.value else { return };
    for (key, node) in entries {
        let name = if name.is_empty() { key.name.to_string() } else { format!("{name}.{}", key.name) };
        let is_block = BLOCKS.iter().any(|(block, _)| key.name == *block) || key.name == OF_DATASETS;
        match &node.value {
            Value::Map(_) if is_block => list(node, &name, text, found),
            value => {
                let shown = match value {
                    Value::Scalar(_, text) => text.to_string(),
                    _ => {
                        text.get(node.span.clone()).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
                    }
                };
                let (line, _) = line_and_column(text.as_bytes(), key.span.start);
                found.push(Listed { key: name, value: shown, line, start: key.span.start });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problem, Recipe, load, load_settings};

    const RECIPE: &str = "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: x/y }\n";

    fn with(defaults: &str) -> Vocabulary {
        assert!(load_settings("datac.toml", defaults.as_bytes()).is_ok(), "{defaults}");
        Vocabulary { defaults: Defaults::of(defaults.as_bytes()), ..Vocabulary::default() }
    }

    fn loaded(defaults: &str, recipe: &str) -> Result<Recipe, Vec<Problem>> {
        load("config/r.yaml", recipe.as_bytes(), &with(defaults))
    }

    #[test]
    fn defaults_are_as_if_written_in_the_recipe() {
        let all = "[defaults]\nmax_rejects = '1%'\noutput = ['trl', { shape = 'native' }]\n[defaults.validation]\nseed = 7\nratio = 0.2\n\
                   [defaults.mix]\ndeduplicate = 'prompt'\n[defaults.rules]\ntrailing_user = 'repair'\n";
        for (given, written) in [
            (
                RECIPE.to_owned(),
                "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: x/y, rules: { trailing_user: repair } }\nmax_rejects: 1%\n\
                 output: [trl, native]\nvalidation: { seed: 7, ratio: 0.2 }\nmix: { deduplicate: prompt }\n",
            ),
            (
                "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: x/y, rules: { trailing_user: warn, no_user: fail } }\n\
                 max_rejects: 5\noutput: trl\nvalidation: { seed: 1, ratio: ~ }\nmix: { strategy: cut }\n"
                    .to_owned(),
                "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: x/y, rules: { trailing_user: warn, no_user: fail } }\n\
                 max_rejects: 5\noutput: trl\nvalidation: { seed: 1, ratio: 0.2 }\nmix: { strategy: cut, deduplicate: prompt }\n",
            ),
            (
                format!("{RECIPE}validation: none\nmix:\nmax_rejects: 5\noutput: trl\n"),
                "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: x/y, rules: { trailing_user: repair } }\nmax_rejects: 5\n\
                 output: trl\nvalidation: none\nmix: { deduplicate: prompt }\n",
            ),
            (
                format!("{RECIPE}validation: {{ source: v/w }}\nmax_rejects: 5\noutput: trl\n"),
                "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: x/y, rules: { trailing_user: repair } }\nmax_rejects: 5\n\
                 output: trl\nvalidation: { source: v/w, seed: 7, rules: { trailing_user: repair } }\nmix: { deduplicate: prompt }\n",
            ),
        ] {
            let plain = load("config/r.yaml", written.as_bytes(), &Vocabulary::default()).unwrap();
            assert_eq!(loaded(all, &given).unwrap(), plain, "{given}");
        }
        assert_eq!(loaded("hub = 'sample'\n", RECIPE).unwrap(), loaded("", RECIPE).unwrap());
    }

    #[test]
    fn a_recipe_takes_the_defaults_that_it_does_not_override() {
        let defaults = with(
            "[defaults]\nmax_rejects = '1%'\noutput = [ 'trl',\n 'native' ]\n\
            [defaults.validation]\nseed = 7\nratio = 0.2\n[defaults.rules]\ntrailing_user = 'repair'\n",
        )
        .defaults;
        let taken = |recipe: &str| -> Vec<String> {
            let taken = defaults.taken_by(recipe.as_bytes());
            taken.into_iter().map(|Taken { key, value, line }| format!("{key}={value}:{line}")).collect()
        };
        let all = [
            "max_rejects=1%:2",
            "output=[ 'trl', 'native' ]:3",
            "validation.seed=7:6",
            "validation.ratio=0.2:7",
            "rules.trailing_user=repair:9",
        ];
        assert_eq!(taken(RECIPE), all);
        let own = "metadata: { phase: sft }\ndatasets:\n  - { name: a, source: x/y, rules: { trailing_user: warn } }\n\
            max_rejects: 5\nvalidation: { seed: 1 }\n";
        assert_eq!(taken(own), [all[1], all[3]]);
        // One of two datasets takes it.
        let two =
            "datasets:\n  - { source: x/y, rules: { trailing_user: warn } }\n  - { source: x/z }\nvalidation: none\n";
        assert_eq!(taken(two), [all[0], all[1], all[4]]);
        assert_eq!(taken("[1, 2]"), [""; 0]);
        assert_eq!(taken("a: ["), [""; 0]);
    }

    #[test]
    fn what_a_recipe_cannot_have_is_told_of_its_default() {
        let defaults = "\u{feff}# é\n[defaults]\noutput = 'trl-implicit-prompt'\n";
        let problems = loaded(defaults, &format!("{RECIPE}validation: {{ seed: x }}\n")).unwrap_err();
        let told: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
        assert!(told[0].starts_with("config/r.yaml:4:21: `seed` must be an integer"), "{told:?}");
        assert!(told[1].starts_with("datac.toml:3:10: "), "{told:?}");
        assert!(told[1].contains("has no rows for conversation samples [E0136]"), "{told:?}");
        assert_eq!(&defaults[problems[1].span.clone().unwrap()], "'trl-implicit-prompt'");
    }

    #[test]
    fn faults_are_told_where_they_stand() {
        for (text, expected) in [
            ("[defaults]\nseed = 1", "2:1: unknown key `seed` in `[defaults]` [E0110]"),
            (
                "[defaults.validation]\nsed = 1",
                "2:1: unknown key `sed` in `[defaults.validation]` [E0110]; did you mean `seed`?",
            ),
            ("[defaults.validation]\nseed = 'x'", "2:8: `seed` must be an integer, found the text `x` [E0112]"),
            ("[defaults]\nvalidation = 'none'", "2:14: `validation` must be a table, found the text `none` [E0112]"),
            ("[defaults.mix]\nnormalise = true", "2:13: "),
            ("[defaults]\noutput = 'tlr'", ""),
            ("[defaults.rules]\nno_user = 'repair'", "2:11: what breaks the rule `no_user` cannot be repaired [E0115]"),
            ("defaults = 1", "1:12: `defaults` must be a table, found the number `1` [E0112]"),
            (
                "[default]\nmax_rejects = 1",
                "1:2: unknown key `default` in `datac.toml` [E0110]; did you mean `defaults`?",
            ),
        ] {
            let told: Vec<String> = load_settings("datac.toml", text.as_bytes())
                .err()
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect();
            match expected {
                "" => assert!(told.is_empty(), "what a shape is said to be, each recipe says: {told:?}"),
                _ => assert!(
                    told.len() == 1 && told[0].starts_with(&format!("datac.toml:{expected}")),
                    "{text}: {told:?}"
                ),
            }
        }
    }

    #[test]
    fn spelling_and_place_are_no_part_of_what_defaults_are() {
        let canonical = |text: &str| Defaults::of(text.as_bytes()).canonical();
        let one = canonical("[defaults]\nmax_rejects = 5\nvalidation = { seed = 7, ratio = 0.1 }\n");
        assert_eq!(
            one,
            canonical(
                "hub = 'x'\n[defaults.validation]\nratio = 1e-1\nseed = 0x7 # lucky\n[defaults]\nmax_rejects = 5"
            )
        );
        assert_ne!(one, canonical("[defaults]\nmax_rejects = 5\nvalidation = { seed = 8, ratio = 0.1 }\n"));
        assert_eq!(canonical("hub = 'x'"), None);
        let defaults = Defaults::of(
            b"\n[defaults]\nmax_rejects = 5\noutput = ['trl',\n 'native']\n[defaults.validation]\nseed = 7\n",
        );
        let listed = [
            ("defaults.max_rejects", "5", 3),
            ("defaults.output", "['trl', 'native']", 4),
            ("defaults.validation.seed", "7", 7),
        ];
        assert_eq!(defaults.listed(), listed.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line)));
        let leaf = |setting| Leaf::Recipe { setting };
        assert_eq!(defaults.locate(&leaf(Setting::Seed)), Some((7, 1)));
        assert_eq!(defaults.locate(&leaf(Setting::MaxRejects)), Some((3, 1)));
        assert_eq!(defaults.locate(&leaf(Setting::Ratio)), None);
    }
}
