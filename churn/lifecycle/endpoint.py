"""What the endpoint answers: the champion by the ledger, loaded once, on the newest features of a customer."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple, Protocol

from ..core.errors import ChurnError, DataError, NotFound, StoreError, nearest
from ..core.frozen import Frozen
from ..model.frame import canonical_text
from ..ports.online import OnlineRow, OnlineValue
from ..ports.registry import ModelVersion
from ..scoring.inspection import ModelDescription, RowContributions, contributions_of, describe
from ..scoring.online import OnlineScore, score_rows, spelled
from ..scoring.rows import LoadedModel
from ..settings import Settings
from .inference import champion_of
from .workspace import Workspace

__all__ = ["Agreement", "Answer", "Answers", "Endpoint", "Readiness", "RowStatus", "Served", "Spent"]

RowStatus = Literal["ok", "stale", "unknown"]
"""Whether a customer was scored, was scored on features older than `serving.stale_after_days`, or is not online."""


class Served(NamedTuple):
    """A version that answers.

    Attributes:
        name: The registered model.
        version: Its version.
        model: It, loaded and checked against the digest that the ledger has.
    """

    name: str
    version: int
    model: LoadedModel


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
    """

    customer: str | None
    status: RowStatus
    score: OnlineScore | None
    features_at: dt.datetime | None
    contributions: RowContributions | None = None
    values: Mapping[str, OnlineValue] | None = None
    features_version: int | None = None


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


class Answers(NamedTuple):
    """What is said of a request, all of it by one version.

    Attributes:
        served: The version.
        rows: An answer for each row of the request.
        ignored: Columns of the request that neither the model nor the data set knows.
        unseen: Rows whose value training did not know, by column; they are scored as missing there.
        spent: How long it took.
    """

    served: Served
    rows: list[Answer]
    ignored: list[str]
    unseen: dict[str, int]
    spent: Spent


class Readiness(Frozen):
    """Whether requests are answered, and what does not work.

    Attributes:
        ready: Whether a version is loaded.
        version: Which; None before the first.
        preparing: The version that will answer once every process of the endpoint has loaded it; None where none will.
        degraded: What does not work, in words: a registry that does not answer, a version that cannot be loaded.
    """

    ready: bool
    version: int | None
    preparing: int | None = None
    degraded: tuple[str, ...]


class Agreement(Protocol):
    """Which version answers, agreed by every process of an endpoint: at any time all of them answer with one."""

    def current(self) -> int:
        """Return the version that answers; 0 before the first. Asked for each request."""

    def prepared(self, version: int) -> None:
        """Say which version this process is ready to answer with; once every process is, it is the one that answers."""

    def held_back(self, trouble: str) -> None:
        """Say why this process stays with the version that answers."""

    def troubles(self) -> Sequence[str]:
        """Return what keeps the other processes from the version that is to answer, in words."""


class _Alone:
    """The agreement of a process with itself."""

    def __init__(self) -> None:
        self._version = 0

    def current(self) -> int:
        return self._version

    def prepared(self, version: int) -> None:
        self._version = version

    def held_back(self, trouble: str) -> None:
        pass

    def troubles(self) -> Sequence[str]:
        return ()


