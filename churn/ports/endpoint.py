"""The port of the endpoint's host: what runs the endpoint, on this machine or elsewhere, and how it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from ..core.clock import UtcTime
from ..core.frozen import Frozen

__all__ = ["EndpointAnswer", "EndpointHost", "EndpointState"]


class EndpointState(Frozen):
    """How an endpoint does; what a host does not know is None."""

    name: str = Field(description="The endpoint, named as in its paths.")
    address: str = Field(description="Where it answers, such as `http://127.0.0.1:8080`.")
    ready: bool = Field(description="Whether requests are answered.")
    version: int | None = Field(default=None, description="The version that answers.")
    update: Literal["none", "in_progress", "failed"] = Field(
        default="none", description="Whether it changes to another version, apart from whether it is ready."
    )
    degraded: tuple[str, ...] = Field(default=(), description="What does not work, in words.")
    since: UtcTime | None = Field(default=None, description="When it was started.")
    requests: int | None = Field(default=None, description="Scoring requests since then.")
    workers: int | None = Field(default=None, description="Processes.")
    pid: int | None = Field(default=None, description="The process to signal, on this machine.")
    log: str | None = Field(default=None, description="Where its log lies.")


class EndpointAnswer(NamedTuple):
    """What an endpoint said of the rows of one request.

    Attributes:
        versions: The version that answered each row; several may answer while one is rolled out.
        predictions: A JSON object for each row, in their order, with `status` and `probability` among others.
    """

    versions: Sequence[int]
    predictions: Sequence[Mapping[str, Any]]


class EndpointHost(ABC):
    """Runs the endpoint of one data set: as a process of this machine, or on Databricks Model Serving.

    An endpoint may follow the ledger by itself, as this project's server does, or be told its version, as Model Serving
    is (`serving_endpoints.create` and `update_config`). So whoever calls `ensure` has let the version go live before.
    Any method raises StoreError where the host does not answer.
    """

    follows_ledger: ClassVar[bool] = True
    """Whether it looks by itself which versions are live or rolled out; else `ensure` is called after each change."""

    @abstractmethod
    def state(self) -> EndpointState | None:
        """Return how the endpoint does; None where none runs."""

    @abstractmethod
    def ensure(self, version: int, *, within: float) -> EndpointState:
        """Let the endpoint answer with a version, started where none runs, and return once every process of it does.

        Args:
            version: A version that is live by the ledger; the endpoint may answer with it already.
            within: Seconds to wait.

        Raises:
            StoreError: it does not within that time, or it says that it cannot; the version that answered may go on.
        """

    @abstractmethod
    def query(self, rows: Sequence[Mapping[str, object]], *, explain: bool = False) -> EndpointAnswer:
        """Ask for scores as any client does: over the network, with a token; the rows are logged as `what_if`.

        A test is no prediction that anybody acts on: no window, trial or campaign counts it.

        Args:
            rows: JSON objects, one a customer, as `churn.lifecycle.endpoint.Endpoint.answer` takes them.
            explain: Whether to ask for reasons.

        Raises:
            StoreError: no endpoint runs, or it refuses the request; the message has its words.
        """

    @abstractmethod
    def stop(self, *, within: float) -> bool:
        """End the endpoint after the requests that are under way, and return whether one ran.

        Args:
            within: Seconds to wait.

        Raises:
            StoreError: it still runs then, or is none that may be ended from here.
        """

    @abstractmethod
    def logs(self, lines: int, *, follow: bool = False) -> Iterator[str]:
        """Yield the last lines of the log of the endpoint that runs, or of the last one that did.

        Args:
            lines: How many.
            follow: Whether to go on with what is added, until the endpoint ends.

        Raises:
            NotFound: there is no log.
        """
