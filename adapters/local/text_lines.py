"""Splits a CSV into lines, one record each; a malformed line is set aside and affects no other line."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TextIO

from churn.core.errors import ContractError

__all__ = ["LINE_LIMIT", "CsvLines", "lines_of", "named", "require_names"]

LINE_LIMIT = 1 << 21
"""Characters of the longest line, and of the longest value with line ends in it."""
_DELIMITERS = ",;\t|"
_QUOTED = r'"[^"]*(?:""[^"]*)*"'
_MOSTLY_BROKEN = 65_536
"""Broken lines after which a file is given up if it has fewer whole ones."""


def lines_of(text: TextIO, name: str) -> Iterator[str]:
    """Yield the lines with their ends, the first without a byte order mark.

    Raises:
        ContractError: a line is longer than `LINE_LIMIT`.
    """
    number = 0
    while line := text.readline(LINE_LIMIT):
        number += 1
        if len(line) == LINE_LIMIT and not line.endswith(("\n", "\r")):
            raise ContractError(
                f"Line {number:,} of {name} is longer than {LINE_LIMIT:,} characters: it is not a table of text, or a "
                "line end is missing."
            )
        if number == 1:
            line = line.removeprefix("\ufeff")
        yield line


def named(names: Sequence[str]) -> list[str]:
    """Return column names, those that are missing as `unnamed 2` by their position."""
    return [name if name.strip() else f"unnamed {position}" for position, name in enumerate(names, 1)]


def require_names(names: Sequence[str], table: str) -> None:
    """Check the column names of a table.

    Raises:
        ContractError: there are none, or one is duplicated.
    """
    if not names:
        raise ContractError(f"{table} is empty: it needs a line of column names and a line for each customer.")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ContractError(
            f"{table} has more than one column named {', '.join(map(repr, twice))}: rename one of them."
        )


class CsvLines:
    """The records of a CSV, as lines with one value for each column; a quoted value may hold line ends.

    A record takes several lines only if they are whole together and no record each: a quotation mark that is never
    closed, or by a later row's, sets aside the line that it stands in and no other.

    Attributes:
        names: The columns, by the first line.
        delimiter: What parts values.
    """

    def __init__(self, text: TextIO, name: str, broken: deque[str] | None = None) -> None:
        """Read the line of names.

        Args:
            text: The file.
            name: What a message calls it.
            broken: Takes the lines that are set aside.

        Raises:
            ContractError: there is none, or two columns have one name.
        """
        self._name = name
        self._waiting: deque[str] = deque()
        self._lines = lines_of(text, name)
        self.delimiter, self.names = self._header()
        self._broken = deque() if broken is None else broken
        self._kept = self._set_aside = 0
        mark, columns = re.escape(self.delimiter), len(self.names)
        field = rf'(?:{_QUOTED}|[^"{mark}\r\n][^{mark}\r\n]*|)'
        # A delimiter after the last value is what some programs write.
        self._record = re.compile(rf"({field}(?:{mark}{field}){{{columns - 1}}}){mark}?[\r\n]*")
        self._open = re.compile(rf'(?:{field}{mark})*"[^"]*(?:""[^"]*)*')

    def records(self) -> Iterator[str]:
        """Yield the records, each with one line end.

        Raises:
            ContractError: most of the first lines are none.
        """
        between, mark = len(self.names) - 1, self.delimiter
        while (line := self._next()) is not None:
            record: str | None = line.rstrip("\r\n")
            if not record:
                continue
            if '"' in line:
                record = self._quoted(line)
            elif line.count(mark) != between:
                match = self._record.fullmatch(line)
                record = match[1] if match else None
            if record is not None:
                self._kept += 1
                yield record + "\n"
                continue
            self._set_aside += 1
            self._broken.append(line.rstrip("\r\n"))
            if self._set_aside > max(_MOSTLY_BROKEN, self._kept):
                raise ContractError(
                    f"{self._set_aside:,} of the first {self._set_aside + self._kept:,} lines of {self._name} do not "
                    f"have one value for each of its {between + 1} columns, parted by {mark!r}: see its first lines."
                )

    def _next(self) -> str | None:
        return self._waiting.popleft() if self._waiting else next(self._lines, None)

    def _quoted(self, line: str) -> str | None:
        """Return the record that begins with a line in which there is a quotation mark; None if it is none."""
        lines, joined = [line], line
        while (match := self._record.fullmatch(joined)) is None and self._open.fullmatch(joined):
            more = self._up_to_a_quote(LINE_LIMIT - len(joined))
            lines += more
            joined += "".join(more)
            if not more or '"' not in more[-1]:
                break
        if match is not None and not (len(lines) > 1 and all(map(self._is_a_row, lines))):
            return str(match[1])
        self._waiting.extendleft(reversed(lines[1:]))
        return None

    def _up_to_a_quote(self, room: int) -> list[str]:
        lines: list[str] = []
        while room > 0 and (line := self._next()) is not None:
            lines.append(line)
            room -= len(line)
            if '"' in line:
                break
        return lines

    def _is_a_row(self, line: str) -> bool:
        """Return whether a line has a value for each column by itself, whatever its quotation marks are for."""
        mark, between = self.delimiter, len(self.names) - 1
        counts = (line.count(mark), re.sub(_QUOTED, "", line).count(mark))
        return between > 1 and (between in counts or self._record.fullmatch(line) is not None)

    def _header(self) -> tuple[str, list[str]]:
        header = next((line for line in self._lines if line.strip("\r\n")), "")
        while header.count('"') % 2 and len(header) < LINE_LIMIT and (line := next(self._lines, None)) is not None:
            header += line
        bare = re.sub(_QUOTED, "", header)
        delimiter = max(_DELIMITERS, key=bare.count)
        csv.field_size_limit(LINE_LIMIT)
        names = next(csv.reader(StringIO(header, newline=""), delimiter=delimiter), [])
        if '"' in bare:
            raise ContractError(
                f"A quotation mark in the column names of {self._name} is not closed: correct its first line."
            )
        names = named(names)
        require_names(names, self._name)
        return delimiter, names
