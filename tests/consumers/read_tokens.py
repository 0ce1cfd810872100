"""Loads the shape `tokens` with trainers, as the files beside the rows say, and compares what a model would be given.

    python read_tokens.py FOLDER

FOLDER is what `tokens.py` made. Runs in the environment `trl` (TRL's SFTTrainer, and the Trainer of transformers), in `axolotl`
and in `skyrl`. Each token and each label of each batch is held against the Parquet, Arrow or JSON lines file itself.
"""

import importlib.util
import itertools
import json
import os
import pathlib
import sys

os.environ.update(AXOLOTL_DO_NOT_TRACK="1", AXOLOTL_IS_PREPROCESS="1")

from common import SCRATCH, save_model

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import yaml

OUTPUTS = ["sft_own", "sft_own_packed", "sft_own_training", "sft_own_arrow", "sft_own_jsonl", "pretrain_texts"]
Sequence = tuple[tuple[int, ...], tuple[int, ...]]


def rows_of(folder: pathlib.Path, side: str) -> list[Sequence]:
    """The ids and labels of the rows, without a trainer and without `datasets`."""
    rows = []
    for path in sorted(folder.glob(f"{side}*")):
        if path.suffix == ".parquet":
            rows += pa.parquet.read_table(path).to_pylist()
        elif path.suffix == ".arrow":
            with path.open("rb") as opened:
                rows += pa.ipc.open_stream(opened).read_all().to_pylist()
        else:
            rows += [json.loads(line) for line in path.open("rb")]
    if rows and "seq_lengths" in rows[0]:
        return [sample for row in rows for sample in apart(row["input_ids"], row["labels"], row["seq_lengths"])]
    return [(tuple(row["input_ids"]), tuple(row["labels"])) for row in rows]


def apart(ids: list[int], labels: list[int], lengths: list[int]) -> list[Sequence]:
    """The samples of a packed row."""
    ends = list(itertools.accumulate(lengths))
    assert ends[-1] == len(ids) == len(labels)
    return [(tuple(ids[end - length : end]), tuple(labels[end - length : end])) for end, length in zip(ends, lengths)]


def unpacked(batch) -> list[Sequence]:
    """The samples of a batch without padding: positions begin again at each, and attention is told where it ends."""
    assert "attention_mask" not in batch and batch["input_ids"].shape[0] == 1, batch
    positions = batch["position_ids"][0].tolist()
    starts = [place for place, position in enumerate(positions) if position == 0] + [len(positions)]
    assert batch["cu_seq_lens_q"].tolist() == starts, (starts, batch)
    lengths = [end - start for start, end in zip(starts, starts[1:])]
    assert positions == [place for length in lengths for place in range(length)]
    return apart(batch["input_ids"][0].tolist(), batch["labels"][0].tolist(), lengths)


def unpadded(batch) -> list[Sequence]:
    """The rows of a batch, where attention is paid; what is padded must not be trained on."""
    rows = []
    for ids, labels, mask in zip(*(batch[name].tolist() for name in ("input_ids", "labels", "attention_mask"))):
        length = sum(mask)
        assert mask == [1] * length + [0] * (len(mask) - length) and set(labels[length:]) <= {-100}, (mask, labels)
        rows.append((tuple(ids[:length]), tuple(labels[:length])))
    return rows


def same(got: list[Sequence], expected: list[Sequence], ordered: bool = True) -> str:
    if not ordered:
        got, expected = sorted(got), sorted(expected)
    assert len(got) == len(expected), f"{len(got)} rows instead of {len(expected)}"
    for number, (one, other) in enumerate(zip(got, expected)):
        assert one == other, f"row {number}: {one} instead of {other}"
    return f"{len(got)} rows, the longest of {max(len(ids) for ids, _ in got)} tokens, {sum(len(ids) for ids, _ in got)} in all"


def trl(folder: pathlib.Path) -> str:
    from datasets import load_dataset
    from trl import ModelConfig, ScriptArguments, SFTConfig, SFTTrainer, TrlParser

    config = folder / "trl.yaml"
    here = os.getcwd()
    os.chdir(folder)
    try:
        line = ["--config", str(config), "--model_name_or_path", CAUSAL, "--output_dir", SCRATCH + "/out", "--report_to", "none"]
        line += ["--bf16", "false", "--use_cpu", "true", "--per_device_train_batch_size", "4", "--per_device_eval_batch_size", "4"]
        parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig))
        script, arguments, model, unknown = parser.parse_args_and_config(line, return_remaining_strings=True)
        assert not unknown, unknown
        rows = load_dataset(script.dataset_name, name=script.dataset_config)
    finally:
        os.chdir(here)
    made = SFTTrainer(
        model=model.model_name_or_path, args=arguments, train_dataset=rows[script.dataset_train_split],
        eval_dataset=rows[script.dataset_test_split] if arguments.eval_strategy != "no" else None,
    )
    samples = unpacked if arguments.padding_free else unpadded
    got = [row for batch in made.get_train_dataloader() for row in samples(batch)]
    note = same(got, rows_of(folder, "train"), ordered=False)
    if arguments.eval_strategy != "no":
        same([row for batch in made.get_eval_dataloader() for row in samples(batch)], rows_of(folder, "val"))
        note += ", and validation"
    return note


