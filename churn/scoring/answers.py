"""The answer to each row of a request: features looked up by the customer's key, what the row brings, then the score.

The endpoint of this project and a version that serves by itself answer by this code.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..core.errors import DataError, StoreError, nearest
from ..model.frame import Kind, canonical_text
from ..ports.online import OnlineRow, OnlineValue
from .online import OnlineScore, score_rows, spelled

if TYPE_CHECKING:
    from .inspection import RowContributions
    from .rows import RowScorer

__all__ = ["Answer", "RowAnswers", "RowStatus", "Scored", "Spent"]

RowStatus = Literal["ok", "stale", "unknown", "failed"]
"""Whether a customer was scored, was scored on features older than `serving.stale_after_days`, or is not online.

`failed` is said by the log alone, of rows that a version on trial could not score."""


class Answer(NamedTuple):
    """What is said of one row of a request.

    Attributes:
        customer: The key; None where the request named none.
        status: See `RowStatus`.
        score: None for an unknown customer.
        features_at: When the features that were looked up were true (UTC); None where the request brought them all.
        contributions: How the prediction came about; None unless that was asked for.
        values: What the model read, by column; None for an unknown customer.
        features_version: The version of the feature table that was looked up; None where the request brought all.
        score_ms: Milliseconds that scoring took, of the rows of a request their mean; None where nothing was scored.
    """

    customer: str | None
    status: RowStatus
    score: OnlineScore | None
    features_at: dt.datetime | None
    contributions: RowContributions | None = None
    values: Mapping[str, OnlineValue] | None = None
    features_version: int | None = None
    score_ms: float | None = None


class Spent(NamedTuple):
    """Seconds that the parts of an answer took.

    Attributes:
        lookup: Reading the rows of the request, and the features of customers.
        encode: Turning values into the numbers that the model computes on.
        score: The rest.
    """

    lookup: float
    encode: float
    score: float


class Scored(NamedTuple):
    """What a version says of rows.

    Attributes:
        rows: An answer for each row.
        ignored: Columns of the rows that neither the model nor the data set knows.
        unseen: Rows whose value training did not know, or that is a text where a number belongs, by column; they are
            scored as missing there.
        spent: How long it took.
    """

    rows: list[Answer]
    ignored: list[str]
    unseen: dict[str, int]
    spent: Spent


class RowAnswers:
    """Answers the rows of requests about the customers of one data set."""

    def __init__(
        self,
        dataset: str,
        key: str,
        columns: Iterable[str],
        look_up: Callable[[Sequence[str]], Iterable[OnlineRow]],
        *,
        stale_after: dt.timedelta,
        unknown_columns: Literal["ignore", "refuse"],
        clock: Callable[[], dt.datetime],
    ) -> None:
        """Look nothing up yet.

        Args:
            dataset: The data set.
            key: The column of the customer's key.
            columns: The columns that the data set knows, beside the key.
            look_up: Returns the newest features of those of some customers who have any; see `OnlineStore.rows`.
            stale_after: Features that are older are said to be stale.
            unknown_columns: What becomes of a request with columns that nobody knows.
            clock: Tells the time (UTC).
        """
        self._dataset, self._key, self._look_up, self._clock = dataset, key, look_up, clock
        self._known: Collection[str] = {key, *columns}
        self._stale_after, self._unknown = stale_after, unknown_columns

    def answer(self, version: int, model: RowScorer, rows: Sequence[Mapping[str, object]], *, explain: bool) -> Scored:
        """Score the rows of a request; see `churn.lifecycle.endpoint.Endpoint.answer`.

        Args:
            version: The version, for what is said of faults.
            model: It, loaded.
            rows: JSON objects.
            explain: Whether to give reasons.
        """
        begun = perf_counter()
        ignored = self._unknown_columns(model, rows)
        kinds = model.kinds
        sent = [
            (
                self.customer(row),
                {name: spelled(name, value, kinds[name]) for name, value in row.items() if name in kinds},
            )
            for row in rows
        ]
        asked = dict.fromkeys(
            customer for customer, values in sent if customer is not None and len(values) < len(kinds)
        )
        stored = {row.customer: row for row in self._look_up([*asked])} if asked else {}
        prepared = [
            self._prepared(version, model, customer, values, stored.get(customer or "")) for customer, values in sent
        ]
        complete = [values for _, _, values, _ in prepared if values is not None]
        looked_up = perf_counter()
        scored = score_rows(model, complete, explain=explain)
        seconds, oldest = perf_counter() - looked_up, self._clock() - self._stale_after
        score_ms = 1000 * seconds / max(len(complete), 1)
        spent = Spent(looked_up - begun, scored.encode_seconds, seconds - scored.encode_seconds)
        waiting = iter(scored.scores)
        answers = [
            Answer(customer, _status(at, oldest), next(waiting), at, None, values, table_version, score_ms)
            if values is not None
            else Answer(customer, "unknown", None, None)
            for customer, at, values, table_version in prepared
        ]
        return Scored(answers, ignored, {**scored.unseen, **_unreadable(model.kinds, rows)}, spent)

    def customer(self, row: Mapping[str, object]) -> str | None:
        """Return the customer whom a row names; raises DataError for a key that is none."""
        value = row.get(self._key)
        if value is None:
            return None
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise DataError(
                f"The customer's key {self._key!r} is a list, an object or a truth value: give a text or a number."
            )
        return canonical_text(value) or None

    def _prepared(
        self,
        version: int,
        model: RowScorer,
        customer: str | None,
        sent: Mapping[str, OnlineValue],
        stored: OnlineRow | None,
    ) -> tuple[str | None, dt.datetime | None, Mapping[str, OnlineValue] | None, int | None]:
        """Return the customer of a row, the time of features that were looked up, its values, the features' version.

        The values of an unknown customer are None.
        """
        kinds = model.kinds
        if stored is not None and len(sent) < len(kinds):
            values = {**stored.values, **sent} if sent else stored.values
            if not kinds.keys() <= values.keys():
                lacking = min(kinds.keys() - values.keys())
                raise StoreError(
                    f"The online store has no {lacking!r}, which version {version} reads: it holds another "
                    "contract's features, or an older one's. Publish by `python run.py features publish --full`."
                )
            return customer, stored.event_time, values, stored.table_version
        missing = [name for name in model.needed if name not in sent]
        if missing and customer is None:
            raise DataError(
                f"A row has neither the customer's key {self._key!r}, by which features are looked up, nor "
                f"{missing[0]!r}: give the key, or every column that may not be missing."
            )
        return customer, None, None if missing else sent, None

    def _unknown_columns(self, model: RowScorer, rows: Sequence[Mapping[str, object]]) -> list[str]:
        inputs, read = self._known, model.kinds
        unknown = sorted({name for row in rows for name in row if name not in inputs and name not in read})
        if unknown and self._unknown == "refuse":
            raise DataError(
                f"{unknown[0]!r:.80} is no column of {self._dataset!r}"
                f"{nearest(unknown[0], {*inputs, *read}) or '.'} Leave it out, or let `serving.unknown_columns` be "
                "`ignore`."
            )
        return unknown


def _unreadable(kinds: Mapping[str, Kind], rows: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """Return how many rows have a text that is no number where a number belongs, by column."""
    return Counter(
        name
        for row in rows
        for name, value in row.items()
        if isinstance(value, str)
        and kinds.get(name) == "numeric"
        and value.strip()
        and spelled(name, value, "numeric") is None
    )


def _status(features_at: dt.datetime | None, oldest: dt.datetime) -> RowStatus:
    return "ok" if features_at is None or features_at >= oldest else "stale"
