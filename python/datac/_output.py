"""Outputs: the rows of one side of a recipe."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ._datac import Table as _Table
from ._datac import arrow_stream as _arrow_stream
from ._errors import ConfigError, DatacError

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars
    import pyarrow
    import torch.utils.data

    from ._records import FileStats, Origin, RowsDiff
    from ._workspace import Recipe

Row = dict[str, Any]
"""A row: one JSON object."""


class Output(Sequence[Row]):
    """The rows of one side of a recipe, in the order in which they were written, as its last build left them.

    An output is a sequence of dictionaries. It reads what is asked for and keeps no rows: `len` comes from the record of the build,
    an index or a slice reads those rows, iteration reads block by block. Whatever takes the Arrow PyCapsule interface takes an output,
    such as `polars.DataFrame(output)`.

    An output can be pickled: it is found again by name, and must then have the same bytes.
    """

    def __init__(self, recipe: Recipe, shape: str, side: str, names: list[str]) -> None:
        self.recipe = recipe
        """The recipe that writes the rows."""
        self.shape = shape
        """What the rows look like: `native`, or the name of a trainer's shape."""
        self.side = side
        """`train`, `validation`, `test`, or `rejects`."""
        self._tables: list[_Table] = [recipe.workspace._handle.table(name) for name in names]
        self._starts: list[int] = [0]
        for table in self._tables:
            self._starts.append(self._starts[-1] + len(table))

    @property
    def paths(self) -> list[Path]:
        """The files, in the order of the rows; none if there are no rows."""
        return [table.path for table in self._tables]

    @property
    def path(self) -> Path:
        """The file.

        Raises `ConfigError` if the rows lie in several files, or there are none.
        """
        if len(self._tables) != 1:
            raise ConfigError(f"{self!r} has {len(self._tables)} files: see `paths`")
        return self._tables[0].path

    @property
    def container(self) -> str:
        """The format of the files: `jsonl`, `jsonl.zst`, `parquet` or `arrow`."""
        return self._tables[0].container if self._tables else "jsonl"

    @property
    def digest(self) -> str:
        """What the bytes are known by, 64 hexadecimal digits: the BLAKE3 of the file, or of several files the SHA-256 of theirs."""
        digests = [table.digest for table in self._tables]
        return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[Row]:
        for table in self._tables:
            for lines in table.lines():
                yield from map(json.loads, lines)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    @overload
    def __getitem__(self, at: str) -> list[Any]: ...
    def __getitem__(self, at: int | slice | str) -> Row | list[Row] | list[Any]:
        if isinstance(at, str):
            return self._column(at)
        if isinstance(at, slice):
            rows = range(*at.indices(len(self)))
            if rows.step == 1:
                return self._rows(rows.start, max(rows.start, rows.stop))
            return [self._rows(row, row + 1)[0] for row in rows]
        row = operator.index(at)
        row += len(self) if row < 0 else 0
        if not 0 <= row < len(self):
            raise IndexError(f"row {at} of {len(self)}")
        return self._rows(row, row + 1)[0]

    def _column(self, name: str) -> list[Any]:
        """Returns the values of a column, `None` for rows without it."""
        values, known = [], set[str]()
        for row in self:
            known.update(row)
            values.append(row.get(name))
        if name not in known:
            raise KeyError(f"no row of {self!r} has `{name}`; columns: {', '.join(sorted(known))}")
        return values

    def _rows(self, start: int, end: int) -> list[Row]:
        rows: list[Row] = []
        for table, first in zip(self._tables, self._starts):
            begin, stop = max(start - first, 0), min(end - first, len(table))
            if begin < stop:
                # `splitlines` would also split at U+0085, which JSON does not escape.
                rows.extend(map(json.loads, table.rows(begin, stop).removesuffix("\n").split("\n")))
        return rows

    def _some_tables(self) -> list[_Table]:
        if not self._tables:
            raise ConfigError(f"{self!r} has no rows")
        if self.side == "rejects":
            raise ConfigError("rejected rows have no one type: read them one by one")
        return self._tables

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Returns the rows as an `ArrowArrayStream` in a capsule, for libraries that read that.

        It is made without `pyarrow`, and holds no more than the rows that are being read. Of `requested_schema` nothing is followed: the
        types are those of `to_arrow`.
        """
        return _arrow_stream(self._some_tables())

    def to_arrow(self) -> pyarrow.Table:
        """Returns the rows as a `pyarrow.Table`; needs `pyarrow`.

        Columns are those that any row of the recipe needs; a value without one type, such as the arguments of a tool call, is JSON
        text (`arrow.json`). Files of `arrow` are mapped into memory, others are read into memory, on all cores.
        """
        import pyarrow

        tables = [_arrow(table) for table in self._some_tables()]
        return tables[0] if len(tables) == 1 else pyarrow.concat_tables(tables)

    def to_pandas(self) -> pandas.DataFrame:
        """Returns the rows as a `pandas.DataFrame` in memory; needs `pandas` and `pyarrow`."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """Returns the rows as a `polars.DataFrame` in memory; needs `polars`."""
        import polars

        return polars.DataFrame(self)

    def dataset(self) -> datasets.Dataset:
        """Returns the rows as a `datasets.Dataset`, without a copy in the cache of `datasets`, which it needs.

        Files of `arrow` are mapped into memory; other files are read into memory. The fingerprint is made of `digest`, so that what
        `map` and `filter` cache of it is found again after a build that came to the same bytes, and not after another.
        """
        import datasets
        from datasets.table import InMemoryTable, MemoryMappedTable, concat_tables

        if self.container == "arrow":
            table = concat_tables([MemoryMappedTable.from_file(str(table.path)) for table in self._some_tables()])
        else:
            table = InMemoryTable(self.to_arrow())
        return datasets.Dataset(table, split=datasets.NamedSplit(self.side), fingerprint=self.digest)

    def torch(self) -> torch.utils.data.Dataset[Row]:
        """Returns the rows as a `torch.utils.data.Dataset` with random access; needs `torch`.

        Lists of numbers, such as `input_ids`, are tensors of one dimension (`int64`, or `float32`); everything else is as in the row.
        """
        from ._torch import Rows

        return Rows(self)

    def origin(self, row: int) -> Origin:
        """Traces a row, from 0, back to its source: file, row, converter, filters with scores, side and place.

        Raises `IndexError` if there is no such row, and `CacheError` if the cache no longer holds what the row was made of.
        """
        from ._records import Origin

        at = operator.index(row)
        at += len(self) if at < 0 else 0
        for table, first in zip(self._tables, self._starts):
            if first <= at < first + len(table):
                return Origin(json.loads(self.recipe.workspace._handle.origin(str(table.path), at - first + 1)))
        raise IndexError(f"row {row} of {len(self)}")

    def diff(self, run: int | str | None = None, limit: int = 20) -> RowsDiff:
        """Compares the rows of the recipe, on all of its sides, with those of an earlier run, as `Recipe.diff` does.

        A row that changed sides is among those that were moved, not among those that were added or removed.
        """
        return self.recipe.diff(run, limit)

    @property
    def stats(self) -> list[FileStats]:
        """The statistics of each file: rows, characters, words, turns, lengths, by source."""
        names = {table.name for table in self._tables}
        return [stats for stats in self.recipe.stats.files if stats.output in names]

    def __reduce__(self) -> tuple[Any, ...]:
        return (_found_again, (self.recipe, self.shape, self.side, [table.name for table in self._tables], self.digest))

    def __repr__(self) -> str:
        shape = "" if self.shape == "native" else f", {self.shape}"
        return f"<datac.Output {self.recipe.name}{shape}, {self.side}: {len(self):,} rows>"

    def _repr_html_(self) -> str:
        from ._html import table

        rows = self[:5]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return table(names, ([row.get(name) for name in names] for row in rows), repr(self)[1:-1])


def _arrow(table: _Table) -> pyarrow.Table:
    import pyarrow
    from pyarrow import ipc

    if table.container == "arrow":
        return ipc.open_stream(pyarrow.memory_map(str(table.path))).read_all()
    if table.container == "parquet":
        # Loading it takes longer than mapping a file.
        from pyarrow import parquet

        return parquet.ParquetFile(table.path).read()
    streams = (stream for streams in table.streams() for stream in streams)
    return pyarrow.concat_tables([ipc.open_stream(stream).read_all() for stream in streams])


def _found_again(recipe: Recipe, shape: str, side: str, names: list[str], digest: str) -> Output:
    output = Output(recipe, shape, side, names)
    if output.digest != digest:
        raise DatacError(f"{output!r} has other bytes than when it was pickled: it was built again")
    return output
