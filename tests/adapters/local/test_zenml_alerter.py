"""The alerter of a real ZenML stack: it joins a stack that has run before, takes notices, changes and leaves again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FLAVORS = """
from zenml.alerter.base_alerter import BaseAlerter, BaseAlerterConfig, BaseAlerterFlavor

class Note(BaseAlerter):
    def post(self, message=None, params=None):
        with open(self.config.path, "a") as file:
            file.write(message + "\\n")
        return True

class Config(BaseAlerterConfig):
    path: str

class NoteFlavor(BaseAlerterFlavor):
    name = "note"
    config_class = Config
    implementation_class = Note

class OtherFlavor(NoteFlavor):
    name = "other"
"""
SCRIPT = """
import json, os, sys
from pathlib import Path
from adapters.local.alerts import StackAlerts
from adapters.local.zenml import ensure_stack, stack_alerter
from churn.settings import read_configuration
from tests.contract.test_alert_channel import NOTICE
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.utils import source_utils

folder = Path(sys.argv[1])

def stack(alerter):
    asked = [f"profile.state={folder}", *([f"profile.stack.alerter={alerter}"] if alerter else [])]
    identity = ensure_stack(read_configuration(Path("configs"), overrides=asked).profile)
    os.environ["ZENML_ACTIVE_STACK_ID"] = identity
    return identity

def flavor():
    stack = Client().get_stack(os.environ["ZENML_ACTIVE_STACK_ID"])
    members = stack.components.get(StackComponentType.ALERTER)
    return members[0].flavor_name if members else None

seen = [(stack(None), flavor())]
source_utils.set_custom_source_root(str(folder))
for name in ("NoteFlavor", "OtherFlavor"):
    Client().create_flavor(f"flavors.{name}", StackComponentType.ALERTER)
seen.append((stack(f"{{flavor: note, settings: {{path: {folder / 'notes'}}}}}"), flavor()))
StackAlerts(stack_alerter).send(NOTICE)
for name in ("note", "other"):
    seen.append((stack(f"{{flavor: {name}, settings: {{path: {folder / 'others'}}}}}"), flavor()))
seen.append((stack(None), flavor()))
print(json.dumps({"seen": seen, "subject": NOTICE.subject}))
"""


def test_an_alerter_joins_a_stack_that_there_is_changes_its_flavor_and_leaves_again(tmp_path: Path) -> None:
    (tmp_path / "flavors.py").write_text(FLAVORS)
    (tmp_path / "script.py").write_text(SCRIPT)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "MLFLOW_", "XDG_"))}
    places = {"HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{tmp_path}", "ZENML_ANALYTICS_OPT_IN": "false"}
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", tmp_path],
        env={**own, **places},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    stacks, flavors = zip(*answer["seen"], strict=True)
    assert len(set(stacks)) == 1
    assert flavors == (None, "note", "note", "other", None)
    assert (tmp_path / "notes").read_text().startswith(answer["subject"])
