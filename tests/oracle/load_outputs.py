#!/usr/bin/env python3
"""Loads what datac wrote as a trainer would, with Hugging Face `datasets`.

  load_outputs.py OUT [--files N]   N is how many files there should be, 16 for the recipes of the repository

Exit: 0 all load with the rows that stand in them, 1 something is wrong, 77 a module is missing.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

SHAPES = {"sft": ["conversations", "text", "source"], "dpo": ["chosen", "rejected", "source"],
          "rlaif": ["conversations", "source"]}


def check(path, load_dataset, cache):
    """What is wrong with one file, and the rows read from it."""
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        rows = load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
    except Exception as error:  # whatever `datasets` cannot read is a fault of the file
        return [f"does not load: {type(error).__name__}: {error}"], []
    wrong = []
    if len(rows) != len(lines):
        wrong.append(f"{len(rows)} rows load, but it has {len(lines)} lines")
    shape = SHAPES[path.name.split("_")[0]]
    if rows.column_names != shape:
        return [*wrong, f"columns {rows.column_names}, expected {shape}"], rows
    loaded = rows.to_list()
    written = [json.loads(line) for line in lines if line.strip()]
    for number, (line, row) in enumerate(zip(written, loaded), 1):
        if line != row:
            wrong.append(f"row {number} loads as something else: {str(row)[:300]}")
        for turns in (row[c] for c in shape if c not in ("text", "source")):
            roles = [m["role"] for m in turns]
            if not roles or set(roles) - {"user", "assistant"} or roles[0] != "user":
                wrong.append(f"row {number} has roles {roles}")
    return wrong, loaded


def check_with_trl(rows, data_utils):
    """What TRL makes of the first rows, with those of its functions that this version has."""
    wrong = []
    for number, row in enumerate(rows[:200], 1):
        # TRL looks for conversations under `messages`, `prompt`, `chosen` and the like.
        named = {"messages": row["conversations"]} if "conversations" in row else row
        if hasattr(data_utils, "is_conversational") and not data_utils.is_conversational(named):
            wrong.append(f"row {number} is no conversation to trl")
        if "chosen" in row and hasattr(data_utils, "extract_prompt"):
            split = data_utils.extract_prompt(row)
            # TRL cuts where the sides part; equal openings of two answers are whole messages, never parts of one.
            if split["prompt"] != row["chosen"][:-1]:
                wrong.append(f"row {number}: trl takes another prompt: {json.dumps(split['prompt'])[:300]}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=16)
    args = parser.parse_args()
    paths = sorted(args.out.glob("*_train.jsonl")) + sorted(args.out.glob("*_val.jsonl"))
    failed = len(paths) != args.files
    if failed:
        print(f"WRONG {len(paths)} files in {args.out}, expected {args.files}")
    with tempfile.TemporaryDirectory() as cache:
        # Read by the libraries when they are imported.
        os.environ.update(HF_HOME=cache, HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
        try:
            from datasets import load_dataset
        except ImportError as missing:
            print(f"skipped: {missing}")
            return 77
        try:
            from trl import data_utils
        except ImportError:
            data_utils = None
            print("not checked with trl: no such module")
        for path in paths:
            wrong, rows = check(path, load_dataset, cache)
            if data_utils and not wrong:
                wrong += check_with_trl(rows, data_utils)
            failed |= bool(wrong)
            print(f"{path.name}: {f'WRONG, {len(wrong)} differences' if wrong else f'{len(rows)} rows load'}")
            for detail in wrong[:5]:
                print(f"      {detail}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
