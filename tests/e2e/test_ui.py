"""The dashboards as a user meets them: real servers, a real browser, a ZenML home of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.local import zenml_home, zenml_ui
from adapters.local.servers import HOST, open_local, stop
from churn.core.errors import StoreError

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("ui")]

ROOT = Path(__file__).parents[2]
PIPELINE = """
import sys
import time
from zenml import pipeline, step
from zenml.client import Client
from zenml.types import HTMLString

@step
def profile() -> HTMLString:
    return HTMLString("<h1 id='proof'>Profile of 7,043 customers</h1>")

@pipeline(enable_cache=False)
def demo():
    profile()

client = Client()
if "--stack" in sys.argv:
    client.create_stack_component("files", "local", "artifact_store", {"path": sys.argv[2]})
    client.create_stack("laptop", {"orchestrator": "default", "artifact_store": "files"})
    client.activate_stack("laptop")
demo()
"""
BROWSER = "--no-sandbox --headless --in-process-gpu --disable-software-rasterizer --disable-background-networking"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with one pipeline run, whose artifacts lie in a folder of the project as the local stack has it."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ZENML_")]:
            patch.delenv(name)
        patch.setenv("ZENML_CONFIG_PATH", str(folder / "zenml"))
        patch.setenv("ZENML_ANALYTICS_OPT_IN", "false")
        (folder / "demo.py").write_text(PIPELINE)
        run_demo(folder, "--stack", str(folder / "artifacts"))
        yield folder


@pytest.fixture(scope="module")
def dashboards(home: Path) -> Iterator[zenml_ui.Dashboards]:
    started = zenml_ui.start(
        f"sqlite:///{home}/mlflow.db", home / "state", zenml_port=unused_port(), mlflow_port=unused_port()
    )
    yield started
    started.stop()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def run_demo(home: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "demo.py", *arguments], cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def fetch(url: str) -> str:
    with open_local(url, seconds=30) as answer:
        return answer.read().decode()


def refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) != 0


def runs_of(dashboards: zenml_ui.Dashboards) -> list[dict[str, Any]]:
    return json.loads(fetch(dashboards.servers[0].address + "/api/v1/runs?sort_by=desc:created"))["items"]


def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs chromium: apt-get install chromium")
    return found


@pytest.mark.parametrize("variable", ["ZENML_CONFIG_PATH", "XDG_CONFIG_HOME", "HOME"])
def test_zenmls_home_is_where_zenml_looks_for_it(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zenml.utils.io_utils import get_global_config_directory

    for name in ("ZENML_CONFIG_PATH", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert str(zenml_home.config_folder()) == get_global_config_directory()


def test_the_store_is_the_one_that_the_client_wrote_to(home: Path) -> None:
    assert zenml_home.store_url() == f"sqlite:///{home}/zenml/local_stores/default_zen_store/zenml.db"
    assert Path(zenml_home.store_url().removeprefix("sqlite:///")).is_file()


def test_both_dashboards_answer(dashboards: zenml_ui.Dashboards) -> None:
    assert list(dashboards.pages) == ["ZenML", "MLflow"]
    assert "<title>ZenML Dashboard</title>" in fetch(dashboards.pages["ZenML"])
    assert "<title>MLflow</title>" in fetch(dashboards.pages["MLflow"])


def test_the_dashboard_shows_the_runs_of_the_client(dashboards: zenml_ui.Dashboards) -> None:
    assert runs_of(dashboards)[0]["body"]["status"] == "completed"


def test_a_second_start_finds_what_runs(dashboards: zenml_ui.Dashboards) -> None:
    found = zenml_ui.running(dashboards.state)
    assert found is not None
    assert found.pages == dashboards.pages


def test_a_pipeline_runs_beside_the_dashboard_and_appears_in_it(home: Path, dashboards: zenml_ui.Dashboards) -> None:
    before = len(runs_of(dashboards))
    run_demo(home)
    assert len(runs_of(dashboards)) == before + 1


def test_nothing_is_sent_home(dashboards: zenml_ui.Dashboards) -> None:
    assert json.loads(fetch(dashboards.servers[0].address + "/api/v1/info"))["analytics_enabled"] is False


def test_the_dashboard_opens_on_the_pipelines_and_shows_an_artifacts_picture(dashboards: zenml_ui.Dashboards) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium(), args=BROWSER.split())
        page = browser.new_page(viewport={"width": 1400, "height": 850})
        page.goto(dashboards.pages["ZenML"])
        page.get_by_text("demo", exact=True).first.wait_for()
        assert "/survey" not in page.url
        page.goto(f"{dashboards.servers[0].address}/projects/default/runs/{runs_of(dashboards)[0]['id']}")
        page.get_by_text("HTMLString").click()
        page.get_by_role("dialog").get_by_text("Visualization").click()
        page.get_by_text("Load Preview").click()
        assert page.frame_locator("iframe").locator("#proof").inner_text() == "Profile of 7,043 customers"
        browser.close()


def test_a_port_in_use_is_passed_over_and_the_end_leaves_the_client_as_it_was(home: Path) -> None:
    configuration = (home / "zenml" / "config.yaml").read_text()
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        started = zenml_ui.start("http://mlflow.example:5000/", home / "ports", zenml_port=port, detach=True)
    started.stop()
    zenml, mlflow = started.servers
    assert started.notes == (f"Port {port} is in use: ZenML listens on {zenml.address.rpartition(':')[2]}.",)
    assert zenml.address != f"http://{HOST}:{port}"
    assert mlflow.address == "http://mlflow.example:5000"
    assert zenml_ui.running(home / "ports") is None
    assert not zenml.runs
    assert (home / "zenml" / "config.yaml").read_text() == configuration
    run_demo(home)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_the_servers_end_with_the_program(home: Path, number: signal.Signals, code: int) -> None:
    port = unused_port()
    program = (
        "from pathlib import Path; from adapters.local import zenml_ui\n"
        f"up = zenml_ui.start('http://mlflow.example', Path({str(home / 'ended')!r}), zenml_port={port})\n"
        "print('up', flush=True); up.wait()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(1)  # from printing to waiting
        process.send_signal(number)
        assert process.wait(timeout=30) == code
    assert refused(port)


def test_a_second_start_leaves_no_pair_behind_and_the_end_of_one_server_ends_the_other(home: Path) -> None:
    state, ports = home / "twice", {"zenml_port": unused_port(), "mlflow_port": unused_port()}
    first = zenml_ui.start(f"sqlite:///{home}/mlflow.db", state, detach=True, **ports)
    second = zenml_ui.start(f"sqlite:///{home}/mlflow.db", state, detach=True, **ports)
    assert (first.found, second.found, second.pages) == (False, True, first.pages)
    stop(first.servers[:1])
    left = zenml_ui.running(state)
    assert left is not None
    assert list(left.pages) == ["MLflow"]
    left.stop()
    assert not any(server.runs for server in first.servers)
    assert zenml_ui.running(state) is None


def test_a_server_that_cannot_start_says_why_and_leaves_nothing_running(home: Path) -> None:
    (home / "broken.db").write_bytes(b"not a database" * 1000)
    port = unused_port()
    with pytest.raises(StoreError, match=r"(?s)MLflow did not start; the end of .*mlflow-ui\.log: .*not a database"):
        zenml_ui.start(
            f"sqlite:///{home}/broken.db", home / "broken", zenml_port=port, mlflow_port=unused_port(), detach=True
        )
    assert refused(port)
