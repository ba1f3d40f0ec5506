"""The console that every command prints on, and the one style of its tables."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .hints import in_full

__all__ = ["Screen", "plain_console", "table", "terminal"]

_WIDE = 160
"""Columns of an output that is no terminal: a file or another program breaks no lines."""


class Screen(Console):
    """Prints values of the user's data even if they are markup, and lines that break between words alone."""

    def __init__(self, file: IO[str] | None = None, *, quiet: bool = False, **options: Any) -> None:
        super().__init__(file=file, highlight=False, markup=False, emoji=False, quiet=quiet, **options)
        if "width" not in options and not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = _WIDE

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, and break lines between words; one with a longer word, such as a path, is left to the terminal."""
        if "soft_wrap" not in options and all(isinstance(value, str | Text) for value in objects):
            words = (word for value in objects for word in str(value).split())
            options["soft_wrap"] = not self.is_terminal or any(cell_len(word) > self.width for word in words)
        super().print(*map(self._fitting, objects), **options)

    def _fitting(self, value: Any) -> Any:
        """Return what is printed of a value: a table whose words have no room has a line for each cell."""
        if isinstance(value, Table) and value.__rich_measure__(self, self.options).minimum > self.width:
            rows = zip(*(column.cells for column in value.columns), strict=True)
            heads = [str(column.header) for column in value.columns]
            return "\n".join(
                "\n".join(f"{head}: {cell}" for head, cell in zip(heads, row, strict=True)) + "\n" for row in rows
            )
        return in_full(value) if isinstance(value, str) else value

    def print_indented(self, text: str, style: str = "") -> None:
        """Print a paragraph whose lines all begin four columns in; one line where the output is no terminal."""
        if self.is_terminal:
            super().print(Padding(Text(in_full(text), style), (0, 0, 0, 4)))
        else:
            self.print(f"    {text}", style=style)

    @property
    def spinner(self) -> str:
        """The name of a spinner that the output can show."""
        return "dots" if self.encoding.startswith("utf") else "line"

    def on_broken_pipe(self) -> None:
        """Go on in silence: the reader, such as `| head`, has seen enough, and the work is still to be done."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def plain_console(file: IO[str] | None = None, *, quiet: bool = False) -> Screen:
    """Return a console on `file`, or standard output."""
    return Screen(file, quiet=quiet)


def terminal(*, quiet: bool = False) -> Screen:
    """Return a console on the process's own output, apart from the stream whose text ZenML stores with each step."""
    stdout = sys.__stdout__ or sys.stdout
    copy = os.fdopen(os.dup(stdout.fileno()), "w", encoding=stdout.encoding, errors=stdout.errors)
    return Screen(copy, quiet=quiet)


def table(*headers: str) -> Table:
    """Return an empty table in the style that all have."""
    return Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
