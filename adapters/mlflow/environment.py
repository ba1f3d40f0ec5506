"""The environment that a registered model asks for, in the three forms that MLflow reads."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import yaml

__all__ = ["write_environment"]


def write_environment(into: Path, packages: Iterable[str]) -> None:
    """Write requirements.txt, conda.yaml and python_env.yaml, with the Python and the versions that run here.

    Raises:
        PackageNotFoundError: one of the packages is not installed.
    """
    pins, python = [f"{name}=={version(name)}" for name in packages], platform.python_version()
    (into / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": pins}],
    }
    (into / "conda.yaml").write_text(yaml.safe_dump(conda, sort_keys=False), encoding="utf-8")
    build = ["pip", "setuptools", "wheel"]
    environment = {"python": python, "build_dependencies": build, "dependencies": ["-r requirements.txt"]}
    (into / "python_env.yaml").write_text(yaml.safe_dump(environment, sort_keys=False), encoding="utf-8")
