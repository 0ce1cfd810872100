#!/usr/bin/env bash
# duckdb 2.0.1: JSON strings are taken for times of day, dates and moments if all rows it looks at read as such, and written back
# in its own spelling: the gold answer "1:05" becomes "01:05:00", "2024-1-6" becomes "2024-01-06", and of "11:00+02:00" the zone is
# gone. A reward that compares texts then marks every right answer wrong; texts of digits stay as they are.
# Seen: the three columns with other texts than in the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.1
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import duckdb

with open("answers.jsonl", "w") as file:
    file.write('{"clock":"1:05","day":"2024-1-6","moment":"2024-01-07T11:00:00+02:00","number":"007"}\n')
    file.write('{"clock":"12:30","day":"2024-01-07","moment":"2024-01-06T10:00:00+00:00","number":"42"}\n')
duckdb.sql("SET TimeZone = 'UTC'")
duckdb.sql("COPY (FROM read_json('answers.jsonl')) TO 'out.jsonl' (FORMAT json)")
print(open("out.jsonl").read(), end="")
PY
)
expected=$(cat <<'SEEN'
{"clock":"01:05:00","day":"2024-01-06","moment":"2024-01-07 09:00:00+00","number":"007"}
{"clock":"12:30:00","day":"2024-01-07","moment":"2024-01-06 10:00:00+00","number":"42"}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
