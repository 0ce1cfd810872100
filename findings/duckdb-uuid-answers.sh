#!/usr/bin/env bash
# duckdb 2.0.1: `read_json` takes a column of texts for UUIDs if all rows it looks at are such, and writes them back in lower
# case. A set of answers that are UUIDs, or of row ids, comes out with other texts, and a comparison with the source fails.
# Seen: the upper-case text in, lower-case text out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.1
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import duckdb

with open("ids.jsonl", "w") as file:
    file.write("{\"answer\":\"9B2E61F4-0C57-4A3D-8E1B-7F60D2C4A915\"}\n")
duckdb.sql("COPY (FROM read_json('ids.jsonl')) TO 'out.jsonl' (FORMAT json)")
print(open("out.jsonl").read(), end="")
PY
)
expected=$(cat <<'SEEN'
{"answer":"9b2e61f4-0c57-4a3d-8e1b-7f60d2c4a915"}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
