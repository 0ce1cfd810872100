"""Holds ids and labels of the shape `tokens` against transformers, row by row, and against texts that are built here.

    python tokens.py DATAC FOLDER [--templates FOLDER]… [--vocabulary FOLDER] [--rows N] [--seed N]

Makes a workspace of models, one a chat template, whose recipes hold the dialogues of cases.json and generated ones; builds it and
compares each row. Templates are those of `common.py`, with and without its marks, and all of the installed `trl`; `--templates`
adds other folders of them. The tokenizer is that of `common.py`, with the control tokens that a template writes; `--vocabulary` is a
folder with another `tokenizer.json`. `read_tokens.py` loads the same rows with trainers. Runs in the environment `trl`.
"""

import argparse
import collections
import dataclasses
import importlib.util
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
from typing import Any

from common import END, MARK_CLOSE, MARK_OPEN, START, TEMPLATE, load_cases, tokenizer, tool_schemas
from project import message

import pyarrow as pa
import pyarrow.parquet
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

PLAIN = TEMPLATE.replace("{%- generation %}", "").replace("{%- endgeneration %}", "")
CONTROL = re.compile(r"<\|[\w/ -]+\|>|<\uff5c[^\uff5c\s']+\uff5c>|</?s>|\[/?[A-Z_]{3,}\]|<(?:start_of_turn|end_of_turn|bos|eos|turn\||\|turn)>")
NOW = "2026-01-31"
Row = dict[str, Any]

# ---- dialogues ---------------------------------------------------------------------------------------------

TEXTS = [
    "Red.", "", " ", "\n", "  two before and behind  ", "\n\nlines\n\n", "Grüße, 世界! \U0001f600 a\u0301", "é", "\U0001f469\u200d\U0001f52c",
    "def f(x):\n\treturn {'a': [1, 2], \"b\": x ** 2}  # <b>&amp;</b>\n", "```python\nprint('hi')\n```", "007", "null", "{\"a\": null}",
    "{{ message.content }} {% raw %}", "<think>\nnot reasoning\n</think>\n\nanswer", "assistant", "user\n", "x" * 700, "\u2028\u00a0\u200f", "\r\n\r\n",
    "<tool_call>\n{\"name\": \"f\"}\n</tool_call>", "1,000.50 – 3½", "\\n \\u00e9 \\\\", "ﬁ ﬀ Å Å", "ab" * 3 + "\u0000", "'s 'S don’t",
]  # fmt: skip
TOOLS = [
    {"name": "now", "description": "The time – of “now”.", "parameters": {"type": "object", "properties": {}}},
    {"name": "set", "description": "<Sets> a & b.", "parameters": {"type": "object", "properties": {
        "a": {"type": ["number", "null"], "default": 0.5}, "b": {"type": "string", "enum": ["x", "ü"]}}, "required": ["a"]}},
]  # fmt: skip
VALUES = [0, 1.5, 1e-7, 1e22, -0.0, True, None, "text", "ü \" \n", [1, [2]], {"k": {}}, 9007199254740993, "é" * 3]


