"""Builds on the machines of a Ray cluster: `python -m datac.ray build`.

    python -m datac.ray build --remote /mnt/team/datac
    python -m datac.ray build sft --remote /mnt/team/datac --address auto --slices 64 --cpus 4

Ray places processes and starts them again when their machine is lost; it is given nothing else to do. Each task runs
`datac worker` for a slice of the source files, which adds what it makes to the shared cache, and at the end `datac build` runs here and
takes everything from there. No row passes through Ray. This module needs `ray`, here and nowhere else, and `datac` on every machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]

USAGE = 2
"""The exit code of a request that is invalid, as that of the command."""

INTERRUPTED = 130
"""The exit code of a command that was asked to stop, as a machine is that is taken away."""

LARGEST = 64 << 20
"""The most bytes of a workspace that are sent to the machines."""

PASSED_ON = ("HF_TOKEN", "HF_ENDPOINT")
"""Variables that workers get from here."""


class Refused(Exception):
    """A request that cannot be carried out, with what to do about it."""

    def __init__(self, message: str, hint: str = "", code: int = USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command with these words; returns its exit code, which is that of `datac build`."""
    options, more = _parsed(words)
    try:
        return _build(options, more)
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        if refused.hint:
            print(f"hint: {refused.hint}", file=sys.stderr)
        return refused.code


def _parsed(words: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m datac.ray",
        description="Build with the machines of a Ray cluster.",
        epilog="Other options, such as --verbose, --json or --locked, go to `datac build`.",
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=["build"])
    parser.add_argument("selectors", nargs="*", metavar="SELECTOR", help="recipes, as for `datac build`")
    parser.add_argument("-C", "--directory", metavar="DIR", default=".", help="the workspace [default: the current folder]")
    parser.add_argument("--remote", metavar="URL", help="the shared cache, which all machines reach [default: that of the settings]")
    parser.add_argument("--hub", metavar="HUB", help="where datasets come from [default: that of the settings]")
    parser.add_argument("--address", metavar="ADDRESS", help="the cluster: auto, HOST:PORT or ray://HOST:PORT [default: one on this machine]")
    parser.add_argument("--slices", type=int, metavar="N", help="slices of the source files [default: as many as run at once]")
    parser.add_argument("--cpus", type=int, default=1, metavar="N", help="CPUs of a worker [default: 1]")
    parser.add_argument("--retries", type=int, default=4, metavar="N", help="how often a worker that is lost is started again [default: 4]")
    parser.add_argument("--in-place", action="store_true", help="the workspace has this path on every machine; send nothing")
    parser.add_argument("--datac", metavar="PATH", help="the command on every machine [default: python -m datac]")
    options, more = parser.parse_known_args(words)
    for name in ("slices", "cpus"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    unknown = [word for word in more if not word.startswith("-")]
    if unknown:
        parser.error(f"write what goes to `datac build` as --option=VALUE, and recipes before options: {unknown[0]}")
    return options, more


def _build(options: argparse.Namespace, more: list[str]) -> int:
    root = Path(options.directory).resolve()
    datac = [options.datac] if options.datac else [sys.executable, "-m", "datac"]
    here = [*datac, "-C", str(root)]
    settings = {one["key"]: one["value"] for one in _document(here, ["config", "--json"])["settings"]}
    remote = _whole(options.remote or settings["cache.remote"], Path.cwd() if options.remote else root)
    if not remote:
        raise Refused("no shared cache is named", "name one that all machines reach: `--remote URL`")
    hub = _whole(options.hub or settings["hub"], Path.cwd() if options.hub else root)
    given = ["--remote", remote, *(["--hub", hub] if hub else [])]
    key = _key()
    planned = _document(here, ["worker", *options.selectors, *given, "--slice", "0/1", "--dry-run", "--json"])
    if planned["failures"] or planned["problems"] or not planned["recipes"]:
        # As `datac build` puts it.
        told = subprocess.run([*here, "worker", *options.selectors, *given, "--slice", "0/1", "--dry-run"], stdout=subprocess.DEVNULL)
        return told.returncode
    archive = None if options.in_place else _packed(root, [settings["cache.dir"], settings["outputs.dir"]])
    with _quiet_stdout():
        ray = _connected(options.address)
        try:
            ended = list(_worked(ray, options, datac, root, archive, [*options.selectors, *given], key, planned["of_files"]))
        finally:
            ray.shutdown()
    lost = [slice for slice in ended if slice["document"] is None]
    if lost:
        raise Refused(
            f"{len(lost)} of {len(ended)} workers did not do their work",
            "see the lines above; what the others made is in the shared cache",
            code=1,
        )
    # What a worker could not do, the build says once more, at its place in the recipe.
    return subprocess.run([*here, "build", *options.selectors, *given, *more]).returncode


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Has what Ray prints go to stderr: stdout is for what `datac build` prints."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _document(here: list[str], words: list[str]) -> dict[str, Any]:
    """Returns the document that a command prints, whatever its exit code; without one, the command has said why."""
    run = subprocess.run([*here, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        document: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        sys.stderr.write(run.stderr)
        raise SystemExit(run.returncode or 1) from None
    return document


def _whole(place: str | None, folder: Path) -> str | None:
    """Makes a folder a path that does not depend on where a command runs."""
    if not place or "://" in place or place == "sample":
        return place
    return str((folder / place).resolve())


def _key() -> str:
    """Returns the key that results are signed with, which workers get in their environment."""
    if key := os.environ.get("DATAC_CACHE_KEY"):
        return key
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    place = Path(folder if os.path.isabs(folder) else Path.home() / ".config") / "datac" / "cache.key"
    try:
        return place.read_text().strip()
    except OSError:
        raise Refused("there is no key to sign with", "`datac cache key new` makes one, or set DATAC_CACHE_KEY") from None


def _packed(root: Path, left_out: Sequence[str]) -> bytes:
    """Returns the files of a workspace as an archive, but for the cache, outputs and hidden files."""
    names = {(root / folder).resolve() for folder in left_out}
    packed, total = io.BytesIO(), 0
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and (Path(folder) / name).resolve() not in names
            )
            for name in sorted(files):
                path = Path(folder) / name
                if name.startswith(".") or not path.is_file():
                    continue
                total += path.stat().st_size
                if total > LARGEST:
                    raise Refused(
                        f"the workspace has more than {LARGEST >> 20} MiB of files beside cache and outputs",
                        "put it where all machines have it at the same path, and use `--in-place`",
                    )
                archive.add(path, path.relative_to(root), recursive=False)
    return packed.getvalue()


def _connected(address: str | None) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise Refused("`ray` is not installed", "`pip install 'ray==2.60.*'`, or run `datac worker` yourself: docs/workers.md") from None
    # What Ray says of lost workers is said below, too.
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise Refused(f"failed to connect to Ray: {error}", "`ray status` says whether the cluster is up", code=3) from None
    return ray


def _run_slice(
    datac: list[str], root: str | None, archive: bytes | None, words: list[str], slice: str, cpus: int, variables: dict[str, str], run: str
) -> dict[str, Any]:
    """Runs a worker on the machine that Ray chose. Its exit code is a result like any other: Ray starts a task again if its machine or
    the process that runs it is lost, and only then."""
    import socket
    import tempfile

    begun = time.monotonic()
    # What a worker made before it was lost is found here, if it is started again on the same machine.
    base = Path(tempfile.gettempdir()) / f"datac-ray-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        # Whoever owns it could put something else in the place of what is made, which is then signed.
        raise RuntimeError(f"{base} belongs to another user")
    place = base / f"{run}-{slice.replace('/', '-of-')}"
    place.mkdir(mode=0o700, exist_ok=True)
    if archive is not None:
        root = tempfile.mkdtemp(dir=place)
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            # Older Pythons have no filters; the archive is one's own.
            how: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            packed.extractall(root, **how)
    line = [*datac, "-C", str(root), "--cache-dir", str(place / "cache"), "worker", *words, "--slice", slice, "--jobs", str(cpus), "--json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DATAC_") or name == "DATAC_PYTHON"}
    try:
        ran = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=kept | variables)
        code, printed, told = ran.returncode, ran.stdout, ran.stderr
    except OSError as error:
        code, printed, told = 127, "", f"failed to run `{datac[0]}`: {error}"
    try:
        document = json.loads(printed)
    except ValueError:
        document = None
    is_stopped = code < 0 or code == INTERRUPTED
    if not is_stopped:
        shutil.rmtree(place, ignore_errors=True)
    took = time.monotonic() - begun
    return {
        "slice": slice, "code": code, "is_stopped": is_stopped, "document": document, "told": told,
        "node": socket.gethostname(), "seconds": took,
    }


