"""The baseline of a version: its holdout, scored once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from churn.scoring.baseline import baseline_scores, write_baseline
from tests.fakes.data.batches import CONTRACT, TIME, day, feature_rows
from tests.fakes.data.scorers import small_scorer
from tests.fakes.ports.tables import MemoryFeatureStore

SCORER = small_scorer(boosted=True)


def written(digest: str = "d1", version: int = 1) -> MemoryFeatureStore:
    store = MemoryFeatureStore("toy")
    rows = feature_rows(40).append_column("split", pa.array(["holdout", "train"] * 20))
    rows = rows.append_column("label", pa.array([0, 1] * 20, pa.int8()))
    rows = rows.append_column("label_ts", pa.array([day(90)] * 40, TIME)).append_column("other", pa.array(["x"] * 40))
    training = store.replace(CONTRACT.table("training"), rows)
    write_baseline(
        store, CONTRACT, SCORER, training, model_name="churn_toy", model_version=version, model_digest=digest
    )
    return store


def test_it_holds_the_holdout_with_inputs_outcome_and_predictions() -> None:
    store = written()
    table = store.read(store.latest("churn_baseline"))
    rows = table.to_pylist()
    assert [row["customer_id"] for row in rows] == [f"c{number:03}" for number in range(0, 40, 2)]
    assert {(row["model_digest"], row["model_name"], row["model_version"]) for row in rows} == {("d1", "churn_toy", 1)}
    assert {row["label"] for row in rows} == {0}
    assert {*SCORER.kinds, "label_ts"} <= set(table.column_names)
    assert not {"split", "other"} & set(table.column_names)
    expected = SCORER.score(feature_rows(40).to_pandas().iloc[::2])
    np.testing.assert_array_equal(table["probability"].to_numpy(), expected["probability"].to_numpy())
    assert table["treated"].to_pylist() == (expected["decision"] == "treat").tolist()


def test_the_same_model_again_replaces_its_own_and_another_is_added() -> None:
    store = written()
    training = store.latest("churn_training")
    for digest, rows in (("d1", 20), ("d2", 40), ("d2", 40)):
        ref = write_baseline(
            store, CONTRACT, SCORER, training, model_name="churn_toy", model_version=1, model_digest=digest
        )
        assert ref.rows == rows


def test_the_scores_are_those_of_one_model() -> None:
    store = written()
    scores = baseline_scores(store, CONTRACT, "d1")
    assert scores is not None
    assert (len(scores), sum(scores)) == (20, 20)
    assert baseline_scores(store, CONTRACT, "another") is None
    assert baseline_scores(MemoryFeatureStore("toy"), CONTRACT, "d1") is None
