"""An evaluation of rows that stand for others is that of as many rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.core.errors import DataError
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.evaluation.headline import headline
from churn.evaluation.oracle import reachable
from churn.model.money import MoneySettings
from tests.fakes.data.predictions import predictions

pytestmark = pytest.mark.slow

MONEY, QUICK = MoneySettings(), EvaluationSettings(resamples=100)
ROWS = 900
SAMPLE = predictions(ROWS)
RANDOM = np.random.default_rng(0)
TIMES = np.where(RANDOM.random(ROWS) < 0.2, RANDOM.integers(2, 8, ROWS), 1)
WEIGHT = TIMES.astype(float)
VALUE = RANDOM.uniform(50, 400, ROWS)
PLAN = RANDOM.choice(["basic", "pro"], ROWS)
DATE = pd.Series(pd.to_datetime(np.where(np.arange(ROWS) % 2, "2025-01-01", "2025-02-01"), utc=True))
# Bins of equally many rows are other ones where rows are repeated.
OF_BINS = {"ece"}


def evaluated(times: Any = 1, weight: Any = None, **changes: Any) -> Evaluation:
    def often(values: Any) -> Any:
        return np.repeat(np.asarray(values), times)

    known = {"thresholds": {"f1": 0.35}, "money": MONEY, "settings": QUICK, "seed": 1, "weight": weight}
    known |= {"value": often(VALUE), "slices": {"plan": often(PLAN)}, "truth": often(SAMPLE.truth)}
    known |= {"event_time": DATE.repeat(times).reset_index(drop=True)}
    return evaluate(often(SAMPLE.label), often(SAMPLE.probability), often(SAMPLE.entity), **known | changes)


@pytest.fixture(scope="module")
def weighted() -> Evaluation:
    return evaluated(weight=WEIGHT)


@pytest.fixture(scope="module")
def repeated() -> Evaluation:
    return evaluated(times=TIMES)


def test_every_metric_and_its_interval_count_rows_as_often_as_they_stand_for_others(
    weighted: Evaluation, repeated: Evaluation
) -> None:
    assert weighted.metrics.keys() == repeated.metrics.keys()
    campaign = {name for name in weighted.metrics if name.startswith("campaign_")}
    for name in weighted.metrics.keys() - OF_BINS - campaign:
        assert weighted.metrics[name].model_dump() == pytest.approx(repeated.metrics[name].model_dump()), name
    plain = evaluated()
    changed = [n for n in weighted.metrics if weighted.metrics[n].point != pytest.approx(plain.metrics[n].point)]
    assert {"log_loss", "roc_auc", "profit_per_customer", "f1_at_f1", "campaign_profit"} <= set(changed)


def test_slices_money_curves_and_the_best_that_can_be_reached_count_them_so_too(
    weighted: Evaluation, repeated: Evaluation
) -> None:
    for one, other in zip(weighted.slices, repeated.slices, strict=True):
        assert one.churn_share == pytest.approx(other.churn_share)
        for name, metric in one.metrics.items():
            assert metric.model_dump() == pytest.approx(other.metrics[name].model_dump()), name
    assert (weighted.campaign.treated, weighted.campaign.churners) == (
        repeated.campaign.treated,
        repeated.campaign.churners,
    )
    assert weighted.campaign.expected_profit == pytest.approx(repeated.campaign.expected_profit)
    assert weighted.campaign.profit.model_dump() == pytest.approx(repeated.campaign.profit.model_dump())
    for name, curve in weighted.curves.items():
        np.testing.assert_allclose(curve.y, repeated.curves[name].y, atol=2e-6, err_msg=name)
    assert weighted.scores == repeated.scores
    once, often = (each.reachable for each in (weighted, repeated))
    assert once is not None
    assert often is not None
    for name, reached in once.model_dump().items():
        assert reached == pytest.approx(often.model_dump()[name]), name
    assert [period.observed for period in weighted.periods] == pytest.approx(
        [period.observed for period in repeated.periods]
    )


def test_the_campaign_of_one_date_counts_the_customers_that_are_stood_for(weighted: Evaluation) -> None:
    date, newest = weighted.campaign_date, np.arange(ROWS)
    assert date is not None
    assert date.customers == TIMES[newest].sum()
    assert date.churners == TIMES[newest] @ SAMPLE.label[newest]
    assert f"of {date.customers:,} customers" in headline(weighted)


def test_the_evaluation_says_how_much_its_rows_tell(weighted: Evaluation) -> None:
    assert (weighted.rows, weighted.represented) == (ROWS, TIMES.sum())
    assert weighted.effective_rows == pytest.approx(TIMES.sum() ** 2 / (TIMES**2).sum())
    assert weighted.effective_rows < ROWS


def test_weights_of_one_change_nothing() -> None:
    plain = evaluated()
    assert evaluated(weight=np.ones(ROWS)) == plain
    assert (plain.represented, plain.effective_rows) == (None, None)
    assert evaluated(weight=WEIGHT).data_digest != plain.data_digest


def test_a_weight_that_is_no_number_above_zero_is_refused_with_its_row() -> None:
    with pytest.raises(DataError, match=r"`weight` must be above 0; 1 of 900 rows are not, the first of them row 3"):
        evaluated(weight=np.where(np.arange(ROWS) == 3, 0.0, 1.0))
    with pytest.raises(DataError, match="Every array must have one value for each row"):
        evaluated(weight=np.ones(3))


def test_the_interval_widens_as_the_effective_rows_fall() -> None:
    few = np.where(RANDOM.random(ROWS) < 0.1, 50.0, 1.0)
    assert evaluated(weight=few).metrics["log_loss"].se > 1.5 * evaluated().metrics["log_loss"].se


def test_the_truth_reaches_itself_under_any_weights() -> None:
    found = reachable(SAMPLE.truth, SAMPLE.truth, VALUE, MONEY, WEIGHT)
    assert found.log_loss.share == pytest.approx(1)
