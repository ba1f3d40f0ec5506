"""How the model reads single features, and churn by two inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from churn.evaluation.importance import explain_rows
from churn.evaluation.shapes import risk_grid, shapes_of
from churn.model.frame import columns_of
from tests.fakes.data.scorers import SCHEMA, customers, small_scorer

MODEL = small_scorer().model
COLUMNS = MODEL.complete(columns_of(customers(60), {column.name: column.kind for column in SCHEMA.inputs}))


def test_a_curve_is_what_the_additive_part_adds_at_each_value() -> None:
    assert MODEL.additive is not None
    shapes = {shape.feature: shape for shape in shapes_of(MODEL, COLUMNS)}
    assert shapes
    assert set(shapes) <= set(MODEL.schema.kinds)
    for name, shape in shapes.items():
        assert len(shape.values) == len(shape.added)
        if shape.numeric:
            at = np.array(shape.values, dtype=np.float64)
            assert shape.added == pytest.approx(MODEL.additive.curves[name](at).tolist())
            assert list(shape.density) == sorted(shape.density)
        else:
            known = dict(zip(MODEL.categories[name], MODEL.additive.tables[name], strict=False))
            found = dict(zip(shape.values, shape.added, strict=True))
            assert {value: found[value] for value in known if value in found} == known
            assert sum(shape.density) == pytest.approx(1.0)


def test_a_model_without_an_additive_part_has_no_curves() -> None:
    assert shapes_of(replace(MODEL, additive=None), COLUMNS) == ()


def test_every_row_is_in_one_cell_with_what_was_observed_and_predicted() -> None:
    contract = np.array(["a", "b", None, "a", "a", "b"], dtype=object)
    tenure = np.array([1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    label, probability = np.array([1.0, 0, 1, 0, 0, 1]), np.array([0.5, 0.1, 0.9, 0.2, 0.3, 0.8])
    grid = risk_grid({"tenure": tenure, "contract": contract}, label, probability)
    assert grid is not None
    assert (grid.down_values, grid.across_values) == (("1", "2"), ("a", "b", "(missing)"))
    assert sum(cell.rows for row in grid.cells for cell in row if cell) == 6
    first, empty = grid.cells[0][0], grid.cells[1][2]
    assert first is not None
    assert (first.rows, first.observed, first.predicted) == (2, 0.5, pytest.approx(0.4))
    assert empty is None
    assert risk_grid({"tenure": np.ones(6), "contract": contract}, label, probability) is None


def test_the_two_inputs_are_the_strongest_number_and_the_strongest_category() -> None:
    entity = np.array([f"c{row}" for row in range(60)])
    label = (np.arange(60) % 3 == 0).astype(np.int8)
    found = explain_rows(small_scorer(), COLUMNS, entity, seed=0, label=label)
    assert found.grid is not None
    kinds = {column.name: column.kind for column in SCHEMA.inputs}
    assert (kinds[found.grid.down], kinds[found.grid.across]) == ("numeric", "categorical")
    same_kind = [name for name in found.importance if kinds.get(name) == "numeric"]
    assert found.grid.down == same_kind[0]
    assert explain_rows(small_scorer(), COLUMNS, entity, seed=0).grid is None
