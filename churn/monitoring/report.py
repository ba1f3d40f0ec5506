"""What monitoring found: windows with their figures, what they mean, and what to do."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field

from ..core.clock import UtcTime
from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..core.wording import moment
from .measure import WHOLE, Difference, Figure

__all__ = ["ACTS", "KINDS", "Advice", "Diagnosis", "DiagnosisKind", "MonitoringReport", "Window"]

DiagnosisKind = Literal[
    "broken_feed",
    "concept_drift",
    "drift_with_loss",
    "drift",
    "late_labels",
    "treated_labels",
    "too_little_data",
]
KINDS: dict[DiagnosisKind, str] = {
    "broken_feed": "broken feed",
    "concept_drift": "concept drift",
    "drift_with_loss": "covariate drift with loss",
    "drift": "covariate drift without loss",
    "late_labels": "late labels",
    "treated_labels": "treated labels",
    "too_little_data": "too little data",
}
"""What each diagnosis is called, the most pressing first."""
ACTS: frozenset[DiagnosisKind] = frozenset({"broken_feed", "concept_drift", "drift_with_loss", "late_labels"})
"""The diagnoses upon which someone should act."""


class Window(Finite):
    """The figures of one window of one version and source that diagnoses are made from.

    Attributes:
        version: The version that predicted.
        source: batch or endpoint.
        start: When it begins.
        end: When it ends.
        rows: Predictions.
        stayed: How many are known to have stayed.
        churned: How many are known to have churned.
        due: Whether every outcome should be known by now.
        contacted: Share of the customers who were contacted before their outcome was known.
        unmatched: Share of the predictions without a row of features; None where there are no columns.
        realised: Metrics of the rows whose outcome is known.
        estimated: Metrics of all rows, estimated without outcomes.
        backtest: The same of the rows whose outcome is known.
        drift: Measures against the baseline, by column; empty without a baseline.
        mean_probability: Mean prediction.
    """

    version: int
    source: str
    start: UtcTime
    end: UtcTime
    rows: int
    stayed: int = 0
    churned: int = 0
    due: bool = False
    contacted: float = 0.0
    unmatched: float | None = None
    mean_probability: float | None = None
    realised: dict[str, float] = Field(default_factory=dict)
    estimated: dict[str, Estimate] = Field(default_factory=dict)
    backtest: dict[str, Estimate] = Field(default_factory=dict)
    drift: dict[str, dict[str, float]] = Field(default_factory=dict)

    @classmethod
    def of(cls, figures: Iterable[Figure], differences: Iterable[Difference], *, end: dt.datetime, **told: Any) -> Self:
        """Return the window with these figures of its whole, and these differences from the baseline.

        Args:
            figures: Those of `:table`; others are passed over.
            differences: Of every column.
            end: When it ends.
            told: The fields that are no figures: version, source, start, and what is known of outcomes and contacts.
        """
        by_kind: dict[str, dict[str, Any]] = defaultdict(dict)
        for figure in figures:
            if figure.column == WHOLE and figure.number is not None:
                by_kind[figure.kind][figure.metric] = figure.interval or figure.number
        drift: dict[str, dict[str, float]] = defaultdict(dict)
        for part in differences:
            if part.number is not None:
                drift[part.column][part.metric] = part.number
        measured = by_kind["measured"]
        rows = int(measured["rows"])
        known = rows - int(measured["immature_rows"])
        churned = round(known * by_kind["realised"].get("churn_share", 0.0))
        return cls(
            end=end,
            rows=rows,
            stayed=known - churned,
            churned=churned,
            unmatched=measured.get("unmatched_share"),
            mean_probability=measured.get("mean_probability"),
            realised=by_kind["realised"],
            estimated=by_kind["estimated"],
            backtest=by_kind["backtest"],
            drift=dict(drift),
            **told,
        )

    @property
    def mature(self) -> int:
        """Rows whose outcome is known."""
        return self.stayed + self.churned

    @property
    def name(self) -> str:
        """How one speaks of it, such as `2025-06-01` or `2025-06-01 to 2025-06-30`."""
        last = (self.end - dt.timedelta(microseconds=1)).date()
        return f"{self.start:%Y-%m-%d}" + ("" if last == self.start.date() else f" to {last}")


class Diagnosis(Finite):
    """What a window shows.

    Attributes:
        kind: Which of `KINDS`.
        version: The version whose window it is.
        source: batch or endpoint; empty where it is about all of them.
        window: The window.
        evidence: The figures it rests on, a sentence each.
        recommendation: What to do.
    """

    kind: DiagnosisKind
    version: int
    source: str
    window: str
    evidence: tuple[str, ...]
    recommendation: str

    @property
    def acts(self) -> bool:
        """Whether someone should act."""
        return self.kind in ACTS

    @property
    def sentence(self) -> str:
        """The diagnosis with its first piece of evidence."""
        return f"{KINDS[self.kind][:1].upper()}{KINDS[self.kind][1:]} ({self.window}): {self.evidence[0]}"


class Advice(Finite):
    """Whether to train anew.

    Attributes:
        state: `no_reason`, or what speaks against it although there is a loss, or `retrain`.
        sentence: The same with its figures.
        new_outcomes: Outcomes that became known since the last training.
    """

    state: Literal["no_reason", "broken_feed", "not_persistent", "cooling_down", "too_few_outcomes", "retrain"]
    sentence: str
    new_outcomes: int = 0


class MonitoringReport(Finite):
    """What one run of monitoring found.

    Attributes:
        dataset: The data set.
        model: Its registered model.
        live: The version that is live; None without one.
        currency: Of every amount.
        at: When it ran.
        length: Of the windows that are judged.
        measured: Windows that were measured in this run, of every length and clock.
        unchanged: Windows that had been measured before and are as they were.
        windows: The newest judged windows, the oldest first.
        baselines: Metrics of each version on its holdout, by the version's number.
        diagnoses: What the newest windows of the live version show, the most pressing first.
        advice: Whether to train anew.
        notes: What could not be measured or compared, a sentence each.
    """

    dataset: str
    model: str
    live: int | None
    currency: str
    at: UtcTime
    length: str
    measured: int
    unchanged: int
    windows: tuple[Window, ...] = ()
    baselines: dict[int, dict[str, float]] = Field(default_factory=dict)
    diagnoses: tuple[Diagnosis, ...] = ()
    advice: Advice
    notes: tuple[str, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether someone should act."""
        return self.advice.state == "retrain" or any(diagnosis.acts for diagnosis in self.diagnoses)

    @property
    def headline(self) -> str:
        """What is to be done, in one sentence."""
        pressing = next((diagnosis for diagnosis in self.diagnoses if diagnosis.acts), None)
        if pressing is not None:
            return pressing.sentence
        if self.advice.state == "retrain":
            return self.advice.sentence
        if not self.windows:
            return self.notes[0] if self.notes else "There are no predictions to look at."
        return f"Nothing to do: {len(self.windows):,} windows looked at, the last of {moment(self.windows[-1].start)}."
