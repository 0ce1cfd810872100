"""Status, builds, errors, events, recipes."""

import json
import pickle

import pytest

import datac


def test_a_build_is_reported_and_done_once(ws):
    assert {status.state for status in ws.status()} == {"new"}
    report = ws.build("sft/*")
    assert [recipe.name for recipe in report.recipes] == ["sft/code", "sft/general", "sft/reasoning"]
    general = report.recipes[1]
    assert (general.done, general.summary.train_rows, general.summary.validation_rows) == ("built", 258, 10)
    assert general.summary.sources[0].rejects == {"empty_output": 2}
    assert report.error is None and report.run is not None
    again = ws.build("sft/*")
    assert again.actions == {} and again.run is None
    assert [status.state for status in ws.status("sft")] == ["fresh"] * 3
    assert ws["sft/general"].state == "fresh"


def test_settings_come_from_the_environment_too(ws, monkeypatch):
    monkeypatch.setenv("DATAC_DIRECTORY", str(ws.path))
    monkeypatch.setenv("DATAC_HUB", "sample")
    monkeypatch.setenv("DATAC_OUTPUT_DIR", "elsewhere")
    workspace = datac.Workspace()
    assert workspace.path == ws.path
    workspace.build("rlaif/ppo")
    assert workspace["rlaif/ppo"].train.path == ws.path / "elsewhere/rlaif_ppo_train.jsonl"
    monkeypatch.setenv("DATAC_OFFLINE", "perhaps")
    with pytest.raises(datac.ConfigError, match="DATAC_OFFLINE"):
        datac.Workspace()


def test_settings_come_from_the_file_of_the_workspace(ws, monkeypatch):
    (ws.path / "datac.toml").write_text('hub = "sample"\n[outputs]\ndir = "rows"\n[cache]\nmax_size = "2GB"\n')
    workspace = datac.Workspace(ws.path)
    found = {setting.key: setting for setting in workspace.settings}
    assert [(found[key].value, found[key].origin, found[key].line) for key in ("hub", "outputs.dir", "cache.max_size")] == [
        ("sample", "file", 1),
        ("rows", "file", 3),
        (2_000_000_000, "file", 5),
    ]
    assert found["cache.dir"].origin == "default"
    workspace.build("rlaif/ppo")
    assert workspace["rlaif/ppo"].train.path == ws.path / "rows/rlaif_ppo_train.jsonl"
    again = pickle.loads(pickle.dumps(workspace))
    assert again["rlaif/ppo"].train.path == ws.path / "rows/rlaif_ppo_train.jsonl"
    monkeypatch.setenv("DATAC_OUTPUT_DIR", "elsewhere")
    assert {setting.key: setting.text for setting in datac.Workspace(ws.path).settings}["outputs.dir"] == "elsewhere"
    assert {setting.key: setting.text for setting in datac.Workspace(ws.path, output="o").settings}["outputs.dir"] == "o"
    (ws.path / "datac.toml").write_text("[cache]\nmax_sise = 1\n")
    with pytest.raises(datac.ConfigError, match="max_sise") as raised:
        datac.Workspace(ws.path)
    assert type(raised.value) is datac.ConfigError
    assert [(problem.path, problem.line, problem.code) for problem in raised.value.problems] == [("datac.toml", 2, "E0110")]


def test_rows_of_a_step_are_named(own):
    ws = own([{"instruction": f"{n}?", "input": "", "output": f"Number {n}."} for n in range(9)], "output: { shape: messages, id: true }\n")
    ws.build()
    rows = ws["sft/own"].train[:2]
    lines = [{"step": 1, "ids": [row["id"]]} for row in rows] + [{"step": 2, "ids": ["row-00000000000000aa"]}]
    log = ws.path / "rows.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    blamed = ws.blame(log, 1)
    assert [row.id for row in blamed.rows] == [row["id"] for row in rows]
    source = (ws.path / "data/rows.jsonl").read_text().splitlines()
    for row, blame in zip(rows, blamed.rows):
        [made] = blame.made_of
        assert (made.recipe, made.converter, made.is_latest) == ("sft/own", "alpaca", True)
        assert json.loads(source[made.source.line - 1])["output"] == row["messages"][-1]["content"]
    assert [row.made_of for row in ws.blame([log], 2).rows] == [[]]
    with pytest.raises(datac.ConfigError, match="no rows of step 3"):
        ws.blame(str(log), 3)


