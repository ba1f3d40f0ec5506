"""Optuna's studies in a database: SQLite on this machine, or the server that a URL names."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from churn.core.errors import StoreError
from churn.ports.studies import Studies

__all__ = ["DatabaseStudies", "sqlite_url"]

HEARTBEAT_SECONDS, GRACE_SECONDS = 5, 30
"""A trial that gave no sign of life for the latter belongs to a process that died."""
_LOCK_SECONDS, _ATTEMPTS = 60, 5
_MADE_BY_ANOTHER = ("already exists", "alembic_version")


def sqlite_url(path: Path) -> str:
    """Return the address of an SQLite file."""
    return f"sqlite:///{path.resolve().as_posix()}"


class DatabaseStudies(Studies):
    """Studies in a database that SQLAlchemy reaches; the tables are made on first use."""

    def __init__(self, url: str, password: Callable[[], str | None] = lambda: None) -> None:
        """Do nothing yet: opening is left to `storage`.

        Args:
            url: As SQLAlchemy takes it; `postgresql:` is reached by psycopg.
            password: Returns the password, for each connection anew; None where the URL or nobody has one.
        """
        self._url, self._password = url, password

    def storage(self) -> Any:
        """Return Optuna's own storage, whose trials give a sign of life every five seconds."""
        import warnings

        import optuna
        import sqlalchemy.exc

        address = sqlalchemy.make_url(self._url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if (password := self._password()) is not None:
            address = address.set(password=password)
        shown = address.render_as_string(hide_password=True)
        options: dict[str, Any] = {}
        if address.drivername.startswith("sqlite"):
            options = {"connect_args": {"timeout": _LOCK_SECONDS}}
            # Where it cannot be made, the database says so below.
            with suppress(OSError):
                Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(_ATTEMPTS):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    storage = optuna.storages.RDBStorage(
                        address.render_as_string(hide_password=False),
                        engine_kwargs=options,
                        heartbeat_interval=HEARTBEAT_SECONDS,
                        grace_period=GRACE_SECONDS,
                    )
                sqlalchemy.event.listen(storage.engine, "do_connect", self._with_password)
                return storage
            except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
                # Two processes that start at once both make the tables, and one of them comes second.
                if attempt + 1 < _ATTEMPTS and any(sign in str(error) for sign in _MADE_BY_ANOTHER):
                    time.sleep(0.1 * (attempt + 1))
                    continue
                reason = str(getattr(error, "orig", None) or error).splitlines()[0]
                remedy = "correct profile.studies.address, and set the variable that profile.studies names"
                if address.drivername.startswith("sqlite"):
                    remedy = "correct profile.state, or move the file away"
                raise StoreError(f"The studies in {shown} cannot be used ({reason}): {remedy}.") from error
        raise AssertionError("the last attempt returns or raises")

    def _with_password(self, _dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        """Give a new connection the password of now: tokens end sooner than a tuning."""
        if (password := self._password()) is not None:
            parameters["password"] = password
