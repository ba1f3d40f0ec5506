"""The interpretable part of the model at prediction time: one curve or table of log-odds per feature, and their sum."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from math import copysign, isnan
from typing import Self

import numpy as np
from pydantic import model_validator

from ..core.frozen import Frozen
from .encoding import Encoded
from .frame import FloatArray, n_rows

__all__ = ["AdditiveModel", "Curve", "signed_log"]


def signed_log(values: FloatArray) -> FloatArray:
    """Return `sign(x) · log(1 + |x|)`, which tames heavy tails and keeps order and sign."""
    return np.sign(values) * np.log1p(np.abs(values))


class Curve(Frozen):
    """The log-odds that a numeric feature adds: a piecewise cubic plus a multiple of the signed logarithm.

    Below the first knot and above the last one the curve is constant, so that no value, however wild, adds more than
    training has seen. `pieces` holds four coefficients for each interval between knots, highest power first, of the
    distance to the interval's left knot.
    """

    knots: tuple[float, ...]
    pieces: tuple[tuple[float, float, float, float], ...]
    log_slope: float = 0.0
    missing: float = 0.0

    @model_validator(mode="after")
    def _one_piece_between_knots(self) -> Self:
        if len(self.knots) != len(self.pieces) + 1 or len(self.pieces) < 1 or np.any(np.diff(self.knots) <= 0):
            raise ValueError(f"{len(self.pieces)} pieces do not lie between {len(self.knots)} ascending knots")
        return self

    @cached_property
    def _arrays(self) -> tuple[FloatArray, FloatArray]:
        return np.array(self.knots), np.array(self.pieces).T.copy()

    def __call__(self, values: FloatArray) -> FloatArray:
        """Return the log-odds for float64 `values` of shape `(n_rows,)`; NaN gives `missing`."""
        knots, (cubic, square, slope, constant) = self._arrays
        inside: FloatArray = np.clip(values, knots[0], knots[-1])
        piece = np.searchsorted(knots[1:-1], inside, side="right")
        step = inside - knots[piece]
        added: FloatArray = ((cubic[piece] * step + square[piece]) * step + slope[piece]) * step + constant[piece]
        if self.log_slope:
            added += self.log_slope * signed_log(inside)
        added[np.isnan(values)] = self.missing
        return added

    @cached_property
    def at(self) -> Callable[[float], float]:
        """The same for one value, in a hundredth of the time: a function from float to float."""
        first, *inner, last = self.knots
        pieces = [(knot, *piece) for knot, piece in zip(self.knots[:-1], self.pieces, strict=True)]
        log_slope, missing = self.log_slope, self.missing

        def added(value: float) -> float:
            if isnan(value):
                return missing
            inside = first if value < first else min(value, last)
            knot, cubic, square, slope, constant = pieces[bisect_right(inner, inside)]
            step = inside - knot
            total = ((cubic * step + square) * step + slope) * step + constant
            return total + log_slope * copysign(float(np.log1p(abs(inside))), inside) if log_slope else total

        return added

    def shifted_and_scaled(self, shift: float, scale: float) -> Curve:
        """Return the curve `scale · (self + shift)`."""
        pieces = tuple((a * scale, b * scale, c * scale, (d + shift) * scale) for a, b, c, d in self.pieces)
        missing = (self.missing + shift) * scale
        return Curve(knots=self.knots, pieces=pieces, log_slope=self.log_slope * scale, missing=missing)


class AdditiveModel(Frozen):
    """A sum of one term per feature, in log-odds; a feature with neither curve nor table adds nothing.

    Each table holds one number per category and a last one for a value that is missing or unknown. Terms are centred:
    over the training rows each has mean zero, so `intercept` is the mean log-odds and a term reads as "more or less
    risk than the average customer's".
    """

    intercept: float
    curves: dict[str, Curve]
    tables: dict[str, tuple[float, ...]]

    def terms(self, encoded: Encoded) -> Iterator[tuple[str, FloatArray]]:
        """Yield each feature's name and what it adds to the log-odds, shape `(n_rows,)`."""
        # In the order of names: a sum of floats depends on its order, and JSON does not keep that of a mapping.
        for name, curve in sorted(self.curves.items()):
            yield name, curve(encoded[name].astype(np.float64, copy=False))
        for name, table in sorted(self._tables.items()):
            # Code -1, a missing or unknown value, is the last entry: that is what NumPy's index -1 means.
            yield name, table[encoded[name]]

    def logit(self, encoded: Encoded) -> FloatArray:
        """Return the log-odds, shape `(n_rows,)`."""
        total = np.full(n_rows(encoded), self.intercept)
        for _, added in self.terms(encoded):
            total += added
        return total

    def scaled(self, weight: float) -> AdditiveModel:
        """Return the model whose log-odds are `weight` times as large."""
        curves = {name: curve.shifted_and_scaled(0.0, weight) for name, curve in self.curves.items()}
        tables = {name: tuple(weight * value for value in table) for name, table in self.tables.items()}
        return AdditiveModel(intercept=weight * self.intercept, curves=curves, tables=tables)

    @cached_property
    def _tables(self) -> dict[str, FloatArray]:
        return {name: np.array(table) for name, table in self.tables.items()}
