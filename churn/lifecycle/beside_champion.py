"""Compares a new version with the champion on its training run's holdout: a preview of the gate."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.compute as pc

from ..core.errors import ChurnError
from ..data.snapshot import TableSnapshot
from ..data.tables import SPLIT
from ..data.training_set import drawn_rows
from ..gate.comparison import PairedRows, VersionScores, compare
from ..gate.inputs import JudgedVersion, read_rows
from ..gate.report import Comparison
from ..model.model import ChurnModel
from ..ports.registry import MODEL_DIGEST
from ..settings import Settings
from .registration import Registration
from .workspace import Workspace

__all__ = ["beside_champion"]


def beside_champion(
    workspace: Workspace,
    settings: Settings,
    training_set: TableSnapshot,
    model: ChurnModel,
    registration: Registration,
) -> Comparison | str | None:
    """Compare the new version with the champion on the holdout of the run, with the gate's paired resamples.

    Returns:
        The comparison; a sentence where it could not be made, which stops no training; None where no other version is
        live.
    """
    try:
        champion = workspace.approval(settings.approval).read().champion
        if champion is None or champion.tags.get(MODEL_DIGEST) == registration.digest:
            return None
        if champion.tags.get("split") != settings.split.tag:
            return f"Champion version {champion.version} was trained under another split: it saw part of this holdout."
        with tempfile.TemporaryDirectory() as folder:
            live = workspace.candidate(champion, Path(folder))
            return _compared(workspace, settings, training_set, model, live)
    except ChurnError as error:
        return f"The champion could not be compared with: {error}"


def _compared(
    workspace: Workspace, settings: Settings, training_set: TableSnapshot, model: ChurnModel, champion: JudgedVersion
) -> Comparison:
    limit, holdout = settings.evaluation.max_rows, pc.field(SPLIT) == "holdout"
    table, _ = drawn_rows(
        workspace.tables, training_set.ref, workspace.contract, holdout, limit=limit, seed=settings.seed
    )
    rows = read_rows(table, workspace.contract, settings.money)
    paired = PairedRows(
        label=rows.label,
        entity=rows.entity,
        event_time=rows.event_time,
        value=rows.value,
        champion=VersionScores(champion.probability(rows.customers), champion.f1_threshold),
        challenger=VersionScores(model.probability(rows.training.columns), float(model.thresholds["f1"])),
        slices={},
        weight=rows.weight,
    )
    everybody = settings.gate.model_copy(update={"capacity": None})
    return compare(paired, settings.money, everybody, name="holdout", seed=settings.seed)
