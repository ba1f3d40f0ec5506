"""The page of a deployment: the gate's checks with their evidence, the decision, and what is live."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from churn.approval.state import VersionStatus
from churn.core.estimate import Estimate
from churn.core.wording import moment, percent, spoken
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.metrics import METRICS
from churn.gate.checks import CHECKS, VERDICTS, failures_first
from churn.gate.quality import judged_on
from churn.gate.report import Check, Comparison, GateReport, PairedMetric, RecipeMetric, VersionSummary
from churn.lifecycle.deployment import Deployment
from churn.lifecycle.release import Release
from churn.ports.ledger import Decision

from . import gate_charts
from .data_report import untreated_section
from .evaluation_report import evaluation_sections
from .gate_evidence import (
    LEADS,
    comparison_section,
    forest,
    level_of,
    recipe_section,
    slice_section,
    smallest_difference,
)
from .page import Block, Callout, Card, Cards, Cell, Code, Definitions, Figure, Section, Table, Tone, page

__all__ = [
    "deployment_section",
    "gate_badge",
    "gate_page",
    "gate_rule",
    "gate_sections",
    "gate_title",
    "gate_verdict",
    "release_section",
    "status_section",
]

_RELATIONS: Mapping[str, str] = {
    "first": "There is no champion yet, so version {challenger} has to clear bars of its own: better than treating "
    "nobody, than treating everybody, and than giving everybody the average risk.",
    "itself": "Version {challenger} is the champion already.",
    "identical": "Version {challenger} does exactly what champion version {champion} does, so nothing can be gained.",
    "refresh": "Version {challenger} is the recipe of champion version {champion}, trained on {data} data. It has to "
    "be sound, and no worse than the champion.",
    "again": "Version {challenger} is the recipe of champion version {champion}, trained again on the same data. To "
    "replace it, the recipe would have to be {proof}.",
    "code": "Code or libraries changed since champion version {champion} was trained, and made again by those of today "
    "its recipe is another one. Version {challenger} has to be sound, and {proof} on the same rows.",
    "recipe": "Version {challenger} comes from another recipe than champion version {champion}. The recipe has to be "
    "{proof}, and the version itself sound and no worse.",
}
_PROOFS = {"superiority": "better", "non-inferiority": "no worse"}
_MARKS = {"pass": "\N{CHECK MARK}", "fail": "\N{MULTIPLICATION X}", "error": "!", "unmeasured": "?"}
_KEY_METRICS = (
    "campaign_profit",
    "profit_per_customer",
    "share_at_profit",
    "recall_at_profit",
    "roc_auc",
    "log_loss",
    "ece",
    "f1_at_f1",
)
_NAMED, _SHOWN = 4, 12
_TONES: dict[str, Tone] = {"approved": "good", "pending": "warn"}
_OUTCOMES: dict[str, Tone] = {"promoted": "good", "unchanged": "plain", "waiting": "warn", "taken_back": "bad"}


def gate_page(
    report: GateReport, *, next_command: str, status: VersionStatus | None = None, outcome: Deployment | None = None
) -> str:
    """Return the one page of a gate: self-contained, nothing to fetch.

    Args:
        report: What the gate found; parts it could not compute are left out, and the checks say why.
        next_command: What to type next.
        status: Who decided about the version, once that is known.
        outcome: What is live now, once that is known.
    """
    facts: dict[str, Cell] = {
        "model": report.model,
        "challenger": f"version {report.challenger.version}",
        "champion": f"version {report.champion.version}" if report.champion else "none yet",
        "judged": moment(report.at),
    }
    sections = [*gate_sections(report, status, outcome), Section("Next", [Code(next_command)])]
    return page(gate_title(report), sections, lead=gate_verdict(report), facts=facts)


def gate_title(report: GateReport) -> str:
    """Return the page's heading: who stands against whom."""
    against = f" against champion version {report.champion.version}" if report.champion else ", the first to be judged"
    return f"{report.model}: version {report.challenger.version}{against}"


