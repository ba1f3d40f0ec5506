"""One customer alone is scored as in a table: every kind of model, any value, at thresholds too."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.core.errors import ContractError
from churn.model.additive import AdditiveModel, Curve
from churn.model.features import FeatureSpec, load_functions
from churn.model.model import ChurnModel, InputColumn, ModelSchema
from churn.model.money import CustomerValue, MoneySettings
from churn.model.one_row import RowScore
from churn.model.scorer import Scorer
from churn.model.settings import ReasonSettings, ScoringSettings
from churn.model.symmetric import SymmetricTrees
from churn.model.tree_shap import MAX_DEPTH

CONTRACTS, PLANS = ("Month-to-month", "Two year", "true"), tuple(f"plan {number}" for number in range(40))
OWN_FUNCTIONS = """
import numpy as np

def doubled(values):
    return values * 2

def first_letter(texts):
    return np.array([None if text is None else text[0] for text in texts], dtype=object)
"""


def feature(name: str, compute: str, *inputs: str, **options: Any) -> FeatureSpec:
    return FeatureSpec(name=name, compute=compute, inputs=inputs, description=f"the {name}", **options)


SCHEMA = ModelSchema(
    inputs=(
        InputColumn(name="contract", kind="categorical", description="contract", actionable=True),
        InputColumn(name="plan", kind="categorical", nullable=True, description="plan"),
        InputColumn(name="tenure", kind="numeric", integer=True, description="months"),
        InputColumn(name="charges", kind="numeric", nullable=True, description="charges", actionable=True),
        InputColumn(name="total", kind="numeric", nullable=True, description="charges so far"),
    ),
    features=(
        feature("monthly", "count_equal", "contract", "plan", arguments={"value": "Month-to-month"}),
        feature("average", "ratio", "total", "tenure"),
        feature("rise", "difference", "charges", "average", actionable=True),
        feature("above", "above_average", "charges", "total", "tenure"),
        feature("twice", "doubled", "charges"),
        feature("letter", "first_letter", "contract", kind="categorical"),
    ),
)
NAMES = [*SCHEMA.kinds]
CATEGORIES = {"contract": CONTRACTS, "plan": PLANS, "letter": ("M", "T")}


@cache
def functions() -> Any:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "own.py").write_text(OWN_FUNCTIONS)
        return load_functions(Path(folder) / "own.py")


def _matrix(rows: int) -> np.ndarray:
    random = np.random.default_rng(5)
    matrix = random.normal(20, 30, (rows, len(NAMES))).astype(np.float32).round(1)
    for name, values in CATEGORIES.items():
        matrix[:, NAMES.index(name)] = random.integers(0, len(values), rows)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    return matrix


@cache
def booster(depth: int, **options: Any) -> xgboost.Booster:
    matrix = _matrix(1200)
    known = np.nan_to_num(matrix)
    logit = (known[:, 2] - known[:, 3]) / 20 + (known[:, 0] == 1) + (known[:, 1] % 3 == 0) * known[:, 6] / 30
    label = np.random.default_rng(6).random(len(matrix)) < 1 / (1 + np.exp(-logit))
    types = ["c" if name in CATEGORIES else "float" for name in NAMES]
    told = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "nthread": 1, "base_score": 0.27, **options}
    return xgboost.train(told, xgboost.DMatrix(matrix, label, feature_types=types), 12)


ADDITIVE = AdditiveModel(
    intercept=-0.3,
    curves={
        "tenure": Curve(knots=(0.0, 20.0, 72.0), pieces=((1e-4, -0.01, 0.1, 0.2), (0, 0, -0.03, 0.4)), missing=0.3),
        "rise": Curve(knots=(-50.0, 50.0), pieces=((0.0, 0.0, 0.01, -0.2),), log_slope=0.1, missing=-0.1),
    },
    tables={"contract": (0.9, -0.5, 0.1, 0.25), "letter": (0.1, -0.1, 0.0)},
)
SYMMETRIC = SymmetricTrees(
    numbers=((2, 12.0), (3, 40.0), (6, 0.1), (2, 30.5)),
    categories=((0, (0, -1)), (1, (3, 7, 39))),
    levels=((0, 4, 3), (1, 5, 2), (2, 2, 4)),
    values=tuple(tuple(np.random.default_rng(seed).normal(size=8).tolist()) for seed in range(3)),
    covers=tuple(tuple(np.random.default_rng(seed).integers(0, 90, 8).astype(float).tolist()) for seed in range(3)),
    bias=0.2,
)
BOOSTED = [{"booster": (depth, {}), "tree_weight": 0.7} for depth in range(1, MAX_DEPTH + 1)]
KINDS: list[dict[str, Any]] = [
    {"additive": ADDITIVE},
    *BOOSTED,
    {"booster": (3, {"max_cat_to_onehot": 1, "num_parallel_tree": 2, "subsample": 0.5})},
    {"booster": (2, {"gamma": 1e9}), "additive": ADDITIVE},
    {"symmetric": SYMMETRIC},
    {"symmetric": SYMMETRIC.model_copy(update={"levels": (), "values": (), "covers": ()})},
    {"additive": ADDITIVE, "booster": (2, {}), "tree_weight": 0.4, "symmetric": SYMMETRIC, "intercept": -0.2},
    {"intercept": 0.4},
]
SETTINGS = [
    ScoringSettings(),
    ScoringSettings(
        money=MoneySettings(customer_value=CustomerValue(margin=0.5, months=12)),
        monthly_revenue="charges",
        reasons=ReasonSettings(top=5, actionable_only=True),
    ),
]


@cache
def scorer(kind: int, money: int) -> Scorer:
    parts = dict(KINDS[kind])
    if "booster" in parts:
        depth, options = parts["booster"]
        parts["booster"] = booster(depth, **options)
    model = ChurnModel(schema=SCHEMA, categories=CATEGORIES, functions=functions(), **parts)
    return Scorer(model, SETTINGS[money])


_EDGES = [0.1, 12.0, 30.5, 40.0, np.nextafter(12.0, 13), np.nextafter(np.float32(12.0), np.float32(13)).item()]
_NUMBER = st.one_of(
    st.none(),
    st.floats(-80, 90, width=32),
    st.floats(-80, 90),
    st.integers(-80, 90),
    st.sampled_from([*_EDGES, 0, 0.0, -0.0, 1e39, -1e300, 5e-324, 2**70, float("inf"), float("-inf"), float("nan")]),
)
_ROW = st.fixed_dictionaries(
    {"tenure": _NUMBER, "contract": st.none() | st.sampled_from([*CONTRACTS, "Never seen"])},
    optional={"charges": _NUMBER, "total": _NUMBER, "plan": st.none() | st.sampled_from([*PLANS, "plan 99"])},
)


def same(made: Scorer, rows: list[dict[str, Any]]) -> None:
    """Check that each row alone and the table of them have the same scores."""
    columns = {
        name: np.array([_clean(row.get(name)) for row in rows], dtype=np.float64 if kind == "numeric" else object)
        for name, kind in made.kinds.items()
    }
    with np.errstate(over="ignore"):
        table = made.predict(columns)
    unseen: dict[str, int] = {}
    for number, row in enumerate(rows):
        alone = made.score_row(row, explain=True)
        assert isinstance(alone, RowScore)
        assert alone.probability == pytest.approx(table.probability[number], abs=1e-12)
        assert alone.treat == table.treat[number]
        assert alone.expected_value == pytest.approx(table.expected_value[number], abs=1e-9)
        assert alone.customer_value == table.customer_value[number]
        assert alone.reasons == tuple(words[number] for words in table.reasons if words[number] is not None)
        for name in alone.unseen:
            unseen[name] = unseen.get(name, 0) + 1
        quick = made.score_row(row, explain=False)
        assert quick is not None
        assert quick[:4] == alone[:4]
        assert quick.reasons == ()
    assert unseen == table.unseen


def _clean(value: Any) -> Any:
    """As every reader of tables does: what is no finite number is missing."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


