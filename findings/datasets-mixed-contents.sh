#!/usr/bin/env bash
# datasets 5.2.0: in a column of JSON Lines that holds texts in some rows and lists of content parts in others, a text that
# reads as JSON changes its type: the answer "42" becomes the number, "null" becomes None, "true" the boolean.
# Seen: int, NoneType, bool, list, str for four texts and one list.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import datasets

contents = ["42", "null", "true", [{"type": "text", "text": "Look."}], "forty-two"]
with open("mixed.jsonl", "w") as file:
    file.writelines(json.dumps({"content": content}) + "\n" for content in contents)
rows = datasets.load_dataset("json", data_files="mixed.jsonl", split="train", cache_dir="cache")
print([type(row["content"]).__name__ for row in rows])
print([row["content"] for row in rows])
PY
)
expected=$(cat <<'SEEN'
['int', 'NoneType', 'bool', 'list', 'str']
[42, None, True, [{'type': 'text', 'text': 'Look.'}], 'forty-two']
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
