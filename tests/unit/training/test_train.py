from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from churn.core.errors import ContractError, DataError, NotEnoughData
from churn.data.training_set import TrainingData
from churn.evaluation.ranking import Ranking, roc_auc
from churn.model.model import sigmoid
from churn.training.boosting import BoostingParams
from churn.training.preparation import model_schema, prepare
from churn.training.train import ModelSettings, TrainingResult, train
from tests.fakes.data.customers import CONTRACT, customers, raw_columns, true_logit

pytestmark = pytest.mark.slow

FAST = BoostingParams(max_rounds=40)
SETTINGS = ModelSettings(boosting=FAST, deep_boosting=FAST.model_copy(update={"max_depth": 5}))
DATA = customers(800)


@pytest.fixture(scope="module")
def result() -> TrainingResult:
    return train(DATA, CONTRACT, SETTINGS, seed=0)


def test_the_model_ranks_new_customers_almost_as_the_truth_does(result: TrainingResult) -> None:
    new = raw_columns(5000, seed=50)
    truth = true_logit(new)
    label = (np.random.default_rng(0).random(5000) < sigmoid(truth)).astype(float)
    best = roc_auc(Ranking.of(label, truth).counts())
    found = roc_auc(Ranking.of(label, result.model.logit(new)).counts())
    assert (found - 0.5) / (best - 0.5) > 0.9


def test_every_blend_with_at_most_one_ensemble_is_reported_and_one_is_chosen(result: TrainingResult) -> None:
    assert len(result.report.blends) == 5
    assert [blend.members for blend in result.report.blends if blend.chosen] == [result.report.chosen]
    assert [blend.members for blend in result.report.blends if blend.default] == [("additive", "boosting")]
    losses = [blend.log_loss for blend in result.report.blends]
    assert losses == sorted(losses)


def test_out_of_fold_probabilities_are_not_those_of_the_model_that_saw_the_rows(result: TrainingResult) -> None:
    oof = roc_auc(Ranking.of(DATA.label, result.oof_probability).counts())
    seen = roc_auc(Ranking.of(DATA.label, result.model.probability(DATA.columns)).counts())
    assert oof < seen - 0.005


@pytest.mark.parametrize("name", ["additive", "boosting", "deep_boosting", "symmetric"])
def test_a_single_candidate_is_the_model(name: str) -> None:
    settings = ModelSettings.model_validate(SETTINGS.model_dump() | {"candidates": (name,)})
    found = train(DATA, CONTRACT, settings, seed=0)
    assert found.report.chosen == (name,)
    assert (found.model.additive is None) == (name != "additive")
    assert (found.model.booster is None) == (name in ("additive", "symmetric"))
    assert (found.model.symmetric is None) == (name != "symmetric")


def test_symmetric_trees_are_grown_only_where_deeper_trees_pay(result: TrainingResult) -> None:
    assert "symmetric" in SETTINGS.candidates
    assert "symmetric" not in result.report.seconds
    random = np.random.default_rng(0)
    x = {name: random.normal(size=1200) for name in ("tenure", "charges", "noise")}
    truth = 3 * np.sign(x["tenure"] * x["charges"] * x["noise"])
    entity = np.array([f"c{row}" for row in range(1200)], dtype=object)
    columns = {**raw_columns(1200, seed=1), **x}
    data = TrainingData(columns, (random.random(1200) < sigmoid(truth)).astype(np.int8), entity)
    found = train(data, CONTRACT, ModelSettings(), seed=0)
    assert "symmetric" in found.report.seconds
    assert len(found.report.blends) == 11
    assert "symmetric" in found.report.chosen
    assert found.model.symmetric is not None
    assert found.model.symmetric.explanation_cost < 100
    again = train(data, CONTRACT, ModelSettings(), seed=0, threads=1)
    assert again.model.digest == found.model.digest


def test_the_same_input_gives_the_same_bits(result: TrainingResult) -> None:
    again = train(DATA, CONTRACT, SETTINGS, seed=0, threads=1)
    assert again.model.digest == result.model.digest
    np.testing.assert_array_equal(again.oof_probability, result.oof_probability)
    assert train(DATA, CONTRACT, SETTINGS, seed=1).model.digest != result.model.digest


