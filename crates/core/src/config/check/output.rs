//! Checks `output`: what rows are written as.

use super::{
    super::{
        model::Model,
        problem::{self, Fault},
        tree::{Node, Value, quoted},
    },
    Checker, OUTPUT_KEYS,
    read::Fields,
    rules::{is_plain, suggest},
};
use crate::{
    outputs::{Container, Layout, Target},
    sample::SampleKind,
    shape::{self, SHAPES, Shape},
};

/// The largest number of files of a side: their names have five digits.
const MOST_SHARDS: u64 = 99_999;

/// The largest number of tokens of a row that samples are packed in.
const MOST_PACKED: u64 = 1 << 22;

fn is_of_tokens(target: &Target) -> bool {
    shape::by_name(&target.shape).is_some_and(<dyn Shape>::is_of_tokens)
}

/// Returns whether rows of an output have an `id` and columns of the source, which rows of token ids have not.
pub(super) fn have_ids_beside_columns(outputs: &[(Target, Option<Model>)]) -> bool {
    outputs.iter().any(|(target, _)| target.id && !is_of_tokens(target))
}

impl Checker<'_> {
    /// Reads one output or a list of them, each with its own model if it has one; without any, rows are native. `default_max` is the
    /// largest number of tokens where a model names none.
    pub(super) fn outputs(
        &mut self,
        fields: &Fields<'_, '_>,
        kind: Option<SampleKind>,
        default_max: Option<u64>,
    ) -> Option<Vec<(Target, Option<Model>)>> {
        let Some(node) = fields.get("output") else { return Some(vec![(Target::native(), None)]) };
        let items = match &node.value {
            Value::List(items) if items.is_empty() => {
                let fault = Fault::new(problem::EMPTY_VALUE, &node.span, "`output` is an empty list");
                self.report(fault.label("empty").hint("name a shape, such as `trl`, or remove `output`"));
                return None;
            }
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let targets: Vec<Option<(Target, Option<Model>)>> =
            items.iter().map(|item| self.target(item, kind, default_max)).collect();
        let mut is_twice = false;
        for (number, target) in targets.iter().enumerate() {
            let Some((target, _)) = target else { continue };
            // Some file systems know no case.
            let folder = target.folder().to_lowercase();
            let before = || targets[..number].iter().flatten();
            if before().any(|(other, _)| other.folder().to_lowercase() == folder) {
                is_twice = true;
                let (what, hint) = match &target.name {
                    None => (format!("shape `{}`", target.shape), "remove one, or give it a `name`: each has a folder"),
                    Some(name) => (format!("name `{name}`"), "give one another name: each has a folder"),
                };
                let message = format!("two outputs have the {what}");
                let fault = Fault::new(problem::DUPLICATE_NAME, &items[number].span, message).label("the second one");
                self.report(fault.hint(hint));
            }
        }
        if is_twice { None } else { targets.into_iter().collect() }
    }

    /// Reports an output of token ids without a model in a recipe without one.
    pub(super) fn needs_model(&mut self, fields: &Fields<'_, '_>, outputs: &[(Target, Option<Model>)]) {
        let lacks_model = |(target, model): &&(Target, Option<Model>)| model.is_none() && is_of_tokens(target);
        let (Some((target, _)), Some(node)) = (outputs.iter().find(lacks_model), fields.get("output")) else { return };
        let message = format!("rows of the shape `{}` are token ids, and the recipe has no `model`", target.shape);
        let fault = Fault::new(problem::MODEL, &node.span, message).label("ids of which model?");
        self.report(fault.hint("add `model: Qwen/Qwen3-8B`, or the folder of a tokenizer"));
    }

    fn target(
        &mut self,
        node: &Node<'_>,
        kind: Option<SampleKind>,
        default_max: Option<u64>,
    ) -> Option<(Target, Option<Model>)> {
        if !matches!(node.value, Value::Map(_)) {
            let shape = self.shape(node, kind)?;
            let target = Target { shape: shape.name().to_owned(), container: shape.container(), ..Target::native() };
            return Some((target, None));
        }
        let fields = self.fields(node, None, "an entry of `output`", OUTPUT_KEYS)?;
        let shape = self.required(&fields, "shape", "add `shape: trl`, or another one; see `docs/trainers.md`");
        let shape = shape.and_then(|node| self.shape(node, kind));
        let name = self.optional(&fields, "name", Self::name_of_output);
        let model = self.model_of_output(&fields, node, kind, default_max);
        let container = self.optional(&fields, "container", |this, node, key| this.word(node, key, Container::ALL));
        let shards = self.or_default(&fields, "shards", 1, |this, node, key| {
            let shards = this.integer(node, key, 1)?;
            if shards > MOST_SHARDS {
                let message = format!("`shards: {shards}` is more than {MOST_SHARDS}");
                this.report(Fault::new(problem::OUT_OF_RANGE, &node.span, message).label("too many"));
                return None;
            }
            Some(shards)
        });
        let layout =
            self.or_default(&fields, "layout", Layout::Files, |this, node, key| this.word(node, key, Layout::ALL));
        let id = self.or_default(&fields, "id", false, Self::boolean);
        let pack = self.optional(&fields, "pack", |this, node, key| {
            let tokens = this.integer(node, key, 1)?;
            if tokens > MOST_PACKED {
                let message = format!("`pack: {tokens}` is more than {MOST_PACKED} tokens");
                this.report(Fault::new(problem::OUT_OF_RANGE, &node.span, message).label("too many"));
                return None;
            }
            Some(tokens as u32)
        });
        // What is wrong with one key is said whatever is wrong with another.
        let fits = shape.map(|shape| {
            let read = container.flatten().is_none_or(|container| self.is_read(shape, container, &fields, node));
            let laid_out = layout != Some(Layout::Hub) || self.has_hub_layout(shape, &fields, node);
            let named = id != Some(true) || self.has_ids(shape, &fields, node);
            let packed = !matches!(pack, Some(Some(_))) || self.can_pack(shape, &fields, node);
            let encoded = fields.get("model").is_none() || self.is_encoded(shape, node);
            read && laid_out && named && packed && encoded
        });
        let (shape, container, shards, layout, id, pack) = (shape?, container?, shards?, layout?, id?, pack?);
        let (name, model) = (name?, model?);
        let container = container.unwrap_or(shape.container());
        let target =
            || Target { shape: shape.name().to_owned(), name, container, shards: shards as u32, layout, id, pack };
        (fits == Some(true)).then(|| (target(), model))
    }

    /// Reads what tells an output from others of its shape; it becomes part of the name of a folder.
    fn name_of_output(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        const LONGEST: usize = 64;
        let name = self.name(node, key)?;
        if is_plain(name) && name.len() <= LONGEST {
            return Some(name.to_owned());
        }
        let message = format!("the name {} of an output cannot be part of the name of a folder", quoted(name));
        let fault = Fault::new(problem::FILE_NAME, &node.span, message).label("not such a name");
        self.report(fault.hint(format!("use up to {LONGEST} letters, digits, `.`, `_` and `-`")));
        None
    }

    /// Checks that rows of a shape are ids, which are those of a model.
    fn is_encoded(&mut self, shape: &dyn Shape, node: &Node<'_>) -> bool {
        if shape.is_of_tokens() {
            return true;
        }
        let at = node.entry("model").map_or(&node.span, |(key, _)| &key.span);
        let message = format!("rows of the shape `{}` are no token ids, and so are alike for all models", shape.name());
        let fault = Fault::new(problem::MODEL, at, message).label("has no part in these rows");
        let encoded = SHAPES.iter().filter(|shape| shape.is_of_tokens()).map(|shape| shape.name());
        let names: Vec<&str> = encoded.collect();
        self.report(fault.hint(format!("remove it, or use {}", super::rules::list_of(&names))));
        false
    }

    /// Checks that the trainer of a shape reads a container.
    fn is_read(&mut self, shape: &dyn Shape, container: Container, fields: &Fields<'_, '_>, node: &Node<'_>) -> bool {
        if shape.containers().contains(&container) {
            return true;
        }
        let at = fields.get("container").unwrap_or(node);
        let message = format!("`{}` rows cannot be written as {}", shape.name(), container.word());
        let words: Vec<&str> = shape.containers().iter().map(|container| container.word()).collect();
        let fault = Fault::new(problem::SHAPE, &at.span, message).label("its trainer does not read this");
        self.report(fault.hint(format!("use {}", super::rules::list_of(&words))));
        false
    }

    /// Checks that the rows of a shape can lie as `load_dataset` opens them.
    fn has_hub_layout(&mut self, shape: &dyn Shape, fields: &Fields<'_, '_>, node: &Node<'_>) -> bool {
        if !shape.container().is_of_ids() {
            return true;
        }
        let at = fields.get("layout").unwrap_or(node);
        let message = format!("`{}` rows are bare token ids, which `load_dataset` does not open", shape.name());
        let fault = Fault::new(problem::SHAPE, &at.span, message).label("not for these files");
        self.report(fault.hint("remove it"));
        false
    }

    /// Checks that rows of a shape may have ids.
    fn has_ids(&mut self, shape: &dyn Shape, fields: &Fields<'_, '_>, node: &Node<'_>) -> bool {
        if shape.has_ids() {
            return true;
        }
        let at = fields.get("id").unwrap_or(node);
        let message = format!("`{}` rows cannot have an `id`", shape.name());
        let fault = Fault::new(problem::SHAPE, &at.span, message).label("refused where they are read");
        self.report(fault.hint("remove it; the rows of another shape can have one"));
        false
    }

    /// Checks that several samples can stand in a row of a shape.
    fn can_pack(&mut self, shape: &dyn Shape, fields: &Fields<'_, '_>, node: &Node<'_>) -> bool {
        if shape.packed_columns().is_some() {
            return true;
        }
        let at = fields.get("pack").unwrap_or(node);
        let message = format!("`{}` rows cannot be packed", shape.name());
        let fault = Fault::new(problem::SHAPE, &at.span, message).label("cannot be packed");
        let packed = SHAPES.iter().filter(|shape| shape.packed_columns().is_some()).map(|shape| shape.name());
        let names: Vec<&str> = packed.collect();
        self.report(
            fault.hint(format!("remove it and let the trainer pack, or use {}", super::rules::list_of(&names))),
        );
        false
    }

    fn shape(&mut self, node: &Node<'_>, kind: Option<SampleKind>) -> Option<&'static dyn Shape> {
        let name = self.name(node, "shape")?;
        let known: Vec<&str> = SHAPES.iter().map(|shape| shape.name()).collect();
        let Some(shape) = shape::by_name(name) else {
            let message = format!("unknown shape {}", quoted(name));
            self.report(Fault::new(problem::SHAPE, &node.span, message).label("unknown").hint(suggest(name, &known)));
            return None;
        };
        if let Some(kind) = kind.filter(|kind| !shape.kinds().contains(kind)) {
            let fit: Vec<&str> =
                SHAPES.iter().filter(|shape| shape.kinds().contains(&kind)).map(|shape| shape.name()).collect();
            let message = format!("`{name}` has no rows for {} samples", kind.name());
            let fault = Fault::new(problem::SHAPE, &node.span, message).label("of another kind");
            self.report(fault.hint(format!("for this phase there are {}", super::rules::list_of(&fit))));
            return None;
        }
        Some(shape)
    }
}
