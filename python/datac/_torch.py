"""Rows for torch."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from ._output import Output, Row


class Rows(Dataset[Row]):  # type: ignore[misc]
    """The rows of an output, by number."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def __len__(self) -> int:
        return len(self.output)

    def __getitem__(self, row: int) -> Row:
        return {key: _value(value) for key, value in self.output[row].items()}

    def __getitems__(self, rows: list[int]) -> list[Row]:
        return [self[row] for row in rows]


def _value(value: Any) -> Any:
    if isinstance(value, list) and value:
        if all(type(item) is int for item in value):
            return torch.tensor(value)
        if all(type(item) in (int, float) for item in value):
            return torch.tensor(value, dtype=torch.float32)
    return value
