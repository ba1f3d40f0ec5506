"""A real ZenML run on a stack whose artifacts lie in a volume: results, logs and pictures are there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .workspace import Workspace

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, os, sys
from pathlib import Path
from adapters.local.zenml import ensure_stack
from churn.settings import read_configuration

asked = [f"profile.state={sys.argv[1]}", "profile.stack.orchestrator.flavor=local"]
profile = read_configuration(Path("configs"), "databricks", overrides=asked).profile
os.environ["ZENML_ACTIVE_STACK_ID"] = ensure_stack(profile)
assert ensure_stack(profile) == os.environ["ZENML_ACTIVE_STACK_ID"]
from zenml.utils import source_utils
source_utils.set_custom_source_root(str(Path(__file__).parent))
from zenml import pipeline, step
from zenml.client import Client
from zenml.types import HTMLString

@step
def first() -> HTMLString:
    print("hello from the step")
    return HTMLString("<b>page</b>")

@step
def second(page: HTMLString) -> int:
    return len(page)

@pipeline(enable_cache=False)
def small():
    second(first())

small()
run = Client().list_pipeline_runs().items[0]
steps = run.steps
page = steps["first"].outputs["output"][0]
print(json.dumps({
    "status": run.status.value, "result": steps["second"].outputs["output"][0].load(), "uri": page.uri,
    "pictures": [each.uri for each in page.visualizations],
}))
"""


def test_a_pipeline_stores_results_logs_and_pictures_in_the_volume(workspace: Workspace, tmp_path: Path) -> None:
    workspace.catalog.add_volume("main.churn.files")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "MLFLOW_", "XDG_"))}
    quiet = {"ZENML_ANALYTICS_OPT_IN": "false", "HOME": str(tmp_path)}
    script = tmp_path / "small.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "state")],
        env={**own, **quiet, **workspace.environment(), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().rpartition("\n")[2])
    assert (said["status"], said["result"]) == ("completed", len("<b>page</b>"))
    assert said["uri"].startswith("volumes://main/churn/files/artifacts/")
    [picture] = said["pictures"]
    assert workspace.files.read(picture.replace("volumes:/", "/Volumes")) == b"<b>page</b>"
    root = workspace.files.path("/Volumes/main/churn/files/artifacts")
    logs = [file.read_text() for file in (root / "logs").rglob("*") if file.is_file()]
    assert any("hello from the step" in text for text in logs), sorted(map(str, root.rglob("*")))
