//! The documents that `--json` prints: one per call, on stdout, with a schema name and the version of datac.

use schemars::JsonSchema;
use serde::Serialize;

use super::screen::Screen;

/// Content of a JSON document that a command prints.
pub(super) trait Content: Serialize + JsonSchema {
    /// Name and number of the schema, such as `datac.status/1`. The number changes only when a reader of the old
    /// format would be misled; adding fields does not change it.
    const SCHEMA: &'static str;
}

#[derive(Serialize, JsonSchema)]
struct Document<'a, T> {
    /// Name and number of the document's schema.
    schema: &'static str,
    /// The version of datac.
    datac: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// Returns the document as text, with a line feed.
pub(super) fn text<T: Content>(content: &T) -> String {
    let document = Document { schema: T::SCHEMA, datac: env!("CARGO_PKG_VERSION"), content };
    serde_json::to_string_pretty(&document).expect("what is printed is plain data") + "\n"
}

/// Returns the document as one line, with a line feed.
pub(super) fn line<T: Content>(content: &T) -> String {
    let document = Document { schema: T::SCHEMA, datac: env!("CARGO_PKG_VERSION"), content };
    serde_json::to_string(&document).expect("what is printed is plain data") + "\n"
}

/// Prints `content` as one JSON document to stdout.
pub(super) fn print<T: Content>(content: &T, screen: &Screen) {
    screen.data(&text(content));
}

/// Returns the JSON Schema of a document.
pub(super) fn schema<T: Content>() -> serde_json::Value {
    schemars::schema_for!(Document<'_, T>).to_value()
}
