"""The host of the endpoint in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from churn.core.errors import ChurnError, NotFound, StoreError
from churn.lifecycle.endpoint import Endpoint
from churn.ports.endpoint import EndpointAnswer, EndpointHost, EndpointState


class InMemoryEndpoint(EndpointHost):
    """Answers by calling the use case; `refusal` is what it says instead of a step, by the name of the method."""

    def __init__(self, endpoint: Endpoint, name: str, *, runs: bool = True) -> None:
        self.endpoint, self.name, self.runs = endpoint, name, runs
        self.refusal: dict[str, str] = {}
        self.asked = 0
        self._log = [f"line {number}" for number in range(1, 4)]

    def state(self) -> EndpointState | None:
        self._refuse("state")
        if not self.runs:
            return None
        found = self.endpoint.readiness
        failed = "failed" if found.degraded else "in_progress"
        return EndpointState(
            name=self.name,
            address="memory://endpoint",
            ready=found.ready,
            version=found.version,
            update="none" if found.preparing is None else failed,  # type: ignore[arg-type]
            degraded=found.degraded,
            requests=self.asked,
        )

    def ensure(self, version: int, *, within: float) -> EndpointState:
        self._refuse("ensure")
        try:
            self.endpoint.refresh()
        except ChurnError as error:
            raise StoreError(f"The endpoint ended before it answered with version {version}: {error}") from error
        self.runs = True
        state = self.state()
        assert state is not None
        if state.version != version:
            raise StoreError(f"The endpoint cannot change to version {version}: {' '.join(state.degraded)}")
        return state

    def query(self, rows: Sequence[Mapping[str, object]], *, explain: bool = False) -> EndpointAnswer:
        self._refuse("query")
        if not self.runs:
            raise StoreError("No endpoint of 'gym' runs: start it by `python run.py serve`.")
        self.asked += 1
        try:
            answers = self.endpoint.answer(rows, explain=explain)
        except ChurnError as error:
            raise StoreError(f"The endpoint answers 400: {error}") from error
        said = [
            {"customer": row.customer, "status": row.status, **({} if row.score is None else row.score._asdict())}
            for row in answers.rows
        ]
        return EndpointAnswer([answers.by(number).version for number in range(len(said))], said)

    def stop(self, *, within: float) -> bool:
        self._refuse("stop")
        ran, self.runs = self.runs, False
        return ran

    def logs(self, lines: int, *, follow: bool = False) -> Iterator[str]:
        if not self._log:
            raise NotFound("No endpoint of 'gym' has left a log.")
        yield from self._log[-lines:]

    def _refuse(self, step: str) -> None:
        if step in self.refusal:
            raise StoreError(self.refusal[step])
