//! Decides which samples an output has, on which side of the split and in which order. Works on numbers alone.

pub mod allot;
pub mod arrange;
pub mod group;
pub mod select;
pub mod stops;
pub mod tally;

pub use allot::{Allotment, allot};
pub use arrange::{Arrangement, Candidate, Candidates, Realised, SortMemory, arrange};
pub use group::Grouped;
pub use select::{FilterCount, SelectError, Selecting, Selection, select};
