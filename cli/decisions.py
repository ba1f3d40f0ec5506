"""The commands of decisions: approve, reject, rollback, retire, models, audit."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from churn.approval.context import ApprovalContext
from churn.approval.state import ModelState, VersionStatus
from churn.core.wording import percent
from churn.ports.registry import CHAMPION, HOLDOUT

from .console import Screen, plain_console
from .context import actor_of, repeated, session_of
from .output import print_json, wants_json
from .versions import OTHER_HOLDOUT, gains_table, gate_of, history_table, number_of, versions_table

__all__ = ["approve", "audit", "models", "reject", "retire", "rollback"]


def approve(arguments: argparse.Namespace) -> int:
    """Approve a version that waits for a person; the next deployment run promotes it."""
    from churn.approval.decide import approve as decide

    return _decided(arguments, decide)


def reject(arguments: argparse.Namespace) -> int:
    """Reject a version."""
    from churn.approval.decide import reject as decide

    return _decided(arguments, decide)


def rollback(arguments: argparse.Namespace) -> int:
    """Let a version be live again that was live before."""
    from churn.approval.promote import rollback as go_back

    context, console = _context(arguments), plain_console()
    change = go_back(context, to=arguments.to, who=_who(arguments), why=arguments.reason)
    before = "" if change.previous is None else f", in place of version {change.previous}"
    console.print(f"{change.model} version {change.version} is @Champion again{before}.")
    for note in change.notes:
        console.print(note)
    _published(arguments, context, f"Version {change.version} is @Champion again{before}.")
    return _end(console, context.read(), f"models{_same_model(arguments)}", "what was live when")


def retire(arguments: argparse.Namespace) -> int:
    """Record that the model of a version is gone, so that nothing that was decided about it holds for another one."""
    from churn.lifecycle.decisions import retire_version

    session, console = session_of(arguments), plain_console()
    record = retire_version(
        session.workspace,
        session.settings,
        arguments.version,
        who=_who(arguments),
        why=arguments.reason,
        model=arguments.model,
    )
    console.print(f"{record.model} version {record.version} is retired (record {record.sequence}).")
    _published(arguments, _context(arguments), f"Version {record.version} is retired.")
    state = _context(arguments).read()
    if state.live is None and state.previous is not None:
        return _end(console, state, f'rollback --reason "…"{_same_model(arguments)}', f"back to {state.previous}")
    return _end(console, state, f"models{_same_model(arguments)}", "what there is")


def _published(arguments: argparse.Namespace, context: ApprovalContext, sentence: str) -> None:
    """Let the endpoint and the registry's page of the data set's model follow; a model of another contract has none."""
    from churn.lifecycle.registration import describe_model
    from churn.lifecycle.release import follow_ledger

    session = session_of(arguments)
    workspace = session.workspace
    if context.model == workspace.model and workspace.registry.versions(workspace.model):
        if sentence:
            describe_model(workspace, sentence)
        follow_ledger(workspace, session.settings)


def models(arguments: argparse.Namespace) -> int:
    """List the versions with their aliases, approval, gate and metrics, and what was live when."""
    context, console = _context(arguments), plain_console()
    state = context.read()
    if wants_json(arguments):
        print_json(_models_as_json(state, {number: context.status(number, state) for number in state.versions}))
        return 0
    if not state.versions:
        console.print(f"There is no registered model {state.model} yet.")
        console.print(f"Next    python run.py --pipeline training{repeated(arguments)}", soft_wrap=True)
        return 0
    statuses = {number: context.status(number, state) for number in state.versions}
    console.print(state.model)
    listed, reference = versions_table(state, statuses)
    console.print(listed)
    if reference is not None:
        console.print(OTHER_HOLDOUT.format(version=reference))
    settings = session_of(arguments).settings
    level = percent(1 - 2 * settings.gate.alpha, 0)
    if (gains := gains_table(statuses, currency=settings.money.currency, level=level)) is not None:
        console.print("The gate, on the same rows")
        console.print(gains)
    if state.history:
        console.print(history_table(state))
    for number, status in statuses.items():
        if status.state == "pending" or state.versions[number] == state.challenger:
            console.print(f"Version {number}: {status.state}. {status.why}")
    console.quiet = getattr(arguments, "quiet", False)
    return _end(console, state, *_next_for(arguments, state, statuses))


def audit(arguments: argparse.Namespace) -> int:
    """Print what does not fit what the ledger says; the exit code is 2 if anything does not."""
    from churn.lifecycle.decisions import audit_model

    session, console = session_of(arguments), plain_console(quiet=getattr(arguments, "quiet", False))
    report = audit_model(session.workspace, session.settings, model=arguments.model, expect=arguments.expect)
    if wants_json(arguments):
        code = 2 if report.findings else 0
        print_json({**report.model_dump(mode="json"), "exit": code})
        return code
    console.print(
        f"{report.model}: {report.records} records of the ledger, {report.versions} versions with their files, "
        f"{report.reports} reports of the gate"
    )
    if report.head:
        console.print(f"Head    {report.head}   (keep it elsewhere; audit --expect HASH compares)")
    loud = plain_console()
    for finding in report.findings:
        loud.print(f"✗ {finding.subject}: {finding.problem}\n    → {finding.remedy}")
    if report.findings:
        loud.print(f"{len(report.findings)} of these do not fit.")
        return 2
    console.print("The chain of the ledger holds, and registry, packages and reports are what it says.")
    return _end(console, _context(arguments).read(), f"models{_same_model(arguments)}", "what was live when")


def _decided(arguments: argparse.Namespace, decide: Callable[..., VersionStatus]) -> int:
    context, console = _context(arguments), plain_console()
    status = decide(context, arguments.version, who=_who(arguments), why=arguments.reason)
    console.print(f"{status.model} version {status.version}: {status.state}. {status.why}")
    if status.state == "rejected":  # it may have been rolled out
        _published(arguments, context, "")
    state = context.read()
    if status.state == "approved" and state.live != status.version:
        return _end(console, state, _deployment(arguments, state, status.version), "promotes it")
    return _end(console, state, f"models{_same_model(arguments)}", "what there is")


def _models_as_json(state: ModelState, statuses: dict[int, VersionStatus]) -> dict[str, Any]:
    """Return the same as the tables, with every metric as a number."""
    versions = [
        {
            "version": number,
            "aliases": version.aliases,
            "approval": statuses[number].state,
            "why": statuses[number].why,
            "gate": gate_of(statuses[number]),
            "metrics": {
                name.removeprefix("metric_"): number_of(value)
                for name, value in version.tags.items()
                if name.startswith("metric_")
            },
            "holdout": version.tags.get(HOLDOUT),
            "data": {name: version.tags.get(f"data_{name}") for name in ("table", "version", "digest")},
        }
        for number, version in state.versions.items()
    ]
    return {"model": state.model, "live": state.live, "versions": versions, "history": state.history, "exit": 0}


def _next_for(arguments: argparse.Namespace, state: ModelState, statuses: dict[int, VersionStatus]) -> tuple[str, str]:
    waiting = [number for number, status in statuses.items() if status.state == "pending"]
    if waiting:
        return f'approve --version {waiting[-1]} --reason "…"{_same_model(arguments)}', "or reject"
    number = state.challenger.version if state.challenger else None
    if number is not None and number != state.live and statuses[number].state != "rejected":
        return _deployment(arguments, state, number), "the gate: may it replace the champion?"
    return f"--pipeline training{repeated(arguments)}", "a new challenger"


def _deployment(arguments: argparse.Namespace, state: ModelState, version: int) -> str:
    challenger = state.challenger
    named = "" if challenger is not None and challenger.version == version else f" --version {version}"
    return f"--pipeline deployment{named}{repeated(arguments)}"


def _end(console: Screen, state: ModelState, command: str, why: str) -> int:
    """Say what is live, and what to type next."""
    if state.live is None:
        console.print("Live    no version")
    else:
        since = state.history[-1]
        console.print(f"Live    version {state.live}, since {since.since:%Y-%m-%d %H:%M} UTC")
    if begun := state.unfinished:
        console.print(f"        a change to version {begun.version} is begun; the next deployment completes it")
    elif state.named_champion != state.live:
        named = f"version {state.named_champion}" if state.named_champion else "nothing"
        console.print(f"        but @{CHAMPION} names {named}: see run.py audit")
    console.print(f"Next    python run.py {command}   ({why})", soft_wrap=True)
    return 0


def _context(arguments: argparse.Namespace) -> ApprovalContext:
    """Return where decisions about the data set's model are made, or about the model that is named."""
    session = session_of(arguments)
    return session.workspace.approval(session.settings.approval, arguments.model)


def _who(arguments: argparse.Namespace) -> str:
    return actor_of(arguments, session_of(arguments))


def _same_model(arguments: argparse.Namespace) -> str:
    """Return the options that another command must repeat to be about the same model."""
    return repeated(arguments, "model")
