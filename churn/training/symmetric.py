"""Symmetric trees, grown by CatBoost and stored as arrays; steadier than deep trees where interactions are smooth."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..model.encoding import Encoded
from ..model.frame import FloatArray, IntArray
from ..model.symmetric import SymmetricTrees

if TYPE_CHECKING:
    import catboost

__all__ = ["SymmetricFolds", "fit_symmetric_folds", "grow_symmetric"]

_DEPTH, _LEARNING_RATE, _MAX_ROUNDS, _PATIENCE = 6, 0.06, 1500, 50
_MOST_INDICATORS = 12
"""A category of more values is a number to the trees: the share of churners among its rows, as CatBoost orders them."""


@dataclass(frozen=True)
class SymmetricFolds:
    """What one ensemble per fold came to: trees in each, and out-of-fold log-odds of shape `(n_rows,)`."""

    rounds: int
    oof: FloatArray


def fit_symmetric_folds(
    encoded: Encoded,
    categories: Mapping[str, Sequence[str]],
    label: npt.NDArray[np.int8],
    fold: IntArray,
    *,
    seed: int,
    threads: int,
    weight: FloatArray | None = None,
) -> SymmetricFolds:
    """Grow one ensemble per fold and take the number of rounds at which their joint out-of-fold loss is least.

    Each runs on one thread, so the result is the same whatever `threads` is.

    Args:
        encoded: Features of the training rows.
        categories: The values of each categorical feature.
        label: 0 or 1, shape `(n_rows,)`.
        fold: The fold that predicts each row, shape `(n_rows,)`.
        seed: Seed of the trees.
        threads: Folds grown side by side.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """
    columns = _Columns.of(encoded, categories)

    def grow(index: int) -> tuple[catboost.CatBoost, FloatArray]:
        out = fold == index
        check = columns.pool(out, label, weight)
        booster = _booster(_MAX_ROUNDS, seed * 1009 + index, od_type="Iter", od_wait=_PATIENCE, use_best_model=False)
        booster.fit(columns.pool(~out, label, weight), eval_set=check)
        return booster, np.array(booster.get_evals_result()["validation"]["Logloss"])

    with ThreadPoolExecutor(threads) as pool:
        grown = list(pool.map(grow, range(int(fold.max()) + 1)))
    longest = max(len(losses) for _, losses in grown)
    # A fold that has stopped keeps its last loss.
    padded = [np.pad(losses, (0, longest - len(losses)), mode="edge") for _, losses in grown]
    rounds = int(np.argmin(np.average(padded, axis=0, weights=np.bincount(fold, weight)))) + 1
    oof = np.empty(len(label))
    for index, (booster, losses) in enumerate(grown):
        out = fold == index
        oof[out] = booster.predict(
            columns.pool(out, label), "RawFormulaVal", ntree_end=min(rounds, len(losses)), thread_count=1
        )
    return SymmetricFolds(rounds, oof)


def grow_symmetric(
    encoded: Encoded,
    categories: Mapping[str, Sequence[str]],
    label: npt.NDArray[np.int8],
    *,
    rounds: int,
    seed: int,
    weight: FloatArray | None = None,
) -> SymmetricTrees:
    """Grow `rounds` trees on all rows, as arrays whose log-odds are CatBoost's. Arguments as for the folds."""
    columns = _Columns.of(encoded, categories)
    all_rows = np.ones(len(label), dtype=bool)
    booster = _booster(rounds, seed)
    booster.fit(columns.pool(all_rows, label, weight))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trees.json")
        booster.save_model(str(path), format="json")
        stored = json.loads(path.read_text(encoding="utf-8"))
    return columns.read(stored, label)


def _booster(rounds: int, seed: int, **options: Any) -> catboost.CatBoost:
    import catboost

    return catboost.CatBoost(
        {
            "loss_function": "Logloss",
            "iterations": rounds,
            "depth": _DEPTH,
            "learning_rate": _LEARNING_RATE,
            "random_seed": seed % 2**31,
            "thread_count": 1,
            "one_hot_max_size": 1,
            "max_ctr_complexity": 1,
            "simple_ctr": ["Borders"],
            "combinations_ctr": ["Borders"],
            "allow_writing_files": False,
            "logging_level": "Silent",
            **options,
        }
    )


