"""The columns by which a numeric feature enters a linear model, and the curve that they make together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.additive import Curve, signed_log
from ..model.frame import FloatArray

__all__ = ["NumericTerm"]


@dataclass(frozen=True)
class NumericTerm:
    """The columns of one numeric feature: a line, curvature, and whether the value is missing.

    Attributes:
        name: The feature.
        lower: Least value in training; below it every column is constant.
        upper: Greatest value in training.
        mean: Mean, to centre the line.
        scale: Standard deviation, to scale the line.
        log_mean: Mean of the signed logarithm.
        log_scale: Its standard deviation; 0 for no logarithm, as where the feature has at most two values.
        knots: Knots of the B-splines, three extra ones on either side; empty for no spline.
        basis: From B-splines to curvature columns, shape `(n_splines, n_columns)`.
        centre: Means of the curvature columns, shape `(n_columns,)`.
        has_missing: Whether some rows, but not all, lack the value.
    """

    name: str
    lower: float
    upper: float
    mean: float
    scale: float
    log_mean: float
    log_scale: float
    knots: FloatArray
    basis: FloatArray
    centre: FloatArray
    has_missing: bool

    @classmethod
    def learn(cls, name: str, values: FloatArray, knots: int) -> NumericTerm:
        """Return the columns that suit the training `values`, shape `(n_rows,)`."""
        known = values[~np.isnan(values)]
        has_missing = 0 < len(known) < len(values)
        if not len(known):
            known = np.zeros(1)
        distinct = np.unique(known)
        logs = signed_log(known)
        grid, basis, centre = _spline(known, knots if len(distinct) > 2 else 0)
        return cls(
            name=name,
            lower=float(distinct[0]),
            upper=float(distinct[-1]),
            mean=float(known.mean()),
            scale=float(known.std()),
            log_mean=float(logs.mean()),
            # Far from zero the logarithm is a straight line, and its curve would be a difference of huge numbers.
            log_scale=float(logs.std()) if len(distinct) > 2 and logs.std() > 1e-4 * abs(logs.mean()) else 0.0,
            knots=grid,
            basis=basis,
            centre=centre,
            has_missing=has_missing,
        )

    @property
    def curved(self) -> list[bool]:
        """For each column, whether it is curvature."""
        line = [False] if self.lower < self.upper else []
        logs = [True] if self.log_scale > 0 else []
        return line + logs + [True] * self.basis.shape[1] + ([False] if self.has_missing else [])

    def columns(self, values: FloatArray) -> list[FloatArray]:
        """Return the design's columns for `values`; a missing value is 0 in all but the last."""
        missing = np.isnan(values)
        inside = np.clip(np.where(missing, self.lower, values), self.lower, self.upper)
        found: list[FloatArray] = []
        if self.lower < self.upper:
            found.append((inside - self.mean) / self.scale)
        if self.log_scale > 0:
            found.append((signed_log(inside) - self.log_mean) / self.log_scale)
        if self.basis.shape[1]:
            found += list((_b_splines(inside, self.knots) @ self.basis - self.centre).T)
        found = [np.where(missing, 0.0, column) for column in found]
        return [*found, missing.astype(np.float64)] if self.has_missing else found

    def curve(self, weights: FloatArray) -> Curve | None:
        """Return the curve that the columns make when each is multiplied by its weight; None for no curve at all."""
        from scipy.interpolate import BSpline, PPoly

        rest = list(weights)
        missing = float(rest.pop()) if self.has_missing else 0.0
        if self.lower == self.upper:
            return (
                Curve(knots=(self.lower - 1, self.lower + 1), pieces=((0, 0, 0, 0),), missing=missing)
                if missing
                else None
            )
        line = rest.pop(0) / self.scale
        log = rest.pop(0) / self.log_scale if self.log_scale > 0 else 0.0
        breaks, pieces = np.array([self.lower, self.upper]), np.zeros((4, 1))
        if self.basis.shape[1]:
            spline = PPoly.from_spline(BSpline(self.knots, self.basis @ np.array(rest), 3))
            breaks, pieces = self.knots[3:-3], spline.c[:, 3:-3].copy()
            pieces[3] -= self.centre @ np.array(rest)
        pieces[2] += line
        pieces[3] += line * (breaks[:-1] - self.mean) - log * self.log_mean
        return Curve(knots=tuple(breaks), pieces=tuple(map(tuple, pieces.T)), log_slope=log, missing=missing)


def _spline(known: FloatArray, n_knots: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return knots at quantiles, the map from B-splines to curvature columns, and those columns' means.

    The columns span the splines that are not straight in the B-splines' index. A ridge penalty on them is the penalty
    of the P-spline, the sum of squared second differences. Their greatest variance in any direction is one.
    """
    none = np.zeros(0), np.zeros((0, 0)), np.zeros(0)
    if n_knots < 3:
        return none
    inner = np.unique(np.quantile(known, np.linspace(0, 1, n_knots)))
    inner = inner[np.r_[True, np.diff(inner) > 1e-9 * np.abs(inner).max()]]
    if len(inner) < 3:
        return none
    outer = np.arange(1, 4)
    knots = np.r_[inner[0] - outer[::-1] * (inner[1] - inner[0]), inner, inner[-1] + outer * (inner[-1] - inner[-2])]
    splines = _b_splines(known, knots)
    undifference = np.linalg.pinv(np.diff(np.eye(splines.shape[1]), 2, axis=0))
    basis = undifference / np.sqrt(np.linalg.norm(np.cov((splines @ undifference).T, bias=True), ord=2))
    return knots, basis, (splines @ basis).mean(axis=0)


def _b_splines(values: FloatArray, knots: FloatArray) -> FloatArray:
    from scipy.interpolate import BSpline

    inside = np.clip(values, knots[3], knots[-4])
    dense: FloatArray = BSpline.design_matrix(inside, knots, 3).toarray()
    return dense
