"""Makes a datac workspace of cases.json, so that its outputs can be read back.

    python3 tests/consumers/project.py FOLDER [jsonl|parquet]
    datac -C FOLDER build
    tests/consumers/run.sh FOLDER/dataset

Each group of cases becomes a file of rows as people publish them, and a recipe that asks for every shape that has rows of
its kind. The second argument is the container of the shapes that have a choice.
"""
import json
import pathlib
import sys

SHAPES = {
    "conversation": ["trl", "trl-prompt-completion", "openai", "axolotl", "llama-factory", "swift", "openrlhf", "verl"],
    "preference": ["trl", "trl-implicit-prompt", "openai", "axolotl", "llama-factory", "swift", "openrlhf"],
    "labelled": ["trl", "llama-factory", "swift"],
    "prompt": ["trl", "openai", "swift", "openrlhf", "verl"],
    "stepwise": ["trl", "axolotl"],
    "text": ["trl", "axolotl", "llama-factory", "swift"],
}
# Those that read one container alone.
FIXED = {"openai": "jsonl", "axolotl": "jsonl", "verl": "parquet", "llama-factory": "jsonl", "swift": "jsonl"}


def message(turn):
    made = {"role": turn["role"], "content": turn["text"]}
    if turn.get("reasoning"):
        made["reasoning_content"] = turn["reasoning"]
    if turn.get("calls"):
        made["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in turn["calls"]
        ]
    if turn.get("answers"):
        made |= {"tool_call_id": turn["answers"], "name": turn["name"]}
    return made


def row(kind, case):
    messages = lambda turns: [message(turn) for turn in turns]
    if kind == "conversation":
        made = {"messages": messages(case["turns"])}
        if "tools" in case:
            made["tools"] = case["tools"]
        return made
    if kind == "preference":
        made = {"prompt": messages(case["prompt"]), "chosen": [message(case["chosen"])], "rejected": [message(case["rejected"])]}
        return made | ({"margin": case["margin"]} if "margin" in case else {})
    if kind == "labelled":
        return {"prompt": messages(case["prompt"]), "completion": [message(case["answer"])], "label": case["label"]}
    if kind == "prompt":
        return {"prompt": messages(case["prompt"]), "answer": case["reference"]}
    if kind == "stepwise":
        return {"prompt": case["question"], "completions": case["steps"], "labels": case["labels"]}
    return {"text": case["text"]}


def fits(case, shape):
    """A recipe none of whose rows fit a shape is refused."""
    return shape not in case.get("unfit", ()) and not (shape in ("openai", "axolotl", "llama-factory") and "margin" in case)


def main():
    folder, container = pathlib.Path(sys.argv[1]), (sys.argv[2:] or ["parquet"])[0]
    cases = json.loads((pathlib.Path(__file__).parent / "cases.json").read_text("utf-8"))
    for name in ["config", "data"]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for group, told in cases.items():
        phase, stem = group.split("_", 1)
        lines = [json.dumps(row(told["kind"], case), ensure_ascii=False) for case in told["rows"]]
        (folder / "data" / f"{group}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        outputs = "".join(
            f"  - {{ shape: {shape}, container: {FIXED.get(shape, container)} }}\n"
            for shape in SHAPES[told["kind"]]
            if any(fits(case, shape) for case in told["rows"])
        )
        (folder / "config" / f"{stem}.yaml").write_text(
            f"metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: own, source: data/{group}.jsonl }}\n"
            f"validation: {{ ratio: 0 }}\noutput:\n{outputs}",
            "utf-8",
        )


main()
