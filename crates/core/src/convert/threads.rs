//! Trees of messages, in which several replies may follow each: Open Assistant's.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Converter, OptionSpec, Options,
    shared::{chat, filled::Filled},
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, Message, Role, Sample, SampleKind},
    survey::{Survey, Types},
};

/// Makes conversations of the tree in `prompt`: an object with `text`, `role` and `replies`, which are such objects.
///
/// A conversation is a path from the root that ends with an answer. Replies of a lower `rank` are better.
#[derive(Debug)]
pub struct Threads;

const PATHS: OptionSpec = OptionSpec {
    name: "paths",
    values: &["best", "all"],
    help: "follow the best reply alone, or take every path as a conversation",
};

impl Converter for Threads {
    fn name(&self) -> &'static str {
        "threads"
    }

    fn version(&self) -> u32 {
        5
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn rank(&self) -> u8 {
        3
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["prompt"]]
    }

    fn reads(&self, survey: &Survey) -> u32 {
        let trees = survey.called("prompt").filter(|column| column.types.has(Types::TREE));
        trees.map(|column| survey.rows_with(&[&column.name])).sum()
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[PATHS]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let column = row.column(&["prompt"]);
        let Some(Value::Json(json) | Value::String(json)) = column.and_then(|column| row.get(column)) else {
            return Err(Reject::new(Reason::MissingField, "no `prompt` that is a tree of messages"));
        };
        let tree = Node::read(json, 1)?;
        let follow = if options.get(PATHS.name).is_some_and(|value| value == "all") { usize::MAX } else { 1 };
        let (mut paths, mut path) = (Vec::new(), Vec::new());
        if tree.is_deleted() {
            return Err(Reject::new(Reason::EmptyPrompt, "the first message of `prompt` is deleted"));
        }
        walk(&tree, &Walk { follow, options }, &mut path, &mut paths);
        if paths.is_empty() {
            return Err(Reject::new(
                Reason::NoFinalAssistantTurn,
                "no path of the tree ends with a turn of the assistant",
            ));
        }
        let sample = |path: Vec<&Node<'a>>| -> Result<Sample<'a>, Reject> {
            let turn = |node: &&Node<'a>| Ok(Message::new(node.role(options)?, node.text.clone()));
            Filled::of(row, options).conversation("prompt", path.iter().map(turn).collect::<Result<_, Reject>>()?)
        };
        let samples: Vec<Sample<'a>> = paths.into_iter().map(sample).collect::<Result<_, _>>()?;
        Ok(samples.into())
    }
}

/// The most messages that one path may have. Each takes stack, and reads all that is below it again.
const DEEPEST: usize = 250;

/// A message and its replies. Who wrote it, when, and what people thought of it is not read.
struct Node<'a> {
    text: Cow<'a, str>,
    role: Cow<'a, str>,
    rank: Option<f64>,
    deleted: Option<bool>,
    replies: Vec<Node<'a>>,
}

/// A message as it is written. A parser that goes into its replies by itself gives up after some sixty of them.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    rank: Option<f64>,
    deleted: Option<bool>,
    #[serde(borrow)]
    replies: Option<Vec<&'a RawValue>>,
}

impl<'a> Node<'a> {
    /// Reads a message that stands `depth` messages deep, with all below it.
    fn read(json: &'a str, depth: usize) -> Result<Self, Reject> {
        let wrong = |why: &str| Reject::new(Reason::WrongType, format!("`prompt` is not a tree of messages: {why}"));
        if depth > DEEPEST {
            return Err(wrong(&format!("more than {DEEPEST} messages follow one another")));
        }
        let written: Written<'a> = serde_json::from_str(json).map_err(|error| wrong(&error.to_string()))?;
        let Written { text, role, rank, deleted, replies } = written;
        let replies = replies.unwrap_or_default().into_iter().map(|reply| Self::read(reply.get(), depth + 1));
        Ok(Self { text, role, rank, deleted, replies: replies.collect::<Result<_, _>>()? })
    }

