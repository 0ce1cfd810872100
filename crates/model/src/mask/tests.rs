//! Masks of small templates, and the fast way against the slow one.
