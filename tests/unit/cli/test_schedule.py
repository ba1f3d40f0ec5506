"""The recurring jobs as cron, systemd and the stack take them."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from churn.lifecycle.workspace import Workspace
from churn.settings import ScheduleSettings
from cli.context import CONFIGS, alone
from cli.main import main
from cli.parser import build_parser
from cli.schedule import JOBS
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.tables import MemoryFeatureStore


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["schedule", "print", *words]) == 0
    return capsys.readouterr().out


def test_every_job_has_a_time_in_the_settings_and_a_command_that_is_understood() -> None:
    assert set(JOBS) == set(ScheduleSettings.model_fields)
    for words in JOBS.values():
        build_parser().parse_args([*words.split(), "--quiet", "--dataset", "telco"])


def test_cron_lines_go_to_the_folder_and_name_the_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "--format", "cron", "--dataset", "telco").splitlines()
    assert lines[1] == "CRON_TZ=UTC"
    jobs = [line for line in lines[2:] if line]
    assert len(jobs) == len(JOBS)
    for line in jobs:
        assert f"cd {shlex.quote(str(CONFIGS.parent))} && " in line
        assert line.endswith("--dataset telco --quiet")
    assert [line.split("  ")[0] for line in jobs if "--pipeline inference" in line] == ["0 5 * * 1"]


def test_what_a_shell_cron_and_systemd_would_read_otherwise_is_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "campaign.salt=50% of $HOME"]
    cron = printed(capsys, "--format", "cron", *options)
    assert r"'campaign.salt=50\% of $HOME'" in cron
    assert '"campaign.salt=50%% of $$HOME"' in printed(capsys, "--format", "systemd", *options)


def test_files_that_are_typed_from_another_folder_are_found_by_the_job(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text((CONFIGS / "datasets" / "telco.yaml").read_text())
    (tmp_path / "more.yaml").write_text("seed: 7")
    monkeypatch.chdir(tmp_path)
    cron = printed(capsys, "--format", "cron", "--dataset", "mine.yaml", "--config", "more.yaml")
    assert f"--config {tmp_path / 'more.yaml'} --dataset {tmp_path / 'mine.yaml'} --quiet" in cron


def test_a_job_that_does_not_recur_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert "rollout check" not in printed(capsys, "--set", "schedule.rollout_check=null")


def test_systemd_accepts_the_units(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = printed(capsys, "--format", "systemd", "--dataset", "telco")
    units: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("# systemd: "):
            current = units.setdefault(Path(line.split()[2].rstrip(";")).name, [])
        else:
            current.append(line)
    assert len(units) == 2 * len(JOBS)
    for name, lines in units.items():
        (tmp_path / name).write_text("\n".join(lines))
    if found := shutil.which("systemd-analyze"):
        paths = [str(path) for path in sorted(tmp_path.glob("*.timer"))]
        checked = subprocess.run([found, "verify", "--user", *paths], capture_output=True, text=True, check=False)
        told = [line for line in checked.stderr.splitlines() if "churn-" in line]
        assert told == []


def test_json_lists_the_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(printed(capsys, "--json"))
    assert {job["job"] for job in answer["jobs"]} == set(JOBS)
    assert (answer["exit"], answer["stack"]) == (0, False)


def test_a_stack_that_keeps_no_schedules_says_so_and_another_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ZenML's local one, which keeps no schedules" in printed(capsys, "--format", "stack")
    told = printed(capsys, "--format", "stack", "--stack", "databricks")
    assert "--pipeline monitoring --stack databricks" in told
    assert "--schedule '0 6 * * *'" in told
    assert "features publish" not in told


def test_a_job_that_finds_its_predecessor_running_says_so_and_waits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = MemoryFeatureStore("toy")
    workspace = Workspace(CONTRACT, "churn_toy", 1, lambda: None, {"tables": lambda: store})  # type: ignore[arg-type]
    order: list[str] = []

    def first() -> None:
        with alone(workspace, "data_vacuum"):
            order.append("first begins")
            time.sleep(0.3)
            order.append("first ends")

    thread = threading.Thread(target=first)
    thread.start()
    while not order:
        time.sleep(0.01)
    with alone(workspace, "data_vacuum", patience=0.05):
        order.append("second")
    thread.join()
    assert order == ["first begins", "first ends", "second"]
    assert "Another `data vacuum` works on toy: this one waits until it has ended." in capsys.readouterr().err


def test_the_time_that_it_takes_to_reach_the_tables_is_no_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    def slow() -> MemoryFeatureStore:
        time.sleep(0.2)
        return MemoryFeatureStore("toy")

    workspace = Workspace(CONTRACT, "churn_toy", 1, lambda: None, {"tables": slow})  # type: ignore[arg-type]
    with alone(workspace, "monitoring", patience=0.05):
        pass
    assert capsys.readouterr().err == ""
