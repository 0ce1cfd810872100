"""Calls a function of the workspace on rows or samples: a program that a build starts for each of its threads, and keeps.

The command carries this file, so it needs nothing but the standard library. Requests come on the standard input and are answered on
the standard output, each a length of 8 bytes, little-endian, and so many bytes; what the function prints goes to the standard error.

The first request is a JSON object that names the function; the answer says what it is. Each other request is the number of its rows,
the length of each in bytes, as numbers of 4 bytes, and a JSON array of the rows. Its answer is a line with a JSON object, and a line of
JSON for each row. A converter's is a sample, a list of samples, or `{"reject": "why"}`; a scorer's is a number or `null`, a filter's
is `true`, `false` or `null`, and that of both is `{"failed": "why"}` for a number that is none, and `{"reject": "why"}` where the function
refuses the sample. An object with `failed` in the first line says why there are no further lines.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import importlib.util
import io
import json
import mmap
import os
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

IDLE = 0
"""What stands for no row in the file that tells how far a request has come."""

ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

ENVIRONMENT = (ImportError, MemoryError, OSError)
"""Exceptions that say nothing about a row: the next build may not have them."""


class Failed(Exception):
    """Why the function cannot be called, in words; `seen` is the end of the traceback."""

    def __init__(self, words: str, seen: str = "", hint: str | None = None) -> None:
        super().__init__(words)
        self.seen, self.hint = seen, hint


class Channel:
    """The pipes to the build, out of reach of the function and of what it starts."""

    def __init__(self) -> None:
        self.requests = os.fdopen(os.dup(0), "rb")
        self.answers = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def request(self) -> bytes | None:
        head = self.requests.read(8)
        return self.requests.read(int.from_bytes(head, "little")) if len(head) == 8 else None

    def answer(self, told: dict[str, Any], lines: Iterable[str] = ()) -> None:
        head = json.dumps(told)
        try:
            body = "\n".join([head, *lines]).encode()
        except UnicodeEncodeError:
            body = "\n".join([head, *map(sound, lines)]).encode()
        self.answers.write(len(body).to_bytes(8, "little"))
        self.answers.write(body)
        self.answers.flush()


class Place:
    """The workspace, and which of its files have been read."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.roots = tuple({os.path.abspath(root) + os.sep, os.path.realpath(root) + os.sep})
        # Where packages are installed, which may be below the workspace.
        prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix}
        self.installed = tuple(
            prefix + os.sep for place in prefixes for prefix in {os.path.abspath(place), os.path.realpath(place)}
        )
        self.read: set[str] = set()
        self.told: set[str] = set()
        extensions = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
        sources = (Source, importlib.machinery.SOURCE_SUFFIXES)
        self.finder_of = importlib.machinery.FileFinder.path_hook(extensions, sources)

    def within(self, path: str) -> str | None:
        """Returns a path relative to the workspace; `None` for what is not of the workspace's own."""
        path = os.path.abspath(path)
        root = next((root for root in self.roots if path.startswith(root)), None)
        if root is None or path.startswith(tuple(place for place in self.installed if place.startswith(root))):
            return None
        parts = path[len(root) :].split(os.sep)
        if any(part in ("site-packages", "dist-packages", "__pycache__") for part in parts):
            return None
        return "/".join(parts)

    def notice(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit hook: notes which files are opened to be read."""
        if event == "open":
            path, mode, flags = args
            if mode is None:
                reads = isinstance(flags, int) and flags & os.O_ACCMODE != os.O_WRONLY
            else:
                reads = "r" in mode or "+" in mode
            if not reads:
                return
        elif event == "import":
            path = args[1]
        elif event == "sqlite3.connect":
            path = args[0]
        else:
            return
        if isinstance(path, (str, bytes, os.PathLike)):
            own = self.within(os.fsdecode(path))
            if own is not None and own not in self.read and os.path.isfile(os.path.join(self.root, own)):
                self.read.add(own)

    def news(self) -> list[str]:
        """Returns the files that were read since the last call."""
        new = sorted(self.read - self.told)
        self.told.update(new)
        return new

    def finder(self, path: str) -> Any:
        """A path hook: modules of the workspace are read from their source."""
        if self.within(os.path.join(path, "module.py")) is None:
            raise ImportError("not of the workspace")
        return self.finder_of(path)


class Source(importlib.machinery.SourceFileLoader):
    """Compiles what a file says now.

    Bytecode would be that of the text before, if the file was edited within a second and has the same length.
    """

    def path_stats(self, path: Any) -> NoReturn:
        raise OSError("bytecode is neither read nor written")


def provide(definitions: str) -> None:
    """Puts the module `datac` in place. Whatever else is asked of it comes from the package, if that is installed."""
    module = types.ModuleType("datac", "What functions of a workspace need of datac.")
    exec(compile(definitions, "<datac>", "exec"), module.__dict__)
    found = importlib.machinery.PathFinder.find_spec("datac", sys.path)
    if found is not None and found.submodule_search_locations:
        module.__path__ = list(found.submodule_search_locations)

    def of_package(name: str) -> Any:
        if name.startswith("__") or found is None or found.loader is None:
            raise AttributeError(f"module 'datac' has no attribute {name!r}")
        package = importlib.util.module_from_spec(found)
        found.loader.exec_module(package)
        for known, value in vars(package).items():
            module.__dict__.setdefault(known, value)
        return getattr(package, name)

    module.__dict__["__getattr__"] = of_package
    sys.modules["datac"] = module


def load(root: str, path: str) -> types.ModuleType:
    """Imports the module at a path of the workspace.

    Its own folder and the workspace are on `sys.path`. It has the dotted name of its path, so that relative imports work, unless
    that name is taken.
    """
    parts = path[: -len(".py")].split("/")
    sys.path[:0] = list(dict.fromkeys([os.path.join(root, *parts[:-1]), root]))
    taken = parts[0] in sys.modules or parts[0] in getattr(sys, "stdlib_module_names", ())
    if all(part.isidentifier() for part in parts) and not taken:
        for depth in range(1, len(parts)):
            package(root, parts[:depth])
        name = ".".join(parts)
    else:
        name = "workspace_" + re.sub(r"\W", "_", parts[-1])
    place = os.path.join(root, path)
    return run(importlib.util.spec_from_file_location(name, place, loader=Source(name, place)))


def package(root: str, parts: list[str]) -> None:
    """Imports a folder of the workspace as a package."""
    name, place = ".".join(parts), os.path.join(root, *parts)
    init = os.path.join(place, "__init__.py")
    if os.path.isfile(init):
        loader = Source(name, init)
        run(importlib.util.spec_from_file_location(name, init, loader=loader, submodule_search_locations=[place]))
    else:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [place]
        sys.modules[name] = importlib.util.module_from_spec(spec)


def run(spec: importlib.machinery.ModuleSpec | None) -> types.ModuleType:
    assert spec is not None and spec.loader is not None, "it is made with a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def function_of(place: Place, path: str, name: str, role: str) -> tuple[Callable[[Any], Any], dict[str, Any]]:
    """Returns the function of a module, and what it says of itself."""
    try:
        module = load(place.root, path)
    except BaseException as error:
        raise Failed(f"`{path}` cannot be imported: {said(place, error)}", seen(place, error)) from None
    known = {
        known: value.__datac__
        for known, value in vars(module).items()
        if isinstance(getattr(value, "__datac__", None), dict) and callable(value)
    }
    names = ", ".join(f"`{known}`" for known, of in known.items() if of.get("role") == role)
    there = f"its {role}s: {names}" if names else f"it has no {role}s"
    function = getattr(module, name, None)
    if function is None:
        raise Failed(f"`{path}` has no `{name}`; {there}")
    if name not in known:
        arguments = "(…)" if role == "converter" else ""
        raise Failed(f"`{name}` of `{path}` is not a {role}; {there}", hint=f"write `@datac.{role}{arguments}` above it")
    other = known[name]["role"]
    if other != role:
        raise Failed(f"`{name}` of `{path}` is a {other}, not a {role}; {there}", hint=OTHER_ROLE.get((other, role)))
    return function, known[name]


OTHER_ROLE = {
    ("scorer", "filter"): "add `min` or `max` beside `python:`, or declare the function with `@datac.filter`",
    ("filter", "scorer"): "remove `min` and `max` beside `python:`, or declare the function with `@datac.scorer`",
}
"""What to do where a function is of the first role and is to be of the second."""


def said(place: Place, error: BaseException) -> str:
    """Puts an exception in words, with its place. The words are the same in each process: addresses are taken out."""
    name, text = type(error).__name__, str(error)
    where: tuple[str, int | None] | None
    if isinstance(error, SyntaxError) and error.filename:
        where = (error.filename, error.lineno)
        text = error.msg
    else:
        where = frame_of(place, error)
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(text.split()))
    if len(text) > 300:
        text = text[:300] + "…"
    words = f"{name}: {text}" if text else name
    return f"{words} ({shown(place, where[0])}:{where[1]})" if where else words


def shown(place: Place, path: str) -> str:
    return place.within(path) or path


def frame_of(place: Place, error: BaseException) -> tuple[str, int | None] | None:
    """Returns the file and line that raised an exception: the last of the workspace, or else the last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__, limit=-200) if not is_own(frame)]
    of_workspace = [frame for frame in frames if place.within(frame.filename) is not None]
    last = (of_workspace or frames)[-1:]
    return (last[0].filename, last[0].lineno) if last else None


