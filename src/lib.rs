//! datac compiles dataset recipes into train and validation files, and rebuilds only what changed.

pub mod cli;
pub mod config;
pub mod convert;
pub mod hash;
pub mod quality;
pub mod row;
pub mod source;
pub mod system;
