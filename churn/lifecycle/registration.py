"""Registers a trained model: its record in the tracker, its tags and its version, once."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..data.snapshot import TableSnapshot
from ..data.tables import LABEL
from ..evaluation.evaluate import Evaluation
from ..evaluation.headline import rows_in_words
from ..evaluation.importance import Explanation
from ..evaluation.metrics import HEADLINE, METRICS
from ..gate.report import TRAINED_UNTIL
from ..ports.registry import CHALLENGER, CHAMPION, HOLDOUT, MODEL_DIGEST, ModelRegistry, ModelVersion
from ..ports.tables import TableRef
from ..ports.tracker import ExperimentTracker
from ..settings import Settings
from ..training.recipe import Recipe
from ..training.search import TuningResult
from ..training.train import TrainingReport
from .workspace import Workspace

__all__ = [
    "LABELS_UNTIL",
    "REGISTERED_AT",
    "Findings",
    "Provenance",
    "Registration",
    "config_digest",
    "describe_model",
    "provenance",
    "record_run",
    "register_challenger",
    "version_tags",
]


LABELS_UNTIL, REGISTERED_AT = "labels_until", "registered_at"
"""The tags with when the newest outcome became known that training saw, and when the version was registered by the
clock of the data set (ISO 8601, UTC). Versions that were registered by earlier code have neither."""


class Registration(Frozen):
    """Which version of which registered model a training run ended in."""

    name: str
    version: int
    run_id: str | None
    digest: str
    unchanged: bool = Field(description="Whether the version was there before, because the model is the same.")
    description: str
    tags: dict[str, str]
    registered_at: dt.datetime | None = Field(default=None, description="When the registry first had the version.")


def register_challenger(
    registry: ModelRegistry,
    name: str,
    package: Path,
    *,
    digest: str,
    description: str,
    tags: Mapping[str, str],
    run_id: str,
    whole: Callable[[ModelVersion], bool],
) -> Registration:
    """Register the packaged model and let `@Challenger` name it; a version with the same digest is taken instead.

    One whose files are damaged or gone, as `whole` tells, is not.

    The alias moves last, so that whoever follows it finds a version that is complete. Of two runs that register the
    same model at the same time the earlier version stays.

    Raises:
        StoreError: the registry does not answer; a version that was created then is taken up by the next run.
    """
    version = _earliest(registry, name, digest, whole)
    if version is None:
        created = registry.register(
            name, package, description=description, tags={**tags, MODEL_DIGEST: digest}, run_id=run_id
        )
        version = _earliest(registry, name, digest, whole) or created
        if created.version != version.version:
            registry.delete_version(name, created.version)
    registry.set_alias(name, CHALLENGER, version.version)
    return Registration(
        name=name,
        version=version.version,
        run_id=version.run_id,
        digest=digest,
        unchanged=version.run_id != run_id,
        description=version.description,
        tags=dict(version.tags),
        registered_at=version.created_at,
    )


def _earliest(
    registry: ModelRegistry, name: str, digest: str, whole: Callable[[ModelVersion], bool]
) -> ModelVersion | None:
    same = [version for version in registry.versions(name) if version.tags.get(MODEL_DIGEST) == digest]
    return next(filter(whole, sorted(same, key=lambda version: version.version)), None)


_TAGGED = ("campaign_profit", "roc_auc", "log_loss", "brier", "profit_per_customer")
"""The metrics that are tags of a version."""
_AFTER_TRAINING = {"gate", "approval", "campaign", "inference", "retention", "schedule"}
"""Settings of what becomes of a model, which it does not follow from."""


@dataclass(frozen=True)
class Findings:
    """What a training run found out, each part the output of one of its steps."""

    training_set: TableSnapshot
    tuning: TuningResult
    training: TrainingReport
    evaluation: Evaluation
    explanation: Explanation


@dataclass(frozen=True)
class Provenance:
    """How and by whom a version was made, for the gate and for whoever audits it.

    Attributes:
        code_version: The commit of this project's code, or the version of its wheel.
        registered_by: Who ran the training.
        trained_until: The newest event time of the rows it was trained on (UTC).
        labels_until: When the newest outcome of its training set became known (UTC).
        registered_at: The time, by the clock of the data set (UTC).
        recipe: What made it, so that it can be made again on other rows.
    """

    code_version: str
    registered_by: str
    trained_until: dt.datetime
    labels_until: dt.datetime
    registered_at: dt.datetime
    recipe: Recipe


def provenance(
    settings: Settings,
    contract: DatasetContract,
    tuning: TuningResult,
    *,
    table: TableRef,
    trained_until: dt.datetime,
    labels_until: dt.datetime,
    registered_at: dt.datetime,
    code_version: str,
    registered_by: str,
) -> Provenance:
    """Return the provenance of a model that was trained on the training side of `table`, newest at `trained_until`."""
    return Provenance(
        code_version=code_version,
        registered_by=registered_by,
        trained_until=trained_until,
        labels_until=labels_until,
        registered_at=registered_at,
        recipe=Recipe.of(
            contract, settings.model, settings.tuning, tuning.boosting, seed=settings.seed, training_table=table
        ),
    )


def config_digest(settings: Settings) -> str:
    """Return a digest of what a model follows from: not of the machine, of where files lie, or of how it is judged."""
    domain = settings.model_dump_json(exclude={"data", "dataset", *_AFTER_TRAINING})
    return hashlib.sha256(domain.encode()).hexdigest()[:16]


def record_run(
    tracker: ExperimentTracker, settings: Settings, findings: Findings, rows: pa.Table, charts: Mapping[str, str]
) -> None:
    """Leave the run's settings, data, headline metrics and charts with the tracker; every metric is in `metrics.json`.

    Args:
        tracker: Where the run's record is.
        settings: The run's settings.
        findings: What it found.
        rows: A sample of the training set, for its schema.
        charts: SVG by name.
    """
    training, tuning = findings.training, findings.tuning
    chosen = {"blend": "+".join(training.chosen), **tuning.boosting.model_dump(), **training.fitted}
    left_out = {"simulation", "tuning", "evaluation", *_AFTER_TRAINING}
    domain = settings.model_dump(mode="json", exclude=left_out)
    tracker.log_params(_flat({**domain, "chosen": chosen, "config_digest": config_digest(settings)}))
    tracker.log_params({HOLDOUT: _holdout(findings.evaluation)})
    tracker.log_dataset(findings.training_set.ref, rows, LABEL)
    measured = findings.evaluation.metrics
    tracker.log_metrics({name: measured[name].point for name in HEADLINE if name in measured})
    tracker.log_file("metrics.json", json.dumps(_metrics(findings), indent=1, sort_keys=True))
    for name, chart in charts.items():
        tracker.log_file(f"charts/{name}.svg", chart)


def version_tags(
    settings: Settings, contract: DatasetContract, findings: Findings, origin: Provenance
) -> dict[str, str]:
    """Return the tags of a registered version: where it comes from, how good it is, where its thresholds lie.

    Unity Catalog takes at most 50 tags, whose keys are letters, digits and `_` here: the other metrics are those of
    the run, and the verdicts of a gate are in the ledger.
    """
    ref, evaluation = findings.training_set.ref, findings.evaluation
    metrics = {
        name: METRICS[name].text(evaluation.metrics[name].point, evaluation.currency)
        for name in _TAGGED
        if name in evaluation.metrics
    }
    thresholds = {f"threshold_{name}": f"{value:.5g}" for name, value in evaluation.thresholds.items()}
    lowest, highest = evaluation.campaign.threshold
    return {
        "dataset": ref.dataset,
        "data_table": ref.name,
        "data_version": str(ref.version),
        "data_digest": ref.content_id,
        "git_commit": origin.code_version,
        "registered_by": origin.registered_by,
        TRAINED_UNTIL: origin.trained_until.isoformat(),
        LABELS_UNTIL: origin.labels_until.isoformat(),
        REGISTERED_AT: origin.registered_at.isoformat(),
        "recipe_digest": origin.recipe.digest,
        "split": settings.split.tag,
        "config_digest": config_digest(settings),
        "contract_digest": contract.digest,
        "seed": str(settings.seed),
        HOLDOUT: _holdout(evaluation),
        **{f"metric_{name}": value for name, value in metrics.items()},
        **thresholds,
        "threshold_profit": f"{lowest:.5g}" if lowest == highest else f"{lowest:.5g} to {highest:.5g}",
        "threshold_cost_matrix": f"{settings.money.cost_matrix.threshold:.5g}",
    }


def describe_model(workspace: Workspace, sentence: str) -> None:
    """Let the registry say on the page of the model what it is, which version is live, and what happened last."""
    champion = workspace.registry.by_alias(workspace.model, CHAMPION)
    live = "no version" if champion is None else f"version {champion.version}"
    text = (
        f"{workspace.contract.description}\n\n**Live: {live}.** {sentence}\n\nEvery version with its verdict: `python "
        "run.py models`."
    )
    workspace.registry.describe(workspace.model, text)


def _holdout(evaluation: Evaluation) -> str:
    """Return the data that metrics are of: first digits that differ between other rows, then the rows in words."""
    rows = rows_in_words(evaluation.rows, evaluation.customers, evaluation.churners, evaluation.churned_customers)
    until = f", to {evaluation.periods[-1].since}" if evaluation.periods else ""
    return f"{evaluation.data_digest}: {rows}{until}"


def _metrics(findings: Findings) -> dict[str, float]:
    measured: dict[str, float] = {}
    for name, estimate in findings.evaluation.metrics.items():
        measured |= {name: estimate.point, f"{name}.lower": estimate.lower, f"{name}.upper": estimate.upper}
    out_of_fold = findings.training.calibration.after
    return {
        **measured,
        "oof.log_loss": out_of_fold.log_loss,
        "oof.brier": out_of_fold.brier,
        "oof.ece": out_of_fold.ece,
        "tuning.gain": findings.tuning.gain,
        "tuning.gain_se": findings.tuning.gain_se,
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        flat |= _flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return flat
