"""The commands of a rollout: start, status, advance, abort, check."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from churn.core.wording import interval, moment, number

from .console import Screen, plain_console
from .context import Session, actor_of, repeated, session_of
from .output import print_json, wants_json

if TYPE_CHECKING:
    from churn.approval.rollout import Rollout
    from churn.core.estimate import Estimate
    from churn.lifecycle.rollouts import Arm, RolloutReport

__all__ = ["rollout_abort", "rollout_advance", "rollout_check", "rollout_start", "rollout_status"]

_EXITS = {"aborted": 3, "refused": 3, "pending": 4}


def rollout_start(arguments: argparse.Namespace) -> int:
    """Let an approved version answer a share of the customers, or score in shadow."""
    from churn.lifecycle.rollouts import start_rollout

    session, console = session_of(arguments), plain_console()
    rollout = start_rollout(
        session.workspace,
        session.settings,
        arguments.version,
        share=arguments.share,
        shadow=arguments.shadow,
        who=_who(arguments, session),
        why=arguments.reason,
    )
    console.print(_traffic(session, rollout))
    console.print("A running endpoint follows within `serving.refresh_seconds`.")
    console.print(
        f"Next    python run.py rollout check{repeated(arguments)}   (once a day, such as by cron)", soft_wrap=True
    )
    return 0


def rollout_advance(arguments: argparse.Namespace) -> int:
    """Let the challenger answer a larger share."""
    from churn.approval.rollout import advance
    from churn.lifecycle.release import follow_ledger

    session = session_of(arguments)
    context = session.workspace.approval(session.settings.approval)
    rollout = advance(
        context, session.settings.rollout, share=arguments.share, who=_who(arguments, session), why=arguments.reason
    )
    plain_console().print(_traffic(session, rollout))
    follow_ledger(session.workspace, session.settings)
    return 0


def rollout_abort(arguments: argparse.Namespace) -> int:
    """End the rollout; the champion answers everybody."""
    from churn.approval.rollout import abort
    from churn.lifecycle.release import follow_ledger

    session = session_of(arguments)
    context = session.workspace.approval(session.settings.approval)
    rollout = abort(context, who=_who(arguments, session), why=arguments.reason)
    plain_console().print(
        f"The rollout of version {rollout.version} is aborted: version {rollout.champion} answers everybody, and "
        f"version {rollout.version} counts as rejected."
    )
    follow_ledger(session.workspace, session.settings)
    return 0


def rollout_status(arguments: argparse.Namespace) -> int:
    """Show who answers whom, what the test says of it, and what would happen next."""
    from churn.lifecycle.rollouts import rollout_report

    session = session_of(arguments)
    report = rollout_report(session.workspace, session.settings)
    if wants_json(arguments):
        print_json({**report.model_dump(mode="json"), "exit": 0})
        return 0
    _show(plain_console(), session, report)
    return 0


def rollout_check(arguments: argparse.Namespace) -> int:
    """Look at the rollout once, and do what follows; 3 if it was aborted or refused, 4 if a person is waited for."""
    from churn.lifecycle.rollouts import check_rollout

    session = session_of(arguments)
    done = check_rollout(session.workspace, session.settings)
    code = _EXITS.get(done.done, 0)
    if wants_json(arguments):
        print_json({**done.model_dump(mode="json"), "exit": code})
        return code
    console = plain_console(quiet=getattr(arguments, "quiet", False) and not code)
    _show(console, session, done.report)
    if done.done not in {"nothing", "waited"}:
        console.print(done.sentence)
    if done.done == "pending":
        options, version = repeated(arguments), done.report.rollout.version if done.report.rollout else 0
        console.print(
            f'Next    python run.py approve --version {version} --reason "…"{options}   (then check)', soft_wrap=True
        )
    return code


def _show(console: Screen, session: Session, report: RolloutReport) -> None:
    rollout = report.rollout
    if rollout is None or report.next == "nothing":
        console.print(report.why)
        return
    console.print(_traffic(session, rollout))
    console.print(f"Since   {moment(rollout.since)}, by {rollout.who}: {rollout.why}")
    if len(rollout.steps) > 1:
        steps = ", ".join(f"{_share(step.share)} on {moment(step.at)}" for step in rollout.steps)
        console.print(f"Steps   {steps}")
    for name, arm in zip(("Champion", "Challenger"), report.arms, strict=True):
        console.print(_arm(name, arm))
    console.print(
        f"Known   {report.customers:,} outcomes, {report.fewest:,} of them in the smaller arm; {report.contacted:,} "
        "customers who were contacted are left out"
    )
    confidence = f"{session.settings.rollout.confidence:.0%} for both at every look"
    for name, estimate, unit in (
        ("Brier score saved", report.outcome, ""),
        ("Profit gained", report.profit, session.settings.money.currency),
    ):
        console.print(f"{name}: {_estimate(estimate, unit, confidence)}")
    for alarm in report.alarms:
        console.print(f"✗ {alarm}")
    console.print(f"Next    {report.next}: {report.why}")


def _traffic(session: Session, rollout: Rollout) -> str:
    name = session.settings.registered_name(session.contract)
    if rollout.shadow:
        return f"{name} version {rollout.champion} answers everybody, and version {rollout.version} scores in shadow."
    return (
        f"{name} version {rollout.version} answers {rollout.share:.0%} of the customers, and version "
        f"{rollout.champion} the others."
    )


def _share(share: float) -> str:
    return f"{share:.0%}" if share else "shadow"


def _arm(name: str, arm: Arm) -> str:
    parts = [f"{arm.rows:,} rows of {arm.customers:,} customers since the last step", f"{arm.failed:,} failed"]
    if arm.median_ms is not None:
        parts.append(f"{arm.median_ms:.2f} ms a row")
    if arm.mean_score is not None:
        parts.append(f"mean score {arm.mean_score:.3f}")
    return f"{name} version {arm.version}: {', '.join(parts)}"


def _estimate(estimate: Estimate | None, unit: str, confidence: str) -> str:
    if estimate is None:
        return "too few outcomes are known"
    digits = 2 if unit else 5
    return f"{interval(estimate, lambda value: number(value, digits), unit)} a customer, {confidence}"


def _who(arguments: argparse.Namespace, session: Session) -> str:
    return actor_of(arguments, session)
