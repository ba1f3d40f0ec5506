"""The code of a job: the project's wheel, the locked requirements and the profile, stored once per content."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from churn.core.errors import ConfigError, NotFound, StoreError
from churn.core.yaml_files import unambiguous_yaml
from churn.data.contract import DatasetContract
from churn.profile import JobSettings, Profile
from churn.settings import Settings

from .endpoint import check_release
from .workspace import client_of, explained, patiently

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

__all__ = [
    "Code",
    "Difference",
    "code_of",
    "differences",
    "fetched",
    "for_jobs",
    "from_job",
    "hand_over",
    "requirements",
    "store",
    "variables_of",
    "wheel",
]

_PACKAGE = "churn_lifecycle"
_RELEASING = ("deployment", "retraining")
"""Pipelines that may release a version."""
_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
_OF_THIS_MACHINE = re.compile(r"^(?:sqlite:|file:|~|/(?!Volumes/|Shared/|Users/|Workspace/))")


class Code(NamedTuple):
    """Where in a volume a job finds what it runs."""

    wheel: str
    requirements: str
    profile: str


class Difference(NamedTuple):
    """A package that a job replaces, because the runtime brings another version than the lock file names."""

    package: str
    locked: str
    runtime: str


def requirements() -> str:
    """Return what a job installs: each package with its version, as uv.lock has it for Python 3.12 on Linux."""
    return (files(__package__) / "requirements.txt").read_text(encoding="utf-8")


def differences(jobs: JobSettings) -> list[Difference]:
    """Return every package of which the runtime of the jobs brings another version than the lock file names.

    Raises:
        ConfigError: nothing is known of that runtime.
    """
    runtimes = unambiguous_yaml((files(__package__) / "runtimes.yaml").read_text(encoding="utf-8"))
    chosen = jobs.cluster["spark_version"] if jobs.cluster else f"serverless-{jobs.environment_version}"
    runtime = next((packages for name, packages in runtimes.items() if str(chosen).startswith(name)), None)
    if runtime is None:
        raise ConfigError(
            f"The packages of the runtime {chosen!r} are not known here ({', '.join(runtimes)} are): "
            "`run.py doctor --stack databricks` asks a runtime itself."
        )
    locked = dict(line.split("==") for line in requirements().splitlines())
    return [
        Difference(name, locked[name], version)
        for name, version in sorted(runtime.items())
        if name in locked and locked[name] != version
    ]


def for_jobs(profile: Profile) -> str:
    """Return the profile as a job reads it, in which nothing is of this machine.

    Raises:
        ConfigError: it names a path of this machine, which a job cannot read.
    """
    local_state = str(profile.state)
    values = json.loads(profile.model_dump_json().replace(json.dumps(local_state)[1:-1], "{state}"))
    values["databricks"] |= {"host": None, "config_profile": None}  # a job is in the workspace
    _refuse_paths(values, "profile")
    return json.dumps(values, sort_keys=True)


def from_job(text: str, state: Path) -> Profile:
    """Return the profile that `for_jobs` wrote, with `state` as the folder for what a task leaves on its machine."""
    return Profile.model_validate_json(text.replace("{state}", json.dumps(str(state))[1:-1]))


def _refuse_paths(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            _refuse_paths(below, f"{place}.{key}")
    elif isinstance(value, str) and _OF_THIS_MACHINE.match(value):
        raise ConfigError(
            f"{place} is {value!r}, on this machine, where no job on Databricks can read it: name a folder of a volume "
            "(/Volumes/CATALOG/SCHEMA/VOLUME/…) or a server."
        )


def wheel(project: Path | None, folder: Path) -> Path:
    """Return the wheel of this code in `folder`, where it is built unless it is there.

    Args:
        project: The checkout; None where the code was installed from a wheel, which is then packed again.
        folder: Wheels are kept here.

    Raises:
        StoreError: the wheel cannot be built.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = _python("setup.py", "--version", cwd=project) if project else distribution("churn-lifecycle").version
    path = folder / f"{_PACKAGE}-{version}-py3-none-any.whl"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = Path(scratch) / path.name
            _build(project, Path(scratch)) if project else _pack_again(built)
            built.replace(path)
    return path


def _build(project: Path, into: Path) -> None:
    """Build from a copy: a build folder that is left in the checkout would bring files that are no more."""
    copy = into / "source"
    for path in project.iterdir():
        if path.is_dir() and (path / "__init__.py").is_file() and path.name != "tests":
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(project / name, copy / name)
    _python("-c", _BUILD, str(into), cwd=copy)


