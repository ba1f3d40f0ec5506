"""How a version was made, kept so that it can be made again: contract, settings, searched parameters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ChurnError, ContractError, nearest
from ..data.contract import DatasetContract
from ..data.tables import FEATURE_TIME, SPLIT
from ..data.training_set import TrainingData, bronze_to_features, read_training_set
from ..model.frame import FloatArray
from ..training.folds import IntArray
from ..training.recipe import Recipe
from ..training.train import train
from .refits import Learner, compare_learners
from .report import RecipeComparison
from .settings import GateSettings

__all__ = ["compare_recipes", "drawn_customers", "training_side"]


def compare_recipes(
    champion: Recipe,
    challenger: Recipe,
    rows: pa.Table,
    *,
    settings: GateSettings,
    seed: int,
    threads: int,
    tell: Callable[[int, int, str], None],
) -> RecipeComparison:
    """Refit both recipes on the same folds of the training side and test the difference; see `compare_learners`.

    Each recipe computes all its features from the raw columns of the table, whatever features are stored there. Two
    recipes that are the same, down to what the search chose, are fitted once. Of more than `settings.max_recipe_rows`
    training rows, whole customers are drawn.

    Args:
        champion: The champion's recipe.
        challenger: The challenger's recipe.
        rows: The joined training table: raw columns as they were known at each row's time, outcome, split.
        settings: Folds, repeats and level.
        seed: Seed of folds and fits, the same for both.
        threads: Fits side by side; it does not change the result.
        tell: Hears how many fits are done, of how many, and a word on the last.

    Raises:
        ContractError: the table lacks a column that a recipe reads; the message names it and the recipe.
        NotEnoughData: too few rows, one class, or too few customers of a class.
    """
    same = challenger.same_configuration(champion) and challenger.boosting == champion.boosting
    rows = drawn_customers(
        rows.filter(pc.field(SPLIT) == "train"), champion.contract["entity_key"], settings.max_recipe_rows, seed
    )
    with tempfile.TemporaryDirectory() as folder:
        first, data = _learner("champion", champion, rows, Path(folder))
        second = first if same else _learner("challenger", challenger, rows, Path(folder))[0]
        return compare_learners(
            first, second, data.label, data.entity, settings=settings, seed=seed, threads=threads, tell=tell
        )


def _learner(who: str, recipe: Recipe, rows: pa.Table, folder: Path) -> tuple[Learner, TrainingData]:
    """Return the recipe as a learner over the training side of the rows, and that side."""
    own = folder / who
    own.mkdir()
    try:
        contract = recipe.restore_contract(own)
        data = training_side(rows, contract)
    except ChurnError as error:
        raise type(error)(f"The {who}'s recipe cannot be made again on these rows: {error}") from error
    settings = recipe.model.model_copy(update={"boosting": recipe.boosting})

    def learn(known: IntArray, asked: IntArray, seed: int) -> FloatArray:
        result = train(_part(data, known), contract, settings, seed=seed, threads=1)
        return result.model.probability(_part(data, asked).columns)

    return learn, data


def training_side(rows: pa.Table, contract: DatasetContract) -> TrainingData:
    """Return the training side of a joined table with the contract's features, computed from the raw columns anew.

    Raises:
        ContractError: the table lacks a column.
    """
    needed = [contract.entity_key, *contract.columns]
    missing = [name for name in needed if name not in rows.column_names]
    if missing:
        raise ContractError(
            f"The training table lacks the column {missing[0]!r}{nearest(missing[0], rows.column_names)}: bring a "
            "source that still has it through the features pipeline."
        )
    computed, joined = bronze_to_features(rows, contract), rows
    for name in (spec.name for spec in contract.stored_features):
        if name in joined.column_names:
            joined = joined.drop_columns([name])
        # A row without facts has no features either, as in the join: a count over nothing would be 0, not missing.
        values = pc.if_else(rows[FEATURE_TIME].is_valid(), computed[name], None)
        joined = joined.append_column(name, values)
    return read_training_set(joined, contract).side("train").data


def _part(data: TrainingData, rows: IntArray) -> TrainingData:
    columns = {name: values[rows] for name, values in data.columns.items()}
    return TrainingData(columns, data.label[rows], data.entity[rows])


def drawn_customers(table: pa.Table, entity: str, limit: int, seed: int) -> pa.Table:
    """Return the table, or all rows of as many customers, drawn at random, as make about `limit` rows.

    Args:
        table: Rows with the customer's key in the column `entity`.
        entity: That column.
        limit: Rows at most, but for those of one customer.
        seed: Draws the same customers every time.
    """
    if table.num_rows <= limit:
        return table
    customers = np.unique(table[entity].to_numpy(zero_copy_only=False).astype(str))
    share = limit / table.num_rows
    drawn = np.random.default_rng(seed).permutation(customers)[: max(1, int(share * len(customers)))]
    return table.filter(pc.is_in(table[entity], pa.array(drawn, table.schema.field(entity).type)))
