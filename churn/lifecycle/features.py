"""From deliveries to tables: bronze rows, features and known outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ConfigError, DataError, NotFound
from ..core.progress import note
from ..data.contract import DatasetContract
from ..data.delivery import PART_ROWS, Delivery, check, numbered
from ..data.ingest import RAW_LABEL, Source, conform, rows_as_arrived, to_bronze
from ..data.labels import are_touched, labels_of
from ..data.outcomes import Needed, outcomes_of
from ..data.snapshot import SAMPLE, ColumnProfile, TableSnapshot, profile_of, snapshot_of
from ..data.tables import ARRIVED_AT, EVENT_TIME, INGESTED_AT, LABEL_TIME, TRUTH
from ..data.training_set import bronze_to_features
from ..data.untreated import ContactHistory
from ..data.validation import ValidationReport, ValidationSettings
from ..ports.tables import FeatureStore, TableRef
from ..settings import Settings
from .workspace import Workspace

__all__ = [
    "NOT_FOLLOWED",
    "build_features",
    "check_delivery",
    "check_outcomes",
    "deliver",
    "describe",
    "ingest",
    "refresh_labels",
    "simulated",
    "write_labels",
]

NOT_FOLLOWED = "rows are numbered: customers cannot be followed from one delivery to the next, which replaces them"
_OUTCOME = (RAW_LABEL, LABEL_TIME)

Purpose = Literal["tables", "training", "scoring"]
"""What rows are taken in for: to be kept, to be trained on, or to be scored."""


def ingest(
    workspace: Workspace, settings: Settings, *, purpose: Purpose = "tables"
) -> tuple[TableSnapshot, ValidationReport]:
    """Bring the bronze table up to date: a delivered table is added to it; a simulation, or numbered rows, replace it.

    Without a delivery the rows that were delivered before are what there is. Where they are only to be scored, every
    row is taken that is a customer at a time, however many others there are; see `churn.data.scorable`.

    Raises:
        ConfigError: a table is delivered to a data set whose rows are simulated.
        DataError: nothing was ever delivered.
        ValidationFailed: too many rows break the contract; none is used. The report is its evidence.
        NotEnoughData: the rows are to train on, and there is one class, or too few customers churned, or stayed.
    """
    snapshot, report = _ingested(workspace, settings, scoring=purpose == "scoring")
    if purpose != "scoring":
        check_outcomes(workspace, settings, snapshot.ref, required=purpose == "training")
    return snapshot, report


def check_outcomes(workspace: Workspace, settings: Settings, bronze: TableRef, *, required: bool) -> None:
    """Say which outcomes a bronze table holds; raises NotEnoughData where they are `required` and do not suffice."""
    needed = Needed(settings.model.folds, settings.evaluation.min_per_class, settings.gate.min_churners)
    outcomes = outcomes_of(
        lambda columns: workspace.tables.scan(bronze, columns),
        workspace.contract,
        settings.split,
        cutoff=settings.training_set.cutoff or workspace.clock(),
        enough=max(needed),
    )
    if required:
        outcomes.require(needed)
    note("ingest", outcomes.remark(needed))


def _ingested(workspace: Workspace, settings: Settings, *, scoring: bool) -> tuple[TableSnapshot, ValidationReport]:
    delivery = _delivery(workspace, settings)
    if delivery is None:
        return _delivered_before(workspace)
    contract = workspace.contract
    # Numbered rows of two tables may be the same customers, and would be on both sides of the split.
    replace = contract.source == "simulation" or contract.numbered_rows
    return deliver(workspace, delivery, settings.validation, replace=replace, scoring=scoring)


def check_delivery(workspace: Workspace, settings: Settings) -> None:
    """Look at the first rows of what `ingest` would take; nothing is written.

    Raises:
        ConfigError: a table is delivered to a data set whose rows are simulated.
        ContractError: there is no table, or it has not the columns of the contract.
        DataError: nothing was ever delivered, and nothing is now.
        StoreError: the table cannot be read.
    """
    delivery = _delivery(workspace, settings)
    if delivery is None:
        _newest_delivered(workspace)
    elif settings.data is not None:
        first = next(iter(delivery.parts()))
        rows_as_arrived(Source(first.name, first.rows.slice(0, 100)), workspace.contract)


def deliver(
    workspace: Workspace,
    delivery: Delivery,
    settings: ValidationSettings,
    *,
    replace: bool = False,
    scoring: bool = False,
) -> tuple[TableSnapshot, ValidationReport]:
    """Validate a table and write the rows that keep the contract to bronze, the others to quarantine.

    A part of it is in memory at a time. Raises as `ingest` does.
    """
    contract, store = workspace.contract, workspace.tables
    quarantine, table = contract.table("quarantine"), contract.table("bronze")
    report, accepted = check(
        delivery,
        contract,
        settings,
        now=workspace.clock(),
        quarantine=lambda rows: store.upsert(quarantine, rows),
        scoring=scoring,
    )
    if not (scoring and report.accepted):
        report.require()
    before = 0 if replace else _rows_of(workspace, table.name)
    ref = (
        store.replace(table, accepted())
        if replace
        else store.upsert(table, _with_known_outcomes(workspace, accepted()))
    )
    added = f", added to the {before:,} there: {ref.rows:,} in all" if before else ""
    note("ingest", f"{report.accepted:,} rows from {report.source}{added}; {report.quarantined:,} to quarantine")
    if contract.numbered_rows:
        note("ingest", NOT_FOLLOWED)
    return snapshot_of(store, ref), report


def build_features(
    workspace: Workspace, settings: Settings, bronze: TableSnapshot
) -> tuple[TableSnapshot, TableSnapshot]:
    """Derive the feature table and the label table from the bronze rows."""
    contract, store = workspace.contract, workspace.tables
    features = store.replace(
        contract.table("features"), _streamed(store.scan(bronze.ref), lambda rows: bronze_to_features(rows, contract))
    )
    labels = write_labels(workspace, settings, bronze.ref)
    note("build_features", f"{features.rows:,} feature rows, {labels.rows:,} known outcomes")
    return snapshot_of(store, features), snapshot_of(store, labels)


def write_labels(workspace: Workspace, settings: Settings, bronze: TableRef) -> TableRef:
    """Derive the label table from the bronze rows and from who was contacted by now."""
    contract, store = workspace.contract, workspace.tables
    history = ContactHistory.read(store, contract)
    columns = [contract.entity_key, EVENT_TIME, RAW_LABEL, INGESTED_AT]
    batches = [] if history.contacts.empty else store.scan(bronze, columns)
    touched = any(are_touched(pa.Table.from_batches([batch]), contract, history) for batch in batches)
    contacts = history if touched else None
    return store.replace(
        contract.table("labels"),
        _streamed(store.scan(bronze), lambda rows: labels_of(rows, contract, settings.split, contacts)),
    )


def refresh_labels(workspace: Workspace, settings: Settings) -> None:
    """Bring the label table up to date with contacts that were planned or imported since it was written, if any."""
    contract, store = workspace.contract, workspace.tables
    try:
        store.latest(contract.table("contacts").name)
        bronze = store.latest(contract.table("bronze").name)
        store.latest(contract.table("labels").name)
    except NotFound:
        return
    write_labels(workspace, settings, bronze)


def _streamed(rows: pa.RecordBatchReader, derived: Callable[[pa.Table], pa.Table]) -> pa.RecordBatchReader:
    """Return what is derived from each row by itself, a batch at a time."""
    schema = derived(rows.schema.empty_table()).schema

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            yield from derived(pa.Table.from_batches([batch])).cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def describe(workspace: Workspace, settings: Settings) -> tuple[ValidationReport, tuple[ColumnProfile, ...]]:
    """Return how the rows that `ingest` would take keep the contract, and what their columns hold; nothing is written.

    The columns are those of the source, under the contract's names; their values those of the first `SAMPLE` rows.

    Raises:
        DataError: nothing was ever delivered, and nothing is now.
    """
    contract, delivery = workspace.contract, _delivery(workspace, settings)
    if delivery is None:
        snapshot, report = _delivered_before(workspace)
        return report, _as_delivered(snapshot.columns, contract)
    report, _ = check(delivery, contract, settings.validation, now=workspace.clock(), quarantine=lambda entries: None)
    sample: list[pa.Table] = []
    present: set[str] = set()
    for part in delivery.parts():
        present |= set(rows_as_arrived(part, contract).columns)
        sample.append(to_bronze(conform(part, contract).frame, contract))
        if sum(rows.num_rows for rows in sample) >= SAMPLE:
            break
    columns = _as_delivered(profile_of(pa.concat_tables(sample).slice(0, SAMPLE)), contract)
    return report, tuple(column for column in columns if column.name in present)


def _as_delivered(columns: Iterable[ColumnProfile], contract: DatasetContract) -> tuple[ColumnProfile, ...]:
    """Return the columns of a bronze table as the source calls them, without those that a source does not have."""
    clock, label = contract.event_time, contract.label
    names = {
        EVENT_TIME: clock.column,
        ARRIVED_AT: clock.arrived_at,
        INGESTED_AT: None,
        RAW_LABEL: label.column,
        LABEL_TIME: label.known_at,
        TRUTH: contract.truth,
    }
    named = ((names.get(column.name, column.name), column) for column in columns)
    return tuple(column.model_copy(update={"name": name}) for name, column in named if name is not None)


def _delivery(workspace: Workspace, settings: Settings) -> Delivery | None:
    """Return the table to take in; None where a data set of deliveries gets none now."""
    contract = workspace.contract
    if contract.source == "simulation":
        if settings.data is not None:
            raise ConfigError(
                f"The rows of {contract.name!r} are simulated, so that {settings.data} cannot be delivered to it: name "
                f"the data set of that table with --dataset{_of_tables(contract)}, or draft its contract with "
                "`python run.py dataset infer FILE`."
            )
        return simulated(contract, settings)
    if settings.data is None:
        return None
    delivery = workspace.delivered(settings.data)
    return numbered(delivery, contract) if contract.numbered_rows else delivery


def _of_tables(contract: DatasetContract) -> str:
    name = contract.name.removesuffix("_simulated")
    return f" ({name} has the same columns)" if name != contract.name else ""


def simulated(contract: DatasetContract, settings: Settings) -> Delivery:
    """Return the table that the contract's simulation makes up, a part at a time.

    Raises:
        ConfigError: it names no simulation, or one that does not exist.
    """
    from ..simulation.simulate import simulated_table

    if contract.simulator is None:
        raise ConfigError(f"The contract {contract.name!r} names no `simulator`: deliver a table with --data PATH.")
    name, table = f"the {contract.simulator} simulation", simulated_table(contract.simulator, settings.simulation)
    return Delivery(name, lambda: (Source(name, rows) for rows in table.read(PART_ROWS)))


def _delivered_before(workspace: Workspace) -> tuple[TableSnapshot, ValidationReport]:
    ref, store = _newest_delivered(workspace), workspace.tables
    note("ingest", f"nothing delivered; {ref.rows:,} rows of {ref.name}, version {ref.version}")
    return snapshot_of(store, ref), ValidationReport.of_kept_rows(ref.rows, f"{ref.name}, version {ref.version}")


def _newest_delivered(workspace: Workspace) -> TableRef:
    contract = workspace.contract
    try:
        return workspace.tables.latest(contract.table("bronze").name)
    except NotFound as error:
        raise DataError(
            f"Nothing was delivered to the data set {contract.name!r} yet: give its table with --data FILE."
        ) from error


def _with_known_outcomes(workspace: Workspace, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return delivered rows with the outcomes that the table has for them where the delivery has none.

    So a table without outcomes, delivered to be scored, takes away nothing that was known.
    """
    contract, store = workspace.contract, workspace.tables
    try:
        ref = store.latest(contract.table("bronze").name)
    except NotFound:
        return rows
    names = [name for name in _OUTCOME if name in rows.schema.names and name in store.scan(ref).schema.names]

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            yield from _filled(pa.Table.from_batches([batch]), store, ref, names).to_batches()

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _filled(rows: pa.Table, store: FeatureStore, ref: TableRef, names: Sequence[str]) -> pa.Table:
    """Return rows with the outcome columns `names` of the table where they have no outcome of their own."""
    if not rows[RAW_LABEL].null_count:
        return rows
    customer = ref.key[0]
    customers = rows[customer].combine_chunks()
    outcomes = pa.Table.from_batches(
        [
            batch.filter(pc.and_(pc.is_valid(batch[RAW_LABEL]), pc.is_in(batch[customer], value_set=customers)))
            for batch in store.scan(ref, [*ref.key, *names])
        ],
        pa.schema([rows.schema.field(name) for name in (*ref.key, *names)]),
    ).rename_columns([*ref.key, *(f"{name}_known" for name in names)])
    joined = rows.append_column("position", pa.array(range(rows.num_rows))).join(
        outcomes, list(ref.key), join_type="left outer"
    )
    joined = joined.sort_by("position")
    missing = pc.is_null(joined[RAW_LABEL])
    for name in names:
        filled = pc.if_else(missing, joined[f"{name}_known"], joined[name])
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), filled)
    return rows


def _rows_of(workspace: Workspace, table: str) -> int:
    try:
        return workspace.tables.latest(table).rows
    except NotFound:
        return 0
