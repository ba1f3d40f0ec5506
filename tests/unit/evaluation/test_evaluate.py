"""An evaluation of predictions whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from churn.core.errors import ConfigError, DataError, NotEnoughData
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.model.money import MoneySettings, expected_value, treatment_pays
from tests.fakes.data.predictions import Predictions, empc, predictions

pytestmark = pytest.mark.slow

MONEY = MoneySettings()
QUICK = EvaluationSettings(resamples=100)


def evaluated(sample: Predictions, **changes: Any) -> Evaluation:
    settings: dict[str, Any] = {
        "thresholds": {"f1": 0.35},
        "money": MONEY,
        "value": 200.0,
        "slices": {},
        "settings": QUICK,
        "seed": 1,
    }
    return evaluate(sample.label, sample.probability, sample.entity, **settings | changes)


@pytest.fixture(scope="module")
def sample() -> Predictions:
    return predictions(1200)


@pytest.fixture(scope="module")
def evaluation(sample: Predictions) -> Evaluation:
    return evaluated(sample)


def test_points_are_the_metrics_of_the_sample(sample: Predictions, evaluation: Evaluation) -> None:
    points = {name: found.point for name, found in evaluation.metrics.items()}
    treated = treatment_pays(sample.probability, 200, MONEY)
    earned = expected_value(sample.label, 200, MONEY)
    assert points["roc_auc"] == pytest.approx(roc_auc_score(sample.label, sample.probability))
    assert points["log_loss"] == pytest.approx(log_loss(sample.label, sample.probability))
    assert points["empc"] == pytest.approx(empc(sample.label, sample.probability, MONEY).profit)
    assert points["f1_at_f1"] == pytest.approx(f1_score(sample.label, sample.probability >= 0.35))
    assert points["f1_at_profit"] == pytest.approx(f1_score(sample.label, treated))
    assert points["recall_at_profit"] == pytest.approx(sample.label[treated].sum() / sample.label.sum())
    assert points["precision_at_profit"] == pytest.approx(sample.label[treated].mean())
    assert points["profit_per_customer"] == pytest.approx(earned[treated].sum() / 1200)
    assert points["profit_over_all"] == pytest.approx((earned[treated].sum() - earned.sum()) / 1200)
    assert points["cost_matrix_profit"] == pytest.approx(
        MONEY.cost_matrix.profit(sample.label, sample.probability > 0.125).mean()
    )


def test_every_point_lies_in_its_interval(evaluation: Evaluation) -> None:
    assert all(found.lower <= found.point <= found.upper for found in evaluation.metrics.values())
    assert all(found.se > 0 for found in evaluation.metrics.values())


def test_an_evaluation_survives_json(evaluation: Evaluation) -> None:
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_the_same_seed_gives_the_same_evaluation(sample: Predictions, evaluation: Evaluation) -> None:
    assert evaluated(sample) == evaluation
    assert evaluated(sample, seed=2).metrics["roc_auc"] != evaluation.metrics["roc_auc"]


def test_the_order_of_the_rows_does_not_matter(sample: Predictions, evaluation: Evaluation) -> None:
    order = np.random.default_rng(0).permutation(1200)
    shuffled = Predictions(*(getattr(sample, name)[order] for name in ("label", "probability", "truth", "entity")))
    again = evaluated(shuffled)
    assert again.metrics["roc_auc"].lower == pytest.approx(evaluation.metrics["roc_auc"].lower)
    assert again.curves["profit"].y == pytest.approx(evaluation.curves["profit"].y, abs=1e-5)


def test_customers_with_many_rows_count_once_for_the_uncertainty() -> None:
    sample = predictions(300)
    twice = Predictions(*(np.repeat(getattr(sample, name), 4) for name in ("label", "probability", "truth", "entity")))
    once, repeated = evaluated(sample), evaluated(twice)
    assert (repeated.rows, repeated.customers) == (1200, 300)
    assert repeated.metrics["brier"].se == pytest.approx(once.metrics["brier"].se)


def test_the_campaign_treats_those_with_a_positive_expected_value(sample: Predictions, evaluation: Evaluation) -> None:
    treated = treatment_pays(sample.probability, 200, MONEY)
    campaign = evaluation.campaign
    assert (campaign.treated, campaign.churners) == (treated.sum(), sample.label[treated].sum())
    assert campaign.threshold == pytest.approx((11 / 67, 11 / 67))
    assert campaign.profit.point == pytest.approx(expected_value(sample.label, 200, MONEY)[treated].sum())
    assert campaign.expected_profit == pytest.approx(expected_value(sample.probability, 200, MONEY)[treated].sum())


def test_customers_of_different_value_have_thresholds_of_their_own(sample: Predictions) -> None:
    value = np.where(np.arange(1200) % 2, 100.0, 1000.0)
    lowest, highest = evaluated(sample, value=value).campaign.threshold
    assert lowest == pytest.approx(11 / (0.3 * 990 + 10))
    assert highest == pytest.approx(11 / (0.3 * 90 + 10))


def test_curves_are_short_and_begin_and_end_where_they_must(evaluation: Evaluation) -> None:
    assert all(len(curve.x) <= 200 for curve in evaluation.curves.values())
    assert evaluation.curves["roc"].y[-1] == 1
    assert evaluation.curves["lift"].y[-1] == 1
    assert evaluation.curves["profit"].y[0] == 0
    assert evaluation.curves["precision_recall"].y[-1] >= evaluation.churners / evaluation.rows - 1e-6


def test_the_area_under_the_roc_points_is_the_area(evaluation: Evaluation) -> None:
    roc = evaluation.curves["roc"]
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(evaluation.metrics["roc_auc"].point, abs=0.003)


def test_the_reliability_of_true_probabilities_lies_on_the_diagonal() -> None:
    true = predictions(20_000, noise=0)
    bins = evaluated(true).reliability
    assert sum(each.rows for each in bins) == 20_000
    assert all(each.observed == pytest.approx(each.predicted, abs=0.035) for each in bins)


def test_scores_count_every_row_by_outcome(evaluation: Evaluation) -> None:
    assert sum(evaluation.scores["churned"]) == evaluation.churners
    assert sum(evaluation.scores["stayed"]) == evaluation.rows - evaluation.churners


def test_slices_hold_every_row_once_a_column_and_say_why_one_is_skipped(sample: Predictions) -> None:
    plan = np.where(np.arange(1200) < 49, "small", "large").astype(object)
    plan[1199] = None
    found = {part.value: part for part in evaluated(sample, slices={"plan": plan}).slices}
    assert {value: part.rows for value, part in found.items()} == {"large": 1150, "small": 49, "(missing)": 1}
    assert found["small"].skipped == "fewer than 50 rows"
    assert not found["small"].metrics
    rows = plan == "large"
    auc = roc_auc_score(sample.label[rows], sample.probability[rows])
    assert found["large"].metrics["roc_auc"].point == pytest.approx(auc)


def test_a_slice_of_the_smallest_size_is_evaluated(sample: Predictions) -> None:
    plan = np.where(np.arange(1200) < 50, "small", "large")
    assert all(part.skipped is None for part in evaluated(sample, slices={"plan": plan}).slices)


def test_a_slice_in_which_nobody_churned_says_so(sample: Predictions) -> None:
    parts = evaluated(sample, slices={"outcome": sample.label}).slices
    assert [part.skipped for part in parts] == ["nobody churned", "every customer churned"]


def test_the_truth_tells_how_much_of_the_reachable_gain_is_reached(sample: Predictions) -> None:
    reached = evaluated(sample, truth=sample.truth).reachable
    assert reached is not None
    assert 0.8 < reached.roc_auc.share < 1
    assert evaluated(sample).reachable is None


def test_economics_under_which_nobody_is_treated_are_evaluated(sample: Predictions) -> None:
    found = evaluated(sample, value=5.0)
    assert found.campaign.treated == 0
    assert found.metrics["profit_per_customer"].point == 0
    assert "precision_at_profit" not in found.metrics


def test_probabilities_that_are_all_zero_are_evaluated(sample: Predictions) -> None:
    zero = Predictions(sample.label, np.zeros(1200), sample.truth, sample.entity)
    found = evaluated(zero)
    assert found.metrics["roc_auc"].point == 0.5
    assert not {"calibration_ratio", "calibration_slope"} & set(found.metrics)
    assert len(found.reliability) == 1


@pytest.mark.parametrize("churners", [9, 10])
def test_a_holdout_needs_enough_customers_of_each_class(churners: int) -> None:
    sample = predictions(200)
    label = (np.arange(200) < churners).astype(int)
    few = Predictions(label, sample.probability, sample.truth, sample.entity)
    if churners == QUICK.min_per_class:
        assert evaluated(few).churners == churners
    else:
        with pytest.raises(
            NotEnoughData, match=r"9 customers of the holdout .* and 10 are needed .*: give the holdout"
        ):
            evaluated(few)


def test_many_rows_of_few_churners_are_not_enough() -> None:
    sample = predictions(200)
    entity = np.where(sample.label == 1, "the same", sample.entity)
    with pytest.raises(NotEnoughData, match="1 customers of the holdout rows churned"):
        evaluated(Predictions(sample.label, sample.probability, sample.truth, entity))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": 2}, r"`label` must be 0 or 1; leave out .* 1 of 1,200 rows .* row 3 with 2"),
        ({"label": np.nan}, r"`label` must be 0 or 1.* row 3 with nan"),
        ({"probability": 1.01}, r"`probability` must be between 0 and 1; .* row 3 with 1.01"),
        ({"probability": np.nan}, r"`probability` must be between 0 and 1; .* row 3 with nan"),
        ({"value": np.inf}, r"`value` must be finite; .* row 3 with inf"),
    ],
)
def test_values_that_cannot_be_evaluated_are_named(sample: Predictions, wrong: dict[str, float], message: str) -> None:
    given = {
        "label": sample.label.astype(float),
        "probability": sample.probability.copy(),
        "value": np.full(1200, 200.0),
    }
    ((name, value),) = wrong.items()
    given[name][3] = value
    with pytest.raises(DataError, match=message):
        evaluate(
            given["label"],
            given["probability"],
            sample.entity,
            thresholds={},
            money=MONEY,
            value=given["value"],
            slices={},
            settings=QUICK,
            seed=1,
        )


def test_arrays_of_different_lengths_are_refused(sample: Predictions) -> None:
    with pytest.raises(DataError, match=r"their shapes are label \(1200,\), .* value \(3,\)"):
        evaluated(sample, value=np.ones(3))


def test_an_empty_holdout_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="There is no row to evaluate"):
        evaluated(predictions(0))


def test_a_threshold_may_not_take_the_name_of_a_rule(sample: Predictions) -> None:
    with pytest.raises(ConfigError, match="'profit' follows from the money settings"):
        evaluated(sample, thresholds={"profit": 0.2})
