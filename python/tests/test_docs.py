"""Runs the examples of docs/python.md, in order, and compares what they print."""

import doctest
import re

from conftest import PROJECT


def test_the_examples_of_the_page_are_true(ws, monkeypatch):
    monkeypatch.chdir(ws.path)
    page = (PROJECT / "docs/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "docs/python.md", "docs/python.md", 0)
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(examples, out=said.append)
    assert len(examples.examples) > 20 and not said, "".join(said)