def gate_verdict(report: GateReport) -> str:
    """Return the verdict in one sentence, with the checks by name that it fails on."""
    version = f"Version {report.challenger.version}"
    if report.passed:
        return f"{version} passes the gate: all {len(report.checks)} checks passed."
    refusals = []
    endings = {"fail": "failed", "error": "could not be answered", "unmeasured": "could not be measured"}
    for verdict, words in endings.items():
        names = [_name(check) for check in report.checks if check.verdict == verdict]
        listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        refusals += [f"{listed} {words}"] if names else []
    outcome = "is not judged yet" if report.verdict == "unmeasured" else "is refused"
    return f"{version} {outcome}: {'; '.join(refusals) or 'nothing was checked'}."


def gate_sections(
    report: GateReport, status: VersionStatus | None = None, outcome: Deployment | None = None
) -> tuple[Section, ...]:
    """Return the verdict, every check, both models side by side, and the evidence."""
    deciding = _deciding(report)
    sections = [_verdict(report, status, outcome), _checks(report), _versions(report)]
    sections += _first(report) if report.champion is None else _money(report)
    sections += [comparison_section(rows, report) for rows in (report.holdout, report.newest) if rows]
    sections += [recipe_section(report.recipes, level_of(report))] if report.recipes else []
    sections += [untreated_section(report.untreated)] if report.untreated is not None else []
    sections += [slice_section(deciding, report)] if deciding and deciding.slices else []
    return (*sections, _method(report))


def _verdict(report: GateReport, status: VersionStatus | None, outcome: Deployment | None) -> Section:
    deciding = _deciding(report)
    blocks: list[Block] = [Cards(_badge(report, status, outcome))]
    blocks += [Callout(f"{_name(check)}: {check.sentence}", "bad") for check in report.checks if not check.passed]
    if drawing := forest(report, deciding):
        blocks.append(drawing)
    if cards := _cards(report, deciding):
        blocks.append(Cards(cards))
    if deciding and (seen := smallest_difference(deciding, report.currency)):
        blocks.append(Callout(seen))
    return Section("Verdict", blocks, f"{_question(report)} {gate_rule(report)}")


def gate_badge(report: GateReport) -> str:
    """Return the verdict in one word."""
    return "PASSED" if report.passed else "NOT JUDGED" if report.verdict == "unmeasured" else "REFUSED"


def _badge(report: GateReport, status: VersionStatus | None, outcome: Deployment | None) -> list[Card]:
    """Return the verdict, who decided, and what is live, each as a card."""
    failed = [_name(check) for check in report.checks if not check.passed]
    passed = f"{len(report.checks) - len(failed)} of {len(report.checks)} checks passed"
    cards = [Card("gate", gate_badge(report), passed, "good" if report.passed else "bad")]
    record = None if status is None else status.decision or status.gate
    if status is not None:
        by = f"by {record.who}, {moment(record.at)}" if record else ""
        cards.append(Card("decision", status.state, by, _TONES.get(status.state, "bad")))
    if outcome is not None:
        live = "no version" if outcome.champion is None else f"version {outcome.champion}"
        cards.append(Card("live now", live, _before(outcome), _OUTCOMES.get(outcome.state, "plain")))
    elif report.champion is not None:
        cards.append(Card("live when judged", f"version {report.champion.version}"))
    return cards


def _before(outcome: Deployment) -> str:
    """Return what this run changed, in a few words."""
    if outcome.state == "taken_back":
        return f"version {outcome.version} was taken back"
    if outcome.state != "promoted":
        return "unchanged by this run"
    return "the first champion" if outcome.previous is None else f"before: version {outcome.previous}"


def _deciding(report: GateReport) -> Comparison | None:
    """Return the rows on which the versions were judged."""
    if report.holdout is None:
        return report.newest
    return judged_on(report.relation, report.holdout, report.newest)


def _question(report: GateReport) -> str:
    """Return what the challenger has to prove, which depends on what it is to the champion."""
    champion, challenger = report.champion, report.challenger
    case: str = report.relation
    if champion is not None and champion.version == challenger.version:
        case = "itself"
    elif champion is not None and case == "recipe" and challenger.recipe_digest == champion.recipe_digest:
        case = "again" if challenger.recipe_digest else case
    number_of_champion = None if champion is None else champion.version
    proof = _PROOFS.get(_rule(report), "no worse")
    until = (challenger.trained_until, None if champion is None else champion.trained_until)
    data = "newer" if None not in until and until[0] != until[1] else "other"
    return _RELATIONS[case].format(challenger=challenger.version, champion=number_of_champion, proof=proof, data=data)


