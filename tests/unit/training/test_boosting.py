from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xgboost
from pydantic import ValidationError

from churn.training.blending import logit_losses
from churn.training.boosting import BoostedFolds, BoostingParams, fit_folds, merge
from churn.training.preparation import Prepared, prepare
from tests.fakes.data.customers import CONTRACT, customers

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


def mean_margin(folds: BoostedFolds, matrix: np.ndarray) -> np.ndarray:
    margins = [booster.inplace_predict(matrix, predict_type="margin") for booster in folds.boosters]
    return np.mean(margins, axis=0, dtype=np.float64)


def test_every_row_is_predicted_by_the_ensemble_that_did_not_learn_from_it(
    ready: Prepared, shallow: BoostedFolds
) -> None:
    for index, booster in enumerate(shallow.boosters):
        rows = ready.fold == index
        expected = booster.inplace_predict(ready.matrices.matrix[rows], predict_type="margin")
        np.testing.assert_array_equal(shallow.oof[rows], expected)


def test_all_folds_stop_where_their_joint_loss_is_least(ready: Prepared) -> None:
    losses = []
    for rounds in range(1, 61):
        grown = fit_folds(ready.matrices, SHALLOW.model_copy(update={"max_rounds": rounds, "patience": 1000}), seed=3)
        losses.append(float(np.mean(logit_losses(ready.label, grown.oof))))
        assert grown.rounds <= rounds
    chosen = fit_folds(ready.matrices, SHALLOW.model_copy(update={"patience": 1000}), seed=3)
    assert np.mean(logit_losses(ready.label, chosen.oof)) == pytest.approx(min(losses), abs=1e-6)
    assert {booster.num_boosted_rounds() for booster in chosen.boosters} == {chosen.rounds}


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


def test_the_merged_booster_is_the_mean_of_the_folds(ready: Prepared, shallow: BoostedFolds) -> None:
    booster, base = merge([(shallow, 1.0)])
    matrix = ready.matrices.matrix
    assert booster.num_boosted_rounds() == 4 * shallow.rounds
    merged = booster.inplace_predict(matrix, predict_type="margin") + base
    np.testing.assert_allclose(merged, mean_margin(shallow, matrix), atol=1e-5)


def test_the_merged_booster_is_the_weighted_sum_of_its_parts(
    ready: Prepared, shallow: BoostedFolds, deep: BoostedFolds
) -> None:
    booster, base = merge([(shallow, 0.3), (deep, -1.5)])
    matrix = ready.matrices.matrix
    expected = 0.3 * mean_margin(shallow, matrix) - 1.5 * mean_margin(deep, matrix)
    np.testing.assert_allclose(booster.inplace_predict(matrix, predict_type="margin") + base, expected, atol=1e-5)


def test_the_merged_booster_survives_ubj(ready: Prepared, deep: BoostedFolds, tmp_path: Path) -> None:
    booster, _ = merge([(deep, 1.0)])
    booster.save_model(tmp_path / "model.ubj")
    again = xgboost.Booster(model_file=tmp_path / "model.ubj")
    matrix = ready.matrices.matrix
    np.testing.assert_array_equal(again.inplace_predict(matrix), booster.inplace_predict(matrix))
    assert again.save_raw("ubj") == booster.save_raw("ubj")


def test_shap_values_of_the_merged_booster_are_the_mean_of_the_folds_values(
    ready: Prepared, deep: BoostedFolds
) -> None:
    booster, base = merge([(deep, 1.0)])
    types = ["c" if name in ready.model.categories else "float" for name in ready.encoded]
    rows = xgboost.DMatrix(ready.matrices.matrix, feature_types=types)
    expected = np.mean([one.predict(rows, pred_contribs=True) for one in deep.boosters], axis=0, dtype=np.float64)
    expected[:, -1] -= base
    np.testing.assert_allclose(booster.predict(rows, pred_contribs=True), expected, atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"max_depth": 0}, {"max_depth": 13}, {"learning_rate": 0}, {"subsample": 1.01}, {"reg_lambda": -0.1}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        BoostingParams.model_validate(wrong)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        BoostingParams.model_validate({"eta": 0.1})