def test_recipes_are_found_by_name(built):
    assert len(list(built)) == 8
    assert built["sft/general"].path == "config/data/posttrain/sft/general.yaml"
    assert built["config/data/posttrain/dpo/safety.yaml"].name == "dpo/safety"
    with pytest.raises(datac.ConfigError, match="matches 3 recipes"):
        built["sft"]
    with pytest.raises(datac.ConfigError, match="nothing"):
        built["nothing"]


def test_problems_have_file_line_and_column(ws):
    recipe = ws.path / "config/data/posttrain/sft/general.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 42", "seed: forty"))
    with pytest.raises(datac.RecipeError) as raised:
        ws.build("sft/general")
    problem = raised.value.problems[0]
    line = recipe.read_text().splitlines()[problem.line - 1]
    assert (problem.path, line[problem.column - 1 :][:5]) == ("config/data/posttrain/sft/general.yaml", "forty")
    assert raised.value.code == problem.code and raised.value.exit_code == 2
    assert raised.value.report.recipes[0].state == "invalid"
    assert [found.line for found in ws.validate("sft/general")] == [problem.line]
    assert ws.status("sft/general")[0].problems == [problem]
    # Others are built all the same.
    report = ws.build("sft/*", check=False)
    assert [recipe.done for recipe in report.recipes] == ["built", "failed", "built"]


def test_errors_are_classes_with_the_codes_of_the_command(ws, tmp_path):
    cases = [
        (datac.ConfigError, 2, lambda: ws.build("nothing/*")),
        (datac.ConfigError, 2, lambda: datac.Workspace(tmp_path / "gone")),
        (datac.LockError, 4, lambda: ws.build("sft/general", locked=True)),
        (datac.SourceError, 3, lambda: datac.Workspace(ws.path, hub="https://huggingface.co", offline=True).build("sft/general")),
        (datac.ConfigError, 2, lambda: ws["sft/general"].train),
    ]
    for kind, code, call in cases:
        with pytest.raises(kind) as raised:
            call()
        assert (type(raised.value), raised.value.exit_code) == (kind, code)
        assert raised.value.message and not isinstance(raised.value, datac.RecipeError)


def test_too_many_rejects_are_a_matter_of_policy(own):
    rows = [{"instruction": "a", "input": "", "output": ""}] * 5 + [{"instruction": "b", "input": "", "output": "c"}] * 20
    ws = own(rows, more="max_rejects: 2\n")
    with pytest.raises(datac.PolicyError, match="5 of 25 rows were rejected") as raised:
        ws.build()
    assert raised.value.exit_code == 5


def test_events_are_those_of_the_command(ws):
    events = []
    ws.build("sft/general", on_event=events.append)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "pinned" or kinds[0] == "recipe_planned"
    assert kinds[-1] == "recipe_finished" and "action_finished" in kinds
    written = [event["path"] for event in events if event["event"] == "output_written"]
    assert sorted(path.rpartition("/")[2] for path in written) == ["sft_general.jsonl", "sft_general_train.jsonl", "sft_general_val.jsonl"]


def test_an_exception_in_a_callback_stops_the_build(ws):
    calls = []

    def fail(event):
        calls.append(event)
        raise ZeroDivisionError("of the caller")

    with pytest.raises(ZeroDivisionError, match="of the caller"):
        ws.build(on_event=fail)
    assert len(calls) == 1
    assert ws.build().error is None


def test_a_callback_may_use_the_workspace(ws):
    seen = []
    ws.build("rlaif/ppo", on_event=lambda event: seen.append(ws.status("rlaif/ppo")[0].state))
    assert seen and set(seen) <= {"new", "fresh"}


def test_states_are_explained(ws):
    ws.build("sft/general")
    recipe = ws.path / "config/data/posttrain/sft/general.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 42", "seed: 43"))
    explained = ws["sft/general"].why()
    assert explained.status.state == "stale"
    assert [step.stage for step in explained.steps][:2] == ["scan", "convert"]
    ws.build("sft/general")
    changed = ws["sft/general"].diff()
    assert changed.new.rows == changed.old.rows == 268 and changed.sources[0].moved > 0
    assert changed.moved[0].old.split != changed.moved[0].new.split
    assert ws["sft/general"].train.diff() == changed


def test_everything_can_be_pickled(built):
    for thing in (built, built["sft/general"]):
        assert repr(pickle.loads(pickle.dumps(thing))) == repr(thing)
    status = built.status("sft/general")[0]
    assert pickle.loads(pickle.dumps(status)) == status
