"""`churn-step`, the entry of a Databricks job's tasks: one step of a pipeline."""

from __future__ import annotations

import argparse
import sys

__all__ = ["command"]


def command() -> None:
    """Run the step that the task's parameters name."""
    parser = argparse.ArgumentParser(prog="churn-step", description="One step of a pipeline, as a task of a job.")
    for name, meaning in {
        "profile": "the profile, a file of a volume",
        "step": "the step",
        "snapshot": "id of ZenML's snapshot of the pipeline",
        "secret": "scope/key of what ZenML's client is configured with",
        "run": "id of the job's run",
    }.items():
        parser.add_argument(f"--{name}", required=True, help=meaning)
    options = vars(parser.parse_args())
    if not (options["snapshot"] and options["secret"].partition("/")[2]):
        sys.exit(
            "The job was started without its parameters snapshot and secret, which name a run of the pipeline: start "
            "it by `python run.py --pipeline NAME --stack databricks`, or by a schedule."
        )
    from .environment import prepare

    prepare(debug=False)
    from adapters import platform

    platform.run_task(**options)
