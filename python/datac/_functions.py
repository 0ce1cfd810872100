"""Functions of a workspace that builds call: what a module says of them.

The command carries this file: where a build calls functions, this is the module `datac`, whether or not the package is installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

__all__ = ["Reject", "converter", "filter", "scorer"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_KINDS = ("sft", "dpo", "reward", "kto", "prm", "rlaif", "pretrain", "midtrain")


class Reject(Exception):
    """Rejects the row that a converter is given, or that the sample of a scorer or a filter was made of:
    `raise datac.Reject("fewer than 3 votes")`.

    The row is written to the quarantine file of the recipe as `refused`, with these words.
    """


def converter(*misplaced: Any, kind: str | None = None, version: int = 1) -> Callable[[_Function], _Function]:
    """Declares a function as a converter, for `converter: { python: "converters/chat.py:to_sample" }` in a recipe.

    - `kind`: the phase of the recipes that it is for, which decides what its samples hold: `sft`, `dpo`, `reward`, `kto`, `prm`,
      `rlaif`, `pretrain` or `midtrain`.
    - `version`: to be raised where the samples change for a reason that is not in the files of the workspace, such as a new version
      of a package. It is part of the module's text, and so of the cache key.

    The function takes a row, a dictionary of the source's columns, and returns a sample as a dictionary, a list of samples (also by
    `yield`), or `None` to reject the row. An exception rejects it, too, with its text and line as the reason; `Reject` gives other
    words. The samples must depend on nothing but the row and the files that the recipe names.
    """
    if misplaced or kind is None:
        raise TypeError('the kind is missing: write `@datac.converter(kind="sft")`')
    if kind not in _KINDS:
        raise ValueError(f"unknown kind {kind!r}: it is one of {', '.join(_KINDS)}")
    return _declared("converter", version, kind=kind)


@overload
def scorer(function: _Function, /) -> _Function: ...
@overload
def scorer(*, version: int = 1) -> Callable[[_Function], _Function]: ...
def scorer(function: Any = None, /, *, version: int = 1) -> Any:
    """Declares a function as a scorer, for `filters: [{ python: "scorers/tone.py:politeness", min: 0.2 }]` in a recipe.

    The function takes a sample, a dictionary as `native` rows are, without `source`, and returns a number, a boolean (1 or 0), or `None`
    where there is no score: the recipe's `missing` says what becomes of such samples. An exception rejects the row that the sample was made
    of, with its text and line as the reason; `Reject` gives other words. The score must depend on nothing but the sample and the files that
    the recipe names.

    `version` is to be raised where scores change for a reason that is not in the files of the workspace, such as a new version of a
    package. It is part of the module's text, and so of the cache key.
    """
    return _judge("scorer", function, version)


@overload
def filter(function: _Function, /) -> _Function: ...
@overload
def filter(*, version: int = 1) -> Callable[[_Function], _Function]: ...
def filter(function: Any = None, /, *, version: int = 1) -> Any:
    """Declares a function as a filter, for `filters: [{ python: "scorers/tone.py:is_polite" }]` in a recipe.

    The function is as one that `scorer` declares, but returns whether the sample is kept: `True`, `False`, or `None` where it cannot
    tell.
    """
    return _judge("filter", function, version)


def _judge(role: str, function: Any, version: int) -> Any:
    declare: Callable[[Any], Any] = _declared(role, version)
    return declare if function is None else declare(function)


def _declared(role: str, version: int, **more: Any) -> Callable[[_Function], _Function]:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"the version must be a whole number from 1 on, not {version!r}")

    def declare(function: _Function) -> _Function:
        if not callable(function):
            raise TypeError(f"a {role} is a function, not {function!r}")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"a {role} is a plain function, but `{function.__name__}` is `async`")
        function.__datac__ = {"role": role, "version": version, **more}  # type: ignore[attr-defined]
        return function

    return declare