def is_own(frame: traceback.FrameSummary) -> bool:
    return frame.filename in ("<string>", "<datac>") or frame.filename.startswith("<frozen importlib")


def seen(place: Place, error: BaseException) -> str:
    """Returns the end of a traceback, with paths as the workspace has them."""
    if isinstance(error, SyntaxError):
        lines = traceback.format_exception_only(type(error), error)
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_own(frame)]
        lines = traceback.format_list(frames[-4:]) + traceback.format_exception_only(type(error), error)
    text = "".join(lines)
    for root in place.roots:
        text = text.replace(root, "")
    return text.rstrip("\n")


def converted(
    place: Place,
    function: Callable[[Any], Any],
    refused: type[Exception],
    rows: list[Any],
    progress: memoryview,
) -> Iterator[str]:
    """Yields a line for each row."""
    encode = ENCODER.encode
    made = None
    for number, row in enumerate(rows):
        progress[1] = number + 1
        if type(row) is Unreadable:
            yield reject(row.words)
            continue
        try:
            made = function(row)
            kind = type(made)
            if kind is not dict and kind is not list:
                made = sample_of(made)
            yield encode(made)
        except refused as why:
            yield reject(str(why) or "rejected")
        except ENVIRONMENT as error:
            hint = "an exception of this kind says nothing about the row; if it does, catch it and raise `datac.Reject`"
            raise Failed(said(place, error), seen(place, error), hint) from None
        except Exception as error:
            wrong = unfit(made) if raised_here(error) else None
            yield reject(wrong or said(place, error))
        except BaseException as error:
            raise Failed(said(place, error), seen(place, error)) from None


