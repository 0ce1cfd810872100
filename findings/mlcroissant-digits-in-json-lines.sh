#!/usr/bin/env bash
# mlcroissant 1.1.1: a text field (sc:Text) of a JSON Lines file whose texts are digits comes out as a number: pandas reads the
# file, and nothing turns the column back. Leading zeros are lost.
# Seen: b'7' for "007".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlcroissant==1.1.1 pandas==3.1.1
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import hashlib
import json
import mlcroissant as mlc

text = '{"answer":"007"}\n'
open("rows.jsonl", "w").write(text)
file = mlc.FileObject(
    id="rows", name="rows", content_url="rows.jsonl", encoding_formats=["application/jsonlines"],
    sha256=hashlib.sha256(text.encode()).hexdigest(),
)
source = mlc.Source(file_object="rows", extract=mlc.Extract(column="answer"))
field = mlc.Field(id="answers/answer", name="answer", data_types=[mlc.DataType.TEXT], source=source)
answers = mlc.RecordSet(id="answers", name="answers", fields=[field])
card = mlc.Metadata(name="answers", description="One answer.", distribution=[file], record_sets=[answers])
json.dump(card.to_json(), open("croissant.json", "w"), default=str)
for record in mlc.Dataset(jsonld="croissant.json").records(record_set="answers"):
    print(record)
PY
)
expected=$(cat <<'SEEN'
{'answers/answer': b'7'}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
