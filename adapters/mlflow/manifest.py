"""The manifest of a packaged model: what a package may hold, and digests checked before any of it is executed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from churn.core.codebase import source_digest
from churn.core.errors import ModelError

__all__ = [
    "ARTIFACT",
    "CARD",
    "CODE_FOLDER",
    "LOADER",
    "PACKAGED",
    "SCRIPT",
    "check_package",
    "package_digest",
    "package_in",
    "runtime_name",
    "write_manifest",
]

CODE_FOLDER, SCRIPT, ARTIFACT, CARD = "code", "model.py", "artifacts/scorer", "model_card.md"
PACKAGED = "artifacts/package"
"""Where a package lies in a model that wraps it for Model Serving."""
LOADER = "mlflow.pyfunc.loaders.code_model"
"""MLflow's loader of a model that is a script; its other loaders unpickle."""

_FORMAT = 1
_MANIFEST, _MLMODEL = "manifest.json", "MLmodel"
_SUFFIXES = {".json", ".md", ".py", ".txt", ".ubj", ".yaml"}
_NOT_LISTED = {_MANIFEST, _MLMODEL, "registered_model_meta"}  # the last by MLflow, in what it downloads
_FLAVOR = {
    "loader_module": LOADER,
    "model_code_path": SCRIPT,
    "code": CODE_FOLDER,
    "artifacts": {"scorer": {"path": ARTIFACT}},
}
_ENVIRONMENT = {"env", "python_version", "streamable"}
_PARTS = {
    "MLmodel: loading": ("flavors", "signature"),
    "MLmodel: description": ("metadata", "saved_input_example_info"),
}
_DESCRIBING = {"MLmodel: description", CARD, "input_example.json", "serving_input_example.json"}


def runtime_name(sources: list[Path]) -> str:
    """Return the name under which scoring code travels: it carries the code's digest, so that two versions differ."""
    return f"churn_runtime_{source_digest(sources)[:12]}"


def write_manifest(package: Path) -> None:
    """Write down every file of a package that is complete, with its digest."""
    manifest = {"format": _FORMAT, "files": _fingerprints(package)}
    (package / _MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def package_digest(package: Path) -> str:
    """Return the sha256 over what the model does, in hexadecimal: weights, settings, code, signature, requirements.

    The same inputs give the same digest. What only describes the model (metadata, card, input example) is left out, and
    what MLflow adds when it stores one (ids, times).

    Raises:
        ModelError: the folder holds no packaged model.
    """
    doing = {name: value for name, value in _fingerprints(package).items() if name not in _DESCRIBING}
    return hashlib.sha256(json.dumps(doing, sort_keys=True).encode()).hexdigest()


def package_in(folder: Path) -> Path:
    """Return the package in a folder that a registry has: the folder itself, unless it is wrapped for Model Serving."""
    inner = folder / PACKAGED
    return inner if inner.is_dir() else folder


def check_package(package: Path, expected_digest: str | None = None) -> str:
    """Return the name of the package's code once all of it is found to be what was built.

    Args:
        package: The folder.
        expected_digest: What `package_digest` said when the model was registered. Without it, damage is found, and a
            pickle refused, but not a package that somebody rewrote as a whole.

    Raises:
        ModelError: naming the file or entry, and what is wrong with it.
    """
    _refuse_pickles(package)
    _check_loading(package)
    _check_files(package)
    digest = package_digest(package)
    if expected_digest not in {None, digest}:
        raise _refusal(package, f"its digest is {digest[:12]}…, and the registered one is {str(expected_digest)[:12]}…")
    folders = [path for path in (package / CODE_FOLDER).glob("*") if path.is_dir() and path.name != "__pycache__"]
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    if len(folders) != 1 or folders[0].name != runtime_name(sources):
        raise _refusal(
            package, f"its code lies in {[folder.name for folder in folders]}, not under the code's own digest"
        )
    return folders[0].name


def _refuse_pickles(package: Path) -> None:
    for file in _files(package):
        if Path(file).suffix not in _SUFFIXES and file not in _NOT_LISTED:
            raise _refusal(
                package,
                f"it holds {file}, and only {', '.join(sorted(_SUFFIXES))} files belong in it: a "
                "pickle could run any code when it is read",
            )


def _check_loading(package: Path) -> None:
    flavors = _mlmodel(package).get("flavors")
    if not isinstance(flavors, dict) or set(flavors) != {"python_function"}:
        raise _refusal(package, f"its flavors are {flavors and sorted(flavors)}, and must be python_function alone")
    flavor = flavors["python_function"]
    for key, value in {**dict.fromkeys(_FLAVOR), **flavor}.items():
        if key not in _ENVIRONMENT and value != _FLAVOR.get(key):
            raise _refusal(
                package,
                f"its MLmodel says `{key}: {value}`, and must say {_FLAVOR.get(key)!r}: else MLflow would load more",
            )


def _check_files(package: Path) -> None:
    try:
        manifest = json.loads((package / _MANIFEST).read_text(encoding="utf-8"))
        version, listed = manifest["format"], dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refusal(package, f"its {_MANIFEST} cannot be read ({error})") from error
    if version != _FORMAT:
        newer = isinstance(version, int) and version > _FORMAT
        why = ": it was written by a newer version of this project, so upgrade to that one" if newer else ""
        raise _refusal(package, f"its format is {version} and this version of the project reads {_FORMAT}{why}")
    present = _fingerprints(package)
    changed = sorted(name for name in {*listed, *present} if listed.get(name) != present.get(name))
    if changed:
        raise _refusal(package, f"{', '.join(changed)} changed, came or went since it was built")


def _fingerprints(package: Path) -> dict[str, str]:
    """Return the sha256 of every file by its path; of MLmodel, of the parts that storing a model does not change."""
    prints = {
        file: hashlib.sha256((package / file).read_bytes()).hexdigest()
        for file in _files(package)
        if file not in _NOT_LISTED
    }
    mlmodel = _mlmodel(package)
    for name, keys in _PARTS.items():
        part = {key: mlmodel.get(key) for key in keys}
        prints[name] = hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()
    return prints


def _files(package: Path) -> list[str]:
    """Return the files by their paths within the package; byte code is left out, for it is never read."""
    inside = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in inside if "__pycache__" not in path.parts)


def _mlmodel(package: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load((package / _MLMODEL).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _refusal(package, f"its {_MLMODEL} file cannot be read ({error})") from error
    if not isinstance(read, dict):
        raise _refusal(package, f"its {_MLMODEL} file holds no mapping")
    return read


def _refusal(package: Path, reason: str) -> ModelError:
    return ModelError(
        f"The packaged model in {package} is not loaded: {reason}. Fetch it from the registry again, or train anew."
    )
