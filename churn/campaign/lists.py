"""The campaign of a scored batch: planned from the tables, kept in `churn_contacts`, and handed out as files.

The files are what a CRM or a spreadsheet reads. Contacts and control group are two files, because everybody on a list
gets contacted sooner or later.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ConfigError, DataError, NotFound, nearest
from ..data.contract import DatasetContract, snake_case
from ..data.untreated import CONTROL_SHARE, SALT
from ..model.frame import as_strings, canonical_text
from ..model.money import MoneySettings
from ..ports.files import Files
from ..ports.tables import FeatureStore, TableRef
from ..scoring.batch import BATCH_ID, BatchSummary
from .candidates import CONTACTED_AT, PLANNED_AT
from .plan import CONTROL, TREATMENT, Plan, ScoredBatch, build_plan
from .settings import CampaignSettings

__all__ = ["plan_batch", "put_lists", "record_contacts", "without_customer"]

_FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
"""How a text begins that a spreadsheet would run (OWASP, CSV injection)."""
_FORMATS = ("csv", "parquet")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROWS = 10_000


def plan_batch(
    store: FeatureStore,
    summary: BatchSummary,
    contract: DatasetContract,
    money: MoneySettings,
    settings: CampaignSettings,
    *,
    now: dt.datetime,
    confidence: float = 0.95,
) -> Plan:
    """Plan the campaign of a batch; a batch that was planned before keeps the time of its first planning.

    Of several plans at once each must wait until the contacts of the one before are recorded: use `store.exclusive`.

    Raises:
        ConfigError: a segment limits a column that the customers do not have.
        NotFound: the predictions or features of the batch are gone.
        DataError: the predictions are not what a campaign can be planned from; see `build_plan`.
    """
    where = {BATCH_ID: summary.batch_id}
    predictions = ScoredBatch(
        batch_id=summary.batch_id,
        model=summary.model_name,
        version=str(summary.model_version),
        as_of=summary.as_of,
        names=store.scan(summary.predictions).schema.names,
        scan=lambda columns: store.scan(summary.predictions, columns, where=where),
    )
    contacts = _contacts(store, contract)
    return build_plan(
        predictions,
        money,
        settings,
        entity=contract.entity_key,
        planned_at=_first_planned(store, contacts, summary.batch_id) or now,
        window_days=contract.label.window_days,
        columns=contract.columns,
        computed=[feature.description for feature in contract.features if feature.actionable],
        facts=_facts(store, summary, contract),
        segments=_segments(store, summary, contract, settings),
        contacted=None if contacts is None else _scan(store, contacts, contract.entity_key),
        confidence=confidence,
    )


def record_contacts(store: FeatureStore, plan: Plan, contract: DatasetContract) -> TableRef:
    """Write contacts and control group to `churn_contacts`, which begins their rest; the same batch is replaced."""
    table, batch, settings = contract.table("contacts"), plan.campaign.batch_id, plan.campaign.settings
    rows, salt, share = plan.contacts.read(), pa.scalar(settings.salt, pa.string()), pa.scalar(settings.control_share)
    schema = pa.schema([*rows.schema, (SALT, salt.type), (CONTROL_SHARE, pa.float64())])
    drawn = (
        pa.RecordBatch.from_arrays(
            [*part.columns, pa.repeat(salt, part.num_rows), pa.repeat(share, part.num_rows)], schema=schema
        )
        for part in rows
    )
    return store.replace_batch(table, BATCH_ID, batch, pa.RecordBatchReader.from_batches(schema, drawn))


def put_lists(plan: Plan, files: Files) -> str:
    """Store the list of contacts and, apart from it, the control group; what was there for the batch is replaced.

    The files are `campaigns/<batch_id>.csv` and `campaigns/<batch_id>.control.csv`, or `.parquet`. CSV is UTF-8 with a
    header and RFC 4180 quoting; a text that a spreadsheet would take for a formula gets an apostrophe in front, so take
    Parquet where customer ids begin with `=`, `+`, `-` or `@`.

    Returns:
        Where the list of contacts is.

    Raises:
        DataError: the batch id is no file name.
        StoreError: the storage refuses.
    """
    kind, batch = plan.campaign.settings.format, plan.campaign.batch_id
    if not _FILE_NAME.fullmatch(batch):
        raise DataError(f"The batch id {batch!r} is no file name: use letters, digits, `.`, `_` and `-`.")
    written = []
    for group, name in ((TREATMENT, f"campaigns/{batch}"), (CONTROL, f"campaigns/{batch}.control")):
        rows = plan.contacts.of(group).read()
        written.append(files.put(f"{name}.{kind}", _csv(rows) if kind == "csv" else _parquet(rows)))
        for other in _FORMATS:
            if other != kind:
                files.delete(f"{name}.{other}")
    return written[0]


def _facts(store: FeatureStore, summary: BatchSummary, contract: DatasetContract) -> pa.RecordBatchReader | None:
    present = store.scan(summary.features).schema.names
    names = [name for name in contract.columns if name in present]
    return store.latest_rows(summary.features, summary.as_of, [contract.entity_key, *names]) if names else None


def without_customer(name: str, content: bytes, column: str, customer: str) -> bytes | None:
    """Return a file of rows without those of a customer; None where it has none, or is no such file.

    Args:
        name: What the file is called: `.csv` or `.parquet`.
        content: What is in it.
        column: The column with the customers' keys; the file may spell it otherwise, as `customerID`.
        customer: The key.
    """
    if name.endswith(".csv"):
        return _csv_without(content, column, customer)
    return _parquet_without(content, column, customer) if name.endswith(".parquet") else None


def _csv_without(content: bytes, column: str, customer: str) -> bytes | None:
    text = content.decode("utf-8-sig", "surrogateescape")
    header = text.partition("\n")[0]
    delimiter = max(",;\t|", key=header.count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    places = [at for at, title in enumerate(rows[0] if rows else []) if snake_case(title) == column]

    def is_theirs(row: list[str]) -> bool:
        return any(canonical_text(row[at]) in (customer, _harmless(customer)) for at in places if at < len(row))

    if not any(map(is_theirs, rows)):
        return None
    output = io.StringIO(newline="")
    writer = csv.writer(output, delimiter=delimiter, lineterminator="\r\n" if header.endswith("\r") else "\n")
    writer.writerows(row for row in rows if not is_theirs(row))
    return output.getvalue().encode("utf-8", "surrogateescape")


def _parquet_without(content: bytes, column: str, customer: str) -> bytes | None:
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(io.BytesIO(content))
    place = next((title for title in rows.column_names if snake_case(title) == column), None)
    if place is None:
        return None
    of_customer = as_strings(rows[place].to_pandas()) == customer
    if not of_customer.any():
        return None
    output = io.BytesIO()
    pyarrow.parquet.write_table(rows.filter(pa.array(~of_customer)), output)
    return output.getvalue()


def _segments(
    store: FeatureStore, summary: BatchSummary, contract: DatasetContract, settings: CampaignSettings
) -> pa.RecordBatchReader | None:
    if not settings.segments:
        return None
    names = [*contract.columns, *(spec.name for spec in contract.stored_features)]
    for column in settings.segments:
        if column not in names:
            raise ConfigError(
                f"`campaign.segments` limits {column!r}, which no column of {contract.name!r} is called"
                f"{nearest(column, names) or '.'} Correct the setting."
            )
    return store.latest_rows(summary.features, summary.as_of, [contract.entity_key, *settings.segments])


def _contacts(store: FeatureStore, contract: DatasetContract) -> TableRef | None:
    try:
        return store.latest(contract.table("contacts").name)
    except NotFound:
        return None


def _scan(
    store: FeatureStore, contacts: TableRef, entity: str, where: dict[str, str] | None = None
) -> pa.RecordBatchReader:
    present = store.scan(contacts).schema.names
    columns = [name for name in (BATCH_ID, entity, CONTACTED_AT, PLANNED_AT) if name in present]
    return store.scan(contacts, columns, where=where)


def _first_planned(store: FeatureStore, contacts: TableRef | None, batch_id: str) -> dt.datetime | None:
    """Return when a batch was first planned; None where it was not, or by a version that did not keep the time."""
    if contacts is None or PLANNED_AT not in store.scan(contacts).schema.names:
        return None
    times = store.scan(contacts, [PLANNED_AT], where={BATCH_ID: batch_id}).read_all()[PLANNED_AT]
    first: dt.datetime | None = pc.min(times).as_py()
    return first


def _csv(rows: pa.RecordBatchReader) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(_harmless, rows.schema.names))
    for batch in rows:
        for start in range(0, batch.num_rows, _ROWS):
            for row in zip(*(column.to_pylist() for column in batch.slice(start, _ROWS).columns), strict=True):
                writer.writerow(map(_cell, row))
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _parquet(rows: pa.RecordBatchReader) -> Iterator[bytes]:
    import pyarrow.parquet

    sink = _Sink()
    with pyarrow.parquet.ParquetWriter(sink, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """A file of which what was written is taken away, so that it never grows."""

    def __init__(self) -> None:
        self._content, self._before = io.BytesIO(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._content.write(data)

    def tell(self) -> int:
        return self._before + self._content.tell()

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        content, self._content = self._content.getvalue(), io.BytesIO()
        self._before += len(content)
        return content


def _cell(value: object) -> object:
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    return value.isoformat(timespec="seconds") if isinstance(value, dt.datetime) else value


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
