//! The graph of sources, converters, recipes and outputs, to be drawn.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{inventory::Inventory, why::Step};

/// A graph from sources to outputs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RecipeGraph {
    /// The nodes in the order of the data: sources, converters, recipes, outputs.
    pub nodes: Vec<Node>,
    /// The edges in the direction of the data.
    pub edges: Vec<Edge>,
}

/// The kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A repository at a commit, or a file or folder of the workspace.
    Source,
    /// The converter of one source.
    Converter,
    /// A recipe.
    Recipe,
    /// A file that a recipe writes.
    Output,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Node {
    /// The id that edges use: kind, colon, and the name of what the node stands for.
    pub id: String,
    /// The kind of the node.
    pub kind: NodeKind,
    /// The label: an id or path, the name of a converter or a recipe.
    pub label: String,
    /// The pinned commit of a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The state of a recipe or an output; that of an output may be `missing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// The stages of a recipe, with how far each is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub stages: Vec<Step>,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Edge {
    /// The id of the node at the start of the edge.
    pub from: String,
    /// The id of the node at the end of the edge.
    pub to: String,
}

impl Inventory {
    /// Returns the graph. A recipe that reads an output of another depends on that output.
    pub fn graph(&self) -> RecipeGraph {
        let mut nodes: BTreeMap<(NodeKind, usize, String), Node> = BTreeMap::new();
        let mut edges = Vec::new();
        let mut add = |place: usize, node: Node| {
            let id = node.id.clone();
            nodes.entry((node.kind, place, id.clone())).or_insert(node);
            id
        };
        let node = |kind: NodeKind, word: &str, called: &str, label: &str| Node {
            id: format!("{word}:{called}"),
            kind,
            label: label.to_owned(),
            commit: None,
            state: None,
            stages: Vec::new(),
        };
        let output = |path: &str| format!("output:{path}");
        for (at, recipe) in self.recipes.iter().enumerate() {
            let own = node(NodeKind::Recipe, "recipe", &recipe.path, &recipe.name);
            let own = add(at, Node { state: Some(recipe.state.word()), stages: recipe.steps.clone(), ..own });
            for (place, converter) in &recipe.reads {
                let source = &self.sources[*place];
                let called = match &source.revision {
                    Some(revision) => format!("{}@{revision}", source.id),
                    None => source.id.clone(),
                };
                let written: Vec<&str> = match source.local {
                    true => self.written_below(&source.id).collect(),
                    false => Vec::new(),
                };
                let froms: Vec<String> = match written.is_empty() {
                    true => {
                        let from = node(NodeKind::Source, "source", &called, &called);
                        vec![add(*place, Node { commit: source.commit.clone(), ..from })]
                    }
                    false => written.into_iter().map(output).collect(),
                };
                let to = match converter {
                    Some(converter) => {
                        let words = format!("{converter} of {called}");
                        let to = add(*place, node(NodeKind::Converter, "converter", &words, converter));
                        edges.push(Edge { from: to.clone(), to: own.clone() });
                        to
                    }
                    None => own.clone(),
                };
                edges.extend(froms.into_iter().map(|from| Edge { from, to: to.clone() }));
            }
            for file in &self.outputs[recipe.writes.clone()] {
                let to = node(NodeKind::Output, "output", &file.path, &file.path);
                let to = add(at, Node { state: Some(file.state), ..to });
                edges.push(Edge { from: own.clone(), to });
            }
        }
        edges.sort();
        edges.dedup();
        RecipeGraph { nodes: nodes.into_values().collect(), edges }
    }

    /// Returns the outputs that a local source consists of.
    fn written_below<'s>(&'s self, source: &'s str) -> impl Iterator<Item = &'s str> {
        let source = std::path::Path::new(source.trim_start_matches("./"));
        let paths = self.outputs.iter().map(|output| output.path.as_str());
        paths.filter(move |path| std::path::Path::new(path).starts_with(source))
    }
}
