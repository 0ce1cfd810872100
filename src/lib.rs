//! datac compiles dataset recipes into train and validation files, and rebuilds only what changed.
//!
//! This is the library behind the `datac` command. A program that builds datasets, or reads built ones, starts with a
//! [`Workspace`]: a folder with recipes below `config/`. The library works without the command and prints nothing.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::{Arc, Mutex};
//!
//! use datac::{BuildOptions, Event, Settings, State, Workspace};
//!
//! // A workspace with one recipe that reads the bundled sample data, so no network is needed.
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
//!     // Receives every event, on the thread where it happens.
//!     observer: Arc::new(move |event| {
//!         if let Event::Wrote { path, .. } = event {
//!             seen.lock().expect("no one panics with it").push(path);
//!         }
//!     }),
//!     ..Settings::new(folder.path())
//! });
//!
//! // Which recipes would be built, and why. This writes nothing and needs no network.
//! let status = workspace.status(&[])?;
//! assert_eq!(status.recipes[0].state, State::New);
//!
//! // Build out-of-date recipes; the second time there is nothing to do.
//! let report = workspace.build(&[], &BuildOptions::default())?;
//! assert!(report.failure().is_none());
//! assert_eq!(wrote.lock().expect("no one panics with it").len(), 3);
//! assert!(workspace.build(&[], &BuildOptions::default())?.actions.is_empty());
//! assert_eq!(workspace.status(&[])?.recipes[0].state, State::Fresh);
//!
//! // Read the rows, each with its origin.
//! for row in workspace.outputs().rows("sft/general")?.take(2) {
//!     let row = row?;
//!     assert_eq!(row.origin.repo, "tatsu-lab/alpaca");
//!     println!("{} is row {} of {}", row.line, row.origin.row, row.origin.file);
//! }
//!
//! // Trace one row: its filters and scores, its side of the split, its position in the mixture.
//! let origin = workspace.outputs().trace("sft_general_train.jsonl", 1)?;
//! assert_eq!(origin.filters[0].filter, "length");
//! assert!(origin.filters[0].score.as_u64() >= Some(20));
//!
//! // Trace a source row to the outputs.
//! let place = &origin.source;
//! let journey = workspace.outputs().trace_source(&place.repo, &place.file, place.row)?;
//! assert_eq!(journey.fates[0].path, "config/sft/general.yaml");
//! # Ok(())
//! # }
//! ```
//!
//! [`Workspace::build`] does not return an error for a recipe that cannot be built; the report has a result per recipe.
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
//! # Stability
//!
//! The items at the root of the crate are stable, as are the types in [`workspace`] that they use. [`convert`], [`row`] and
//! [`config`] are for authors of converters. The other modules are internal; they are public for tests and may change in any
//! release.

pub mod cli;

pub use datac_core::{
    code, config, convert, encoded, failure, format, hash, id, json, key, leaf, mix, outputs, pack, quality, row,
    rules, sample, shape, sort, stage, stale,
};
pub use datac_decode as decode;
pub use datac_engine::*;
