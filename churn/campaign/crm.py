"""The campaign's list as files that a CRM or a spreadsheet reads; each is there whole or not at all."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import DataError
from .plan import CONTROL, TREATMENT, Plan

__all__ = ["Lists", "write_lists"]

_FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
"""How a text begins that a spreadsheet would run (OWASP, CSV injection)."""
_FORMATS = ("csv", "parquet")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Lists(NamedTuple):
    """The files of a campaign.

    Attributes:
        contacts: Whom to contact, by rank.
        control: Whom to leave alone, so that the contacted can be held against them.
        page: Where the campaign's page belongs; it is not written with the lists.
    """

    contacts: Path
    control: Path
    page: Path


def write_lists(plan: Plan, folder: Path) -> Lists:
    """Write the list of contacts and, apart from it, the control group; what was there for the batch is replaced.

    Two files, because everybody on a list gets contacted sooner or later. CSV is UTF-8 with a header and RFC 4180
    quoting; a text that a spreadsheet would take for a formula gets an apostrophe in front, so take Parquet where
    customer ids begin with `=`, `+`, `-` or `@`.

    Args:
        plan: The campaign, its settings and its contacts.
        folder: Where the files go, made if need be: `<batch_id>.csv` and `<batch_id>.control.csv`, or `.parquet`.

    Raises:
        DataError: the batch id is no file name.
    """
    kind, batch = plan.campaign.settings.format, plan.campaign.batch_id
    if not _FILE_NAME.fullmatch(batch):
        raise DataError(f"The batch id {batch!r} is no file name: use letters, digits, `.`, `_` and `-`.")
    write = _write_csv if kind == "csv" else _write_parquet
    folder.mkdir(parents=True, exist_ok=True)
    lists = Lists(folder / f"{batch}.{kind}", folder / f"{batch}.control.{kind}", folder / f"{batch}.html")
    for path, group in ((lists.contacts, TREATMENT), (lists.control, CONTROL)):
        rows = plan.contacts.filter(pc.equal(plan.contacts["group"], group))
        _whole(path, rows, write)
        for other in _FORMATS:
            if other != kind:
                path.with_suffix(f".{other}").unlink(missing_ok=True)
    return lists


def _whole(path: Path, rows: pa.Table, write: Callable[[pa.Table, Path], None]) -> None:
    """Write beside the place and move there, so that a reader never sees half a list."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        write(rows, Path(beside))
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _write_csv(rows: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(_harmless, rows.column_names))
        for batch in rows.to_batches():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                writer.writerow(map(_cell, row))


def _write_parquet(rows: pa.Table, path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(rows, path)


def _cell(value: object) -> object:
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1 else f"{value:.2f}"
    return value.isoformat() if hasattr(value, "isoformat") else value


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
