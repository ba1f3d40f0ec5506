"""Prices the findings of monitoring: the cost of input shift by column, and of concept drift."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ..core.estimate import Estimate
from ..core.wording import amount
from ..model.money import expected_value
from ..monitoring.attribution import IntArray, axis_of, outcome_cost, shift_cost
from ..monitoring.measure import sides_of
from ..monitoring.performance import Cells, estimated
from ..monitoring.report import Diagnosis, ShiftCost, Window
from ..ports.windows import Asked, Bins
from ..scoring.baseline import MODEL_DIGEST_COLUMN
from ..settings import Settings
from .measuring import Measured
from .workspace import Workspace

__all__ = ["priced"]

_MONTH = dt.timedelta(days=30.4375)
_ROWS = 5_000  # of the baseline that are weighted, about
_OWN = ["probability", "customer_value", "treated"]


def priced(
    workspace: Workspace, settings: Settings, measured: Measured, windows: Sequence[Window], shown: Sequence[Diagnosis]
) -> tuple[tuple[Diagnosis, ...], tuple[ShiftCost, ...]]:
    """Return diagnoses with what they cost a month among their evidence, and the cost of each shift by column.

    A broken feed has no price: its probabilities are wrong, and what they say of the profit is too.

    Args:
        workspace: The ports of the data set.
        settings: The run's settings.
        measured: What the run measured.
        windows: The judged windows of the version that is live, the oldest first.
        shown: What they show.
    """
    words = {name: column.description for name, column in workspace.contract.columns.items()}
    currency, confidence = settings.money.currency, settings.monitoring.confidence
    by_place = {(window.name, window.source): window for window in windows}
    diagnoses, costs = [], []
    for diagnosis in shown:
        window, sentence = by_place.get((diagnosis.window, diagnosis.source)), ""
        if window is not None:
            rows = sum(other.rows for other in windows if _is_in_month(other, window))
            if diagnosis.kind == "concept_drift" and (gap := outcome_cost(window, confidence)):
                total = gap.scaled(rows)
                span = f"{amount(total.lower, currency)} to {amount(total.upper, currency)}"
                about = f"on {rows:,} predictions a month"
                sentence = f"Against the estimate it costs {amount(total.point, currency)} ({span}) {about}."
            elif diagnosis.kind in {"drift", "drift_with_loss"}:
                cost = _shift_cost(workspace, settings, measured, window, rows)
                if cost is None:
                    sentence = "What it costs is not known: these customers lie too far from the baseline to be priced."
                else:
                    costs.append(cost)
                    sentence = cost.sentence(currency, words)
        evidence = (*diagnosis.evidence, sentence) if sentence else diagnosis.evidence
        diagnoses.append(diagnosis.model_copy(update={"evidence": evidence}))
    return tuple(diagnoses), tuple(costs)


def _is_in_month(other: Window, window: Window) -> bool:
    first = min(window.start, window.end - _MONTH)  # a month of 31 days is within itself
    return other.source == window.source and first <= other.start < window.end


def _shift_cost(
    workspace: Workspace, settings: Settings, measured: Measured, window: Window, rows: int
) -> ShiftCost | None:
    counting, predicted = measured.countings.get(window.version), measured.predicted
    if counting is None or counting.baseline is None or predicted is None:
        return None
    asked = Asked("event", settings.monitoring.judged, window.version, {window.start})
    sides = sides_of(workspace.windows.aggregate(predicted, asked, counting.bins, ()))
    side = sides.get((window.start, window.source))
    if side is None:
        return None
    usable = [bins for bins in counting.bins if bins.name in side.columns]
    sample = _baseline_rows(workspace, [bins.name for bins in usable], counting.digest, counting.baseline.whole.rows)
    value, probability = (sample[name].to_numpy().astype(np.float64) for name in ("customer_value", "probability"))
    treated = sample["treated"].to_numpy(zero_copy_only=False)
    axes = [
        axis_of(
            bins,
            _places(bins, sample[bins.name].combine_chunks()),
            counting.baseline.counted(bins),
            side.counted(bins),
            side.columns[bins.name]["matched"] - side.columns[bins.name]["known"],
        )
        for bins in usable
    ]
    return shift_cost(
        axes,
        np.where(treated, expected_value(probability, value, settings.money), 0.0),
        np.unique(sample[workspace.contract.entity_key].to_numpy(), return_inverse=True)[1],
        window=window.name,
        source=window.source,
        rows=rows,
        confidence=settings.monitoring.confidence,
        observed=_observed(counting.baseline.whole, window, settings),
        seed=settings.seed,
    )


def _observed(baseline: Cells, window: Window, settings: Settings) -> Estimate | None:
    """Return what each row of a window is expected to earn less than one of the baseline."""
    name = "profit_per_customer"
    was, is_ = estimated(baseline, settings.money).get(name), window.estimated.get(name)
    if was is None or is_ is None:
        return None
    gap = was.point - is_.point
    return Estimate(point=gap, lower=gap, upper=gap, se=is_.se)


def _baseline_rows(workspace: Workspace, names: Sequence[str], digest: str, total: int) -> pa.Table:
    """Return rows of a baseline, each so-manieth of many."""
    store, contract = workspace.tables, workspace.contract
    step, seen, taken = max(1, total // _ROWS), 0, []
    reader = store.scan(
        store.latest(contract.table("baseline").name),
        [contract.entity_key, *names, *_OWN],
        where={MODEL_DIGEST_COLUMN: digest},
    )
    for batch in reader:
        taken.append(batch.take(pa.array(range(-seen % step, batch.num_rows, step), pa.int64())))
        seen += batch.num_rows
    return pa.Table.from_batches(taken, reader.schema)


def _places(bins: Bins, values: pa.Array) -> IntArray:
    """Return the bin of each value as `Bins` counts them, -1 where it is missing."""
    if bins.kind == "number":
        numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        places = np.searchsorted(np.array(bins.edges), numbers)
        return np.where(np.isfinite(numbers), places, -1).astype(np.int64)
    place_of = {text: place for place, text in enumerate(bins.texts)}
    texts = [str(value).lower() if isinstance(value, bool) else value for value in values.to_pylist()]
    return np.array([-1 if text is None else place_of.get(str(text), len(place_of)) for text in texts], dtype=np.int64)
