"""Reads the shapes `trl`, `trl-prompt-completion` and `trl-implicit-prompt` with TRL's own trainers.

    python read_trl.py OUTPUTS [CASES]

Files go through `load_dataset`, as with TRL's command; each trainer prepares and collates the rows, and GRPO takes
one step, so that what its reward functions are given can be seen.
"""

import datetime
import json
import re

from common import (
    SCRATCH, Report, datasets_number, marked, plain, rendered, same, save_model, tokenizer, tool_schemas,
)

import datasets
import transformers
from datasets import load_dataset

datasets.disable_progress_bars()
transformers.utils.logging.set_verbosity_error()
words = tokenizer()
CAUSAL, SCORER = save_model(SCRATCH + "/causal"), save_model(SCRATCH + "/scorer", "scorer")


def load(output):
    if (output.folder / "README.md").exists():
        return load_dataset(str(output.folder), split="train")
    files, container = output.files()
    builder = {".jsonl": "json", ".jsonl.zst": "json", ".parquet": "parquet", ".arrow": "arrow"}[container]
    return load_dataset(builder, data_files={"train": [str(f) for f in files]}, split="train")


def number(output):
    container = output.files()[1]
    return lambda value: datasets_number(value, container)


def arguments(config, **more):
    return config(
        output_dir=SCRATCH + "/out", max_length=None, report_to=[], bf16=False, use_cpu=True, remove_unused_columns=True,
        per_device_train_batch_size=2, gradient_checkpointing=False, disable_tqdm=True, **more,
    )


def collated(trainer):
    """The batches as the model would get them, row by row."""
    columns = trainer._signature_columns
    if columns is None:
        trainer._set_signature_columns_if_needed()
        columns = trainer._signature_columns
    rows = [{k: v for k, v in row.items() if k in columns} for row in trainer.train_dataset]
    return [trainer.data_collator([row]) for row in rows]


def sft(output, assistant_only):
    from trl import SFTConfig, SFTTrainer

    made = SFTTrainer(
        model=CAUSAL, processing_class=words, train_dataset=load(output),
        args=arguments(SFTConfig, assistant_only_loss=assistant_only),
    )
    return [marked(words, b["input_ids"][0], b["labels"][0]) for b in collated(made)]


def conversations(output):
    expected = [rendered(row["turns"], tool_schemas(row)) for row in output.rows]
    note = same(sft(output, True), expected, number(output))
    output.check_unfit()
    return note


def completions(output):
    # The newline behind the end of the turn belongs to the completion too, since TRL takes all behind the prompt.
    expected = [
        rendered(row["turns"], tool_schemas(row), "last").replace("\u27e7\n", "\n\u27e7") for row in output.rows
    ]
    note = same(sft(output, False), expected, number(output))
    output.check_unfit()
    return note


def texts(output):
    return same(sft(output, False), [f"\u27e6{row['text']}{words.eos_token}\u27e7" for row in output.rows])


def pair_texts(row):
    prompt = rendered(row["prompt"], tool_schemas(row), "none", opened=True)
    return prompt, [row[side]["text"] + words.eos_token + "\n" for side in ("chosen", "rejected")]


def dpo(output):
    from trl import DPOConfig, DPOTrainer

    made = DPOTrainer(
        model=CAUSAL, ref_model=None, processing_class=words, train_dataset=load(output), args=arguments(DPOConfig)
    )
    got = []
    for batch in collated(made):
        for ids, mask, attention in zip(batch["input_ids"], batch["completion_mask"], batch["attention_mask"]):
            got.append(marked(words, ids[attention.bool()], mask[attention.bool()]))
    expected = []
    for row in output.rows:
        prompt, sides = pair_texts(row)
        expected += [f"{prompt}\u27e6{side}\u27e7" for side in sides]
    # Which side is which: the collator writes the chosen ones first.
    chosen = [plain(words, row["chosen_ids"]) for row in made.train_dataset]
    assert sorted(chosen) == sorted(pair_texts(row)[1][0] for row in output.rows), chosen
    return same(got, expected)


