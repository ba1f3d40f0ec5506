"""The main candidate: gradient-boosted trees; the folds choose the rounds, and one ensemble learns all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..core.frozen import Frozen
from ..model.frame import FloatArray
from ..model.tree_shap import cost_bound, explanation_costs

if TYPE_CHECKING:
    import xgboost

__all__ = ["BoostedFolds", "BoostingParams", "FoldMatrices", "fit_folds", "refit"]

_MAX_BINS = 256
_STEADY_DEPTH, _STEADY_ROWS, _MAX_BAG = 3, 100_000, 5


class BoostingParams(Frozen):
    """How the trees grow. The defaults are the fixed configuration that tuning has to beat."""

    max_depth: int = Field(default=2, ge=1, le=12, description="Levels of a tree; 2 allows interactions of pairs.")
    learning_rate: float = Field(default=0.08, gt=0, le=1, description="Share of each tree's step that is taken.")
    min_child_weight: float = Field(default=5.0, ge=0, description="Least sum of p·(1 - p) over the rows of a leaf.")
    subsample: float = Field(default=0.7, gt=0, le=1, description="Share of the rows that each tree sees.")
    colsample_bytree: float = Field(default=0.5, gt=0, le=1, description="Share of the features that each tree sees.")
    reg_lambda: float = Field(default=5.0, ge=0, description="L2 penalty on leaf values.")
    gamma: float = Field(default=0.0, ge=0, description="Least gain, in log loss summed over rows, for a split.")
    max_rounds: int = Field(default=1500, ge=1, le=20_000, description="Most trees for a fold.")
    patience: int = Field(default=30, ge=1, description="Rounds without a better out-of-fold loss before stopping.")


@dataclass(frozen=True)
class FoldMatrices:
    """The training rows as XGBoost reads them, quantised once for every configuration.

    Attributes:
        matrix: float32 of shape `(n_rows, n_features)`: numbers or category codes, NaN for missing.
        feature_types: `c` for each feature of category codes, `float` for the others.
        label: 0 or 1, shape `(n_rows,)`.
        fold: The fold that predicts each row, 0 to `n_folds - 1`, shape `(n_rows,)`.
        fits: For each fold, the rows it learns from.
        checks: For each fold, the rows it predicts.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """

    matrix: npt.NDArray[np.float32]
    feature_types: Sequence[str]
    label: npt.NDArray[np.int8]
    fold: npt.NDArray[np.intp]
    fits: Sequence[xgboost.QuantileDMatrix]
    checks: Sequence[xgboost.QuantileDMatrix]
    weight: FloatArray | None = None

    @classmethod
    def build(
        cls,
        matrix: npt.NDArray[np.float32],
        categorical: Sequence[bool],
        label: npt.NDArray[np.int8],
        fold: npt.NDArray[np.intp],
        weight: FloatArray | None = None,
    ) -> FoldMatrices:
        """Quantise the rows of each fold; `categorical` says which features hold category codes."""
        import xgboost

        types = ["c" if codes else "float" for codes in categorical]
        options = {"feature_types": types, "max_bin": _MAX_BINS, "nthread": 1}
        fits, checks = [], []
        for index in range(int(fold.max()) + 1):
            out = fold == index
            fits.append(xgboost.QuantileDMatrix(matrix[~out], label[~out], weight=_of(weight, ~out), **options))
            check = matrix[out], label[out]
            checks.append(xgboost.QuantileDMatrix(*check, weight=_of(weight, out), ref=fits[-1], **options))
        return cls(matrix, types, label, fold, fits, checks, weight)


@dataclass(frozen=True)
class BoostedFolds:
    """What ensembles on the folds, all of the same number of rounds, came to.

    Attributes:
        rounds: Trees in each ensemble: where the loss over all out-of-fold rows was least, within the budget.
        oof: Out-of-fold log-odds, shape `(n_rows,)`.
        explanation_cost: Microseconds of CPU a row that exact contributions of one such ensemble cost.
    """

    rounds: int
    oof: FloatArray
    explanation_cost: float


@dataclass
class _Growing:
    """A fold's ensemble while it grows, with the log loss of its out-of-fold rows after each round."""

    booster: xgboost.Booster
    fit: xgboost.QuantileDMatrix
    check: xgboost.QuantileDMatrix
    losses: list[float] = field(default_factory=list)

    def grow_to(self, rounds: int) -> None:
        for index in range(len(self.losses), rounds):
            self.booster.update(self.fit, index)
            self.losses.append(float(self.booster.eval_set([(self.check, "check")], index).rsplit(":", 1)[1]))

    def grow_while_better(self, params: BoostingParams) -> None:
        while len(self.losses) < params.max_rounds and not self._stale(params.patience):
            self.grow_to(len(self.losses) + 1)

    def _stale(self, patience: int) -> bool:
        return len(self.losses) - 1 - int(np.argmin(self.losses or [0.0])) >= patience


