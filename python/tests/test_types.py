"""Types and documentation: what stubs say is what is compiled, and every name is explained."""

import inspect
import subprocess
import sys

import pytest

import datac
from datac import _records


def test_the_stub_of_the_extension_is_what_is_compiled():
    pytest.importorskip("mypy")
    checked = subprocess.run([sys.executable, "-m", "mypy.stubtest", "datac._datac"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_public_name_has_documentation():
    for name in set(datac.__all__) - {"__version__"}:
        thing = getattr(datac, name)
        assert thing.__doc__, name
        for member, value in vars(thing).items():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_records_have_the_attributes_of_their_documents(built):
    def visit(record):
        document = record.to_dict()
        assert set(document) <= set(type(record).__annotations__), type(record)
        for name in type(record).__annotations__:
            value = getattr(record, name)
            values = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]
            for inner in values:
                if isinstance(inner, _records.Record):
                    visit(inner)

    general = built["sft/general"]
    for record in (general.status, general.train.origin(0), general.rejects.origin(0), general.stats, general.why(), built.build()):
        visit(record)
    with pytest.raises(AttributeError, match="nothing"):
        general.status.nothing
