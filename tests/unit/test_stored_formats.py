"""Everything that was ever stored is read for ever: one file a format and kind under tests/golden, never written anew.

A change that breaks one of these tests needs an upgrade in the reader of that kind (`StoredFormat.upgrades`) or a new
format beside the old ones, and never another file: docs/formats.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from churn.training.recipe import read_recipe

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {
    "recipe_1.json": "79aefe821d0ecc4a",
    "recipe_2.json": "e1a24d48a1df496f",
}
"""Each file with the first digits of its SHA-256."""


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def test_no_golden_file_was_changed_or_left_out() -> None:
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in GOLDEN.iterdir()}
    assert files == FILES


def test_a_recipe_without_a_format_is_read_with_seed_and_table_of_its_package() -> None:
    recipe = read_recipe(golden("recipe_1.json"))
    assert recipe.boosting.max_depth == 3
    assert recipe.model.candidates == ("additive", "boosting")
    assert (recipe.seed, recipe.code, recipe.libraries) == (42, None, None)
    assert recipe.training_table is not None
    assert recipe.training_table.ref.model_dump(include={"dataset", "name", "version", "digest", "key"}) == {
        "dataset": "telco_simulated",
        "name": "churn_training",
        "version": 0,
        "digest": "212539aadde3b5c553718931b6ecff64",
        "key": ("customer_id", "transaction_ts"),
    }


def test_a_recipe_of_format_2_is_read_with_code_and_libraries() -> None:
    recipe = read_recipe(golden("recipe_2.json"))
    assert recipe.boosting.max_depth == 3
    assert recipe.seed == 42
    assert recipe.code is not None
    assert recipe.libraries is not None
    assert "xgboost" in recipe.libraries


@pytest.mark.parametrize("name", ["recipe_1.json", "recipe_2.json"])
def test_the_contract_of_a_stored_recipe_is_one_of_today(name: str, tmp_path: Path) -> None:
    contract = read_recipe(golden(name)).restore_contract(tmp_path)
    assert contract.entity_key == "customer_id"
    assert "monthly_charges" in contract.columns
