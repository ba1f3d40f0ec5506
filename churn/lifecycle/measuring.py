"""Measures the windows of predictions that are new or have changed into `profile_metrics` and `drift_metrics`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from ..core.canonical import canonical, digest
from ..core.errors import NotFound
from ..core.progress import advance
from ..core.wording import counted, moment
from ..data.tables import EVENT_TIME, TABLES, TableName
from ..data.untreated import untreated_rows
from ..monitoring.measure import Side, differences, figures, sides_of
from ..ports.registry import MODEL_DIGEST, ModelVersion
from ..ports.tables import TableRef
from ..ports.windows import Asked, Bins, Clock, Length, Predicted
from ..settings import Settings
from .workspace import Workspace

__all__ = ["Counting", "Measured", "measure_windows"]

_AT_ONCE = 30  # windows that are counted at a time
_TIMES: Mapping[Clock, str] = {"event": EVENT_TIME, "scoring": "scored_at"}
Place = tuple[dt.datetime, str]
"""Start and source of a window."""


class Counting(NamedTuple):
    """How the predictions of a version are counted, what its baseline holds, and a text that changes where these do.

    `digest` is that of the version; empty without a baseline.
    """

    bins: tuple[Bins, ...] = ()
    baseline: Side | None = None
    content: str = ""
    digest: str = ""


class _Listed(NamedTuple):
    """A window that there is: what its rows are, and the window of the same source before it."""

    rows: str
    earlier: dt.datetime | None


@dataclass
class Measured:
    """What a run measured.

    Attributes:
        changed: Windows that were measured.
        unchanged: Windows that had been measured before and are as they were.
        countings: How the predictions of each version are counted, with its baseline if it has one.
        predicted: The predictions that were looked at; None where there are none.
        scored: The days on which anything was scored, the oldest first.
        notes: What could not be measured or compared, a sentence each.
    """

    changed: int = 0
    unchanged: int = 0
    countings: dict[int, Counting] = field(default_factory=dict)
    predicted: Predicted | None = None
    scored: list[dt.datetime] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def measure_windows(workspace: Workspace, settings: Settings, now: dt.datetime, *, dry: bool = False) -> Measured:
    """Count the windows that are new or have changed, each beside the one before, and write their figures.

    A window has changed if a score, an outcome or a row in it has, if the window before has, or if it is measured
    otherwise.

    Args:
        workspace: The ports of the data set.
        settings: The run's settings.
        now: Outcomes that may be used by then are known; windows that begin later are left out.
        dry: Whether to write nothing: windows that have changed are counted and not measured.
    """
    measured = Measured()
    predictions = _latest(workspace, "predictions")
    if predictions is None or not predictions.rows:
        measured.notes.append("There are no predictions to look at: run `python run.py --pipeline inference` first.")
        return measured
    features, labels = (_latest(workspace, name) for name in ("features", "labels"))
    if labels is None:
        measured.notes.append("No outcome is known yet: performance is estimated and not measured.")
    elif (untreated := untreated_rows(workspace.tables, labels, workspace.contract)) and untreated.cost:
        measured.notes.append(untreated.cost)
    predicted = Predicted(
        model=workspace.model, predictions=predictions, features=features, labels=labels, known_by=now
    )
    measured.predicted = predicted
    _Measuring(workspace, settings, now, predicted, measured, dry).run()
    if dry and measured.changed:
        measured.notes.append(f"New or changed, and not measured in a dry run: {counted(measured.changed, 'window')}.")
    return measured


@dataclass
class _Measuring:
    workspace: Workspace
    settings: Settings
    now: dt.datetime
    predicted: Predicted
    measured: Measured
    dry: bool = False

    def run(self) -> None:
        config, before = self.settings.monitoring, self._contents()
        versions = {version.version: version for version in self.workspace.registry.versions(self.workspace.model)}
        pairs = [(clock, length) for clock in config.clocks for length in config.windows]
        for done, (clock, length) in enumerate(pairs):
            advance("monitor", done, len(pairs), f"{length} windows by the time of {clock}")
            for version, windows in self._listed(clock, length).items():
                if version not in self.measured.countings:
                    self.measured.countings[version] = self._counting(version, versions.get(version))
                self._measure((version, clock, length), windows, before)

    def _measure(
        self,
        group: tuple[int, Clock, Length],
        windows: Mapping[Place, _Listed],
        before: Mapping[tuple[Any, ...], str],
    ) -> None:
        counting = self.measured.countings[group[0]]
        contents = {place: self._content(place, windows, counting) for place in windows}
        changed = [place for place in windows if before.get((*group, *place)) != contents[place]]
        self.measured.changed += len(changed)
        self.measured.unchanged += len(windows) - len(changed)
        starts = [] if self.dry else sorted({start for start, _ in changed})
        for first in range(0, len(starts), _AT_ONCE):
            chosen = {*starts[first : first + _AT_ONCE]}
            places = [place for place in changed if place[0] in chosen]
            needed = chosen | {earlier for place in places if (earlier := windows[place].earlier) is not None}
            version, clock, length = group
            asked = Asked(clock, length, version, needed)
            sides = sides_of(
                self.workspace.windows.aggregate(self.predicted, asked, counting.bins, self.workspace.contract.slices)
            )
            # What says that a window is measured is written last, so that a run that is killed is made up for.
            rows: dict[TableName, list[dict[str, Any]]] = {"drift_metrics": [], "profile_metrics": []}
            for place in places:
                key = self._told(group, place)
                earlier = windows[place].earlier
                earlier_side = sides.get((earlier, place[1])) if earlier is not None else None
                rows["profile_metrics"] += self._profile({**key, "content": contents[place]}, sides[place], counting)
                for against, side in (("baseline", counting.baseline), ("before", earlier_side)):
                    if side is not None:
                        rows["drift_metrics"] += _drift({**key, "against": against}, counting, side, sides[place])
            for name, part in rows.items():
                if part:
                    table = pa.Table.from_pylist(part, TABLES[name].arrow_schema())
                    self.workspace.tables.upsert(self.workspace.contract.table(name), table)

    def _content(self, place: Place, windows: Mapping[Place, _Listed], counting: Counting) -> str:
        window = windows[place]
        earlier = "" if window.earlier is None else windows[window.earlier, place[1]].rows
        return digest(canonical([window.rows, earlier, counting.content]))[:16]

    def _told(self, group: tuple[int, Clock, Length], place: Place) -> dict[str, Any]:
        return {
            "model_name": self.workspace.model,
            **dict(zip(("model_version", "clock", "length"), group, strict=True)),
            **dict(zip(("window_start", "source"), place, strict=True)),
            "measured_at": self.now,
        }

    def _profile(self, key: Mapping[str, Any], side: Side, counting: Counting) -> Iterator[dict[str, Any]]:
        money, confidence = self.settings.money, self.settings.monitoring.confidence
        for name, value in side.groups:
            rows = figures(
                side, counting.bins, (name, value), money=money, baseline=counting.baseline, confidence=confidence
            )
            for figure in rows:
                ends = {} if figure.interval is None else figure.interval.model_dump(exclude={"point"})
                row = {"column": figure.column, "metric": figure.metric, "kind": figure.kind, "number": figure.number}
                yield {**key, "slice": name, "slice_value": value, **row, **ends}

    def _counting(self, version: int, registered: ModelVersion | None) -> Counting:
        """Return how a version is counted; one without a baseline is counted by no column."""
        config, contract = self.settings.monitoring, self.workspace.contract
        table, windows = _latest(self.workspace, "baseline"), self.workspace.windows
        content = [config.bins, config.texts, config.confidence, self.settings.money.model_dump(mode="json")]
        model_digest = registered.tags.get(MODEL_DIGEST) if registered else None
        if table is not None and model_digest is not None:
            columns = [*contract.columns]
            bins = windows.layout(table, model_digest, columns, numbers=config.bins, texts=config.texts)
            sides = sides_of(windows.baseline(table, model_digest, bins, contract.slices))
            for baseline in sides.values():
                self._note_new_columns(version, columns, {column.name for column in bins})
                laid_out = [column.model_dump(mode="json") for column in bins]
                return Counting(bins, baseline, canonical([content, model_digest, laid_out]), model_digest)
        self.measured.notes.append(
            f"Version {version} has no baseline: its predictions are compared with the window before alone, and its "
            "inputs "
            "are not. A version that is trained now gets one."
        )
        return Counting(content=canonical(content))

    def _note_new_columns(self, version: int, columns: Sequence[str], measured: set[str]) -> None:
        features = self.predicted.features
        present = {*self.workspace.tables.scan(features).schema.names} if features else set()
        if new := [name for name in columns if name in present and name not in measured]:
            self.measured.notes.append(
                f"The baseline of version {version} does not have {', '.join(new)}, so that nothing is compared there: "
                "train "
                "a version that has."
            )

    def _listed(self, clock: Clock, length: Length) -> dict[int, dict[Place, _Listed]]:
        """Return the windows of each version, the oldest first; those that begin after now are left out, and said."""
        by_version: dict[int, dict[Place, _Listed]] = {}
        newest: dict[tuple[int, str], dt.datetime] = {}
        future = 0
        for row in self.workspace.windows.listed(self.predicted, clock, length).to_pylist():
            start, version, source = row["window"], row["model_version"], row["source"]
            if start > self.now:
                future += row["rows"]
                continue
            if (clock, length) == ("scoring", "day"):
                self.measured.scored.append(start)
            listed = _Listed(f"{row['rows']} {row['content']}", newest.get((version, source)))
            by_version.setdefault(version, {})[start, source] = listed
            newest[version, source] = start
        if future and length == self.settings.monitoring.judged:
            self.measured.notes.append(
                f"Left out: {counted(future, 'prediction')} whose {_TIMES[clock]} is after now ({moment(self.now)}). "
                "Check the clock of whoever wrote them."
            )
        return by_version

    def _contents(self) -> dict[tuple[Any, ...], str]:
        """Return of each window that was measured before what it held then."""
        table = _latest(self.workspace, "profile_metrics")
        if table is None:
            return {}
        key = ["model_version", "clock", "length", "window_start", "source"]
        where = {"metric": "rows", "slice": "", "model_name": self.workspace.model}
        rows = self.workspace.tables.scan(table, [*key, "content", *where], where=where).read_all().to_pylist()
        return {tuple(row[name] for name in key): row["content"] for row in rows}


def _drift(key: Mapping[str, Any], counting: Counting, before: Side, after: Side) -> Iterator[dict[str, Any]]:
    for name, value in after.groups:
        for difference in differences(counting.bins, before, after, (name, value)):
            yield {**key, "slice": name, "slice_value": value, **difference._asdict()}


def _latest(workspace: Workspace, name: TableName) -> TableRef | None:
    try:
        return workspace.tables.latest(workspace.contract.table(name).name)
    except NotFound:
        return None
