"""Standard output and error: reopened where the shell closed them, ASCII where the terminal is limited to it."""

from __future__ import annotations

import codecs
import io
import os
import sys

__all__ = ["open_streams"]

_WORDS = "ascii_words"
_ASCII = {
    "→": "->",
    "…": "...",
    "·": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "±": "+/-",
    "\N{MULTIPLICATION SIGN}": "x",
    "≥": ">=",
    "≤": "<=",
    "✓": "+",
    "✗": "x",
    "✕": "x",
    "↺": "=",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{NO-BREAK SPACE}": " ",
}


def open_streams() -> None:
    """Make standard output and standard error take any text.

    One that the shell closed (`>&-`) leads nowhere: otherwise the next file that is opened would get its number, and
    what is printed would be written into that file. Characters that the encoding lacks are replaced by ASCII, and those
    of the user's data by their code, as in Python.
    """
    codecs.register_error(_WORDS, _in_ascii)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free: this one
            if name != "stdin":
                stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors=_WORDS)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    return "".join(_ASCII.get(letter) or ascii(letter)[1:-1] for letter in refused), error.end
