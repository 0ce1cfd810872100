//! Checks what the models of recipes see, before a trainer is started: what is refused, what a template drops, and where
//! turns do not end.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    build::sources,
    cache::{Access, Blobs, Record},
    driver::{ModelSinks, StoredReject, read_model},
    graph::{ConvertedChunk, Node, SelectedSource, model_of, plan},
    selector::assess_selected,
    site::{Site, WorkspaceError},
    status::{
        State,
        assess::{Depth, Looks},
    },
};
use datac_core::{
    config::Problem,
    encoded::{EncodedIndex, Notes},
    failure::{Failure, FailureKind},
    mix::Selection,
    row::Reason,
};

/// The number of rows that are named for each finding.
const NAMED: usize = 3;

/// What the models of recipes see.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelChecks {
    /// The recipes that have a model.
    pub recipes: Vec<ModelCheck>,
    /// The recipes that have a model and could not be checked.
    pub unchecked: Vec<Unchecked>,
    /// Number of selected recipes without a model.
    pub without_model: usize,
}

/// A recipe that could not be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unchecked {
    /// Name of the recipe.
    pub recipe: String,
    /// Why.
    pub why: String,
}

/// What the model of one recipe sees.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelCheck {
    /// Name of the recipe.
    pub recipe: String,
    /// The model, as the recipe names it.
    pub model: String,
    /// Number of samples that are written.
    pub samples: u64,
    /// Number of their tokens.
    pub tokens: u64,
    /// Number of the tokens that are trained on.
    pub trained: u64,
    /// Number of tokens of the longest sample.
    pub longest: u32,
    /// What was looked at, and what was found.
    pub findings: Vec<ModelFinding>,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ModelFinding {
    /// What was looked at, such as `special_tokens`.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// Number of samples or rows that it concerns; `None` if it concerns the model itself.
    pub count: Option<u64>,
    /// The first of them.
    pub rows: Vec<FoundRow>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// To be known.
    Note,
    /// To be looked at.
    Warning,
}

/// A row that a finding concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FoundRow {
    /// Name of the source.
    pub source: String,
    /// Path of its file.
    pub file: String,
    /// Number of the row in the file, from 0.
    pub row: u64,
    /// What exactly, in words; may be empty.
    pub detail: String,
}

impl ModelChecks {
    /// Returns the worst level of all findings.
    pub fn worst(&self) -> Level {
        self.recipes.iter().flat_map(|recipe| &recipe.findings).map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}

/// Checks the recipes that `selectors` match and that have a model. They must be up to date: nothing is rendered.
pub(super) fn check(site: &Site, selectors: &[String]) -> Result<ModelChecks, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let looks = Looks { depth: Depth::Close, ..Looks::default() };
    let session = assess_selected(site, record.clone(), selectors, looks)?;
    let problems: Vec<Problem> =
        session.recipes.iter().flat_map(|assessed| assessed.status.problems.iter().cloned()).collect();
    if !problems.is_empty() {
        return Err(WorkspaceError::Problems(problems));
    }
    let mut checks = ModelChecks { recipes: Vec::new(), unchecked: Vec::new(), without_model: 0 };
    for assessed in &session.recipes {
        let (Some(file), Some(recipe)) = (assessed.file, &assessed.recipe) else { continue };
        let Some(model) = &recipe.model else {
            checks.without_model += 1;
            continue;
        };
        let name = &assessed.text.name;
        let mut leave_out = |why: String| checks.unchecked.push(Unchecked { recipe: name.clone(), why });
        let plan = match plan(&session.planner, file) {
            Node::Ready(plan) => plan,
            Node::Failed(failure) => {
                leave_out(failure.message.clone());
                continue;
            }
            // Files in place may be up to date when the cache has lost what they were made from.
            Node::Needs(_) if assessed.status.state == State::Fresh => {
                leave_out(format!("the cache no longer holds its rows; run `datac build --force {name}` first"));
                continue;
            }
            Node::Needs(_) => {
                leave_out(format!("it is not up to date; run `datac build {name}` first"));
                continue;
            }
        };
        let pinned = model_of(&session.planner, file).expect("a plan of a recipe with a model has the model");
        let sinks = read_model(&sources(site, &session)?, &pinned)?;
        let counted = Counted::of(site, &record, &plan.sources)?;
        checks.recipes.push(ModelCheck {
            recipe: name.clone(),
            model: model.location.source().to_owned(),
            samples: counted.samples,
            tokens: counted.tokens,
            trained: counted.trained,
            longest: counted.longest,
            findings: counted.findings().into_iter().chain(of_template(&sinks)).collect(),
        });
    }
    Ok(checks)
}

