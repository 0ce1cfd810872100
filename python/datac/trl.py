"""Outputs into the trainers of TRL, and from a step of training back to its rows.

>>> import datac, datac.trl
>>> from trl import SFTTrainer
>>> ws = datac.Workspace("corpus")
>>> trainer = SFTTrainer("Qwen/Qwen3-0.6B", **datac.trl.sft(ws, "sft/general", output_dir="run", max_steps=100))
>>> datac.trl.RowIds("run/rows.jsonl", recipe="sft/general").attach(trainer)
>>> trainer.train()

`datac blame run/rows.jsonl --step 5` then names the rows of step 5. This module needs `trl`, `datasets` and `pyarrow`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from transformers import TrainerCallback

from ._errors import ConfigError
from ._workspace import Recipe, Sides, Workspace

__all__ = ["RowIds", "dpo", "grpo", "kto", "prm", "reward", "rloo", "sft"]


class _Kind(NamedTuple):
    """What a trainer takes."""

    trainer: str
    config: str
    shapes: tuple[str, ...]
    """The shapes that it reads; the first is what a recipe should write."""
    columns: tuple[frozenset[str], ...]
    """Columns, any set of which makes a row of its kind."""
    others: frozenset[str]
    """Columns that make it a row of another trainer."""
    phases: str
    """The phases of recipes whose rows they are, for people."""


def _columns(*names: str) -> frozenset[str]:
    return frozenset(names)


_SFT = _Kind(
    "SFTTrainer",
    "SFTConfig",
    ("trl", "trl-prompt-completion", "tokens"),
    (_columns("messages"), _columns("prompt", "completion"), _columns("text"), _columns("input_ids", "labels")),
    _columns("label", "chosen"),
    "`sft`, `pretrain` or `midtrain`",
)
_PAIRS = (_columns("chosen", "rejected"),)
_DPO = _Kind("DPOTrainer", "DPOConfig", ("trl", "trl-implicit-prompt"), _PAIRS, _columns(), "`dpo` or `reward`")
_REWARD = _DPO._replace(trainer="RewardTrainer", config="RewardConfig")
_KTO = _Kind("KTOTrainer", "KTOConfig", ("trl",), (_columns("prompt", "completion", "label"),), _columns(), "`kto`")
_GRPO = _Kind(
    "GRPOTrainer", "GRPOConfig", ("trl",), (_columns("prompt"),), _columns("completion", "completions", "chosen"), "`rlaif`"
)
_RLOO = _GRPO._replace(trainer="RLOOTrainer", config="RLOOConfig")
_PRM = _Kind("PRMTrainer", "PRMConfig", ("trl",), (_columns("prompt", "completions", "labels"),), _columns(), "`prm`")


def sft(workspace: Workspace, recipe: str, *, shape: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Returns what `SFTTrainer` takes for a recipe: `train_dataset`, `eval_dataset` if the recipe has a validation side, and `args`.

    - `shape`: which of the recipe's outputs, if several suit: `trl`, `trl-prompt-completion` or `tokens`.
    - `arguments`: those of `SFTConfig`, such as `output_dir`. What the shape asks for is added: `max_length=None` for token ids, which TRL
      otherwise cuts at 1,024, and `padding_free=True` for packed rows. An argument that is given is taken as it is.

    Raises `ConfigError` if the recipe has no such output, with the line of `output:` that it needs, or was not built.
    """
    return _taken(_SFT, workspace, recipe, shape, arguments)


