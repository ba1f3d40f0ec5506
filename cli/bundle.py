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
    """Write `databricks.yml` and `resources/`, a target each."""
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
    console.print(f"Bundle  {arguments.out.resolve()}: {', '.join(files)}", soft_wrap=True)
    console.print(f"Next    databricks bundle deploy -t {TARGETS[0]}   (in that folder)", soft_wrap=True)
    console.print(
        as_typed(
            f"        python run.py deployment-job create --stack {stack} --dataset {contract.name} "
            f"--config configs/targets/{TARGETS[0]}.yaml   (stores the code, links the job)"
        ),
        soft_wrap=True,
    )
    return 0
