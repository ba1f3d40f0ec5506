"""Ways to score one row of a model, in microseconds; `benchmarks/serving.py --kernel` prints them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import print_row
from churn.model.scorer import MODEL_FOLDER, Scorer

__all__ = ["print_kernels"]

_REPEATED, _ROUNDS = 50, 40


def print_kernels(package: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what each way takes, and how far its probabilities or margins are from the booster's.

    Args:
        package: A registered model.
        rows: Customers, as the online store returns them.
    """
    folder = next(package.rglob(MODEL_FOLDER + "/model.json")).parents[1]
    scorer = Scorer.load(folder)
    booster, model = scorer.model.booster, scorer.model
    if booster is None:
        raise SystemExit("This model has no booster to compare with: train on more customers (--customers).")
    booster.set_param({"nthread": 1})
    columns = {
        name: np.array([row[name] for row in rows], dtype=np.float64 if kind == "numeric" else object)
        for name, kind in scorer.kinds.items()
    }
    matrix = model.encoder.matrix(model.encode(columns))
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    margins = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
    start = float(margins[0]) - _nested(trees)(matrix[0].tolist())

    def of_booster(at: int) -> Any:
        return booster.inplace_predict(matrix[at : at + 1], predict_type="margin", validate_features=False)[0]

    def of_table(at: int) -> Any:
        return scorer.predict({name: values[at : at + 1] for name, values in columns.items()}, explain="none")

    walk, nested, lists = _walk(trees), _nested(trees), matrix.tolist()
    print(f"{len(trees)} trees, {len(matrix[0])} features, {len(rows):,} rows; microseconds a row")
    print_row("", ["p50", "min", "apart"], first=44)
    margin_of: dict[str, Callable[[int], Any]] = {
        "trees alone: booster, one row": of_booster,
        "trees alone: NumPy walk, level by level": lambda at: walk(matrix[at]) + start,
        "trees alone: walk in Python": lambda at: nested(lists[at]) + start,
    }
    for name, margin in margin_of.items():
        apart = max(abs(float(margin(at)) - float(margins[at])) for at in range(len(rows)))
        _print(name, margin, len(rows), f"{apart:.0e}")
    whole = scorer.predict(columns)
    for explain in (False, True):

        def ours(at: int, explain: bool = explain) -> Any:
            return scorer.score_row(rows[at], explain=explain)

        apart = max(abs(ours(at).probability - whole.probability[at]) for at in range(len(rows)))
        _print(f"whole score: score_row{', reasons' * explain}", ours, len(rows), f"{apart:.0e}")
    _print("whole score: predict, a table of one row", of_table, len(rows), "0")


def _print(name: str, score: Callable[[int], Any], rows: int, apart: str) -> None:
    times = []
    for round_ in range(_ROUNDS):
        begun = time.perf_counter()
        for at in range(_REPEATED):
            score((round_ * _REPEATED + at) % rows)
        times.append((time.perf_counter() - begun) / _REPEATED * 1e6)
    print_row(name, [f"{np.median(times):.1f}", f"{min(times):.1f}", apart], first=44)


def _nested(trees: Sequence[Mapping[str, Any]]) -> Callable[[list[float]], float]:
    """Return a walk in plain Python over nested tuples."""
    roots = [_node(tree, _categories(tree), 0) for tree in trees]

    def margin(row: list[float]) -> float:
        total = 0.0
        for root in roots:
            node = root
            while len(node) > 1:
                feature, threshold, codes, default, left, right = node
                value = row[feature]
                if math.isnan(value):
                    node = left if default else right
                elif codes is None:
                    node = left if value < threshold else right
                else:
                    node = right if value in codes else left
            total += node[0]
        return total

    return margin


def _node(tree: Mapping[str, Any], categories: Mapping[int, set[int]], at: int) -> tuple[Any, ...]:
    left, right = tree["left_children"][at], tree["right_children"][at]
    if left == -1:
        return (tree["split_conditions"][at],)
    threshold = float(np.float32(tree["split_conditions"][at]))
    split = tree["split_indices"][at], threshold, categories.get(at), tree["default_left"][at]
    return (*split, _node(tree, categories, left), _node(tree, categories, right))


def _categories(tree: Mapping[str, Any]) -> dict[int, set[int]]:
    parts = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    return {node: set(tree["categories"][start : start + size]) for node, start, size in parts}


def _walk(trees: Sequence[Mapping[str, Any]]) -> Callable[[np.ndarray], float]:
    """Return a walk of all trees at once, a level at a time, in NumPy."""
    sizes = [len(tree["left_children"]) for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    size = max((code for tree in trees for code in tree["categories"]), default=0) + 2
    left, right, feature, threshold, default, is_code, goes_right = ([] for _ in range(7))
    for tree, root in zip(trees, roots.tolist(), strict=True):
        codes = _categories(tree)
        for at, child in enumerate(tree["left_children"]):
            own = root + at
            left.append(own if child == -1 else root + child)
            right.append(own if child == -1 else root + tree["right_children"][at])
            feature.append(tree["split_indices"][at])
            threshold.append(tree["split_conditions"][at])
            default.append(bool(tree["default_left"][at]))
            is_code.append(at in codes)
            goes_right.append([code in codes.get(at, ()) for code in range(size)])
    children = np.array([left, right]).T.copy()
    features, numbers, defaults = np.array(feature), np.array(threshold, dtype=np.float32), np.array(default)
    coded, table = np.array(is_code), np.array(goes_right)
    depth = max(_depth(tree, 0) for tree in trees)

    def margin(row: np.ndarray) -> float:
        missing = np.isnan(row)
        codes = np.where(missing, 0, np.minimum(np.abs(row), size - 1)).astype(np.intp)
        node = roots
        for _ in range(depth):
            asked = features[node]
            answer = np.where(coded[node], table[node, codes[asked]], row[asked] >= numbers[node])
            answer = np.where(missing[asked], ~defaults[node], answer)
            node = children[node, answer.astype(np.intp)]
        return float(numbers[node].sum())

    return margin


def _depth(tree: Mapping[str, Any], at: int) -> int:
    left, right = tree["left_children"][at], tree["right_children"][at]
    return 0 if left == -1 else 1 + max(_depth(tree, left), _depth(tree, right))