def _cards(report: GateReport, deciding: Comparison | None) -> list[Card]:
    tested = {metric.name: metric for metric in deciding.metrics} if deciding else {}
    level = level_of(report)
    cards = [_lead_card(tested[name], report.currency, level) for name in LEADS if name in tested]
    refitted = report.recipes.metrics if report.recipes else ()
    return cards + [_lead_card(metric, report.currency, level, ", by the recipe") for metric in refitted]


def _lead_card(metric: PairedMetric | RecipeMetric, currency: str, level: str, which: str = "") -> Card:
    gain = METRICS[metric.name].gain
    value, note = gain.text(metric.gain.point, currency), f"{gain.span(metric.gain)} ({level} interval)"
    return Card(f"{gain.heading}{which}", value, note, _tone(metric.gain))


def _tone(gain: Estimate) -> Tone:
    return "good" if gain.lower > 0 else "bad" if gain.upper < 0 else "plain"


def _checks(report: GateReport) -> Section:
    lead = "Checks that did not pass come first. An exception in a check is a failed check."
    return Section(
        "Checks", [Table.of([_check_row(check, report.currency) for check in failures_first(report.checks)])], lead
    )


def _check_row(check: Check, currency: str) -> dict[str, Cell]:
    return {
        "check": _name(check),
        "answer": f"{_MARKS[check.verdict]}\N{NO-BREAK SPACE}{VERDICTS[check.verdict]}",
        "found": CHECKS[check.name].measured(check, currency),
        "allowed": CHECKS[check.name].allowed(check, currency),
        "meaning": check.sentence,
    }


def _name(check: Check) -> str:
    return CHECKS[check.name].label


def _versions(report: GateReport) -> Section:
    records = {heading: _record(version, report.currency) for heading, version in _both(report).items()}
    names = dict.fromkeys(name for record in records.values() for name in record)
    rows: list[list[Cell]] = [[name, *(record.get(name) for record in records.values())] for name in names]
    confidence = [percent(evaluation.confidence, 0) for evaluation in _evaluations(report).values()]
    lead = f"Each model by itself on the holdout, with {confidence[0]} intervals in parentheses." if confidence else ""
    words = {heading: version.description for heading, version in _both(report).items()}
    heads = (f"{heading} ({confidence[0]} interval)" if confidence else heading for heading in records)
    blocks = [Table(["what", *heads], rows), Definitions(words)]
    return Section("Side by side" if report.champion else "The version", blocks, lead)


def _both(report: GateReport) -> dict[str, VersionSummary]:
    """Return champion, where there is one, and challenger under their headings."""
    champion = {f"champion, version {report.champion.version}": report.champion} if report.champion else {}
    return {**champion, f"challenger, version {report.challenger.version}": report.challenger}


def _record(version: VersionSummary, currency: str) -> dict[str, Cell]:
    measured = version.evaluation.metrics if version.evaluation else {}
    digests = {
        "training data": version.data_digest,
        "recipe": version.recipe_digest,
        "model": version.digest,
    }
    return {
        **{
            METRICS[name].label: METRICS[name].interval(measured[name], currency)
            for name in _KEY_METRICS
            if name in measured
        },
        "learned from rows until": _time(version.trained_until),
        "registered": _time(version.registered_at),
        **{f"digest of the {what}": digest and digest[:_SHOWN] for what, digest in digests.items()},
    }


def _evaluations(report: GateReport) -> dict[str, Evaluation]:
    return {heading: version.evaluation for heading, version in _both(report).items() if version.evaluation}


def _money(report: GateReport) -> list[Section]:
    if not (evaluations := _evaluations(report)):
        return []
    level = percent(next(iter(evaluations.values())).confidence, 0)
    caption = f"The dots are whom each model's own rule treats; the {level} bands hold each height by itself."
    return [Section("Money", [Figure(gate_charts.profit_curves(evaluations), caption)])]


def _first(report: GateReport) -> list[Section]:
    """Return the whole evaluation of a version that has nobody to be compared with."""
    evaluation = report.challenger.evaluation
    return list(evaluation_sections(evaluation)) if evaluation else []


