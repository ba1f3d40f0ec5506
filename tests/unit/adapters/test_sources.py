from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from deltalake import write_deltalake

from adapters.local.row_files import sheet_names
from adapters.local.sources import open_source, read_source
from churn.core.errors import ContractError, StoreError
from churn.data.file_format import FileFormat
from tests.fakes.data.workbooks import write_workbook

TABLE = pa.table({"id": ["a", "b"], "n": ["1", "2"]})


@pytest.mark.parametrize(
    "text", ["id,n\na,1\nb,2\n", "id;n\r\na;1\r\nb;2\r\n", "\ufeffid\tn\na\t1\nb\t2", "id|n\na|1\nb|2\n"]
)
def test_a_csv_is_read_whatever_parts_its_values(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_source(path).rows == TABLE


def zipped(content: bytes, **more: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("folder/table.csv", content)
        for name, other in more.items():
            archive.writestr(name, other)
    return whole.getvalue()


def tarred(content: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("table.csv"), io.BytesIO(content))
    return whole.getvalue()


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, lambda content: pa.compress(content, "zstd", asbytes=True), zipped],
)
def test_a_compressed_table_is_read_whatever_the_file_is_called(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "table"
    path.write_bytes(pack(b"id,n\na,1\nb,2\n"))
    assert read_source(path).rows == TABLE
    path.write_bytes(pack(b'{"id": "a", "n": 1}\n\n{"n": 2.0, "id": "b"}\n'))
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
        (b"\n\r\n", "is empty"),
        (b"id,id\n1,2\n", "more than one column named 'id'"),
        (b'id,"n\n1,2\n', "quotation mark in the column names of .* is not closed"),
        (b"id,n\n\xff\xfe,1\n", "is not written in utf-8.*file_format: {encoding: cp1252}"),
        ("id,n\n1,2\n".encode("utf-16"), "is not written in utf-8.*file_format: {encoding: utf-16}"),
        ("id,n\n1,2\n".encode("utf-16-be"), "is not written in utf-8.*file_format: {encoding: utf-16-be}"),
        (b"id,n\n1," + b"x" * (1 << 21) + b"\n", "Line 2 of .* is longer than 2,097,152 characters"),
        (b"PAR1 broken", "is no table that can be read .*copy or write it again"),
        (b'[{"id": 1}]', "is one JSON array: write one object on each line"),
        (b" [" + b'{"id": 1},' * 300_000 + b"]", "is one JSON array: write one object on each line"),
        (b'{\n "id": 1\n}', "has no JSON object on a line of its own: write one object on each line"),
        (b'{"id": {"0": 1}, "n": {"0": 2}}', "is one JSON object of whole columns or rows: write one object on each"),
        (b"Customers of May\n\nid,n,m\na,1,2\n", "begins with 'Customers of May', a title and no column names: delete"),
        (b"# made by hand\n# in May\nid;n;m\na;1;2\n", "begins with '# made by hand', a title and no column names"),
        (b"Customers of May,,\n,,\nid,n,m\na,1,2\n", "begins with 'Customers of May', a title and no column names"),
        (b"\n <table><tr><td>id</td></tr></table>", "is an HTML page"),
        (gzip.compress(b"id,n\n" * 99)[:-9], "is damaged or was cut off"),
        (tarred(b"id,n\n1,2\n"), "holds a tar archive"),
        (zipped(b"id\n1\n", other=b""), r"is a zip archive of 2 files \(folder/table.csv, other\)"),
        (zipped(b"PAR1"), "holds a Parquet file, which is not read from here: unpack it first"),
        (zipped(zipped(b"id,n\n1,2\n")), "holds a zip archive or a workbook, .*: unpack it first"),
        (zipped(b"id\n1\n")[:40], "is damaged or was cut off"),
        (b"%PDF-1.7", "is a PDF"),
        (b"<!DOCTYPE html>", "is an HTML page"),
        (b"ORC\0", "is an ORC file"),
        (b"\xd0\xcf\x11\xe0", "is no workbook that can be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # archives hold the time: their bytes differ by worker
)
def test_a_file_that_is_no_table_is_refused_by_its_own_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ContractError, match=message):
        read_source(path)


