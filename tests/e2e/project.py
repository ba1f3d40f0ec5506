"""A user of the project: a home, a state folder, a folder to work in, and the command line typed there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from adapters.local.digest import digest_of
from adapters.local.feature_store import LocalFeatureStore
from adapters.mlflow.client import connect
from adapters.mlflow.load import load_package
from adapters.mlflow.registry import MlflowModelRegistry
from churn.data.tables import INGESTED_AT
from churn.ports.registry import MODEL_DIGEST
from churn.ports.tables import TableRef
from tests import forks

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = Path(__file__).parents[2]
SMALL = (
    "simulation.customers=300",
    "simulation.months=6",
    "tuning.mode=on",
    "tuning.max_trials=2",
    "model.folds=3",
    "model.candidates=[additive, boosting]",
    "evaluation.resamples=100",
)
"""Settings of a run that takes seconds, with each of its parts."""

DEPLOYABLE = (
    "simulation.customers=1000",
    "simulation.months=6",
    "tuning.mode=off",
    "gate.resamples=300",
    "gate.repeats=1",
    "gate.folds=3",
    "gate.max_ece=0.2",  # on so few customers chance alone reaches the shipped bar
)
"""Settings of a run with enough customers for a gate to judge its model, and no more."""

_NOT_THE_USERS = ("ZENML_", "MLFLOW_", "XDG_", "PYTEST_", "HTTP", "http", "NO_PROXY", "no_proxy", "ALL_PROXY")
_SLOW = "PYTHONDONTWRITEBYTECODE"  # would have every command compile the project anew


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @cached_property
    def steps(self) -> dict[str, list[str]]:
        """The lines that each step printed, by step, in the order in which they began."""
        steps: dict[str, list[str]] = {}
        for name, text in re.findall(r"^  ([a-z_]+) {2,}(.+)$", self.out, flags=re.MULTILINE):
            steps.setdefault(name, []).append(text)
        return steps

    @property
    def cached(self) -> set[str]:
        """The steps that the screen says were taken from the cache."""
        return {name for name, lines in self.steps.items() if lines == ["cached"]}

    @property
    def metrics(self) -> dict[str, tuple[str, str]]:
        """What the screen's table says of each metric: estimate and interval."""
        rows = re.findall(r"^ (\S.*?) {2,}(\S.*?) {2,}(\S.*?) *$", self.out, flags=re.MULTILINE)
        return {name: (estimate, interval) for name, estimate, interval in rows}

    @property
    def report(self) -> Path:
        """The page that the summary points to."""
        return Path(re.findall(r"^Report +(.+)$", self.out, flags=re.MULTILINE)[0])

    @property
    def paragraph(self) -> str:
        """The one paragraph that a refused command leaves on standard error."""
        assert self.code == 2, self.out + self.err
        text = self.err.strip()
        assert text, self.out
        assert "\n" not in text, text
        assert "Traceback" not in self.out + text
        return text

    def succeeded(self) -> Ran:
        """Return this, unless the command failed or had something to complain about."""
        assert self.code == 0, self.out + self.err
        assert self.err == ""
        return self


@dataclass(frozen=True)
class Command:
    """A command that was typed, and that runs in a process of its own."""

    process: subprocess.Popen[bytes] | forks.Process
    out: Path
    err: Path

    @property
    def code(self) -> int | None:
        """The exit code; none while it runs."""
        return self.process.poll() if isinstance(self.process, subprocess.Popen) else self.process.exitcode

    @property
    def printed(self) -> str:
        return self.out.read_text(encoding="utf-8") if self.out.exists() else ""

    def finished(self) -> Ran:
        """Wait for it."""
        if isinstance(self.process, subprocess.Popen):
            self.process.wait()
        else:
            self.process.join()
        assert self.code is not None
        return Ran(self.code, self.printed, self.err.read_text(encoding="utf-8"))

    def killed_when(self, happened: Callable[[], bool]) -> Ran:
        """Kill it, as `kill -9` does, as soon as something has happened."""
        while not happened():
            assert self.code is None, f"it ended before that: {self.finished()}"
            time.sleep(0.001)
        self.process.kill()
        return self.finished()

    def killed_at(self, text: str) -> Ran:
        """Kill it, as `kill -9` does, as soon as it has printed a line with this text."""
        return self.killed_when(lambda: text in self.printed)


