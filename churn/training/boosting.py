"""The main candidate: gradient-boosted trees, one ensemble per fold, merged into a single XGBoost booster."""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    import xgboost

__all__ = ["BoostedFolds", "BoostingParams", "FoldMatrices", "fit_folds", "merge"]

_MAX_BINS = 256


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
        label: 0 or 1, shape `(n_rows,)`.
        fold: The fold that predicts each row, 0 to `n_folds - 1`, shape `(n_rows,)`.
        fits: For each fold, the rows it learns from.
        checks: For each fold, the rows it predicts.
    """

    matrix: npt.NDArray[np.float32]
    label: npt.NDArray[np.int8]
    fold: npt.NDArray[np.intp]
    fits: Sequence[xgboost.QuantileDMatrix]
    checks: Sequence[xgboost.QuantileDMatrix]

    @classmethod
    def build(
        cls,
        matrix: npt.NDArray[np.float32],
        categorical: Sequence[bool],
        label: npt.NDArray[np.int8],
        fold: npt.NDArray[np.intp],
    ) -> FoldMatrices:
        """Quantise the rows of each fold; `categorical` says which features hold category codes."""
        import xgboost

        options = {
            "feature_types": ["c" if codes else "float" for codes in categorical],
            "max_bin": _MAX_BINS,
            "nthread": 1,
        }
        fits, checks = [], []
        for index in range(int(fold.max()) + 1):
            out = fold == index
            fits.append(xgboost.QuantileDMatrix(matrix[~out], label[~out], **options))
            checks.append(xgboost.QuantileDMatrix(matrix[out], label[out], ref=fits[-1], **options))
        return cls(matrix, label, fold, fits, checks)


@dataclass(frozen=True)
class BoostedFolds:
    """One ensemble per fold, all of the same number of rounds.

    Attributes:
        boosters: For each fold, the ensemble that learned from the other folds.
        base_logit: Log-odds that every ensemble starts from.
        rounds: Trees in each ensemble: where the loss over all out-of-fold rows was least.
        oof: Out-of-fold log-odds, shape `(n_rows,)`.
    """

    boosters: Sequence[xgboost.Booster]
    base_logit: float
    rounds: int
    oof: FloatArray


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
        threads: Folds grown side by side.
        after_fold: Called with each fold's index and its own least loss, in order; it may raise to give up. The folds
            then grow one after the other.
    """
    base = float(np.mean(matrices.label))
    growing = [_start(matrices, index, params, seed, base) for index in range(len(matrices.fits))]
    if after_fold is not None:
        for index, one in enumerate(growing):
            one.grow_while_better(params)
            after_fold(index, min(one.losses))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_Growing.grow_while_better, growing, repeat(params)))
        rounds = _grow_together(growing, matrices, params, pool)
    boosters = [one.booster[:rounds] for one in growing]
    oof = np.empty(len(matrices.label))
    for index, booster in enumerate(boosters):
        oof[matrices.fold == index] = booster.inplace_predict(
            matrices.matrix[matrices.fold == index], predict_type="margin"
        )
    return BoostedFolds(boosters, float(np.log(base / (1 - base))), rounds, oof)


def merge(parts: Sequence[tuple[BoostedFolds, float]]) -> tuple[xgboost.Booster, float]:
    """Return one booster whose margin, plus the log-odds returned with it, is the weighted sum of the folds' means.

    The trees are put one after the other with their leaves scaled, which keeps SHAP values and UBJ as they are.

    Args:
        parts: Folds and the weight of their mean in the log-odds.
    """
    import xgboost

    merged: dict[str, Any] = {}
    trees: list[dict[str, Any]] = []
    for folds, weight in parts:
        for booster in folds.boosters:
            merged = json.loads(booster.save_raw("json"))
            trees += [_scaled(tree, weight / len(folds.boosters)) for tree in _model(merged)["trees"]]
    for index, tree in enumerate(trees):
        tree["id"] = index
    model = _model(merged)
    model["trees"], model["tree_info"] = trees, [0] * len(trees)
    model["iteration_indptr"] = list(range(len(trees) + 1))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    base = merged["learner"]["learner_model_param"]["base_score"]
    # A base score of one half is a margin of zero; XGBoost 3.1 began to write it as a list.
    merged["learner"]["learner_model_param"]["base_score"] = "[5E-1]" if base.startswith("[") else "5E-1"
    booster = xgboost.Booster(model_file=bytearray(json.dumps(merged).encode("utf-8")))
    return booster, sum(weight * folds.base_logit for folds, weight in parts)


def _model(saved: dict[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = saved["learner"]["gradient_booster"]["model"]
    return model


def _scaled(tree: dict[str, Any], weight: float) -> dict[str, Any]:
    """Return the tree with every leaf `weight` times as large; a leaf keeps its value in `split_conditions`."""
    leaf = [child == -1 for child in tree["left_children"]]
    tree["split_conditions"] = [
        value * weight if is_leaf else value for value, is_leaf in zip(tree["split_conditions"], leaf, strict=True)
    ]
    # SHAP takes the expected value of a subtree from the weights of its nodes.
    tree["base_weights"] = [value * weight for value in tree["base_weights"]]
    return tree


def _start(matrices: FoldMatrices, index: int, params: BoostingParams, seed: int, base: float) -> _Growing:
    import xgboost

    options = params.model_dump(exclude={"max_rounds", "patience"})
    booster = xgboost.Booster(
        {
            **options,
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_bin": _MAX_BINS,
            "base_score": base,
            "nthread": 1,
            # Folds that shared a seed would sample the same positions and vary less than they should. XGBoost keeps one
            # random state a thread: unless it is seeded at every round, folds that share a thread disturb each other.
            "seed": (seed * 1009 + index) % 2**31,
            "seed_per_iteration": True,
        },
        cache=[matrices.fits[index], matrices.checks[index]],
    )
    return _Growing(booster, matrices.fits[index], matrices.checks[index])


def _grow_together(
    growing: Sequence[_Growing], matrices: FoldMatrices, params: BoostingParams, pool: ThreadPoolExecutor
) -> int:
    sizes = np.bincount(matrices.fold)
    while True:
        shared = min(len(one.losses) for one in growing)
        joint = np.average([one.losses[:shared] for one in growing], axis=0, weights=sizes)
        stop = _stop(joint.tolist(), params.patience)
        if stop is not None or shared >= params.max_rounds:
            return int(np.argmin(joint[: stop or shared])) + 1
        wanted = min(shared + params.patience, params.max_rounds)
        list(pool.map(_Growing.grow_to, growing, repeat(wanted)))


def _stop(losses: Sequence[float], patience: int) -> int | None:
    """Return how many rounds there were when the least loss was first `patience` rounds old, or None."""
    least, since = np.inf, 0
    for index, loss in enumerate(losses):
        least, since = (loss, 0) if loss < least else (least, since + 1)
        if since >= patience:
            return index + 1
    return None
