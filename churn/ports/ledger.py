"""The port of the decision ledger: an append-only record, each entry chained by hash to the one before it."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal, Self
from uuid import uuid4

from pydantic import AfterValidator, AwareDatetime, Field

from ..core.canonical import StoredFormat, canonical, digest
from ..core.errors import StoreError
from ..core.frozen import Finite

__all__ = [
    "RECORD_FORMAT",
    "Decision",
    "DecisionKind",
    "DecisionLedger",
    "Entry",
    "Record",
    "Verdict",
    "breaks",
    "first_format",
]

DecisionKind = Literal[
    "gate_passed",
    "gate_refused",
    "pending",
    "approved",
    "rejected",
    "promotion_begun",
    "promoted",
    "rollback_begun",
    "rolled_back",
    "undone",
    "deployed",
    "withdrawn",
    "retired",
    "erased",
    "rollout_started",
    "rollout_advanced",
    "rollout_aborted",
]
"""What happened. A change of the champion is begun before the registry is touched, and `promoted`, `rolled_back` or
`undone` after it. `deployed` says that what serves customers was brought up to date with it and verified; `withdrawn`
that this failed for the first champion of all, so that none is live again (of a later one, `rolled_back` by
`policy:deployment` says so). `retired` says that the model is gone: what was recorded of the version before is about no
model that the registry may have under that number. `erased` says that the data of a customer was erased, not whose: its
model is the name of the data set, its version 0. The records of a rollout carry the `share` of the customers that the
version answers from then on, 0 in shadow; one that is aborted counts as rejected, and one that ends otherwise has no
record of its own."""


def _utc(time: dt.datetime) -> dt.datetime:
    return time.astimezone(dt.UTC)


class Entry(Finite):
    """What is to be recorded about a model version; the ledger gives it its place."""

    kind: DecisionKind
    model: str = Field(description="The registered model.")
    version: int = Field(description="The version that was judged, decided about, or is to be live.")
    champion: int | None = Field(description="The version that was live then, which this one was held against.")
    at: Annotated[AwareDatetime, AfterValidator(_utc)]
    who: str = Field(description="A person, or `policy:auto` and `policy:manual` for what the settings decided.")
    why: str
    numbers: dict[str, float] = Field(default_factory=dict, description="What it rests on.")
    verdicts: dict[str, Verdict] = Field(default_factory=dict, description="The checks of a gate.")
    digests: dict[str, str] = Field(
        default_factory=dict,
        description="Exactly what it is about: `model`, `champion`, `gate_report`; `begun` is the hash of the record "
        "that this one ends.",
    )

    @property
    def by_policy(self) -> bool:
        """Whether the settings decided, and no person."""
        return self.who.startswith("policy:")


class Record(Entry):
    """An entry in its place: what the ledger stores as one canonical text."""

    decision_id: str
    sequence: int = Field(description="1, 2, 3, …")
    previous: str = Field(description="The hash of the record before; empty in the first one.")


RECORD_FORMAT = StoredFormat("record of the ledger", Record, newest=4, error=StoreError)
"""Format 4 has `deployed` and `withdrawn` (some records of format 3 have them too), format 3 the records of rollouts;
both are else as format 2. Format 1 was stored in columns; `first_format` gives the text that its hash covers. A kind of
record that is new needs a new format, so that an older reader says that it is too old and not that the record is
damaged."""


class Decision(Record):
    """A record of the ledger as it is stored; build one with `chained` or `read`, so that fields and text agree."""

    text: str = Field(repr=False, description="The canonical text, as stored.")
    hash: str = Field(description="The digest of that text, which the next record names.")

    @classmethod
    def chained(cls, entry: Entry, last: Decision | None) -> Self:
        """Return `entry` as the record that follows `last`."""
        sequence = last.sequence + 1 if last else 1
        record = Record(
            **entry.model_dump(),
            decision_id=f"{sequence:06d}-{uuid4().hex[:8]}",
            sequence=sequence,
            previous=last.hash if last else "",
        )
        text = RECORD_FORMAT.write(record)
        return cls(**record.model_dump(), text=text, hash=digest(text))

    @classmethod
    def read(cls, text: str, stored_hash: str) -> Self:
        """Return the record that a store holds, whether or not the hash fits.

        Raises:
            StoreError: the text is no record, or one of a newer format.
        """
        return cls(**RECORD_FORMAT.read(text).model_dump(), text=text, hash=stored_hash)


def first_format(columns: Mapping[str, Any]) -> str:
    """Return the text that the hash of a record of format 1 covers.

    Args:
        columns: Its columns as they were then: those below, of which `at` is a time with a zone, and `numbers`,
            `verdicts` and `digests` are mappings.
    """
    fields = ("decision_id", "sequence", "kind", "model", "version", "champion", "who", "why")
    values = {name: columns[name] for name in (*fields, "numbers", "verdicts", "digests", "previous")}
    at: dt.datetime = columns["at"]
    return canonical({**values, "at": at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")})


def breaks(records: Sequence[Decision]) -> Iterator[str]:
    """Yield a sentence for every place where the chain does not hold: altered, missing, added or reordered records.

    Args:
        records: The whole ledger, in order. That the last records were cut off does not show here; the registry's tags
            tell that (`audit`).
    """
    last: Decision | None = None
    for record in records:
        expected = last.sequence + 1 if last else 1
        if record.hash != digest(record.text):
            yield f"Record {record.sequence} ({record.decision_id}) was altered: its hash does not fit what it says."
        if record.sequence > expected:
            gone = range(expected, record.sequence)
            yield f"Before record {record.sequence}, {len(gone)} missing: {gone[0]} to {gone[-1]}."
        elif record.sequence < expected:
            yield f"Record {record.sequence} ({record.decision_id}) is duplicated or out of order."
        elif record.previous != (last.hash if last else ""):
            yield f"Record {record.sequence} ({record.decision_id}) does not follow the record before it."
        last = record


Verdict = Literal["pass", "fail", "error", "unmeasured"]
"""The result of a check of the gate: `error` where the check raised an exception, which refuses the version as `fail`
does; `unmeasured` where the machine was too busy to measure, which neither passes nor refuses it."""


class DecisionLedger(ABC):
    """The append-only record of every decision about the models of one dataset, each chained to the one before."""

    @abstractmethod
    def read(self) -> list[Decision]:
        """Return every record in the order of its sequence, as it is stored, whether or not the chain holds.

        Raises:
            StoreError: the store does not answer, or holds something that is no record or one of a newer format.
        """

    @abstractmethod
    def append(self, entry: Entry, *, after: str) -> Decision:
        """Write `entry` as the next record, and return it when it is there to stay; all of it is written or nothing.

        Args:
            entry: What to record.
            after: The hash of the record that the caller believes is the last; empty for a ledger without any.

        Raises:
            WriteConflict: another record is the last; nothing was written.
            StoreError: the store refuses; nothing was written.
        """

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Let one process and thread of this machine at a time decide; others wait, and a killed one lets go.

        It cannot be entered twice by the same thread.

        Raises:
            StoreError: the place of the lock cannot be written.
        """
