"""The folder of unfinished batches, one subfolder a batch."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["remove_other_batches"]


def remove_other_batches(folder: Path, batch_id: str) -> None:
    """Remove what runs of other batches left; they were killed and will not go on."""
    for path in folder.glob("*"):
        if path.name != batch_id:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
