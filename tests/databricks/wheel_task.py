"""Runs one Python wheel task as the platform does: the entry point of a package, or a function of its module.

Arguments: the package's name, the entry point, and the task's parameters.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys


def main() -> None:
    package, entry, *parameters = sys.argv[1:]
    sys.argv = [package, *parameters]
    for point in importlib.metadata.distribution(package).entry_points:
        if point.name == entry:
            point.load()()
            return
    getattr(importlib.import_module(package), entry)()


if __name__ == "__main__":
    main()
