"""A channel of alerts in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from churn.core.errors import StoreError
from churn.ports.alerts import AlertChannel, Notice


@dataclass
class InMemoryAlerts(AlertChannel):
    """Keeps what it is sent; refuses while `refuses` is true."""

    notices: list[Notice] = field(default_factory=list)
    refuses: bool = False
    name: ClassVar[str] = "memory"

    def send(self, notice: Notice) -> None:
        if self.refuses:
            raise StoreError("Nobody answers.") from None
        self.notices.append(notice)
