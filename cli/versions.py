"""The tables of `run.py models`: every version with its metrics and their data, the gate's differences, the history."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from churn.approval.state import ModelState, VersionStatus
from churn.core.estimate import Estimate
from churn.evaluation.metrics import METRICS
from churn.ports.registry import HOLDOUT, ModelVersion

from .console import table

__all__ = [
    "OTHER_HOLDOUT",
    "gains_table",
    "gate_of",
    "history_table",
    "holdout_of",
    "number_of",
    "versions_table",
]

_SHOWN = ("campaign_profit", "roc_auc", "log_loss")
_GAINS = ("profit_at_capacity", "profit_per_customer", "roc_auc", "log_loss")
OTHER_HOLDOUT = (
    "* as far as is on record, measured on another holdout than version {version}: such figures cannot be compared. "
    "What the gate found on the same rows can."
)
_DIGITS = 8


def holdout_of(version: ModelVersion) -> str:
    """Return a short id of the data that a version's metrics are of, or nothing where it is not on record."""
    return version.tags.get(HOLDOUT, version.tags.get("data_digest", ""))[:_DIGITS]


def versions_table(state: ModelState, statuses: Mapping[int, VersionStatus]) -> tuple[Table, int | None]:
    """Return every version with aliases, approval, gate, data and metrics.

    Figures of other data than the champion's, or the newest version's where none is live, are dim and carry a star.
    The number returned is that of the version which they differ from, None where all are of the same data.
    """
    live = state.live
    reference = max(state.versions) if live is None or live not in state.versions else live
    listed, starred = table("version"), False
    listed.add_column("aliases", no_wrap=True)
    for head in ("approval", "gate", "holdout", *(METRICS[name].label for name in _SHOWN)):
        listed.add_column(head, overflow="fold")
    for number, version in state.versions.items():
        other = holdout_of(version) != holdout_of(state.versions[reference])
        figures = [_metric(version.tags, name) for name in _SHOWN]
        if other:
            figures, starred = [f"{text} *" if text else "" for text in figures], True
        aliases = "\n".join(f"@{alias}" for alias in version.aliases)
        status = statuses[number]
        shown = [Text(text, style="dim" if other else "") for text in (holdout_of(version), *figures)]
        listed.add_row(str(number), aliases, status.state, gate_of(status), *shown)
    return listed, reference if starred else None


def gains_table(statuses: Mapping[int, VersionStatus], *, currency: str, level: str) -> Table | None:
    """Return what the gate found between each version and the champion of its time, on the same rows.

    Args:
        statuses: By version.
        currency: ISO 4217 code of amounts.
        level: Coverage of the intervals, such as `90%`.

    Returns:
        None where the gate compared no version with another.
    """
    gains_of = {number: _gains(status) for number, status in statuses.items()}
    names = [name for name in _GAINS if any(name in gains for gains in gains_of.values())]
    if not names:
        return None
    heads = (f"{METRICS[name].gain.label} ({level} interval)" for name in names)
    listed = table("version", "against", *heads)
    for number, gains in gains_of.items():
        gate = statuses[number].gate
        if gains and gate is not None:
            cells = (METRICS[name].gain.interval(gains[name], currency) if name in gains else "" for name in names)
            listed.add_row(str(number), f"version {gate.champion}", *cells)
    return listed


def history_table(state: ModelState) -> Table:
    """Return which version was live from when to when, by whom and why."""
    listed = table("live", "from (UTC)", "to (UTC)", "by", "because")
    for live in state.history:
        until = f"{live.until:%Y-%m-%d %H:%M}" if live.until else "now"
        listed.add_row(str(live.version), f"{live.since:%Y-%m-%d %H:%M}", until, live.who, live.why)
    return listed


def _gains(status: VersionStatus) -> dict[str, Estimate]:
    """Return the paired differences that the ledger holds of a version's gate, by metric."""
    numbers = {} if status.gate is None else status.gate.numbers
    parts = {name: [numbers.get(f"holdout.{name}.gain{part}") for part in ("", ".lower", ".upper")] for name in _GAINS}
    return {
        name: Estimate(point=point, lower=lower, upper=upper, se=0.0)
        for name, (point, lower, upper) in parts.items()
        if point is not None and lower is not None and upper is not None
    }


def number_of(text: str) -> float:
    """Return the number of a metric's tag, such as `0.866`, `8,506 USD` or `1.8%`; a percentage is a share of one."""
    digits = text.split(maxsplit=1)[0].replace(",", "")
    return float(digits.removesuffix("%")) / 100 if digits.endswith("%") else float(digits)


def _metric(tags: Mapping[str, str], name: str) -> str:
    """Return a metric of a version; keys with a dot are those of earlier versions of this project."""
    return tags.get(f"metric_{name}") or tags.get(f"metric.{name}", "")


def gate_of(status: VersionStatus) -> str:
    """Return what the gate said of a version, in words."""
    if status.gate is None:
        return "not judged"
    refused = [name for name, verdict in status.gate.verdicts.items() if verdict != "pass"]
    return "passed" if status.gate.kind == "gate_passed" else f"refused: {', '.join(refused) or 'no check'}"
