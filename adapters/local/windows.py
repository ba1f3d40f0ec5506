"""Counting predictions by window in DuckDB: one pass over the joined rows for columns, one over scores and outcomes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from churn.data.tables import EVENT_TIME, LABEL, LABEL_TIME, WEIGHT
from churn.model.scorer import TREAT
from churn.ports.tables import TableRef
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

from .disk_errors import explained
from .duck import literal, quoted
from .tables_on_disk import TablesOnDisk

__all__ = ["LocalPredictionWindows"]

_TIMES: Mapping[Clock, str] = {"event": EVENT_TIME, "scoring": "scored_at"}
_SAMPLED = 200_000
"""Rows of a baseline that the edges of bins are taken from, about."""
_TINY = 2.0**-52
_BASE = "_window, model_version, source"


class LocalPredictionWindows(TablesOnDisk, PredictionWindows):
    """Reads the Delta tables of one data set within `memory_limit`; what does not fit spills to disk meanwhile."""

    def layout(
        self, baseline: TableRef, digest: str, columns: Sequence[str], *, numbers: int, texts: int
    ) -> tuple[Bins, ...]:
        """Take quantiles of about 200,000 rows, chosen by a hash of the customer."""
        version = self._open(baseline)
        rows = f"(SELECT * FROM {version.relation()} WHERE model_digest = {literal(digest)})"
        types = {field.name: field.type for field in version.schema}
        with explained(version.path), self._duck.session() as connection:
            total = connection.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0]
            customer = quoted(_entity(baseline)[0])
            sample = f"(SELECT * FROM {rows} WHERE hash({customer}) % {total // _SAMPLED + 1} = 0)"
            return tuple(
                _edges(connection, name, sample, rows, numbers)
                if _is_number(types[name])
                else _texts(connection, name, rows, texts)
                for name in columns
                if name in types
            )

    def baseline(self, baseline: TableRef, digest: str, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        """Read the table as it is: it holds features and outcomes already."""
        version = self._open(baseline)
        present = set(version.schema.names)
        outcome = LABEL if LABEL in present else "NULL"
        weight = f"coalesce({WEIGHT}, 1)::DOUBLE" if WEIGHT in present else "1::DOUBLE"
        query = f"""
            SELECT NULL::TIMESTAMP AS _window, model_version, '' AS source, probability AS _p, treated AS _treated,
                customer_value AS _value, {outcome}::TINYINT AS _outcome, {weight} AS _weight,
                true AS _matched,
                {_features(bins, slices, present)}
            FROM {version.relation()} WHERE model_digest = {literal(digest)} AND probability IS NOT NULL"""
        with explained(version.path), self._duck.session() as connection:
            return _counted(connection, query, _within(bins, present), [name for name in slices if name in present])

    def listed(self, predicted: Predicted, clock: Clock, length: Length) -> pa.Table:
        """Read keys, probabilities and outcomes alone."""
        # Without weights the text is what it was before there were any, so that nothing is measured anew.
        weight = ", _weight" if predicted.labels and WEIGHT in self._open(predicted.labels).schema.names else ""
        query = f"""
            SELECT make_timestamptz(epoch_us(_window)) AS window, model_version, source, count(*) AS rows,
                count(_outcome) FILTER (_weight > 0) AS mature,
                sum(hash(_customer, {EVENT_TIME}, _p, _treated, _outcome{weight}))::VARCHAR AS content
            FROM ({{rows}}) GROUP BY ALL ORDER BY ALL"""
        with self._duck.session() as connection:
            rows = self._rows(connection, predicted, (clock, length))
            return connection.sql(query.format(rows=rows)).to_arrow_table().cast(LISTED)

    def aggregate(self, predicted: Predicted, asked: Asked, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        """Join the rows of these windows with their features once for the columns, once for the slices."""
        present = set(self._open(predicted.features).schema.names) if predicted.features else set()
        chosen, columns = [name for name in slices if name in present], _within(bins, present)
        with self._duck.session() as connection:
            only = f"model_version = {asked.version} AND {_any_of(asked)}"
            features = _features(columns, chosen, present)
            rows = self._rows(connection, predicted, (asked.clock, asked.length), only, features)
            return _counted(connection, rows, columns, chosen)

    def _rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        predicted: Predicted,
        windows: tuple[Clock, Length],
        only: str = "true",
        features: str | None = None,
    ) -> str:
        """Select predictions with their outcomes, and with `features`, columns in SQL, if these are asked for."""
        clock, length = windows
        version = self._open(predicted.predictions)
        customer = quoted(_entity(predicted.predictions)[0])
        source = "coalesce(source, 'batch')" if "source" in version.schema.names else "'batch'"
        is_real = "coalesce(role, '') <> 'what_if'" if "role" in version.schema.names else "true"
        number = "row_number" if "row_number" in version.schema.names else "0"
        scored = f"""
            SELECT {_window(clock, length)} AS _window, model_version, {source} AS source, {customer} AS _customer,
                {EVENT_TIME}, scored_at, batch_id, {number} AS row_number, probability AS _p, decision =
                {literal(TREAT)} AS _treated, customer_value AS _value
            FROM {version.relation()}
            WHERE model_name = {literal(predicted.model)} AND isfinite(probability)
                AND {_TIMES[clock]} IS NOT NULL AND {is_real} AND {only}"""
        again = "count(DISTINCT batch_id) > 1 OR max(row_number) > 0"
        several = f"SELECT 1 FROM ({scored}) GROUP BY {_BASE} HAVING {again} LIMIT 1"
        with explained(version.path):
            if connection.execute(several).fetchall():
                same = f"PARTITION BY {_BASE}, _customer, {EVENT_TIME} ORDER BY scored_at DESC, batch_id, row_number"
                scored += f" QUALIFY row_number() OVER ({same}) = 1"
        outcome, weight, labels = "NULL::TINYINT", "1::DOUBLE", ""
        if predicted.labels is not None:
            is_mature = f"{LABEL_TIME} <= {_literal(predicted.known_by)}"
            labelled = self._open(predicted.labels)
            key, counted = quoted(_entity(predicted.labels)[0]), WEIGHT if WEIGHT in labelled.schema.names else "1"
            outcome, weight = f"labels.{LABEL}::TINYINT", "coalesce(labels._counted, 1)::DOUBLE"
            columns = f"{key} AS _customer, {EVENT_TIME}, {LABEL}, {counted} AS _counted"
            labels = f"""LEFT JOIN (SELECT {columns} FROM {labelled.relation()} WHERE {is_mature})
                AS labels USING (_customer, {EVENT_TIME})"""
        joined = f"SELECT scored.*, {outcome} AS _outcome, {weight} AS _weight FROM ({scored}) AS scored {labels}"
        if features is None:
            return joined
        if predicted.features is None:
            return f"SELECT *, false AS _matched FROM ({joined})"
        key = quoted(_entity(predicted.features)[0])
        taken = f"""SELECT {key} AS _customer, {EVENT_TIME}, true AS _is_there, {features}
            FROM {self._open(predicted.features).relation()}"""
        return f"""
            SELECT *, _is_there IS NOT NULL AS _matched
            FROM ({joined}) LEFT JOIN ({taken}) USING (_customer, {EVENT_TIME})"""


def _counted(
    connection: duckdb.DuckDBPyConnection, rows: str, bins: Sequence[Bins], slices: Sequence[str]
) -> Aggregates:
    parts = [_column(place, column) for place, column in enumerate(bins)]
    selected = ", ".join([_BASE, "count(*) AS rows", "count(*) FILTER (_matched) AS matched", *parts])
    wide = connection.sql(f"SELECT {selected} FROM ({rows}) GROUP BY {_BASE}").fetchall()
    columns = pa.Table.from_pylist(list(_long(wide, bins)), COLUMNS)
    sets = ", ".join(f"(_window, model_version, source, _outcome, _weight, _treated, _bin{more})" for more in [
        "", *(f", _slice{place}" for place in range(len(slices)))])  # fmt: skip
    name = "".join(f" WHEN GROUPING(_slice{place}) = 0 THEN {literal(text)}" for place, text in enumerate(slices))
    value = "".join(f" WHEN GROUPING(_slice{place}) = 0 THEN _slice{place}" for place in range(len(slices)))
    cells = connection.sql(f"""
        SELECT make_timestamptz(epoch_us(_window)) AS window, model_version, source,
            {f"CASE{name} ELSE '' END" if slices else "''"} AS slice,
            {f"CASE{value} ELSE '' END" if slices else "''"} AS value,
            _outcome AS outcome, _weight AS weight, _treated AS treated, _bin AS bin, count(*) AS rows,
            sum(_p) AS p, sum(_p * _p) AS pp, sum(_log_p) AS log_p, sum(_log_q) AS log_q,
            -sum(_p * _log_p + (1 - _p) * _log_q) AS entropy,
            sum(_worth) AS value_sum, sum(_worth * _worth) AS value_squares
        FROM (
            SELECT *, ln(_safe) AS _log_p, ln(1 - _safe) AS _log_q,
                CASE WHEN isfinite(_value::DOUBLE) THEN _value ELSE 0 END AS _worth,
                floor(greatest({-LOGIT_LIMIT}, least({LOGIT_LIMIT}, _log_p - _log_q)) / {LOGIT_WIDTH})::INTEGER AS _bin
            FROM (SELECT *, greatest({_TINY}, least({1 - _TINY}, _p)) AS _safe FROM ({rows})))
        GROUP BY GROUPING SETS ({sets})""")
    return Aggregates(columns, cells.to_arrow_table().cast(CELLS))


def _column(place: int, column: Bins) -> str:
    """Select what is counted of one column: known values, distinct ones, sums, extremes, and values by bin."""
    name = f"_column{place}"
    if column.kind == "text":
        # By their places in the list: of texts that repeat, DuckDB looks each one up once.
        places = f"list_position({_list(map(literal, column.texts))}::VARCHAR[], {name})"
        ends = _list(map(str, range(1, len(column.texts) + 1)))
        counts = f"histogram_exact({places}, {ends})" if column.texts else "NULL"
        return f"count({name}), approx_count_distinct({name}), NULL, NULL, NULL, NULL, {counts}"
    counts = f"histogram({name}, {_list(map(repr, column.edges))}::DOUBLE[])" if column.edges else "NULL"
    sums = f"sum({name}), sum({name} * {name}), min({name}), max({name})"
    return f"count({name}), approx_count_distinct({name}), {sums}, {counts}"


def _long(wide: Sequence[tuple[Any, ...]], bins: Sequence[Bins]) -> Iterator[dict[str, Any]]:
    """Yield a row for each window and column."""
    for window, version, source, rows, matched, *values in wide:
        group = {"window": window and window.replace(tzinfo=UTC), "model_version": version, "source": source}
        for place, column in enumerate(bins):
            filled, distinct, total, squares, low, high, counted = values[7 * place : 7 * place + 7]
            ends = column.edges or range(1, len(column.texts) + 1)
            by_bin = [(counted or {}).get(end, 0) for end in ends]
            yield {
                **group,
                "column": column.name,
                "rows": rows,
                "matched": matched,
                "known": filled,
                "distinct": min(distinct, filled),
                "total": total,
                "squares": squares,
                "min": low,
                "max": high,
                "counts": [*by_bin, filled - sum(by_bin)],
            }


def _features(bins: Sequence[Bins], slices: Sequence[str], present: Collection[str]) -> str:
    """Select columns as numbers that are finite or texts, and slices as texts."""
    columns = [
        f"{_finite(column.name) if column.kind == 'number' else f'{quoted(column.name)}::VARCHAR'} AS _column{place}"
        for place, column in enumerate(_within(bins, present))
    ]
    parts = [
        f"coalesce({quoted(name)}::VARCHAR, 'not known') AS _slice{place}"
        for place, name in enumerate(name for name in slices if name in present)
    ]
    return ", ".join([*columns, *parts]) or "NULL AS _nothing"


def _within(bins: Sequence[Bins], present: Collection[str]) -> list[Bins]:
    return [column for column in bins if column.name in present]


def _finite(name: str) -> str:
    return f"CASE WHEN isfinite({quoted(name)}::DOUBLE) THEN {quoted(name)}::DOUBLE END"


def _edges(connection: duckdb.DuckDBPyConnection, name: str, sample: str, rows: str, numbers: int) -> Bins:
    inner = _list(map(repr, sorted({*(place / numbers for place in range(1, numbers)), *TAILS})))
    value = _finite(name)
    few = f"SELECT DISTINCT {value} AS value FROM {rows} WHERE value IS NOT NULL LIMIT {numbers + 1}"
    middle = [number for (number,) in connection.execute(few).fetchall()]
    if len(middle) > numbers:
        middle = connection.execute(f"SELECT quantile_disc({value}, {inner}) FROM {sample}").fetchall()[0][0]
    low, high = connection.execute(f"SELECT min({value}), max({value}) FROM {rows}").fetchall()[0]
    if low is None:
        return Bins(name=name, kind="number")
    edges = {math.nextafter(low, -math.inf), *middle, high}
    return Bins(name=name, kind="number", edges=tuple(sorted(edges)))


def _texts(connection: duckdb.DuckDBPyConnection, name: str, rows: str, texts: int) -> Bins:
    query = f"""
        SELECT {quoted(name)}::VARCHAR AS text, count(*) AS n FROM {rows} WHERE text IS NOT NULL
        GROUP BY 1 ORDER BY n DESC, text LIMIT {texts}"""
    return Bins(name=name, kind="text", texts=tuple(sorted(text for text, _ in connection.execute(query).fetchall())))


def _window(clock: Clock, length: Length) -> str:
    # Without a time zone, which would make the same several times slower.
    return f"date_trunc('{length}', make_timestamp(epoch_us({_TIMES[clock]})))"


def _any_of(asked: Asked) -> str:
    naive = (start.astimezone(UTC).replace(tzinfo=None) for start in asked.starts)
    starts = ", ".join(f"'{start.isoformat()}'::TIMESTAMP" for start in naive)
    return f"{_window(asked.clock, asked.length)} IN ({starts})" if starts else "false"


def _literal(time: datetime) -> str:
    return f"'{time.astimezone(UTC).isoformat()}'::TIMESTAMPTZ"


def _list(items: Any) -> str:
    return f"[{', '.join(items)}]"


def _entity(ref: TableRef) -> list[str]:
    return [name for name in ref.key if name not in (EVENT_TIME, "batch_id", "row_number", "model_digest")]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
