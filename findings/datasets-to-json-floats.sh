#!/usr/bin/env bash
# datasets 5.2.0: `Dataset.to_json` writes floats with ten decimals, without a word: a score of 1e-12 is written as 0.0, a third
# loses six digits, and the same rows from `to_parquet` are exact. Two runs that save scores as JSON
# lines and as Parquet train on other numbers.
# Seen: three floats, as JSON lines and as Parquet have them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import datasets

rows = datasets.Dataset.from_dict({"score": [1e-12, 1 / 3, 123456.123456789012]})
rows.to_json("rows.jsonl")
rows.to_parquet("rows.parquet")
print([json.loads(line)["score"] for line in open("rows.jsonl")])
print(datasets.load_dataset("parquet", data_files="rows.parquet", split="train", cache_dir="cache")["score"][:])
PY
)
expected=$(cat <<'SEEN'
[0.0, 0.3333333333, 123456.123456789]
[1e-12, 0.3333333333333333, 123456.123456789]
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
