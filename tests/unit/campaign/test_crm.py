"""The files that leave the house: whole, harmless in a spreadsheet, nobody of the control group among the contacts."""

from __future__ import annotations

import csv
import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest

from churn.campaign.crm import write_lists
from churn.core.errors import DataError
from tests.fakes.data.campaigns import ENTITY, batch, contacted, many, planned


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_list_holds_the_contacts_and_the_control_group_is_apart(tmp_path: Path) -> None:
    plan = planned(many(), control_share=0.3)
    lists = write_lists(plan, tmp_path / "new" / "campaigns")
    assert (lists.contacts.name, lists.control.name, lists.page.name) == ("b1.csv", "b1.control.csv", "b1.html")
    assert [row[ENTITY] for row in read(lists.contacts)] == contacted(plan)
    assert [row[ENTITY] for row in read(lists.control)] == contacted(plan, "control")
    assert not lists.page.exists()


def test_amounts_have_cents_and_what_is_not_known_is_empty(tmp_path: Path) -> None:
    (row,) = read(write_lists(planned(batch([0.9123456], 1234.5)), tmp_path).contacts)
    assert (row["probability"], row["customer_value"], row["rank"], row["reason_2"]) == ("0.912346", "1234.50", "1", "")
    assert row["contacted_at"] == "2025-06-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", " =cmd|'/c calc'!A0", "\r=1", "\uff1d1+1", '=HYPERLINK("http://x")'],
)
def test_a_text_that_a_spreadsheet_would_run_is_defused(text: str, tmp_path: Path) -> None:
    plan = planned(batch([0.9], ids=[text]).drop_columns("reason_1").append_column("reason_1", [[text]]))
    (row,) = read(write_lists(plan, tmp_path).contacts)
    assert (row[ENTITY], row["reason_1"]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize("text", ["7590-VHVEG", 'says "no", twice', "a\nb", "ünï, çödé", "0", "1=2"])
def test_other_texts_come_back_as_they_were(text: str, tmp_path: Path) -> None:
    (row,) = read(write_lists(planned(batch([0.9], ids=[text])), tmp_path).contacts)
    assert row[ENTITY] == text


def test_parquet_keeps_every_value_as_it_is(tmp_path: Path) -> None:
    plan = planned(batch([0.9], ids=["=1+1"]), format="parquet")
    lists = write_lists(plan, tmp_path)
    assert lists.contacts.name == "b1.parquet"
    assert pyarrow.parquet.read_table(lists.contacts).to_pylist() == plan.contacts.to_pylist()


def test_a_batch_has_one_list_whatever_format_it_had_before(tmp_path: Path) -> None:
    write_lists(planned(batch([0.9])), tmp_path)
    write_lists(planned(batch([0.9]), format="parquet"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b1.control.parquet", "b1.parquet"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond a few hundred bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_list_is_replaced_whole_or_not_at_all(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    lists = write_lists(planned(batch([0.9, 0.8])), tmp_path)
    before = lists.contacts.read_bytes()
    request.getfixturevalue("small_files")
    with pytest.raises(OSError, match="File too large"):
        write_lists(planned(batch([0.7] * 50)), tmp_path)
    assert lists.contacts.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b1.control.csv", "b1.csv"]


def test_an_empty_campaign_is_a_header(tmp_path: Path) -> None:
    lists = write_lists(planned(batch([0.01])), tmp_path)
    assert read(lists.contacts) == []
    assert lists.contacts.read_text().startswith("batch_id,customer_id,group,rank,probability")


def test_a_batch_id_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The batch id '\.\./b1' is no file name"):
        write_lists(planned(batch([0.9], batch_id="../b1")), tmp_path)
