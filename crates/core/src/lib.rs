//! The pure core of datac: rows, converters, scorers, mixing, and recipes.
//!
//! Nothing here touches files, clocks, the network or the environment, so the same arguments give the same results on
//! any machine. `datac-decode` reads sources, `datac-engine` plans, runs and caches, and `datac` is the command.

pub mod card;
pub mod code;
pub mod config;
pub mod convert;
pub mod encoded;
pub mod failure;
pub mod format;
pub mod function;
pub mod hash;
pub mod id;
pub mod json;
pub mod key;
pub mod leaf;
pub mod license;
pub mod mapping;
pub mod mix;
pub mod outputs;
pub mod pack;
pub mod quality;
pub mod row;
pub mod rules;
pub mod sample;
pub mod shape;
pub mod sort;
pub mod stage;
pub mod stale;
pub mod survey;
