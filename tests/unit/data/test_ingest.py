from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import ContractError
from churn.data.contract import DatasetContract
from churn.data.file_format import FileFormat
from churn.data.ingest import Conformed, Source, conform, to_bronze

CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "member_id",
        "event_time": {"column": "month", "arrived_at": "arrived"},
        "label": {"column": "left", "positive": "Yes", "negative": "No", "window_days": 30, "known_at": "told"},
        "columns": {
            "visits": {"type": "integer", "description": "visits a month"},
            "fee": {"type": "number", "description": "monthly fee", "aliases": ["Preis"]},
            "plan": {"type": "categorical", "allowed": ["gold", "basic"], "description": "plan"},
        },
    }
)
ROW: dict[str, Any] = {
    "Member ID": "m1",
    "Month": "2025-01-01",
    "visits": "4",
    "fee": "9.5",
    "plan": "gold",
    "left": "No",
}


def take(*rows: dict[str, Any], contract: DatasetContract = CONTRACT) -> Conformed:
    return conform(Source("gym.csv", pa.Table.from_pandas(pd.DataFrame(list(rows)), preserve_index=False)), contract)


def test_names_types_and_times_become_the_contracts() -> None:
    row = take(ROW).frame.iloc[0]
    assert (row["member_id"], row["visits"], row["fee"], row["plan"]) == ("m1", 4.0, 9.5, "gold")
    assert row["transaction_ts"] == row["arrived_at"] == pd.Timestamp("2025-01-01", tz="UTC")


def test_an_alias_stands_for_its_column() -> None:
    renamed = {("Preis" if name == "fee" else name): value for name, value in ROW.items()}
    assert take(renamed).frame["fee"].tolist() == [9.5]


def test_exact_copies_are_counted_and_left_out() -> None:
    batch = take(ROW, ROW, {**ROW, "visits": "5"})
    assert (len(batch.frame), batch.copies) == (2, 1)


def test_unknown_columns_are_ignored_and_named() -> None:
    batch = take({**ROW, "Favourite Colour": "red"})
    assert batch.ignored == ("favourite_colour",)
    assert "favourite_colour" not in batch.frame


@pytest.mark.parametrize(
    ("changes", "column", "rule"),
    [
        ({"visits": "many"}, "visits", "is a finite number"),
        ({"visits": "4.5"}, "visits", "is a whole number"),
        ({"fee": "inf"}, "fee", "is a finite number"),
        ({"Month": "31/01/2025"}, "month", "is a date or a time"),
        ({"Month": 45000}, "month", "is a date or a time"),
    ],
)
def test_a_value_of_the_wrong_type_is_written_down(changes: dict[str, Any], column: str, rule: str) -> None:
    (fault,) = take({**ROW, **changes}).faults
    assert (fault.row, fault.column) == (0, column)
    assert fault.rule.startswith(rule)
    assert fault.value == str(next(iter(changes.values())))


@pytest.mark.parametrize("blank", ["", "  ", None, "NaN", "null", "n/a"])
def test_a_blank_number_is_missing_and_no_fault(blank: str | None) -> None:
    batch = take({**ROW, "fee": blank}, ROW)
    assert np.isnan(batch.frame["fee"].iloc[0])
    assert batch.faults == ()


def test_times_of_any_zone_become_utc() -> None:
    batch = take({**ROW, "Month": "2025-01-01T02:00:00+02:00"})
    assert batch.frame["transaction_ts"].iloc[0] == pd.Timestamp("2025-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("%d/%m/%Y", "31/01/2025"),
        ("unix seconds", "1738281600"),
        ("unix seconds", 1738281600.0),
        ("unix milliseconds", 1738281600000),
        ("unix milliseconds", "1.7382816e+12"),
    ],
)
def test_a_time_may_be_written_as_the_contract_says(written: str, value: object) -> None:
    clock = CONTRACT.event_time.model_copy(update={"format": written})
    contract = CONTRACT.model_copy(update={"event_time": clock})
    batch = take({**ROW, "Month": value}, contract=contract)
    assert batch.frame["transaction_ts"].iloc[0] == pd.Timestamp("2025-01-31", tz="UTC")
    fault = take({**ROW, "Month": "soon"}, contract=contract).faults[0]
    assert (fault.rule, fault.value) == (f"is a time written as {written!r}", "soon")


def test_without_a_time_column_the_as_of_holds_for_every_row() -> None:
    as_of = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    contract = CONTRACT.model_copy(update={"event_time": CONTRACT.event_time.model_copy(update={"as_of": as_of})})
    batch = take({name: value for name, value in ROW.items() if name != "Month"}, contract=contract)
    assert batch.frame["transaction_ts"].tolist() == [pd.Timestamp(as_of)]


def test_whole_number_keys_keep_every_digit_beside_missing_ones() -> None:
    frame = pd.DataFrame([ROW, ROW]).assign(**{"Member ID": pd.array([2**60 + 1, None], dtype="Int64")})
    batch = conform(Source("gym", pa.Table.from_pandas(frame, preserve_index=False)), CONTRACT)
    assert batch.frame["member_id"].tolist() == [str(2**60 + 1), None]


