"""Is the recipe better? Two ways of making a model, refitted on the same folds by customer, several times over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ChurnError, ContractError, nearest
from ..data.contract import DatasetContract
from ..data.tables import FEATURE_TIME, SPLIT
from ..data.training_set import TrainingData, bronze_to_features, read_training_set
from ..evaluation.ranking import Ranking, log_losses, roc_auc
from ..evaluation.significance import corrected_resampled_t
from ..model.frame import FloatArray
from ..training.folds import IntArray, customer_codes, customer_folds
from ..training.recipe import Recipe
from ..training.train import train
from .report import Progress, RecipeComparison, RecipeMetric
from .settings import GateSettings

__all__ = ["Learner", "compare_learners", "compare_recipes", "drawn_customers", "training_side"]

Learner = Callable[[IntArray, IntArray, int], FloatArray]
"""Takes the positions of the rows to learn from, those of the rows to predict, and a seed; returns the probabilities
of churn of the latter, shape `(n_predicted,)`. It is called from several threads at once."""


@dataclass(frozen=True)
class _Fold:
    """Rows to learn from and rows to predict, and the seed of what is fitted on them."""

    learn: IntArray
    predict: IntArray
    seed: int


def compare_learners(
    champion: Learner,
    challenger: Learner,
    label: npt.NDArray[np.int8],
    entity: npt.NDArray[np.object_],
    *,
    settings: GateSettings,
    seed: int,
    threads: int,
    progress: Progress,
) -> RecipeComparison:
    """Compare two learners by repeated k-fold, all rows of a customer in one fold, both with the same seeds.

    Where both are the same object it is fitted once a fold: the gains are zero, and both p-values one half.

    Args:
        champion: What makes the champion.
        challenger: What makes the challenger.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`.
        settings: Folds, repeats and level.
        seed: Seed of folds and fits.
        threads: Fits side by side; it does not change the result.
        progress: Called with the number of fits done, their total, and a message.

    Raises:
        NotEnoughData: fewer than 50 rows, one class, or fewer customers of a class than folds.
    """
    customer = customer_codes(entity)
    folds = list(_folds(customer, label, settings, seed))
    learners = [champion] if challenger is champion else [champion, challenger]
    scores = _scores([(learner, fold) for fold in folds for learner in learners], label, threads, progress)
    by_fold = scores.reshape(len(folds), len(learners), 2)
    share = float(np.mean([len(fold.predict) / len(fold.learn) for fold in folds]))
    log_loss = _metric("log_loss", by_fold[:, 0, 0], by_fold[:, -1, 0], share, settings.alpha)
    auc = _metric("roc_auc", by_fold[:, 0, 1], by_fold[:, -1, 1], share, settings.alpha)
    return RecipeComparison(
        rows=len(label),
        customers=int(customer.max()) + 1,
        folds=settings.folds,
        repeats=settings.repeats,
        metrics=(log_loss, auc),
    )


def _folds(customer: IntArray, label: npt.NDArray[np.int8], settings: GateSettings, seed: int) -> Iterator[_Fold]:
    for repeat in range(settings.repeats):
        fold = customer_folds(customer, label, settings.folds, seed + repeat)
        for index in range(settings.folds):
            out = fold == index
            yield _Fold(np.flatnonzero(~out), np.flatnonzero(out), seed + repeat * settings.folds + index)


def _scores(
    fits: list[tuple[Learner, _Fold]],
    label: npt.NDArray[np.int8],
    threads: int,
    progress: Progress,
) -> FloatArray:
    """Return log loss and AUC of each fit, shape `(n_fits, 2)`."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    def score(fit: tuple[Learner, _Fold]) -> tuple[float, float]:
        learner, fold = fit
        probability, outcome = learner(fold.learn, fold.predict, fold.seed), label[fold.predict].astype(np.float64)
        auc = roc_auc(Ranking.of(outcome, probability).counts())
        return float(np.mean(log_losses(outcome, probability))), auc

    scores = []
    # The limit is the process's: set once around all fits, or one that ends would lift it under another.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for done, (loss, auc) in enumerate(pool.map(score, fits), start=1):
            scores.append((loss, auc))
            progress(done, len(fits), f"log loss {loss:.4f}")
    return np.array(scores)


def _metric(name: str, champion: FloatArray, challenger: FloatArray, share: float, alpha: float) -> RecipeMetric:
    gains = champion - challenger if name == "log_loss" else challenger - champion
    test = corrected_resampled_t(gains, test_share=share, alpha=alpha)
    return RecipeMetric(
        name="log_loss" if name == "log_loss" else "roc_auc",
        champion=float(np.mean(champion)),
        challenger=float(np.mean(challenger)),
        gain=test.gain,
        p_better=test.p_better,
        p_worse=test.p_worse,
        detectable=test.detectable,
        folds=tuple(gains.tolist()),
    )


def compare_recipes(
    champion: Recipe,
    challenger: Recipe,
    rows: pa.Table,
    *,
    settings: GateSettings,
    seed: int,
    threads: int,
    progress: Progress,
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
        progress: Called with the number of fits done, their total, and a message.

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
            first, second, data.label, data.entity, settings=settings, seed=seed, threads=threads, progress=progress
        )


def _learner(who: str, recipe: Recipe, rows: pa.Table, folder: Path) -> tuple[Learner, TrainingData]:
    """Return the recipe as a learner over the training side of the rows, and that side."""
    module_folder = folder / who
    module_folder.mkdir()
    try:
        contract = recipe.restore_contract(module_folder)
        data = training_side(rows, contract)
    except ChurnError as error:
        raise type(error)(f"The {who}'s recipe cannot be made again on these rows: {error}") from error
    settings = recipe.model.model_copy(update={"boosting": recipe.boosting})

    def learn(fitted: IntArray, predicted: IntArray, seed: int) -> FloatArray:
        result = train(_part(data, fitted), contract, settings, seed=seed, threads=1)
        return result.model.probability(_part(data, predicted).columns)

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
