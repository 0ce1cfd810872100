"""The process that datac is in: the command, signals, threads, forks, imports."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import alpaca

import datac


def run(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, timeout=120, **options)


def test_the_command_is_in_the_same_wheel(ws):
    script = Path(sysconfig.get_path("scripts")) / "datac"
    for command in ([script], [sys.executable, "-m", "datac"]):
        version = run(*command, "--version")
        assert (version.returncode, version.stdout) == (0, f"datac {datac.__version__}\n")
        assert run(*command, "no-such-command").returncode == 2
    done = run(script, "-C", ws.path, "build", "sft/general", "--hub", "sample")
    assert done.returncode == 0 and "1 built" in done.stderr
    # What the command built is up to date for the library, and the other way round.
    assert ws["sft/general"].state == "fresh" and ws.build("sft/general").actions == {}
    listed = run(script, "-C", ws.path, "log", "1")
    assert "build sft/general --hub sample" in listed.stdout
    ws.build("rlaif/ppo")
    assert run(script, "-C", ws.path, "build", "rlaif/ppo", "--check", "--hub", "sample").returncode == 0


def test_output_through_a_pipe_is_whole(built):
    shown = run(sys.executable, "-m", "datac", "-C", built.path, "schema", "recipe")
    assert shown.returncode == 0 and shown.stdout.endswith("}\n")


INTERRUPTED = """
import sys, datac
ws = datac.Workspace(sys.argv[1])
def started(event):
    if event["event"] in ("action_started", "waiting"):
        print(event["event"], flush=True)
try:
    ws.build(force=True, on_event=started)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise SystemExit(130)
print("built")
"""


def test_control_c_stops_a_build_and_the_next_goes_on(own):
    ws = own(alpaca(400_000))
    interrupt(ws, "action_started")
    assert ws["sft/own"].state == "new"
    assert ws.build().error is None


def test_control_c_ends_the_wait_for_another_process(own):
    ws = own(alpaca(50))
    ws.build()
    (lock,) = ws.path.glob("cache/*/build.lock")
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(datac.LockedError) as raised:
            ws.build(force=True, wait=False)
        assert raised.value.exit_code == 9
        interrupt(ws, "waiting")
    assert ws.build(force=True).error is None


def interrupt(ws, at):
    """Interrupts a process that builds, as soon as it tells of an event."""
    command = [sys.executable, "-c", INTERRUPTED, ws.path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == f"{at}\n"
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out.splitlines()[-1], error) == (130, "interrupted", "")


def test_threads_build_and_read_at_once(ws):
    with ThreadPoolExecutor(8) as threads:
        reports = list(threads.map(lambda _: ws.build(), range(8)))
        assert all(report.error is None for report in reports)
        train = ws["sft/general"].train
        rows = list(train)
        assert all(read == rows for read in threads.map(lambda _: list(train), range(16)))
        assert list(threads.map(lambda at: train[at], range(len(rows)))) == rows
        assert len({origin.source.row for origin in threads.map(train.origin, range(40))}) == 40


def test_the_interpreter_is_free_during_a_build(own):
    ws = own(alpaca(100_000))
    ticks, ended = [], threading.Event()

    def tick():
        while not ended.is_set():
            ticks.append(None)
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    ws.build()
    ended.set()
    thread.join()
    assert len(ticks) > 10


def in_child(ws, queue):
    report = ws.build()
    train = ws["sft/general"].train
    queue.put((report.error is None, len(list(train)), len(ws.status()), train.origin(0).line, ws["sft/general"].stats.name))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_a_process_that_has_built_can_build(ws, method):
    ws.build("sft/*")
    ws.status()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=in_child, args=(ws, queue))
    child.start()
    assert queue.get(timeout=120) == (True, 258, 8, 1, "sft/general")
    child.join(timeout=60)
    assert child.exitcode == 0


def test_a_child_may_read_what_its_parent_opened(built):
    train = built["sft/general"].train
    rows = train[:]
    child = os.fork()
    if child == 0:
        os._exit(0 if train[:] == rows and list(train) == rows else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_importing_brings_in_no_other_library():
    listed = run(sys.executable, "-c", "import datac, sys; print(*sorted(sys.modules))")
    libraries = {"datasets", "numpy", "pandas", "polars", "pyarrow", "torch", "transformers"}
    assert listed.returncode == 0 and not libraries & set(listed.stdout.split())