def _method(report: GateReport) -> Section:
    settings = report.settings
    facts: dict[str, Cell] = {
        "rule": gate_rule(report),
        "chance of a wrong yes, in each test": percent(settings.alpha, 0),
        "resamples of the customers": settings.resamples,
        "folds": f"{settings.repeats} times {settings.folds}",
        "loss that counts as none": f"log loss {settings.margins.log_loss:g}, ROC AUC "
        f"{settings.margins.roc_auc:g}, profit {percent(settings.margins.profit_share, 0)} of the champion's",
        "customers a campaign can contact": settings.capacity or "all",
        **report.evaluated_on,
        "seconds": ", ".join(f"{spoken(part)} {spent:.1f}" for part, spent in report.seconds.items()) or None,
        "digest of this report": report.digest,
    }
    lead = "An approval is bound to the digest of this report and to the champion it was given against."
    return Section("How it was judged", [Definitions(facts)], lead)


def gate_rule(report: GateReport) -> str:
    """Return the rule that was applied, in a sentence."""
    rule, no_worse = (
        _rule(report),
        "no metric of the version is worse beyond chance, and none may have lost more than is allowed",
    )
    words = {
        "recipe": f"on the same folds the recipe is {_PROOFS.get(rule, 'no worse')} ({rule}), and {no_worse}",
        "code": f"{no_worse}" + (", and its log loss is better beyond chance (superiority)" * (rule == "superiority")),
        "refresh": f"{no_worse} (non-inferiority)",
        "first": "the version clears absolute bars, each by the lower end of its interval",
    }
    return f"It passes if {words[report.relation]}." if report.relation in words else "There was nothing to compare."


def _rule(report: GateReport) -> str:
    """Return the rule that was applied, which depends on what the challenger is to the champion."""
    rules = {"recipe": report.settings.rule, "code": report.settings.code_change, "refresh": "non-inferiority"}
    return rules.get(report.relation, "absolute bars" if report.relation == "first" else "none")


def _time(when: dt.datetime | None) -> str | None:
    return None if when is None else moment(when)


def status_section(status: VersionStatus) -> Section:
    """Return whether a version may be promoted, and the records that this rests on."""
    blocks: list[Block] = [Callout(status.why, _TONES.get(status.state, "bad"))]
    for name, record in (("gate", status.gate), ("decision", status.decision)):
        if record is not None:
            blocks.append(Definitions(_entry(name, record)))
    lead = "What the ledger says of the version; a tag without its record in the ledger counts for nothing."
    return Section(f"{status.state.capitalize()}: version {status.version}", blocks, lead)


def _entry(name: str, record: Decision) -> dict[str, Cell]:
    return {
        name: record.kind.replace("_", " "),
        "by": record.who,
        "at": moment(record.at),
        "because": record.why,
        "held against": "no champion" if record.champion is None else f"version {record.champion}",
        "record": f"{record.sequence}, hash {record.hash}",
    }


def deployment_section(outcome: Deployment) -> Section:
    """Return what a deployment run changed, and what is live now."""
    facts: dict[str, Cell] = {
        "live now (@Champion)": "no version" if outcome.champion is None else f"version {outcome.champion}",
        "changed by this run": _before(outcome),
    }
    verdict = Callout(outcome.sentence, _OUTCOMES.get(outcome.state, "bad"))
    return Section(spoken(outcome.state).capitalize(), [verdict, *map(Callout, outcome.notes), Definitions(facts)])


def release_section(release: Release) -> Section:
    """Return what followed a promotion: what is online, which endpoint answers, what was compared."""
    if release.state == "skipped":
        text = "Nothing was published: the version is not live, or batches alone are scored (`serving.deploy: never`)."
        return Section("Skipped", [Callout(text)])
    facts: dict[str, Cell] = {
        "endpoint": release.address or "none runs: `python run.py serve`",
        "customers online": f"{release.online:,}",
        "of them compared with the feature table": f"{release.compared:,}",
        "scores compared with those of a batch": f"{release.scored:,}",
    }
    if release.failed_at is not None:
        facts = {"failed at": release.failed_at}
    verdict = Callout(release.sentence, "good" if release.state == "verified" else "bad")
    return Section(release.state.capitalize(), [verdict, Definitions(facts)])
