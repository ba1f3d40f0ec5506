"""The command line: `python run.py --help`."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

from cli.main import main


def leave(codes: list[int]) -> None:
    """End the process at once: to take apart half a million objects of the libraries would take two more seconds."""
    if codes:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(codes[0])


if __name__ == "__main__":
    codes: list[int] = []
    atexit.register(leave, codes)  # the first to register is the last to be called
    codes.append(main())
    sys.exit(codes[0])