def test_the_outcome_is_optional() -> None:
    batch = take({name: value for name, value in ROW.items() if name != "left"})
    assert batch.frame["raw_label"].tolist() == [None]


def test_bronze_rows_have_the_contracts_types() -> None:
    table = to_bronze(take(ROW, {**ROW, "Member ID": "m2", "visits": None}).frame, CONTRACT)
    assert table.schema.field("visits").type == pa.int64()
    assert table.schema.field("transaction_ts").type == pa.timestamp("us", tz="UTC")
    assert table["visits"].to_pylist() == [4, None]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({name: value for name, value in ROW.items() if name != "fee"}, "lacks 1 column.* 'fee'"),
        ({**{n: v for n, v in ROW.items() if n != "visits"}, "visit": 1}, "'visits'; did you mean 'visit'"),
        ({**ROW, "member_id": "again"}, "are all .*'member_id'.* once normalised"),
        ({**ROW, "plan": ["gold", "basic"]}, "'plan' holds lists"),
    ],
)
def test_a_table_of_another_shape_is_refused_with_the_remedy(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        take(row)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ContractError, match=r"gym\.csv has no rows"):
        conform(Source("gym.csv", pa.table({"member_id": pa.array([], pa.string())})), CONTRACT)


def test_a_table_without_a_single_row_of_its_columns_says_what_a_line_has() -> None:
    lines = ("0,a,2024-01-01", "1,b,2024-01-01")
    source = Source("gym.csv", pa.table({"member_id": pa.array([], pa.string()), "n": []}), lines)
    message = (
        r"None of the 2 lines of gym\.csv has one value for each of its 2 column names \(member_id, n\), such as '0"
    )
    with pytest.raises(ContractError, match=message):
        conform(source, CONTRACT)


def test_rows_are_the_same_from_text_and_from_typed_columns() -> None:
    columns = {"plan": {"type": "categorical", "allowed": [True, False], "description": "plan"}}
    label = {"column": "left", "positive": "True", "negative": "False", "window_days": 30}
    contract = CONTRACT.model_validate({**CONTRACT.model_dump(), "columns": columns, "label": label})
    months = [20250131, 20250228]
    typed = pd.DataFrame(
        {"member_id": [1000000.0, 1000001.0], "month": months, "plan": [True, False], "left": [False, True]}
    )
    frames = [typed, typed.astype(str), typed.astype({"member_id": int, "month": float}).astype(str)]
    read = [conform(Source("gym", pa.Table.from_pandas(frame, preserve_index=False)), contract) for frame in frames]
    assert [batch.faults for batch in read] == [()] * 3
    for batch in read:
        pd.testing.assert_frame_equal(batch.frame, read[0].frame)
    assert read[0].frame["member_id"].tolist() == ["1000000", "1000001"]
    assert read[0].frame["transaction_ts"].dt.day.tolist() == [31, 28]


def test_words_for_a_missing_value_are_values_of_a_category_alone() -> None:
    words = ["None", "NA", "N/A", "null", "nan"]
    frame = take(*({**ROW, "Member ID": word, "fee": word, "plan": word, "left": word} for word in words)).frame
    assert frame["plan"].tolist() == words
    assert frame[["member_id", "fee", "raw_label"]].isna().all(axis=None)


def test_an_outcome_may_be_a_word_for_a_missing_value() -> None:
    label = CONTRACT.label.model_copy(update={"negative": "None"})
    batch = take({**ROW, "left": "None"}, {**ROW, "left": "NA"}, contract=CONTRACT.model_copy(update={"label": label}))
    assert batch.frame["raw_label"].tolist() == ["None", None]


def test_numbers_are_read_as_the_contract_says_files_are_written() -> None:
    contract = CONTRACT.model_copy(update={"file_format": FileFormat(decimal=",", thousands=".", currency="€")})
    batch = take({**ROW, "fee": "€ 1.234,56"}, {**ROW, "fee": "47.71"}, contract=contract)
    assert batch.frame["fee"].iloc[0] == 1234.56
    assert [(fault.column, fault.value) for fault in batch.faults] == [("fee", "47.71")]


def test_columns_that_the_contract_does_not_know_may_share_a_name() -> None:
    batch = take({**ROW, "🐈": 1, "🐕": 2})
    assert batch.ignored == ("", "")


def test_a_key_that_pandas_wrote_as_an_index_is_a_column() -> None:
    indexed = pd.DataFrame([ROW, {**ROW, "Member ID": "m2"}]).set_index("Member ID")
    batch = conform(Source("gym", pa.Table.from_pandas(indexed)), CONTRACT)
    assert batch.frame["member_id"].tolist() == ["m1", "m2"]


def test_zero_bytes_are_dropped_and_make_no_two_values_one() -> None:
    rows = [{**ROW, "Member ID": f"m\0{number}", "visits": "4\0" * number or "4"} for number in range(3)]
    batch = take(*rows)
    assert batch.frame["member_id"].tolist() == ["m0", "m1", "m2"]
    assert batch.frame["visits"].tolist() == [4, 4, 44]
    assert (batch.copies, batch.faults) == (0, ())
