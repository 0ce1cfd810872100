//! `datac graph`: the graph of sources, converters, recipes and outputs, as text for drawing programs.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, ValueEnum};

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::Screen,
};
use crate::{
    outputs,
    workspace::{Node, NodeKind, RecipeGraph, Step, Workspace},
};

/// Options of `graph`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac graph                                  for a ```mermaid block
  datac graph +sft/general --stages            a recipe with everything it depends on
  datac graph --format dot | dot -Tsvg > graph.svg
  datac graph --format json | jq '.edges[]'")]
pub(super) struct Options {
    /// Recipes, as for `build` [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "mermaid")]
    pub(super) format: Format,
    /// Draw the stages of each recipe; JSON always includes them
    #[arg(long)]
    pub(super) stages: bool,
}

// No doc comments on its values: they would make the help text the long one.
/// Output format of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Mermaid,
    Dot,
    Json,
}

impl Content for RecipeGraph {
    const SCHEMA: &'static str = "datac.graph/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<RecipeGraph>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let inventory = match workspace.recipes().inventory(&options.selectors) {
        Ok(inventory) => inventory,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    let graph = inventory.graph();
    if options.format == Format::Json {
        document::print(&graph, screen);
    }
    if inventory.recipes.is_empty() {
        return errors::no_recipes(&options.selectors, workspace, screen);
    }
    let drawing = Drawing::of(&graph, options.stages);
    match options.format {
        Format::Json => true,
        Format::Mermaid => screen.data(&drawing.mermaid()),
        Format::Dot => screen.data(&drawing.dot()),
    };
    exit::OK
}

/// The graph as drawn. The files of a recipe share one node, so that many recipes fit on a page.
struct Drawing<'a> {
    boxes: Vec<Shape<'a>>,
    /// Edges, as pairs of shape indices.
    edges: BTreeSet<(usize, usize)>,
}

/// A node of the drawing.
struct Shape<'a> {
    /// Identifier of the node in the output: `r3`.
    id: String,
    kind: NodeKind,
    lines: Vec<&'a str>,
    state: Option<&'static str>,
    stages: Vec<&'a Step>,
}

