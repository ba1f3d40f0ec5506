"""Batch scoring against its limit and its peers: customers a second, CPU and peak memory, from Parquet to Parquet.

    python benchmarks/batch.py [--rows 5m] [--rounds 3] [--memory 1m,20m] [--reasons 100k] [--spark 250k]
    python benchmarks/batch.py --explain    only what exact contributions cost a row, beside the trainer's budget
    python benchmarks/batch.py --plan 1m,5m    only what planning a campaign takes: bytes of memory for each customer

The limit is XGBoost's in-place prediction of the same trees on a float matrix that is in memory already, with all
threads: no file, no text, no decision. Ours reads Parquet, codes its text, adds the additive part, decides, and writes
Parquet; `whole engine` goes from the Delta table of features to that of predictions: newest row of each customer, parts
that survive a kill, digests and the commit included. `mlflow.pyfunc` gets the same scorer, registered without reasons,
in pandas chunks. The model is trained on the simulated telco; the customers are drawn at random from its contract. Each
run is a process of its own and the engines take turns; medians are shown. Loading model and libraries counts in the
memory and not in the times. Rounds of engines beside each other on a busy machine: CPU seconds tell more than seconds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.customers import contract_of, labelled, outcomes
from benchmarks.measure import Measurement, Spent, measure, number, peak_rss_mib, stopwatch
from churn.data.contract import ColumnSpec
from churn.data.tables import EVENT_TIME
from churn.model.model import ChurnModel
from churn.model.scorer import Explain, Scorer
from churn.ports.batch import Batch
from churn.ports.tables import TableRef
from churn.scoring.batch import predictions_schema, stamped
from churn.scoring.rows import coded_columns, score_batches

CHUNK, PYFUNC_CHUNK, PIECE = 65_536, 524_288, 1_000_000
NOW = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
GOALS = {
    "rows/s against the limit": 0.70,
    "CPU efficiency against mlflow.pyfunc": 1.3,
    "rows/s against a warm spark_udf": 3.0,
}
GOAL_MIB = 512
REF = TableRef(
    dataset="bench", name="churn_features", version=0, rows=0, content_id="0", key=("customer_id", EVENT_TIME), uri=""
)


def train(folder: Path) -> None:
    """Train on simulated customers; write the scorer, and MLflow models of it with and without reasons."""
    from adapters.mlflow.package import build_package
    from churn.lifecycle.training import scoring_settings
    from churn.model.money import MoneySettings
    from churn.model.scorer import ReasonSettings
    from churn.simulation.simulate import SimulationSettings, simulate
    from churn.training.train import ModelSettings
    from churn.training.train import train as fit

    telco = contract_of("telco")
    rows = simulate("telco", SimulationSettings(customers=4000, months=6)).to_pandas()
    rows = rows.drop_duplicates("customer_id", keep="last").reset_index(drop=True)
    model = fit(labelled(telco, rows), telco, ModelSettings(), seed=42).model
    settings = scoring_settings(telco, MoneySettings(), ReasonSettings())
    Scorer(model, settings).save(folder / "scorer")
    example = rows[[*telco.columns]].head()
    for name, top in (("package", 3), ("package_without_reasons", 0)):
        without = settings.model_copy(update={"reasons": ReasonSettings(top=top)})
        build_package(Scorer(model, without), folder / name, example=example, metadata={})


def generate(folder: Path, rows: int) -> None:
    """Write customers drawn from the contract, in one Parquet file, and the matrix that the trees read."""
    telco, random = contract_of("telco"), np.random.default_rng(rows)
    path = folder / f"{rows}.parquet"
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        piece = pa.table(
            {
                "customer_id": pa.array([f"C{number:09d}" for number in range(start, start + count)]),
                EVENT_TIME: pa.array(np.full(count, 1_735_000_000_000_000), pa.timestamp("us", "UTC")),
                **{name: drawn(random, column, count) for name, column in telco.columns.items()},
            }
        )
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece, row_group_size=131_072)
    assert writer is not None
    writer.close()


def drawn(random: np.random.Generator, column: ColumnSpec, rows: int) -> pa.Array:
    if column.allowed:
        return pa.array(column.allowed).take(pa.array(random.integers(0, len(column.allowed), rows)))
    high = min(column.max or 1.0, 1000.0)
    if column.type == "integer":
        return pa.array(random.integers(0, min(int(high), 72) + 1, rows))
    return pa.array(np.round(random.uniform(0, high / 8, rows), 2))


def batch_of(features: TableRef, explain: Explain, batch_id: str = "b") -> Batch:
    telco = contract_of("telco")
    return Batch(
        batch_id=batch_id,
        entity="customer_id",
        model_name="m",
        model_version=1,
        model_alias="Champion",
        threshold_policy="p",
        inputs=tuple(telco.columns),
        features=features,
        as_of=NOW,
        scored_at=NOW,
        explain=explain,
        top_reasons=3,
        predictions=telco.table("predictions"),
        quarantine=telco.table("quarantine"),
    )


def limit(folder: Path, rows: int) -> Spent:
    model = Scorer.load(folder / "scorer").model
    matrix = np.concatenate([matrix_of(model, batch) for batch in batches(folder, rows)])
    with stopwatch() as spent:
        model.booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
    return spent


def matrix_of(model: ChurnModel, batch: pa.RecordBatch) -> np.ndarray:
    kinds = {column.name: column.kind for column in model.schema.inputs}
    return model.encoder.matrix(model.encode(coded_columns(batch, kinds)))


def batches(folder: Path, rows: int) -> Iterator[pa.RecordBatch]:
    text = [name for name, column in contract_of("telco").columns.items() if column.type == "categorical"]
    file = pq.ParquetFile(folder / f"{rows}.parquet", read_dictionary=text)
    # One row group at a time: over all of them at once Arrow keeps 14 bytes for every row that it has read.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(CHUNK, row_groups=[group], use_threads=False)  # the threads are at work scoring


def ours(folder: Path, rows: int, reasons: Explain = "none") -> Spent:
    scorer = Scorer.load(folder / "scorer")
    scorer.model.booster.set_param({"nthread": 1})  # type: ignore[union-attr]
    batch = batch_of(REF, reasons)
    with (
        stopwatch() as spent,
        pq.ParquetWriter(folder / "ours.parquet", predictions_schema("customer_id", 3)) as writer,
    ):
        parts = batches(folder, rows)
        scored = score_batches(scorer, parts, entity="customer_id", explain=batch.explain, threads=2)
        for part in scored:
            writer.write_batch(stamped(part.rows, batch))
    return spent


def with_reasons(folder: Path, rows: int) -> Spent:
    return ours(folder, rows, "all")


def pyfunc(folder: Path, rows: int, package: str = "package_without_reasons") -> Spent:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(folder / package))
    with stopwatch() as spent:
        writer: pq.ParquetWriter | None = None
        for chunk in pq.ParquetFile(folder / f"{rows}.parquet").iter_batches(PYFUNC_CHUNK):
            frame = chunk.to_pandas()
            scored = model.predict(frame[model.metadata.get_input_schema().input_names()])
            scored.insert(0, "customer_id", frame["customer_id"])
            table = pa.Table.from_pandas(scored, preserve_index=False)
            writer = writer or pq.ParquetWriter(folder / "pyfunc.parquet", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
    return spent


def pyfunc_with_reasons(folder: Path, rows: int) -> Spent:
    return pyfunc(folder, rows, "package")


def fill_store(folder: Path, rows: int) -> None:
    """Let the rows be a table of features, as another batch of them would be."""
    from adapters.local.delta_table import DeltaVersion, Stamp
    from adapters.local.digest import digest_of
    from adapters.local.duck import Duck, stage

    with Duck("1GB", 2, folder / "spill").session() as connection:
        staged = stage(
            connection,
            f"FROM read_parquet('{folder / f'{rows}.parquet'}')",
            folder / "tables" / str(rows) / "churn_features",
        )
    DeltaVersion.create(staged, Stamp(REF.key, rows, str(digest_of([]))))


def whole_engine(folder: Path, rows: int) -> Spent:
    from adapters.local.batch_engine import LocalBatchEngine
    from adapters.local.feature_store import LocalFeatureStore

    store = LocalFeatureStore(folder / "tables", str(rows), memory_limit="256MB")
    features = store.latest("churn_features")
    scorer = Scorer.load(folder / "scorer")
    scorer.model.booster.set_param({"nthread": 1})  # type: ignore[union-attr]
    name = f"b{time.time_ns()}"
    batch = batch_of(features, "none", name)
    with stopwatch() as spent:
        engine = LocalBatchEngine(store, folder / "scoring", scorer)
        result = engine.score(batch, lambda *_: None)
        engine.forget(name)
    assert result.scored == rows
    return spent


def fill_predictions(folder: Path, rows: int) -> None:
    """Write a batch of predictions with reasons, and as many contacts of another batch, a tenth of them recent."""
    from adapters.local.delta_table import DeltaVersion, Stamp
    from adapters.local.digest import digest_of
    from adapters.local.duck import Duck, stage

    number = (
        f"FROM (SELECT range AS i, hash(range) / 2.0 ** 64 AS u, hash(range, 1) / 2.0 ** 64 AS v FROM range({rows}))"
    )
    text = "printf('monthly charge: %.2f (+%.2f)', 20 + 100 * v, u)"
    scored = f"""
        SELECT 'now' AS batch_id, printf('C%09d', i) AS customer_id, TIMESTAMPTZ '2025-01-01' AS {EVENT_TIME},
            u * u AS probability, 20 + 500 * v AS customer_value, 'leave' AS decision,
            {text} AS reason_1, {text} AS reason_2, {text} AS reason_3 {number}"""
    before = f"""
        SELECT 'before' AS batch_id, printf('C%09d', i) AS customer_id, 'treatment' AS "group",
            TIMESTAMPTZ '2024-01-01' AS contacted_at,
            TIMESTAMPTZ '2024-12-20' - to_days(CASE WHEN i % 10 = 0 THEN 0 ELSE 300 END) AS planned_at {number}"""
    tables = folder / "plans" / str(rows)
    for name, query, key in (
        ("churn_predictions", scored, ("batch_id", "customer_id", EVENT_TIME)),
        ("churn_contacts", before, ("batch_id", "customer_id")),
    ):
        with Duck("1GB", 2, folder / "spill").session() as connection:
            staged = stage(connection, query, tables / name)
        DeltaVersion.create(staged, Stamp(key, rows, str(digest_of([]))))


def plan(folder: Path, rows: int) -> tuple[float, float, int]:
    """Plan a campaign without limits, write its lists, record it; return peak MiB before and of planning, contacts."""
    from adapters.local.feature_store import LocalFeatureStore
    from adapters.local.files import LocalFiles
    from churn.campaign.lists import plan_batch, put_lists, record_contacts
    from churn.campaign.settings import CampaignSettings
    from churn.model.money import MoneySettings
    from churn.scoring.batch import BatchSummary

    store = LocalFeatureStore(folder / "plans", str(rows), memory_limit="256MB")
    ref = store.latest("churn_predictions")
    summary = BatchSummary.model_construct(
        batch_id="now", predictions=ref, features=ref, as_of=NOW, model_name="m", model_version=1
    )
    next(iter(store.scan(ref)))
    before = peak_rss_mib()
    planned = plan_batch(store, summary, contract_of("telco"), MoneySettings(), CampaignSettings(), now=NOW)
    peak = peak_rss_mib()
    put_lists(planned, LocalFiles(folder / "lists"))
    record_contacts(store, planned, contract_of("telco"))
    return before, peak, planned.campaign.plan.contacts


def print_plans(folder: Path, sizes: list[int]) -> None:
    """Print the memory of planning; what each further customer takes leaves out what DuckDB holds at any size."""
    goal, peaks = 100, []
    print(f"{'customers':>12}{'contacts':>12}{'seconds':>9}{'MiB before':>12}{'planning':>10}{'with lists':>12}")
    for rows in sizes:
        measure(fill_predictions, folder, rows, timeout=3600)
        run = measure(plan, folder, rows, imports=("scipy.special", "scipy.optimize", "pandas"), timeout=3600)
        before, peak, contacts = run.value
        peaks.append((peak, run.peak_rss_mib))
        cells = f"{run.seconds:>9.0f}{before:>12,.0f}{peak:>10,.0f}{run.peak_rss_mib:>12,.0f}"
        print(f"{rows:>12,}{contacts:>12,}{cells}", flush=True)
    if len(sizes) > 1:
        further = [
            (last - first) * 2**20 / (sizes[-1] - sizes[0]) for first, last in zip(peaks[0], peaks[-1], strict=True)
        ]
        print(f"plan: {further[0]:.0f} bytes a customer from {sizes[0]:,} on (goal: at most {goal}) ", end="")
        print(f"{'reached' if further[0] <= goal else 'MISSED'}; {further[1]:.0f} where its lists are written, too")


def spark(folder: Path, rows: int) -> Spent:
    """Score by `mlflow.pyfunc.spark_udf` on two local cores, once to warm up and once for the clock."""
    import mlflow.pyfunc

    os.environ["PYSPARK_PYTHON"] = sys.executable  # else the first python on PATH, without the libraries
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import struct

    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    model = str(folder / "package_without_reasons")
    names = mlflow.pyfunc.load_model(model).metadata.get_input_schema().input_names()
    kind = "probability double, decision string, expected_value double, reasons array<string>"
    udf = mlflow.pyfunc.spark_udf(session, model, result_type=kind, env_manager="local")
    frame = session.read.parquet(str(folder / f"{rows}.parquet"))
    for _ in range(2):
        with stopwatch() as spent:
            frame.withColumn("scored", udf(struct(*names))).write.mode("overwrite").parquet(str(folder / "spark"))
    return spent


def explained() -> list[tuple[str, float, float, float]]:
    """Return blend, and microseconds a row of its contributions: measured, by the cost model, and by XGBoost alone."""
    import xgboost

    from benchmarks.quality_zoo import parity_of_three
    from churn.model.tree_shap import explanation_costs
    from churn.simulation.simulate import SimulationSettings, simulate
    from churn.training.train import ModelSettings, train

    telco, random = contract_of("telco"), np.random.default_rng(0)
    rows = simulate("telco", SimulationSettings(customers=6000, months=4)).to_pandas().drop_duplicates("customer_id")
    simulated = labelled(telco, rows)
    parity = outcomes(*parity_of_three(6000, random), random)
    numbers = dict.fromkeys(parity.columns, telco.columns["tenure"])
    made_up = telco.model_copy(update={"columns": numbers, "features": ()})
    found = []
    for name, data, of, candidates in (
        ("additive + boosting, simulated telco", simulated, telco, ("additive", "boosting")),
        ("additive + deep boosting, the same", simulated, telco, ("additive", "deep_boosting")),
        ("deep boosting at the budget, parity of three", parity, made_up, ("deep_boosting",)),
        ("symmetric trees, parity of three", parity, made_up, ("symmetric",)),
    ):
        model = train(data, of, ModelSettings(candidates=candidates), seed=0).model  # type: ignore[arg-type]
        part = {name: values[:5000] for name, values in data.columns.items()}
        model.contributions(part)
        encoded = model.encode(part)
        types = ["c" if name in model.categories else "float" for name in encoded]
        matrix = xgboost.DMatrix(model.encoder.matrix(encoded), feature_types=types, nthread=1)
        whole = cpu_us(lambda model=model, part=part: model.contributions(part))  # type: ignore[misc]
        if model.booster is None:
            found.append((name, whole, model.symmetric.explanation_cost, np.nan))  # type: ignore[union-attr]
            continue
        model.booster.set_param({"nthread": 1})
        alone = cpu_us(lambda model=model, matrix=matrix: model.booster.predict(matrix, pred_contribs=True))  # type: ignore[misc]
        found.append((name, whole, float(explanation_costs(model.booster)[-1]), alone))
    return found


def cpu_us(work: Callable[[], object], rows: int = 5000, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        with stopwatch() as spent:
            work()
        times.append(spent.cpu_seconds)
    return min(times) / rows * 1e6


def print_explained() -> None:
    budget = 300
    print(f"exact contributions, CPU microseconds a row on one thread, smallest of 3; budget of the trees {budget}")
    print(f"{'blend':<48}{'measured':>10}{'cost model':>12}{'XGBoost':>10}")
    for name, whole, modelled, alone in measure(explained, imports=("xgboost",), timeout=3600).value:
        print(f"{name:<48}{whole:>10.0f}{modelled:>12.0f}{alone:>10.0f}   {'kept' if whole <= budget else 'MISSED'}")


IMPORTS = {
    "whole engine": ("xgboost", "adapters.local.feature_store", "adapters.local.batch_engine"),
    "mlflow.pyfunc": ("mlflow.pyfunc", "xgboost"),
    "warm spark_udf": ("mlflow.pyfunc", "xgboost", "pyspark.sql"),
}
Engine = Callable[[Path, int], Spent]


def compare(folder: Path, engines: dict[str, Engine], rows: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Print the medians of engines that take turns; return customers a second, and CPU microseconds a customer."""
    runs: dict[str, list[Measurement]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            imports = IMPORTS.get(name, ("xgboost",))
            runs[name].append(measure(engine, folder, rows, imports=imports, timeout=3600))
    print(f"\n{rows:,} customers, {rounds} round(s)")
    print(f"{'engine':<28}{'customers/s':>13}{'CPU us each':>13}{'peak MiB':>10}")
    results = {}
    for name, measured in runs.items():
        pace = rows / statistics.median(run.value.seconds for run in measured)
        cpu = statistics.median(run.value.cpu_seconds for run in measured) / rows * 1e6
        memory = statistics.median(run.peak_rss_mib for run in measured)
        results[name] = (pace, cpu)
        line = f"{name:<28}{pace:>13,.0f}{cpu:>13.2f}{memory:>10,.0f}"
        if name == "whole engine":
            line += f"   goal: at most {GOAL_MIB} MiB, {'reached' if memory <= GOAL_MIB else 'MISSED'}"
        print(line, flush=True)
    return results


def told(words: str, found: float) -> None:
    goal = GOALS[words]
    print(f"{words}: {found:.2f} (goal: at least {goal:.2f}) {'reached' if found >= goal else 'MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=number, default=5_000_000, help="customers, such as 5m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="", help="also the peak memory of ours at these sizes, such as 1m,20m")
    parser.add_argument("--reasons", type=number, default=100_000, help="customers that get reasons; 0 for none")
    parser.add_argument("--spark", type=number, default=250_000, help="customers for spark_udf; 0 for none")
    parser.add_argument("--explain", action="store_true", help="only the cost of exact contributions")
    parser.add_argument("--plan", default="", help="only the memory of planning campaigns, such as 1m,5m")
    options = parser.parse_args()
    if options.plan:
        with tempfile.TemporaryDirectory(prefix="batch") as name:
            print_plans(Path(name), [number(size) for size in options.plan.split(",")])
        return
    print_explained()
    if options.explain:
        return
    with tempfile.TemporaryDirectory(prefix="batch") as name:
        folder = Path(name)
        measure(train, folder)
        sizes = [number(size) for size in options.memory.split(",") if size]
        for rows in {options.rows, options.reasons, *sizes, options.spark} - {0}:
            measure(generate, folder, rows, timeout=3600)
        measure(fill_store, folder, options.rows)
        engines: dict[str, Engine] = {
            "limit": limit,
            "ours": ours,
            "whole engine": whole_engine,
            "mlflow.pyfunc": pyfunc,
        }
        found = compare(folder, engines, options.rows, options.rounds)
        told("rows/s against the limit", found["ours"][0] / found["limit"][0])
        print(f"  by CPU: {found['limit'][1] / found['ours'][1]:.2f}")
        told("CPU efficiency against mlflow.pyfunc", found["mlflow.pyfunc"][1] / found["ours"][1])
        if options.spark and importlib.util.find_spec("pyspark"):
            both = compare(folder, {"ours": ours, "warm spark_udf": spark}, options.spark, options.rounds)
            told("rows/s against a warm spark_udf", both["ours"][0] / both["warm spark_udf"][0])
        if options.reasons:
            compare(
                folder, {"ours, all reasons": with_reasons, "mlflow.pyfunc": pyfunc_with_reasons}, options.reasons, 1
            )
        for rows in sizes:
            measure(fill_store, folder, rows, timeout=3600) if rows != options.rows else None
            compare(folder, {"ours": ours, "whole engine": whole_engine}, rows, 1)


if __name__ == "__main__":
    main()
