"""Workspaces and their recipes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._datac import Workspace as _Handle
from ._datac import kind_of
from ._errors import ConfigError, of_failure
from ._output import Output
from ._progress import shown

if TYPE_CHECKING:
    import datasets

    from ._records import (
        Blame,
        BuildReport,
        DroppedRow,
        EffectiveSetting,
        Explanation,
        Identified,
        Journey,
        ListedRelease,
        Problem,
        Pulled,
        PulledOutputs,
        Pushed,
        PushedOutputs,
        RecipeStats,
        RecipeStatus,
        Released,
        RowsDiff,
        WorkReport,
    )

Event = dict[str, Any]
"""An event of a build, as `datac build --events` writes it: `event` says which, such as `action_finished`."""


class Workspace:
    """A folder with recipes below `config/`, its cache, its outputs and `datac.lock`.

    Opening one reads its `datac.toml`, if it has one, and writes nothing. What is not given comes from the environment, as for the
    command (`DATAC_DIRECTORY`, `DATAC_HUB`, `DATAC_CACHE_DIR`, `DATAC_OUTPUT_DIR`, `DATAC_REMOTE`, `DATAC_OFFLINE` and so on), or else
    from `datac.toml`. Raises `ConfigError` for what is invalid there, with line and column of each of the `problems`.

    - `path`: the folder; by default the current one, or the nearest above with recipes.
    - `hub`: where datasets come from: a URL, a folder laid out `<org>/<name>/…`, or `sample`.
    - `cache`, `output`: the folders of the cache and of the outputs, relative to the workspace; `cache` and `dataset` by default.
    - `remote`: a cache that is shared with others: a folder, `s3://bucket/folder` (also `gs://`, `az://`), or a URL, which is only read.
    - `offline`: whether the network is not to be used.
    - `python`: the interpreter that calls converters; by default `DATAC_PYTHON`, or the one that runs this.

    Methods may be called from several threads. Builds of one workspace wait for each other, across processes, too.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        hub: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        output: str | os.PathLike[str] | None = None,
        remote: str | os.PathLike[str] | None = None,
        offline: bool | None = None,
        python: str | os.PathLike[str] | None = None,
    ) -> None:
        def named(value: str | os.PathLike[str] | None) -> str | None:
            return None if value is None else os.fspath(value)

        path = os.environ.get("DATAC_DIRECTORY") or None if path is None else path
        self._python = named(python) or os.environ.get("DATAC_PYTHON") or sys.executable or None
        self._handle = _Handle(
            named(path),
            hub=named(hub),
            cache=named(cache),
            output=named(output),
            remote=named(remote),
            offline=offline,
            python=self._python,
        )

    @property
    def path(self) -> Path:
        """The folder, as an absolute path."""
        return self._handle.root

    @property
    def settings(self) -> list[EffectiveSetting]:
        """The settings that hold here, each with what decided it (`origin`), as `datac config` shows them."""
        from ._records import EffectiveSetting

        return [EffectiveSetting(setting) for setting in json.loads(self._handle.effective())]

    def _set(self) -> dict[str, Any]:
        """Returns the arguments that open a workspace with the same settings."""
        keys = {
            "hub": "hub",
            "offline": "offline",
            "cache.dir": "cache",
            "cache.remote": "remote",
            "outputs.dir": "output",
        }
        chosen = [setting for setting in self.settings if setting.key in keys and setting.origin != "default"]
        return {keys[setting.key]: setting.value for setting in chosen} | {"python": self._python}

    def status(self, *selectors: str) -> Statuses:
        """Returns the states of the recipes that selectors match, by default of all; runs nothing and writes nothing.

        Selectors are those of the command: names, globs, paths, outputs, `source:ID`, `state:WORD`.
        """
        from ._records import RecipeStatus

        return Statuses(RecipeStatus(status) for status in json.loads(self._handle.status(list(selectors))))

    def build(
        self,
        *selectors: str,
        locked: bool | None = None,
        force: bool = False,
        jobs: int = 0,
        wait: bool = True,
        fail_fast: bool = False,
        check: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool | None = None,
    ) -> BuildReport:
        """Builds the recipes that selectors match and that are out of date, by default all.

        - `locked`: fail rather than change `datac.lock`; by default as the settings say.
        - `force`: rebuild everything, whatever the cache holds.
        - `jobs`: number of threads; by default as the settings say, or else one per core.
        - `wait`: whether to wait for another process that builds here, or to raise `LockedError`.
        - `fail_fast`: start no more work once a recipe has failed.
        - `check`: whether a recipe that cannot be built raises; its exception has the `report`. If not, look at the report.
        - `on_event`: called with each event, in order, on this thread. Without it, warnings go to the logger `datac`.
        - `progress`: whether a build that takes longer than half a second shows how far it is; by default in notebooks and terminals.

        The interpreter is free meanwhile. Ctrl-C, or an exception in `on_event`, asks the build to stop, and is raised as soon as it
        has; finished steps are kept, and the next build continues from them.

        Raises `RecipeError` for invalid recipes, `SourceError`, `LockError`, `PolicyError`, `CacheError` or `DatacError` for
        what went wrong, and `ConfigError` if no recipe matches.
        """
        from ._records import BuildReport

        with shown(progress) as on_progress:
            document = self._handle.build(
                list(selectors),
                locked=locked,
                force=force,
                jobs=jobs,
                wait=wait,
                fail_fast=fail_fast,
                on_event=_told(on_event),
                on_progress=on_progress,
            )
        report = BuildReport(json.loads(document))
        if check and report.error is not None:
            error = of_failure(report.error.to_dict())
            error.report = report
            raise error
        return report

    def worker(
        self,
        slice: str | tuple[int, int],
        *selectors: str,
        jobs: int = 0,
        wait: bool = True,
        dry_run: bool = False,
        check: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool | None = None,
    ) -> WorkReport:
        """Does one machine's part of a build that many share, as `datac worker` does: makes what the source files of a slice come to, and
        adds it to the shared cache (`remote`), from where a build takes it.

        - `slice`: which of how many slices, from 0: `"0/4"` or `(0, 4)` is the first of four.
        - `dry_run`: only say which files the slice has; needs no shared cache.
        - `check`: whether a file that cannot be worked on raises. If not, look at the report.
        - `jobs`, `wait`, `on_event`, `progress`: as for `build`.

        Raises `ConfigError` without a shared cache or a key, and otherwise as `build` does.
        """
        from ._records import WorkReport

        with shown(progress) as on_progress:
            document = self._handle.worker(
                slice if isinstance(slice, str) else "/".join(map(str, slice)),
                list(selectors),
                jobs=jobs,
                wait=wait,
                dry_run=dry_run,
                on_event=_told(on_event),
                on_progress=on_progress,
            )
        report = WorkReport(json.loads(document))
        if check and report.error is not None:
            raise of_failure(report.error.to_dict())
        return report

    def release(self, name: str, *selectors: str, progress: bool | None = None) -> Released:
        """Puts the outputs of recipes, by default of all, under a name in the shared cache (`remote`), for good.

        `name` is `NAME@VERSION`. It stands for the same bytes for ever: releasing the same again changes nothing (`is_new` is false).

        Raises `DatacError` if a recipe is not up to date, `ConfigError` for an invalid name, without a shared cache, or without a key
        (`datac cache key new` makes one), `SourceError` if the shared cache cannot be used, and `LockError` if the name stands for other
        bytes.
        """
        from ._records import Released

        with shown(progress) as on_progress:
            return Released(json.loads(self._handle.release(name, list(selectors), on_progress)))

    def releases(self, name: str | None = None) -> list[ListedRelease]:
        """Returns the releases in the shared cache (`remote`): all, those of a name, or the one that `NAME@VERSION` names, each with its
        `content`.

        One that is damaged, or signed with a key that is not trusted, has the reason as `refused`. Raises `ConfigError` without a
        shared cache.
        """
        from ._records import ReleaseList

        return ReleaseList(json.loads(self._handle.releases(name))).releases

    def pull(
        self,
        name: str | os.PathLike[str],
        to: str | os.PathLike[str] | None = None,
        *,
        force: bool = False,
        dry_run: bool = False,
        progress: bool | None = None,
    ) -> Pulled | PulledOutputs:
        """Puts files in place, each whole, with every byte checked; needs no recipe.

        - `name`: a release (`NAME@VERSION`), or the folder of a recipe that was pushed (`s3://bucket/folder/sft/general`, `/folder/sft/general`),
          whose current version is got.
        - `to`: the folder, relative to the current one; by default that of the outputs.
        - `force`: replace files that have other bytes.
        - `dry_run`: only say what would be written.

        Raises `DatacError` if a file with other bytes is in the way, `SourceError` if there is no such release or recipe or something of it is
        damaged, `ConfigError` without a shared cache, and `LockError` if it is not signed with a key that the workspace trusts. Nothing is
        then half written.
        """
        from ._records import Pulled, PulledOutputs

        folder = None if to is None else os.path.abspath(to)
        with shown(progress) as on_progress:
            document = self._handle.pull(_place(name), to=folder, force=force, dry_run=dry_run, on_progress=on_progress)
        found = json.loads(document)
        return Pulled(found) if "release" in found else PulledOutputs(found)

    def push(
        self,
        to: str | os.PathLike[str],
        *selectors: str,
        target: str | None = None,
        revision: str | None = None,
        message: str | None = None,
        dry_run: bool = False,
        progress: bool | None = None,
    ) -> Pushed | PushedOutputs:
        """Writes outputs to where others read them.

        A folder or a bucket (`s3://bucket/folder`, also `gs://` and `az://`) gets all outputs of each recipe as a version that never changes,
        beside `current.json`, which says which version is the recipe now. A dataset repository of the hub (`hf://ORG/NAME`) gets the files
        of one target, with its card, in one commit; for that there are

        - `target`: the folder of the target, if the recipes have several; by default the one with `layout: hub`.
        - `revision`: the branch, which must exist; by default `main`.
        - `message`: what the commit is called.

        With `dry_run`, it is only said what would be sent.

        Raises `DatacError` if a recipe is not up to date, or somebody else has pushed it meanwhile, `ConfigError` if it is not an address or not
        one target, `SourceError` if the place cannot be reached, or refuses, and `LockError` if something else is in its place.
        """
        from ._records import Pushed, PushedOutputs

        with shown(progress) as on_progress:
            document = self._handle.push(
                _place(to),
                list(selectors),
                target=target,
                revision=revision,
                message=message,
                dry_run=dry_run,
                on_progress=on_progress,
            )
        found = json.loads(document)
        return Pushed(found) if "repo" in found else PushedOutputs(found)

    def validate(self, *selectors: str) -> list[Problem]:
        """Checks recipes by their text alone and returns their problems, each with path, line and column."""
        from ._records import Problem

        return [Problem(problem) for problem in json.loads(self._handle.validate(list(selectors)))]

    def why(self, target: str) -> Explanation:
        """Explains the state of a recipe, given by name, by path or by one of its outputs."""
        from ._records import Explanation

        return Explanation(json.loads(self._handle.why(target)))

    def trace(self, source: str, file: str, row: int) -> Journey:
        """Follows a source row, from 0, through every recipe that has been built: where it is, or what kept it out.

        `source` is the repository or the local path as recipes name it, `file` the path of a file in it.
        """
        from ._records import Journey

        return Journey(json.loads(self._handle.trace(source, file, row)))

    def trace_id(self, id: str) -> Identified:
        """Finds the source rows that the row with this `id` was made of, and follows those."""
        from ._records import Identified

        return Identified(json.loads(self._handle.trace_id(id)))

    def blame(self, log: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], step: int) -> Blame:
        """Names the rows that a model was trained on in an optimizer step, from 1: source file and line, converter, recipe, commit.

        `log` is what `datac.trl.RowIds` writes, or the logs of several ranks. A row that no build of the history has is made of
        nothing (`made_of`). Raises `ConfigError` if the logs have no such step, or a line that is malformed.
        """
        from ._records import Blame

        logs = [log] if isinstance(log, (str, os.PathLike)) else list(log)
        return Blame(json.loads(self._handle.blame([os.fspath(one) for one in logs], step)))

    def __getitem__(self, name: str) -> Recipe:
        """Returns a recipe by its name or path.

        Raises `ConfigError` unless exactly one recipe matches.
        """
        found = self._handle.find([name])
        if len(found) != 1:
            raise ConfigError(f"`{name}` matches {len(found)} recipes: {', '.join(one for _, one in found)}")
        return Recipe(self, *found[0])

    def __contains__(self, name: object) -> bool:
        """Returns whether `ws[name]` is a recipe."""
        try:
            return isinstance(name, str) and len(self._handle.find([name])) == 1
        except ConfigError:
            return False

    def __iter__(self) -> Iterator[Recipe]:
        return (Recipe(self, path, name) for path, name in self._handle.find([]))

    def _ipython_key_completions_(self) -> list[str]:
        return [name for _, name in self._handle.find([])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and (self.path, self._set()) == (other.path, other._set())

    def __hash__(self) -> int:
        return hash(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_opened, (str(self.path), self._set()))

    def __repr__(self) -> str:
        hub = self._set().get("hub")
        return f"<datac.Workspace {self.path}{'' if hub is None else f', hub {hub}'}>"


def _told(on_event: Callable[[Event], object] | None) -> Callable[[str], object] | None:
    return None if on_event is None else lambda event: on_event(json.loads(event))


def _place(given: str | os.PathLike[str]) -> str:
    """Returns an address; a path that says that it is one is relative to the current folder, whatever the workspace is."""
    if isinstance(given, str):
        return os.path.abspath(given) if given.startswith(".") else given
    return os.path.abspath(given)


def _opened(path: str, settings: dict[str, Any]) -> Workspace:
    return Workspace(path, **settings)


class Statuses(list["RecipeStatus"]):
    """The states of recipes, each with its reasons. Shown as lines, or in a notebook as a table."""

    def _lines(self) -> list[tuple[str, str, str]]:
        def why(status: RecipeStatus) -> str:
            if status.problems:
                return f"{status.problems[0].path}:{status.problems[0].line}: {status.problems[0].message}"
            if status.failure is not None:
                return status.failure.message
            return "; ".join(reason.text for reason in status.reasons)

        return [(status.state, status.name, why(status)) for status in self]

    def __repr__(self) -> str:
        lines = self._lines()
        width = max((len(name) for _, name, _ in lines), default=0)
        return "\n".join(f"{state:<8} {name:<{width}}  {why}".rstrip() for state, name, why in lines) or "[]"

    def _repr_html_(self) -> str:
        from ._html import table

        return table(["state", "recipe", "why"], self._lines())


class Sides:
    """The rows of a recipe in one shape, side by side. A side that the recipe does not write raises `ConfigError`."""

    def __init__(self, recipe: Recipe, shape: str, names: dict[str, list[str]]) -> None:
        self._recipe, self._names = recipe, names
        self.shape = shape
        """The shape, such as `native` or `trl`."""

    @property
    def train(self) -> Output:
        """The rows for training."""
        return self._side("train")

    @property
    def validation(self) -> Output:
        """The rows held out for validation."""
        return self._side("validation")

    @property
    def test(self) -> Output:
        """The rows held out for tests."""
        return self._side("test")

    def _side(self, side: str) -> Output:
        if side not in self._names:
            raise ConfigError(f"`{self._recipe.name}` has no {side} rows: {', '.join(self._names) or 'nothing was built'}")
        return Output(self._recipe, self.shape, side, self._names[side])

    def __iter__(self) -> Iterator[Output]:
        return (self._side(side) for side in self._names)

    def dataset(self) -> datasets.DatasetDict:
        """Returns the rows of all sides, each as `Output.dataset` does; needs `datasets`."""
        import datasets

        return datasets.DatasetDict({output.side: output.dataset() for output in self})

    def __repr__(self) -> str:
        return f"<datac.Sides {self._recipe.name}, {self.shape}: {', '.join(self._names)}>"


class Recipe:
    """A recipe of a workspace. Its outputs are those of its last build, whatever its state is: see `state`."""

    def __init__(self, workspace: Workspace, path: str, name: str) -> None:
        self.workspace = workspace
        """The workspace."""
        self.path = path
        """The path of the recipe, relative to the workspace."""
        self.name = name
        """The name, such as `sft/general`."""

    @property
    def status(self) -> RecipeStatus:
        """The state with reasons, problems and files. Runs nothing, writes nothing."""
        return self.workspace.status(self.path)[0]

    @property
    def state(self) -> str:
        """`fresh`, `stale`, `new`, `cached`, `edited` or `invalid`."""
        return self.status.state

    def build(self, **options: Any) -> BuildReport:
        """Builds the recipe if it is out of date; options as for `Workspace.build`."""
        return self.workspace.build(self.path, **options)

    @property
    def outputs(self) -> dict[str, Sides]:
        """The rows of the last build by shape, such as `native` and `trl`."""
        found: dict[str, dict[str, list[str]]] = {}
        for file in self.status.files:
            shape, side = kind_of(file.name) or ("", "rejects")
            if side != "rejects":
                found.setdefault(shape, {}).setdefault(side, []).append(file.name)
        return {shape: Sides(self, shape, sides) for shape, sides in found.items()}

    @property
    def _only(self) -> Sides:
        outputs = self.outputs
        if "native" in outputs:
            return outputs["native"]
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        if not outputs:
            error = ConfigError(f"`{self.name}` has not been built yet")
            error.hint = f"build it: `ws.build({self.name!r})`"
            raise error
        raise ConfigError(f"`{self.name}` has outputs of several shapes: choose one of `outputs`: {', '.join(outputs)}")

    @property
    def train(self) -> Output:
        """The rows for training, in the native shape or the only one. Raises `ConfigError` if the recipe was not built."""
        return self._only.train

    @property
    def validation(self) -> Output:
        """The rows held out for validation, as for `train`."""
        return self._only.validation

    @property
    def test(self) -> Output:
        """The rows held out for tests, as for `train`."""
        return self._only.test

    @property
    def rejects(self) -> Output:
        """The rows that could not be used, each with its place, the reason and the raw row; no rows if there are none."""
        names = [file.name for file in self.status.files if (kind_of(file.name) or ("", ""))[1] == "rejects"]
        return Output(self, "native", "rejects", names)

    def dropped(self, filter: str, limit: int = 100) -> Dropped:
        """Returns the first `limit` rows that a filter drops, each with its score and the bound.

        `filter` is the `type` of one of the recipe's filters, or `column:` with the column.
        """
        from ._records import DroppedRow

        total, rows = self.workspace._handle.dropped(self.path, filter, limit)
        return Dropped((DroppedRow(json.loads(row)) for row in rows), total)

    @property
    def stats(self) -> RecipeStats:
        """The statistics of the outputs, and of each source: shares, filters, rejects by reason. Reads all rows."""
        from ._records import Stats

        return Stats(json.loads(self.workspace._handle.stats([self.path]))).recipes[0]

    def diff(self, run: int | str | None = None, limit: int = 20) -> RowsDiff:
        """Compares the rows of the last build with those of an earlier run, or of the last build that wrote others.

        Counts are complete; at most `limit` rows of each kind are in the result.
        """
        from ._records import RowsDiff

        versus = None if run is None else str(run)
        return RowsDiff(json.loads(self.workspace._handle.diff(self.path, versus, limit)))

    def why(self) -> Explanation:
        """Explains the state: what changed, what would run, and what is reused."""
        return self.workspace.why(self.path)

    def dataset(self) -> datasets.DatasetDict:
        """Returns the rows of all sides, in the native shape or the only one, as `Output.dataset` does; needs `datasets`."""
        return self._only.dataset()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and (self.workspace, self.path) == (other.workspace, other.path)

    def __hash__(self) -> int:
        return hash((self.workspace, self.path))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Recipe, (self.workspace, self.path, self.name))

    def __repr__(self) -> str:
        return f"<datac.Recipe {self.name}>"


class Dropped(list["DroppedRow"]):
    """The first rows that a filter drops."""

    def __init__(self, rows: Iterator[DroppedRow], total: int) -> None:
        super().__init__(rows)
        self.total = total
        """How many rows the filter drops in all."""
