"""What people see: in a terminal, in a notebook, and when they guess a name."""

import io
import logging
import os
import pickle
import pty
import subprocess
import sys
import types

import pytest
from conftest import alpaca

import datac
from datac import _progress


def test_states_and_reports_are_shown_as_lines_and_as_tables(ws):
    recipe = ws.path / "config/data/posttrain/sft/code.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 42", "seed: forty"))
    lines = repr(ws.status("sft")).splitlines()
    assert lines[0].startswith("invalid  sft/code") and ": `seed` must be an integer" in lines[0]
    assert lines[1].split()[:2] == ["new", "sft/general"]
    assert "<td" in ws.status()._repr_html_() and repr(ws.status("sft")[:0]) == "[]"
    report = ws.build("sft/*", check=False)
    assert repr(report) == "<datac.BuildReport: 1 failed, 2 built>"
    assert repr(ws.build("sft/general", "sft/reasoning")) == "<datac.BuildReport: 2 up to date>"
    html = report._repr_html_()
    assert "sft/general" in html and "258" in html and "must be an integer" in html
    assert [status.state for status in pickle.loads(pickle.dumps(ws.status("sft")))] == ["invalid", "fresh", "fresh"]


def test_rows_are_shown_as_a_table_without_letting_them_write_html(own):
    rows = [{"instruction": "<script>alert(1)</script>" + "x" * 500, "input": "", "output": "&amp;"}] * 1 + alpaca(9)
    ws = own(rows)
    ws.build()
    shown = ws["sft/own"].train._repr_html_()
    assert shown.count("<tr>") == 6 and "<script>" not in shown and "x" * 300 not in shown
    assert "datac.Output sft/own, train: " in shown


def test_names_that_are_guessed(built):
    assert "sft/general" in built and "sft" not in built and "nothing" not in built and 3 not in built
    assert built["sft/general"] == built["config/data/posttrain/sft/general.yaml"] != built["sft/code"]
    assert len({built["sft/general"], built["sft/general"]}) == 1
    assert "sft/general" in built._ipython_key_completions_()
    with pytest.raises(datac.ConfigError, match="`sft/generl`") as raised:
        built["sft/generl"]
    assert "sft/general" in raised.value.hint
    train = built["sft/general"].train
    assert train["source"] == [row["source"] for row in train]
    with pytest.raises(KeyError, match="columns: conversations, source, text"):
        train["messages"]
    assert train[-1] == train[len(train) - 1] and train[-3:] == [train[-3], train[-2], train[-1]]
    assert train[::-100] == [train[257], train[157], train[57]] and train[5:2] == []
    for index in (258, -259):
        with pytest.raises(IndexError):
            train[index]


def test_all_sides_are_a_dictionary_of_datasets(built):
    datasets = pytest.importorskip("datasets")
    made = built["sft/general"].dataset()
    assert isinstance(made, datasets.DatasetDict) and {side: len(rows) for side, rows in made.items()} == {"train": 258, "validation": 10}


def test_rows_are_a_data_frame_of_pandas(built):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = built["sft/general"].train.to_pandas()
    assert len(frame) == 258 and frame["source"][0] == built["sft/general"].train[0]["source"]


@pytest.fixture
def slow(own, tmp_path):
    """A workspace whose build takes longer than a second."""
    (tmp_path / "py").mkdir()
    (tmp_path / "py/slow.py").write_text("import datac, time\n@datac.filter\ndef slow(sample):\n    time.sleep(0.01)\n    return True\n")
    return own(alpaca(150), filters=", filters: [{ python: 'py/slow.py:slow' }]")


BUILDS = """
import sys, datac
report = datac.Workspace(sys.argv[1]).build(force=True)
print("done")
"""


def in_terminal(*words):
    """Runs a program in a terminal, and returns what that is told."""
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(words[0], words)
    told = b""
    while True:
        try:
            part = os.read(screen, 4096)
        except OSError:
            break
        if not part:
            break
        told += part
    assert os.waitpid(pid, 0)[1] == 0
    return told.decode()


def test_a_long_build_shows_its_progress_in_a_terminal_and_removes_it(slow):
    told = in_terminal(sys.executable, "-c", BUILDS, str(slow.path))
    assert "Building [" in told and told.count("\x1b[") > 2
    assert told.replace("\r\n", "\n").endswith("\x1b[Jdone\n")


def test_a_build_shows_nothing_where_nobody_looks(slow):
    ran = subprocess.run([sys.executable, "-c", BUILDS, slow.path], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")


def test_progress_that_is_asked_for_is_lines(own, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with _progress.shown(True) as (show, width):
        show(["  Building [=>  ] 1/2", "  reading x"])
        show(["  Building [=>  ] 1/2", "  reading y"])
        show(["  Building [==> ] 2/2"])
    assert width == 80 and stream.getvalue() == "Building [=>  ] 1/2\nBuilding [==> ] 2/2\n"
    for progress in (None, False):
        with _progress.shown(progress) as shown:
            assert shown is None


def test_progress_in_a_notebook_is_one_place_below_the_cell(monkeypatch):
    shown = []

    class Handle:
        def update(self, data, raw):
            shown.append(data)

    def display(data, raw, display_id):
        shown.append(data)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    with _progress.shown(None) as (show, _):
        show(["<one>"])
        show(["two", "three"])
    assert [data["text/plain"] for data in shown] == ["<one>", "two\nthree", ""]
    assert shown[0]["text/html"] == "<pre>&lt;one&gt;</pre>" and shown[-1]["text/html"] == ""


def test_an_exception_while_progress_is_shown_stops_the_build(slow, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise ZeroDivisionError("of the screen")

    monkeypatch.setattr(sys, "stderr", Closed())
    with pytest.raises(ZeroDivisionError, match="of the screen"):
        slow.build(progress=True)
    monkeypatch.undo()
    assert slow.build().error is None


def test_warnings_go_to_the_log_unless_events_are_taken(own, caplog, monkeypatch, tmp_path):
    own(alpaca(20))
    (tmp_path / "team").mkdir()
    monkeypatch.setenv("DATAC_CACHE_KEY", "nonsense")
    ws = datac.Workspace(tmp_path, remote=tmp_path / "team")
    with caplog.at_level(logging.WARNING, logger="datac"):
        ws.build()
    [warned] = caplog.records
    assert warned.name == "datac" and "the key for the shared cache is not used" in warned.getMessage()
    caplog.clear()
    events = []
    ws.build(force=True, on_event=events.append)
    assert [event["text"] for event in events if event["event"] == "warning"] and not caplog.records
