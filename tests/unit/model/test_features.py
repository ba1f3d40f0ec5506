from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.core.errors import ContractError
from churn.data.contract import DatasetContract
from churn.model.features import BUILT_IN, FeatureSpec, check_features, compute_features, load_functions
from churn.model.frame import columns_of

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[3] / "configs" / "datasets"
CONTRACTS = {path.stem: DatasetContract.load(path) for path in sorted(CONFIGS.glob("*.yaml"))}


def rows_of(contract: DatasetContract) -> st.SearchStrategy[list[dict[str, object]]]:
    """Rows with any value a feed could send, in and out of the contract's rules."""
    number = st.none() | st.integers(-(10**6), 10**6) | st.floats(width=64, allow_nan=True, allow_infinity=True)
    text = {
        name: st.sampled_from([*(column.allowed or ("a",)), "unseen", "", None])
        for name, column in contract.columns.items()
    }
    row = st.fixed_dictionaries(
        {name: text[name] if column.kind == "categorical" else number for name, column in contract.columns.items()}
    )
    return st.lists(row, min_size=1, max_size=8)


@pytest.mark.parametrize("name", CONTRACTS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_table_and_one_online_row_give_the_same_features(name: str, data: st.DataObject) -> None:
    contract = CONTRACTS[name]
    rows = data.draw(rows_of(contract))
    table = compute_features(
        contract.features, columns_of(pd.DataFrame(rows, dtype=object), contract.kinds), contract.functions
    )
    for position, row in enumerate(rows):
        online = columns_of(pd.DataFrame([row], dtype=object), contract.kinds)
        single = compute_features(contract.features, online, contract.functions)
        for spec in contract.features:
            np.testing.assert_array_equal(single[spec.name][0], table[spec.name][position], err_msg=spec.name)


def test_the_number_of_optional_services_counts_the_yes() -> None:
    services = [
        np.array(["Yes", "No", None], dtype=object),
        np.array(["Yes", "Yes", "No internet service"], dtype=object),
    ]
    assert BUILT_IN["count_equal"](*services, value="Yes").tolist() == [2.0, 1.0, 0.0]


def test_a_price_above_the_average_is_an_increase_and_a_new_customer_has_none() -> None:
    current, total, months = np.array([70.0, 50.0, 80.0]), np.array([600.0, 500.0, np.nan]), np.array([10.0, 10.0, 0.0])
    assert BUILT_IN["above_average"](current, total, months).tolist() == [10.0, 0.0, 0.0]


def test_a_ratio_to_zero_is_missing_and_not_infinite() -> None:
    assert np.isnan(BUILT_IN["ratio"](np.array([1.0, 0.0]), np.array([0.0, 0.0]))).all()


def test_a_feature_may_build_on_an_earlier_one() -> None:
    specs = (
        FeatureSpec(name="half", compute="ratio", inputs=("a", "two"), description="half of a"),
        FeatureSpec(name="rest", compute="difference", inputs=("a", "half"), description="what is left"),
    )
    columns = {"a": np.array([4.0]), "two": np.array([2.0])}
    check_features(specs, {"a": "numeric", "two": "numeric"}, BUILT_IN)
    assert compute_features(specs, columns, BUILT_IN)["rest"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"compute": "ratoi"}, "did you mean 'ratio'"),
        ({"inputs": ("tenur",)}, "did you mean 'tenure'"),
        ({"name": "tenure"}, "has the name of a column"),
    ],
)
def test_a_wrong_feature_is_named_with_the_nearest_right_name(changed: dict[str, object], message: str) -> None:
    right = {"name": "share", "compute": "ratio", "inputs": ("tenure", "tenure"), "description": "a share"}
    with pytest.raises(ContractError, match=message):
        check_features([FeatureSpec.model_validate({**right, **changed})], {"tenure": "numeric"}, BUILT_IN)


def test_a_function_that_forgets_rows_is_refused() -> None:
    spec = FeatureSpec(name="first", compute="head", inputs=("a",), description="the first")
    with pytest.raises(ContractError, match="must return one value for each row"):
        compute_features([spec], {"a": np.array([1.0, 2.0])}, {"head": lambda a: a[:1]})


def test_a_users_own_functions_join_the_built_in_ones(tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text("from statistics import mean\ndef twice(a):\n    return 2 * a\ndef _helper(a):\n    return a\n")
    functions = load_functions(module)
    assert functions["twice"](np.array([3.0])).tolist() == [6.0]
    assert set(BUILT_IN) < set(functions)
    assert not {"_helper", "mean"} & set(functions)
    assert list(tmp_path.iterdir()) == [module]


@pytest.mark.parametrize(("text", "message"), [(None, "is not a Python file"), ("1/0", "fails with ZeroDivisionError")])
def test_a_feature_module_that_does_not_load_is_told_in_words(tmp_path: Path, text: str | None, message: str) -> None:
    module = tmp_path / "mine.py"
    if text is not None:
        module.write_text(text)
    with pytest.raises(ContractError, match=message):
        load_functions(module)
