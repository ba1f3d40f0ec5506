"""The Delta tables of one dataset: opened at a version, streamed, and committed to by several writers at once."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from churn.core.errors import NotFound, StoreError, WriteConflict, nearest
from churn.data.tables import INGESTED_AT
from churn.ports.tables import TableRef, TableSpec

from .delta_table import DeltaVersion, Outrun, Stamp
from .digest import Digest, digest_of
from .disk_errors import explained, refuse_path
from .duck import ROW_GROUP, Duck, Staged, quoted
from .vacuum import committed_files

__all__ = ["TablesOnDisk", "digest_of_rows"]

Result = TypeVar("Result")
_ATTEMPTS = 20
_LONGEST_PAUSE = 0.25  # seconds


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class TablesOnDisk:
    """What a store of Delta tables does below its port; `LocalFeatureStore` says what the arguments mean."""

    def __init__(
        self,
        root: Path,
        dataset: str,
        *,
        memory_limit: str = "1GB",
        threads: int = 2,
        many: int = 64,
        clock: Callable[[], dt.datetime] = _now,
    ) -> None:
        self._folder = root / dataset
        refuse_path(self._folder)
        self._dataset = dataset
        self._duck = Duck(memory_limit, threads, self._folder)
        self._many, self._clock = many, clock

    def _with_columns_of(self, table: TableSpec, schema: pa.Schema, base: DeltaVersion) -> tuple[DeltaVersion, Stamp]:
        """Return the table with the columns of `schema` that it lacks, and what its commit says."""
        before = self._stamp(base)
        if not set(before.key) <= set(table.key):
            raise StoreError(
                f"The rows of {table.name!r} are identified by ({', '.join(before.key)}), not by "
                f"({', '.join(table.key)}): use that key, or another table."
            )
        lacking = [field for field in schema if field.name not in base.schema.names]
        if lacking:
            base.add_columns(lacking, Stamp(table.key, before.rows, before.digest))
            base = DeltaVersion(base.path, base.version + 1)
        return base, before

    def _publish(self, staged: Staged, stamp: Stamp, base: DeltaVersion | None) -> TableRef:
        """Make files the whole content of their table, unless it already is."""
        if base is None:
            DeltaVersion.create(staged, stamp)
        elif self._stamp(base) == stamp and set(base.schema.names) == set(staged.schema.names):
            staged.discard()
            return self._ref(base)
        else:
            base.overwrite(staged, stamp)
        return self._ref(DeltaVersion(staged.folder.parent, base.version + 1 if base else 0))

    def _stamp(self, version: DeltaVersion) -> Stamp:
        """Return what the commit says, or find it out where another program wrote the table."""
        stamp = version.stamp()
        if stamp:
            return stamp
        with self._duck.session() as connection:
            rows = connection.execute(f"SELECT count(*) FROM {version.relation()}").fetchall()[0][0]
            digest = digest_of_rows(
                connection.sql(_selection(version, version.schema.names)).to_arrow_reader(ROW_GROUP)
            )
        return Stamp(version.key(), rows, str(digest))

    def _ref(self, version: DeltaVersion) -> TableRef:
        stamp = self._stamp(version)
        return TableRef(
            dataset=self._dataset,
            name=version.path.name,
            version=version.version,
            rows=stamp.rows,
            content_id=stamp.digest,
            key=stamp.key,
            uri=str(version.path),
        )

    def _open(self, ref: TableRef) -> DeltaVersion:
        path = self._folder.parent / ref.dataset / ref.name
        with explained(path):
            version = DeltaVersion(path, ref.version)
            stamp = version.stamp()
            if (stamp and stamp.digest != ref.content_id) or not all(file.exists() for file in version.files):
                raise NotFound(
                    f"Version {ref.version} of the table at {path} is no longer the one that was referred to: it was "
                    "removed (`data vacuum`, or `data forget` of a customer in it) or built anew. Run the pipeline "
                    "that writes it again."
                )
            return version

    def _select(self, ref: TableRef, columns: Sequence[str] | None) -> tuple[DeltaVersion, str]:
        version = self._open(ref)
        names = version.schema.names if columns is None else list(columns)
        if not names:
            raise StoreError(f"No column of {ref.name!r} was asked for: name one, or leave `columns` out for all.")
        for name in names:
            if name not in version.schema.names:
                raise NotFound(
                    f"The table {ref.name!r} has no column {name!r} in version {ref.version}"
                    f"{nearest(name, version.schema.names)}."
                )
        return version, _selection(version, names)

    def _stream(
        self,
        version: DeltaVersion,
        columns: Sequence[str] | None,
        query: str,
        batch_rows: int,
        tables: Callable[[], Mapping[str, pa.Table]] = dict,
    ) -> pa.RecordBatchReader:
        """Stream the rows of a query, which may read what `tables` returns by name."""
        schema = pa.schema([version.schema.field(name) for name in columns or version.schema.names])

        def batches() -> Iterator[pa.RecordBatch]:
            with explained(version.path):
                registered = tables()
                with self._duck.session() as connection:
                    for name, table in registered.items():
                        connection.register(name, table)
                    yield from connection.sql(query).to_arrow_reader(batch_rows)

        return pa.RecordBatchReader.from_batches(schema, batches())

    @contextmanager
    def _discarded_unless_committed(self, staged: Staged) -> Iterator[None]:
        """Remove files where what is done with them fails before a commit names them."""
        try:
            yield
        except BaseException:
            if not committed_files(staged.folder.parent) & {*staged.files}:
                staged.discard()
            raise

    def _published(self, name: str, staged: Staged, attempt: Callable[[DeltaVersion | None], TableRef]) -> TableRef:
        """Repeat an attempt to commit files as `_until_first` does; files that no commit names are removed."""
        with self._discarded_unless_committed(staged):
            return self._until_first(name, attempt)

    def _until_first(self, name: str, attempt: Callable[[DeltaVersion | None], Result]) -> Result:
        """Repeat an attempt on the newest version until no other writer is faster."""
        path = self._folder / name
        for number in range(_ATTEMPTS):
            try:
                with explained(path):
                    return attempt(DeltaVersion.newest(path))
            except Outrun:
                time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.01 * 2**number)))
        raise WriteConflict(f"The table at {path} was changed by others at each of {_ATTEMPTS} attempts: run again.")


def _selection(version: DeltaVersion, names: Sequence[str]) -> str:
    return f"SELECT {', '.join(map(quoted, names))} FROM {version.relation()}"


def digest_of_rows(batches: Iterable[pa.RecordBatch]) -> Digest:
    """Return the digest of rows; when they were written does not count."""
    return digest_of(batches, leave_out=[INGESTED_AT])
