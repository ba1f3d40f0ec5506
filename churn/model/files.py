"""A model's files on disk, with a manifest of their SHA-256; a changed file is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import ModelError

__all__ = [
    "BOOSTER",
    "FEATURES",
    "MODEL",
    "MODEL_FORMAT",
    "SYMMETRIC",
    "json_bytes",
    "manifest",
    "read_files",
    "write_files",
]

MODEL_FORMAT = 1
"""Version of the saved form; raised when a change makes older files unreadable."""

MODEL, BOOSTER, SYMMETRIC, FEATURES = "model.json", "booster.ubj", "symmetric.json", "features.py"
_MANIFEST = "manifest.json"
_REMEDY = "fetch the model again from its registry, or train it again."


def json_bytes(content: object) -> bytes:
    """Return plain JSON values as text with sorted keys, the same bytes for the same content."""
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("utf-8")


def manifest(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of `files`: the format and each file's sha256."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json_bytes({"format": MODEL_FORMAT, "sha256": digests})


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a model's files and their manifest into `folder`, which is made if need be.

    Raises:
        ModelError: the folder holds other files, or the disk refuses.
    """
    complete = {**files, _MANIFEST: manifest(files)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(path.name for path in folder.iterdir() if path.name not in complete)
        if others:
            raise ModelError(f"{folder} holds {', '.join(others)}: save the model into a folder of its own.")
        for name, content in complete.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"The model cannot be saved in {folder} ({reason}): choose a folder that can be written."
        ) from error


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of a model's files by name, each with the sha256 that the manifest promises.

    Raises:
        ModelError: a file is missing, changed, of another format, or none of the model's (a pickle, say).
    """
    try:
        promised = json.loads((folder / _MANIFEST).read_bytes())
        number, digests = promised["format"], dict(promised["sha256"])
        present = {path.name: path for path in folder.iterdir() if path.name != _MANIFEST}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{folder / _MANIFEST} cannot be read ({type(error).__name__})"
        raise ModelError(f"No model of this project lies in {folder}: {reason}; {_REMEDY}") from error
    if number != MODEL_FORMAT:
        newer = isinstance(number, int) and number > MODEL_FORMAT
        remedy = "it was written by a newer version of this project, so upgrade to that one." if newer else _REMEDY
        raise ModelError(
            f"The model in {folder} has format {number}; this version reads format {MODEL_FORMAT}: {remedy}"
        )
    strange = sorted(present.keys() - {MODEL, BOOSTER, SYMMETRIC, FEATURES})
    if strange:
        raise ModelError(f"{folder} holds {', '.join(strange)}, which is none of a model's files: {_REMEDY}")
    absent = sorted({MODEL, *digests} - present.keys())
    if absent:
        raise ModelError(f"{folder} lacks {', '.join(absent)}: {_REMEDY}")
    contents = {name: path.read_bytes() for name, path in sorted(present.items())}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != digests.get(name):
            raise ModelError(f"{folder / name} has changed since the model was saved: {_REMEDY}")
    return contents
