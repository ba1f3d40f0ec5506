"""What ZenML and MLflow add to training: the pipeline beside the same work as a bare function, in one run.

    python benchmarks/pipeline_overhead.py [--rounds 3] [--set KEY=VALUE …]

Both sides work in one process on a warm stack, uncached, on the default simulation; imports are timed apart. The bare
function calls the same use cases in the same order, up to the rendered report, and leaves out only what the frameworks
are for (runs, artifacts, records, registration). Every round starts from empty tables and an empty study, so that
neither side finds work already done.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cli.environment import prepare  # noqa: E402

if TYPE_CHECKING:
    from churn.data.contract import DatasetContract
    from churn.profile import Profile
    from churn.settings import Settings

LIMIT_SECONDS = 8.0
"""The goal: so much may the frameworks add to the second, uncached run."""


def main() -> int:
    """Run both sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    prepare(debug=False)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ZENML_CONFIG_PATH"] = str(Path(folder) / "zenml")
        return _compare(Path(folder), arguments.rounds, arguments.set)


def _compare(folder: Path, rounds: int, overrides: list[str]) -> int:
    imports = _seconds(_import_everything)
    from churn.settings import load_contract, read_configuration

    settings, profile = read_configuration(
        ROOT / "configs", overrides=[f"profile.state={folder / 'state'}", *overrides]
    )
    contract = load_contract(ROOT / "configs", settings.dataset)
    run_pipeline = _pipeline(settings, profile, contract)
    first = _seconds(run_pipeline)
    bare, piped = [], []
    for _ in range(rounds):
        for times, work in ((bare, lambda: _bare(settings, profile, contract)), (piped, run_pipeline)):
            _forget(profile)
            times.append(_seconds(work))
    added = median(piped) - median(bare)
    rows = [
        ("imports, cold byte code excluded", imports),
        ("first run, creating both databases", first),
        ("bare function, median", median(bare)),
        ("pipeline, second run and later, median", median(piped)),
        ("added by ZenML and MLflow", added),
        ("goal: at most", LIMIT_SECONDS),
    ]
    print(f"{'':<42}{'seconds':>9}")
    for name, seconds in rows:
        print(f"{name:<42}{seconds:>9.1f}")
    print(f"ratio {median(piped) / median(bare):.2f}; bare {_listed(bare)}; pipeline {_listed(piped)}")
    return 0 if added <= LIMIT_SECONDS else 1


def _import_everything() -> None:
    import great_expectations.expectations  # noqa: F401
    import mlflow.artifacts  # noqa: F401
    import optuna.storages  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import xgboost  # noqa: F401

    import pipelines.training  # noqa: F401


def _pipeline(settings: Settings, profile: Profile, contract: DatasetContract) -> Callable[[], object]:
    """Return the pipeline on its stack, as the command line runs it."""
    from zenml.utils import source_utils

    from adapters import wiring
    from pipelines.training import training

    experiment = settings.registered_name(contract)
    wiring.activate(profile)
    os.environ["ZENML_ACTIVE_STACK_ID"] = wiring.ensure_stack(profile, experiment)
    source_utils.set_custom_source_root(str(ROOT))
    logging.disable(logging.CRITICAL)
    options = {"experiment_tracker": {"experiment_name": experiment}}
    return lambda: training.with_options(enable_cache=False, settings=options)(settings, contract)


def _bare(settings: Settings, profile: Profile, contract: DatasetContract) -> str:
    """Do the pipeline's work without a framework: its use cases, one after the other."""
    from adapters import wiring
    from churn.lifecycle import features, training
    from churn.lifecycle.registration import Findings, Registration
    from reports.training_report import training_charts, training_page

    connected = wiring.connect(contract, settings.model_name, profile)
    no_tracker = SimpleNamespace(log_trials=lambda *_: None)
    workspace = replace(connected, make={**connected.make, "tracker": lambda: no_tracker})
    model, seed = settings.model, settings.seed
    bronze, validation = features.ingest(workspace, settings)
    training_set, leakage = training.build_training_set(
        workspace, settings, *features.build_features(workspace, settings, bronze)
    )
    tuning = training.tune(
        workspace, training_set, model=model, tuning=settings.tuning, money=settings.money, seed=seed
    )
    fitted, report = training.train(workspace, training_set, tuning, model=model, seed=seed)
    measured = training.evaluate_model(
        workspace, training_set, fitted,
        money=settings.money, evaluation=settings.evaluation, reasons=settings.reasons, seed=seed,
    )  # fmt: skip
    findings = Findings(training_set, tuning, report, *measured)
    training_charts(findings)
    version = Registration(
        name="bare", version=1, run_id=None, digest=fitted.digest, unchanged=False, description="", tags={}
    )
    return training_page(findings, version, validation=validation, leakage=leakage, settings=settings)


def _forget(profile: Profile) -> None:
    shutil.rmtree(profile.tables, ignore_errors=True)
    shutil.rmtree(profile.studies_file.parent, ignore_errors=True)


def _listed(times: list[float]) -> str:
    return ", ".join(f"{seconds:.1f}" for seconds in times)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
