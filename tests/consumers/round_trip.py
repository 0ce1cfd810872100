"""Holds the rows of all shapes against the samples that they were made of, and against what datac reads from them.

    python round_trip.py DATAC FOLDER [--samples N] [--seed N] [--container NAME]

Without any trainer: FOLDER becomes a workspace of generated samples of every kind, with tools, reasoning, parts of text, weights,
names and texts that look like something else. It is built in every shape; each row of each shape is turned back, by what the shape
means to its trainer, and must be its sample, or the sample must be in `unfit.jsonl`, never both. Then the rows of each shape are
the source of a second recipe, whose native rows must be those of the first.
"""

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys

from project import CONTAINERS, SHAPES, container_of
from rows import Digits, Object, exact, rows_of, spelled, unfit_of

PHASES = {"conversation": "sft", "preference": "dpo", "labelled": "kto", "prompt": "rlaif", "stepwise": "prm", "text": "pretrain"}

# Texts that readers take for something else.
TEXTS = [
    "Plain.", "007", "42", "null", "true", "1e5", "2024-01-01", "2024-01-01T00:00:00Z", "12345678901234567890123", "[]", "{}", '{"a": 1}',
    "[1, 2]", '"quoted"', "\\", "\\u0041", "a\nb", "\ttab", " spaces ", "\u2028", "e\u0301", "\U0001f600", "\ufeffmark", "\u0000zero",
    "\x7f", "<image>", "<img>a.png</img>", "<audio>", "{{idx}}", "{{content}}", "{{ x }}", "{% if %}", "<think>\nno\n</think>\n\nyes",
    "<think>", "</think>", "<tool_call>", '<tool_call>{"name": "f", "arguments": {}}</tool_call>', "</tool_call>", "<tool_response>x</tool_response>",
    "Human: hi", "\n\nAssistant: hi", "### Response:", "<|endoftext|>", "NaN", "-0", "0.1", "\r\n", "\u0085", "\u00a0", "nil", "None", "N/A", "<noinput>",
]
VALUES = [
    "null", "true", "0", "-0", "1", "1.0", "0.5", "0.3", "0.1", "2.50", "1e2", "1E-7", "9007199254740993", "9223372036854775807",
    "-9223372036854775808", "18446744073709551615", "12345678901234567890123", "1.7976931348623157e308", "5e-324", "0.30000000000000004",
    '""', '"007"', '"42"', '"null"', '"2024-01-01"', '"\\u0000"', '"\\ud83d\\ude00"', "[]", "{}", "[null]", "[[]]", "[[1,2],[3]]", '[1,"1",null]',
    '{"a":null}', '{"b":1,"a":2}', '{"a":{"b":{"c":[{"d":null}]}}}', '{"":0}', '{"a b":"c"}', '[{"a":1},{"b":"x"}]',
]


