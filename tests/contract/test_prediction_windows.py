"""What everything that counts predictions by window keeps of its port's promises."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from adapters.databricks.windows import CopiedPredictionWindows
from adapters.local.feature_store import LocalFeatureStore
from adapters.local.windows import LocalPredictionWindows
from churn.ports.tables import FeatureStore
from churn.ports.windows import Aggregates, Asked, Bins, PredictionWindows
from tests.fakes.data.monitored import (
    CONTRACT,
    DIGEST,
    Customers,
    day,
    predicted_of,
    put_baseline,
    put_labels,
    put_window,
)
from tests.fakes.ports.tables import MemoryFeatureStore
from tests.fakes.ports.windows import MemoryPredictionWindows


class Place(NamedTuple):
    store: FeatureStore
    windows: PredictionWindows


def in_memory(folder: Path) -> Place:
    store = MemoryFeatureStore("toy")
    return Place(store, MemoryPredictionWindows(store))


def on_disk(folder: Path) -> Place:
    return Place(LocalFeatureStore(folder, "toy"), LocalPredictionWindows(folder, "toy"))


def copied(folder: Path) -> Place:
    store = MemoryFeatureStore("toy")
    return Place(store, CopiedPredictionWindows(store, folder, "toy"))


@pytest.fixture(params=[in_memory, on_disk, copied])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    make: Callable[[Path], Place] = request.param
    return make(tmp_path)


def rows_of(table: pa.Table, *order: str) -> list[dict[str, Any]]:
    """Return rows in an order of their own, numbers rounded, times in UTC."""
    rounded = [
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
        for row in table.to_pylist()
    ]
    return sorted(rounded, key=lambda row: [str(row[name]) for name in order])


def counted(place: Place, asked: Asked, bins: tuple[Bins, ...] = (), **options: Any) -> Aggregates:
    return place.windows.aggregate(predicted_of(place.store, **options), asked, bins, ["contract"])


def total(aggregates: Aggregates, **where: Any) -> int:
    return sum(
        row["rows"]
        for row in aggregates.cells.to_pylist()
        if row["slice"] == where.get("slice", "") and all(row[name] == value for name, value in where.items())
    )


def test_every_place_counts_the_same(tmp_path: Path) -> None:
    places = [in_memory(tmp_path), on_disk(tmp_path), copied(tmp_path / "copies")]
    seen = []
    for place in places:
        baseline = put_baseline(place.store, Customers(400, 1))
        put_window(place.store, Customers(300, 2), 0, labelled=40)
        put_window(place.store, Customers(200, 3), 1, source="endpoint", version=1)
        put_labels(place.store, Customers(200, 3), 1, 40, weight=[0.0, 1.0, 10.0, 1.0] * 50)
        bins = place.windows.layout(baseline, DIGEST, ["charges", "contract"], numbers=10, texts=5)
        base = place.windows.baseline(baseline, DIGEST, bins, ["contract"])
        after = counted(place, Asked("event", "day", 1, [day(0), day(1)]), bins)
        order = ("window", "source", "slice", "value", "outcome", "weight", "treated", "bin")
        columns = [
            rows_of(part.columns.drop_columns(["distinct"]), "window", "source", "column") for part in (base, after)
        ]
        seen.append(
            [
                [column.model_dump() for column in bins],
                columns,
                rows_of(base.cells, *order),
                rows_of(after.cells, *order),
            ]
        )
    assert seen[0] == seen[1] == seen[2]


def test_windows_are_those_of_the_event_or_of_the_scoring_in_utc(place: Place) -> None:
    put_window(place.store, Customers(5), 2.99, scored_at=33)
    put_labels(place.store, Customers(5), 2.99, 50)
    starts = {
        (clock, length): [
            row["window"] for row in place.windows.listed(predicted_of(place.store), clock, length).to_pylist()
        ]
        for clock in ("event", "scoring")
        for length in ("day", "week", "month")
    }
    assert starts == {
        ("event", "day"): [day(2)],
        ("event", "week"): [day(0)],
        ("event", "month"): [day(0)],
        ("scoring", "day"): [day(33)],
        ("scoring", "week"): [day(28)],
        ("scoring", "month"): [day(31)],
    }


def test_a_window_changes_its_content_where_a_score_an_outcome_or_a_row_does(place: Place) -> None:
    customers = Customers(20)
    put_window(place.store, customers, 0, labelled=40)

    def listed(known_by: float = 400) -> dict[str, Any]:
        found: list[dict[str, Any]] = place.windows.listed(
            predicted_of(place.store, known_by), "event", "day"
        ).to_pylist()
        assert [row["window"] for row in found] == [day(0)]
        return found[0]

    first = listed()
    assert (first["rows"], first["mature"], listed(39)["mature"]) == (20, 20, 0)
    assert listed() == first
    assert listed(39)["content"] != first["content"]
    put_labels(place.store, customers, 0, 40, [1 - outcome for outcome in customers.outcome.tolist()])
    corrected = listed()
    assert corrected["mature"] == 20
    assert corrected["content"] != first["content"]
    put_window(place.store, Customers(21), 0)
    assert listed()["rows"] == 21


def test_an_outcome_counts_from_when_it_may_be_used(place: Place) -> None:
    put_window(place.store, Customers(50), 0, labelled=40)
    asked = Asked("event", "day", 1, [day(0)])
    assert total(counted(place, asked, known_by=39.9), outcome=None) == 50
    assert total(counted(place, asked, known_by=40), outcome=None) == 0
    assert total(counted(place, asked, known_by=40), outcome=1) == int(Customers(50).outcome.sum())


def test_without_labels_no_outcome_is_known_and_without_features_nothing_is_matched(place: Place) -> None:
    put_window(place.store, Customers(50), 0, features=False)
    found = counted(place, Asked("event", "day", 1, [day(0)]), features=False, labels=False)
    assert total(found, outcome=None) == 50
    assert found.columns.num_rows == 0


def test_an_outcome_of_a_customer_who_was_never_scored_counts_nowhere(place: Place) -> None:
    put_window(place.store, Customers(10), 0, labelled=40)
    put_labels(place.store, Customers(30), 5, 40)
    assert total(counted(place, Asked("event", "month", 1, [day(0)]))) == 10


def test_a_row_that_was_scored_again_counts_once_as_it_was_scored_last(place: Place) -> None:
    first, again = Customers(30, 1), Customers(30, 1)
    again.probability = np.full(30, 0.5)
    put_window(place.store, first, 0, batch="a", scored_at=1)
    put_window(place.store, again, 0, batch="b", scored_at=2, labelled=40)
    by_event = counted(place, Asked("event", "day", 1, [day(0)]))
    assert (total(by_event), total(by_event, bin=0)) == (30, 30)
    by_scoring = counted(place, Asked("scoring", "day", 1, [day(1), day(2)]))
    assert total(by_scoring) == 60


def test_a_customer_whom_the_endpoint_scored_twice_in_one_batch_counts_once(place: Place) -> None:
    put_window(place.store, Customers(20), 0, source="endpoint", batch="e", labelled=40)
    predictions = place.store.read(place.store.latest("churn_predictions"))
    twice = predictions.set_column(
        predictions.schema.get_field_index("row_number"), "row_number", pa.array(np.ones(20, dtype=np.int64))
    )
    place.store.upsert(CONTRACT.table("predictions"), twice)
    assert place.store.latest("churn_predictions").rows == 40
    assert total(counted(place, Asked("event", "day", 1, [day(0)]))) == 20


def test_versions_and_sources_are_counted_apart(place: Place) -> None:
    put_window(place.store, Customers(30), 0, labelled=40)
    put_window(place.store, Customers(20), 0, version=2)
    put_window(place.store, Customers(10), 0, source="endpoint", batch="e")
    listed = place.windows.listed(predicted_of(place.store), "event", "day").to_pylist()
    assert {(row["model_version"], row["source"]): row["rows"] for row in listed} == {
        (1, "batch"): 30,
        (1, "endpoint"): 10,
        (2, "batch"): 20,
    }
    found = counted(place, Asked("event", "day", 1, [day(0)]))
    assert (total(found, source="batch"), total(found, source="endpoint")) == (30, 10)


def test_rows_that_a_client_made_up_count_nowhere(place: Place) -> None:
    put_window(place.store, Customers(30), 0, source="endpoint", role="answered", batch="a", labelled=40)
    put_window(place.store, Customers(20), 0, source="endpoint", role="what_if", batch="b", scored_at=2, features=False)
    put_window(place.store, Customers(10), 5, source="endpoint", role="what_if", batch="c")
    listed = place.windows.listed(predicted_of(place.store), "event", "day").to_pylist()
    assert [(row["source"], row["rows"]) for row in listed] == [("endpoint", 30)]


def test_slices_add_up_to_the_whole(place: Place) -> None:
    customers = Customers(60)
    customers.contract[:3] = None
    put_window(place.store, customers, 0, labelled=40)
    found = counted(place, Asked("event", "day", 1, [day(0)]))
    values = {row["value"] for row in found.cells.to_pylist() if row["slice"] == "contract"}
    assert values == {"Month-to-month", "Two year", "not known"}
    assert total(found, slice="contract", value="not known") == 3
    assert total(found, slice="contract") == total(found) == 60


def test_predictions_without_features_are_counted_and_match_nothing(place: Place) -> None:
    put_window(place.store, Customers(30), 0, labelled=40)
    put_window(place.store, Customers(20), 40, labelled=70, features=False)
    bins = (Bins(name="charges", kind="number", edges=(0.0, 1.0)), Bins(name="contract", kind="text", texts=("x",)))
    for length, starts in (("day", [day(0), day(40)]), ("month", [day(0), day(31)])):
        found = counted(place, Asked("event", length, 1, starts), bins)  # type: ignore[arg-type]
        rows = {(row["window"], row["column"]): row for row in found.columns.to_pylist()}
        assert {key: (row["rows"], row["matched"]) for key, row in rows.items()} == {
            (start, name): (count, matched)
            for start, count, matched in ((starts[0], 30, 30), (starts[1], 20, 0))
            for name in ("charges", "contract")
        }
        unmatched = rows[starts[1], "charges"]
        assert (unmatched["known"], unmatched["total"], unmatched["counts"]) == (0, None, [0, 0, 0])
        assert total(found, slice="contract", window=starts[1], value="not known") == 20


def test_numbers_fall_below_between_and_above_the_edges_and_texts_among_the_others(place: Place) -> None:
    bins = (
        Bins(name="charges", kind="number", edges=(0.0, 1.0, 2.0)),
        Bins(name="contract", kind="text", texts=("Two year",)),
        Bins(name="gone", kind="number", edges=(0.0,)),
    )
    customers = Customers(7)
    customers.charges = np.array([-1.0, 0.0, 0.5, 1.0, 3.0, np.nan, np.inf])
    customers.contract = np.array(["Two year", "Two year", None, "", "new", "other", "Two year"], dtype=object)
    put_window(place.store, customers, 0, labelled=40)
    rows = {row["column"]: row for row in counted(place, Asked("event", "day", 1, [day(0)]), bins).columns.to_pylist()}
    assert {*rows} == {"charges", "contract"}
    charges = rows["charges"]
    assert (charges["counts"], charges["known"], charges["rows"], charges["matched"]) == ([2, 2, 0, 1], 5, 7, 7)
    assert (charges["min"], charges["max"], charges["total"], charges["squares"]) == (-1.0, 3.0, 3.5, 11.25)
    assert rows["contract"]["counts"] == [3, 3]


def test_edges_reach_from_below_the_smallest_to_the_greatest_value(place: Place) -> None:
    customers = Customers(100)
    customers.charges = np.array([1.0, 2.0] * 50)
    baseline = put_baseline(place.store, customers)
    (charges, contract) = place.windows.layout(baseline, DIGEST, ["charges", "gone", "contract"], numbers=10, texts=1)
    assert charges.edges == (np.nextafter(1.0, -np.inf), 1.0, 2.0)
    assert contract.texts == ("Month-to-month",)
    assert place.windows.layout(baseline, "another", ["charges"], numbers=10, texts=1)[0].edges == ()


def test_a_version_without_rows_has_no_windows(place: Place) -> None:
    put_window(place.store, Customers(10), 0, labelled=40)
    found = counted(place, Asked("event", "day", 9, [day(0)]))
    assert (found.columns.num_rows, found.cells.num_rows) == (0, 0)
    assert counted(place, Asked("event", "day", 1, [])).cells.num_rows == 0


def test_window_starts_are_told_in_utc(place: Place) -> None:
    put_window(place.store, Customers(3), 0, labelled=40)
    (row,) = place.windows.listed(predicted_of(place.store), "event", "day").to_pylist()
    assert row["window"].utcoffset() == dt.timedelta(0)


def test_outcomes_are_counted_by_their_weight_and_those_of_weight_0_are_not_mature(place: Place) -> None:
    put_window(place.store, Customers(20), 0)
    put_labels(place.store, Customers(20), 0, 40, weight=[0.0, 1.0, 10.0, 1.0] * 5)
    (listed,) = place.windows.listed(predicted_of(place.store), "event", "day").to_pylist()
    assert (listed["rows"], listed["mature"]) == (20, 15)
    found = counted(place, Asked("event", "day", 1, [day(0)]))
    assert [total(found, weight=weight) for weight in (0, 1, 10)] == [5, 10, 5]
    early = counted(place, Asked("event", "day", 1, [day(0)]), known_by=39)
    assert total(early, weight=1, outcome=None) == 20


def test_a_weight_that_changes_opens_its_window_again_and_labels_without_weights_count_once(place: Place) -> None:
    def content() -> tuple[str, int]:
        (row,) = place.windows.listed(predicted_of(place.store), "event", "day").to_pylist()
        return row["content"], row["mature"]

    put_window(place.store, Customers(20), 0, labelled=40)
    before, mature = content()
    assert mature == 20
    put_labels(place.store, Customers(20), 0, 40, weight=[0.0, *[1.0] * 19])
    assert content() != (before, 20)
    assert content()[1] == 19


def test_a_baseline_has_the_weights_of_its_outcomes(place: Place) -> None:
    customers = Customers(40)
    plain = put_baseline(place.store, customers)
    assert total(place.windows.baseline(plain, DIGEST, (), []), weight=1) == 40
    rows = place.store.read(plain)
    weighed = rows.append_column("untreated_weight", pa.array([0.0, 5.0] * 20))
    baseline = place.store.upsert(CONTRACT.table("baseline"), weighed)
    found = place.windows.baseline(baseline, DIGEST, (), [])
    assert [total(found, weight=weight) for weight in (0, 5)] == [20, 20]
