"""A folder that its user may only read, whoever runs the tests: the superuser steps back to nobody meanwhile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["may_only_be_read", "public_folder"]

_NOBODY = 65534


@contextmanager
def public_folder() -> Iterator[Path]:
    """Yield an empty folder that other users may look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def may_only_be_read(folder: Path) -> Iterator[None]:
    """Take the permission to write below a public folder, and what lets the superuser write all the same."""
    user = os.geteuid()
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")] if path.is_dir()}
    for path in modes:
        path.chmod(0o555)
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        for path, mode in modes.items():
            path.chmod(mode)
