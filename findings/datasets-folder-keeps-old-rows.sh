#!/usr/bin/env bash
# datasets 5.2.0: a local folder whose README.md names its files in `configs` is cached by the folder's last name and by what README.md
# says, not by where the folder is or what is in its files. After a file has changed, `load_dataset` still returns the old rows; and a
# folder elsewhere with the same name and an equal README.md returns the rows of the first. Without README.md new rows are seen.
# Seen: "old" again after the file was written anew, "old" for the other folder; "new" without README.md, and "new" once `description`
# in the entry of `configs` differs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
seen=$(HF_HOME="$folder/home" HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PY'
import json
import os
import time
import datasets

def write(folder, text, readme=True, description="rows"):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/train.jsonl", "w") as file:
        file.write(json.dumps({"text": text}) + "\n")
    if readme:
        with open(f"{folder}/README.md", "w") as file:
            file.write(f"---\nconfigs:\n- config_name: default\n  description: {description}\n"
                       "  data_files:\n  - split: train\n    path: train.jsonl\n---\n")

def read(folder):
    return datasets.load_dataset(folder, split="train")[0]["text"]

write("one/rows", "old")
print(read("one/rows"))
time.sleep(2)
write("one/rows", "new")
print(read("one/rows"))
write("two/rows", "other")
print(read("two/rows"))
write("one/rows", "new", description="newer rows")
print(read("one/rows"))
write("plain", "old", readme=False)
print(read("plain"))
time.sleep(2)
write("plain", "new", readme=False)
print(read("plain"))
PY
)
expected=$(cat <<'SEEN'
old
old
old
new
old
new
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