/// What is counted of the samples of a recipe.
#[derive(Default)]
struct Counted {
    samples: u64,
    tokens: u64,
    trained: u64,
    longest: u32,
    unended: (u64, Vec<FoundRow>),
    special: (u64, Vec<FoundRow>),
    shortened: (u64, Vec<FoundRow>),
    parts: (u64, Vec<FoundRow>),
    refused: BTreeMap<Reason, (u64, Vec<FoundRow>)>,
}

impl Counted {
    fn of(site: &Site, record: &Arc<Record>, sources: &[SelectedSource]) -> Result<Self, WorkspaceError> {
        let store = site.cache.store(record);
        let lost = |why: &str| {
            let failure = Failure::new(FailureKind::Cache, format!("read what the model sees: {why}"));
            WorkspaceError::from(failure.hint("`datac build --force` recreates it"))
        };
        let mut counted = Self::default();
        for source in sources {
            let selection: Selection =
                postcard::from_bytes(&store.get(&source.selected.selection).map_err(|miss| lost(&miss.to_string()))?)
                    .map_err(|error| lost(&error.to_string()))?;
            for (number, chunk) in source.chunks.iter().enumerate().take(selection.chunks()) {
                let Some(encoded) = &chunk.encoded else { continue };
                let bytes = store.get(&encoded.index).map_err(|miss| lost(&miss.to_string()))?;
                let index = EncodedIndex::decode(&bytes).ok_or_else(|| lost("an index is damaged"))?;
                let rows = store.get(&chunk.converted.index).map_err(|miss| lost(&miss.to_string()))?;
                let rows = datac_core::sample::SampleIndex::decode(&rows).map_err(|error| lost(&error.to_string()))?;
                for sample in selection.samples(number) {
                    let sample = sample as usize;
                    let (Some(tokens), Some(row)) = (index.tokens.get(sample), rows.row.get(sample)) else {
                        return Err(lost("an index is too short"));
                    };
                    counted.samples += 1;
                    counted.tokens += u64::from(*tokens);
                    counted.trained += u64::from(index.trained[sample]);
                    counted.longest = counted.longest.max(*tokens);
                    let place = || place(&source.name, chunk, *row, String::new());
                    if index.notes[sample].has(Notes::UNENDED) {
                        note(&mut counted.unended, place);
                    }
                    if index.notes[sample].has(Notes::SPECIAL_IN_TEXT) {
                        note(&mut counted.special, place);
                    }
                    if index.notes[sample].has(Notes::SHORTENED) {
                        note(&mut counted.shortened, place);
                    }
                    if index.notes[sample].has(Notes::PART) {
                        note(&mut counted.parts, place);
                    }
                }
                let refused = chunk.converted.rejected.iter().any(|(_, reason)| reason.is_of_model());
                let Some(rejects) = chunk.converted.rejects.filter(|_| refused) else { continue };
                let bytes = store.get(&rejects).map_err(|miss| lost(&miss.to_string()))?;
                let stored: Vec<StoredReject> =
                    postcard::from_bytes(&bytes).map_err(|error| lost(&error.to_string()))?;
                // Rows behind the last one that was needed are nobody's.
                let looked_at = selection.rows_looked_at[number];
                let is_refused = |stored: &&StoredReject| stored.row < looked_at && stored.reject.reason.is_of_model();
                for stored in stored.iter().filter(is_refused) {
                    let place = || place(&source.name, chunk, stored.row, stored.reject.detail.clone());
                    note(counted.refused.entry(stored.reject.reason).or_default(), place);
                }
            }
        }
        Ok(counted)
    }

