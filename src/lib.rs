//! datac compiles dataset recipes into train and validation files, and rebuilds only what changed.

pub mod artifact;
mod code;
pub mod config;
pub mod convert;
pub mod decode;
pub mod graph;
pub mod hash;
pub mod mix;
pub mod quality;
pub mod row;
pub mod samples;
pub mod source;
pub mod system;
