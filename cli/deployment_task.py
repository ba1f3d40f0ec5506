"""`churn-deployment-task`, the entry of a deployment job's tasks; it needs no ZenML."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial

from churn.core.program import about, as_typed
from churn.core.progress import LOGGER

from .parser import settings_options
from .trouble import explain

__all__ = ["command", "main"]


def command() -> None:
    """Run the task that this process was started for; a refusal ends it as failed, with its reason as the last line."""
    if refused := main(sys.argv[1:]):
        sys.exit(refused)  # a job takes any exit by SystemExit for a failure


def main(argv: Sequence[str]) -> str | None:
    """Run one task of the deployment job.

    Args:
        argv: The task and its parameters.

    Returns:
        Why it did not pass; None where it did.
    """
    from .environment import prepare

    arguments = _parsed(argv)
    prepare(arguments.debug)
    _print_progress()
    try:
        print(as_typed(_run(arguments)))
    except Exception as error:
        reason = explain(error)
        if reason is None or arguments.debug:
            raise
        return as_typed(reason)
    return None


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="churn-deployment-task",
        description="One task of the deployment job, for one version of a registered model.",
        parents=[settings_options("overrides")],
        allow_abbrev=False,
    )
    parser.set_defaults(debug=False)
    parser.add_argument("task", choices=("evaluation", "approval_check", "deployment"), help="which task")
    parser.add_argument("--model_name", default="", metavar="NAME", help="the registered model")
    parser.add_argument("--model_version", default="", metavar="N", help="the version")
    parser.add_argument("--run", default="", metavar="URL", help="where the run of the job can be seen")
    parser.add_argument(
        "--job", metavar="FILE", help="profile, settings and contract of the job, in a volume (default: this machine's)"
    )
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> str:
    from adapters import platform, wiring
    from churn.lifecycle.deployment import keep_gate_page
    from churn.lifecycle.deployment_job import TASKS, run_task
    from reports.gate_report import gate_page

    from .context import session_of

    settings, profile, contract = platform.job_session(arguments.job) if arguments.job else session_of(arguments)
    wiring.activate(profile)
    workspace = platform.job_workspace(contract, settings, profile)
    task = next(task for task in TASKS if task.lower() == arguments.task)
    result = run_task(
        workspace,
        settings,
        task,
        arguments.model_name,
        arguments.model_version,
        ready=partial(platform.await_version, contract, settings, profile),
        known_as=platform.known_as(contract, settings, profile),
        run=arguments.run,
    )
    if result.report is not None:
        page = gate_page(
            result.report,
            status=result.status,
            outcome=result.outcome,
            next_command=about(settings.dataset, "python run.py models"),
        )
        name = f"reports/deployment-{contract.name}-v{result.report.challenger.version}.html"
        print(f"Page    {workspace.files.put(name, [page.encode()])}")
        if task == "Evaluation":
            keep_gate_page(workspace, result.report, page)
    return result.record.sentence


def _print_progress() -> None:
    """Print what the stages have to say, in the order in which they say it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(lambda record: record.event.kind in {"noted", "concluded"})  # type: ignore[attr-defined]
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
