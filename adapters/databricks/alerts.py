"""Alerts in a Unity Catalog volume, whose files cannot be added to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from churn.ports.alerts import AlertChannel, Notice
from churn.ports.files import Files

__all__ = ["VolumeAlerts"]


@dataclass(frozen=True)
class VolumeAlerts(AlertChannel):
    """A JSON file for each notice in a folder, such as `alerts/telco`; the file channel of a laptop adds lines."""

    files: Files
    folder: str
    name: ClassVar[str] = "file"

    def send(self, notice: Notice) -> None:
        """Write the notice; once more writes the same file."""
        self.files.put(f"{self.folder}/{notice.notice_id}.json", [json.dumps(notice.content).encode()])
