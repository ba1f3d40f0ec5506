"""Runs the loopback workspace for a person who tries a command: `python -m tests.databricks.serve FOLDER`.

It prints the environment variables by which clients find it, has the volume `main.churn.files`, and ends with Ctrl-C.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path

from .workspace import Workspace


def main() -> None:
    with Workspace(Path(sys.argv[1])) as workspace:
        workspace.catalog.add_volume("main.churn.files")
        for name, value in workspace.environment().items():
            print(f"export {name}={value}", flush=True)  # noqa: T201
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
