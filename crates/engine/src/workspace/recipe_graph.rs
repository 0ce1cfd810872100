//! The graph of sources, converters, recipes and outputs, for drawing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{inventory::Inventory, why::Step};

/// A graph from sources to outputs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RecipeGraph {
    /// Nodes in the order of the data flow: sources, converters, recipes, outputs.
    pub nodes: Vec<Node>,
    /// Edges in the direction of the data flow.
    pub edges: Vec<Edge>,
}

/// Kind of a node.
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

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Node {
    /// Id that edges use: the kind, a colon, and a name.
    pub id: String,
    /// Kind of the node.
    pub kind: NodeKind,
    /// Label: an id or path, or the name of a converter or recipe.
    pub label: String,
    /// Pinned commit of a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// State of a recipe or output; outputs may also be `missing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Progress of a recipe's stages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub stages: Vec<Step>,
}

/// An edge of the graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Edge {
    /// Id of the node at the start of the edge.
    pub from: String,
    /// Id of the node at the end of the edge.
    pub to: String,
}

impl Inventory {
    /// Returns the graph. A recipe that reads another recipe's output depends on that output.
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

    /// Returns the outputs that are part of a local source.
    fn written_below<'s>(&'s self, source: &'s str) -> impl Iterator<Item = &'s str> {
        let source = std::path::Path::new(source.trim_start_matches("./"));
        let paths = self.outputs.iter().map(|output| output.path.as_str());
        paths.filter(move |path| std::path::Path::new(path).starts_with(source))
    }
}
