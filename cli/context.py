"""From parsed arguments to the settings and the contract of a run."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from churn.data.contract import DatasetContract
from churn.settings import Settings, load_contract, load_settings

__all__ = ["CONFIGS", "contract_of", "repeated", "settings_of"]

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the arguments ask for; raises ConfigError as `load_settings` does."""
    overrides = [*getattr(arguments, "overrides", []), *getattr(arguments, "command_overrides", [])]
    if dataset := getattr(arguments, "dataset", None):
        overrides.append(f"dataset={_quoted(dataset)}")
    if data := getattr(arguments, "data", None):
        overrides.append(f"data={_quoted(str(data.resolve()))}")
    if as_of := getattr(arguments, "as_of", None):
        overrides.append(f"inference.as_of={_quoted(as_of)}")
    if engine := getattr(arguments, "engine", None):
        overrides.append(f"inference.engine={engine}")
    stack = getattr(arguments, "stack", "local")
    return load_settings(CONFIGS, stack, getattr(arguments, "config", None), overrides)


def contract_of(settings: Settings) -> DatasetContract:
    """Return the dataset contract of the settings; raises as `load_contract` does."""
    return load_contract(CONFIGS, settings.dataset)


def repeated(arguments: argparse.Namespace, *more: str) -> str:
    """Return the options that the next command must repeat to be about the same data; `more` names others to repeat."""
    names = ("stack", "config", "dataset", "data", *more)
    given = [(f"--{name}", str(value)) for name in names if (value := getattr(arguments, name, None)) is not None]
    overrides = [*getattr(arguments, "overrides", []), *getattr(arguments, "command_overrides", [])]
    given += [("--set", value) for value in overrides]
    return "".join(f" {option} {shlex.quote(value)}" for option, value in given)


def _quoted(text: str) -> str:
    """Quote a text for YAML, where a path may look like anything."""
    return "'" + text.replace("'", "''") + "'"
