"""A frame, a record batch and a single row are scored alike, to the last bit; Spark runs `score_batch` on its tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.model.frame import columns_of
from churn.model.scorer import TREAT
from churn.scoring.rows import reason_columns, score_batch
from tests.fakes.data.batches import TIME, day
from tests.fakes.data.scorers import small_scorer

SCORER = small_scorer(boosted=True)
NUMBERS = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300]))
ROWS = st.fixed_dictionaries(
    {
        "contract": st.sampled_from([None, "", " Two year ", "Two year", "Month-to-month", "Never seen", "TWO YEAR"]),
        "tenure": NUMBERS,
        "monthly_charges": NUMBERS,
        "total_charges": NUMBERS,
    }
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_frame_a_batch_and_a_single_row_have_the_same_answers(rows: list[dict[str, object]]) -> None:
    types = {"contract": pa.string(), **dict.fromkeys(("tenure", "monthly_charges", "total_charges"), pa.float64())}
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()}
    keys = pa.array([f"c{number}" for number in range(len(rows))])
    batch = pa.RecordBatch.from_pydict(
        {"customer_id": keys, "transaction_ts": pa.array([day(0)] * len(rows), TIME), **columns}
    )
    frame = pd.DataFrame(rows).astype({"contract": object})
    whole = SCORER.score(frame)
    scored = {row["customer_id"]: row for row in score_batch(SCORER, batch, entity="customer_id").rows.to_pylist()}
    assert len(scored) >= sum(row["tenure"] == 0.0 for row in rows)
    for number, expected in enumerate(whole.to_dict("records")):
        alone = SCORER.predict(columns_of(frame.iloc[[number]], SCORER.kinds))
        assert alone.probability.item() == expected["probability"]
        assert alone.expected_value.item() == expected["expected_value"]
        assert alone.treat.item() == (expected["decision"] == TREAT)
        assert [words.item() for words in alone.reasons if words.item()] == expected["reasons"]
        found = scored.get(f"c{number}")
        if found is not None:  # a row of which nothing is known is set aside
            for name in ("probability", "expected_value", "decision"):
                assert found[name] == expected[name]
            assert [found[name] for name in reason_columns(3) if found[name]] == expected["reasons"]