impl<'a> Drawing<'a> {
    fn of(graph: &'a RecipeGraph, with_stages: bool) -> Self {
        let writers: BTreeMap<&str, &str> = graph
            .edges
            .iter()
            .filter(|edge| edge.to.starts_with("output:"))
            .map(|edge| (edge.to.as_str(), edge.from.as_str()))
            .collect();
        let (mut boxes, mut places): (Vec<Shape<'a>>, BTreeMap<&str, usize>) = (Vec::new(), BTreeMap::new());
        // Index of the shape for each recipe's files.
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &graph.nodes {
            // Quarantine files are for people, so they are left out unless something reads them.
            if node.kind == NodeKind::Output
                && is_quarantine(node)
                && !graph.edges.iter().any(|edge| edge.from == node.id)
            {
                continue;
            }
            let writer = writers.get(node.id.as_str());
            if let Some(place) = writer.and_then(|writer| files.get(writer)) {
                boxes[*place].join(node);
                places.insert(&node.id, *place);
                continue;
            }
            let place = boxes.len();
            places.insert(&node.id, place);
            files.extend(writer.map(|writer| (*writer, place)));
            let number = boxes.iter().filter(|shape| shape.kind == node.kind).count() + 1;
            boxes.push(Shape::of(node, number, with_stages));
        }
        let edge =
            |edge: &'a crate::workspace::Edge| Some((*places.get(edge.from.as_str())?, *places.get(edge.to.as_str())?));
        Self { edges: graph.edges.iter().filter_map(edge).collect(), boxes }
    }

    fn mermaid(&self) -> String {
        let mut out = "flowchart LR\n".to_owned();
        for shape in &self.boxes {
            let id = &shape.id;
            let label: Vec<String> = shape.lines.iter().map(|line| mermaid_text(line)).collect();
            let label = label.join("<br>");
            if !shape.stages.is_empty() {
                out.push_str(&format!("  subgraph {id}[\"{label}\"]\n    direction LR\n"));
                let names: Vec<String> = shape.stages.iter().map(|step| format!("{id}_{}", step.stage)).collect();
                for (name, step) in names.iter().zip(&shape.stages) {
                    out.push_str(&format!("    {name}[\"{}<br>{}\"]\n", step.stage, extent(step)));
                }
                out.push_str(&format!("    {}\n  end\n", names.join(" --> ")));
                continue;
            }
            let drawn = match shape.kind {
                NodeKind::Source => format!("[(\"{label}\")]"),
                NodeKind::Converter => format!("([\"{label}\"])"),
                NodeKind::Recipe => format!("[\"{label}\"]"),
                NodeKind::Output => format!("[/\"{label}\"/]"),
            };
            out.push_str(&format!("  {id}{drawn}\n"));
        }
        for (from, to) in &self.edges {
            out.push_str(&format!("  {} --> {}\n", self.boxes[*from].id, self.boxes[*to].id));
        }
        for (state, shapes) in self.by_state() {
            let Colours { fill, line, text } = colours(state);
            out.push_str(&format!("  classDef {state} fill:{fill},stroke:{line},color:{text}\n"));
            let ids: Vec<&str> = shapes.iter().map(|shape| shape.id.as_str()).collect();
            out.push_str(&format!("  class {} {state}\n", ids.join(",")));
        }
        out
    }

    fn dot(&self) -> String {
        let mut out =
            "digraph datac {\n  rankdir=LR\n  compound=true\n  node [fontname=\"Helvetica\", fontsize=11]\n".to_owned();
        for shape in &self.boxes {
            let id = &shape.id;
            let label: Vec<String> = shape.lines.iter().map(|line| dot_text(line)).collect();
            let label = label.join("\\n");
            let fill = shape.state.map_or_else(String::new, |state| {
                let Colours { fill, line, text } = colours(state);
                format!(
                    ", style=filled, fillcolor=\"{fill}\", color=\"{line}\", fontcolor=\"{text}\", tooltip=\"{state}\""
                )
            });
            if !shape.stages.is_empty() {
                out.push_str(&format!(
                    "  subgraph cluster_{id} {{\n    label=\"{label}\"{}\n",
                    fill.replace(", ", "\n    ")
                ));
                let names: Vec<String> = shape.stages.iter().map(|step| format!("{id}_{}", step.stage)).collect();
                for (name, step) in names.iter().zip(&shape.stages) {
                    out.push_str(&format!("    {name} [shape=box, label=\"{}\\n{}\"]\n", step.stage, extent(step)));
                }
                out.push_str(&format!("    {}\n  }}\n", names.join(" -> ")));
                continue;
            }
            let drawn = match shape.kind {
                NodeKind::Source => "cylinder",
                NodeKind::Converter => "ellipse",
                NodeKind::Recipe => "box",
                NodeKind::Output => "note",
            };
            out.push_str(&format!("  {id} [shape={drawn}, label=\"{label}\"{fill}]\n"));
        }
        for (from, to) in &self.edges {
            let (from, to) = (&self.boxes[*from], &self.boxes[*to]);
            let mut ends = Vec::new();
            let from = from.end(|stages| stages.last(), "ltail", &mut ends);
            let to = to.end(|stages| stages.first(), "lhead", &mut ends);
            let ends = if ends.is_empty() { String::new() } else { format!(" [{}]", ends.join(", ")) };
            out.push_str(&format!("  {from} -> {to}{ends}\n"));
        }
        out + "}\n"
    }

    fn by_state(&self) -> BTreeMap<&'static str, Vec<&Shape<'a>>> {
        let mut by_state: BTreeMap<&'static str, Vec<&Shape<'a>>> = BTreeMap::new();
        for shape in &self.boxes {
            if let Some(state) = shape.state {
                by_state.entry(state).or_default().push(shape);
            }
        }
        by_state
    }
}

impl<'a> Shape<'a> {
    fn of(node: &'a Node, number: usize, with_stages: bool) -> Self {
        let letter = match node.kind {
            NodeKind::Source => 's',
            NodeKind::Converter => 'c',
            NodeKind::Recipe => 'r',
            NodeKind::Output => 'o',
        };
        let commit = node.commit.as_deref().map(|commit| {
            let hex = commit.rsplit(':').next().unwrap_or(commit);
            hex.get(..10).unwrap_or(hex)
        });
        let is_step = |step: &&Step| step.reused > 0 || step.to_run != Some(0);
        Self {
            id: format!("{letter}{number}"),
            kind: node.kind,
            lines: [Some(title(node)), commit].into_iter().flatten().collect(),
            state: node.state,
            stages: if with_stages { node.stages.iter().filter(is_step).collect() } else { Vec::new() },
        }
    }

    /// Adds another file of the same recipe.
    fn join(&mut self, node: &'a Node) {
        self.lines.push(title(node));
        if self.state == Some("fresh") {
            self.state = node.state;
        }
    }

