"""Scorers and filters in Python: the decorators, and functions that a build calls on samples."""

import fractions

import pytest

import datac

ROWS = [{"instruction": f"question {number}", "output": f"answer {number}"} for number in range(40)]


@pytest.fixture
def space(own, tmp_path):
    """Makes a workspace with one recipe with these filters, and this text as the module of their functions, behind `import datac`."""

    def make(text, filters):
        (tmp_path / "py").mkdir(exist_ok=True)
        (tmp_path / "py/tone.py").write_text("import datac\n" + text)
        return own(ROWS, filters=f", filters: [{filters}]")

    return make


def kept(ws):
    recipe = ws["sft/own"]
    return sorted(int(row["conversations"][0]["content"].split()[1]) for row in [*recipe.train, *recipe.validation])


def test_a_declared_function_is_the_function():
    def score(sample):
        return 1

    for declared in (datac.scorer(score), datac.scorer(version=2)(score), datac.filter(score), datac.filter()(score)):
        assert declared is score


@pytest.mark.parametrize(
    "declare, error, words",
    [
        (lambda: datac.scorer(7), TypeError, "a scorer is a function"),
        (lambda: datac.filter(version=1)(7), TypeError, "a filter is a function"),
        (lambda: datac.scorer(version=0), ValueError, "whole number"),
        (lambda: datac.filter(version=True), ValueError, "whole number"),
    ],
)
def test_what_is_declared_wrongly_is_refused(declare, error, words):
    with pytest.raises(error, match=words):
        declare()


def test_an_async_function_is_no_scorer():
    async def score(sample):
        return 1

    with pytest.raises(TypeError, match="`score` is `async`"):
        datac.scorer(score)


def test_a_bound_that_moves_calls_nothing(space):
    text = "@datac.scorer\ndef score(sample): return int(sample['text'].split()[-1])\n"
    ws = space(text, "{ python: 'py/tone.py:score', min: 10 }")
    ws.build()
    assert kept(ws) == list(range(10, 40))
    ws = space(text, "{ python: 'py/tone.py:score', min: 10, max: 19.5 }")
    assert "score" not in ws.build().actions
    assert kept(ws) == list(range(10, 20))
    dropped = ws["sft/own"].dropped("score", limit=1)
    assert (dropped.total, dropped[0].by.score, dropped[0].by.field) == (30, 0.0, "py/tone.py:score")


@pytest.mark.parametrize(
    "made, number",
    [
        ("fractions.Fraction(1, 4)", float(fractions.Fraction(1, 4))),
        ("True", 1.0),
        ("10**400", "the function returned a number that is too large for a float"),
        ("float('-inf')", "the function returned -inf"),
        ("1e-320", 1e-320),
        ("0.1 + 0.2", 0.1 + 0.2),
        ("None", None),
    ],
)
def test_numbers_of_all_kinds_are_scores(space, made, number):
    text = f"import fractions\n@datac.scorer\ndef score(sample): return {made}\n"
    ws = space(text, "{ python: 'py/tone.py:score', min: 5, missing: drop }, { type: length, min_length: 0 }")
    with pytest.raises(datac.DatacError, match="no rows of `own` are left") as caught:
        ws.build()
    assert caught.value.code == "E0212"
    dropped = ws["sft/own"].dropped("python", limit=1)
    assert dropped[0].by.score == number


def test_scalars_of_numpy_are_scores_and_verdicts(space):
    pytest.importorskip("numpy")
    text = (
        "import numpy\n"
        "@datac.scorer\ndef score(sample): return numpy.float32(0.5)\n"
        "@datac.filter\ndef judge(sample): return numpy.array([len(sample['text'])]) % 2 == 1\n"
    )
    ws = space(text, "{ python: 'py/tone.py:score', min: 0.5 }, { python: 'py/tone.py:judge' }")
    ws.build()
    assert kept(ws) == [n for n in range(40) if len(f"question {n}\nanswer {n}") % 2]


def test_what_is_no_score_fails_the_build(space):
    ws = space("@datac.scorer\ndef score(sample): return 'high'\n", "{ python: 'py/tone.py:score', min: 0 }")
    with pytest.raises(datac.DatacError) as caught:
        ws.build()
    error = caught.value
    assert (error.code, error.exit_code) == ("E0221", 1)
    assert "it returned a str; a scorer returns a number" in error.message and "row 0 (line 1)" in error.message
    [problem] = error.problems
    assert (problem.path, problem.line) == ("config/sft/own.yaml", 3)


def test_an_exception_rejects_the_row_with_its_text(space):
    text = (
        "@datac.filter\ndef judge(sample):\n"
        "    number = int(sample['text'].split()[-1])\n"
        "    if number == 7: raise datac.Reject('not seven')\n"
        "    return 1 / (number - 3) != 1\n"
    )
    ws = space(text, "{ python: 'py/tone.py:judge' }")
    summary = ws.build().recipes[0].summary
    assert kept(ws) == [number for number in range(40) if number not in (3, 4, 7)]
    assert (summary.rejects, summary.sources[0].filters[0].failed) == (2, 2)
    told = [(reject["row"], reject["reason"], reject["detail"]) for reject in ws["sft/own"].rejects]
    assert told == [
        (3, "refused", "py/tone.py:judge: ZeroDivisionError: division by zero (py/tone.py:6)"),
        (7, "refused", "py/tone.py:judge: not seven"),
    ]
    place = ws["sft/own"].rejects.origin(1).source
    [fate] = ws.trace(place.repo, place.file, place.row).fates
    assert (place.row, fate.fate, fate.reject.reason) == (7, "rejected", "refused")
    assert ws["sft/own"].dropped("judge").total == 1