@dataclass(frozen=True)
class Project:
    """Everything of one user that a run may touch."""

    home: Path
    state: Path
    work: Path
    temporary: Path
    proxy: str
    more: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def in_folder(cls, folder: Path, *, proxy: str, zenml_home: Path | None = None) -> Project:
        """Set up a user, with a copy of a ZenML home and of an empty MLflow store, or without any."""
        project = cls(folder / "home", folder / "state", folder / "work", folder / "tmp", proxy)
        if zenml_home is None:
            project.home.mkdir(parents=True)
        else:
            shutil.copytree(zenml_home, project.home)
            for file in project.home.rglob("config.yaml"):
                file.write_text(file.read_text().replace(str(zenml_home), str(project.home)))
            project.state.mkdir(mode=0o700)
            (project.home / "mlflow.db").rename(project.state / "mlflow.db")
            (project.state / "mlflow.db").chmod(0o600)
        project.work.mkdir()
        project.temporary.mkdir()
        return project

    def with_state(self, state: Path) -> Project:
        """Return the same user with another state folder."""
        return replace(self, state=state)

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith((*_NOT_THE_USERS, _SLOW))}
        return own | {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "HTTP_PROXY": self.proxy,
            "HTTPS_PROXY": self.proxy,
            **self.more,
        }

    def with_environment(self, **variables: str) -> Project:
        """Return the same user with other environment variables."""
        return replace(self, more=variables)

    def start(self, *arguments: str | Path) -> Command:
        """Start the command line with these arguments, in a fork of a process that has imported everything."""
        folder, line = self._output(), [*map(str, arguments)]
        out, err = folder / "out", folder / "err"
        return Command(forks.start("run", line, self.work, self.environment, out, err), out, err)

    def run(self, *arguments: str | Path) -> Ran:
        return self.start(*arguments).finished()

    def run_cold(self, *arguments: str | Path) -> Ran:
        """Type `python run.py` with these arguments into a shell."""
        folder, line = self._output(), [sys.executable, str(ROOT / "run.py"), *map(str, arguments)]
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(line, cwd=self.work, env=self.environment, stdout=out, stderr=err)
        return Command(process, folder / "out", folder / "err").finished()

    def _output(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="command-", dir=self.home.parent.parent))

    def arguments(
        self,
        name: str,
        *settings: str,
        data: Path | None = None,
        dataset: str | Path | None = None,
        no_cache: bool = False,
    ) -> list[str]:
        """Return the arguments of a small pipeline run on this user's state folder."""
        options = [f"--set={setting}" for setting in (f"profile.state={self.state}", *SMALL, *settings)]
        options += [f"--data={data}"] * (data is not None)
        options += [f"--dataset={dataset}"] * (dataset is not None)
        return ["--pipeline", name, *options, *["--no-cache"] * no_cache]

    def features(self, *settings: str, **options: Any) -> Ran:
        return self.run(*self.arguments("features", *settings, **options))

    def train(self, *settings: str, **options: Any) -> Ran:
        return self.run(*self.arguments("training", *settings, **options))

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.state}/mlflow.db"

    @property
    def registry(self) -> MlflowModelRegistry:
        return MlflowModelRegistry(self.uri)

    @property
    def mlflow(self) -> MlflowClient:
        return connect(self.uri)

    def store(self, dataset: str) -> LocalFeatureStore:
        return LocalFeatureStore(self.state / "tables", dataset)

    def tables(self, dataset: str) -> dict[str, TableRef]:
        """Return the newest version of every table."""
        store, folder = self.store(dataset), self.state / "tables" / dataset
        return {path.parent.name: store.latest(path.parent.name) for path in sorted(folder.glob("*/_delta_log"))}

    def damaged_tables(self, dataset: str) -> list[str]:
        """Read every table to its end, and return those whose rows are not what the newest commit says."""
        read = {ref: self.store(dataset).read(ref).to_batches() for ref in self.tables(dataset).values()}
        return [
            ref.name for ref, rows in read.items() if str(digest_of(rows, leave_out=[INGESTED_AT])) != ref.content_id
        ]

    def incomplete_versions(self, model: str) -> list[int]:
        """Load every registered version, and return those that lack what describes them."""
        versions = self.registry.versions(model)
        for version in versions:
            package = self.registry.download(model, version.version, self.work / "downloads")
            load_package(package, expected_digest=version.tags[MODEL_DIGEST])
        described = {
            version.version for version in versions if version.description and "metric_roc_auc" in version.tags
        }
        return [version.version for version in versions if version.version not in described]

    def zenml(self) -> dict[str, Any]:
        """Return what the user's ZenML home holds, as `zenml_records.py` reads it."""
        folder = self._output()
        out, err = folder / "out", folder / "err"
        process = forks.start("records", [], self.work, self.environment, out, err)
        read = Command(process, out, err).finished().succeeded()
        records: dict[str, Any] = json.loads(read.out)
        return records


class Callers:
    """A proxy that passes nothing on and remembers who was called, so that a call home shows."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.called: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.called.append(connection.recv(1000).decode(errors="replace").partition("\r\n")[0])

    def close(self) -> None:
        self._socket.close()


@contextmanager
def one_worker_at_a_time(path: Path) -> Iterator[None]:
    """Let one test worker at a time do something."""
    with FileLock(path):
        yield
