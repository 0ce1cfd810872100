//! Token ids with labels, for trainers that are given nothing to render.

use super::{
    Shape, Unfit, Written, WrittenRow,
    facts::{Column, Facts, Type},
};
use crate::{
    encoded::EncodedSample,
    outputs::{Container, Side},
    sample::{Quoted, SampleKind, SampleView},
};

/// Writes `{"input_ids":[…],"attention_mask":[1,…],"labels":[-100,…]}`: ids of the recipe's model, and the same as labels
/// where they are trained on.
///
/// `transformers.Trainer`, TRL's `SFTTrainer` and axolotl read such rows as they are. Columns that a recipe keeps, and the
/// sources of rows, have no place in them; ask for `id: true` to find a row again.
#[derive(Debug)]
pub struct Tokens;

/// What PyTorch's cross entropy leaves out: `ignore_index`.
const NOT_TRAINED: &str = "-100";

impl Shape for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Text]
    }

    fn is_of_tokens(&self) -> bool {
        true
    }

    fn container(&self) -> Container {
        Container::Parquet
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        let folder = &written.target.shape;
        let mut trl = format!(
            "# For `trl sft --config trl.yaml`, started in this folder. Without `max_length: null`, TRL cuts what is longer.\n\
             dataset_name: ../{folder}\nmax_length: null\n"
        );
        let mut axolotl = String::from(
            "# Paths are those of this folder: put it before them, or start axolotl here. Set `sequence_len` to the recipe's `max_tokens`:\n\
             # without the first line below, axolotl leaves out what is longer (512 by default) with no more than a line in its log.\n\
             excess_length_strategy: raise\n",
        );
        let format =
            if written.target.container == Container::Jsonl { "json" } else { written.target.container.word() };
        let entry = |name: &String| format!("  - path: {name}\n    ds_type: {format}\n    split: train\n    type:\n");
        for (side, names) in written.files {
            let entries: String = names.iter().map(entry).collect();
            match side {
                Side::Train => {
                    trl.push_str("dataset_train_split: train\n");
                    axolotl.push_str(&format!("datasets:\n{entries}"));
                }
                Side::Validation => {
                    trl.push_str("dataset_test_split: validation\neval_strategy: steps\n");
                    axolotl.push_str(&format!("test_datasets:\n{entries}"));
                }
                Side::Test => {}
            }
        }
        axolotl.push_str("# The rows are divided already.\nval_set_size: 0\n");
        vec![("trl.yaml", trl), ("axolotl.yaml", axolotl)]
    }

    fn columns(&self, _: SampleKind, _: &Facts) -> Vec<Column> {
        ["input_ids", "attention_mask", "labels"].map(|name| Column::new(name, Type::Integer.list())).into()
    }

    fn write(&self, _: &SampleView<'_>, _: Quoted<'_>, _: &Facts, _: &mut Vec<u8>) -> Result<(), Unfit> {
        Err(Unfit("a sample that no model has encoded"))
    }

    fn write_encoded(&self, sample: &EncodedSample, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let [sequence] = &sample.sequences[..] else { return Err(Unfit("several sequences")) };
        // Labels say whether, not how much.
        if sequence.runs.iter().any(|run| run.weight != 1.0) {
            return Err(Unfit("a weight other than 0 and 1"));
        }
        let mut buffer = itoa::Buffer::new();
        out.extend_from_slice(b"{\"input_ids\":[");
        for id in &sequence.ids {
            out.extend_from_slice(buffer.format(*id).as_bytes());
            out.push(b',');
        }
        end_list(out);
        out.extend_from_slice(b",\"attention_mask\":[");
        sequence.ids.iter().for_each(|_| out.extend_from_slice(b"1,"));
        end_list(out);
        out.extend_from_slice(b",\"labels\":[");
        for (id, is_trained) in sequence.ids.iter().zip(sequence.mask()) {
            let label = if is_trained { buffer.format(*id) } else { NOT_TRAINED };
            out.extend_from_slice(label.as_bytes());
            out.push(b',');
        }
        end_list(out);
        out.push(b'}');
        Ok(())
    }

    fn read(&self, _: &str) -> Option<WrittenRow> {
        None
    }
}

/// Ends a list of numbers with commas behind them.
fn end_list(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoded::{Sequence, TrainedRun, WhyTrained};

    fn row(ids: Vec<u32>, runs: &[(u32, u32, f64)]) -> Result<String, Unfit> {
        let run = |(start, length, weight): &(u32, u32, f64)| TrainedRun {
            start: *start,
            length: *length,
            why: WhyTrained::Content,
            message: None,
            weight: *weight,
        };
        let sequence = Sequence { ids, runs: runs.iter().map(run).collect() };
        let mut out = Vec::new();
        Tokens.write_encoded(&EncodedSample { row_hash: 0, sequences: vec![sequence] }, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn labels_are_the_ids_that_are_trained_on() {
        let expected = r#"{"input_ids":[5,6,7,8],"attention_mask":[1,1,1,1],"labels":[-100,6,7,-100]}"#;
        assert_eq!(row(vec![5, 6, 7, 8], &[(1, 2, 1.0)]).as_deref(), Ok(expected));
        assert_eq!(row(vec![5], &[(0, 1, 0.5)]), Err(Unfit("a weight other than 0 and 1")));
    }
}
