"""Prove in a real workspace what only one can prove: `make databricks-acceptance`.

Everything that is made is named `churn_acc_<hex>` and carries a mark of its own; it is removed at the end, whatever
happened. Options are handed to every command, such as `--set profile.databricks.catalog=dev`; `--serving` is for this
program alone: it tries Lakebase and Model Serving too, which takes half an hour more. Without credentials nothing is
done.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    *("simulation.customers=1000", "simulation.months=6", "tuning.mode=off", "evaluation.resamples=100"),
    *("gate.resamples=300", "gate.repeats=1", "gate.max_ece=0.2"),
)
"""The smallest data on which a gate passes a model."""
PROOFS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("credentials, privileges, clock, runtime", ("doctor",)),
    ("schemas, volume, folder", ("stack", "setup")),
    ("setup repeated changes nothing", ("stack", "plan")),
    ("features in Unity Catalog by serverless jobs", ("--pipeline", "features")),
    ("training, tracking, registration in Unity Catalog", ("--pipeline", "training")),
    ("gate, ledger, alias @Champion", ("--pipeline", "deployment")),
    ("batch scoring with Spark, campaign lists", ("--pipeline", "inference")),
    ("monitoring", ("--pipeline", "monitoring")),
    ("the platform's own monitor", ("stack", "monitor")),
    ("deployment job, linked to the model", ("deployment-job", "create")),
    ("a new version starts it", ("deployment-job", "show")),
    ("ledger and registry agree", ("audit",)),
)
SERVED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("features on Lakebase, as in the feature table", ("features", "publish")),
    ("endpoint on Model Serving", ("serve",)),
    ("it answers", ("endpoint", "status")),
    ("scores of real customers as in a batch", ("--pipeline", "deployment")),
    ("its requests in the table of predictions", ("endpoint", "predictions", "move")),
)
"""What is tried after `PROOFS` with `--serving`."""
REMOVED = ("everything that was made is removed by its mark", ("stack", "destroy", "--yes"))


class Proof(NamedTuple):
    """What was tried, how it ended (an exit code; None: not tried after a failure), and in how many seconds."""

    what: str
    code: int | None
    seconds: float = 0.0


def options_of(name: str, state: Path, *, serving: bool = False) -> list[str]:
    """Return the options by which everything of this proof is apart from everything else in the workspace."""
    places = {
        "state": state,
        "databricks.project": name,
        "databricks.schema_name": name,
        "databricks.volume": f"{name}.files",
        "databricks.folder": f"/Shared/{name}",
    }
    if serving:
        lakebase = f"projects/{name.replace('_', '-')}/branches/production/endpoints/primary"
        places |= {"online.store": "lakebase", "online.address": lakebase}
    settings = [*(f"profile.{key}={value}" for key, value in places.items()), *SMALL]
    return ["--stack", "databricks", *(f"--set={setting}" for setting in settings)]


def prove(
    run: Callable[[Sequence[str]], int], options: Sequence[str], steps: Sequence[tuple[str, tuple[str, ...]]] = PROOFS
) -> list[Proof]:
    """Run every command until one fails, and remove what was made, also after Ctrl-C.

    Args:
        run: Runs a command line of the project and returns its exit code.
        options: Appended to each.
        steps: What is tried, each with its command.
    """
    proofs: list[Proof] = []

    def tried(what: str, command: Sequence[str]) -> int:
        begun = time.monotonic()
        code = run([*command, *options])
        proofs.append(Proof(what, code, time.monotonic() - begun))
        return code

    try:
        for place, (what, command) in enumerate(steps):
            if tried(what, command):
                proofs += [Proof(later, None) for later, _ in steps[place + 1 :]]
                break
    finally:
        tried(*REMOVED)
    return proofs


def table(proofs: Sequence[Proof]) -> str:
    """Return the proofs as lines of text."""
    words = {0: "proved", None: "not tried"}
    lines = [
        f"{words.get(proof.code, f'exit {proof.code}'):<10} {proof.seconds:>5.0f} s  {proof.what}" for proof in proofs
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Return 0 where everything was proved, or nothing could be tried, else 2."""
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.errors import NotFound

    try:
        workspace = WorkspaceClient()
    except ValueError as error:
        print(f"Skipped: no workspace can be logged in to ({str(error).splitlines()[0]}).")  # noqa: T201 - a command
        return 0
    name = f"churn_acc_{secrets.token_hex(4)}"
    print(f"In {workspace.config.host}, under the name {name}.", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix=name) as state:
        serving = "--serving" in arguments
        handed = [argument for argument in arguments if argument != "--serving"]
        options = [*options_of(name, Path(state), serving=serving), *handed]
        try:
            proofs = prove(
                lambda line: subprocess.run([sys.executable, ROOT / "run.py", *line], check=False).returncode,
                options,
                (*PROOFS, *SERVED) if serving else PROOFS,
            )
        finally:
            with suppress(NotFound):
                workspace.workspace.delete(f"/Shared/{name}", recursive=True)  # a folder carries no mark
    print(table(proofs))  # noqa: T201
    return 2 if any(proof.code != 0 for proof in proofs) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
