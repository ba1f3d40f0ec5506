"""The bundle of a team: what the project has in dev, staging and production, for Databricks' own command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from adapters import platform
from churn.core.errors import ConfigError
from churn.core.program import as_typed
from churn.settings import load_contract, read_configuration

from .console import plain_console
from .context import CHECKOUT, CONFIGS, overrides_of

__all__ = ["PRODUCTION", "TARGETS", "stack_bundle"]

TARGETS = ("dev", "staging", "prod")
PRODUCTION = frozenset({"staging", "prod"})


def stack_bundle(arguments: argparse.Namespace) -> int:
    """Write the bundle of the data set, and the one that all data sets share."""
    stack, overrides = getattr(arguments, "stack", "databricks"), overrides_of(arguments)
    project = CHECKOUT or Path.cwd()
    targets = {
        name: read_configuration(CONFIGS, stack, CONFIGS / "targets" / f"{name}.yaml", overrides, project=project)
        for name in TARGETS
    }
    settings = targets[TARGETS[0]].settings
    contract = load_contract(CONFIGS, settings.dataset)
    from .pipelines import graphs

    files = platform.bundle(targets, contract, PRODUCTION, graphs(settings, contract))
    for name, text in files.items():
        path = arguments.out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror}): choose another --out.") from error
    console = plain_console()
    for folder in dict.fromkeys(Path(name).parts[0] for name in files):
        console.print(f"Bundle  {arguments.out.resolve() / folder}", soft_wrap=True)
    console.print(f"Next    databricks bundle deploy -t {TARGETS[0]}   (in each of these folders)", soft_wrap=True)
    console.print(
        as_typed(
            f"        python run.py stack setup --stack {stack} --dataset {contract.name} "
            f"--config configs/targets/{TARGETS[0]}.yaml   (stores the code, makes what no bundle has)"
        ),
        soft_wrap=True,
    )
    console.print(
        as_typed(
            f"        python run.py deployment-job create --stack {stack} --dataset {contract.name} "
            f"--config configs/targets/{TARGETS[0]}.yaml   (links the job)"
        ),
        soft_wrap=True,
    )
    return 0
