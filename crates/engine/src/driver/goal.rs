//! What a run of the driver is to come to for each recipe: its outputs, or what is made of some of its source files.

use std::sync::Arc;

use super::Driver;
use crate::graph::{
    Action, Node, RecipePlan, plan,
    slice::{Share, worked},
};
use datac_core::{failure::Failure, outputs::FileMeta};

/// What a run of the driver is to come to for each recipe.
pub(crate) trait Goal: Sized {
    /// What is known of a recipe at the end.
    type End;

    /// Asks the planner about a recipe. Returns the actions that are missing; if there are none, has the recipe end.
    fn ask(driver: &mut Driver<'_, Self>, number: usize) -> Vec<Arc<Action>>;

    /// Returns the files that are in place at the end, by their names in the output folder; `None` if a recipe does not come to its
    /// end with that.
    fn files(end: &Self::End) -> Option<Vec<(String, FileMeta)>>;
}

/// The files of each recipe, in place.
pub(crate) struct Outputs;

impl Goal for Outputs {
    type End = RecipePlan;

    fn ask(driver: &mut Driver<'_, Self>, number: usize) -> Vec<Arc<Action>> {
        let reads = driver.context.record.together();
        let planned = plan(driver.planner, driver.recipes[number]).clone();
        drop(reads);
        match planned {
            Node::Failed(failure) => driver.refuse(number, failure),
            Node::Ready(plan) => driver.settle(number, plan),
            Node::Needs(actions) => return actions,
        }
        Vec::new()
    }

    fn files(plan: &RecipePlan) -> Option<Vec<(String, FileMeta)>> {
        Some(plan.named().filter_map(|(_, name, file)| Some((name, file?))).collect())
    }
}

/// What is made of the source files of a share, in the cache. A recipe ends with the failures of files; no failure of one holds up
/// the others.
pub(crate) struct Shares<'s>(pub(crate) &'s Share);

impl Goal for Shares<'_> {
    type End = Vec<Failure>;

    fn ask(driver: &mut Driver<'_, Self>, number: usize) -> Vec<Arc<Action>> {
        let reads = driver.context.record.together();
        let planned = worked(driver.planner, driver.recipes[number], driver.goal.0);
        drop(reads);
        match planned {
            Node::Failed(failure) => driver.end(number, Err(failure)),
            Node::Ready(failures) => driver.end(number, Ok(failures)),
            Node::Needs(actions) => return actions,
        }
        Vec::new()
    }

    fn files(_: &Self::End) -> Option<Vec<(String, FileMeta)>> {
        None
    }
}
