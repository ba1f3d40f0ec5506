"""An endpoint of the made-up business in a process of its own: `python -m tests.fakes.served FOLDER PORT`.

The version that is live is the number in the file `live` of the folder, which a test writes.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import tempfile
from pathlib import Path

import uvicorn

from adapters.local.endpoint_process import EndpointProcess, noted
from adapters.local.tokens import TokenFile
from serving.app import Service, create_app
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import EndpointCase

REFRESH = 0.05


class Following(EndpointCase):
    """Lets the version be live that the file names, whenever the ledger is asked; version 3 cannot be loaded."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"serving.refresh_seconds={REFRESH}")
        self._file, self.broken = folder / "live", {3}
        asked = self.office.ledger.read

        def read() -> object:
            wanted = int(self._file.read_text())
            self.office.ledger.read = asked  # type: ignore[method-assign]
            try:
                if wanted != self.office.champion:
                    self.office.go_live(wanted)
            finally:
                self.office.ledger.read = read  # type: ignore[method-assign,assignment]
            return asked()

        self.office.ledger.read = read  # type: ignore[method-assign,assignment]
        self.online_features("a")


def main(folder: Path, port: int) -> None:
    """Serve until SIGTERM."""
    case = Following(folder)
    service = Service(
        case.endpoint,
        MODEL,
        settings(f"serving.refresh_seconds={REFRESH}").serving,
        TokenFile(folder / "endpoint" / "gym.tokens.json"),
    )
    process = EndpointProcess(
        pid=os.getpid(),
        address=f"http://127.0.0.1:{port}",
        workers=1,
        started_at=dt.datetime.now(dt.UTC),
        log=Path(os.environ["LOG"]),
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with noted(folder / "endpoint", "gym", process):
        sys.stdout.write("one\ntwo\nthree\n")
        uvicorn.run(create_app(service, "1"), port=port, log_level="warning", timeout_graceful_shutdown=10)
    sys.stdout.write("ended\n")


if __name__ == "__main__":
    tempfile.tempdir = sys.argv[1]
    main(Path(sys.argv[1]), int(sys.argv[2]))
