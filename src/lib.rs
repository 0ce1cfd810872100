//! datac compiles dataset recipes into train and validation files, and rebuilds only what changed.

pub mod artifact;
pub mod cli;
mod code;
pub mod config;
pub mod convert;
pub mod decode;
pub mod driver;
pub mod graph;
pub mod hash;
pub mod materialise;
pub mod mix;
pub mod quality;
pub mod row;
pub mod samples;
pub mod source;
pub mod system;
pub mod workspace;
