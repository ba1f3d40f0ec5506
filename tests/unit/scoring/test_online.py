"""One row of JSON is scored as the same row of a table is."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.core.errors import DataError
from churn.scoring.online import score_rows, spelled
from tests.fakes.data.scorers import customers, small_scorer

_TEXT = st.sampled_from(["Month-to-month", "Two year", " Two year ", "One year", "", "None"])
_NUMBER = st.none() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(["12", "x", " 7.5 ", "1e999"])
_ROW = st.fixed_dictionaries(
    {"contract": st.none() | _TEXT | st.integers(0, 3) | st.booleans(), "tenure": _NUMBER, "monthly_charges": _NUMBER},
    optional={"total_charges": _NUMBER},
)


def scored(rows: list[dict[str, object]]) -> list[object]:
    scorer = small_scorer(boosted=True)
    known = [
        {name: spelled(name, row[name], kind) for name, kind in scorer.kinds.items() if name in row} for row in rows
    ]
    return score_rows(scorer, known, explain=True).scores  # type: ignore[return-value]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(_ROW, min_size=1, max_size=5))
def test_any_row_is_scored_as_in_a_table(rows: list[dict[str, object]]) -> None:
    table = pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in small_scorer().kinds}
    )
    batch = small_scorer(boosted=True).score(table)
    for one, (_, row) in zip(scored(rows), batch.iterrows(), strict=True):
        assert one.probability == pytest.approx(row.probability, abs=1e-12)  # type: ignore[attr-defined]
        assert (one.decision, list(one.reasons)) == (row.decision, row.reasons)  # type: ignore[attr-defined]


def test_rows_are_scored_each_by_itself() -> None:
    rows = customers(3).drop(columns="customer_id").astype(object).where(customers(3).notna(), None).to_dict("records")
    assert scored(rows) == [scored([row])[0] for row in rows]


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        (1, "categorical", "1"),
        (1.0, "categorical", "1"),
        (True, "categorical", "true"),
        ("  ", "categorical", None),
        (None, "numeric", None),
        ("12.5", "numeric", 12.5),
        ("many", "numeric", None),
        (float("inf"), "numeric", None),
        (10**400, "numeric", None),
        (False, "numeric", 0.0),
    ],
)
def test_a_value_is_read_as_the_model_reads_it(value: object, kind: str, read: object) -> None:
    assert spelled("x", value, kind) == read  # type: ignore[arg-type]


def test_a_list_is_no_value() -> None:
    with pytest.raises(DataError, match=r"'x' is a list or an object: give a number, a text, true, false or null"):
        spelled("x", [1, 2], "numeric")
