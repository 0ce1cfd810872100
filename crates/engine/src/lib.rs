//! The engine of datac: sources, the plan, the driver, the cache, outputs and their provenance.
//!
//! Programs use the engine through [`Workspace`], which the crate `datac` exports with a guided tour.

mod build;
pub mod cache;
pub mod driver;
mod edit;
pub mod event;
mod gc;
pub mod graph;
mod provenance;
pub mod remote;
mod selector;
mod site;
pub mod source;
mod status;
pub mod system;
pub mod workspace;
pub mod writer;

pub use datac_core::failure::{Failure, FailureKind};
pub use event::{Event, Observer};
pub use workspace::{
    Assessment, BuildOptions, BuildReport, Journey, Origin, OutputRow, OutputRows, RecipeReport, RecipeStatus,
    Settings, SourcePlace, State, Workspace, WorkspaceError,
};
