"""Reads the shape `verl` (Parquet) with verl's own datasets for fine-tuning and for reinforcement learning.

    python read_verl.py OUTPUTS [CASES]
"""

from common import Report, marked, plain, rendered, same, tokenizer

from omegaconf import OmegaConf
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

words = tokenizer()


def files(output):
    found, container = output.files()
    assert container == ".parquet", f"verl reads Parquet, not {container}"
    return [str(f) for f in found]


def conversations(output):
    plan = OmegaConf.create({"messages_key": "messages", "max_length": 1 << 14, "pad_mode": "no_padding"})
    made = MultiTurnSFTDataset(files(output), words, plan)
    got = [marked(words, row["input_ids"], row["loss_mask"]) for row in (made[i] for i in range(len(made)))]
    note = same(got, [rendered(row["turns"]).replace("\u27e7\n", "\n\u27e7") for row in output.rows])
    output.check_unfit()
    return note


def prompts(output):
    plan = OmegaConf.create({"prompt_key": "prompt", "max_prompt_length": 1 << 14, "filter_overlong_prompts": True})
    made = RLHFDataset(files(output), words, plan)
    rows = [made[i] for i in range(len(made))]
    batch = collate_fn(rows)
    assert len(set(batch["index"])) == len(output.rows), f"indexes {list(batch['index'])}"
    got = []
    for row in rows:
        ids = words.apply_chat_template(row["raw_prompt"], add_generation_prompt=True, tokenize=True, return_dict=False)
        # What the reward manager gives to the scoring function.
        truth = row["reward_model"]["ground_truth"]
        assert isinstance(row["data_source"], str), row
        got.append(f"{truth!r} {plain(words, ids)}")
    expected = [f"{row['reference']!r} " + rendered(row["prompt"], (), "none", opened=True) for row in output.rows]
    return same(got, expected)


def rewards(output):
    plan = OmegaConf.create({"prompt_key": "prompt", "max_prompt_length": 1 << 14, "filter_overlong_prompts": True})
    made = RLHFDataset(files(output), words, plan)
    rows = {row["data_source"]: row for row in (made[i] for i in range(len(made)))}
    collate_fn(list(rows.values()))
    for case in output.rows:
        own, row = case["own"], rows[case["own"]["data_source"]]
        for name in ("ability", "agent_name", "reward_model"):
            assert row[name] == own[name], (name, row[name], own[name])
        extra = {"index": row["index"]} | own["extra_info"]
        assert row["extra_info"] == extra, (row["extra_info"], extra)
        assert isinstance(row["index"], type(own["extra_info"].get("index", 0))), row["index"]
        for name in ("tools_kwargs", "interaction_kwargs"):
            assert row[name] == own["extra_info"].get(name, {}), (name, row[name])
    got = [words.apply_chat_template(row["raw_prompt"], add_generation_prompt=True, tokenize=False) for row in rows.values()]
    return same(got, [rendered(row["prompt"], (), "none", opened=True) for row in output.rows])


CHECKS = {"conversation": conversations, "prompt": prompts, "reward": rewards}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("verl")
    for kind, output in report.outputs("verl", kinds=set(CHECKS)):
        report.run(f"{output.recipe}/{output.shape} {CHECKS[kind].__name__}", CHECKS[kind], output)
    report.close()
