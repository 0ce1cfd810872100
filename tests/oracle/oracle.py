#!/usr/bin/env python3
"""Says what datac should have written, from the rules alone, and compares.

  oracle.py HUB OUT [--recipes DIR] [--lock FILE]   compare OUT with what the recipes and HUB demand
  oracle.py HUB OUT --write                         write that into OUT instead

HUB is laid out `<org>/<name>/<path as in the repository>`. Shares no code with datac, and is plain rather than fast.
Exit: 0 right, 1 different, 2 the oracle cannot judge, 77 a module is missing.
"""
import argparse
import functools
import gzip
import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

try:
    import pyarrow.parquet as parquet
    import yaml
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
try:
    import xxhash
except ImportError:
    xxhash = None

RECIPES = Path(__file__).resolve().parents[2] / "config/data/posttrain"
MOVED = {"gsm8k": "openai/gsm8k"}
ENDINGS = (".parquet", ".json", ".jsonl", ".json.gz", ".jsonl.gz")
SHAPES = {"sft": ["conversations", "text", "source"], "dpo": ["chosen", "rejected", "source"],
          "rlaif": ["conversations", "source"]}
ROLES = {"system": b"\0", "user": b"\1", "assistant": b"\2"}
# What the rules below cover; with any other key the oracle would judge wrongly.
KNOWN = {"metadata", "datasets", "validation", "name", "source", "format", "mix_ratio", "splits", "max_samples", "sample", "rows",
         "text_field", "config_name", "data_dir", "filters", "ratio", "seed", "stratified", "test", "normalise", "mix",
         "deduplicate"}
LIMITS = {"length": {"type", "min_length", "max_length"}, "quality": {"type", "min_score"}}
# Unicode's White_Space. Python's own str.strip and str.split also take U+001C to U+001F.
SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


class Rejected(Exception):
    """A row that is not used; the arguments are the reason codes that would be right."""


def demand(known, what):
    if not known:
        print(f"cannot judge: {what}", file=sys.stderr)
        sys.exit(2)


def strip(text):
    return text.strip(SPACE)


# --- files and rows ---

def source_files(hub, dataset):
    """Paths inside the repository: splits in order, folders in the order given, then by path.

    A config is taken to be a folder of its name, a file's split to be a word of its path, as in the four repositories.
    """
    root = hub / MOVED.get(dataset["source"], dataset["source"])
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.name.endswith(ENDINGS))
    folders = dataset.get("data_dir", dataset.get("config_name", ""))
    found = []
    for split in dataset.get("splits", ["train"]):
        for folder in [folders] if isinstance(folders, str) else folders:
            inside = [p for p in paths if not folder or p.startswith(folder + "/")]
            splits = {p: {"train", "test", "validation"} & set(re.split("[^a-z]+", p[len(folder):])) for p in inside}
            # A repository that does not speak of splits is all training data.
            unsplit = split == "train" and not any(splits.values())
            matching = [p for p in inside if unsplit or split in splits[p]]
            demand(matching, f"{root}/{folder} has no files for split {split}")
            found += matching
    return root, found


