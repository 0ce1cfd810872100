#!/usr/bin/env bash
# datasets 5.2.0: `Dataset.from_list` takes the columns of the first row and drops those that only later rows have, without a
# word; pyarrow 26.0.1, which is below it, does the same. Where the first dialogue calls no tool, the `tools` of all others are
# gone, and a model is trained on calls of tools that it was never told of. The same rows from a file of JSON lines have them.
# Seen: the columns of two rows by `Dataset.from_list` and `Table.from_pylist`, then those of `load_dataset`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json

import datasets
import pyarrow

rows = [
    {"messages": [{"role": "user", "content": "Hi"}]},
    {"messages": [{"role": "user", "content": "Weather?"}], "tools": '[{"name": "weather"}]'},
]
print(datasets.Dataset.from_list(rows).column_names)
print(pyarrow.Table.from_pylist(rows).column_names)
with open("rows.jsonl", "w") as file:
    file.writelines(json.dumps(row) + "\n" for row in rows)
print(datasets.load_dataset("json", data_files="rows.jsonl", split="train", cache_dir="cache").column_names)
PY
)
expected=$(cat <<'SEEN'
['messages']
['messages']
['messages', 'tools']
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
