"""Scores one row from precomputed tables: the numbers of `Scorer.predict` in a fiftieth of the time.

pandas, the booster and an array for each column cost a single row a millisecond. Here everything that does not depend
on the row is worked out when the model is loaded, and plain numbers are scored; `benchmarks/serving.py --kernel` prints
what that takes beside the booster alone.

Trees are not walked. Between two thresholds of a feature its answers to all questions are the same, so a table has for
each such interval, category and missing value the bits that it adds to the way to every leaf (in the manner of Lucchese
et al. 2015, "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees"). A row finds
its intervals by bisection, and one bitwise OR over the features gives all ways at once: a handful of NumPy calls for
all trees, whatever their depth, and no compiler. The ways also index the tables of exact SHAP values.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import inf, isfinite, nan
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.errors import ContractError
from .encoding import Encoder
from .features import feature_of_one
from .frame import FloatArray
from .model import ChurnModel, sigmoid
from .money import expected_value_of_one
from .reasons import Described, reasons_of_one
from .settings import ScoringSettings
from .symmetric import SymmetricTrees
from .tree_shap import TreeTables

__all__ = ["OneRow", "RowScore"]

_MAX_BYTES = 1 << 28
"""Trees whose table would be larger are left to the booster."""


class RowScore(NamedTuple):
    """What is predicted of one customer; see `churn.model.scorer.Predictions`.

    Attributes:
        probability: Of churn, 0 to 1.
        treat: Whether the expected value is above zero.
        expected_value: In the currency of the settings.
        customer_value: In that currency, 0 upwards.
        reasons: What raises the risk, strongest first.
        unseen: Columns whose value training did not know.
        encode_seconds: How long values, features and codes took; the rest is the model's.
    """

    probability: float
    treat: bool
    expected_value: float
    customer_value: float
    reasons: tuple[str, ...]
    unseen: tuple[str, ...]
    encode_seconds: float


class _Ways:
    """The ways of one row through some trees, looked up by interval, and what they add."""

    def __init__(self, tables: TreeTables, encoder: Encoder, names: Sequence[str]) -> None:
        """Make the table; `names` are the features in model order."""
        self._shap, questions = tables, tables.questions
        self._numbers: list[tuple[str, list[float], int, int]] = []
        self._codes: list[tuple[str, int, int]] = []
        blocks: list[npt.NDArray[np.uint8]] = []
        start, numbers = 0, len(questions.threshold)
        for feature in np.unique(questions.feature).tolist() or [0]:
            name = names[feature]
            if name in encoder.categories:
                inside = np.arange(len(encoder.categories[name]), dtype=np.float32)
                self._codes.append((name, start, start + len(inside)))
            else:
                thresholds = np.unique(questions.threshold[questions.feature[:numbers] == feature])
                inside = np.append(np.float32(-inf), thresholds)
                self._numbers.append((name, _bounds(thresholds), start, start + len(inside)))
            columns = np.full((len(names), len(inside) + 1), nan, dtype=np.float32)
            columns[feature, :-1] = inside
            blocks.append(tables.ways(columns, feature=feature).T)
            start += len(inside) + 1
        self._table = np.ascontiguousarray(np.concatenate(blocks))
        self._cells = np.arange(0, tables.table.size, tables.table.shape[1])

    @staticmethod
    def bytes_of(tables: TreeTables) -> int:
        """Return about how large the table becomes."""
        return len(tables.questions.feature) * len(tables.edges)

    def way(self, values: Mapping[str, Any], codes: Mapping[str, int]) -> npt.NDArray[np.uint8]:
        """Return what `TreeTables.ways` does, shape `(n_leaves,)`."""
        rows = [
            missing if (value := values[name]) != value else start + bisect_right(bounds, value)
            for name, bounds, start, missing in self._numbers
        ]
        rows += [missing if (code := codes[name]) < 0 else start + code for name, start, missing in self._codes]
        way: npt.NDArray[np.uint8] = np.bitwise_or.reduce(self._table.take(rows, axis=0), axis=0)
        return way

    def contributions(self, way: npt.NDArray[np.uint8], features: int) -> FloatArray:
        """Return what `TreeTables.contributions` does, shape `(n_features,)`."""
        tables, added = self._shap, np.zeros(features)
        if len(tables.pair_leaf):
            shap = tables.table.take(way.take(tables.pair_leaf) + self._cells)
            added[tables.features] = np.add.reduceat(shap, tables.starts, dtype=np.float64)
        return added


class _Boosted(_Ways):
    def __init__(self, tables: TreeTables, encoder: Encoder, names: Sequence[str], weight: float) -> None:
        super().__init__(tables, encoder, names)
        self._full, self._values, self._weight = 2 ** tables.edges.shape[1] - 1, tables.values, weight

    def logit(self, way: npt.NDArray[np.uint8]) -> float:
        """Return the weighted margin, summed in single precision tree by tree, as XGBoost does."""
        leaves = self._values.take((way == self._full).nonzero()[0])
        return float(leaves.cumsum()[-1] * self._weight)

    def contributions(self, way: npt.NDArray[np.uint8], features: int) -> FloatArray:
        return self._weight * super().contributions(way, features)


class _Symmetric(_Ways):
    def __init__(self, trees: SymmetricTrees, encoder: Encoder, names: Sequence[str]) -> None:
        super().__init__(trees.tables, encoder, names)
        values, starts = trees.leaves
        self._values, self._starts, self._bias = values, starts.ravel(), trees.bias

    def logit(self, way: npt.NDArray[np.uint8]) -> float:
        return self._bias + float(self._values.take(way + self._starts).cumsum()[-1])


def _bounds(thresholds: npt.NDArray[np.float32]) -> list[float]:
    """Return for each threshold the smallest float64 that is not below it once it is rounded to float32."""
    below = np.nextafter(thresholds, np.float32(-inf)).astype(np.float64)
    middle = (below + thresholds) / 2
    reaches = middle.astype(np.float32) >= thresholds
    bounds: list[float] = np.where(reaches, middle, np.nextafter(middle, inf)).tolist()
    return bounds


class OneRow:
    """A model and its economics, made ready to score one customer at a time; safe to call from several threads."""

    def __init__(self, model: ChurnModel, settings: ScoringSettings) -> None:
        """Work out what does not depend on a row; the model's trees must fit (see `fits`)."""
        self._settings, self._money = settings, settings.money
        schema, additive, names = model.schema, model.additive, [*model.schema.kinds]
        position = {name: index for index, name in enumerate(names)}
        self._numeric = [column.name for column in schema.inputs if column.kind == "numeric"]
        self._texts = [column.name for column in schema.inputs if column.kind != "numeric"]
        self._features = [(spec.name, feature_of_one(spec, model.functions)) for spec in schema.features]
        self._coded = [(name, model.encoder.codes[name]) for name in names if name in model.categories]
        curves = sorted(additive.curves.items()) if additive is not None else []
        tables = sorted(additive.tables.items()) if additive is not None else []
        self._curves = [(name, position[name], curve.at) for name, curve in curves]
        self._tables = [(name, position[name], table) for name, table in tables]
        self._intercepts = model.intercept, 0.0 if additive is None else additive.intercept
        described: tuple[Described, ...] = (*schema.inputs, *schema.features)
        named = [*zip(names, described, strict=True)]
        if settings.reasons.actionable_only:
            named = [(name, feature) for name, feature in named if feature.actionable]
        self._named, self._described = [name for name, _ in named], [feature for _, feature in named]
        self._positions, self._columns = [position[name] for name in self._named], len(names)
        self._trees: list[_Boosted | _Symmetric] = []
        if (trees := model.tree_tables) is not None:
            self._trees.append(_Boosted(trees, model.encoder, names, model.tree_weight))
        if model.symmetric is not None and model.symmetric.levels:
            self._trees.append(_Symmetric(model.symmetric, model.encoder, names))
        elif model.symmetric is not None:
            self._intercepts = model.intercept + model.symmetric.bias, self._intercepts[1]

    @staticmethod
    def fits(model: ChurnModel) -> bool:
        """Return whether the model's trees are shallow and few enough for tables."""
        tables = [model.tree_tables] if model.booster is not None else []
        if model.symmetric is not None and model.symmetric.levels:
            tables.append(model.symmetric.tables)
        return all(trees is not None and _Ways.bytes_of(trees) <= _MAX_BYTES for trees in tables)

    def score(self, row: Mapping[str, object], *, explain: bool) -> RowScore:
        """Score one customer.

        Args:
            row: By column a number, a text in its canonical spelling, or None; what is no finite number where one
                belongs, or is not there, is missing. Columns that the model does not read are ignored.
            explain: Whether to give reasons.

        Raises:
            ContractError: a column of numbers holds something else.
        """
        begun = perf_counter()
        values: dict[str, Any] = {name: row.get(name) for name in self._texts}
        for name in self._numeric:
            value = row.get(name)
            values[name] = value if type(value) is float and isfinite(value) else _number(name, value)
        for name, compute in self._features:
            values[name] = compute(values)
        codes, unseen = {}, []
        for name, code_of in self._coded:
            code = codes[name] = code_of.get(values[name], -1)
            if code < 0 and values[name] is not None:
                unseen.append(name)
        encoded = perf_counter()
        logit, contributions = self._scored(values, codes, explain=explain)
        probability, money = float(sigmoid(logit)), self._money
        revenue = self._settings.monthly_revenue
        customer_value = money.customer_value.of_one(nan if revenue is None else values[revenue])
        gain = expected_value_of_one(probability, customer_value, money)
        reasons: tuple[str, ...] = ()
        if explain:
            strengths = [contributions[position] for position in self._positions]
            known_values = [values[name] for name in self._named]
            reasons = reasons_of_one(strengths, known_values, self._described, top=self._settings.reasons.top)
        return RowScore(probability, gain > 0, gain, customer_value, reasons, tuple(unseen), encoded - begun)

    def _scored(
        self, values: Mapping[str, Any], codes: Mapping[str, int], *, explain: bool
    ) -> tuple[float, Sequence[float]]:
        """Return the log-odds and, where asked for, what each feature adds to them; in the order of `ChurnModel`."""
        logit, total = self._intercepts
        terms = [0.0] * self._columns
        for name, position, curve in self._curves:
            terms[position] = term = curve(values[name])
            total += term
        for name, position, table in self._tables:
            terms[position] = term = table[codes[name]]
            total += term
        logit += total
        added: FloatArray | float = 0.0
        for trees in self._trees:
            way = trees.way(values, codes)
            logit += trees.logit(way)
            if explain:
                added = added + trees.contributions(way, self._columns)
        return logit, (added + np.array(terms)).tolist() if explain else ()


def _number(name: str, value: Any) -> float:
    try:
        number = nan if value is None else float(value)
    except OverflowError:
        return nan
    except (TypeError, ValueError) as error:
        raise ContractError(f"The model reads numbers from {name!r}: {error}. Make the column numeric.") from error
    return number if isfinite(number) else nan
