"""Erases a customer from every table, its old versions, lists and pages; the record names nobody."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator

from ..approval.context import person, reason
from ..campaign.lists import without_customer
from ..core.errors import ConfigError, NotFound
from ..core.frozen import Frozen
from ..core.progress import note
from ..data.contract import DatasetContract
from ..data.tables import TABLES, TableName
from ..data.validation import LINE_COLUMN
from ..model.frame import canonical_text
from ..ports.files import Files, pattern_of
from ..ports.ledger import Decision, Entry
from ..ports.tables import FeatureStore
from ..scoring.batch import BATCH_ID
from .workspace import Workspace

__all__ = ["ERASED", "Erasure", "forget"]

ERASED = "erased"
"""What pages say where they named the customer; what the ledger calls such a record."""
_LEDGER = ("decisions", "gate_reports", "batches")
"""Tables that hold no row of a customer; the first two are never changed."""
_WORD = 6
"""A key that is shorter, or made of so few digits, may mean something else in a page."""


class Erasure(Frozen):
    """What was erased of a customer, and what may hold something still.

    Attributes:
        rows: Rows that left the newest version of a table, by table.
        versions: Older versions that are gone, because they held a row, by table.
        lists: Files of rows that the customer was taken out of.
        pages: Files of text that named the customer, and name nobody there any more.
        online: Whether the online store had the customer.
        held: Files and tables that name the customer still, since they must stay as they are.
        searched_pages: Whether pages were searched: a key such as 17 may be any number there.
        trained: Versions of the model that learned from rows of the customer, or were measured on them.
        unfinished: Erasures of other customers that were begun and not completed.
    """

    rows: dict[str, int]
    versions: dict[str, tuple[int, ...]]
    lists: tuple[str, ...]
    pages: tuple[str, ...]
    online: bool
    held: tuple[str, ...]
    searched_pages: bool
    trained: tuple[int, ...]
    unfinished: int


def forget(workspace: Workspace, customer: str, *, who: str, why: str) -> Erasure:
    """Erase a customer of the data set, and record that it was done and why, not whose data it was.

    Whatever a kill leaves undone the same call completes. Registered models stay as they are.

    Args:
        workspace: The data set.
        customer: The key.
        who: The person who asks for it.
        why: The reason, for whoever reads the record later; it must not name the customer.

    Raises:
        ConfigError: no name or no reason is given, or the reason names the customer.
        NotFound: nothing holds such a customer.
        StoreError: a table, a file or the ledger refuses; what was erased before that is gone.
    """
    key, who, why = canonical_text(customer), person(who), reason(why)
    if not key:
        raise ConfigError("--customer is empty: give the key of the customer.")
    if pattern_of(key).search(why.encode()) or pattern_of(key).search(who.encode()):
        raise ConfigError("The reason stays in the ledger for ever and must not name the customer: give another one.")
    store = workspace.tables
    with store.exclusive("erasure"), store.exclusive("inference"), store.exclusive("campaign"):
        begun = _Begun(workspace, key)
        completes = begun.note()
        erasure = _erase(workspace, key, begun.others)
        holds_anything = erasure.rows or erasure.versions or erasure.lists or erasure.pages or erasure.online
        if not holds_anything and not completes:
            begun.strike()
            raise NotFound(
                f"Nothing of the data set {workspace.contract.name!r} holds a customer {key!r}, so that nothing was "
                "erased: check the key, and name the data set by --dataset."
            )
        begun.record(who, why, erasure)
        begun.strike()
    return erasure


def _erase(workspace: Workspace, key: str, unfinished: int) -> Erasure:
    store, contract, files = workspace.tables, workspace.contract, workspace.files
    workspace.prediction_log.move()  # what waits there is then in the table alone
    lists = tuple(_lists_without(store, contract, files, key))
    for part in files.names(f"scoring/{contract.name}"):  # of a batch that was interrupted; it begins anew
        files.delete(part)
    online = workspace.online.erase(key)
    rows, versions = {}, {}
    for name in TABLES:
        if name in _LEDGER:
            continue
        table = contract.table(name).name
        column = "row_digest" if name == "quarantine" else contract.entity_key
        values = _quarantined(store, contract, key) if name == "quarantine" else [key]
        erased = store.erase(table, column, values)
        if erased.rows:
            rows[table] = erased.rows
        if erased.versions:
            versions[table] = erased.versions
            note("forget", f"{table}: {erased.rows:,} rows, {len(erased.versions):,} older versions removed")
    searched = len(key) >= _WORD or (len(key) >= _WORD - 2 and not key.isdigit())
    word = files.replace_word(key, ERASED) if searched else None
    return Erasure(
        rows=rows,
        versions=versions,
        lists=lists,
        pages=word.changed if word else (),
        online=online,
        held=(*(word.held if word else ()), *(_tables_that_name(store, contract, key) if searched else ())),
        searched_pages=searched,
        trained=tuple(_trained_on(workspace, versions)),
        unfinished=unfinished,
    )


def _lists_without(store: FeatureStore, contract: DatasetContract, files: Files, key: str) -> Iterator[str]:
    """Take the customer out of the lists of the data set's batches and of tables that were fetched, and name them."""
    batches = {str(value) for value in _column(store, contract, "contacts", BATCH_ID)}
    batches |= {str(value) for value in _column(store, contract, "batches", BATCH_ID)}
    lists = [name for name in files.names("campaigns") if name.split("/")[1].split(".")[0] in batches]
    for name in [*lists, *files.names("data")]:
        content = files.get(name)
        remaining = None if content is None else without_customer(name, content, contract.entity_key, key)
        if remaining is not None:
            files.put(name, [remaining])
            yield name