def transformers(folder: pathlib.Path) -> str:
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    words = AutoTokenizer.from_pretrained(CAUSAL)
    arguments = TrainingArguments(
        output_dir=SCRATCH + "/out", report_to=[], use_cpu=True, per_device_train_batch_size=4, disable_tqdm=True, max_steps=1
    )
    model = AutoModelForCausalLM.from_pretrained(CAUSAL)
    made = Trainer(
        model=model, args=arguments, train_dataset=load_dataset(str(folder), split="train"),
        data_collator=DataCollatorForSeq2Seq(words, model=model),
    )
    got = [row for batch in made.get_train_dataloader() for row in unpadded(batch)]
    made.train()
    return same(got, rows_of(folder, "train"), ordered=False) + ", and a step"


def axolotl(folder: pathlib.Path) -> str:
    from axolotl.cli.config import load_cfg
    from axolotl.utils.data.sft import prepare_datasets
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq

    told = yaml.safe_load((folder / "axolotl.yaml").read_text("utf-8"))
    given = {
        "base_model": CAUSAL, "micro_batch_size": 1, "gradient_accumulation_steps": 1, "num_epochs": 1, "learning_rate": 1e-5,
        "optimizer": "adamw_torch", "dataset_prepared_path": f"{SCRATCH}/axolotl-{folder.parent.name}", "dataset_num_proc": 1,
        "output_dir": SCRATCH + "/out", "bf16": False, "use_cpu": True,
        # Axolotl leaves out what is longer, and without the key what is longer than 512.
        "sequence_len": max(len(ids) for side in ("train", "val") for ids, _ in rows_of(folder, side)),
    }  # fmt: skip
    path = pathlib.Path(SCRATCH) / f"{folder.parent.name}.yaml"
    path.write_text(yaml.safe_dump(given | told), "utf-8")
    here = os.getcwd()
    os.chdir(folder)
    try:
        config = load_cfg(str(path))
        words = AutoTokenizer.from_pretrained(CAUSAL)
        train, validation, *_ = prepare_datasets(config, words)
    finally:
        os.chdir(here)
    collate = DataCollatorForSeq2Seq(words)
    note = ""
    for side, rows in (("train", train), ("val", validation)):
        batches = (collate([{name: row[name] for name in ("input_ids", "labels", "attention_mask")}]) for row in rows)
        note += ("" if side == "train" else ", validation ") + same(
            [row for batch in batches for row in unpadded(batch)], rows_of(folder, side), ordered=False
        )
    return note


def skyrl(folder: pathlib.Path) -> str:
    from skyrl.train.dataset.pretokenized import load_from_pretokenized

    folder = folder.parent / "skyrl-tokens"
    told = yaml.safe_load((folder / "skyrl.yaml").read_text("utf-8"))
    note = ""
    for side, key in (("train", "pretokenized_dataset_paths"), ("val", "eval_pretokenized_dataset_paths")):
        got = []
        for name in told[key]:
            for row in load_from_pretokenized(str(folder / name)):
                ids, window = row["input_ids"], row["loss_mask"]
                assert len(window) == row["num_actions"] and row["attention_mask"] == [1] * len(ids), row
                mask = [0] * (len(ids) - len(window)) + window
                got.append((tuple(ids), tuple(one if is_trained else -100 for one, is_trained in zip(ids, mask))))
        note += ("" if side == "train" else ", validation ") + same(got, rows_of(folder.parent / "tokens", side))
    return note


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    CAUSAL = save_model(SCRATCH + "/causal")
    readers = [axolotl] if importlib.util.find_spec("axolotl") else [skyrl] if importlib.util.find_spec("skyrl") else [trl, transformers]
    failed = 0
    for output in OUTPUTS:
        for reader in readers:
            if output == "sft_own_packed" and reader is not trl:
                continue
            if reader is skyrl and output not in ("sft_own", "sft_own_training"):
                continue
            folder = (pathlib.Path(sys.argv[1]) / "dataset" / output / "tokens").resolve()
            try:
                print(f"ok    {output} {reader.__name__}: {reader(folder)}", file=out, flush=True)
            except BaseException as error:  # SystemExit too: some trainers exit on bad rows
                failed += 1
                print(f"FAIL  {output} {reader.__name__}: {type(error).__name__}: {str(error)[:1500]}", file=out, flush=True)
    os._exit(bool(failed))
