"""A Sail server for the tasks of jobs and for those who start them, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT

from .warm import within

__all__ = ["SAIL", "runtime", "sail_server"]

SAIL = Path(os.environ.get("CHURN_SAIL", ROOT / ".sail")) / "bin" / "python"
"""Python of Sail's environment, whose client of Spark Connect refuses the project's PySpark."""


@contextmanager
def sail_server(folder: Path, volumes: Path, require: Callable[[object, str], None]) -> Iterator[str]:
    """Yield the address of a server that has the folder `volumes` as /Volumes; what it says goes to a file in `folder`.

    Its workers, which run Python, have the project and its libraries.
    """
    require(SAIL.is_file(), "Sail in an environment of its own: make .sail/installed")
    root = folder / "root"
    command = [
        *within(volumes, root),
        "chroot",
        root,
        SAIL,
        "-m",
        "tests.databricks.sail",
        sysconfig.get_path("purelib"),
    ]
    with (folder / "sail.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.communicate("")


def runtime(address: str, warehouse: Path) -> dict[str, str]:
    """Return the environment in which PySpark is a client of that server, and Databricks Connect finds it."""
    site = next((SAIL.parents[1] / "lib").glob("python*/site-packages"))
    return {
        "SAIL_REMOTE": address,
        "SAIL_SITE": str(site),
        "SAIL_WAREHOUSE": str(warehouse),
        "PYTHONPATH": str(Path(__file__).with_name("runtime")),
    }
