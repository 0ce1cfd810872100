//! Stages that write files.

use crate::graph::action::{ArrangeOutcome, SelectedSource};
use datac_core::{
    card::About,
    code::Component,
    key::{KeyHasher, Keyed, Visitor},
    leaf::{Leaf, Setting},
    license::License,
    outputs::{OutputSet, Target},
    shape::{self, Shape},
    stage::Stage,
};

/// The output stage: writes the rows of both sides.
pub(crate) struct Output;

impl Keyed for Output {
    const STAGE: Stage = Stage::Output;
    type Inputs<'i> = (&'i [SelectedSource], &'i ArrangeOutcome);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::RowWriter);
    }

    fn feed(&self, (sources, arranged): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        feed_rows(sources, arranged, key);
    }
}

/// The output stage of a target: writes its folder.
pub(crate) struct Shaped<'a> {
    pub(crate) target: &'a Target,
    pub(crate) noted: &'a Noted,
}

impl Keyed for Shaped<'_> {
    const STAGE: Stage = Stage::Output;
    type Inputs<'i> = (&'i OutputSet, &'i [SelectedSource], &'i ArrangeOutcome, &'i About, Option<u64>);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Shape(self.target.shape.clone().into()));
        visitor.code(Component::Container);
        if self.target.pack.is_some() {
            visitor.code(Component::Packing);
        }
        visitor.setting(Setting::Output(self.target.folder().into_owned()), self.target);
        visitor.setting(Setting::Description, &self.noted.description);
        for (dataset, license) in &self.noted.licenses {
            visitor.source(Leaf::Dataset { dataset: dataset.clone(), setting: Setting::License }, license);
        }
    }

    /// Feeds the stem and what the card says too, which stand in the files beside the rows.
    fn feed(&self, (outputs, sources, arranged, about, max_tokens): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        key.input("stem", &outputs.stem().to_owned());
        key.input("card", &about.encoded());
        feed_rows(sources, arranged, key);
        if shape::by_name(&self.target.shape).is_some_and(<dyn Shape>::is_of_tokens) {
            let encoded = sources.iter().flat_map(|source| source.chunks.iter()).filter_map(|chunk| chunk.encoded);
            encoded.for_each(|encoded| key.input("ids", &encoded.ids));
            // Why samples have no ids stands in a file beside the rows.
            let refused = sources.iter().flat_map(|source| source.chunks.iter()).filter_map(|chunk| chunk.refused);
            refused.for_each(|refused| key.input("refused", &refused));
        }
        if let Some(max) = max_tokens {
            key.input("max_tokens", max);
        }
    }
}

/// What the card of a target quotes of the recipe and the sources, and nothing else depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Noted {
    /// The recipe's description.
    pub(crate) description: Option<String>,
    /// The licence of each source, with the source's name.
    pub(crate) licenses: Vec<(String, Option<License>)>,
}

/// The quarantine stage: writes the rejects of a recipe.
pub(crate) struct Quarantine;

impl Keyed for Quarantine {
    const STAGE: Stage = Stage::Quarantine;
    type Inputs<'i> = &'i [SelectedSource];

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::QuarantineWriter);
    }

    /// Feeds the places of chunks too, because the quarantine file gives the location of each row.
    fn feed(&self, sources: &&[SelectedSource], key: &mut KeyHasher<'_>) {
        for source in *sources {
            key.input("source", &source.name);
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                if let Some(rejects) = &chunk.converted.rejects {
                    let file = &chunk.chunk.file;
                    key.input("repo", &file.origin.name());
                    key.input("commit", &file.origin.commit());
                    key.input("file", &file.path);
                    key.input("place", &chunk.chunk.place);
                    key.input("rejects", rejects);
                }
            }
        }
    }
}

fn feed_rows(sources: &[SelectedSource], arranged: &ArrangeOutcome, key: &mut KeyHasher<'_>) {
    for (side, list) in arranged.lists.iter() {
        if let Some(list) = list {
            key.input(side.word(), list);
        }
    }
    for source in sources {
        key.input("source", &source.name);
        key.input("selection", &source.selected.selection);
        for chunk in source.chunks.iter() {
            key.input("rows", &chunk.converted.rows);
            key.input("index", &chunk.converted.index);
        }
    }
}
