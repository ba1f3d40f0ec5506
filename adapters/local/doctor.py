"""The checks of `run.py doctor` on this machine: what pipelines need, each with a remedy."""

from __future__ import annotations

from pathlib import Path

from . import machine_checks as machine
from . import store_checks as stores
from .machine_checks import Finding
from .zenml import config_folder

__all__ = ["diagnose"]


def diagnose(
    project: Path | None,
    state: Path,
    tables: Path,
    mlflow_uri: str,
    stack: str,
    *,
    shared: bool = False,
    zenml_port: int = 8237,
    mlflow_port: int = 5000,
) -> list[Finding]:
    """Look at the machine, the installation and the stores; nothing is created, changed or sent.

    Args:
        project: The checkout, with `pyproject.toml` and `uv.lock`; None where the project was installed from a wheel.
        state: The folder for everything a run leaves.
        tables: The folder of the Delta tables.
        mlflow_uri: MLflow's tracking URI.
        stack: The name under which a run registers its ZenML stack.
        shared: Whether other users of the machine may read the state folder.
        zenml_port: Where the ZenML dashboard is to listen.
        mlflow_port: Where MLflow's is.

    Returns:
        The findings in the order of a report. A pipeline runs unless one of them has the status `fail`.
    """
    return [
        machine.python_version(),
        machine.libraries(project) if project else machine.named_libraries(),
        machine.byte_code(),
        machine.git(project),
        machine.spark(),
        machine.memory(),
        machine.disk(state),
        machine.clock(),
        machine.port("ZenML", zenml_port),
        machine.port("MLflow", mlflow_port),
        machine.folder("zenml", "settings", config_folder(), shared=True),
        stores.zenml_store(),
        stores.zenml_stack(stack),
        stores.mlflow_store(mlflow_uri),
        machine.folder("state", "folder", state, shared=shared),
        machine.folder("tables", "folder", tables, shared=shared),
    ]
