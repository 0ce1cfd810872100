//! What a recipe expects of its result: the `expect` block, and how results are held to it.

use std::fmt;

use serde::Serialize;

use super::{Amount, Unit, recipe::unit_word};
use crate::{
    leaf::Setting,
    outputs::{BySide, Side},
};

/// One entry of the `expect` block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expectation {
    /// What is counted.
    pub of: Expected,
    /// The bounds.
    pub limits: Limits,
}

/// What an expectation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Expected {
    /// Rows of all sides.
    Rows,
    /// Rows of one side.
    SideRows(Side),
    /// Rejected rows.
    Rejects,
    /// Characters of the rows of all sides.
    Characters,
    /// Tokens of the rows of all sides.
    Tokens,
    /// Rows of the train side whose prompt an earlier row of that side has.
    RepeatedPrompts,
    /// The share of a source in the mixture, by its name.
    Share(String),
}

/// The bounds of an expectation, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// The least that is expected.
    pub min: Option<Amount>,
    /// The most that is expected.
    pub max: Option<Amount>,
}

/// The numbers that expectations are about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found<'a> {
    /// Rows of each side.
    pub rows: BySide<u64>,
    /// Rows that were read.
    pub rows_read: u64,
    /// Rows that were rejected.
    pub rejects: u64,
    /// Characters of the rows of all sides; 0 if nothing is expected of them.
    pub characters: u64,
    /// Tokens of the rows of all sides; 0 if nothing is expected of them.
    pub tokens: u64,
    /// Rows of the train side whose prompt an earlier row has; 0 if nothing is expected of them.
    pub repeated_prompts: u64,
    /// For each mixed source its name, and how much it gives in the unit of the mixture.
    pub mixed: Vec<(&'a str, u64)>,
    /// The unit of the mixture.
    pub unit: Option<Unit>,
}

impl Expected {
    /// What can be expected besides shares, in the order of the documentation.
    pub const COUNTS: [Self; 8] = [
        Self::Rows,
        Self::SideRows(Side::Train),
        Self::SideRows(Side::Validation),
        Self::SideRows(Side::Test),
        Self::Rejects,
        Self::Characters,
        Self::Tokens,
        Self::RepeatedPrompts,
    ];

    /// Returns the key in `expect`, or in its `shares`.
    pub fn key(&self) -> &str {
        match self {
            Self::Rows => "rows",
            Self::SideRows(Side::Train) => "train_rows",
            Self::SideRows(Side::Validation) => "validation_rows",
            Self::SideRows(Side::Test) => "test_rows",
            Self::Rejects => "rejects",
            Self::Characters => "characters",
            Self::Tokens => "tokens",
            Self::RepeatedPrompts => "repeated_prompts",
            Self::Share(source) => source,
        }
    }

    /// Returns the setting of the recipe.
    pub fn setting(&self) -> Setting {
        match self {
            Self::Share(source) => Setting::ExpectedShare(source.clone()),
            _ => Setting::Expected(self.key().to_owned()),
        }
    }

    /// Returns whether a bound may be a share of a whole instead of a count.
    pub fn has_whole(&self) -> bool {
        matches!(self, Self::Rejects | Self::RepeatedPrompts)
    }

    /// Returns whether the number takes a look at each row that is written.
    pub fn is_tallied(&self) -> bool {
        matches!(self, Self::Characters | Self::Tokens | Self::RepeatedPrompts)
    }
}

impl Expectation {
    /// Returns what was found instead, in words; `None` if the expectation is met.
    ///
    /// ```
    /// use datac_core::{config::{Amount, Expectation, Expected, Found, Limits}, outputs::BySide};
    ///
    /// let limits = Limits { min: Some(Amount::Count(100)), max: None };
    /// let expectation = Expectation { of: Expected::Rows, limits };
    /// let found = |train| Found { rows: BySide { train, validation: 10, test: 0 }, ..Found::default() };
    /// assert_eq!(expectation.unmet(&found(90)), None);
    /// let told = expectation.unmet(&found(80)).unwrap();
    /// assert_eq!(told, "the result has 90 rows; `rows` expects at least 100");
    /// ```
    pub fn unmet(&self, found: &Found<'_>) -> Option<String> {
        let (part, whole) = self.counts(found);
        if self.limits.has(part, whole) {
            return None;
        }
        let was = match &self.of {
            Expected::Rows => format!("the result has {}", count(part, "row")),
            Expected::SideRows(side) => format!("the {} side has {}", side.word(), count(part, "row")),
            Expected::Rejects => format!("{part} of {} rejected", were(whole)),
            Expected::Characters => format!("the rows have {}", count(part, "character")),
            Expected::Tokens => format!("the rows have {}", count(part, "token")),
            Expected::RepeatedPrompts => {
                let have = if part == 1 { "has" } else { "have" };
                format!("{part} of {} of the train side {have} the prompt of an earlier row", count(whole, "row"))
            }
            Expected::Share(source) => {
                let unit = unit_word(found.unit.unwrap_or(Unit::Rows));
                format!("`{source}` makes up {part} of {whole} {unit} ({:.2}%)", 100.0 * ratio(part, whole))
            }
        };
        let key = if let Expected::Share(_) = self.of { "shares" } else { self.of.key() };
        Some(format!("{was}; `{key}` expects {}", self.limits))
    }