@dataclass(frozen=True)
class _Columns:
    """The features as CatBoost takes them, each column belonging to one feature.

    Attributes:
        numbers: float32 of shape `(n_rows, n_numbers)`: numbers, and for each value of a small category 1 or 0.
        number_of: For each of these the position of its feature, and the code that it indicates or None.
        codes: Codes of shape `(n_rows, n_categories)` of large categories, -1 for missing.
        category_of: For each of these the position of its feature.
    """

    numbers: npt.NDArray[np.float32]
    number_of: tuple[tuple[int, int | None], ...]
    codes: npt.NDArray[np.int64]
    category_of: tuple[int, ...]

    @classmethod
    def of(cls, encoded: Encoded, categories: Mapping[str, Sequence[str]]) -> _Columns:
        numbers, codes, category_of = [], [], []
        number_of: list[tuple[int, int | None]] = []
        for position, (name, values) in enumerate(encoded.items()):
            levels = np.unique(values).tolist() if name in categories else []
            if name not in categories:
                numbers.append(values.astype(np.float32))
                number_of.append((position, None))
            elif len(levels) > _MOST_INDICATORS:
                codes.append(values.astype(np.int64))
                category_of.append(position)
            else:
                # Of two values one indicator says all.
                shown = levels[1:] if len(levels) == 2 else levels
                numbers += [(values == code).astype(np.float32) for code in shown]
                number_of += [(position, int(code)) for code in shown]
        rows = len(next(iter(encoded.values())))
        return cls(
            np.column_stack(numbers) if numbers else np.empty((rows, 0), dtype=np.float32),
            tuple(number_of),
            np.column_stack(codes) if codes else np.empty((rows, 0), dtype=np.int64),
            tuple(category_of),
        )

    def pool(
        self, rows: npt.NDArray[np.bool_], label: npt.NDArray[np.int8], weight: FloatArray | None = None
    ) -> catboost.Pool:
        """Return the chosen rows as CatBoost reads them."""
        import catboost

        features = catboost.FeaturesData(
            num_feature_data=self.numbers[rows] if self.number_of else None,
            cat_feature_data=self.codes[rows].astype("S").astype(object) if self.category_of else None,
        )
        return catboost.Pool(features, label[rows], weight=None if weight is None else weight[rows])

    def read(self, stored: Mapping[str, Any], label: npt.NDArray[np.int8]) -> SymmetricTrees:
        """Return the trees of CatBoost's JSON; a border of churners' shares becomes the codes above it."""
        numbers: dict[tuple[int, float], int] = {}
        categories: dict[tuple[int, tuple[int, ...]], int] = {}
        shares = {}
        at = sum(len(feature["borders"] or ()) for feature in stored["features_info"]["float_features"])
        for ctr in stored["features_info"].get("ctrs", ()):
            for border in ctr["borders"]:
                shares[at] = ctr, border
                at += 1

        def question(split: Mapping[str, Any]) -> tuple[bool, int]:
            """Return whether it asks for a category, and its number among questions of its kind."""
            if split["split_type"] == "FloatFeature":
                position, code = self.number_of[split["float_feature_index"]]
                if code is None:
                    return False, numbers.setdefault((position, split["border"]), len(numbers))
                return True, categories.setdefault((position, (code,)), len(categories))
            ctr, border = shares[split["split_index"]]
            return True, categories.setdefault(self._above(ctr, border, label), len(categories))

        bias = float(stored["scale_and_bias"][1][0])
        trees = []
        for tree in stored["oblivious_trees"]:
            questions = [question(split) for split in tree["splits"] or ()]
            if questions:
                trees.append((questions, tree["leaf_values"], tree["leaf_weights"]))
            else:
                bias += float(tree["leaf_values"][0])
        depth = max((len(questions) for questions, _, _ in trees), default=0)
        levels, values, covers = [], [], []
        for questions, value, cover in trees:
            grown = len(questions)
            asked_again = questions + [questions[-1]] * (depth - grown)
            levels.append(tuple(number + category * len(numbers) for category, number in asked_again))
            # A level that asks again has the answer of the one before: other leaves stay empty.
            leaf = [code | (-((code >> (grown - 1)) & 1) & (2**depth - 2**grown)) for code in range(2**grown)]
            values.append(tuple(_spread(value, leaf, 2**depth)))
            covers.append(tuple(_spread(cover, leaf, 2**depth)))
        return SymmetricTrees(
            numbers=tuple(numbers),
            categories=tuple(categories),
            levels=tuple(levels),
            values=tuple(values),
            covers=tuple(covers),
            bias=bias,
        )

    def _above(self, ctr: Mapping[str, Any], border: float, label: npt.NDArray[np.int8]) -> tuple[int, tuple[int, ...]]:
        """Return the position of a feature, and the codes whose smoothed share of churners is above the border."""
        column = ctr["elements"][0]["cat_feature_index"]
        codes = self.codes[:, column] + 1
        rows = np.bincount(codes)
        churners = np.bincount(codes, weights=label)
        share = (churners + ctr["prior_numerator"]) / (rows + ctr["prior_denomerator"])
        value = ((share + ctr["shift"]) * ctr["scale"]).astype(np.float32)
        return self.category_of[column], tuple((np.flatnonzero(value > np.float32(border)) - 1).tolist())


def _spread(values: Sequence[float], leaf: Sequence[int], leaves: int) -> list[float]:
    spread = np.zeros(leaves)
    spread[list(leaf)] = values
    return [float(value) for value in spread]