def generated(seed: int, count: int) -> list[Row]:
    """Returns dialogues as sources have them."""
    dice = random.Random(seed)
    text = lambda: " ".join(dice.choice(TEXTS) for _ in range(dice.choice([1, 1, 1, 2, 3])))
    rows = []
    for number in range(count):
        kind = dice.choice(["turns", "turns", "tools", "reasoning", "flags", "null"])
        turns: list[Row] = [{"role": "system", "content": text()}] if dice.random() < 0.3 else []
        for turn in range(dice.choice([1, 1, 2, 3, 5])):
            turns.append({"role": "user", "content": f"{number}: {text()}" if turn == 0 else text()})
            answer: Row = {"role": "assistant", "content": text()}
            if kind == "reasoning" and dice.random() < 0.7:
                answer["reasoning_content"] = text()
            if kind == "flags":
                answer |= dice.choice([{}, {"weight": 0}, {"weight": 1}, {"train": False}, {"train": True}, {"training": False}])
            if kind in ("tools", "null") and dice.random() < 0.6:
                names = [dice.choice(TOOLS)["name"] for _ in range(dice.choice([1, 1, 2]))]
                made = [{key: dice.choice(VALUES) for key in dice.sample(["a", "b", "c"], dice.randrange(4))} for _ in names]
                given = [json.dumps(one, ensure_ascii=False) if dice.random() < 0.2 else one for one in made]
                calls = [
                    {"id": f"call{number:04}{turn}{i}"[-9:], "type": "function", "function": {"name": name, "arguments": arguments}}
                    for i, (name, arguments) in enumerate(zip(names, given))
                ]
                empty = {"null": [{"content": None}, {}], "tools": [{"content": ""}, {"content": text()}]}[kind]
                turns.append({"role": "assistant", **dice.choice(empty), "tool_calls": calls})
                turns += [{"role": "tool", "content": text(), "tool_call_id": c["id"], "name": c["function"]["name"]} for c in calls]
            turns.append(answer)
        row: Row = {"messages": turns}
        if kind in ("tools", "null"):
            tools = dice.sample(TOOLS, dice.choice([1, 2]))
            row["tools"] = [{"type": "function", "function": tool} for tool in tools]
        rows.append(row)
    return rows


def dialogues(seed: int, count: int) -> list[Row]:
    """Returns all rows; `nr` tells them apart."""
    rows = [
        {"messages": [message(turn) for turn in case["turns"]]} | ({"tools": case["tools"]} if "tools" in case else {})
        for group in load_cases(pathlib.Path(__file__).with_name("cases.json")).values()
        if group["kind"] == "conversation"
        for case in group["rows"]
    ] + generated(seed, count)
    return [{"nr": number, **row} for number, row in enumerate(rows)]


def given(row: Row) -> tuple[list[Row], list[Row] | None]:
    """Returns the messages and tools of a row as `apply_chat_template` is to be given them: arguments as objects, tools as schemas."""

    def call(one: Row) -> Row:
        function = dict(one["function"])
        if isinstance(function["arguments"], str):
            function["arguments"] = json.loads(function["arguments"])
        return one | {"function": function}

    turns = [turn | ({"tool_calls": [call(c) for c in turn["tool_calls"]]} if "tool_calls" in turn else {}) for turn in row["messages"]]
    tools = row.get("tools")
    return turns, [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools] if tools else None


def is_trained(turn: Row) -> bool:
    return turn["role"] == "assistant" and turn.get("weight") != 0 and turn.get("train", turn.get("training", True))


# ---- models ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Model:
    name: str
    template: str
    words: PreTrainedTokenizerFast = None
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    failures: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_marked(self) -> bool:
        return "endgeneration" in self.template


def models(folders: list[pathlib.Path], vocabulary: pathlib.Path | None) -> list[Model]:
    trl = pathlib.Path(importlib.util.find_spec("trl").origin).with_name("chat_templates")
    found = [Model("own", PLAIN), Model("own_training", TEMPLATE)]
    for folder in [trl, *folders]:
        names = sorted(folder.glob("*.jinja"))
        found += [Model(path.stem if folder == trl else f"{folder.name}__{path.stem}", path.read_text("utf-8")) for path in names]
    for model in found:
        if vocabulary:
            model.words = PreTrainedTokenizerFast.from_pretrained(vocabulary)
        else:
            model.words = tokenizer()
            model.words.bos_token = "<|bos|>"
            control = sorted(set(CONTROL.findall(model.template)) - {START, END})
            model.words.add_special_tokens({"additional_special_tokens": [START, *control]})
        model.words.chat_template = model.template
    return found


