//! Token ids with labels, for trainers that are given nothing to render.

use super::{
    Unfit, Written,
    facts::Type,
    ids::{column, labels, ones, sequence},
    of_tokens::{IDS, MASK, TokenShape},
};
use crate::{
    encoded::{EncodedSample, Sequence},
    outputs::{Container, Side},
};

/// Writes `{"input_ids":[…],"attention_mask":[1,…],"labels":[-100,…]}`: ids of the recipe's model, and the same as labels
/// where they are trained on.
///
/// `transformers.Trainer`, TRL's `SFTTrainer` and axolotl read such rows as they are. Columns that a recipe keeps, and the
/// sources of rows, have no place in them; ask for `id: true` to find a row again.
#[derive(Debug)]
pub struct Tokens;

impl TokenShape for Tokens {
    const NAME: &'static str = "tokens";
    const VERSION: u32 = 4;
    const CONTAINER: Container = Container::Parquet;
    const CONTAINERS: &'static [Container] =
        &[Container::Jsonl, Container::JsonlZst, Container::Parquet, Container::Arrow];
    const COLUMNS: &'static [(&'static str, Type)] = &[("input_ids", IDS), ("attention_mask", MASK), ("labels", IDS)];
    const PACKED: &'static [(&'static str, Type)] =
        &[("input_ids", IDS), ("labels", IDS), ("position_ids", IDS), ("seq_lengths", IDS)];

    fn files_beside(written: &Written<'_>) -> Vec<(&'static str, String)> {
        let trl = ("trl.yaml", trl(written));
        // axolotl 0.21 packs rows itself, and does not know of rows that hold several samples.
        if written.target.pack.is_some() { vec![trl] } else { vec![trl, ("axolotl.yaml", axolotl(written))] }
    }

    fn write_one(sample: &EncodedSample, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let sequence = sequence(sample)?;
        out.push(b'{');
        column("input_ids", sequence.ids.iter(), out);
        out.push(b',');
        ones("attention_mask", sequence.ids.len(), out);
        out.push(b',');
        let label = |(id, is_trained): (&u32, bool)| is_trained.then_some(*id);
        labels(sequence.ids.iter().zip(sequence.mask()).map(label), out);
        out.push(b'}');
        Ok(())
    }

    fn check_one_of_several(sample: &EncodedSample) -> Result<(), Unfit> {
        sequence(sample).map(drop)
    }

    /// Writes `{"input_ids":[…],"labels":[…],"position_ids":[0,1,…,0,1,…],"seq_lengths":[…]}`.
    ///
    /// The first label of each sample is -100: the token before it, which would predict it, is of another sample. There is no
    /// `attention_mask`: with one of ones, FlashAttention as transformers 5.23 calls it lets the samples see each other.
    fn write_several(samples: &[EncodedSample], out: &mut Vec<u8>) {
        let sequences: Vec<&Sequence> = samples.iter().filter_map(|sample| sequence(sample).ok()).collect();
        let ids = || sequences.iter().flat_map(|sequence| &sequence.ids);
        let lengths: Vec<u32> = sequences.iter().map(|sequence| sequence.ids.len() as u32).collect();
        out.push(b'{');
        column("input_ids", ids(), out);
        out.push(b',');
        let label = |(at, (id, is_trained)): (usize, (&u32, bool))| (is_trained && at > 0).then_some(*id);
        let of = |sequence: &&Sequence| {
            let labels = sequence.ids.iter().zip(sequence.mask()).enumerate().map(label);
            labels.collect::<Vec<_>>()
        };
        labels(sequences.iter().flat_map(of), out);
        out.push(b',');
        let positions: Vec<u32> = lengths.iter().flat_map(|length| 0..*length).collect();
        column("position_ids", positions.iter(), out);
        out.push(b',');
        column("seq_lengths", lengths.iter(), out);
        out.push(b'}');
    }
}

fn trl(written: &Written<'_>) -> String {
    let folder = written.target.folder();
    let mut text = format!(
        "# For `trl sft --config trl.yaml`, started in this folder. Without `max_length: null`, TRL cuts what is longer.\n\
         dataset_name: ../{folder}\nmax_length: null\n"
    );
    if written.target.pack.is_some() {
        text.push_str(
            "# Rows hold several samples already. With `padding_free`, TRL begins to count positions again at each of them; it\n\
             # needs an attention that knows of that, such as FlashAttention.\n\
             padding_free: true\nattn_implementation: flash_attention_2\n",
        );
    }
    for (side, _) in written.files {
        text.push_str(match side {
            Side::Train => "dataset_train_split: train\n",
            Side::Validation => "dataset_test_split: validation\neval_strategy: steps\n",
            Side::Test => "",
        });
    }
    text
}

fn axolotl(written: &Written<'_>) -> String {
    let mut text = String::from(
        "# Paths are those of this folder: put it before them, or start axolotl here. Set `sequence_len` to the recipe's `max_tokens`:\n\
         # without the first line below, axolotl leaves out what is longer (512 by default) with no more than a line in its log.\n\
         excess_length_strategy: raise\n",
    );
    let format = if written.target.container == Container::Jsonl { "json" } else { written.target.container.word() };
    let entry = |name: &String| format!("  - path: {name}\n    ds_type: {format}\n    split: train\n    type:\n");
    for (side, names) in written.files {
        let entries: String = names.iter().map(entry).collect();
        match side {
            Side::Train => text.push_str(&format!("datasets:\n{entries}")),
            Side::Validation => text.push_str(&format!("test_datasets:\n{entries}")),
            Side::Test => {}
        }
    }
    text.push_str("# The rows are divided already.\nval_set_size: 0\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoded::{TrainedRun, WhyTrained},
        shape::Shape,
    };

    fn sample(ids: Vec<u32>, runs: &[(u32, u32, f64)]) -> EncodedSample {
        let run = |(start, length, weight): &(u32, u32, f64)| TrainedRun {
            start: *start,
            length: *length,
            why: WhyTrained::Content,
            message: None,
            weight: *weight,
        };
        EncodedSample { row_hash: 0, sequences: vec![Sequence { ids, runs: runs.iter().map(run).collect() }] }
    }

    fn row(ids: Vec<u32>, runs: &[(u32, u32, f64)]) -> Result<String, Unfit> {
        let mut out = Vec::new();
        Tokens.write_encoded(&sample(ids, runs), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn labels_are_the_ids_that_are_trained_on() {
        let expected = r#"{"input_ids":[5,6,7,8],"attention_mask":[1,1,1,1],"labels":[-100,6,7,-100]}"#;
        assert_eq!(row(vec![5, 6, 7, 8], &[(1, 2, 1.0)]).as_deref(), Ok(expected));
        assert_eq!(row(vec![5], &[(0, 1, 0.5)]), Err(Unfit("a weight other than 0 and 1")));
    }
    #[test]
    fn packed_samples_do_not_predict_each_other() {
        let (first, second) = (sample(vec![5, 6, 7], &[(1, 2, 1.0)]), sample(vec![8, 9], &[(0, 2, 1.0)]));
        let mut out = Vec::new();
        Tokens.write_packed(&[first, second], &mut out);
        let expected =
            r#"{"input_ids":[5,6,7,8,9],"labels":[-100,6,7,-100,9],"position_ids":[0,1,2,0,1],"seq_lengths":[3,2]}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(Tokens.check_packed(&sample(vec![5], &[(0, 1, 0.5)])).is_err());
    }
}
