"""A packaged model for Spark's workers: sent with the task, and checked where it is unpacked."""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..mlflow.load import PackagedScorer, load_package

__all__ = ["ShippedPackage"]


@dataclass(frozen=True)
class ShippedPackage:
    """A package as bytes. Spark broadcasts what a task carries once it is large, also where files cannot be added.

    Attributes:
        digest: The digest of the package.
        files: Its files, zipped.
    """

    digest: str
    files: bytes

    @classmethod
    def of(cls, package: Path, digest: str) -> ShippedPackage:
        """Pack the folder of a package whose digest is known."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(package.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(package))
        return cls(digest, packed.getvalue())

    def scorer(self) -> PackagedScorer:
        """Return the model, loaded once in a process.

        Raises:
            ModelError: what arrived is not what was sent; nothing of it was executed.
        """
        return _loaded(self)


@lru_cache(maxsize=2)
def _loaded(shipped: ShippedPackage) -> PackagedScorer:
    with tempfile.TemporaryDirectory(prefix="churn-model-") as folder:
        with zipfile.ZipFile(io.BytesIO(shipped.files)) as archive:
            archive.extractall(folder)
        return load_package(Path(folder), expected_digest=shipped.digest)
