#!/usr/bin/env bash
# datasets 5.2.0: one integer beyond 64 bits anywhere in a file of JSON Lines changes how all other rows are read. Without it, objects
# with different keys stay as they are; with it, every object is given the keys of the others, as None, and large integers of other
# rows become floats.
# Seen: {'city': 'Bern'} without the integer; {'city': 'Bern', 'n': None} with it, and 2**63 - 1 read as 9.223372036854776e+18.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import datasets


def read(name, arguments):
    with open(name, "w") as file:
        file.writelines(json.dumps({"arguments": each}) + "\n" for each in arguments)
    rows = datasets.load_dataset("json", data_files=name, split="train", cache_dir="cache")
    return [row["arguments"] for row in rows]


plain = [{"city": "Bern"}, {"n": 2**63 - 1}]
print(read("plain.jsonl", plain))
print(read("wide.jsonl", plain + [{"n": 2**64}])[:2])
PY
)
expected=$(cat <<'SEEN'
[{'city': 'Bern'}, {'n': 9223372036854775807}]
[{'city': 'Bern', 'n': None}, {'city': None, 'n': 9.223372036854776e+18}]
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
