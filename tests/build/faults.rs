//! What becomes of faults: damage to the cache, builds that were stopped, sources and outputs that are not what they
//! should be.

mod damage;
mod interruption;
mod refusal;

use crate::space::Space;

pub(crate) const GENERAL: &str = include_str!("../../config/data/posttrain/sft/general.yaml");
pub(crate) const SAFETY: &str = include_str!("../../config/data/posttrain/dpo/safety.yaml");

/// Two recipes over the sample hub.
fn small() -> Space {
    let space = Space::new();
    space.write("config/sft/general.yaml", GENERAL);
    space.write("config/dpo/safety.yaml", SAFETY);
    space
}
