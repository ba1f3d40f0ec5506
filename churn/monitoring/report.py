"""What monitoring found: windows with their figures, what they mean, and what to do."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import Field

from ..core.clock import UtcTime
from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..core.wording import amount, counted, moment
from .measure import WHOLE, Difference, Figure

__all__ = ["ACTS", "KINDS", "Advice", "Diagnosis", "DiagnosisKind", "Mark", "MonitoringReport", "ShiftCost", "Window"]

DiagnosisKind = Literal[
    "broken_feed",
    "worse_than_before",
    "concept_drift",
    "drift_with_loss",
    "drift",
    "late_labels",
    "treated_labels",
    "too_little_data",
]
KINDS: dict[DiagnosisKind, str] = {
    "broken_feed": "broken feed",
    "worse_than_before": "worse than the version before",
    "concept_drift": "concept drift",
    "drift_with_loss": "covariate drift with loss",
    "drift": "covariate drift without loss",
    "late_labels": "late labels",
    "treated_labels": "treated labels",
    "too_little_data": "too little data",
}
"""What each diagnosis is called, the most pressing first."""
ACTS: frozenset[DiagnosisKind] = frozenset(
    {"broken_feed", "worse_than_before", "concept_drift", "drift_with_loss", "late_labels"}
)
"""The diagnoses upon which someone should act."""


class Window(Finite):
    """The figures of one window of one version and source that diagnoses are made from.

    Attributes:
        version: The version that predicted.
        source: batch or endpoint.
        start: When it begins.
        end: When it ends.
        rows: Predictions.
        stayed: How many are known to have stayed, untreated.
        churned: How many are known to have churned, by the share of those that they stand for.
        left_out: Rows whose outcome is known and left out, because the customer was contacted meanwhile.
        due: Whether every outcome should be known by now.
        unrepresented: Share of the known outcomes that are left out with no control group that stands for them.
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
    left_out: int = 0
    due: bool = False
    unrepresented: float = 0.0
    unmatched: float | None = None
    mean_probability: float | None = None
    realised: dict[str, float] = Field(default_factory=dict)
    estimated: dict[str, Estimate] = Field(default_factory=dict)
    backtest: dict[str, Estimate] = Field(default_factory=dict)
    drift: dict[str, dict[str, float]] = Field(default_factory=dict)

    @classmethod
    def of(
        cls, figures: Iterable[Figure], differences: Iterable[Difference], *, end: dt.datetime, **fields: Any
    ) -> Self:
        """Return the window with these figures of its whole, and these differences from the baseline.

        Args:
            figures: Those of `:table`; others are passed over.
            differences: Of every column.
            end: When it ends.
            **fields: Those that are no figures: version, source, start, and whether outcomes are due.
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
        left_out = int(measured.get("contacted_rows", 0))
        outcomes = rows - int(measured["immature_rows"]) - left_out
        churned = round(outcomes * by_kind["realised"].get("churn_share", 0.0))
        is_weighted = "effective_rows" in by_kind["realised"]
        return cls(
            end=end,
            rows=rows,
            stayed=outcomes - churned,
            churned=churned,
            unmatched=measured.get("unmatched_share"),
            mean_probability=measured.get("mean_probability"),
            left_out=left_out,
            unrepresented=left_out / (left_out + outcomes) if left_out and not is_weighted else 0.0,
            realised=by_kind["realised"],
            estimated=by_kind["estimated"],
            backtest=by_kind["backtest"],
            drift=dict(drift),
            **fields,
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
        columns: The columns that a broken feed shows in.
    """

    kind: DiagnosisKind
    version: int
    source: str
    window: str
    evidence: tuple[str, ...]
    recommendation: str
    columns: tuple[str, ...] = ()

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


class Mark(Finite):
    """Something that happened while a model was watched, in the time of the windows."""

    at: UtcTime
    kind: Literal["promotion", "retraining", "campaign", "alert"]
    text: str


class ShiftCost(Finite):
    """What the shift of one window costs.

    Attributes:
        window: The window.
        source: batch or endpoint.
        rows: Predictions of the source in the month before the end of the window.
        total: Expected profit that is lost a month against the baseline, in the currency; below 0 it is gained.
        columns: The part of each column, the dearest first.
        rest: What the columns one by one do not explain: how they come together. It adds up with them to the total.
        effective_rows: How many equally weighted rows of the baseline the weighted ones are worth.
        unpriced: Largest share of rows with a value that the baseline does not have, over the columns.
    """

    window: str
    source: str
    rows: int
    total: Estimate
    columns: dict[str, Estimate] = Field(default_factory=dict)
    rest: Estimate | None = None
    effective_rows: float
    unpriced: float = 0.0

    @property
    def dearest(self) -> tuple[str, ...]:
        """The two columns that the total is mostly due to; none where the columns do not explain it."""
        if self.rest is not None and abs(self.rest.point) > abs(self.total.point) / 2:
            return ()
        sign, least = (1 if self.total.point > 0 else -1), abs(self.total.point) / 10
        alike = [name for name, part in self.columns.items() if sign * part.point >= least]
        return tuple(sorted(alike, key=lambda name: -sign * self.columns[name].point)[:2])

    def sentence(self, currency: str, words: Mapping[str, str]) -> str:
        """Return the cost in a sentence; `words` says how one speaks of each column."""
        named = [words.get(name, name) for name in self.dearest]
        span = f"{amount(abs(self.total.lower), currency)} and {amount(abs(self.total.upper), currency)}"
        about = f"on {counted(self.rows, 'prediction')} a month, by the probabilities"
        if self.total.lower <= 0 <= self.total.upper:
            low, high = amount(-self.total.lower, currency), amount(self.total.upper, currency)
            return f"What the shift costs {about}, cannot be told from nothing: between {low} gained and {high} lost."
        verb = "costs" if self.total.point > 0 else "earns"
        told = f"The shift {verb} about {amount(abs(self.total.point), currency)} {about} (between {span})"
        return f"{told}, most of it by {' and '.join(named)}." if named else f"{told}."


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
        costs: What the shift of each of these windows costs a month, by column.
        marks: What happened meanwhile, the oldest first.
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
    costs: tuple[ShiftCost, ...] = ()
    marks: tuple[Mark, ...] = ()
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
        if self.advice.state != "no_reason":
            return f"Nothing to do now. {self.advice.sentence}"
        looked = counted(len(self.windows), "window")
        return f"Nothing to do: {looked} looked at, the last of {moment(self.windows[-1].start)}."

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes that the headline does not say already."""
        return tuple(note for note in self.notes if note != self.headline)
