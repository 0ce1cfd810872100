//! datac compiles dataset recipes into train and validation files, and rebuilds only what changed.

mod code;
pub mod config;
pub mod convert;
pub mod hash;
pub mod quality;
pub mod row;
pub mod source;
pub mod system;
