//! Stands for models in a datac that knows none: the plan refuses recipes that have one.

use crate::{
    driver::{
        error::ActionError,
        models::{Fitted, ModelSinks},
        sources::Sources,
    },
    graph::{ModelOutcome, PinnedModel},
};
use datac_core::{failure::Failure, row::Reject, sample::Sample};

/// No model.
#[derive(Debug)]
pub(crate) struct ReadModel;

impl ReadModel {
    pub(super) fn read(_: &Sources, _: &PinnedModel) -> Result<Self, ActionError> {
        Ok(Self)
    }

    pub(crate) fn outcome(&self) -> ModelOutcome {
        ModelOutcome { vocabulary: 0, no_template: None, ends_texts: false }
    }

    pub(crate) fn shortens(&self) -> bool {
        false
    }

    pub(super) fn sinks(&self) -> ModelSinks {
        ModelSinks::default()
    }

    pub(crate) fn unusable_for(&self, _: &Sample<'_>) -> Option<&Failure> {
        None
    }

    pub(crate) fn fit<'s>(&self, _: &Sample<'s>) -> Result<Vec<Fitted<'s>>, Reject> {
        unreachable!("the plan refuses recipes with a model")
    }
}
