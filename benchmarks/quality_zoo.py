"""Made-up data sets that are unlike each other, each with the true probability of every row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.model.frame import Columns, FloatArray
from churn.model.model import sigmoid

__all__ = ["ZOO", "Draw", "Problem"]

Draw = tuple[Columns, FloatArray]
"""Columns and true probabilities, arrays of shape `(n_rows,)`."""
Random = np.random.Generator


@dataclass(frozen=True)
class Problem:
    """A kind of data, and how many rows of it there are to learn from."""

    name: str
    rows: int
    draw: Callable[[int, Random], Draw]


def numbers(values: npt.NDArray[np.float64], name: str = "x") -> dict[str, npt.NDArray[np.generic]]:
    return {f"{name}{index}": values[:, index].astype(np.float64) for index in range(values.shape[1])}


def categories(codes: npt.NDArray[np.int64], name: str = "c") -> dict[str, npt.NDArray[np.generic]]:
    texts = np.array([f"v{code}" for code in range(int(codes.max()) + 1)], dtype=object)
    return {f"{name}{index}": texts[codes[:, index]] for index in range(codes.shape[1])}


def linear(rows: int, random: Random) -> Draw:
    x = random.normal(size=(rows, 10))
    return numbers(x), sigmoid(x @ np.linspace(-0.7, 0.7, 10) - 1)


def separable(rows: int, random: Random) -> Draw:
    x = random.normal(size=(rows, 6))
    return numbers(x), 0.001 + 0.998 * (x @ np.array([1, 1, -1, 0.5, 0, 0]) > 0)


def smooth(rows: int, random: Random) -> Draw:
    """Friedman's function (1991), with its product of two features."""
    x = random.random((rows, 10))
    z = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return numbers(x), sigmoid(0.6 * (z - 14.4))


def exclusive_or(rows: int, random: Random) -> Draw:
    x = random.normal(size=(rows, 8))
    return numbers(x), sigmoid(2 * np.sign(x[:, 0] * x[:, 1]) + 0.5 * x[:, 2] - 0.5)


def parity_of_three(rows: int, random: Random) -> Draw:
    x = random.normal(size=(rows, 8))
    return numbers(x), sigmoid(3 * np.sign(x[:, 0] * x[:, 1] * x[:, 2]))


def checkerboard(rows: int, random: Random) -> Draw:
    x = random.random((rows, 6))
    return numbers(x), np.where((np.floor(4 * x[:, 0]) + np.floor(4 * x[:, 1])) % 2 == 1, 0.97, 0.03)


def deep_trees(rows: int, random: Random) -> Draw:
    x, grown = random.normal(size=(rows, 10)), np.random.default_rng(3)
    z = np.zeros(rows)
    for _ in range(6):
        leaf = np.zeros(rows, dtype=np.int64)
        for _ in range(4):
            leaf = 2 * leaf + (x[:, grown.integers(10)] > grown.normal() / 2)
        z += grown.normal(size=16)[leaf]
    return numbers(x), sigmoid(z)


def steps(rows: int, random: Random) -> Draw:
    x = random.integers(0, 20, (rows, 6)).astype(np.float64)
    return numbers(x), sigmoid(2 * (x[:, 0] > 12) - 1.5 * (x[:, 1] < 3) + (x[:, 2] % 4 == 0) - 0.6)


def heavy_tails(rows: int, random: Random) -> Draw:
    x, y = random.standard_cauchy((rows, 5)) * 100, np.exp(2 * random.normal(size=(rows, 3)))
    z = 1.5 * np.tanh(x[:, 0] / 100) + 0.8 * np.log(y[:, 0]) + 0.5 * np.log(y[:, 1]) - 0.5 * (np.abs(x[:, 1]) < 80)
    return {**numbers(x), **numbers(y, "y")}, sigmoid(z - 1)


def missing(rows: int, random: Random) -> Draw:
    """Four values in ten are missing, and in one feature their being missing tells the outcome."""
    x = random.normal(size=(rows, 8))
    telling = random.random(rows) < 0.5
    probability = sigmoid(x @ np.linspace(-1, 1, 8) - 1 + 1.5 * telling)
    x[random.random(x.shape) < 0.4] = np.nan
    x[telling, 0] = np.nan
    return numbers(x), probability


def counts(rows: int, random: Random) -> Draw:
    flags, events = (random.random((rows, 10)) < 0.3).astype(np.float64), random.poisson(2, (rows, 4)).astype(float)
    z = flags @ np.linspace(-1, 1.2, 10) + 0.3 * events[:, 0] - 0.4 * np.sqrt(events[:, 1]) - 1
    return {**numbers(flags, "flag"), **numbers(events)}, sigmoid(z)


