"""Workspaces for tests: the recipes of the project, or rows that a test writes; no network."""

import json
import shutil
from pathlib import Path

import pytest

import datac

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """Settings of whoever runs the tests are not those of the tests."""
    import os

    for name in list(os.environ):
        if name.startswith("DATAC_"):
            monkeypatch.delenv(name)
    # Nor is the key that they sign with.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


@pytest.fixture
def ws(tmp_path):
    """A workspace with the eight recipes of the project, on the sample hub."""
    shutil.copytree(PROJECT / "config", tmp_path / "corpus/config")
    return datac.Workspace(tmp_path / "corpus", hub="sample")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Such a workspace, built; tests only read it."""
    root = tmp_path_factory.mktemp("built")
    shutil.copytree(PROJECT / "config", root / "config")
    workspace = datac.Workspace(root, hub="sample")
    workspace.build()
    return workspace


@pytest.fixture
def own(tmp_path):
    """Makes a workspace with one recipe, `sft/own`, over rows of a test."""

    def make(rows, more="", filters=""):
        (tmp_path / "config/sft").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data").mkdir(exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (tmp_path / "data/rows.jsonl").write_text(text, encoding="utf-8")
        (tmp_path / "config/sft/own.yaml").write_text(
            "metadata: { phase: sft }\n"
            f"datasets:\n  - {{ name: own, source: ./data/rows.jsonl, mix_ratio: 1.0{filters} }}\n"
            f"validation: {{ ratio: 0.1, seed: 1 }}\n{more}",
        )
        return datac.Workspace(tmp_path)

    return make


def alpaca(count):
    """Rows of the alpaca format, no two alike, some with characters that are often split at or escaped."""
    odd = ["\u2028", "\x85", "\n", "é", "\U0001f600", "\x1e"]
    return [
        {"instruction": f"What is {number}?{odd[number % len(odd)]}", "input": "", "output": f"The number {number}."}
        for number in range(count)
    ]
