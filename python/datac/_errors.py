"""The exceptions of datac: one class for each exit code of the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._records import BuildReport, Problem


class DatacError(Exception):
    """Something could not be done; the base of all exceptions of datac.

    A subclass says what kind of fault it is. This class itself is raised for a step that went wrong, such as a file that cannot be
    decoded or written.
    """

    exit_code: int = 1
    """The exit code of the command for this fault."""

    def __init__(self, message: str = "", failure: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        failure = failure or {}
        self.message: str = message
        """The whole message, without the hint."""
        self.code: str | None = failure.get("code")
        """A stable code such as `E0114`, which `datac explain` describes; `None` for most faults."""
        self.hint: str | None = failure.get("hint")
        """What to do about it, if that is known."""
        self.note: str | None = failure.get("note")
        """What shows it best, such as the first of the rows that were rejected."""
        self._problems: list[dict[str, Any]] = failure.get("problems") or []
        self.report: BuildReport | None = None
        """The result for each recipe, if a build failed."""

    @property
    def problems(self) -> list[Problem]:
        """The places in recipes that it is about, each with path, line and column; often empty."""
        from ._records import Problem

        return [Problem(problem) for problem in self._problems]

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class ConfigError(DatacError):
    """A request or `datac.toml` is invalid, or a recipe asks for what its source does not have."""

    exit_code = 2


class RecipeError(ConfigError):
    """Recipes are invalid: `problems` has file, line and column of each problem."""


class SourceError(DatacError):
    """A source is unavailable."""

    exit_code = 3


class LockError(DatacError):
    """`datac.lock` does not allow it, or a file does not match its pinned digest."""

    exit_code = 4


class PolicyError(DatacError):
    """More rows were rejected than a recipe allows, none are left, or the result is not what the recipe expects."""

    exit_code = 5


class CacheError(DatacError):
    """The cache is damaged, and rebuilding did not repair it, or it no longer holds what was asked for."""

    exit_code = 6


class LockedError(DatacError):
    """Another process builds in the workspace, and `wait=False` was given."""

    exit_code = 9


class BugError(DatacError):
    """A bug in datac."""

    exit_code = 70


_CLASSES = (ConfigError, SourceError, LockError, PolicyError, CacheError, LockedError, BugError)


def exception(document: str) -> DatacError:
    """Returns the exception for a failure, given as JSON."""
    return of_failure(json.loads(document))


def of_failure(failure: dict[str, Any]) -> DatacError:
    """Returns the exception for a failure."""
    kinds = {kind.exit_code: kind for kind in _CLASSES}
    kind: type[DatacError] = kinds.get(failure["exit"], DatacError)
    if kind is ConfigError and any(problem["path"] != "datac.toml" for problem in failure["problems"]):
        kind = RecipeError
    return kind(failure["message"], failure)
