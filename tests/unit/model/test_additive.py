from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from churn.model.additive import AdditiveModel, Curve, signed_log

STEP = Curve(knots=(0.0, 1.0, 3.0), pieces=((0, 0, 2, 0), (1, 0, 0, 2)), missing=-7.0)


def test_a_curve_is_the_polynomial_of_the_distance_to_the_left_knot() -> None:
    np.testing.assert_allclose(STEP(np.array([0.0, 0.5, 1.0, 2.0])), [0.0, 1.0, 2.0, 3.0])


def test_a_curve_is_constant_beyond_its_ends() -> None:
    np.testing.assert_array_equal(STEP(np.array([-1e9, 0.0, 3.0, np.inf])), [0.0, 0.0, 10.0, 10.0])


def test_a_missing_value_has_its_own_constant() -> None:
    np.testing.assert_array_equal(STEP(np.array([np.nan])), [-7.0])


def test_the_logarithm_of_a_curve_is_signed() -> None:
    curve = Curve(knots=(-5.0, 5.0), pieces=((0, 0, 0, 0),), log_slope=2.0)
    np.testing.assert_allclose(curve(np.array([-1.0, 0.0, 1.0])), [-2 * np.log(2), 0.0, 2 * np.log(2)])
    np.testing.assert_allclose(signed_log(np.array([-3.0, 3.0])), [-np.log(4), np.log(4)])


def test_a_curve_does_not_change_the_values_it_is_given() -> None:
    values = np.array([np.nan, -4.0, 9.0])
    STEP(values)
    np.testing.assert_array_equal(values, [np.nan, -4.0, 9.0])


def test_shift_comes_before_scale() -> None:
    values = np.array([0.2, 2.9, np.nan])
    np.testing.assert_allclose(STEP.shifted_and_scaled(1.5, -2.0)(values), -2.0 * (STEP(values) + 1.5))


@pytest.mark.parametrize("knots", [(0.0,), (0.0, 1.0, 1.0), (0.0, 2.0, 1.0), (0.0, 1.0, 2.0, 3.0)])
def test_knots_that_do_not_enclose_the_pieces_are_refused(knots: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="ascending knots"):
        Curve(knots=knots, pieces=((0, 0, 0, 1), (0, 0, 0, 1)))


def test_the_model_is_the_sum_of_its_terms() -> None:
    model = AdditiveModel(intercept=0.5, curves={"x": STEP}, tables={"plan": (1.0, -1.0, 4.0)})
    encoded = {"plan": np.array([0, 1, -1]), "x": np.array([0.5, 1.0, np.nan]), "unused": np.zeros(3)}
    np.testing.assert_allclose(model.logit(encoded), [0.5 + 1 + 1, 0.5 + 2 - 1, 0.5 - 7 + 4])
    np.testing.assert_allclose(model.scaled(-3.0).logit(encoded), -3 * model.logit(encoded))


def test_json_keeps_every_bit() -> None:
    model = AdditiveModel(intercept=0.1 + 0.2, curves={"x": STEP.shifted_and_scaled(1 / 3, 1 / 7)}, tables={})
    assert AdditiveModel.model_validate_json(model.model_dump_json()) == model
