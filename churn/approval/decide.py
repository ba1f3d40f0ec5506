"""Approval: records the gate's verdict, and the decision of the policy or of a person."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import DecisionRefused, WriteConflict
from ..gate.report import Comparison, GateReport
from ..ports.ledger import Decision, DecisionKind
from .context import ApprovalContext, person, reason
from .promote import exclusive_state
from .state import ModelState, VersionStatus, check_separation_of_duties, policy_answer

__all__ = ["approve", "decide", "record_gate", "reject"]


def record_gate(context: ApprovalContext, report: GateReport, *, who: str) -> Decision:
    """Write the verdict of the gate to the ledger, and the tag `gate` to the version.

    The report is bound to the versions that it compared: if it is not about the registered challenger and the version
    that is live, it is not recorded. The same report again is the same record.

    Args:
        context: Whose gate it is.
        report: What the gate found.
        who: Who ran it.

    Raises:
        NotFound: the registry has no such version.
        DecisionRefused: the report is about another model than the registered one, it could not measure everything, or
            @Champion was moved by hand.
        WriteConflict: the champion changed while the gate ran.
        StoreError: the registry or the ledger does not answer.
    """
    who, number = person(who), report.challenger.version
    if report.verdict == "unmeasured":
        raise DecisionRefused(
            f"{report.model} {report.summary}, so that there is no verdict to record: run "
            "`python run.py --pipeline deployment` again when less runs on this machine."
        )
    with exclusive_state(context) as state:
        _check_subject(state, report)
        gate = state.gate(number)
        if gate is not None and gate.digests["gate_report"] == report.digest:
            return gate
        recorded = context.write(
            state,
            "gate_passed" if report.passed else "gate_refused",
            number,
            champion=report.champion.version if report.champion else None,
            who=who,
            why=_verdict(report),
            numbers=dict(_numbers(report)),
            verdicts={check.name: check.verdict for check in report.checks},
            digests={
                "gate_report": report.digest,
                "model": report.challenger.digest,
                "champion": report.champion.digest if report.champion else "",
            },
        )
        context.tag(recorded, number)
        return recorded.ledger[-1]


def decide(context: ApprovalContext, version: int, *, who: str) -> VersionStatus:
    """Let the policy answer the newest verdict of the gate on a version, and tag the version with `Approval_Check`.

    What the gate refused is rejected, what it passed is approved or waits for a person: see `policy_answer`. A verdict
    that is answered already is not answered again.

    Args:
        context: Whose policy it is.
        version: The version that was judged.
        who: Who runs the deployment.

    Raises:
        NotFound: the registry has no such version.
        DecisionRefused: the gate has not judged it.
        StoreError: the registry or the ledger does not answer.
    """
    person(who)
    with exclusive_state(context) as state:
        status = context.status(version, state)
        gate = status.gate
        if gate is None:
            raise _not_judged(status)
        if status.decision is not None and status.decision.sequence > gate.sequence:
            return status
        kind, why = policy_answer(context.settings, state, gate)
        return _decided(context, state, status, kind, who=f"policy:{context.settings.policy}", why=why)


def approve(context: ApprovalContext, version: int, *, who: str, why: str) -> VersionStatus:
    """Approve a version that passed the gate and waits for a person.

    Args:
        context: Whose version it is.
        version: The version; one that is approved stays so.
        who: The person who decides.
        why: Their reason.

    Raises:
        ConfigError: no name or no reason is given.
        NotFound: the registry has no such version.
        DecisionRefused: it does not wait for an approval, or who registered it may not give one.
        StoreError: the registry or the ledger does not answer.
    """
    who, why = person(who), reason(why)
    with exclusive_state(context) as state:
        status = context.status(version, state)
        if status.state == "approved":
            return status
        if status.state != "pending" or status.gate is None:
            raise _not_waiting(status)
        check_separation_of_duties(context.settings, state.version(version), who)
        return _decided(context, state, status, "approved", who=who, why=why)


def reject(context: ApprovalContext, version: int, *, who: str, why: str) -> VersionStatus:
    """Reject a version; until the gate judges it anew and a person approves it, it cannot be promoted.

    Args:
        context: Whose version it is.
        version: Any version but the one that is live.
        who: The person who decides.
        why: Their reason.

    Raises:
        ConfigError: no name or no reason is given.
        NotFound: the registry has no such version.
        DecisionRefused: it is live.
        StoreError: the registry or the ledger does not answer.
    """
    who, why = person(who), reason(why)
    with exclusive_state(context) as state:
        status = context.status(version, state)
        if state.live == version:
            raise DecisionRefused(
                f'Version {version} of {state.model} is live: `python run.py rollback --reason "…"` takes it back.'
            )
        return _decided(context, state, status, "rejected", who=who, why=why)


def _decided(
    context: ApprovalContext, state: ModelState, status: VersionStatus, kind: DecisionKind, *, who: str, why: str
) -> VersionStatus:
    """Record what was decided about a version in its status, and return the status it has then."""
    number, gate = status.version, status.gate
    champion = gate.champion if gate else state.live
    digests = gate.digests if gate else {"model": state.digest(number), "champion": state.digest(champion)}
    state = context.write(state, kind, number, champion=champion, who=who, why=why, digests=digests)
    context.tag(state, number)
    return context.status(number, state)


def _check_subject(state: ModelState, report: GateReport) -> None:
    """Refuse a report that is not about the registered challenger and the version that is live."""
    challenger, champion = state.version(report.challenger.version), state.champion
    if report.model != state.model or state.digest(challenger.version) != report.challenger.digest:
        raise DecisionRefused(
            f"By its digest, version {challenger.version} of {state.model} is not the model that was judged: the "
            "verdict is not recorded. Run `python run.py --pipeline deployment` again."
        )
    judged = (report.champion.version, report.champion.digest) if report.champion else (None, "")
    if judged != (state.live, state.digest(state.live)):
        named = f"version {champion.version}" if champion else "none"
        raise WriteConflict(
            f"While the gate ran, the champion of {state.model} changed: it is {named}, and version "
            f"{challenger.version} was held against {f'version {judged[0]}' if judged[0] else 'none'}. Nothing was "
            "recorded: run `python run.py --pipeline deployment` again."
        )


def _not_judged(status: VersionStatus) -> DecisionRefused:
    return DecisionRefused(
        f"The gate has not judged version {status.version} of {status.model}: run "
        "`python run.py --pipeline deployment` first."
    )


def _not_waiting(status: VersionStatus) -> DecisionRefused:
    if status.gate is None and status.state == "none":
        return _not_judged(status)
    return DecisionRefused(
        f"Version {status.version} of {status.model} does not wait for an approval: {status.why} Let the gate judge it "
        "anew with `python run.py --pipeline deployment`, then approve what passes."
    )


def _verdict(report: GateReport) -> str:
    if report.passed:
        return f"All {len(report.checks)} checks of the gate passed."
    refused = ", ".join(f"{check.name} ({check.verdict})" for check in report.checks if not check.passed)
    return f"Refused by the gate: {refused or 'nothing was checked'}."


def _numbers(report: GateReport) -> Iterator[tuple[str, float]]:
    for check in report.checks:
        if isinstance(check.value, float):
            yield check.name, check.value
    comparisons: Iterator[Comparison] = filter(None, (report.holdout, report.newest))
    for comparison in comparisons:
        for metric in comparison.metrics:
            gain = metric.gain
            for part, value in (("gain", gain.point), ("gain.lower", gain.lower), ("gain.upper", gain.upper)):
                yield f"{comparison.name}.{metric.name}.{part}", value