class Source:
    """Makes rows as text, so that numbers keep their digits, and the samples that they are."""

    def __init__(self, seed):
        self.random, self.number = random.Random(seed), 0

    def chance(self, share):
        return self.random.random() < share

    def text(self, empty=False):
        if empty and self.chance(0.1):
            return ""
        return "".join(self.random.choice(TEXTS) for _ in range(self.random.choice([1, 1, 1, 2, 3])))

    def object(self):
        keys = self.random.sample(["a", "b", "day", "n", "list", "deep", "", "a b", "type", "name", "text", "\u00fc"], self.random.choice([0, 1, 2, 3]))
        return exact("{" + ",".join(f"{json.dumps(key)}:{self.random.choice(VALUES)}" for key in keys) + "}")

    def tools(self):
        def tool(name):
            made = Object(name=name)
            if self.chance(0.7):
                made["description"] = self.text()
            if self.chance(0.8):
                made["parameters"] = Object(type="object", properties=Object(a=self.object()))
            return made

        return [tool(name) for name in self.random.sample(["now", "search", "set_it"], self.random.choice([1, 1, 2]))]

    def call(self):
        self.number += 1
        return Object(id=f"call{self.number:05}", name=self.random.choice(["now", "search", "set_it"]), arguments=self.object())

    def answer(self, calls=True, last=False):
        turn = Object(role="assistant", text=self.text())
        if self.chance(0.25):
            turn["reasoning"] = self.text()
        if calls and self.chance(0.3):
            turn["calls"] = [self.call() for _ in range(self.random.choice([1, 1, 2]))]
            if self.chance(0.6):
                turn["text"] = ""
        if self.chance(0.1):
            turn["train"] = self.chance(0.5)
        return turn

    def turns(self, ends="answer"):
        """A dialogue that ends with an answer, or before one."""
        self.number += 1
        made = []
        if self.chance(0.3):
            made.append(Object(role="system", text=self.text()))
        made.append(Object(role="user", text=f"[{self.number}] {self.text()}"))
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            if made[-1]["role"] not in ("user", "tool"):
                made.append(Object(role="user", text=self.text()))
            if self.chance(0.06):
                made.append(Object(role="user", text=self.text()))
            if self.chance(0.03):
                made.append(Object(role="system", text=self.text()))
            made.append(self.answer(calls=self.chance(0.5)))
            if self.chance(0.04):
                made.append(self.answer(calls=False))
            for call in made[-1].get("calls", ()):
                made.append(Object(role="tool", text=self.text(empty=True), answers=call["id"], name=call["name"]))
        while made[-1]["role"] != ("assistant" if ends == "answer" else "user"):
            made.append(self.answer(calls=False) if ends == "answer" else Object(role="user", text=self.text()))
        if self.chance(0.05):
            self.random.choice([turn for turn in made if turn["role"] == "user"])["name"] = "Ann"
        return made

    def sample(self, kind):
        tools = self.tools() if kind != "text" and kind != "stepwise" and self.chance(0.3) else []
        made = Object(kind=kind)
        if kind in ("conversation", "labelled"):
            made["turns"] = self.turns()
        elif kind == "text":
            self.number += 1
            made["text"] = f"[{self.number}] {self.text()}"
        elif kind == "stepwise":
            self.number += 1
            made |= {"question": f"[{self.number}] {self.text()}", "steps": [self.text() for _ in range(self.random.choice([1, 2, 3]))]}
            made["labels"] = [self.chance(0.5) for _ in made["steps"]]
        else:
            made["prompt"] = self.turns("question")
        if kind == "labelled":
            made["label"] = self.chance(0.5)
        if kind == "prompt":
            made["reference"] = self.text()
        if kind == "preference":
            chosen, rejected = self.answer(calls=self.chance(0.3)), self.answer(calls=self.chance(0.3))
            rejected["text"] += " Not."
            if chosen == rejected:
                chosen["text"] += "!"
            made |= {"chosen": [chosen], "rejected": [rejected]}
        if tools:
            made["tools"] = tools
        return made


def message(source, turn):
    made = Object(role=turn["role"])
    text = turn["text"]
    if not text and turn.get("calls") and source.chance(0.5):
        made["content"] = None
    elif turn["role"] == "user" and source.chance(0.1):
        half = len(text) // 2
        made["content"] = [Object(type="text", text=part) for part in (text[:half], text[half:])]
    else:
        made["content"] = text
    if "reasoning" in turn:
        made[source.random.choice(["reasoning_content", "reasoning", "thinking"])] = turn["reasoning"]
    if turn.get("calls"):
        made["tool_calls"] = [
            Object(id=call["id"], type="function", function=Object(
                name=call["name"],
                arguments=call["arguments"] if source.chance(0.5) else spelled(call["arguments"]),
            ))
            for call in turn["calls"]
        ]
    if "answers" in turn:
        made["tool_call_id"] = turn["answers"]
    if "name" in turn:
        made["name"] = turn["name"]
    if "train" in turn:
        made |= {"train": turn["train"]} if source.chance(0.5) else {"weight": Digits(int(turn["train"]))}
    return made


def row(source, sample):
    kind, all_of = sample["kind"], lambda turns: [message(source, turn) for turn in turns]
    made = Object()
    if kind in ("conversation", "labelled"):
        made["messages"] = all_of(sample["turns"])
    elif kind == "text":
        made["text"] = sample["text"]
    elif kind == "stepwise":
        made |= {"prompt": sample["question"], "completions": sample["steps"], "labels": sample["labels"]}
    else:
        made["prompt"] = all_of(sample["prompt"])
    if kind == "preference":
        made |= {"chosen": all_of(sample["chosen"]), "rejected": all_of(sample["rejected"])}
    if kind == "labelled":
        made["label"] = sample["label"]
    if kind == "prompt":
        made["answer"] = sample["reference"]
    if "tools" in sample:
        wrapped = source.chance(0.5)
        made["tools"] = [Object(type="function", function=tool) if wrapped else tool for tool in sample["tools"]]
    return made


