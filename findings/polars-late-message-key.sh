#!/usr/bin/env bash
# polars 2.1.0: `read_ndjson` drops a key of a nested message without a word if the key first occurs after row 100.
# A conversation set whose first rows have no `reasoning_content` loses the reasoning of all later ones. A new key of the row
# itself behaves the same; a new type is an error.
# Seen: the answer of the last row has only `role` and `content`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet polars==2.1.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import polars

def chat(answer):
    return json.dumps({"messages": [{"role": "user", "content": "What is 6 times 7?"}, answer]})

plain = {"role": "assistant", "content": "42"}
thinking = {"role": "assistant", "reasoning_content": "Six sevens.", "content": "42"}
with open("chats.jsonl", "w") as file:
    file.write("\n".join([chat(plain)] * 150 + [chat(thinking)]) + "\n")
last = polars.read_ndjson("chats.jsonl").row(-1)[0]
print(last[1])
print(polars.read_ndjson("chats.jsonl", infer_schema_length=None).row(-1)[0][1])
PY
)
expected=$(cat <<'SEEN'
{'role': 'assistant', 'content': '42'}
{'role': 'assistant', 'content': '42', 'reasoning_content': 'Six sevens.'}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
