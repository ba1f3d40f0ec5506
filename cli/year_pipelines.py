"""A month of the simulated year through the real pipelines."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from adapters import wiring
from churn.lifecycle.retraining_result import Retraining
from churn.lifecycle.year_steps import Connect, YearSteps
from churn.monitoring.report import MonitoringReport
from churn.settings import Settings

from .context import Session

__all__ = ["PipelineSteps", "use_own_zenml"]


class PipelineSteps(YearSteps):
    """The same parts of a month, each the pipeline that a user would run."""

    def __init__(self, connect: Connect, session: Session) -> None:
        """Prepare them; `session` has the settings, the profile of the state, and the contract."""
        super().__init__(connect, session.settings)
        self._session = session

    def begin(self, file: Path) -> None:
        """Run `features`."""
        self.deliver(file)

    def deliver(self, file: Path) -> None:
        """Run `features`."""
        self._run("features", self.settings.model_copy(update={"data": file}))

    def contact(self) -> None:
        """Run `inference`, which plans the campaign too."""
        self._run("inference", self.settings)

    def monitor(self) -> MonitoringReport:
        """Run `monitoring`."""
        report: MonitoringReport = _output(self._run("monitoring", self.settings), "monitor", "monitoring")
        return report

    def train(self) -> None:
        """Run `training`."""
        self._run("training", self.settings)

    def judge(self) -> None:
        """Run `deployment`."""
        self._run("deployment", self.settings)

    def retrain(self, report: MonitoringReport) -> Retraining:
        """Run `retraining`."""
        outcome: Retraining = _output(self._run("retraining", self.settings), "judge_challenger", "retraining")
        return outcome

    def _run(self, name: str, settings: Settings) -> Any:
        """Run a pipeline and return its run, as ZenML knows it."""
        from .pipelines import finished, prepared

        session = self._session._replace(settings=settings)
        arguments = argparse.Namespace(pipeline=name, no_cache=False, version=None, debug=False)
        with wiring.clock_at(self.now):
            pipeline, parameters = prepared(arguments, session)
            return finished(pipeline(**parameters))


def use_own_zenml(folder: Path) -> None:
    """Let ZenML keep its records of this process in a folder of their own; to be called before it is imported."""
    os.environ["ZENML_CONFIG_PATH"] = str(folder / "zenml")
    os.environ["ZENML_LOCAL_STORES_PATH"] = str(folder / "zenml" / "local_stores")


def _output(run: Any, step: str, name: str) -> Any:
    (artifact,) = run.steps[step].outputs[name]
    return artifact.load()