def judged(
    place: Place,
    function: Callable[[Any], Any],
    refused: type[Exception],
    samples: list[Any],
    progress: memoryview,
    spelled: Callable[[Any], str],
) -> Iterator[str]:
    """Yields a line for each sample."""
    for number, sample in enumerate(samples):
        progress[1] = number + 1
        if type(sample) is Unreadable:
            yield refusal(sample.words)
            continue
        try:
            made = function(sample)
        except refused as why:
            yield refusal(str(why) or "rejected")
        except ENVIRONMENT as error:
            hint = "an exception of this kind says nothing about the sample; if it does, catch it and raise `datac.Reject`"
            raise Failed(said(place, error), seen(place, error), hint) from None
        except Exception as error:
            yield refusal(said(place, error))
        except BaseException as error:
            raise Failed(said(place, error), seen(place, error)) from None
        else:
            yield spelled(made)


def score_of(made: Any) -> str:
    """Returns the line for what a scorer returned. A value that is no number is no accident of one sample, but a bug."""
    if made is None:
        return "null"
    value = plain(made)
    try:
        score = None if isinstance(value, (str, bytes, bytearray)) else float(value)
    except OverflowError:
        return no_score("the function returned a number that is too large for a float")
    except (TypeError, ValueError):
        score = None
    if score is None:
        raise Failed(f"it returned {a(made)}; a scorer returns a number, `True`, `False` or `None`")
    if score - score != 0:
        return no_score(f"the function returned {score}")
    return repr(score)


def verdict_of(made: Any) -> str:
    """Returns the line for what a filter returned."""
    if made is None:
        return "null"
    value = plain(made)
    if isinstance(value, bool):
        return "true" if value else "false"
    hint = OTHER_ROLE["scorer", "filter"] if isinstance(value, (int, float)) else None
    raise Failed(f"it returned {a(made)}; a filter returns `True`, `False` or `None`", hint=hint)


def plain(made: Any) -> Any:
    """Returns the value that a scalar of NumPy, or a tensor of one element, holds."""
    if isinstance(made, (bool, int, float)) or not callable(getattr(made, "item", None)):
        return made
    try:
        return made.item()
    except Exception:
        return made


SPELLED = {"scorer": score_of, "filter": verdict_of}
"""What spells the result of each role that judges samples."""


def no_score(words: str) -> str:
    return ENCODER.encode({"failed": words})


def refusal(words: str) -> str:
    # Words may hold half of a surrogate pair, which no text can.
    return ENCODER.encode({"reject": words.encode(errors="backslashreplace").decode()})


