"""An endpoint of the made-up business in a process of its own: `python -m tests.fakes.served FOLDER PORT`.

The version that is live is the number in the file `live` of the folder, which a test writes. The last line of the
output names the roles of the rows that it logged.
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
from churn.lifecycle.answer_log import AnswerLog
from serving.app import create_app
from serving.log import KeptLog
from serving.service import Service
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
    serving = settings(f"serving.refresh_seconds={REFRESH}").serving
    log = KeptLog(AnswerLog(case.workspace, serving.log), lambda: 0, serving.log)
    service = Service(case.endpoint, MODEL, serving, TokenFile(folder / "endpoint" / "gym.tokens.json"), log=log)
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
        sys.stdout.write(f"ended, with {sorted({row.role for row in case.log.waiting})}\n")
        sys.stdout.flush()  # before the endpoint counts as ended


if __name__ == "__main__":
    tempfile.tempdir = sys.argv[1]
    main(Path(sys.argv[1]), int(sys.argv[2]))