def reward(output):
    from trl import RewardConfig, RewardTrainer

    made = RewardTrainer(model=SCORER, processing_class=words, train_dataset=load(output), args=arguments(RewardConfig))
    got, margins = [], []
    for batch in collated(made):
        half = len(batch["input_ids"]) // 2
        for name, ids, attention in zip(
            ["chosen"] * half + ["rejected"] * half, batch["input_ids"], batch["attention_mask"]
        ):
            got.append(f"{name}: {plain(words, ids[attention.bool()])}")
        margins += batch["margin"].tolist() if "margin" in batch else [None] * half
    expected = []
    for row in output.rows:
        prompt, sides = pair_texts(row)
        expected += [f"{name}: {prompt}{side}" for name, side in zip(("chosen", "rejected"), sides)]
    wanted = [row.get("margin") for row in output.rows]
    assert sorted(margins, key=str) == sorted((m if m is None else float(m) for m in wanted), key=str), (margins, wanted)
    return same(got, expected)


def kto(output):
    from trl import KTOConfig, KTOTrainer

    made = KTOTrainer(
        model=CAUSAL, ref_model=None, processing_class=words, train_dataset=load(output), args=arguments(KTOConfig)
    )
    got = [
        f"{row['label']}: {plain(words, row['prompt_ids'])}\u27e6{plain(words, row['completion_ids'])}\u27e7"
        for row in made.train_dataset
    ]
    expected = [
        f"{row['label']}: {rendered(row['prompt'], tool_schemas(row), 'none', opened=True)}"
        f"\u27e6{row['answer']['text']}{words.eos_token}\n\u27e7"
        for row in output.rows
    ]
    return same(got, expected)


def grpo(output):
    from trl import GRPOConfig, GRPOTrainer

    seen = {}

    def score(prompts, completions, answer, **others):
        for prompt, one in zip(prompts, answer):
            seen[json.dumps(prompt, ensure_ascii=False, sort_keys=True)] = one
        return [0.0] * len(prompts)

    rows = load(output)
    config = GRPOConfig(
        output_dir=SCRATCH + "/out", report_to=[], bf16=False, use_cpu=True, disable_tqdm=True, num_generations=2,
        per_device_train_batch_size=2, max_completion_length=2, num_train_epochs=1, gradient_checkpointing=False,
        save_strategy="no", logging_strategy="no",
    )
    made = GRPOTrainer(model=CAUSAL, processing_class=words, reward_funcs=score, train_dataset=rows, args=config)
    made.train()
    expected = {
        json.dumps([{"role": t["role"], "content": t["text"]} for t in row["prompt"]], ensure_ascii=False, sort_keys=True):
        row["reference"]
        for row in output.rows
    }
    note = ""
    if output.files()[1].startswith(".jsonl") and all(re.fullmatch(r"\d{4}-\d\d-\d\d", a) for a in expected.values()):
        # The loader of JSON Lines takes a column of dates for timestamps; features of a README.md that say text get
        # the timestamps' text.
        expected = {prompt: datetime.datetime.fromisoformat(answer) for prompt, answer in expected.items()}
        if (output.folder / "README.md").exists():
            expected = {prompt: str(day) for prompt, day in expected.items()}
        note = ", whose answers the loader turned into timestamps"
    assert seen == expected, f"reward function was given {seen}, {expected} expected"
    got = [words.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False) for row in rows]
    return same(got, [rendered(row["prompt"], (), "none", opened=True) for row in output.rows]) + note


def steps(output):
    # No trainer of TRL 1.16 reads these rows; the columns are what its PRM trainer read.
    got = [f"{row['prompt']}|{list(row['completions'])}|{list(row['labels'])}" for row in load(output)]
    return same(got, [f"{row['question']}|{row['steps']}|{row['labels']}" for row in output.rows])


CHECKS = {
    ("conversation", "trl"): [conversations],
    ("conversation", "trl-prompt-completion"): [completions],
    ("preference", "trl"): [dpo, reward],
    ("preference", "trl-implicit-prompt"): [dpo, reward],
    ("labelled", "trl"): [kto],
    ("prompt", "trl"): [grpo],
    ("stepwise", "trl"): [steps],
    ("text", "trl"): [texts],
}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("trl")
    for kind, output in report.outputs("trl", "trl-prompt-completion", "trl-implicit-prompt"):
        for check in CHECKS[kind, output.shape]:
            report.run(f"{output.recipe}/{output.shape} {check.__name__}", check, output)
    report.close()
