"""The report of the gate: the result of each check, both versions on the same rows, both recipes on the same folds."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable
from typing import Literal, Self, TypeVar

from pydantic import Field

from ..core.canonical import StoredFormat, digest
from ..core.errors import DataError, StoreError
from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..data.untreated import UntreatedRows
from ..evaluation.evaluate import Evaluation
from ..ports.ledger import Verdict
from ..ports.registry import MODEL_DIGEST, ModelVersion
from .settings import GateSettings

__all__ = [
    "REPORT_FORMAT",
    "TRAINED_UNTIL",
    "Check",
    "Checks",
    "Comparison",
    "GateReport",
    "Histogram",
    "PairedMetric",
    "Progress",
    "RecipeComparison",
    "RecipeMetric",
    "Relation",
    "SliceComparison",
    "VersionSummary",
    "failed_check",
    "run_check",
]

Relation = Literal["first", "identical", "refresh", "recipe", "code"]
"""What the challenger is to the champion: `first` where there is no champion; `identical`, the same model; `refresh`,
the same recipe on newer data; `recipe`, another recipe, or the same on the same data; `code`, a version made by code
that makes another model of the champion's recipe and data."""

Progress = Callable[[int, int, str], None]
"""Called with the number of steps done, their total, and a message."""

TRAINED_UNTIL = "trained_until"
"""The tag with the newest event time of the rows that a version was trained on (ISO 8601, UTC)."""

_PARTS = 15
"""The most parts of a gate that report progress."""

Result = TypeVar("Result")


class Check(Finite):
    """The result of one check: a value, the bar it was held against, and a sentence that says what it means."""

    name: str = Field(pattern="^[a-z0-9_]+$", description="The version's tag is `gate.<name>`.")
    verdict: Verdict
    value: float | str | None = Field(default=None, description="What was measured.")
    threshold: float | str | None = Field(default=None, description="The bar that the value was held against.")
    sentence: str = Field(description="What it means, for a reader who decides and does not compute.")

    @classmethod
    def of(
        cls, name: str, passed: bool, *, value: float | str | None, threshold: float | str | None, yes: str, no: str
    ) -> Self:
        """Return the check with the sentence of its verdict: `yes` where it passed, `no` where it failed."""
        verdict: Verdict = "pass" if passed else "fail"
        return cls(name=name, verdict=verdict, value=value, threshold=threshold, sentence=yes if passed else no)

    @property
    def passed(self) -> bool:
        """Whether the verdict is `pass`."""
        return self.verdict == "pass"


def run_check(name: str, check: Callable[[], Check]) -> Check:
    """Return the result of `check`; an exception in it is a failed check."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - an exception must never let a model through
        return failed_check(name, error)


def failed_check(name: str, error: Exception) -> Check:
    """Return the check that failed because `error` was raised."""
    reason = str(error) or type(error).__name__
    return Check(name=name, verdict="error", sentence=f"The check failed, so the version is refused: {reason}")


class Checks:
    """Collects the checks of one gate, and the seconds of each part of it.

    Attributes:
        results: The checks so far, in order.
        seconds: Wall time of each part, by name.
    """

    def __init__(self, progress: Progress) -> None:
        self.results: list[Check] = []
        self.seconds: dict[str, float] = {}
        self._progress = progress

    def part(self, name: str, compute: Callable[[], Result]) -> Result | None:
        """Return what `compute` returns; an exception becomes the failed check `name`, and the result None."""
        started = time.perf_counter()
        try:
            self._progress(len(self.seconds) + 1, _PARTS, name.replace("_", " "))
            return compute()
        except Exception as error:  # noqa: BLE001 - an exception must never let a model through
            self.results.append(failed_check(name, error))
            return None
        finally:
            self.seconds[name] = time.perf_counter() - started

    def extend(self, name: str, checks: Callable[[], Iterable[Check]]) -> None:
        """Add several checks; an exception outside of a single one of them becomes the failed check `name`."""
        try:
            self.results += checks()
        except Exception as error:  # noqa: BLE001 - an exception must never let a model through
            self.results.append(failed_check(name, error))

    def progress_within(self, name: str) -> Progress:
        """Return the progress function for the steps within the part `name`."""
        return lambda done, total, _: self._progress(len(self.seconds) + 1, _PARTS, f"{name}, {done} of {total}")


class Histogram(Finite):
    """How often each range of a value came out; `edges` is one longer than `counts`."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class PairedMetric(Finite):
    """One metric of both models on the same rows. `gain` is positive where the challenger is better."""

    name: str = Field(description="As in `Evaluation.metrics`, such as `roc_auc` or `profit_per_customer`.")
    champion: float
    challenger: float
    gain: Estimate = Field(description="The paired difference; its interval is two-sided at 1 - 2·alpha.")
    margin: float | None = Field(
        default=None, description="The loss that still counts as no worse; None if not tested."
    )
    p_worse: float | None = Field(
        default=None,
        description="One-sided p-value of a loss, not corrected for the number of metrics; None if not tested.",
    )
    detectable: float = Field(description="The smallest true gain found with 80 % power at alpha, one-sided.")
    draws: Histogram | None = Field(default=None, description="The gain over the resamples, in earlier reports.")


