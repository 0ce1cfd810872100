//! Token ids as Megatron-LM's indexed datasets have them.

use super::{
    Unfit, Written,
    facts::Type,
    ids::{UNTRAINED, column, sequence},
    of_tokens::{IDS, TokenShape},
};
use crate::{
    encoded::EncodedSample,
    outputs::{Container, Side},
};

/// Writes `{"input_ids":[…]}`, a document for each sample.
///
/// Megatron-LM's `GPTDataset` trains on every token of a document, and its files have no place for a mask. So a sample fits if
/// all of it is trained on, but for the first token, before which no token of its own stands.
#[derive(Debug)]
pub struct Megatron;

impl TokenShape for Megatron {
    const NAME: &'static str = "megatron";
    const VERSION: u32 = 2;
    const CONTAINER: Container = Container::Bin;
    const COLUMNS: &'static [(&'static str, Type)] = &[("input_ids", IDS)];
    // Megatron-LM keeps what it computed of a dataset under the dataset's path, and does not look whether it has changed.
    const HAS_DIGEST_IN_NAME: bool = true;
    const HAS_IDS: bool = false;

    fn files_beside(written: &Written<'_>) -> Vec<(&'static str, String)> {
        let mut text = String::from(
            "# Arguments of Megatron-LM's `pretrain_gpt.py`, which take datasets by their names without `.bin`. Paths are those of this\n\
             # folder: put it before them, or start there. The first token of a document is predicted from the one before, of another\n\
             # document; `--eod-mask-loss` leaves that out.\n",
        );
        for (side, names) in written.files {
            let side = match side {
                Side::Train => "train",
                Side::Validation => "valid",
                Side::Test => "test",
            };
            let prefixes: Vec<&str> = names.iter().map(|name| name.strip_suffix(".bin").unwrap_or(name)).collect();
            text.push_str(&format!("--{side}-data-path {}\n", prefixes.join(" ")));
        }
        text.push_str("--eod-mask-loss\n");
        vec![("megatron.args", text)]
    }

    fn write_one(sample: &EncodedSample, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let sequence = sequence(sample)?;
        if !sequence.mask().iter().skip(1).all(|is_trained| *is_trained) {
            return Err(UNTRAINED);
        }
        out.push(b'{');
        column("input_ids", sequence.ids.iter(), out);
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoded::{Sequence, TrainedRun, WhyTrained},
        shape::Shape,
    };

    #[test]
    fn only_what_is_trained_on_as_a_whole_fits() {
        let written = |runs: &[(u32, u32, f64)]| {
            let run = |(start, length, weight): &(u32, u32, f64)| TrainedRun {
                start: *start,
                length: *length,
                why: WhyTrained::All,
                message: None,
                weight: *weight,
            };
            let sequence = Sequence { ids: vec![5, 6, 7], runs: runs.iter().map(run).collect() };
            let mut out = Vec::new();
            Megatron.write_encoded(&EncodedSample { row_hash: 0, sequences: vec![sequence] }, &mut out)?;
            Ok(String::from_utf8(out).unwrap())
        };
        let whole = Ok(r#"{"input_ids":[5,6,7]}"#.to_owned());
        assert_eq!(written(&[(0, 3, 1.0)]), whole);
        assert_eq!(written(&[(1, 1, 1.0), (2, 1, 1.0)]), whole, "nothing of the sample predicts its first token");
        assert_eq!(written(&[(0, 2, 1.0)]), Err(UNTRAINED));
        assert_eq!(written(&[(2, 1, 1.0)]), Err(UNTRAINED));
        assert_eq!(written(&[(0, 3, 0.5)]), Err(Unfit("a weight other than 0 and 1")));
    }
}
