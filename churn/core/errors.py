"""Every error that this project raises on purpose, with the exit code of its kind.

    ChurnError                     exit code 2: the reader of the message can mend it
    ├── ConfigError                a settings file, an override or a command-line value
    ├── ContractError              a dataset contract, or a table that does not have the contract's shape
    ├── DataError                  rows that cannot be used
    │   ├── ValidationFailed       more rows broke the contract than the settings allow
    │   ├── LeakageError           the training set knows what it could not have known
    │   └── NotEnoughData          too few rows, customers or classes to do what was asked
    ├── DecisionRefused            a decision that the ledger, the policy or the registry does not allow
    ├── DeploymentFailed           a promoted version that did not work where it was put; the one before is live again
    ├── ModelError                 a model that cannot be built, read or trusted
    └── StoreError                 a table, registry or disk that does not answer as it should
        ├── NotFound               a table, a model or a version that is not there
        └── WriteConflict          another process changed the same table; nothing was written

A message names the value, the rule it broke and the remedy, in one paragraph.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ChurnError",
    "ConfigError",
    "ContractError",
    "DataError",
    "DecisionRefused",
    "DeploymentFailed",
    "LeakageError",
    "ModelError",
    "NotEnoughData",
    "NotFound",
    "StoreError",
    "ValidationFailed",
    "WriteConflict",
    "nearest",
]


class ChurnError(Exception):
    """The root of every error raised on purpose; the command line prints its message and exits with 2.

    Attributes:
        evidence: The report that shows why, where there is one to keep.
    """

    def __init__(self, message: str = "", *, evidence: object = None) -> None:
        super().__init__(message)
        self.evidence = evidence


class ConfigError(ChurnError):
    """A settings file, an override or a command-line value is wrong."""


class ContractError(ChurnError):
    """A dataset contract is wrong, or a table does not have the shape the contract promises."""


class DataError(ChurnError):
    """Rows that cannot be used for what was asked."""


class ValidationFailed(DataError):
    """More rows broke the contract than `validation.max_quarantine_share` allows."""


class LeakageError(DataError):
    """The training set holds something that was not known at prediction time."""


class NotEnoughData(DataError):
    """Too few rows, customers or classes to do what was asked."""


class DecisionRefused(ChurnError):
    """A decision about a model version that the ledger, the policy or the registry does not allow."""


class DeploymentFailed(ChurnError):
    """A promoted version that did not work where it was put, so that the one before it is live again."""


class ModelError(ChurnError):
    """A model that cannot be built, read or trusted."""


class StoreError(ChurnError):
    """A table, registry or disk that does not answer as it should."""


class NotFound(StoreError):
    """A table, a model or a version that is not there."""


class WriteConflict(StoreError):
    """Another process changed the same table at the same time; nothing was written."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the valid name most like `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
