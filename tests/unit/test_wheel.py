"""The wheel holds the whole program with its data, and its version changes with the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

NOT_COPIED = shutil.ignore_patterns(".*", "build", "dist", "docs", "tests", "benchmarks", "__pycache__", "*.egg-info")
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"


def built(project: Path) -> Path:
    """Build the wheel as any front end does, with the setuptools that is installed."""
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=project, capture_output=True, text=True, check=True)
    return project / "dist" / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("project") / "copy", ignore=NOT_COPIED))


@pytest.fixture(scope="module")
def wheel(project: Path) -> Path:
    return built(project)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which an installer would put it."""
    folder = tmp_path_factory.mktemp("site-packages")
    with ZipFile(wheel) as packed:
        packed.extractall(folder)
    return folder


def churn(installed: Path, folder: Path, *typed: str) -> subprocess.CompletedProcess[str]:
    """Type `churn …` in a folder, with what is installed and an empty home."""
    script = folder / "bin" / "churn"
    script.parent.mkdir(exist_ok=True)
    script.write_text("from cli.main import command\ncommand()\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "PYTHONPATH": str(installed)}
    line = [sys.executable, str(script), *typed]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_file_that_the_program_reads_of_itself_is_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        names = set(packed.namelist())
    rooms = ("adapters", "churn", "cli", "configs", "materializers", "pipelines", "reports", "serving", "steps")
    files = {path for room in rooms for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {str(path.relative_to(ROOT)) for path in files} - names == set()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(rooms)


def test_the_version_names_the_code_that_is_packed(wheel: Path) -> None:
    assert re.fullmatch(r"churn_lifecycle-\d+\.\d+\.\d+\+g[0-9a-f]{12}-py3-none-any\.whl", wheel.name)


@pytest.mark.parametrize("file", ["churn/model/money.py", "configs/base.yaml", "reports/templates/style.css"])
def test_a_wheel_of_changed_files_has_another_version(project: Path, wheel: Path, file: str) -> None:
    before = (project / file).read_bytes()
    (project / file).write_bytes(before + b"\n")
    changed = built(project).name
    (project / file).write_bytes(before)
    assert changed != wheel.name
    assert built(project).name == wheel.name


def test_the_settings_are_found_in_any_folder_and_the_state_is_in_that_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()  # somebody else's
    (tmp_path / "configs" / "base.yaml").write_text("not: ours\n")
    done = churn(installed, tmp_path, "config", "show", "--dataset", "telco")
    assert done.returncode == 0, done.stderr
    assert f"state: {tmp_path}/.churn" in done.stdout
    assert "dataset: telco\n" in done.stdout


def test_doctor_takes_an_installed_program_for_one_and_says_how_it_is_called(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")  # of the folder that one works in
    done = churn(installed, tmp_path, "doctor")
    assert re.search(r"✓ environment: libraries  \d+ that churn 0\.\d+\.\d+\+g[0-9a-f]{12} names", done.stdout)
    assert "models name the wheel 0." in done.stdout
    assert "run.py" not in done.stdout
    shown = churn(installed, tmp_path, "--version").stdout
    assert re.match(rf"churn 0\.\d+\.\d+\+g[0-9a-f]{{12}}, Python [\d.]+, {installed}\n", shown)


@pytest.mark.parametrize("typed", [["doktor"], ["endpoint", "status"], ["models"], ["models", "--json"]])
def test_what_is_to_be_typed_next_is_called_as_the_program_was(
    installed: Path, tmp_path: Path, typed: list[str]
) -> None:
    done = churn(installed, tmp_path, *typed)
    assert "run.py" not in done.stdout + done.stderr
    assert "churn" in done.stdout + done.stderr
