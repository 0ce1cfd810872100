//! Keys: one description of what decides the result of an action, used for its key and for its leaves.
//!
//! Every stage has a description that implements [`Keyed`] and names what decides the result. A [`Visitor`] says what
//! to do with the names: [`KeyHasher`] makes the action's key, [`LeafCollector`] collects the names that `status` and
//! `why` compare. A value that enters a key is therefore also a leaf or derived from leaves. (After n2's `hash.rs`,
//! where one `build_manifest` serves the hash and the explanation.)
//!
//! The encoding that is hashed is defined only here. A field is its name, a byte for its type, and its value. Names,
//! texts and lists are preceded by their length as 8 bytes; all integers are little-endian.

use std::collections::HashSet;

use crate::{
    code::{CodeVersions, Component},
    hash::Digest,
    id::{ActionKey, BlobId, ChunkId, FileHash},
    leaf::{Leaf, Leaves, Setting, Value},
    stage::Stage,
};

/// Version of the encoding of keys. Raising it makes all existing keys unusable.
pub const KEY_VERSION: u32 = 3;

/// A description of a stage's work, from which its keys and leaves follow.
///
/// What recipe, code and sources decide is separate from the results of earlier stages, which are only known after
/// those have run; leaves are collected without them.
pub trait Keyed {
    /// The stage that is described.
    const STAGE: Stage;

    /// Results of earlier stages that an action works on.
    type Inputs<'i>;

    /// Names everything in the recipe, the code and the sources that decides the result, in a fixed order.
    fn decide(&self, visitor: &mut dyn Visitor);

    /// Names the results of earlier stages, in a fixed order.
    fn feed(&self, inputs: &Self::Inputs<'_>, key: &mut KeyHasher<'_>);

    /// Returns the key of the action that works on `inputs`.
    fn key(&self, inputs: &Self::Inputs<'_>, versions: &dyn Versions) -> ActionKey {
        let mut key = KeyHasher::new(Self::STAGE, versions);
        self.decide(&mut key);
        self.feed(inputs, &mut key);
        key.finish()
    }
}

/// A source of component versions.
pub trait Versions {
    /// Returns the version of `component`.
    fn version(&self, component: &Component) -> u32;
}

/// Receives the things that decide a result.
pub trait Visitor {
    /// Receives a component, which stands for its version.
    fn code(&mut self, component: Component);

    /// Receives a value of the recipe.
    fn setting(&mut self, setting: Setting, value: &dyn Deciding);

    /// Receives something from outside, such as a pinned file.
    fn source(&mut self, leaf: Leaf, value: &dyn Deciding);

    /// Receives a value that follows from leaves: it is part of the key, but not a leaf itself.
    fn derived(&mut self, name: &'static str, value: &dyn Encode);
}

/// A value with a canonical encoding.
pub trait Encode {
    /// Writes the value to `encoder`, by a single call that gives its type.
    fn encode(&self, encoder: &mut Encoder);
}

/// A value that is shown when it changes.
pub trait Deciding: Encode {
    /// Returns the value as an author would write it; `None` if it was left out and decides nothing.
    fn shown(&self) -> Option<Value>;
}

/// Hashes values in the canonical encoding.
#[derive(Debug, Default)]
pub struct Encoder(blake3::Hasher);

impl Encoder {
    /// Begins a field.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.raw_text(name);
        self
    }

    /// Writes that there is no value.
    pub fn none(&mut self) {
        self.0.update(&[0]);
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) {
        self.0.update(&[1]);
        self.raw_text(text);
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: u64) {
        self.0.update(&[2]);
        self.0.update(&value.to_le_bytes());
    }

    /// Writes a floating-point number by its bits.
    pub fn float(&mut self, value: f64) {
        self.0.update(&[3]);
        self.0.update(&value.to_bits().to_le_bytes());
    }

    /// Writes a truth value.
    pub fn flag(&mut self, value: bool) {
        self.0.update(&[4, u8::from(value)]);
    }

    /// Writes a digest.
    pub fn digest(&mut self, digest: Digest) {
        self.0.update(&[5]);
        self.0.update(digest.as_bytes());
    }

    /// Begins a list of `length` values, which the caller must write next.
    pub fn list(&mut self, length: usize) {
        self.0.update(&[6]);
        self.0.update(&(length as u64).to_le_bytes());
    }

    fn raw_text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// Returns the digest of everything written.
    pub fn finish(&self) -> Digest {
        Digest::from_bytes(*self.0.finalize().as_bytes())
    }
}

/// The visitor that computes the key of an action.
pub struct KeyHasher<'v> {
    encoder: Encoder,
    versions: &'v dyn Versions,
}

impl<'v> KeyHasher<'v> {
    /// Begins the key of an action of `stage`.
    pub fn new(stage: Stage, versions: &'v dyn Versions) -> Self {
        let mut encoder = Encoder::default();
        encoder.name("keys").integer(KEY_VERSION.into());
        encoder.name("stage").text(stage.word());
        Self { encoder, versions }
    }

    /// Adds the result of an earlier stage.
    pub fn input(&mut self, name: &'static str, value: &dyn Encode) {
        value.encode(self.encoder.name(name));
    }

    /// Returns the key.
    pub fn finish(self) -> ActionKey {
        ActionKey::new(self.encoder.finish())
    }
}

