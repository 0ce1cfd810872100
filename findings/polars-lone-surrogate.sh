#!/usr/bin/env bash
# polars 2.1.0: `read_ndjson` turns the escape of a lone surrogate (half an emoji, as text that was cut in UTF-16 units has it)
# into a NUL character without a word. Python's json keeps the surrogate, pandas 3.1.1 drops it, DuckDB 2.0.1 refuses the row.
# Seen: the text ends with U+0000.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet polars==2.1.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import json
import polars

with open("cut.jsonl", "w") as file:
    file.write(json.dumps({"text": "well done \ud83d"}) + "\n")
print(ascii(polars.read_ndjson("cut.jsonl")["text"][0]))
PY
)
expected=$(cat <<'SEEN'
'well done \x00'
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
