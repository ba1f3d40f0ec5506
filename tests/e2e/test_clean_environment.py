"""A packaged model in an environment made from its own requirements, far from this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from adapters.mlflow.package import build_package
from tests.fakes.data.scorers import customers, small_scorer

pytestmark = pytest.mark.timeout(300)

CODE = """
import importlib.util, json, sys
import mlflow, pandas
assert importlib.util.find_spec("churn") is None, "the repository is on the path"
package, rows = sys.argv[1:]
scored = mlflow.pyfunc.load_model(package).predict(pandas.read_json(rows, orient="split"))
json.dump(scored.to_dict("list"), sys.stdout)
"""
# XGBoost's GPU communication library: 469 MB that nothing here loads.
OVERRIDES = "nvidia-nccl-cu12; sys_platform == 'never'\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packaged") / "model"
    return build_package(small_scorer(boosted=True), folder, example=customers(), metadata={})


@pytest.fixture(scope="module")
def clean_python(package: Path, require: Callable[[object, str], None]) -> Path:
    """The interpreter of a new environment with what the package says it requires, and nothing else."""
    uv = shutil.which("uv")
    require(uv, "uv: https://docs.astral.sh/uv/")
    folder = package.parent / "environment"
    overrides = package.parent / "overrides.txt"
    overrides.write_text(OVERRIDES)
    subprocess.run([str(uv), "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(uv), "pip", "install", "-q", "--python", str(python), "--overrides", str(overrides)]
    installed = subprocess.run(
        [*install, "-r", str(package / "requirements.txt")],
        env={**os.environ, "UV_COMPILE_BYTECODE": "0"},  # of all of it, for one import
        check=False,
        capture_output=True,
        text=True,
    )
    require(installed.returncode == 0, f"the package index: {installed.stderr}")
    return python


def test_it_loads_and_gives_the_same_numbers(package: Path, clean_python: Path, tmp_path: Path) -> None:
    rows = customers(30).drop(columns="customer_id")
    (tmp_path / "rows.json").write_text(rows.to_json(orient="split", double_precision=15))
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    ran = subprocess.run(
        [str(clean_python), "-c", CODE, str(package), str(tmp_path / "rows.json")],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "", "a clean environment gives no cause for a warning"
    there = pd.DataFrame(json.loads(ran.stdout))
    pd.testing.assert_frame_equal(there, small_scorer(boosted=True).score(rows), check_exact=True)
