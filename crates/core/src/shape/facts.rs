//! What the samples of an output have, taken together: which columns its rows need, and of what types.
//!
//! Readers such as `datasets` fix the columns and types of a file by its first rows. So all rows of an output have the same
//! columns, those that any of its samples needs, and a row without a value there says `null`.

use std::{borrow::Cow, collections::BTreeMap};

use crate::sample::{Features, Makeup, Quoted, SampleView, Types};

/// The type of a column of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// A string.
    Text,
    /// A boolean.
    Bool,
    /// An integer of 64 bits.
    Integer,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 8 bits.
    Int8,
    /// A float of 64 bits.
    Number,
    /// Any JSON value, kept as text where a file has typed columns.
    Json,
    /// A list.
    List(Box<Type>),
    /// An object with these keys, all of them in each row.
    Struct(Vec<(&'static str, Type)>),
}

impl Type {
    /// The one type that holds all values of these types exactly.
    fn of_all(types: Types) -> Self {
        match types {
            _ if types.are(Types::STRING) => Self::Text,
            _ if types.are(Types::BOOL) => Self::Bool,
            _ if types.are(Types::INTEGER) => Self::Integer,
            _ if types.are(Types::NUMBER) => Self::Number,
            _ => Self::Json,
        }
    }

    /// A list of values of this type.
    pub fn list(self) -> Self {
        Self::List(Box::new(self))
    }

    /// A list of messages that have a role and a string as content, and nothing else.
    pub fn plain_messages() -> Self {
        Self::Struct(vec![("role", Self::Text), ("content", Self::Text)]).list()
    }
}

/// A column of the rows of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: Cow<'static, str>,
    /// The type of its values.
    pub of: Type,
}

impl Column {
    /// Creates a column.
    pub fn new(name: impl Into<Cow<'static, str>>, of: Type) -> Self {
        Self { name: name.into(), of }
    }
}

/// What the samples of an output have, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What at least one sample has.
    pub some: Features,
    /// The columns that the recipe keeps: names as they are written in JSON, without quotes.
    pub(super) kept: BTreeMap<Vec<u8>, Types>,
}

impl Facts {
    /// The facts of a sample that stands alone.
    pub fn of(sample: &SampleView<'_>) -> Self {
        let mut facts = Self::default();
        facts.add(&Makeup::of(sample));
        facts
    }

    /// Returns whether a sample has a column of this name, which needs no escapes in JSON.
    pub fn has_column(&self, name: &str) -> bool {
        self.kept.contains_key(name.as_bytes())
    }

    /// Adds what a sample has.
    pub fn add(&mut self, makeup: &Makeup) {
        self.some.join(makeup.features);
        for (name, types) in &makeup.columns {
            match self.kept.get_mut(name) {
                Some(known) => known.join(*types),
                None => drop(self.kept.insert(name.clone(), *types)),
            }
        }
    }

    /// The type of a list of messages: typed if all messages are a role and a string, else JSON.
    pub(super) fn messages(&self) -> Type {
        let is_plain = !self.some.has(Features::RICH) && !self.some.has(Features::PARTS);
        if is_plain { Type::plain_messages() } else { Type::Json.list() }
    }

    /// The columns of a row: those of `own` that are there, those that the recipe keeps, and the source. What is kept under a
    /// name that the trainer reads itself has no place in its rows.
    pub(super) fn with_kept<const N: usize>(
        &self,
        reserved: &[&str],
        own: [(bool, &'static str, Type); N],
    ) -> Vec<Column> {
        let own = own.into_iter().filter(|(is_there, ..)| *is_there).map(|(_, name, of)| Column::new(name, of));
        let kept = self.kept_columns().filter(|column| !reserved.contains(&&*column.name));
        own.chain(kept).chain([Column::new("source", Type::Text)]).collect()
    }

    /// The columns that the recipe keeps, by name.
    fn kept_columns(&self) -> impl Iterator<Item = Column> {
        let name = |inner: &[u8]| {
            let quoted = [b"\"", inner, b"\""].concat();
            Quoted::new(&quoted).and_then(|name| Some(name.unescape()?.into_owned())).unwrap_or_default()
        };
        self.kept.iter().map(move |(inner, types)| Column::new(name(inner), Type::of_all(*types)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_type_holds_every_value_exactly() {
        let common = |values: &[&str]| {
            let mut all = Types::default();
            values.iter().for_each(|value| all.join(Types::of(value)));
            Type::of_all(all)
        };
        for (values, of) in [
            (&["\"a\"", "null"][..], Type::Text),
            (&["null"], Type::Text),
            (&["1", "9007199254740993", "null"], Type::Integer),
            (&["9223372036854775808"], Type::Json),
            (&["0.5", "1.0"], Type::Number),
            (&["1", "0.5"], Type::Json),
            (&["0.50"], Type::Json),
            (&["1e3"], Type::Json),
            (&["-0"], Type::Json),
            (&["true", "false"], Type::Bool),
            (&["true", "\"true\""], Type::Json),
            (&["[1]", "{}"], Type::Json),
        ] {
            assert_eq!(common(values), of, "{values:?}");
        }
    }
}
