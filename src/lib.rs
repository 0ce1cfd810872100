//! datac compiles dataset recipes into train and validation files, and rebuilds only what changed.
//!
//! This is what the `datac` command is made of. A program that builds data itself, or reads what was built, begins with
//! a [`Workspace`]: a folder with recipes below `config/`. Everything here works without the command; nothing is printed.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::{Arc, Mutex};
//!
//! use datac::{BuildOptions, Event, Settings, State, Workspace};
//!
//! // A workspace with one recipe, over the small sample of datasets that the library carries: no network.
//! let folder = tempfile::tempdir()?;
//! std::fs::create_dir_all(folder.path().join("config/sft"))?;
//! std::fs::write(
//!     folder.path().join("config/sft/general.yaml"),
//!     "metadata: { phase: sft }
//! datasets:
//!   - name: alpaca
//!     source: tatsu-lab/alpaca
//!     format: huggingface
//!     mix_ratio: 1.0
//!     filters: [{ type: length, min_length: 20 }]
//! validation: { ratio: 0.05, seed: 42 }
//! ",
//! )?;
//! let wrote: Arc<Mutex<Vec<String>>> = Arc::default();
//! let seen = wrote.clone();
//! let workspace = Workspace::open(Settings {
//!     hub: Some("sample".into()),
//!     // Told of everything that happens, from whichever thread it happens on.
//!     observer: Arc::new(move |event| {
//!         if let Event::Wrote { path, .. } = event {
//!             seen.lock().expect("no one panics with it").push(path);
//!         }
//!     }),
//!     ..Settings::new(folder.path())
//! });
//!
//! // What would be built, and why: writes nothing and needs no network.
//! let status = workspace.status(&[])?;
//! assert_eq!(status.recipes[0].state, State::New);
//!
//! // What is not fresh is built; the second time nothing is.
//! let report = workspace.build(&[], &BuildOptions::default())?;
//! assert!(report.failure().is_none());
//! assert_eq!(wrote.lock().expect("no one panics with it").len(), 3);
//! assert!(workspace.build(&[], &BuildOptions::default())?.actions.is_empty());
//! assert_eq!(workspace.status(&[])?.recipes[0].state, State::Fresh);
//!
//! // The rows, each with the place it comes from.
//! for row in workspace.rows("sft/general")?.take(2) {
//!     let row = row?;
//!     assert_eq!(row.origin.repo, "tatsu-lab/alpaca");
//!     println!("{} is row {} of {}", row.line, row.origin.row, row.origin.file);
//! }
//!
//! // One row in full: filters with its scores, its side of the split, its place in the mixture.
//! let origin = workspace.trace("sft_general_train.jsonl", 1)?;
//! assert_eq!(origin.filters[0].filter, "length");
//! assert!(origin.filters[0].score.as_u64() >= Some(20));
//!
//! // And where a row of a source went.
//! let place = &origin.source;
//! let journey = workspace.trace_source(&place.repo, &place.file, place.row)?;
//! assert_eq!(journey.fates[0].path, "config/sft/general.yaml");
//! # Ok(())
//! # }
//! ```
//!
//! A recipe that cannot be built is no error of [`Workspace::build`]: the report says what became of each.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use datac::{BuildOptions, Settings, Workspace};
//!
//! # let folder = tempfile::tempdir()?;
//! # std::fs::create_dir_all(folder.path().join("config"))?;
//! # std::fs::write(folder.path().join("config/broken.yaml"), "metadata: { phase: sft }\ndatasets: []\n")?;
//! let workspace = Workspace::open(Settings::new(folder.path()));
//! let report = workspace.build(&[], &BuildOptions::default())?;
//! for recipe in &report.recipes {
//!     for problem in &recipe.before.problems {
//!         println!("{problem}");
//!     }
//! }
//! assert!(report.failure().is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # What can be relied on
//!
//! What stands at the root of the crate, and what it is made of in [`workspace`]. [`convert`], [`row`] and [`config`] are
//! for those who write converters. The other modules are datac's own parts, public for its tests and for the curious;
//! they may change in any release.

pub mod artifact;
pub mod cli;
mod code;
pub mod config;
pub mod convert;
pub mod decode;
pub mod driver;
pub mod event;
pub mod failure;
pub mod graph;
pub mod hash;
pub mod id;
pub mod materialise;
pub mod mix;
pub mod outputs;
pub mod quality;
pub mod row;
pub mod samples;
pub mod sort;
pub mod source;
pub mod system;
pub mod workspace;

pub use event::{Event, Observer};
pub use failure::{Failure, FailureKind};
pub use workspace::{
    Assessment, BuildOptions, BuildReport, Journey, Origin, OutputRow, OutputRows, RecipeReport, RecipeStatus,
    Settings, SourcePlace, State, Workspace, WorkspaceError,
};