    fn findings(&self) -> Vec<ModelFinding> {
        let found = |name, (count, rows): &(u64, Vec<FoundRow>), good: &str, bad: String| ModelFinding {
            name,
            level: if *count == 0 { Level::Ok } else { Level::Warning },
            text: if *count == 0 { good.to_owned() } else { bad },
            count: Some(*count),
            rows: rows.clone(),
        };
        let none = (0, Vec::new());
        let refused = |reason| self.refused.get(&reason).unwrap_or(&none);
        let mut all = vec![
            found(
                "rendered",
                refused(Reason::NotRendered),
                "the chat template writes every row",
                "rejected because of the chat template".to_owned(),
            ),
            found(
                "trained",
                refused(Reason::NothingTrained),
                "every row has a token that is trained on",
                "rejected because nothing of the row is trained on".to_owned(),
            ),
            found(
                "special_tokens",
                refused(Reason::SpecialToken),
                "no row is rejected for a control token in a text",
                "rejected because a text holds a control token".to_owned(),
            ),
            found(
                "encoded",
                refused(Reason::NotEncoded),
                "the tokens of every row are its text",
                "rejected because the tokenizer changes the text".to_owned(),
            ),
            found(
                "ended",
                &self.unended,
                "a token ends every turn that is trained on",
                "with a turn that is trained on and that no token ends: the model does not learn to stop".to_owned(),
            ),
        ];
        if self.shortened.0 > 0 {
            let bad = "made shorter, as `overlong` asks".to_owned();
            all.push(ModelFinding { level: Level::Note, ..found("shortened", &self.shortened, "", bad) });
        }
        if self.parts.0 > 0 {
            let bad = "parts of texts that are split, as `overlong` asks".to_owned();
            all.push(ModelFinding { level: Level::Note, ..found("split", &self.parts, "", bad) });
        }
        if self.special.0 > 0 {
            let bad = "with a control token in a text, which is encoded as one (`special_tokens: allow`)";
            all.push(found("special_tokens_allowed", &self.special, "", bad.to_owned()));
        }
        all
    }
}

fn note((count, rows): &mut (u64, Vec<FoundRow>), place: impl FnOnce() -> FoundRow) {
    *count += 1;
    if rows.len() < NAMED {
        rows.push(place());
    }
}

fn place(source: &str, chunk: &ConvertedChunk, row: u32, detail: String) -> FoundRow {
    FoundRow {
        source: source.to_owned(),
        file: chunk.chunk.file.path.clone(),
        row: chunk.chunk.place.first_row + u64::from(row),
        detail,
    }
}

/// Says what the template does by itself.
fn of_template(sinks: &ModelSinks) -> Vec<ModelFinding> {
    let finding = |name, level, text: String| ModelFinding { name, level, text, count: None, rows: Vec::new() };
    let mut all = vec![match &sinks.begins_with {
        Some(token) => {
            finding("begins_with", Level::Note, format!("the chat template writes `{token}` itself; none is added"))
        }
        None => finding("begins_with", Level::Ok, "no token is added before the text".to_owned()),
    }];
    if let Some(end) = &sinks.end_of_turn {
        all.push(finding("end_of_turn", Level::Ok, format!("`{end}` ends a turn of the assistant")));
    } else {
        let text = "the chat template writes no control token behind an answer".to_owned();
        all.push(finding("end_of_turn", Level::Warning, text));
    }
    if sinks.rewritten.is_empty() {
        let text = "the chat template writes a turn alike whether or not others follow".to_owned();
        all.push(finding("prefix_stable", Level::Ok, text));
    } else {
        let text = format!(
            "the chat template writes earlier turns otherwise once others follow, so rows of several turns show what a model never sees \
             when it answers: {}",
            sinks.rewritten.join(", ")
        );
        all.push(finding("prefix_stable", Level::Warning, text));
    }
    if sinks.begins_otherwise {
        let text =
            "the chat template begins an answer that is to be generated otherwise than answers in rows".to_owned();
        all.push(finding("generation_prompt", Level::Warning, text));
    }
    if let Some(system) = &sinks.default_system {
        let shown: String = system.trim().chars().take(80).collect();
        let text = format!("the chat template adds a system prompt where a row has none: \"{shown}\"");
        all.push(finding("system_prompt", Level::Warning, text));
    }
    for (how, level, words) in [
        ("dropped", Level::Warning, "drops without a word"),
        ("printed", Level::Warning, "writes as Python prints them"),
        ("refused", Level::Note, "refuses"),
    ] {
        let named: Vec<&str> =
            sinks.parts.iter().filter(|(_, found)| *found == how).map(|(part, _)| part.as_str()).collect();
        if !named.is_empty() {
            all.push(finding(how, level, format!("the chat template {words}: {}", named.join(", "))));
        }
    }
    all
}
