"""Monitoring: a million rows beside Evidently, and how often it alarms without a reason and how soon with one.

    python benchmarks/monitoring.py [speed|evidently|alarms] [--rows 1m] [--years 2] [--customers 4000]

`speed` counts a table of the simulated telco in one window and holds it against a baseline of 7,000 rows: drift of
every column and of the predictions, performance, estimates. Once the rows hold their features, as those of
`churn_baseline` do, and once they are predictions that are joined with features and outcomes first. CPU seconds and
peak memory are those of a process of its own; imports count in its memory alone. `evidently` is its DataDriftPreset on
the same rows, and the values of both where the definition is the same.

`alarms` draws daily windows from one population: alarms a year without any drift, and in how many windows each event is
found that happens to one. For the concept shift it also says what the best test that there can be would find.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from adapters.local.feature_store import LocalFeatureStore  # noqa: E402
from adapters.local.windows import LocalPredictionWindows  # noqa: E402
from benchmarks.customers import contract_of  # noqa: E402
from benchmarks.measure import measure, number, print_row  # noqa: E402
from churn.data.tables import EVENT_TIME, TableName  # noqa: E402
from churn.model.money import MoneySettings, treatment_pays  # noqa: E402
from churn.monitoring.measure import Side, differences, figures, sides_of  # noqa: E402
from churn.monitoring.performance import realised  # noqa: E402
from churn.monitoring.report import Window  # noqa: E402
from churn.monitoring.settings import MonitoringSettings  # noqa: E402
from churn.monitoring.triage import Triage  # noqa: E402
from churn.ports.windows import Asked, Bins, Predicted  # noqa: E402
from churn.simulation.simulate import SimulationSettings, simulate  # noqa: E402

CONTRACT, SETTINGS, MONEY = contract_of("telco_simulated"), MonitoringSettings(), MoneySettings()
COLUMNS, VERSION, MODEL = [*CONTRACT.columns], 1, "benchmark"
TIME = pa.timestamp("us", tz="UTC")
START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
BASELINE_ROWS = 7_000
IMPORTS = ("scipy.stats", "deltalake", "benchmarks.monitoring")
GOAL_CPU, GOAL_MIB, GOAL_TIMES, GOAL_ALARMS = 1.0, 600, 20, 1.0
SCORED = ("probability", "customer_value")
Columns = dict[str, npt.NDArray[Any]]
Numbers = npt.NDArray[np.float64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("speed", "evidently", "alarms"))
    parser.add_argument("--rows", type=number, default=1_000_000)
    parser.add_argument("--years", type=int, default=1)
    parser.add_argument("--customers", type=int, default=4000, help="in a daily window")
    options = parser.parse_args()
    kept = True
    if options.part != "alarms":
        kept = speed(options.rows, beside=options.part != "speed")
    if options.part in {None, "alarms"}:
        kept = alarms(options.years, options.customers) and kept
    return 0 if kept else 1


def speed(rows: int, *, beside: bool) -> bool:
    """Print what counting costs, and what Evidently does."""
    with tempfile.TemporaryDirectory(prefix="monitoring") as name:
        folder = Path(name)
        store_baseline(folder, people(BASELINE_ROWS, 1), "before")
        after = people(rows, 2)
        store_baseline(folder, after, "after")
        store_days(folder, [after])
        print(f"{rows:,} rows of {len(COLUMNS)} inputs, prediction and outcome, against {BASELINE_ROWS:,}")
        print_row("", ["CPU s", "seconds", "peak MiB"])
        ours = measure(counted, folder, imports=IMPORTS)
        joined = measure(joined_and_counted, folder, imports=IMPORTS)
        theirs = measure(with_evidently, folder, imports=("evidently.presets", "scipy.stats")) if beside else None
        for line, measured in (("rows with features", ours), ("joined first", joined), ("Evidently", theirs)):
            if measured is not None:
                print_row(
                    line, [f"{measured.cpu_seconds:.2f}", f"{measured.seconds:.2f}", f"{measured.peak_rss_mib:.0f}"]
                )
    kept = ours.cpu_seconds <= GOAL_CPU and ours.peak_rss_mib <= GOAL_MIB
    print(f"goal: {GOAL_CPU:g} s CPU and {GOAL_MIB} MiB: {'kept' if kept else 'missed'}")
    if theirs is not None:
        times = theirs.cpu_seconds / ours.cpu_seconds
        print(f"Evidently takes {times:.0f} times the CPU (goal {GOAL_TIMES})")
        apart = {name: abs(value - ours.value[name]) for name, value in theirs.value.items()}
        print(f"largest difference of {len(apart)} Jensen-Shannon distances of categories: {max(apart.values()):.1e}")
        kept = kept and times >= GOAL_TIMES
    return kept


def people(rows: int, seed: int) -> Columns:
    """Return customers of the simulated telco with calibrated predictions and outcomes that follow them."""
    table = simulate("telco", SimulationSettings(customers=rows, months=4, seed=seed))
    table = table.filter(pc.equal(table[EVENT_TIME], pc.max(table[EVENT_TIME]))).slice(0, rows)
    rows = table.num_rows
    truth = table[CONTRACT.truth].to_numpy().astype(float)
    random = np.random.default_rng(seed)
    columns: Columns = {name: table[name].to_pandas().to_numpy() for name in COLUMNS}
    value = np.full(rows, MONEY.customer_value.amount)
    return {
        **columns,
        "probability": truth,
        "label": (random.uniform(size=rows) < truth).astype(np.int8),
        "treated": treatment_pays(truth, value, MONEY),
        "customer_value": value,
    }


def store_baseline(folder: Path, rows: Columns, digest: str) -> None:
    """Write rows as the baseline of a version."""
    store = LocalFeatureStore(folder, CONTRACT.name)
    keys = keys_of(rows, 0)
    version = {"model_digest": [digest] * len(rows["label"]), "model_name": [MODEL] * len(rows["label"])}
    columns = {
        **version,
        "model_version": ones(rows),
        **keys,
        **inputs_of(rows),
        **parts(rows, *SCORED, "label", "treated"),
    }
    table = pa.table({**columns, "label_ts": keys[EVENT_TIME]})
    store.upsert(CONTRACT.table("baseline"), table.to_reader())


def store_days(folder: Path, days: Sequence[Columns]) -> None:
    """Write the rows of each day as predictions with their features and outcomes."""
    store = LocalFeatureStore(folder, CONTRACT.name)

    def tables(rows: Columns, day: int) -> dict[TableName, dict[str, Any]]:
        keys, count = keys_of(rows, day), len(rows["label"])
        decision = pa.array(np.where(rows["treated"], "treat", "leave"))
        scored = {**parts(rows, *SCORED), "decision": decision, "scored_at": keys[EVENT_TIME]}
        batch = {"batch_id": pa.array([f"{day:05d}"] * count), "row_number": pa.array(np.zeros(count, dtype=np.int64))}
        version = {"model_name": pa.array([MODEL] * count), "model_version": ones(rows)}
        label = {**parts(rows, "label"), "label_ts": keys[EVENT_TIME], "split": pa.array(["train"] * count)}
        return {
            "features": {**keys, **inputs_of(rows)},
            "labels": {**keys, **label},
            "predictions": {**batch, **keys, **scored, **version},
        }

    for name in ("features", "labels", "predictions"):
        written = (pa.RecordBatch.from_pydict(tables(rows, day)[name]) for day, rows in enumerate(days))
        first = next(written)
        reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], written))
        store.upsert(CONTRACT.table(name), reader)


def keys_of(rows: Columns, day: int) -> dict[str, pa.Array]:
    count = len(rows["label"])
    names = pa.array([f"{number:08d}" for number in range(count)])
    return {CONTRACT.entity_key: names, EVENT_TIME: pa.array([START + dt.timedelta(days=day)] * count, TIME)}


def inputs_of(rows: Columns) -> dict[str, pa.Array]:
    return {name: pa.array(rows[name], from_pandas=True) for name in COLUMNS}


def parts(rows: Columns, *names: str) -> dict[str, pa.Array]:
    return {name: pa.array(rows[name]) for name in names}


def ones(rows: Columns) -> pa.Array:
    return pa.array(np.full(len(rows["label"]), VERSION, dtype=np.int64))


def counted(folder: Path) -> dict[str, float]:
    """Return the Jensen-Shannon distance of each category; everything else is computed too."""
    windows, table = (
        LocalPredictionWindows(folder, CONTRACT.name),
        LocalFeatureStore(folder, CONTRACT.name).latest("churn_baseline"),
    )
    bins, before = baseline_of(windows, table)
    (after,) = sides_of(windows.baseline(table, "after", bins, ())).values()
    return judged(bins, before, after)


def joined_and_counted(folder: Path) -> dict[str, float]:
    """Return the same of predictions that are joined first."""
    windows, store = LocalPredictionWindows(folder, CONTRACT.name), LocalFeatureStore(folder, CONTRACT.name)
    bins, before = baseline_of(windows, store.latest("churn_baseline"))
    asked = Asked("event", "day", VERSION, [START])
    (after,) = sides_of(windows.aggregate(predicted(store), asked, bins, ())).values()
    return judged(bins, before, after)


def baseline_of(windows: LocalPredictionWindows, table: Any) -> tuple[tuple[Bins, ...], Side]:
    bins = windows.layout(table, "before", COLUMNS, numbers=SETTINGS.bins, texts=SETTINGS.texts)
    (before,) = sides_of(windows.baseline(table, "before", bins, ())).values()
    return bins, before


def predicted(store: LocalFeatureStore) -> Predicted:
    tables = {name: store.latest(f"churn_{name}") for name in ("predictions", "features", "labels")}
    return Predicted(model=MODEL, known_by=START + dt.timedelta(days=4000), **tables)


def judged(bins: tuple[Bins, ...], before: Side, after: Side) -> dict[str, float]:
    list(figures(after, bins, money=MONEY, baseline=before))
    texts = {column.name for column in bins if column.kind == "text"}
    measures = differences(bins, before, after)
    return {
        part.column: part.number or 0.0 for part in measures if part.metric == "js_distance" and part.column in texts
    }


def with_evidently(folder: Path) -> dict[str, float]:
    """Return the Jensen-Shannon distances that Evidently finds; its rows are in memory already."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    store = LocalFeatureStore(folder, CONTRACT.name)
    table, sides = store.latest("churn_baseline"), []
    texts = [name for name in COLUMNS if CONTRACT.columns[name].type == "categorical"]
    definition = DataDefinition(numerical_columns=[*set(COLUMNS) - {*texts}, "probability"], categorical_columns=texts)
    for digest in ("before", "after"):
        frame = store.scan(table, [*COLUMNS, "probability"], where={"model_digest": digest}).read_all().to_pandas()
        sides.append(Dataset.from_pandas(frame, data_definition=definition))
    result = Report([DataDriftPreset(cat_method="jensenshannon")]).run(sides[1], sides[0]).dict()
    values = {
        part["config"]["column"]: float(part["value"])
        for part in result["metrics"]
        if "column" in part.get("config", {})
    }
    return {name: values[name] for name in texts}