class SliceComparison(Finite):
    """Both models on one slice of the same rows."""

    column: str
    value: str
    rows: int
    gains: dict[str, Estimate] = Field(default_factory=dict, description="`log_loss` and `profit_per_customer`.")
    p_worse: float | None = Field(
        default=None, description="The smaller p-value of both gains, one-sided, not corrected."
    )
    worse: bool = False
    skipped: str | None = Field(default=None, description="Why it was not judged.")


class Comparison(Finite):
    """Both models on the same rows, resampled by customer."""

    name: Literal["holdout", "newest"]
    rows: int
    customers: int
    churners: int = Field(description="Rows whose customer churned.")
    churned_customers: int | None = Field(
        default=None, description="Customers with such a row; None in what earlier versions stored."
    )
    since: dt.datetime
    until: dt.datetime = Field(description="Event times of the rows.")
    resamples: int
    metrics: tuple[PairedMetric, ...]
    slices: tuple[SliceComparison, ...] = ()


class RecipeMetric(Finite):
    """One metric of both recipes over repeated folds; `gain` is positive where the challenger's is better."""

    name: Literal["log_loss", "roc_auc"]
    champion: float
    challenger: float
    gain: Estimate = Field(description="Nadeau and Bengio's (2003) corrected resampled interval at 1 - 2·alpha.")
    p_better: float = Field(description="One-sided: how often chance alone would show such a gain.")
    p_worse: float
    detectable: float
    folds: tuple[float, ...] = Field(description="The gain on each fold.")


class RecipeComparison(Finite):
    """Both recipes refitted on the same folds of the training side."""

    rows: int
    customers: int
    folds: int
    repeats: int
    metrics: tuple[RecipeMetric, ...]


class VersionSummary(Finite):
    """A registered version as the report names it."""

    version: int
    digest: str
    description: str
    recipe_digest: str | None = None
    data_digest: str | None = None
    trained_until: dt.datetime | None = Field(default=None, description="The newest event time it was trained on.")
    registered_at: dt.datetime | None = None
    evaluation: Evaluation | None = Field(default=None, description="On the rows of the holdout comparison.")

    @classmethod
    def of(cls, version: ModelVersion) -> Self:
        """Return the summary of a version, from its tags.

        Raises:
            DataError: the tag `trained_until` is not a time with a zone.
        """
        return cls(
            version=version.version,
            digest=version.tags.get(MODEL_DIGEST, ""),
            description=version.description,
            recipe_digest=version.tags.get("recipe_digest"),
            data_digest=version.tags.get("data_digest"),
            trained_until=_trained_until(version),
            registered_at=version.created_at,
        )

    @classmethod
    def without_tags(cls, version: ModelVersion) -> Self:
        """Return the summary of a version whose tags cannot be read: its number and, if it has one, its digest."""
        return cls(version=version.version, digest=str(version.tags.get(MODEL_DIGEST, "")), description="")


def _trained_until(version: ModelVersion) -> dt.datetime | None:
    text = version.tags.get(TRAINED_UNTIL)
    if not text:
        return None
    try:
        time_ = dt.datetime.fromisoformat(text)
    except ValueError:
        time_ = None
    if time_ is None or time_.tzinfo is None:
        raise DataError(
            f"The tag {TRAINED_UNTIL!r} of version {version.version} is {text!r}, which is not a time with a zone such "
            "as 2024-01-31T00:00:00+00:00: restore the tag in the registry, or train the version again."
        )
    return time_


class GateReport(Finite):
    """Everything a decision about a challenger rests on."""

    model: str
    at: dt.datetime
    settings: GateSettings
    currency: str
    relation: Relation
    challenger: VersionSummary
    champion: VersionSummary | None = None
    checks: tuple[Check, ...]
    holdout: Comparison | None = None
    newest: Comparison | None = Field(default=None, description="Mature rows newer than the champion's training.")
    recipes: RecipeComparison | None = None
    evaluated_on: dict[str, str] = Field(default_factory=dict, description="Tables: name to version and digest.")
    untreated: UntreatedRows | None = Field(
        default=None, description="What past campaigns cost the outcomes; None where none touched them."
    )
    seconds: dict[str, float] = Field(default_factory=dict, description="Wall time of each part.")
    stored_digest: str | None = Field(
        default=None, exclude=True, repr=False, description="Of the stored text that it was read from; else None."
    )

    @property
    def passed(self) -> bool:
        """Whether every check passed; a report without checks did not pass."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among the checks; `unmeasured` only where nothing failed."""
        verdicts = {check.verdict for check in self.checks}
        order: tuple[Verdict, ...] = ("error", "fail", "unmeasured", "pass")
        return next((verdict for verdict in order if verdict in verdicts), "error")

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        version = f"version {self.challenger.version}"
        names = ", ".join(check.name for check in self.checks if not check.passed)
        if self.passed:
            return f"{version} passes the gate, {len(self.checks)} checks"
        if self.verdict == "unmeasured":
            return f"{version} is not judged: {names} could not be measured"
        return f"{version} is refused by {names}"

    @property
    def digest(self) -> str:
        """What an approval is bound to: the digest of the text as which the report is stored, or was once stored."""
        return self.stored_digest or digest(REPORT_FORMAT.write(self))


REPORT_FORMAT = StoredFormat("gate report", GateReport, newest=2, error=StoreError)
"""Format 1 was the JSON of the class in the order of its fields, and its digest is of that text."""
