//! Rows as the recipe's model sees them: the text of each token, and why it is trained on.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    locate::{Located, locate},
    source_row::Sources,
};
use crate::{
    cache::Access,
    site::{Site, WorkspaceError},
    status::FileState,
};
use datac_core::{
    encoded::{EncodedSample, Sequence, TrainedRun},
    failure::{Failure, FailureKind},
    outputs::{OutputKind, row_id},
};

/// A row as a model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SeenRow {
    /// Name of the file in the output folder.
    pub output: String,
    /// Line in the file, from 1.
    pub line: u64,
    /// The model.
    pub model: String,
    /// The sequences: one, or for a preference one for each answer, the preferred one first; of a packed row all, in order.
    pub sequences: Vec<SeenSequence>,
}

/// A dialogue or a text as a model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SeenSequence {
    /// The `id` of the sample, if several share the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The text that the ids stand for. What is no UTF-8 is written as `\u{fffd}`.
    pub text: String,
    /// The ids.
    pub ids: Vec<u32>,
    /// For each id, the text it stands for.
    pub tokens: Vec<String>,
    /// Which ids are trained on: in order, apart. All others are not.
    pub trained: Vec<SeenRun>,
    /// The text, cut where what is trained on begins and ends: a character may be of several tokens, and is whole here.
    pub parts: Vec<SeenPart>,
}

/// A stretch of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SeenPart {
    /// The text.
    pub text: String,
    /// Why it is trained on; `None` if it is not.
    pub why: Option<&'static str>,
}

/// Consecutive ids that are trained on for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SeenRun {
    /// The place of the first of them, from 0.
    pub start: u32,
    /// The place behind the last of them.
    pub end: u32,
    /// Why: `marked` by the template, `content`, `reasoning`, `tool_call`, `end_of_turn` or `all`.
    pub why: &'static str,
    /// The message they belong to, from 0, where that is known.
    pub message: Option<u32>,
    /// How much they count.
    pub weight: f64,
}

/// Calls `each` with up to `limit` rows of an output as the model sees them, from line `first` on, until `each` returns false.
pub(crate) fn seen(
    site: &Site,
    output: &str,
    first: u64,
    limit: u64,
    mut each: impl FnMut(SeenRow) -> bool,
) -> Result<(), WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let located = locate(site, &record, output)?;
    let manifest = &located.lineage.manifest;
    let own = manifest.own_of(&located.name).map(|own| &own.model);
    let Some(model) = own.or(manifest.model.as_ref()) else {
        let failure = Failure::plain(FailureKind::Config, format!("`{}` has no model", manifest.path));
        return Err(failure.hint("add `model: Qwen/Qwen3-8B`, or the folder of a tokenizer, and build it").into());
    };
    if located.state == FileState::Edited {
        let failure =
            Failure::new(FailureKind::Action, format!("read `{}`: the file was edited by hand", located.name));
        return Err(failure.hint(format!("`datac build {}` rewrites it", manifest.path)).into());
    }
    let unreadable = |why: String| {
        let failure = Failure::new(FailureKind::Source, format!("read the tokenizer of `{}`: {why}", model.name));
        WorkspaceError::from(failure.hint(format!("`datac build {}` reads it again", manifest.path)))
    };
    let tokenizer = Sources::new(site, &record, &located.lineage).model_file(model).map_err(unreadable)?;
    let vocabulary = Vocabulary::read(&tokenizer).map_err(unreadable)?;
    if first == 0 || first > located.rows {
        let message = format!("`{}` has no line {first}; the last line is {}", located.name, located.rows);
        return Err(Failure::plain(FailureKind::Config, message).hint("lines are counted from 1").into());
    }
    for line in first..=located.rows.min((first - 1).saturating_add(limit)) {
        let sequences = located.sequences(line)?;
        let seen = |(id, sequence)| SeenSequence { id, ..seen_sequence(sequence, &vocabulary) };
        let sequences = sequences.into_iter().map(seen).collect();
        let row = SeenRow { output: located.name.clone(), line, model: model.name.clone(), sequences };
        if !each(row) {
            break;
        }
    }
    Ok(())
}

