"""What the gate found: every check, both models on the same rows, both recipes on the same folds."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Literal

from pydantic import Field

from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..evaluation.evaluate import Evaluation
from ..ports.ledger import Verdict
from .checks import Check
from .settings import GateSettings

__all__ = [
    "Comparison",
    "Contestant",
    "GateReport",
    "Histogram",
    "PairedMetric",
    "RecipeComparison",
    "RecipeMetric",
    "Relation",
    "SliceComparison",
]


Relation = Literal["first", "identical", "refresh", "recipe"]
"""What the challenger is to the champion: the first there is, the same model, the same recipe on newer data, another
recipe (or the same on the same data)."""


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
        description="How often chance alone would show so great a loss, corrected for the number of metrics that are "
        "tested (Holm 1979); None if not tested.",
    )
    detectable: float = Field(description="The smallest true gain found with 80 % power at alpha, one-sided.")
    draws: Histogram = Field(description="The gain over the resamples.")


class SliceComparison(Finite):
    """Both models on one slice of the same rows."""

    column: str
    value: str
    rows: int
    gains: dict[str, Estimate] = Field(default_factory=dict, description="`log_loss` and `profit_per_customer`.")
    p_worse: float | None = Field(default=None, description="Corrected for the number of slices (Holm 1979).")
    worse: bool = False
    skipped: str | None = Field(default=None, description="Why it was not judged.")


class Comparison(Finite):
    """Both models on the same rows, resampled by customer."""

    name: Literal["holdout", "newest"]
    rows: int
    customers: int
    churners: int
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


class Contestant(Finite):
    """A registered version under comparison."""

    version: int
    digest: str
    description: str
    recipe_digest: str | None = None
    data_digest: str | None = None
    trained_until: dt.datetime | None = Field(default=None, description="The newest event time it was trained on.")
    registered_at: dt.datetime | None = None
    evaluation: Evaluation | None = Field(default=None, description="On the rows of the holdout comparison.")


class GateReport(Finite):
    """Everything a decision about a challenger rests on."""

    model: str
    at: dt.datetime
    settings: GateSettings
    currency: str
    relation: Relation
    challenger: Contestant
    champion: Contestant | None = None
    checks: tuple[Check, ...]
    holdout: Comparison | None = None
    newest: Comparison | None = Field(default=None, description="Mature rows newer than the champion's training.")
    recipes: RecipeComparison | None = None
    evaluated_on: dict[str, str] = Field(default_factory=dict, description="Tables: name to version and digest.")
    seconds: dict[str, float] = Field(default_factory=dict, description="Wall time of each part.")

    @property
    def passed(self) -> bool:
        """Whether every check passed; no check at all is a refusal."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def verdict(self) -> Verdict:
        """The worst answer among the checks."""
        found = {check.verdict for check in self.checks}
        return "error" if "error" in found or not found else "fail" if "fail" in found else "pass"

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        wrong = [check.name for check in self.checks if not check.passed]
        if not wrong:
            return f"version {self.challenger.version} passes the gate, {len(self.checks)} checks"
        return f"version {self.challenger.version} is refused by {', '.join(wrong)}"

    @property
    def digest(self) -> str:
        """What an approval is bound to: a digest of the whole report."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
