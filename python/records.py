"""Writes `datac/_records.py`: the documents of the library as classes, from the JSON Schemas of its own types."""

import json
import sys
import textwrap

from datac import _datac

HEAD = '''"""The documents that datac returns, as classes. Written by `python/records.py` from the types of the library."""

from __future__ import annotations

from typing import Any

from ._record import OfRecipes, Record
'''
# What the schema of a type leaves to whoever prints it.
PROBLEMS = {"problems": ("list[Problem]", "Problem", "Errors in the recipe itself, each with line and column.")}
FAILURE = {"failure": ("Failure | None", "Failure", "What else keeps the recipe from being built, or kept it from that.")}
ADDED = {
    "RecipeStatus": {**PROBLEMS, **FAILURE},
    "RecipeReport": {**PROBLEMS, **FAILURE},
    "WorkReport": {
        "failures": ("list[Failure]", "Failure", "Files and sources that could not be worked on."),
        "problems": ("list[Problem]", "Problem", "Errors in recipes, each with line and column."),
        "error": ("Failure | None", "Failure", "The worst that went wrong, if anything did."),
    },
    "BuildReport": {"error": ("Failure | None", "Failure", "The worst that went wrong, if anything did.")},
}


# Why a row was rejected is written as a code, whatever the derived schema says. Why a recipe is stale is a record of the same name.
CODES = {("Rejected", "reason")}


# Documents that are shown in another way than by their attributes.
BASES = {"BuildReport": "OfRecipes"}


def target(schema: dict, defs: dict) -> str | None:
    """Returns the class that a schema refers to, if it is one of objects."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return name if name and defs[name].get("type") == "object" and properties(defs[name]) else None


def properties(schema: dict) -> dict:
    """Returns the properties of an object, those of all its variants included."""
    found = dict(schema.get("properties", {}))
    if found:
        for variant in [*schema.get("oneOf", []), *schema.get("anyOf", []), *schema.get("allOf", [])]:
            found = {**variant.get("properties", {}), **found}
    return found


def hint(schema: dict, defs: dict) -> tuple[str, str | None, bool]:
    """Returns the type of a value, its class if it is made of records, and whether it is a dictionary of them."""
    if "$ref" in schema:
        name = target(schema, defs)
        return (name, name, False) if name else hint(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        kinds = [hint(one, defs) for one in schema["anyOf"]]
        made = [kind for kind in kinds if kind[1]]
        some = next(iter(made), (None, None, False))
        return (" | ".join(dict.fromkeys(kind[0] for kind in kinds)), some[1], some[2])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        inner = [hint({**schema, "type": kind}, defs) for kind in kinds]
        return (" | ".join(kind[0] for kind in inner), next((kind[1] for kind in inner if kind[1]), None), any(kind[2] for kind in inner))
    if "oneOf" in schema and all("const" in one or one.get("type") == "string" for one in schema["oneOf"]):
        return ("str", None, False)
    if kinds == "array" and isinstance(schema.get("items"), dict):
        kind, made, _ = hint(schema["items"], defs)
        return (f"list[{kind}]", made, False)
    if kinds == "object" and isinstance(schema.get("additionalProperties"), dict):
        kind, made, _ = hint(schema["additionalProperties"], defs)
        return (f"dict[str, {kind}]", made, made is not None)
    simple = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None", "array": "list[Any]"}
    return (simple.get(kinds, "Any"), None, False)


def text(words: str, indent: str) -> list[str]:
    words = " ".join(words.split()).replace("\\", "\\\\").replace("[`", "`").replace("`]", "`")
    lines = textwrap.wrap(f'"""{words}"""', 125 - len(indent))
    return [indent + line for line in lines]


def written(name: str, schema: dict, defs: dict) -> str:
    required, added = set(schema.get("required", [])), ADDED.get(name, {})
    lines = ["", "", f"class {name}({BASES.get(name, 'Record')}):", *text(schema.get("description", name), "    "), ""]
    records, maps, body = {}, {}, []
    for key, value in properties(schema).items():
        if key in added:
            continue
        kind, made, is_map = ("str", None, False) if (name, key) in CODES else hint(value, defs)
        if made:
            (maps if is_map else records)[key] = made
        if key not in required and "None" not in kind and kind != "Any":
            kind += " | None"
        body += [f"    {key}: {kind}", *text(value.get("description", ""), "    ")]
    for key, (kind, made, words) in added.items():
        records[key] = made
        body += [f"    {key}: {kind}", *text(words, "    ")]
    for title, known in (("_records", records), ("_maps", maps)):
        if known:
            lines.append(f"    {title} = {json.dumps(known)}")
    return "\n".join([*lines, *body])


def main() -> str:
    schemas = json.loads(_datac.schemas())
    defs: dict = {}
    for name, schema in schemas.items():
        defs.update(schema.pop("$defs", {}))
        defs[name] = schema
    parts = [written(name, schema, defs) for name, schema in sorted(defs.items()) if schema.get("type") == "object" and properties(schema)]
    return "\n".join([HEAD.rstrip("\n"), *parts]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(main())
