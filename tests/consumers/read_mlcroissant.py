"""Reads each `croissant.json` of the outputs with mlcroissant: digests, and the records of the record set `train`.

    python read_mlcroissant.py OUTPUTS [CASES]

Compared are the fields `messages` or `prompt` (with the sub-fields `role` and `content`), `text` and `answer`,
as far as the document has them. Shapes that write dialogues in a form of their own are left out.
"""

import json
import pathlib

from common import Report, Skip, same

import mlcroissant


OWN_FORMS = ("native", "llama-factory", "swift")


def turns_of(row):
    return row.get("turns") or row.get("prompt") or []


def plain(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value


def turn_of(turn, dialogue):
    """A message: of sub-fields, or a text of JSON."""
    if isinstance(turn, bytes):
        turn = json.loads(turn)
        return turn["role"], turn.get("content")
    return plain(turn[f"train/{dialogue}/role"]), plain(turn[f"train/{dialogue}/content"])


def records(output):
    made = mlcroissant.Dataset(str(output.folder / "croissant.json"))
    if not made.metadata.record_sets:
        raise Skip("the document describes no records")
    if output.files()[1] == ".jsonl" and all(row.get("reference", "-").isdigit() for row in output.rows):
        raise Skip("texts of digits alone become numbers")
    if output.files()[1] == ".jsonl" and output.shape == "messages" and any(row["id"] == "integer-over-64-bits" for row in output.rows):
        raise Skip("pandas reads no file with such an integer")
    rows = [{key.removeprefix("train/"): value for key, value in row.items()} for row in made.records("train")]
    if not rows:
        raise AssertionError("no record")
    keys = rows[0].keys()
    dialogue = next((key for key in ("messages", "prompt") if isinstance(rows[0].get(key), list)), None)
    got, expected = [], []
    for row in rows:
        said = [turn_of(turn, dialogue) for turn in row[dialogue]] if dialogue else []
        got.append(repr((said, *(plain(row[key]) for key in ("text", "answer") if key in keys))))
    for row in output.rows:
        turns = turns_of(row)[:-1] if output.shape == "trl-prompt-completion" else turns_of(row)
        said = [(turn["role"], turn["text"]) for turn in turns] if dialogue else []
        others = {"text": row.get("text"), "answer": row.get("reference")}
        expected.append(repr((said, *(others[key] for key in ("text", "answer") if key in keys))))
    if not dialogue and not {"text", "answer"} & set(keys):
        raise Skip("the document describes none of the fields that are compared")
    return same(got, expected)


if __name__ == "__main__":
    report = Report("mlcroissant")
    shapes = sorted({path.parent.name for path in pathlib.Path(report.folder).glob("*/*/croissant.json")})
    for _, output in report.outputs(*(shape for shape in shapes if shape not in OWN_FORMS)):
        if (output.folder / "croissant.json").exists():
            report.run(f"{output.recipe}/{output.shape} records", records, output)
    report.close()
