"""Text files as streams, decompressed where they are compressed; files of other kinds are refused by name."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from churn.core.errors import ContractError

__all__ = ["is_workbook", "open_text"]

_START = 512
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_COMPRESSED: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda path: pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"),
}
_OTHERS = {
    b"PAR1": "a Parquet file",
    _ZIP: "a zip archive or a workbook",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow (Feather) file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"$FL2": "an SPSS file",
    b"<stata_dta": "a Stata file",
    b"HEADER RECORD": "a SAS transport file",
    b"RDX": "an R data file",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"<?xml": "an XML file",
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"<table": "an HTML page",
    b"{\\rtf": "an RTF document",
}


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Open a file of text: plain, compressed by gzip, bzip2, xz or Zstandard, or the one file of a zip archive.

    Raises:
        ContractError: it is something else, of another encoding, or damaged; the message names the remedy.
    """
    try:
        with _binary(path) as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
            wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
            if not wide and b"\0" in stream.peek(_START)[:_START].partition(b"\n")[0]:
                raise UnicodeError("zero bytes in its first line")
            yield text
    except UnicodeError as error:
        raise ContractError(
            f"{path} is not written in {encoding} ({error}): say in which encoding it is, such as "
            f"`file_format: {{encoding: {_likely_encoding(path)}}}` in the contract or `dataset infer --encoding "
            f"{_likely_encoding(path)}`."
        ) from error
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise ContractError(f"{path} is damaged or was cut off ({error}): copy or compress it again.") from error


def is_workbook(path: Path) -> bool:
    """Return whether a file is an Excel or OpenDocument workbook."""
    with path.open("rb") as file:
        start = file.read(len(_OLE))
    if start == _OLE:
        return True
    if not start.startswith(_ZIP) or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if "mimetype" in names and b"opendocument.spreadsheet" in archive.read("mimetype"):
            return True
    return bool(names & {"xl/workbook.xml", "xl/workbook.bin"})


def _likely_encoding(path: Path) -> str:
    with _binary(path) as stream:
        start = stream.read(_START)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return ("utf-16-le" if start[1:2] == b"\0" else "utf-16-be") if b"\0" in start else "cp1252"


@contextmanager
def _binary(path: Path) -> Iterator[io.BufferedReader]:
    with path.open("rb") as file:
        start = file.read(_START)
    if start.startswith((_ZIP, b"PK\x05\x06")):
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive, path)) as member:
            yield _checked(member, f"{path} holds")
        return
    opener = next((opener for magic, opener in _COMPRESSED.items() if start.startswith(magic)), None)
    with path.open("rb") if opener is None else opener(path) as stream:
        yield _checked(stream, f"{path} is" if opener is None else f"{path} holds")


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/") and Path(member.filename).name[0] != "."
    ]
    if len(members) != 1:
        few = ", ".join(member.filename for member in members[:3])
        raise ContractError(f"{path} is a zip archive of {len(members)} files ({few}): deliver one of them, unpacked.")
    if members[0].flag_bits & 1:
        raise ContractError(f"{path} is a zip archive with a password: unpack it.")
    return members[0]


def _checked(stream: Any, named: str) -> io.BufferedReader:
    """Return the stream at its beginning, once that does not say that the file is no text."""
    buffered: io.BufferedReader = io.BufferedReader(stream, 1 << 20)
    start = buffered.peek(_START)
    words = start.lstrip()[:16].lower()
    other = next((what for magic, what in _OTHERS.items() if words.startswith(magic.lower())), None)
    other = "a tar archive" if start[257:262] == b"ustar" else other
    if other is not None:
        packed = "unpack it first, or " if named.endswith("holds") else ""
        raise ContractError(
            f"{named} {other}, which is not read from here: {packed}deliver the table as CSV, JSON lines, Excel, "
            "Parquet or Delta."
        )
    return buffered