@pytest.mark.parametrize("mark", [",", ";", "^"])
def test_the_delimiter_that_excel_writes_above_the_names_is_taken(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"sep={mark}\r\nid,n\r\na,1\r\nb,2\r\n".replace(",", mark), newline="")
    assert read_source(path).rows == TABLE


def test_quotation_marks_after_a_backslash_are_read_as_doubled_ones_are(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('id,n\na,"a \\"b\\", c"\nb,"two\nlines \\"x\\""\nc,"D:\\"\nd,"\\"\n')
    source = read_source(path)
    assert source.rows["n"].to_pylist() == ['a "b", c', 'two\nlines "x"', "D:\\", "\\"]
    assert source.broken_lines == ()


def test_a_folder_of_parquet_files_has_the_columns_of_all_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "country=AT").mkdir(parents=True)
    (folder / "_SUCCESS").write_text("")
    pyarrow.parquet.write_table(TABLE, folder / "country=AT" / "a.parquet")
    pyarrow.parquet.write_table(TABLE.append_column("m", [[1, 2]]), folder / "country=AT" / "b.parquet")
    rows = read_source(folder).rows
    assert rows.select(["id", "n", "country", "m"]).to_pylist()[1:3] == [
        {"id": "b", "n": "2", "country": "AT", "m": None},
        {"id": "a", "n": "1", "country": "AT", "m": 1},
    ]
    pyarrow.parquet.write_table(TABLE.set_column(1, "n", [[1, 2]]), folder / "c.parquet")
    with pytest.raises(ContractError, match=r"hold a column in types that do not fit .*Field n has incompatible types"):
        read_source(folder)
    written(folder / "d.csv", "id,n\n")
    with pytest.raises(ContractError, match=r"is a folder, and d.csv in it is no Parquet file: deliver one file"):
        read_source(folder)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ContractError, match=r"is a pipe or a device.*write it to a file"):
        open_source(tmp_path / "pipe")


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


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding, newline="")
    return path


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig", "utf-16-le"])
def test_a_file_is_read_in_the_encoding_that_the_contract_names(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "table.csv", "id,país\na,España\n", encoding)
    assert read_source(path, FileFormat(encoding=encoding)).rows.to_pylist() == [{"id": "a", "país": "España"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_value_of_a_legal_csv_survives(tmp_path: Path, end: str, quoting: Any, delimiter: str) -> None:
    draw = random.Random(7)
    parts = ["a", '"', " ", "é", '12" screen', delimiter, *([] if end == "\r" else ["\n", "\r\n", "\n\n"])]
    rows = [[f"c{row}", *("".join(draw.choices(parts, k=draw.randint(0, 4))) for _ in "123")] for row in range(200)]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([["id", "x", "y", "z"], *rows])
    source = read_source(written(tmp_path / "table.csv", text.getvalue()))
    assert [[value or "" for value in row.values()] for row in source.rows.to_pylist()] == rows
    assert source.broken_lines == ()


@pytest.mark.parametrize("seed", range(40))
def test_a_quotation_mark_too_many_loses_no_row_but_its_own(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    values = ["a", "1.5", '"x, y"', ""]
    lines = [f"c{row},{draw.choice(values)},{draw.choice(values)},{row}" for row in range(60)]
    broken = draw.sample(range(60), k=draw.randint(1, 3))
    for row in broken:
        place = draw.randint(0, len(lines[row]))
        lines[row] = f'{lines[row][:place]}"{lines[row][place:]}'
    source = read_source(written(tmp_path / "table.csv", "\n".join(["id,x,y,z", *lines])))
    assert {f"c{row}" for row in range(60) if row not in broken} <= set(source.rows["id"].to_pylist())
    assert source.rows.num_rows + len(source.broken_lines) == 60


def test_a_value_may_have_line_ends_whatever_column_it_stands_in(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", 'id,n,m\r\n"a\r\n\r\nb",1,2\r\nc,"1\n2",3\r\nd,5,"Dear all,\nbye, bye"\r\n')
    rows = [list(row.values()) for row in read_source(path).rows.to_pylist()]
    assert rows == [["a\r\n\r\nb", "1", "2"], ["c", "1\n2", "3"], ["d", "5", "Dear all,\nbye, bye"]]


def test_a_delimiter_after_the_last_value_and_blank_lines_are_no_values(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", "\r\nid,n\r\n\r\na,1,\r\nb,2\r\nc,3,4\r\n\r\n")
    source = read_source(path)
    assert (source.rows.to_pydict(), source.broken_lines) == ({"id": ["a", "b"], "n": ["1", "2"]}, ("c,3,4",))


def test_columns_without_a_name_are_called_by_their_position(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", ",id,,\n0,a,,1\n")
    assert read_source(path).rows.column_names == ["unnamed 1", "id", "unnamed 3", "unnamed 4"]


def test_a_line_of_names_may_be_long(tmp_path: Path) -> None:
    names = [f"a_column_with_a_long_name_{number:06}" for number in range(5000)]
    assert (
        read_source(written(tmp_path / "t.csv", ",".join(names) + "\n" + "1," * 4999 + "1\n")).rows.num_columns == 5000
    )


def test_a_file_of_broken_lines_is_given_up(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", "id,n\n" + "a,b,c\n" * 70_000)
    with pytest.raises(
        ContractError, match=r"65,537 of the first 65,537 lines .* do not have one value for each of its 2"
    ):
        read_source(path)


def test_json_lines_are_read_as_text_with_the_columns_of_all_lines(tmp_path: Path) -> None:
    values: list[Any] = [
        {"id": 1000000.0, "t": True, "x": 1.5},
        [1],
        {"id": "b", "y": None, "x": float("nan"), "z": {"k": 1}},
    ]
    path = written(tmp_path / "t.jsonl", "\n".join(json.dumps(value) for value in values) + "\n{not json}\n")
    source = read_source(path, FileFormat(decimal=","))
    assert source.rows.to_pylist() == [
        {"id": "1000000", "t": "true", "x": "1,5", "y": None, "z": None},
        {"id": "b", "t": None, "x": None, "y": None, "z": '{"k": 1}'},
    ]
    assert source.broken_lines == ("[1]", "{not json}")


def test_rows_that_come_while_a_table_is_read_are_noticed(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", '{"id": 1}\n' * 3)
    parts = open_source(path, rows=1).parts()
    next(parts)
    written(path, '{"id": 1}\n' * 4)
    with pytest.raises(StoreError, match="has 3 rows by its own count, and 4 were read"):
        list(parts)


def test_the_first_sheet_of_a_workbook_is_read_or_the_one_that_is_named(tmp_path: Path) -> None:
    rows = [["id", "n", "paid", None], [None] * 4, [1000000.0, 1.5, True, None], ["b", None, "1,5", "x"]]
    path = write_workbook(tmp_path / "book.xlsx", {"First": rows, "Second": [["k"], ["v"]]})
    assert read_source(path).rows.to_pylist() == [
        {"id": "1000000", "n": "1.5", "paid": "true", "unnamed 4": None},
        {"id": "b", "n": None, "paid": "1,5", "unnamed 4": "x"},
    ]
    assert read_source(path, FileFormat(sheet="Second")).rows.to_pydict() == {"k": ["v"]}
    with pytest.raises(ContractError, match=r"has no sheet 'Secnd'; did you mean 'Second'.*It has: First, Second"):
        read_source(path, FileFormat(sheet="Secnd"))


def test_a_sheet_that_begins_with_a_title_is_refused(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "book.xlsx", {"A": [["Our customers", None], [], ["id", "n"], ["a", 1]], "B": []})
    assert sheet_names(path) == ["A", "B"]
    assert sheet_names(written(tmp_path / "t.csv", "id,n\n")) == []
    with pytest.raises(ContractError, match=r"The sheet 'A' of .* begins with 'Our customers', a title"):
        read_source(path)


def test_a_sheet_without_rows_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"The sheet 'Empty' of .* is empty"):
        read_source(write_workbook(tmp_path / "book.xlsx", {"Empty": []}))