    /// Returns what was counted, and the whole that a share of it is of.
    fn counts(&self, found: &Found<'_>) -> (u64, u64) {
        let rows = || found.rows.values().sum();
        match &self.of {
            Expected::Rows => (rows(), rows()),
            Expected::SideRows(side) => (*found.rows.get(*side), rows()),
            Expected::Rejects => (found.rejects, found.rows_read),
            Expected::Characters => (found.characters, found.characters),
            Expected::Tokens => (found.tokens, found.tokens),
            Expected::RepeatedPrompts => (found.repeated_prompts, found.rows.train),
            Expected::Share(source) => {
                let own = found.mixed.iter().find(|(name, _)| name == source).map_or(0, |(_, units)| *units);
                (own, found.mixed.iter().map(|(_, units)| units).sum())
            }
        }
    }
}

impl Limits {
    /// Returns whether a part of a whole is within the bounds.
    fn has(&self, part: u64, whole: u64) -> bool {
        let is_less = |bound: Amount| match bound {
            Amount::Count(count) => part < count,
            Amount::Share(share) => ratio(part, whole) < share,
        };
        let is_more = |bound: Amount| match bound {
            Amount::Count(count) => part > count,
            Amount::Share(share) => ratio(part, whole) > share,
        };
        !self.min.is_some_and(is_less) && !self.max.is_some_and(is_more)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => write!(f, "exactly {}", bound(min)),
            (Some(min), Some(max)) => write!(f, "{} to {}", bound(min), bound(max)),
            (Some(min), None) => write!(f, "at least {}", bound(min)),
            (None, Some(max)) => write!(f, "at most {}", bound(max)),
            (None, None) => f.write_str("anything"),
        }
    }
}

fn bound(amount: Amount) -> String {
    match amount {
        Amount::Count(count) => count.to_string(),
        Amount::Share(share) => percent(share),
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn were(rows: u64) -> String {
    format!("{} {}", count(rows, "row"), if rows == 1 { "was" } else { "were" })
}

// A quotient of integers is the float nearest to it, and so is a share as it is written: 29 of 100 is 0.29, whereas
// 0.29 × 100 is less than 29.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Formats a share as a percentage with the digits of the share; multiplying by 100 could add digits.
pub fn percent(share: f64) -> String {
    let written = format!("{share:e}");
    let moved = written
        .split_once('e')
        .and_then(|(digits, exponent)| format!("{digits}e{}", exponent.parse::<i32>().ok()? + 2).parse::<f64>().ok());
    format!("{}%", moved.unwrap_or(share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_as_they_are_written() {
        let shares = [0.07, 0.01, 0.333, 0.005, 0.29, 1.0, 0.0, 1e-9];
        let told = ["7%", "1%", "33.3%", "0.5%", "29%", "100%", "0%", "0.0000001%"];
        assert_eq!(shares.map(percent), told);
    }

    #[test]
    fn bounds_are_part_of_the_range() {
        let (count, share) = (Amount::Count, Amount::Share);
        let range = |min, max| Limits { min, max };
        for hundredths in 0..=100 {
            let exact = share(format!("{hundredths}e-2").parse().unwrap());
            assert!(range(Some(exact), Some(exact)).has(hundredths * 7, 700), "{hundredths}");
            let near = range(Some(exact), Some(exact));
            assert!(!near.has(hundredths * 7 + 1, 700) && (hundredths == 0 || !near.has(hundredths * 7 - 1, 700)));
        }
        assert!(range(Some(count(3)), Some(count(5))).has(3, 0) && range(Some(count(3)), Some(count(5))).has(5, 0));
        assert!(!range(Some(count(3)), None).has(2, 9) && !range(None, Some(count(3))).has(4, 9));
        // Of nothing there is no part.
        assert!(range(None, Some(share(0.0))).has(0, 0) && !range(Some(share(0.1)), None).has(0, 0));
        let both = range(Some(count(2)), Some(share(0.5)));
        assert!(both.has(2, 4) && !both.has(1, 4) && !both.has(3, 4));
    }

    #[test]
    fn what_is_not_met_is_told_with_what_was_found() {
        let found = Found {
            rows: BySide { train: 90, validation: 1, test: 9 },
            rows_read: 105,
            rejects: 5,
            characters: 1234,
            tokens: 321,
            repeated_prompts: 3,
            mixed: vec![("a", 70), ("b", 30)],
            unit: Some(Unit::Tokens),
        };
        let exactly = |amount| Limits { min: Some(amount), max: Some(amount) };
        let told = |of: Expected, limits| Expectation { of, limits }.unmet(&found);
        let all: Vec<String> =
            Expected::COUNTS.iter().filter_map(|of| told(of.clone(), exactly(Amount::Count(7)))).collect();
        assert_eq!(
            all,
            [
                "the result has 100 rows; `rows` expects exactly 7",
                "the train side has 90 rows; `train_rows` expects exactly 7",
                "the validation side has 1 row; `validation_rows` expects exactly 7",
                "the test side has 9 rows; `test_rows` expects exactly 7",
                "5 of 105 rows were rejected; `rejects` expects exactly 7",
                "the rows have 1234 characters; `characters` expects exactly 7",
                "the rows have 321 tokens; `tokens` expects exactly 7",
                "3 of 90 rows of the train side have the prompt of an earlier row; `repeated_prompts` expects exactly 7",
            ]
        );
        let range = Limits { min: Some(Amount::Share(0.75)), max: Some(Amount::Share(0.8)) };
        assert_eq!(
            told(Expected::Share("a".to_owned()), range).unwrap(),
            "`a` makes up 70 of 100 tokens (70.00%); `shares` expects 75% to 80%"
        );
        assert_eq!(told(Expected::Share("b".to_owned()), exactly(Amount::Share(0.3))), None);
    }
}
