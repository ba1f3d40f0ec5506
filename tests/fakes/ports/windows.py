"""Counting predictions in memory, written for plainness: every rule as a loop over rows."""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from churn.data.tables import EVENT_TIME
from churn.ports.tables import FeatureStore, TableRef
from churn.ports.windows import (
    CELLS,
    COLUMNS,
    LISTED,
    LOGIT_LIMIT,
    LOGIT_WIDTH,
    TAILS,
    Aggregates,
    Asked,
    Bins,
    Clock,
    Length,
    Predicted,
    PredictionWindows,
)

__all__ = ["MemoryPredictionWindows"]

Row = dict[str, Any]
_TINY = 2.0**-52


class MemoryPredictionWindows(PredictionWindows):
    """Reads the tables of a store."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    def layout(
        self, baseline: TableRef, digest: str, columns: Sequence[str], *, numbers: int, texts: int
    ) -> tuple[Bins, ...]:
        rows = self._of_version(baseline, digest)
        schema, bins = self._store.scan(baseline).schema, []
        for name in columns:
            if name not in schema.names:
                continue
            values = [row[name] for row in rows if _is_known(row[name])]
            if pa.types.is_integer(schema.field(name).type) or pa.types.is_floating(schema.field(name).type):
                ordered = sorted(map(float, values))
                shares = [*(place / numbers for place in range(1, numbers)), *TAILS]
                inner = [ordered[max(math.ceil(share * len(ordered)), 1) - 1] for share in shares if ordered]
                if len(set(ordered)) <= numbers:
                    inner = ordered
                ends = {math.nextafter(ordered[0], -math.inf), *inner, ordered[-1]} if ordered else set()
                bins.append(Bins(name=name, kind="number", edges=tuple(sorted(ends))))
            else:
                frequent = sorted(Counter(map(_text, values)).items(), key=lambda item: (-item[1], item[0]))[:texts]
                bins.append(Bins(name=name, kind="text", texts=tuple(sorted(text for text, _ in frequent))))
        return tuple(bins)

    def baseline(self, baseline: TableRef, digest: str, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        rows = [
            {
                **row,
                "_window": None,
                "source": "",
                "_outcome": row.get("label"),
                "_weight": _weight(row),
                "_matched": True,
            }
            for row in self._of_version(baseline, digest)
        ]
        present = self._store.scan(baseline).schema.names
        return _counted(rows, [b for b in bins if b.name in present], [name for name in slices if name in present])

    def listed(self, predicted: Predicted, clock: Clock, length: Length) -> pa.Table:
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in self._rows(predicted, clock, length):
            groups.setdefault((row["_window"], row["model_version"], row["source"]), []).append(row)
        listed = []
        for (window, version, source), rows in sorted(groups.items()):
            content = sorted(
                str((r["_key"], r["probability"], r["treated"], r["_outcome"], r["_weight"])) for r in rows
            )
            mature = sum(row["_outcome"] is not None and row["_weight"] > 0 for row in rows)
            counts = {"rows": len(rows), "mature": mature}
            group = {"window": window, "model_version": version, "source": source}
            listed.append({**group, **counts, "content": " ".join(content)})
        return pa.Table.from_pylist(listed, LISTED)

    def aggregate(self, predicted: Predicted, asked: Asked, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        present = self._store.scan(predicted.features).schema.names if predicted.features else []
        rows = [
            row
            for row in self._rows(predicted, asked.clock, asked.length)
            if row["model_version"] == asked.version and row["_window"] in asked.starts
        ]
        return _counted(rows, [b for b in bins if b.name in present], [name for name in slices if name in present])

    def _of_version(self, baseline: TableRef, digest: str) -> list[Row]:
        return self._store.scan(baseline, where={"model_digest": digest}).read_all().to_pylist()

    def _rows(self, predicted: Predicted, clock: Clock, length: Length) -> list[Row]:
        """Return the predictions that count, with their features and outcomes."""
        customer = next(name for name in predicted.predictions.key if name not in ("batch_id", EVENT_TIME))
        features, labels = (
            {(row[customer], row[EVENT_TIME]): row for row in self._store.read(ref).to_pylist()} if ref else {}
            for ref in (predicted.features, predicted.labels)
        )
        nothing = dict.fromkeys(self._store.scan(predicted.features).schema.names) if predicted.features else {}
        newest: dict[tuple[Any, ...], Row] = {}
        for row in sorted(self._store.read(predicted.predictions).to_pylist(), key=lambda row: row["batch_id"] or ""):
            time = row[EVENT_TIME] if clock == "event" else row["scored_at"]
            if row["model_name"] != predicted.model or not _is_known(row["probability"]) or time is None:
                continue
            if row.get("role") == "what_if":
                continue
            key, source = (row[customer], row[EVENT_TIME]), row.get("source") or "batch"
            label = labels.get(key)
            known = label is not None and label["label_ts"] <= predicted.known_by
            whole = {
                **nothing,
                **features.get(key, {}),
                **row,
                "_key": key,
                "_window": _start(time, length),
                "source": source,
                "treated": row["decision"] == "treat",
                "_outcome": label["label"] if label is not None and known else None,
                "_weight": _weight(label) if label is not None and known else 1.0,
                "_matched": key in features,
            }
            place = (whole["_window"], row["model_version"], source, key)
            if place not in newest or row["scored_at"] > newest[place]["scored_at"]:
                newest[place] = whole
        return list(newest.values())


def _counted(rows: Sequence[Row], bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
    columns = []
    for (window, version, source), part in _grouped(
        rows, lambda row: (row["_window"], row["model_version"], row["source"])
    ):
        for column in bins:
            values = [row[column.name] for row in part if _is_known(row[column.name])]
            ends: Sequence[Any] = column.edges or column.texts
            counts = [0] * (len(ends) + 1)
            for value in values:
                counts[_bin(column, value)] += 1
            number = column.kind == "number" and bool(values)
            group = {"window": window, "model_version": version, "source": source, "column": column.name}
            columns.append(
                {
                    **group,
                    "rows": len(part),
                    "matched": sum(row["_matched"] for row in part),
                    "known": len(values),
                    "distinct": len(set(values)),
                    "total": sum(values) if number else None,
                    "squares": sum(value * value for value in values) if number else None,
                    "min": min(values) if number else None,
                    "max": max(values) if number else None,
                    "counts": counts,
                }
            )
    cells = []
    for name in ("", *slices):
        for key, part in _grouped(rows, lambda row, name=name: (*_cell(row), _slice_value(row, name))):  # type: ignore[misc]
            window, version, source, outcome, weight, treated, place, value = key
            group = {"window": window, "model_version": version, "source": source, "slice": name, "value": value}
            p = np.array([row["probability"] for row in part])
            safe = np.clip(p, _TINY, 1 - _TINY)
            worth = np.array([row["customer_value"] if _is_known(row["customer_value"]) else 0.0 for row in part])
            log_p, log_q = np.log(safe), np.log(1 - safe)
            sums = {"p": p, "pp": p * p, "log_p": log_p, "log_q": log_q, "value_sum": worth, "value_squares": worth**2}
            sums["entropy"] = -(p * log_p + (1 - p) * log_q)
            counted = {name: float(values.sum()) for name, values in sums.items()}
            told = {"outcome": outcome, "weight": weight, "treated": treated, "bin": place, "rows": len(part)}
            cells.append({**group, **told, **counted})
    return Aggregates(pa.Table.from_pylist(columns, COLUMNS), pa.Table.from_pylist(cells, CELLS))


def _cell(row: Row) -> tuple[Any, ...]:
    p = min(max(row["probability"], _TINY), 1 - _TINY)
    logit = min(max(math.log(p) - math.log(1 - p), -LOGIT_LIMIT), LOGIT_LIMIT)
    group = (row["_window"], row["model_version"], row["source"])
    return (*group, row["_outcome"], row["_weight"], row["treated"], math.floor(logit / LOGIT_WIDTH))


def _weight(row: Row) -> float:
    weight = row.get("untreated_weight")
    return 1.0 if weight is None else float(weight)


def _slice_value(row: Row, name: str) -> str:
    return "" if not name else "not known" if row[name] is None else _text(row[name])


def _grouped(rows: Iterable[Row], key: Any) -> Iterator[tuple[tuple[Any, ...], list[Row]]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    yield from groups.items()


def _bin(column: Bins, value: Any) -> int:
    if column.kind == "text":
        text = _text(value)
        return column.texts.index(text) if text in column.texts else len(column.texts)
    return bisect_left(column.edges, value)


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _start(time: dt.datetime, length: Length) -> dt.datetime:
    day = time.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if length == "week":
        return day - dt.timedelta(days=day.weekday())
    return day.replace(day=1) if length == "month" else day
