"""One table written in many ways gives one canonical table, and one draft of a contract."""

from __future__ import annotations

import csv
import datetime as dt
import functools
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from adapters.local.digest import digest_of
from adapters.local.sources import read_source
from churn.data.contract import DatasetContract
from churn.data.file_format import FileFormat
from churn.data.ingest import Source, conform, to_bronze
from churn.drafting.infer import infer
from tests.fakes.data.workbooks import write_workbook

NOTES = ("a, b", "c; d", 'said "x"', None, "x|y", "Zürich, €", "None", "two\nlines")
ROWS = [
    {
        "account": f"{number * 7919 % 1_000_000:06}",
        "seen": dt.datetime(2024, 1 + number % 12, 1 + number % 28),
        "note": NOTES[number % len(NOTES)],
        "seats": (None, 3, 1200, 45000)[number % 4],
        "spend": (None, 1234.5, 0.25, -7.25, 1234567.0)[number % 5],
        "auto": number % 3 == 0,
        "churn": "Yes" if number % 4 == 0 else "No",
    }
    for number in range(60)
]
FRAME = pd.DataFrame(ROWS)
PLAIN = Source("frame", pa.Table.from_pandas(FRAME, preserve_index=False))
CONTRACT = {
    "name": "shop",
    "description": "customers of a shop",
    "entity_key": "account",
    "event_time": {"column": "seen"},
    "label": {"column": "churn", "positive": "Yes", "negative": "No", "window_days": 30},
    "columns": {
        "note": {"type": "categorical", "nullable": True, "description": "note"},
        "seats": {"type": "integer", "nullable": True, "description": "seats"},
        "spend": {"type": "number", "nullable": True, "description": "spend"},
        "auto": {"type": "categorical", "allowed": [True, False], "description": "renews by itself"},
    },
}


def texts(row: dict[str, Any], decimal: str, thousands: str, currency: str, seen: str, true: str) -> list[str]:
    """One row as a CSV has it."""
    text = {name: "" if value is None else str(value) for name, value in row.items()}
    for name in ("seats", "spend"):
        if row[name] is not None:
            marks = str.maketrans({",": thousands, ".": decimal})
            text[name] = currency + f"{row[name]:,}".translate(marks)
    text["seen"] = f"{row['seen']:{seen}}"
    text["auto"] = true if row["auto"] else {"TRUE": "FALSE", "True": "False", "true": "false"}[true]
    return list(text.values())


def as_csv(
    delimiter: str = ",",
    end: str = "\n",
    quoting: Any = csv.QUOTE_MINIMAL,
    decimal: str = ".",
    thousands: str = "",
    currency: str = "",
    seen: str = "%Y-%m-%d",
    true: str = "True",
    encoding: str = "utf-8",
    after: str = "",
) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(FRAME.columns)
    writer.writerows(texts(row, decimal, thousands, currency, seen, true) for row in ROWS)
    return (text.getvalue() + after).encode(encoding)


def as_json(**dumps: Any) -> bytes:
    return "\n".join(json.dumps(row, default=dt.datetime.isoformat, **dumps) for row in ROWS).encode()


def zipped(content: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("table.csv", content)
    return whole.getvalue()


def parquet(change: Callable[[pd.DataFrame], pd.DataFrame]) -> bytes:
    whole = io.BytesIO()
    change(FRAME).to_parquet(whole)
    return whole.getvalue()


WRITTEN: dict[str, tuple[bytes, dict[str, str]]] = {
    **{
        f"in {name}": (as_csv(encoding=name), {"encoding": name})
        for name in ("cp1252", "utf-16", "utf-16-be", "utf-32")
    },
    **{f"by {mark!r}": (as_csv(delimiter=mark), {}) for mark in (";", "\t", "|")},
    "with a byte order mark": (as_csv(encoding="utf-8-sig"), {}),
    "with CRLF": (as_csv(end="\r\n"), {}),
    "all quoted": (as_csv(quoting=csv.QUOTE_ALL), {}),
    "decimal comma": (as_csv(";", decimal=","), {"decimal": ","}),
    "euro": (as_csv(decimal=",", thousands=".", currency="€ "), {"decimal": ",", "thousands": ".", "currency": "€"}),
    "narrow spaces": (as_csv(thousands="\u202f"), {"thousands": " "}),
    "apostrophes": (as_csv(thousands="\u2019"), {"thousands": "'"}),
    "dollars": (as_csv(thousands=",", currency="$"), {"thousands": ",", "currency": "$"}),
    "TRUE": (as_csv(true="TRUE"), {}),
    "midnight": (as_csv(seen="%Y-%m-%d 00:00:00"), {}),
    "another zone": (as_csv(seen="%Y-%m-%dT02:00:00+02:00"), {}),
    "copies": (as_csv(after="\n".join(as_csv().decode().splitlines()[-1:])), {}),
    "a total": (as_csv(after="60 rows\n"), {}),
    "gzip": (gzip.compress(as_csv()), {}),
    "zip": (zipped(as_csv()), {}),
    "JSON lines": (as_json(), {}),
    "JSON lines in letters": (as_json(ensure_ascii=False), {}),
    "Parquet": (parquet(lambda frame: frame), {}),
    "Parquet of nullable types": (parquet(lambda frame: frame.convert_dtypes()), {}),
    "Parquet with an index": (parquet(lambda frame: frame.set_index("account")), {}),
    "Parquet of categories": (parquet(lambda frame: frame.astype({"note": "category", "churn": "category"})), {}),
    "Parquet of days": (parquet(lambda frame: frame.assign(seen=frame["seen"].dt.date)), {}),
}


@pytest.fixture(params=["plain", "workbook", *WRITTEN])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, FileFormat]:
    if request.param == "workbook":
        rows = FRAME.astype({"seen": str}).astype(object).where(FRAME.notna(), None).to_numpy().tolist()
        return write_workbook(tmp_path / "table.xlsx", {"Sheet": [list(FRAME.columns), *rows]}), FileFormat()
    content, written = WRITTEN.get(request.param, (as_csv(), {}))
    path = tmp_path / "table"
    path.write_bytes(content)
    return path, FileFormat(**written)  # type: ignore[arg-type]


def test_one_table_is_canonical_however_it_is_written(table: tuple[Path, FileFormat]) -> None:
    path, written = table
    assert digest(read_source(path, written), written) == digest(PLAIN, FileFormat())


@pytest.mark.slow
def test_one_table_is_drafted_alike_however_it_is_written(table: tuple[Path, FileFormat]) -> None:
    path, written = table
    assert draft(read_source(path, written), written) == plain_draft()


def digest(source: Source, written: FileFormat) -> str:
    contract = DatasetContract(**CONTRACT, file_format=written)  # type: ignore[arg-type]
    return str(digest_of(to_bronze(conform(source, contract).frame, contract).to_batches()))


@functools.cache
def plain_draft() -> list[str]:
    return draft(PLAIN, FileFormat())


def draft(source: Source, written: FileFormat) -> list[str]:
    """The lines of a draft, without remarks and how the file is written."""
    rows = source.rows.to_pandas(ignore_metadata=True)
    text = infer(rows, "shop", file_format=written, today=dt.date(2025, 6, 1))
    lines = (line.partition("  #")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line for line in lines if not line.startswith("file_format")]
