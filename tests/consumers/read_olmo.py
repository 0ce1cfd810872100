"""Loads the shape `olmo` with OLMo-core, and compares what a model would be given with the rows of `tokens`.

    python read_olmo.py DATAC FOLDER

Makes a workspace in FOLDER whose recipes have both shapes, and builds it. Runs in the environment `olmo`, without an accelerator.
"""

import collections
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys

os.environ.update(CUDA_VISIBLE_DEVICES="", OLMO_DATA_PREP_USE_ARRAY_IF_LOCAL="false")

import pyarrow.parquet
import yaml
from olmo_core.data import DataCollator, NumpyFSLDatasetConfig, NumpyPackedFSLDatasetConfig, NumpyPaddedFSLDatasetConfig, TokenizerConfig
from olmo_core.data.utils import get_labels

SIDES = {"train": "train", "val": "validation", "test": "test"}
Document = tuple[tuple[int, ...], tuple[bool, ...]]


def make(folder: pathlib.Path) -> None:
    """A workspace: texts, and dialogues with a mask, whose template ends each turn with the token that ends a text."""
    random.seed(1)
    words = ["alpha", "beta", "é", "三", "\n", "gamma.", "  ", "🙂", "x = 1", "delta"]
    text = lambda: " ".join(random.choices(words, k=random.randint(1, 60)))
    for name in ("data", "config"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    say = lambda role, content: {"role": role, "content": content}
    texts = [{"text": f"{number} {text()}"} for number in range(300)]
    chats = [
        {"messages": [say("user", f"{number} {text()}"), say("assistant", text() + "."), say("user", "?"), say("assistant", "!")]}
        for number in range(300)
    ]
    for name, rows in (("texts", texts), ("chats", chats)):
        (folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    for name, phase, shards in (("texts", "pretrain", 1), ("chats", "sft", 2)):
        (folder / "config" / f"{name}.yaml").write_text(
            f"metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: {name}, source: data/{name}.jsonl }}\n"
            "model: datac/sample\nvalidation: { ratio: 0.2, seed: 1 }\ntest: { ratio: 0.1 }\n"
            f"output: [{{ shape: tokens, id: true }}, {{ shape: olmo, id: true, shards: {shards} }}]\n"
        )


def build(datac: str, folder: pathlib.Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATAC_")} | {"DATAC_HUB": "sample"}
    subprocess.run([datac, "-C", folder, "build", "--quiet"], env=environment, check=True)


def document(ids: list[int], mask: list[bool]) -> Document:
    return tuple(ids), tuple(map(bool, mask))


def rows_of(folder: pathlib.Path, side: str) -> list[tuple[str, Document]]:
    """The id of each row of `tokens`, its ids, and which are trained on: never the first, which nothing of the row predicts."""
    table = pyarrow.parquet.read_table(folder / "tokens" / f"{side}.parquet").to_pylist()
    return [(row["id"], document(row["input_ids"], [False] + [label != -100 for label in row["labels"][1:]])) for row in table]


def trained(instance: dict) -> list[int]:
    """The labels that a trainer computes of an instance."""
    return get_labels(DataCollator(pad_token_id=0)([instance]))[0].tolist()


def labels_of(ids: list[int], mask: list[bool]) -> list[int]:
    return [token if on else -100 for token, on in zip(ids[1:], mask[1:], strict=True)] + [-100]


def check(folder: pathlib.Path, name: str, work: pathlib.Path) -> None:
    groups = yaml.safe_load((folder / "olmo" / "olmo.yaml").read_text())
    for side, word in SIDES.items():
        group, rows = groups[word], rows_of(folder, side)
        group |= {key: [str(folder / "olmo" / path) for path in group[key]] for key in ("paths", "label_mask_paths")}
        expected = [row for _, row in rows]
        longest = max(len(ids) for ids, _ in expected)
        tokenizer = TokenizerConfig(vocab_size=1000, eos_token_id=expected[0][0][-1], pad_token_id=0)
        common = {"tokenizer": tokenizer, "work_dir": str(work)}

        named = [line.rstrip("\n").split(",") for path in group["paths"] for line in gzip.open(path.replace(".npy", ".csv.gz"), "rt")]
        assert [line[2] for line in named] == [row for row, _ in rows], "the ids of rows"

        # A document in each instance, padded.
        padded = NumpyPaddedFSLDatasetConfig(sequence_length=longest, **common, **{key: value for key, value in group.items() if key != "use_array_if_local"}).build()
        padded.prepare()
        assert len(padded) == len(rows), f"{name} {side}: {len(padded)} instances for {len(rows)} rows"
        for number, (ids, mask) in enumerate(expected):
            instance, rest = padded[number], longest - len(ids)
            got = instance["input_ids"].tolist(), instance["label_mask"].tolist()
            assert got == ([*ids] + [0] * rest, [*mask] + [False] * rest), (number, got, ids, mask)
            assert trained(instance) == labels_of([*ids] + [0] * rest, [*mask] + [False] * rest)

        # Whole documents in each instance, whose length it wants to be a power of two.
        packed = NumpyPackedFSLDatasetConfig(sequence_length=2 << longest.bit_length(), generate_doc_lengths=True, **common, **group).build()
        packed.prepare()
        found, instances = [], len(packed)
        for number in range(instances):
            instance = packed[number]
            ids, mask, at = instance["input_ids"].tolist(), instance["label_mask"].tolist(), 0
            assert trained(instance) == labels_of(ids, mask)
            for length in instance["doc_lens"].tolist():
                found.append(document(ids[at : at + length], mask[at : at + length]))
                at += length
        # What is padded is a document or several of their own, of nothing that is trained on.
        found = collections.Counter(row for row in found if any(row[1]) or set(row[0]) != {0})
        assert found == collections.Counter(expected), f"{name} {side}: documents of packed instances"

        # All ids, one after another, cut into instances of one length.
        cut = NumpyFSLDatasetConfig(sequence_length=32, **common, **{key: value for key, value in group.items() if key != "use_array_if_local"}).build()
        cut.prepare()
        got, place = [], 0
        for number in range(len(cut)):
            instance = cut[number]
            got += zip(instance["input_ids"].tolist(), instance["label_mask"].tolist())
        # What is left of a file is dropped.
        shards = len(group["paths"])
        bounds = [len(rows) * number // shards for number in range(shards + 1)]
        stream = []
        for begin, end in zip(bounds, bounds[1:]):
            own = [pair for ids, mask in expected[begin:end] for pair in zip(ids, mask)]
            stream += own[: len(own) // 32 * 32]
        assert got == stream, f"{name} {side}: instances of one length"
        tokens, on = sum(len(ids) for ids, _ in expected), sum(sum(mask) for _, mask in expected)
        print(f"ok  {name} {side}: {len(rows)} documents, {tokens} ids, {on} trained on; {instances} packed instances, {len(cut)} of 32 ids")


def main() -> None:
    datac, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    make(folder)
    for round in range(2):
        build(datac, folder)
        check(folder / "dataset" / "pretrain_texts", "pretrain_texts", folder / "work")
        check(folder / "dataset" / "sft_chats", "sft_chats", folder / "work")
        if round == 0:
            # What OLMo-core keeps of the files of the first round must not be used for those of the second.
            path = folder / "data" / "chats.jsonl"
            path.write_text(path.read_text().replace('"content": "7 ', '"content": "8 x ').replace('"content": "9 ', '"content": "9 y '))
            print("ok  rebuilt after an edit, beside what was kept of the first build")


if __name__ == "__main__":
    main()
