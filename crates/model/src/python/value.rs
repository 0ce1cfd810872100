//! The two kinds of values that minijinja lacks: a `None` that cannot be iterated, and integers beyond 128 bits.

use std::{fmt, sync::Arc};

use minijinja3::value::{Object, ObjectRepr, Value};

/// `None` for `tools` and `documents`: minijinja iterates over its own none as over an empty list, where Python raises.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Object for Nothing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("None")
    }
}

/// An integer beyond 128 bits, by its digits.
#[derive(Debug)]
pub(crate) struct LongInteger(pub(crate) String);

impl Object for LongInteger {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that the filter `safe` returned: it can be written, and nothing else.
#[derive(Debug)]
pub(crate) struct Markup(pub(crate) String);

impl Object for Markup {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_empty()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a value is Python's `None`.
pub(crate) fn is_none(value: &Value) -> bool {
    value.is_none() || value.downcast_object_ref::<Nothing>().is_some()
}

/// Whether a value is an integer beyond 128 bits.
pub(crate) fn is_long_integer(value: &Value) -> bool {
    value.downcast_object_ref::<LongInteger>().is_some()
}

/// Returns the value as a float where Python has one; integers and booleans are none.
pub(crate) fn as_float(value: &Value) -> Option<f64> {
    if value.is_number() && !value.is_integer() { f64::try_from(value.clone()).ok() } else { None }
}
