"""An additive fingerprint of rows that does not depend on their order, the file layout or the column order.

Each value becomes 64 bits, each row the mixed sum of its values, a table the sum of its rows. Therefore the digest of a
table after an upsert is the digest before, less that of the rows that went, plus that of the rows that came: only they
need to be looked at. It finds changes; it does not resist someone who seeks two tables with one digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Digest", "digest_of", "row_words"]

_Words = npt.NDArray[np.uint64]
_WORD = 2**64
_TEXT_KEY = "churn table rows"  # SipHash takes sixteen characters
_WHOLE = {
    "integer": pa.types.is_integer,
    "truth": pa.types.is_boolean,
    "date": pa.types.is_date32,
    "time": pa.types.is_timestamp,
}
_LANES = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))


@dataclass(frozen=True)
class Digest:
    """128 bits that add and subtract as the sets of rows they stand for are united and parted."""

    high: int = 0
    low: int = 0

    def __add__(self, other: Digest) -> Digest:
        return Digest((self.high + other.high) % _WORD, (self.low + other.low) % _WORD)

    def __sub__(self, other: Digest) -> Digest:
        return Digest((self.high - other.high) % _WORD, (self.low - other.low) % _WORD)

    def __str__(self) -> str:
        return f"{self.high:016x}{self.low:016x}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that `str` wrote as 32 hexadecimal digits."""
        return cls(int(text[:16], 16), int(text[16:], 16))


def digest_of(batches: Iterable[pa.RecordBatch], leave_out: Iterable[str] = ()) -> Digest:
    """Return the digest of the rows, `leave_out` naming columns that do not count.

    A null counts as a column that is not there. -0.0 is 0.0, and every NaN is the same value. The integer 1, the float
    1.0, true and the text "1" are four values; how many bits a number has does not matter.
    """
    ignored = set(leave_out)
    total = Digest()
    for batch in batches:
        rows = row_words(batch, [name for name in batch.schema.names if name not in ignored])
        total += Digest(*(int(np.add.reduce(_mixed(rows ^ lane))) for lane in _LANES))
    return total


def row_words(batch: pa.RecordBatch, names: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return 64 bits of each row's values in the named columns, shape `(n_rows,)`."""
    rows = np.zeros(batch.num_rows, dtype=np.uint64)
    for name in names:
        values = batch.column(name)
        if values.null_count < len(values):
            rows += _contribution(name, values)
    return rows


def _contribution(name: str, values: pa.Array) -> _Words:
    """Return what the column adds to each row: nothing for null, so that adding a column leaves old rows alone."""
    kind, words = _words(values)
    salt = hashlib.blake2b(f"{kind} {name}".encode(), digest_size=16).digest()
    factor, offset = (np.uint64(int.from_bytes(part, "little")) for part in (salt[:8], salt[8:]))
    words = words ^ (words >> np.uint64(32))  # round floats hold their bits above; the product keeps only those below
    words *= factor | np.uint64(1)
    words += offset
    if values.null_count:
        words *= values.is_valid().to_numpy(zero_copy_only=False)
    return words


def _words(values: pa.Array) -> tuple[str, _Words]:
    """Return the values' kind and 64 bits of each; those under a null are anything."""
    kind = values.type
    if pa.types.is_string(kind):
        from pandas.util import hash_array

        coded = values.dictionary_encode()
        texts = coded.dictionary.to_numpy(zero_copy_only=False)
        hashes = hash_array(texts, hash_key=_TEXT_KEY, categorize=False)
        return "text", hashes.take(coded.indices.fill_null(0).to_numpy(zero_copy_only=False))
    if pa.types.is_floating(kind):
        numbers = np.add(values.to_numpy(zero_copy_only=False), 0.0, dtype=np.float64)  # -0.0 becomes 0.0
        missing = np.isnan(numbers)
        if missing.any():
            numbers[missing] = np.nan
        return "float", numbers.view(np.uint64)
    name = next(name for name, matches in _WHOLE.items() if matches(kind))
    whole = pc.cast(values.view(pa.int32()) if name == "date" else values, pa.int64()).fill_null(0)
    return name, whole.to_numpy(zero_copy_only=False).view(np.uint64)


def _mixed(words: _Words) -> _Words:
    """Return each word with every bit depending on all of its bits (Stafford's variant 13 of MurmurHash3's finish)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
