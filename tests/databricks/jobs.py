"""Jobs 2.2: jobs, their checks and their runs; what runs is in `runs`."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.jobs import JobsAPI, JobSettings

from .http import Request, refusal
from .runs import ENDED, Run
from .strict import check, parsed

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["Jobs"]

_JOBS = "/api/2.2/jobs"
A_PAGE = 20


class Jobs:
    """Jobs by id, and their runs; names are not unique, as on the platform."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.jobs: dict[int, dict[str, Any]] = {}
        self.runs: dict[int, Run] = {}
        self._tokens: dict[str, int] = {}
        self._lock = threading.RLock()
        add = workspace.routes.add
        add(f"POST {_JOBS}/create", self._create)
        add(f"POST {_JOBS}/reset", self._reset)
        add(f"POST {_JOBS}/update", self._update)
        add(f"POST {_JOBS}/delete", self._delete)
        add(f"GET {_JOBS}/get", lambda request: self._job(request.query.get("job_id")))
        add(f"GET {_JOBS}/list", self._list)
        add(f"POST {_JOBS}/run-now", self._run_now)
        add(f"POST {_JOBS}/runs/submit", self._submit)
        add(f"GET {_JOBS}/runs/get", self._get_run)
        add(f"GET {_JOBS}/runs/get-output", self._output)
        add(f"GET {_JOBS}/runs/list", self._list_runs)
        add(f"POST {_JOBS}/runs/cancel", self._cancel)
        add(f"POST {_JOBS}/runs/repair", self._repair)

    def close(self) -> None:
        """Stop every run."""
        for run in list(self.runs.values()):
            run.cancel()

    def wait(self, run_id: int, seconds: float = 120) -> Run:
        """Return a run once it has ended, for tests."""
        self.runs[run_id].ended.wait(seconds)
        return self.runs[run_id]

    def fire(self, job_id: int, parameters: dict[str, str] | None = None, trigger: str = "PERIODIC") -> Run:
        """Run a job as its schedule would, or as a new version of the model that it is linked to."""
        return self._start(self._job(job_id), parameters or {}, trigger, {})

    def connection(self, job_id: str) -> str:
        """Return the state of a registered model's link to a job."""
        if not job_id:
            return "NOT_SET_UP"
        job = self.jobs.get(int(job_id))
        if job is None:
            return "NOT_FOUND"
        named = {each["name"] for each in job["settings"].get("parameters", [])}
        return "CONNECTED" if {"model_name", "model_version"} <= named else "REQUIRED_PARAMETERS_CHANGED"

    def _job(self, job_id: Any) -> dict[str, Any]:
        job = self.jobs.get(int(job_id or 0))
        if job is None:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Job {job_id} does not exist.")
        return job

    def _run(self, run_id: Any) -> Run:
        for run in self.runs.values():
            if int(run_id or 0) in (run.run_id, *(task.run_id for task in run.tasks)):
                return run
        raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Run {run_id} does not exist.")

    def _get_run(self, request: Request) -> dict[str, Any]:
        run = self._run(request.query.get("run_id"))
        return run.as_dict(history=request.query.get("include_history") == "true")

    def _create(self, request: Request) -> dict[str, int]:
        check(JobsAPI.create, request.json)
        _check_settings(request.json)
        with self._lock:
            job_id = self.workspace.next_id()
            self.jobs[job_id] = {
                "job_id": job_id,
                "creator_user_name": request.user,
                "run_as_user_name": request.user,
                "created_time": int(time.time() * 1000),
                "settings": request.json,
            }
        return {"job_id": job_id}

    def _reset(self, request: Request) -> None:
        check(JobsAPI.reset, request.json)
        _check_settings(request.json["new_settings"])
        job = self._job(request.json["job_id"])
        # Measured by the Databricks CLI's authors: `run_as` stays where the new settings do not name it.
        kept = {"run_as": job["settings"]["run_as"]} if "run_as" in job["settings"] else {}
        job["settings"] = {**kept, **request.json["new_settings"]}

    def _update(self, request: Request) -> None:
        check(JobsAPI.update, request.json)
        job = self._job(request.json["job_id"])
        settings = {**job["settings"], **request.json.get("new_settings", {})}
        for name in request.json.get("fields_to_remove", []):
            settings.pop(name, None)
        _check_settings(settings)
        job["settings"] = settings

    def _delete(self, request: Request) -> None:
        check(JobsAPI.delete, request.json)
        self._job(request.json["job_id"])
        for run in list(self.runs.values()):
            if run.job["job_id"] == request.json["job_id"]:
                run.cancel()
        del self.jobs[request.json["job_id"]]

    def _list(self, request: Request) -> dict[str, Any]:
        asked, first = request.query.get("name"), int(request.query.get("page_token", 0) or 0)
        found = [job for job in self.jobs.values() if asked is None or job["settings"]["name"].lower() == asked.lower()]
        found.sort(key=lambda job: -job["job_id"])
        limit = min(int(request.query.get("limit", A_PAGE)), 100)
        page = found[first : first + limit]
        shown = [{**job, "settings": {k: v for k, v in job["settings"].items() if k not in _EXPANDED}} for job in page]
        more = first + limit < len(found)
        return {"jobs": shown, "has_more": more} | ({"next_page_token": str(first + limit)} if more else {})

    def _run_now(self, request: Request) -> dict[str, int]:
        check(JobsAPI.run_now, request.json)
        job = self._job(request.json["job_id"])
        token = request.json.get("idempotency_token", "")
        if len(token) > 64:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "idempotency_token has more than 64 characters.")
        with self._lock:
            if token and token in self._tokens:
                return {"run_id": self._tokens[token], "number_in_job": self._tokens[token]}
            run = self._start(job, request.json.get("job_parameters", {}), "ONE_TIME", request.json)
            if token:
                self._tokens[token] = run.run_id
        return {"run_id": run.run_id, "number_in_job": run.run_id}

    def _submit(self, request: Request) -> dict[str, int]:
        check(JobsAPI.submit, request.json)
        settings = {"name": request.json.get("run_name") or "Untitled", **request.json}
        token = settings.get("idempotency_token", "")
        _check_tasks(settings)
        job = {"job_id": self.workspace.next_id(), "creator_user_name": request.user, "settings": settings}
        with self._lock:
            if token not in self._tokens or not token:
                self._tokens[token] = self._start(job, {}, "ONE_TIME", {}).run_id
            return {"run_id": self._tokens[token]}

    def _start(self, job: dict[str, Any], parameters: dict[str, str], trigger: str, asked: dict[str, Any]) -> Run:
        known = {each["name"] for each in job["settings"].get("parameters", [])}
        if unknown := sorted({*parameters} - known):
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"Job parameter '{unknown[0]}' is not defined in the job.")
        only = {name.lstrip("+") for name in asked.get("only") or ()}
        with self._lock:
            run = Run(self.workspace, job, parameters, trigger, only)
            self.runs[run.run_id] = run
            before = [each for each in self.active(job["job_id"]) if each is not run]
            most = job["settings"].get("max_concurrent_runs", 1)
            queued = asked.get("queue", job["settings"].get("queue", {})).get("enabled", False)
            if len(before) >= most and not queued:
                run.skip()
            else:
                run.start(before if len(before) >= most else [])
        return run

    def active(self, job_id: int) -> list[Run]:
        """Return the runs of a job that have not ended."""
        return [run for run in self.runs.values() if run.job["job_id"] == job_id and run.life not in ENDED]

    def _list_runs(self, request: Request) -> dict[str, Any]:
        asked = request.query
        runs = [run for run in self.runs.values() if asked.get("job_id") in (None, str(run.job["job_id"]))]
        if asked.get("active_only") == "true":
            runs = [run for run in runs if run.life not in ENDED]
        return {"runs": [run.as_dict() for run in sorted(runs, key=lambda run: -run.run_id)], "has_more": False}

    def _output(self, request: Request) -> dict[str, Any]:
        run, asked = self._run(request.query.get("run_id")), int(request.query["run_id"])
        if asked == run.run_id and len(run.tasks) > 1:
            message = "Retrieving the output of runs with multiple tasks is not supported. Retrieve that of each task."
            raise refusal(400, "INVALID_PARAMETER_VALUE", message)
        task = next((task for task in run.tasks if task.run_id == asked), run.tasks[0])
        return {"metadata": run.as_dict(), "logs": task.output, **({"error": task.error} if task.error else {})}

    def _cancel(self, request: Request) -> None:
        check(JobsAPI.cancel_run, request.json)
        self._run(request.json["run_id"]).cancel()

    def _repair(self, request: Request) -> dict[str, int]:
        check(JobsAPI.repair_run, request.json)
        run, asked = self._run(request.json["run_id"]), request.json
        if run.life not in ENDED:
            raise refusal(400, "INVALID_STATE", "Cannot repair a run that is active.")
        if run.repairs and asked.get("latest_repair_id") != run.repairs[-1]:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "latest_repair_id must be the id of the latest repair.")
        names = set(asked.get("rerun_tasks", []))
        if asked.get("rerun_all_failed_tasks"):
            names |= {task.key for task in run.tasks if task.result != "SUCCESS"}
        if not names:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "Name the tasks to run again.")
        # Measured on the platform: parameters of the first attempt are not taken over.
        return {"repair_id": run.repair(names, asked.get("job_parameters", {}))}


