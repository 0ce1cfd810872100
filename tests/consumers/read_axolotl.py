"""Reads the shape `axolotl` with axolotl's own loaders and prompt strategies.

    python read_axolotl.py OUTPUTS [CASES]

The stanza is `axolotl.yaml` in the shape's folder; without one, the stanza below of the kind is taken. Paths in it are
relative to that folder.
"""

import os

os.environ.update(AXOLOTL_DO_NOT_TRACK="1", AXOLOTL_IS_PREPROCESS="1")

from common import SCRATCH, Report, marked, plain, rendered, same, save_model, tokenizer, tool_schemas

import axolotl.utils.data.rl
import axolotl.utils.data.sft
import yaml
from axolotl.utils.data.rl import prepare_preference_datasets
from axolotl.utils.data.sft import prepare_datasets
from axolotl.utils.dict import DictDefault

# Prepared sets need not be saved: doing so starts processes that import everything anew, for a minute each.
for module in (axolotl.utils.data.rl, axolotl.utils.data.sft):
    assert hasattr(module, "save_preprocessed_dataset")
    module.save_preprocessed_dataset = lambda *what: None

words = tokenizer()
STANZAS = {
    "conversation": {"datasets": [{"path": "train.jsonl", "ds_type": "json", "type": "chat_template"}]},
    "preference": {"rl": "dpo", "datasets": [{"path": "train.jsonl", "ds_type": "json", "type": "chat_template.default"}]},
    "stepwise": {
        "process_reward_model": True,
        "datasets": [{"path": "train.jsonl", "ds_type": "json", "type": "stepwise_supervised", "step_separator": "\n"}],
    },
    "text": {"datasets": [{"path": "train.jsonl", "ds_type": "json", "type": "completion"}]},
}
runs = 0


def config(output, kind):
    global runs
    runs += 1
    written = output.stanza("axolotl.yaml", "axolotl.yml")
    stanza = yaml.safe_load(written) if written else STANZAS[kind]
    entries = [dict(entry) for entry in stanza["datasets"]]
    for entry in entries:
        entry.setdefault("split", "train")
        entry["path"] = os.path.join(output.folder, entry["path"])
    # The key of prepared sets does not see the file's bytes, so each run has a folder of its own.
    return DictDefault({
        **{k: v for k, v in stanza.items() if k != "test_datasets"}, "datasets": entries, "sequence_len": 1 << 16,
        "base_model": save_model(SCRATCH + "/causal"), "tokenizer_config": SCRATCH + "/causal",
        "dataset_prepared_path": f"{SCRATCH}/axolotl-{runs}", "chat_template": "tokenizer_default", "val_set_size": 0,
        "micro_batch_size": 1, "gradient_accumulation_steps": 1, "num_epochs": 1, "dataset_num_proc": 1,
        "train_on_inputs": False, "is_preprocess": True, "seed": 42, "world_size": 1, "batch_size": 1,
    })


def conversations(output):
    rows = prepare_datasets(config(output, "conversation"), words)[0]
    got = [marked(words, row["input_ids"], row["labels"]) for row in rows]
    expected = [rendered(row["turns"], tool_schemas(row)) for row in output.rows]
    note = same(got, expected)
    output.check_unfit()
    return note


def pairs(output):
    rows = prepare_preference_datasets(config(output, "preference"), words)[0]
    got, expected = [], []
    for row in rows:
        got += [f"{side}: {row['prompt']}\u27e6{row[side]}\u27e7" for side in ("chosen", "rejected")]
    for row in output.rows:
        prompt = rendered(row["prompt"], (), "none", opened=True)
        expected += [f"{side}: {prompt}\u27e6{row[side]['text']}{words.eos_token}\u27e7" for side in ("chosen", "rejected")]
    return same(got, expected)


def steps(output):
    rows = prepare_datasets(config(output, "stepwise"), words)[0]
    got = [plain(words, row["input_ids"]) + str([label for label in row["labels"] if label != -100]) for row in rows]
    # The trainer writes nothing between the question and the first step.
    expected = [
        row["question"] + "".join(step + "\n" for step in row["steps"]) + str([int(label) for label in row["labels"]])
        for row in output.rows
    ]
    return same(got, expected)


def texts(output):
    rows = prepare_datasets(config(output, "text"), words)[0]
    got = [marked(words, row["input_ids"], row["labels"]) for row in rows]
    return same(got, [f"\u27e6{row['text']}{words.eos_token}\u27e7" for row in output.rows])


CHECKS = {"conversation": conversations, "preference": pairs, "stepwise": steps, "text": texts}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("axolotl")
    for kind, output in report.outputs("axolotl", kinds=set(CHECKS)):
        report.run(f"{output.recipe}/{output.shape} {CHECKS[kind].__name__}", CHECKS[kind], output)
    report.close()
