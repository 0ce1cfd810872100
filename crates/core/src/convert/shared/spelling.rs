//! Tables of what the columns that fill a slot are called, so that a format of other names is a word in a table.

use super::filled::{Filled, borrowed};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::Slot,
};

/// What the columns of a format are called.
#[derive(Debug)]
pub(in crate::convert) struct Spellings {
    /// The names of each slot, the one that is preferred first. A column fills the first slot that names it.
    pub(in crate::convert) names: &'static [(Slot, &'static [&'static str])],
    /// The slots that have to be filled: any of these sets, the one that is preferred first. Slots that are in no set may
    /// be filled besides.
    pub(in crate::convert) needs: &'static [&'static [Slot]],
}

/// Which column fills each slot.
type Assigned<'c> = [Option<&'c str>; Slot::ALL.len()];

impl Spellings {
    /// Whether rows of these columns can be used.
    pub(in crate::convert) fn fit(&self, columns: &[&str]) -> bool {
        let find = |name: &str| columns.iter().copied().find(|column| column.eq_ignore_ascii_case(name));
        self.needed(&self.assigned(find)).is_some()
    }

    /// Fills the slots that the columns of a row fill.
    pub(in crate::convert) fn fill<'a>(&self, row: &'a RawRow<'_>) -> Result<Filled<'a, 'a>, Reject> {
        let find = |name: &str| {
            let mut fields = row.fields.iter();
            fields
                .find(|(field, value)| field.eq_ignore_ascii_case(name) && *value != Value::Null)
                .map(|(field, _)| &**field)
        };
        let assigned = self.assigned(find);
        let Some(needed) = self.needed(&assigned) else { return Err(self.lacking(row, &assigned)) };
        let is_elsewhere = |slot: Slot| !needed.contains(&slot) && self.needs.iter().any(|set| set.contains(&slot));
        let mut filled = Filled::new();
        for (slot, column) in Slot::ALL.into_iter().zip(assigned) {
            let Some(column) = column.filter(|_| !is_elsewhere(slot)) else { continue };
            if let Some(value) = row.get(column) {
                filled.fill(slot, column, borrowed(value));
            }
        }
        Ok(filled)
    }

    fn assigned<'c>(&self, find: impl Fn(&str) -> Option<&'c str>) -> Assigned<'c> {
        let mut assigned: Assigned<'c> = [None; Slot::ALL.len()];
        for (slot, names) in self.names {
            let column = names.iter().filter_map(|name| find(name)).find(|column| !assigned.contains(&Some(column)));
            assigned[*slot as usize] = column;
        }
        assigned
    }

    /// The first set of slots that are all filled.
    fn needed(&self, assigned: &Assigned<'_>) -> Option<&'static [Slot]> {
        self.needs.iter().copied().find(|set| set.iter().all(|slot| assigned[*slot as usize].is_some()))
    }

    /// Why a row cannot be used: what it lacks of the set of which it has most.
    fn lacking(&self, row: &RawRow<'_>, assigned: &Assigned<'_>) -> Reject {
        let key = |set: &&&'static [Slot]| {
            let lacks = set.iter().filter(|slot| assigned[**slot as usize].is_none()).count();
            (lacks, std::cmp::Reverse(set.len() - lacks))
        };
        let set = self.needs.iter().min_by_key(key).copied().unwrap_or_default();
        let lacked = set.iter().find(|slot| assigned[**slot as usize].is_none());
        let names =
            lacked.and_then(|slot| self.names.iter().find(|(of, _)| of == slot)).map_or(&[][..], |(_, names)| names);
        // A column that is there and `null` is the one that is meant.
        let null = names.iter().find(|name| row.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name)));
        let detail = match (null, names) {
            (Some(name), _) | (None, [name]) => format!("no `{name}`"),
            (None, names) => {
                let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("none of {}", quoted.join(", "))
            }
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
            let assigned = TABLE.assigned(|name| columns.iter().copied().find(|column| *column == name));
            [Slot::User, Slot::Input, Slot::Assistant].map(|slot| assigned[slot as usize])
        };
        assert_eq!(assigned(&["input", "output"]), [Some("input"), None, Some("output")]);
        assert_eq!(assigned(&["input", "question", "answer"]), [Some("question"), Some("input"), Some("answer")]);
        assert!(TABLE.fit(&["Question", "ANSWER"]) && TABLE.fit(&["messages"]) && !TABLE.fit(&["question", "input"]));
    }

    #[test]
    fn a_reject_names_the_column_that_is_lacking() {
        for (row, detail) in [
            (r#"{"question":"q","output":null}"#, "no `output`"),
            (r#"{"question":"q"}"#, "none of `answer`, `output`"),
            (r#"{"x":"q"}"#, "no `messages`"),
        ] {
            let reject = TABLE.fill(&json::row(row).unwrap()).err().unwrap();
            assert_eq!((reject.reason, reject.detail.as_str()), (Reason::MissingField, detail), "{row}");
        }
    }
}
