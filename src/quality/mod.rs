//! Sample to scores, and scores to kept or filtered.
