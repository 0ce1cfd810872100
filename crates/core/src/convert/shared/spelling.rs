//! Tables of what the columns that fill a slot are called, so that a format of other names is a word in a table.

use super::{
    beside,
    filled::{Filled, borrowed},
    is_blank,
};
use crate::{
    convert::{Converter, Options},
    row::{RawRow, Reason, Reject, Value, is_called, letters},
    sample::{Converted, SampleKind, Slot},
    survey::Survey,
};

/// What more of a question is called, which follows it on a new line.
pub(in crate::convert) const INPUT: &[&str] = &["input", "context", "article", "passage"];
/// What the reasoning before an answer is called.
pub(in crate::convert) const REASONING: &[&str] = &[
    "reasoning",
    "reasoning_content",
    "thinking",
    "rationale",
    "chain_of_thought",
    "complex_cot",
    "long_cot",
    "cot",
    "thought",
    "thoughts",
    "think",
    "reasoning_trace",
    "thinking_trajectory",
    "deepseek_reasoning",
    "deepseek_thinking_trajectory",
    "thinking_content",
    "reasoning_text",
];
/// What a question is called beside its answer.
pub(in crate::convert) const QUESTION: &[&str] =
    &["instruction", "question", "query", "problem", "prompt", "user", "human", "message_1", "request", "input"];
/// What the answer to a question is called.
pub(in crate::convert) const ANSWER: &[&str] = &[
    "response",
    "output",
    "completion",
    "solution",
    "generation",
    "generated_solution",
    "assistant",
    "message_2",
    "reply",
    "answer",
    "target",
    "gpt",
    "bot",
    "deepseek_solution",
];

/// A converter that is its table and nothing else.
#[derive(Debug)]
pub struct Tabled {
    pub(in crate::convert) name: &'static str,
    pub(in crate::convert) version: u32,
    pub(in crate::convert) kind: SampleKind,
    pub(in crate::convert) spellings: Spellings,
}

impl Converter for Tabled {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn kind(&self) -> SampleKind {
        self.kind
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        self.spellings.wants()
    }

    fn reads(&self, survey: &Survey) -> u32 {
        self.spellings.reads(survey)
    }

    fn doubt(&self, survey: &Survey) -> Option<Doubt> {
        self.spellings.doubt(survey)
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        Ok(self.spellings.fill(row, options)?.sample(self.kind)?.into())
    }
}

/// What the columns of a format are called.
#[derive(Debug)]
pub(in crate::convert) struct Spellings {
    /// The names of each slot, the one that is preferred first. A column fills the first slot that names it.
    pub(in crate::convert) names: &'static [(Slot, &'static [&'static str])],
    /// The slots that have to be filled: any of these sets, the one that is preferred first. Slots that are in no set may
    /// be filled besides.
    pub(in crate::convert) needs: &'static [&'static [Slot]],
}

/// A slot that several columns of a source could fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The slot.
    pub slot: Slot,
    /// The columns.
    pub columns: Vec<String>,
    /// What would fill the slots that are needed.
    pub fills: Vec<(Slot, String)>,
}

fn named<'c>(columns: &[&'c str], name: &str) -> Option<&'c str> {
    columns.iter().copied().find(|column| is_called(column, name))
}

/// A row, and how its columns' names begin and end: forty names are asked for, and hardly one does so as any column's.
struct Named<'a> {
    row: &'a RawRow<'a>,
    marks: u64,
}

impl<'a> Named<'a> {
    fn new(row: &'a RawRow<'a>) -> Self {
        Self { row, marks: row.fields.iter().fold(0, |marks, (name, _)| marks | Self::mark(name)) }
    }

    /// The column that has this name, whatever its case, and of whose value `is_there` holds.
    fn of(&self, name: &str, is_there: impl Fn(&Value<'_>) -> bool) -> Option<&'a str> {
        if self.marks & Self::mark(name) == 0 {
            return None;
        }
        self.row.spelled(name, |value| is_there(value)).map(|(column, _)| column)
    }

    /// A bit that names have in common that are [called](is_called) the same.
    fn mark(name: &str) -> u64 {
        let (first, last) = match name.as_bytes() {
            [first, .., last] if first.is_ascii_alphabetic() && last.is_ascii_alphabetic() => {
                (first.to_ascii_lowercase(), last.to_ascii_lowercase())
            }
            _ => (letters(name).next().unwrap_or(0), letters(name).next_back().unwrap_or(0)),
        };
        1 << ((u32::from(first) * 7 + u32::from(last)) % 64)
    }
}

/// Whether a value has something for a slot: a text may well be `[]`, a list of messages not.
fn holds(slot: Slot, value: &Value<'_>) -> bool {
    match value {
        Value::String(text) if !matches!(slot, Slot::Messages | Slot::History | Slot::Tools) => !is_blank(text),
        value => !value.is_nothing(),
    }
}

/// Which column fills each slot.
type Assigned<'c> = [Option<&'c str>; Slot::ALL.len()];

impl Spellings {
    /// Whether rows of these columns can be used.
    pub(in crate::convert) fn fit(&self, columns: &[&str]) -> bool {
        self.needed(&self.assigned(|_, name| named(columns, name))).is_some()
    }

