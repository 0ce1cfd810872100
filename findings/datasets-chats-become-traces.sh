#!/usr/bin/env bash
# datasets 5.2.0 with teich 0.3.6: JSON lines of chats that have `id`, `source`, `model`, `system_prompt` and `messages`, whatever else they
# have, are taken for traces of agents. Without teich they are not loaded; with it the system prompt and all other columns are gone, and each row
# has the text of the whole file in `trace`, so that three rows hold nine. Under another name for one column all is as it stands in the file.
# Seen: the package that is asked for; then no `system_prompt` and no `score`, and three rows in the `trace` of one; then the columns of the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0
cd "$folder"
cat >load.py <<'PY'
import json
import sys
import datasets

name, cache = sys.argv[1:]
with open(f"{name}.jsonl", "w") as file:
    for number in range(3):
        turns = [{"role": "user", "content": f"Question {number}."}, {"role": "assistant", "content": "Yes."}]
        row = {"id": f"r{number}", "source": "web", name: "m", "system_prompt": "Be brief.", "messages": turns, "score": number}
        file.write(json.dumps(row) + "\n")
try:
    rows = datasets.load_dataset("json", data_files=f"{name}.jsonl", split="train", cache_dir=cache)
    print(*rows.column_names)
    if "trace" in rows.column_names:
        print("rows in the trace of one:", rows[0]["trace"].count("Question"))
except Exception as error:
    print(error.__cause__)
PY
seen=$(venv/bin/python load.py model first 2>/dev/null
    venv/bin/pip install --quiet teich==0.3.6
    venv/bin/python load.py model second 2>/dev/null
    venv/bin/python load.py written_by third 2>/dev/null)
expected=$(cat <<'SEEN'
To support decoding agent traces, please install 'teich'.
harness session_id prompt messages tools metadata sent_at num_user_messages num_tool_calls trace file_path
rows in the trace of one: 3
id source written_by system_prompt messages score
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
