"""Is the recipe better? Two ways of making a model, refitted on the same folds by customer, again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..evaluation.ranking import Ranking, log_losses, roc_auc
from ..evaluation.significance import corrected_resampled_t
from ..model.frame import FloatArray
from ..training.folds import IntArray, customer_codes, customer_folds
from .report import RecipeComparison, RecipeMetric
from .settings import GateSettings

__all__ = ["Learner", "compare_learners"]

Learner = Callable[[IntArray, IntArray, int], FloatArray]
"""Takes the positions of the rows to learn from, those of the rows to predict, and a seed; returns the probabilities
of churn of the latter, shape `(n_predicted,)`. It is called from several threads at once."""


@dataclass(frozen=True)
class _Fold:
    """Rows to learn from and rows to predict, and the seed of what is fitted on them."""

    learn: IntArray
    ask: IntArray
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
    tell: Callable[[int, int, str], None],
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
        tell: Hears how many fits are done, of how many, and a word on the last.

    Raises:
        NotEnoughData: fewer than 50 rows, one class, or fewer customers of a class than folds.
    """
    customer = customer_codes(entity)
    folds = list(_folds(customer, label, settings, seed))
    learners = [champion] if challenger is champion else [champion, challenger]
    scores = _scores([(learner, fold) for fold in folds for learner in learners], label, threads, tell)
    found = scores.reshape(len(folds), len(learners), 2)
    share = float(np.mean([len(fold.ask) / len(fold.learn) for fold in folds]))
    log_loss = _metric("log_loss", found[:, 0, 0], found[:, -1, 0], share, settings.alpha)
    auc = _metric("roc_auc", found[:, 0, 1], found[:, -1, 1], share, settings.alpha)
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
            ask = fold == index
            yield _Fold(np.flatnonzero(~ask), np.flatnonzero(ask), seed + repeat * settings.folds + index)


def _scores(
    fits: list[tuple[Learner, _Fold]],
    label: npt.NDArray[np.int8],
    threads: int,
    tell: Callable[[int, int, str], None],
) -> FloatArray:
    """Return log loss and AUC of each fit, shape `(n_fits, 2)`."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    def score(fit: tuple[Learner, _Fold]) -> tuple[float, float]:
        learner, fold = fit
        probability, outcome = learner(fold.learn, fold.ask, fold.seed), label[fold.ask].astype(np.float64)
        auc = roc_auc(Ranking.of(outcome, probability).counts())
        return float(np.mean(log_losses(outcome, probability))), auc

    scores = []
    # The limit is the process's: set once around all fits, or one that ends would lift it under another.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for done, each in enumerate(pool.map(score, fits), start=1):
            scores.append(each)
            tell(done, len(fits), f"log loss {each[0]:.4f}")
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