# ---- turning rows back ---------------------------------------------------------------------------------------


def arguments(value):
    return exact(value) if isinstance(value, str) and not isinstance(value, Digits) else value


def from_message(found):
    """A message with OpenAI's keys. A key that is null is not there."""
    found = {key: value for key, value in found.items() if value is not None}
    made = {"role": found.pop("role"), "text": found.pop("content", "")}
    if isinstance(made["text"], list):
        made["text"] = "".join(part["text"] for part in made["text"])
    made["reasoning"] = found.pop("reasoning_content", None)
    made["calls"] = []
    for call in found.pop("tool_calls", ()):
        assert set(call) <= {"id", "type", "function"} and call.get("type", "function") == "function", call
        made["calls"].append({"id": call.get("id"), "name": call["function"]["name"], "arguments": arguments(call["function"]["arguments"])})
        assert set(call["function"]) == {"name", "arguments"}, call
    made["answers"] = found.pop("tool_call_id", None)
    made["name"] = found.pop("name", None)
    weight = found.pop("weight", None)
    made["train"] = found.pop("train", None if weight is None else weight == Digits(1))
    assert not found, f"other keys {found}"
    return made


def from_turn(turn):
    """A turn of a sample, in the same form."""
    return {
        "role": turn["role"], "text": turn["text"], "reasoning": turn.get("reasoning"), "calls": [dict(call) for call in turn.get("calls", ())],
        "answers": turn.get("answers"), "name": turn.get("name"), "train": turn.get("train"),
    }


def is_trained(turn):
    return turn["train"] if turn["train"] is not None else turn["role"] == "assistant"


def folded(turn):
    """What is left of a turn where reasoning stands in the text, and ids and names of calls are not written."""
    text = turn["text"] if turn["reasoning"] is None else f"<think>\n{turn['reasoning']}\n</think>\n\n{turn['text']}"
    return {
        **turn, "text": text, "reasoning": None, "answers": None, "name": turn["name"] if turn["role"] != "tool" else None,
        "calls": [{**call, "id": None} for call in turn["calls"]],
    }


def swift_turns(found):
    made = []
    for turn in found:
        role = {"tool_call": "assistant", "tool_response": "tool"}.get(turn["role"], turn["role"])
        new = {"role": role, "text": turn["content"], "reasoning": None, "calls": [], "answers": None, "name": None, "train": turn.get("loss")}
        if turn["role"] == "tool_call":
            new["text"], new["calls"] = "", [{"id": None, **exact(turn["content"])}]
            if made and made[-1]["role"] == "assistant":
                assert made[-1]["train"] == new["train"]
                made[-1]["calls"] += new["calls"]
                continue
        made.append(new)
    return made


def factory_turn(found, wanted):
    role = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant", "system": "system"}[found["from"]]
    made = {"role": role, "text": found["value"], "reasoning": None, "calls": [], "answers": None, "name": None, "train": None}
    if found["from"] == "function_call":
        # What stands before the calls is known from the sample; a reader of its own would have to guess.
        text, value = wanted["text"] if wanted else "", found["value"]
        assert value.startswith(text), f"{value!r} does not begin with {text!r}"
        calls = value[len(text):]
        if text:
            assert calls.startswith("<tool_call>") and calls.endswith("</tool_call>"), calls
            calls = calls[len("<tool_call>"):-len("</tool_call>")]
        made["text"], made["calls"] = text, [{"id": None, **call} for call in exact(calls)]
    return made


def factory_turns(found, wanted):
    return [factory_turn(turn, want) for turn, want in zip(found, wanted)] + [factory_turn(turn, None) for turn in found[len(wanted):]]


def bare(tools):
    tools = exact(tools) if isinstance(tools, str) and tools else tools
    return [tool["function"] if "function" in tool else tool for tool in tools or []]


