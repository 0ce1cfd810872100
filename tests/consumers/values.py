"""Holds values that readers and writers are known to change against what datac's files have, in every shape and container.

    python values.py DATAC FOLDER

A column that the recipe keeps takes each series of values in turn, and so do contents of messages, arguments of calls and answers.
All files are read back without a trainer, by their digits; those with a README.md also with `datasets`, whose own changes to
floats are counted apart.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from project import ALL, CONTAINERS
from rows import Digits, Object, exact, rows_of, spelled, unfit_of

# Series of values of one column; absent is written as nothing.
ABSENT = object()
SERIES = {
    "integers": ["0", "1", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808"],
    "integers_64": ["18446744073709551615", "9223372036854775808", "1"],
    "wide_integers": ["12345678901234567890123", "1", "-12345678901234567890123"],
    "floats": ["0.1", "0.3", "0.30000000000000004", "3.141592653589793", "2.5", "-0.5", "100.0"],
    "floats_written": ["2.50", "1e2", "1E-7", "0.5", "1.0e0"],
    "extremes": ["1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "0.1"],
    "beyond": ["1e400", "123456789012345678901234567890.5", "0.1000000000000000055511151231257827"],
    "integers_and_floats": ["1", "1.0", "0.5", "9007199254740993"],
    "zeros": ["0", "-0", "0.0", "-0.0"],
    "booleans": ["true", "false", "null"],
    "booleans_and_texts": ["true", '"true"', "1"],
    "digits_as_text": ['"007"', '"42"', '"1e5"', '"-0"'],
    "digits_both": ['"7"', "7", '"007"'],
    "words": ['"null"', '"true"', '"nan"', '"NaN"', '"None"', '"NA"', '""', '" "'],
    "dates": ['"2024-01-01"', '"2024-02-29"', '"1999-12-31"'],
    "times": ['"2024-01-01T00:00:00"', '"2024-01-01T00:00:00Z"', '"2024-01-01 00:00:00"'],
    "letters": ['"\\u0000"', '"a\\u0000b"', '"\\u2028"', '"\\ufeff"', '"\\ud83d\\ude00"', '"\\u007f"', '"e\\u0301"', '"\\r\\n"'],
    "half_letters": ['"\\ud83d"', '"\\ude00 x"', '"x"'],
    "nothing": ["null", ABSENT, "null"],
    "null_and_empty": ["null", '""', ABSENT],
    "lists": ["[]", "null", "[null]", "[1]", ABSENT],
    "lists_of_texts": ['["a","b"]', "[]", '["2024-01-01"]', "null"],
    "nested_lists": ["[[1,2],[3]]", "[[]]", "[]", "[[null]]"],
    "mixed_lists": ['[1,"1",null,1.5,true]', "[1]"],
    "objects": ["{}", "null", '{"a":1}', ABSENT],
    "keys": ['{"a":1,"b":2}', '{"b":2,"a":1}', '{"a":1}', '{"a":1,"b":null}'],
    "late_key": ['{"a":1}'] * 9 + ['{"a":1,"z":[]}'],
    "late_type": ['{"a":1}'] * 9 + ['{"a":"1"}'],
    "odd_keys": ['{"":1}', '{"a.b":1}', '{"A":1,"a":2}', '{"\\u00fc":1}', '{"\\u0000":1}'],
    "deep": ['{"a":[{"b":[{"c":{"d":[[{}]]}}]}]}', '{"a":[{"b":[{"c":{"d":[[]]}}]}]}'],
    "json_as_text": ['"{\\"a\\": 1}"', '"[1, 2]"', '"\\"x\\""', '"{"'],
    "text_or_object": ['"{\\"a\\":1}"', '{"a":1}', '"x"'],
}
SHAPES = ["messages", "trl", "trl-prompt-completion", "axolotl", "llama-factory", "swift", "openrlhf", "verl", "nemo-rl", "prime-rl", "skyrl"]
NAMES = ["value", "Value", "v.w", "\u00fc", "a b", "quote\"", "id2", "index", "text2", "__index_level_0__", "_hoodie", "input", "output", "system", "tool_defs", "loss"]


def build(datac, folder, name):
    made = subprocess.run([datac, "-C", str(folder), "build", "--quiet", name], capture_output=True, text=True)
    return made.returncode, made.stdout + made.stderr


def dialogue(number, value=None):
    return [Object(role="user", content=f"Row {number}."), Object(role="assistant", content="Yes." if value is None else value)]


def is_rejected(value, name):
    """Whether a row is rejected for its text: in a message, half of a character of two surrogates, which no UTF-8 holds, or a blank
    answer. In a kept column such a half is unfit."""
    if not isinstance(value, str) or isinstance(value, Digits) or name == "half_letters":
        return False
    return any("\ud800" <= letter <= "\udfff" for letter in value) or (name == "contents" and not value.strip())


def write(folder, name, rows, keep, outputs, phase="sft"):
    for one in ("config", "data"):
        (folder / one).mkdir(parents=True, exist_ok=True)
    (folder / "data" / f"{name}.jsonl").write_bytes("".join(line + "\n" for line in rows).encode("utf-8"))
    more = ", converter: rlvr" if phase == "rlaif" else ""
    kept = more if keep is None else f", keep: [{json.dumps(keep, ensure_ascii=False)}]"
    (folder / "config" / f"{name}.yaml").write_text(
        f"metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: own, source: data/{name}.jsonl{kept} }}\nvalidation: {{ ratio: 0 }}\noutput:\n"
        + "".join(f"  - {{ shape: {shape}, container: {container} }}\n" for shape, container in outputs), "utf-8",
    )


def number_of(found):
    """The number of the row, from its first question."""
    dialogue = found.get("messages") or found.get("conversations") or found.get("prompt")
    first = next(turn for turn in dialogue if turn.get("role", turn.get("from")) in ("user", "human"))
    return int((first.get("content") or first.get("value")).split()[1].rstrip("."))


def with_datasets(folder):
    import datasets

    datasets.disable_progress_bars()
    # A cache of its own, since that of `datasets` takes folders of one name and equal columns for the same.
    with tempfile.TemporaryDirectory() as cache:
        return list(datasets.load_dataset(str(folder), split="train", cache_dir=cache))


def like(value):
    """A value that `exact` made, as Python's own parser makes it."""
    return json.loads(spelled(value)) if value is not ABSENT else None


