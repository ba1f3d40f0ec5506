"""Retrains where monitoring calls for it; the new model is judged like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from ..core.estimate import Estimate
from ..core.progress import conclude
from ..core.wording import moment
from ..data.snapshot import snapshot_of
from ..data.tables import TABLES
from ..evaluation.metrics import METRICS
from ..gate.report import Comparison, GateReport
from ..monitoring.alerts import RETRAINING
from ..monitoring.report import Advice, MonitoringReport
from ..ports.alerts import Notice
from ..settings import Settings, TrainingSetSettings
from .alerts import Alerted, alert_outcome
from .deployment import Deployment, check_approval, evaluate_challenger, promote_version
from .features import check_outcomes
from .monitoring import last_training
from .registration import Findings, Registration
from .release import release_version
from .retraining_result import RETRAININGS, Attempt, Judged, Retraining
from .training import build_training_set, evaluate_model, register, train, tune
from .workspace import Workspace

__all__ = [
    "announce",
    "judge_attempt",
    "retrain",
    "train_challenger",
    "train_on_tables",
]

_FIGURES = ("profit_per_customer", "roc_auc", "log_loss")
Charts = Callable[[Findings], Mapping[str, str]]


def retrain(
    workspace: Workspace, settings: Settings, report: MonitoringReport, charts: Charts = lambda _: {}
) -> Judged:
    """Train where monitoring calls for it, and let the gate decide; whatever comes of it is recorded.

    Raises as `train_challenger` and `judge_attempt` do.
    """
    return judge_attempt(workspace, settings, train_challenger(workspace, settings, report, charts))


def train_challenger(workspace: Workspace, settings: Settings, report: MonitoringReport, charts: Charts) -> Attempt:
    """Train a challenger on the tables as they are, with every outcome that is known by now.

    Nothing is delivered: what monitoring judged is what is learned from. A cut-off in the settings does not hold here,
    or no newer outcome would be learned from.

    Args:
        workspace: The ports of the data set.
        settings: The run's settings.
        report: What monitoring found; where it does not advise to retrain, nothing is trained.
        charts: Draws the charts of the training's record, SVG by name.

    Raises:
        NotEnoughData: there are too few outcomes to train on.
        LeakageError: a check of the training set failed.
        StoreError: a store does not answer; what was begun is completed by the next run.
    """
    champion = workspace.approval(settings.approval).read().champion
    begun = Attempt(
        model=workspace.model, at=workspace.clock(), advice=report.advice, before=champion and champion.version
    )
    if report.advice.state != "retrain":
        return begun
    with workspace.tables.exclusive("retraining"):
        trained_at, _ = last_training(workspace)
        if trained_at is not None and trained_at > report.at:
            sentence = f"Not again: another training ended at {moment(trained_at)}, while this one waited."
            return begun.model_copy(update={"advice": Advice(state="cooling_down", sentence=sentence)})
        newest = settings.model_copy(update={"training_set": TrainingSetSettings(cutoff=begun.at)})
        return begun.model_copy(update={"registration": train_on_tables(workspace, newest, charts)})


def train_on_tables(workspace: Workspace, settings: Settings, charts: Charts) -> Registration:
    """Train on the tables as they are and register the challenger; raises as `train_challenger` does."""
    store, contract, seed = workspace.tables, workspace.contract, settings.seed
    bronze, features, labels = (store.latest(contract.table(name).name) for name in ("bronze", "features", "labels"))
    check_outcomes(workspace, settings, bronze, required=True)
    training_set, _ = build_training_set(workspace, settings, snapshot_of(store, features), snapshot_of(store, labels))
    tuning = tune(
        workspace, training_set, model=settings.model, tuning=settings.tuning, money=settings.money, seed=seed
    )
    model, training = train(workspace, training_set, tuning, model=settings.model, seed=seed)
    evaluation, explanation = evaluate_model(
        workspace,
        training_set,
        model,
        money=settings.money,
        evaluation=settings.evaluation,
        reasons=settings.reasons,
        seed=seed,
    )
    findings = Findings(training_set, tuning, training, evaluation, explanation)
    return register(workspace, settings, findings, model, charts)


def judge_attempt(workspace: Workspace, settings: Settings, attempt: Attempt) -> Judged:
    """Let gate, approval and ledger decide about the challenger, release it if it goes live, and record the outcome.

    Raises:
        DecisionRefused: the gate could not measure everything; `--pipeline deployment` judges the version later.
        StoreError: a store does not answer; the next run completes what was begun.
    """
    begun = {"model": attempt.model, "at": attempt.at, "advice": attempt.advice, "before": attempt.before}
    if attempt.registration is None:
        outcome = Retraining(**begun, state="not_called_for", sentence=attempt.advice.sentence, live=attempt.before)
        conclude("retraining", outcome.sentence)
        return Judged(retraining=outcome)
    version = attempt.registration.version
    if version == attempt.before:
        sentence = (
            f"Retraining does not help: on the newest outcomes the model is that of version {version}, which is live."
        )
        outcome = Retraining(**begun, state="same_model", sentence=sentence, version=version, live=version)
        judged = Judged(retraining=outcome)
    else:
        report = evaluate_challenger(workspace, settings, version)
        status = check_approval(workspace, settings, report)
        release = release_version(workspace, settings, promote_version(workspace, settings, status))
        outcome = _outcome(begun, version, report, release.deployment)
        judged = Judged(retraining=outcome, report=report, release=release)
    _record(workspace, outcome)
    conclude("retraining", outcome.sentence)
    return judged


def announce(workspace: Workspace, retraining: Retraining, page: str | None) -> Alerted:
    """Tell every channel what became of a retraining; nothing where monitoring did not call for one.

    Args:
        workspace: The ports of the data set.
        retraining: What became of it.
        page: Where its page is.

    Raises:
        StoreError: the record of alerts cannot be read or written. A channel that does not answer raises nothing.
    """
    if retraining.version is None:
        return Alerted()
    notice = Notice(
        notice_id="",
        event="resolved" if retraining.state == "promoted" else "opened",
        severity="critical" if retraining.state == "taken_back" else "warning",
        title=f"retraining: {RETRAININGS[retraining.state]}",
        dataset=workspace.contract.name,
        model=retraining.model,
        version=retraining.live or retraining.version,
        kind=RETRAINING,
        source="",
        window=f"{retraining.at:%Y-%m-%d}",
        evidence=(retraining.sentence,),
        recommendation=retraining.recommendation,
        page=page,
        at=retraining.at,
    )
    return alert_outcome(workspace, notice)


def _outcome(begun: Mapping[str, Any], version: int, report: GateReport, deployment: Deployment) -> Retraining:
    compared = report.newest or report.holdout
    gains = {metric.name: metric.gain for metric in compared.metrics if metric.name in _FIGURES} if compared else {}
    state = {"refused": "kept", "unchanged": "promoted"}.get(deployment.state, deployment.state)
    live = deployment.champion
    kept = "no version is live" if live is None else f"kept version {live}"
    sentence = {
        "kept": f"Retraining does not help: {kept}, for the gate refused version {version}",
        "promoted": f"Retrained: version {version} is live",
        "waiting": f"Retrained: version {version} passed the gate and waits for approval",
        "rollout": f"Retrained: version {version} passed the gate and waits for its rollout",
        "taken_back": f"Retrained, and version {version} was taken back: {deployment.sentence.removesuffix('.')}",
    }[state]
    figures = _figures(report, begun["before"], compared, gains)
    return Retraining.model_validate(
        {
            **begun,
            "state": state,
            "sentence": f"{sentence}{figures}.",
            "version": version,
            "live": live,
            "gate_report": report.digest,
            "compared_on": compared and compared.name,
            "compared_rows": compared and compared.rows,
            "gains": gains,
        }
    )


def _figures(report: GateReport, champion: int, compared: Comparison | None, gains: Mapping[str, Estimate]) -> str:
    if compared is None or not gains:
        return ""
    name = next(name for name in _FIGURES if name in gains)
    metric = METRICS[name]
    gain, verb = gains[name], "better"
    if gain.point < 0:
        gain, verb = Estimate(point=-gain.point, lower=-gain.upper, upper=-gain.lower, se=gain.se), "worse"
    rows = f"{compared.rows:,} rows"
    where = f"{rows} newer than its training" if compared.name == "newest" else f"{rows} of the holdout"
    by = metric.interval(gain, report.currency)
    return f"; {metric.label} is {verb} than that of version {champion} by {by} on {where}"


def _record(workspace: Workspace, outcome: Retraining) -> None:
    row: dict[str, Any] = {
        **outcome.model_dump(exclude={"model", "at", "advice", "gains"}),
        "model_name": outcome.model,
        "started_at": outcome.at,
        "cutoff": outcome.at,
        "reason": outcome.advice.sentence,
        "new_outcomes": outcome.advice.new_outcomes,
    }
    for name in _FIGURES:
        gain = outcome.gains.get(name)
        ends = ("", "point"), ("_lower", "lower"), ("_upper", "upper")
        row |= {f"{name}_gain{end}": gain and getattr(gain, field) for end, field in ends}
    table = pa.Table.from_pylist([row], TABLES["retrainings"].arrow_schema())
    workspace.tables.upsert(workspace.contract.table("retrainings"), table)
