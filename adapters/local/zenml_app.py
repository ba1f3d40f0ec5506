"""The application of ZenML's dashboard, which answers its own address only; `zenml_ui` starts it."""

from __future__ import annotations

from .guard import OwnAddressOnly

__all__ = ["guarded"]


def guarded() -> OwnAddressOnly:
    """Return ZenML's application; its settings are in the environment."""
    from zenml.zen_server.zen_server_api import app

    return OwnAddressOnly(app)
