//! What shapes share to write their rows: JSON objects, key by key.

use super::{Unfit, chat::has_wide_number, facts::Facts};
use crate::sample::{Json, Quoted, SampleView};

/// Returns the text of a column that the recipe keeps, if it is one.
pub(super) fn text_column<'s>(sample: &'s SampleView<'_>, name: &str) -> Option<Quoted<'s>> {
    let (_, value) = sample.columns.iter().find(|(column, _)| column.inner() == name.as_bytes())?;
    let text = value.as_str();
    text.starts_with('"').then(|| Quoted::new(text.as_bytes()))?
}

/// A JSON object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    before: u8,
}

impl<'o> Object<'o> {
    /// Begins an object at the end of `out`.
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        Self { start: out.len(), out, before: b'{' }
    }

    /// Returns a hash of what has been written.
    pub(super) fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.out[self.start..])
    }

    /// Closes the object.
    pub(super) fn end(self) {
        if self.before == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }

    fn key(&mut self, key: &[u8]) {
        self.out.push(std::mem::replace(&mut self.before, b','));
        self.out.push(b'"');
        self.out.extend_from_slice(key);
        self.out.extend_from_slice(b"\":");
    }

    /// Writes a value that is JSON already.
    pub(super) fn named(&mut self, key: &str, value: &[u8]) {
        self.key(key.as_bytes());
        self.out.extend_from_slice(value);
    }

    /// Writes a value that `write` appends.
    pub(super) fn with<E>(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.key(key.as_bytes());
        write(self.out)
    }

    /// Writes a string, if there is one.
    pub(super) fn string(&mut self, key: &str, text: Option<Quoted<'_>>) {
        text.iter().for_each(|text| self.named(key, text.with_quotes()));
    }

    /// Writes a value, if there is one.
    pub(super) fn json(&mut self, key: &str, json: Option<&Json<'_>>) {
        json.iter().for_each(|json| self.named(key, json.as_str().as_bytes()));
    }

    /// Writes a boolean, if there is one.
    pub(super) fn boolean(&mut self, key: &str, value: Option<bool>) {
        value.iter().for_each(|value| self.named(key, if *value { b"true" } else { b"false" }));
    }

    /// Writes a key of the source and its value.
    pub(super) fn other(&mut self, key: &Quoted<'_>, value: &Json<'_>) {
        self.key(key.inner());
        self.out.extend_from_slice(value.as_str().as_bytes());
    }

    /// Writes a list.
    pub(super) fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
        let all = |item: &T, out: &mut Vec<u8>| {
            write(item, out);
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok(()) = self.try_list(key, items, all);
    }

    /// Writes a list, some of whose items may not be written.
    pub(super) fn try_list<T, E>(
        &mut self,
        key: &str,
        items: &[T],
        write: impl Fn(&T, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.key(key.as_bytes());
        list(items, self.out, write)
    }
}

/// Writes a list.
pub(super) fn list<T, E>(
    items: &[T],
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(b']');
    Ok(())
}

/// Columns that hold media, in any trainer.
const MEDIA: [&str; 6] = ["image", "images", "video", "videos", "audio", "audios"];

impl Object<'_> {
    /// Writes a value, or `null`.
    pub(super) fn or_null(&mut self, key: &str, value: Option<&[u8]>) {
        self.named(key, value.unwrap_or(b"null"));
    }

    /// Writes the columns that the recipe keeps and the name of the source, which end a row. `own` are the names that the
    /// trainer reads itself.
    pub(super) fn kept(
        &mut self,
        sample: &SampleView<'_>,
        source: Quoted<'_>,
        facts: &Facts,
        own: &[&str],
    ) -> Result<(), Unfit> {
        self.kept_but(&[], sample, source, facts, own)
    }

    /// Writes what [`Object::kept`] does, but for columns that the row has already.
    pub(super) fn kept_but(
        &mut self,
        written: &[&str],
        sample: &SampleView<'_>,
        source: Quoted<'_>,
        facts: &Facts,
        own: &[&str],
    ) -> Result<(), Unfit> {
        for name in facts.kept.keys().filter(|name| written.iter().all(|written| written.as_bytes() != **name)) {
            let value = sample.columns.iter().find(|(column, _)| column.inner() == name);
            if name == b"source" || own.iter().any(|own| own.as_bytes() == name) {
                match value {
                    Some(_) if MEDIA.iter().any(|media| media.as_bytes() == name) => {
                        return Err(Unfit("columns of images, videos or sounds"));
                    }
                    Some(_) => return Err(Unfit("a column of a name that it reads itself")),
                    None => continue,
                }
            }
            if value.is_some_and(|(_, value)| has_wide_number(value.as_str().as_bytes())) {
                return Err(Unfit("numbers in columns that no 64 bits hold"));
            }
            self.key(name);
            self.out.extend_from_slice(value.map_or(b"null", |(_, value)| value.as_str().as_bytes()));
        }
        self.string("source", Some(source));
        Ok(())
    }
}
