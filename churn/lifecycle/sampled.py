"""Samples rows of the newest window and of its baseline, for tools that cannot work on counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import NotFound
from ..data.tables import EVENT_TIME
from ..monitoring.report import MonitoringReport
from ..ports.registry import MODEL_DIGEST
from ..scoring.baseline import MODEL_DIGEST_COLUMN
from .workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Samples", "sampled"]


class Samples(NamedTuple):
    """Rows of the baseline and of the window, with the same columns: the inputs and the probability."""

    reference: pd.DataFrame
    current: pd.DataFrame


def sampled(workspace: Workspace, report: MonitoringReport, rows: int, *, seed: int) -> Samples | None:
    """Return at most `rows` rows a side, drawn at random; None without a window, a baseline or features.

    Args:
        workspace: The ports of the data set.
        report: What monitoring found; the newest judged window of the live version is taken.
        rows: Rows of each side at most.
        seed: Of the draw.
    """
    live_windows = [window for window in report.windows if window.version == report.live]
    if not live_windows:
        return None
    window, store, contract = live_windows[-1], workspace.tables, workspace.contract
    versions = {version.version: version for version in workspace.registry.versions(workspace.model)}
    try:
        baseline, predictions, features = (
            store.latest(contract.table(name).name) for name in ("baseline", "predictions", "features")
        )
    except NotFound:
        return None
    present = {*store.scan(baseline).schema.names} & {*store.scan(features).schema.names}
    columns = [name for name in contract.columns if name in present]
    digest = versions[window.version].tags.get(MODEL_DIGEST, "") if window.version in versions else ""
    reference = store.scan(baseline, [*columns, "probability"], where={MODEL_DIGEST_COLUMN: digest}).read_all()
    key = [contract.entity_key, EVENT_TIME]
    inside = (pc.field(EVENT_TIME) >= pa.scalar(window.start)) & (pc.field(EVENT_TIME) < pa.scalar(window.end))
    scored = [
        pa.Table.from_batches([batch]).filter(inside & (pc.field("model_version") == window.version))
        for batch in store.scan(
            predictions, [*key, "probability", "model_version"], where={"model_name": workspace.model}
        )
    ]
    featured = [pa.Table.from_batches([batch]).filter(inside) for batch in store.scan(features, [*key, *columns])]
    if not reference.num_rows or not scored or not featured:
        return None
    left, right = pa.concat_tables(scored).to_pandas(), pa.concat_tables(featured).to_pandas()
    current = left.drop_duplicates(key, keep="last").merge(right, on=key)[[*columns, "probability"]]
    if current.empty:
        return None
    sides = (reference.to_pandas()[[*columns, "probability"]], current)
    return Samples(*(side.sample(min(rows, len(side)), random_state=seed).reset_index(drop=True) for side in sides))
