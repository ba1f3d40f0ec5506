"""Counting predictions by window in DuckDB: one pass over their features for columns, one over scores and outcomes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

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
        types = {field.name: field.type for field in version.schema if field.name in columns}
        customer, names = quoted(_entity(baseline)[0]), ", ".join(map(quoted, types))
        if not types:
            return ()
        with explained(version.path), self._duck.session() as connection:
            connection.execute(f"""
                CREATE OR REPLACE TEMP TABLE rows AS SELECT hash({customer}) AS _hash, {names} FROM {version.relation()}
                WHERE model_digest = {literal(digest)}""")
            total = connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
            sample = f"(SELECT * FROM rows WHERE _hash % {total // _SAMPLED + 1} = 0)"
            return tuple(
                _edges(connection, name, sample, numbers)
                if _is_number(types[name])
                else _texts(connection, name, texts)
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
                {", ".join([*_columns(bins, present), *_slices(slices, present)]) or "NULL AS _nothing"}
            FROM {version.relation()} WHERE model_digest = {literal(digest)} AND probability IS NOT NULL"""
        with explained(version.path), self._duck.session() as connection:
            cells = _cells(connection, query, [name for name in slices if name in present])
            return Aggregates(_counted(connection, query, _within(bins, present), cells), cells)

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
            scored = self._scored(connection, predicted, clock, length)
            rows = self._with_outcomes(predicted, scored)
            return connection.sql(query.format(rows=rows)).to_arrow_table().cast(LISTED)

    def aggregate(self, predicted: Predicted, asked: Asked, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        """Let the features pass by the keys of these predictions, so that memory holds keys and no features."""
        features = predicted.features
        version = None if features is None else self._open(features)
        present = {*version.schema.names} if version else set()
        columns, chosen = _within(bins, present), [name for name in slices if name in present]
        within = _between(asked, EVENT_TIME) if asked.clock == "event" else "true"

        def joined(kind: str, rows: str, names: Sequence[str]) -> str:
            if features is None or version is None or not names:
                return rows
            key = quoted(_entity(features)[0])
            taken = f"SELECT {', '.join([f'{key} AS _customer', EVENT_TIME, *names])} FROM {version.relation()}"
            return f"SELECT * FROM ({rows}) {kind} JOIN ({taken} WHERE {within}) USING (_customer, {EVENT_TIME})"

        with self._duck.session() as connection:
            only = f"model_version = {asked.version} AND {_any_of(asked)} AND {_between(asked, _TIMES[asked.clock])}"
            scored = self._scored(connection, predicted, asked.clock, asked.length, only)
            rows = joined("LEFT", self._with_outcomes(predicted, scored, within), _slices(slices, present))
            cells = _cells(connection, rows, chosen)
            keys = f"SELECT {_BASE}, _customer, {EVENT_TIME} FROM ({scored})"
            return Aggregates(
                _counted(connection, joined("INNER", keys, _columns(bins, present)), columns, cells), cells
            )

    def _scored(
        self,
        connection: duckdb.DuckDBPyConnection,
        predicted: Predicted,
        clock: Clock,
        length: Length,
        only: str = "true",
    ) -> str:
        """Select the predictions of windows, a row that was scored again within one as it was scored last."""
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
        again = "min(batch_id) <> max(batch_id) OR max(row_number) > 0"
        several = f"SELECT 1 FROM ({scored}) GROUP BY {_BASE} HAVING {again} LIMIT 1"
        with explained(version.path):
            if connection.execute(several).fetchall():
                same = f"PARTITION BY {_BASE}, _customer, {EVENT_TIME} ORDER BY scored_at DESC, batch_id, row_number"
                scored += f" QUALIFY row_number() OVER ({same}) = 1"
        return scored

    def _with_outcomes(self, predicted: Predicted, scored: str, within: str = "true") -> str:
        """Select predictions with their outcomes, null where these are not known."""
        if predicted.labels is None:
            return f"SELECT *, NULL::TINYINT AS _outcome, 1::DOUBLE AS _weight FROM ({scored})"
        labels = self._open(predicted.labels)
        key, weight = quoted(_entity(predicted.labels)[0]), WEIGHT if WEIGHT in labels.schema.names else "1"
        return f"""
            SELECT scored.*, labels.{LABEL}::TINYINT AS _outcome, coalesce(labels._counted, 1)::DOUBLE AS _weight
            FROM ({scored}) AS scored LEFT JOIN (
                SELECT {key} AS _customer, {EVENT_TIME}, {LABEL}, {weight} AS _counted FROM {labels.relation()}
                WHERE {LABEL_TIME} <= {_literal(predicted.known_by)} AND {within}
            ) AS labels USING (_customer, {EVENT_TIME})"""


def _cells(connection: duckdb.DuckDBPyConnection, rows: str, slices: Sequence[str]) -> pa.Table:
    """Count predictions by group, outcome, decision and bin, as in `CELLS`."""
    sets = ", ".join(f"(_window, model_version, source, _outcome, _weight, _treated, _bin{more})" for more in [
        "", *(f", _known{place}" for place in range(len(slices)))])  # fmt: skip
    name = "".join(f" WHEN GROUPING(_known{place}) = 0 THEN {literal(text)}" for place, text in enumerate(slices))
    value = "".join(f" WHEN GROUPING(_known{place}) = 0 THEN _known{place}" for place in range(len(slices)))
    slice_texts = "".join(f"coalesce(_slice{place}, 'not known') AS _known{place}, " for place in range(len(slices)))
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
                {slice_texts}
                CASE WHEN isfinite(_value::DOUBLE) THEN _value ELSE 0 END AS _worth,
                floor(greatest({-LOGIT_LIMIT}, least({LOGIT_LIMIT}, _log_p - _log_q)) / {LOGIT_WIDTH})::INTEGER AS _bin
            FROM (SELECT *, greatest({_TINY}, least({1 - _TINY}, _p)) AS _safe FROM ({rows})))
        GROUP BY GROUPING SETS ({sets})""")
    return cells.to_arrow_table().cast(CELLS)


def _counted(connection: duckdb.DuckDBPyConnection, rows: str, bins: Sequence[Bins], cells: pa.Table) -> pa.Table:
    """Count columns of rows that have features, as in `COLUMNS`; `cells` say how many predictions there are."""
    if not bins:
        return COLUMNS.empty_table()
    # By its number: to group joined rows by a text makes the counts of their texts several times slower.
    sources = sorted(cells["source"].unique().to_pylist())
    base = f"_window, model_version, list_position({_list(map(literal, sources))}::VARCHAR[], source)"
    counts = ", ".join(_column(place, column) for place, column in enumerate(bins))
    wide = connection.sql(f"SELECT {base}, count(*), {counts} FROM ({rows}) GROUP BY {base}").fetchall()
    matched = {(row[0] and row[0].replace(tzinfo=UTC), row[1], sources[row[2] - 1]): row[3:] for row in wide}
    return pa.Table.from_pylist(list(_long(cells, matched, bins)), COLUMNS)


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


def _long(
    cells: pa.Table, matched: Mapping[tuple[Any, ...], Sequence[Any]], bins: Sequence[Bins]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each window and column."""
    groups = ["window", "model_version", "source"]
    totals = cells.filter(pc.equal(cells["slice"], "")).group_by(groups).aggregate([("rows", "sum")])
    for total in totals.to_pylist():
        group = {name: total[name] for name in groups}
        with_features, *values = matched.get(tuple(group.values()), [0] * (1 + 7 * len(bins)))
        for place, column in enumerate(bins):
            filled, distinct, *sums, counted = values[7 * place : 7 * place + 7]
            ends = column.edges or range(1, len(column.texts) + 1)
            by_bin = [(counted or {}).get(end, 0) for end in ends]
            yield {
                **group,
                "column": column.name,
                "rows": total["rows_sum"],
                "matched": with_features,
                "known": filled,
                "distinct": min(distinct, filled),
                **dict(zip(("total", "squares", "min", "max"), sums if filled else [None] * 4, strict=True)),
                "counts": [*by_bin, filled - sum(by_bin)],
            }


