//! Token ids with a loss mask, as SkyRL reads them.

use super::{
    Unfit, Written,
    facts::Type,
    ids::{column, mask, sequence},
    of_tokens::{IDS, MASK, TokenShape},
};
use crate::{
    encoded::EncodedSample,
    outputs::{Container, Side},
};

/// Writes `{"input_ids":[…],"loss_mask":[0,…,1,…]}`: rows of SkyRL's `pretokenized_dataset_paths`.
///
/// The first token is never trained on, as none stands before it: SkyRL counts its window of loss from the first 1 of the mask.
#[derive(Debug)]
pub struct SkyRlTokens;

impl TokenShape for SkyRlTokens {
    const NAME: &'static str = "skyrl-tokens";
    const VERSION: u32 = 2;
    const CONTAINER: Container = Container::Parquet;
    const CONTAINERS: &'static [Container] = &[Container::Jsonl, Container::Parquet, Container::Arrow];
    const COLUMNS: &'static [(&'static str, Type)] = &[("input_ids", IDS), ("loss_mask", MASK)];

    fn files_beside(written: &Written<'_>) -> Vec<(&'static str, String)> {
        let mut text = String::from(
            "# Keys of SkyRL's SFT configuration. Paths are those of this folder: put it before them. Files are named, since SkyRL takes every\n\
             # `.json` of a folder for rows. With `max_length`, SkyRL cuts what is longer, and leaves out rows without a trained token then.\n",
        );
        for (side, names) in written.files {
            let key = match side {
                Side::Train => "pretokenized_dataset_paths",
                Side::Validation => "eval_pretokenized_dataset_paths",
                Side::Test => continue,
            };
            text.push_str(&format!("{key}:\n"));
            names.iter().for_each(|name| text.push_str(&format!("  - {name}\n")));
        }
        vec![("skyrl.yaml", text)]
    }

    fn write_one(sample: &EncodedSample, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let sequence = sequence(sample)?;
        let mask = mask(sequence)?;
        out.push(b'{');
        column("input_ids", sequence.ids.iter(), out);
        out.push(b',');
        column("loss_mask", mask.iter(), out);
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
    fn masks_say_what_is_trained_on_but_for_the_first_token() {
        let written = |start, length| {
            let run = TrainedRun { start, length, why: WhyTrained::All, message: None, weight: 1.0 };
            let sequence = Sequence { ids: vec![5, 6, 7], runs: vec![run] };
            let mut out = Vec::new();
            SkyRlTokens.write_encoded(&EncodedSample { row_hash: 0, sequences: vec![sequence] }, &mut out)?;
            Ok(String::from_utf8(out).unwrap())
        };
        assert_eq!(written(0, 2).as_deref(), Ok(r#"{"input_ids":[5,6,7],"loss_mask":[0,1,0]}"#));
        assert_eq!(written(2, 1).as_deref(), Ok(r#"{"input_ids":[5,6,7],"loss_mask":[0,0,1]}"#));
        assert_eq!(written(0, 1), Err(Unfit("a first token that alone is trained on")));
    }
}
