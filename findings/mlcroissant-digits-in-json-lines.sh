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
import mlcroissant

text = '{"answer":"007"}\n'
open("rows.jsonl", "w").write(text)
context = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo", "column": "cr:column", "extract": "cr:extract",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "field": "cr:field", "recordSet": "cr:recordSet",
    "source": "cr:source", "fileObject": "cr:fileObject", "sha256": "sc:sha256",
}
card = {
    "@context": context, "@type": "sc:Dataset", "name": "answers", "description": "One answer.", "url": "answers",
    "conformsTo": "http://mlcommons.org/croissant/1.1",
    "distribution": [{
        "@type": "cr:FileObject", "@id": "rows", "name": "rows", "contentUrl": "rows.jsonl",
        "encodingFormat": "application/jsonlines", "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }],
    "recordSet": [{
        "@type": "cr:RecordSet", "@id": "answers", "name": "answers",
        "field": [{
            "@type": "cr:Field", "@id": "answers/answer", "name": "answer", "dataType": "sc:Text",
            "source": {"fileObject": {"@id": "rows"}, "extract": {"column": "answer"}},
        }],
    }],
}
json.dump(card, open("croissant.json", "w"))
for record in mlcroissant.Dataset(jsonld="croissant.json").records(record_set="answers"):
    print(record)
PY
)
expected=$(cat <<'SEEN'
{'answers/answer': b'7'}
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