FOLDED = ("swift", "llama-factory")


def expected(sample, shape):
    """What a row of the shape must say of a sample: dialogues, then the rest."""
    kind = sample["kind"]
    turns = lambda key: [from_turn(turn) for turn in sample[key]]
    made = {"tools": list(sample.get("tools", []))}
    if kind in ("conversation", "labelled"):
        made["turns"] = turns("turns")
    elif kind == "prompt":
        made |= {"turns": turns("prompt"), "reference": sample["reference"]}
    elif kind == "preference":
        made |= {"chosen": turns("prompt") + turns("chosen"), "rejected": turns("prompt") + turns("rejected")}
    elif kind == "stepwise":
        made |= {"question": sample["question"], "steps": sample["steps"], "labels": sample["labels"]}
    else:
        made["text"] = sample["text"]
    if kind == "labelled":
        made["label"] = sample["label"]
    for key in ("turns", "chosen", "rejected"):
        if key in made:
            made[key] = [settled(folded(turn) if shape in FOLDED else turn) for turn in made[key]]
    return made


def settled(turn):
    """Whether a turn is trained on, said or not; no reasoning, empty or not there."""
    return {**turn, "train": is_trained(turn), "reasoning": turn["reasoning"] or None}


def told(shape, kind, found, want):
    """What a row of the shape says."""
    found = dict(found)
    messages = lambda key: [from_message(one) for one in found.pop(key)]
    made = {}
    if kind == "text":
        if shape == "swift":
            [only] = found.pop("messages")
            assert only["role"] == "assistant" and set(only) == {"role", "content"}, only
            made["text"] = only["content"]
        else:
            made["text"] = found.pop("text")
    elif kind == "stepwise":
        question = found.pop("prompt")
        if shape == "native":
            [question] = question
            assert set(question) == {"role", "content"}
            question = question["content"]
        made |= {"question": question, "steps": found.pop("completions"), "labels": found.pop("labels")}
        if shape == "native":
            assert found.pop("text", None) is None
    elif shape == "swift":
        if kind == "preference":
            made |= {"chosen": swift_turns(found.pop("messages")), "rejected": swift_turns(found.pop("rejected_messages"))}
        else:
            made["turns"] = swift_turns(found.pop("messages"))
        if kind == "labelled":
            made["label"] = found.pop("label")
        if kind == "prompt":
            made["reference"] = found.pop("solution")
    elif shape == "llama-factory":
        if kind == "preference":
            prompt = factory_turns(found.pop("conversations"), want["chosen"])
            made["chosen"] = prompt + [factory_turn(found.pop("chosen"), want["chosen"][-1])]
            made["rejected"] = prompt + [factory_turn(found.pop("rejected"), want["rejected"][-1])]
        else:
            made["turns"] = factory_turns(found.pop("conversations"), want["turns"])
        if kind == "labelled":
            made["label"] = found.pop("kto_tag")
    elif kind == "preference":
        if shape == "openai":
            given = found.pop("input")
            found["tools"] = given.get("tools")
            prompt = [from_message(one) for one in given["messages"]]
            made |= {"chosen": prompt + messages("preferred_output"), "rejected": prompt + messages("non_preferred_output")}
        elif shape == "nemo-rl":
            prompt = messages("context")
            best, worst = sorted(found.pop("completions"), key=lambda one: int(one["rank"]))
            made |= {"chosen": prompt + [from_message(one) for one in best["completion"]]}
            made |= {"rejected": prompt + [from_message(one) for one in worst["completion"]]}
        else:
            key = "messages" if shape == "axolotl" else "prompt"
            prompt = messages(key) if key in found else []
            if shape == "axolotl":
                found |= {side: [found[side]] for side in ("chosen", "rejected")}
            made |= {"chosen": prompt + messages("chosen"), "rejected": prompt + messages("rejected")}
    else:
        key = next(key for key in ("messages", "conversations", "prompt") if key in found)
        made["turns"] = messages(key) + (messages("completion") if "completion" in found else [])
        if shape == "native":
            found.pop("text", None)
        if kind == "labelled":
            made["label"] = found.pop("label")
        if kind == "prompt":
            of = {"verl": "reward_model", "skyrl": "reward_spec"}.get(shape)
            made["reference"] = found.pop(of)["ground_truth"] if of else found.pop("label" if shape == "openrlhf" else "answer")
            for own in ("data_source", "ability", "env_class", "datasource"):
                assert found.pop(own, "own") == "own"
            found.pop("extra_info", None)
    made["tools"] = bare(found.pop("tools", None))
    for key in ("turns", "chosen", "rejected"):
        if key in made:
            made[key] = [settled(turn) for turn in made[key]]
    assert found.pop("source", "own") == "own"
    assert not found, f"other columns {found}"
    return made