    fn role(&self, options: &Options) -> Result<Role, Reject> {
        chat::role(&self.role, options).ok_or_else(|| chat::unknown_role("prompt….role", &self.role))
    }

    fn is_deleted(&self) -> bool {
        self.deleted == Some(true)
    }

    /// The replies that are there, the best first; those without a rank last, in their order.
    fn best_first(&self) -> Vec<&Self> {
        let mut replies: Vec<&Self> = self.replies.iter().filter(|reply| !reply.is_deleted()).collect();
        replies.sort_by(|a, b| a.rank.unwrap_or(f64::MAX).total_cmp(&b.rank.unwrap_or(f64::MAX)));
        replies
    }
}

/// How a tree is walked.
struct Walk<'o> {
    /// How many replies of each message are followed.
    follow: usize,
    options: &'o Options,
}

/// Collects the paths below a node that end with an answer.
fn walk<'n, 'a>(node: &'n Node<'a>, how: &Walk<'_>, path: &mut Vec<&'n Node<'a>>, paths: &mut Vec<Vec<&'n Node<'a>>>) {
    path.push(node);
    let before = paths.len();
    for reply in node.best_first().into_iter().take(how.follow) {
        walk(reply, how, path, paths);
    }
    // A question that nobody answered ends no path: the answer before it does.
    let is_answer = chat::role(&node.role, how.options) == Some(Role::Assistant);
    if paths.len() == before && is_answer {
        paths.push(path.clone());
    }
    path.pop();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn made(tree: &str, roles: &[(&str, Role)]) -> Result<String, Reason> {
        let row = format!(r#"{{"prompt":{tree},"system":"S"}}"#);
        let row = json::row(&row).unwrap();
        let roles = roles.iter().map(|(word, role)| ((*word).to_owned(), *role)).collect();
        let converted = Threads.convert(&row, &Options { roles, ..Options::new() }).map_err(|reject| reject.reason)?;
        Ok(converted.only().field_text("text").unwrap().into_owned())
    }

    #[test]
    fn trees_of_hundreds_of_messages_are_read_and_deeper_ones_are_refused() {
        let deep = |messages: usize| {
            let role = |at: usize| ["prompter", "assistant"][at % 2];
            let begin: String =
                (0..messages).map(|at| format!(r#"{{"text":"{at}","role":"{}","replies":["#, role(at))).collect();
            begin + &"]}".repeat(messages)
        };
        let told = made(&deep(DEEPEST), &[]).unwrap();
        assert_eq!((told.lines().count(), told.lines().last()), (DEEPEST + 1, Some("249")));
        assert_eq!(made(&deep(DEEPEST + 1), &[]), Err(Reason::WrongType));
    }

    #[test]
    fn deleted_messages_are_left_out_and_roles_are_those_of_the_recipe() {
        let answer = r#"{"text":"a","role":"assistant","rank":1,"deleted":null,"replies":null}"#;
        let gone = r#"{"text":"gone","role":"assistant","rank":0,"deleted":true,"replies":[]}"#;
        let tree = |rest: &str| format!(r#"{{"text":"q","role":"prompter","replies":[{answer},{gone}]{rest}}}"#);
        assert_eq!(made(&tree(""), &[]).unwrap(), "S\nq\na");
        assert_eq!(made(&tree(r#","deleted":null"#), &[]).unwrap(), "S\nq\na");
        assert_eq!(made(&tree(r#","deleted":true"#), &[]), Err(Reason::EmptyPrompt));
        let other = tree("").replace("prompter", "customer").replace("assistant", "agent");
        assert_eq!(made(&other, &[]), Err(Reason::NoFinalAssistantTurn));
        let roles = [("customer", Role::User), ("agent", Role::Assistant)];
        assert_eq!(made(&other, &roles).unwrap(), "S\nq\na");
        assert_eq!(made(&other, &roles[1..]), Err(Reason::UnknownRole));
    }
}
