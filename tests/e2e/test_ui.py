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
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.local import zenml_ui
from adapters.local.servers import HOST, open_local, spawn, stop, wait_for_answers
from adapters.local.zenml import config_folder, store_url
from churn.core.errors import StoreError
from tests.forks import Python

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("ui")]

ROOT = Path(__file__).parents[2]
PIPELINE = """
import sys
import time
import urllib.error
import urllib.request
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
    """Both dashboards, whose ports are in use."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        started = start(home, zenml_port=port, mlflow_port=port)
    yield started
    started.stop()


def start(home: Path, **options: Any) -> zenml_ui.Dashboards:
    return zenml_ui.start(f"sqlite:///{home}/mlflow.db", home / "state", detach=True, **options)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def run_demo(home: Path, *arguments: str) -> None:
    process = Python("import runpy; runpy.run_path('demo.py', run_name='__main__')", *arguments, folder=home)
    printed = process.communicate()
    assert process.returncode == 0, printed


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
    assert str(config_folder()) == get_global_config_directory()


def test_the_store_is_the_one_that_the_client_wrote_to(home: Path) -> None:
    assert store_url() == f"sqlite:///{home}/zenml/local_stores/default_zen_store/zenml.db"
    assert Path(store_url().removeprefix("sqlite:///")).is_file()


def test_both_dashboards_answer(dashboards: zenml_ui.Dashboards) -> None:
    assert list(dashboards.pages) == ["ZenML", "MLflow"]
    assert "<title>ZenML Dashboard</title>" in fetch(dashboards.pages["ZenML"])
    assert "<title>MLflow</title>" in fetch(dashboards.pages["MLflow"])


def test_the_dashboard_shows_the_runs_of_the_client(dashboards: zenml_ui.Dashboards) -> None:
    assert runs_of(dashboards)[0]["body"]["status"] == "completed"


def test_a_port_in_use_is_passed_over(dashboards: zenml_ui.Dashboards) -> None:
    zenml, mlflow = (note.rpartition(": ") for note in dashboards.notes)
    assert zenml[0] == mlflow[0].replace("MLflow", "ZenML")
    ports = [server.address.rpartition(":")[2] for server in dashboards.servers]
    assert [zenml[2], mlflow[2]] == [f"ZenML listens on {ports[0]}.", f"MLflow listens on {ports[1]}."]
    assert len({*ports, zenml[0].split()[1]}) == 3


def test_a_second_start_finds_what_runs_and_starts_no_second_pair(home: Path, dashboards: zenml_ui.Dashboards) -> None:
    second = start(home)
    assert (dashboards.found, second.found, second.pages) == (False, True, dashboards.pages)
    assert [server.group for server in second.servers] == [server.group for server in dashboards.servers]


def test_a_pipeline_runs_beside_the_dashboard_and_appears_in_it(home: Path, dashboards: zenml_ui.Dashboards) -> None:
    before = len(runs_of(dashboards))
    run_demo(home)
    assert len(runs_of(dashboards)) == before + 1


FOREIGN = """
async (target) => {
  const answers = {};
  for (const [method, mode] of [["DELETE", "cors"], ["POST", "no-cors"], ["PUT", "cors"], ["GET", "cors"]]) {
    try {
      const answer = await fetch(target, {method, mode, headers: {"Content-Type": "text/plain"}});
      answers[method] = answer.status;
    } catch (error) { answers[method] = "refused"; }
  }
  return answers;
}
"""


