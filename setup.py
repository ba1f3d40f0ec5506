"""The wheel's version: that of the project and a digest of what is packed, so that two wheels differ in it."""

import sys
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from churn.core.codebase import source_digest  # noqa: E402 - the build has only the standard library and setuptools

VERSION = "0.1.0"
project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
packing = project["tool"]["setuptools"]
packages = find_packages(str(ROOT), include=packing["packages"]["find"]["include"])
packed = [path for name in packages for path in (ROOT / name.replace(".", "/")).glob("*.py")]
packed += [
    path
    for name, patterns in packing["package-data"].items()
    for pattern in patterns
    for path in (ROOT / name.replace(".", "/")).glob(pattern)
]
setup(version=f"{VERSION}+g{source_digest([*packed, ROOT / 'pyproject.toml'])[:12]}")
