#!/usr/bin/env bash
# datasets 5.2.0 with pyarrow 26.0.1: a Parquet column of logical type JSON is read as objects, but some of its floats come back as
# their neighbours, although the file holds their text exactly: 0.3 is read as 0.30000000000000004, 0.7 as 0.7000000000000001.
# Seen: 0.1 and 0.5 as they were, 0.3 and 0.7 changed, the stored text unchanged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import datasets
import pyarrow as pa
import pyarrow.parquet as parquet

text = '{"limits":[0.1,0.3,0.5,0.7]}'
column = pa.ExtensionArray.from_storage(pa.json_(), pa.array([text]))
parquet.write_table(pa.table({"arguments": column}), "calls.parquet")
row = datasets.load_dataset("parquet", data_files="calls.parquet", split="train", cache_dir="cache")[0]
print(row["arguments"]["limits"])
print(parquet.read_table("calls.parquet")["arguments"][0].as_py())
PY
)
expected=$(cat <<'SEEN'
[0.1, 0.30000000000000004, 0.5, 0.7000000000000001]
{"limits":[0.1,0.3,0.5,0.7]}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
