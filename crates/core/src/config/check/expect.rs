//! Checks `expect`: what the result of a recipe is to be like.

use super::{
    super::{
        Expectation, Expected, Limits, SourceRole,
        problem::{self, Fault},
        recipe::{Amount, Dataset, Validation},
        tree::{Key, Node, Value, quoted},
    },
    Checker, EXPECT_KEYS, LIMIT_KEYS,
    read::Fields,
    rules::{percentage, suggest},
};

impl Checker<'_> {
    /// Reads what is expected; without `expect`, nothing is.
    pub(super) fn expectations(&mut self, fields: &Fields<'_, '_>, root: &Node<'_>) -> Option<Vec<Expectation>> {
        let Some(node) = fields.get("expect") else { return Some(Vec::new()) };
        let key = root.entry("expect").map(|(key, _)| key);
        let fields = self.fields(node, key, "`expect`", EXPECT_KEYS)?;
        let mut all: Vec<Option<Expectation>> = Vec::new();
        for of in Expected::COUNTS {
            if let Some(node) = fields.get(of.key()) {
                all.push(self.expectation(node, of));
            }
        }
        if let Some(node) = fields.get("shares") {
            match &node.value {
                Value::Map(entries) => {
                    for (key, node) in entries.iter().filter(|(_, node)| !node.is_null()) {
                        all.push(self.expectation(node, Expected::Share(key.name.to_string())));
                    }
                }
                _ => {
                    let hint = "write `shares: { name: { min: 0.6 } }`, with the names of datasets".to_owned();
                    self.wrong_type(node, "shares", "a mapping", Some(hint));
                    return None;
                }
            }
        }
        all.into_iter().collect()
    }

    fn expectation(&mut self, node: &Node<'_>, of: Expected) -> Option<Expectation> {
        let key = of.key().to_owned();
        if !matches!(node.value, Value::Map(_)) {
            let amount = self.bound(node, &key, &of)?;
            return Some(Expectation { of, limits: Limits { min: Some(amount), max: Some(amount) } });
        }
        let fields = self.fields(node, None, format!("`{key}` in `expect`"), LIMIT_KEYS)?;
        let min = self.optional(&fields, "min", |this, node, key| this.bound(node, key, &of));
        let max = self.optional(&fields, "max", |this, node, key| this.bound(node, key, &of));
        let limits = Limits { min: min?, max: max? };
        match (limits.min, limits.max) {
            (None, None) if fields.has_other(LIMIT_KEYS) => return None,
            (None, None) => {
                let message = format!("`{key}` in `expect` has no bound");
                let fault = Fault::new(problem::EXPECT, &node.span, message).label("neither `min` nor `max`");
                self.report(fault.hint("add `min`, `max` or both, or remove it"));
                return None;
            }
            (Some(Amount::Count(min)), Some(Amount::Count(max))) if min > max => self.upside_down(node, &key)?,
            (Some(Amount::Share(min)), Some(Amount::Share(max))) if min > max => self.upside_down(node, &key)?,
            _ => {}
        }
        Some(Expectation { of, limits })
    }

    fn upside_down(&mut self, node: &Node<'_>, key: &str) -> Option<()> {
        let message = format!("`{key}` in `expect` has a `min` above its `max`");
        self.report(Fault::new(problem::EXPECT, &node.span, message).label("nothing can meet both"));
        None
    }

    fn bound(&mut self, node: &Node<'_>, key: &str, of: &Expected) -> Option<Amount> {
        match of {
            Expected::Share(_) => {
                let told = if let Value::Scalar(_, text) = &node.value { percentage(text) } else { None };
                let share =
                    told.or_else(|| self.number_in(node, key, "in [0, 1]", |share| (0.0..=1.0).contains(&share)));
                share.map(Amount::Share)
            }
            of if of.has_whole() => self.amount(node, key),
            _ => self.integer(node, key, 0).map(Amount::Count),
        }
    }

    /// Reports expectations of sources that are not mixed, and of sides that are not written.
    pub(super) fn expected_of(&mut self, root: &Node<'_>, datasets: &[Dataset], validation: &Validation) {
        let Some((_, expect)) = root.entry("expect") else { return };
        let sides = validation.sides(datasets.iter().map(|dataset| dataset.role));
        for of in Expected::COUNTS {
            if let (Expected::SideRows(side), Some((key, node))) = (&of, expect.entry(of.key()))
                && !node.is_null()
                && !sides.get(*side)
            {
                let message = format!("the recipe has no {} side, of which `{}` expects rows", side.word(), of.key());
                let fault = Fault::new(problem::EXPECT, &key.span, message).label("of no side");
                self.report(fault.hint(format!("remove it, or add `{}: {{ ratio: 0.05 }}`", side.word())));
            }
        }
        let mixed = |dataset: &&Dataset| dataset.role == SourceRole::Mixed;
        let names: Vec<&str> = datasets.iter().filter(mixed).map(|dataset| dataset.name.as_str()).collect();
        let entries: &[(Key<'_>, Node<'_>)] = match expect.entry("shares").map(|(_, node)| &node.value) {
            Some(Value::Map(entries)) => entries,
            _ => return,
        };
        for (key, _) in entries.iter().filter(|(key, node)| !node.is_null() && !names.contains(&key.name.as_ref())) {
            let message = format!("{} is not among the `datasets`", quoted(&key.name));
            let fault = Fault::new(problem::EXPECT, &key.span, message).label("no such dataset");
            self.report(fault.hint(suggest(&key.name, &names)));
        }
    }
}