class Object(dict):
    """A JSON object that remembers whether a key stood in it twice."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.twice = len(self) < len(pairs)


def parse(content):
    def no_constant(name):
        raise ValueError(f"{name} is not JSON")
    return json.loads(content.decode("utf-8"), object_pairs_hook=Object, parse_constant=no_constant)


def checked(row):
    """The row of a JSON value, or the `Rejected` it deserves."""
    if not isinstance(row, Object):
        return Rejected("wrong_type", "invalid_json")
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return Rejected("invalid_json")  # a lone surrogate is not text
    return Rejected("duplicate_key") if row.twice else row


def parse_row(line):
    try:
        return checked(parse(line))
    except ValueError as error:
        return Rejected("invalid_utf8" if isinstance(error, UnicodeDecodeError) else "invalid_json")


@functools.cache
def rows_of(path):
    """Every row of a file: a dict, or a `Rejected` if it cannot be read. Blank lines are no rows."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if content.lstrip()[:1] == b"[":
        return [checked(row) for row in parse(content)]
    return [parse_row(line) for line in content.split(b"\n") if line.strip()]


# --- rows to samples; a row with several faults may be rejected for any of them ---

def field(row, name, faults, default=None):
    """The text in a column; None, and a fault, if there is none."""
    value = row.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        faults |= ({"missing_field"} if value is None else set()) | ({"wrong_type"} if name in row else set())
        return None
    return value


def unless(faults, value):
    if faults:
        raise Rejected(*faults)
    return value


def turn(role, content):
    return {"role": role, "content": content}


def request(row, faults):
    # A null instruction is an empty one; a missing one is a fault.
    blank = "" if "instruction" in row else None
    instruction, more = field(row, "instruction", faults, default=blank), field(row, "input", faults, default="")
    if instruction is None or more is None:
        return None
    if not strip(more) or strip(more).lower() == "<noinput>":
        faults |= set() if strip(instruction) else {"empty_prompt"}
        return instruction
    return f"{instruction}\n{more}" if strip(instruction) else more


def exchange(user, answer, faults):
    if answer is not None and not strip(answer):
        faults.add("empty_output")
    return unless(faults, {"conversations": [turn("user", user), turn("assistant", answer)], "text": f"{user}\n{answer}"})


def alpaca(row):
    faults = set()
    return exchange(request(row, faults), field(row, "output", faults), faults)


def gsm8k(row):
    faults = set()
    question, answer = field(row, "question", faults), field(row, "answer", faults)
    if question is not None and not strip(question):
        faults.add("empty_prompt")
    _, mark, final = (answer or "").rpartition("####")
    if answer is not None and not (mark and re.fullmatch(r"-?[0-9][0-9,]*(\.[0-9]+)?", strip(final))):
        faults.add("no_final_answer")
    return exchange(question, answer, faults)


def prompts(row):
    faults = set()
    return unless(faults, {"conversations": [turn("user", request(row, faults))]})


def dialogue(text):
    head, *rest = re.split(r"(?:\A|\n\n)(Human|Assistant):", text)
    if head or not rest or rest[0] != "Human":
        raise Rejected("no_first_human_turn")
    turns = []
    for role, content in zip(rest[0::2], rest[1::2]):
        role = "user" if role == "Human" else "assistant"
        if turns and turns[-1]["role"] == role:
            # A part that begins with a role word must not make a new marker; an empty part adds nothing.
            before, content = turns[-1]["content"], strip(content)
            glue = "\n" if content.startswith(("Human:", "Assistant:")) else "\n\n"
            turns[-1]["content"] = before + (glue if before and content else "") + content
        else:
            turns.append(turn(role, strip(content)))
    return turns


def hh_rlhf(row):
    faults = set()
    texts = [field(row, "chosen", faults), field(row, "rejected", faults)]
    chosen, rejected = sides = [dialogue(text) for text in unless(faults, texts)]
    if any(s[-1]["role"] != "assistant" for s in sides):
        raise Rejected("no_final_assistant_turn")
    if any(not strip(s[-1]["content"]) for s in sides):
        raise Rejected("empty_last_answer")
    if chosen == rejected:
        raise Rejected("identical_pair")
    if chosen[:-1] != rejected[:-1]:
        raise Rejected("prompts_differ")
    return {"chosen": chosen, "rejected": rejected}


CONVERTERS = {("sft", "tatsu-lab/alpaca"): alpaca, ("sft", "sahil2801/CodeAlpaca-20k"): alpaca,
              ("sft", "openai/gsm8k"): gsm8k, ("dpo", "Anthropic/hh-rlhf"): hh_rlhf, ("rlaif", "tatsu-lab/alpaca"): prompts}


# --- filters ---

def measured(sample, row, name):
    if name in sample and name != "text":
        return "\n".join(m["content"] for m in sample[name])
    value = sample[name] if name in sample else row.get(name)
    demand(value is None or isinstance(value, str), f"text_field {name} holds {value!r}")
    return value or ""


def quality(text):
    if len(text) < 10:
        return 0.0
    words = re.compile(f"[^{SPACE}]+").findall
    score, n = 1.0, len(words(text))
    times = Counter(w.lower() for w in words(text))
    if not re.search("[.!?。！？｡．؟۔।॥։՜՞።፧។။།]", text):
        score *= 0.7
    if n > 5:
        score *= 0.5 + 0.5 * len(times) / n
    if n > 10 and 10 * max(times.values()) > 3 * n:
        score *= 0.5
    parts = [p for p in text.split(".") if strip(p)]
    if len(parts) > 2 and sum(len(words(p)) for p in parts) / len(parts) < 3:
        score *= 0.7
    return score


def passes(text, rule):
    if rule["type"] == "quality":
        return quality(text) >= rule["min_score"]
    return rule.get("min_length", 0) <= len(text) <= rule.get("max_length", len(text))


# --- recipes ---

class Expected:
    """What one recipe should give."""

    def __init__(self, hub, path):
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        (dataset, *others), validation = recipe["datasets"], recipe["validation"]
        test, mix = recipe.get("test", {}), recipe.get("mix", {})
        demand(not others and {*recipe, *dataset, *validation, *test, *mix} <= KNOWN, f"{path} says something that is not covered")
        filters = dataset.get("filters", [])
        demand(all(set(f) <= LIMITS.get(f["type"], set()) for f in filters), f"{path} has a filter that is not covered")
        self.phase, self.ratio, self.seed = recipe["metadata"]["phase"], validation["ratio"], validation["seed"]
        self.test_ratio, self.normalise = test.get("ratio", 0), validation.get("normalise", False)
        self.name = f"{self.phase}_{path.stem}"
        convert = CONVERTERS.get((self.phase, MOVED.get(dataset["source"], dataset["source"])))
        demand(convert, f"{path} has a source that is not covered")
        text_field = dataset.get("text_field", {"sft": "text", "dpo": "chosen", "rlaif": "conversations"}[self.phase])
        root, files = source_files(hub, dataset)
        self.sizes = {f: (root / f).stat().st_size for f in files}
        source = [(f, i, row) for f in files for i, row in enumerate(rows_of(root / f))]
        self.rows, self.rejects, self.filtered, self.available = [], {}, 0, len(source)
        for file, index, row in source:
            if len(self.rows) == dataset.get("max_samples"):
                break
            try:
                if isinstance(row, Rejected):
                    raise row
                sample = convert(row)
            except Rejected as reject:
                self.rejects[file, index] = set(reject.args)
                continue
            if all(passes(measured(sample, row, text_field), rule) for rule in filters):
                self.rows.append({**sample, "source": dataset["name"]})
            else:
                self.filtered += 1
        self.sample(dataset.get("sample"))
        self.deduplicate(mix)
        self.whole = len(self.rows) + self.filtered + len(self.rejects) == self.available

    def deduplicate(self, mix):
        """Keeps the first of equal prompts or rows; the others count as filtered."""
        if "deduplicate" not in mix:
            return
        def told_by(row):
            turns = prompt_of(row) if mix["deduplicate"] == "prompt" else row
            text = json.dumps(turns)
            demand(not mix.get("normalise") or mix["deduplicate"] == "prompt", "rows cannot be normalised here")
            return json.dumps([{**turn, "content": folded(turn["content"])} for turn in turns]) if mix.get("normalise") else text
        kept = {}
        for row in self.rows:
            kept.setdefault(told_by(row), row)
        self.filtered += len(self.rows) - len(kept)
        self.rows = list(kept.values())

    def side_of(self, prompts):
        """The side of each prompt that the rows have, by the prompt as JSON."""
        def keys(purpose, of):
            return {p: prompt_key(json.loads(p), self.seed + purpose, self.normalise) for p in of}
        sides = {}
        for side, purpose, ratio in (("test", 4, self.test_ratio), ("val", 0, self.ratio)):
            of = keys(purpose, [p for p in prompts if p not in sides])
            chosen = held_keys(set(of.values()), ratio) if ratio > 0 else set()
            sides |= {p: side for p, key in of.items() if key in chosen}
        return {p: sides.get(p, "train") for p in prompts}

    def sample(self, wanted):
        """Keeps the rows of lowest hash; the others count as filtered."""
        if not wanted or len(self.rows) <= wanted["rows"]:
            return
        demand(xxhash, "`sample` needs the module xxhash")
        seed = wanted.get("seed", 42) + 3
        ranked = sorted(range(len(self.rows)), key=lambda at: (sample_key(self.rows[at], seed), at))
        kept = sorted(ranked[:wanted["rows"]])
        self.filtered += len(self.rows) - len(kept)
        self.rows = [self.rows[at] for at in kept]


def prompt_of(row):
    if "chosen" in row:
        return row["chosen"][:-1]
    turns = row["conversations"]
    return turns[:next((i for i, m in enumerate(turns) if m["role"] == "assistant"), len(turns))]


def folded(text):
    """A text in lower case, with a blank for each run of white space and none at the ends."""
    return " ".join(part for part in re.split(f"[{SPACE}]+", "".join(c.lower() for c in text)) if part)


def prompt_key(prompt, seed, normalise=False):
    """What decides a prompt's side."""
    fold = folded if normalise else str
    content = b"".join(ROLES[m["role"]] + fold(m["content"]).encode() + b"\0" for m in prompt)
    return xxhash.xxh3_64_intdigest(xxhash.xxh3_64_intdigest(content).to_bytes(8, "little"), seed)


def held_keys(keys, ratio):
    """The keys of the prompts that are held out; neither side stays empty if it can be helped."""
    chosen = {k for k in keys if k < int(ratio * 2**64)}
    if len(keys) == 1:
        return set()
    if len(chosen) in (0, len(keys)):
        chosen = chosen - {max(keys)} if chosen else {min(keys, default=None)}
    return chosen


def encoded(row):
    """A row as its line has it."""
    line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return line.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


def sample_key(row, seed):
    """What decides whether `sample` takes a row."""
    line = encoded(row)
    return xxhash.xxh3_64_intdigest(xxhash.xxh3_64_intdigest(line[:line.rindex(b',"source":')]).to_bytes(8, "little"), seed)


def order_key(line, seed):
    """What decides a row's place; `line` is its bytes."""
    row_hash = xxhash.xxh3_64_intdigest(line[:line.rindex(b',"source":')])
    return xxhash.xxh3_64_intdigest(row_hash.to_bytes(8, "little") + bytes(4), seed + 2)


# --- comparison; `wrong` takes differences by kind ---

def read_lines(path, wrong):
    """Bytes and row of every line that holds one, after checks of the encoding."""
    if not path.is_file():
        wrong["missing file"].append(path.name)
        return []
    content, out = path.read_bytes(), []
    if content and (content[-1:] != b"\n" or content[-2:] in (b"\n", b"\n\n")):
        wrong["does not end in one newline"].append(path.name)
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n") if content else [], 1):
        row, text = parse_row(line), line.decode("utf-8", "replace")
        where = f"{path.name}:{number}: {text}"
        if isinstance(row, Rejected):
            wrong["line that is no row"].append(f"{row.args} {where}")
            continue
        escapes = re.findall(r"\\(?:u([0-9a-fA-F]{4})|.)", text)
        if any(e and int(e, 16) > 0x7F and e not in ("0085", "2028", "2029") for e in escapes):
            wrong["escaped non-ASCII"].append(where)
        if re.search("[\x85\u2028\u2029]", text):
            wrong["bare U+0085, U+2028 or U+2029"].append(where)
        out.append((line, row))
    return out


def well_formed(line, row, phase):
    """Whether keys are as they should be and in order, down to the messages."""
    def is_turn(message):
        return (isinstance(message, dict) and list(message) == ["role", "content"] and message["role"] in ROLES
                and isinstance(message["content"], str))
    lists = [row[k] for k in SHAPES[phase] if k in row and k not in ("text", "source")]
    return (list(row) == SHAPES[phase] and b',"source":"' in line
            and all(isinstance(turns, list) and all(map(is_turn, turns)) for turns in lists))


def compare(expected, out, wrong):
    name, sides = expected.name, {}
    written = [side for side, share in (("train", 1), ("val", expected.ratio), ("test", expected.test_ratio)) if share > 0]
    for side in written:
        lines = read_lines(out / f"{name}_{side}.jsonl", wrong)
        good = [well_formed(line, row, expected.phase) for line, row in lines]
        sides[side] = [both for both, ok in zip(lines, good) if ok]
        wrong["keys or their order"] += [f"{name}_{side}: {line.decode()}" for (line, _), ok in zip(lines, good) if not ok]
        print(f"{name}_{side}.jsonl: {len(lines)} rows")
    kept = [row for lines in sides.values() for _, row in lines]
    want, got = Counter(map(json.dumps, expected.rows)), Counter(map(json.dumps, kept))
    wrong["missing row"] += [f"{name}: {n} x {row}" for row, n in (want - got).items()]
    wrong["row too many"] += [f"{name}: {n} x {row}" for row, n in (got - want).items()]
    left = len(kept) - len(sides.get("test", []))
    n, share = len(kept), len(sides.get("val", [])) / max(left, 1)
    if n != len(expected.rows):
        wrong["number of rows"].append(f"{name}: {n}, expected {len(expected.rows)}")
    on = Counter(prompt for lines in sides.values() for prompt in {json.dumps(prompt_of(row)) for _, row in lines})
    wrong["prompt on both sides"] += [f"{name}: {prompt}" for prompt, count in on.items() if count > 1]
    deviation = (expected.ratio * (1 - expected.ratio) / max(n, 1)) ** 0.5
    # One row more or less: a side that would be empty takes a prompt from the other.
    if abs(share - expected.ratio) > max(0.01, 4 * deviation) + 1 / max(n, 1):
        wrong["share of validation"].append(f"{name}: {share:.4f} of {n}, expected about {expected.ratio}")
    if xxhash:
        compare_keys(expected, sides, wrong)
    rejects = compare_rejects(expected, out, wrong)
    looked = f"{n} kept, {expected.filtered} filtered, {rejects} rejected of {expected.available}"
    if expected.whole and n + expected.filtered + rejects != expected.available:
        wrong["rows unaccounted for"].append(f"{name}: {looked}")
    print(f"  {looked}{'' if expected.whole else ', the rest beyond max_samples'}; {share:.2%} for validation")


def compare_keys(expected, sides, wrong):
    told = {s: [json.dumps(prompt_of(row)) for _, row in lines] for s, lines in sides.items()}
    right = expected.side_of({prompt for prompts in told.values() for prompt in prompts})
    for side, lines in sides.items():
        for prompt, (line, _) in zip(told[side], lines):
            if right[prompt] != side:
                wrong["wrong side"].append(f"{expected.name}_{side}, not {right[prompt]}: {line.decode()}")
        order = [order_key(line, expected.seed) for line, _ in lines]
        for i in range(1, len(order)):
            if order[i - 1] > order[i]:
                wrong["order"].append(f"{expected.name}_{side}: row {i + 1} has key {order[i]} after {order[i - 1]}")


def compare_rejects(expected, out, wrong):
    path = out / "quarantine" / f"{expected.name}.jsonl"
    if not expected.rejects and not path.exists():
        return 0
    lines, seen = read_lines(path, wrong), Counter()
    for _, entry in lines:
        place = entry.get("file"), entry.get("row")
        seen[place] += 1
        if place not in expected.rejects or seen[place] > 1:
            wrong["reject too many"].append(f"{path.name}: {place} {json.dumps(entry)}")
        elif entry.get("reason") not in expected.rejects[place]:
            wrong["reason"].append(f"{path.name}: {place} {entry.get('reason')}, expected {expected.rejects[place]}")
    wrong["missing reject"] += [f"{path.name}: {p} {codes}" for p, codes in expected.rejects.items() if p not in seen]
    if not lines:
        wrong["quarantine file without rows"].append(path.name)
    return len(lines)


def compare_files(every, out, lock, wrong):
    """No files of other recipes; the lock pins every file that was read, with its size, wherever in it files are listed."""
    ours = {out / f"{e.name}_{s}.jsonl" for e in every for s in ("train", "val", "test")}
    ours |= {out / "quarantine" / f"{e.name}.jsonl" for e in every}
    wrong["file of no recipe"] += sorted({*out.glob("*.jsonl"), *out.glob("quarantine/*")} - ours)
    pinned, nodes = set(), [yaml.safe_load(lock.read_text(encoding="utf-8"))] if lock else []
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            pinned.add((str(node.get("path")), node.get("size")))
        nodes += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    if lock:
        wrong["not in the lock"] += sorted({place for e in every for place in e.sizes.items()} - pinned)


def write(expected, out):
    def dump(path, rows, key=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [encoded(row) for row in rows]
        path.write_bytes(b"".join(line + b"\n" for line in sorted(lines, key=key or (lambda line: 0))))

    told = [json.dumps(prompt_of(row)) for row in expected.rows]
    right = expected.side_of(set(told))
    for side, share in (("train", 1), ("val", expected.ratio), ("test", expected.test_ratio)):
        rows = [row for prompt, row in zip(told, expected.rows) if right[prompt] == side]
        if share > 0:
            dump(out / f"{expected.name}_{side}.jsonl", rows, lambda line: order_key(line, expected.seed))
    if expected.rejects:
        rejects = [{"file": f, "row": i, "reason": min(codes)} for (f, i), codes in expected.rejects.items()]
        dump(out / "quarantine" / f"{expected.name}.jsonl", rejects)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hub", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipes", type=Path, default=RECIPES)
    parser.add_argument("--lock", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    every = [Expected(args.hub, path) for path in sorted(args.recipes.rglob("*.y*ml"))]
    demand(every, f"no recipes under {args.recipes}")
    if args.write:
        demand(xxhash, "--write needs the module xxhash")
        for expected in every:
            write(expected, args.out)
        return 0
    wrong = defaultdict(list)
    for expected in every:
        compare(expected, args.out, wrong)
    compare_files(every, args.out, args.lock, wrong)
    if not xxhash:
        print("sides and order not checked: no module xxhash")
    for kind, details in wrong.items():
        if details:
            print(f"WRONG {kind}: {len(details)}", *(str(d)[:400] for d in details[:5]), sep="\n      ")
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