def _columns(bins: Sequence[Bins], present: Collection[str]) -> list[str]:
    """Select columns as numbers that are finite or texts."""
    return [
        f"{_finite(column.name) if column.kind == 'number' else f'{quoted(column.name)}::VARCHAR'} AS _column{place}"
        for place, column in enumerate(_within(bins, present))
    ]


def _slices(slices: Sequence[str], present: Collection[str]) -> list[str]:
    names = (name for name in slices if name in present)
    return [f"{quoted(name)}::VARCHAR AS _slice{place}" for place, name in enumerate(names)]


def _within(bins: Sequence[Bins], present: Collection[str]) -> list[Bins]:
    return [column for column in bins if column.name in present]


def _finite(name: str) -> str:
    return f"CASE WHEN isfinite({quoted(name)}::DOUBLE) THEN {quoted(name)}::DOUBLE END"


def _edges(connection: duckdb.DuckDBPyConnection, name: str, sample: str, numbers: int) -> Bins:
    inner = _list(map(repr, sorted({*(place / numbers for place in range(1, numbers)), *TAILS})))
    value = _finite(name)
    few = f"SELECT DISTINCT {value} AS value FROM rows WHERE value IS NOT NULL LIMIT {numbers + 1}"
    middle = [number for (number,) in connection.execute(few).fetchall()]
    if len(middle) > numbers:
        middle = connection.execute(f"SELECT quantile_disc({value}, {inner}) FROM {sample}").fetchall()[0][0]
    low, high = connection.execute(f"SELECT min({value}), max({value}) FROM rows").fetchall()[0]
    if low is None:
        return Bins(name=name, kind="number")
    edges = {math.nextafter(low, -math.inf), *middle, high}
    return Bins(name=name, kind="number", edges=tuple(sorted(edges)))


