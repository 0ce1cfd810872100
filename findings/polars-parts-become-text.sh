#!/usr/bin/env bash
# polars 2.1.0: in a column that holds both strings and lists of content parts, `read_ndjson` makes every value a string, and
# spells the lists anew. A text that happens to be JSON and a real list of parts are the same afterwards.
# Seen: two strings, equal but for the blanks that polars put in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet polars==2.1.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import polars

parts = [{"type": "text", "text": "Look."}]
with open("mixed.jsonl", "w") as file:
    file.write(json.dumps({"content": json.dumps(parts, separators=(",", ":"))}) + "\n")
    file.write(json.dumps({"content": parts}, separators=(",", ":")) + "\n")
frame = polars.read_ndjson("mixed.jsonl")
print(frame.schema)
for value in frame["content"]:
    print(type(value).__name__, value)
PY
)
expected=$(cat <<'SEEN'
Schema([('content', String)])
str [{"type":"text","text":"Look."}]
str [{"type": "text", "text": "Look."}]
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