def sample_of(made: Any) -> Any:
    """Returns what a function made as something that JSON has."""
    if isinstance(made, (dict, list, tuple)):
        return made
    if isinstance(made, types.GeneratorType):
        return list(made)
    if made is None:
        return {"reject": "the function returned None"}
    return {"reject": f"the function returned {a(made)}; a sample is a dictionary"}


def raised_here(error: Exception) -> bool:
    """Whether an exception is of the encoder, not of the function."""
    trace = error.__traceback__
    return trace is not None and trace.tb_next is not None and trace.tb_next.tb_frame.f_code.co_filename == json.encoder.__file__


def unfit(value: Any, at: str = "", depth: int = 0) -> str | None:
    """Says what in a value JSON does not have."""
    where = f" at `{at}`" if at else ""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f"the function returned {value}{where}, which JSON does not have"
    if value is None or isinstance(value, (str, bool, int, float)):
        return None
    if depth > 200:
        return "the function returned what is nested too deeply, or holds itself"
    if isinstance(value, dict):
        for key, item in value.items():
            if not (key is None or isinstance(key, (str, int, float, bool))):
                return f"the function returned {a(key)} as a key{where}, which JSON does not have"
            wrong = unfit(item, f"{at}.{key}" if at else str(key), depth + 1)
            if wrong:
                return wrong
        return None
    if isinstance(value, (list, tuple)):
        return next(filter(None, (unfit(item, f"{at}[{n}]", depth + 1) for n, item in enumerate(value))), None)
    return f"the function returned {a(value)}{where}, which JSON does not have"


def a(value: Any) -> str:
    name = type(value).__name__
    if name == "bytes":
        return name
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def reject(words: str) -> str:
    return ENCODER.encode({"reject": words})


def sound(line: str) -> str:
    """Returns a line, or a reject if it holds half of a surrogate pair, which no text can."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return reject("the function returned half of a surrogate pair, which is no character")
    return line


class Unreadable:
    """A row that Python cannot read, and why."""

    def __init__(self, error: Exception) -> None:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        self.words = f"Python cannot read the row: {why}"


def rows_of(request: bytes) -> list[Any]:
    """Reads the rows of a request."""
    view = memoryview(request)
    count = int.from_bytes(view[:4], "little")
    start = 4 * (count + 1)
    try:
        rows: list[Any] = json.loads(request[start:].decode())
        return rows
    except (ValueError, RecursionError):
        lengths = [int.from_bytes(view[4 * n : 4 * n + 4], "little") for n in range(1, count + 1)]
    rows, at = [], start + 1
    for length in lengths:
        try:
            rows.append(json.loads(request[at : at + length]))
        except (ValueError, RecursionError) as error:
            rows.append(Unreadable(error))
        at += length + 1
    return rows


def progress_in(path: str) -> memoryview:
    """Opens the file that tells how far a request has come: the number of the request, and that of the row from 1 on."""
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 8)).cast("I")


def serve() -> None:
    channel = Channel()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    request = channel.request()
    if request is None:
        return
    asked = json.loads(request)
    progress = progress_in(asked["progress"])
    progress[1] = 1
    if sys.path[:1] == [""]:
        del sys.path[0]
    place = Place(os.getcwd())
    sys.path_hooks.insert(0, place.finder)
    sys.path_importer_cache.clear()
    provide(asked["definitions"])
    sys.addaudithook(place.notice)
    try:
        function, of = function_of(place, asked["module"], asked["function"], asked["role"])
    except Failed as why:
        channel.answer({"failed": str(why), "seen": why.seen, "hint": why.hint, "read": place.news()})
        return
    progress[1] = IDLE
    channel.answer({"of": of, "read": place.news()})
    refused = sys.modules["datac"].Reject
    spelled = SPELLED.get(asked["role"])

    def lines_of(rows: list[Any]) -> Iterator[str]:
        if spelled is None:
            return converted(place, function, refused, rows, progress)
        return judged(place, function, refused, rows, progress, spelled)

    while (request := channel.request()) is not None:
        progress[0] += 1
        lines: list[str] = []
        told: dict[str, Any] = {}
        try:
            for line in lines_of(rows_of(request)):
                lines.append(line)
        except Failed as why:
            told = {"failed": str(why), "seen": why.seen, "hint": why.hint, "row": len(lines)}
            lines = []
        progress[1] = IDLE
        told["read"] = place.news()
        try:
            channel.answer(told, lines)
        except BrokenPipeError:
            return


serve()
# Threads that the function has started and not ended do not keep the build waiting.
atexit._run_exitfuncs()
sys.stdout.flush()
os._exit(0)
