//! The engine of datac: sources, the plan, the driver, the cache, outputs and their provenance.
//!
//! Programs use it through [`Workspace`]; the crate `datac` exports that with a guided tour.

pub mod artifact;
pub mod build;
pub mod driver;
pub mod edit;
pub mod event;
pub mod gc;
pub mod graph;
pub mod output;
pub mod provenance;
pub mod selector;
pub mod site;
pub mod source;
pub mod status;
pub mod system;
pub mod workspace;

pub use datac_core::failure::{Failure, FailureKind};
pub use event::{Event, Observer};
pub use workspace::{
    Assessment, BuildOptions, BuildReport, Journey, Origin, OutputRow, OutputRows, RecipeReport, RecipeStatus,
    Settings, SourcePlace, State, Workspace, WorkspaceError,
};
