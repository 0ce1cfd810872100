//! What `--json` prints: one document on stdout, which names its schema and the version of datac.

use schemars::JsonSchema;
use serde::Serialize;

use super::screen::Screen;

/// What a command prints as JSON.
pub(super) trait Content: Serialize + JsonSchema {
    /// The schema's name and number, `datac.status/1`; the number changes only when a reader of the old one would be
    /// misled. Fields are added without that.
    const SCHEMA: &'static str;
}

#[derive(Serialize, JsonSchema)]
struct Document<'a, T> {
    /// The name of this document's schema, and its number.
    schema: &'static str,
    /// The version of datac.
    datac: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// The document as text, with its line end.
pub(super) fn text<T: Content>(content: &T) -> String {
    let document = Document { schema: T::SCHEMA, datac: env!("CARGO_PKG_VERSION"), content };
    serde_json::to_string_pretty(&document).expect("what is printed is plain data") + "\n"
}

/// Prints the document.
pub(super) fn print<T: Content>(content: &T, screen: &Screen) {
    screen.data(&text(content));
}

/// The JSON Schema of a document.
pub(super) fn schema<T: Content>() -> serde_json::Value {
    schemars::schema_for!(Document<'_, T>).to_value()
}
