"""One version of a Delta table: its relation in DuckDB, its commit metadata, and the commit of the next version."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import Field, PrimitiveType
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from churn.core.errors import NotFound, StoreError

from ..rows import TIME
from .duck import Staged, literal, quoted

__all__ = ["DeltaVersion", "Outrun", "Stamp"]

_STAMP = "churn"
_FOR_EVER = {"delta.logRetentionDuration": "interval 3650 days"}
_APPEND_ONLY = {"delta.appendOnly": "true"}
_TYPES = {
    "boolean": ("BOOLEAN", pa.bool_()),
    "byte": ("TINYINT", pa.int8()),
    "short": ("SMALLINT", pa.int16()),
    "integer": ("INTEGER", pa.int32()),
    "long": ("BIGINT", pa.int64()),
    "float": ("FLOAT", pa.float32()),
    "double": ("DOUBLE", pa.float64()),
    "decimal": ("DOUBLE", pa.float64()),
    "string": ("VARCHAR", pa.string()),
    "date": ("DATE", pa.date32()),
    "timestamp": ("TIMESTAMP WITH TIME ZONE", TIME),
    "timestamp_ntz": ("TIMESTAMP WITH TIME ZONE", TIME),
}


class Outrun(Exception):
    """Another writer made the next version first; nothing was written."""


@dataclass(frozen=True)
class Stamp:
    """What a commit says of the version it makes, so that nobody need count or digest its rows again."""

    key: tuple[str, ...]
    rows: int
    digest: str


class DeltaVersion:
    """A Delta table as it was at one version.

    Args:
        path: The table's folder.
        version: The version to open; None for the newest.

    Raises:
        NotFound: there is no table, or no such version.
        StoreError: the table needs more of a reader than this one does.
    """

    def __init__(self, path: Path, version: int | None = None) -> None:
        self.path = path
        try:
            self._table = DeltaTable(path, version=version)
        except TableNotFoundError as cause:
            raise NotFound(f"There is no table {path.name!r} at {path}: run the pipeline that writes it.") from cause
        except DeltaError as cause:
            if version is None or "specified end version" not in str(cause):
                raise
            raise NotFound(f"The table {path.name!r} at {path} has no version {version}.") from cause
        self.version = self._table.version()
        self._refuse_what_is_not_read()

    @classmethod
    def newest(cls, path: Path) -> DeltaVersion | None:
        """Return the newest version, or None where there is no table."""
        return cls(path) if DeltaTable.is_deltatable(str(path)) else None

    @cached_property
    def schema(self) -> pa.Schema:
        """Column names and types as tables hold them."""
        return pa.schema([(name, arrow) for name, (_, arrow) in self._types.items()])

    @cached_property
    def files(self) -> list[Path]:
        """The Parquet files that make up this version."""
        return [self.path / name for name in pa.table(self._table.get_add_actions())["path"].to_pylist()]

    def relation(self, files: Sequence[Path] | None = None) -> str:
        """Return the rows, or those of some files, as something to select from in DuckDB.

        Beside its columns it has `file_index`, the file's position, and `file_row_number`, the row's within the file.
        """
        types = {quoted(name): sql for name, (sql, _) in self._types.items()}
        # The row that is not there gives a type to columns that no file holds.
        rows = f"SELECT {self._nulls}, 0::UBIGINT AS file_index, 0::BIGINT AS file_row_number WHERE false"
        paths = ", ".join(literal(str(path).replace("[", "[[]")) for path in (self.files if files is None else files))
        if paths:
            stored = f"SELECT *, file_index, file_row_number FROM read_parquet([{paths}], union_by_name = true)"
            rows = f"{rows} UNION ALL BY NAME {stored}"
        typed = ", ".join(f"{name}::{sql} AS {name}" for name, sql in types.items())
        return f"(SELECT {typed}, file_index, file_row_number FROM ({rows}))"

    def aligned(self, relation: str) -> str:
        """Return the rows of a relation that lacks some of the columns, with those null, in the table's order."""
        names = ", ".join(map(quoted, self.schema.names))
        return f"(SELECT {names} FROM (SELECT {self._nulls} WHERE false UNION ALL BY NAME SELECT * FROM {relation}))"

    @cached_property
    def _nulls(self) -> str:
        return ", ".join(f"NULL::{sql} AS {quoted(name)}" for name, (sql, _) in self._types.items())

    def stamp(self) -> Stamp | None:
        """Return what this version's commit says of it; None where another program made the commit."""
        return self._stamp_of(self.version)

    def key(self) -> tuple[str, ...]:
        """Return the key of the newest commit of ours at or before this version; empty where there is none."""
        stamps = (self._stamp_of(version) for version in range(self.version, -1, -1))
        return next((stamp.key for stamp in stamps if stamp), ())

    def overwrite(self, staged: Staged, stamp: Stamp) -> None:
        """Commit files as the whole content.

        Raises:
            Outrun: this is not the newest version.
        """
        self._transact(_add(staged), "overwrite", Schema.from_arrow(staged.schema), stamp)

    def exchange(self, files: Iterable[Path], staged: Staged, stamp: Stamp) -> None:
        """Commit files in place of others of the same columns. Raises as `overwrite` does."""
        removed = [
            RemoveAction(str(file.relative_to(self.path)), data_change=True, deletion_timestamp=_now_ms())
            for file in files
        ]
        self._transact([*_add(staged), *removed], "append", self._table.schema(), stamp)

    def add_columns(self, fields: Iterable[pa.Field], stamp: Stamp) -> None:
        """Commit columns that are null in every row. Raises as `overwrite` does."""
        added = [Field.from_arrow(field) for field in fields]
        self._commit(lambda: self._table.alter.add_columns(added, commit_properties=_says(stamp)))

    def smaller_than(self, size: int) -> int:
        """Return how many files have fewer bytes than that."""
        return sum(had < size for had in pa.table(self._table.get_add_actions())["size_bytes"].to_pylist())

    def compact(self, stamp: Stamp, target_bytes: int | None = None) -> None:
        """Join files of fewer than `target_bytes` (100 MB); every row stays as it is, also where Delta only appends."""
        self._table.optimize.compact(target_size=target_bytes, commit_properties=_says(stamp))

    @staticmethod
    def create(staged: Staged, stamp: Stamp, *, append_only: bool = False) -> None:
        """Commit files as the first version of the table in the folder above theirs.

        Args:
            staged: The files.
            stamp: What the commit says of them.
            append_only: Whether Delta must refuse every later change to these rows, whoever asks for it.

        Raises:
            Outrun: there is a table by now.
        """
        path = str(staged.folder.parent)
        schema = Schema.from_arrow(staged.schema)
        properties = {**_FOR_EVER, **(_APPEND_ONLY if append_only else {})}
        try:
            create_table_with_add_actions(
                path, schema, _add(staged), configuration=properties, commit_properties=_says(stamp)
            )
        except DeltaError as cause:
            if DeltaTable.is_deltatable(path):
                raise Outrun from cause
            raise

    def _transact(self, actions: Sequence[AddAction | RemoveAction], mode: str, schema: Schema, stamp: Stamp) -> None:
        write = self._table.create_write_transaction
        self._commit(lambda: write(list(actions), mode, schema, commit_properties=_says(stamp)))

    def _commit(self, write: Callable[[], object]) -> None:
        try:
            write()
        except CommitFailedError as cause:
            if DeltaTable(self.path).version() > self.version:
                raise Outrun from cause
            raise

    @cached_property
    def _types(self) -> dict[str, tuple[str, pa.DataType]]:
        types = {}
        for field in self._table.schema().fields:
            name = field.type.type.partition("(")[0] if isinstance(field.type, PrimitiveType) else str(field.type)
            if name not in _TYPES:
                raise StoreError(
                    f"The column {field.name!r} of the table at {self.path} is of type {name}, which is not read here: "
                    "write the table without it."
                )
            types[field.name] = _TYPES[name]
        return types

    def _refuse_what_is_not_read(self) -> None:
        wants = set(self._table.protocol().reader_features or ()) - {"timestampNtz"}
        if self._table.metadata().partition_columns:
            wants.add("partitions")
        if wants:
            raise StoreError(
                f"The table at {self.path} was written with {', '.join(sorted(wants))}, which is not read here: write "
                "it again without."
            )

    def _stamp_of(self, version: int) -> Stamp | None:
        log = self.path / "_delta_log" / f"{version:020}.json"
        actions = map(json.loads, log.read_text(encoding="utf-8").splitlines()) if log.exists() else ()
        stamp = next((action["commitInfo"].get(_STAMP) for action in actions if "commitInfo" in action), None)
        return Stamp(tuple(stamp["key"]), stamp["rows"], stamp["digest"]) if stamp else None


def _says(stamp: Stamp) -> CommitProperties:
    # Without retries a commit succeeds on the version it was planned for, or not at all.
    return CommitProperties(custom_metadata={_STAMP: asdict(stamp)}, max_commit_retries=0)


def _add(staged: Staged) -> list[AddAction]:
    return [
        AddAction(
            path=str(path.relative_to(staged.folder.parent)),
            size=size,
            partition_values={},
            modification_time=_now_ms(),
            data_change=True,
            stats=json.dumps({"numRecords": rows}),
        )
        for path, (rows, size) in staged.files.items()
    ]


def _now_ms() -> int:
    return int(time.time() * 1000)
