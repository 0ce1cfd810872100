#!/usr/bin/env bash
# duckdb 2.0.1: objects in JSON lines become one struct with the keys of all rows, and a row that is written back has all of them:
# a call `f(x=1)` beside a call `g(y=2)` comes out as `f(x=1, y=null)`. Chat templates render the nulls, and a model learns to
# pass arguments that the tool does not have. Copying a file of tool calls through a query is enough.
# Seen: both calls with both arguments.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.1
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import duckdb

with open("calls.jsonl", "w") as file:
    file.write('{"calls":[{"name":"f","arguments":{"x":1}}]}\n{"calls":[{"name":"g","arguments":{"y":2}}]}\n')
duckdb.sql("COPY (FROM 'calls.jsonl') TO 'out.jsonl' (FORMAT json)")
print(open("out.jsonl").read(), end="")
PY
)
expected=$(cat <<'SEEN'
{"calls":[{"name":"f","arguments":{"x":1,"y":null}}]}
{"calls":[{"name":"g","arguments":{"x":null,"y":2}}]}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
