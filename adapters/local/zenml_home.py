"""Where the user's ZenML client keeps its state, read without importing ZenML and without creating anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml

__all__ = ["config_folder", "configuration", "store_url"]


def config_folder() -> Path:
    """Return the folder of ZenML's configuration: `ZENML_CONFIG_PATH`, or the platform's own place."""
    chosen = os.environ.get("ZENML_CONFIG_PATH")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "zenml"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "zenml"


def configuration() -> dict[str, Any]:
    """Return what ZenML's configuration file holds; empty where there is none, or none that can be read."""
    try:
        held = yaml.safe_load((config_folder() / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return held if isinstance(held, dict) else {}


def store_url() -> str:
    """Return the address of the store that ZenML's client uses: of a database, or of a server."""
    store = configuration().get("store") or {}
    stores = Path(os.environ.get("ZENML_LOCAL_STORES_PATH") or config_folder() / "local_stores")
    embedded = f"sqlite:///{stores / 'default_zen_store' / 'zenml.db'}"
    return str(os.environ.get("ZENML_STORE_URL") or store.get("url") or embedded)
