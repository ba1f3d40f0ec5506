"""Tells apart why a window looks otherwise: a broken feed, other customers, customers who behave otherwise, or chance.

A difference counts if it is both significant and large. Half of `monitoring.alpha` is shared by the tests of the inputs
and the predictions (Bonferroni), the other half by those of the performance.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, median

from ..core.wording import counted, percent
from ..evaluation.metrics import METRICS
from .measure import SCORE
from .report import KINDS, Diagnosis, DiagnosisKind, Window
from .settings import MonitoringSettings

__all__ = ["Triage", "has_loss", "silence", "usual_gap"]

_TESTS = 3  # of each column: of the distribution, of missing values, of values that are new
_JUDGED = ("roc_auc", "calibration_slope", "churn_share")
_RECOMMENDED: dict[DiagnosisKind, str] = {
    "broken_feed": (
        "Correct the source and deliver the rows again; do not retrain on them. If the change is real, such as a price "
        "rise or a new product, give the column and the day in monitoring.real_changes."
    ),
    "concept_drift": "Train on the newer outcomes once the loss persists: python run.py --pipeline retraining.",
    "drift_with_loss": (
        "Look at the columns named, then train on newer customers once the loss persists: python run.py --pipeline "
        "retraining."
    ),
    "drift": "Nothing: on these customers the model should do as well, within chance, as on those it was judged on.",
    "late_labels": "Ask whoever delivers the outcomes: python run.py --pipeline features takes them in.",
    "treated_labels": "Conclude nothing about such customers, and keep campaign.control_share above 0.",
    "too_little_data": "Wait for more rows, or judge longer windows (monitoring.judged).",
}


@dataclass(frozen=True)
class Triage:
    """Diagnoses windows.

    Attributes:
        settings: Thresholds and error rates.
        currency: Of amounts.
        described: How one speaks of each column.
    """

    settings: MonitoringSettings
    currency: str
    described: Mapping[str, str]

    def __call__(self, window: Window, baseline: Mapping[str, float]) -> tuple[Diagnosis, ...]:
        """Return what a window shows, the most pressing first; nothing where all is as it was.

        Args:
            window: Its figures.
            baseline: Metrics of its version on the holdout; empty without a baseline.
        """
        broken = list(self._broken(window)) if window.rows >= self.settings.min_rows else []
        evidence_of = self._found(window, baseline, [evidence for _, evidence in broken])
        return tuple(
            Diagnosis(
                kind=kind,
                version=window.version,
                source=window.source,
                window=window.name,
                evidence=tuple(evidence_of[kind]),
                recommendation=_RECOMMENDED[kind],
                columns=tuple(dict.fromkeys(name for name, _ in broken if name)) if kind == "broken_feed" else (),
            )
            for kind in KINDS
            if evidence_of.get(kind)
        )

    def _found(
        self, window: Window, baseline: Mapping[str, float], broken: list[str]
    ) -> dict[DiagnosisKind, list[str]]:
        if window.rows < self.settings.min_rows:
            needed = f"a judgement needs {self.settings.min_rows:,} (monitoring.min_rows)."
            few = f"{counted(window.rows, 'prediction')}, and {needed}"
            return {"too_little_data": [few]}
        shifted, treated = list(self._shifted(window)), list(self._treated(window))
        concept = list(self._concept(window, baseline))
        loss = list(self._loss(window, baseline)) if shifted else []
        return {
            "broken_feed": broken,
            "concept_drift": [] if treated or broken else concept,
            "drift_with_loss": [*loss, *shifted] if loss and not broken else [],
            "drift": shifted if not loss and not broken else [],
            "late_labels": list(self._late(window)),
            "treated_labels": [*treated, *concept] if treated else [],
        }

    def _level(self, window: Window) -> float:
        return self.settings.alpha / 2 / max(1, _TESTS * len(window.drift))

    def _broken(self, window: Window) -> Iterator[tuple[str, str]]:
        """Yield in which column a feed looks broken, and how: rows or values missing, new values, another unit."""
        level, limit = self._level(window), self.settings.thresholds
        if window.source == "batch" and window.unmatched is not None and window.unmatched >= limit.missing:
            yield "", f"{percent(window.unmatched)} of the predictions have no row in churn_features."
        for column, measures in window.drift.items():
            if window.start.date() >= self.settings.real_changes.get(column, dt.date.max):
                continue
            name = self.described.get(column, column)
            gain = measures.get("null_share_gain", 0.0)
            if gain >= limit.missing and measures["null_p"] < level:
                yield column, f"{name} is missing in {percent(gain)} more of the rows than in the baseline."
            new = measures.get("unseen_share", 0.0)
            if "ks" not in measures and new >= limit.unseen and measures["unseen_p"] < level:
                yield column, f"{name} has values that the baseline does not have, in {percent(new)} of the rows."
            factor = measures.get("scale")
            if factor is not None and abs(factor - 1) >= limit.scale and _p_value(measures) < level:
                yield (
                    column,
                    f"{name} is {METRICS['scale'].text(factor)} times what it was throughout: another unit, or a "
                    "price change.",
                )

    def _shifted(self, window: Window) -> Iterator[str]:
        level, limit = self._level(window), self.settings.thresholds.psi
        moved = [
            (measures["psi"], column)
            for column, measures in window.drift.items()
            if column != "label" and measures.get("psi", 0.0) >= limit and measures["chi_square_p"] < level
        ]
        for psi, column in sorted(moved, reverse=True):
            name = "the predicted probability" if column == SCORE else self.described.get(column, column)
            yield f"{name} has shifted: {METRICS['psi'].label} {METRICS['psi'].text(psi)}."

    def _loss(self, window: Window, baseline: Mapping[str, float]) -> Iterator[str]:
        """Yield what the shift costs, as estimated or, where outcomes are known, as realised."""
        limit = self.settings.thresholds
        realised = {name: window.realised[name] for name in window.backtest if name in window.realised}
        outcomes = realised if self._is_known(window) else {}
        for name, most in (("roc_auc", limit.roc_auc), ("profit_per_customer", limit.profit_share)):
            if name not in baseline or name not in window.estimated:
                continue
            allowed = baseline[name] - most if name == "roc_auc" else baseline[name] * (1 - most)
            margin = NormalDist().inv_cdf(self.settings.confidence) * window.estimated[name].se
            point, how = (
                (outcomes[name], "realised") if name in outcomes else (window.estimated[name].point, "estimated")
            )
            if point + margin < allowed:
                metric = METRICS[name]
                now, was = metric.text(point, self.currency), metric.text(baseline[name], self.currency)
                yield f"{metric.heading} is {now} ({how}), and was {was} on the holdout."

    def _concept(self, window: Window, baseline: Mapping[str, float]) -> Iterator[str]:
        """Yield where outcomes are otherwise than the probabilities say.

        Customers are told apart less well (ROC AUC), the differences between them are smaller than predicted
        (calibration slope), or more or fewer of all churn. A slope below 1 on the holdout is the model's own: what
        counts is the fall from there.
        """
        if not self._is_known(window):
            return
        for name in _JUDGED:
            if name not in window.realised or name not in window.backtest:
                continue
            metric, estimate, now = METRICS[name], window.backtest[name], window.realised[name]
            limit, level = getattr(self.settings.thresholds, name), self.settings.alpha / 2 / len(_JUDGED)
            gap = estimate.point - now
            if name == "calibration_slope":
                gap += min(0.0, baseline.get(name, 1.0) - 1)
            if name == "churn_share":
                gap, limit, level = abs(gap), limit * estimate.point, level / 2
            if gap >= limit and gap > NormalDist().inv_cdf(1 - level) * estimate.se:
                values = f"{metric.text(now)}, and {metric.text(estimate.point)}"
                yield (
                    f"{metric.heading} of {window.mature:,} known outcomes is {values} was estimated from the "
                    "probabilities."
                )

    def _is_known(self, window: Window) -> bool:
        return min(window.stayed, window.churned) >= self.settings.min_outcomes

    def _late(self, window: Window) -> Iterator[str]:
        missing = 1 - (window.mature + window.left_out) / window.rows
        if window.due and missing > self.settings.late_share:
            yield f"{percent(missing)} of {window.rows:,} outcomes are due and not there."

    def _treated(self, window: Window) -> Iterator[str]:
        if window.unrepresented >= self.settings.thresholds.treated:
            yield (
                f"{percent(window.unrepresented)} of the known outcomes are left out, because their customers were "
                "contacted, and there is no control group that stands for them."
            )


def has_loss(diagnoses: tuple[Diagnosis, ...]) -> bool:
    """Return whether a window shows a loss that training on newer rows may cure."""
    return any(diagnosis.kind in {"concept_drift", "drift_with_loss"} for diagnosis in diagnoses)


def _p_value(measures: Mapping[str, float]) -> float:
    return min(measures.get("chi_square_p", 1.0), measures.get("ks_p", 1.0))


def usual_gap(times: Sequence[dt.datetime]) -> float | None:
    """Return the median of the days from one of these times to the next; None for fewer than two."""
    gaps = [(later - earlier).days for earlier, later in pairwise(sorted({*times}))]
    return median(gaps) if gaps else None


def silence(scored: Sequence[dt.datetime], now: dt.datetime, version: int | None) -> tuple[Diagnosis, ...]:
    """Return a diagnosis where nothing was scored for more than twice as long as usual.

    Args:
        scored: The days on which anything was scored; with fewer than three nobody knows what is usual.
        now: The time.
        version: The version that is live; without one nothing is expected.
    """
    usual = usual_gap(scored)
    if version is None or usual is None or len({*scored}) < 3:
        return ()
    last = max(scored)
    gap = (now - last).days
    if gap <= 2 * usual + 1:
        return ()
    evidence = f"Nothing was scored for {gap} days, and usually something is every {usual:g}."
    return (
        Diagnosis(
            kind="broken_feed",
            version=version,
            source="",
            window=f"{last:%Y-%m-%d}",
            evidence=(evidence,),
            recommendation="Find out why the scoring job did not run: python run.py --pipeline inference.",
        ),
    )