    /// How many of the surveyed rows can be used.
    pub(in crate::convert) fn reads(&self, survey: &Survey) -> u32 {
        survey.count(|columns| self.fit(columns))
    }

    /// The columns that are needed, by the names that are preferred.
    pub(in crate::convert) fn wants(&self) -> Vec<Vec<&'static str>> {
        let first = |slot: &Slot| self.spelled(*slot).first().copied();
        self.needs.iter().map(|set| set.iter().filter_map(first).collect()).collect()
    }

    /// All the names of a slot.
    pub(in crate::convert) fn spelled(&self, slot: Slot) -> &'static [&'static str] {
        self.names.iter().find(|(of, _)| *of == slot).map_or(&[], |(_, names)| names)
    }

    /// A needed slot that several columns of the surveyed rows could fill.
    pub(in crate::convert) fn doubt(&self, survey: &Survey) -> Option<Doubt> {
        let all: Vec<&str> =
            survey.columns.iter().filter(|column| column.filled > 0).map(|column| column.name.as_str()).collect();
        let assigned = self.assigned(|_, name| named(&all, name));
        let needed = self.needed(&assigned)?;
        needed.iter().find_map(|slot| {
            let others = self.spelled(*slot).iter().filter_map(|name| named(&all, name));
            // A column that fills another slot is no candidate.
            let is_free =
                |column: &&str| assigned[*slot as usize] == Some(*column) || !assigned.contains(&Some(*column));
            let columns: Vec<String> = others.filter(is_free).map(str::to_owned).collect();
            let fills: Vec<(Slot, String)> =
                needed.iter().filter_map(|of| Some((*of, assigned[*of as usize]?.to_owned()))).collect();
            // Two of them have to stand in one row.
            let are_together =
                |names: &[&str]| columns.iter().filter(|name| names.contains(&name.as_str())).count() > 1;
            (survey.count(are_together) > 0).then_some(Doubt { slot: *slot, columns, fills })
        })
    }

    /// Fills the slots that the columns of a row fill.
    pub(in crate::convert) fn fill<'a: 'n, 'n>(
        &self,
        row: &'a RawRow<'a>,
        options: &'n Options,
    ) -> Result<Filled<'a, 'n>, Reject> {
        // A column that has something comes before one that is empty, which a reject names if there is no other.
        let columns = Named::new(row);
        let mut assigned = self.assigned(|slot, name| columns.of(name, |value| holds(slot, value)));
        if self.needed(&assigned).is_none() {
            assigned = self.assigned(|slot, name| {
                let holding = columns.of(name, |value| holds(slot, value));
                holding.or_else(|| columns.of(name, |value| *value != Value::Null))
            });
        }
        let Some(needed) = self.needed(&assigned) else { return Err(self.lacking(row, &assigned)) };
        // What follows a question stands beside any that there is.
        let is_elsewhere = |slot: Slot| {
            slot != Slot::Input && !needed.contains(&slot) && self.needs.iter().any(|set| set.contains(&slot))
        };
        let mut filled = Filled::of(row, options);
        for (slot, column) in Slot::ALL.into_iter().zip(assigned) {
            let Some(column) = column.filter(|_| !is_elsewhere(slot)) else { continue };
            if slot == Slot::System {
                if let Some((column, words)) = beside::system(row, self.spelled(slot))? {
                    filled.fill(slot, column, Value::String(words));
                }
            } else if let Some(value) = row.peek(column) {
                filled.fill(slot, column, borrowed(value));
            }
        }
        if filled.filled(Slot::User).is_none() {
            // An empty question is one that rejects can name.
            let empty = |value: &Value<'_>| *value != Value::Null && !holds(Slot::User, value);
            let column = self.spelled(Slot::User).iter().find_map(|name| columns.of(name, empty));
            if let Some((column, value)) = column.and_then(|column| Some((column, row.peek(column)?))) {
                filled.fill(Slot::User, column, borrowed(value));
            }
        }
        Ok(filled)
    }

    fn assigned<'c>(&self, find: impl Fn(Slot, &str) -> Option<&'c str>) -> Assigned<'c> {
        let mut assigned: Assigned<'c> = [None; Slot::ALL.len()];
        for (slot, names) in self.names {
            let is_free = |column: &&str| !assigned.contains(&Some(*column));
            assigned[*slot as usize] = names.iter().filter_map(|name| find(*slot, name)).find(is_free);
        }
        assigned
    }

    /// The first set of slots that are all filled.
    fn needed(&self, assigned: &Assigned<'_>) -> Option<&'static [Slot]> {
        self.needs.iter().copied().find(|set| set.iter().all(|slot| assigned[*slot as usize].is_some()))
    }

    /// Why a row cannot be used: what it lacks of the set of which it has most.
    fn lacking(&self, row: &RawRow<'_>, assigned: &Assigned<'_>) -> Reject {
        let lacks = |slot: &&Slot| assigned[**slot as usize].is_none();
        let has = |set: &&&'static [Slot]| set.len() - set.iter().filter(lacks).count();
        let key = |set: &&&'static [Slot]| (set.iter().filter(lacks).count(), std::cmp::Reverse(has(set)));
        let nearest = self.needs.iter().min_by_key(key);
        let names: Vec<&str> = match nearest {
            Some(set) if has(&set) > 0 => set.iter().find(lacks).map_or(&[][..], |slot| self.spelled(*slot)).to_vec(),
            // It has nothing of any set: the first name of each.
            _ => self.needs.iter().filter_map(|set| self.spelled(*set.first()?).first().copied()).collect(),
        };
        // A column that is there and `null` is the one that is meant.
        let null = names.iter().find(|name| row.spelled(name, |_| true).is_some());
        let quoted: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
        let detail = match (null, &quoted[..]) {
            (Some(name), _) => format!("no `{name}`"),
            (None, [name]) => format!("no {name}"),
            (None, [first @ .., last]) if names.len() <= 3 => format!("no {} or {last}", first.join(", ")),
            (None, all) => format!("no {} or the like", all.join(", ")),
        };
        Reject::new(Reason::MissingField, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    const TABLE: Spellings = Spellings {
        names: &[
            (Slot::User, &["question", "input"]),
            (Slot::Input, &["input"]),
            (Slot::Assistant, &["answer", "output"]),
            (Slot::Messages, &["messages"]),
        ],
        needs: &[&[Slot::Messages], &[Slot::User, Slot::Assistant]],
    };

    #[test]
    fn a_column_fills_the_first_slot_that_names_it() {
        let assigned = |columns: &[&'static str]| {
            let assigned = TABLE.assigned(|_, name| columns.iter().copied().find(|column| *column == name));
            [Slot::User, Slot::Input, Slot::Assistant].map(|slot| assigned[slot as usize])
        };
        assert_eq!(assigned(&["input", "output"]), [Some("input"), None, Some("output")]);
        assert_eq!(assigned(&["input", "question", "answer"]), [Some("question"), Some("input"), Some("answer")]);
        assert!(TABLE.fit(&["Question", "ANSWER"]) && TABLE.fit(&["messages"]) && !TABLE.fit(&["question", "input"]));
    }

    #[test]
    fn any_two_columns_of_one_row_are_a_doubt() {
        const MANY: Spellings = Spellings { names: &[(Slot::User, &["a", "b", "c"])], needs: &[&[Slot::User]] };
        let doubt = |rows: &[&str]| {
            let mut survey = Survey::default();
            rows.iter().for_each(|row| survey.add(&json::row(row).unwrap()));
            MANY.doubt(&survey).is_some()
        };
        assert!(doubt(&[r#"{"a":"x"}"#, r#"{"b":"x","c":"y"}"#]));
        assert!(!doubt(&[r#"{"a":"x"}"#, r#"{"b":"x"}"#, r#"{"c":"y"}"#]));
    }

    #[test]
    fn a_reject_names_the_column_that_is_lacking() {
        for (row, detail) in [
            (r#"{"question":"q","output":null}"#, "no `output`"),
            (r#"{"question":"q"}"#, "no `answer` or `output`"),
            (r#"{"x":"q"}"#, "no `messages` or `question`"),
        ] {
            let reject = TABLE.fill(&json::row(row).unwrap(), &Options::new()).err().unwrap();
            assert_eq!((reject.reason, reject.detail.as_str()), (Reason::MissingField, detail), "{row}");
        }
    }
}
