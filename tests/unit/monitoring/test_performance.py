"""Realised and estimated performance, held against scikit-learn and against simulated outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from churn.evaluation.metrics import METRICS
from churn.evaluation.ranking import calibration_slope
from churn.model.frame import FloatArray
from churn.model.money import MoneySettings, expected_value, treatment_pays
from churn.monitoring.performance import ESTIMATED, REALISED, Cells, calibration_error_of_mean, estimated, realised
from churn.ports.windows import CELLS, LOGIT_WIDTH

MONEY = MoneySettings()


def cells_of(
    probability: FloatArray,
    treated: FloatArray,
    value: FloatArray,
    outcome: list[int | None] | FloatArray,
    weight: FloatArray | None = None,
) -> Cells:
    """Return one cell for each row."""
    safe = np.clip(probability, 2.0**-52, 1 - 2.0**-52)
    log_p, log_q = np.log(safe), np.log1p(-safe)
    rows: dict[str, Any] = {
        "outcome": [None if label is None else int(label) for label in outcome],
        "weight": np.ones(len(safe)) if weight is None else weight,
        "treated": treated.astype(bool),
        "bin": np.floor(np.clip(log_p - log_q, -8, 8) / LOGIT_WIDTH).astype(np.int32),
        "rows": np.ones(len(safe), dtype=np.int64),
        "p": probability,
        "pp": probability**2,
        "log_p": log_p,
        "log_q": log_q,
        "entropy": -(probability * log_p + (1 - probability) * log_q),
        "value_sum": value,
        "value_squares": value**2,
    }
    missing = {name: pa.nulls(len(safe), CELLS.field(name).type) for name in CELLS.names if name not in rows}
    return Cells.of(pa.table({**rows, **missing}).select(CELLS.names).cast(CELLS))


class Case:
    def __init__(self, rows: int = 20_000, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.probability: FloatArray = 1 / (1 + np.exp(-random.normal(-1.3, 1.3, rows)))
        self.value: FloatArray = random.gamma(2, 150, rows)
        self.treated = treatment_pays(self.probability, self.value, MONEY)
        self.random = random

    def outcome(self) -> FloatArray:
        drawn: FloatArray = (self.random.uniform(size=len(self.probability)) < self.probability).astype(float)
        return drawn

    def cells(self, outcome: list[int | None] | FloatArray) -> Cells:
        return cells_of(self.probability, self.treated, self.value, outcome)


def test_realised_metrics_equal_scikit_learns() -> None:
    case = Case()
    label = case.outcome()
    found = realised(case.cells(label), MONEY)
    assert {*found} == {*REALISED}
    assert found["roc_auc"] == pytest.approx(roc_auc_score(label, case.probability), abs=5e-4)
    fitted = LogisticRegression(C=np.inf).fit(np.log(case.probability / (1 - case.probability))[:, None], label)
    assert found["calibration_slope"] == pytest.approx(fitted.coef_[0, 0], abs=1e-3)
    exact = {
        "f1": f1_score(label, case.treated),
        "precision": precision_score(label, case.treated),
        "recall": recall_score(label, case.treated),
        "log_loss": log_loss(label, case.probability),
        "brier": brier_score_loss(label, case.probability),
        "churn_share": label.mean(),
        "calibration_ratio": label.mean() / case.probability.mean(),
        "profit_per_customer": (case.treated * expected_value(label, case.value, MONEY)).mean(),
        "expected_loss": (case.value * label * ~case.treated).mean(),
    }
    assert {name: found[name] for name in exact} == pytest.approx(exact)
    ((tn, fp), (fn, tp)) = confusion_matrix(label, case.treated)
    counts = [found[f"{kind}s"] for kind in ("true_negative", "false_positive", "false_negative", "true_positive")]
    assert counts == [tn, fp, fn, tp]


def test_an_expected_loss_is_a_positive_amount_and_none_where_every_churner_is_treated() -> None:
    p, value = np.array([0.1, 0.9]), np.array([200.0, 300.0])
    missed = realised(cells_of(p, np.array([False, False]), value, [1, 1]), MONEY)
    assert missed["expected_loss"] == 250.0
    assert realised(cells_of(p, np.array([True, True]), value, [1, 1]), MONEY)["expected_loss"] == 0.0
    assert METRICS["expected_loss"].better == "lower"


def test_rows_without_an_outcome_count_in_no_realised_metric() -> None:
    case = Case(2000)
    label = case.outcome()
    known: list[int | None] = [int(outcome) if place % 3 else None for place, outcome in enumerate(label)]
    kept = np.arange(2000) % 3 > 0
    alone = cells_of(case.probability[kept], case.treated[kept], case.value[kept], label[kept])
    found = realised(case.cells(known), MONEY)
    assert found == pytest.approx(realised(alone, MONEY))
    assert realised(case.cells([None] * 2000), MONEY) == {}


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_ranking_and_no_traceback(label: int) -> None:
    case = Case(500)
    found = realised(case.cells([label] * 500), MONEY)
    assert not {"roc_auc", "calibration_slope"} & {*found}
    assert found["churn_share"] == label
    assert all(np.isfinite(value) for value in found.values())


def test_nobody_treated_has_no_precision() -> None:
    case = Case(500)
    case.treated = np.zeros(500, dtype=bool)
    found = realised(case.cells(case.outcome()), MONEY)
    assert "precision" not in found
    assert (found["f1"], found["recall"], found["profit_per_customer"]) == (0.0, 0.0, 0.0)


@pytest.mark.slow
def test_estimates_are_the_mean_and_the_spread_of_what_happens_if_probabilities_are_right() -> None:
    case = Case(2000)
    found = estimated(case.cells([None] * 2000), MONEY)
    assert {*found} == {*ESTIMATED}
    draws = []
    for _ in range(150):
        label = case.outcome()
        draws.append(
            [
                label.mean(),
                roc_auc_score(label, case.probability),
                calibration_slope(label, case.probability, np.ones(2000)),
                f1_score(label, case.treated),
                log_loss(label, case.probability),
                (case.treated * expected_value(label, case.value, MONEY)).mean(),
            ]
        )
    mean, spread = np.mean(draws, axis=0), np.std(draws, axis=0)
    for name, expected, deviation in zip(ESTIMATED, mean, spread, strict=True):
        assert found[name].point == pytest.approx(expected, abs=0.3 * deviation), name
        assert found[name].se == pytest.approx(deviation, rel=0.25), name


def test_the_interval_covers_the_realised_metric_about_as_often_as_it_says() -> None:
    covered = []
    for seed in range(100):
        case = Case(800, seed)
        cells = case.cells(case.outcome())
        truth, found = realised(cells, MONEY), estimated(cells.mature, MONEY, confidence=0.9)
        covered.append([found[name].lower <= truth[name] <= found[name].upper for name in ESTIMATED])
    assert np.mean(covered, axis=0) == pytest.approx(0.9, abs=0.1)


def test_a_small_holdout_widens_the_interval() -> None:
    case = Case(4000)
    cells, none = case.cells([None] * 4000), case.cells([None] * 4000)
    small = Case(100)
    calibration = calibration_error_of_mean(small.cells(small.outcome()))
    assert calibration == pytest.approx(0.16, abs=0.05)
    assert calibration_error_of_mean(none) == 0.0
    wide, narrow = estimated(cells, MONEY, calibration=calibration), estimated(cells, MONEY)
    assert all(wide[name].se > narrow[name].se for name in ("churn_share", "profit_per_customer"))
    assert {name: value.point for name, value in wide.items()} == {name: value.point for name, value in narrow.items()}


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_probabilities_that_say_everything_leave_nothing_to_estimate(probability: float) -> None:
    rows = np.full(50, probability)
    assert estimated(cells_of(rows, rows > 0.5, np.full(50, 200.0), [None] * 50), MONEY) == {}
    assert estimated(Cells.empty(), MONEY) == {}


def test_every_metric_is_in_the_registry() -> None:
    assert all(METRICS[name].label for name in (*REALISED, *ESTIMATED))


def test_estimates_are_those_of_nannyml() -> None:
    """The numbers are what benchmarks/nannyml_oracle.py prints with NannyML 0.13.1."""
    random = np.random.default_rng(7)
    probability = (1 / (1 + np.exp(-random.normal(-1.3, 1.3, 10_000))))[5_000:]
    cells = cells_of(probability, probability > 0.2, np.full(5_000, 200.0), [None] * 5_000)
    found = estimated(cells, MONEY)
    assert found["roc_auc"].point == pytest.approx(0.788543816570085, abs=5e-4)
    assert found["f1"].point == pytest.approx(0.556745792061548, abs=1e-12)


def test_realised_and_back_tested_metrics_count_rows_as_often_as_they_stand_for_others() -> None:
    case = Case(4000)
    times = np.where(np.arange(4000) % 5 == 0, 7, 1)
    parts = case.probability, case.treated, case.value, case.outcome()
    weighted = cells_of(*parts, times.astype(float))
    often = cells_of(*(np.repeat(part, times) for part in parts))
    exact = set(REALISED) - {"ece"}  # over about ten groups of equally many rows
    one, other = realised(weighted, MONEY), realised(often, MONEY)
    assert {name: one[name] for name in exact} == pytest.approx({name: other[name] for name in exact})
    again, repeated = estimated(weighted.mature, MONEY), estimated(often, MONEY)
    assert {n: e.point for n, e in again.items()} == pytest.approx({n: e.point for n, e in repeated.items()})
    for name, estimate in again.items():  # rows that stand for others tell less than as many rows
        assert estimate.se > repeated[name].se, name
    assert weighted.mature.effective == pytest.approx(times.sum() ** 2 / (times**2).sum())
    assert calibration_error_of_mean(weighted) > calibration_error_of_mean(often)


def test_the_interval_of_a_back_test_holds_under_weights() -> None:
    case, weight = Case(3000), np.where(np.arange(3000) % 10 == 0, 10.0, 1.0)
    held = 0
    for _ in range(100):
        cells = cells_of(case.probability, case.treated, case.value, case.outcome(), weight)
        estimate = estimated(cells.mature, MONEY)["log_loss"]
        held += estimate.lower <= realised(cells, MONEY)["log_loss"] <= estimate.upper
    assert held == pytest.approx(95, abs=6)


def test_outcomes_of_contacted_customers_count_in_no_realised_metric_and_their_scores_in_every_estimate() -> None:
    case = Case(4000)
    outcome, left_out = case.outcome(), np.arange(4000) % 4 == 0
    parts = case.probability, case.treated, case.value, outcome
    weighted = cells_of(*parts, np.where(left_out, 0.0, 1.0))
    others = cells_of(*(part[~left_out] for part in parts))
    assert realised(weighted, MONEY) == pytest.approx(realised(others, MONEY))
    assert estimated(weighted, MONEY) == estimated(cells_of(*parts), MONEY)
    assert (weighted.rows, weighted.contacted, sum(weighted.outcomes)) == (4000, 1000, 3000)
