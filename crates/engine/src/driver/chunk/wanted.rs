//! What is wanted of one job on a chunk, and what of it is cached.

use std::sync::Arc;

use super::{ActionError, Context, Job, render_key, score_key, text::text_of};
use crate::{
    driver::models::ReadModel,
    graph::{ConvertOutcome, Measure, Outcome, PinnedModel, Scoring},
};
use datac_core::{
    convert::{self, Converter},
    id::{ActionKey, ChunkId},
};

/// A job, with what is cached of it.
pub(super) struct Wanted {
    pub(super) job: Job,
    pub(super) converter: &'static dyn Converter,
    /// Outcome of the conversion, if cached.
    pub(super) known: Option<ConvertOutcome>,
    /// Keys and outcomes of the scores that are cached.
    pub(super) scores: Vec<(ActionKey, Outcome)>,
    /// The measures of texts that are not cached, those of one text next to each other.
    pub(super) measures: Vec<Measure>,
    /// The measures by functions that are not cached. They are made of samples, whether these are new or cached.
    pub(super) called: Vec<(Measure, Arc<Scoring>)>,
    /// Keys and outcomes of the renderings that are cached.
    pub(super) rendered: Vec<(ActionKey, Outcome)>,
    /// The models for which there are none.
    pub(super) models: Vec<(Arc<PinnedModel>, Arc<ReadModel>)>,
    /// Keys of the actions that fail if the program of the conversion does.
    pub(super) at_stake: Vec<ActionKey>,
}

impl Wanted {
    pub(super) fn new(context: &Context, digest: &ChunkId, job: &Job) -> Result<Self, ActionError> {
        let key = job.convert_key(context, digest);
        let known = match context.lookup(&key) {
            Some(Outcome::Convert(outcome)) => Some(outcome),
            _ => None,
        };
        let score = |measure: &Measure| {
            let known = known.as_ref()?;
            let key = score_key(context, job.decoder, (digest, known), measure);
            Some((key, context.lookup(&key)?))
        };
        let (mut scores, mut measures) = (Vec::new(), Vec::new());
        for measure in &job.measures {
            match score(measure) {
                Some(score) => scores.push(score),
                None => measures.push(measure.clone()),
            }
        }
        let render = |model: &Arc<PinnedModel>| {
            let known = known.as_ref()?;
            let key = render_key(context, job.decoder, (digest, known), model);
            Some((key, context.lookup(&key)?))
        };
        let (mut rendered, mut models) = (Vec::new(), Vec::new());
        for model in &job.models {
            match render(model) {
                Some(outcome) => rendered.push(outcome),
                None => models.push(model.clone()),
            }
        }
        let mut called = functions_of(&mut measures);
        // If the conversion is cached, it is run again for the sake of these alone.
        let at_stake = match &known {
            None => vec![key],
            Some(known) => {
                let score = |measure| score_key(context, job.decoder, (digest, known), measure);
                let render = |model: &Arc<PinnedModel>| render_key(context, job.decoder, (digest, known), model);
                measures.iter().map(score).chain(models.iter().map(render)).collect()
            }
        };
        // A program may write something else when it runs again: what is scored must then be what is stored.
        let runs_again = job.conversion.options.program.is_some() && !(measures.is_empty() && models.is_empty());
        let known = known.filter(|_| !runs_again);
        if runs_again {
            (rendered, models) = (Vec::new(), job.models.clone());
            (scores, measures) = (Vec::new(), job.measures.clone());
            called = functions_of(&mut measures);
        }
        measures.sort_by(|a, b| text_of(a).cmp(&text_of(b)));
        let read = |model: Arc<PinnedModel>| context.models.of(context, &model).map(|read| (model, read));
        let models = models.into_iter().map(read).collect::<Result<_, _>>()?;
        let mut converters = convert::every();
        let converter = converters.find(|converter| converter.name() == job.conversion.converter);
        let converter = converter.expect("conversions name registered converters");
        Ok(Self { job: job.clone(), converter, known, scores, measures, called, rendered, models, at_stake })
    }

    pub(super) fn has_to_run(&self) -> bool {
        self.known.is_none() || !self.measures.is_empty() || !self.models.is_empty()
    }
}

/// Takes out those measures for which functions are called.
fn functions_of(measures: &mut Vec<Measure>) -> Vec<(Measure, Arc<Scoring>)> {
    let called = measures.iter().filter_map(|measure| Some((measure.clone(), measure.scoring()?.clone()))).collect();
    measures.retain(|measure| measure.scoring().is_none());
    called
}
