"""Reads rows of datac's outputs without any trainer: every value exactly as it is in the file.

Numbers are kept as they are written (`Digits`), so that 1, 1.0 and 1e0 differ, and so do 0.3 and its neighbour.
"""

import json
import pathlib
import re

CONTAINERS = (".jsonl", ".jsonl.zst", ".parquet", ".arrow")


class Digits(str):
    """A number, by its digits. A string of the same digits is not equal to it."""

    def __eq__(self, other):
        return isinstance(other, Digits) and str.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(("number", str(self)))

    def __repr__(self):
        return f"<{str(self)}>"


class Object(dict):
    """An object whose order of keys counts."""

    def __eq__(self, other):
        return isinstance(other, dict) and list(self.items()) == list(other.items())

    def __ne__(self, other):
        return not self == other


def pairs(found):
    made = Object(found)
    assert len(made) == len(found), f"a key twice: {[key for key, _ in found]}"
    return made


def exact(text):
    """Parses JSON; floats and integers by their digits."""
    return json.loads(text, parse_int=Digits, parse_float=Digits, parse_constant=Digits, object_pairs_hook=pairs)


def spelled(value):
    """Writes a value that `exact` made in one spelling, numbers by their digits."""
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{spelled(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    return json.dumps(value)


def files_of(folder, side="train"):
    """The files of a side, in order, and their container."""
    folder = pathlib.Path(folder)
    for container in CONTAINERS:
        found = sorted(
            p for d in (folder, folder / "data") if d.is_dir() for p in d.iterdir()
            if re.fullmatch(rf"{side}(-\d+-of-\d+)?(-[0-9a-f]{{12}})?{re.escape(container)}", p.name)
        )
        if found:
            return found, container
    return [], None


def lines(text):
    # Not splitlines: U+2028 and its like are no ends of lines of JSON.
    return [exact(line) for line in text.split("\n") if line]


def rows_of(folder, side="train"):
    """All rows of a side, in order."""
    found, container = files_of(folder, side)
    made = []
    for path in found:
        if container == ".jsonl":
            made += lines(path.read_bytes().decode("utf-8"))
        elif container == ".jsonl.zst":
            import zstandard

            with zstandard.open(path, "rb") as file:
                made += lines(file.read().decode("utf-8"))
        else:
            made += table_rows(path, container)
    return made


def table_rows(path, container):
    import pyarrow as pa
    import pyarrow.parquet

    if container == ".parquet":
        table = pyarrow.parquet.read_table(path)
    else:
        with pa.memory_map(str(path)) as source:
            try:
                table = pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                table = pa.ipc.open_stream(source).read_all()
    columns = [[plain(value, column.type) for chunk in column.chunks for value in storage(chunk)] for column in table.columns]
    return [Object(zip(table.column_names, values)) for values in zip(*columns)]


def storage(array):
    return (array.storage if hasattr(array, "storage") else array).to_pylist()


def is_json(kind):
    return getattr(kind, "extension_name", None) == "arrow.json"


def plain(value, kind):
    """A value of a typed column as `exact` would have made it."""
    import pyarrow as pa

    if value is None:
        return None
    if is_json(kind):
        return exact(value)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [plain(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return Object((field.name, plain(value.get(field.name), field.type)) for field in kind)
    if pa.types.is_boolean(kind):
        return value
    if pa.types.is_integer(kind):
        return Digits(value)
    if pa.types.is_floating(kind):
        return Digits(repr(value))
    assert pa.types.is_string(kind) or pa.types.is_large_string(kind), kind
    return value


def unfit_of(folder):
    path = pathlib.Path(folder) / "unfit.jsonl"
    return lines(path.read_text("utf-8")) if path.exists() else []
