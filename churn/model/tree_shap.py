"""Exact SHAP values of boosted trees, read from tables: what each feature adds to a row's log-odds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from .frame import FloatArray, IntArray

if TYPE_CHECKING:
    import xgboost

__all__ = ["MAX_DEPTH", "Matrix", "Split", "TreeTables", "cost_bound", "explanation_costs"]

MAX_DEPTH = 6
"""Deeper trees have no tables, which grow as two to the power of the depth; XGBoost explains them, and takes longer."""
_BLOCK_ROWS, _BLOCK_CELLS, _BLOCK_LEAVES = 256, 1 << 17, 1 << 10
_ROW_US, _PAIR_US, _SPLIT_US = 10.0, 0.0048, 0.011
_LEAF_US, _DEPTH_US = 0.070, 0.006
Matrix = npt.NDArray[np.float32]


class Split(NamedTuple):
    """One question that trees ask of a feature; `categories` is None for a number."""

    feature: int
    threshold: float
    categories: tuple[int, ...] | None
    default_left: bool


class _Leaf(NamedTuple):
    """The steps to a leaf, each a split, its branch (1 is right) and the share of the rows that took it; its value."""

    steps: tuple[tuple[Split, int, float], ...]
    value: float


def explanation_costs(booster: xgboost.Booster) -> FloatArray:
    """Return the microseconds of CPU a row that exact contributions cost after each tree, shape `(n_trees,)`.

    A model of the cost from the number of leaves, their depth and the different splits, so that no clock decides; its
    constants are for the machine of `benchmarks/batch.py`, which measures how well it holds. Tables cost by pair of
    leaf and feature. Trees too deep for tables cost XGBoost's TreeSHAP, by leaf and by the square of its depth.
    """
    tabled, walked, deepest = [0.0], [0.0], 0
    splits: set[Split] = set()
    for tree in _trees(booster):
        splits_before = len(splits)
        splits.update(split for leaf in tree for split, _, _ in leaf.steps)
        pairs = sum(len({split.feature for split, _, _ in leaf.steps}) for leaf in tree)
        tabled.append(_PAIR_US * pairs + _SPLIT_US * (len(splits) - splits_before))
        walked.append(sum(_LEAF_US + _DEPTH_US * len(leaf.steps) ** 2 for leaf in tree))
        deepest = max(deepest, *(len(leaf.steps) for leaf in tree))
    return _ROW_US + np.cumsum(tabled if deepest <= MAX_DEPTH else walked)[1:]


def cost_bound(depth: int, trees: int) -> float:
    """Return the greatest last value of `explanation_costs` that so many trees of that depth may have."""
    leaves = 2.0**depth
    if depth <= MAX_DEPTH:
        return _ROW_US + trees * (_PAIR_US * leaves * depth + _SPLIT_US * (leaves - 1))
    return _ROW_US + trees * leaves * (_LEAF_US + _DEPTH_US * depth**2)


@dataclass(frozen=True)
class _Questions:
    """Splits as arrays of shape `(n_splits,)`, those of numbers first."""

    feature: IntArray
    threshold: Matrix
    default_left: npt.NDArray[np.bool_]
    goes_right: npt.NDArray[np.bool_]
    """For each split of categories, the codes that go right and one more that never does, `(n_splits, n_codes + 1)`."""

    @classmethod
    def of(cls, splits: Sequence[Split]) -> Self:
        chosen = [split.categories for split in splits if split.categories is not None]
        goes_right = np.zeros(
            (len(chosen), max((code for codes in chosen for code in codes), default=0) + 2), dtype=bool
        )
        for row, codes in enumerate(chosen):
            goes_right[row, list(codes)] = True
        return cls(
            np.array([split.feature for split in splits], dtype=np.intp),
            np.array([split.threshold for split in splits], dtype=np.float32)[: len(splits) - len(chosen)],
            np.array([split.default_left for split in splits], dtype=bool),
            goes_right,
        )

    def branches(self, columns: Matrix) -> npt.NDArray[np.uint8]:
        """Return 1 for every branch that a row takes, shape `(2 * n_splits + 1, n_rows)`; the last one all do.

        Left and right branch of a split follow each other; `columns` has shape `(n_features, n_rows)`.
        """
        values, numbers = columns[self.feature], len(self.threshold)
        missing = np.isnan(values)
        right = np.empty(values.shape, dtype=bool)
        right[:numbers] = values[:numbers] >= self.threshold[:, None]
        codes = np.where(missing[numbers:], 0, values[numbers:]).astype(np.intp)
        last = self.goes_right.shape[1] - 1
        right[numbers:] = np.take_along_axis(self.goes_right, np.minimum(codes, last), axis=1)
        right = np.where(missing, ~self.default_left[:, None], right)
        taken = np.ones((2 * len(self.feature) + 1, columns.shape[1]), dtype=np.uint8)
        taken[0:-1:2], taken[1:-1:2] = ~right, right
        return taken


@dataclass(frozen=True)
class TreeTables:
    """SHAP values of every leaf for every way that a row can answer the splits on its path.

    TreeSHAP (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees")
    gives feature i of a leaf of value v `v·(o_i - z_i)·∫ Π_{j≠i} (t·o_j + (1 - t)·z_j) dt` over t from 0 to 1, where
    o_j is 1 if the row takes each of the leaf's steps that ask for feature j, else 0, and z_j is the share of the
    training rows that do. It follows from the row's answers alone, so it is computed once for each of the 2**depth
    ways to answer, exactly by Gauss-Legendre quadrature, and looked up for each row (as in Yang 2021, "Fast TreeSHAP").

    Attributes:
        questions: Every different split.
        edges: For each leaf and step twice the number of its split, one more for the right branch, shape
            `(n_leaves, depth)`; shorter paths are filled up with a step that every row takes.
        pair_leaf: The leaf of each pair of leaf and feature, shape `(n_pairs,)`; pairs are sorted by feature.
        starts: The first pair of each of `features`.
        features: Features that some tree asks for, ascending.
        table: The SHAP value of each pair and way to answer, float32 of shape `(n_pairs, 2**depth)`.
        values: What each leaf adds to the margin, float32 of shape `(n_leaves,)`, in the order that XGBoost sums them;
            what the sum begins with is in the first tree's. Symmetric trees have none here.
    """

    questions: _Questions
    edges: IntArray
    pair_leaf: IntArray
    starts: IntArray
    features: IntArray
    table: npt.NDArray[np.float32]
    values: npt.NDArray[np.float32]

    @classmethod
    def of(cls, booster: xgboost.Booster) -> Self | None:
        """Return the tables of a booster's trees, None where one is deeper than `MAX_DEPTH`."""
        trees = list(_trees(booster))
        leaves = [leaf for tree in trees for leaf in tree]
        depth = max([1, *(len(leaf.steps) for leaf in leaves)])
        if depth > MAX_DEPTH:
            return None
        used = dict.fromkeys(step[0] for leaf in leaves for step in leaf.steps)
        splits = {split: at for at, split in enumerate(sorted(used, key=lambda split: split.categories is not None))}
        shape = len(leaves), depth
        edges = np.full(shape, 2 * len(splits))
        slot, feature, share = np.tile(np.arange(depth), (len(leaves), 1)), np.full(shape, -1), np.ones(shape)
        for row, leaf in enumerate(leaves):
            slots: dict[int, int] = {}
            for step, (split, branch, taken) in enumerate(leaf.steps):
                edges[row, step] = 2 * splits[split] + branch
                where = slots.setdefault(split.feature, step)
                slot[row, step], feature[row, where] = where, split.feature
                share[row, where] *= taken
        value = np.array([leaf.value for leaf in leaves])
        blocks = [
            _shap(slot[rows], share[rows], value[rows])[feature[rows] >= 0]
            for rows in (slice(at, at + _BLOCK_LEAVES) for at in range(0, len(leaves), _BLOCK_LEAVES))
        ]
        table = np.concatenate(blocks) if blocks else np.zeros((0, 1), dtype=np.float32)
        values = value.astype(np.float32)
        values[: len(trees[0])] += _start(booster)
        return cls._from_pairs(tuple(splits), edges, feature, table, values)

    @classmethod
    def symmetric(
        cls, splits: Sequence[Split], levels: IntArray, feature: IntArray, shap: npt.NDArray[np.float32]
    ) -> Self:
        """Return the tables of symmetric trees: a row's answers along one path name its leaf.

        Args:
            splits: Every split, those of numbers first.
            levels: The split at each level of a tree, shape `(n_trees, depth)`.
            feature: Its feature at the first level of a tree that asks for it, -1 at later ones, of the same shape.
            shap: The SHAP value of each level's feature for every way to answer, `(n_trees, depth, 2**depth)`.
        """
        return cls._from_pairs(splits, 2 * levels + 1, feature, shap[feature >= 0], np.zeros(0, np.float32))

    @classmethod
    def _from_pairs(
        cls,
        splits: Sequence[Split],
        edges: IntArray,
        feature: IntArray,
        table: npt.NDArray[np.float32],
        values: npt.NDArray[np.float32],
    ) -> Self:
        """Return the tables of paths; `feature`, of the shape of `edges`, is -1 where a step makes no pair."""
        pair_leaf, at = np.nonzero(feature >= 0)
        order = np.argsort(feature[pair_leaf, at], kind="stable")
        features, starts = np.unique(feature[pair_leaf, at][order], return_index=True)
        return cls(_Questions.of(splits), edges, pair_leaf[order], starts, features, table[order], values)

    @property
    def cost(self) -> float:
        """Microseconds of CPU a row that `contributions` cost; see `explanation_costs`."""
        return _PAIR_US * len(self.pair_leaf) + _SPLIT_US * len(self.questions.feature)

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return what each feature adds to the log-odds, shape `(n_rows, n_features)`, against the mean of training.

        Args:
            matrix: Rows as the trees read them, shape `(n_rows, n_features)`: NaN for missing, codes for categories.
        """
        added = np.zeros(matrix.shape)
        for start in range(0, len(matrix) if len(self.pair_leaf) else 0, _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            way = self.ways(np.ascontiguousarray(matrix[rows].T))
            pairs = max(_BLOCK_CELLS // way.shape[1], 1)
            for feature, first, end in zip(
                self.features, self.starts, [*self.starts[1:], len(self.pair_leaf)], strict=True
            ):
                for at in range(first, end, pairs):
                    added[rows, feature] += self._sum(way, slice(at, min(at + pairs, end)))
        return added

    def _sum(self, way: npt.NDArray[np.uint8], pairs: slice) -> Any:
        """Return the sum of the SHAP values of some pairs, shape `(n_rows,)`."""
        table = self.table[pairs]
        cells = way[self.pair_leaf[pairs]] + np.arange(0, table.size, table.shape[1])[:, None]
        # "wrap" spares NumPy a check of every index. In double precision the order of the pairs does not show.
        return table.ravel().take(cells, mode="wrap").sum(axis=0, dtype=np.float64)

    def ways(self, columns: Matrix, *, feature: int | None = None) -> npt.NDArray[np.uint8]:
        """Return the way in which each row answers the steps to each leaf, one bit a step, `(n_leaves, n_rows)`.

        Args:
            columns: The features, shape `(n_features, n_rows)`.
            feature: Say the answers of this feature alone, 0 for those of others; None for all of them.
        """
        taken = self.questions.branches(columns)
        if feature is not None:
            taken[:-1][np.repeat(self.questions.feature != feature, 2)] = 0
        way = np.zeros((len(self.edges), columns.shape[1]), dtype=np.uint8)
        for step in range(self.edges.shape[1]):
            way |= taken[self.edges[:, step]] << np.uint8(step)
        return way


def _shap(slot: IntArray, share: FloatArray, value: FloatArray) -> npt.NDArray[np.float32]:
    """Return the SHAP values of leaves, shape `(n_leaves, depth, 2**depth)`: a feature at the slot of its first step.

    Args:
        slot: The slot of the feature that each step asks for, shape `(n_leaves, depth)`.
        share: The share of rows that take all of a feature's steps, at its slot, 1 elsewhere, of the same shape.
        value: The leaves' values.
    """
    leaves, depth = slot.shape
    answers = (np.arange(2**depth)[:, None] >> np.arange(depth)) & 1 == 1
    takes = np.ones((leaves, depth, 2**depth), dtype=bool)
    for step in range(depth):
        takes[np.arange(leaves), slot[:, step]] &= answers[:, step]
    # A polynomial of degree depth - 1 in t: n points of the rule are exact up to degree 2·n - 1.
    points, weights = np.polynomial.legendre.leggauss((depth + 1) // 2)
    shap = np.zeros(takes.shape)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        factor = (1 - point) * share[:, :, None] + point * takes
        for feature in range(depth):
            shap[:, feature] += weight * np.prod(np.delete(factor, feature, axis=1), axis=1)
    return (shap * (takes - share[:, :, None]) * value[:, None, None]).astype(np.float32)


def _start(booster: xgboost.Booster) -> np.float32:
    """Return the margin that XGBoost begins a sum with: the log-odds of its base score."""
    base = json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"]
    odds_against = np.float32(1) / np.float32(base.strip("[]")) - np.float32(1)
    return np.float32(-math.log(odds_against))


def _trees(booster: xgboost.Booster) -> Iterator[list[_Leaf]]:
    """Yield the leaves of each tree, as XGBoost's documented JSON describes them."""
    for tree in json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]:
        left, right, cover = tree["left_children"], tree["right_children"], tree["sum_hessian"]
        splits, leaves = _splits(tree), []
        waiting: list[tuple[int, tuple[tuple[Split, int, float], ...]]] = [(0, ())]
        while waiting:
            node, steps = waiting.pop()
            if left[node] == -1:
                leaves.append(_Leaf(steps, tree["split_conditions"][node]))
                continue
            for branch, child in enumerate((left[node], right[node])):
                share = cover[child] / cover[node] if cover[node] > 0 else 0.0
                waiting.append((child, (*steps, (splits[node], branch, share))))
        yield leaves


def _splits(tree: Mapping[str, Any]) -> list[Split]:
    """Return the split of each node; a leaf's means nothing."""
    right: dict[int, tuple[int, ...]] = {}
    parts = (tree[f"categories_{name}"] for name in ("nodes", "segments", "sizes"))
    for node, start, size in zip(*parts, strict=True):
        right[node] = tuple(tree["categories"][start : start + size])
    columns = zip(tree["split_indices"], tree["split_conditions"], tree["default_left"], strict=True)
    return [
        Split(feature, 0.0 if node in right else threshold, right.get(node), bool(default))
        for node, (feature, threshold, default) in enumerate(columns)
    ]
