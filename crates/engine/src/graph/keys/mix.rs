//! Stages that choose, compare, mix and count the samples of a recipe.

use crate::graph::action::{ArrangeOutcome, ConvertedChunk, Grouping, SelectedSource};
use datac_core::{
    code::Component,
    config::{self, SourceRole, Take, Unit, Validation},
    key::{KeyHasher, Keyed, Visitor},
    leaf::Setting,
    mix::Allotment,
    quality::Filter,
    stage::Stage,
};

/// The select stage: chooses the samples of a source.
pub(crate) struct Select<'a> {
    pub(crate) filters: &'a [Filter],
    pub(crate) take: Take,
}

impl Keyed for Select<'_> {
    const STAGE: Stage = Stage::Select;
    type Inputs<'i> = &'i [ConvertedChunk];

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Selection);
        config::decide_selection(self.filters, self.take, visitor);
    }

    fn feed(&self, chunks: &&[ConvertedChunk], key: &mut KeyHasher<'_>) {
        for chunk in *chunks {
            // Rows that make no sample and are no rejects stand in neither.
            key.input("count", &chunk.chunk.rows);
            key.input("index", &chunk.converted.index);
            key.input("rejected", &chunk.converted.rejected);
            key.input("scores", &chunk.scores);
            key.input("tokens", &chunk.tokens);
            if let Some(encoded) = &chunk.encoded {
                key.input("encoded", &encoded.index);
            }
        }
    }
}

/// Comparing the samples of all sources.
pub(crate) struct Group<'a> {
    pub(crate) grouping: &'a Grouping,
}

impl Keyed for Group<'_> {
    const STAGE: Stage = Stage::Group;
    type Inputs<'i> = &'i [SelectedSource];

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Grouping);
        if let Some(deduplicate) = &self.grouping.deduplicate {
            visitor.setting(Setting::Deduplicate, deduplicate);
        }
        if self.grouping.normalise {
            visitor.setting(Setting::Normalise, &self.grouping.normalise);
        }
    }

    fn feed(&self, sources: &&[SelectedSource], key: &mut KeyHasher<'_>) {
        for source in *sources {
            feed_role(source, key);
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                key.input("index", &chunk.converted.index);
                key.input("tokens", &chunk.tokens);
                if self.grouping.reads_rows() {
                    key.input("rows", &chunk.converted.rows);
                }
            }
        }
    }
}

/// Names what becomes of the rows of a source that is not mixed. The leaves of the dataset hold it too.
fn feed_role(source: &SelectedSource, key: &mut KeyHasher<'_>) {
    if source.role != SourceRole::Mixed {
        key.input("role", &source.role);
    }
    if let SourceRole::Held(_, overlap) = source.role {
        key.input("overlap", &overlap);
    }
}

/// The arrange stage: mixes, splits and orders.
pub(crate) struct Arrange<'a> {
    pub(crate) unit: Unit,
    pub(crate) validation: &'a Validation,
}

impl Keyed for Arrange<'_> {
    const STAGE: Stage = Stage::Arrange;
    type Inputs<'i> = (&'i [SelectedSource], &'i Allotment);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Allotment);
        visitor.code(Component::Arrangement);
        visitor.setting(Setting::Unit, &self.unit);
        self.validation.decide(visitor);
    }

    fn feed(&self, (sources, allotment): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        key.input("allotment", &allotment.counts);
        for source in *sources {
            feed_role(source, key);
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                key.input("index", &chunk.converted.index);
                key.input("tokens", &chunk.tokens);
            }
        }
    }
}

/// The tally stage: counts what a recipe expects of its rows.
pub(crate) struct Tally<'a> {
    /// Whether prompts that differ in case and white space alone are one prompt.
    pub(crate) normalise: &'a bool,
    /// Whether tokens are counted.
    pub(crate) tokens: bool,
}

impl Keyed for Tally<'_> {
    const STAGE: Stage = Stage::Tally;
    type Inputs<'i> = (&'i [SelectedSource], &'i ArrangeOutcome);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Tally);
        if *self.normalise {
            visitor.setting(Setting::Normalise, self.normalise);
        }
        if self.tokens {
            visitor.derived("count", &Unit::Tokens);
        }
    }

    fn feed(&self, (sources, arranged): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        for (side, list) in arranged.lists.iter() {
            if let Some(list) = list {
                key.input(side.word(), list);
            }
        }
        for source in *sources {
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                key.input("index", &chunk.converted.index);
                if self.tokens {
                    key.input("tokens", &chunk.tokens);
                }
            }
        }
    }
}
