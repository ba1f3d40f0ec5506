"""One run of a job: its tasks as processes, in the order of their dependencies, from the payload alone."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from .warm import Started

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["ENDED", "Run", "TaskRun"]

ENDED = {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}
FAILED = "Workload failed, see run output for details"
RUNNER = Path(__file__).with_name("wheel_task.py")


@dataclass
class TaskRun:
    """One attempt at a task."""

    key: str
    run_id: int
    spec: dict[str, Any]
    attempt: int = 0
    life: str = "PENDING"
    result: str = ""
    message: str = ""
    output: str = ""
    error: str = ""
    started: int = 0
    ended: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | Started | None = None

    @property
    def needs(self) -> list[str]:
        return [each["task_key"] for each in self.spec.get("depends_on", [])]


class Run:
    """A run; `ended` is set once nothing of it runs any more."""

    def __init__(
        self, workspace: Workspace, job: dict[str, Any], parameters: dict[str, str], trigger: str, only: set[str]
    ) -> None:
        self._workspace = workspace
        self.job = job
        self.settings = job["settings"]
        self.run_id = workspace.next_id()
        self.life, self.result, self.message = "PENDING", "", ""
        self.trigger, self.repairs = trigger, list[int]()
        self.ended = threading.Event()
        self._cancelled = False
        self.started = int(time.time() * 1000)
        self.parameters = self._given(parameters)
        chosen = [task for task in self.settings.get("tasks", []) if not only or task["task_key"] in only]
        self.tasks = [TaskRun(task["task_key"], workspace.next_id(), task) for task in chosen]

    def start(self, after: list[Run]) -> None:
        """Run the tasks in a thread, after other runs of the job have ended."""
        self.life = "QUEUED" if after else "PENDING"
        threading.Thread(target=self._run, args=(after,), daemon=True).start()

    def skip(self) -> None:
        """End at once: another run of the job is active, and the job has no queue."""
        self.life, self.result = "SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED"
        self.message = "Run skipped because the maximum number of concurrent runs is reached."
        self.ended.set()

    def cancel(self) -> None:
        """Stop the processes; tasks that wait never start."""
        self._cancelled = self.life not in ENDED or self._cancelled
        for task in self.tasks:
            if task.process is not None and task.process.poll() is None:
                os.killpg(task.process.pid, signal.SIGTERM)

    def repair(self, names: set[str], parameters: dict[str, str]) -> int:
        """Run tasks, and those that depend on them and did not run, again."""
        self.parameters = self._given(parameters)
        self.tasks = [
            TaskRun(task.key, self._workspace.next_id(), task.spec, task.attempt + 1)
            if task.key in names or task.result in ("UPSTREAM_FAILED", "UPSTREAM_CANCELED")
            else task
            for task in self.tasks
        ]
        self.repairs.append(self._workspace.next_id())
        self.life, self.result, self.message = "PENDING", "", ""
        self._cancelled = False
        self.ended.clear()
        self.start([])
        return self.repairs[-1]

    def _given(self, parameters: dict[str, str]) -> dict[str, str]:
        """Return the parameters of one attempt; what it is not given has its default."""
        defaults = {each["name"]: each.get("default", "") for each in self.settings.get("parameters", [])}
        return {**defaults, **parameters}

    def as_dict(self, *, history: bool = False) -> dict[str, Any]:
        """Return the run as the API shows it, with its repairs where they are asked for."""
        job_id = self.job["job_id"]
        return {
            "run_id": self.run_id,
            "job_id": job_id,
            "run_name": self.settings["name"],
            "number_in_job": self.run_id,
            "run_type": "JOB_RUN",
            "trigger": self.trigger,
            "creator_user_name": self.job["creator_user_name"],
            "start_time": self.started,
            "state": _state(self.life, self.result, self.message),
            "run_page_url": f"{self._workspace.url}/?o=900800700600#job/{job_id}/run/{self.run_id}",
            "job_parameters": [{"name": name, "value": value} for name, value in self.parameters.items()],
            **({"repair_history": [{"type": "REPAIR", "id": number} for number in self.repairs]} if history else {}),
            "tasks": [
                {
                    **task.spec,
                    "run_id": task.run_id,
                    "attempt_number": task.attempt,
                    "start_time": task.started,
                    "end_time": task.ended,
                    "run_page_url": f"{self._workspace.url}/?o=900800700600#job/{job_id}/run/{task.run_id}",
                    "state": _state(task.life, task.result, task.message),
                }
                for task in self.tasks
            ],
        }

    def _run(self, after: list[Run]) -> None:
        for other in after:
            other.ended.wait()
        self.life = "RUNNING"
        waiting = {task.key: task for task in self.tasks if task.life not in ENDED}
        threads: list[threading.Thread] = []
        while waiting:
            done = {task.key: task.result for task in self.tasks if task.life in ENDED}
            for key, task in list(waiting.items()):
                needed = [name for name in task.needs if name in {each.key for each in self.tasks}]
                if self._cancelled:
                    _end(waiting.pop(key), "CANCELED", "Run cancelled.")
                elif all(name in done for name in needed):
                    del waiting[key]
                    if any(done[name] != "SUCCESS" for name in needed):
                        cancelled = any(done[name] == "CANCELED" for name in needed)
                        _end(task, "UPSTREAM_CANCELED" if cancelled else "UPSTREAM_FAILED", "Upstream task failed.")
                        continue
                    threads.append(threading.Thread(target=self._execute, args=(task,), daemon=True))
                    threads[-1].start()
            time.sleep(0.02)
        for thread in threads:
            thread.join()
        results = {task.result for task in self.tasks}
        failed = next((task for task in self.tasks if task.result == "FAILED"), None)
        if self._cancelled or "CANCELED" in results:
            self.result, self.message = "CANCELED", "Run cancelled."
        elif failed is not None:
            self.result, self.message = "FAILED", f"Task {failed.key} failed with message: {failed.message}."
        else:
            self.result = "SUCCESS"
        # What the platform does with a run of which a task failed: it ends with an internal error.
        self.life = "INTERNAL_ERROR" if failed is not None and not self._cancelled else "TERMINATED"
        self.ended.set()

    def _execute(self, task: TaskRun) -> None:
        task.life, task.started = "RUNNING", int(time.time() * 1000)
        try:
            command, task.environment = self._command(task)
        except LookupError as error:
            task.error = str(error)
            return _end(task, "FAILED", f"Library installation failed: {error}")
        home = Path(task.environment["HOME"])
        if self._workspace.warm is not None:
            task.process = self._workspace.warm.start(command[2:], task.environment, home, task=True)
        else:
            task.process = subprocess.Popen(
                command,
                env=task.environment,
                cwd=home,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self._cancelled:
            os.killpg(task.process.pid, signal.SIGTERM)
        limit = task.spec.get("timeout_seconds") or None
        try:
            task.output, _ = task.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(task.process.pid, signal.SIGKILL)
            task.output, _ = task.process.communicate()
            return _end(task, "TIMEDOUT", "Timed out")
        if self._cancelled:
            return _end(task, "CANCELED", "Run cancelled.")
        if task.process.returncode:
            task.error = task.output.strip().rpartition("\n")[2]
            return _end(task, "FAILED", FAILED)
        return _end(task, "SUCCESS", "")

    def _command(self, task: TaskRun) -> tuple[list[str], dict[str, str]]:
        """Return what runs a Python task, and all of its environment.

        Raises:
            LookupError: a library is not there.
        """
        spec = task.spec.get("python_wheel_task") or task.spec["spark_python_task"]
        named = [f"--{name}={value}" for name, value in spec.get("named_parameters", {}).items()]
        parameters = [self._resolved(text, task) for text in (spec.get("parameters") or named)]
        home = self._workspace.folder / "tasks" / str(task.run_id)
        home.mkdir(parents=True)
        wheels = self._installed(self._dependencies(task))
        identity = self.settings.get("run_as", {})
        user = identity.get("service_principal_name") or identity.get("user_name") or self.job["creator_user_name"]
        environment = {
            # All that a task of the platform finds without being told; its credentials there come from the runtime.
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            **self._workspace.runtime,
            "PYTHONPATH": os.pathsep.join([*map(str, wheels), self._workspace.runtime.get("PYTHONPATH", "")]),
            "DATABRICKS_RUNTIME_VERSION": "client.4.9",
            "IS_SERVERLESS": "TRUE",
            **self._workspace.environment(user),
            **self._variables(task),
        }
        if "python_file" in spec:
            program = [str(self._file(spec["python_file"]))]
        else:
            program = [str(RUNNER), spec["package_name"], spec["entry_point"]]
        return [sys.executable, "-P", *program, *parameters], environment

    def _dependencies(self, task: TaskRun) -> list[str]:
        if key := task.spec.get("environment_key"):
            (found,) = [each for each in self.settings["environments"] if each["environment_key"] == key]
            return list(found["spec"].get("dependencies", []))
        lines: list[str] = []
        for library in task.spec.get("libraries", []):
            lines += [library["whl"]] if "whl" in library else []
            lines += [library["pypi"]["package"]] if "pypi" in library else []
            lines += [f"-r {library['requirements']}"] if "requirements" in library else []
        return lines

    def _installed(self, lines: list[str]) -> list[Path]:
        """Return the folders of the wheels; other requirements must be installed in this Python."""
        folders: list[Path] = []
        for line in lines:
            text = line.strip()
            if text.startswith("-r "):
                listed = self._file(text.removeprefix("-r ").strip()).read_text().splitlines()
                folders += self._installed(
                    [each for each in listed if each.strip() and not each.lstrip().startswith(("#", "--"))]
                )
            elif text.endswith(".whl"):
                folders.append(self._unpacked(self._file(text)))
            else:
                requirement = Requirement(text.split(" --hash")[0].rstrip(" \\"))
                if requirement.marker is None or requirement.marker.evaluate():
                    try:
                        version(requirement.name)
                    except PackageNotFoundError as error:
                        raise LookupError(f"No matching distribution found for {requirement}") from error
        return folders

    def _file(self, name: str) -> Path:
        from .http import Refused

        try:
            path = self._workspace.files.path(name)
        except Refused as error:
            raise LookupError(f"{name}: {error.reply.body['message']}") from error
        if not path.is_file():
            raise LookupError(f"{name} does not exist.")
        return path

    def _unpacked(self, wheel: Path) -> Path:
        folder = self._workspace.folder / "environments" / hashlib.sha256(wheel.read_bytes()).hexdigest()[:16]
        with _UNPACKING:
            if not folder.exists():
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(folder)
        return folder

    def _variables(self, task: TaskRun) -> dict[str, str]:
        found: dict[str, str] = {}
        for cluster in [task.spec.get("new_cluster", {}), *self._cluster(task)]:
            found |= cluster.get("spark_env_vars", {})
        for each in self.settings.get("environment_variables", []):
            if each["environment_variables_key"] == task.spec.get("environment_variables_key"):
                for name in each["spec"].get("files", []):
                    lines = self._file(name).read_text().splitlines()
                    found |= dict(line.split("=", 1) for line in lines if line.strip() and not line.startswith("#"))
                found |= each["spec"].get("variables", {})
        return found

    def _cluster(self, task: TaskRun) -> list[dict[str, Any]]:
        key = task.spec.get("job_cluster_key")
        return [each["new_cluster"] for each in self.settings.get("job_clusters", []) if each["job_cluster_key"] == key]

    def _resolved(self, text: str, task: TaskRun) -> str:
        known = {
            "job.id": self.job["job_id"],
            "job.run_id": self.run_id,
            "job.name": self.settings["name"],
            "job.trigger.type": self.trigger.lower(),
            "task.name": task.key,
            "task.run_id": task.run_id,
            "task.execution_count": task.attempt + 1,
            "workspace.url": self._workspace.url,
            **{f"job.parameters.{name}": value for name, value in self.parameters.items()},
        }
        return re.sub(r"\{\{\s*([\w.]+)\s*\}\}", lambda found: str(known.get(found[1], found[0])), text)


_UNPACKING = threading.Lock()


def _end(task: TaskRun, result: str, message: str) -> None:
    task.result, task.message, task.ended = result, message, int(time.time() * 1000)
    task.life = "TERMINATED"


def _state(life: str, result: str, message: str) -> dict[str, str]:
    shown = {"life_cycle_state": life, "state_message": message}
    return shown | ({"result_state": result} if result else {})
