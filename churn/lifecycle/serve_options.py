"""Options of the project's server; its process receives them as JSON."""

from __future__ import annotations

from pathlib import Path

from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..settings import Settings

__all__ = ["ServeOptions"]


class ServeOptions(Frozen):
    """How the endpoint is started.

    Attributes:
        contract: The data set.
        settings: Its settings.
        host: The address to listen at.
        port: The port; 0 takes a free one.
        workers: Processes.
        authenticated: Whether requests need a token; without, `host` must be of this machine alone.
        certificate: A TLS certificate (PEM), and `key` its private key; None for plain HTTP.
        key: See `certificate`.
        log: Its log, where nobody watches what it shows; None for a new one beside that.
    """

    contract: DatasetContract
    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    authenticated: bool = True
    certificate: Path | None = None
    key: Path | None = None
    log: Path | None = None
