//! Statistics of tokens: how many the samples of a recipe's last build have for its model, and how many are trained on.
//!
//! They are read from the indexes of a build, not from its files, so recipes that write no ids have them too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::stats::Lengths;
use crate::{
    cache::Record,
    provenance::trace::Lineage,
    site::{Site, WorkspaceError},
};
use datac_core::{
    encoded::{EncodedIndex, Notes, RoleTokens},
    outputs::Side,
};

/// Statistics of the tokens of one side.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SideTokens {
    /// The side: `train`, `validation` or `test`.
    pub side: Side,
    /// Statistics of all samples.
    pub all: TokenNumbers,
    /// Statistics by source.
    pub sources: BTreeMap<String, TokenNumbers>,
}

/// Statistics of the tokens of samples, each counted as often as it is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct TokenNumbers {
    /// Number of samples.
    pub samples: u64,
    /// Number of their tokens; of a preference, those of the longest answer with its prompt.
    pub tokens: u64,
    /// Number of tokens that are trained on; of a preference, those of all answers.
    pub trained: u64,
    /// What the tokens stand for; none of running text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<RoleNumbers>,
    /// Tokens of a sample.
    #[serde(flatten)]
    pub lengths: Lengths,
}

/// What tokens stand for: the contents of messages by who says them, or what the template writes around them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct RoleNumbers {
    /// Tokens of messages of the system and the developer.
    pub system: u64,
    /// Tokens of messages of the user.
    pub user: u64,
    /// Tokens of answers, without reasoning and calls of tools.
    pub assistant: u64,
    /// Tokens of results of tools.
    pub tool: u64,
    /// All others: names of roles, ends of turns, tools, calls, reasoning.
    pub template: u64,
    /// Number of samples that are not counted here, since it is not known where their contents stand.
    pub unknown_samples: u64,
}

impl RoleNumbers {
    fn add(&mut self, tokens: u32, roles: &RoleTokens, notes: Notes) {
        if notes.has(Notes::UNPLACED) {
            self.unknown_samples += 1;
            return;
        }
        let RoleTokens { system, user, assistant, tool } = *roles;
        let [system, user, assistant, tool] = [system, user, assistant, tool].map(u64::from);
        self.system += system;
        self.user += user;
        self.assistant += assistant;
        self.tool += tool;
        self.template += u64::from(tokens).saturating_sub(system + user + assistant + tool);
    }
}

impl TokenNumbers {
    fn add(&mut self, index: &EncodedIndex, sample: usize) {
        let (tokens, trained) = (index.tokens[sample], index.trained[sample]);
        self.roles.get_or_insert_default().add(tokens, &index.roles[sample], index.notes[sample]);
        self.samples += 1;
        self.tokens += u64::from(tokens);
        self.trained += u64::from(trained);
        self.lengths.add(tokens);
    }

    fn close(mut self) -> Self {
        self.lengths.close();
        // Running text has no roles.
        let has_roles =
            |roles: &RoleNumbers| roles.system + roles.user + roles.assistant + roles.tool + roles.unknown_samples > 0;
        self.roles = self.roles.filter(has_roles);
        self
    }
}

/// Counts the tokens of the samples of a recipe's last build; nothing if it has no model or was not built.
pub(super) fn token_stats(
    site: &Site,
    record: &std::sync::Arc<Record>,
    path: &str,
) -> Result<Vec<SideTokens>, WorkspaceError> {
    let Some(lineage) = Lineage::latest(site, record, path)? else { return Ok(Vec::new()) };
    if lineage.manifest.model.is_none() {
        return Ok(Vec::new());
    }
    let mut sides = Vec::new();
    for side in Side::ALL {
        let order = lineage.order(side)?;
        if order.is_empty() {
            continue;
        }
        let kept: u64 = lineage.manifest.sources.iter().map(|source| source.kept).sum();
        let mut uses = vec![0_u32; kept as usize];
        for number in order {
            *uses
                .get_mut(*number as usize)
                .ok_or_else(|| lineage.lost("an order refers to a row that does not exist"))? += 1;
        }
        let (mut uses, mut all, mut sources) = (uses.into_iter(), TokenNumbers::default(), BTreeMap::new());
        for (number, source) in lineage.manifest.sources.iter().enumerate() {
            let mut own = TokenNumbers::default();
            let selection = lineage.selection(number)?;
            for chunk in 0..selection.chunks() {
                let index: EncodedIndex = lineage.encoded_index(number, chunk)?;
                for sample in selection.samples(chunk) {
                    let sample = sample as usize;
                    let Some(uses) = uses.next().filter(|_| sample < index.len()) else {
                        return Err(lineage.lost("a selection does not match its chunks"));
                    };
                    for _ in 0..uses {
                        all.add(&index, sample);
                        own.add(&index, sample);
                    }
                }
            }
            if own.samples > 0 {
                sources.insert(source.name.clone(), own.close());
            }
        }
        sides.push(SideTokens { side, all: all.close(), sources });
    }
    Ok(sides)
}
