"""Holds that files can be loaded whose first 10 MiB are not like the rest, since `datasets` fixes the types of a file by these.

    python late.py DATAC FOLDER

Of 30,000 dialogues one has a system message, reasoning, a call, its result, tools, a flag of training and a kept column; the order is
varied until it stands behind the first 10 MiB. Files are loaded as the trainers' stanzas say, by name or as folders, whose README.md
tells `datasets` all types.
"""

import json
import pathlib
import sys
import tempfile

from round_trip import build
from rows import Object, spelled

ROWS, FIRST = 30_000, 10 << 20
SHAPES = ["trl", "axolotl", "llama-factory", "swift", "openrlhf", "messages", "prime-rl", "skyrl"]
CALL = Object(id="c1", type="function", function=Object(name="now", arguments=Object(zone="UTC")))
BY_NAME = ("axolotl", "llama-factory", "swift", "openrlhf")
# Each of them is one row that is late, since some shapes have no place for some.
RICH = {
    "call": Object(messages=[
        Object(role="user", content="LATE"), Object(role="assistant", content="", tool_calls=[CALL]),
        Object(role="tool", content="12:00", tool_call_id="c1", name="now"), Object(role="assistant", content="Noon."),
    ]),
    "tools": Object(messages=[Object(role="user", content="LATE"), Object(role="assistant", content="No.")], tools=[Object(name="now")]),
    "reasoning": Object(messages=[Object(role="user", content="LATE"), Object(role="assistant", content="4", reasoning_content="2 + 2")]),
    "flag": Object(messages=[
        Object(role="user", content="LATE"), Object(role="assistant", content="No.", train=False), Object(role="user", content="Again."),
        Object(role="assistant", content="Yes."),
    ]),
    "column": Object(messages=[Object(role="user", content="LATE"), Object(role="assistant", content="No.")], score="good"),
}


def load(folder, file, by_name):
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        if by_name:
            rows = datasets.load_dataset("json", data_files={"train": str(file)}, split="train", cache_dir=cache)
        else:
            rows = datasets.load_dataset(str(folder), split="train", cache_dir=cache)
        assert len(rows) == ROWS, len(rows)


def main():
    datac, folder, failed = sys.argv[1], pathlib.Path(sys.argv[2]), 0
    for name in ("config", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    padding = "x" * 600
    for name, rich in RICH.items():
        lines = [json.dumps({"messages": [{"role": "user", "content": f"{n} {padding}"}, {"role": "assistant", "content": "Yes."}]}) for n in range(ROWS - 1)]
        (folder / "data" / f"{name}.jsonl").write_text("\n".join([*lines, spelled(rich)]) + "\n", "utf-8")
        for seed in range(10):
            keep = ", keep: [score]" if name == "column" else ""
            (folder / "config" / f"{name}.yaml").write_text(
                f"metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: own, source: data/{name}.jsonl{keep} }}\nvalidation: {{ ratio: 0, seed: {seed} }}\noutput:\n"
                + "".join(f"  - {{ shape: {shape}, container: jsonl }}\n" for shape in SHAPES if (name, shape) not in {("tools", "openrlhf"), ("flag", "openrlhf")}),
                "utf-8",
            )
            code, said = build(datac, folder, name)
            assert code == 0, said
            text = (folder / "dataset" / f"sft_{name}" / "messages" / "train.jsonl").read_bytes()
            if text.index(b'"LATE"') > 1.2 * FIRST:
                break
        for shape in SHAPES:
            at = folder / "dataset" / f"sft_{name}" / shape
            found = sorted(at.glob("train*.jsonl"))
            if not found or b'"LATE"' not in found[0].read_bytes():
                print(f"skip  {name}/{shape}: no place for it")
                continue
            for by_name in (True, False) if shape in BY_NAME else (False,):
                try:
                    load(at, found[0], by_name)
                    print(f"ok    {name}/{shape} {'by name' if by_name else 'as a folder'}", flush=True)
                except Exception as error:
                    failed += 1
                    while error.__cause__:
                        error = error.__cause__
                    print(f"FAIL  {name}/{shape} {'by name' if by_name else 'as a folder'}: {type(error).__name__}: {str(error)[:150]!r}", flush=True)
        for each in (folder / "dataset" / f"sft_{name}").rglob("train*"):
            each.unlink()
    print(f"late: {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
