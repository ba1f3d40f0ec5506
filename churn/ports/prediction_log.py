"""The port of the prediction log: what the endpoint answered, kept until the table of predictions has it."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["LogCounts", "LoggedRow", "PredictionLog", "PredictionRole", "PredictionWriter", "WhenFull"]

PredictionRole = Literal["answered", "shadow", "what_if"]
"""Whether the client was told, a version on trial scored the row beside the answer, or nobody acts on
the answer: the row is made up, or a test."""
WhenFull = Literal["drop_new", "refuse"]
"""What becomes of rows that cannot be logged: they are answered and counted, or the request is refused."""


class LoggedRow(NamedTuple):
    """What a version said of one row of a request.

    Attributes:
        customer: The key; empty where the request named nobody.
        event_time: When the facts were true: the time of the features that were looked up, or that of the request where
            it brought them all (UTC).
        scored_at: When the row was scored, by the clock (UTC).
        request_id: The id of the request, as its answer says it; a client may use one twice.
        role: See `PredictionRole`.
        status: `ok`, `stale` or `unknown`, as the answer says; `failed` where a version on trial could not score it.
        probability: Of churn, 0 to 1; None for an unknown customer and a failed row, and so are the next three.
        decision: Treat or not.
        expected_value: Expected profit of treating the customer, in the currency.
        customer_value: What the customer is worth over the horizon, in the currency.
        reasons: Why, strongest first; empty where nobody asked.
        model_name: The registered model.
        model_version: Its version.
        model_alias: The alias that the version had.
        threshold_policy: The rule of the decision and its economics.
        features_version: The version of the feature table that was published; None where nothing was looked up.
        inputs: Columns that the model read, as JSON, as far as `serving.log.columns` names them; else None.
        score_ms: Milliseconds that scoring took, of the rows of a request their mean; None where nothing was scored.
    """

    customer: str
    event_time: dt.datetime
    scored_at: dt.datetime
    request_id: str
    role: PredictionRole
    status: str
    probability: float | None
    decision: str | None
    expected_value: float | None
    customer_value: float | None
    reasons: Sequence[str]
    model_name: str
    model_version: int
    model_alias: str
    threshold_policy: str
    features_version: int | None
    inputs: str | None = None
    score_ms: float | None = None


class LogCounts(NamedTuple):
    """How much there is in a log.

    Attributes:
        waiting: Rows that are logged and not in the table yet.
        size: What they take, in bytes.
        dropped: Rows that were answered and not logged, by every process, since the log began.
    """

    waiting: int
    size: int
    dropped: int


class PredictionWriter(ABC):
    """Logs the rows of one process. Safe to call from several threads.

    A platform that logs requests by itself has nothing to do here.
    """

    @abstractmethod
    def append(self, rows: Sequence[LoggedRow]) -> bool:
        """Log the rows of one request, all of them or none, and return whether they are logged.

        Once it returns True, the rows outlive this process, whatever ends it. False: there is no room, or the place
        of the log refuses; the rows are counted as dropped.

        Raises:
            StoreError: the same, where the policy is `refuse`; nothing is counted.
        """

    @abstractmethod
    def sync(self) -> None:
        """Let what was logged outlive the machine too, as far as its disk does; it may wait for the disk.

        Raises:
            StoreError: the disk refuses.
        """

    @property
    @abstractmethod
    def logged(self) -> int:
        """Rows that this writer has logged."""

    @property
    @abstractmethod
    def dropped(self) -> int:
        """Rows that this writer could not log."""

    @property
    @abstractmethod
    def trouble(self) -> str | None:
        """Why the last rows were not logged, in words; None where they were, or would be by now."""

    @property
    @abstractmethod
    def is_due(self) -> bool:
        """Whether so much waits that it should be moved now; false again once it was."""

    @abstractmethod
    def close(self) -> None:
        """Sync, as far as the disk lets it, and let go of files. What waits is moved later, by whoever comes."""


class PredictionLog(ABC):
    """The prediction log of one data set: several processes write to it, and any process moves what waits."""

    @abstractmethod
    def writer(self, *, max_bytes: int, when_full: WhenFull, synced: bool) -> PredictionWriter:
        """Return what logs the rows of this process.

        Args:
            max_bytes: What may wait, of all processes.
            when_full: What becomes of rows for which there is no room.
            synced: Whether each request is synced before it counts as logged.
        """

    @abstractmethod
    def move(self) -> int:
        """Move every row that was logged before into the table of predictions, and return how many there were.

        Each row comes into the table exactly once, whoever is killed meanwhile, and is then kept nowhere else. Rows of
        processes that are gone are moved too. One process moves at a time; others wait.

        Raises:
            StoreError: the table refuses, or rows were written by a newer version of this project; what was not moved
                waits.
        """

    @abstractmethod
    def counts(self) -> LogCounts:
        """Return how much there is. Raises StoreError."""
