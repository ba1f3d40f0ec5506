from __future__ import annotations

import numpy as np
import pytest

from churn.training.additive import (
    CURVATURES,
    PENALTIES,
    CrossValidation,
    Design,
    NumericTerm,
    choose_penalties,
    fit_additive,
    logistic_regression,
)
from churn.training.preparation import prepare
from tests.fakes.data.customers import CONTRACT, customers

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(0)
AWKWARD = {
    "constant": np.full(300, 4.0),
    "all missing": np.full(300, np.nan),
    "zero or one": (RANDOM.random(300) < 0.01).astype(float),
    "three values": RANDOM.integers(0, 3, 300).astype(float),
    "mostly zero": np.where(RANDOM.random(300) < 0.9, 0.0, RANDOM.lognormal(size=300)),
    "heavy tails": RANDOM.standard_cauchy(300) * 1e6,
    "huge": RANDOM.normal(1e12, 1e3, 300),
    "partly missing": np.where(RANDOM.random(300) < 0.3, np.nan, RANDOM.normal(size=300)),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_the_curve_of_a_feature_is_what_its_columns_make(name: str) -> None:
    values = AWKWARD[name]
    term = NumericTerm.learn(name, values, knots=8)
    columns = term.columns(values)
    weights = np.random.default_rng(1).normal(size=len(columns))
    assert len(term.curved) == len(columns)
    curve = term.curve(weights)
    made = np.sum([weight * column for weight, column in zip(weights, columns, strict=True)], axis=0) + np.zeros(300)
    np.testing.assert_allclose(np.zeros(300) if curve is None else curve(values), made, atol=1e-9, rtol=1e-9)


def test_the_columns_of_a_feature_have_no_missing_value_and_no_wild_scale() -> None:
    for name, values in AWKWARD.items():
        for column in NumericTerm.learn(name, values, knots=8).columns(values):
            assert np.isfinite(column).all()
            assert np.std(column) <= 1.0 + 1e-9


def test_a_spline_s_columns_are_penalised_by_second_differences() -> None:
    term = NumericTerm.learn("x", np.linspace(0, 1, 200), knots=8)
    weights = np.random.default_rng(0).normal(size=term.basis.shape[1])
    second_differences = np.diff(term.basis @ weights, 2)
    ratio = np.sum(second_differences**2) / np.sum(weights**2)
    np.testing.assert_allclose(second_differences**2, ratio * weights**2, rtol=1e-6)


@pytest.mark.parametrize("limit", [300, 0], ids=["dense", "sparse"])
def test_the_additive_model_equals_scikit_learn_s_decision_function(limit: int) -> None:
    ready = prepare(customers(400), CONTRACT, 4, seed=0)
    design = Design.learn(ready.encoded, ready.model.categories)
    columns = design.columns(ready.encoded, dense_up_to=limit)
    fitted = logistic_regression(0.3, columns.shape[1]).fit(columns, ready.label)
    model = design.collapse(fitted.coef_[0], float(fitted.intercept_[0]), ready.encoded)
    np.testing.assert_allclose(model.logit(ready.encoded), fitted.decision_function(columns), atol=1e-9)


def test_terms_are_centred_on_the_training_rows() -> None:
    ready = prepare(customers(400), CONTRACT, 4, seed=0)
    fit = fit_additive(ready.encoded, ready.model.categories, ready.label, ready.fold, customer=ready.customer, seed=0)
    means = {name: float(np.mean(added)) for name, added in fit.model.terms(ready.encoded)}
    assert means.keys() == {"tenure", "charges", "plan", "noise", "spent"}
    np.testing.assert_allclose(list(means.values()), 0.0, atol=1e-9)


def validation_of(rows: int, seed: int, truth: str) -> CrossValidation:
    random = np.random.default_rng(seed)
    values = random.normal(size=rows)
    logit = values if truth == "line" else 2 * values**2 - 2
    label = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    design = Design.learn({"x": values}, {})
    return CrossValidation(design.columns({"x": values}), design.curved, label, np.arange(rows) % 4, np.arange(rows))


@pytest.mark.parametrize("seed", range(3))
def test_a_line_is_a_line_and_a_curve_a_curve(seed: int) -> None:
    assert CURVATURES[choose_penalties(validation_of(800, seed, "line"))[1]] == 0
    assert CURVATURES[choose_penalties(validation_of(800, seed, "curve"))[1]] > 0


def test_the_walk_ends_where_no_neighbour_has_less_loss() -> None:
    validation = validation_of(500, 0, "curve")
    place = choose_penalties(validation)
    for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        there = place[0] + step[0], place[1] + step[1]
        if there[0] in range(len(PENALTIES)) and there[1] in range(len(CURVATURES)):
            assert np.mean(validation.losses(there)) >= np.mean(validation.losses(place))


def test_out_of_fold_log_odds_come_from_the_other_folds() -> None:
    ready = prepare(customers(400), CONTRACT, 4, seed=0)
    fit = fit_additive(ready.encoded, ready.model.categories, ready.label, ready.fold, customer=ready.customer, seed=0)
    flipped = np.where(ready.fold == 2, 1 - ready.label, ready.label).astype(np.int8)
    design = Design.learn(ready.encoded, ready.model.categories)
    columns = design.columns(ready.encoded)
    validation = CrossValidation(columns, design.curved, flipped, ready.fold, ready.customer)
    place = PENALTIES.index(fit.penalty), CURVATURES.index(fit.curvature)
    np.testing.assert_array_equal(validation.logit(place)[ready.fold == 2], fit.oof[ready.fold == 2])
    assert (validation.logit(place)[ready.fold == 1] != fit.oof[ready.fold == 1]).any()


def test_many_numeric_features_have_fewer_knots_each() -> None:
    values = np.random.default_rng(0).normal(size=100)
    few = Design.learn({f"x{i}": values for i in range(10)}, {})
    many = Design.learn({f"x{i}": values for i in range(150)}, {})
    assert few.numeric[0].basis.shape[1] > many.numeric[0].basis.shape[1]
    assert len(Design.learn({f"x{i}": values for i in range(400)}, {}).curved) == 800


def test_a_sample_for_the_search_keeps_enough_of_a_rare_class() -> None:
    label = (np.arange(50_000) % 100 == 0).astype(np.int8)
    everything = CrossValidation(
        np.zeros((50_000, 1)), np.zeros(1, dtype=bool), label, np.arange(50_000) % 5, np.arange(50_000)
    )
    sample = everything.sample(10_000, seed=0)
    assert len(sample.label) == 9_900 + 500
    assert np.sum(sample.label) == 500
    assert everything.sample(50_000, seed=0) is everything
