//! Models: their files, read once in a build, and samples as they see them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{context::Context, error::ActionError, sources::Sources};
use crate::graph::PinnedModel;
use datac_core::{
    encoded::{EncodedSample, Notes, RoleTokens},
    failure::{Failure, FailureKind},
    sample::Sample,
};

#[cfg(feature = "model")]
mod encode;
#[cfg(not(feature = "model"))]
mod none;
#[cfg(feature = "model")]
mod read;
#[cfg(feature = "model")]
mod shorten;

#[cfg(not(feature = "model"))]
pub(crate) use none::ReadModel;
#[cfg(feature = "model")]
pub(crate) use read::ReadModel;

/// A sample as it fits a model: all of it, what is left of it, or a part.
#[derive(Debug)]
pub(crate) struct Fitted<'s> {
    pub(crate) encoded: EncodedSample,
    pub(crate) notes: Notes,
    pub(crate) roles: RoleTokens,
    /// The sample, if it is not all that it was.
    pub(crate) sample: Option<Sample<'s>>,
    /// Whether the template writes nothing of the reasoning of a message.
    pub(crate) lacks_reasoning: bool,
}

/// A place for a model, filled by the first thread that needs it.
type Place = Arc<OnceLock<Result<Arc<ReadModel>, ActionError>>>;

/// The models that a build has read. A vocabulary takes a second to read and 100 MB, so each is read once.
#[derive(Default)]
pub(crate) struct Models {
    read: Mutex<HashMap<Arc<PinnedModel>, Place>>,
}

impl Models {
    /// Returns a model, read if need be.
    pub(crate) fn of(&self, context: &Context, model: &Arc<PinnedModel>) -> Result<Arc<ReadModel>, ActionError> {
        let place = {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.entry(model.clone()).or_default().clone()
        };
        place.get_or_init(|| ReadModel::read(&context.sources, model).map(Arc::new)).clone()
    }
}

/// What a chat template does by itself, and to parts that many templates drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelSinks {
    /// The control tokens with which its texts begin.
    pub(crate) begins_with: Option<String>,
    /// The control token that ends a turn of the assistant.
    pub(crate) end_of_turn: Option<String>,
    /// The instruction that it writes where a conversation has none.
    pub(crate) default_system: Option<String>,
    /// The parts of a turn that it writes otherwise, or no longer, once the conversation goes on.
    pub(crate) rewritten: Vec<&'static str>,
    /// Whether an answer that is to be generated begins otherwise than in a whole conversation.
    pub(crate) begins_otherwise: bool,
    /// Parts of conversations that it does not write as they are, each with what it does: `dropped`, `printed`, `refused`.
    pub(crate) parts: Vec<(String, &'static str)>,
}

/// Reads a model, and asks its template what it does.
pub(crate) fn read_model(sources: &Sources, model: &PinnedModel) -> Result<ModelSinks, Failure> {
    ReadModel::read(sources, model).map(|model| model.sinks()).map_err(|error| match error {
        ActionError::Failure(failure) => failure,
        ActionError::Missing(_) | ActionError::Interrupted => Failure::new(FailureKind::Action, "read the model"),
    })
}
