//! The `python` scorer: what a function in Python says of a sample.

use super::{BoundSpec, FunctionKeys, Key, Score, Scorer};

/// Keeps samples by a function in Python.
///
/// The scores are made where the function is called, on whole samples: see `driver/python` of the engine.
pub(super) struct Python;

impl Scorer for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn version(&self) -> u32 {
        2
    }

    fn explain(&self) -> &'static str {
        "keeps samples by a function in Python"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Function(FunctionKeys {
            python: Key {
                name: "python",
                about: "the file of its module in the workspace, and its name: `scorers/tone.py:politeness`",
            },
            min: Key { name: "min", about: "the lowest score that is kept" },
            max: Key { name: "max", about: "the highest score that is kept" },
            missing: Key { name: "missing", about: "what becomes of samples without a score" },
            files: Key {
                name: "files",
                about: "the files that decide what it does, besides the module and what that imports from the workspace",
            },
            timeout: Key { name: "timeout", about: "the seconds that it may take for one sample" },
        })
    }

    fn score(&self, _: &str) -> Score {
        Score::Number(None)
    }
}
