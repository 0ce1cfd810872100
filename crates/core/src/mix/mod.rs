//! Which samples an output holds, on which side of the split, in which order. Pure: numbers in, numbers out.

pub mod allot;
pub mod arrange;
pub mod select;

pub use allot::{Allotment, allot};
pub use arrange::{Arrangement, Candidate, Candidates, Realised, SortMemory, arrange};
pub use select::{FilterCount, Selecting, Selection, select};
