"""Makes cases of texts and values that trainers take for something else, and asks datac which shapes have no place for each.

    python strange.py DATAC FOLDER [--samples N] [--seed N]
    tests/consumers/run.sh FOLDER/dataset "" FOLDER/cases.json

What is in the files must come out of the trainers right; `round_trip.py` holds that nothing is missing.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from round_trip import PHASES, Source, build, mark, mark_of, told as told_of
from rows import Object, exact, rows_of, spelled, unfit_of
from project import SHAPES

# No reader of a bench can tell these apart from its own template's marks, or loaders change them, which the scripts know.
LEFT_OUT = ("<think>", "</think>", "<|endoftext|>", "2024-01-01T00:00:00Z")
VALUES = ["null", "true", "0", "-1", "9007199254740993", '""', '"007"', '"null"', '"2024-01-01"', "[]", "{}", "[null]", '[[1,2],[3]]',
          '[1,"1",null]', '{"a":null}', '{"b":1,"a":2}', '{"a":{"b":[{"d":null}]}}', '"</tool_call>"', '"<tool_call>"', '"}\\n"', '"\\u0000"']


class Strange(Source):
    def text(self, empty=False):
        while True:
            made = super().text(empty)
            if not any(one in made for one in LEFT_OUT):
                return made

    def object(self):
        keys = self.random.sample(["a", "b", "day", "n", "deep", "a b", "type", "name", "\u00fc"], self.random.choice([0, 1, 2, 3]))
        return exact("{" + ",".join(f"{json.dumps(key)}:{self.random.choice(VALUES)}" for key in keys) + "}")


def case(source, kind):
    made = source.sample(kind)
    made.pop("kind")
    for key in ("turns", "prompt", "chosen", "rejected"):
        for turn in made.get(key, ()):
            turn.pop("train", None)
            if turn["role"] != "tool":
                turn.pop("name", None)
    if kind == "labelled":
        made["answer"] = made["turns"].pop()
        made["prompt"] = made.pop("turns")
    if kind == "preference":
        for side in ("chosen", "rejected"):
            [made[side]] = made[side]
            # The bench's readers of preferences compare texts alone.
            made[side] = Object(role="assistant", text=made[side]["text"])
    if kind in ("labelled", "preference", "prompt"):
        made["prompt"] = [Object(role=turn["role"], text=turn["text"]) for turn in made["prompt"] if turn["role"] != "tool"]
        made.pop("tools", None)
    if kind == "prompt" and not made["reference"].strip():
        made["reference"] = "None."
    if kind == "labelled":
        made["answer"] = Object(role="assistant", text=made["answer"]["text"] or "Yes.")
    return made


def main():
    options = argparse.ArgumentParser()
    options.add_argument("datac")
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--samples", type=int, default=120)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--container", default="parquet")
    asked = options.parse_args()
    folder = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    source, cases = Strange(asked.seed), {}
    for kind in SHAPES:
        cases[f"{PHASES[kind]}_strange_{kind}"] = {"kind": kind, "rows": [case(source, kind) for _ in range(asked.samples)]}
    path = folder / "cases.json"
    path.write_text(spelled(cases), "utf-8")
    project = pathlib.Path(__file__).with_name("project.py")
    subprocess.run([sys.executable, project, folder, "--cases", path, "--container", asked.container, "--id"], check=True)
    code, said = build(asked.datac, folder)
    if code:
        sys.exit(said)
    for group, told in cases.items():
        base = folder / "dataset" / group
        # Which row is which sample is known by the number that each begins with.
        names = {mark_of(read("native", told["kind"], found)): found["id"] for found in rows_of(base / "native")}
        unfit = {shape: {one["id"] for one in unfit_of(base / shape)} for shape in SHAPES[told["kind"]]}
        told["rows"] = [one for one in told["rows"] if number(one) in names]
        for one in told["rows"]:
            one["unfit"] = [shape for shape, refused in unfit.items() if names[number(one)] in refused]
        print(group, len(told["rows"]), {shape: len(refused) for shape, refused in unfit.items() if refused})
    path.write_text(spelled(cases), "utf-8")


def number(one):
    turns = one.get("turns") or one.get("prompt")
    return mark(next(turn["text"] for turn in turns if turn["role"] == "user") if turns else one.get("question") or one["text"])


def read(shape, kind, found):
    return told_of(shape, kind, {key: value for key, value in found.items() if key != "id"}, None)


if __name__ == "__main__":
    main()