def main():
    options = argparse.ArgumentParser()
    options.add_argument("datac")
    options.add_argument("folder", type=pathlib.Path)
    asked = options.parse_args()
    passed, failed, refused, by_datasets = 0, 0, 0, {}

    def fail(where, what):
        nonlocal failed
        failed += 1
        print(f"FAIL  {where}: {what}"[:600], flush=True)

    def compare(name, key, values, outputs_of, phase="sft"):
        """Reads each output of a recipe and compares the values by the rows' numbers."""
        nonlocal passed, refused
        for container, folder in outputs_of:
            where = f"{name} {folder.parent.name}/{folder.name} {container}"
            try:
                rows, unfit = rows_of(folder), unfit_of(folder)
            except Exception as error:
                fail(where, f"cannot be read: {type(error).__name__}: {error}")
                continue
            refused += len(unfit)
            sound = sum(not is_rejected(value, name) for value in values)
            if len(rows) + len(unfit) != sound:
                fail(where, f"{len(rows)} rows and {len(unfit)} unfit of {sound}")
            for found in rows:
                want = values[number_of(found)]
                got = key(found)
                if got == (None if want is ABSENT else want) and type(got) is type(None if want is ABSENT else want):
                    passed += 1
                else:
                    fail(where, f"{got!r} instead of {want!r}")
            if not (folder / "README.md").exists() or not rows:
                continue
            try:
                for found in with_datasets(folder):
                    want, got = like(values[number_of(found)]), key(found)
                    if repr(got) != repr(want):
                        by_datasets.setdefault(f"{name} {folder.name} {container}", []).append(f"{got!r} instead of {want!r}")
            except Exception as error:
                cause = error.__cause__ or error
                by_datasets.setdefault(f"{name} {folder.name} {container}", []).append(f"{type(cause).__name__}: {str(cause)[:300]}")

    for container in ALL:
        shapes = [shape for shape in SHAPES if container in CONTAINERS.get(shape, ALL)]
        base = asked.folder / container.replace(".", "_")
        for name, series in SERIES.items():
            values = [one if one is ABSENT else exact(one) for one in series]
            lines = [
                spelled(Object(messages=dialogue(number)))[:-1] + ("" if one is ABSENT else f',"value":{one}') + "}"
                for number, one in enumerate(series)
            ]
            write(base, name, lines, "value", [(shape, container) for shape in shapes])
            code, said = build(asked.datac, base, name)
            if code:
                fail(f"{name} {container}", f"exit {code}: {said}")
                continue
            compare(name, lambda found: found.get("value"), values, [(container, base / "dataset" / f"sft_{name}" / shape) for shape in shapes])
        # Contents of messages.
        texts = [one for series in SERIES.values() for one in series if one is not ABSENT and one.startswith('"') and one not in ('""',)]
        values = [exact(one) for one in texts]
        lines = [
            '{"messages":[{"role":"user","content":"Row %d."},{"role":"assistant","content":%s}]}' % (number, one) for number, one in enumerate(texts)
        ]
        chat = shapes + (["openai"] if container == "jsonl" else [])
        write(base, "contents", lines, None, [(shape, container) for shape in chat])
        code, said = build(asked.datac, base, "contents")
        if code:
            fail(f"contents {container}", f"exit {code}: {said}")
        last = lambda found: (found.get("completion") or found.get("messages") or found.get("conversations"))[-1]
        compare("contents", lambda found: last(found).get("content", last(found).get("value")), values,
                [(container, base / "dataset" / "sft_contents" / shape) for shape in chat])
        # Answers of prompts.
        rl = [shape for shape in ["trl", "openai", "swift", "openrlhf", "verl", "skyrl"] if container in CONTAINERS.get(shape, ALL)]
        for name, series in {key: SERIES[key] for key in ("digits_as_text", "words", "dates", "times", "letters", "json_as_text")}.items():
            values = [exact(one) for one in series]
            lines = ['{"prompt":[{"role":"user","content":"Row %d."}],"answer":%s}' % (number, one) for number, one in enumerate(series)]
            write(base, f"answers_{name}", lines, None, [(shape, container) for shape in rl], "rlaif")
            code, said = build(asked.datac, base, f"answers_{name}")
            if code:
                fail(f"answers_{name} {container}", f"exit {code}: {said}")
                continue

            def answer(found):
                for key in ("answer", "solution", "label"):
                    if key in found:
                        return found[key]
                return (found.get("reward_model") or found.get("reward_spec"))["ground_truth"]

            compare(f"answers_{name}", answer, values, [(container, base / "dataset" / f"rlaif_answers_{name}" / shape) for shape in rl])
        # Names of columns.
        for number, key in enumerate(NAMES):
            name = f"name_{number}"
            lines = [spelled(Object(messages=dialogue(n)))[:-1] + f",{json.dumps(key)}:\"x{n}\"}}" for n in range(2)]
            write(base, name, lines, key, [(shape, container) for shape in shapes])
            code, said = build(asked.datac, base, name)
            if code:
                print(f"note  column {key!r} {container}: exit {code}: {said[:400]}")
                continue
            compare(name + f" {key!r}", lambda found: found.get(key), [f"x{n}" for n in range(2)], [(container, base / "dataset" / f"sft_{name}" / shape) for shape in shapes])
    print(f"values: {passed} passed, {failed} failed, {refused} refused as unfit")
    for where, what in by_datasets.items():
        print(f"datasets reads {where}: {len(what)}: {what[0]}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
