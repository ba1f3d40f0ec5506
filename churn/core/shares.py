"""A share of the customers, drawn by a hash of their key: the same in every run and on every engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["hash_share", "hash_shares"]


def hash_share(key: str, share: float, salt: str) -> bool:
    """Return whether a customer belongs to the share that `salt` draws.

    The first eight hexadecimal digits of MD5(`salt:key`), as a fraction of 2**32, are below `share`. DuckDB and Spark
    SQL compute the same digits; nothing here needs the hash to be secret. A greater share contains a smaller one with
    the same salt.

    Args:
        key: The customer's key, in its canonical spelling.
        share: 0 to 1.
        salt: Another salt draws other customers.
    """
    digest = hashlib.md5(f"{salt}:{key}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def hash_shares(keys: Iterable[str], share: float, salt: str) -> npt.NDArray[np.bool_]:
    """Return `hash_share` of each key, shape `(n_keys,)`."""
    prefix, limit = hashlib.md5(f"{salt}:".encode(), usedforsecurity=False), share * 2**32

    def drawn(key: str) -> bool:
        state = prefix.copy()
        state.update(key.encode())
        return int.from_bytes(state.digest()[:4], "big") < limit

    return np.fromiter(map(drawn, keys), dtype=bool)
