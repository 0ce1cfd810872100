#!/usr/bin/env bash
# duckdb 2.0.1: of two JSON keys that differ in case alone, a query by either name gives the one that stands first in the file;
# `SELECT text` returns the values of `Text`. Instruction sets with `Text` beside `text`, or `ID` beside `id`, are read wrongly
# without a word, while `SELECT *` shows the second under a new name.
# Seen: `text` and `Text` both give the value of `Text`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.1
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import duckdb

with open("case.jsonl", "w") as file:
    file.write("{\"Text\":\"the title\",\"text\":\"the body\"}\n")
print(duckdb.sql("SELECT text FROM read_json('case.jsonl')").fetchall())
print(duckdb.sql("SELECT \"Text\" FROM read_json('case.jsonl')").fetchall())
print(duckdb.sql("FROM read_json('case.jsonl')").columns)
PY
)
expected=$(cat <<'SEEN'
[('the title',)]
[('the title',)]
['Text', 'text_1']
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