def test_the_calibration_line_is_inside_the_parts(result: TrainingResult, monkeypatch: pytest.MonkeyPatch) -> None:
    line = result.report.calibration.model_copy(update={"slope": 2.0, "intercept": 0.5, "applied": True})
    monkeypatch.setattr("churn.training.train.calibrate", lambda *_: line)
    mended = train(DATA, CONTRACT, SETTINGS, seed=0)
    plain = result.model.logit(DATA.columns)
    np.testing.assert_allclose(mended.model.logit(DATA.columns), 2.0 * plain + 0.5, atol=1e-4)


def test_rare_categories_are_scored_as_missing() -> None:
    plan = DATA.columns["plan"].copy()
    plan[:3] = ["once", "twice", "twice"]
    ready = prepare(replace(DATA, columns={**DATA.columns, "plan": plan}), CONTRACT, 5, seed=0)
    assert ready.model.categories == {"plan": ("basic", "plus", "pro", "twice")}
    np.testing.assert_array_equal(ready.encoded["plan"][:3], [-1, 3, 3])


def test_the_schema_speaks_as_the_contract_does() -> None:
    schema = model_schema(CONTRACT)
    charges = next(column for column in schema.inputs if column.name == "charges")
    assert (charges.nullable, charges.actionable, charges.description) == (True, True, "monthly charges")
    assert [column.integer for column in schema.inputs] == [True, False, False, False]
    assert list(schema.kinds) == ["tenure", "charges", "plan", "noise", "spent"]


def test_where_the_time_went_is_reported(result: TrainingResult) -> None:
    parts = {"prepare", "additive", "boosting", "deep_boosting", "choose", "refit"}
    assert result.report.seconds.keys() == result.report.cpu_seconds.keys() == parts
    assert all(seconds > 0 for seconds in result.report.seconds.values())


def test_columns_that_never_vary_do_no_harm() -> None:
    rows = len(DATA.label)
    columns = {
        **DATA.columns,
        "noise": np.full(rows, np.nan),
        "plan": np.full(rows, None, dtype=object),
        "charges": np.full(rows, 3.0),
    }
    found = train(replace(DATA, columns=columns), CONTRACT, SETTINGS, seed=0)
    assert np.isfinite(found.model.probability(raw_columns(50, seed=1))).all()


def test_nothing_that_varies_is_refused() -> None:
    columns = {name: np.repeat(values[:1], len(DATA.label)) for name, values in DATA.columns.items()}
    with pytest.raises(NotEnoughData, match="Every column of the training rows has one value only"):
        train(replace(DATA, columns=columns), CONTRACT, SETTINGS, seed=0)


def test_a_missing_column_is_named() -> None:
    columns = {name: values for name, values in DATA.columns.items() if name != "plan"}
    with pytest.raises(ContractError, match="reads 'plan', which the columns lack"):
        train(replace(DATA, columns=columns), CONTRACT, SETTINGS, seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.zeros(3, dtype=np.int8)}, "'tenure' does not have one value for each of the 3 labels"),
        ({"label": np.full(800, 2, dtype=np.int8)}, "neither 0 nor 1"),
        ({"entity": np.full(800, None, dtype=object)}, "has no customer"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TrainingData(**{"columns": DATA.columns, "label": DATA.label, "entity": DATA.entity, **change})


def test_settings_are_strict() -> None:
    with pytest.raises(ValidationError, match="each candidate may be named once"):
        ModelSettings(candidates=("additive", "additive"))
    with pytest.raises(ValidationError, match="folds"):
        ModelSettings(folds=1)
    assert ModelSettings(candidates=("deep_boosting",)).default_blend == ("deep_boosting",)


def test_the_report_says_what_the_last_doubling_of_the_rows_bought(result: TrainingResult) -> None:
    assert result.report.doubling is None
    drawn = train(DATA, CONTRACT, SETTINGS, seed=0, available=5000)
    assert drawn.report.available == 5000
    doubling = drawn.report.doubling
    assert doubling is not None
    assert 0.4 * len(DATA.label) <= doubling.rows <= 0.6 * len(DATA.label)
    assert -0.02 < doubling.gain < 0.2
    assert doubling.gain_se > 0
    np.testing.assert_array_equal(drawn.model.logit(DATA.columns), result.model.logit(DATA.columns))


def test_half_the_customers_that_are_too_few_to_train_on_buy_no_figure() -> None:
    few = customers(90)
    assert train(few, CONTRACT, SETTINGS, seed=0, available=91).report.doubling is None
