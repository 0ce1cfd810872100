//! Reads `columns`: which columns of the source are which parts of a sample.

use super::{
    super::{
        problem::{self, Fault},
        tree::{Key, Node, Value, quoted},
    },
    Checker,
    rules::{list_of, suggest},
};
use crate::{
    mapping::{Entry, Mapping, Origin, Path, Template},
    sample::{SampleKind, Slot},
};

impl Checker<'_> {
    /// Reads the mapping of an entry whose samples are of `kind`; `converter` says whether the entry names one.
    pub(super) fn columns(&mut self, node: &Node<'_>, kind: Option<SampleKind>, converter: bool) -> Option<Mapping> {
        let Value::Map(entries) = &node.value else {
            let example = match kind {
                Some(kind) => example(kind),
                None => "columns: { user: question, assistant: answer }".to_owned(),
            };
            self.wrong_type(node, "columns", "a mapping", Some(format!("write `{example}`")));
            return None;
        };
        if converter {
            let fault = Fault::new(problem::COLUMNS, &node.span, "`columns` and `converter` exclude each other");
            self.report(fault.label("makes the samples by itself").hint("leave out one of them"));
            return None;
        }
        let mut mapping = Mapping::default();
        let mut sound = true;
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            let slot = self.slot(key, kind);
            let from = self.origin(key, value);
            let (Some(slot), Some(from)) = (slot, from) else {
                sound = false;
                continue;
            };
            if let Some(other) = mapping.entries.iter().find(|entry| entry.slot == slot) {
                let message = format!("`{}` and {} are the same part of a sample", other.word, quoted(&key.name));
                self.report(
                    Fault::new(problem::COLUMNS, &key.span, message).label("already there").hint("leave out one"),
                );
                sound = false;
                continue;
            }
            mapping.entries.push(Entry { slot, word: key.name.to_string(), from });
        }
        if let Some(kind) = kind.filter(|_| sound) {
            let has = |slot: &Slot| mapping.entries.iter().any(|entry| entry.slot == *slot);
            let sets = Slot::sets_of(kind);
            if !sets.iter().any(|set| set.iter().all(has)) {
                let lacks = |set: &&&[Slot]| set.iter().filter(|slot| !has(slot)).count();
                let begun = sets.iter().filter(|set| set.iter().any(has)).min_by_key(lacks);
                let lacked: Vec<&str> = match begun.or(sets.first()) {
                    Some(set) => set.iter().filter(|slot| !has(slot)).map(|slot| slot.name()).collect(),
                    None => Vec::new(),
                };
                let message = format!("`columns` lacks {}", list_of(&lacked));
                let fault = Fault::new(problem::COLUMNS, &node.span, message);
                self.report(fault.label("incomplete").hint(format!("for example `{}`", example(kind))));
                return None;
            }
        }
        sound.then_some(mapping)
    }

    fn slot(&mut self, key: &Key<'_>, kind: Option<SampleKind>) -> Option<Slot> {
        let slot = Slot::by_name(&key.name);
        let allowed = kind.map_or(&Slot::ALL[..], Slot::of);
        if let Some(slot) = slot.filter(|slot| allowed.contains(slot)) {
            return Some(slot);
        }
        let names: Vec<&str> = allowed.iter().map(|slot| slot.name()).collect();
        let (message, label) = match (slot, kind) {
            (Some(_), Some(kind)) => {
                (format!("{} samples have no {}", kind.name(), quoted(&key.name)), "of another phase".to_owned())
            }
            _ => (format!("unknown part of a sample {}", quoted(&key.name)), "unknown".to_owned()),
        };
        self.report(Fault::new(problem::COLUMNS, &key.span, message).label(label).hint(suggest(&key.name, &names)));
        None
    }

    fn origin(&mut self, key: &Key<'_>, node: &Node<'_>) -> Option<Origin> {
        if let Value::Map(_) = &node.value {
            let fields = self.fields(node, Some(key), format!("`{}`", key.name), &["template"])?;
            let node =
                self.required(&fields, "template", "write `template: \"{{ question }}\"`, or the name of a column")?;
            let text = self.text(node, "template")?;
            return match Template::parse(text) {
                Ok(template) => Some(Origin::Template(template)),
                Err(why) => {
                    let fault = Fault::new(problem::COLUMNS, &node.span, format!("invalid template: {why}"));
                    self.report(
                        fault
                            .label("cannot be read")
                            .hint("templates are Jinja's: `{{ column }}`, `{% for %}`, `{% if %}`"),
                    );
                    None
                }
            };
        }
        let text = self.name(node, &key.name)?;
        match Path::parse(text) {
            Ok(path) => Some(Origin::Path(path)),
            Err(what) => {
                let fault = Fault::new(problem::COLUMNS, &node.span, format!("the column {} {what}", quoted(text)));
                let fault = fault.label("cannot be read");
                self.report(fault.hint("a column, or a value inside it: `answers[0].text`"));
                None
            }
        }
    }
}

/// An example of a mapping.
fn example(kind: SampleKind) -> String {
    let entry = |slot: &Slot| {
        let column = match slot {
            Slot::User => "question",
            Slot::Assistant => "answer",
            Slot::Completions => "steps",
            slot => slot.name(),
        };
        format!("{}: {column}", slot.name())
    };
    format!("columns: {{ {} }}", Slot::needed_by(kind).iter().map(entry).collect::<Vec<_>>().join(", "))
}
