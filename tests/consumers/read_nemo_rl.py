"""Reads the shape `nemo-rl` with NeMo-RL's own datasets and processors, from a checkout, since its package is empty.

    NEMO_RL=CHECKOUT python read_nemo_rl.py OUTPUTS [CASES]
"""

import os
import sys

from common import Report, datasets_number, marked, rendered, same, tokenizer, tool_schemas

sys.path.insert(0, os.environ["NEMO_RL"])

import torch
from nemo_rl.data.datasets.preference_datasets.preference_dataset import PreferenceDataset
from nemo_rl.data.datasets.response_datasets.oai_format_dataset import OpenAIFormatDataset
from nemo_rl.data.interfaces import TaskDataSpec
from nemo_rl.data.llm_message_utils import add_loss_mask_to_message_log
from nemo_rl.data.processors import preference_preprocessor, sft_processor

words = tokenizer()
task = TaskDataSpec(task_name="bench")


def text(log, **how):
    add_loss_mask_to_message_log([log], **how)
    return marked(words, torch.cat([m["token_ids"] for m in log]), torch.cat([m["token_loss_mask"] for m in log]))


def whole(text):
    """It trains on all that the template writes for an answer: its head too, and what follows its end."""
    text = text.replace("<|im_start|>assistant\n\u27e6", "\u27e6<|im_start|>assistant\n").replace("\u27e7\n", "\n\u27e7")
    return text.replace("\u27e7\u27e6", "")


def conversations(output):
    got = []
    for file in output.files()[0]:
        rows = OpenAIFormatDataset(str(file), use_preserving_dataset=True).dataset
        for row in rows:
            made = sft_processor(row, task, words, 1 << 16, 0)
            got.append(text(made["message_log"], roles_to_train_on=["assistant"]))
    note = same(got, [whole(rendered(row["turns"], tool_schemas(row))) for row in output.rows])
    output.check_unfit()
    return note


def pairs(output):
    got, expected = [], []
    files, container = output.files()
    for file in files:
        for row in PreferenceDataset(str(file), split="train").dataset:
            made = preference_preprocessor(row, task, words, 1 << 16, 0)
            for side in ("chosen", "rejected"):
                got.append(f"{side}: " + text(made[f"message_log_{side}"], only_unmask_final=True))
    for row in output.rows:
        for side in ("chosen", "rejected"):
            expected.append(f"{side}: " + whole(rendered([*row["prompt"], row[side]], tool_schemas(row), "last")))
    return same(got, expected, lambda value: datasets_number(value, container))


CHECKS = {"conversation": conversations, "preference": pairs}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("nemo-rl")
    for kind, output in report.outputs("nemo-rl", kinds=set(CHECKS)):
        report.run(f"{output.recipe}/{output.shape} {CHECKS[kind].__name__}", CHECKS[kind], output)
    report.close()
