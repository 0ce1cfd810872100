"""Shows how far a build is: in a terminal, or below the cell of a notebook."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

Shown = tuple[Any, int]
"""What the extension calls with lines of text, and how many columns it asks for."""


@contextmanager
def shown(progress: bool | None) -> Iterator[Shown | None]:
    """Yields what shows progress, and removes what it showed at the end; `None` if nothing is to be shown.

    By default progress is shown where a person sees it: in a notebook, or if the standard error is a terminal.
    """
    place = None if progress is False else _place(bool(progress))
    if place is None:
        yield None
        return
    try:
        yield place.show, place.width
    finally:
        place.clear()


def _place(is_asked: bool) -> Notebook | Terminal | None:
    if _is_notebook():
        return Notebook()
    stream = sys.stderr
    try:
        is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        # There is none, or it is closed.
        return None
    return Terminal(stream, is_terminal) if is_terminal or is_asked else None


def _is_notebook() -> bool:
    """Returns whether the code runs in a cell of a notebook. Nobody who has not imported IPython is in one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Terminal:
    """Lines that are drawn over each other; where that is not possible, the first of them now and then."""

    def __init__(self, stream: TextIO, is_live: bool) -> None:
        self._stream, self._is_live = stream, is_live
        self._drawn = 0
        self._last = ""
        self.width = _columns(stream)

    def show(self, lines: list[str]) -> None:
        if self._is_live:
            self._stream.write(self._back() + "\n".join(lines) + "\n")
            self._drawn = len(lines)
        elif lines and lines[0] != self._last:
            self._last = lines[0]
            self._stream.write(lines[0].strip() + "\n")
        self._stream.flush()

    def clear(self) -> None:
        if self._drawn:
            self._stream.write(self._back())
            self._stream.flush()
            self._drawn = 0

    def _back(self) -> str:
        """Returns what removes the lines that were drawn."""
        return f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""


class Notebook:
    """A place below the cell, whose text is replaced."""

    width = 100

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, lines: list[str]) -> None:
        self._put("\n".join(lines))

    def clear(self) -> None:
        if self._handle is not None:
            self._put("")

    def _put(self, text: str) -> None:
        from html import escape

        data = {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>" if text else ""}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
