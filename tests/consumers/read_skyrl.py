"""Reads the shape `skyrl` with SkyRL's own loader of SFT rows and its dataset of prompts.

    python read_skyrl.py OUTPUTS [CASES]

The trainer's own cache of tokenized rows, whose key is the name of the folder, is off.
"""

import datetime
import types

from common import Report, datasets_number, marked, plain, rendered, same, tokenizer, tool_schemas

from skyrl.train.config.sft_config import SFTConfig, TrainOnWhat
from skyrl.train.dataset.dataset import PromptDataset
from skyrl.train.sft_trainer import SFTTrainer

words = tokenizer()


def tokenized(output, train_on_what):
    plan = SFTConfig(disable_cache=True, num_workers=0, max_length=1 << 16, train_on_what=train_on_what)
    trainer = types.SimpleNamespace(sft_cfg=plan, tokenizer=words, processor=None, is_vlm=False)
    rows = SFTTrainer._load_and_tokenize(trainer, str(output.folder), "train")
    return [
        marked(words, row["input_ids"], [0] * (len(row["input_ids"]) - row["num_actions"]) + list(row["loss_mask"]))
        for row in rows
    ]


def conversations(output):
    expected = [rendered(row["turns"], tool_schemas(row)) for row in output.rows]
    note = same(tokenized(output, TrainOnWhat.ALL_ASSISTANT_MESSAGES), expected)
    output.check_unfit()
    return note


def last_answers(output):
    expected = [rendered(row["turns"], tool_schemas(row), "last").replace("\u27e7\n", "\n\u27e7") for row in output.rows]
    return same(tokenized(output, TrainOnWhat.LAST_ASSISTANT_MESSAGE), expected)


def prompts(output):
    files, container = output.files()
    made = PromptDataset([str(f) for f in files], words, 1 << 14, num_workers=1)
    got, note = [], ""
    for row in made.collate_fn([made[i] for i in range(len(made))]):
        truth = row["env_extras"]["reward_spec"]["ground_truth"]
        if isinstance(truth, datetime.datetime):
            truth, note = truth.date().isoformat(), ", whose ground truth the loader turned into timestamps"
        ids = words.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=True, return_dict=False)
        got.append(f"{row['env_class']} {truth!r} {plain(words, ids)}")
    expected = [f"own {row['reference']!r} " + rendered(row["prompt"], (), "none", opened=True) for row in output.rows]
    return same(got, expected, lambda value: datasets_number(value, container)) + note


def rewards(output):
    files, _ = output.files()
    made = PromptDataset([str(f) for f in files], words, 1 << 14, num_workers=1)
    rows = {row["env_extras"]["data_source"]: row for row in made.collate_fn([made[i] for i in range(len(made))])}
    for case in output.rows:
        own, row = case["own"], rows[case["own"]["data_source"]]
        assert row["env_class"] == own["env_class"], row["env_class"]
        for name in ("reward_spec", "extra_info"):
            assert row["env_extras"][name] == own[name], (name, row["env_extras"][name])
    got = [words.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False) for row in rows.values()]
    return same(got, [rendered(row["prompt"], (), "none", opened=True) for row in output.rows])


CHECKS = {"conversation": [conversations, last_answers], "prompt": [prompts], "reward": [rewards]}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("skyrl")
    for kind, output in report.outputs("skyrl", kinds=set(CHECKS)):
        for check in CHECKS[kind]:
            report.run(f"{output.recipe}/{output.shape} {check.__name__}", check, output)
    report.close()