_EXPANDED = {"tasks", "environments", "environment_variables", "job_clusters", "parameters"}
"""What a listing leaves out unless it is asked to expand."""


def _check_settings(settings: dict[str, Any]) -> None:
    """Refuse settings as the Jobs API does."""
    parsed(JobSettings, settings)
    if not settings.get("name"):
        settings["name"] = "Untitled"
    _check_tasks(settings)


def _check_tasks(settings: dict[str, Any]) -> None:
    """Refuse what is wrong in the tasks of a job or of a one-time run, and in what they refer to."""
    keys = [task["task_key"] for task in settings.get("tasks", [])]
    environments = {each["environment_key"] for each in settings.get("environments", [])}
    variables = {each["environment_variables_key"]: each for each in settings.get("environment_variables", [])}
    clusters = {each["job_cluster_key"] for each in settings.get("job_clusters", [])}
    _refuse(len({*keys}) < len(keys), "Task keys must be unique.")
    _refuse(len(settings.get("tags", {})) > 25, "At most 25 tags can be added to a job.")
    for task in settings.get("tasks", []):
        key = task["task_key"]
        _refuse(not re.fullmatch(r"[\w-]{1,100}", key), f"Invalid task key {key!r}.")
        needed = [each["task_key"] for each in task.get("depends_on", [])]
        _refuse(not {*needed} <= {*keys} - {key}, f"Task {key!r} depends on a task that there is not.")
        named, shared = task.get("environment_key"), task.get("job_cluster_key")
        _refuse(bool(named) and named not in environments, f"Environment key {named!r} is not defined.")
        _refuse(bool(shared) and shared not in clusters, f"Job cluster key {shared!r} is not defined.")
        own = bool(task.get("new_cluster") or shared or task.get("existing_cluster_id"))
        python = {"python_wheel_task", "spark_python_task"} & task.keys()
        _refuse(bool(python) and not named and not own, f"Task {key!r} needs an environment_key.")
        _refuse(bool(named) and bool(task.get("libraries")), "Libraries of a serverless task stand in its environment.")
        asked = task.get("environment_variables_key")
        _refuse(bool(asked) and asked not in variables, f"Environment variables key {asked!r} is not defined.")
    for each in settings.get("environments", []):
        spec = each.get("spec", {})
        lacking = not spec.get("environment_version") and not spec.get("base_environment")
        # `client` is the old name; version 1 silently installs nothing.
        _refuse(lacking and spec.get("client") in (None, "1"), "spec.environment_version is missing.")
    for each in variables.values():
        inline = each.get("spec", {}).get("variables", {})
        _refuse(len(inline) > 20, "At most 20 environment variables can stand in a job.")
        _refuse(
            len(each.get("spec", {}).get("files", [])) > 5, "At most 5 files of environment variables can be named."
        )
        for name, value in inline.items():
            _refuse(not re.fullmatch(r"[A-Za-z_]\w{0,255}", name), f"Invalid environment variable {name!r}.")
            _refuse(len(value) > 512, f"The environment variable {name!r} has more than 512 characters.")
    _check_order(settings.get("tasks", []))


def _check_order(tasks: list[dict[str, Any]]) -> None:
    waiting = {task["task_key"]: {each["task_key"] for each in task.get("depends_on", [])} for task in tasks}
    while ready := [key for key, needed in waiting.items() if not needed & waiting.keys()]:
        for key in ready:
            del waiting[key]
    _refuse(bool(waiting), "The tasks depend on each other in a circle.")


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise refusal(400, "INVALID_PARAMETER_VALUE", message)
