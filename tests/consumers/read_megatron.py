"""Loads the shape `megatron` with megatron-core, and compares what a model would be given with the rows of `tokens`.

    python read_megatron.py DATAC FOLDER

Makes a workspace in FOLDER whose recipes have both shapes, and builds it. Runs in the environment `megatron`, without an accelerator.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import types

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy
import pyarrow.parquet
import torch
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import DType, IndexedDataset
from megatron.core.datasets.utils import get_blend_from_list

SIDES = {"train": "train", "val": "valid", "test": "test"}
SEQUENCE_LENGTH = 48


def make(folder: pathlib.Path) -> None:
    """A workspace: texts, and dialogues of which some are trained on as a whole."""
    random.seed(1)
    words = ["alpha", "beta", "é", "三", "\n", "gamma.", "  ", "🙂", "x = 1", "delta"]
    text = lambda: " ".join(random.choices(words, k=random.randint(1, 60)))
    for name in ("data", "config"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    texts = [{"text": f"{number} {text()}"} for number in range(400)]
    say = lambda role, content, **more: {"role": role, "content": content, **more}
    chats = [
        {"messages": [say("user", f"{number} {text()}"), say("assistant", text() + ".", **({} if number % 3 else {"train": False})), say("user", "?"), say("assistant", "!")]}
        for number in range(200)
    ]
    for name, rows in (("texts", texts), ("chats", chats)):
        (folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    for name, phase, source, shards in (("texts", "pretrain", "texts", 2), ("chats", "sft", "chats", 1)):
        (folder / "config" / f"{name}.yaml").write_text(
            f"metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: {source}, source: data/{source}.jsonl }}\n"
            "model: { source: datac/sample, train_on: all }\nvalidation: { ratio: 0.2, seed: 1 }\ntest: { ratio: 0.1 }\n"
            f"output: [tokens, {{ shape: megatron, shards: {shards} }}]\n"
        )


def build(datac: str, folder: pathlib.Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATAC_")} | {"DATAC_HUB": "sample"}
    subprocess.run([datac, "-C", folder, "build", "--quiet"], env=environment, check=True)


def rows_of(folder: pathlib.Path, side: str) -> list[tuple[list[int], list[int]]]:
    table = pyarrow.parquet.read_table(folder / "tokens" / f"{side}.parquet").to_pylist()
    return [(row["input_ids"], row["labels"]) for row in table]


def arguments(folder: pathlib.Path) -> dict[str, list[str]]:
    """What `megatron.args` says, by the name of each argument."""
    lines = (line for line in (folder / "megatron.args").read_text().splitlines() if not line.startswith("#"))
    return {name: rest.split() for name, _, rest in (line.partition(" ") for line in lines)}


def documents(prefix: str, vocabulary: int) -> list[list[int]]:
    dataset = IndexedDataset(prefix)
    assert dataset.index.dtype == DType.optimal_dtype(vocabulary), dataset.index.dtype
    count = len(dataset)
    assert dataset.document_indices.tolist() == list(range(count + 1)), "a document is one sequence"
    assert dataset.index.sequence_pointers.tolist() == [0, *numpy.cumsum(dataset.sequence_lengths.astype(numpy.int64))[:-1] * dataset.index.dtype_size]
    return [dataset[number].tolist() for number in range(count)]


def samples(blends: list, cache: pathlib.Path, eod: int, vocabulary: int, mask_eod: bool) -> list:
    """The datasets of the sides, as `pretrain_gpt.py` builds them."""
    tokenizer = types.SimpleNamespace(eod=eod, eos=eod, pad=-1, vocab_size=vocabulary, unique_identifiers={"eod": eod})
    config = GPTDatasetConfig(
        random_seed=1, sequence_length=SEQUENCE_LENGTH, blend_per_split=blends, path_to_cache=str(cache), tokenizer=tokenizer,
        reset_position_ids=True, reset_attention_mask=True, eod_mask_loss=mask_eod, drop_last_partial_validation_sequence=False,
    )
    return BlendedMegatronDatasetBuilder(GPTDataset, [None, None, None], lambda: True, config).build()


def check_gpt(dataset: GPTDataset, whole: list[list[int]], eod: int, ends_with_eod: bool) -> int:
    """Holds each sample of a dataset against its documents, put in the order that it chose."""
    stream, firsts = [], set()
    for number in dataset.document_index:
        firsts.add(len(stream))
        stream += whole[number]
    seen, count = set(), len(dataset)
    for place in range(count):
        number = int(dataset.shuffle_index[place])
        begin = number * SEQUENCE_LENGTH
        part = stream[begin : begin + SEQUENCE_LENGTH + 1]
        sample = {name: value.tolist() for name, value in dataset[place].items() if name != "attention_mask"}
        missing = SEQUENCE_LENGTH + 1 - len(part)
        padded = part + [0] * missing
        assert (sample["tokens"], sample["labels"]) == (padded[:-1], padded[1:]), (place, sample, part)
        for at in range(SEQUENCE_LENGTH):
            is_real = at + 1 < len(part)
            # What `--eod-mask-loss` leaves out is the first token of a document, where a document ends with that token.
            is_first = ends_with_eod and begin + at + 1 in firsts
            assert sample["loss_mask"][at] == float(is_real and not is_first), (place, at)
        seen.add(number)
    assert seen == set(range(count))
    # What is left of the last sequence is dropped, but for validation.
    assert len(stream) - 1 - count * SEQUENCE_LENGTH < SEQUENCE_LENGTH, (len(stream), count)
    return count


def check(folder: pathlib.Path, name: str, vocabulary: int) -> None:
    at, told = folder / "megatron", arguments(folder / "megatron")
    blends, whole, counts = [], {}, {}
    for side, word in SIDES.items():
        prefixes = [str(at / prefix) for prefix in told[f"--{word}-data-path"]]
        read = [documents(prefix, vocabulary) for prefix in prefixes]
        expected = [ids for ids, labels in rows_of(folder, side) if -100 not in labels[1:]]
        got = [ids for part in read for ids in part]
        assert got == expected, f"{name} {side}: {len(got)} documents for {len(expected)} rows"
        whole |= dict(zip(prefixes, read))
        blends.append(get_blend_from_list(prefixes))
        counts[side] = (len(got), sum(map(len, got)), len(rows_of(folder, side)) - len(got))
    unfit = at / "unfit.jsonl"
    left = sum(1 for _ in unfit.open()) if unfit.exists() else 0
    assert left == sum(count for *_, count in counts.values()), (left, counts)
    # The token that ends a text; the template of dialogues ends them otherwise.
    ends = {ids[-1] for ids in (ids for part in whole.values() for ids in part)}
    assert len(ends) == 1, ends
    eod, total = ends.pop(), 0
    ends_with_eod = all(ids.count(eod) == 1 for part in whole.values() for ids in part)
    assert ends_with_eod == (name == "pretrain_texts")
    assert "--eod-mask-loss" in told
    for made in samples(blends, folder / "cache", eod, vocabulary, ends_with_eod):
        for dataset in getattr(made, "datasets", [made]):
            total += check_gpt(dataset, whole[dataset.dataset_path], eod, ends_with_eod)
    for side, (rows, ids, others) in counts.items():
        print(f"ok  {name} {side}: {rows} documents, {ids} ids, {others} rows trained on in part are left out")
    print(f"ok  {name}: {total} samples of GPTDataset, each token, label and place of the mask")


def main() -> None:
    datac, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    # A group of one process, as the builder of datasets asks for one.
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    make(folder)
    # The sample model has some hundred tokens, so its ids are of two bytes.
    vocabulary = 1000
    for round in range(2):
        build(datac, folder)
        check(folder / "dataset" / "pretrain_texts", "pretrain_texts", vocabulary)
        check(folder / "dataset" / "sft_chats", "sft_chats", vocabulary)
        if round == 0:
            # Two texts of one length change places: files of the same size, which the cache of the first round must not be used for.
            path = folder / "data" / "texts.jsonl"
            path.write_text(path.read_text().replace('"text": "7 ', '"text": "8 x ').replace('"text": "9 ', '"text": "9 y '))
            print("ok  rebuilt after an edit, beside the cache of the first build")


main()
