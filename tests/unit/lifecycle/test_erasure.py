"""Erasing a customer: gone from tables, lists and pages, on record without a name, and completed after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from churn.core.errors import ConfigError, NotFound
from churn.data.tables import ARRIVED_AT, EVENT_TIME
from churn.data.validation import quarantine_table
from churn.gate.recipes import remade_digest
from churn.lifecycle.erasure import Erasure, forget
from churn.lifecycle.workspace import Workspace
from churn.ports.online import OnlineRow
from churn.training.recipe import Recipe
from churn.training.search import TuningSettings
from tests.fakes.data.answered import answered
from tests.fakes.data.case import GOOD, NOW, raw_rows
from tests.fakes.data.customers import CONTRACT
from tests.fakes.data.deciding import Doom, Killed
from tests.fakes.ports.files import InMemoryFiles
from tests.fakes.ports.ledger import InMemoryLedger
from tests.fakes.ports.online import InMemoryOnlineStore
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.tables import MemoryFeatureStore

pytestmark = pytest.mark.slow

SOMEBODY, OTHER = "c000017", "c000018"
ENTRIES = [
    ('{"customer_id":"c000017","tenure":-1}', "tenure", "is at least 0", "-1"),
    ('{"customer_id":"c000018","tenure":17}', "tenure", "is a whole number", "17"),
    ("c000017,5;6", "the line", "has one value for each column", "c000017,5;6"),
]


class Place:
    """A data set in memory that holds somebody everywhere, where each write may be the last thing a process does."""

    def __init__(self, folder: Path, customer: str = SOMEBODY) -> None:
        self.doom = doom = Doom()

        class Store(MemoryFeatureStore):
            def erase(self, *arguments: Any) -> Any:
                with doom.write():
                    return super().erase(*arguments)

        class Files(InMemoryFiles):
            def put(self, *arguments: Any) -> str:
                with doom.write():
                    return super().put(*arguments)

            def replace_word(self, *arguments: Any) -> Any:
                with doom.write():
                    return super().replace_word(*arguments)

            def delete(self, name: str) -> None:
                with doom.write():
                    super().delete(name)

        class Ledger(InMemoryLedger):
            def append(self, *arguments: Any, **options: Any) -> Any:
                with doom.write():
                    return super().append(*arguments, **options)

        class Online(InMemoryOnlineStore):
            def erase(self, customer: str) -> bool:
                with doom.write():
                    return super().erase(customer)

        self.store, self.files, self.ledger, self.online = Store("toy"), Files(), Ledger(), Online()
        self.online.held = {key: OnlineRow(key, {}, NOW, NOW, 0) for key in (customer, OTHER)}
        self.log = InMemoryPredictionLog(self.store, CONTRACT.table("predictions"), CONTRACT.entity_key)
        writer = self.log.writer(max_bytes=10_000, when_full="drop_new", synced=False)
        writer.append([answered(customer, inputs=f'{{"name": "{customer}"}}'), answered(OTHER)])
        self.registry = InMemoryModelRegistry({"run"})
        for name in ("bronze", "features", "labels", "training"):
            spec = CONTRACT.table(name)  # type: ignore[arg-type]
            self.store.upsert(spec, self._rows(customer))
            self.store.upsert(spec, self._rows(OTHER))
        training = self.store.latest("churn_training")
        for table, key in (("predictions", {"batch_id": "b1"}), ("contacts", {"batch_id": "b1"})):
            rows = self._rows(customer)
            for column, value in {**key, "row_number": 0}.items():
                rows = rows.append_column(column, pa.array([value]))
            self.store.upsert(CONTRACT.table(table), rows)  # type: ignore[arg-type]
        entries = [tuple(text.replace(SOMEBODY, customer) for text in entry) for entry in ENTRIES]
        self.store.upsert(CONTRACT.table("quarantine"), quarantine_table(entries, "x.csv"))  # type: ignore[arg-type]
        (folder / "MLmodel").touch()
        tags = {"data_table": "churn_training", "data_version": str(training.version)}
        self.registry.register("churn_toy", folder, description="", tags=tags, run_id="run")
        self.files.content = {
            "campaigns/b1.csv": f"customer_id,rank\r\n{customer},1\r\n{OTHER},2\r\n".encode(),
            "campaigns/b1.control.csv": f"customer_id\r\n{OTHER}\r\n".encode(),
            "campaigns/elsewhere.csv": f"customer_id\r\n{customer}\r\n".encode(),
            "data/members.csv": f'customerID;note\n{customer};"a;b"\n{OTHER};x\n'.encode(),
            "reports/training.html": f"<td>{customer}</td><td>{OTHER}</td>".encode(),
            "scoring/toy/b2/part-0.arrow": customer.encode(),
        }

    @staticmethod
    def _rows(customer: str) -> pa.Table:
        time = pa.array([NOW], pa.timestamp("us", tz="UTC"))
        return pa.table({"customer_id": [customer], EVENT_TIME: time, ARRIVED_AT: time})

    @property
    def workspace(self) -> Workspace:
        make: dict[str, Any] = {
            "tables": lambda: self.store,
            "files": lambda: self.files,
            "ledger": lambda: self.ledger,
            "registry": lambda: self.registry,
            "online": lambda: self.online,
            "prediction_log": lambda: self.log,
        }
        return Workspace(contract=CONTRACT, model="churn_toy", threads=1, clock=lambda: NOW, make=make)

    def forget(self, customer: str = SOMEBODY, why: str = "asked for it") -> Erasure:
        return forget(self.workspace, customer, who="ann", why=why)

    def named(self) -> set[str]:
        """Where somebody is named: tables and files."""
        tables = ("bronze_customers", "churn_features", "churn_labels", "churn_training", "churn_predictions")
        names = [*tables, "churn_contacts", "quarantine"]
        held = {name for name in names if SOMEBODY in str(self.store.read(self.store.latest(name)).to_pylist())}
        held |= {"log" for row in self.log.waiting if row.customer == SOMEBODY}
        held |= {"online"} & {"online" for key in self.online.held if key == SOMEBODY}
        return held | {name for name, content in self.files.content.items() if SOMEBODY.encode() in content}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nothing_of_the_data_set_names_the_customer_any_more(place: Place) -> None:
    erasure = place.forget()
    assert place.named() == set()
    assert erasure.rows["bronze_customers"] == 1
    assert erasure.rows["quarantine"] == 2
    assert erasure.lists == ("campaigns/b1.csv", "data/members.csv")
    assert set(erasure.pages) == {"campaigns/elsewhere.csv", "reports/training.html"}
    assert (erasure.online, erasure.held, erasure.unfinished) == (True, (), 0)


def test_everybody_else_stays(place: Place) -> None:
    place.forget()
    for name in ("bronze_customers", "churn_features", "churn_labels", "churn_training"):
        assert place.store.read(place.store.latest(name))["customer_id"].to_pylist() == [OTHER]
    assert len(place.store.read(place.store.latest("quarantine"))) == 1
    assert [*place.online.held] == [OTHER]
    assert place.files.content == {
        "campaigns/b1.csv": f"customer_id,rank\r\n{OTHER},2\r\n".encode(),
        "campaigns/b1.control.csv": f"customer_id\r\n{OTHER}\r\n".encode(),
        "campaigns/elsewhere.csv": b"customer_id\r\nerased\r\n",
        "data/members.csv": f"customerID;note\n{OTHER};x\n".encode(),
        "reports/training.html": f"<td>erased</td><td>{OTHER}</td>".encode(),
    }


def test_the_record_says_why_and_names_no_customer(place: Place) -> None:
    place.forget(why="asked by mail")
    (record,) = place.ledger.read()
    assert (record.kind, record.model, record.version, record.who, record.why) == (
        *("erased", "toy", 0, "ann", "asked by mail"),
    )
    assert record.numbers["rows"] > 5
    assert SOMEBODY not in record.text


def test_versions_that_learned_from_the_customer_are_named_and_cannot_be_made_again(place: Place) -> None:
    table = place.store.latest("churn_training")
    assert place.forget().trained == (1,)
    recipe = Recipe.of(CONTRACT, GOOD, TuningSettings(), GOOD.boosting, seed=1, training_table=table)
    with pytest.raises(NotFound, match="version"):
        remade_digest(recipe, place.store, threads=1)


def test_a_key_that_is_written_otherwise_is_the_same_customer(tmp_path: Path) -> None:
    place = Place(tmp_path, customer="1000000")
    assert place.forget("1000000.0").rows["churn_features"] == 1


@pytest.mark.parametrize(("customer", "searched"), [("17", False), ("12345", False), ("A-17", True), ("123456", True)])
def test_a_key_that_may_be_any_number_is_not_replaced_in_pages(tmp_path: Path, customer: str, searched: bool) -> None:
    place = Place(tmp_path, customer=customer)
    erasure = place.forget(customer)
    assert erasure.searched_pages == searched
    assert (customer.encode() in place.files.content["reports/training.html"]) != searched
    assert customer.encode() not in place.files.content["campaigns/b1.csv"].split()
    assert erasure.rows["bronze_customers"] == 1


@pytest.mark.parametrize("customer", ["nobody", "c00001", "c0000170"])
def test_an_unknown_customer_is_said_and_nothing_is_recorded(place: Place, customer: str) -> None:
    before = dict(place.files.content)
    with pytest.raises(NotFound, match=rf"Nothing of the data set 'toy' holds a customer '{customer}'"):
        place.forget(customer)
    assert (place.ledger.read(), place.files.content.keys() - before.keys()) == ([], set())


@pytest.mark.parametrize("why", ["c000017 asked", "on behalf of (c000017)"])
def test_a_reason_that_names_the_customer_is_refused_before_anything_is_erased(place: Place, why: str) -> None:
    with pytest.raises(ConfigError, match="must not name the customer"):
        place.forget(why=why)
    assert "bronze_customers" in place.named()


@pytest.mark.parametrize(("customer", "why"), [("", "x"), ("c000017", "  ")])
def test_a_customer_and_a_reason_are_needed(place: Place, customer: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"--customer is empty|needs a reason"):
        place.forget(customer, why)


WRITES = 21


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("at", range(1, WRITES + 1))
def test_the_same_call_completes_what_a_kill_left_undone(place: Place, at: int, done: bool) -> None:
    place.doom.at, place.doom.done = at, done
    with pytest.raises(Killed):
        place.forget()
    place.doom.at = None
    if place.files.content.keys().isdisjoint({"erasures/toy.json"}) and not place.named():
        return  # it was complete but for its last word
    place.forget()
    assert place.named() == set()
    assert [record.kind for record in place.ledger.read()] == ["erased"]
    assert "erasures/toy.json" not in place.files.content


def test_there_are_as_many_writes_as_were_tried(place: Place) -> None:
    place.forget()
    assert place.doom.writes == WRITES


def test_an_erasure_that_was_begun_for_another_customer_is_said(place: Place) -> None:
    place.doom.at = 4
    with pytest.raises(Killed):
        place.forget()
    place.doom.at = None
    kept = place.files.content["erasures/toy.json"]
    assert SOMEBODY.encode() not in kept
    assert place.forget(OTHER).unfinished == 1
    assert json.loads(place.files.content["erasures/toy.json"]) == json.loads(kept)
    place.forget()
    assert "erasures/toy.json" not in place.files.content


def test_the_rows_of_a_source_in_parquet_are_taken_out_too(place: Place) -> None:
    from io import BytesIO

    import pyarrow.parquet

    sink = BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pandas(raw_rows(30)), sink)
    place.files.content["data/members.parquet"] = sink.getvalue()
    place.forget()
    kept = pyarrow.parquet.read_table(BytesIO(place.files.content["data/members.parquet"]))
    assert len(kept) == 29
    assert SOMEBODY not in kept["customer_id"].to_pylist()