def _pack_again(path: Path) -> None:
    installed = distribution("churn-lifecycle")
    info = re.compile(rf"{_PACKAGE}-[^/]+\.dist-info/(?:METADATA|WHEEL|entry_points\.txt|top_level\.txt|licenses/.+)")
    names = [str(file) for file in installed.files or () if file.parts[0] != ".." and "__pycache__" not in file.parts]
    packed = [name for name in names if ".dist-info/" not in name or info.fullmatch(name)]
    record = next(name for name in names if name.endswith(".dist-info/RECORD"))
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name in packed:
            archive.write(str(installed.locate_file(name)), name)
        archive.writestr(record, "".join(f"{name},,\n" for name in [*packed, record]))


def _python(*arguments: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise StoreError(f"The wheel of this checkout cannot be built ({why}): `make train` completes the environment.")
    return done.stdout.strip().splitlines()[-1]


def code_of(profile: Profile, wheel_file: Path) -> dict[str, bytes]:
    """Return what a job runs by its path in the volume; another content has another path."""
    contents = {
        "requirements-{}.txt": requirements().encode(),
        "profile-{}.json": for_jobs(profile).encode(),
    }
    folder = f"{profile.workspace.volume_path}/code"
    named = {name.format(hashlib.sha256(text).hexdigest()[:12]): text for name, text in contents.items()}
    return {f"{folder}/{name}": text for name, text in {wheel_file.name: wheel_file.read_bytes(), **named}.items()}


def store(client: WorkspaceClient, contents: Mapping[str, bytes]) -> None:
    """Store files of a volume, unless they are there.

    Raises:
        StoreError: the volume cannot be written.
    """
    for path, content in contents.items():
        try:
            with explained(f"look at {path}"):
                stored_bytes = patiently(client.files.get_metadata, path).content_length
        except NotFound:
            stored_bytes = None
        if stored_bytes != len(content):
            with explained(f"store {path} (`run.py stack setup` makes the volume)"):
                patiently(client.files.create_directory, path.rpartition("/")[0])
                patiently(_upload, client, path, content)


def _upload(client: WorkspaceClient, path: str, content: bytes) -> None:
    client.files.upload(path, io.BytesIO(content), overwrite=True)


def hand_over(
    profile: Profile, pipeline: str, settings: Settings, contract: DatasetContract
) -> tuple[Settings, DatasetContract, dict[str, Any]]:
    """Store what the steps of a pipeline need of this machine, and return what they receive, which names the volume.

    Returns:
        The settings and the contract of the steps, and the orchestrator's settings: which job, and what it runs.

    Raises:
        ConfigError: something of this machine cannot be handed over, or no endpoint can be called so.
        NotFound: the online store of a release is not there.
        StoreError: the volume cannot be written.
    """
    root, client = Path(__file__).resolve().parents[2], client_of(profile.workspace)
    project = root if (root / "pyproject.toml").is_file() else None
    if pipeline in _RELEASING:
        check_release(client, profile, settings, contract.name)
    contents = code_of(profile, wheel(project, profile.state / "wheels"))
    store(client, contents)
    incoming = f"{profile.workspace.volume_path}/incoming"
    set_here = [name for name in variables_of(profile) if os.environ.get(name)]
    data, module = (_stored_file(client, incoming, path) for path in (settings.data, contract.feature_module))
    return (
        settings.model_copy(update={"dataset": contract.name, "data": data}),
        contract.model_copy(update={"feature_module": module}),
        {"orchestrator": {"job": [pipeline, contract.name], "code": list(contents), "variables": set_here}},
    )


def variables_of(profile: Profile) -> list[str]:
    """Return the environment variables that the profile names, such as that of a password."""
    return sorted({*re.findall(r'_variable":"(\w+)"', profile.model_dump_json())})


def fetched(profile: Profile, path: Path) -> Path:
    """Return a file that `hand_over` has stored, in a folder of this machine unless volumes are folders here.

    Raises:
        StoreError: the volume does not give it.
    """
    if not str(path).startswith("/Volumes/") or path.exists():
        return path
    place = profile.state / "incoming" / path.parent.name / path.name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with explained(f"read {path}"), tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as copy:
            content = patiently(client_of(profile.workspace).files.download, str(path)).contents
            if content is not None:
                shutil.copyfileobj(content, copy)
        Path(copy.name).replace(place)
    return place


def _stored_file(client: WorkspaceClient, folder: str, path: Path | None) -> Path | None:
    """Store a file of this machine under its digest, and return its path in the volume."""
    if path is None or str(path).startswith("/Volumes/"):
        return path
    if not path.is_file():
        raise ConfigError(
            f"{path} is not a file, and a job on Databricks cannot read this machine: copy it into a volume "
            "and name it as /Volumes/CATALOG/SCHEMA/VOLUME/…"
        )
    content = path.read_bytes()
    place = f"{folder}/{hashlib.sha256(content).hexdigest()[:12]}/{path.name}"
    store(client, {place: content})
    return Path(place)
