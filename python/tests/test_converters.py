"""Converters in Python: the decorator, and functions that a build calls."""

import pickle
import sys

import pytest

import datac

ROWS = [{"n": number, "q": f"q{number}"} for number in range(30)]
CONVERTER = ", converter: { python: 'py/chat.py:to_sample' }"


@pytest.fixture
def space(own, tmp_path):
    """Makes a workspace with one recipe whose converter is this text, behind `import datac`."""

    def make(text):
        (tmp_path / "py").mkdir(exist_ok=True)
        (tmp_path / "py/chat.py").write_text("import datac\n" + text)
        return own(ROWS, filters=CONVERTER)

    return make


def answers(ws):
    recipe = ws["sft/own"]
    rows = [*recipe.train, *recipe.validation]
    return sorted(row["conversations"][-1]["content"] for row in rows)


def test_a_declared_function_is_the_function():
    def to_sample(row):
        return {"user": row["q"]}

    declared = datac.converter(kind="sft", version=2)(to_sample)
    assert declared is to_sample and declared({"q": 1}) == {"user": 1}
    assert pickle.loads(pickle.dumps(datac.Reject("why"))).args == ("why",)


@pytest.mark.parametrize(
    "declare, error, words",
    [
        (lambda: datac.converter(lambda row: row), TypeError, "the kind is missing"),
        (lambda: datac.converter(kind="chat"), ValueError, "unknown kind 'chat'"),
        (lambda: datac.converter(kind="sft", version=True), ValueError, "whole number"),
        (lambda: datac.converter(kind="sft", version="2"), ValueError, "whole number"),
        (lambda: datac.converter(kind="sft")(7), TypeError, "a converter is a function"),
    ],
)
def test_what_is_declared_wrongly_is_refused(declare, error, words):
    with pytest.raises(error, match=words):
        declare()


def test_an_async_function_is_no_converter():
    async def to_sample(row):
        return {}

    with pytest.raises(TypeError, match="`to_sample` is `async`"):
        datac.converter(kind="sft")(to_sample)


def test_functions_are_called_by_the_interpreter_that_builds(space):
    ws = space(
        "import sys\n@datac.converter(kind='sft')\n"
        "def to_sample(row): return {'user': row['q'], 'assistant': sys.executable}\n"
    )
    ws.build()
    assert set(answers(ws)) == {sys.executable}
    assert ws.build().actions == {}


def test_the_package_is_there_for_who_asks(space):
    # What functions need of it does not load the extension; anything else does.
    ws = space(
        "import sys\nBEFORE = 'datac._datac' in sys.modules\nVERSION = datac.__dict__.get('VERSION')\n"
        "OPEN = datac.Workspace\nfrom datac import Output\n@datac.converter(kind='sft')\n"
        "def to_sample(row):\n"
        "    return {'user': row['q'], 'assistant': f\"{BEFORE} {'datac._datac' in sys.modules} {Output.__name__}\"}\n"
    )
    ws.build()
    assert set(answers(ws)) == {"False True Output"}


def test_failures_have_their_code_row_and_traceback(space):
    ws = space(
        "@datac.converter(kind='sft')\ndef to_sample(row):\n    if row['n'] == 4: import missing_one\n"
        "    return {'user': row['q'], 'assistant': 'a'}\n"
    )
    with pytest.raises(datac.DatacError) as caught:
        ws.build()
    error = caught.value
    assert (error.code, error.exit_code) == ("E0221", 1)
    assert "missing_one" in error.message and "row 4 (line 5)" in error.message
    assert error.note.splitlines()[-1] == "ModuleNotFoundError: No module named 'missing_one'"
    assert 'File "py/chat.py", line 4' in error.note


def test_what_is_not_the_same_twice_is_no_result(space):
    ws = space(
        "import uuid\n@datac.converter(kind='sft')\n"
        "def to_sample(row): return {'user': row['q'], 'assistant': str(uuid.uuid4())}\n"
    )
    with pytest.raises(datac.DatacError, match="two results for the same row") as caught:
        ws.build()
    assert caught.value.code == "E0222"


def test_threads_and_noise_do_no_harm(space):
    ws = space(
        "import subprocess, sys, threading, time\n"
        "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
        "@datac.converter(kind='sft')\n"
        "def to_sample(row):\n"
        "    print('x' * 100_000)\n    sys.stderr.write('y' * 100_000)\n    print(sys.stdin.read())\n"
        "    said = subprocess.run(['cat'], capture_output=True, text=True).stdout\n"
        "    subprocess.run(['echo', 'noise'])\n"
        "    return {'user': row['q'], 'assistant': repr(said)}\n"
    )
    ws.build()
    assert answers(ws) == ["''"] * len(ROWS)