def categorical_only(rows: int, random: Random) -> Draw:
    code, weight = random.integers(0, 5, (rows, 10)), np.random.default_rng(5).normal(size=(10, 5)) * 0.6
    return categories(code), sigmoid(sum(weight[index][code[:, index]] for index in range(10)) - 1)


def categorical_exclusive_or(rows: int, random: Random) -> Draw:
    code = random.integers(0, 4, (rows, 6))
    return categories(code), sigmoid(5 * ((code[:, 0] + code[:, 1]) % 2) - 3.5 + 0.5 * (code[:, 2] == 1))


def many_categories(rows: int, random: Random) -> Draw:
    share = 1 / np.sqrt(np.arange(1, 2001))
    code, effect = random.choice(2000, rows, p=share / share.sum()), np.random.default_rng(7).normal(size=2000) * 1.2
    x = random.normal(size=(rows, 4))
    return {**numbers(x), **categories(code[:, None])}, sigmoid(effect[code] + x[:, 0] - 0.5 * x[:, 1] - 1)


def one_category_a_row(rows: int, random: Random) -> Draw:
    x, code = random.normal(size=(rows, 5)), random.integers(0, rows, (rows, 1))
    return {**numbers(x), **categories(code)}, sigmoid(x[:, 0] + np.abs(x[:, 1]) - 1.5)


def rare_churn(rows: int, random: Random) -> Draw:
    x, code = random.normal(size=(rows, 8)), random.integers(0, 4, (rows, 3))
    z = 0.8 * x[:, 0] + 0.6 * np.maximum(x[:, 1], 0) + 0.7 * (code[:, 0] == 2) + 0.5 * x[:, 2] * x[:, 3]
    return {**numbers(x), **categories(code)}, sigmoid(z - 5)


def wide(rows: int, random: Random) -> Draw:
    x = random.normal(size=(rows, 120))
    return numbers(x), sigmoid(x[:, 0] + 0.7 * x[:, 1] - 0.5 * x[:, 2] + np.abs(x[:, 3]) - 0.8)


def noise(rows: int, random: Random) -> Draw:
    return {**numbers(random.normal(size=(rows, 10))), **categories(random.integers(0, 6, (rows, 3)))}, np.full(
        rows, 0.3
    )


def constants(rows: int, random: Random) -> Draw:
    columns, probability = linear(rows, random)
    nothing = {
        "constant": np.full(rows, 3.0),
        "absent": np.full(rows, np.nan),
        "blank": np.full(rows, None, dtype=object),
    }
    return {**columns, **nothing, "almost": (random.random(rows) < 0.003).astype(np.float64)}, probability


def mixed(rows: int, random: Random) -> Draw:
    x, code = random.normal(size=(rows, 5)), random.integers(0, 6, (rows, 5))
    z = x[:, 0] + 1.6 * (code[:, 0] == 1) * x[:, 1] - 0.6 * (code[:, 1] > 3) + np.exp(x[:, 2] / 2) / 2 - 1.5
    return {**numbers(x), **categories(code)}, sigmoid(z)


ZOO: tuple[Problem, ...] = (
    Problem("linear", 200, linear),
    Problem("linear", 2000, linear),
    Problem("linear", 20_000, linear),
    Problem("separable", 1000, separable),
    Problem("smooth", 300, smooth),
    Problem("smooth", 3000, smooth),
    Problem("exclusive or", 600, exclusive_or),
    Problem("exclusive or", 4000, exclusive_or),
    Problem("parity of three", 6000, parity_of_three),
    Problem("checkerboard", 4000, checkerboard),
    Problem("deep trees", 5000, deep_trees),
    Problem("steps", 3000, steps),
    Problem("heavy tails", 3000, heavy_tails),
    Problem("missing values", 3000, missing),
    Problem("flags and counts", 2000, counts),
    Problem("categorical only", 1000, categorical_only),
    Problem("categorical exclusive or", 3000, categorical_exclusive_or),
    Problem("2,000 categories", 8000, many_categories),
    Problem("a category a row", 4000, one_category_a_row),
    Problem("0.9 % churn", 10_000, rare_churn),
    Problem("120 columns", 1000, wide),
    Problem("120 columns", 5000, wide),
    Problem("noise", 200, noise),
    Problem("noise", 2000, noise),
    Problem("constant columns", 2000, constants),
    Problem("mixed", 200, mixed),
    Problem("mixed", 4000, mixed),
    Problem("mixed", 100_000, mixed),
)
