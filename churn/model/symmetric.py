"""Symmetric trees at prediction time: every level of a tree asks one question, so a row's answers number its leaf.

Also called oblivious trees, as CatBoost grows them (Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with
categorical features"). A tree is a list of questions and a list of leaf values, scored by NumPy alone.
"""

from __future__ import annotations

from functools import cached_property
from math import factorial
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from ..core.frozen import Frozen
from .frame import FloatArray, IntArray
from .tree_shap import Matrix, Split, TreeTables

__all__ = ["SymmetricTrees"]

_BLOCK_ROWS, _BLOCK_TREES = 256, 128


class SymmetricTrees(Frozen):
    """Trees of one depth, whose sum of leaf values and `bias` are log-odds.

    Attributes:
        numbers: Questions of numbers: the feature's position in the model, and the border that a yes is above.
        categories: Questions of categories: the feature's position, and the codes of a yes; -1 is a missing value.
        levels: For each tree and level the position of its question, those of categories counted after those of
            numbers. The answer at level i, 1 for yes, is bit i of the leaf's number.
        values: For each tree the log-odds of its `2**depth` leaves.
        covers: For each tree the training rows in each leaf.
        bias: Log-odds of no tree.
    """

    numbers: tuple[tuple[int, float], ...]
    categories: tuple[tuple[int, tuple[int, ...]], ...]
    levels: tuple[tuple[int, ...], ...]
    values: tuple[tuple[float, ...], ...]
    covers: tuple[tuple[float, ...], ...]
    bias: float

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        questions = len(self.numbers) + len(self.categories)
        depths = {len(levels) for levels in self.levels}
        leaves = {len(leaves) for leaves in (*self.values, *self.covers)}
        levels_valid = all(0 <= level < questions for levels in self.levels for level in levels)
        if len(depths) > 1 or leaves != {2**depth for depth in depths} or not levels_valid:
            raise ValueError("the trees' questions and leaves do not fit together")
        if not len(self.levels) == len(self.values) == len(self.covers):
            raise ValueError("each tree needs questions, values and covers")
        return self

    def logit(self, matrix: Matrix) -> FloatArray:
        """Return the log-odds, shape `(n_rows,)`, of rows as the trees read them, `(n_rows, n_features)`."""
        total = np.full(len(matrix), self.bias)
        if not self.levels:
            return total
        values, offsets = self.leaves
        for start in range(0, len(matrix), _BLOCK_ROWS):
            # One row alone is doubled: NumPy would add a single column in another order, and change the last bits.
            rows = np.atleast_2d(matrix[start : start + _BLOCK_ROWS])
            leaf = self.tables.ways(np.ascontiguousarray(np.repeat(rows, 2, axis=0).T if len(rows) == 1 else rows.T))
            total[start : start + len(rows)] += values[leaf + offsets].sum(axis=0)[: len(rows)]
        return total

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return exact SHAP values of rows, shape `(n_rows, n_features)`, against the mean of the training rows."""
        return self.tables.contributions(matrix) if self.levels else np.zeros(matrix.shape)

    def scaled(self, weight: float) -> SymmetricTrees:
        """Return the trees whose log-odds are `weight` times as large."""
        values = tuple(tuple(weight * value for value in leaves) for leaves in self.values)
        return SymmetricTrees.model_validate({**self.model_dump(), "values": values, "bias": weight * self.bias})

    @property
    def explanation_cost(self) -> float:
        """Microseconds of CPU a row that exact contributions cost, by the model of `explanation_costs`."""
        return self.tables.cost if self.levels else 0.0

    @cached_property
    def leaves(self) -> tuple[FloatArray, IntArray]:
        """The values of all leaves, and where those of each tree begin, shape `(n_trees, 1)`."""
        values = np.array(self.values)
        return values.ravel(), np.arange(0, values.size, values.shape[1])[:, None]

    @cached_property
    def tables(self) -> TreeTables:
        """The SHAP values of every leaf; there must be a tree."""
        splits = [
            Split(feature, float(np.nextafter(np.float32(border), np.float32(np.inf))), None, True)
            for feature, border in self.numbers
        ]
        splits += [
            Split(feature, 0.0, tuple(code for code in codes if code >= 0), -1 not in codes)
            for feature, codes in self.categories
        ]
        levels = np.array(self.levels)
        feature = np.array([split.feature for split in splits])[levels]
        slot = (feature[:, :, None] == feature[:, None, :]).argmax(axis=2)
        blocks = [slice(at, at + _BLOCK_TREES) for at in range(0, len(levels), _BLOCK_TREES)]
        values, covers = np.array(self.values), np.array(self.covers)
        table = np.concatenate([_shap(slot[block], values[block], covers[block]) for block in blocks])
        return TreeTables.symmetric(splits, levels, np.where(slot == np.arange(levels.shape[1]), feature, -1), table)


def _shap(slot: IntArray, values: FloatArray, covers: FloatArray) -> npt.NDArray[np.float32]:
    """Return the SHAP values of every leaf of some trees, shape `(n_trees, depth, 2**depth)`.

    A row's leaf says all its answers, so its SHAP values are those of the leaf. They are Shapley values of the game in
    which a coalition of features answers its questions, and at the others the training rows are followed.

    Args:
        slot: For each tree and level the first level that asks for the same feature, shape `(n_trees, depth)`.
        values: The leaves' values, shape `(n_trees, 2**depth)`.
        covers: The training rows in each leaf, of the same shape.
    """
    trees, depth = slot.shape
    leaves = np.arange(2**depth)
    bits = (leaves[:, None] >> np.arange(depth)) & 1
    expected = _expectations(values, covers, depth)
    weight = np.array([factorial(size) * factorial(depth - 1 - size) / factorial(depth) for size in range(depth)])
    size = bits.sum(axis=1)
    # For each level and coalition: what it adds where the level is in it, less what there is where it is not.
    gain = np.where(bits.T == 1, weight[np.maximum(size - 1, 0)], -weight[np.minimum(size, depth - 1)])
    joined = bits[:, slot].transpose(1, 0, 2)  # (trees, coalitions, levels): whether the level's feature is in it
    powers = 3 ** np.arange(depth)
    answered = (joined[:, :, None, :] * (bits * powers)[None, None]).sum(axis=3)
    followed = ((1 - joined) * 2 * powers).sum(axis=2)
    worth = np.take_along_axis(expected, (answered + followed[:, :, None]).reshape(trees, -1), axis=1)
    shap = np.einsum("lc,tca->tla", gain, worth.reshape(trees, len(leaves), len(leaves)))
    return np.asarray(shap, dtype=np.float32)


def _expectations(values: FloatArray, covers: FloatArray, depth: int) -> FloatArray:
    """Return each tree's mean value for every answer at each level: no, yes, or as the training rows are spread.

    Digit i of the second index, to the base of 3, is the answer at level i; the shape is `(n_trees, 3**depth)`. The
    last level is the root, as in CatBoost.
    """
    trees = len(values)
    expected = values
    for level in range(depth):
        expected = expected.reshape(trees, 2 ** (depth - level - 1), 2, 3**level)
        child = covers.reshape(trees, 2 ** (depth - level - 1), 2, 2**level).sum(axis=3)
        whole = child.sum(axis=2, keepdims=True)
        share = np.divide(child, whole, out=np.full(child.shape, 0.5), where=whole > 0)
        mean = (expected * share[:, :, :, None]).sum(axis=2, keepdims=True)
        expected = np.concatenate([expected, mean], axis=2)
    return expected.reshape(trees, -1)
