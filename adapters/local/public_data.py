"""Downloading a public data set, verified by its checksum."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from churn.core.errors import ConfigError, StoreError, nearest

__all__ = ["PUBLIC_DATA", "fetch"]


class PublicData(NamedTuple):
    """Where a data set is published, and the SHA-256 of what must arrive."""

    url: str
    sha256: str
    file: str


PUBLIC_DATA = {
    "telco": PublicData(
        "https://raw.githubusercontent.com/IBM/telco-customer-churn-on-icp4d/master/data/Telco-Customer-Churn.csv",
        "16320c9c1ec72448db59aa0a26a0b95401046bef5d02fd3aeb906448e3055e91",
        "telco_customer_churn.csv",
    )
}


def fetch(name: str, folder: Path, timeout_seconds: float = 30.0, offers: dict[str, PublicData] | None = None) -> Path:
    """Return the path of the data set below `folder`, downloading it unless it is there and intact.

    Raises:
        ConfigError: there is no public data set of that name.
        StoreError: there is no network, or what arrived is not what was published; nothing is kept then.
    """
    catalogue = PUBLIC_DATA if offers is None else offers
    if name not in catalogue:
        hint = nearest(name, catalogue)
        raise ConfigError(f"There is no public data set {name!r}; known: {', '.join(catalogue)}{hint}")
    data = catalogue[name]
    target = folder / data.file
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == data.sha256:
        return target
    try:
        with urllib.request.urlopen(data.url, timeout=timeout_seconds) as response:
            content = response.read()
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise StoreError(
            f"{data.url} does not answer ({reason}). Without a network, copy the file from a machine that has one to "
            f"{target}; its SHA-256 must be {data.sha256}. Or train on simulated customers, which needs no file."
        ) from error
    arrived = hashlib.sha256(content).hexdigest()
    if arrived != data.sha256:
        raise StoreError(
            f"{data.url} sent something else than was published (SHA-256 {arrived}, expected {data.sha256}); nothing "
            "was kept. A proxy may have answered instead: open the address in a browser."
        )
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(target)
    return target