impl Located {
    /// Returns what the model sees of the sample of a line, or of the samples of a packed row with the `id` of each.
    fn sequences(&self, line: u64) -> Result<Vec<(Option<String>, Sequence)>, WorkspaceError> {
        let (side, position) = match self.side {
            OutputKind::Rows(side) => (side, line),
            OutputKind::Shard(side) => match self.packed(side, line)? {
                Some(samples) => {
                    let mut all = Vec::new();
                    for number in samples {
                        let EncodedSample { row_hash, sequences } = self.encoded(number)?;
                        all.extend(sequences.into_iter().map(|sequence| (Some(row_id(row_hash)), sequence)));
                    }
                    return Ok(all);
                }
                None => (side, self.position(side, line)?),
            },
            OutputKind::Quarantine | OutputKind::Beside => {
                let failure = Failure::plain(FailureKind::Config, format!("`{}` holds no samples", self.name));
                return Err(failure.hint("name a file of rows").into());
            }
        };
        let order = self.lineage.order(side)?;
        let number = order.get(position as usize - 1).ok_or_else(|| self.lineage.lost("an order is too short"))?;
        Ok(self.encoded(*number)?.sequences.into_iter().map(|sequence| (None, sequence)).collect())
    }

    fn encoded(&self, number: u32) -> Result<EncodedSample, WorkspaceError> {
        let encoded = self.lineage.encoded(self.lineage.at(number)?, &self.name)?;
        encoded.ok_or_else(|| self.lineage.lost("a chunk has no ids"))
    }
}

fn seen_sequence(sequence: Sequence, vocabulary: &Vocabulary) -> SeenSequence {
    let bytes = |id: &u32| vocabulary.bytes(*id);
    let run = |run: &TrainedRun| SeenRun {
        start: run.start,
        end: run.start + run.length,
        why: run.why.name(),
        message: run.message,
        weight: run.weight,
    };
    let joined = |ids: &[u32]| {
        let text: Vec<u8> = ids.iter().flat_map(bytes).copied().collect();
        String::from_utf8_lossy(&text).into_owned()
    };
    let (mut parts, mut at) = (Vec::new(), 0);
    for run in &sequence.runs {
        let (start, end) = (run.start as usize, (run.start + run.length) as usize);
        parts.push(SeenPart { text: joined(&sequence.ids[at..start]), why: None });
        parts.push(SeenPart { text: joined(&sequence.ids[start..end]), why: Some(run.why.name()) });
        at = end;
    }
    parts.push(SeenPart { text: joined(&sequence.ids[at..]), why: None });
    parts.retain(|part| !part.text.is_empty());
    SeenSequence {
        id: None,
        parts,
        text: joined(&sequence.ids),
        tokens: sequence.ids.iter().map(|id| String::from_utf8_lossy(bytes(id)).into_owned()).collect(),
        trained: sequence.runs.iter().map(run).collect(),
        ids: sequence.ids,
    }
}

/// What ids stand for.
struct Vocabulary(#[cfg(feature = "model")] datac_model::Vocabulary);

impl Vocabulary {
    #[cfg(feature = "model")]
    fn read(tokenizer: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(tokenizer).map_err(|_| "it is not UTF-8".to_owned())?;
        datac_model::Vocabulary::read(text).map(Self).map_err(|error| error.to_string())
    }

    #[cfg(not(feature = "model"))]
    fn read(_: &[u8]) -> Result<Self, String> {
        Err("this datac was built without the `model` feature".to_owned())
    }

    fn bytes(&self, id: u32) -> &[u8] {
        #[cfg(feature = "model")]
        return self.0.bytes(id).unwrap_or_default();
        #[cfg(not(feature = "model"))]
        {
            let _ = id;
            &[]
        }
    }
}
