from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from churn.evaluation.ranking import logit_losses
from churn.model.tree_shap import explanation_costs
from churn.training.boosting import BoostedFolds, BoostingParams, FoldMatrices, fit_folds, refit
from churn.training.preparation import Prepared, prepare
from tests.fakes.data.customers import CONTRACT, customers

pytestmark = pytest.mark.slow

SHALLOW = BoostingParams(max_rounds=60)
DEEP = BoostingParams(max_depth=4, max_rounds=20, learning_rate=0.2)


@pytest.fixture(scope="module")
def ready() -> Prepared:
    return prepare(customers(500), CONTRACT, 4, seed=0)


@pytest.fixture(scope="module")
def shallow(ready: Prepared) -> BoostedFolds:
    return fit_folds(ready.matrices, SHALLOW, seed=3)


@pytest.fixture(scope="module")
def deep(ready: Prepared) -> BoostedFolds:
    return fit_folds(ready.matrices, DEEP, seed=3)


def test_every_row_is_predicted_by_the_ensemble_that_did_not_learn_from_it(
    ready: Prepared, shallow: BoostedFolds
) -> None:
    changed = ready.label.copy()
    changed[ready.fold == 1] = 1 - changed[ready.fold == 1]
    categorical = [kind == "c" for kind in ready.matrices.feature_types]
    matrices = FoldMatrices.build(ready.matrices.matrix, categorical, changed, ready.fold)
    again = fit_folds(matrices, SHALLOW.model_copy(update={"max_rounds": shallow.rounds, "patience": 1000}), seed=3)
    assert again.rounds < shallow.rounds  # the changed rows stop all folds early, and are predicted none the better
    assert np.mean(logit_losses(changed[ready.fold == 1], again.oof[ready.fold == 1])) > np.log(2)


def test_all_folds_stop_where_their_joint_loss_is_least(ready: Prepared) -> None:
    losses = []
    for rounds in range(1, 61):
        grown = fit_folds(ready.matrices, SHALLOW.model_copy(update={"max_rounds": rounds, "patience": 1000}), seed=3)
        losses.append(float(np.mean(logit_losses(ready.label, grown.oof))))
        assert grown.rounds <= rounds
    chosen = fit_folds(ready.matrices, SHALLOW.model_copy(update={"patience": 1000}), seed=3)
    assert np.mean(logit_losses(ready.label, chosen.oof)) == pytest.approx(min(losses), abs=1e-6)


def test_threads_and_the_order_of_folds_change_nothing(ready: Prepared, shallow: BoostedFolds) -> None:
    seen: list[int] = []
    for again in (
        fit_folds(ready.matrices, SHALLOW, seed=3, threads=4),
        fit_folds(ready.matrices, SHALLOW, seed=3, after_fold=lambda index, _: seen.append(index)),
    ):
        assert again.rounds == shallow.rounds
        np.testing.assert_array_equal(again.oof, shallow.oof)
    assert seen == [0, 1, 2, 3]


def test_another_seed_grows_other_trees(ready: Prepared, shallow: BoostedFolds) -> None:
    assert np.abs(fit_folds(ready.matrices, SHALLOW, seed=4).oof - shallow.oof).max() > 1e-3


def test_after_fold_may_give_up(ready: Prepared) -> None:
    def give_up(index: int, loss: float) -> None:
        if index == 1:
            raise KeyboardInterrupt(f"loss {loss}")

    with pytest.raises(KeyboardInterrupt, match=r"loss 0\."):
        fit_folds(ready.matrices, SHALLOW, seed=3, after_fold=give_up)


def test_the_model_grows_the_chosen_rounds_once_on_all_rows(ready: Prepared, shallow: BoostedFolds) -> None:
    booster = refit(ready.matrices, SHALLOW, shallow, seed=3, budget=300)
    assert booster.num_boosted_rounds() == shallow.rounds
    margin = booster.inplace_predict(ready.matrices.matrix, predict_type="margin")
    assert np.mean(logit_losses(ready.label, margin)) < np.mean(logit_losses(ready.label, shallow.oof))
    again = refit(ready.matrices, SHALLOW, shallow, seed=3, budget=300)
    assert again.save_raw("ubj") == booster.save_raw("ubj")


def test_a_round_of_deep_trees_is_the_mean_of_several(ready: Prepared, deep: BoostedFolds) -> None:
    booster = refit(ready.matrices, DEEP, deep, seed=3, budget=300)
    assert booster.num_boosted_rounds() == deep.rounds
    assert len(explanation_costs(booster)) == 5 * deep.rounds


@pytest.mark.parametrize("budget", [10.7, 11.2, 11.4, 300.0])
def test_no_ensemble_costs_more_to_explain_than_its_budget(ready: Prepared, deep: BoostedFolds, budget: float) -> None:
    folds = fit_folds(ready.matrices, DEEP, seed=3, budget=budget)
    assert folds.explanation_cost <= budget
    assert (folds.rounds < deep.rounds) == (budget < 11.5)
    booster = refit(ready.matrices, DEEP, folds, seed=3, budget=budget)
    assert explanation_costs(booster)[-1] <= budget


def test_a_budget_below_one_tree_leaves_one_round(ready: Prepared) -> None:
    folds = fit_folds(ready.matrices, DEEP, seed=3, budget=1e-3)
    assert folds.rounds == 1
    assert refit(ready.matrices, DEEP, folds, seed=3, budget=1e-3).num_boosted_rounds() == 1


@pytest.mark.parametrize(
    "wrong", [{"max_depth": 0}, {"max_depth": 13}, {"learning_rate": 0}, {"subsample": 1.01}, {"reg_lambda": -0.1}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        BoostingParams.model_validate(wrong)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        BoostingParams.model_validate({"eta": 0.1})