def _texts(connection: duckdb.DuckDBPyConnection, name: str, texts: int) -> Bins:
    query = f"""
        SELECT {quoted(name)}::VARCHAR AS text, count(*) AS n FROM rows WHERE text IS NOT NULL
        GROUP BY 1 ORDER BY n DESC, text LIMIT {texts}"""
    return Bins(name=name, kind="text", texts=tuple(sorted(text for text, _ in connection.execute(query).fetchall())))


def _window(clock: Clock, length: Length) -> str:
    # Without a time zone, which would make the same several times slower.
    return f"date_trunc('{length}', make_timestamp(epoch_us({_TIMES[clock]})))"


def _any_of(asked: Asked) -> str:
    naive = (start.astimezone(UTC).replace(tzinfo=None) for start in asked.starts)
    starts = ", ".join(f"'{start.isoformat()}'::TIMESTAMP" for start in naive)
    return f"{_window(asked.clock, asked.length)} IN ({starts})" if starts else "false"


def _between(asked: Asked, time: str) -> str:
    """Say that a time lies within these windows or between them, by which files of a table are passed over."""
    if not asked.starts:
        return "false"
    first, last = _literal(min(asked.starts)), _literal(max(asked.starts))
    return f"{time} >= {first} AND {time} < {last} + INTERVAL 1 {asked.length}"


def _literal(time: datetime) -> str:
    return f"'{time.astimezone(UTC).isoformat()}'::TIMESTAMPTZ"


def _list(items: Any) -> str:
    return f"[{', '.join(items)}]"


def _entity(ref: TableRef) -> list[str]:
    return [name for name in ref.key if name not in (EVENT_TIME, "batch_id", "row_number", "model_digest")]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
