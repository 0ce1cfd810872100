"""What several machines share: workers, releases, pushes to the Hub."""

import hashlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import alpaca

import datac


@pytest.fixture
def key(monkeypatch, tmp_path):
    """The key of whoever runs the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    made = subprocess.run([sys.executable, "-m", "datac", "cache", "key", "new", "--name", "ada"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture
def shared(ws, tmp_path, key):
    """The workspace of the project with a shared cache."""
    (tmp_path / "team").mkdir()
    return datac.Workspace(ws.path, hub="sample", remote=tmp_path / "team")


def test_a_release_is_made_listed_and_pulled_back(shared, tmp_path, monkeypatch):
    with pytest.raises(datac.DatacError, match="only what is up to date can be released") as raised:
        shared.release("chat@1", "sft/general")
    assert type(raised.value) is datac.DatacError and raised.value.exit_code == 1
    shared.build("sft/general")
    made = shared.release("chat@1", "sft/general")
    assert (made.release, made.is_new, made.recipes) == ("chat@1", True, ["sft/general"])
    assert shared.release("chat@1", "sft/general").is_new is False
    [listed] = shared.releases()
    assert (listed.release, listed.key, listed.files) == ("chat@1", "ada", made.files)
    assert {file.path for recipe in listed.content.recipes for file in recipe.files} >= {"sft_general_train.jsonl"}
    assert shared.releases("other") == [] and len(shared.releases("chat@1")) == 1

    # Where nothing is but the shared cache. A folder that is typed is meant from the current one.
    (tmp_path / "trainer").mkdir()
    trainer = datac.Workspace(tmp_path / "trainer", remote=tmp_path / "team")
    monkeypatch.chdir(tmp_path)
    planned = trainer.pull("chat@1", "rows", dry_run=True)
    assert planned.dry_run and {file.placement for file in planned.files} == {"written"} and not (tmp_path / "rows").exists()
    pulled = trainer.pull("chat@1", "rows")
    assert pulled.key == "ada" and len(pulled.files) == made.files
    train = shared["sft/general"].train.path
    assert (tmp_path / "rows" / train.name).read_bytes() == train.read_bytes()
    assert {file.placement for file in trainer.pull("chat@1", tmp_path / "rows").files} == {"kept"}
    (tmp_path / "rows" / train.name).write_text("mine")
    with pytest.raises(datac.DatacError, match="other bytes"):
        trainer.pull("chat@1", "rows")
    assert (tmp_path / "rows" / train.name).read_text() == "mine"
    assert [file.placement for file in trainer.pull("chat@1", "rows", force=True).files].count("replaced") == 1


def test_what_cannot_be_released_or_pulled_raises_by_its_kind(shared, ws, tmp_path, monkeypatch):
    shared.build("sft/general", "rlaif/ppo")
    shared.release("chat@1", "sft/general")
    for kind, call in [
        (datac.LockError, lambda: shared.release("chat@1", "rlaif/ppo")),
        (datac.ConfigError, lambda: shared.release("chat", "sft/general")),
        (datac.ConfigError, lambda: ws.release("chat@2", "sft/general")),
        (datac.ConfigError, lambda: ws.releases()),
        (datac.ConfigError, lambda: ws.pull("chat@1")),
        (datac.ConfigError, lambda: shared.release("chat@2", "nothing")),
        (datac.SourceError, lambda: shared.pull("chat@9")),
    ]:
        with pytest.raises(kind) as raised:
            call()
        assert type(raised.value) is kind, raised.value
    # Another person, who trusts nobody.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    with pytest.raises(datac.LockError):
        shared.pull("chat@1", tmp_path / "rows")
    [listed] = shared.releases()
    assert listed.refused and listed.content is None
    with pytest.raises(datac.ConfigError, match="key"):
        shared.release("mine@1", "rlaif/ppo")


def test_a_workspace_with_a_shared_cache_can_be_pickled_and_configured(shared, ws, monkeypatch, tmp_path):
    import pickle

    again = pickle.loads(pickle.dumps(shared))
    assert again.releases() == []
    monkeypatch.setenv("DATAC_REMOTE", str(tmp_path / "team"))
    assert datac.Workspace(ws.path).releases() == []


def test_workers_make_what_a_build_takes(own, tmp_path, key):
    own(alpaca(300))
    (tmp_path / "team").mkdir()
    ws = datac.Workspace(tmp_path, remote=tmp_path / "team")
    (tmp_path / "data/more.jsonl").write_text(json.dumps({"instruction": "a", "output": "b"}) + "\n")
    recipe = tmp_path / "config/sft/own.yaml"
    recipe.write_text(recipe.read_text().replace("./data/rows.jsonl", "./data"))
    planned = ws.worker("0/2", dry_run=True)
    assert (planned.of_files, [file.path for file in planned.files], planned.shared) == (2, ["data/rows.jsonl"], None)
    events = []
    reports = [ws.worker((number, 2), "sft", on_event=events.append) for number in range(2)]
    assert [report.slice for report in reports] == ["0/2", "1/2"]
    assert sum(report.actions.get("convert", 0) for report in reports) == 2 and all(report.error is None for report in reports)
    assert "action_finished" in {event["event"] for event in events}
    # Another cache, as another machine has.
    built = datac.Workspace(tmp_path, remote=tmp_path / "team", cache=tmp_path / "elsewhere").build()
    assert "convert" not in built.actions and "scan" not in built.actions, built.actions


def test_a_worker_that_cannot_work_raises(own, tmp_path, key):
    ws = own(alpaca(20))
    for slice in ("2/2", "x", (0, 0)):
        with pytest.raises(datac.ConfigError, match="slice"):
            ws.worker(slice)
    with pytest.raises(datac.ConfigError, match="no shared cache"):
        ws.worker("0/1")
    with pytest.raises(datac.ConfigError, match="matches `nothing`"):
        ws.worker("0/1", "nothing")
    (tmp_path / "team").mkdir()
    ws = datac.Workspace(tmp_path, remote=tmp_path / "team")
    recipe = tmp_path / "config/sft/own.yaml"
    recipe.write_text(recipe.read_text().replace("./data/rows.jsonl", "./data/none.jsonl"))
    with pytest.raises(datac.RecipeError, match="`data/none.jsonl` does not exist"):
        ws.worker("0/1")
    report = ws.worker("0/1", check=False)
    assert report.error.exit == 2 and report.failures[0].problems[0].path == "config/sft/own.yaml"


class Hub(BaseHTTPRequestHandler):
    """A hub with one dataset repository, as far as a push needs one."""

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def do_GET(self):
        if "/tree/" in self.path:
            self.answer([])
        elif "/revision/" in self.path:
            self.answer({"id": "org/name", "sha": "a" * 40, "siblings": []})
        else:
            self.answer({"error": "not found"}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            self.answer({"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]})
        elif self.path.endswith("/commit/main"):
            self.server.commits.append([json.loads(line) for line in body.splitlines()])
            self.answer({"success": True, "commitOid": hashlib.sha1(body).hexdigest(), "commitUrl": "x"})
        else:
            self.answer({"error": "not found"}, 404)


def test_a_target_is_pushed_to_the_hub(own, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.commits = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own(alpaca(30), "output: [{ shape: trl, layout: hub }, { shape: messages }]\n").build()
        hub = f"http://127.0.0.1:{server.server_address[1]}"
        ws = datac.Workspace(own(alpaca(30), "output: [{ shape: trl, layout: hub }, { shape: messages }]\n").path, hub=hub)
        with pytest.raises(datac.ConfigError, match="neither an address nor the path"):
            ws.push("org/name", "sft/own")
        with pytest.raises(datac.ConfigError, match="not a dataset repository"):
            ws.push("hf://org", "sft/own")
        planned = ws.push("hf://org/name", "sft/own", dry_run=True)
        assert planned.dry_run and planned.files and not server.commits
        pushed = ws.push("hf://org/name", "sft/own", message="rows of today")
        assert pushed.is_new and pushed.repo == "org/name" and len(pushed.commit) == 40
        [[head, *files]] = server.commits
        assert head["value"]["summary"] == "rows of today"
        assert {file["value"]["path"] for file in files} == {file.path for file in pushed.files}
        with pytest.raises(datac.ConfigError):
            ws.push("hf://org/name", "sft/own", target="nothing")
        server.shutdown()


def test_outputs_are_pushed_to_a_folder_and_pulled(own, tmp_path, monkeypatch):
    ws = own(alpaca(30), "output: [native, { shape: trl }]\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(datac.DatacError, match="only what is up to date can be pushed"):
        ws.push(tmp_path / "out")
    ws.build()
    planned = ws.push(tmp_path / "out", dry_run=True)
    assert planned.dry_run and planned.recipes[0].is_new and not list((tmp_path / "out").iterdir())
    monkeypatch.chdir(tmp_path)
    pushed = ws.push("./out", "sft/own")
    [recipe] = pushed.recipes
    assert (recipe.recipe, recipe.before) == ("sft/own", None) and all(file.is_new for file in recipe.files)
    current = json.loads((tmp_path / "out/sft/own/current.json").read_text())
    assert current["version"] == recipe.version and {file["target"] for file in current["files"]} == {"native", "trl"}
    again = ws.push(tmp_path / "out")
    assert not again.recipes[0].is_new and again.recipes[0].before == recipe.version and again.requests.writes == 0

    pulled = ws.pull("./out/sft/own", "copy")
    assert pulled.recipe == "sft/own" and {file.placement for file in pulled.files} == {"written"}
    for file in current["files"]:
        assert (tmp_path / "copy" / file["output"]).read_bytes() == (ws.path / "dataset" / file["output"]).read_bytes()
    with pytest.raises(datac.SourceError, match="no `current.json`"):
        ws.pull("./out", "copy")
    with pytest.raises(datac.SourceError, match="does not exist"):
        ws.push("./nowhere")
    (tmp_path / "out/sft/own/current.json").write_text("mine")
    with pytest.raises(datac.LockError, match="was not written by datac"):
        ws.push("./out")
