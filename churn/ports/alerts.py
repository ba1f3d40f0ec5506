"""The port of the channels by which alerts reach people and other programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from ..core.clock import UtcTime
from ..core.frozen import Finite

__all__ = ["AlertChannel", "AlertEvent", "Notice", "Severity"]

AlertEvent = Literal["opened", "changed", "resolved"]
"""Why a notice is sent: an alert is new, has another severity or outcome, or is over."""
Severity = Literal["warning", "critical"]


class Notice(Finite):
    """One message about an alert.

    Attributes:
        notice_id: Tells it from every other; the same where it is sent again, so that a receiver can leave it out.
        event: Why it is sent.
        severity: critical: what the model says now is wrong, or a loss persists; warning: everything else.
        title: What it is about, in a line.
        dataset: The data set.
        model: The registered model.
        version: The version that is live.
        kind: The diagnosis, or `retraining`.
        source: batch or endpoint; empty where it is about all predictions.
        window: The window that shows it.
        evidence: The figures it rests on, a sentence each.
        recommendation: What to do.
        page: Where the page of the monitoring run is; None without one.
        at: When it was found.
    """

    notice_id: str
    event: AlertEvent
    severity: Severity
    title: str
    dataset: str
    model: str
    version: int
    kind: str
    source: str
    window: str
    evidence: tuple[str, ...] = ()
    recommendation: str = ""
    page: str | None = None
    at: UtcTime

    @property
    def subject(self) -> str:
        """The notice in a line, as the subject of a mail."""
        state = "resolved" if self.event == "resolved" else self.severity
        return " ".join(f"[churn] {state}: {self.dataset}: {self.title}".split())

    @property
    def text(self) -> str:
        """The whole notice as plain text."""
        parts = [f"{self.title}: {self.model} version {self.version}, {self.window}.", *self.evidence]
        parts += [f"What to do: {self.recommendation}"] if self.recommendation else []
        return "\n".join([*parts, *([f"Page: {self.page}"] if self.page else [])])

    @property
    def content(self) -> dict[str, Any]:
        """The notice as JSON writes it, with its `text`."""
        return {**self.model_dump(mode="json"), "text": self.text}


class AlertChannel(ABC):
    """One way for notices to go; whoever sends keeps a notice until the channel has taken it."""

    name: ClassVar[str]
    """What it is called: `file`, `webhook`, `mail`, `stack`."""

    @abstractmethod
    def send(self, notice: Notice) -> None:
        """Hand a notice over; it may arrive twice, with the same `notice_id`, where a first answer was lost.

        Raises:
            StoreError: it was not taken, with the reason in words and no secret; to be tried again later.
        """
