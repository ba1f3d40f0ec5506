"""What the body of a request may be, and what is said of one that may not."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import orjson
import pytest

from churn.core.errors import DataError
from serving.schema import read_request

ROWS = [{"customer_id": "a"}, {"tenure": 3}]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": ROWS},
        {"instances": ROWS},
        {"inputs": ROWS},
        {"dataframe_records": ROWS, "client_request_id": "1", "usage_context": {"team": "crm"}, "instances": None},
    ],
)
def test_rows_as_objects_are_taken_in_each_form(body: object) -> None:
    assert read_request(json.dumps(body).encode(), 10).rows == ROWS


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["customer_id", "tenure"], "index": [0, 1], "data": [["a", 1], ["b", None]]}},
        {"inputs": {"customer_id": ["a", "b"], "tenure": [1, None]}},
    ],
)
def test_tables_by_columns_become_rows(body: object) -> None:
    rows = [{"customer_id": "a", "tenure": 1}, {"customer_id": "b", "tenure": None}]
    assert read_request(json.dumps(body).encode(), 10).rows == rows


def test_one_customer_may_be_given_without_lists() -> None:
    assert read_request(b'{"inputs": {"customer_id": "a"}}', 10).rows == [{"customer_id": "a"}]


def test_reasons_are_given_on_request() -> None:
    assert not read_request(b'{"instances": [{}]}', 10).explain
    asked = read_request(b'{"instances": [{}], "params": {"reasons": true}}', 10)
    assert (asked.explain, asked.contributions) == (True, False)
    asked = read_request(b'{"instances": [{}], "params": {"reasons": false, "contributions": true}}', 10)
    assert (asked.explain, asked.contributions, asked.what_if) == (False, True, False)
    assert read_request(b'{"instances": [{}], "params": {"what_if": true}}', 10).what_if


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is no JSON"),
        (b'{"instances": [{"a": 1}', "The body is no JSON"),
        (b'{"instances": [{"a": NaN}]}', "The body is no JSON"),
        (b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", "The body is no JSON"),
        ('{"instances": [{"a": "é"}]}'.encode("utf-16"), "The body is no JSON"),
        (b"[1]", "The body is a list: send an object with one of dataframe_records"),
        (b"null", "The body is null"),
        (b"{}", "must have exactly one of .*, and has none of them"),
        (b'{"inputs": [{}], "instances": [{}]}', "has inputs and instances"),
        (b'{"dataframe_record": [{}]}', "'dataframe_record', which is no part .*mean 'dataframe_records'"),
        (
            b'{"temperature": 1}',
            "'temperature', which is no part of a request. Send one of dataframe_records, .* params",
        ),
        (b'{"instances": []}', "'instances' has no rows"),
        (b'{"instances": {}}', "'instances' is an object: send a list of objects"),
        (b'{"instances": [[1, 2]]}', "Row 0 of 'instances' is a list"),
        (b'{"instances": [{}, 1]}', "Row 1 of 'instances' is a number"),
        (b'{"inputs": {"a": [1, 2], "b": [1]}}', "columns of 'inputs' have different lengths"),
        (b'{"inputs": {"a": []}}', "'inputs' has no rows"),
        (b'{"dataframe_split": [1]}', "'dataframe_split' must be an object with `columns`"),
        (b'{"dataframe_split": {"columns": [1], "data": [[1]]}}', "'dataframe_split' must be an object"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', "Row 0 of 'dataframe_split' is not a list of 1"),
        (b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}', "names a column twice"),
        (
            b'{"instances": [{}], "params": {"top": 3}}',
            "'params' may hold reasons, contributions, what_if, each true or false",
        ),
        (
            b'{"instances": [{}], "params": {"reasons": 1}}',
            "'params' may hold reasons, contributions, what_if, each true or false",
        ),
        (
            b'{"instances": [{}], "params": [true]}',
            "'params' may hold reasons, contributions, what_if, each true or false",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_request(body, 10)


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [' + b"{}," * 100_000 + b"{}]}",
        b'{"dataframe_split": {"columns": ["a"], "data": [' + b"[1]," * 100_000 + b"[1]]}}",
        b'{"inputs": {"a": [' + b"1," * 100_000 + b"1]}}",
    ],
)
def test_too_many_rows_take_no_more_memory_than_reading_them(body: bytes) -> None:
    def peak(read: Callable[[], object]) -> int:
        tracemalloc.start()
        read()
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    def refused() -> None:
        with pytest.raises(DataError, match="has 100,001 rows"):
            read_request(body, 1000)

    assert peak(refused) < 1.1 * peak(lambda: orjson.loads(body)) + 50_000


def test_a_request_has_a_largest_number_of_rows() -> None:
    assert len(read_request(b'{"instances": [{}, {}]}', 2).rows) == 2
    with pytest.raises(DataError, match=r"has 3 rows, and a request may have 2 \(`serving.max_rows`\)"):
        read_request(b'{"instances": [{}, {}, {}]}', 2)