def alarms(years: int, customers: int) -> bool:
    """Print the false alarms a year, and how many of the windows in which something happened were found."""
    pool, random = people(200_000, 3), np.random.default_rng(4)
    total, odds = len(pool["label"]), weaker_odds(pool)
    events: dict[str, Callable[[Columns], None]] = {
        "unit change of 10% (monthly_charges)": unit_change,
        "new category, 2% of the rows": new_category,
        "10% missing (total_charges)": missing,
        "concept shift of 3 points of ROC AUC": concept_shift(odds),
    }
    with tempfile.TemporaryDirectory(prefix="monitoring") as name:
        folder, days = Path(name), 365 * years
        store_baseline(folder, drawn(pool, random.choice(total, BASELINE_ROWS)), "before")
        windows, store = LocalPredictionWindows(folder, CONTRACT.name), LocalFeatureStore(folder, CONTRACT.name)
        bins, before = baseline_of(windows, store.latest("churn_baseline"))
        plan: list[Callable[[Columns], None] | None] = [None] * days
        for event in events.values():
            plan += [event] * 30
        batches = []
        for event in plan:
            rows = drawn(pool, random.choice(total, customers, replace=False))
            rows["label"] = (random.uniform(size=customers) < rows["probability"]).astype(np.int8)
            if event is not None:
                event(rows)
            batches.append(rows)
        store_days(folder, batches)
        triage, baseline = Triage(SETTINGS, MONEY.currency, {}), realised(before.whole, MONEY)
        diagnosed: list[list[str]] = []
        for first in range(0, len(plan), 50):
            starts = [START + dt.timedelta(days=day) for day in range(first, min(first + 50, len(plan)))]
            sides = sides_of(windows.aggregate(predicted(store), Asked("event", "day", VERSION, starts), bins, ()))
            for start in starts:
                side = sides[start, "batch"]
                figured = figures(side, bins, money=MONEY, baseline=before)
                place = {"version": VERSION, "source": "batch", "start": start, "end": start + dt.timedelta(days=1)}
                window = Window.of(figured, differences(bins, before, side), **place)
                diagnosed.append([diagnosis.kind for diagnosis in triage(window, baseline) if diagnosis.acts])
    false = sum(map(bool, diagnosed[:days])) / years
    print(f"daily windows of {customers:,} customers, a baseline of {BASELINE_ROWS:,}, {years} years without drift")
    wrong = sorted({kind for kinds in diagnosed[:days] for kind in kinds})
    print(f"false alarms a year: {false:.2f} (goal at most {GOAL_ALARMS:g}) {', '.join(wrong)}")
    for first, event_name in enumerate(events):
        part = diagnosed[days + 30 * first : days + 30 * (first + 1)]
        share = sum(map(bool, part)) / len(part)
        named = sorted({kind for kinds in part for kind in kinds})
        delay = f"{1 / share:.2f} windows on average" if share else "never"
        print(f"{event_name}: found in {share:.0%} of the first windows ({delay}), as {', '.join(named) or 'nothing'}")
    print(
        f"no test at all finds that shift in more than {best_possible(pool, odds, customers):.0%} of the first windows"
    )
    return false <= GOAL_ALARMS