    /// Returns the node that an edge of a dot graph refers to; a cluster of stages cannot be one.
    fn end(
        &self,
        pick: impl for<'s> Fn(&'s [&'a Step]) -> Option<&'s &'a Step>,
        word: &str,
        ends: &mut Vec<String>,
    ) -> String {
        match pick(&self.stages) {
            Some(step) => {
                ends.push(format!("{word}=cluster_{}", self.id));
                format!("{}_{}", self.id, step.stage)
            }
            None => self.id.clone(),
        }
    }
}

/// Returns the label of a node; for outputs, only the file name.
fn title(node: &Node) -> &str {
    match node.kind {
        NodeKind::Output => node.label.rsplit('/').next().unwrap_or(&node.label),
        _ => &node.label,
    }
}

fn is_quarantine(node: &Node) -> bool {
    node.label.rsplit('/').nth(1) == Some(outputs::QUARANTINE)
}

/// Describes how much of a stage is done.
fn extent(step: &Step) -> String {
    match (step.reused, step.to_run) {
        (0, None) => "to run".to_owned(),
        (reused, None) => format!("{reused} reused, more to run"),
        (reused, Some(0)) => format!("{reused} reused"),
        (0, Some(runs)) => format!("{runs} to run"),
        (reused, Some(runs)) => format!("{runs} to run, {reused} reused"),
    }
}

/// Escapes a text for a quoted string of mermaid: special characters become their numbers.
fn mermaid_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '#' | '"' | '<' | '>' | '&' | '`' | '\\' | ';' => out.push_str(&format!("#{};", u32::from(c))),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Escapes a text for a quoted string of dot.
fn dot_text(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.replace('\\', "\\\\").replace('"', "\\\"")
}

struct Colours {
    fill: &'static str,
    line: &'static str,
    text: &'static str,
}

/// Returns the colours of a state, which are readable on light and dark pages.
fn colours(state: &str) -> Colours {
    let (fill, line, text) = match state {
        "fresh" => ("#dff3e3", "#2e7d32", "#14361a"),
        "stale" | "edited" => ("#fff3cd", "#b58105", "#4d3800"),
        "new" | "cached" | "missing" => ("#dcebfb", "#1f6fb2", "#0d2f4d"),
        "invalid" => ("#fadbd8", "#b3261e", "#4d0f0b"),
        _ => ("#ececec", "#6b6b6b", "#2b2b2b"),
    };
    Colours { fill, line, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Stage;

    fn node(kind: NodeKind, id: &str, label: &str) -> Node {
        let (commit, state) = (None, (kind == NodeKind::Recipe).then_some("stale"));
        let step = |stage| Step { stage, reused: 1, to_run: Some(0), until_samples: None };
        let stages = if kind == NodeKind::Recipe { vec![step(Stage::Scan), step(Stage::Output)] } else { Vec::new() };
        Node { id: id.into(), kind, label: label.into(), commit, state, stages }
    }

    fn example() -> RecipeGraph {
        let edge = |from: &str, to: &str| crate::workspace::Edge { from: from.into(), to: to.into() };
        RecipeGraph {
            nodes: vec![
                node(NodeKind::Source, "source:a\"b", "a\"b"),
                node(NodeKind::Recipe, "recipe:r", "sft/<r>"),
                node(NodeKind::Output, "output:d/r_train.jsonl", "d/r_train.jsonl"),
                node(NodeKind::Output, "output:d/r_val.jsonl", "d/r_val.jsonl"),
                node(NodeKind::Output, "output:d/quarantine/r.jsonl", "d/quarantine/r.jsonl"),
            ],
            edges: vec![
                edge("source:a\"b", "recipe:r"),
                edge("recipe:r", "output:d/r_train.jsonl"),
                edge("recipe:r", "output:d/r_val.jsonl"),
                edge("recipe:r", "output:d/quarantine/r.jsonl"),
            ],
        }
    }

    #[test]
    fn files_share_a_box_and_texts_are_quoted() {
        let graph = example();
        let plain = Drawing::of(&graph, false);
        assert_eq!(
            plain.mermaid(),
            "flowchart LR\n  s1[(\"a#34;b\")]\n  r1[\"sft/#60;r#62;\"]\n  o1[/\"r_train.jsonl<br>r_val.jsonl\"/]\n  s1 --> r1\n  r1 --> o1\n  \
             classDef stale fill:#fff3cd,stroke:#b58105,color:#4d3800\n  class r1 stale\n"
        );
        let dot = plain.dot();
        assert!(dot.contains("s1 [shape=cylinder, label=\"a\\\"b\"]") && dot.contains("  r1 -> o1\n"), "{dot}");
    }

    #[test]
    fn stages_are_drawn_within_their_recipe() {
        let graph = example();
        let drawing = Drawing::of(&graph, true);
        let mermaid = drawing.mermaid();
        assert!(mermaid.contains("    r1_scan --> r1_output\n  end\n"), "{mermaid}");
        let dot = drawing.dot();
        assert!(dot.contains("  s1 -> r1_scan [lhead=cluster_r1]\n  r1_output -> o1 [ltail=cluster_r1]\n"), "{dot}");
    }
}
