"""What the endpoint answers: the champion by the ledger, or a challenger that is rolled out, on newest features."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from operator import add, itemgetter
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple, Protocol

from ..approval.rollout import Rollout, running
from ..approval.state import ModelState
from ..core.errors import ChurnError, DataError, NotFound, StoreError, nearest
from ..core.frozen import Frozen
from ..core.progress import note
from ..core.shares import hash_share
from ..model.frame import canonical_text
from ..ports.online import OnlineRow, OnlineValue
from ..ports.registry import ModelVersion
from ..scoring.inspection import ModelDescription, RowContributions, contributions_of, describe
from ..scoring.online import OnlineScore, score_rows, spelled
from ..scoring.rows import LoadedModel
from ..settings import Settings
from .inference import champion_of
from .workspace import Workspace

__all__ = ["Agreement", "Answer", "Answers", "Endpoint", "Readiness", "RowStatus", "Served", "Spent", "Trial"]

RowStatus = Literal["ok", "stale", "unknown", "failed"]
"""Whether a customer was scored, was scored on features older than `serving.stale_after_days`, or is not online.

`failed` is said by the log alone, of rows that a version on trial could not score."""


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


class Answers(NamedTuple):
    """What is said of a request.

    Attributes:
        served: The champion; of rows in shadow, the version on trial.
        rows: An answer for each row of the request.
        ignored: Columns of the request that neither the model nor the data set knows.
        unseen: Rows whose value training did not know, by column; they are scored as missing there.
        spent: How long it took.
        challenger: The version on trial that answered rows, or was to; None where none was.
        challenged: Those rows, by number.
        failed: Rows, by number, that the version on trial was to score and could not; the champion answered them.
    """

    served: Served
    rows: list[Answer]
    ignored: list[str]
    unseen: dict[str, int]
    spent: Spent
    challenger: Served | None = None
    challenged: frozenset[int] = frozenset()
    failed: tuple[int, ...] = ()

    def by(self, row: int) -> Served:
        """Return the version that answered the row of this number."""
        return self.challenger if self.challenger is not None and row in self.challenged else self.served

    @property
    def versions(self) -> list[Served]:
        """The versions that answered, the champion first."""
        if self.challenger is None or not self.challenged:
            return [self.served]
        return [self.challenger] if len(self.challenged) == len(self.rows) else [self.served, self.challenger]


class Trial(NamedTuple):
    """A version that is rolled out beside the champion, loaded.

    Attributes:
        rollout: What is on record of it.
        served: The version.
    """

    rollout: Rollout
    served: Served

    def draws(self, customer: str | None) -> bool:
        """Return whether it answers a customer: the same ones in every request, and more with every step."""
        rollout = self.rollout
        return customer is not None and hash_share(customer, rollout.share, rollout.identity)


class Readiness(Frozen):
    """Whether requests are answered, and what does not work.

    Attributes:
        ready: Whether a version is loaded.
        version: Which; None before the first.
        preparing: The version that will answer once every process of the endpoint has loaded it; None where none will.
        challenger: The version that is rolled out beside it; None where none is.
        challenger_share: Of the customers whom it answers, 0 to 1; 0 in shadow, or where it cannot be loaded.
        degraded: What does not work, in words: a registry that does not answer, a version that cannot be loaded.
    """

    ready: bool
    version: int | None
    preparing: int | None = None
    challenger: int | None = None
    challenger_share: float = 0
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
        self._rollout: Rollout | None = None
        self._trial: Trial | None = None
        self._trial_trouble: str | None = None
        contract, days = workspace.contract, settings.serving.stale_after_days
        self._known = {contract.entity_key, *contract.kinds, *(spec.name for spec in contract.features)}
        by_rule = settings.inference.max_age(contract.label.window_days)
        self._stale_after = by_rule if days is None else dt.timedelta(days=days)

    @property
    def readiness(self) -> Readiness:
        """Whether requests are answered."""
        served = self.served
        version = served and served.version
        troubles = [
            *filter(None, [self._trouble, self._store_trouble, self._trial_trouble]),
            *self._agreement.troubles(),
        ]
        return Readiness(
            ready=served is not None,
            version=version,
            preparing=None if self._wanted == version else self._wanted,
            challenger=None if self._rollout is None else self._rollout.version,
            challenger_share=0 if self.trial is None else self.trial.rollout.share,
            degraded=tuple(dict.fromkeys(troubles)),
        )

    @property
    def served(self) -> Served | None:
        """The version that answers."""
        served = self._loaded.get(self._agreement.current())
        # Between the two readings another version may have come, and the one before it been let go.
        return served or self._loaded.get(self._agreement.current())

    @property
    def trial(self) -> Trial | None:
        """The version that is rolled out beside the version that answers; None where none is, or it is not loaded."""
        served = self.served
        return None if served is None else self._beside(served)

    def _beside(self, served: Served) -> Trial | None:
        trial = self._trial
        return trial if trial is not None and trial.rollout.champion == served.version else None

    def refresh(self) -> bool:
        """Load the champion if it is not the one that answers, and return whether another one answers now.

        It answers once every process of the endpoint has loaded it. The version that answers stays where the new one
        cannot be loaded or checked by one of them, and `readiness` says why. A new one has scored a row before it
        answers. A challenger that is rolled out is loaded too; where it cannot be, the champion answers everybody.

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
        self._follow(state)
        self._agreement.prepared(champion)
        current = self._agreement.current()
        if current not in self._loaded:  # this process starts, and another one was faster
            return self.refresh()
        self._loaded = {number: self._loaded[number] for number in {current, champion}}
        return current != before

    def _follow(self, state: ModelState) -> None:
        """Take over the traffic of the rollout that the ledger has."""
        self._rollout = rollout = running(state)
        if rollout is None:
            self._trial = self._trial_trouble = None
            return
        before = self._trial
        try:
            known = before is not None and before.served.version == rollout.version
            served = before.served if before and known else self._load(state.version(rollout.version))
        except Exception as error:  # noqa: BLE001 - whatever a version on trial does, the champion answers
            self._trial = None
            self._trial_trouble = (
                f"Version {rollout.version}, which is rolled out, cannot be loaded, and version {rollout.champion} "
                f"answers everybody: {error}"
            )
            return
        self._trial, self._trial_trouble = Trial(rollout, served), None
        if before is None or before.rollout.share != rollout.share:
            note("serve", f"version {rollout.version} answers {rollout.share:.0%} of the customers now")

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

        While a version is rolled out, it answers the rows of the customers that are drawn for it, and the champion
        the others and those that name nobody. What it cannot score the champion answers.

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
        trial = self._beside(served)
        asked = partial(self._answered, explain=explain, contributions=contributions)
        if trial is None or trial.rollout.shadow:
            return asked(served, rows)
        drawn = [number for number, row in enumerate(rows) if trial.draws(self._customer(row))]
        if not drawn:
            return asked(served, rows)
        try:
            challenged = asked(trial.served, [rows[number] for number in drawn])
        except Exception as error:  # noqa: BLE001 - whatever a version on trial does, the client is answered
            answers = asked(served, rows)  # a request that cannot be answered is refused here
            note("serve", f"version {trial.served.version} failed, and version {served.version} answered: {error}")
            return answers._replace(challenger=trial.served, failed=tuple(drawn))
        others = sorted(set(range(len(rows))) - {*drawn})
        return _merged(asked(served, [rows[number] for number in others]), others, challenged, drawn)

    def shadow(self, rows: Sequence[Mapping[str, object]]) -> Answers | None:
        """Return what a version that is rolled out in shadow says of rows; None where none is. It raises nothing.

        Rows that it cannot score are `failed`.
        """
        trial = self.trial
        if trial is None or not trial.rollout.shadow:
            return None
        try:
            return self._answered(trial.served, rows, explain=False, contributions=False)
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            note("serve", f"version {trial.served.version} failed in shadow: {error}")
            failed = [Answer(self._customer(row), "failed", None, None) for row in rows]
            return Answers(trial.served, failed, [], {}, Spent(0, 0, 0), failed=tuple(range(len(rows))))

    def _answered(
        self, served: Served, rows: Sequence[Mapping[str, object]], *, explain: bool, contributions: bool
    ) -> Answers:
        begun = perf_counter()
        ignored = self._unknown_columns(served, rows)
        prepared = [self._prepared(served, row) for row in rows]
        known = [values for _, _, values, _ in prepared if values is not None]
        found = perf_counter()
        scored = score_rows(served.model, known, explain=explain)
        score_ms = 1000 * (perf_counter() - found) / max(len(known), 1)
        spent = Spent(found - begun, scored.encode_seconds, perf_counter() - found - scored.encode_seconds)
        waiting = iter(scored.scores)
        answers = [
            Answer(customer, self._status(at), next(waiting), at, None, values, table_version, score_ms)
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
        customer = self._customer(row)
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

    def _customer(self, row: Mapping[str, object]) -> str | None:
        key = self._workspace.contract.entity_key
        return None if row.get(key) is None else canonical_text(_key(key, row[key])) or None

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


def _merged(old: Answers, others: Sequence[int], new: Answers, drawn: Sequence[int]) -> Answers:
    """Return the answers of both versions in the order of the request; `others` and `drawn` number their rows."""
    rows = [row for _, row in sorted(zip((*others, *drawn), (*old.rows, *new.rows), strict=True), key=itemgetter(0))]
    return old._replace(
        rows=rows,
        ignored=sorted({*old.ignored, *new.ignored}),
        unseen=dict(Counter(old.unseen) + Counter(new.unseen)),
        spent=Spent(*map(add, old.spent, new.spent)),
        challenger=new.served,
        challenged=frozenset(drawn),
    )


def _key(name: str, value: object) -> object:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise DataError(f"The customer's key {name!r} is a list, an object or a truth value: give a text or a number.")
    return value
