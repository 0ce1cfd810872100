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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