@pytest.mark.slow
@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("money", range(len(SETTINGS)))
@settings(max_examples=12, deadline=None)
@given(rows=st.lists(_ROW, min_size=1, max_size=6))
def test_any_row_alone_is_scored_as_in_a_table(kind: int, money: int, rows: list[dict[str, Any]]) -> None:
    same(scorer(kind, money), rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", range(len(BOOSTED) + 1))
def test_values_at_a_threshold_go_where_the_booster_sends_them(kind: int) -> None:
    made = scorer(kind, 0)
    if made.model.booster is None:
        return
    splits = made.model.booster.trees_to_dataframe().query("Feature in ('f2', 'f3', 'f4')")["Split"].to_numpy()
    assert len(splits) > 2
    edges = splits.astype(np.float32)
    around = [np.nextafter(edges, np.float32(side)) for side in (-np.inf, np.inf)]
    middles = [(edges.astype(np.float64) + other) / 2 for other in around]
    nearly = [np.nextafter(middle, side) for middle in middles for side in (-np.inf, np.inf)]
    numbers = np.concatenate([edges, *around, *middles, *nearly])
    same(made, [{"tenure": float(number), "charges": float(number), "total": float(number)} for number in numbers])


def test_deeper_trees_are_left_to_the_table() -> None:
    deep = replace(scorer(1, 0), model=replace(scorer(1, 0).model, booster=booster(MAX_DEPTH + 1, min_child_weight=0)))
    assert deep.score_row({}, explain=False) is None
    assert len(deep.score(pd.DataFrame([{"contract": "Two year", "tenure": 1.0}]))) == 1


def test_columns_that_the_model_does_not_read_change_nothing() -> None:
    row = {"contract": "Two year", "tenure": 3.0, "charges": 20.0}
    first, second = (scorer(0, 0).score_row(asked, explain=True) for asked in (row, {**row, "rise": 99.0, "x": "y"}))
    assert first is not None
    assert second is not None
    assert first[:6] == second[:6]


def test_text_where_a_number_belongs_is_named() -> None:
    with pytest.raises(ContractError, match=r"The model reads numbers from 'tenure': .* Make the column numeric"):
        scorer(0, 0).score_row({"tenure": "many"}, explain=False)