def _quarantined(store: FeatureStore, contract: DatasetContract, key: str) -> list[str]:
    """Return the digests of the rows in the quarantine that are of the customer, or of lines that name him."""
    try:
        entries = store.scan(store.latest(contract.table("quarantine").name), ["row_digest", "column", "row"])
    except NotFound:
        return []
    pattern, digests = pattern_of(key), []
    for digest, column, row in (entry.values() for batch in entries for entry in batch.to_pylist()):
        if column == LINE_COLUMN:
            of_customer = bool(pattern.search(row.encode()))
        else:
            value = json.loads(row).get(contract.entity_key)
            of_customer = value is not None and canonical_text(value) == key
        if of_customer:
            digests.append(digest)
    return sorted(set(digests))


def _tables_that_name(store: FeatureStore, contract: DatasetContract, key: str) -> Iterator[str]:
    pattern = pattern_of(key)
    columns: dict[TableName, str] = {"decisions": "why", "gate_reports": "report", "batches": "summary"}
    for name, column in columns.items():
        if any(value and pattern.search(value.encode()) for value in _column(store, contract, name, column)):
            yield contract.table(name).name


def _column(store: FeatureStore, contract: DatasetContract, name: TableName, column: str) -> list[str]:
    try:
        ref = store.latest(contract.table(name).name)
    except NotFound:
        return []
    values: list[str] = store.scan(ref, [column]).read_all()[column].to_pylist()
    return values


def _trained_on(workspace: Workspace, versions: dict[str, tuple[int, ...]]) -> Iterator[int]:
    """Yield the versions of the model whose training table held the customer."""
    for version in workspace.registry.versions(workspace.model):
        table, number = version.tags.get("data_table", ""), version.tags.get("data_version", "")
        if number.isdigit() and int(number) in versions.get(table, ()):
            yield version.version


class _Begun:
    """A note of erasures that are begun: a salted digest of each customer, and where the ledger ended then."""

    def __init__(self, workspace: Workspace, key: str) -> None:
        self._workspace, self._key = workspace, key
        self._name = f"erasures/{workspace.contract.name}.json"
        content = workspace.files.get(self._name)
        lines: list[dict[str, str]] = json.loads(content) if content else []
        self._own = next((line for line in lines if line["digest"] == self._digest(line["salt"])), None)
        self._others = [line for line in lines if line is not self._own]

    @property
    def others(self) -> int:
        """How many erasures of other customers were begun and not completed."""
        return len(self._others)

    def note(self) -> bool:
        """Write the note, and return whether it was there: then a run before this one was killed."""
        if self._own is not None:
            return True
        salt = secrets.token_hex(16)
        self._own = {"salt": salt, "digest": self._digest(salt), "head": self._head()}
        self._put([*self._others, self._own])
        return False

    def record(self, who: str, why: str, erasure: Erasure) -> None:
        """Append the record to the ledger, unless the run that was killed had done so."""
        workspace = self._workspace
        with workspace.ledger.exclusive():
            records = workspace.ledger.read()
            begun = next((at for at, record in enumerate(records, 1) if record.hash == self._own_head), 0)
            if any(self._is_of_this(record, who, why) for record in records[begun:]):
                return
            counts = {"rows": float(sum(erasure.rows.values())), "tables": float(len(erasure.versions))}
            entry = Entry(
                kind="erased",
                model=workspace.contract.name,
                version=0,
                champion=None,
                at=workspace.clock(),
                who=who,
                why=why,
                numbers=counts,
            )
            workspace.ledger.append(entry, after=records[-1].hash if records else "")

    def strike(self) -> None:
        """Remove the note."""
        self._put(self._others)

    @property
    def _own_head(self) -> str:
        return self._own["head"] if self._own else ""

    def _is_of_this(self, record: Decision, who: str, why: str) -> bool:
        named = record.kind == "erased" and record.model == self._workspace.contract.name
        return named and (record.who, record.why) == (who, why)

    def _head(self) -> str:
        records = self._workspace.ledger.read()
        return records[-1].hash if records else ""

    def _digest(self, salt: str) -> str:
        return hashlib.sha256(f"{salt}:{self._key}".encode()).hexdigest()

    def _put(self, lines: list[dict[str, str]]) -> None:
        if lines:
            self._workspace.files.put(self._name, [json.dumps(lines).encode()])
        else:
            self._workspace.files.delete(self._name)
