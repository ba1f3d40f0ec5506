"""What became of a retraining: as far as the challenger, after the gate, and in words."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..core.clock import UtcTime
from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..gate.report import GateReport
from ..monitoring.report import Advice
from .registration import Registration
from .release import Release

__all__ = ["RETRAININGS", "Attempt", "Judged", "Retraining"]

RETRAININGS = {
    "not_called_for": "not called for",
    "same_model": "the same model",
    "kept": "the champion is kept",
    "waiting": "waits for approval",
    "rollout": "waits for its rollout",
    "promoted": "live",
    "taken_back": "taken back",
}
"""What became of a retraining, in words."""
_NO_HELP = (
    "Newer outcomes alone do not help: look at the columns that monitoring names, and try new inputs or another recipe "
    "(python run.py --pipeline training)."
)
_RECOMMENDED = {
    "same_model": _NO_HELP,
    "kept": _NO_HELP,
    "waiting": 'Approve or reject it: python run.py approve --version {version} --reason "…".',
    "rollout": 'Let it answer some of the customers: python run.py rollout start --version {version} --reason "…".',
    "taken_back": (
        "Find out why it could not be served (python run.py endpoint logs), then python run.py --pipeline deployment."
    ),
}


class Attempt(Finite):
    """A retraining as far as the challenger.

    Attributes:
        model: The registered model.
        at: When it began, by the clock.
        advice: What monitoring says; where that is not `retrain`, nothing was trained.
        before: The version that was live; None without one.
        registration: The version that was trained; None where nothing was.
    """

    model: str
    at: UtcTime
    advice: Advice
    before: int | None = None
    registration: Registration | None = None


class Retraining(Finite):
    """What became of a retraining.

    Attributes:
        model: The registered model.
        at: When it began, by the clock; outcomes that were known by then were used.
        advice: What monitoring says.
        state: `not_called_for`; or what became of the version that was trained: `same_model` as the one that is live,
            `kept` where the gate kept the champion, `waiting` for a person, `rollout` before promotion, `promoted`, or
            `taken_back` after a release that failed.
        sentence: The same with its figures.
        before: The version that was live; None without one.
        version: The version that was trained.
        live: The version that is live now.
        gate_report: Digest of the report of the gate.
        compared_on: Which rows `gains` are of.
        compared_rows: How many these are.
        gains: By how much the new version is better than the one that was live, paired; below 0 it is worse.
    """

    model: str
    at: UtcTime
    advice: Advice
    state: Literal["not_called_for", "same_model", "kept", "waiting", "rollout", "promoted", "taken_back"]
    sentence: str
    before: int | None = None
    version: int | None = None
    live: int | None = None
    gate_report: str | None = None
    compared_on: Literal["holdout", "newest"] | None = None
    compared_rows: int | None = None
    gains: dict[str, Estimate] = Field(default_factory=dict)

    @property
    def acts(self) -> bool:
        """Whether someone should act: a loss stays although a model was trained."""
        return self.state in {"same_model", "kept", "taken_back"}

    @property
    def recommendation(self) -> str:
        """What to do; empty where there is nothing to do."""
        return _RECOMMENDED.get(self.state, "").format(version=self.version)


class Judged(Finite):
    """A retraining with the report of its gate and what followed a promotion; both are None where no gate ran."""

    retraining: Retraining
    report: GateReport | None = None
    release: Release | None = None

    @property
    def address(self) -> str | None:
        """Where the endpoint answers that was brought to the version; None where none was."""
        return None if self.release is None else self.release.address

    def require(self) -> Retraining:
        """Return what became of it; raises DeploymentFailed where the version went live and its release failed."""
        if self.release is not None:
            self.release.require()
        return self.retraining
