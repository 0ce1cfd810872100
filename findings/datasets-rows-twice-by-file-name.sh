#!/usr/bin/env bash
# datasets 5.2.0: a file whose name says its split twice is read twice, without a word: `train_en_train.jsonl` in a folder gives each
# of its rows two times, and `dev_val.jsonl` too. A copy that an editor left, `train.jsonl.bak`, is read beside the file. A model
# then sees such rows twice per epoch, and scores of the validation set count them twice.
# Seen: the rows of three folders with a file of two rows each.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import os
import shutil
import datasets

for names in (["train_en_train.jsonl"], ["train.jsonl", "dev_val.jsonl"], ["train.jsonl", "train.jsonl.bak"], ["train_en.jsonl"]):
    shutil.rmtree("rows", ignore_errors=True)
    os.mkdir("rows")
    for name in names:
        with open(f"rows/{name}", "w") as file:
            file.write('{"id": 1}\n{"id": 2}\n')
    loaded = datasets.load_dataset("./rows", cache_dir="cache")
    print(names, {split: loaded[split]["id"][:] for split in loaded})
PY
)
expected=$(cat <<'SEEN'
['train_en_train.jsonl'] {'train': [1, 2, 1, 2]}
['train.jsonl', 'dev_val.jsonl'] {'train': [1, 2], 'validation': [1, 2, 1, 2]}
['train.jsonl', 'train.jsonl.bak'] {'train': [1, 2, 1, 2]}
['train_en.jsonl'] {'train': [1, 2]}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
