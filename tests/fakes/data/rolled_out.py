"""A rollout whose predictions and outcomes are made up: two versions of known quality, a log, labels and contacts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.approval.archive import keep_report
from churn.approval.decide import decide, record_gate
from churn.approval.rollout import Rollout, start
from churn.approval.settings import ApprovalSettings
from churn.core.errors import StoreError
from churn.core.shares import hash_shares
from churn.data.tables import EVENT_TIME, INGESTED_AT, LABEL, LABEL_TIME, TABLES, TableName
from churn.lifecycle.workspace import Workspace
from churn.model.money import MoneySettings, expected_value, treatment_pays
from churn.ports.tables import TableRef
from churn.settings import Settings
from tests.fakes.data.case import CONTRACT, settings
from tests.fakes.data.deciding import MODEL, office
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.tables import MemoryFeatureStore

_MONEY = MoneySettings()
_VALUE = _MONEY.customer_value.amount
_KEY = CONTRACT.entity_key
_LOGGED = {"request_id": pa.string(), "role": pa.string(), "status": pa.string(), "score_ms": pa.float64()}


class PlainTables(MemoryFeatureStore):
    """A store in which some tables simply are there, so that thousands of rows cost nothing."""

    def __init__(self) -> None:
        super().__init__("toy")
        self._plain: dict[str, pa.Table] = {}

    def add(self, name: str, rows: pa.Table) -> None:
        self._plain[name] = pa.concat_tables([self._plain[name], rows]) if name in self._plain else rows

    def latest(self, name: str) -> TableRef:
        if name not in self._plain:
            return super().latest(name)
        rows = len(self._plain[name])
        return TableRef(dataset="toy", name=name, version=0, rows=rows, content_id="", key=(_KEY,), uri=name)

    def scan(
        self,
        ref: TableRef,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        *,
        where: Mapping[str, str] | None = None,
    ) -> pa.RecordBatchReader:
        if ref.name not in self._plain:
            return super().scan(ref, columns, batch_rows, where=where)
        table = self._plain[ref.name]
        for column, value in (where or {}).items():
            table = table.filter(pc.equal(table[column], value))
        return table.select(columns or table.column_names).to_reader()


class ToldEndpoint:
    """An endpoint that runs and does not follow the ledger; it notes what it is told, or raises `fault`."""

    follows_ledger = False

    def __init__(self) -> None:
        self.told: list[int] = []
        self.fault = ""

    def state(self) -> str:
        return "runs"

    def ensure(self, version: int, *, within: float) -> None:
        if self.fault:
            raise StoreError(self.fault)
        self.told.append(version)


class RolledOut:
    """Version 2 beside version 1, in a workspace in memory."""

    def __init__(self, *overrides: str, share: float = 0.5, shadow: bool = False) -> None:
        self.office = office(3, 1)
        self.tables = PlainTables()
        self.judge()
        self.settings: Settings = settings(*overrides)
        self.host = ToldEndpoint()
        make: dict[str, Any] = {
            "registry": lambda: self.office.registry,
            "ledger": lambda: self.office.ledger,
            "stages": lambda: self.office.stages,
            "tables": lambda: self.tables,
            "identity": lambda: "ada",
            "prediction_log": lambda: InMemoryPredictionLog(self.tables, CONTRACT.table("predictions"), _KEY),
            "verify": lambda version, into: None,
            "endpoint": lambda options: self.host,
        }
        self.workspace = Workspace(contract=CONTRACT, model=MODEL, threads=1, clock=self.office.clock, make=make)
        self._share, self._shadow = share, shadow

    def judge(self, approval: ApprovalSettings | None = None) -> None:
        """Let the gate pass version 2, and the policy answer."""
        place = self.office if approval is None else self.office.under(approval)
        report = place.report(2)
        keep_report(self.tables, report)
        record_gate(place.context, report, who="ada")
        decide(place.context, 2, who="ada")

    def begin(self) -> Rollout:
        return start(
            self.office.context, 2, share=self._share, shadow=self._shadow, who="ada", why="Beside the champion."
        )

    def log(
        self,
        rollout: Rollout,
        customers: int,
        *,
        blurs: tuple[float, float] = (0.6, 0.6),
        shift: float = 0.0,
        failed: int = 0,
        milliseconds: tuple[float, float] = (1.0, 1.0),
        seed: int = 0,
    ) -> pd.DataFrame:
        """Log a score of each customer now; each has an outcome 30 days later.

        Args:
            rollout: It draws who comes to which version.
            customers: How many.
            blurs: With how much noise on the log-odds champion and challenger see the risk.
            shift: What the challenger adds to the log-odds.
            failed: Of the challenger's rows, those that it could not score.
            milliseconds: A row takes, of champion and challenger.
            seed: Of everything random.

        Returns:
            The customers: customer, risk and label.
        """
        random = np.random.default_rng(seed)
        keys = np.array([f"c{seed}-{number}" for number in range(customers)])
        risk = random.beta(1, 4, customers)
        label = (random.random(customers) < risk).astype(np.int8)
        logit = np.log(risk / (1 - risk))
        at = self.office.clock.now
        drawn = hash_shares(keys, rollout.share, rollout.identity)
        parts = []
        for version, blur in zip((rollout.champion, rollout.version), blurs, strict=True):
            is_new = version == rollout.version
            seen = 1 / (1 + np.exp(-(logit + random.normal(shift * is_new, blur, customers))))
            frame = self._rows(keys, seen, version, at, milliseconds[is_new])
            if rollout.shadow:
                frame["role"] = "shadow" if is_new else "answered"
            else:
                frame = frame[drawn == is_new].reset_index(drop=True)
            if is_new and failed:
                frame.loc[: failed - 1, ["probability", "status"]] = [np.nan, "failed"]
            parts.append(frame)
        rows = pd.concat(parts, ignore_index=True)
        rows["row_number"] = np.arange(len(rows))
        self._append("predictions", rows, **_LOGGED)
        known = dict.fromkeys((LABEL_TIME, INGESTED_AT), at + dt.timedelta(days=30))
        outcome = {_KEY: keys, EVENT_TIME: at, LABEL: label, **known, "split": "train"}
        self._append("labels", pd.DataFrame(outcome), **{INGESTED_AT: pa.timestamp("us", "UTC")})
        return pd.DataFrame({"customer": keys, "risk": risk, "label": label, "at": at})

    def contact(self, customers: Mapping[str, str], at: dt.datetime) -> None:
        """Let customers be contacted, or belong to the control group: `{"c0-1": "treatment"}`."""
        rows = pd.DataFrame(
            {_KEY: list(customers), "group": list(customers.values()), "contacted_at": at, "batch_id": "b"}
        )
        self._append("contacts", rows)

    def _rows(self, keys: Any, seen: Any, version: int, at: dt.datetime, milliseconds: float) -> pd.DataFrame:
        treat = treatment_pays(seen, _VALUE, _MONEY)
        return pd.DataFrame(
            {
                "batch_id": f"segment {version}",
                _KEY: keys,
                EVENT_TIME: at,
                "scored_at": at,
                "probability": seen,
                "expected_value": expected_value(seen, _VALUE, _MONEY),
                "customer_value": _VALUE,
                "decision": np.where(treat, "treat", "leave"),
                "model_name": MODEL,
                "model_version": version,
                "source": "endpoint",
                "role": "answered",
                "status": "ok",
                "request_id": keys,
                "score_ms": milliseconds,
            }
        )

    def _append(self, name: TableName, rows: pd.DataFrame, **optional: pa.DataType) -> None:
        declared = TABLES[name].arrow_schema(_KEY, optional=optional)
        schema = pa.schema({**dict(zip(declared.names, declared.types, strict=True)), **optional}.items())
        arrays = [
            pa.array(rows[field.name], field.type, from_pandas=True)
            if field.name in rows
            else pa.nulls(len(rows), field.type)
            for field in schema
        ]
        self.tables.add(TABLES[name].name, pa.Table.from_arrays(arrays, schema=schema))
