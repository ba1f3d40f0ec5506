"""What makes two recipes the same, and how one is stored and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from churn.core.canonical import StoredFormat, canonical
from churn.core.errors import ModelError
from churn.ports.tables import TableRef
from churn.training.recipe import (
    RECIPE,
    RECIPE_FORMAT,
    Recipe,
    computing_libraries,
    read_recipe,
    training_code,
)
from churn.training.search import TuningSettings
from churn.training.train import ModelSettings
from tests.fakes.data.customers import CONTRACT

GOLDEN = Path(__file__).parents[2] / "golden"
FAST = ModelSettings(candidates=("boosting",), folds=2)
TABLE = TableRef(
    dataset="toy", name="churn_training", version=3, rows=100, content_id="d1", key=("customer_id",), uri="/tables/toy"
)


def recipe(tuning: TuningSettings | None = None, model: ModelSettings = FAST) -> Recipe:
    return Recipe.of(CONTRACT, model, tuning or TuningSettings(), model.boosting, seed=7, training_table=TABLE)


@pytest.mark.parametrize(
    "budget",
    [
        {"max_trials": 40},
        {"min_trials": 3},
        {"min_rows": 0},
        {"mode": "off"},
        {"timeout_seconds": 5},
        {"parallel_trials": 2},
    ],
    ids=lambda budget: next(iter(budget)),
)
def test_the_budget_of_the_search_is_no_part_of_the_recipe(budget: dict[str, Any]) -> None:
    other = recipe(TuningSettings(**budget))
    assert other.same_configuration(recipe())
    assert other.digest == recipe().digest


def test_what_the_search_is_for_is_part_of_the_recipe() -> None:
    assert not recipe(TuningSettings(objective="profit")).same_configuration(recipe())
    assert not recipe(model=ModelSettings(folds=3)).same_configuration(recipe())


def test_seed_and_data_are_stored_and_do_not_make_another_recipe() -> None:
    made = recipe()
    other = Recipe.of(CONTRACT, FAST, TuningSettings(), FAST.boosting, seed=8)
    assert made.seed == 7
    assert made.training_table is not None
    assert made.training_table.ref == TABLE.model_copy(update={"rows": 0, "uri": ""})
    assert other.same_configuration(made)
    assert other.same_code(made)


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "0" * 64},
        {"libraries": {**computing_libraries(), "xgboost": "9.9"}},
        {"code": None},
        {"libraries": None},
    ],
    ids=["other code", "other library", "unknown code", "unknown libraries"],
)
def test_other_code_or_libraries_leave_the_configuration_the_same(changes: dict[str, Any]) -> None:
    other = recipe().model_copy(update=changes)
    assert other.same_configuration(recipe())
    assert not other.same_code(recipe())
    assert not recipe().same_code(other)


def test_two_recipes_that_do_not_say_their_code_are_not_known_to_be_of_the_same() -> None:
    silent = recipe().model_copy(update={"code": None, "libraries": None})
    assert not silent.same_code(silent)


def test_the_code_is_that_of_training_and_the_libraries_are_those_that_compute() -> None:
    assert recipe().code == training_code()
    assert set(computing_libraries()) == {"catboost", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "xgboost"}


def test_a_recipe_survives_being_stored() -> None:
    made = recipe()
    assert read_recipe({RECIPE: json.loads(canonical(made.stored()))}) == made
    assert made.stored()["format"] == 2


def test_a_new_setting_with_a_default_leaves_an_old_recipe_the_same() -> None:
    class Later(ModelSettings):
        monotone: bool = Field(default=False)

    class LaterRecipe(Recipe):
        model: Later  # type: ignore[assignment]

    reader = StoredFormat("recipe", LaterRecipe, newest=2, error=ModelError)
    old = reader.parse(recipe().stored())
    new = LaterRecipe.of(CONTRACT, Later(**FAST.model_dump()), TuningSettings(), FAST.boosting)
    assert old.same_configuration(new)
    assert not old.same_configuration(new.model_copy(update={"model": Later(**FAST.model_dump(), monotone=True)}))


def test_a_package_without_a_recipe_is_refused() -> None:
    with pytest.raises(ModelError, match="holds no recipe"):
        read_recipe({"seed": "7"})


def test_a_recipe_of_a_newer_format_is_refused() -> None:
    with pytest.raises(ModelError, match=r"recipe has format 3, .* written by a newer version"):
        RECIPE_FORMAT.parse({**recipe().stored(), "format": 3})
