"""Approval: the gate's verdict on record, and what the policy or a named person makes of it."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import DecisionRefused, WriteConflict
from ..gate.report import Comparison, GateReport
from ..ports.ledger import Decision, Kind
from .change import settle
from .governance import Governance, person, reason
from .policy import answer, separate
from .situation import Situation
from .standing import Standing, standing_of

__all__ = ["Standing", "approve", "decide", "record_gate", "reject", "standing"]


def record_gate(governance: Governance, report: GateReport, *, who: str) -> Decision:
    """Write the verdict of the gate to the ledger, and the tag `gate` to the version.

    The report is bound to the versions that it compared: if it is not about the registered challenger and the version
    that is live, it is not recorded. The same report again is the same record.

    Args:
        governance: Whose gate it is.
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
    with governance.ledger.exclusive():
        situation, _ = settle(governance)
        _check_subject(situation, report)
        known = situation.gate(number)
        if known is not None and known.digests["gate_report"] == report.digest:
            return known
        situation = governance.write(
            situation,
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
        governance.tag(situation, number)
    return situation.ledger[-1]


def decide(governance: Governance, version: int, *, who: str) -> Standing:
    """Let the policy answer the newest verdict of the gate on a version, and tag the version with `Approval_Check`.

    What the gate refused is rejected, what it passed is approved or waits for a person: see `policy.answer`. A verdict
    that is answered already is not answered again.

    Args:
        governance: Whose policy it is.
        version: The version that was judged.
        who: Who runs the deployment.

    Raises:
        NotFound: the registry has no such version.
        DecisionRefused: the gate has not judged it.
        StoreError: the registry or the ledger does not answer.
    """
    person(who)
    with governance.ledger.exclusive():
        situation, _ = settle(governance)
        found = _standing(governance, situation, version)
        gate = found.gate
        if gate is None:
            raise _not_judged(found)
        if found.decision is not None and found.decision.sequence > gate.sequence:
            return found
        kind, why = answer(governance.settings, situation, gate)
        return _decided(governance, situation, found, kind, who=f"policy:{governance.settings.policy}", why=why)


def standing(governance: Governance, version: int) -> Standing:
    """Return whether a version may become the champion, and why; see `standing_of`. Nothing is written."""
    return _standing(governance, governance.look(), version)


def approve(governance: Governance, version: int, *, who: str, why: str) -> Standing:
    """Approve a version that passed the gate and waits for a person.

    Args:
        governance: Whose version it is.
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
    with governance.ledger.exclusive():
        situation, _ = settle(governance)
        found = _standing(governance, situation, version)
        if found.state == "approved":
            return found
        if found.state != "pending" or found.gate is None:
            raise _not_waiting(found)
        separate(governance.settings, situation.version(version), who)
        return _decided(governance, situation, found, "approved", who=who, why=why)


def reject(governance: Governance, version: int, *, who: str, why: str) -> Standing:
    """Reject a version; until the gate judges it anew and a person approves it, it cannot be promoted.

    Args:
        governance: Whose version it is.
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
    with governance.ledger.exclusive():
        situation, _ = settle(governance)
        found = _standing(governance, situation, version)
        if situation.live == version:
            raise DecisionRefused(
                f'Version {version} of {situation.model} is live: `python run.py rollback --reason "…"` takes it back.'
            )
        return _decided(governance, situation, found, "rejected", who=who, why=why)


def _standing(governance: Governance, situation: Situation, version: int) -> Standing:
    return standing_of(situation, version, governance.settings, governance.clock())


def _decided(
    governance: Governance, situation: Situation, found: Standing, kind: Kind, *, who: str, why: str
) -> Standing:
    """Record what was decided about a version in its standing, and return the standing it has then."""
    number, gate = found.version, found.gate
    champion = gate.champion if gate else situation.live
    digests = gate.digests if gate else {"model": situation.digest(number), "champion": situation.digest(champion)}
    situation = governance.write(situation, kind, number, champion=champion, who=who, why=why, digests=digests)
    governance.tag(situation, number)
    return _standing(governance, situation, number)


def _check_subject(situation: Situation, report: GateReport) -> None:
    """Refuse a report that is not about the registered challenger and the version that is live."""
    challenger, champion = situation.version(report.challenger.version), situation.champion
    if report.model != situation.model or situation.digest(challenger.version) != report.challenger.digest:
        raise DecisionRefused(
            f"By its digest, version {challenger.version} of {situation.model} is not the model that was judged: the "
            "verdict is not recorded. Run `python run.py --pipeline deployment` again."
        )
    judged = (report.champion.version, report.champion.digest) if report.champion else (None, "")
    if judged != (situation.live, situation.digest(situation.live)):
        named = f"version {champion.version}" if champion else "none"
        raise WriteConflict(
            f"While the gate ran, the champion of {situation.model} changed: it is {named}, and version "
            f"{challenger.version} was held against {f'version {judged[0]}' if judged[0] else 'none'}. Nothing was "
            "recorded: run `python run.py --pipeline deployment` again."
        )


def _not_judged(found: Standing) -> DecisionRefused:
    return DecisionRefused(
        f"The gate has not judged version {found.version} of {found.model}: run `python run.py --pipeline deployment` "
        "first."
    )


def _not_waiting(found: Standing) -> DecisionRefused:
    if found.gate is None and found.state == "none":
        return _not_judged(found)
    return DecisionRefused(
        f"Version {found.version} of {found.model} does not wait for an approval: {found.why} Let the gate judge it "
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
