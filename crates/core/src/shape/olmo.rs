//! Token ids with label masks as OLMo-core's memory-mapped arrays have them.

use super::{
    Unfit, Written,
    facts::Type,
    ids::{column, mask, sequence},
    of_tokens::{IDS, MASK, TokenShape},
};
use crate::{encoded::EncodedSample, outputs::Container};

/// Writes `{"input_ids":[…],"label_mask":[0,…,1,…]}`, a document for each sample.
///
/// The mask says of each token whether it is trained on where it is the label. Documents stand one after another, so the first
/// token of each would be predicted from another document, and never is trained on.
#[derive(Debug)]
pub struct Olmo;

impl TokenShape for Olmo {
    const NAME: &'static str = "olmo";
    const VERSION: u32 = 2;
    const CONTAINER: Container = Container::Npy;
    const COLUMNS: &'static [(&'static str, Type)] = &[("input_ids", IDS), ("label_mask", MASK)];
    // OLMo-core keeps where the documents of a file begin by its path and size, and does not look at the bytes.
    const HAS_DIGEST_IN_NAME: bool = true;

    fn files_beside(written: &Written<'_>) -> Vec<(&'static str, String)> {
        let mut text = String::from(
            "# Arguments of OLMo-core's `NumpyPackedFSLDatasetConfig` for each side. Paths are those of this folder: put it before them. With\n\
             # `use_array_if_local: false` it takes the bounds of documents from the `.csv.gz` beside each file; from the token that ends\n\
             # texts it would take wrong ones, where dialogues have it inside or do not end with it. For `NumpyPaddedFSLDatasetConfig`, which\n\
             # has no such argument, set OLMO_DATA_PREP_USE_ARRAY_IF_LOCAL=false.\n",
        );
        for (side, names) in written.files {
            text.push_str(&format!("{}:\n", side.word()));
            if let Some(of) = written.ids {
                text.push_str(&format!("  dtype: {}\n", of.name()));
            }
            text.push_str("  use_array_if_local: false\n  paths:\n");
            names.iter().for_each(|name| text.push_str(&format!("    - {name}\n")));
            text.push_str("  label_mask_paths:\n");
            let masks = names.iter().filter_map(|name| Container::Npy.parts(name).into_iter().next());
            masks.for_each(|name| text.push_str(&format!("    - {name}\n")));
        }
        vec![("olmo.yaml", text)]
    }

    fn write_one(sample: &EncodedSample, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let sequence = sequence(sample)?;
        let mask = mask(sequence)?;
        out.push(b'{');
        column("input_ids", sequence.ids.iter(), out);
        out.push(b',');
        column("label_mask", mask.iter(), out);
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoded::{Sequence, TrainedRun, WhyTrained},
        shape::{Shape, ids::FIRST_ALONE},
    };

    #[test]
    fn masks_say_what_is_trained_on_but_for_the_first_token() {
        let written = |start, length| {
            let run = TrainedRun { start, length, why: WhyTrained::All, message: None, weight: 1.0 };
            let sequence = Sequence { ids: vec![5, 6, 7], runs: vec![run] };
            let mut out = Vec::new();
            Olmo.write_encoded(&EncodedSample { row_hash: 0, sequences: vec![sequence] }, &mut out)?;
            Ok(String::from_utf8(out).unwrap())
        };
        assert_eq!(written(0, 3).as_deref(), Ok(r#"{"input_ids":[5,6,7],"label_mask":[0,1,1]}"#));
        assert_eq!(written(2, 1).as_deref(), Ok(r#"{"input_ids":[5,6,7],"label_mask":[0,0,1]}"#));
        assert_eq!(written(0, 1), Err(FIRST_ALONE));
    }
}
