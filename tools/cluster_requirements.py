"""Writes what a Databricks job installs, from uv.lock: one line a package, for Python 3.12 on Linux.

`python tools/cluster_requirements.py` after every change of uv.lock; a test compares the file with the lock.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.markers import Marker

__all__ = ["FILE", "requirements"]

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "adapters" / "databricks" / "requirements.txt"
CLUSTER = {
    "implementation_name": "cpython",
    "implementation_version": "3.12.3",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.12.3",
    "python_version": "3.12",
    "sys_platform": "linux",
}
"""The machine of a job: serverless environment versions 3 and 4, and Databricks Runtime 16.4 and 17.3."""


def requirements(lock: Path, project: str = "churn-lifecycle") -> str:
    """Return the pinned packages that the project needs on a cluster, sorted, as a requirements file."""
    locked: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]:
        locked.setdefault(package["name"], []).append(package)
    pinned: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting: list[dict[str, Any]] = [{"name": project}]
    while waiting:
        needed = waiting.pop()
        if "marker" in needed and not Marker(needed["marker"]).evaluate(CLUSTER):
            continue
        package = next(pin for pin in locked[needed["name"]] if needed.get("version") in {None, pin.get("version")})
        if package["name"] != project:
            pinned[package["name"]] = package["version"]
        parts = {"": package.get("dependencies", []), **package.get("optional-dependencies", {})}
        for extra in ("", *needed.get("extra", ())):
            if (package["name"], extra) not in seen:
                seen.add((package["name"], extra))
                waiting.extend(parts.get(extra, []))
    return "".join(f"{name}=={version}\n" for name, version in sorted(pinned.items()))


if __name__ == "__main__":
    FILE.write_text(requirements(ROOT / "uv.lock"), encoding="utf-8")
    sys.stdout.write(f"{FILE.relative_to(ROOT)}\n")
