"""Makes a datac workspace of cases.json, so that its outputs can be read back.

    python3 tests/consumers/project.py FOLDER [--container NAME] [--shards N] [--layout hub] [--id] [--cases FILE]
    datac -C FOLDER build
    tests/consumers/run.sh FOLDER/dataset

Each group of cases becomes a file of rows as people publish them, and a recipe that asks for every shape that has rows of
its kind. The container is that of the shapes that can be written so; the others keep their own.
"""
import argparse
import json
import pathlib

SHAPES = {
    "conversation": [
        "native", "messages", "trl", "trl-prompt-completion", "openai", "axolotl", "llama-factory", "swift", "openrlhf", "verl",
        "nemo-rl", "prime-rl", "skyrl",
    ],
    "preference": ["native", "trl", "trl-implicit-prompt", "openai", "axolotl", "llama-factory", "swift", "openrlhf", "nemo-rl"],
    "labelled": ["native", "trl", "llama-factory", "swift"],
    "prompt": ["native", "trl", "openai", "swift", "openrlhf", "verl", "skyrl"],
    "stepwise": ["native", "trl", "axolotl"],
    "text": ["native", "trl", "axolotl", "llama-factory", "swift"],
}
# Rows as their trainers have them, of which nothing can be made for others.
OWN = {"reward": ["verl", "skyrl"]}
# What a shape can be written as, its own first.
ALL = ["parquet", "jsonl", "jsonl.zst", "arrow"]
CONTAINERS = {
    "openai": ["jsonl"],
    "nemo-rl": ["jsonl"],
    "verl": ["parquet"],
    "axolotl": ["parquet", "jsonl", "jsonl.zst"],
    "llama-factory": ["jsonl", "parquet"],
    "swift": ["jsonl", "parquet"],
    "openrlhf": ["parquet", "jsonl"],
    "skyrl": ["parquet", "jsonl"],
}


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
    elif kind == "preference":
        made = {"prompt": messages(case["prompt"]), "chosen": [message(case["chosen"])], "rejected": [message(case["rejected"])]}
        made |= {"margin": case["margin"]} if "margin" in case else {}
    elif kind == "labelled":
        made = {"prompt": messages(case["prompt"]), "completion": [message(case["answer"])], "label": case["label"]}
    elif kind == "prompt":
        made = {"prompt": messages(case["prompt"]), "answer": case["reference"]}
    elif kind == "reward":
        return {"prompt": messages(case["prompt"]), **case["own"]}
    elif kind == "stepwise":
        return {"prompt": case["question"], "completions": case["steps"], "labels": case["labels"]}
    else:
        return {"text": case["text"]}
    return made | ({"tools": case["tools"]} if "tools" in case else {})


def container_of(shape, wanted):
    able = CONTAINERS.get(shape, ALL)
    return wanted if wanted in able else able[0]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--container", default="parquet", choices=ALL)
    options.add_argument("--shards", type=int, default=1)
    options.add_argument("--layout", default="files", choices=["files", "hub"])
    options.add_argument("--id", action="store_true")
    options.add_argument("--cases", type=pathlib.Path, default=pathlib.Path(__file__).parent / "cases.json")
    asked = options.parse_args()
    cases = json.loads(asked.cases.read_text("utf-8"))
    for name in ["config", "data"]:
        (asked.folder / name).mkdir(parents=True, exist_ok=True)

    def more(shape):
        # The API of OpenAI refuses ids.
        has_id = asked.id and shape != "openai"
        return f", shards: {asked.shards}, layout: {asked.layout}, id: {str(has_id).lower()}"

    for group, told in cases.items():
        phase, stem = group.split("_", 1)
        lines = [json.dumps(row(told["kind"], case), ensure_ascii=False) for case in told["rows"]]
        (asked.folder / "data" / f"{group}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        outputs = "".join(
            f"  - {{ shape: {shape}, container: {container_of(shape, asked.container)}{more(shape)} }}\n"
            for shape in (SHAPES | OWN)[told["kind"]]
            # A recipe none of whose rows fit a shape is refused.
            if any(shape not in case.get("unfit", ()) for case in told["rows"])
        )
        reader = {"prompt": ", converter: rlvr", "reward": ", converter: rlvr, keep: [agent_name, env_class]"}.get(told["kind"], "")
        (asked.folder / "config" / f"{stem}.yaml").write_text(
            f"metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: own, source: data/{group}.jsonl{reader} }}\n"
            f"validation: {{ ratio: 0 }}\noutput:\n{outputs}",
            "utf-8",
        )


if __name__ == "__main__":
    main()
