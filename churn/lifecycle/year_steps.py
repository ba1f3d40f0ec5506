"""The use cases of one month of a simulated year, on the stores of one state."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ..approval.decide import decide
from ..approval.promote import exclusive_state, promote
from ..campaign.candidates import PLANNED_AT
from ..campaign.plan import TREATMENT
from ..core.errors import NotEnoughData, NotFound
from ..monitoring.report import MonitoringReport
from ..settings import Settings
from .campaigns import plan_campaign
from .deployment import check_approval, evaluate_challenger, promote_version
from .features import build_features, deliver, ingest
from .inference import score
from .monitoring import monitor
from .retraining import retrain, train_on_tables
from .retraining_result import Retraining
from .workspace import Workspace

__all__ = ["Connect", "YearSteps"]

Connect = Callable[[Callable[[], dt.datetime]], Workspace]
"""Returns the ports of the data set, with a clock."""


class YearSteps:
    """What is run in a month; each part may be run again after it failed, and ends the same."""

    def __init__(self, connect: Connect, settings: Settings) -> None:
        """Prepare the use cases.

        Args:
            connect: Returns the ports of the data set, with this clock.
            settings: The settings of every month.
        """
        self._connect, self.settings = connect, settings
        self.now = dt.datetime.min.replace(tzinfo=dt.UTC)

    @property
    def workspace(self) -> Workspace:
        """The ports, made anew, at the time that the year's clock shows."""
        return self._connect(lambda: self.now)

    def begin(self, file: Path) -> None:
        """Take the past in; raises NotEnoughData where nobody could train on it."""
        workspace, settings = self.workspace, self.settings.model_copy(update={"data": file})
        build_features(workspace, settings, ingest(workspace, settings, purpose="training")[0])

    def deliver(self, file: Path) -> None:
        """Take a delivered table in, and derive features and labels."""
        workspace, settings = self.workspace, self.settings
        bronze, _ = deliver(workspace, workspace.delivered(file), settings.validation)
        build_features(workspace, settings, bronze)

    def contact(self) -> None:
        """Score every customer, and plan the campaign."""
        plan_campaign(self.workspace, self.settings, score(self.workspace, self.settings))

    def contacted(self) -> pa.Array:
        """Return the keys of those whom this month's campaign contacts."""
        workspace = self.workspace
        contract, table = workspace.contract, workspace.tables
        ref = table.latest(contract.table("contacts").name)
        rows = table.scan(ref, [contract.entity_key, PLANNED_AT], where={"group": TREATMENT}).read_all().to_pydict()
        times = rows[PLANNED_AT]
        return pa.array([key for key, at in zip(rows[contract.entity_key], times, strict=True) if at == self.now])

    def monitor(self) -> MonitoringReport:
        """Measure and judge the windows of predictions."""
        return monitor(self.workspace, self.settings)

    def train(self) -> None:
        """Train on what is known, and register the challenger."""
        train_on_tables(self.workspace, self.settings, lambda _: {})

    def judge(self) -> None:
        """Let the gate judge the first model, which goes live.

        Raises:
            NotEnoughData: the gate refuses it.
        """
        workspace, settings = self.workspace, self.settings
        report = evaluate_challenger(workspace, settings, None)
        if promote_version(workspace, settings, check_approval(workspace, settings, report)).champion is None:
            raise NotEnoughData(
                f"No year can be lived with the first model: {report.summary}. Simulate more customers "
                "(simulation.customers) or a longer past (simulation.months)."
            )

    def retrain(self, report: MonitoringReport) -> Retraining:
        """Train and judge as monitoring advises."""
        return retrain(self.workspace, self.settings, report).retraining

    def promote_unjudged(self) -> None:
        """Let the challenger go live without a gate, as a policy that has none does."""
        context, who = self.workspace.approval(self.settings.approval), "the simulated year"
        with exclusive_state(context) as state:
            version, live = state.challenger, state.live
            if version is None:
                raise NotFound("There is no challenger to promote: train one first.")
            digests = {"model": state.digest(version.version), "champion": state.digest(live), "gate_report": ""}
            why = "This policy has no gate."
            context.write(state, "gate_passed", version.version, champion=live, who=who, why=why, digests=digests)
        decide(context, version.version, who=who)
        promote(context, version.version, who=who)