def drawn(pool: Columns, chosen: npt.NDArray[np.int64]) -> Columns:
    return {name: values[chosen].copy() for name, values in pool.items()}


def unit_change(rows: Columns) -> None:
    rows["monthly_charges"] = rows["monthly_charges"] * 1.1


def new_category(rows: Columns) -> None:
    rows["payment_method"][: len(rows["payment_method"]) // 50] = "Mobile wallet"


def missing(rows: Columns) -> None:
    rows["total_charges"] = rows["total_charges"].astype(float)
    rows["total_charges"][: len(rows["total_charges"]) // 10] = np.nan


def weaker_odds(pool: Columns) -> Callable[[Numbers], Numbers]:
    """Return how likely churn becomes where outcomes follow predictions less closely: the ROC AUC is 0.03 lower."""
    from scipy.optimize import brentq
    from scipy.special import expit, logit
    from sklearn.metrics import roc_auc_score

    p, u = pool["probability"], np.random.default_rng(5).uniform(size=len(pool["label"]))
    level = logit(p).mean()

    def odds(slope: float, probability: Numbers) -> Numbers:
        return np.asarray(expit(level + slope * (logit(probability) - level)))

    usual = roc_auc_score(u < p, p)
    slope = brentq(lambda s: roc_auc_score(u < odds(s, p), p) - usual + 0.03, 0.3, 1.0, xtol=1e-3)
    return partial(odds, slope)


def concept_shift(odds: Callable[[Numbers], Numbers]) -> Callable[[Columns], None]:
    """Return the event in which churn becomes as likely as `odds` says."""
    random = np.random.default_rng(6)

    def happen(rows: Columns) -> None:
        rows["label"] = (random.uniform(size=len(rows["label"])) < odds(rows["probability"])).astype(np.int8)

    return happen


def best_possible(pool: Columns, odds: Callable[[Numbers], Numbers], customers: int) -> float:
    """Return the share of first windows in which any test at all can find a change, at one false alarm a year.

    It is that of the likelihood ratio, which knows the change beforehand (Neyman and Pearson 1933).
    """
    random, ratios = np.random.default_rng(7), dict[bool, list[float]]()
    for _ in range(4_000):
        p = pool["probability"][random.integers(0, len(pool["label"]), customers)]
        changed = odds(p)
        for is_changed, truth in ((False, p), (True, changed)):
            churned = random.uniform(size=customers) < truth
            ratio = np.where(churned, np.log(changed / p), np.log((1 - changed) / (1 - p))).sum()
            ratios.setdefault(is_changed, []).append(float(ratio))
    return float(np.mean(np.array(ratios[True]) > np.quantile(ratios[False], 1 - 1 / 365)))


if __name__ == "__main__":
    sys.exit(main())
