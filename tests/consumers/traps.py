"""Holds that TRL reads rows rightly which are written so that its loaders, or those of the rows, could take one for the other.

    python traps.py DATAC FOLDER [--only NAME]

Each trap is a few rows as people publish them: tools in the first row alone or in the last one alone, `[]` beside `null` beside nothing,
keys that another program has filled with `null`, arguments as texts and as objects, labels of one side, kept columns of a name that
a trainer reads. Every trap is built in every container, in one file and in several of the Hub's layout, and what TRL makes of the
files is compared with the cases, token by token. Run it with the environment `trl`.
"""

import argparse
import json
import pathlib
import sys

from common import Output
import read_trl
from project import row
from round_trip import build

FORMS = [("parquet", 1, "files"), ("jsonl", 1, "files"), ("jsonl.zst", 1, "files"), ("arrow", 1, "files"),
         ("parquet", 2, "hub"), ("jsonl", 2, "hub"), ("arrow", 2, "hub")]
SHAPES = {"conversation": ["trl", "trl-prompt-completion"], "preference": ["trl", "trl-implicit-prompt"]}
PHASES = {"conversation": "sft", "preference": "dpo", "labelled": "kto", "prompt": "rlaif"}
TOOL = {"name": "weather", "description": "Tells it.", "parameters": {"type": "object", "properties": {"town": {"type": "string"}}}}
OTHER = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}}}}


def plain(number, **more):
    return {"turns": [{"role": "user", "text": f"Question {number}."}, {"role": "assistant", "text": f"Answer {number}."}], **more}


def calling(number, arguments, tool=TOOL, **more):
    return {"tools": [tool], "turns": [
        {"role": "user", "text": f"Question {number}."},
        {"role": "assistant", "text": "", "calls": [{"id": f"c{number}", "name": tool["name"], "arguments": arguments}]},
        {"role": "tool", "text": "A result.", "answers": f"c{number}", "name": tool["name"]},
        {"role": "assistant", "text": f"Answer {number}."}], **more}


def padded(made, keys):
    """Gives all messages the same keys, as a program does that stores them in a struct."""
    for turn in made["messages"]:
        for key in keys:
            turn.setdefault(key, None)
    return made


def as_text(made):
    for turn in made["messages"]:
        for call in turn.get("tool_calls") or []:
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return made


def pair(number, **more):
    return {"prompt": [{"role": "user", "text": f"Question {number}."}], "chosen": {"role": "assistant", "text": f"Good {number}."},
            "rejected": {"role": "assistant", "text": f"Bad {number}."}, **more}


def labelled(number, label):
    return {"prompt": [{"role": "user", "text": f"Question {number}."}], "answer": {"role": "assistant", "text": f"Answer {number}."},
            "label": label}


def asked(number, **more):
    return {"prompt": [{"role": "user", "text": f"Question {number}."}], "reference": f"{number}", **more}


def written(kind, cases, change=lambda number, made: made):
    """The rows of a trap: each case, and how it is published."""
    return kind, [(case, change(number, row(kind, case))) for number, case in enumerate(cases)]



def kinds_of_nothing(number, made):
    """No tools in four spellings; the last row has some."""
    return made | [{"tools": []}, {"tools": None}, {}, {"tools": "[]"}, {}][number] | ({"tools": made["tools"]} if "tools" in made else {})


def each(*changes):
    return lambda number, made: changes[number % len(changes)](made)


same_row = lambda made: made
KEYS = ["content", "tool_calls", "tool_call_id", "name", "reasoning_content"]
TRAPS = {
    "tools_first": written("conversation", [calling(0, {"town": "Bern"}), *map(plain, range(1, 5))]),
    "tools_last": written("conversation", [*map(plain, range(4)), calling(4, {"town": "Bern"})]),
    "tools_of_each": written("conversation", [calling(0, {"town": "Bern"}), calling(1, {"a": 1, "b": None}, OTHER), calling(2, {}), plain(3)]),
    "tools_beside_none": written("conversation", [*map(plain, range(4)), calling(4, {"town": "Bern"})], kinds_of_nothing),
    "no_tools_at_all": written("conversation", [*map(plain, range(5))], kinds_of_nothing),
    "keys_of_others": written(
        "conversation", [plain(0), calling(1, {"town": "Bern"}), plain(2)], lambda number, made: padded(made, KEYS)),
    "calls_are_empty": written(
        "conversation", [*map(plain, range(3)), calling(3, {"town": "Bern"})],
        lambda number, made: {**made, "messages": [{"tool_calls": [], **turn} for turn in made["messages"]]} if number < 2 else made),
    "arguments_mixed": written(
        "conversation",
        [calling(0, {"town": "Bern"}), calling(1, {"town": "Ulm", "n": [1, "1", None]}), calling(2, {"a": 1}, OTHER), calling(3, {"town": "1"})],
        each(same_row, as_text)),
    "arguments_of_other_types": written(
        "conversation", [calling(0, {"x": 1}), calling(1, {"x": "1"}), calling(2, {"x": [1]}), calling(3, {"x": {"y": None}}), calling(4, {"x": None})]),
    "reasoning_last": written("conversation", [*map(plain, range(4)), {"turns": [
        {"role": "user", "text": "Question 4."}, {"role": "assistant", "text": "Answer 4.", "reasoning": "Thoughts."}]}]),
    "system_last": written("conversation", [*map(plain, range(4)), {"turns": [
        {"role": "system", "text": "Rules."}, {"role": "user", "text": "Question 4."}, {"role": "assistant", "text": "Answer 4."}]}]),
    "contents_that_look_like_values": written("conversation", [
        {"turns": [{"role": "user", "text": text}, {"role": "assistant", "text": text}]} for text in ["null", "true", "42", "[]", "{}", '"x"']]),
    "parts_last": written("conversation", [*map(plain, range(4))], lambda number, made: made if number < 3 else {
        "messages": [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in made["messages"]]}),
    "pairs_with_tools_first": written("preference", [pair(0, tools=[TOOL]), *map(pair, range(1, 4))]),
    "pairs_with_tools_last": written("preference", [*map(pair, range(3)), pair(3, tools=[TOOL])]),
    "pairs_with_margins": written("preference", [pair(0, margin=1), pair(1, margin=0.5), pair(2, margin=2.0)]),
    "only_good": written("labelled", [labelled(n, True) for n in range(4)]),
    "only_bad": written("labelled", [labelled(n, False) for n in range(4)]),
    "good_then_bad": written("labelled", [labelled(n, n < 3) for n in range(6)]),
    "answers_that_look_like_values": written("prompt", [
        {**asked(n), "reference": text} for n, text in enumerate(["007", "true", "null", "1e5", "[1]"])]),
}
# `datasets` takes JSON lines with these columns for traces of agents, unless a README.md says what is in them.
TRAPS["columns_of_traces"] = written("conversation", [
    {"turns": [{"role": "system", "text": "Be brief."}, *plain(number)["turns"]]} for number in range(3)],
    lambda number, made: {"messages": made["messages"][1:], "system_prompt": "Be brief.", "id": f"r{number}", "model": "m"})
