"""Deciding about model versions by hand: approve, reject, go back, look at what there is, audit it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from churn.approval.approval import Standing
from churn.approval.governance import Governance
from churn.approval.situation import Situation
from churn.approval.standing import standing_of
from churn.evaluation.metrics import METRICS
from churn.ports.registry import CHAMPION

from .context import repeated, session_of
from .display import plain_console

__all__ = ["approve", "audit", "models", "reject", "rollback"]

_METRICS = ("roc_auc", "log_loss", "profit_per_customer")


def approve(arguments: argparse.Namespace) -> int:
    """Approve a version that waits for a person; the next deployment run promotes it."""
    from churn.approval.approval import approve as decide

    return _decided(arguments, decide)


def reject(arguments: argparse.Namespace) -> int:
    """Reject a version."""
    from churn.approval.approval import reject as decide

    return _decided(arguments, decide)


def rollback(arguments: argparse.Namespace) -> int:
    """Let a version be live again that was live before."""
    from churn.approval.rollback import rollback as go_back

    governance, console = _governance(arguments), plain_console()
    change = go_back(governance, to=arguments.to, who=_who(arguments), why=arguments.reason)
    before = "" if change.previous is None else f", in place of version {change.previous}"
    console.print(f"{change.model} version {change.version} is @Champion again{before}.", soft_wrap=True)
    for note in change.notes:
        console.print(note, soft_wrap=True)
    return _end(console, governance.look(), f"models{_same_model(arguments)}", "what was live when")


def models(arguments: argparse.Namespace) -> int:
    """List the versions with their aliases, approval, gate and metrics, and what was live when."""
    governance, console = _governance(arguments), plain_console()
    situation, now = governance.look(), governance.clock()
    if not situation.versions:
        console.print(f"There is no registered model {situation.model} yet.", soft_wrap=True)
        console.print(f"Next    python run.py --pipeline training{repeated(arguments)}", soft_wrap=True)
        return 0
    standings = {number: standing_of(situation, number, governance.settings, now) for number in situation.versions}
    console.print(_versions(situation, standings))
    if situation.history:
        console.print(_history(situation))
    for number, standing in standings.items():
        if standing.state == "pending" or situation.versions[number] == situation.challenger:
            console.print(f"Version {number}: {standing.state}. {standing.why}", soft_wrap=True)
    return _end(console, situation, *_next_for(arguments, situation, standings))


def audit(arguments: argparse.Namespace) -> int:
    """Print what does not fit between the ledger and the registry; the exit code is 2 if anything does not."""
    from churn.approval.audit import audit as look_into

    governance, console = _governance(arguments), plain_console()
    found = look_into(governance)
    console.print(f"{found.model}: {found.records} records of the ledger, {found.versions} versions", soft_wrap=True)
    for finding in found.findings:
        console.print(f"✗ {finding.subject}: {finding.found}\n    → {finding.remedy}", soft_wrap=True)
    if found.findings:
        console.print(f"{len(found.findings)} of these do not fit.")
        return 2
    console.print("The chain of the ledger holds, and the registry shows what the ledger says.")
    return _end(console, governance.look(), f"models{_same_model(arguments)}", "what was live when")


def _decided(arguments: argparse.Namespace, decide: Callable[..., Standing]) -> int:
    governance, console = _governance(arguments), plain_console()
    standing = decide(governance, arguments.version, who=_who(arguments), why=arguments.reason)
    console.print(f"{standing.model} version {standing.version}: {standing.state}. {standing.why}", soft_wrap=True)
    situation = governance.look()
    if standing.state == "approved" and situation.live != standing.version:
        return _end(console, situation, _deployment(arguments, situation, standing.version), "promotes it")
    return _end(console, situation, f"models{_same_model(arguments)}", "what there is")


def _versions(situation: Situation, standings: dict[int, Standing]) -> Table:
    table = Table("version", title=situation.model, title_justify="left", title_style="", box=SIMPLE_HEAD)
    table.add_column("aliases", no_wrap=True)
    for head in ("approval", "gate", *(METRICS[name].label for name in _METRICS)):
        table.add_column(head, overflow="fold")
    for number, version in situation.versions.items():
        metrics = [_metric(version.tags, name) for name in _METRICS]
        aliases = "\n".join(f"@{alias}" for alias in version.aliases)
        table.add_row(str(number), aliases, standings[number].state, _gate(standings[number]), *metrics)
    return table


def _metric(tags: Mapping[str, str], name: str) -> str:
    """Return a metric of a version; keys with a dot are those of earlier versions of this project."""
    return tags.get(f"metric_{name}") or tags.get(f"metric.{name}", "")


def _history(situation: Situation) -> Table:
    table = Table("live", "from (UTC)", "to (UTC)", "by", "because", box=SIMPLE_HEAD)
    for live in situation.history:
        until = f"{live.until:%Y-%m-%d %H:%M}" if live.until else "now"
        table.add_row(str(live.version), f"{live.since:%Y-%m-%d %H:%M}", until, live.who, live.why)
    return table


def _gate(standing: Standing) -> str:
    if standing.gate is None:
        return "not judged"
    refused = [name for name, verdict in standing.gate.verdicts.items() if verdict != "pass"]
    return "passed" if standing.gate.kind == "gate_passed" else f"refused: {', '.join(refused) or 'no check'}"


def _next_for(arguments: argparse.Namespace, situation: Situation, standings: dict[int, Standing]) -> tuple[str, str]:
    waiting = [number for number, standing in standings.items() if standing.state == "pending"]
    if waiting:
        return f'approve --version {waiting[-1]} --reason "…"{_same_model(arguments)}', "or reject"
    number = situation.challenger.version if situation.challenger else None
    if number is not None and number != situation.live and standings[number].state != "rejected":
        return _deployment(arguments, situation, number), "the gate: may it replace the champion?"
    return f"--pipeline training{repeated(arguments)}", "a new challenger"


def _deployment(arguments: argparse.Namespace, situation: Situation, version: int) -> str:
    challenger = situation.challenger
    named = "" if challenger is not None and challenger.version == version else f" --version {version}"
    return f"--pipeline deployment{named}{repeated(arguments)}"


def _end(console: Console, situation: Situation, command: str, why: str) -> int:
    """Say what is live, and what to type next."""
    if situation.live is None:
        console.print("Live    no version")
    else:
        since = situation.history[-1]
        console.print(f"Live    version {situation.live}, since {since.since:%Y-%m-%d %H:%M} UTC", soft_wrap=True)
    named = situation.named(CHAMPION)
    if begun := situation.unfinished:
        console.print(f"        a change to version {begun.version} is begun; the next deployment completes it")
    elif (named.version if named else None) != situation.live:
        console.print(
            f"        but @{CHAMPION} names {f'version {named.version}' if named else 'nothing'}: see run.py audit"
        )
    console.print(f"Next    python run.py {command}   ({why})", soft_wrap=True)
    return 0


def _governance(arguments: argparse.Namespace) -> Governance:
    """Return where decisions about the data set's model are made, or about the model that is named."""
    session = session_of(arguments)
    return session.workspace.governance(session.settings.approval, arguments.model)


def _who(arguments: argparse.Namespace) -> str:
    name: str | None = arguments.name
    return session_of(arguments).workspace.identity if name is None else name


def _same_model(arguments: argparse.Namespace) -> str:
    """Return the options that another command must repeat to be about the same model."""
    return repeated(arguments, "model")
