"""Answers scoring requests: by the champion of the ledger, or by a challenger in a rollout."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from operator import add, itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from ..approval.rollout import Rollout, running
from ..approval.state import ModelState
from ..core.errors import ChurnError, NotFound, StoreError
from ..core.frozen import Frozen
from ..core.progress import note
from ..core.shares import hash_share
from ..ports.online import OnlineRow
from ..ports.registry import ModelVersion
from ..scoring.answers import Answer, RowAnswers, Spent
from ..scoring.inspection import ModelDescription, contributions_of, describe
from ..scoring.online import score_rows
from ..scoring.rows import LoadedModel
from ..settings import Settings
from .inference import champion_of
from .workspace import Workspace

__all__ = ["Agreement", "Answers", "Endpoint", "Readiness", "Served", "Trial"]


_MEANWHILE = "Rows with every input are answered meanwhile."


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
        self._foreign_store: str | None = None
        self._rollout: Rollout | None = None
        self._trial: Trial | None = None
        self._trial_trouble: str | None = None
        contract = workspace.contract
        self._rows = RowAnswers(
            contract.name,
            contract.entity_key,
            (*contract.kinds, *(spec.name for spec in contract.features)),
            self._look_up,
            stale_after=settings.serving.stale_after(contract),
            unknown_columns=settings.serving.unknown_columns,
            clock=workspace.clock,
        )

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
            is_loaded = before is not None and before.served.version == rollout.version
            served = before.served if before and is_loaded else self._load(state.version(rollout.version))
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
        contract, self._foreign_store = self._workspace.contract, None
        try:
            published = self._workspace.online.publication()
        except StoreError as error:
            return f"{error} {_MEANWHILE}"
        if published is None:
            return f"Nothing is in the online store yet: publish by `python run.py features publish`. {_MEANWHILE}"
        if published.features.dataset != contract.name:
            self._foreign_store = (
                f"The online store holds customers of {published.features.dataset!r}, and this endpoint is that of "
                f"{contract.name!r}: let `profile.online` name another place, or publish by `python run.py features "
                "publish --full`."
            )
            return f"{self._foreign_store} {_MEANWHILE}"
        if lacking := sorted(contract.kinds.keys() - published.columns.keys()):
            return (
                f"The online store has no {lacking[0]!r}, which the contract has: publish by `python run.py features "
                f"publish --full`. {_MEANWHILE}"
            )
        return None

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
        answered = partial(self._answered, explain=explain, contributions=contributions)
        if trial is None or trial.rollout.shadow:
            return answered(served, rows)
        drawn = [number for number, row in enumerate(rows) if trial.draws(self._rows.customer(row))]
        if not drawn:
            return answered(served, rows)
        try:
            challenged = answered(trial.served, [rows[number] for number in drawn])
        except Exception as error:  # noqa: BLE001 - whatever a version on trial does, the client is answered
            answers = answered(served, rows)  # a request that cannot be answered is refused here
            note("serve", f"version {trial.served.version} failed, and version {served.version} answered: {error}")
            return answers._replace(challenger=trial.served, failed=tuple(drawn))
        others = sorted(set(range(len(rows))) - {*drawn})
        return _merged(answered(served, [rows[number] for number in others]), others, challenged, drawn)

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
            failed = [Answer(self._rows.customer(row), "failed", None, None) for row in rows]
            return Answers(trial.served, failed, [], {}, Spent(0, 0, 0), failed=tuple(range(len(rows))))

    def _answered(
        self, served: Served, rows: Sequence[Mapping[str, object]], *, explain: bool, contributions: bool
    ) -> Answers:
        scored = self._rows.answer(served.version, served.model, rows, explain=explain)
        answers = scored.rows
        with_score = [(row.values, row.score) for row in answers if row.values is not None and row.score is not None]
        if contributions and with_score:
            values = [values for values, _ in with_score]
            details = iter(contributions_of(served.model, values, [score.customer_value for _, score in with_score]))
            answers = [
                answer if answer.score is None else answer._replace(contributions=next(details)) for answer in answers
            ]
        return Answers(served, answers, scored.ignored, scored.unseen, scored.spent)

    def _look_up(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
        if self._foreign_store is not None:
            raise StoreError(self._foreign_store)
        return self._workspace.online.rows(customers)

    def _loaded_version(self) -> Served:
        served = self.served
        if served is None:
            raise NotFound(f"No version of {self._workspace.model} is loaded.")
        return served


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
