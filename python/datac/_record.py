"""What the documents of the library are in Python."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar


class Record:
    """A document with attributes. Those that a document leaves out are `None`.

    `to_dict` returns the document itself: what the command prints with `--json`.
    """

    _records: ClassVar[dict[str, str]] = {}
    """The attributes that are records or lists of records, with the name of the class."""
    _maps: ClassVar[dict[str, str]] = {}
    """The attributes that are dictionaries of records."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that the record is made of."""
        return self._document

    # For a type checker, a record has the attributes of its class alone.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            if name.startswith("_") or name not in kind.__annotations__:
                raise AttributeError(f"a `{kind.__name__}` has no attribute `{name}`")
            value = self._document.get(name)
            module = sys.modules[kind.__module__]
            if value is not None and name in kind._records:
                made = getattr(module, kind._records[name])
                value = [made(item) for item in value] if isinstance(value, list) else made(value)
            elif value is not None and name in kind._maps:
                made = getattr(module, kind._maps[name])
                value = {key: made(item) for key, item in value.items()}
            self.__dict__[name] = value
            return value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *type(self).__annotations__]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Record) and self._document == other._document

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._document,))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_short(value)}" for name, value in self._document.items())
        return f"{type(self).__name__}({shown})"


class OfRecipes(Record):
    """A document about recipes, shown as one line, or in a notebook as a table."""

    if TYPE_CHECKING:

        @property
        def recipes(self) -> list[Any]: ...

    def _counts(self) -> str:
        counts: dict[str, int] = {}
        for recipe in self.recipes:
            done = _DONE.get(recipe.done, recipe.done)
            counts[done] = counts.get(done, 0) + 1
        return ", ".join(f"{count} {done}" for done, count in counts.items()) or "no recipes"

    def __repr__(self) -> str:
        return f"<datac.{type(self).__name__}: {self._counts()}>"

    def _repr_html_(self) -> str:
        from ._html import table

        def row(recipe: Any) -> list[Any]:
            summary = recipe.summary
            counts = [None] * 3 if summary is None else [summary.train_rows, summary.validation_rows, summary.rejects]
            why = recipe.failure.message if recipe.failure else "; ".join(problem.message for problem in recipe.problems)
            return [recipe.name, _DONE.get(recipe.done, recipe.done), *counts, why]

        return table(["recipe", "", "train", "validation", "rejects", ""], map(row, self.recipes), self._counts())


_DONE = {"nothing": "up to date"}
"""What people read for the word of a document."""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