def _worked(
    ray: Any,
    options: argparse.Namespace,
    datac: list[str],
    root: Path,
    archive: bytes | None,
    words: list[str],
    key: str,
    files: int,
) -> Iterator[dict[str, Any]]:
    """Has all slices worked on, and returns each as it ends."""
    at_once = max(1, int(ray.cluster_resources().get("CPU", 1)) // options.cpus)
    count = options.slices or max(1, min(at_once, files))
    variables = {"DATAC_CACHE_KEY": key} | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    run = f"{time.time_ns():x}"
    task = ray.remote(num_cpus=options.cpus, max_retries=options.retries)(_run_slice)
    # Sent to each machine once, not with each task.
    sent = ray.put(archive)

    def start(slice: str) -> Any:
        return task.remote(datac, str(root), sent, words, slice, options.cpus, variables, run)

    waiting = {start(slice): slice for slice in (f"{number}/{count}" for number in range(count))}
    stopped = dict.fromkeys(waiting.values(), 0)
    _say(f"{count} slices of {files} files, {min(at_once, count)} at once")
    while waiting:
        done, _ = ray.wait(list(waiting), num_returns=1)
        slice = waiting.pop(done[0])
        try:
            ended: dict[str, Any] = ray.get(done[0])
        except Exception as error:
            # Lost as often as Ray was to start it.
            reason = str(error).strip().splitlines()[-1:] or ["no reason was given"]
            ended = {"slice": slice, "is_stopped": False, "document": None, "told": reason[0], "node": "?", "seconds": 0.0}
        if ended["is_stopped"] and stopped[slice] < options.retries:
            stopped[slice] += 1
            _say(f"slice {slice} on {ended['node']}: stopped (code {ended['code']}), started again")
            waiting[start(slice)] = slice
            continue
        _tell(ended)
        yield ended


def _tell(ended: dict[str, Any]) -> None:
    where = f"slice {ended['slice']} on {ended['node']}"
    document = ended["document"]
    if document is None:
        _say(f"{where}: failed: {ended['told'].strip() or 'it was stopped'}")
        return
    size = sum(file["bytes"] for file in document["files"])
    ran = ", ".join(f"{count} {stage}" for stage, count in document["actions"].items()) or "nothing"
    shared = document.get("shared") or {}
    taken = sum(shared.get("results", {}).values())
    files = len(document["files"])
    added = shared.get("published_results", 0)
    counts = f"{files} file{'' if files == 1 else 's'}, {size:,} bytes; ran {ran}; {taken} taken, {added} added"
    _say(f"{where}: {counts} ({ended['seconds']:.1f} s, of which datac {document['elapsed_ms'] / 1000:.1f} s)")
    for failure in document["failures"]:
        _say(f"{where}: {failure}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