def fit_folds(
    matrices: FoldMatrices,
    params: BoostingParams,
    seed: int,
    *,
    budget: float = np.inf,
    threads: int = 1,
    after_fold: Callable[[int, float], None] | None = None,
) -> BoostedFolds:
    """Grow one ensemble per fold and stop them all at the round where their joint out-of-fold loss is least.

    One number of rounds for all folds is chosen from all rows: stopping each fold by its own few rows flatters the
    out-of-fold loss. Each fold runs on one thread, so the result is the same whatever `threads` is.

    Args:
        matrices: The rows.
        params: How the trees grow.
        seed: Seed of row and feature sampling.
        budget: Microseconds a row that exact contributions may cost at most: no more rounds are taken than that allows.
        threads: Folds grown side by side.
        after_fold: Called with each fold's index and its own least loss, in order; it may raise to give up. The folds
            then grow one after the other.
    """
    base = float(np.average(matrices.label, weights=matrices.weight))
    growing = [_start(matrices, index, params, seed, base) for index in range(len(matrices.fits))]
    if after_fold is not None:
        for index, fold in enumerate(growing):
            fold.grow_while_better(params)
            after_fold(index, min(fold.losses))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_Growing.grow_while_better, growing, repeat(params)))
        rounds = _grow_together(growing, matrices, params, pool)
    rounds, cost = _within(budget, growing[0].booster[:rounds], params)
    oof = np.empty(len(matrices.label))
    for index, fold in enumerate(growing):
        rows = matrices.fold == index
        oof[rows] = fold.booster[:rounds].inplace_predict(matrices.matrix[rows], predict_type="margin")
    return BoostedFolds(rounds, oof, cost)


def _within(budget: float, booster: xgboost.Booster, params: BoostingParams) -> tuple[int, float]:
    """Return how many of the booster's rounds exact contributions can be afforded of, and what they cost."""
    rounds = booster.num_boosted_rounds()
    bound = cost_bound(params.max_depth, rounds)
    if bound * _MAX_BAG <= budget:  # most ensembles of shallow trees; counting takes longer
        return rounds, bound
    costs = explanation_costs(booster)
    rounds = max(1, int(np.searchsorted(costs, budget, side="right")))
    return rounds, float(costs[rounds - 1])


def refit(
    matrices: FoldMatrices, params: BoostingParams, fit: BoostedFolds, seed: int, *, budget: float
) -> xgboost.Booster:
    """Grow the ensemble of the model: the rounds that the folds chose, once, on all rows.

    Deep trees vary much from one draw of the rows to another. A round of them is the mean of up to five trees that
    each see their own draw, as many as the budget of explanations and the rows ask for.

    Args:
        matrices: The rows.
        params: How the trees grow.
        fit: What `fit_folds` returned for them.
        seed: Seed of row and feature sampling.
        budget: Microseconds a row that exact contributions may cost at most; see `explanation_costs`.
    """
    import xgboost

    bag = 1 if params.max_depth <= _STEADY_DEPTH else round(_STEADY_ROWS / len(matrices.label))
    bag = int(np.clip(min(bag, budget // fit.explanation_cost), 1, _MAX_BAG))
    options = {"feature_types": matrices.feature_types, "max_bin": _MAX_BINS, "nthread": 1}
    rows = xgboost.QuantileDMatrix(matrices.matrix, matrices.label, weight=matrices.weight, **options)
    base = float(np.average(matrices.label, weights=matrices.weight))
    whole = _options(params, seed, base) | {"num_parallel_tree": bag}
    booster = xgboost.Booster(whole, cache=[rows])
    for index in range(fit.rounds):
        booster.update(rows, index)
    if cost_bound(params.max_depth, bag * fit.rounds) <= budget:
        return booster
    # All rows may grow a few leaves more than the folds did.
    within = int(np.searchsorted(explanation_costs(booster)[bag - 1 :: bag], budget, side="right"))
    return booster[: max(1, min(fit.rounds, within))]


def _of(weight: FloatArray | None, rows: npt.NDArray[np.bool_]) -> FloatArray | None:
    return None if weight is None else weight[rows]


def _start(matrices: FoldMatrices, index: int, params: BoostingParams, seed: int, base: float) -> _Growing:
    import xgboost

    booster = xgboost.Booster(
        # Folds that shared a seed would sample the same positions and vary less than they should.
        _options(params, seed * 1009 + index, base),
        cache=[matrices.fits[index], matrices.checks[index]],
    )
    return _Growing(booster, matrices.fits[index], matrices.checks[index])


def _options(params: BoostingParams, seed: int, base: float) -> dict[str, Any]:
    return {
        **params.model_dump(exclude={"max_rounds", "patience"}),
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": _MAX_BINS,
        "base_score": base,
        "nthread": 1,
        # XGBoost keeps one random state a thread: unless it is seeded at every round, folds that share a thread
        # disturb each other.
        "seed": seed % 2**31,
        "seed_per_iteration": True,
    }


def _grow_together(
    growing: Sequence[_Growing], matrices: FoldMatrices, params: BoostingParams, pool: ThreadPoolExecutor
) -> int:
    sizes = np.bincount(matrices.fold, matrices.weight)
    while True:
        shared = min(len(fold.losses) for fold in growing)
        joint = np.average([fold.losses[:shared] for fold in growing], axis=0, weights=sizes)
        stop = _stop(joint.tolist(), params.patience)
        if stop is not None or shared >= params.max_rounds:
            return int(np.argmin(joint[: stop or shared])) + 1
        rounds = min(shared + params.patience, params.max_rounds)
        list(pool.map(_Growing.grow_to, growing, repeat(rounds)))


def _stop(losses: Sequence[float], patience: int) -> int | None:
    """Return how many rounds there were when the least loss was first `patience` rounds old, or None."""
    least, since = np.inf, 0
    for index, loss in enumerate(losses):
        least, since = (loss, 0) if loss < least else (least, since + 1)
        if since >= patience:
            return index + 1
    return None
