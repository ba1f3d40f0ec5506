"""The decision policy of a package in words, with a digest of its economics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["policy_of"]


def policy_of(scoring: Mapping[str, Any]) -> str:
    """Return the rule by which a package decides, with a digest of its economics, the JSON values of its settings."""
    economics = {name: scoring.get(name) for name in ("money", "monthly_revenue")}
    digest = hashlib.sha256(json.dumps(economics, sort_keys=True).encode()).hexdigest()[:8]
    return f"expected value > 0 {economics['money']['currency']}, economics {digest}"  # type: ignore[index]