def neutral(shape, kind, native):
    """What a native row says, as far as the shape does."""
    made = told("native", kind, native, None)
    for key in ("turns", "chosen", "rejected"):
        if key in made and shape in FOLDED:
            made[key] = [settled(folded(turn)) for turn in made[key]]
    return made


def mark(text):
    return re.match(r"\[(\d+)\] ", text).group(1)


def mark_of(made):
    """The number that each sample begins with."""
    dialogue = made.get("turns") or made.get("chosen")
    texts = [turn["text"] for turn in dialogue if turn["role"] == "user"] if dialogue else [made.get("question") or made.get("text")]
    return mark(texts[0])


# ---- the workspace -------------------------------------------------------------------------------------------


# Which converter reads rows, where the columns alone leave several.
CONVERTERS = {"prompt": ", converter: rlvr"}


def recipe(folder, name, kind, data, outputs):
    phase, more = PHASES[kind], CONVERTERS.get(kind, "")
    (folder / "config" / f"{name}.yaml").write_text(
        f"metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: own, source: {data}{more} }}\nvalidation: {{ ratio: 0 }}\noutput:\n"
        + "".join(f"  - {{ {one} }}\n" for one in outputs), "utf-8",
    )


def build(datac, folder, *names):
    made = subprocess.run([datac, "-C", str(folder), "build", "--quiet", *names], capture_output=True, text=True)
    return made.returncode, made.stdout + made.stderr


