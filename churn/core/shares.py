"""The side of the split a customer is on for ever, in every run and on every engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Side", "side_of", "sides_of"]

Side = Literal["train", "holdout"]


def side_of(entity: str, holdout_share: float, salt: str) -> Side:
    """Return the side of one customer.

    The first eight hexadecimal digits of MD5(`salt:entity`) as a fraction of 2**32, below `holdout_share`, mean
    holdout. MD5 is chosen because DuckDB and Spark SQL compute the same digits; nothing here needs it to be secret.
    """
    digits = hashlib.md5(f"{salt}:{entity}".encode(), usedforsecurity=False).hexdigest()[:8]
    return "holdout" if int(digits, 16) < holdout_share * 2**32 else "train"


def sides_of(entities: Iterable[str], holdout_share: float, salt: str) -> npt.NDArray[np.object_]:
    """Return the side of each customer, shape `(n_rows,)`."""
    known: dict[str, Side] = {}
    sides = []
    for entity in entities:
        if entity not in known:
            known[entity] = side_of(entity, holdout_share, salt)
        sides.append(known[entity])
    return np.array(sides, dtype=object)