KEPT = {"columns_of_traces": ", keep: [id, model, system_prompt]"}
# Names that TRL's trainers read or overwrite, in rows of text, and as lists.
NAMES = ["text", "messages", "conversations", "prompt", "completion", "chosen", "rejected", "label", "labels", "tools", "images", "image",
         "input_ids", "completion_mask", "assistant_masks", "attention_mask", "seq_lengths", "chat_template_kwargs", "margin", "prompts",
         "completions", "trainer_state", "log_extra", "log_metric", "environment", "environments", "answer", "source", "id", "score", "role"]


def recipe(folder, name, kind, lines, shapes, form, more=""):
    container, shards, layout = form
    for one in ("config", "data"):
        (folder / one).mkdir(parents=True, exist_ok=True)
    (folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    reader = ", converter: rlvr" if kind == "prompt" else ""
    outputs = "".join(f"  - {{ shape: {shape}, container: {container}, shards: {shards}, layout: {layout} }}\n" for shape in shapes)
    (folder / "config" / f"{name}.yaml").write_text(
        f"metadata: {{ phase: {PHASES[kind]} }}\ndatasets:\n  - {{ name: own, source: data/{name}.jsonl{reader}{more} }}\n"
        f"validation: {{ ratio: 0 }}\noutput:\n{outputs}", "utf-8")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("datac")
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--only", default="")
    chosen = options.parse_args()
    passed = failed = 0

    def check(where, what):
        nonlocal passed, failed
        try:
            note = what()
            passed += 1
            print(f"ok    {where}" + (f" ({note})" if note else ""), file=sys.stderr, flush=True)
        except Exception as error:
            failed += 1
            print(f"FAIL  {where}: {type(error).__name__}: {str(error)[:900]}", flush=True)

    for container, shards, layout in FORMS:
        form, base = (container, shards, layout), chosen.folder / f"{container.replace('.', '_')}_{layout}"
        for name, (kind, rows) in TRAPS.items():
            if not name.startswith(chosen.only):
                continue
            shapes = SHAPES.get(kind, ["trl"])
            recipe(base, name, kind, [published for _, published in rows], shapes, form, KEPT.get(name, ""))
            code, said = build(chosen.datac, base, name)
            if code:
                failed += 1
                print(f"FAIL  {name} {form}: exit {code}: {said}", flush=True)
                continue
            for shape in shapes:
                output = Output(base / "dataset" / f"{PHASES[kind]}_{name}" / shape, name, shape, [case for case, _ in rows])
                for one in read_trl.CHECKS[kind, shape]:
                    check(f"{name} {shape} {container} {layout} {one.__name__}", lambda: one(output))
    base, refused = chosen.folder / "names", []
    for kind, case in [("conversation", plain), ("preference", pair), ("labelled", lambda n: labelled(n, n % 2 == 0)), ("prompt", asked)]:
        for name in NAMES:
            for value, spelled in [("a text", "text"), ([1, 2], "list")]:
                which = f"{name}_{kind}_{spelled}"
                if not which.startswith(chosen.only):
                    continue
                cases = [case(number) for number in range(2)]
                lines = [row(kind, one) | {"extra": value} for one in cases]
                recipe(base, which, kind, lines, ["trl"], ("parquet", 1, "files"), f", keep: {{ extra: {name} }}")
                code, said = build(chosen.datac, base, which)
                folder = base / "dataset" / f"{PHASES[kind]}_{which}" / "trl"
                if code in (2, 5):
                    refused.append(f"{which} ({code})")
                    continue
                if code:
                    failed += 1
                    print(f"FAIL  {which}: exit {code}: {said}", flush=True)
                    continue
                for one in read_trl.CHECKS[kind, "trl"]:
                    check(f"{which} {one.__name__}", lambda: one(Output(folder, which, "trl", cases)))
    print(f"refused: {', '.join(refused)}", flush=True)
    print(f"traps: {passed} passed, {failed} failed, {len(refused)} names refused")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
