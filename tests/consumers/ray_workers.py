"""Builds on a Ray cluster on this machine, while each worker is killed once, and compares the outputs with a plain build.

    python3 tests/consumers/ray_workers.py DATAC [FOLDER]

FOLDER gets a virtual environment with a pinned `ray` (285 MB) on the first run; ${TMPDIR:-/tmp}/datac-consumers/ray by default. Without
that package, or without a Python that has it, the test is skipped and says so. Nothing needs the network afterwards.
"""
import filecmp
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

RAY = "ray==2.60.0"
SLICES = 6
# A worker is killed in the middle of its work, and every other time the process of Ray that started it as well.
KILLER = """#!/bin/sh
case " $* " in *" --dry-run"*) exec {datac} "$@";; *" worker "*) ;; *) exec {datac} "$@";; esac
slice=$(printf '%s' "$*" | sed 's/.*--slice \\([0-9]*\\).*/\\1/')
if mkdir {marks}/$slice 2> /dev/null; then
    {datac} "$@" > /dev/null 2>&1 &
    sleep 0.04
    kill -9 $!
    [ $((slice % 2)) = 0 ] || kill -9 $PPID
    kill -9 $$
fi
exec {datac} "$@"
"""
ADAPTER = pathlib.Path(__file__).resolve().parents[2] / "python" / "datac" / "ray.py"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(0)


def environment(folder):
    """Returns the interpreter of an environment that has ray."""
    python = folder / "bin" / "python"
    has_ray = lambda: python.exists() and subprocess.run([python, "-c", "import ray"], stderr=subprocess.DEVNULL).returncode == 0
    if not has_ray():
        made = subprocess.run([sys.executable, "-m", "venv", folder]).returncode == 0
        if not made or subprocess.run([folder / "bin" / "pip", "install", "-q", RAY]).returncode != 0 or not has_ray():
            skip(f"{RAY} cannot be installed for Python {sys.version_info.major}.{sys.version_info.minor}")
    return python


def workspace(root):
    """Makes two recipes over eleven files, of which they share some."""
    dice = random.Random(1)
    words = "river stone letter music garden winter bridge market silver window travel quiet number answer".split()
    (root / "data").mkdir(parents=True)
    (root / "config" / "sft").mkdir(parents=True)
    for number in range(11):
        with open(root / "data" / f"{number}.jsonl", "w") as file:
            for row in range(1500 + 300 * number):
                text = lambda count: " ".join(dice.choices(words, k=count))
                file.write(json.dumps({"instruction": f"{number}.{row}: {text(6)}?", "output": f"{text(60)}."}) + "\n")
    for name, source in [("all", "data"), ("some", "data/1*.jsonl")]:
        (root / "config" / "sft" / f"{name}.yaml").write_text(
            "metadata: { phase: sft }\ndatasets:\n"
            f"  - {{ name: rows, source: {source}, converter: alpaca, filters: [{{ type: length, min_length: 400 }}] }}\n"
            "validation: { ratio: 0.1, seed: 7 }\n"
        )


def main():
    datac = pathlib.Path(sys.argv[1]).resolve()
    temporary = pathlib.Path(os.environ.get("TMPDIR", "/tmp"))
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else temporary / "datac-consumers" / "ray"
    python = environment(folder)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for name in ["home", "shared", "marks", "tmp"]:
            (scratch / name).mkdir()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DATAC_", "HF_", "RAY_"))}
        clean |= {"HOME": str(scratch / "home"), "TMPDIR": str(scratch / "tmp"), "NO_COLOR": "1"}

        def run(*words, code=0):
            begun = time.monotonic()
            ran = subprocess.run([str(word) for word in words], env=clean, cwd=scratch, capture_output=True, text=True)
            assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
            return ran.stdout, ran.stderr, time.monotonic() - begun

        root, plain = scratch / "corpus", scratch / "plain"
        workspace(root)
        key = run(datac, "cache", "key", "new", "--name", "workers")[0].split()
        run(datac, "-C", root, "cache", "key", "trust", *key)
        subprocess.run(["cp", "-r", root, plain], check=True)
        run(datac, "-C", plain, "build")

        killer = scratch / "datac"
        killer.write_text(KILLER.format(datac=datac, marks=scratch / "marks"))
        killer.chmod(0o755)
        # As `python -m datac.ray` does, without the extension module, which takes minutes to compile.
        start = f"import runpy; runpy.run_path({str(ADAPTER)!r}, run_name='__main__')"

        def build(command, *words, code=0):
            given = ["build", "-C", root, "--remote", scratch / "shared", "--slices", SLICES, "--datac", command]
            return run(python, "-c", start, *given, *words, code=code)

        out, told, took = build(killer, "--json")
        print(told, end="")
        killed = sorted(int(mark.name) for mark in (scratch / "marks").iterdir())
        assert killed == list(range(SLICES)), f"each worker was killed once: {killed}"
        report = json.loads(out)
        assert not {"scan", "convert", "score"} & set(report["actions"]), report["actions"]
        same = filecmp.cmpfiles(plain / "dataset", root / "dataset", os.listdir(plain / "dataset"), shallow=False)
        assert same[1:] == ([], []) and sorted(os.listdir(plain / "dataset")) == sorted(os.listdir(root / "dataset")), same
        print(f"the same bytes in {len(same[0])} files, {took:.1f} s; every worker was killed once")

        out, told, took = build(datac, "--json")
        assert json.loads(out)["actions"] == {}, out
        assert not list((scratch / "tmp").glob("datac-ray-*/*")), "a worker leaves nothing on its machine"
        assert told.count("; ran nothing;") == SLICES, told
        # Each line has the time of the task and, of that, the time of datac.
        times = [float(part) - float(own) for part, own in re.findall(r"\(([0-9.]+) s, of which datac ([0-9.]+) s\)", told)]
        print(f"again: 0 actions, {took:.1f} s, {sum(times) / len(times):.2f} s of each task beside datac")

        # A failure that no repetition mends is told once, and the build tells it at its place.
        (root / "data" / "3.jsonl").unlink()
        (root / "data" / "3.jsonl.gz").write_bytes(b"this is no gzip")
        _, told, _ = build(datac, code=1)
        ended = re.findall(r"^slice (\d+)/\d+ on \S+: \d+ file", told, re.MULTILINE)
        assert sorted(map(int, ended)) == list(range(SLICES)) and "3.jsonl.gz" in told, told
        print("a broken file: exit 1, told by its worker and by the build; the other files were worked on")


main()
