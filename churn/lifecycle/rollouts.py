"""Checks a rollout: what both versions answered and earned, and whether to advance, promote or abort."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..approval.rollout import Rollout, abort, advance, next_share, rollouts, running, start
from ..approval.settings import RolloutSettings
from ..approval.state import ModelState
from ..core.errors import DecisionRefused, NotFound, StoreError
from ..core.estimate import Estimate
from ..core.frozen import Frozen
from ..data.tables import EVENT_TIME, INGESTED_AT, LABEL, LABEL_TIME, TABLES, TableName
from ..data.untreated import ContactHistory
from ..evaluation.rollout import Arms, compare, score_shift
from ..model.scorer import TREAT
from ..settings import Settings
from .deployment import Deployment, check_approval, deploy, evaluate_challenger
from .registration import describe_model
from .release import follow_ledger, release_version
from .workspace import Workspace

__all__ = [
    "Arm",
    "RolloutCheck",
    "RolloutReport",
    "check_rollout",
    "guard_rollout",
    "rollout_report",
    "start_rollout",
]

Done = Literal["nothing", "waited", "advanced", "promoted", "aborted", "pending", "refused"]
_DONE: dict[str, Done] = {"promoted": "promoted", "unchanged": "promoted", "waiting": "pending"}
_TIME = pa.timestamp("us", tz="UTC")
_SCORED = {
    "scored_at": _TIME,
    EVENT_TIME: _TIME,
    "model_version": pa.int64(),
    "probability": pa.float64(),
    "customer_value": pa.float64(),
    "decision": pa.string(),
    "role": pa.string(),
    "status": pa.string(),
    "request_id": pa.string(),
    "score_ms": pa.float64(),
}
_CALLED = {EVENT_TIME: "event_time", "model_version": "version"}
_FEWEST_TIMES = 100
"""Rows of each version before their medians are compared."""


class Arm(Frozen):
    """What the log of predictions has of one version since the newest step.

    Attributes:
        version: The version.
        rows: Rows that it was asked to score.
        customers: Different customers among them.
        failed: Rows that it could not score.
        median_ms: Median milliseconds a row; None where they were not measured.
        mean_score: Mean churn probability, 0 to 1; None without rows.
    """

    version: int
    rows: int
    customers: int
    failed: int
    median_ms: float | None
    mean_score: float | None


class RolloutReport(Frozen):
    """One look at a rollout.

    Attributes:
        model: The registered model.
        rollout: The rollout that runs, or the last one; None where there never was one.
        arms: Champion and challenger; empty where none runs.
        customers: Customers with a known outcome, whom nobody contacted; control groups stand for those.
        fewest: Those of the smaller arm.
        contacted: Customers who are left out because they were contacted.
        outcome: Brier score saved, a customer, with its always-valid interval; None before there are outcomes enough.
        profit: Profit gained, a customer, in the currency, in the same way.
        alarms: Guardrails that are broken, in words.
        next: What `check` would do.
        why: Why, in a sentence.
    """

    model: str
    rollout: Rollout | None
    arms: tuple[Arm, ...] = ()
    customers: int = 0
    fewest: int = 0
    contacted: int = 0
    outcome: Estimate | None = None
    profit: Estimate | None = None
    alarms: tuple[str, ...] = ()
    next: Literal["nothing", "wait", "advance", "promote", "abort"]
    why: str


class RolloutCheck(Frozen):
    """What a look came to: the report it rests on, what was done, and the deployment where one was tried."""

    report: RolloutReport
    done: Done
    sentence: str
    deployment: Deployment | None = None


def start_rollout(
    workspace: Workspace, settings: Settings, version: int, *, share: float | None, shadow: bool, who: str, why: str
) -> Rollout:
    """Let an approved version answer a share of the customers, by default the first of `rollout.shares`, or none.

    Raises as `churn.approval.rollout.start` does, and DecisionRefused where the files of the version are not those that
    were registered, or `share` is given in shadow.
    """
    if shadow and share is not None:
        raise DecisionRefused("In shadow the challenger answers nobody: give either --shadow or --share.")
    context = workspace.approval(settings.approval)
    registered = context.read().versions.get(version)
    if registered is not None and (fault := context.package_fault(registered)):
        raise DecisionRefused(f"Version {version} of {context.model} is not rolled out: {fault}")
    first = settings.rollout.shares[0] if share is None else share
    rollout = start(context, version, share=first, shadow=shadow, who=who, why=why)
    follow_ledger(workspace, settings)
    return rollout


def rollout_report(workspace: Workspace, settings: Settings) -> RolloutReport:
    """Look at the rollout that runs: figures of both versions, the test, the guardrails, and what would happen next.

    Raises:
        StoreError: the registry, the ledger or a table does not answer.
    """
    state = workspace.approval(settings.approval).read()
    present = running(state)
    if present is None:
        last = next(reversed(rollouts(state)), None)
        return RolloutReport(model=state.model, rollout=last, next="nothing", why=_ended(state, last))
    rows = _scored(workspace, present)
    rules = settings.rollout
    compared = compare(
        rows,
        _labels(workspace),
        ContactHistory.read(workspace.tables, workspace.contract),
        Arms(
            present.champion,
            present.version,
            [pd.Timestamp(step.at) for step in present.steps],
            [step.share for step in present.steps],
            present.identity,
        ),
        settings.money,
        window_days=workspace.contract.label.window_days,
        alpha=rules.alpha,
        planned=rules.planned_customers,
        min_customers=rules.min_customers,
    )
    arms, alarms = _guardrails(rows, present, rules)
    report = RolloutReport(
        model=state.model,
        rollout=present,
        arms=arms,
        **compared._asdict(),
        alarms=alarms,
        next="wait",
        why="",
    )
    follows, why = _next(report, present, settings)
    return report.model_copy(update={"next": follows, "why": why})


def check_rollout(workspace: Workspace, settings: Settings) -> RolloutCheck:
    """Look at the rollout once, and do what follows: abort, advance, promote or wait.

    What the endpoint logged and is not in the table yet is moved there first.

    A version that wins is promoted as every other one is: where its verdict has lapsed the gate judges it anew, and
    the policy answers. After the promotion features are published, and the endpoint is brought to the version and
    tried, or the promotion is taken back; see `release_version`. What waits for a person goes on being rolled out
    meanwhile.

    Raises:
        WriteConflict: somebody changed the rollout meanwhile; nothing was decided.
        DecisionRefused: the registry has other models than the ledger, or the machine was too busy for the gate.
        StoreError: the registry, the ledger or a table does not answer.
    """
    workspace.prediction_log.move()
    report = rollout_report(workspace, settings)
    context, who = workspace.approval(settings.approval), workspace.identity
    seen = report.rollout
    if seen is None or report.next == "nothing":
        return RolloutCheck(report=report, done="nothing", sentence=report.why)
    if report.next == "abort":
        return RolloutCheck(report=report, done="aborted", sentence=_aborted(workspace, settings, seen, report.why))
    if report.next == "advance":
        now = advance(context, settings.rollout, who=who, why=report.why, seen=seen)
        follow_ledger(workspace, settings)
        sentence = f"Version {seen.version} answers {now.share:.0%} of the customers now. {report.why}"
        return RolloutCheck(report=report, done="advanced", sentence=sentence)
    if report.next == "promote":
        judged = evaluate_challenger(workspace, settings, seen.version)
        outcome = deploy(context, check_approval(workspace, settings, judged), who=who)
        describe_model(workspace, outcome.sentence)
        released = release_version(workspace, settings, outcome)
        done = "refused" if released.state == "failed" else _DONE.get(outcome.state, "refused")
        sentence = " ".join(filter(None, (report.why, outcome.sentence, released.sentence)))
        return RolloutCheck(report=report, done=done, sentence=sentence, deployment=released.deployment)
    follow_ledger(workspace, settings)
    return RolloutCheck(report=report, done="waited", sentence=report.why)


def guard_rollout(workspace: Workspace, settings: Settings) -> str | None:
    """Abort the rollout that runs if a guardrail is broken, and return what was done; None where none is.

    It looks at errors, latency and scores alone, which are known at once; outcomes wait for `check_rollout`.

    Raises:
        WriteConflict: somebody changed the rollout meanwhile; nothing was decided.
        StoreError: the registry, the ledger or a table does not answer.
    """
    present = running(workspace.approval(settings.approval).read())
    if present is None:
        return None
    workspace.prediction_log.move()
    _, alarms = _guardrails(_scored(workspace, present), present, settings.rollout)
    return _aborted(workspace, settings, present, " ".join(alarms)) if alarms else None


def _aborted(workspace: Workspace, settings: Settings, seen: Rollout, why: str) -> str:
    abort(workspace.approval(settings.approval), who=workspace.identity, why=why, seen=seen)
    sentence = f"The rollout of version {seen.version} is aborted: {why}"
    describe_model(workspace, sentence)
    try:
        follow_ledger(workspace, settings)
    except StoreError as error:
        return f"{sentence} {error}"
    return sentence


def _ended(state: ModelState, last: Rollout | None) -> str:
    if last is None or last.ended is None:
        return f"No version of {state.model} is rolled out."
    record = last.ended
    how = {"rollout_aborted": "was aborted", "promoted": f"ended as version {record.version} was promoted"}.get(
        record.kind, f"ended with record {record.sequence} ({record.kind.replace('_', ' ')})"
    )
    return (
        f"No version of {state.model} is rolled out. The rollout of version {last.version} {how} on "
        f"{record.at:%Y-%m-%d %H:%M} UTC: {record.why}"
    )


def _next(
    report: RolloutReport, rollout: Rollout, settings: Settings
) -> tuple[Literal["wait", "advance", "promote", "abort"], str]:
    """Return what follows from the figures, and why."""
    rules, confidence = settings.rollout, f"{settings.rollout.confidence:.0%} at every look"
    if report.alarms:
        return "abort", " ".join(report.alarms)
    estimates = {"outcome": report.outcome, "profit": report.profit}
    worse = [name for name, estimate in estimates.items() if estimate is not None and estimate.upper < 0]
    better = [name for name, estimate in estimates.items() if estimate is not None and estimate.lower > 0]
    if worse:
        return "abort", f"Version {rollout.version} is worse in {' and '.join(worse)} ({confidence})."
    if better:
        return "promote", f"Version {rollout.version} is better in {' and '.join(better)} ({confidence})."
    scored = report.arms[1].rows
    share = next_share(rollout, rules.shares)
    if not rollout.shadow and share is not None and scored >= rules.step_rows:
        return "advance", f"{scored:,} rows at {rollout.share:.0%} broke no guardrail; the next step is {share:.0%}."
    if not any(estimates.values()):
        where = "scored by both" if rollout.steps[0].share == 0 else "in each arm"
        return (
            "wait",
            f"{report.fewest:,} of {rules.min_customers:,} outcomes {where} are known before the test is looked at.",
        )
    return "wait", f"Neither version is better so far ({confidence}); {report.customers:,} outcomes are known."


def _guardrails(
    rows: pd.DataFrame, rollout: Rollout, rules: RolloutSettings
) -> tuple[tuple[Arm, ...], tuple[str, ...]]:
    """Return both versions since the newest step, and the guardrails that are broken."""
    recent = rows[rows["scored_at"] >= pd.Timestamp(rollout.steps[-1].at)]
    arms = tuple(_arm(recent, version) for version in (rollout.champion, rollout.version))
    return arms, tuple(_alarms(recent, arms, rules))


def _alarms(rows: pd.DataFrame, arms: Sequence[Arm], rules: RolloutSettings) -> Iterator[str]:
    """Yield the guardrails that are broken."""
    old, new = arms
    allowed = rules.max_error_share * max(new.rows, rules.step_rows)
    if new.failed > allowed:
        yield (
            f"Version {new.version} failed at {new.failed:,} of {new.rows:,} rows, and {rules.max_error_share:.1%} may "
            "(`rollout.max_error_share`)."
        )
    if old.median_ms and new.median_ms is not None and new.median_ms > rules.max_latency_ratio * old.median_ms:
        yield (
            f"Version {new.version} takes {new.median_ms:.2f} ms a row where version {old.version} takes "
            f"{old.median_ms:.2f}, more than {rules.max_latency_ratio:g} times as much (`rollout.max_latency_ratio`)."
        )
    scores = [rows["probability"][rows["version"] == arm.version].dropna().to_numpy(np.float64) for arm in arms]
    if min(map(len, scores)) >= rules.step_rows and (shift := score_shift(*scores)) > rules.max_score_shift:
        yield (
            f"The scores of version {new.version} lie elsewhere than those of version {old.version}: a population "
            f"stability index of {shift:.2f}, and {rules.max_score_shift:g} is allowed (`rollout.max_score_shift`)."
        )


def _arm(rows: pd.DataFrame, version: int) -> Arm:
    mine = rows[rows["version"] == version]
    times, scores = mine["score_ms"].dropna(), mine["probability"].dropna()
    return Arm(
        version=version,
        rows=len(mine),
        customers=int(mine["customer"].nunique()),
        failed=int((mine["status"] == "failed").sum()),
        median_ms=float(times.median()) if len(times) >= _FEWEST_TIMES else None,
        mean_score=float(scores.mean()) if len(scores) else None,
    )


def _scored(workspace: Workspace, rollout: Rollout) -> pd.DataFrame:
    """Return what the endpoint scored by either version since the rollout began, a row a score, none made up."""
    entity, since = workspace.contract.entity_key, pa.scalar(rollout.since, _TIME)
    versions = pa.array([rollout.champion, rollout.version], pa.int64())
    wanted = {entity: pa.string(), **_SCORED}

    def of_rollout(batch: pa.RecordBatch) -> pa.RecordBatch:
        mine = pc.and_(pc.greater_equal(batch["scored_at"], since), pc.is_in(batch["model_version"], versions))
        return batch.filter(mine)

    frame = _read(workspace, "predictions", wanted, of_rollout, where={"source": "endpoint"})
    frame["treat"] = frame["decision"] == TREAT
    return frame[frame["role"] != "what_if"]


def _labels(workspace: Workspace) -> pd.DataFrame:
    """Return the outcomes that are known by now."""
    entity, now = workspace.contract.entity_key, pa.scalar(workspace.clock(), _TIME)
    wanted = {entity: pa.string(), EVENT_TIME: _TIME, LABEL: pa.int8(), LABEL_TIME: _TIME, INGESTED_AT: _TIME}
    frame: pd.DataFrame = _read(
        workspace, "labels", wanted, lambda batch: batch.filter(pc.less_equal(batch[LABEL_TIME], now))
    )
    return frame


def _read(
    workspace: Workspace,
    name: TableName,
    wanted: Mapping[str, pa.DataType],
    chosen: Callable[[pa.RecordBatch], pa.RecordBatch],
    where: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the chosen rows of a table, with a missing value for columns that it does not have; none without it."""
    schema, tables = pa.schema(wanted.items()), workspace.tables
    called = {workspace.contract.entity_key: "customer", **_CALLED}
    names = [called.get(column, column) for column in wanted]
    try:
        ref = tables.latest(TABLES[name].name)
    except NotFound:
        return pd.DataFrame(schema.empty_table().rename_columns(names).to_pandas())
    present = [column for column in wanted if column in tables.scan(ref).schema.names]
    parts = [chosen(batch) for batch in tables.scan(ref, present, where=where)]
    table = pa.Table.from_batches(parts) if parts else schema.empty_table()
    for column, kind in wanted.items():
        if column not in table.schema.names:
            table = table.append_column(column, pa.nulls(len(table), kind))
    frame: pd.DataFrame = table.select(list(wanted)).cast(schema).rename_columns(names).to_pandas()
    return frame
