#!/usr/bin/env bash
# datasets 5.2.0: texts of a JSON file that are all dates become points in time, and where another file of the same set has other
# texts, they come back as texts that nobody wrote: "2024-01-06" is "2024-01-06 00:00:00". In the other order of the two files the
# load fails. An exact match of answers then marks right ones as wrong, depending on which rows share a file.
# Seen: the answers of one file of dates, and of it together with a file that also has words.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import datasets

answers = {"dates.jsonl": ["2024-01-06", "1999-12-31"], "words.jsonl": ["soon", "2024-01-06"]}
for name in answers:
    with open(name, "w") as file:
        file.writelines(json.dumps({"answer": answer}) + "\n" for answer in answers[name])
for names in (["dates.jsonl"], ["words.jsonl", "dates.jsonl"], ["dates.jsonl", "words.jsonl"]):
    try:
        rows = datasets.load_dataset("json", data_files=names, split="train", cache_dir="cache")
        print(names, [str(answer) for answer in rows["answer"]], rows.features["answer"].dtype)
    except datasets.exceptions.DatasetGenerationError as error:
        print(names, error.__cause__)
PY
)
expected=$(cat <<'SEEN'
['dates.jsonl'] ['2024-01-06 00:00:00', '1999-12-31 00:00:00'] timestamp[s]
['words.jsonl', 'dates.jsonl'] ['soon', '2024-01-06', '2024-01-06 00:00:00', '1999-12-31 00:00:00'] string
['dates.jsonl', 'words.jsonl'] Failed to parse string: 'soon' as a scalar of type timestamp[s]
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
