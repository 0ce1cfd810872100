"""Writes `docs/python.ipynb` from the cells below, or holds the notebook to what its cells print.

    python python/notebook.py           compares
    python python/notebook.py --write   runs the cells, and writes the notebook with what they print

Needs `nbformat`, `nbclient` and `ipykernel`. The kernel runs in an empty folder, with the package that this interpreter imports.
"""

import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat

PATH = Path(__file__).resolve().parents[1] / "docs/python.ipynb"

CELLS = [
    """# datac in a notebook

Recipes in, rows for trainers out, and only what changed is rebuilt. The sample data is in the package, so this notebook needs no network.""",
    """import datac
from pathlib import Path

Path("config").mkdir(exist_ok=True)
Path("config/general.yaml").write_text('''
metadata: { phase: sft }
datasets:
  - name: alpaca
    source: tatsu-lab/alpaca
    filters: [{ type: length, min_length: 100 }]
validation: { ratio: 0.05, seed: 42 }
output: [native, { shape: trl, id: true }]
''')
ws = datac.Workspace(".", hub="sample")
[(status.name, status.state) for status in ws.status()]""",
    """A build runs what is missing. The second one finds nothing to do.""",
    """report = ws.build()
summary = report.recipes[0].summary
print(summary.train_rows, "rows to train on,", summary.validation_rows, "to validate,", summary.rejects, "rejected")
ws.build().actions""",
    """Rows are dictionaries, read when they are asked for; `dataset()`, `to_arrow()`, `to_polars()` and `torch()` hand them to other libraries.""",
    """rows = ws["config/general"].outputs["trl"].train
for message in rows[0]["messages"]:
    print(f"{message['role']:>9}: {message['content']}")""",
    """Every row knows where it comes from, and every row of a source what became of it.""",
    """origin = rows.origin(0)
print(origin.source.repo, origin.source.file, "row", origin.source.row)
for passed in origin.filters:
    print(passed.filter, "of", passed.field, passed.score, "requires", passed.bound)
dropped = ws["config/general"].dropped("length", limit=2)
print(dropped.total, "rows are too short, such as", [row.by.score for row in dropped])""",
    """A log of training names rows by their ids. `blame` turns those of a step into source rows; `datac.trl.RowIds` writes such a log while
TRL trains.""",
    """import json

with open("rows.jsonl", "w") as log:
    for step in (1, 2, 3):
        batch = rows[2 * step - 2 : 2 * step]
        log.write(json.dumps({"step": step, "ids": [row["id"] for row in batch]}) + "\\n")
for row in ws.blame("rows.jsonl", 2).rows:
    made = row.made_of[0]
    print(row.id, made.recipe, made.converter, made.source.repo, made.source.row)""",
    """An edit rebuilds what it touches: a new bound selects and arranges, and reads no source again.""",
    """recipe = Path("config/general.yaml")
recipe.write_text(recipe.read_text().replace("min_length: 100", "min_length: 60"))
print(ws["config/general"].status.reasons[0].text)
print(sorted(ws.build().actions))""",
]


def notebook() -> nbformat.NotebookNode:
    """Returns the notebook without what its cells print: text and code take turns."""
    made = nbformat.v4.new_notebook()
    for number, text in enumerate(CELLS):
        cell = nbformat.v4.new_code_cell(text) if number % 2 else nbformat.v4.new_markdown_cell(text)
        cell["id"] = f"cell-{number}"
        made.cells.append(cell)
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return made


def run() -> nbformat.NotebookNode:
    """Returns the notebook with what its cells print now."""
    made = notebook()
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(made, timeout=120, resources={"metadata": {"path": folder}}).execute()
    for cell in made.cells:
        # When and by which Python is not what a cell prints.
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = lasting(cell.outputs)
    made.metadata.pop("language_info", None)
    return made


def lasting(outputs: list) -> list:
    """Returns outputs without the places where progress was shown, which depend on how long a build takes."""
    kept: list = []
    for output in outputs:
        if output.output_type == "display_data" and not any(output.data.values()):
            continue
        if kept and output.output_type == kept[-1].output_type == "stream" and output.name == kept[-1].name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def text_of(made: nbformat.NotebookNode) -> str:
    return nbformat.writes(made, version=4).rstrip("\n") + "\n"


def main() -> int:
    found = text_of(run())
    if "--write" in sys.argv:
        PATH.write_text(found, encoding="utf-8")
    elif not PATH.exists() or PATH.read_text(encoding="utf-8") != found:
        print("docs/python.ipynb does not have what its cells print: `python python/notebook.py --write` writes it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
