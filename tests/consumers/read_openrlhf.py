"""Reads the shape `openrlhf` with OpenRLHF's own datasets.

    python read_openrlhf.py OUTPUTS [CASES]

The keys are those of the flags `--data.input_key` and so on. Labels come as a loss mask for the token that follows,
so they are moved by one here. The text's trailing newlines are cut by the trainer.
"""

import datetime
import re
import types

from common import Report, datasets_number, marked, plain, rendered, same, tokenizer

from openrlhf.datasets import PromptDataset, RewardDataset, SFTDataset
from openrlhf.datasets.utils import blending_datasets

words = tokenizer()


def strategy(**data):
    args = types.SimpleNamespace(data=types.SimpleNamespace(**data), use_ms=False)
    return types.SimpleNamespace(args=args, print=lambda *what: None, is_rank_0=lambda: False)


def load(output, plan):
    files, _ = output.files()
    return blending_datasets(",".join(str(f) for f in files), None, plan)


def shifted(ids, mask):
    mask = [0] + [int(m) for m in mask[0]][:-1]
    return marked(words, ids[0], mask)


def conversations(output):
    # Tools do not reach the template: rows that have some must not be in the file.
    plan = strategy(input_key="messages", apply_chat_template=True)
    made = SFTDataset(load(output, plan), words, 1 << 16, plan, num_processors=1, multiturn=True)
    got = [shifted(ids, mask) for ids, _, mask in (made[i] for i in range(len(made)))]
    expected = [rendered(row["turns"]).replace("\u27e7\n", "\n\u27e7") for row in output.rows]
    expected = [text.removesuffix("\n\u27e7") + "\u27e7" if text.endswith("\n\u27e7") else text for text in expected]
    note = same(got, expected, lambda value: datasets_number(value, output.files()[1]))
    output.check_unfit()
    return note


def pairs(output):
    plan = strategy(prompt_key="prompt", chosen_key="chosen", rejected_key="rejected", apply_chat_template=True)
    made = RewardDataset(load(output, plan), words, 1 << 16, plan, is_dpo=True, num_processors=1)
    got, expected = [], []
    for i in range(len(made)):
        chosen, _, rejected, _, length = made[i]
        for side, ids in (("chosen", chosen), ("rejected", rejected)):
            got.append(f"{side}: {plain(words, ids[0][:length])}\u27e6{plain(words, ids[0][length:])}\u27e7")
    for row in output.rows:
        prompt = rendered(row["prompt"], (), "none", opened=True)
        expected += [f"{side}: {prompt}\u27e6{row[side]['text']}{words.eos_token}\u27e7" for side in ("chosen", "rejected")]
    margins = RewardDataset(load(output, plan), words, 1 << 16, plan, num_processors=1).extras
    wanted = [row.get("margin", 0) for row in output.rows]
    assert sorted(margins) == sorted(wanted), (list(margins), wanted)
    return same(got, expected)


def prompts(output):
    plan = strategy(input_key="prompt", label_key="label", apply_chat_template=True)
    made = PromptDataset(load(output, plan), words, plan)
    got, expected, note = [], [], ""
    dates = all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["reference"]) for row in output.rows)
    for i in range(len(made)):
        source, prompt, label, _ = made[i]
        if dates and isinstance(label, datetime.datetime):
            label, note = label.date().isoformat(), ", whose labels the loader turned into timestamps"
        got.append(f"{label!r} {prompt}")
    for row in output.rows:
        expected.append(f"{row['reference']!r} " + rendered(row["prompt"], (), "none", opened=True))
    return same(got, expected) + note


CHECKS = {"conversation": conversations, "preference": pairs, "prompt": prompts}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("openrlhf")
    for kind, output in report.outputs("openrlhf", kinds=set(CHECKS)):
        report.run(f"{output.recipe}/{output.shape} {CHECKS[kind].__name__}", CHECKS[kind], output)
    report.close()
