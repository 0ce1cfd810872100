"""Compares what two programs rendered, and prints a table: equal, or different with the cause.

    python compare.py REFERENCE OURS [--list N]

Both are files of JSON lines, see reference.py. Exits with 1 if anything differs whose cause is not known.
"""

import collections
import json
import sys


def difference(reference, ours):
    """The kind of the first difference, or `equal …`."""
    if "error" in reference:
        if "error" not in ours:
            return "DIFFERENT: transformers refuses, we render"
        if reference["kind"] != "raised":
            return "equal: both fail"
        return "equal: both raise, same message" if ours["error"] == reference["error"] else "DIFFERENT: message of raise"
    if "error" in ours:
        return "DIFFERENT: we refuse, transformers renders"
    if reference["text"] != ours["text"]:
        return "DIFFERENT: text"
    spans = [span for span in reference["generated"] if span[0] < span[1]]
    if spans == ours["generated"]:
        return "equal: text" + (" and spans" if spans else "")
    if reference.get("marked") == ours["generated"]:
        return "explained: transformers counts spans from the wrong place (block inside of a macro, set or other block)"
    return "DIFFERENT: spans"


def main(reference, ours, *options):
    listed = int(options[1]) if options else 3
    table = collections.Counter()
    examples = collections.defaultdict(list)
    templates = collections.defaultdict(set)
    with open(reference, encoding="utf-8") as left, open(ours, encoding="utf-8") as right:
        for a, b in zip(left, right, strict=True):
            a, b = json.loads(a), json.loads(b)
            assert (a["template"], a["conversation"]) == (b["template"], b["conversation"]), (a, b)
            kind = difference(a, b)
            table[kind] += 1
            templates[kind].add(a["template"])
            if kind.startswith("DIFFERENT"):
                examples[kind].append((a, b))
    for kind, count in sorted(table.items(), reverse=True):
        print(f"{count:7}  {len(templates[kind]):4} templates  {kind}")
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
            elif left is not None and right is not None:
                at = next((i for i, (x, y) in enumerate(zip(left, right)) if x != y), min(len(left), len(right)))
                print(f"    at {at}: {left[max(0, at - 40):at + 60]!r}\n    ours:  {right[max(0, at - 40):at + 60]!r}")
            else:
                print(f"    {str(a.get('error', left))[:300]!r}\n    ours:  {str(b.get('error', right))[:300]!r}")
    sys.exit(any(kind.startswith("DIFFERENT") for kind in table))


if __name__ == "__main__":
    main(*sys.argv[1:])