def make(folder: pathlib.Path, found: list[Model], rows: list[Row]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("config", "data", "models"):
        (folder / name).mkdir(parents=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "data" / "rows.jsonl").write_text(lines, "utf-8")
    for model in found:
        at = folder / "models" / model.name
        model.words.save_pretrained(at)
        for file in at.iterdir():
            if file.name not in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                file.unlink()
        recipe = (
            "metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: own, source: data/{data}.jsonl, keep: [nr] }}\n"
            f"validation: {{{{ ratio: 0.05 }}}}\nmodel: {{{{ source: models/{model.name}, now: {NOW} }}}}\noutput:\n  - native\n"
            "  - {{ shape: tokens, container: {container}, id: true }}\n"
        )
        conversations = recipe.format(phase="sft", data="rows", container="parquet")
        conversations += "  - { shape: messages, id: true }\n  - skyrl-tokens\n"
        (folder / "config" / f"{model.name}.yaml").write_text(conversations, "utf-8")
        if model.name == "own":
            packed = recipe.format(phase="sft", data="rows", container="parquet").replace("id: true", "id: true, pack: 8192")
            (folder / "config" / "own_packed.yaml").write_text(packed, "utf-8")
            for container in ("arrow", "jsonl"):
                other = recipe.format(phase="sft", data="rows", container=container)
                (folder / "config" / f"own_{container}.yaml").write_text(other, "utf-8")
            lines = "".join(json.dumps({"nr": n, "text": f"{n} {text}"}, ensure_ascii=False) + "\n" for n, text in enumerate(TEXTS))
            (folder / "data" / "texts.jsonl").write_text(lines, "utf-8")
            (folder / "config" / "texts.yaml").write_text(recipe.format(phase="pretrain", data="texts", container="parquet"), "utf-8")


# ---- comparison --------------------------------------------------------------------------------------------


def blocks(model: Model, turns: list[Row], tools: list[Row] | None) -> tuple[str, list[list[int]]]:
    """Returns the text, and where generation blocks wrote, as transformers sees them."""
    messages = [{k: v for k, v in turn.items() if v is not None} for turn in turns]
    texts, spans = chat_template_utils.render_jinja_template(
        [messages], tools=tools, chat_template=model.template, return_assistant_tokens_mask=True, add_generation_prompt=False,
        **model.words.special_tokens_map,
    )  # fmt: skip
    return texts[0], [span for span in spans[0] if span[0] < span[1]]


def by_hand(row: Row) -> tuple[str, list[list[int]]]:
    """Returns what `PLAIN` writes, and what of it is trained on, without a template engine."""
    turns, tools = given(row)
    dumped = lambda value: json.dumps(value, ensure_ascii=False)
    text, spans = f"{START}system\n<tools>{dumped(tools)}</tools>{END}\n" if tools else "", []
    for turn in turns:
        text += f"{START}{turn['role']}\n"
        start = len(text)
        text += f"<think>\n{turn['reasoning_content']}\n</think>\n\n" if turn.get("reasoning_content") else ""
        text += turn.get("content") or ""
        for call in turn.get("tool_calls") or []:
            text += f"<tool_call>{call['function']['name']}<args>{dumped(call['function']['arguments'])}</args></tool_call>"
        text += END
        spans += [[start, len(text)]] if is_trained(turn) else []
        text += "\n"
    return text, spans


def trained(model: Model, text: str, spans: list[list[int]]) -> tuple[list[int], list[int]]:
    """Returns ids, and a label for each that holds a part of a span."""
    made = model.words(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = [
        token if any(start < b and a < end for a, b in spans) else -100
        for token, (start, end) in zip(made["input_ids"], made["offset_mapping"])
    ]
    return made["input_ids"], labels


def reference(model: Model, row: Row) -> list[int]:
    turns, tools = given(row)
    try:
        return model.words.apply_chat_template(turns, tools=tools, tokenize=True, return_dict=False)
    except TypeError:
        # Some templates take arguments only as the text that they were written as.
        return model.words.apply_chat_template(row["messages"], tools=tools, tokenize=True, return_dict=False)


def check_row(model: Model, row: Row, ids: list[int], labels: list[int], twin: Model | None) -> str:
    """Compares one row; returns what it was held against, or raises."""
    turns, tools = given(row)
    if ids != reference(model, row):
        bare = row.get("tools") and "function" not in row["tools"][0]
        if bare and ids == model.words.apply_chat_template(turns, tools=row["tools"], tokenize=True, return_dict=False):
            return "FALSE, bare functions are given to the template as they are"
        raise AssertionError(f"ids: {model.words.decode(ids)!r} instead of {model.words.decode(reference(model, row))!r}")
    assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True)), "a label is not the token that it stands on"
    answers = [turn for turn in turns if turn["role"] == "assistant"]
    if model.name == "own":
        text, spans = by_hand(row)
        assert (ids, labels) == trained(model, text, spans), f"labels by hand: {shown(model, ids, labels)}"
        return "by hand"
    if model.is_marked:
        try:
            blocks(model, turns, tools)
        except TypeError:
            turns = row["messages"]
        made = model.words.apply_chat_template(turns, tools=tools, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        theirs = [token if on else -100 for token, on in zip(made["input_ids"], made["assistant_masks"], strict=True)]
        if theirs == labels:
            return "the mask of transformers"
        text, spans = blocks(model, turns, tools)
        if not all(map(is_trained, answers)):
            if len(spans) != len(answers):
                return contents(model, turns, ids, labels)
            spans = [span for span, turn in zip(spans, answers) if is_trained(turn)]
            blank = [not (turn.get("content") or "").strip() and not turn.get("tool_calls") for turn in answers if is_trained(turn)]
            wanted = [span for span, is_blank in zip(spans, blank) if not is_blank]
            if wanted != spans and (ids, labels) == trained(model, text, wanted):
                return "FALSE, blank answers are not trained where another answer has a flag, though the template marks them"
        assert (ids, labels) == trained(model, text, spans), (
            f"labels: {shown(model, ids, labels)} instead of {shown(model, ids, trained(model, text, spans)[1])}"
        )
        return "blocks, without those of untrained answers" if not all(map(is_trained, answers)) else "blocks, not the mask"
    if twin and all(map(is_trained, answers)) and reference(twin, row) == ids:
        text, spans = blocks(twin, turns, tools)
        theirs = trained(twin, text, spans)[1]
        if theirs == labels:
            return "the marked twin"
        # What differs may only be white space and control tokens that the twin's block has around an answer.
        other = [token for token, a, b in zip(ids, labels, theirs) if a != b]
        plain = model.words.decode(other, skip_special_tokens=True)
        control = set(model.words.all_special_ids)
        for before, (token, mine, its) in zip(labels, list(zip(ids, labels, theirs))[1:]):
            if before != -100 and mine == -100 and its != -100 and token in control:
                return f"FALSE, {model.words.decode([token])} ends a turn behind another token, and is not trained"
        plain = re.sub(r"</?think>", "", plain)
        if plain.strip() and all(a == -100 for a, b in zip(labels, theirs) if a != b) and is_before(labels, theirs):
            return "the marked twin, but for what the template writes before an answer, which it marks too"
        assert not plain.strip(), f"twin: {shown(model, ids, labels)} instead of {shown(model, ids, theirs)}"
        if any(a != -100 for a, b in zip(labels, theirs) if a != b):
            return "the marked twin, but for white space or control tokens that it does not mark"
        return "the marked twin, but for white space, control tokens or an empty <think> that it marks too"
    return contents(model, turns, ids, labels)


def is_before(labels: list[int], theirs: list[int]) -> bool:
    """Whether all that is trained in `theirs` alone stands directly before, or behind, something that is trained in both."""
    place, found = 0, True
    while place < len(labels):
        end = place
        while end < len(labels) and labels[end] == -100 and theirs[end] != -100:
            end += 1
        found = found and (end == place or labels[place - 1] != -100 or (end < len(labels) and labels[end] != -100))
        place = end + 1
    return found


def contents(model: Model, turns: list[Row], ids: list[int], labels: list[int]) -> str:
    """Looks for the contents of trained answers in what is trained on, in their order."""
    parts, at = shown(model, ids, labels).replace(MARK_CLOSE + MARK_OPEN, ""), 0
    for turn in filter(is_trained, turns):
        core = (turn.get("content") or "").strip()
        if not core or "</think>" in core:
            continue
        found = re.compile(f"{MARK_OPEN}[^{MARK_CLOSE}]*{re.escape(core)}").search(parts, at)
        assert found, f"content {core!r} is not trained: {parts!r}"
        at = found.end()
    return "contents alone"


def shown(model: Model, ids: list[int], labels: list[int]) -> str:
    """Returns the text with marks around what is trained on."""
    out, start = "", 0
    for end in range(1, len(ids) + 1):
        on = labels[start] != -100
        if end == len(ids) or (labels[end] != -100) != on:
            piece = model.words.decode(ids[start:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
            out += f"{MARK_OPEN}{piece}{MARK_CLOSE}" if on else piece
            start = end
    return out


def check_reject(model: Model, row: Row, reason: str, detail: str) -> str:
    """Says why a reject is right, or raises."""
    turns, tools = given(row)
    if reason not in ("special_token", "not_rendered", "not_encoded", "nothing_trained"):
        return f"rules of rows: {reason}"
    if reason == "special_token":
        texts = json.dumps(row, ensure_ascii=False)
        assert any(token in texts for token in model.words.all_special_tokens), "no control token in the row"
        return "special_token: a text holds one"
    if reason == "nothing_trained" and not any(map(is_trained, turns)):
        return "nothing_trained: no message is"
    try:
        ids = reference(model, row)
    except Exception as error:
        assert reason == "not_rendered", f"{reason}, but transformers raises {error}"
        return "not_rendered: transformers raises too"
    if reason == "nothing_trained":
        if model.is_marked:
            text, spans = blocks(model, turns, tools)
            answers = [turn for turn in turns if turn["role"] == "assistant"]
            assert not spans or not any(map(is_trained, answers)), "transformers trains on something"
            return "nothing_trained: no answer is, or no block"
        assert not any(map(is_trained, turns)) or not any((t.get("content") or "").strip() for t in turns if is_trained(t)), detail
        return "nothing_trained: no answer is trained, or all are empty"
    if reason == "not_rendered":
        found = re.match(r"the chat template drops the (content|tool calls|reasoning) of message (\d+)", detail)
        if found:
            # Other words, or another call, give the same text.
            def is_dropped(place: int) -> bool:
                changed = json.loads(json.dumps(row))
                turn = changed["messages"][place]
                if found[1] == "content":
                    turn["content"] = "Other words."
                else:
                    turn["tool_calls"] = [{"type": "function", "function": {"name": "other", "arguments": {}}}]
                return reference(model, changed) == ids

            key = "content" if found[1] == "content" else "tool_calls"
            numbers = [n for n in (int(found[2]), int(found[2]) - 1) if 0 <= n < len(row["messages"]) and row["messages"][n].get(key)]
            assert any(map(is_dropped, numbers)), f"not dropped: {detail}"
            if found[1] != "content" and "tool_calls" not in row["messages"][int(found[2]) - 1]:
                return f"not_rendered: drops the {found[1]} (the message is counted from 0)"
            return f"not_rendered: drops the {found[1]}"
        if not model.is_marked and "not certain" in detail:
            return "not_rendered: " + re.sub(r"\d+", "N", detail)
    if row.get("tools") and "function" not in row["tools"][0]:
        try:
            model.words.apply_chat_template(turns, tools=row["tools"], tokenize=True, return_dict=False)
        except Exception:
            return "FALSE, bare functions are given to the template as they are, which refuses them"
    raise AssertionError(f"{reason} ({detail}), but transformers writes {model.words.decode(ids)!r}")


def written(folder: pathlib.Path, side: str) -> list[Row]:
    """Returns the rows of one side."""
    path = next(path for path in sorted(folder.glob(f"{side}*")) if path.suffix in (".parquet", ".jsonl"))
    return pa.parquet.read_table(path).to_pylist() if path.suffix == ".parquet" else [json.loads(line) for line in path.open("rb")]


def check(folder: pathlib.Path, model: Model, rows: list[Row], twin: Model | None) -> None:
    at = folder / "dataset" / f"sft_{model.name}"
    seen: set[int] = set()
    for side in ("train", "val"):
        native = [json.loads(line) for line in (folder / "dataset" / f"sft_{model.name}_{side}.jsonl").open("rb")]
        messages, tokens = (written(at / shape, side) for shape in ("messages", "tokens"))
        if [row["id"] for row in messages] != [row["id"] for row in tokens] or len(native) != len(tokens):
            model.failures.append(f"{side}: rows of the shapes differ: {len(native)}, {len(messages)}, {len(tokens)}")
        for one, words, row in zip(native, tokens, messages):
            number = one["nr"]
            seen.add(number)
            source = rows[number]
            assert [m["role"] for m in one["conversations"]] == [m["role"] for m in row["messages"]]
            if words["attention_mask"] != [1] * len(words["input_ids"]):
                model.failures.append(f"row {number}: attention mask")
            try:
                model.counts["ok: " + check_row(model, source, words["input_ids"], words["labels"], twin)] += 1
            except Exception as error:
                model.failures.append(f"row {number}: {type(error).__name__}: {error}")
    quarantine = folder / "dataset" / "quarantine" / f"sft_{model.name}.jsonl"
    for line in quarantine.open("rb") if quarantine.exists() else []:
        reject = json.loads(line)
        number = json.loads(reject["raw"])["nr"]
        seen.add(number)
        try:
            model.counts["reject: " + check_reject(model, rows[number], reject["reason"], reject["detail"])] += 1
        except Exception as error:
            model.failures.append(f"row {number}: {type(error).__name__}: {error}")
    if missing := set(range(len(rows))) - seen:
        model.failures.append(f"rows {sorted(missing)[:9]} are neither written nor rejected")


def check_texts(folder: pathlib.Path, model: Model) -> str:
    """Compares running texts, each with the token that ends it."""
    count = 0
    for side in ("train", "val"):
        native = [json.loads(line) for line in (folder / "dataset" / f"pretrain_texts_{side}.jsonl").open("rb")]
        tokens = written(folder / "dataset" / "pretrain_texts" / "tokens", side)
        for one, row in zip(native, tokens, strict=True):
            ids = model.words(f"{one['nr']} {TEXTS[one['nr']]}", add_special_tokens=False)["input_ids"] + [model.words.eos_token_id]
            assert row["input_ids"] == row["labels"] == ids and row["attention_mask"] == [1] * len(ids), (one, row)
            count += 1
    return f"{count} of {len(TEXTS)} texts"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("datac")
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--templates", type=pathlib.Path, action="append", default=[])
    options.add_argument("--vocabulary", type=pathlib.Path)
    options.add_argument("--only")
    options.add_argument("--keep", action="store_true", help="the workspace is there already")
    options.add_argument("--rows", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()

    class Clock(chat_template_utils.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromisoformat(NOW)

    chat_template_utils.datetime = Clock
    rows = dialogues(asked.seed, asked.rows)
    found = [m for m in models(asked.templates, asked.vocabulary) if not asked.only or re.search(asked.only, m.name)]
    if not asked.keep:
        make(asked.folder, found, rows)
    # datac refuses variables of its name that it does not know.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATAC_CONSUMERS")}
    built = subprocess.run([asked.datac, "-C", asked.folder, "build", "--quiet", "--keep-going"], env=environment, capture_output=True, text=True)
    print(f"built: {built.returncode}\n{built.stderr}", flush=True)
    by_name = {model.name: model for model in found}
    total: collections.Counter = collections.Counter()
    failed = 0
    for model in found:
        if not (asked.folder / "dataset" / f"sft_{model.name}" / "tokens").exists():
            # Templates for contents in parts write nothing of texts.
            print(f"none  {model.name}: no row is left", flush=True)
            continue
        check(asked.folder, model, rows, by_name.get(f"{model.name}_training"))
        total += model.counts
        false = any("FALSE" in kind for kind in model.counts)
        failed += bool(model.failures or false)
        print("FAIL " if model.failures or false else "ok   ", model.name, dict(model.counts), flush=True)
        for line in model.failures[:3]:
            print("     ", line[:1500])
        if len(model.failures) > 3:
            print(f"      and {len(model.failures) - 3} more")
    if "own" in by_name:
        print("ok    texts", check_texts(asked.folder, by_name["own"]))
    for kind, number in sorted(total.items()):
        print(f"{number:7}  {kind}")
    print(f"{len(found) - failed} of {len(found)} templates as expected, {len(rows)} rows each")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
