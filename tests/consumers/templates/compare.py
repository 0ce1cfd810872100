"""Compares what two programs rendered, and prints tables: equal, or different with the cause.

    python compare.py REFERENCE OURS [--list N]

Both are files of JSON lines, see reference.py. Exits with 1 if anything differs whose cause is not known.
"""

import collections
import json
import re
import sys


def text_of(reference, ours):
    """The kind of the first difference between texts."""
    if "error" in reference:
        if "error" not in ours:
            return "DIFFERENT: transformers refuses, we render"
        if reference["kind"] != "raised":
            return "equal: both fail"
        return "equal: both raise, same message" if ours["error"] == reference["error"] else "DIFFERENT: message of raise"
    if "error" in ours:
        if "safe" in reference["source"] and ("unsupported" in ours["error"] or "invalid operation" in ours["error"]):
            return "explained: text added to `|safe` text, which jinja2 escapes; we refuse"
        return "DIFFERENT: we refuse, transformers renders"
    if reference["text"] != ours["text"]:
        return "DIFFERENT: text"
    spans = [span for span in reference["generated"] if span[0] < span[1]]
    if spans == ours["generated"]:
        return "equal: text" + (" and spans" if spans else "")
    if reference.get("marked") == ours["generated"]:
        return "explained: transformers counts spans from the wrong place (block inside of a macro, set or other block)"
    return "DIFFERENT: spans"


def ids_of(reference, ours):
    return "equal: ids" if reference["ids"] == ours["ids"] else "DIFFERENT: ids"


def mask_of(reference, ours):
    """Masks of templates with generation blocks."""
    theirs = reference["mask"]
    if "refused" in ours:
        return "equal: nothing is trained on" if "1" not in theirs else f"DIFFERENT: we refuse: {ours['refused']}"
    if theirs == ours["mask"]:
        return "equal: mask"
    spans = [span for span in reference["generated"] if span[0] < span[1]]
    if any(start >= end for start, end in reference["generated"]):
        return "explained: transformers trains one token of an empty block"
    if spans != ours["generated"]:
        return "explained: transformers counts spans from the wrong place"
    text = reference["text"]
    if any(ord(text[end - 1]) > 127 for _, end in spans):
        return "explained: transformers trains the first token alone of a block's last character"
    return "DIFFERENT: mask"


def places_of(ours):
    """What placeholders found, in templates without generation blocks."""
    if "refused" in ours:
        return "refused: " + re.sub(r"\d+", "N", ours["refused"])
    reasons = {reason for _, reason, _ in ours["runs"]}
    return "masked" + ("" if "end_of_turn" in reasons else ", without a token that ends turns")


def main(templates, reference, ours, *options):
    listed = int(options[1]) if options else 3
    tables = {name: collections.Counter() for name in ("text", "ids", "masks of generation blocks", "masks by placeholders")}
    examples = collections.defaultdict(list)
    of = collections.defaultdict(set)
    sources = {}

    def count(table, kind, a, b):
        tables[table][kind] += 1
        of[table, kind].add(a["template"])
        if kind.startswith("DIFFERENT"):
            examples[kind].append((a, b))

    with open(reference, encoding="utf-8") as left, open(ours, encoding="utf-8") as right:
        for a, b in zip(left, right, strict=True):
            a, b = json.loads(a), json.loads(b)
            name = a["template"]
            assert (name, a["conversation"]) == (b["template"], b["conversation"]), (a, b)
            if name not in sources:
                with open(f"{templates}/{name}.jinja", encoding="utf-8") as source:
                    sources[name] = source.read()
            a["source"] = sources[name]
            kind = text_of(a, b)
            count("text", kind, a, b)
            if "ids" in a and "ids" in b and a["text"] == b["text"]:
                count("ids", ids_of(a, b), a, b)
                if "mask" in a:
                    count("masks of generation blocks", mask_of(a, b), a, b)
                elif "runs" in b or "refused" in b:
                    count("masks by placeholders", places_of(b), a, b)
    for table, kinds in tables.items():
        print(f"\n{table}")
        for kind, number in sorted(kinds.items(), reverse=True):
            print(f"{number:7}  {len(of[table, kind]):4} templates  {kind}")
    for kind, pairs in examples.items():
        print(f"\n{kind}")
        shown = set()
        for a, b in pairs:
            if len(shown) >= listed or a["template"] in shown:
                continue
            shown.add(a["template"])
            print(f"  {a['template']} / {a['conversation']}")
            left, right = a.get("text"), b.get("text")
            if kind.endswith("spans"):
                print(f"    {a['generated']} marked {a.get('marked')}\n    {b['generated']}")
            elif kind.endswith("mask"):
                print(f"    {a['mask']}\n    {b['mask']}\n    {a['generated']}")
            elif left is not None and right is not None:
                at = next((i for i, (x, y) in enumerate(zip(left, right)) if x != y), min(len(left), len(right)))
                print(f"    at {at}: {left[max(0, at - 40):at + 60]!r}\n    ours:  {right[max(0, at - 40):at + 60]!r}")
            else:
                print(f"    {str(a.get('error', left))[:300]!r}\n    ours:  {str(b.get('error', right))[:300]!r}")
    sys.exit(bool(examples))


if __name__ == "__main__":
    main(*sys.argv[1:])