@pytest.mark.parametrize("name", ["ZenML", "MLflow"])
def test_a_page_of_another_server_can_change_nothing(
    dashboards: zenml_ui.Dashboards, tmp_path: Path, name: str
) -> None:
    from playwright.sync_api import sync_playwright

    server = next(server for server in dashboards.servers if server.name == name)
    run = runs_of(dashboards)[0]["id"]
    target = {
        "ZenML": f"{server.address}/api/v1/runs/{run}",
        "MLflow": f"{server.address}/api/2.0/mlflow/experiments/create",
    }[name]
    (tmp_path / "index.html").write_text("<title>elsewhere</title>")
    port = unused_port()
    pages = spawn(
        "other",
        port,
        ["http.server", str(port), "--bind", HOST, "--directory", str(tmp_path)],
        os.environ,
        tmp_path / "log",
    )
    (tmp_path / "health").touch()
    wait_for_answers([pages], time.monotonic() + 30)
    try:
        with sync_playwright() as browsers:
            browser = browsers.chromium.launch(executable_path=chromium(), args=BROWSER.split())
            page = browser.new_page()
            page.goto(f"{pages.address}/index.html")
            answers = page.evaluate(FOREIGN, target)
            browser.close()
    finally:
        stop([pages])
    assert {method: answer for method, answer in answers.items() if method != "POST"} == dict.fromkeys(
        ["DELETE", "PUT", "GET"], "refused"
    )
    assert run in [item["id"] for item in runs_of(dashboards)]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Origin": "http://rebound.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_another_host_or_origin_is_refused(
    dashboards: zenml_ui.Dashboards, number: int, header: dict[str, str], status: int
) -> None:
    server = dashboards.servers[number]
    request = urllib.request.Request(f"{server.address}/health", headers=header)
    try:
        with open_local(request, seconds=30) as answer:
            assert answer.status == status
    except urllib.error.HTTPError as error:
        assert error.code == status  # noqa: PT017


def test_a_page_of_its_own_is_answered(dashboards: zenml_ui.Dashboards) -> None:
    for server in dashboards.servers:
        for name in ("127.0.0.1", "localhost"):
            host = f"{name}:{server.address.rpartition(':')[2]}"
            request = urllib.request.Request(
                f"{server.address}/health", headers={"Host": host, "Origin": f"http://{host}"}
            )
            with open_local(request, seconds=30) as answer:
                assert answer.status == 200


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_the_servers_end_with_the_program(tmp_path: Path, number: signal.Signals, code: int) -> None:
    port, folder = unused_port(), tmp_path / "pages"
    folder.mkdir()
    (folder / "health").touch()
    command = ["http.server", str(port), "--bind", HOST, "--directory", str(folder)]
    program = (
        "import os, time; from pathlib import Path; from adapters.local import servers, zenml_ui\n"
        f"started, state = [], Path({str(tmp_path)!r})\n"
        "servers.end_with_this_process(started)\n"
        f"started.append(servers.spawn('ZenML', {port}, {command!r}, os.environ, state / 'log'))\n"
        "servers.wait_for_answers(started, time.monotonic() + 30)\n"
        "print('up', flush=True); zenml_ui.Dashboards(tuple(started), (), state).wait()"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert not refused(port)
        time.sleep(1)  # from printing to waiting
        process.send_signal(number)
        try:
            assert process.wait(timeout=30) == code
        finally:
            process.kill()
    assert refused(port)


def test_of_two_servers_one_that_ended_leaves_the_other_to_be_found_and_the_client_as_it_was(
    home: Path, dashboards: zenml_ui.Dashboards
) -> None:
    configuration = (home / "zenml" / "config.yaml").read_text()
    stop(dashboards.servers[:1])
    left = zenml_ui.running(dashboards.state)
    assert left is not None
    assert list(left.pages) == ["MLflow"]
    dashboards.stop()
    assert not any(server.runs for server in dashboards.servers)
    assert zenml_ui.running(dashboards.state) is None
    assert (home / "zenml" / "config.yaml").read_text() == configuration
    run_demo(home)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing_running(home: Path) -> None:
    (home / "broken.db").write_bytes(b"not a database" * 1000)
    port = unused_port()
    with pytest.raises(StoreError, match=r"(?s)MLflow did not start; the end of .*mlflow-ui\.log: .*not a database"):
        zenml_ui.start(
            f"sqlite:///{home}/broken.db", home / "broken", zenml_port=port, mlflow_port=unused_port(), detach=True
        )
    assert refused(port)
