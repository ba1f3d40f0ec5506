from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from deltalake import write_deltalake

from adapters.local.sources import open_source, read_source
from churn.core.errors import ContractError

TABLE = pa.table({"id": ["a", "b"], "n": ["1", "2"]})


@pytest.mark.parametrize(
    "text", ["id,n\na,1\nb,2\n", "id;n\r\na;1\r\nb;2\r\n", "\ufeffid\tn\na\t1\nb\t2", "id|n\na|1\nb|2\n"]
)
def test_a_csv_is_read_whatever_parts_its_values(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_source(path).rows == TABLE


def test_a_compressed_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"id,n\na,1\nb,2\n"))
    assert read_source(path).rows == TABLE


def test_text_in_a_csv_stays_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('id,n\n007,"a, ""b""\nc"\nNA,\n')
    assert read_source(path).rows.to_pylist() == [{"id": "007", "n": 'a, "b"\nc'}, {"id": "NA", "n": None}]


def test_parquet_files_folders_and_delta_tables_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    pyarrow.parquet.write_table(TABLE, tmp_path / "folder" / "part.parquet")
    pyarrow.parquet.write_table(TABLE, tmp_path / "no_suffix")
    write_deltalake(tmp_path / "delta", TABLE)
    for path in ("folder", "no_suffix", "delta"):
        assert read_source(tmp_path / path).rows.to_pylist() == TABLE.to_pylist()


def test_lines_with_too_many_or_too_few_values_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,n\na,1\nx,2,3\nb,2\ny\n")
    source = read_source(path)
    assert source.rows == TABLE
    assert source.broken_lines == ("x,2,3", "y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"id,id\n1,2\n", "more than one column named 'id'"),
        (b"id,n\n\xff\xfe,1\n", "is not a CSV in UTF-8"),
        (b"PAR1 broken", "is not a CSV in UTF-8, a Parquet file or a Delta table"),
    ],
)
def test_a_file_that_is_no_table_is_told_in_words(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ContractError, match=message):
        read_source(path)


def test_a_path_without_data_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="There is no data at"):
        read_source(tmp_path / "absent.csv")


def test_a_table_is_read_in_parts_of_equal_size_as_often_as_it_is_asked_for(tmp_path: Path) -> None:
    rows = pa.table({"id": [str(number) for number in range(7)]})
    pyarrow.parquet.write_table(rows, tmp_path / "table.parquet", row_group_size=2)
    pyarrow.csv.write_csv(rows, tmp_path / "table.csv")
    for name in ("table.parquet", "table.csv"):
        delivery = open_source(tmp_path / name, rows=3)
        for _ in range(2):
            parts = list(delivery.parts())
            assert [part.rows.num_rows for part in parts] == [3, 3, 1]
            assert pa.concat_tables([part.rows for part in parts]) == rows


def test_lines_that_are_broken_after_the_last_row_of_a_part_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,n\na,1\nb,2\nx,2,3\n")
    (part,) = open_source(path, rows=2).parts()
    assert (part.rows.num_rows, part.broken_lines) == (2, ("x,2,3",))


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(TABLE.slice(0, 0), tmp_path / "empty.parquet")
    assert read_source(tmp_path / "empty.parquet").rows == TABLE.slice(0, 0)