class Endpoint:
    """The champion of one data set in one process. What is loaded goes on answering when registry or ledger go away."""

    def __init__(self, workspace: Workspace, settings: Settings, agreement: Agreement | None = None) -> None:
        """Load nothing yet: see `refresh`.

        Args:
            workspace: The data set.
            settings: Its settings.
            agreement: With the other processes of the endpoint; None where there are none.
        """
        self._workspace, self._settings = workspace, settings
        self._agreement: Agreement = agreement or _Alone()
        self._loaded: dict[int, Served] = {}
        self._wanted: int | None = None
        self._trouble: str | None = None
        self._store_trouble: str | None = None
        contract, days = workspace.contract, settings.serving.stale_after_days
        self._known = {contract.entity_key, *contract.kinds, *(spec.name for spec in contract.features)}
        by_rule = settings.inference.max_age(contract.label.window_days)
        self._stale_after = by_rule if days is None else dt.timedelta(days=days)

    @property
    def readiness(self) -> Readiness:
        """Whether requests are answered."""
        served = self.served
        version = served and served.version
        troubles = [*filter(None, [self._trouble, self._store_trouble]), *self._agreement.troubles()]
        return Readiness(
            ready=served is not None,
            version=version,
            preparing=None if self._wanted == version else self._wanted,
            degraded=tuple(dict.fromkeys(troubles)),
        )

    @property
    def served(self) -> Served | None:
        """The version that answers."""
        served = self._loaded.get(self._agreement.current())
        # Between the two readings another version may have come, and the one before it been let go.
        return served or self._loaded.get(self._agreement.current())

    def refresh(self) -> bool:
        """Load the champion if it is not the one that answers, and return whether another one answers now.

        It answers once every process of the endpoint has loaded it. The version that answers stays where the new one
        cannot be loaded or checked by one of them, and `readiness` says why. A new one has scored a row before it
        answers.

        Raises:
            ChurnError: no version answers yet in this process, and none can be loaded.
        """
        before, self._store_trouble = self._agreement.current(), self._fault_of_store()
        try:
            state = self._workspace.approval(self._settings.approval).read()
            self._wanted = champion = champion_of(state.champion, self._workspace.model).version
            for version in {before, champion} - {0, *self._loaded}:
                self._loaded[version] = self._load(state.version(version))
        except ChurnError as error:
            if before not in self._loaded:
                raise
            self._trouble = str(error)
            self._agreement.held_back(self._trouble)
            return False
        self._trouble = None
        self._agreement.prepared(champion)
        current = self._agreement.current()
        if current not in self._loaded:  # this process starts, and another one was faster
            return self.refresh()
        self._loaded = {number: self._loaded[number] for number in {current, champion}}
        return current != before

    def _fault_of_store(self) -> str | None:
        fault = "Nothing is in the online store yet: publish by `python run.py features publish`."
        try:
            if self._workspace.online.publication() is not None:
                return None
        except StoreError as error:
            fault = str(error)
        return f"{fault} Rows with every input are answered meanwhile."

    def _load(self, version: ModelVersion) -> Served:
        with tempfile.TemporaryDirectory() as folder:
            model: LoadedModel = self._workspace.load(version, Path(folder))
        model.use_threads(1)  # a request is too small to be divided
        score_rows(model, [{}], explain=True)
        return Served(self._workspace.model, version.version, model)

    def describe(self) -> ModelDescription:
        """Return what the version that answers reads; raises NotFound where none is loaded."""
        return describe(self._loaded_version().model, self._workspace.contract)

    def answer(self, rows: Sequence[Mapping[str, object]], *, explain: bool, contributions: bool = False) -> Answers:
        """Score the rows of a request.

        A row with every input of the model is scored as it is. Of another one that names a customer the newest
        features are looked up, and what the row has beside the key takes their place. A row that names nobody, or
        somebody who is not online, is scored as it is where it has all that may not be missing.

        Args:
            rows: JSON objects.
            explain: Whether to give reasons.
            contributions: Whether to say what each value added to the prediction.

        Raises:
            NotFound: no version is loaded.
            DataError: a row has neither key nor all columns, a value is no number, text, truth value or null, or a
                column is unknown and `serving.unknown_columns` is `refuse`.
            StoreError: features are to be looked up and the online store does not answer.
        """
        served = self._loaded_version()
        begun = perf_counter()
        ignored = self._unknown_columns(served, rows)
        prepared = [self._prepared(served, row) for row in rows]
        known = [values for _, _, values, _ in prepared if values is not None]
        found = perf_counter()
        scored = score_rows(served.model, known, explain=explain)
        spent = Spent(found - begun, scored.encode_seconds, perf_counter() - found - scored.encode_seconds)
        waiting = iter(scored.scores)
        answers = [
            Answer(customer, self._status(at), next(waiting), at, None, values, table_version)
            if values is not None
            else Answer(customer, "unknown", None, None)
            for customer, at, values, table_version in prepared
        ]
        if contributions and known:
            details = iter(contributions_of(served.model, known, [score.customer_value for score in scored.scores]))
            answers = [
                answer if answer.score is None else answer._replace(contributions=next(details)) for answer in answers
            ]
        return Answers(served, answers, ignored, scored.unseen, spent)

    def _loaded_version(self) -> Served:
        served = self.served
        if served is None:
            raise NotFound(f"No version of {self._workspace.model} is loaded.")
        return served

    def _prepared(
        self, served: Served, row: Mapping[str, object]
    ) -> tuple[str | None, dt.datetime | None, Mapping[str, OnlineValue] | None, int | None]:
        """Return the customer of a row, the time of features that were looked up, its values, the features' version.

        The values of an unknown customer are None.
        """
        kinds, key = served.model.kinds, self._workspace.contract.entity_key
        given = {name: spelled(name, value, kinds[name]) for name, value in row.items() if name in kinds}
        customer = None if row.get(key) is None else canonical_text(_key(key, row[key])) or None
        found: OnlineRow | None = None
        if customer is not None and len(given) < len(kinds):
            found = self._workspace.online.get(customer)
        if found is not None:
            values = {**found.values, **given}
            if lacking := kinds.keys() - values.keys():
                raise StoreError(
                    f"The online store has no {min(lacking)!r}, which version {served.version} reads: it holds another "
                    "contract's features, or an older one's. Publish by `python run.py features publish --full`."
                )
            return customer, found.event_time, values, found.table_version
        missing = [name for name in served.model.needed if name not in row]
        if missing and customer is None:
            raise DataError(
                f"A row has neither the customer's key {key!r}, by which features are looked up, nor {missing[0]!r}: "
                "give the key, or every column that may not be missing."
            )
        return customer, None, None if missing else given, None

    def _status(self, features_at: dt.datetime | None) -> RowStatus:
        is_stale = features_at is not None and self._workspace.clock() - features_at > self._stale_after
        return "stale" if is_stale else "ok"

    def _unknown_columns(self, served: Served, rows: Sequence[Mapping[str, object]]) -> list[str]:
        known, read = self._known, served.model.kinds
        unknown = sorted({name for row in rows for name in row if name not in known and name not in read})
        if unknown and self._settings.serving.unknown_columns == "refuse":
            raise DataError(
                f"{unknown[0]!r:.80} is no column of {self._workspace.contract.name!r}"
                f"{nearest(unknown[0], {*known, *read}) or '.'} Leave it out, or let `serving.unknown_columns` be "
                "`ignore`."
            )
        return unknown


def _key(name: str, value: object) -> object:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise DataError(f"The customer's key {name!r} is a list, an object or a truth value: give a text or a number.")
    return value
