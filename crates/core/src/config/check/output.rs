//! Checks `output`: what rows are written as.

use super::{
    super::{
        problem::{self, Fault},
        tree::{Node, Value, quoted},
    },
    Checker, OUTPUT_KEYS,
    read::Fields,
    rules::suggest,
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

/// Returns whether rows of an output have an `id` and columns of the source, which rows of token ids have not.
pub(super) fn have_ids_beside_columns(outputs: &[Target]) -> bool {
    let has_columns = |target: &Target| shape::by_name(&target.shape).is_some_and(|shape| !shape.is_of_tokens());
    outputs.iter().any(|target| target.id && has_columns(target))
}

impl Checker<'_> {
    /// Reads one output or a list of them; without any, rows are native.
    pub(super) fn outputs(&mut self, fields: &Fields<'_, '_>, kind: Option<SampleKind>) -> Option<Vec<Target>> {
        let Some(node) = fields.get("output") else { return Some(vec![Target::native()]) };
        let items = match &node.value {
            Value::List(items) if items.is_empty() => {
                let fault = Fault::new(problem::EMPTY_VALUE, &node.span, "`output` is an empty list");
                self.report(fault.label("empty").hint("name a shape, such as `trl`, or remove `output`"));
                return None;
            }
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let targets: Vec<Option<Target>> = items.iter().map(|item| self.target(item, kind)).collect();
        let mut is_twice = false;
        for (number, target) in targets.iter().enumerate() {
            let is_same = |other: &&Target| Some(&other.shape) == target.as_ref().map(|target| &target.shape);
            if let Some(other) = targets[..number].iter().flatten().find(is_same) {
                is_twice = true;
                let message = format!("two outputs have the shape `{}`", other.shape);
                let fault = Fault::new(problem::DUPLICATE_NAME, &items[number].span, message).label("the second one");
                self.report(fault.hint("remove one: each shape has one folder"));
            }
        }
        if is_twice { None } else { targets.into_iter().collect() }
    }

    /// Reports an output of token ids in a recipe without a model.
    pub(super) fn needs_model(&mut self, fields: &Fields<'_, '_>, outputs: &[Target]) {
        let is_of_tokens = |target: &&Target| shape::by_name(&target.shape).is_some_and(<dyn Shape>::is_of_tokens);
        let (Some(target), Some(node)) = (outputs.iter().find(is_of_tokens), fields.get("output")) else { return };
        let message = format!("rows of the shape `{}` are token ids, and the recipe has no `model`", target.shape);
        let fault = Fault::new(problem::MODEL, &node.span, message).label("ids of which model?");
        self.report(fault.hint("add `model: Qwen/Qwen3-8B`, or the folder of a tokenizer"));
    }

    fn target(&mut self, node: &Node<'_>, kind: Option<SampleKind>) -> Option<Target> {
        if !matches!(node.value, Value::Map(_)) {
            let shape = self.shape(node, kind)?;
            return Some(Target { shape: shape.name().to_owned(), container: shape.container(), ..Target::native() });
        }
        let fields = self.fields(node, None, "an entry of `output`", OUTPUT_KEYS)?;
        let shape = self.required(&fields, "shape", "add `shape: trl`, or another one; see `docs/trainers.md`");
        let shape = shape.and_then(|node| self.shape(node, kind));
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
            read && laid_out && named && packed
        });
        let (shape, container, shards, layout, id, pack) = (shape?, container?, shards?, layout?, id?, pack?);
        let container = container.unwrap_or(shape.container());
        (fits == Some(true)).then(|| Target {
            shape: shape.name().to_owned(),
            container,
            shards: shards as u32,
            layout,
            id,
            pack,
        })
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
