#!/usr/bin/env bash
# datasets 5.2.0: texts of JSON lines that are all dates change although `features` says that the column is text: "2024-01-01" is read as
# "2024-01-01 00:00:00". A reward that compares a model's "2024-01-01" with such an answer never gives a point. One text in the file that is no
# date, and all are as they were; so a small shard or a validation file reads otherwise than the whole set.
# Seen: the two texts with a time behind them, then the same two beside "unknown", as they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import datasets

answers = ["2024-01-01", "2024-02-29"]
for name, texts in [("dates", answers), ("mixed", [*answers, "unknown"])]:
    with open(f"{name}.jsonl", "w") as file:
        file.writelines(json.dumps({"answer": text}) + "\n" for text in texts)
    text = datasets.Features({"answer": datasets.Value("string")})
    rows = datasets.load_dataset("json", data_files=f"{name}.jsonl", split="train", features=text, cache_dir="cache")
    print([row["answer"] for row in rows])
PY
)
expected=$(cat <<'SEEN'
['2024-01-01 00:00:00', '2024-02-29 00:00:00']
['2024-01-01', '2024-02-29', 'unknown']
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