def name_results(made):
    """Gives results of tools the names of their calls, which is all that OpenAI's rows say of them."""
    for turns in (made.get(key) or [] for key in ("turns", "chosen", "rejected")):
        names = {call["id"]: call["name"] for turn in turns for call in turn["calls"]}
        for turn in turns:
            if turn["role"] == "tool" and turn["name"] is None:
                turn["name"] = names.get(turn["answers"])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("datac")
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--samples", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--container", default="parquet")
    asked = options.parse_args()
    folder, failed, passed = asked.folder, 0, 0
    for name in ("config", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source, samples = Source(asked.seed), {}
    for kind, shapes in SHAPES.items():
        samples[kind] = [source.sample(kind) for _ in range(asked.samples)]
        (folder / "data" / f"{kind}.jsonl").write_text("".join(spelled(row(source, one)) + "\n" for one in samples[kind]), "utf-8")
        outputs = [f"shape: {shape}, container: {container_of(shape, asked.container)}, id: {str(shape != 'openai').lower()}" for shape in shapes if shape != "native"]
        recipe(folder, kind, kind, f"data/{kind}.jsonl", [*outputs, "shape: native, container: jsonl, id: true"])
    code, said = build(asked.datac, folder)
    if code:
        print(said)
    problems = {}

    def problem(where, what):
        nonlocal failed
        failed += 1
        problems.setdefault(where, []).append(what)

    for kind, shapes in SHAPES.items():
        base = folder / "dataset" / f"{PHASES[kind]}_{kind}"
        by_mark = {mark_of(expected(sample, "native")): sample for sample in samples[kind]}
        native = {}
        for shape in ["native", *(shape for shape in shapes if shape != "native")]:
            where = f"{kind}/{shape}"
            if not (base / shape).is_dir():
                problem(where, "not built")
                continue
            rows, unfit = rows_of(base / shape), unfit_of(base / shape)
            seen = set()
            # Rows for OpenAI have no ids; all shapes have their rows in one order.
            refused = {one["id"] for one in unfit}
            in_order = iter([name for name in native if name not in refused])
            for found in rows:
                name = found.pop("id", None) or next(in_order)
                try:
                    if shape == "native":
                        made = told(shape, kind, found, None)
                        native[name] = mark_of(made)
                    sample = by_mark[native[name]]
                    want = expected(sample, shape)
                    made = told(shape, kind, found, want)
                    if shape == "openai":
                        name_results(made)
                    seen.add(name)
                    if made != want:
                        keys = [key for key in want if made.get(key) != want[key]]
                        first = keys[0] if keys else str(set(made) - set(want))
                        a, b = made.get(first), want.get(first)
                        if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
                            [(a, b), *_] = [(x, y) for x, y in zip(a, b) if x != y]
                        problem(where, f"{first}: {a!r} instead of {b!r}")
                    else:
                        passed += 1
                except Exception as error:
                    problem(where, f"{type(error).__name__}: {error} in {str(found)[:400]}")
            if refused & seen:
                problem(where, f"{len(refused & seen)} both in the file and unfit")
            if shape != "native" and set(native) - refused - seen:
                problem(where, f"{len(set(native) - refused - seen)} rows neither in the file nor unfit")
            counts = {}
            for one in unfit:
                counts[one["no_place_for"]] = counts.get(one["no_place_for"], 0) + 1
            print(f"{where}: {len(rows)} rows, {len(unfit)} unfit", *(f"[{count} {what}]" for what, count in sorted(counts.items())))
        if len(native) != len(samples[kind]):
            print(f"{kind}: {len(native)} of {len(samples[kind])} samples were accepted")
    for where, what in problems.items():
        print(f"FAIL {where}: {len(what)}")
        for one in what[:4]:
            print(f"      {one[:1500]}")
    # The rows of each shape as a source.
    same, lossy = 0, {}
    for kind, shapes in SHAPES.items():
        base = folder / "dataset" / f"{PHASES[kind]}_{kind}"
        if not (base / "native").is_dir():
            continue
        firsts = {found.pop("id"): found for found in rows_of(base / "native")}
        for shape in shapes:
            if shape in ("native", "openai") or not (base / shape).is_dir():
                continue
            name, where = f"again_{kind}_{shape.replace('-', '_')}", f"{kind}/{shape}"
            [file] = [str(p.relative_to(folder)) for p in sorted((base / shape).iterdir()) if p.name.startswith("train")]
            (folder / "config" / f"{name}.yaml").write_text(
                f"metadata: {{ phase: {PHASES[kind]} }}\ndatasets:\n  - {{ name: own, source: {file}, keep: {{id: row}}{CONVERTERS.get(kind, '')} }}\n"
                "validation: { ratio: 0 }\n", "utf-8",
            )
            code, said = build(asked.datac, folder, name)
            (folder / "config" / f"{name}.yaml").unlink()
            out = folder / "dataset" / f"{PHASES[kind]}_{name}_train.jsonl"
            if code or not out.exists():
                lossy.setdefault(where, []).append(f"exit {code}: {said[:900]}")
                continue
            total, again = len(rows_of(base / shape)), [exact(line) for line in out.read_text("utf-8").split("\n") if line]
            if len(again) != total:
                rejects = (folder / "dataset" / "rejects" / f"{PHASES[kind]}_{name}.jsonl")
                lossy.setdefault(where, []).append(f"{len(again)} of {total} rows read")
            for found in again:
                first = dict(firsts[found.pop("row")])
                try:
                    one, other = (neutral(shape, kind, row) for row in (dict(found), first))
                except (KeyError, AssertionError) as error:
                    lossy.setdefault(where, []).append(f"{type(error).__name__} {error}: {str(found)[:500]}")
                    continue
                if one == other:
                    same += 1
                else:
                    [key, *_] = [key for key in other if one.get(key) != other[key]]
                    a, b = one.get(key), other[key]
                    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
                        [(a, b), *_] = [(x, y) for x, y in zip(a, b) if x != y]
                    lossy.setdefault(where, []).append(f"{key}: {a!r}\n        instead of {b!r}")
    for where, what in lossy.items():
        print(f"AGAIN {where}: {len(what)}")
        for one in what[:3]:
            print(f"      {one[:1200]}")
    print(f"round trip: {passed} passed, {failed} failed; {same} rows the same after a second build, {sum(map(len, lossy.values()))} not")
    sys.exit(1 if failed or lossy else 0)


if __name__ == "__main__":
    main()
