"""Splits a CSV into lines, one record each; a malformed line is set aside and affects no other line."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import islice
from typing import TextIO

from churn.core.errors import ContractError

__all__ = ["LINE_LIMIT", "CsvLines", "column_names", "lines_of"]

LINE_LIMIT = 1 << 21
"""Characters of the longest line, and of the longest value with line ends in it."""
_DELIMITERS = ",;\t|"
_QUOTED = r'"[^"]*(?:""[^"]*)*"'
_DELIMITER_LINE = re.compile(r"sep=(.)[\r\n]*")
"""What Excel writes above the column names."""
_LOOKED_AT = 20
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


def column_names(first: Sequence[str], table: str) -> list[str]:
    """Return the names in a table's first line, those that are missing as `unnamed 2` by their position.

    Raises:
        ContractError: there are none, one is duplicated, or the line is a title.
    """
    if not first:
        raise ContractError(f"{table} is empty: it needs a line of column names and a line for each customer.")
    if len(first) > 1 and first[0].strip() and not any(map(str.strip, first[1:])):
        raise _title(table, first[0])
    names = [name if name.strip() else f"unnamed {position}" for position, name in enumerate(first, 1)]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ContractError(
            f"{table} has more than one column named {', '.join(map(repr, twice))}: rename one of them."
        )
    return names


def _title(table: str, line: str) -> ContractError:
    return ContractError(
        f"{table} begins with {line.strip()[:60]!r}, a title and no column names: delete what stands above the names."
    )


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Match the text as it is or, where it does not, with quotation marks after a backslash as doubled ones."""
    return pattern.fullmatch(text) or ('\\"' in text and pattern.fullmatch(text.replace('\\"', '""'))) or None


class CsvLines:
    """The records of a CSV, as lines with one value for each column; a quoted value may hold line ends.

    A quotation mark within a quoted value is doubled, or follows a backslash as MySQL and Spark write it.

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
        while (match := _match(self._record, joined)) is None and _match(self._open, joined):
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
        named = _DELIMITER_LINE.fullmatch(header)
        if named:
            header = next((line for line in self._lines if line.strip("\r\n")), "")
        while header.count('"') % 2 and len(header) < LINE_LIMIT and (line := next(self._lines, None)) is not None:
            header += line
        bare = re.sub(_QUOTED, "", header)
        delimiter = named[1] if named else max(_DELIMITERS, key=bare.count)
        csv.field_size_limit(LINE_LIMIT)
        first = next(csv.reader(StringIO(header, newline=""), delimiter=delimiter), [])
        if '"' in bare:
            raise ContractError(
                f"A quotation mark in the column names of {self._name} is not closed: correct its first line."
            )
        if len(first) == 1:
            self._require_one_column(first[0])
        return delimiter, column_names(first, self._name)

    def _require_one_column(self, name: str) -> None:
        """Check that lines below a single name have a single value, too."""
        self._waiting.extend(islice(self._lines, _LOOKED_AT))
        if any(line.count(delimiter) > 1 for line in self._waiting for delimiter in _DELIMITERS):
            raise _title(self._name, name)