impl Visitor for KeyHasher<'_> {
    fn code(&mut self, component: Component) {
        let version = self.versions.version(&component);
        self.encoder.name("code").text(&component.to_string());
        self.encoder.integer(version.into());
    }

    fn setting(&mut self, setting: Setting, value: &dyn Deciding) {
        value.encode(self.encoder.name(&setting.to_string()));
    }

    fn source(&mut self, leaf: Leaf, value: &dyn Deciding) {
        // The repository and path of a file are left out: the same bytes elsewhere are the same work.
        value.encode(self.encoder.name(leaf.kind()));
    }

    fn derived(&mut self, name: &'static str, value: &dyn Encode) {
        self.input(name, value);
    }
}

/// The visitor that collects leaves.
pub struct LeafCollector<'v> {
    versions: &'v dyn Versions,
    leaves: Vec<(Leaf, Value)>,
    known: HashSet<Leaf>,
    /// Names of the datasets visited so far, in the recipe's order.
    datasets: Vec<String>,
    /// Whether the visitor is within the last of these datasets.
    is_within: bool,
}

impl<'v> LeafCollector<'v> {
    /// Creates a collector without leaves.
    pub fn new(versions: &'v dyn Versions) -> Self {
        Self { versions, leaves: Vec::new(), known: HashSet::new(), datasets: Vec::new(), is_within: false }
    }

    /// Walks something that belongs to a dataset, so that settings are those of the dataset.
    pub fn within(&mut self, dataset: &str, walk: impl FnOnce(&mut Self)) {
        self.datasets.push(dataset.to_owned());
        self.is_within = true;
        walk(self);
        self.is_within = false;
    }

    /// Adds a leaf whose value is not known yet.
    pub fn unknown(&mut self, leaf: Leaf) {
        self.add(leaf, Value::Unknown);
    }

    /// Returns the leaves in the order in which they are shown.
    pub fn finish(self) -> Leaves {
        Leaves::in_order(self.leaves, &self.datasets)
    }

    fn dataset(&self) -> Option<String> {
        self.datasets.last().filter(|_| self.is_within).cloned()
    }

    fn add(&mut self, leaf: Leaf, value: Value) {
        if self.known.insert(leaf.clone()) {
            self.leaves.push((leaf, value));
        }
    }
}

impl Visitor for LeafCollector<'_> {
    fn code(&mut self, component: Component) {
        let version = self.versions.version(&component);
        match (component, self.dataset()) {
            (Component::Converter(name), Some(dataset)) => {
                self.add(Leaf::Converter { dataset }, Value::Code { name: name.into_owned(), version });
            }
            (component, _) => self.add(Leaf::Code(component), Value::Version(version)),
        }
    }

    fn setting(&mut self, setting: Setting, value: &dyn Deciding) {
        let Some(value) = value.shown() else { return };
        let leaf = match self.dataset() {
            Some(dataset) => Leaf::Dataset { dataset, setting },
            None => Leaf::Recipe { setting },
        };
        self.add(leaf, value);
    }

    fn source(&mut self, leaf: Leaf, value: &dyn Deciding) {
        if let Some(value) = value.shown() {
            self.add(leaf, value);
        }
    }

    fn derived(&mut self, _: &'static str, _: &dyn Encode) {}
}

impl Versions for CodeVersions {
    fn version(&self, component: &Component) -> u32 {
        self.of(component)
    }
}

impl Encode for str {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(self);
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, encoder: &mut Encoder) {
        (**self).encode(encoder);
    }
}

impl Encode for String {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(self);
    }
}

impl Encode for u32 {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.integer((*self).into());
    }
}

impl Encode for u64 {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.integer(*self);
    }
}

impl Encode for f64 {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.float(*self);
    }
}

impl Encode for bool {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.flag(*self);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Some(value) => value.encode(encoder),
            None => encoder.none(),
        }
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.list(self.len());
        self.iter().for_each(|value| value.encode(encoder));
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, encoder: &mut Encoder) {
        self.as_slice().encode(encoder);
    }
}

/// Encodes ids as digests.
macro_rules! encode_ids {
    ($($id:ident),*) => {$(
        impl Encode for $id {
            fn encode(&self, encoder: &mut Encoder) {
                encoder.digest(self.digest());
            }
        }
    )*};
}
encode_ids!(ActionKey, BlobId, ChunkId, FileHash);

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(write: impl FnOnce(&mut Encoder)) -> Digest {
        let mut encoder = Encoder::default();
        write(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn boundaries_and_types_count() {
        assert_ne!(digest(|to| to.name("ab").text("c")), digest(|to| to.name("a").text("bc")));
        let values: [&dyn Encode; 11] = [
            &None::<u64>,
            &0_u64,
            &0.0,
            &-0.0,
            &false,
            &true,
            &String::new(),
            &Vec::<u64>::new(),
            &vec![0_u64],
            &vec![String::new()],
            &vec![Vec::<u64>::new()],
        ];
        let digests: std::collections::BTreeSet<Digest> =
            values.iter().map(|value| digest(|to| value.encode(to.name("x")))).collect();
        assert_eq!(digests.len(), values.len());
        assert_eq!(digest(|to| 7_u32.encode(to)), digest(|to| 7_u64.encode(to)), "a width is no type");
    }
}
