"""Batches on a laptop's disk: killed, resumed, run twice, run twice at once, and refused by the disk."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters.local.feature_store import LocalFeatureStore
from churn.core.errors import ContractError, NotFound, StoreError
from tests.fakes.data.batches import CONTRACT, Registered, feature_rows, predictions, run
from tests.forks import Python
from tests.permissions import may_only_be_read, public_folder

CUSTOMERS, PART = 900, 100
SCORE_SLOWLY = """
import sys
from pathlib import Path
from tests.adapters.local.test_batch_engine import score_slowly

score_slowly(Path(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    return filled(tmp_path)


def filled(root: Path) -> LocalFeatureStore:
    store = LocalFeatureStore(root / "tables", "toy", memory_limit="256MB")
    store.upsert(
        CONTRACT.table("features"), feature_rows(CUSTOMERS, customer_id=[f"c{n:04}" for n in range(CUSTOMERS)])
    )
    return store


def of(store: LocalFeatureStore, summary: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch but for what differs from run to run."""
    return [{**row, "scored_at": None, "ingested_at": None} for row in predictions(store, summary)]


def score_slowly(folder: Path, parts: int) -> None:
    """Score parts of a batch, then stand still until somebody kills this process."""

    class Slow(Registered):
        def predict(self, customers: Any, **options: Any) -> Any:
            if len(self.given) >= parts:
                time.sleep(600)
            return super().predict(customers, **options)

    run(LocalFeatureStore(folder / "tables", "toy"), folder / "scoring", Slow(), part_rows=PART)


def killed(folder: Path, parts: int) -> int:
    """Let another process score that many parts or more, kill it, and return how many it finished."""
    process = Python(SCORE_SLOWLY, str(folder), str(parts))
    while len(finished := list((folder / "scoring").glob("*/scored-*.arrow"))) < parts - 2:
        assert process.returncode is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    return len(finished)


def test_a_killed_run_leaves_no_half_batch_and_the_next_one_goes_on(store: LocalFeatureStore, tmp_path: Path) -> None:
    killed(tmp_path, parts=5)
    with pytest.raises(NotFound, match="no table 'churn_predictions'"):
        store.latest("churn_predictions")
    kept = len(list((tmp_path / "scoring").glob("*/scored-*.arrow")))
    scorer = Registered()
    resumed = run(store, tmp_path / "scoring", scorer, part_rows=PART)
    assert resumed.resumed == kept * PART
    assert sum(scorer.given) == CUSTOMERS - kept * PART
    whole = run(store, tmp_path / "elsewhere", Registered(digest="d2"))
    assert [{**row, "batch_id": None} for row in of(store, resumed)] == [
        {**row, "batch_id": None} for row in of(store, whole)
    ]
    assert list((tmp_path / "scoring").glob("*/*")) == []


def test_the_parts_of_a_killed_run_are_not_taken_for_another_batch_and_are_removed_by_its_run(
    store: LocalFeatureStore, tmp_path: Path
) -> None:
    killed(tmp_path, parts=5)
    (tmp_path / "scoring" / "3f2a.lock").touch()  # as earlier versions left them
    other = run(store, tmp_path / "scoring", Registered(digest="d2"), part_rows=PART)
    assert other.resumed == 0
    assert other.scored == CUSTOMERS
    assert list((tmp_path / "scoring").iterdir()) == []


def test_parts_of_a_table_that_was_not_read_to_its_end_are_not_used(store: LocalFeatureStore, tmp_path: Path) -> None:
    killed(tmp_path, parts=5)
    next((tmp_path / "scoring").glob("*/parts.json")).unlink()
    again = run(store, tmp_path / "scoring", part_rows=PART)
    assert (again.resumed, again.scored) == (0, CUSTOMERS)


def test_two_runs_at_once_score_once_and_double_nothing(store: LocalFeatureStore, tmp_path: Path) -> None:
    scorers = [Registered(), Registered()]

    def score(scorer: Registered) -> Any:
        return run(store, tmp_path / "scoring", scorer, part_rows=PART)

    with ThreadPoolExecutor(2) as pool:
        summaries = list(pool.map(score, scorers))
    assert sorted(summary.unchanged for summary in summaries) == [False, True]
    assert sum(sum(scorer.given) for scorer in scorers) == CUSTOMERS
    assert store.latest("churn_predictions").rows == CUSTOMERS


def test_two_different_batches_at_once_both_stay(store: LocalFeatureStore, tmp_path: Path) -> None:
    def score(digest: str) -> Any:
        return run(store, tmp_path / "scoring", Registered(digest=digest), part_rows=PART)

    with ThreadPoolExecutor(2) as pool:
        summaries = list(pool.map(score, ["d1", "d2"]))
    latest = store.latest("churn_predictions")
    assert latest.rows == 2 * CUSTOMERS
    assert [len(predictions(store, each)) for each in summaries] == [CUSTOMERS, CUSTOMERS]


def test_the_size_of_the_parts_and_the_threads_make_no_difference(store: LocalFeatureStore, tmp_path: Path) -> None:
    one = of(store, run(store, tmp_path / "a", part_rows=7))
    rows = store.latest("churn_predictions")
    store.replace(CONTRACT.table("batches"), store.read(store.latest("churn_batches")).slice(0, 0))
    assert of(store, run(store, tmp_path / "b")) == one
    assert store.latest("churn_predictions").rows == rows.rows


@pytest.mark.parametrize("place", ["scoring", "tables/toy"])
def test_a_folder_that_may_not_be_written_is_named(place: str) -> None:
    with public_folder() as root:
        store = filled(root)
        (root / place).mkdir(exist_ok=True)
        with may_only_be_read(root / place), pytest.raises(StoreError, match="this user may not write there"):
            run(store, root / "scoring")


@pytest.mark.parametrize("place", ["scoring", "tables/toy/churn_predictions"])
def test_a_file_in_the_way_is_named_and_nothing_of_the_batch_is_seen(
    store: LocalFeatureStore, tmp_path: Path, place: str
) -> None:
    (tmp_path / place).touch()
    with pytest.raises(StoreError, match="a file is in the way"):
        run(store, tmp_path / "scoring")
    (tmp_path / place).unlink()
    assert run(store, tmp_path / "scoring").scored == CUSTOMERS


def test_a_fault_while_scoring_is_told_as_it_is_and_leaves_nothing(store: LocalFeatureStore, tmp_path: Path) -> None:
    class Faulty(Registered):
        def predict(self, customers: Any, **options: Any) -> Any:
            if self.given:
                raise ContractError("the packaged feature does not like this row")
            return super().predict(customers, **options)

    with pytest.raises(ContractError, match="does not like this row"):
        run(store, tmp_path / "scoring", Faulty(), part_rows=PART)
    with pytest.raises(NotFound, match="no table 'churn_predictions'"):
        store.latest("churn_predictions")


def test_parts_that_somebody_changed_are_refused(store: LocalFeatureStore, tmp_path: Path) -> None:
    killed(tmp_path, parts=5)
    scored = sorted((tmp_path / "scoring").glob("*/scored-*.arrow"))[0]
    with pa.OSFile(str(scored), "rb") as file:
        rows = pa.ipc.open_file(file).get_batch(0).slice(1)
    with pa.OSFile(str(scored), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write(rows)
    with pytest.raises(StoreError, match=r"Of 900 customers 899 were scored and 0 set aside, which does not add up"):
        run(store, tmp_path / "scoring", part_rows=PART)
    assert "churn_batches" not in {path.name for path in (tmp_path / "tables" / "toy").iterdir()}