def dpo(workspace: Workspace, recipe: str, *, shape: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Returns what `DPOTrainer` takes for a recipe, as `sft` does for its trainer; `shape` is `trl` or `trl-implicit-prompt`."""
    return _taken(_DPO, workspace, recipe, shape, arguments)


def reward(workspace: Workspace, recipe: str, *, shape: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Returns what `RewardTrainer` takes for a recipe, as `sft` does for its trainer; `shape` is `trl` or `trl-implicit-prompt`."""
    return _taken(_REWARD, workspace, recipe, shape, arguments)


def kto(workspace: Workspace, recipe: str, **arguments: Any) -> dict[str, Any]:
    """Returns what `KTOTrainer` takes for a recipe, as `sft` does for its trainer."""
    return _taken(_KTO, workspace, recipe, None, arguments)


def grpo(workspace: Workspace, recipe: str, **arguments: Any) -> dict[str, Any]:
    """Returns what `GRPOTrainer` takes for a recipe, as `sft` does for its trainer; reward functions are given to the trainer."""
    return _taken(_GRPO, workspace, recipe, None, arguments)


def rloo(workspace: Workspace, recipe: str, **arguments: Any) -> dict[str, Any]:
    """Returns what `RLOOTrainer` takes for a recipe, as `sft` does for its trainer; reward functions are given to the trainer."""
    return _taken(_RLOO, workspace, recipe, None, arguments)


def prm(workspace: Workspace, recipe: str, **arguments: Any) -> dict[str, Any]:
    """Returns what `PRMTrainer` takes for a recipe, as `sft` does for its trainer.

    Raises `ConfigError` with a TRL that has no such trainer: it was removed before 1.16.
    """
    return _taken(_PRM, workspace, recipe, None, arguments)


def _taken(kind: _Kind, workspace: Workspace, name: str, shape: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
    import trl

    config = getattr(trl, kind.config, None)
    if config is None:
        raise _refused(
            f"TRL {trl.__version__} has no `{kind.trainer}`",
            f'give `ws["{name}"].outputs["{kind.shapes[0]}"].train.dataset()` to the trainer that you have',
        )
    recipe = workspace[name]
    sides = _sides(kind, recipe, shape)
    datasets = {side.side: side.dataset() for side in sides}
    if "train" not in datasets:
        raise _refused(f"`{recipe.name}` has no rows to train on", "a recipe may hold all of its rows out: see `validation`")
    train = datasets["train"]
    columns = set(train.column_names)
    if not any(needed <= columns for needed in kind.columns) or columns & kind.others:
        raise _refused(
            f"the rows of `{recipe.name}` are not for `{kind.trainer}`: their columns are {', '.join(sorted(columns))}",
            f"`{kind.trainer}` takes recipes of the phase {kind.phases}",
        )
    demanded: dict[str, Any] = {}
    if "input_ids" in columns:
        demanded["max_length"] = None
        if "seq_lengths" in columns:
            demanded["padding_free"] = True
    taken: dict[str, Any] = {"args": config(**{**demanded, **arguments}), "train_dataset": train}
    if "validation" in datasets:
        taken["eval_dataset"] = datasets["validation"]
    return taken


def _sides(kind: _Kind, recipe: Recipe, shape: str | None) -> Sides:
    outputs = recipe.outputs
    if shape is not None and shape not in kind.shapes:
        raise _refused(f"`{kind.trainer}` does not read the shape `{shape}`", f"one of {', '.join(kind.shapes)}")
    wanted = kind.shapes if shape is None else (shape,)
    suiting = [outputs[known] for known in wanted if known in outputs]
    if len(suiting) == 1:
        return suiting[0]
    if suiting:
        names = " or ".join(f'shape="{sides.shape}"' for sides in suiting)
        raise _refused(f"`{recipe.name}` has several outputs for `{kind.trainer}`", f"choose one: {names}")
    if not outputs:
        raise _refused(f"`{recipe.name}` has not been built yet", f'build it: `ws.build("{recipe.name}")`')
    line = f"output: {{ shape: {wanted[0]}, id: true }}"
    if "native" in outputs:
        line = f"output: [native, {{ shape: {wanted[0]}, id: true }}]"
    raise _refused(
        f"`{recipe.name}` has no output for `{kind.trainer}`, only {', '.join(outputs)}",
        f"write `{line}` in {recipe.path}, and build it",
    )


def _refused(message: str, hint: str) -> ConfigError:
    error = ConfigError(message)
    error.hint = hint
    return error


_KEY = "datac_row_ids"
"""The name of the ids in a batch, which no model takes: they are taken out before it sees the batch."""


class RowIds(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Writes the ids of the rows of each step to a log, which `datac blame` and `Workspace.blame` read.

    - `path`: the log, JSON lines. Lines are added to a log that exists; a training that goes on from a checkpoint replaces the steps
      after it. With several processes each writes one of its own: `rows.jsonl` becomes `rows.rank0.jsonl` and so on.
    - `recipe`: the recipe that the rows are of, so that rows of others with the same content are not named, too.

    Rows have ids if the recipe writes them: `output: { shape: trl, id: true }`. A line is written for each optimizer step, with the rows
    of all batches that were accumulated for it, in the order in which the model saw them.
    """

    def __init__(self, path: str | os.PathLike[str], *, recipe: str | None = None) -> None:
        self._path = Path(path)
        self._recipe = recipe
        self._file: IO[str] | None = None
        self._pending: list[str] = []
        self._is_attached = False

    def attach(self, trainer: Any) -> RowIds:
        """Makes `trainer`, one of TRL's or `transformers`', tell of its rows, and adds this callback to it.

        Raises `ConfigError` if the rows of the trainer have no ids. Its own packing drops them: `pack` of the recipe's `tokens` keeps
        them.
        """
        if self._is_attached:
            raise _refused("the log is attached to a trainer already", "make another `RowIds` for another trainer")
        column = _column_of_ids(trainer)
        if getattr(trainer.args, "remove_unused_columns", False):
            # The columns that the trainer's batches are made of.
            trainer._set_signature_columns_if_needed()
            if column not in trainer._signature_columns:
                trainer._signature_columns = [*trainer._signature_columns, column]
        trainer.data_collator = _Collator(trainer.data_collator, column)
        step, prepare = trainer.training_step, trainer._prepare_inputs
        is_in_step = False

        def training_step(*words: Any, **named: Any) -> Any:
            nonlocal is_in_step
            is_in_step = True
            try:
                return step(*words, **named)
            finally:
                is_in_step = False

        def prepare_inputs(inputs: Any) -> Any:
            ids = None
            if isinstance(inputs, Mapping):
                ids, inputs = _without_ids(inputs)
            prepared = prepare(inputs)
            if isinstance(prepared, Mapping) and _KEY in prepared:
                # Of a trainer that makes its batches itself, such as of what it has generated.
                ids, prepared = _without_ids(prepared)
            if is_in_step:
                if ids is None:
                    raise _refused("a batch came without the ids of its rows", "attach the log after the trainer's collator is set")
                self._pending += _words(ids)
            return prepared

        trainer.training_step, trainer._prepare_inputs = training_step, prepare_inputs
        generate = getattr(trainer, "_generate_and_score_completions", None)
        if generate is not None:

            def generate_and_score(inputs: Sequence[dict[str, Any]]) -> Any:
                # What is made of the rows is shuffled and split before it is trained on, and the ids with it.
                made = generate(inputs)
                made[_KEY] = _tensor([example[column] for example in inputs])
                return made

            trainer._generate_and_score_completions = generate_and_score
        trainer.add_callback(self)
        self._is_attached = True
        return self

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Opens the log; what it has of later steps is of a training that was given up."""
        if not self._is_attached:
            raise _refused("`RowIds` is not attached to its trainer", "`RowIds(path).attach(trainer)` takes the place of `callbacks`")
        path = self._path
        if args.world_size > 1:
            path = path.with_name(f"{path.stem}.rank{args.process_index}{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        _end_last_line(path)
        self._file = path.open("a", encoding="utf-8")
        self._pending.clear()
        self._write({"begin": state.global_step, "rank": args.process_index, "world_size": args.world_size})

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Writes the rows of the step."""
        line: dict[str, Any] = {"step": state.global_step, "epoch": state.epoch, "rank": args.process_index}
        if self._recipe is not None:
            line["recipe"] = self._recipe
        self._write({**line, "ids": self._pending})
        self._pending = []

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Closes the log."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            # At once, so that the steps of a training that is killed are there.
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def _end_last_line(path: Path) -> None:
    """Removes a last line that a process that was killed did not finish."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        text = file.read()
        end = text.rfind(b"\n") + 1
        if end < len(text):
            file.truncate(end)


def _column_of_ids(trainer: Any) -> str:
    rows = trainer.train_dataset
    columns = getattr(rows, "column_names", None) or []
    for column in ("ids", "id"):
        if column in columns:
            return column
    if getattr(trainer.args, "packing", False):
        raise _refused(
            "TRL packs the rows, and drops their ids",
            "let datac pack them: `output: { shape: tokens, pack: 4096, id: true }`, without `packing=True`",
        )
    raise _refused("the rows have no ids", "write `id: true` in the recipe's output: `output: { shape: trl, id: true }`")


class _Collator:
    """Makes batches with the ids of their rows, in the processes of the loader, too."""

    def __init__(self, inner: Callable[[list[Any]], Any], column: str) -> None:
        self._inner, self._column = inner, column

    def __call__(self, examples: list[Any]) -> Any:
        batch = self._inner(examples)
        # A trainer that takes rows as they are finds the ids in them. Not all rows need have ids, such as those of another evaluation set.
        if isinstance(batch, Mapping) and all(self._column in example for example in examples):
            batch[_KEY] = _tensor([example[self._column] for example in examples])  # type: ignore[index]
        return batch

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_inner", "_column"):
            raise AttributeError(name)
        return getattr(self._inner, name)


def _tensor(rows: Iterable[str | Sequence[str]]) -> torch.Tensor:
    """Returns the ids of each row as numbers: how many there are, the ids, zeros."""
    lists = [[row] if isinstance(row, str) else list(row) for row in rows]
    width = max(map(len, lists), default=0)
    numbers = []
    for ids in lists:
        # An id is 64 bits, which a tensor has with a sign.
        hashes = [int.from_bytes(bytes.fromhex(id.removeprefix("row-")), "big", signed=True) for id in ids]
        numbers.append([len(ids), *hashes, *[0] * (width - len(ids))])
    return torch.tensor(numbers, dtype=torch.int64).reshape(len(lists), 1 + width)


def _words(ids: torch.Tensor) -> list[str]:
    found: list[str] = []
    for count, *hashes in ids.tolist():
        found += ["row-" + number.to_bytes(8, "big", signed=True).hex() for number in hashes[:count]]
    return found


def _without_ids(batch: Mapping[str, Any]) -> tuple[torch.Tensor | None, Mapping[str, Any]]:
    """Returns the ids of a batch, and the batch without them, which may be kept for another step with them."""
    ids = batch.get(_KEY)
    if ids is None:
        return None, batch
    rest = {key: value for key, value in batch.items() if key != _KEY}
    return ids, rest if type(batch) is dict else type(batch)(rest)  # type: ignore[call-arg]
