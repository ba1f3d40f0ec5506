"""Compares two recipes, refitted several times on the same folds by customer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ChurnError, ContractError, NotFound, nearest
from ..data.contract import DatasetContract
from ..data.tables import FEATURE_TIME
from ..data.training_set import TrainingData, bronze_to_features, read_side, read_training_set
from ..evaluation.ranking import Ranking, log_losses, roc_auc
from ..evaluation.significance import corrected_resampled_t
from ..model.frame import FloatArray, IntArray
from ..model.model import ChurnModel
from ..ports.tables import FeatureStore
from ..training.folds import customer_codes, customer_folds
from ..training.recipe import Recipe
from ..training.train import train
from .report import Progress, RecipeComparison, RecipeMetric
from .settings import GateSettings

__all__ = [
    "Learner",
    "Remake",
    "compare_learners",
    "compare_recipes",
    "predictor_digest",
    "remade_digest",
    "training_side",
]

Remake = Callable[[Recipe], str]
"""Makes a model again from its recipe, on its own table version and with its own seed, by the code and libraries of
today, and returns its `predictor_digest`; raises a ChurnError where it cannot. See `remade_digest`."""

Learner = Callable[[int], FloatArray]
"""Takes a seed and returns the out-of-fold probabilities of all rows, shape `(n_rows,)`: each row by a fit without its
fold, where the folds are those of `customer_folds` by this seed. It is called from several threads at once."""


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
    weight: FloatArray | None = None,
) -> RecipeComparison:
    """Compare two learners by repeated k-fold, all rows of a customer in one fold, both with the same seeds.

    Where both are the same object it is fitted once a repeat: the gains are zero, and both p-values one half.

    Args:
        champion: Makes the champion.
        challenger: Makes the challenger.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`.
        settings: Folds, repeats and level.
        seed: Seed of folds and fits.
        threads: Fits side by side; it does not change the result.
        progress: Called with the number of fits done, their total, and a message.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.

    Raises:
        NotEnoughData: fewer than 50 rows, one class, or fewer customers of a class than folds.
    """
    customer = customer_codes(entity)
    learners = [champion] if challenger is champion else [champion, challenger]
    seeds = range(seed, seed + settings.repeats)
    folds = {repeat: customer_folds(customer, label, settings.folds, repeat) for repeat in seeds}
    fits = [(learner, repeat) for repeat in folds for learner in learners]
    fitted = zip(fits, _fitted(fits, threads, progress), strict=True)
    scores = [_scores_by_fold(label, probability, folds[repeat], weight) for (_, repeat), probability in fitted]
    old, new = (np.concatenate(scores[start :: len(learners)]) for start in (0, len(learners) - 1))
    test = partial(_metric, share=1 / (settings.folds - 1), alpha=settings.alpha)
    loss, auc = (test(name, old[:, index], new[:, index]) for index, name in enumerate(("log_loss", "roc_auc")))
    counts = {"rows": len(label), "customers": int(customer.max()) + 1}
    return RecipeComparison(**counts, folds=settings.folds, repeats=settings.repeats, metrics=(loss, auc))


def _fitted(fits: Sequence[tuple[Learner, int]], threads: int, progress: Progress) -> Iterator[FloatArray]:
    """Yield the out-of-fold probabilities of each fit, in order."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # The limit is the process's: set once around all fits, or one that ends would lift it under another.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for done, probability in enumerate(pool.map(lambda fit: fit[0](fit[1]), fits), start=1):
            progress(done, len(fits), "refitted")
            yield probability


def _scores_by_fold(
    label: npt.NDArray[np.int8], probability: FloatArray, fold: IntArray, weight: FloatArray | None
) -> FloatArray:
    """Return log loss and AUC on each fold, shape `(folds, 2)`."""
    scores = []
    for index in range(int(fold.max()) + 1):
        rows = fold == index
        outcome, predicted = label[rows].astype(np.float64), probability[rows]
        counted = None if weight is None else weight[rows]
        auc = roc_auc(Ranking.of(outcome, predicted).counts(counted))
        scores.append((float(np.average(log_losses(outcome, predicted), weights=counted)), auc))
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

    Each recipe is trained `settings.repeats` times, and its out-of-fold probabilities are compared. Rounds, blend and
    calibration line are chosen on all folds at once, by either recipe alike, for a fifth of the work of training anew
    on each fold. Both take `settings.folds`: `model.folds` itself is not compared. Features are computed from the raw
    columns. Recipes that are the same, down to what the search chose, are fitted once.

    Args:
        champion: The champion's recipe.
        challenger: The challenger's recipe.
        rows: The joined table, of which the training side counts: raw columns as they were known at each row's time,
            outcome, split.
        settings: Folds, repeats and level.
        seed: Seed of folds and fits, the same for both.
        threads: Fits side by side; it does not change the result.
        progress: Called with the number of fits done, their total, and a message.

    Raises:
        ContractError: the table lacks a column that a recipe reads; the message names it and the recipe.
        NotEnoughData: too few rows, one class, or too few customers of a class.
    """
    same = challenger.same_configuration(champion) and challenger.boosting == champion.boosting
    with tempfile.TemporaryDirectory() as folder:
        first, data = _learner("champion", champion, rows, settings, Path(folder))
        second = first if same else _learner("challenger", challenger, rows, settings, Path(folder))[0]
        return compare_learners(
            first,
            second,
            data.label,
            data.entity,
            settings=settings,
            seed=seed,
            threads=threads,
            progress=progress,
            weight=data.weight,
        )


def _learner(
    who: str, recipe: Recipe, rows: pa.Table, settings: GateSettings, folder: Path
) -> tuple[Learner, TrainingData]:
    """Return the recipe as a learner over the training side of the rows, and that side."""
    module_folder = folder / who
    module_folder.mkdir()
    try:
        contract = recipe.restore_contract(module_folder)
        data = training_side(rows, contract)
    except ChurnError as error:
        raise type(error)(f"The {who}'s recipe cannot be made again on these rows: {error}") from error
    model = recipe.model.model_copy(update={"boosting": recipe.boosting, "folds": settings.folds})
    return (lambda seed: train(data, contract, model, seed=seed, threads=1).oof_probability), data


def predictor_digest(model: ChurnModel) -> str:
    """Return the sha256, in hexadecimal, of everything that a model predicts with: its files without the details.

    It is written and read by the code and libraries of today first, so that the same trees in another file format are
    the same model.
    """
    with tempfile.TemporaryDirectory() as folder:
        replace(model, details={}).save(Path(folder) / "model")
        return ChurnModel.load(Path(folder) / "model").digest


def remade_digest(recipe: Recipe, store: FeatureStore, *, threads: int) -> str:
    """Make a model again from its recipe with the code and libraries of today, and return its `predictor_digest`.

    Args:
        recipe: The recipe, with its seed and its table.
        store: The tables of the data set.
        threads: Folds fitted side by side; they change no result.

    Raises:
        NotFound: seed or table are not on record, or that version of the table is gone.
        ChurnError: the table no longer fits the recipe.
    """
    if recipe.seed is None or recipe.training_table is None:
        raise NotFound("Its seed or its training table is not on record.")
    settings = recipe.model.model_copy(update={"boosting": recipe.boosting})
    with tempfile.TemporaryDirectory() as folder:
        contract = recipe.restore_contract(Path(folder))
        limit, ref = settings.max_rows, recipe.training_table.ref
        data = read_side(store, ref, contract, "train", limit=limit, seed=recipe.seed)[0].data
        return predictor_digest(train(data, contract, settings, seed=recipe.seed, threads=threads).model)


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
