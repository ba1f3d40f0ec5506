"""The lists for a CRM: whole, harmless in a spreadsheet, nobody of the control group among the contacts."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pyarrow as pa
import pyarrow.parquet
import pytest

from churn.campaign.lists import put_lists
from churn.campaign.plan import Plan
from churn.core.errors import DataError
from tests.fakes.data.campaigns import AS_OF, ENTITY, batch, contacted, listed, many, planned
from tests.fakes.ports.files import InMemoryFiles


def rows_of(plan: Plan, name: str = "campaigns/b1.csv") -> list[dict[str, str]]:
    files = InMemoryFiles()
    put_lists(plan, files)
    return list(csv.DictReader(io.StringIO(files.content[name].decode(), newline="")))


def test_the_list_holds_the_contacts_and_the_control_group_is_apart() -> None:
    plan, files = planned(many(), control_share=0.3), InMemoryFiles()
    assert put_lists(plan, files) == "memory:campaigns/b1.csv"
    assert sorted(files.content) == ["campaigns/b1.control.csv", "campaigns/b1.csv"]
    assert [row[ENTITY] for row in rows_of(plan)] == contacted(plan)
    assert [row[ENTITY] for row in rows_of(plan, "campaigns/b1.control.csv")] == contacted(plan, "control")


def test_amounts_have_cents_and_what_is_not_known_is_empty() -> None:
    (row,) = rows_of(planned(batch([0.9123456], 1234.5)))
    assert (row["probability"], row["customer_value"], row["rank"], row["reason_2"]) == ("0.9123", "1234.50", "1", "")


def test_the_times_are_those_of_the_clock_and_the_time_of_the_data_is_apart() -> None:
    (row,) = rows_of(planned(batch([0.9]), planned_at=AS_OF + dt.timedelta(days=200, microseconds=5)))
    assert row["contacted_at"] == row["planned_at"] == "2025-12-18T00:00:00+00:00"
    assert row["as_of"] == "2025-06-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("months as a customer: 3 (+0.69)", "months as a customer: 3 (strong)"),
        ("months as a customer: 3 (+0.68)", "months as a customer: 3 (some)"),
        ("months as a customer: 3 (+0.21)", "months as a customer: 3 (slight)"),
        ("plan: a (b) (+1,234.50)", "plan: a (b) (strong)"),
        ("no number at all", "no number at all"),
        ("two\nlines: x (+0.30)", "two\nlines: x (some)"),
    ],
)
def test_reasons_are_in_words_without_log_odds(stored: str, shown: str) -> None:
    (row,) = rows_of(planned(batch([0.9]).drop_columns("reason_2").append_column("reason_2", [[stored]])))
    assert row["reason_2"] == shown


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", " =cmd|'/c calc'!A0", "\r=1", "\uff1d1+1", '=HYPERLINK("http://x")'],
)
def test_a_text_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    plan = planned(batch([0.9], ids=[text]).drop_columns("reason_1").append_column("reason_1", [[text]]))
    (row,) = rows_of(plan)
    assert (row[ENTITY], row["reason_1"]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize("text", ["7590-VHVEG", 'says "no", twice', "a\nb", "ünï, çödé", "0", "1=2"])
def test_other_texts_come_back_as_they_were(text: str) -> None:
    (row,) = rows_of(planned(batch([0.9], ids=[text])))
    assert row[ENTITY] == text


def test_parquet_keeps_every_value_as_it_is() -> None:
    plan, files = planned(batch([0.9], ids=["=1+1"]), format="parquet"), InMemoryFiles()
    assert put_lists(plan, files) == "memory:campaigns/b1.parquet"
    written = pyarrow.parquet.read_table(pa.BufferReader(files.content["campaigns/b1.parquet"]))
    assert written.to_pylist() == listed(plan).to_pylist()


def test_a_batch_has_one_list_whatever_format_it_had_before() -> None:
    files = InMemoryFiles()
    put_lists(planned(batch([0.9])), files)
    put_lists(planned(batch([0.9]), format="parquet"), files)
    assert sorted(files.content) == ["campaigns/b1.control.parquet", "campaigns/b1.parquet"]


def test_an_empty_campaign_is_a_header() -> None:
    files = InMemoryFiles()
    put_lists(planned(batch([0.01])), files)
    assert files.content["campaigns/b1.csv"].startswith(b"batch_id,customer_id,group,rank,probability")
    assert rows_of(planned(batch([0.01]))) == []


def test_a_batch_id_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(DataError, match=r"The batch id '\.\./b1' is no file name"):
        put_lists(planned(batch([0.9], batch_id="../b1")), InMemoryFiles())
