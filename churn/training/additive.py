"""The interpretable candidate: a penalised logistic model over curves and categories, collapsed into an additive model.

Each numeric feature enters as a straight line and, beside it, as curvature: its signed logarithm and a cubic P-spline
(Eilers and Marx 1996, "Flexible smoothing with B-splines and penalties"), whose columns are scaled so that the ridge
penalty on their coefficients is the penalty on second differences of the spline's. Cross-validation chooses how strong
the penalty is and how much curvature is allowed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..evaluation.ranking import logit_losses
from ..model.additive import AdditiveModel, Curve, signed_log
from ..model.encoding import Encoded
from ..model.frame import FloatArray
from .blending import paired_difference

__all__ = [
    "AdditiveFit",
    "CrossValidation",
    "Design",
    "NumericTerm",
    "choose_penalties",
    "fit_additive",
    "logistic_regression",
]

PENALTIES: tuple[float, ...] = tuple(10.0 ** (power / 2) for power in range(-7, 5))
"""Values of scikit-learn's C that cross-validation may choose, from the strongest penalty to the weakest."""
CURVATURES: tuple[float, ...] = (0.0, 0.3, 1.0)
"""Factors on the curvature columns: none, a stiff curve, a free one."""
_START = 6
_MOST_KNOTS, _MOST_CURVED_COLUMNS = 8, 600
_SEARCH_ROWS, _LEAST_OF_A_CLASS = 20_000, 1000
_DENSE_LIMIT = 300


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
        present = values[~np.isnan(values)]
        has_missing = 0 < len(present) < len(values)
        if not len(present):
            present = np.zeros(1)
        distinct = np.unique(present)
        logs = signed_log(present)
        grid, basis, centre = _spline(present, knots if len(distinct) > 2 else 0)
        return cls(
            name=name,
            lower=float(distinct[0]),
            upper=float(distinct[-1]),
            mean=float(present.mean()),
            scale=float(present.std()),
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
        columns: list[FloatArray] = []
        if self.lower < self.upper:
            columns.append((inside - self.mean) / self.scale)
        if self.log_scale > 0:
            columns.append((signed_log(inside) - self.log_mean) / self.log_scale)
        if self.basis.shape[1]:
            columns += list((_b_splines(inside, self.knots) @ self.basis - self.centre).T)
        columns = [np.where(missing, 0.0, column) for column in columns]
        return [*columns, missing.astype(np.float64)] if self.has_missing else columns

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


def _spline(values: FloatArray, n_knots: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return knots at quantiles, the map from B-splines to curvature columns, and those columns' means.

    The columns span the splines that are not straight in the B-splines' index. A ridge penalty on them is the penalty
    of the P-spline, the sum of squared second differences. Their greatest variance in any direction is one.
    """
    no_spline = np.zeros(0), np.zeros((0, 0)), np.zeros(0)
    if n_knots < 3:
        return no_spline
    inner = np.unique(np.quantile(values, np.linspace(0, 1, n_knots)))
    inner = inner[np.r_[True, np.diff(inner) > 1e-9 * np.abs(inner).max()]]
    if len(inner) < 3:
        return no_spline
    outer = np.arange(1, 4)
    knots = np.r_[inner[0] - outer[::-1] * (inner[1] - inner[0]), inner, inner[-1] + outer * (inner[-1] - inner[-2])]
    splines = _b_splines(values, knots)
    undifference = np.linalg.pinv(np.diff(np.eye(splines.shape[1]), 2, axis=0))
    basis = undifference / np.sqrt(np.linalg.norm(np.cov((splines @ undifference).T, bias=True), ord=2))
    return knots, basis, (splines @ basis).mean(axis=0)


def _b_splines(values: FloatArray, knots: FloatArray) -> FloatArray:
    from scipy.interpolate import BSpline

    inside = np.clip(values, knots[3], knots[-4])
    dense: FloatArray = BSpline.design_matrix(inside, knots, 3).toarray()
    return dense


@dataclass(frozen=True)
class Design:
    """The columns of the logistic model, learned from the training rows without the label.

    Attributes:
        numeric: The terms of the numeric features.
        levels: For each categorical feature, the codes that training holds, ascending; -1 means missing or rare.
        sizes: For each categorical feature, its number of categories.
    """

    numeric: tuple[NumericTerm, ...]
    levels: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]

    @classmethod
    def learn(cls, encoded: Encoded, categories: Mapping[str, Sequence[str]]) -> Design:
        """Return the design for encoded training columns; the more numeric features, the fewer knots each has."""
        numbers = [name for name in encoded if name not in categories]
        knots = min(_MOST_KNOTS, _MOST_CURVED_COLUMNS // max(len(numbers), 1))
        numeric = tuple(NumericTerm.learn(name, encoded[name].astype(np.float64), knots) for name in numbers)
        levels = {name: tuple(np.unique(encoded[name].astype(np.int64)).tolist()) for name in categories}
        return cls(numeric, levels, {name: len(values) for name, values in categories.items()})

    @property
    def curved(self) -> npt.NDArray[np.bool_]:
        """For each column, whether it is curvature, shape `(n_columns,)`."""
        numeric = [flag for term in self.numeric for flag in term.curved]
        return np.array(numeric + [False] * sum(map(len, self.levels.values())), dtype=bool)

    def columns(self, encoded: Encoded, dense_up_to: int = _DENSE_LIMIT) -> Any:
        """Return the design, shape `(n_rows, n_columns)`: an array, a CSR matrix where categories are many."""
        import scipy.sparse

        numeric = [
            column
            for term in self.numeric
            for column in term.columns(encoded[term.name].astype(np.float64, copy=False))
        ]
        if sum(map(len, self.levels.values())) <= dense_up_to:
            hot = [encoded[name] == code for name, codes in self.levels.items() for code in codes]
            return np.column_stack([*numeric, *hot]).astype(np.float64)
        blocks = [scipy.sparse.csr_array(np.column_stack(numeric))] if numeric else []
        blocks += [_one_hot(encoded[name], codes) for name, codes in self.levels.items()]
        return scipy.sparse.hstack(blocks, format="csr")

    def collapse(self, weights: FloatArray, intercept: float, encoded: Encoded) -> AdditiveModel:
        """Return the additive model that equals `columns @ weights + intercept`, its terms centred on `encoded`."""
        position = 0
        curves: dict[str, Curve] = {}
        tables: dict[str, tuple[float, ...]] = {}
        for term in self.numeric:
            width = len(term.curved)
            curve = term.curve(weights[position : position + width])
            position += width
            if curve is None:
                continue
            mean = float(np.mean(curve(encoded[term.name].astype(np.float64))))
            centred = curve.shifted_and_scaled(-mean, 1.0)
            # Where training lacks no value, a missing one is worth the average customer's.
            curves[term.name] = centred if term.has_missing else centred.model_copy(update={"missing": 0.0})
            intercept += mean
        for name, codes in self.levels.items():
            table = np.zeros(self.sizes[name] + 1)
            table[list(codes)] = weights[position : position + len(codes)]
            position += len(codes)
            mean = float(np.mean(table[encoded[name]]))
            table -= mean
            if -1 not in codes:
                table[-1] = 0.0
            tables[name] = tuple(table.tolist())
            intercept += mean
        return AdditiveModel(intercept=intercept, curves=curves, tables=tables)


@dataclass(frozen=True)
class AdditiveFit:
    """What fitting returned.

    Attributes:
        model: The additive model, learned from all rows.
        oof: Out-of-fold log-odds, shape `(n_rows,)`.
        penalty: The value of scikit-learn's C that was chosen.
        curvature: The factor on the curvature columns that was chosen.
    """

    model: AdditiveModel
    oof: FloatArray
    penalty: float
    curvature: float


def fit_additive(
    encoded: Encoded,
    categories: Mapping[str, Sequence[str]],
    label: npt.NDArray[np.int8],
    fold: npt.NDArray[np.intp],
    *,
    customer: npt.NDArray[np.intp],
    seed: int,
    weight: FloatArray | None = None,
) -> AdditiveFit:
    """Fit the additive model; penalty and curvature are those with the least out-of-fold log loss.

    Straight lines need no proof: curves are used where they save more than one standard error of log loss.

    Args:
        encoded: Features of the training rows.
        categories: The values of each categorical feature.
        label: 0 or 1, shape `(n_rows,)`.
        fold: The fold that predicts each row, shape `(n_rows,)`.
        customer: Each row's customer as a number, shape `(n_rows,)`.
        seed: Chooses the rows of the search where there are more than enough.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    design = Design.learn(encoded, categories)
    all_rows = CrossValidation(design.columns(encoded), design.curved, label, fold, customer, weight)
    # Threads would change the order of sums, and with it the last bits of the model.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        point = choose_penalties(all_rows.sample(_SEARCH_ROWS, seed))
        oof = all_rows.logit(point)
        columns, used = all_rows.scaled(CURVATURES[point[1]])
        fitted = logistic_regression(PENALTIES[point[0]], columns.shape[1]).fit(columns, label, weight)
    weights = np.zeros(len(design.curved))
    weights[used] = fitted.coef_[0] * np.where(design.curved, CURVATURES[point[1]], 1.0)[used]
    model = design.collapse(weights, float(fitted.intercept_[0]), encoded)
    return AdditiveFit(model, oof, PENALTIES[point[0]], CURVATURES[point[1]])


@dataclass
class CrossValidation:
    """Out-of-fold log-odds for any place in the grid of penalties and curvatures, each computed once."""

    columns: Any
    curved: npt.NDArray[np.bool_]
    label: npt.NDArray[np.int8]
    fold: npt.NDArray[np.intp]
    customer: npt.NDArray[np.intp]
    weight: FloatArray | None = None
    logits: dict[tuple[int, int], FloatArray] = field(default_factory=dict)

    def sample(self, rows: int, seed: int) -> CrossValidation:
        """Return the cross-validation on about `rows` rows: C weighs a sum over rows, so a sample finds it as well."""
        if len(self.label) <= rows:
            return self
        mixed = np.random.default_rng(seed).permutation(len(self.label))
        chosen = []
        for value in (0, 1):
            rows_of_class = mixed[self.label[mixed] == value]
            chosen.append(rows_of_class[: max(rows * len(rows_of_class) // len(mixed), _LEAST_OF_A_CLASS)])
        draw = np.sort(np.concatenate(chosen))
        weight = None if self.weight is None else self.weight[draw]
        drawn = self.label[draw], self.fold[draw], self.customer[draw]
        return CrossValidation(self.columns[draw], self.curved, *drawn, weight)

    def scaled(self, curvature: float) -> tuple[Any, npt.NDArray[np.intp]]:
        """Return the columns with curvature scaled, without it for a factor of 0, and which columns are left."""
        used = np.flatnonzero(~self.curved | (curvature > 0))
        scaled = self.columns[:, used] * np.where(self.curved[used], curvature, 1.0)
        return scaled.tocsr() if hasattr(scaled, "tocsr") else scaled, used

    def logit(self, point: tuple[int, int]) -> FloatArray:
        """Return the out-of-fold log-odds with this penalty and curvature, shape `(n_rows,)`."""
        if point not in self.logits:
            penalty, columns = PENALTIES[point[0]], self.scaled(CURVATURES[point[1]])[0]
            logit = np.empty(len(self.label))
            for index in np.unique(self.fold):
                out = self.fold == index
                weight = None if self.weight is None else self.weight[~out]
                fitted = logistic_regression(penalty, columns.shape[1]).fit(columns[~out], self.label[~out], weight)
                logit[out] = fitted.decision_function(columns[out])
            self.logits[point] = logit
        return self.logits[point]

    def loss(self, point: tuple[int, int]) -> float:
        """Return the mean log loss with this penalty and curvature."""
        return float(np.average(self.losses(point), weights=self.weight))

    def losses(self, point: tuple[int, int]) -> FloatArray:
        """Return the log loss of each row with this penalty and curvature, shape `(n_rows,)`."""
        return logit_losses(self.label, self.logit(point))


def choose_penalties(validation: CrossValidation) -> tuple[int, int]:
    """Return the place with the least loss, or the best one of straight lines where curves do not pay."""
    straight = _walk(validation, (_START, 0), range(1))
    curved = _walk(validation, (_START, 1), range(1, len(CURVATURES)))
    gain = paired_difference(
        validation.losses(straight), validation.losses(curved), validation.customer, validation.weight
    )
    return curved if gain.mean > gain.se else straight


def _walk(validation: CrossValidation, start: tuple[int, int], curvatures: range) -> tuple[int, int]:
    """Walk from the start to the neighbour with less loss until there is none."""
    point = start
    while True:
        for step in ((0, 1), (1, 0), (-1, 0), (0, -1)):
            neighbour = point[0] + step[0], point[1] + step[1]
            inside = neighbour[0] in range(len(PENALTIES)) and neighbour[1] in curvatures
            if inside and validation.loss(neighbour) < validation.loss(point):
                point = neighbour
                break
        else:
            return point


def logistic_regression(penalty: float, n_columns: int) -> Any:
    """Return scikit-learn's penalised logistic regression, with the solver that suits the number of columns."""
    from sklearn.linear_model import LogisticRegression

    # A Newton step builds a square matrix of the columns: quickest for few of them, hopeless for many.
    solver = "newton-cholesky" if n_columns <= _DENSE_LIMIT else "newton-cg"
    return LogisticRegression(C=penalty, solver=solver, max_iter=500)


def _one_hot(codes: npt.NDArray[np.generic], levels: Sequence[int]) -> Any:
    import scipy.sparse

    rows = len(codes)
    column = np.searchsorted(levels, codes)
    return scipy.sparse.csr_array((np.ones(rows), (np.arange(rows), column)), shape=(rows, len(levels)))
